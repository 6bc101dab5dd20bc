use serin_routing::model::{FilterChain, NetworkFilter, TransportProtocol};

use super::*;
use crate::mesh::{Mesh, Seen};
use crate::proxy::Proxy;
use crate::scope::Scope;
use crate::testing::{cluster, cluster_with, sidecar};

fn client() -> Proxy {
    let mut proxy = sidecar("default", "app=client");
    proxy.addresses = vec!["10.1.0.1".parse().unwrap()];
    proxy
}

fn mesh_for(text: &str, proxy: &Proxy) -> Mesh {
    let snapshot = cluster(text);
    Mesh::new(Seen { snapshot: &snapshot, scope: &Scope::new(&snapshot, proxy) }, proxy)
}

fn mesh(text: &str) -> Mesh {
    mesh_for(text, &client())
}

/// A chain as text: its conditions and where it leads.
fn shown(chain: &FilterChain) -> String {
    let criteria = &chain.criteria;
    let mut parts = Vec::new();
    parts.extend(criteria.destination_port.map(|it| it.to_string()));
    parts.extend(criteria.destination_prefixes.iter().map(ToString::to_string));
    parts.extend(criteria.server_names.iter().map(ToString::to_string));
    parts.extend(criteria.transport_protocol.map(|it| {
        if it == TransportProtocol::Tls { "tls".to_owned() } else { "plain".to_owned() }
    }));
    parts.extend(criteria.application_protocols.iter().map(ToString::to_string));
    let target = match &chain.filter {
        NetworkFilter::Http(http) => format!("http {}", http.routes),
        NetworkFilter::Tcp(proxy) => {
            let list = proxy.destinations.list();
            let cluster = |it: &serin_routing::model::Destination| {
                let weight =
                    if list.len() == 1 { String::new() } else { format!(" {}", it.weight) };
                format!("{}{weight}", it.cluster.replace(".svc.cluster.local", ""))
            };
            list.iter().map(cluster).collect::<Vec<_>>().join(", ")
        }
    };
    format!("{} -> {target}", parts.join(" ")).trim_start().to_owned()
}

#[track_caller]
fn check(mesh: &Mesh, name: &str, chains: &[&str], default: Option<&str>) {
    let listener = mesh
        .listeners
        .get(name)
        .unwrap_or_else(|| panic!("{name} is not in {:?}", mesh.listeners.keys()));
    assert_eq!(listener.filter_chains.iter().map(shown).collect::<Vec<_>>(), chains, "{name}");
    assert_eq!(listener.default_filter_chain.as_ref().map(shown).as_deref(), default, "{name}");
}

/// Names of outbound listeners, without that for redirected traffic.
fn names(mesh: &Mesh) -> Vec<&str> {
    mesh.listeners.keys().map(|it| &**it).filter(|it| !it.starts_with("virtual")).collect()
}

fn service(name: &str, spec: &str) -> String {
    format!("kind: Service\nmetadata: {{name: {name}}}\nspec: {{{spec}}}")
}

const PASSTHROUGH: Option<&str> = Some("-> PassthroughCluster");

#[test]
fn http_of_all_services_on_a_port_shares_one_listener() {
    let text = [
        service("a", "clusterIP: 10.0.0.1, ports: [{port: 80, name: http}]"),
        service("b", "clusterIP: 10.0.0.2, ports: [{port: 80, name: grpc}]"),
    ];
    let mesh = mesh(&text.join("\n---\n"));
    assert_eq!(names(&mesh), ["0.0.0.0_80"]);
    check(&mesh, "0.0.0.0_80", &["plain http/1.1 h2c -> http 80"], PASSTHROUGH);
    let listener = &mesh.listeners["0.0.0.0_80"];
    assert_eq!(listener.bind, Bind::Captured);
    assert!(listener.inspect.tls && listener.inspect.http);
}

#[test]
fn bytes_have_a_listener_for_each_service() {
    let text = [
        service("a", "clusterIP: 10.0.0.1, ports: [{port: 3306, name: tcp}]"),
        service("b", "clusterIP: 10.0.0.2, ports: [{port: 3306, name: mysql}]"),
    ];
    let mesh = mesh(&text.join("\n---\n"));
    check(&mesh, "10.0.0.1_3306", &["-> outbound|3306||a.default"], None);
    check(&mesh, "10.0.0.2_3306", &["-> outbound|3306||b.default"], None);
    assert!(!mesh.listeners["10.0.0.1_3306"].inspect.http, "a server may speak first");
}

