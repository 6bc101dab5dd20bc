//! Requests go where the manifests say.

use crate::support::{Folder, GATEWAY, Gateway, all_to, backend, get, routes, service};

#[test]
fn requests_are_routed_by_virtual_services() {
    let rules = routes(
        "  - match: [{uri: {prefix: /two}}]\n    rewrite: {uri: /}\n    route: [{destination: {host: two.test}}]\n\
         \x20 - route: [{destination: {host: one.test}}]\n",
    );
    let folder = Folder::with(&[
        ("gateway.yaml", GATEWAY),
        (
            "services.yaml",
            &format!("{}{}", service("one", backend("one")), service("two", backend("two"))),
        ),
        ("routes.yaml", &rules),
    ]);
    let gateway = Gateway::start(&folder, &[]);
    assert_eq!(get(gateway.address(), "a.example", "/x").body, "one GET /x HTTP/1.1");
    assert_eq!(get(gateway.address(), "a.example", "/two/x").body, "two GET //x HTTP/1.1");
}

#[test]
fn a_gateway_of_the_gateway_api_is_served_with_kubernetes_services() {
    let address = backend("web");
    let manifests = format!(
        "\
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: gw}}
spec:
  gatewayClassName: istio
  listeners: [{{name: http, port: 80, protocol: HTTP}}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: web}}
spec:
  parentRefs: [{{name: gw}}]
  rules:
  - matches: [{{path: {{type: PathPrefix, value: /shop}}}}]
    backendRefs: [{{name: web, port: 8080}}]
---
apiVersion: v1
kind: Service
metadata: {{name: web}}
spec:
  selector: {{app: web}}
  ports: [{{name: http, port: 8080, targetPort: {port}}}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: web-1
  labels: {{kubernetes.io/service-name: web}}
addressType: IPv4
ports: [{{name: http, port: {port}, protocol: TCP}}]
endpoints: [{{addresses: [127.0.0.1], conditions: {{ready: true}}}}]
",
        port = address.port()
    );
    let folder = Folder::with(&[("all.yaml", &manifests)]);
    let gateway = Gateway::start(&folder, &[]);
    assert_eq!(get(gateway.address(), "a.example", "/shop/1").body, "web GET /shop/1 HTTP/1.1");
    assert_eq!(get(gateway.address(), "a.example", "/").status, 404);
}

#[test]
fn services_known_by_a_name_are_resolved() {
    let address = backend("dns");
    let entry = service("dns", address)
        .replace("resolution: STATIC", "resolution: DNS")
        .replace("address: 127.0.0.1", "address: localhost");
    let folder = Folder::with(&[
        ("gateway.yaml", GATEWAY),
        ("services.yaml", &entry),
        ("routes.yaml", &all_to("dns")),
    ]);
    let gateway = Gateway::start(&folder, &[]);
    assert_eq!(get(gateway.address(), "a.example", "/").status, 200);
}

#[test]
fn labels_narrow_the_gateways_that_are_served() {
    let other = GATEWAY
        .replace("name: gw", "name: other")
        .replace("istio: ingressgateway", "istio: other")
        .replace("number: 80", "number: 81");
    let folder = Folder::with(&[("gateway.yaml", &format!("{GATEWAY}---\n{other}"))]);
    let both = Gateway::start(&folder, &["--port-map", "81=0"]);
    assert_eq!(both.ports.keys().copied().collect::<Vec<_>>(), [80, 81]);
    let one = Gateway::start(&folder, &["--port-map", "81=0", "--labels", "istio=ingressgateway"]);
    assert_eq!(one.ports.keys().copied().collect::<Vec<_>>(), [80]);
}
