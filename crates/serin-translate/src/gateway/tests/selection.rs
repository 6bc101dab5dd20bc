//! Which Gateways a proxy serves, and on which ports.

use super::*;

/// The names of the listeners of `proxy`, for one server on each of `ports`.
#[track_caller]
fn check_ports(text: &str, proxy: &Proxy, expect: &[&str]) {
    let edge = edge_for(text, proxy);
    assert_eq!(edge.listeners.keys().map(|it| &**it).collect::<Vec<_>>(), expect, "{text}");
}

#[test]
fn gateways_choose_proxies_by_labels_wherever_these_are() {
    let text = gw("elsewhere/gw", &http(9000, "'*'"));
    check_ports(&text, &ingress(), &["0.0.0.0_9000"]);
    check_ports(&text, &gateway("third", "istio=ingress,more=labels"), &["0.0.0.0_9000"]);
    check_ports(&text, &gateway("elsewhere", "istio=egress"), &[]);
}

#[test]
fn a_gateway_without_a_selector_chooses_every_proxy() {
    let text = format!(
        "kind: Gateway\nmetadata: {{name: gw}}\nspec: {{servers: [{}]}}",
        http(9000, "'*'")
    );
    check_ports(&text, &gateway("third", ""), &["0.0.0.0_9000"]);
}

#[test]
fn a_port_is_the_service_s_before_it_is_the_proxy_s() {
    check_ports(&gw("gw", &http(80, "'*'")), &ingress(), &["0.0.0.0_8080"]);
    check_ports(&gw("gw", &http(8080, "'*'")), &ingress(), &["0.0.0.0_8080"]);
    check_ports(&gw("gw", &http(81, "'*'")), &ingress(), &["0.0.0.0_81"]);
}

#[test]
fn of_several_services_with_a_port_the_first_says_what_it_means() {
    let again = "
kind: Service
metadata: {name: younger, namespace: istio-system}
spec: {selector: {istio: ingress}, ports: [{port: 80, targetPort: 7070, name: http}]}
";
    check_ports(&all(&[again.into(), gw("gw", &http(80, "'*'"))]), &ingress(), &["0.0.0.0_8080"]);
}

#[test]
fn a_service_can_keep_its_ports_out_of_this() {
    let text = "
kind: Service
metadata: {name: ingress, namespace: plain, labels: {experimental.istio.io/disable-gateway-port-translation: ''}}
spec: {selector: {istio: ingress}, ports: [{port: 80, targetPort: 8080, name: http}]}
";
    let text = all(&[text.into(), gw("gw", &http(80, "'*'"))]);
    check_ports(&text, &gateway("plain", "istio=ingress"), &["0.0.0.0_80"]);
}

#[test]
fn a_proxy_without_privileges_leaves_low_ports_out() {
    let proxy = Proxy { unprivileged: true, ..ingress() };
    let text = gw("gw", &format!("{}, {}", http(80, "'*'"), http(81, "'*'")));
    let edge = edge_for(&text, &proxy);
    check_listeners(&edge, &[("0.0.0.0_8080", &["[] -> http.8080"])]);
    assert_eq!(found(&edge, "SRN0317"), ["Gateway default/gw spec.servers[1].port.number"]);
}

#[test]
fn a_server_can_ask_for_an_address() {
    let bound = "{port: {number: 9000, name: http, protocol: HTTP}, bind: ADDRESS, hosts: ['*']}";
    let servers = ["10.0.0.1", "'::1'", "unix:///tmp/socket"].map(|it| {
        bound.replace("ADDRESS", it).replace("name: http", &format!("name: x{}", it.len()))
    });
    let edge = edge(&gw("gw", &servers.join(", ")));
    check_listeners(
        &edge,
        &[("10.0.0.1_9000", &["[] -> http.9000.10.0.0.1"]), ("::1_9000", &["[] -> http.9000.::1"])],
    );
    assert_eq!(found(&edge, "SRN0317"), ["Gateway default/gw spec.servers[2].bind"]);
}

#[test]
fn a_proxy_with_ipv6_only_listens_there() {
    let proxy = Proxy { addresses: vec!["fd00::1".parse().unwrap()], ..ingress() };
    check_ports(&gw("gw", &http(9000, "'*'")), &proxy, &["::_9000"]);
}

/// A Gateway as it is made of one of the Gateway API.
fn bound(services: &str, namespace: &str, servers: &str) -> String {
    format!(
        "kind: Gateway
metadata: {{name: gw, namespace: {namespace}, annotations: {{internal.istio.io/gateway-service: '{services}'}}}}
spec: {{servers: [{servers}]}}"
    )
}

#[test]
fn a_gateway_bound_to_services_is_for_their_proxies_and_ports_only() {
    let service = "ingress.istio-system.svc.cluster.local";
    let check = |services: &str, namespace: &str, port: u16, expect: &[&str]| {
        check_ports(&bound(services, namespace, &http(port, "'*'")), &ingress(), expect);
    };
    check(service, "istio-system", 80, &["0.0.0.0_8080"]);
    check(&format!("x.y,{service}"), "istio-system", 80, &["0.0.0.0_8080"]);
    check(service, "istio-system", 8080, &[]);
    check(service, "default", 80, &[]);
    check("a.default.svc.cluster.local", "default", 80, &[]);
}

#[test]
fn a_gateway_bound_to_services_listens_on_every_port_that_they_mean() {
    let again = "
kind: Service
metadata: {name: again, namespace: istio-system}
spec: {selector: {istio: ingress}, ports: [{port: 80, targetPort: 7070, name: http}, {port: 443, targetPort: 7443}]}
";
    let services = ["ingress", "again"].map(|it| format!("{it}.istio-system.svc.cluster.local"));
    let servers = format!("{}, {}", http(80, "'*'"), https(443, "'*'"));
    let text = all(&[again.into(), bound(&services.join(","), "istio-system", &servers)]);
    let table = "[] tls -> https.443.https-443.gw.istio-system";
    check_listeners(
        &edge(&text),
        &[
            ("0.0.0.0_7070", &["[] -> http.7070"]),
            ("0.0.0.0_7443", &[table]),
            ("0.0.0.0_8080", &["[] -> http.8080"]),
            ("0.0.0.0_8443", &[table]),
        ],
    );
}

#[test]
fn a_proxy_that_serves_every_gateway_asks_for_no_labels_and_no_services() {
    let proxy = Proxy { serves_every_gateway: true, ..gateway("default", "") };
    let text = all(&[gw("a", &http(80, "'*'")), gw("elsewhere/b", &http(81, "'*'"))]);
    check_ports(&text, &proxy, &["0.0.0.0_80", "0.0.0.0_81"]);
}
