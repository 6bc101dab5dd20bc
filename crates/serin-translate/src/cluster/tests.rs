use std::time::Duration;

use serin_api::mesh_config::MeshConfig;
use serin_api::networking::H2UpgradePolicy;
use serin_routing::balancer::Policy;
use serin_routing::breaker;
use serin_routing::model::{ClusterTls, EndpointAddress, EndpointTls, Locality, Tls};

use super::*;
use crate::testing::{cluster, cluster_with, gateway, manifests, sidecar};

fn of(snapshot: &Snapshot, proxy: &Proxy) -> Clusters {
    let scope = Scope::new(snapshot, proxy);
    match proxy.kind {
        crate::ProxyKind::Sidecar => Clusters::of_sidecar(snapshot, &scope, proxy),
        crate::ProxyKind::Gateway => {
            Clusters::of_gateway(snapshot, &scope, proxy, GatewayKind::Routing)
        }
    }
}

fn names(clusters: &Clusters) -> Vec<&str> {
    clusters.clusters.keys().map(|it| &**it).collect()
}

const HTTP: &str = "outbound|80||svc.default.svc.cluster.local";
const V1: &str = "outbound|80|v1|svc.default.svc.cluster.local";
const SVC: &str = "
kind: Service
metadata: {name: svc}
spec:
  clusterIP: 10.0.0.1
  selector: {app: svc}
  ports: [{name: http, port: 80, targetPort: 8080}]
";

fn rule(policy: &str) -> String {
    format!(
        "\n---\nkind: DestinationRule\nmetadata: {{name: rule}}\nspec: {{host: svc, trafficPolicy: {{{policy}}}}}\n"
    )
}

/// The cluster of `svc` for a sidecar, by a traffic policy.
fn by_policy(policy: &str) -> Cluster {
    let snapshot = cluster(&format!("{SVC}{}", rule(policy)));
    (*of(&snapshot, &sidecar("default", "")).clusters[HTTP]).clone()
}

#[test]
fn there_is_a_cluster_for_each_port_and_subset_and_for_unknown_destinations() {
    let service =
        SVC.replace("]\n", ", {name: tcp, port: 90}, {name: dns, port: 53, protocol: UDP}]\n");
    let subsets = "\n---\nkind: DestinationRule\nmetadata: {name: rule}\nspec: {host: svc, subsets: [{name: v1}, {name: v2}]}\n";
    let alias = "\n---\nkind: Service\nmetadata: {name: alias}\nspec: {type: ExternalName, externalName: svc.default.svc.cluster.local, ports: [{port: 80}]}\n";
    let snapshot = cluster(&[&service, subsets, alias].concat());
    let outbound = ["|80|", "|80|v1", "|80|v2", "|90|", "|90|v1", "|90|v2"]
        .map(|it| format!("outbound{it}|svc.default.svc.cluster.local"));
    let outbound = std::collections::BTreeSet::from(outbound);
    let mut sidecars = vec![
        "BlackHoleCluster",
        "InboundPassthroughCluster",
        "PassthroughCluster",
        "inbound|8080||",
        "inbound|90||",
    ];
    sidecars.extend(outbound.iter().map(String::as_str));
    assert_eq!(names(&of(&snapshot, &sidecar("default", "app=svc"))), sidecars);
    let mut gateways = vec!["BlackHoleCluster"];
    gateways.extend(outbound.iter().map(String::as_str));
    assert_eq!(names(&of(&snapshot, &gateway("default", ""))), gateways);
}

#[test]
fn where_endpoints_come_from_follows_from_the_service_and_the_proxy() {
    let check = |objects: &str,
                 name: &str,
                 in_sidecar: Option<Discovery>,
                 in_gateway: Option<Discovery>| {
        let snapshot = cluster(objects);
        for (proxy, expect) in
            [(sidecar("default", ""), in_sidecar), (gateway("default", ""), in_gateway)]
        {
            let clusters = of(&snapshot, &proxy);
            assert_eq!(
                clusters.clusters.get(name).map(|it| it.discovery),
                expect,
                "{objects} {:?}",
                proxy.kind
            );
        }
    };
    use Discovery::{DynamicDns, Listed, LogicalDns, OriginalDestination, StrictDns};
    check(SVC, HTTP, Some(Listed), Some(Listed));
    check(&SVC.replace("10.0.0.1", "None"), HTTP, Some(OriginalDestination), Some(Listed));
    let passthrough = format!("{SVC}{}", rule("loadBalancer: {simple: PASSTHROUGH}"));
    check(&passthrough, HTTP, Some(OriginalDestination), Some(OriginalDestination));
    let entry = |more: &str| {
        format!(
            "kind: ServiceEntry\nmetadata: {{name: se}}\nspec: {{hosts: [example.com], ports: [{{number: 80, name: http, protocol: HTTP}}], {more}}}"
        )
    };
    let name = "outbound|80||example.com";
    check(&entry("resolution: NONE"), name, Some(OriginalDestination), Some(Listed));
    check(&entry("resolution: STATIC"), name, Some(Listed), Some(Listed));
    check(&entry("resolution: DNS"), name, Some(StrictDns), Some(StrictDns));
    check(&entry("resolution: DNS_ROUND_ROBIN"), name, Some(LogicalDns), Some(LogicalDns));
    check(&entry("resolution: DYNAMIC_DNS"), name, Some(DynamicDns), Some(DynamicDns));
    // Names to be resolved must be there.
    check(&entry("resolution: DNS, workloadSelector: {labels: {app: x}}"), name, None, None);
}

