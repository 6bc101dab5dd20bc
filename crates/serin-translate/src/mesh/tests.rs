//! Route tables of sidecars, and how one version follows another.

use serin_api::Code;
use serin_routing::model::{Action, Route, VirtualHost};

use super::*;
use crate::testing::{cluster, cluster_with, objects, sidecar};
use crate::{Settings, SnapshotBuilder};

/// Services that the tests share: `reviews`, `ratings` and, in another namespace, `reviews` again.
const SERVICES: &str = "
kind: Service
metadata: {name: reviews}
spec: {clusterIP: 10.0.0.1, ports: [{port: 9080, name: http}]}
---
kind: Service
metadata: {name: ratings}
spec: {clusterIP: 10.0.0.2, ports: [{port: 9080, name: http}]}
---
kind: Service
metadata: {name: reviews, namespace: other}
spec: {clusterIP: 10.0.0.3, ports: [{port: 9080, name: http}]}
";

fn with_services(text: &str) -> String {
    format!("{SERVICES}\n---\n{text}")
}

fn mesh_of(snapshot: &Snapshot, proxy: &Proxy) -> Mesh {
    Mesh::new(Seen { snapshot, scope: &Scope::new(snapshot, proxy) }, proxy)
}

/// What a sidecar in `default` with the labels `workload` gets.
fn mesh_for(text: &str, workload: &str) -> Mesh {
    mesh_of(&cluster(text), &sidecar("default", workload))
}

fn mesh(text: &str) -> Mesh {
    mesh_for(text, "app=client")
}

fn table<'a>(mesh: &'a Mesh, name: &str) -> &'a RouteTable {
    mesh.route_tables
        .get(name)
        .unwrap_or_else(|| panic!("{name} is not in {:?}", mesh.route_tables.keys()))
}

fn host<'a>(mesh: &'a Mesh, table_name: &str, name: &str) -> &'a VirtualHost {
    let hosts = &table(mesh, table_name).virtual_hosts;
    let names = || hosts.iter().map(|it| &*it.name).collect::<Vec<_>>();
    hosts
        .iter()
        .find(|it| &*it.name == name)
        .unwrap_or_else(|| panic!("{name} is not in {:?}", names()))
}

/// A route as text: path and clusters with weights, or the status of an answer.
fn shown(route: &Route) -> String {
    let path = format!("{:?}", route.condition.path).replace("Prefix(\"/\")", "*");
    match &route.action {
        Action::Forward(forward) => {
            let clusters = forward.destinations.list().iter().map(|it| {
                let short = it.cluster.replace(".svc.cluster.local", "");
                if forward.destinations.list().len() == 1 {
                    short
                } else {
                    format!("{short} {}", it.weight)
                }
            });
            format!("{path} -> {}", clusters.collect::<Vec<_>>().join(", "))
        }
        Action::Direct(response) => format!("{path} {}", response.status),
        Action::Redirect(redirect) => format!("{path} {}", redirect.status),
    }
}

#[track_caller]
fn check_host(mesh: &Mesh, table: &str, name: &str, routes: &[&str]) {
    let host = host(mesh, table, name);
    assert_eq!(host.routes.iter().map(|it| shown(it)).collect::<Vec<_>>(), routes, "{name}");
}

fn names(mesh: &Mesh, table_name: &str) -> Vec<String> {
    table(mesh, table_name)
        .virtual_hosts
        .iter()
        .map(|it| it.name.replace(".svc.cluster.local", ""))
        .collect()
}

fn found(mesh: &Mesh, code: &'static str) -> Vec<String> {
    let of_code = mesh.findings.iter().filter(|it| it.code == Code(code));
    of_code.map(|it| it.object.as_ref().unwrap().name.clone()).collect()
}

fn rules(name: &str, spec: &str) -> String {
    format!("kind: VirtualService\nmetadata: {{name: {name}}}\nspec: {{{spec}}}")
}

/// A rule that sends everything to a subset of `reviews`.
fn to_subset(subset: &str) -> String {
    format!("http: [{{route: [{{destination: {{host: reviews, subset: {subset}}}}}]}}]")
}