#[test]
fn undeclared_protocols_are_sniffed_on_a_listener_of_the_service() {
    let mesh = mesh(&service("a", "clusterIP: 10.0.0.1, ports: [{port: 8000}]"));
    check(
        &mesh,
        "10.0.0.1_8000",
        &["plain http/1.1 h2c -> http a.default.svc.cluster.local:8000"],
        Some("-> outbound|8000||a.default"),
    );
}

#[test]
fn tls_is_passed_on_by_address_or_by_name() {
    let text = [
        service("a", "clusterIP: 10.0.0.1, ports: [{port: 443, name: https}]"),
        "kind: ServiceEntry\nmetadata: {name: x}\nspec: {hosts: [x.com], ports: [{number: 443, name: tls, protocol: TLS}], resolution: DNS}".to_owned(),
        "kind: ServiceEntry\nmetadata: {name: wide}\nspec: {hosts: ['*.y.com'], ports: [{number: 443, name: tls, protocol: TLS}]}".to_owned(),
    ];
    let mesh = mesh(&text.join("\n---\n"));
    check(&mesh, "10.0.0.1_443", &["-> outbound|443||a.default"], None);
    check(
        &mesh,
        "0.0.0.0_443",
        &["*.y.com -> outbound|443||*.y.com", "x.com -> outbound|443||x.com"],
        PASSTHROUGH,
    );
    assert!(mesh.listeners["0.0.0.0_443"].inspect.tls);
}

#[test]
fn blocks_of_addresses_share_the_wildcard_listener() {
    let entry = "
kind: ServiceEntry
metadata: {name: x}
spec:
  hosts: [x.com]
  addresses: [10.9.0.0/16, 10.8.0.1]
  ports: [{number: 9000, name: tcp, protocol: TCP}]
  resolution: STATIC
  endpoints: [{address: 1.1.1.1}]
";
    let mesh = mesh(entry);
    check(&mesh, "0.0.0.0_9000", &["10.9.0.0/16 -> outbound|9000||x.com"], PASSTHROUGH);
    check(&mesh, "10.8.0.1_9000", &["-> outbound|9000||x.com"], None);
}

const DATABASE: &str = "
kind: Service
metadata: {name: db}
spec: {clusterIP: None, selector: {app: db}, ports: [{port: 5432, name: tcp}]}
---
kind: EndpointSlice
metadata: {name: db-1, labels: {kubernetes.io/service-name: db}}
addressType: IPv4
ports: [{name: tcp, port: 5432}]
endpoints: [{addresses: [10.1.0.1]}, {addresses: [10.1.0.2]}, {addresses: [10.1.0.3]}]
";

#[test]
fn headless_services_have_a_listener_for_each_endpoint_but_the_workload_itself() {
    let mesh = mesh(DATABASE);
    assert_eq!(names(&mesh), ["10.1.0.2_5432", "10.1.0.3_5432"]);
    check(&mesh, "10.1.0.2_5432", &["-> outbound|5432||db.default"], None);
}

#[test]
fn a_headless_service_without_endpoints_has_no_listener_and_an_open_entry_takes_the_port() {
    let headless =
        service("db", "clusterIP: None, selector: {app: db}, ports: [{port: 5432, name: tcp}]");
    assert_eq!(names(&mesh(&headless)), Vec::<&str>::new());
    let entry = "
kind: ServiceEntry
metadata: {name: x}
spec: {hosts: [x.com], ports: [{number: 5432, name: tcp, protocol: TCP}], resolution: NONE}
";
    check(&mesh(entry), "0.0.0.0_5432", &["-> outbound|5432||x.com"], None);
}

#[test]
fn http_and_bytes_on_one_port_are_told_apart_by_the_first_bytes() {
    let entry = "
kind: ServiceEntry
metadata: {name: x}
spec: {hosts: [x.com], ports: [{number: 80, name: tcp, protocol: TCP}], resolution: NONE}
";
    let http = service("a", "clusterIP: 10.0.0.1, ports: [{port: 80, name: http}]");
    for text in [format!("{entry}\n---\n{http}"), format!("{http}\n---\n{entry}")] {
        let mesh = mesh(&text);
        check(
            &mesh,
            "0.0.0.0_80",
            &["plain http/1.1 h2c -> http 80"],
            Some("-> outbound|80||x.com"),
        );
    }
}