#[test]
fn limits_of_zero_are_none_and_those_written_hold() {
    let unlimited = breaker::Limits::default();
    assert_eq!(by_policy("").limits, unlimited);
    assert_eq!(
        by_policy("connectionPool: {tcp: {maxConnections: 0}, http: {maxRetries: 0}}").limits,
        unlimited
    );
    let written = by_policy(
        "connectionPool: {tcp: {maxConnections: 1, maxConnectionDuration: 5s}, http: {http1MaxPendingRequests: 2, \
         http2MaxRequests: 3, maxRetries: 4, maxRequestsPerConnection: 5, maxConcurrentStreams: 6}}, \
         retryBudget: {percent: 50, minRetryConcurrency: 7}",
    );
    assert_eq!(
        written.limits,
        breaker::Limits {
            max_connections: 1,
            max_pending_requests: 2,
            max_requests: 3,
            max_retries: 4,
            retry_budget: Some(breaker::RetryBudget { percent: 50.0, min_concurrency: 7 }),
            max_requests_per_connection: 5,
            max_connection_duration: Some(Duration::from_secs(5)),
            max_concurrent_streams: 6,
        }
    );
    let budget = by_policy("retryBudget: {}").limits.retry_budget;
    assert_eq!(budget, Some(breaker::RetryBudget { percent: 20.0, min_concurrency: 3 }));
}

#[test]
fn timeouts_have_istios_defaults() {
    let check = |policy: &str, connect: u64, idle: Option<u64>| {
        let cluster = by_policy(policy);
        assert_eq!(cluster.connect_timeout, Duration::from_secs(connect), "{policy}");
        assert_eq!(cluster.idle_timeout, idle.map(Duration::from_secs), "{policy}");
    };
    check("", 10, Some(3600));
    check("connectionPool: {tcp: {connectTimeout: 3s, idleTimeout: 4s}}", 3, Some(4));
    check("connectionPool: {tcp: {idleTimeout: 4s}, http: {idleTimeout: 5s}}", 10, Some(5));
    check("connectionPool: {tcp: {idleTimeout: 0s}}", 10, None);
}

#[test]
fn pings_need_an_interval_and_a_timeout() {
    let pings = |written: &str| {
        by_policy(&format!("connectionPool: {{http: {{http2KeepAlive: {{{written}}}}}}}"))
            .http2_keep_alive
    };
    let both = pings("interval: 5s, timeout: 2s").unwrap();
    assert_eq!((both.interval.as_secs(), both.timeout.as_secs()), (5, 2));
    assert_eq!(pings("interval: 5s"), None);
    assert_eq!(by_policy("").http2_keep_alive, None);
}

#[test]
fn connections_may_go_to_another_port_of_where_they_were_meant_for() {
    let entry = |resolution: &str| {
        let text = format!(
            "kind: ServiceEntry\nmetadata: {{name: se}}\nspec: {{hosts: [example.com], resolution: {resolution}, \
             ports: [{{number: 80, name: http, protocol: HTTP, targetPort: 8080}}]}}"
        );
        of(&cluster(&text), &sidecar("default", "")).clusters["outbound|80||example.com"]
            .port_override
    };
    assert_eq!(entry("NONE"), Some(8080));
    assert_eq!(entry("DNS"), None);
}

#[test]
fn probes_of_a_rule_change_single_values_of_the_meshs() {
    let seconds = |it: u64| Some(Duration::from_secs(it));
    assert_eq!(by_policy("").keep_alive, None);
    let own = by_policy("connectionPool: {tcp: {tcpKeepalive: {probes: 3}}}").keep_alive;
    assert_eq!(
        own,
        Some(serin_routing::model::KeepAlive { probes: Some(3), time: None, interval: None })
    );
    let mesh = |config: &mut MeshConfig| {
        config.tcp_keepalive = Some(serin_api::networking::TcpKeepalive {
            probes: 9,
            time: Some(serin_api::values::Duration::from_secs(7)),
            interval: None,
        });
    };
    let text = format!(
        "{SVC}{}",
        rule("connectionPool: {tcp: {tcpKeepalive: {probes: 3, interval: 2s}}}")
    );
    let clusters = of(&cluster_with(&text, mesh), &sidecar("default", ""));
    let both =
        serin_routing::model::KeepAlive { probes: Some(3), time: seconds(7), interval: seconds(2) };
    assert_eq!(clusters.clusters[HTTP].keep_alive, Some(both));
    let passthrough = clusters.clusters[PASSTHROUGH_CLUSTER].keep_alive.as_ref().unwrap();
    assert_eq!(passthrough.probes, Some(9));
}

