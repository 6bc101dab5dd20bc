use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::Value;
use serin_api::networking::{HttpMatchRequest, VirtualService};
use serin_api::values::StringMatch;

use super::*;
use crate::testing::{from_values, gateway, objects, sidecar, values};
use crate::{Settings, SnapshotBuilder};

/// A mesh with something of everything: services of one host in several places, rules that merge, overlap and delegate, a
/// Sidecar, policies, endpoints of every source.
const MESH: &str = "
kind: Namespace
metadata: {name: shop, labels: {istio-injection: enabled}}
---
kind: Service
metadata: {name: cart, namespace: shop}
spec: {selector: {app: cart}, clusterIP: 10.0.0.1, ports: [{name: http, port: 80, targetPort: 8080}, {name: tcp, port: 90}]}
---
kind: Service
metadata: {name: pay, namespace: shop}
spec: {selector: {app: pay}, clusterIP: 10.0.0.2, ports: [{name: http, port: 80}, {port: 81}]}
---
kind: Service
metadata: {name: db, namespace: shop}
spec: {selector: {app: db}, clusterIP: None, ports: [{name: tcp, port: 5432}]}
---
kind: Service
metadata: {name: money, namespace: shop}
spec: {type: ExternalName, externalName: pay.shop.svc.cluster.local, ports: [{name: http, port: 80}]}
---
kind: Deployment
metadata: {name: cart-v1, namespace: shop}
spec: {template: {metadata: {labels: {app: cart, version: v1}}, spec: {containers: [{name: c}]}}}
---
kind: Deployment
metadata: {name: cart-v2, namespace: shop}
spec: {replicas: 2, template: {metadata: {labels: {app: cart, version: v2}}, spec: {containers: [{name: c}]}}}
---
kind: Pod
metadata: {name: pay-1, namespace: shop, labels: {app: pay, istio-locality: r1.z1}}
spec: {containers: [{name: istio-proxy}]}
status: {podIP: 10.1.0.1}
---
kind: Pod
metadata: {name: pay-2, namespace: shop, labels: {app: pay, istio-locality: r2.z1}}
spec: {containers: [{name: c}]}
status: {podIP: 10.1.0.2}
---
kind: ServiceEntry
metadata: {name: one, namespace: shop}
spec: {hosts: [example.com], resolution: DNS, ports: [{number: 80, name: http, protocol: HTTP}]}
---
kind: ServiceEntry
metadata: {name: two, namespace: shop}
spec: {hosts: [example.com], resolution: DNS, ports: [{number: 81, name: other, protocol: HTTP}]}
---
kind: ServiceEntry
metadata: {name: elsewhere, namespace: other}
spec: {hosts: [example.com, '*.example.org'], ports: [{number: 443, name: tls, protocol: TLS}]}
---
kind: ServiceEntry
metadata: {name: vms, namespace: shop}
spec: {hosts: [vms.com], resolution: STATIC, workloadSelector: {labels: {app: vm}}, ports: [{number: 80, name: http, protocol: HTTP}]}
---
kind: WorkloadEntry
metadata: {name: vm-1, namespace: shop}
spec: {address: 10.2.0.1, labels: {app: vm}}
---
kind: WorkloadEntry
metadata: {name: vm-2, namespace: shop}
spec: {address: 10.2.0.2, labels: {app: vm}, weight: 3}
---
kind: VirtualService
metadata: {name: cart, namespace: shop}
spec: {hosts: [cart], http: [{match: [{headers: {user: {exact: x}}}], route: [{destination: {host: cart, subset: v2}}]}, {route: [{destination: {host: cart, subset: v1}}]}]}
---
kind: VirtualService
metadata: {name: cart-again, namespace: shop}
spec: {hosts: [cart], http: [{route: [{destination: {host: pay}}]}]}
---
kind: VirtualService
metadata: {name: wide, namespace: shop}
spec: {hosts: ['*.example.org', pay], http: [{match: [{uri: {prefix: /a}}], delegate: {name: leaf, namespace: shop}}]}
---
kind: VirtualService
metadata: {name: leaf, namespace: shop}
spec: {http: [{match: [{uri: {prefix: /a/b}}], route: [{destination: {host: pay}}]}]}
---
kind: DestinationRule
metadata: {name: cart-a, namespace: shop}
spec: {host: cart, subsets: [{name: v1, labels: {version: v1}}, {name: v2, labels: {version: v2}}]}
---
kind: DestinationRule
metadata: {name: cart-b, namespace: shop}
spec: {host: cart, trafficPolicy: {outlierDetection: {}}, subsets: [{name: v1, labels: {version: vX}}]}
---
kind: DestinationRule
metadata: {name: pay, namespace: istio-system}
spec: {host: '*.shop.svc.cluster.local', trafficPolicy: {outlierDetection: {}, loadBalancer: {simple: RANDOM}}}
---
kind: Sidecar
metadata: {name: narrow, namespace: shop}
spec: {workloadSelector: {labels: {app: cart}}, egress: [{hosts: ['./*', 'other/*']}]}
---
kind: PeerAuthentication
metadata: {name: strict, namespace: shop}
spec: {mtls: {mode: STRICT}}
---
kind: Gateway
metadata: {name: edge, namespace: shop}
spec: {selector: {istio: ingressgateway}, servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ['*']}, {port: {number: 443, name: https, protocol: HTTPS}, hosts: [a.com], tls: {mode: SIMPLE, credentialName: cert}}]}
---
kind: Gateway
metadata: {name: again, namespace: other}
spec: {selector: {istio: ingressgateway}, servers: [{port: {number: 80, name: tcp, protocol: TCP}, hosts: ['*']}, {port: {number: 443, name: tls, protocol: TLS}, hosts: ['*.com'], tls: {mode: PASSTHROUGH}}]}
---
kind: VirtualService
metadata: {name: outside, namespace: shop}
spec: {hosts: [a.com, '*.b.com'], gateways: [edge], http: [{match: [{uri: {prefix: /cart}}], route: [{destination: {host: cart, subset: v1}}]}, {route: [{destination: {host: pay, port: {number: 80}}}]}]}
---
kind: VirtualService
metadata: {name: outside-too, namespace: shop}
spec: {hosts: ['*'], gateways: [edge, other/again], http: [{match: [{headers: {a: {exact: b}}}], route: [{destination: {host: pay, port: {number: 81}}}]}], tls: [{match: [{sniHosts: [b.com]}], route: [{destination: {host: db}}]}]}
";

