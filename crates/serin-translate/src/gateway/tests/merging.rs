//! What servers share, and what becomes of those that do not fit.

use super::*;

#[test]
fn plain_http_of_all_gateways_on_a_port_has_one_route_table() {
    let edge = edge(&all(&[
        gw("gw", &format!("{}, {}", http(80, "a.com"), http(8080, "b.com"))),
        gw("other/gw", &http(80, "c.com")),
        to("a", "a.com", "a"),
        to("b", "b.com", "b"),
        rules("other/c", "gateways: [gw], hosts: [c.com], http: [{directResponse: {status: 418}}]"),
    ]));
    check_listeners(&edge, &[("0.0.0.0_8080", &["[] -> http.8080"])]);
    check_table(
        &edge,
        "http.8080",
        &[
            "a.com:80 [a.com] * -> outbound|9080||a.default",
            "b.com:8080 [b.com] * -> outbound|8080||b.default",
            "c.com:80 [c.com] * -> 418",
        ],
    );
    assert!(edge.findings.is_empty(), "{:?}", edge.findings);
}

#[test]
fn https_of_each_server_has_a_route_table_of_its_own() {
    let servers =
        format!("{}, {}", https(443, "a.com"), https(443, "b.com").replace("https-443", "more"));
    let edge =
        edge(&all(&[gw("gw", &servers), gw("other", &https(443, "c.com")), to("vs", "'*'", "a")]));
    check_listeners(
        &edge,
        &[(
            "0.0.0.0_8443",
            &[
                "[a.com] tls -> https.443.https-443.gw.default",
                "[b.com] tls -> https.443.more.gw.default",
                "[c.com] tls -> https.443.https-443.other.default",
            ],
        )],
    );
    check_table(
        &edge,
        "https.443.https-443.gw.default",
        &["a.com:443 [a.com] * -> outbound|9080||a.default"],
    );
    check_table(&edge, "https.443.https-443.other.default", &["blackhole:443 [*]"]);
}

/// The listener on 8443, for the servers of `gw` and then those of `late`; and what is found about the latter.
#[track_caller]
fn check_pair(first: &str, late: &str, chains: usize, findings: &[(&'static str, &str)]) {
    let tcp = "gateways: [gw, late], hosts: ['*'], tcp: [{route: [{destination: {host: a}}]}]";
    let edge = edge(&all(&[gw("gw", first), gw("late", late), rules("vs", tcp)]));
    let listener = &edge.listeners["0.0.0.0_8443"];
    let shown: Vec<_> = listener.filter_chains.iter().map(shown_chain).collect();
    assert_eq!(shown.len(), chains, "{shown:?}");
    let found: Vec<_> = edge
        .findings
        .iter()
        .map(|it| (it.code.0, format!("{} {}", it.object.as_ref().unwrap(), it.field)))
        .collect();
    assert_eq!(found.iter().map(|it| (it.0, &*it.1)).collect::<Vec<_>>(), findings);
    let related = edge.findings.iter().flat_map(|it| &it.related);
    assert!(
        related.clone().count() == findings.len()
            && related.clone().all(|it| it.object.name == "gw")
    );
}

#[test]
fn servers_that_cannot_stand_beside_the_first_are_left_out() {
    const PORT: &str = "SRN0501";
    let at_port = [(PORT, "Gateway default/late spec.servers[0].port")];
    let tcp = "{port: {number: 443, name: tcp, protocol: TCP}, hosts: ['*']}";
    check_pair(&https(443, "a.com"), &http(443, "b.com"), 1, &at_port);
    check_pair(&http(443, "a.com"), &https(443, "b.com"), 1, &at_port);
    check_pair(&http(443, "a.com"), tcp, 1, &at_port);
    check_pair(tcp, tcp, 1, &at_port);
    check_pair(tcp, &https(443, "a.com"), 1, &at_port);
    let grpc = http(443, "b.com").replace("HTTP", "GRPC");
    check_pair(&http(443, "a.com"), &grpc, 1, &[]);
}

#[test]
fn tls_of_one_port_is_told_apart_by_hosts() {
    const HOSTS: &str = "SRN0502";
    let at_hosts = [(HOSTS, "Gateway default/late spec.servers[0].hosts")];
    check_pair(&https(443, "a.com"), &https(443, "b.com"), 2, &[]);
    check_pair(&https(443, "a.com"), &https(443, "'*.com'"), 2, &[]);
    check_pair(&https(443, "a.com"), &https(443, "b.com, a.com"), 1, &at_hosts);
    check_pair(&https(443, "x/a.com"), &https(443, "y/a.com"), 1, &at_hosts);
    check_pair(&https(443, "a.com"), &https(443, "A.com"), 1, &at_hosts);
    let terminated = tls("TLS", 443, "b.com", "mode: SIMPLE, credentialName: cert");
    check_pair(&https(443, "a.com"), &terminated, 2, &[]);
}

#[test]
fn a_server_that_is_left_out_takes_no_hosts_with_it() {
    let edge = edge(&all(&[
        gw("gw", &https(443, "a.com")),
        gw("late", &https(443, "a.com, b.com")),
        gw("later", &https(443, "b.com")),
    ]));
    check_listeners(
        &edge,
        &[(
            "0.0.0.0_8443",
            &[
                "[a.com] tls -> https.443.https-443.gw.default",
                "[b.com] tls -> https.443.https-443.later.default",
            ],
        )],
    );
}

#[test]
fn servers_of_other_addresses_do_not_conflict() {
    let bound = |it: &str| {
        format!("{{port: {{number: 9000, name: tcp, protocol: TCP}}, bind: {it}, hosts: ['*']}}")
    };
    let vs =
        rules("vs", "gateways: [gw], hosts: ['*'], tcp: [{route: [{destination: {host: a}}]}]");
    let edge =
        edge(&all(&[gw("gw", &format!("{}, {}", bound("10.0.0.1"), bound("10.0.0.2"))), vs]));
    check_listeners(
        &edge,
        &[
            ("10.0.0.1_9000", &["[] -> outbound|9080||a.default"]),
            ("10.0.0.2_9000", &["[] -> outbound|9080||a.default"]),
        ],
    );
    assert!(edge.findings.is_empty(), "{:?}", edge.findings);
}

#[test]
fn two_https_servers_of_a_gateway_need_two_names() {
    let edge = edge(&gw("gw", &format!("{}, {}", https(443, "a.com"), https(443, "b.com"))));
    check_listeners(&edge, &[("0.0.0.0_8443", &["[a.com] tls -> https.443.https-443.gw.default"])]);
    assert_eq!(found(&edge, "SRN0503"), ["Gateway default/gw spec.servers[1].port.name"]);
}

#[test]
fn findings_about_generated_gateways_are_about_what_was_written() {
    let generated = "
kind: Gateway
metadata:
  name: gw~istio-autogenerated-k8s-gateway~secure
  namespace: istio-system
  annotations:
    internal.istio.io/gateway-service: ingress.istio-system.svc.cluster.local
    internal.istio.io/parents: Gateway/gw/secure.istio-system
spec: {servers: [{port: {number: 443, name: default, protocol: HTTPS}, hosts: ['*/a.com'], tls: {mode: SIMPLE}}]}
";
    let edge = edge(&all(&[gw("a/first", &https(443, "a.com")), generated.into()]));
    assert_eq!(found(&edge, "SRN0502"), ["Gateway istio-system/gw spec.listeners"]);
    let object = edge.findings[0].object.as_ref().unwrap();
    assert_eq!(object.api_version, "gateway.networking.k8s.io/v1");
}
