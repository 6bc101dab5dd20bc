//! Virtual hosts of gateways.

use super::*;

/// The table for the servers' port 80.
#[track_caller]
fn check(parts: &[String], expect: &[&str]) {
    check_table(&edge(&all(parts)), "http.8080", expect);
}

/// A rule for paths that begin so.
fn prefix(prefix: &str, destination: &str) -> String {
    format!(
        "{{match: [{{uri: {{prefix: {prefix}}}}}], route: [{{destination: {{host: {destination}}}}}]}}"
    )
}

fn any_path(destination: &str) -> String {
    format!("{{route: [{{destination: {{host: {destination}}}}}]}}")
}

fn on_gw(name: &str, hosts: &str, http: &[String]) -> String {
    rules(name, &format!("gateways: [default/gw], hosts: [{hosts}], http: [{}]", http.join(", ")))
}

#[test]
fn without_rules_every_request_is_unknown() {
    check(&[gw("gw", &http(80, "'*'"))], &["blackhole:80 [*]"]);
}

#[test]
fn t_gwmerge_rules_of_all_virtual_services_for_a_host_follow_each_other() {
    check(
        &[
            gw("gw", &http(80, "'*'")),
            on_gw("second", "a.com", &[prefix("/x", "b"), any_path("b")]),
            on_gw("first", "a.com", &[prefix("/x", "a"), any_path("a")]),
        ],
        &[
            "a.com:80 [a.com] Prefix(\"/x\") -> outbound|9080||a.default; Prefix(\"/x\") -> outbound|80||b.default; \
           * -> outbound|9080||a.default; * -> outbound|80||b.default",
        ],
    );
}

#[test]
fn t_gwmerge_the_oldest_virtual_service_goes_first() {
    let old = on_gw("z", "a.com", &[prefix("/z", "a")]);
    let old = old.replace("{name: z,", "{name: z, creationTimestamp: '2024-01-01T00:00:00Z',");
    let new = on_gw("a", "a.com", &[prefix("/a", "a")]);
    let new = new.replace("{name: a,", "{name: a, creationTimestamp: '2024-01-02T00:00:00Z',");
    check(
        &[gw("gw", &http(80, "'*'")), old, new],
        &[
            "a.com:80 [a.com] Prefix(\"/z\") -> outbound|9080||a.default; Prefix(\"/a\") -> outbound|9080||a.default",
        ],
    );
}

#[test]
fn t_catchall_rules_for_every_request_go_behind_those_of_other_virtual_services() {
    let headers = "{match: [{headers: {x: {exact: z}}}], route: [{destination: {host: b, port: {number: 9080}}}]}";
    check(
        &[
            gw("gw", &http(80, "'*'")),
            on_gw("first", "a.com", &[any_path("a"), prefix("/never", "a")]),
            on_gw("second", "a.com", &[headers.into()]),
        ],
        &["a.com:80 [a.com] * if -> outbound|9080||b.default; * -> outbound|9080||a.default"],
    );
}

#[test]
fn rules_behind_one_for_every_request_are_reported() {
    let edge = edge(&all(&[
        gw("gw", &http(80, "'*'")),
        on_gw("vs", "a.com", &[any_path("a"), prefix("/never", "a")]),
    ]));
    assert_eq!(found(&edge, "SRN0314"), ["VirtualService default/vs spec.http[1]"]);
}

#[test]
fn t_wildcard_the_narrower_of_server_host_and_rule_host_is_the_domain() {
    let narrow = |server: &str, hosts: &str, expect: &[&str]| {
        let expect: Vec<_> = expect
            .iter()
            .map(|it| format!("{it}:80 [{it}] * -> outbound|9080||a.default"))
            .collect();
        let expect: Vec<_> = expect.iter().map(String::as_str).collect();
        check(&[gw("gw", &http(80, server)), to("vs", hosts, "a")], &expect);
    };
    narrow("'*'", "a.com", &["a.com"]);
    narrow("a.com", "'*'", &["a.com"]);
    narrow("'*.com'", "a.com", &["a.com"]);
    narrow("a.com", "'*.com'", &["a.com"]);
    narrow("'*.b.com'", "'*.com'", &["*.b.com"]);
    narrow("'*.com'", "'*.b.com'", &["*.b.com"]);
    narrow("'*'", "'*'", &["*"]);
    narrow("A.com", "a.COM", &["a.com"]);
}

#[test]
fn hosts_without_anything_in_common_are_not_served() {
    check(&[gw("gw", &http(80, "a.com")), to("vs", "b.com", "a")], &["blackhole:80 [*]"]);
    check(&[gw("gw", &http(80, "'*.a.com'")), to("vs", "a.com", "a")], &["blackhole:80 [*]"]);
}