#[test]
fn the_protocol_towards_endpoints_is_the_declared_one_unless_it_is_upgraded() {
    let check = |port: &str,
                 policy: &str,
                 mesh: H2UpgradePolicy,
                 proxy: &Proxy,
                 expect: UpstreamProtocol| {
        let text =
            format!("{}{}", SVC.replace("name: http", &format!("name: {port}")), rule(policy));
        let snapshot = cluster_with(&text, |config| config.h2_upgrade_policy = mesh);
        assert_eq!(of(&snapshot, proxy).clusters[HTTP].protocol, expect, "{port} {policy} {mesh}");
    };
    use H2UpgradePolicy::{DoNotUpgrade, Upgrade};
    use UpstreamProtocol::{Http1, Http2, SameAsDownstream, Tcp};
    let (here, edge) = (sidecar("default", ""), gateway("default", ""));
    check("http", "", DoNotUpgrade, &here, Http1);
    check("http2", "", DoNotUpgrade, &here, Http2);
    check("grpc", "", DoNotUpgrade, &here, Http2);
    check("tcp", "", DoNotUpgrade, &here, Tcp);
    check("https", "", DoNotUpgrade, &here, Tcp);
    check("x", "", DoNotUpgrade, &here, SameAsDownstream);
    check("x", "", DoNotUpgrade, &edge, Http1);
    check("http", "", Upgrade, &here, Http2);
    check("tcp", "", Upgrade, &here, Tcp);
    check("x", "", Upgrade, &here, SameAsDownstream);
    let upgrade = "connectionPool: {http: {h2UpgradePolicy: UPGRADE}}";
    check("http", upgrade, DoNotUpgrade, &here, Http2);
    check("x", upgrade, DoNotUpgrade, &here, Http2);
    check(
        "http",
        "connectionPool: {http: {h2UpgradePolicy: DO_NOT_UPGRADE}}",
        Upgrade,
        &here,
        Http1,
    );
    let clients = "connectionPool: {http: {h2UpgradePolicy: UPGRADE, useClientProtocol: true}}";
    check("http", clients, Upgrade, &here, SameAsDownstream);
}

#[test]
fn balancers_have_istios_defaults() {
    let check = |settings: &str, expect: Policy| {
        assert_eq!(
            by_policy(&format!("loadBalancer: {{{settings}}}")).balancer,
            expect,
            "{settings}"
        );
    };
    assert_eq!(by_policy("").balancer, Policy::LeastRequest);
    check("", Policy::LeastRequest);
    check("simple: UNSPECIFIED", Policy::LeastRequest);
    check("simple: LEAST_CONN", Policy::LeastRequest);
    check("simple: ROUND_ROBIN", Policy::RoundRobin);
    check("simple: RANDOM", Policy::Random);
    check("simple: PASSTHROUGH", Policy::Passthrough);
    check("consistentHash: {useSourceIp: true}", Policy::RingHash { minimum_ring_size: 1024 });
    check(
        "consistentHash: {minimumRingSize: 7, useSourceIp: true}",
        Policy::RingHash { minimum_ring_size: 7 },
    );
    check(
        "consistentHash: {ringHash: {}, useSourceIp: true}",
        Policy::RingHash { minimum_ring_size: 1024 },
    );
    check(
        "consistentHash: {ringHash: {minimumRingSize: 8}}",
        Policy::RingHash { minimum_ring_size: 8 },
    );
    check("consistentHash: {maglev: {}}", Policy::Maglev { table_size: 65_537 });
    check("consistentHash: {maglev: {tableSize: 101}}", Policy::Maglev { table_size: 101 });
}

#[test]
fn new_endpoints_are_spared_by_round_robin_and_least_request_only() {
    let check = |settings: &str, expect: Option<(u64, f64, f64)>| {
        let warm_up = by_policy(&format!("loadBalancer: {{{settings}}}")).warm_up;
        let found = warm_up.map(|it| (it.duration.as_secs(), it.minimum_percent, it.aggression));
        assert_eq!(found, expect, "{settings}");
    };
    check("simple: ROUND_ROBIN, warmup: {duration: 5s}", Some((5, 10.0, 1.0)));
    check("warmup: {duration: 5s, minimumPercent: 20, aggression: 2}", Some((5, 20.0, 2.0)));
    check("warmupDurationSecs: 6s", Some((6, 10.0, 1.0)));
    check("simple: RANDOM, warmup: {duration: 5s}", None);
    check("consistentHash: {useSourceIp: true}, warmup: {duration: 5s}", None);
}

#[test]
fn outlier_detection_is_off_unless_it_is_written() {
    assert_eq!(by_policy("").outlier, None);
    assert_eq!(
        by_policy("outlierDetection: {}").outlier,
        Some(serin_routing::outlier::Config::default())
    );
    let written = by_policy(
        "outlierDetection: {consecutive5xxErrors: 0, consecutiveGatewayErrors: 3, interval: 1s, baseEjectionTime: 400s, \
         maxEjectionPercent: 50, splitExternalLocalOriginErrors: true, consecutiveLocalOriginFailures: 2}",
    );
    assert_eq!(
        written.outlier,
        Some(serin_routing::outlier::Config {
            consecutive_5xx: 0,
            consecutive_gateway_errors: 3,
            split_external_local_origin_errors: true,
            consecutive_local_origin_failures: 2,
            interval: Duration::from_secs(1),
            base_ejection_time: Duration::from_secs(400),
            max_ejection_time: Duration::from_secs(400),
            max_ejection_percent: 50,
        })
    );
}

