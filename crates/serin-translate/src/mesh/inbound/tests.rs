use serin_routing::model::Listener as ModelListener;

use super::*;
use crate::mesh::{Mesh, Seen};
use crate::testing::{cluster, sidecar};

const WORKLOAD: &str = "
kind: Service
metadata: {name: web}
spec:
  selector: {app: web}
  ports:
  - {port: 80, name: http, targetPort: 8080}
  - {port: 81, name: tcp, targetPort: 8081}
  - {port: 82, name: unknown, targetPort: 8082}
---
kind: EndpointSlice
metadata: {name: web-1, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
ports: [{name: http, port: 8080}, {name: tcp, port: 8081}, {name: unknown, port: 8082}]
endpoints: [{addresses: [10.1.0.1]}]
";

fn mesh(text: &str) -> Mesh {
    let mut proxy = sidecar("default", "app=web");
    proxy.addresses = vec!["10.1.0.1".parse().unwrap()];
    let snapshot = cluster(text);
    Mesh::new(Seen { snapshot: &snapshot, scope: &Scope::new(&snapshot, &proxy) }, &proxy)
}

fn policy(mode: &str) -> String {
    format!(
        "{WORKLOAD}\n---\nkind: PeerAuthentication\nmetadata: {{name: default}}\nspec: {{mtls: {{mode: {mode}}}}}"
    )
}

/// The chains for a port as text; those for every other port if there is none.
fn chains(listener: &ModelListener, port: Option<u16>) -> Vec<String> {
    let of_port = listener.filter_chains.iter().filter(|it| it.criteria.destination_port == port);
    of_port
        .map(|chain| {
            let transport = match chain.criteria.transport_protocol {
                Some(TransportProtocol::Tls) if chain.tls.is_some() => "mtls",
                Some(TransportProtocol::Tls) => "tls",
                Some(TransportProtocol::Plain) => "plain",
                None => "any",
            };
            let alpn = chain.criteria.application_protocols.join(" ");
            let kind = match &chain.filter {
                NetworkFilter::Http(http) => format!("http {}", http.routes),
                NetworkFilter::Tcp(proxy) => {
                    format!("tcp {}", proxy.destinations.list()[0].cluster)
                }
            };
            format!("{} {transport} [{alpn}] {kind}", chain.name)
        })
        .collect()
}

#[track_caller]
fn check(text: &str, port: Option<u16>, expect: &[&str]) {
    let mesh = mesh(text);
    assert_eq!(chains(&mesh.listeners["virtualInbound"], port), expect, "{port:?}");
}

#[test]
fn by_default_ports_take_mutual_tls_and_plain_text() {
    check(
        WORKLOAD,
        Some(8080),
        &[
            "0.0.0.0_8080 mtls [istio istio-peer-exchange istio-http/1.0 istio-http/1.1 istio-h2] http inbound|8080||",
            "0.0.0.0_8080 plain [] http inbound|8080||",
        ],
    );
    check(
        WORKLOAD,
        Some(8081),
        &[
            "0.0.0.0_8081 mtls [istio istio-peer-exchange istio-http/1.0 istio-http/1.1 istio-h2] tcp inbound|8081||",
            "0.0.0.0_8081 plain [] tcp inbound|8081||",
            "0.0.0.0_8081 tls [] tcp inbound|8081||",
        ],
    );
    check(
        WORKLOAD,
        Some(8082),
        &[
            "0.0.0.0_8082 mtls [istio-http/1.0 istio-http/1.1 istio-h2] http inbound|8082||",
            "0.0.0.0_8082 plain [http/1.1 h2c] http inbound|8082||",
            "0.0.0.0_8082 mtls [istio-peer-exchange istio] tcp inbound|8082||",
            "0.0.0.0_8082 plain [] tcp inbound|8082||",
            "0.0.0.0_8082 tls [] tcp inbound|8082||",
        ],
    );
}

#[test]
fn strict_ports_take_mutual_tls_only() {
    let text = policy("STRICT");
    check(&text, Some(8080), &["0.0.0.0_8080 mtls [] http inbound|8080||"]);
    check(&text, Some(8081), &["0.0.0.0_8081 mtls [] tcp inbound|8081||"]);
    check(
        &text,
        Some(8082),
        &[
            "0.0.0.0_8082 mtls [istio-http/1.0 istio-http/1.1 istio-h2] http inbound|8082||",
            "0.0.0.0_8082 mtls [] tcp inbound|8082||",
        ],
    );
}

#[test]
fn without_mutual_tls_every_connection_is_the_applications_own() {
    let text = policy("DISABLE");
    check(
        &text,
        Some(8080),
        &["0.0.0.0_8080 plain [] http inbound|8080||", "0.0.0.0_8080 tls [] http inbound|8080||"],
    );
    check(
        &text,
        Some(8081),
        &["0.0.0.0_8081 plain [] tcp inbound|8081||", "0.0.0.0_8081 tls [] tcp inbound|8081||"],
    );
}

#[test]
fn connections_to_unknown_ports_are_passed_on() {
    check(
        WORKLOAD,
        None,
        &[
            "virtualInbound-catchall-http mtls [istio-http/1.0 istio-http/1.1 istio-h2] http InboundPassthroughCluster",
            "virtualInbound-catchall-http plain [http/1.1 h2c] http InboundPassthroughCluster",
            "virtualInbound mtls [istio-peer-exchange istio] tcp InboundPassthroughCluster",
            "virtualInbound plain [] tcp InboundPassthroughCluster",
            "virtualInbound tls [] tcp InboundPassthroughCluster",
        ],
    );
    check(WORKLOAD, Some(15006), &["virtualInbound-blackhole any [] tcp BlackHoleCluster"]);
}

#[test]
fn modes_of_ports_hold_for_the_workloads_ports_known_or_not() {
    let text = format!(
        "{WORKLOAD}\n---
kind: PeerAuthentication
metadata: {{name: web}}
spec:
  selector: {{matchLabels: {{app: web}}}}
  mtls: {{mode: STRICT}}
  portLevelMtls: {{'8080': {{mode: DISABLE}}, '80': {{mode: DISABLE}}, '9999': {{mode: DISABLE}}}}
"
    );
    check(
        &text,
        Some(8080),
        &["0.0.0.0_8080 plain [] http inbound|8080||", "0.0.0.0_8080 tls [] http inbound|8080||"],
    );
    check(&text, Some(8081), &["0.0.0.0_8081 mtls [] tcp inbound|8081||"]);
    check(
        &text,
        Some(9999),
        &[
            "virtualInbound-catchall-http plain [http/1.1 h2c] http InboundPassthroughCluster",
            "virtualInbound plain [] tcp InboundPassthroughCluster",
            "virtualInbound tls [] tcp InboundPassthroughCluster",
        ],
    );
    // 80 is a port of the Service, not of the workload.
    assert_eq!(chains(&mesh(&text).listeners["virtualInbound"], Some(80)).len(), 3);
}

#[test]
fn each_port_has_a_table_that_takes_every_request() {
    let mesh = mesh(WORKLOAD);
    let host = |table: &str| mesh.route_tables[table].virtual_hosts[0].clone();
    assert_eq!(&*host("inbound|8080||").name, "inbound|http|80");
    assert_eq!(&*host("inbound|8082||").name, "inbound|http|82");
    assert_eq!(&*host("InboundPassthroughCluster").name, "inbound|http|0");
    let route = &host("inbound|8080||").routes[0];
    let Action::Forward(forward) = &route.action else { panic!("{route:?}") };
    assert_eq!(&*forward.destinations.list()[0].cluster, "inbound|8080||");
    assert_eq!(forward.timeout, None);
    assert_eq!(forward.retry.as_ref().map(|it| it.attempts), Some(2));
}

#[test]
fn ports_that_a_sidecar_declares_take_the_place_of_the_services() {
    let text = format!(
        "{WORKLOAD}\n---
kind: Sidecar
metadata: {{name: web}}
spec:
  ingress:
  - {{port: {{number: 7000, protocol: HTTP, name: http}}, defaultEndpoint: '127.0.0.1:8080'}}
  - {{port: {{number: 7001, protocol: TCP, name: tcp}}, bind: 127.0.0.9, captureMode: NONE, defaultEndpoint: '127.0.0.1:8081'}}
"
    );
    let mesh = mesh(&text);
    let inbound = &mesh.listeners["virtualInbound"];
    assert_eq!(chains(inbound, Some(8080)), Vec::<String>::new());
    assert_eq!(
        chains(inbound, Some(7000)),
        [
            "10.1.0.1_7000 mtls [istio istio-peer-exchange istio-http/1.0 istio-http/1.1 istio-h2] http inbound|7000||",
            "10.1.0.1_7000 plain [] http inbound|7000||",
        ]
    );
    assert_eq!(chains(inbound, Some(7001)), Vec::<String>::new());
    let own = &mesh.listeners["127.0.0.9_7001"];
    assert_eq!(own.bind, Bind::Socket);
    assert_eq!(chains(own, Some(7001)).len(), 3);
    assert_eq!(&*mesh.route_tables["inbound|7000||"].virtual_hosts[0].name, "inbound|http|7000");
}

#[test]
fn of_two_services_for_a_port_the_older_says_what_it_speaks() {
    let text = format!(
        "{WORKLOAD}\n---
kind: Service
metadata: {{name: late, creationTimestamp: '2024-01-01T00:00:00Z'}}
spec: {{selector: {{app: web}}, ports: [{{port: 90, name: tcp, targetPort: 8080}}]}}
---
kind: EndpointSlice
metadata: {{name: late-1, labels: {{kubernetes.io/service-name: late}}}}
addressType: IPv4
ports: [{{name: tcp, port: 8080}}]
endpoints: [{{addresses: [10.1.0.1]}}]
"
    );
    let mesh = mesh(&text);
    assert_eq!(chains(&mesh.listeners["virtualInbound"], Some(8080)).len(), 2);
    let told: Vec<_> =
        mesh.findings.iter().filter_map(|it| it.object.as_ref()).map(|it| &it.name).collect();
    assert_eq!(told, ["late"]);
}

#[test]
fn only_the_listener_for_redirected_connections_looks_at_first_bytes() {
    let inspect = mesh(WORKLOAD).listeners["virtualInbound"].inspect;
    assert!(inspect.tls && inspect.http);
}