#[test]
fn t_hostport_names_have_ports_and_domains_have_none() {
    let edge = edge(&all(&[gw("gw", &http(80, "'*'")), to("vs", "a.com", "a")]));
    let host = &edge.route_tables["http.8080"].virtual_hosts[0];
    assert_eq!((&*host.name, &*host.domains[0]), ("a.com:80", "a.com"));
}

#[test]
fn addresses_are_hosts_as_clients_write_them() {
    check(
        &[gw("gw", &http(80, "'*'")), to("vs", "'192.168.1.1', '::1'", "a")],
        &["192.168.1.1:80 [192.168.1.1 [::1]] * -> outbound|9080||a.default"],
    );
}

#[test]
fn a_host_may_be_for_the_rules_of_one_namespace() {
    let two = |server: &str| {
        [
            gw("gw", &http(80, server)),
            to("vs", "a.com", "a"),
            on_gw("other/vs", "a.com", &[prefix("/x", "a")]),
        ]
    };
    let own = "a.com:80 [a.com] * -> outbound|9080||a.default";
    let other = "a.com:80 [a.com] Prefix(\"/x\") -> outbound|80||a.other";
    check(&two("./a.com"), &[own]);
    check(&two("default/*"), &[own]);
    check(&two("other/*.com"), &[other]);
    check(
        &two("'*/*'"),
        &["a.com:80 [a.com] Prefix(\"/x\") -> outbound|80||a.other; * -> outbound|9080||a.default"],
    );
    check(&two("third/*"), &["blackhole:80 [*]"]);
}

#[test]
fn rules_that_the_proxy_may_not_see_do_not_count() {
    let private = |export: &str| {
        to("vs", "a.com", "a").replace("gateways:", &format!("exportTo: ['{export}'], gateways:"))
    };
    let served = ["a.com:80 [a.com] * -> outbound|9080||a.default"];
    check(&[gw("gw", &http(80, "'*'")), private(".")], &["blackhole:80 [*]"]);
    check(&[gw("gw", &http(80, "'*'")), private("istio-system")], &served);
    check(&[gw("gw", &http(80, "'*'")), private("*")], &served);
}

#[test]
fn hosts_with_the_same_routes_are_one_virtual_host() {
    check(
        &[
            gw("gw", &http(80, "'*'")),
            to("a", "long.a.com, '*.a.com', b.com", "a"),
            to("b", "c.com", "a"),
        ],
        &[
            "c.com:80 [c.com] * -> outbound|9080||a.default",
            "long.a.com:80 [long.a.com b.com *.a.com] * -> outbound|9080||a.default",
        ],
    );
}

const REDIRECT: &str =
    "{port: {number: 80, name: r, protocol: HTTP}, hosts: [HOSTS], tls: {httpsRedirect: true}}";

#[test]
fn a_server_can_redirect_to_https_whatever_the_rules_say() {
    let redirect = |hosts: &str| gw("gw", &REDIRECT.replace("HOSTS", hosts));
    let vs = || to("vs", "a.com", "a");
    check(&[redirect("a.com"), vs()], &["a.com:80 [a.com] (https) * -> outbound|9080||a.default"]);
    check(&[redirect("a.com")], &["a.com:80 [a.com] (https)"]);
    check(
        &[redirect("'*'"), vs()],
        &["*:80 [*] (https)", "a.com:80 [a.com] (https) * -> outbound|9080||a.default"],
    );
    check(&[redirect("./a.com, b.com")], &["a.com:80 [a.com b.com] (https)"]);
}

#[test]
fn redirects_of_several_gateways_do_not_conflict() {
    let other = gw("other", &REDIRECT.replace("HOSTS", "a.com, c.com"));
    let edge = edge(&all(&[gw("gw", &REDIRECT.replace("HOSTS", "a.com, b.com")), other]));
    check_table(&edge, "http.8080", &["a.com:80 [a.com b.com c.com] (https)"]);
    assert!(edge.findings.is_empty());
}

#[test]
fn one_server_redirects_and_another_does_not() {
    let servers = format!("{}, {}", http(80, "b.com"), REDIRECT.replace("HOSTS", "a.com"));
    check(
        &[gw("gw", &servers), to("vs", "a.com, b.com", "a")],
        &[
            "a.com:80 [a.com] (https) * -> outbound|9080||a.default",
            "b.com:80 [b.com] * -> outbound|9080||a.default",
        ],
    );
}