#[test]
fn where_a_server_may_speak_first_nothing_else_shares_the_port() {
    let entry = "
kind: ServiceEntry
metadata: {name: x, creationTimestamp: '2024-01-01T00:00:00Z'}
spec: {hosts: [x.com], ports: [{number: 80, name: mysql, protocol: MySQL}], resolution: NONE}
---
kind: Service
metadata: {name: a, creationTimestamp: '2024-01-02T00:00:00Z'}
spec: {clusterIP: 10.0.0.1, ports: [{port: 80, name: http}]}
";
    let mesh = mesh(entry);
    check(&mesh, "0.0.0.0_80", &["-> outbound|80||x.com"], None);
    assert_eq!(mesh.findings.iter().filter(|it| it.code.0 == "SRN0316").count(), 1);
}

#[test]
fn two_services_that_nothing_tells_apart_are_a_conflict_and_the_older_one_is_reached() {
    let entry = |name: &str, day: u8| {
        format!(
            "kind: ServiceEntry\nmetadata: {{name: {name}, creationTimestamp: '2024-01-0{day}T00:00:00Z'}}\nspec: \
             {{hosts: [{name}.com], ports: [{{number: 9000, name: tcp, protocol: TCP}}], resolution: NONE}}"
        )
    };
    let mesh = mesh(&format!("{}\n---\n{}", entry("b", 1), entry("a", 2)));
    check(&mesh, "0.0.0.0_9000", &["-> outbound|9000||b.com"], None);
    let told: Vec<_> =
        mesh.findings.iter().filter_map(|it| it.object.as_ref()).map(|it| &it.name).collect();
    assert_eq!(told, ["a"]);
}

#[test]
fn tcp_rules_choose_by_subnet_and_weight() {
    let text = format!(
        "{}\n---\n{}",
        service("a", "clusterIP: 10.0.0.1, ports: [{port: 9000, name: tcp}]"),
        "
kind: VirtualService
metadata: {name: a}
spec:
  hosts: [a]
  tcp:
  - match: [{sourceLabels: {app: other}}]
    route: [{destination: {host: never}}]
  - match: [{destinationSubnets: [10.7.0.0/16], port: 9000}]
    route: [{destination: {host: a, subset: v1}}]
  - route:
    - {destination: {host: a, subset: v1}, weight: 90}
    - {destination: {host: a, subset: v2}, weight: 10}
    - {destination: {host: a, subset: v3}}
"
    );
    check(
        &mesh(&text),
        "10.0.0.1_9000",
        &["10.7.0.0/16 -> outbound|9000|v1|a.default"],
        Some("-> outbound|9000|v1|a.default 90, outbound|9000|v2|a.default 10"),
    );
}

#[test]
fn a_tcp_destination_without_a_port_means_the_services_only_one() {
    let text = format!(
        "{}\n---\n{}\n---\n{}",
        service("a", "clusterIP: 10.0.0.1, ports: [{port: 9000, name: tcp}]"),
        service("b", "clusterIP: 10.0.0.2, ports: [{port: 9999, name: tcp}]"),
        "kind: VirtualService\nmetadata: {name: a}\nspec: {hosts: [a], tcp: [{route: [{destination: {host: b}}]}]}",
    );
    check(&mesh(&text), "10.0.0.1_9000", &["-> outbound|9999||b.default"], None);
}

#[test]
fn tls_rules_choose_by_server_name_and_the_first_of_equal_ones_holds() {
    let text = "
kind: ServiceEntry
metadata: {name: x}
spec: {hosts: ['*.x.com'], ports: [{number: 443, name: tls, protocol: TLS}]}
---
kind: VirtualService
metadata: {name: x}
spec:
  hosts: ['*.x.com']
  tls:
  - match: [{sniHosts: [a.x.com], sourceLabels: {app: client}}, {sniHosts: [b.x.com], port: 444}]
    route: [{destination: {host: a.other}}]
  - match: [{sniHosts: [a.x.com]}]
    route: [{destination: {host: never.other}}]
  - match: [{sniHosts: ['*.x.com']}]
    route: [{destination: {host: c.other}}]
";
    let chains = ["a.x.com -> outbound|443||a.other", "*.x.com -> outbound|443||c.other"];
    check(&mesh(text), "0.0.0.0_443", &chains, PASSTHROUGH);
}