#[test]
fn outlier_detection_turns_panic_off_unless_it_says_otherwise() {
    let check = |service: &str, policy: &str, expect: f64| {
        let snapshot = cluster(&format!("{service}{}", rule(policy)));
        let clusters = of(&snapshot, &sidecar("default", ""));
        assert!(
            (clusters.clusters[HTTP].locality.panic_threshold_percent - expect).abs() < 1e-9,
            "{policy}"
        );
    };
    check(SVC, "", 50.0);
    check(SVC, "outlierDetection: {}", 0.0);
    check(SVC, "outlierDetection: {minHealthPercent: 30}", 30.0);
    let not_ready = SVC.replace("spec:", "spec:\n  publishNotReadyAddresses: true");
    check(&not_ready, "", 0.0);
    check(&not_ready, "outlierDetection: {minHealthPercent: 30}", 0.0);
}

/// Pods of `svc` with addresses 10.1.0.1 and on: `version@locality`, each with `more` labels.
fn pods(list: &[&str], more: &str) -> String {
    let pod = |(index, it): (usize, &&str)| {
        let (version, locality) = it.split_once('@').unwrap();
        format!(
            "\n---\nkind: Pod\nmetadata: {{name: p{index}, labels: {{app: svc, version: {version}, istio-locality: '{locality}'{more}}}}}\n\
             spec: {{containers: [], serviceAccountName: sa-{version}}}\nstatus: {{podIP: 10.1.0.{}, conditions: [{{type: Ready, status: 'True'}}]}}\n",
            index + 1
        )
    };
    list.iter().enumerate().map(pod).collect()
}

/// Endpoints by place, as `place#priority~weight=last bytes of addresses`.
fn places(endpoints: &Endpoints) -> String {
    let place = |it: &serin_routing::model::LocalityEndpoints| {
        let Locality { region, zone, sub_zone } = &it.locality;
        let address = |it: &serin_routing::model::Endpoint| match &it.address {
            EndpointAddress::Socket(ip, _) => ip.to_string().rsplit('.').next().unwrap().to_owned(),
            other => format!("{other:?}"),
        };
        let list: Vec<_> = it.endpoints.iter().map(address).collect();
        let place = [&**region, &**zone, &**sub_zone].join("/");
        let place = place.trim_end_matches('/');
        format!("{place}#{}~{}={}", it.priority, it.weight.unwrap_or(0), list.join("+"))
    };
    endpoints.localities.iter().map(place).collect::<Vec<_>>().join(" ")
}

fn near(proxy: &Proxy, place: &str) -> Proxy {
    let mut parts = place.split('/').map(Arc::from);
    let mut next = || parts.next().unwrap_or_default();
    let locality = Locality { region: next(), zone: next(), sub_zone: next() };
    Proxy { locality, ..proxy.clone() }
}

#[test]
fn a_subset_has_the_endpoints_that_carry_its_labels() {
    let subsets = "\n---\nkind: DestinationRule\nmetadata: {name: rule}\nspec: {host: svc, subsets: \
         [{name: v1, labels: {version: v1}}, {name: v3, labels: {version: v3}}, {name: all}]}\n";
    let snapshot = manifests(&[SVC, subsets, &pods(&["v1@", "v2@", "v1@"], "")].concat());
    let clusters = of(&snapshot, &sidecar("default", ""));
    let endpoints = |name: &str| places(&clusters.endpoints[name]);
    assert_eq!(endpoints(HTTP), "#0~3=1+2+3");
    assert_eq!(endpoints(V1), "#0~2=1+3");
    assert_eq!(endpoints(&V1.replace("v1", "all")), "#0~3=1+2+3");
    // A subset without endpoints has a cluster, so that requests end in 503 UH rather than NC.
    assert_eq!(endpoints(&V1.replace("v1", "v3")), "");
}

#[test]
fn a_service_of_whose_workloads_manifests_say_nothing_is_taken_to_have_some_for_every_subset() {
    let subsets = "\n---\nkind: DestinationRule\nmetadata: {name: rule}\nspec: {host: svc, subsets: [{name: v1, labels: {version: v1}}]}\n";
    let count = |snapshot: &Snapshot, name: &str| {
        let clusters = of(snapshot, &sidecar("default", ""));
        clusters.endpoints[name].localities.iter().map(|it| it.endpoints.len()).sum::<usize>()
    };
    let text = [SVC, subsets].concat();
    assert_eq!((count(&manifests(&text), HTTP), count(&manifests(&text), V1)), (1, 1));
    assert_eq!((count(&cluster(&text), HTTP), count(&cluster(&text), V1)), (0, 0));
    let text = [SVC, subsets, &pods(&["v2@"], "")].concat();
    assert_eq!((count(&manifests(&text), HTTP), count(&manifests(&text), V1)), (1, 0));
}