fn proxies() -> [Proxy; 4] {
    let near = |proxy: Proxy| Proxy {
        locality: serin_routing::model::Locality { region: "r1".into(), ..Default::default() },
        ..proxy
    };
    [
        sidecar("shop", "app=cart,version=v1"),
        near(sidecar("shop", "app=pay")),
        sidecar("other", ""),
        gateway("istio-system", "istio=ingressgateway"),
    ]
}

fn settings() -> Settings {
    Settings { expects_pods: true, ..Settings::default() }
}

fn shuffled() -> impl Strategy<Value = Vec<Value>> {
    Just(values(MESH)).prop_shuffle()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn the_order_of_objects_does_not_matter(shuffled in shuffled()) {
        let expect = Snapshot::new(objects(MESH), settings());
        let found = Snapshot::new(from_values(&shuffled), settings());
        let key = |it: &&Finding| format!("{it:?}");
        prop_assert_eq!(
            expect.findings().map(|it| key(&it)).collect::<Vec<_>>(),
            found.findings().map(|it| key(&it)).collect::<Vec<_>>()
        );
        for proxy in proxies() {
            let (expect, found) = (translate(&expect, &proxy), translate(&found, &proxy));
            prop_assert_eq!(&expect.model, &found.model);
            prop_assert_eq!(&expect.findings, &found.findings);
        }
    }

    #[test]
    fn the_next_version_is_what_a_fresh_one_would_be(steps in prop::collection::vec(prop::collection::vec(any::<bool>(), 24), 1..4)) {
        let all = values(MESH);
        let mut builder = SnapshotBuilder::default();
        let mut translators = proxies().map(Translator::new);
        // Objects keep their addresses from one version to the next.
        let whole = from_values(&all);
        for keep in steps {
            let kept = kept(&whole, &keep);
            let snapshot = builder.build(kept.clone(), settings());
            let fresh = Snapshot::new(kept, settings());
            for (translator, proxy) in translators.iter_mut().zip(proxies()) {
                let (next, fresh) = (translator.translate(&snapshot), translate(&fresh, &proxy));
                prop_assert_eq!(&next.model, &fresh.model);
                prop_assert_eq!(&next.findings, &fresh.findings);
            }
        }
    }
}