#[test]
fn every_service_on_a_port_is_a_virtual_host_and_what_is_none_passes() {
    let mesh = mesh(SERVICES);
    assert_eq!(
        names(&mesh, "9080"),
        ["ratings.default:9080", "reviews.default:9080", "reviews.other:9080", "allow_any"]
    );
    check_host(&mesh, "9080", "allow_any", &["* -> PassthroughCluster"]);
    let reviews = "reviews.default.svc.cluster.local:9080";
    check_host(&mesh, "9080", reviews, &["* -> outbound|9080||reviews.default"]);
    assert_eq!(&*host(&mesh, "9080", reviews).routes[0].name, "default");
}

#[test]
fn virtual_hosts_have_the_names_by_which_clients_may_call() {
    let mesh = mesh(SERVICES);
    let domains = |name: &str| {
        host(&mesh, "9080", name).domains.iter().map(|it| it.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(
        domains("reviews.default.svc.cluster.local:9080"),
        [
            "reviews.default.svc.cluster.local",
            "reviews.default.svc.cluster.local.",
            "reviews",
            "reviews.default",
            "reviews.default.svc",
            "10.0.0.1"
        ]
    );
    assert_eq!(
        domains("reviews.other.svc.cluster.local:9080"),
        [
            "reviews.other.svc.cluster.local",
            "reviews.other.svc.cluster.local.",
            "reviews.other",
            "reviews.other.svc",
            "10.0.0.3"
        ]
    );
}

#[test]
fn t_hostport_domains_have_no_ports() {
    let text =
        with_services(&rules("a", &format!("hosts: [reviews, foo.com], {}", to_subset("v1"))));
    let mesh = mesh(&text);
    let domains =
        mesh.route_tables.values().flat_map(|it| &it.virtual_hosts).flat_map(|it| &it.domains);
    assert_eq!(domains.filter(|it| it.contains(':')).count(), 0);
}

#[test]
fn only_services_that_are_registered_can_be_reached_if_the_mesh_says_so() {
    let policy = |config: &mut serin_api::mesh_config::MeshConfig| {
        config.outbound_traffic_policy.mode =
            serin_api::networking::OutboundTrafficPolicyMode::RegistryOnly;
    };
    let snapshot = cluster_with(SERVICES, policy);
    let mesh = mesh_of(&snapshot, &sidecar("default", "app=client"));
    check_host(&mesh, "9080", "block_all", &["* 502"]);
    let sidecars = "
kind: Sidecar
metadata: {name: default}
spec: {outboundTrafficPolicy: {mode: REGISTRY_ONLY}}
";
    check_host(&self::mesh(&with_services(sidecars)), "9080", "block_all", &["* 502"]);
}

#[test]
fn unknown_traffic_goes_to_the_egress_proxy_if_there_is_one() {
    let sidecars = "
kind: Sidecar
metadata: {name: default}
spec:
  outboundTrafficPolicy:
    mode: ALLOW_ANY
    egressProxy: {host: egress.other.svc.cluster.local, subset: v1, port: {number: 80}}
";
    let mesh = mesh(&with_services(sidecars));
    check_host(&mesh, "9080", "allow_any", &["* -> outbound|80|v1|egress.other"]);
}

#[test]
fn rules_of_a_virtual_service_take_the_place_of_the_plain_route() {
    let text = with_services(&rules("a", &format!("hosts: [reviews], {}", to_subset("v1"))));
    let mesh = mesh(&text);
    check_host(
        &mesh,
        "9080",
        "reviews.default.svc.cluster.local:9080",
        &["* -> outbound|9080|v1|reviews.default"],
    );
    check_host(
        &mesh,
        "9080",
        "reviews.other.svc.cluster.local:9080",
        &["* -> outbound|9080||reviews.other"],
    );
}

#[test]
fn a_destination_that_has_another_port_only_is_not_found_in_a_sidecar() {
    let text = "
kind: Service
metadata: {name: a}
spec: {ports: [{port: 80, name: http}]}
---
kind: Service
metadata: {name: b}
spec: {ports: [{port: 8080, name: http}]}
---
kind: VirtualService
metadata: {name: a}
spec: {hosts: [a], http: [{route: [{destination: {host: b}}]}]}
";
    check_host(
        &mesh(text),
        "80",
        "a.default.svc.cluster.local:80",
        &["* -> outbound|80||b.default"],
    );
}

#[test]
fn t_meshnomerge_of_several_virtual_services_for_a_host_the_oldest_holds() {
    let older = "
kind: VirtualService
metadata: {name: z, creationTimestamp: '2024-01-01T00:00:00Z'}
spec: {hosts: [reviews], http: [{match: [{uri: {prefix: /z}}], route: [{destination: {host: reviews, subset: z}}]}]}
";
    let newer = "
kind: VirtualService
metadata: {name: a, creationTimestamp: '2024-01-02T00:00:00Z'}
spec: {hosts: [reviews, ratings], http: [{route: [{destination: {host: reviews, subset: a}}]}]}
";
    for text in [format!("{older}\n---\n{newer}"), format!("{newer}\n---\n{older}")] {
        let mesh = mesh(&with_services(&text));
        let reviews = "reviews.default.svc.cluster.local:9080";
        check_host(&mesh, "9080", reviews, &["Prefix(\"/z\") -> outbound|9080|z|reviews.default"]);
        // The newer one still holds for its other host.
        check_host(
            &mesh,
            "9080",
            "ratings.default.svc.cluster.local:9080",
            &["* -> outbound|9080|a|reviews.default"],
        );
        assert_eq!(found(&mesh, "SRN0315"), ["a"]);
    }
}

#[test]
fn t_src_without_a_rule_for_the_caller_the_service_is_reached_as_if_there_were_none() {
    let rule = "
kind: VirtualService
metadata: {name: a}
spec:
  hosts: [reviews]
  http: [{match: [{sourceLabels: {app: productpage}}], route: [{destination: {host: reviews, subset: v1}}]}]
";
    let text = with_services(rule);
    let reviews = "reviews.default.svc.cluster.local:9080";
    check_host(
        &mesh_for(&text, "app=productpage"),
        "9080",
        reviews,
        &["* -> outbound|9080|v1|reviews.default"],
    );
    check_host(
        &mesh_for(&text, "app=other"),
        "9080",
        reviews,
        &["* -> outbound|9080||reviews.default"],
    );
}

#[test]
fn t_src_a_newer_virtual_service_holds_where_the_older_has_no_rule() {
    let rule = |name: &str, app: &str| {
        rules(
            name,
            &format!(
                "hosts: [reviews], http: [{{match: [{{sourceLabels: {{app: {app}}}}}], route: [{{destination: {{host: reviews, subset: {name}}}}}]}}]"
            ),
        )
    };
    let text = with_services(&format!("{}\n---\n{}", rule("a", "other"), rule("b", "client")));
    check_host(
        &mesh(&text),
        "9080",
        "reviews.default.svc.cluster.local:9080",
        &["* -> outbound|9080|b|reviews.default"],
    );
}

#[test]
fn t_wildcard_each_service_belongs_to_the_most_specific_host_and_to_no_other() {
    let text = [
        rules("wide", &format!("hosts: ['*.svc.cluster.local'], {}", to_subset("wide"))),
        rules("near", &format!("hosts: ['*.default.svc.cluster.local'], {}", to_subset("near"))),
        rules("exact", &format!("hosts: [ratings], {}", to_subset("exact"))),
    ];
    let mesh = mesh(&with_services(&text.join("\n---\n")));
    check_host(
        &mesh,
        "9080",
        "reviews.default.svc.cluster.local:9080",
        &["* -> outbound|9080|near|reviews.default"],
    );
    check_host(
        &mesh,
        "9080",
        "reviews.other.svc.cluster.local:9080",
        &["* -> outbound|9080|wide|reviews.default"],
    );
    check_host(
        &mesh,
        "9080",
        "ratings.default.svc.cluster.local:9080",
        &["* -> outbound|9080|exact|reviews.default"],
    );
    assert_eq!(
        names(&mesh, "9080").len(),
        4,
        "wildcards that services fall under are no virtual hosts"
    );
    assert_eq!(found(&mesh, "SRN0315"), Vec::<String>::new());
}

#[test]
fn t_port80_hosts_that_are_no_services_are_served_on_port_80_only() {
    let text = format!(
        "{}\n---\n{}\n---\n{}",
        "kind: Service\nmetadata: {name: web}\nspec: {ports: [{port: 80, name: http}]}",
        rules("a", &format!("hosts: [foo.com, '*.bar.com'], {}", to_subset("v1"))),
        rules("b", &format!("hosts: [reviews, with.reviews.com], {}", to_subset("v2"))),
    );
    let mesh = mesh(&with_services(&text));
    let expect = [
        "*.bar.com:80",
        "foo.com:80",
        "reviews.default:80",
        "web.default:80",
        "with.reviews.com:80",
        "allow_any",
    ];
    assert_eq!(names(&mesh, "80"), expect);
    check_host(&mesh, "80", "foo.com:80", &["* -> outbound|80|v1|reviews.default"]);
    // Beside a service, a host that is none is served on the service's port too.
    let expect = [
        "ratings.default:9080",
        "reviews.default:9080",
        "reviews.other:9080",
        "with.reviews.com:9080",
        "allow_any",
    ];
    assert_eq!(names(&mesh, "9080"), expect);
}

#[test]
fn virtual_services_for_gateways_only_are_not_for_sidecars() {
    let text = with_services(&rules(
        "a",
        &format!("hosts: [reviews], gateways: [gw], {}", to_subset("v1")),
    ));
    check_host(
        &mesh(&text),
        "9080",
        "reviews.default.svc.cluster.local:9080",
        &["* -> outbound|9080||reviews.default"],
    );
}

#[test]
fn a_rule_may_be_for_one_port_of_several() {
    let text = "
kind: Service
metadata: {name: a}
spec: {ports: [{port: 80, name: http}, {port: 81, name: http-more}]}
---
kind: VirtualService
metadata: {name: a}
spec:
  hosts: [a]
  http: [{match: [{port: 81}], route: [{destination: {host: a, subset: v1}}]}]
";
    let mesh = mesh(text);
    check_host(&mesh, "80", "a.default.svc.cluster.local:80", &["* -> outbound|80||a.default"]);
    check_host(&mesh, "81", "a.default.svc.cluster.local:81", &["* -> outbound|81|v1|a.default"]);
}

#[test]
fn rules_after_one_that_takes_everything_are_told_of_once() {
    let rule = "
kind: VirtualService
metadata: {name: a}
spec:
  hosts: [reviews]
  http:
  - route: [{destination: {host: reviews}}]
  - match: [{uri: {prefix: /x}}]
    route: [{destination: {host: reviews}}]
---
kind: Service
metadata: {name: web}
spec: {ports: [{port: 80, name: http}]}
";
    let mesh = mesh(&with_services(rule));
    let cut: Vec<_> = mesh.findings.iter().filter(|it| it.code == Code("SRN0314")).collect();
    assert_eq!(cut.len(), 1);
    assert_eq!(cut[0].field.to_string(), "spec.http[1]");
}

#[test]
fn hash_policies_of_services_without_rules_are_on_their_routes() {
    let rule = "
kind: DestinationRule
metadata: {name: a}
spec: {host: reviews, trafficPolicy: {loadBalancer: {consistentHash: {httpHeaderName: X}}}}
";
    let mesh = mesh(&with_services(rule));
    let route = &host(&mesh, "9080", "reviews.default.svc.cluster.local:9080").routes[0];
    let Action::Forward(forward) = &route.action else { panic!("{route:?}") };
    assert_eq!(forward.hash.len(), 1);
    assert_eq!(forward.retry.as_ref().map(|it| it.attempts), Some(2));
}

#[test]
fn headless_services_answer_for_their_pods_names() {
    let text = "
kind: Service
metadata: {name: db}
spec: {clusterIP: None, ports: [{port: 80, name: http}]}
";
    let mesh = mesh(text);
    let domains = &host(&mesh, "80", "db.default.svc.cluster.local:80").domains;
    assert!(domains.contains(&"*.db.default.svc.cluster.local".into()), "{domains:?}");
    assert!(domains.contains(&"*.db".into()), "{domains:?}");
}

#[test]
fn services_that_declare_no_protocol_have_a_table_of_their_own() {
    let text = with_services(
        "
kind: Service
metadata: {name: auto}
spec: {clusterIP: 10.0.0.9, ports: [{port: 9080}]}
---
kind: VirtualService
metadata: {name: auto}
spec: {hosts: [auto], http: [{route: [{destination: {host: auto, subset: v1}}]}]}
",
    );
    let mesh = mesh(&text);
    let own = "auto.default.svc.cluster.local:9080";
    assert_eq!(names(&mesh, own), ["auto.default:9080"]);
    assert_eq!(*table(&mesh, own).virtual_hosts[0].domains, ["*".into()]);
    check_host(&mesh, own, own, &["* -> outbound|9080|v1|auto.default"]);
    assert!(names(&mesh, "9080").contains(&"auto.default:9080".to_owned()));
}

#[test]
fn a_sidecar_sees_what_its_listeners_import() {
    let text = with_services(
        "
kind: Sidecar
metadata: {name: default}
spec: {egress: [{hosts: ['./ratings.default.svc.cluster.local']}]}
",
    );
    assert_eq!(names(&mesh(&text), "9080"), ["ratings.default:9080", "allow_any"]);
}

#[test]
fn a_listener_with_a_port_has_the_services_on_it_that_it_imports() {
    let text = with_services(
        "
kind: Sidecar
metadata: {name: default}
spec:
  egress:
  - port: {number: 9080, protocol: HTTP, name: http}
    hosts: ['other/*']
  - hosts: ['./*']
",
    );
    assert_eq!(names(&mesh(&text), "9080"), ["reviews.other:9080", "allow_any"]);
}

#[test]
fn an_http_proxy_has_the_services_of_every_port() {
    let text = with_services(
        "
kind: Service
metadata: {name: web}
spec: {ports: [{port: 80, name: http}]}
---
kind: Sidecar
metadata: {name: default}
spec:
  egress:
  - port: {number: 15080, protocol: HTTP_PROXY, name: proxy}
    bind: 127.0.0.1
    hosts: ['./*']
",
    );
    let mesh = mesh(&text);
    let expect = ["ratings.default:9080", "reviews.default:9080", "web.default:80", "allow_any"];
    assert_eq!(names(&mesh, "15080"), expect);
    assert!(mesh.listeners.contains_key("127.0.0.1_15080"));
}

#[test]
fn objects_in_any_order_give_the_same() {
    let parts = [
        SERVICES.to_owned(),
        rules("a", &format!("hosts: [reviews], {}", to_subset("a"))),
        rules("b", &format!("hosts: ['*.default.svc.cluster.local'], {}", to_subset("b"))),
        rules("c", &format!("hosts: [reviews, foo.com], {}", to_subset("c"))),
    ];
    let forth = mesh(&parts.join("\n---\n"));
    let back = mesh(&parts.iter().rev().cloned().collect::<Vec<_>>().join("\n---\n"));
    assert_eq!(forth.route_tables, back.route_tables);
    assert_eq!(forth.listeners, back.listeners);
}

/// Two versions, one after the other.
fn versions(
    before: &str,
    after: &str,
    changes: impl Fn(&mut crate::Objects, &crate::Objects),
) -> (Mesh, Mesh, Mesh) {
    let proxy = sidecar("default", "app=client");
    let mut builder = SnapshotBuilder::default();
    let before = objects(before);
    let mut after_objects = before.clone();
    changes(&mut after_objects, &objects(after));
    let first = builder.build(before, Settings::default());
    let second = builder.build(after_objects, Settings::default());
    let mesh = mesh_of(&first, &proxy);
    let (before, now) = (Scope::new(&first, &proxy), Scope::new(&second, &proxy));
    let before = Seen { snapshot: &first, scope: &before };
    let next = mesh.next(before, Seen { snapshot: &second, scope: &now }, &proxy);
    (mesh, next, mesh_of(&second, &proxy))
}

/// The virtual hosts of a table that are not the same `Arc` in two versions.
fn touched(one: &Mesh, other: &Mesh, table_name: &str) -> Vec<String> {
    let last: Vec<_> = table(one, table_name).virtual_hosts.iter().map(Arc::as_ptr).collect();
    let new =
        table(other, table_name).virtual_hosts.iter().filter(|it| !last.contains(&Arc::as_ptr(it)));
    new.map(|it| it.name.replace(".svc.cluster.local", "")).collect()
}

/// Replaces the VirtualService of the same name.
fn replace_rules(objects: &mut crate::Objects, new: &crate::Objects) {
    for rules in &new.virtual_services {
        let place = objects.virtual_services.iter().position(|it| it.meta.name == rules.meta.name);
        match place {
            Some(place) => objects.virtual_services[place] = Arc::clone(rules),
            None => objects.virtual_services.push(Arc::clone(rules)),
        }
    }
}

fn two_rules(subset: &str) -> String {
    let parts = [
        rules("a", &format!("hosts: [reviews], {}", to_subset(subset))),
        rules("b", &format!("hosts: [ratings], {}", to_subset("b"))),
    ];
    with_services(&parts.join("\n---\n"))
}

#[test]
fn new_rules_touch_only_the_hosts_they_are_for() {
    let change = rules("a", &format!("hosts: [reviews], {}", to_subset("v2")));
    let (first, next, anew) = versions(&two_rules("v1"), &change, replace_rules);
    assert_eq!(touched(&first, &next, "9080"), ["reviews.default:9080"]);
    assert_eq!(next.route_tables, anew.route_tables);
    assert_eq!(next.findings, anew.findings);
    let same = |name: &Arc<str>| Arc::ptr_eq(&first.listeners[name], &next.listeners[name]);
    assert!(first.listeners.keys().all(same));
}

#[test]
fn new_hosts_leave_the_others_as_they_are() {
    let change =
        rules("c", &format!("hosts: ['reviews.other.svc.cluster.local'], {}", to_subset("c")));
    let (first, next, anew) = versions(&two_rules("v1"), &change, replace_rules);
    assert_eq!(touched(&first, &next, "9080"), ["reviews.other:9080"]);
    assert_eq!(next.route_tables, anew.route_tables);
}

#[test]
fn a_virtual_service_that_loses_its_last_rule_for_a_proxy_gives_way_to_the_plain_route() {
    let change = rules(
        "a",
        "hosts: [reviews], http: [{match: [{sourceLabels: {app: x}}], route: [{destination: {host: reviews}}]}]",
    );
    let (_, next, anew) = versions(&two_rules("v1"), &change, replace_rules);
    check_host(
        &next,
        "9080",
        "reviews.default.svc.cluster.local:9080",
        &["* -> outbound|9080||reviews.default"],
    );
    assert_eq!(next.route_tables, anew.route_tables);
}

#[test]
fn nothing_changes_if_nothing_has_changed() {
    let (first, next, _) =
        versions(&two_rules("v1"), "kind: Namespace\nmetadata: {name: x}", |_, _| {});
    assert!(
        first.route_tables.iter().all(|(name, table)| Arc::ptr_eq(table, &next.route_tables[name]))
    );
}

#[test]
fn new_services_leave_the_others_as_they_are() {
    let change = "kind: Service\nmetadata: {name: more}\nspec: {ports: [{port: 9080, name: http}]}";
    let (first, next, anew) = versions(&two_rules("v1"), change, |objects, new| {
        objects.services.extend(new.services.iter().cloned());
    });
    assert_eq!(touched(&first, &next, "9080"), ["more.default:9080"]);
    assert_eq!(next.route_tables, anew.route_tables);
}