/// The places of `svc` as a proxy in `place` sees them.
#[track_caller]
fn check_places(list: &[&str], policy: &str, place: &str, weighted: bool, expect: &str) {
    let snapshot = manifests(&[SVC, &rule(policy), &pods(list, "")].concat());
    let clusters = of(&snapshot, &near(&sidecar("default", ""), place));
    assert_eq!(places(&clusters.endpoints[HTTP]), expect, "{policy}");
    assert_eq!(clusters.clusters[HTTP].locality.weighted, weighted, "{policy}");
}

const EJECTING: &str = "outlierDetection: {}";

#[test]
fn failover_needs_outlier_detection() {
    let list = ["v1@r1.z1", "v1@r1.z2", "v1@r2.z1", "v1@r1.z1.s1"];
    check_places(&list, "", "r1/z1", false, "r1/z1#0~1=1 r1/z1/s1#0~1=4 r1/z2#0~1=2 r2/z1#0~1=3");
    check_places(
        &list,
        EJECTING,
        "r1/z1",
        false,
        "r1/z1#0~1=1 r1/z1/s1#1~1=4 r1/z2#2~1=2 r2/z1#3~1=3",
    );
    let off = format!("{EJECTING}, loadBalancer: {{localityLbSetting: {{enabled: false}}}}");
    check_places(&list, &off, "r1/z1", false, "r1/z1#0~1=1 r1/z1/s1#0~1=4 r1/z2#0~1=2 r2/z1#0~1=3");
    // A proxy that does not know its place has no preference.
    check_places(&list, EJECTING, "", false, "r1/z1#0~1=1 r1/z1/s1#0~1=4 r1/z2#0~1=2 r2/z1#0~1=3");
}

#[test]
fn a_region_fails_over_to_the_one_that_is_written() {
    let list = ["v1@r1", "v1@r2", "v1@r3"];
    let policy = format!(
        "{EJECTING}, loadBalancer: {{localityLbSetting: {{failover: [{{from: r1, to: r3}}]}}}}"
    );
    check_places(&list, &policy, "r1", true, "r1#0~1=1 r2#2~1=2 r3#1~1=3");
    let without = "loadBalancer: {localityLbSetting: {failover: [{from: r1, to: r3}]}}";
    check_places(&list, without, "r1", false, "r1#0~1=1 r2#0~1=2 r3#0~1=3");
}

#[test]
fn traffic_is_distributed_by_place_without_outlier_detection() {
    let list = ["v1@r1.z1", "v1@r1.z2", "v1@r1.z2", "v1@r2.z1"];
    let policy = "loadBalancer: {localityLbSetting: {distribute: [{from: r1/z1/*, to: {r1/z1/*: 80, r1/z2/*: 20}}]}}";
    check_places(&list, policy, "r1/z1", true, "r1/z1#0~80=1 r1/z2#0~20=2+3 r2/z1#0~1=");
    check_places(&list, policy, "r9", true, "r1/z1#0~1=1 r1/z2#0~2=2+3 r2/z1#0~1=4");
}

#[test]
fn labels_may_decide_about_priorities() {
    let list = ["v1@r1", "v2@r1", "v2@r2"];
    let policy = |labels: &str| {
        format!("{EJECTING}, loadBalancer: {{localityLbSetting: {{failoverPriority: [{labels}]}}}}")
    };
    let snapshot = |policy: &str| manifests(&[SVC, &rule(policy), &pods(&list, "")].concat());
    let check = |labels: &str, expect: &str| {
        let proxy = near(&sidecar("default", "version=v2"), "r1");
        let clusters = of(&snapshot(&policy(labels)), &proxy);
        assert_eq!(places(&clusters.endpoints[HTTP]), expect, "{labels}");
        assert!(clusters.clusters[HTTP].locality.weighted);
    };
    check("version", "r1#0~1=2 r1#1~1=1 r2#0~1=3");
    check("version=v1", "r1#0~1=1 r1#1~1=2 r2#1~1=3");
    check("topology.kubernetes.io/region, version", "r1#0~1=2 r1#1~1=1 r2#2~1=3");
}

#[test]
fn a_service_that_prefers_its_zone_needs_no_outlier_detection() {
    let list = ["v1@r1.z1", "v1@r1.z2", "v1@r2.z1"];
    let service = SVC.replace("spec:", "spec:\n  trafficDistribution: PreferClose");
    let snapshot = manifests(&[service, pods(&list, "")].concat());
    let clusters = of(&snapshot, &near(&sidecar("default", "app=x"), "r1/z1"));
    assert_eq!(places(&clusters.endpoints[HTTP]), "r1/z1#0~1=1 r1/z2#1~1=2 r2/z1#2~1=3");
    assert!(clusters.clusters[HTTP].locality.weighted);
}

const SLICE: &str = "
---
kind: EndpointSlice
metadata: {name: svc-1, labels: {kubernetes.io/service-name: svc}}
addressType: IPv4
ports: [{name: http, port: 8080}]
endpoints:
- {addresses: [10.1.0.1]}
- {addresses: [10.1.0.2], conditions: {ready: false}}
- {addresses: [10.1.0.3], conditions: {ready: false, serving: true, terminating: true}}
";