/// Changes of a VirtualService's rules, some of which leave it none.
fn edit(rules: &mut VirtualService, how: u8) {
    match how % 6 {
        0 => rules.http.reverse(),
        1 => rules.http.clear(),
        2 => rules.http.truncate(1),
        3 => rules.http.extend(rules.http.first().cloned()),
        4 => rules.tcp.clear(),
        _ => {
            let uri = Some(StringMatch::Prefix("/changed".into()));
            let condition = HttpMatchRequest { uri, ..Default::default() };
            rules.http.iter_mut().for_each(|it| it.matches = vec![condition.clone()]);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn changed_rules_lead_to_what_a_fresh_version_would_have(
        steps in prop::collection::vec(prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..3), 1..6),
    ) {
        let text = format!("{MESH}\n---\n{MORE_RULES}");
        let mut objects = objects(&text);
        let written = objects.virtual_services.clone();
        let mut builder = SnapshotBuilder::default();
        let mut translators = proxies().map(Translator::new);
        for changes in steps {
            for (place, how) in changes {
                // What is changed again begins as it was written, so that rules come back, too.
                let start = place.get(&written);
                let mut new = (**start).clone();
                edit(&mut new.spec, how);
                objects.exchange(Some(start), Some(Arc::new(new)));
            }
            let snapshot = builder.build(objects.clone(), settings());
            let fresh = Snapshot::new(objects.clone(), settings());
            prop_assert_eq!(
                snapshot.findings().collect::<Vec<_>>(),
                fresh.findings().collect::<Vec<_>>()
            );
            for (translator, proxy) in translators.iter_mut().zip(proxies()) {
                let (next, fresh) = (translator.translate(&snapshot), translate(&fresh, &proxy));
                prop_assert_eq!(differing(&next.model, &fresh.model), Vec::<String>::new());
                prop_assert!(next.model == fresh.model);
                prop_assert_eq!(&next.findings, &fresh.findings);
            }
        }
    }
}

/// Listeners and virtual hosts that are not the same in both.
fn differing(one: &Model, other: &Model) -> Vec<String> {
    let parts = |model: &Model| {
        let listeners =
            model.listeners.iter().map(|(name, it)| (name.to_string(), format!("{it:?}")));
        let hosts = model.route_tables.iter().flat_map(|(name, table)| {
            let name = name.clone();
            table
                .virtual_hosts
                .iter()
                .map(move |it| (format!("{name} {}", it.name), format!("{it:?}")))
        });
        listeners.chain(hosts).collect::<BTreeMap<_, _>>()
    };
    let (one, other) = (parts(one), parts(other));
    let names = one.keys().chain(other.keys()).filter(|it| one.get(*it) != other.get(*it));
    names.cloned().collect()
}

/// Hosts with the rules of several VirtualServices, and servers that ask the same rules.
const MORE_RULES: &str = "
kind: Gateway
metadata: {name: twice, namespace: shop}
spec: {selector: {istio: ingressgateway}, servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ['shop/*'], tls: {httpsRedirect: true}}, {port: {number: 8080, name: http-alt, protocol: HTTP}, hosts: ['*.b.com', a.com]}]}
---
kind: VirtualService
metadata: {name: x, namespace: shop}
spec: {hosts: [a.com, x.com], gateways: [twice], http: [{match: [{uri: {prefix: /x}}], route: [{destination: {host: cart}}]}, {route: [{destination: {host: pay}}]}, {route: [{destination: {host: cart}}]}]}
---
kind: VirtualService
metadata: {name: more, namespace: shop}
spec: {hosts: [x.com, a.com, y.b.com], gateways: [twice, edge], http: [{match: [{port: 80}], route: [{destination: {host: pay}}]}, {match: [{uri: {prefix: /y}}], route: [{destination: {host: cart}}]}]}
---
kind: VirtualService
metadata: {name: z, namespace: shop}
spec: {hosts: [pay, db], http: [{route: [{destination: {host: cart}}]}, {route: [{destination: {host: db}}]}], tcp: [{route: [{destination: {host: cart, port: {number: 90}}}]}]}
";

/// The objects without some of those that change most.
fn kept(whole: &crate::Objects, keep: &[bool]) -> crate::Objects {
    let mut objects = whole.clone();
    let mut keep = keep.iter().copied().cycle();
    let mut next = || keep.next().unwrap_or(true);
    objects.virtual_services.retain(|_| next());
    objects.destination_rules.retain(|_| next());
    objects.service_entries.retain(|_| next());
    objects.pods.retain(|_| next());
    objects.services.retain(|_| next());
    objects.sidecars.retain(|_| next());
    objects.peer_authentications.retain(|_| next());
    objects.gateways.retain(|_| next());
    objects
}

#[test]
fn every_cluster_that_has_endpoints_is_in_the_model() {
    let snapshot = Snapshot::new(objects(MESH), settings());
    for proxy in proxies() {
        let model = translate(&snapshot, &proxy).model;
        for name in model.endpoints.keys() {
            assert!(model.clusters.contains_key(name), "{name}");
        }
        let discoveries: BTreeMap<_, _> =
            model.clusters.values().map(|it| (format!("{:?}", it.discovery), ())).collect();
        assert!(discoveries.contains_key("Listed"), "{proxy:?}");
    }
}

#[test]
fn what_did_not_change_is_the_same_again() {
    let mut builder = SnapshotBuilder::default();
    let mut translator = Translator::new(sidecar("other", ""));
    let all = objects(MESH);
    let before = translator.translate(&builder.build(all.clone(), settings())).model;
    let mut changed = all;
    let place = changed.virtual_services.iter().position(|it| it.meta.name == "cart").unwrap();
    let mut rules = (*changed.virtual_services[place]).clone();
    rules.spec.http.remove(0);
    changed.virtual_services[place] = Arc::new(rules);
    let after = translator.translate(&builder.build(changed, settings())).model;
    assert_ne!(before, after);
    for (name, cluster) in &before.clusters {
        assert!(Arc::ptr_eq(cluster, &after.clusters[name]), "{name}");
    }
    for (name, listener) in &before.listeners {
        assert!(Arc::ptr_eq(listener, &after.listeners[name]), "{name}");
    }
    let new = before
        .route_tables
        .iter()
        .filter(|(name, it)| !Arc::ptr_eq(it, &after.route_tables[*name]));
    assert_eq!(new.map(|(name, _)| &**name).collect::<Vec<_>>(), ["80"]);
}