#[test]
fn the_listener_for_redirected_traffic_lets_unknown_destinations_pass_or_not() {
    let listener = "virtualOutbound";
    check(&mesh(DATABASE), listener, &["15001 -> BlackHoleCluster", "-> PassthroughCluster"], None);
    let only =
        "kind: Sidecar\nmetadata: {name: d}\nspec: {outboundTrafficPolicy: {mode: REGISTRY_ONLY}}";
    let mesh = mesh(&format!("{only}\n---\n{}", service("a", "ports: [{port: 80, name: http}]")));
    check(&mesh, listener, &["15001 -> BlackHoleCluster", "-> BlackHoleCluster"], None);
    check(&mesh, "0.0.0.0_80", &["plain http/1.1 h2c -> http 80"], Some("-> BlackHoleCluster"));
    assert_eq!(mesh.listeners[listener].bind, Bind::Capture);
}

#[test]
fn a_declared_listener_has_its_port_its_address_and_perhaps_a_socket() {
    let text = |egress: &str| {
        format!(
            "{}\n---\nkind: Sidecar\nmetadata: {{name: d}}\nspec: {{egress: [{egress}]}}",
            service(
                "a",
                "clusterIP: 10.0.0.1, ports: [{port: 9080, name: http}, {port: 9090, name: tcp}]"
            ),
        )
    };
    let port = "port: {number: 9080, protocol: HTTP, name: http}, hosts: ['./*']";
    let made = mesh(&text(&format!("{{{port}}}")));
    assert_eq!(names(&made), ["0.0.0.0_9080"]);
    assert_eq!(made.listeners["0.0.0.0_9080"].bind, Bind::Captured);
    let made = mesh(&text(&format!("{{{port}, captureMode: NONE}}")));
    assert_eq!(names(&made), ["127.0.0.1_9080"]);
    assert_eq!(made.listeners["127.0.0.1_9080"].bind, Bind::Socket);
    check(&made, "127.0.0.1_9080", &["-> http 9080"], None);
    let made = mesh(&text(&format!("{{{port}, bind: 127.0.0.5}}, {{hosts: ['./*']}}")));
    assert_eq!(names(&made), ["0.0.0.0_9080", "10.0.0.1_9090", "127.0.0.5_9080"]);
    let made = mesh(&text(&format!("{{{port}, bind: 'unix:///var/run/x'}}")));
    assert_eq!(names(&made), Vec::<&str>::new());
    assert_eq!(made.findings[0].code.0, "SRN0317");
}

#[test]
fn a_port_with_a_declared_listener_is_that_listeners_alone() {
    let text = format!(
        "{}\n---\n{}",
        "
kind: ServiceEntry
metadata: {name: x}
spec: {hosts: [x.com], ports: [{number: 9080, name: tcp, protocol: TCP}], resolution: NONE}
---
kind: Sidecar
metadata: {name: d}
spec:
  egress:
  - {port: {number: 9080, protocol: HTTP, name: http}, hosts: ['./a.default.svc.cluster.local']}
  - {hosts: ['./*']}
",
        service("a", "clusterIP: 10.0.0.1, ports: [{port: 9080, name: http}]"),
    );
    check(&mesh(&text), "0.0.0.0_9080", &["plain http/1.1 h2c -> http 9080"], PASSTHROUGH);
}

#[test]
fn the_proxys_own_ports_are_not_taken() {
    let text = service(
        "a",
        "clusterIP: 10.0.0.1, ports: [{port: 15021, name: http}, {port: 15001, name: http-2}, {port: 15090, name: tcp}]",
    );
    assert_eq!(names(&mesh(&text)), ["10.0.0.1_15090"]);
}