#[test]
fn endpoints_that_are_not_ready_or_going_are_left_out_unless_the_service_wants_them() {
    let check = |service: &str, expect: &str| {
        let snapshot = cluster(&[service, SLICE].concat());
        let clusters = of(&snapshot, &sidecar("default", ""));
        assert_eq!(places(&clusters.endpoints[HTTP]), expect, "{service}");
    };
    check(SVC, "#0~1=1");
    check(&SVC.replace("spec:", "spec:\n  publishNotReadyAddresses: true"), "#0~2=1+2");
    check(
        &SVC.replace("name: svc}", "name: svc, labels: {istio.io/persistent-session: cookie}}"),
        "#0~2=1+3",
    );
}

#[test]
fn a_service_that_stays_on_its_node_has_endpoints_of_that_node() {
    let service = SVC.replace("spec:", "spec:\n  internalTrafficPolicy: Local");
    let pods =
        pods(&["v1@", "v1@"], "").replacen("containers: []", "containers: [], nodeName: n1", 1);
    let snapshot = manifests(&[service, pods].concat());
    let proxy = Proxy { node: "n1".to_owned(), ..sidecar("default", "") };
    assert_eq!(places(&of(&snapshot, &proxy).endpoints[HTTP]), "#0~1=1");
}

fn tls(cluster: &Cluster) -> String {
    let of = |tls: &Tls| {
        let name = if tls.auto_server_name { "auto" } else { &tls.server_name };
        let flags = if tls.insecure { " insecure" } else { "" };
        let names = tls.subject_alt_names.join(",");
        format!("{:?} {name} [{names}] {}{flags}", tls.mode, tls.alpn.join(","))
    };
    match &cluster.tls {
        ClusterTls::Plain => "plain".to_owned(),
        ClusterTls::Always(tls) => format!("always {}", of(tls)),
        ClusterTls::Automatic(tls) => format!("automatic {}", of(tls)),
    }
}

#[track_caller]
fn check_tls(objects: &[&str], name: &str, expect: &str) {
    let snapshot = manifests(&objects.concat());
    let clusters = of(&snapshot, &sidecar("default", ""));
    assert_eq!(tls(&clusters.clusters[name]), expect, "{objects:?}");
}

const SPIFFE: &str = "[spiffe://cluster.local/ns/default/sa/sa-v1] istio-peer-exchange,istio";

#[test]
fn mutual_tls_is_used_by_itself_where_both_sides_can() {
    let pods = pods(&["v1@"], ", security.istio.io/tlsMode: istio");
    let automatic =
        format!("automatic IstioMutual outbound_.80_._.svc.default.svc.cluster.local {SPIFFE}");
    check_tls(&[SVC, &pods], HTTP, &automatic);
    let subsets = "\n---\nkind: DestinationRule\nmetadata: {name: rule}\nspec: {host: svc, subsets: [{name: v1}]}\n";
    check_tls(&[SVC, &pods, subsets], V1, &automatic.replace("._.", ".v1_."));
    let http2 = SVC.replace("name: http", "name: http2");
    check_tls(&[&http2, &pods], HTTP, &format!("{automatic},h2"));
    let disabled =
        "\n---\nkind: PeerAuthentication\nmetadata: {name: none}\nspec: {mtls: {mode: DISABLE}}\n";
    check_tls(&[SVC, &pods, disabled], HTTP, "plain");
    let off = |mesh: &mut MeshConfig| mesh.enable_auto_mtls = false;
    let clusters = of(&cluster_with(SVC, off), &sidecar("default", ""));
    assert_eq!(clusters.clusters[HTTP].tls, ClusterTls::Plain);
}

#[test]
fn where_the_client_chooses_the_endpoint_all_of_them_must_take_mutual_tls() {
    let headless = SVC.replace("10.0.0.1", "None");
    let with = pods(&["v1@"], ", security.istio.io/tlsMode: istio");
    let without =
        pods(&["v1@"], "").replace("name: p0", "name: q0").replace("10.1.0.1", "10.1.0.9");
    let always =
        format!("always IstioMutual outbound_.80_._.svc.default.svc.cluster.local {SPIFFE}");
    check_tls(&[&headless, &with], HTTP, &always);
    check_tls(&[&headless, &with, &without], HTTP, "plain");
    check_tls(&[&headless], HTTP, "plain");
}

#[test]
fn an_endpoint_takes_mutual_tls_if_it_has_a_proxy_and_no_policy_turns_it_off() {
    let list = pods(&["v1@", "v2@"], ", security.istio.io/tlsMode: istio")
        + &pods(&["v3@"], "").replace("p0", "q0").replace("10.1.0.1", "10.1.0.3");
    let check = |policy: &str, expect: &[EndpointTls]| {
        let snapshot = manifests(&[SVC, &list, policy].concat());
        let clusters = of(&snapshot, &sidecar("default", ""));
        let endpoints = clusters.endpoints[HTTP].localities.iter().flat_map(|it| &it.endpoints);
        assert_eq!(endpoints.map(|it| it.tls).collect::<Vec<_>>(), expect, "{policy}");
    };
    use EndpointTls::{Mesh, Plain};
    check("", &[Mesh, Mesh, Plain]);
    let policy = |spec: &str| {
        format!(
            "\n---\nkind: PeerAuthentication\nmetadata: {{name: none}}\nspec: {{selector: {{matchLabels: {{version: v1}}}}, {spec}}}\n"
        )
    };
    check(&policy("mtls: {mode: DISABLE}"), &[Plain, Mesh, Plain]);
    check(&policy("portLevelMtls: {8080: {mode: DISABLE}}"), &[Plain, Mesh, Plain]);
    check(&policy("portLevelMtls: {9999: {mode: DISABLE}}"), &[Mesh, Mesh, Plain]);
}