#[test]
fn matches_choose_by_the_server_s_port_and_gateway() {
    let matched = |condition: &str| {
        let rule = format!("{{match: [{{{condition}}}], route: [{{destination: {{host: a}}}}]}}");
        on_gw("vs", "a.com", &[rule])
    };
    let holds = |condition: &str, holds: bool| {
        let expect = if holds {
            "a.com:80 [a.com] * -> outbound|9080||a.default"
        } else {
            "blackhole:80 [*]"
        };
        check(&[gw("gw", &http(80, "'*'")), matched(condition)], &[expect]);
    };
    holds("port: 80", true);
    holds("port: 8080", false);
    holds("gateways: [gw]", true);
    holds("gateways: [mesh]", false);
    holds("sourceLabels: {istio: ingress}", true);
    holds("sourceLabels: {app: client}", false);
    holds("sourceNamespace: istio-system", true);
    holds("sourceNamespace: default", false);
    holds("gateways: [gw], sourceNamespace: default", true);
}

#[test]
fn destinations_without_a_port_mean_the_only_one_or_the_server_s() {
    check(
        &[
            gw("gw", &http(80, "'*'")),
            on_gw("vs", "a.com", &[prefix("/a", "a"), prefix("/b", "b"), prefix("/c", "unknown")]),
        ],
        &[
            "a.com:80 [a.com] Prefix(\"/a\") -> outbound|9080||a.default; Prefix(\"/b\") -> outbound|80||b.default; \
           Prefix(\"/c\") -> outbound|80||unknown.default",
        ],
    );
}

#[test]
fn services_of_the_rules_namespace_go_before_those_that_the_proxy_prefers() {
    let entry = |namespace: &str, port: u16| {
        format!(
            "kind: ServiceEntry\nmetadata: {{name: e, namespace: {namespace}}}\nspec: {{hosts: [e.com], resolution: DNS, ports: [{{number: {port}, name: http, protocol: HTTP}}]}}"
        )
    };
    check(
        &[
            gw("gw", &http(80, "'*'")),
            entry("aaa", 1),
            entry("default", 2),
            to("vs", "a.com", "e.com"),
        ],
        &["a.com:80 [a.com] * -> outbound|2||e.com"],
    );
}

#[test]
fn redirects_leave_out_the_port_that_is_usual_where_tls_is_terminated() {
    let rule = "{redirect: {uri: /x, derivePort: FROM_REQUEST_PORT}}".to_owned();
    let edge = edge(&all(&[
        gw("gw", &format!("{}, {}", http(80, "'*'"), https(443, "'*'"))),
        on_gw("vs", "a.com", &[rule]),
    ]));
    for table in ["http.8080", "https.443.https-443.gw.default"] {
        let host = &edge.route_tables[table].virtual_hosts[0];
        let Action::Redirect(redirect) = &host.routes[0].action else { panic!() };
        assert_eq!(redirect.port, None, "{table}");
    }
}

#[test]
fn a_virtual_service_bound_to_two_gateways_is_in_both() {
    let both = to("vs", "'*.com'", "a").replace("[default/gw]", "[default/gw, other]");
    check(
        &[gw("gw", &http(80, "a.com")), gw("other", &http(80, "b.com")), both],
        &["a.com:80 [a.com b.com] * -> outbound|9080||a.default"],
    );
}

#[test]
fn rules_of_the_gateway_api_keep_their_semantics() {
    let text = "
kind: GatewayClass
apiVersion: gateway.networking.k8s.io/v1
metadata: {name: istio}
spec: {controllerName: istio.io/gateway-controller}
---
kind: Gateway
apiVersion: gateway.networking.k8s.io/v1
metadata: {name: web, namespace: istio-system}
spec:
  gatewayClassName: istio
  addresses: [{type: Hostname, value: ingress.istio-system.svc.cluster.local}]
  listeners: [{name: http, port: 80, protocol: HTTP, allowedRoutes: {namespaces: {from: All}}}]
---
kind: HTTPRoute
apiVersion: gateway.networking.k8s.io/v1
metadata: {name: route}
spec:
  parentRefs: [{name: web, namespace: istio-system}]
  hostnames: [a.com]
  rules:
  - matches: [{path: {type: PathPrefix, value: /x}}]
    backendRefs: [{name: a, port: 9080}]
  - matches: [{path: {type: PathPrefix, value: /y}}]
    backendRefs: [{name: missing, port: 80}]
";
    let edge = edge(text);
    check_listeners(&edge, &[("0.0.0.0_8080", &["[] -> http.8080"])]);
    let expect = "a.com:80 [a.com] Segments(\"/x\") -> outbound|9080||a.default; \
                  Segments(\"/y\") -> outbound|80||missing.default";
    check_table(&edge, "http.8080", &[expect]);
    for route in &edge.route_tables["http.8080"].virtual_hosts[0].routes {
        let Action::Forward(forward) = &route.action else { panic!("{route:?}") };
        assert_eq!(forward.cluster_not_found_status, 500);
    }
}