#[test]
fn privileged_ports_take_privileges_if_they_have_a_socket() {
    let text = format!(
        "{}\n---\n{}",
        service("a", "clusterIP: 10.0.0.1, ports: [{port: 80, name: http}]"),
        "kind: Sidecar\nmetadata: {name: d}\nspec: {egress: [{port: {number: 80, protocol: HTTP, name: http}, captureMode: NONE, hosts: ['./*']}]}",
    );
    let mut proxy = client();
    assert_eq!(names(&mesh_for(&text, &proxy)), ["127.0.0.1_80"]);
    proxy.unprivileged = true;
    assert_eq!(names(&mesh_for(&text, &proxy)), Vec::<&str>::new());
}

#[test]
fn proxies_with_ipv6_only_listen_on_its_wildcard() {
    let mut proxy = client();
    proxy.addresses = vec!["fd00::1".parse().unwrap()];
    let mesh = mesh_for(&service("a", "ports: [{port: 80, name: http}]"), &proxy);
    assert_eq!(names(&mesh), ["::_80"]);
}

#[test]
fn a_mesh_wide_http_proxy_listens_locally() {
    let text = service("a", "ports: [{port: 80, name: http}]");
    let snapshot = cluster_with(&text, |mesh| mesh.proxy_http_port = 15002);
    let proxy = client();
    let mesh =
        Mesh::new(Seen { snapshot: &snapshot, scope: &Scope::new(&snapshot, &proxy) }, &proxy);
    check(&mesh, "127.0.0.1_15002", &["-> http http_proxy"], None);
    assert!(
        mesh.route_tables["http_proxy"]
            .virtual_hosts
            .iter()
            .any(|it| &*it.name == "a.default.svc.cluster.local:80")
    );
}

#[test]
fn policies_of_the_destination_hold_for_connections() {
    let text = format!(
        "{}\n---\n{}",
        service("a", "clusterIP: 10.0.0.1, ports: [{port: 9000, name: tcp}]"),
        "
kind: DestinationRule
metadata: {name: a}
spec:
  host: a
  trafficPolicy:
    connectionPool: {tcp: {idleTimeout: 5s, maxConnectionDuration: 1h}}
    loadBalancer: {consistentHash: {useSourceIp: true}}
",
    );
    let mesh = mesh(&text);
    let NetworkFilter::Tcp(proxy) = &mesh.listeners["10.0.0.1_9000"].filter_chains[0].filter else {
        panic!()
    };
    assert_eq!(proxy.idle_timeout, Some(std::time::Duration::from_secs(5)));
    assert_eq!(proxy.max_duration, Some(std::time::Duration::from_secs(3600)));
    assert!(proxy.hash_source_address);
}

#[test]
fn a_tunnel_is_of_the_subset_or_of_the_service_and_of_several_destinations_of_the_service() {
    let check = |routes: &str, expect: Option<(&str, bool)>| {
        let text = format!(
            "{}
---
kind: VirtualService
metadata: {{name: a}}
spec:
  hosts: [a]
  tcp: [{{route: [{routes}]}}]
---
kind: DestinationRule
metadata: {{name: a}}
spec:
  host: a
  trafficPolicy: {{tunnel: {{protocol: POST, targetHost: 'fd00::1', targetPort: 443}}}}
  subsets:
  - {{name: own, trafficPolicy: {{tunnel: {{targetHost: db.example, targetPort: 5432}}}}}}
  - {{name: none, trafficPolicy: {{}}}}
",
            service("a", "clusterIP: 10.0.0.1, ports: [{port: 9000, name: tcp}]"),
        );
        let mesh = mesh(&text);
        let filter = &mesh.listeners["10.0.0.1_9000"].filter_chains[0].filter;
        let NetworkFilter::Tcp(proxy) = filter else { panic!() };
        let tunnel = proxy.tunnel.as_ref().map(|it| (&*it.authority, it.by_post));
        assert_eq!(tunnel, expect, "{routes}");
    };
    check("{destination: {host: a, subset: own}}", Some(("db.example:5432", false)));
    check("{destination: {host: a, subset: none}}", Some(("[fd00::1]:443", true)));
    check("{destination: {host: a}}", Some(("[fd00::1]:443", true)));
    let two = "{destination: {host: a, subset: own}, weight: 50}, {destination: {host: a, subset: none}, weight: 50}";
    check(two, Some(("[fd00::1]:443", true)));
}