#[test]
fn a_rules_tls_goes_before_automatic_mutual_tls() {
    let check = |policy: &str, expect: &str| {
        check_tls(&[SVC, &rule(&format!("tls: {{{policy}}}"))], HTTP, expect)
    };
    check("mode: DISABLE", "plain");
    check("mode: SIMPLE", "always Simple auto [] ");
    check("mode: SIMPLE, sni: a.com, subjectAltNames: [b.com]", "always Simple a.com [b.com] ");
    check("mode: SIMPLE, insecureSkipVerify: true", "always Simple auto []  insecure");
    check("mode: MUTUAL, clientCertificate: /c, privateKey: /k", "always Mutual auto [] ");
    check(
        "mode: ISTIO_MUTUAL",
        "always IstioMutual outbound_.80_._.svc.default.svc.cluster.local [] istio-peer-exchange,istio",
    );
    check(
        "mode: ISTIO_MUTUAL, sni: x, subjectAltNames: [z]",
        "always IstioMutual x [z] istio-peer-exchange,istio",
    );
    let upgraded = rule("tls: {mode: SIMPLE}, connectionPool: {http: {h2UpgradePolicy: UPGRADE}}");
    check_tls(&[SVC, &upgraded], HTTP, "always Simple auto [] h2");
}

fn simple(cluster: &Cluster) -> &Tls {
    match &cluster.tls {
        ClusterTls::Always(tls) => tls,
        other => panic!("{other:?}"),
    }
}

#[test]
fn certificates_come_from_files_secrets_or_the_system() {
    let check =
        |policy: &str, certificate: Option<CertificateSource>, ca: Option<CertificateSource>| {
            let snapshot = cluster(&[SVC, &rule(&format!("tls: {{{policy}}}"))].concat());
            let clusters = of(&snapshot, &gateway("default", ""));
            let tls = simple(&clusters.clusters[HTTP]);
            assert_eq!((&tls.certificate, &tls.ca), (&certificate, &ca), "{policy}");
        };
    use serin_routing::model::CertificateSource;
    let files = |certificate: &str, key: &str| CertificateSource::Files {
        certificate: Arc::from(certificate),
        private_key: Arc::from(key),
    };
    let secret = |namespace: &str, name: &str| CertificateSource::Secret {
        namespace: Arc::from(namespace),
        name: Arc::from(name),
    };
    check("mode: SIMPLE", None, Some(CertificateSource::System));
    check("mode: SIMPLE, caCertificates: /ca", None, Some(files("/ca", "")));
    check("mode: SIMPLE, insecureSkipVerify: true", None, None);
    check(
        "mode: MUTUAL, clientCertificate: /c, privateKey: /k",
        Some(files("/c", "/k")),
        Some(CertificateSource::System),
    );
    check("mode: SIMPLE, credentialName: s", None, Some(secret("default", "s")));
    check(
        "mode: MUTUAL, credentialName: s",
        Some(secret("default", "s")),
        Some(secret("default", "s")),
    );
    check(
        "mode: SIMPLE, credentialName: 'kubernetes-gateway://ns/s'",
        None,
        Some(secret("ns", "s")),
    );
    let config_map =
        CertificateSource::ConfigMap { namespace: Arc::from("ns"), name: Arc::from("c") };
    check("mode: SIMPLE, credentialName: 'configmap://ns/c'", None, Some(config_map));
}

#[test]
fn a_sidecar_uses_a_secret_only_by_a_rule_that_selects_it() {
    let with = |more: &str| {
        let rule = rule("tls: {mode: SIMPLE, credentialName: s}")
            .replace("host: svc", &format!("host: svc{more}"));
        let snapshot = cluster(&[SVC, &rule].concat());
        tls(&of(&snapshot, &sidecar("default", "app=a")).clusters[HTTP])
    };
    assert_eq!(with(""), "plain");
    assert_eq!(with(", workloadSelector: {matchLabels: {app: a}}"), "always Simple auto [] ");
}

#[test]
fn the_names_of_an_external_services_certificate_may_stand_in_its_service_entry() {
    let entry = "kind: ServiceEntry\nmetadata: {name: se}\nspec: {hosts: [example.com], resolution: DNS, \
         subjectAltNames: [a.com], ports: [{number: 80, name: http, protocol: HTTP}]}\n";
    let rule = rule("tls: {mode: SIMPLE}").replace("host: svc", "host: example.com");
    check_tls(&[entry], "outbound|80||example.com", "plain");
    check_tls(&[entry, &rule], "outbound|80||example.com", "always Simple auto [a.com] ");
}

#[test]
fn inbound_clusters_follow_from_services_or_the_sidecar() {
    let check = |sidecars: &str, expect: &[(&str, Discovery, &str)]| {
        let snapshot = cluster(&[SVC, sidecars].concat());
        let clusters = of(&snapshot, &sidecar("default", "app=svc"));
        let inbound: Vec<_> = clusters
            .clusters
            .values()
            .filter(|it| it.name.starts_with("inbound"))
            .map(|it| {
                let endpoint = clusters
                    .endpoints
                    .get(&it.name)
                    .map(|it| &it.localities[0].endpoints[0].address);
                (&*it.name, it.discovery, endpoint.map(|it| format!("{it:?}")).unwrap_or_default())
            })
            .collect();
        let inbound: Vec<_> =
            inbound.iter().map(|(name, discovery, it)| (*name, *discovery, it.as_str())).collect();
        assert_eq!(inbound, expect, "{sidecars}");
    };
    use Discovery::{Listed, OriginalDestination};
    check("", &[("inbound|8080||", OriginalDestination, "")]);
    let ingress = |endpoint: &str| {
        format!(
            "\n---\nkind: Sidecar\nmetadata: {{name: s}}\nspec: {{ingress: [{{port: {{number: 9080, protocol: HTTP, name: a}}{endpoint}}}]}}\n"
        )
    };
    check(&ingress(""), &[("inbound|9080||", OriginalDestination, "")]);
    check(
        &ingress(", defaultEndpoint: '127.0.0.1:80'"),
        &[("inbound|9080||", Listed, "Socket(127.0.0.1, 80)")],
    );
    check(
        &ingress(", defaultEndpoint: '[::1]:80'"),
        &[("inbound|9080||", Listed, "Socket(::1, 80)")],
    );
    check(
        &ingress(", defaultEndpoint: 'unix:///x'"),
        &[("inbound|9080||", Listed, "Unix(\"/x\")")],
    );
}

#[test]
fn inbound_limits_are_the_sidecars_then_the_rules() {
    let limit = |objects: &[&str]| {
        let snapshot = cluster(&objects.concat());
        of(&snapshot, &sidecar("default", "app=svc")).clusters["inbound|8080||"]
            .limits
            .max_connections
    };
    let rule = rule("connectionPool: {tcp: {maxConnections: 5}}");
    assert_eq!(limit(&[SVC]), u32::MAX);
    assert_eq!(limit(&[SVC, &rule]), 5);
    let own = "\n---\nkind: Sidecar\nmetadata: {name: s}\nspec: {inboundConnectionPool: {tcp: {maxConnections: 6}}}\n";
    assert_eq!(limit(&[SVC, &rule, own]), 6);
}

#[test]
fn a_gateway_that_passes_mutual_tls_through_has_clusters_by_server_name() {
    let list = pods(&["v1@"], ", security.istio.io/tlsMode: istio")
        + &pods(&["v1@"], "").replace("p0", "q0").replace("10.1.0.1", "10.1.0.2");
    let entry = "\n---\nkind: ServiceEntry\nmetadata: {name: se}\nspec: {hosts: [example.com], resolution: DNS, ports: [{number: 80, name: http, protocol: HTTP}]}\n";
    let subsets = "\n---\nkind: DestinationRule\nmetadata: {name: rule}\nspec: {host: svc, subsets: [{name: v1}], trafficPolicy: {tls: {mode: SIMPLE}}}\n";
    let snapshot = manifests(&[SVC, &list, entry, subsets].concat());
    let proxy = gateway("default", "");
    let scope = Scope::new(&snapshot, &proxy);
    let clusters = Clusters::of_gateway(&snapshot, &scope, &proxy, GatewayKind::AutoPassthrough);
    let by_name: Vec<_> =
        names(&clusters).into_iter().filter(|it| it.starts_with("outbound_")).collect();
    let name = "outbound_.80_._.svc.default.svc.cluster.local";
    assert_eq!(by_name, [name, "outbound_.80_.v1_.svc.default.svc.cluster.local"]);
    assert_eq!(clusters.clusters[name].tls, ClusterTls::Plain);
    assert_eq!(places(&clusters.endpoints[name]), "#0~1=1");
    assert_eq!(places(&clusters.endpoints[HTTP]), "#0~2=1+2");
}

#[test]
fn what_is_equal_is_taken_from_the_last_version() {
    let pods = pods(&["v1@"], "");
    let snapshot = manifests(&[SVC, &pods].concat());
    let before = of(&snapshot, &sidecar("default", ""));
    let changed = manifests(&[SVC, &rule("tls: {mode: DISABLE}"), &pods].concat());
    let after = of(&changed, &sidecar("default", "")).sharing_with(&before);
    let same = |name: &str| Arc::ptr_eq(&before.clusters[name], &after.clusters[name]);
    assert!(!same(HTTP));
    assert!(same(PASSTHROUGH_CLUSTER));
    assert!(Arc::ptr_eq(&before.endpoints[HTTP], &after.endpoints[HTTP]));
}
