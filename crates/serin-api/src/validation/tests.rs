//! What is reported, and where. Whether Istio reports it too is checked against its own tables, in the crate's `tests/`.

use serde_json::{Value, json};

use super::validate;

/// The problems of an object of `kind` with `spec`, each as `code field`.
#[track_caller]
fn check(kind: &str, spec: &Value, expect: &[&str]) {
    check_object(
        &json!({"kind": kind, "metadata": {"name": "a", "namespace": "b"}, "spec": spec}),
        expect,
    );
}

#[track_caller]
fn check_object(object: &Value, expect: &[&str]) {
    let mut object = object.clone();
    object["apiVersion"] = match object["kind"].as_str() {
        Some("AuthorizationPolicy") => "security.istio.io/v1",
        Some("Telemetry") => "telemetry.istio.io/v1",
        _ => "networking.istio.io/v1",
    }
    .into();
    let problems = validate(&object).expect("a kind with rules").expect("an object of its kind");
    let shown: Vec<String> =
        problems.iter().map(|it| format!("{} {}", it.code, it.field)).collect();
    assert_eq!(shown, expect, "{problems:#?}");
}

fn to(host: &str) -> Value {
    json!([{"destination": {"host": host}}])
}

#[test]
fn every_problem_is_reported_with_its_field() {
    let spec = json!({
        "hosts": ["a", "b_"],
        "gateways": ["x/y/z"],
        "http": [
            {"match": [{"uri": {"regex": "["}, "headers": {"a b": {"prefix": ""}}, "port": 70000}], "route": to("*")},
            {"timeout": "100us", "retries": {"retryOn": "5xx, reset"}, "rewrite": {}, "route": to("a")},
        ],
        "exportTo": [".", "*"],
    });
    let expect = [
        "IST0106 spec.gateways[0]",
        "IST0106 spec.hosts[1]",
        "IST0106 spec.http[0].match[0].headers[a b]",
        "IST0106 spec.http[0].match[0].headers[a b].prefix",
        "IST0106 spec.http[0].match[0].uri.regex",
        "IST0106 spec.http[0].match[0].port",
        "IST0106 spec.http[0].route[0].destination.host",
        "IST0106 spec.http[1].retries.attempts",
        "IST0106 spec.http[1].retries.retryOn",
        "IST0106 spec.http[1].rewrite",
        "IST0106 spec.http[1].timeout",
        "IST0106 spec.exportTo",
    ];
    check("VirtualService", &spec, &expect);
}

#[test]
fn a_route_has_one_way_to_answer() {
    let http = |route: Value| json!({"hosts": ["a"], "http": [route]});
    check("VirtualService", &http(json!({})), &["IST0106 spec.http[0]"]);
    let both =
        json!({"route": to("a"), "redirect": {"uri": "/"}, "directResponse": {"status": 200}});
    let expect = ["IST0106 spec.http[0].route", "IST0106 spec.http[0].directResponse"];
    check("VirtualService", &http(both), &expect);
    let delegating = json!({"delegate": {"name": "x"}, "route": to("a")});
    check("VirtualService", &http(delegating), &["IST0106 spec.http[0].route"]);
    let mirrors = json!({"route": to("a"), "mirror": {"host": "b"}, "mirrors": [{}]});
    let expect = ["IST0106 spec.http[0].mirrors", "IST0106 spec.http[0].mirrors[0].destination"];
    check("VirtualService", &http(mirrors), &expect);
}

#[test]
fn all_weights_zero_send_nothing_anywhere() {
    let route = json!([{"destination": {"host": "a"}}, {"destination": {"host": "b"}}]);
    let spec = json!({"hosts": ["a"], "http": [{"route": route}], "tcp": [{"route": route}]});
    check("VirtualService", &spec, &["IST0106 spec.http[0].route", "IST0106 spec.tcp[0].route"]);
}

#[test]
fn rules_that_earlier_ones_leave_nothing_for_are_reported() {
    let path = |prefix: &str| json!({"uri": {"prefix": prefix}});
    let rule = |matches: Value| json!({"match": matches, "route": to("a")});
    let spec = |http: Value| json!({"hosts": ["a"], "http": http});
    // The name of a condition does not make it another.
    let named = json!({"name": "n", "uri": {"prefix": "/a"}});
    let rules = json!([rule(json!([path("/a")])), rule(json!([named]))]);
    let expect = ["IST0131 spec.http[1].match[0]", "IST0130 spec.http[1]"];
    check("VirtualService", &spec(rules), &expect);
    let rules = json!([rule(json!([path("/a")])), rule(json!([path("/a"), path("/b")]))]);
    check("VirtualService", &spec(rules), &["IST0131 spec.http[1].match[0]"]);
    let rules = json!([rule(json!([path("/a")])), rule(json!([path("/ab")]))]);
    check("VirtualService", &spec(rules), &["IST0131 spec.http[1].match[0]"]);
    let rules = json!([rule(json!([path("/ab")])), rule(json!([path("/a")]))]);
    check("VirtualService", &spec(rules), &[]);
    let rules = json!([{"route": to("a")}, {"route": to("b")}]);
    check("VirtualService", &spec(rules), &["IST0130 spec.http[1]"]);
    let tcp = json!([{"match": [{"port": 1}], "route": to("a")}, {"match": [{"port": 1}], "route": to("b")}]);
    let expect = ["IST0131 spec.tcp[1].match[0]", "IST0130 spec.tcp[1]"];
    check("VirtualService", &json!({"hosts": ["a"], "tcp": tcp}), &expect);
}

#[test]
fn a_delegate_has_http_routes_only_and_delegates_no_further() {
    let spec = json!({"gateways": ["g"], "http": [{"delegate": {"name": "x"}}], "tcp": [{"route": to("a")}]});
    let expect = [
        "IST0106 spec.gateways",
        "IST0106 spec.tcp",
        "IST0106 spec.http[0].delegate",
        "IST0106 spec.http[0]",
    ];
    check("VirtualService", &spec, &expect);
}

#[test]
fn objects_made_from_gateway_api_objects_have_rules_of_their_own() {
    let object = json!({
        "kind": "VirtualService",
        "metadata": {"annotations": {"internal.istio.io/route-semantics": "gateway"}},
        "spec": {"hosts": ["a"], "gateways": ["b/g~c.d"], "http": [{"route": to("*")}]},
    });
    check_object(&object, &[]);
    let object = json!({
        "kind": "Gateway",
        "metadata": {"name": "a.b", "annotations": {"internal.istio.io/gateway-semantics": "gateway"}},
        "spec": {"servers": [{"port": {"number": 80, "protocol": "HTTP", "name": "a"}, "hosts": ["~/*"]}]},
    });
    check_object(&object, &[]);
}

#[test]
fn reserved_annotations_are_refused() {
    let object = json!({
        "kind": "Sidecar",
        "metadata": {"annotations": {"internal.istio.io/parents": "x", "istio.io/dry-run": "true"}},
        "spec": {"egress": [{"hosts": ["*/*"]}]},
    });
    let expect = [
        "IST0106 metadata.annotations[internal.istio.io/parents]",
        "IST0106 metadata.annotations[istio.io/dry-run]",
    ];
    check_object(&object, &expect);
}

#[test]
fn policies_of_traffic_are_checked_at_every_level() {
    let spec = json!({
        "host": "a",
        "trafficPolicy": {
            "connectionPool": {"tcp": {"idleTimeout": "0s", "connectTimeout": "1us"}, "http": {"h2UpgradePolicy": "UPGRADE", "useClientProtocol": true}},
            "portLevelSettings": [{"port": {"number": 80}}],
            "tls": {"mode": "MUTUAL"},
        },
        "subsets": [{"name": "v_1", "labels": {"a b": "c"}, "trafficPolicy": {}}],
    });
    let expect = [
        "IST0106 spec.trafficPolicy.connectionPool.http.useClientProtocol",
        "IST0106 spec.trafficPolicy.connectionPool.tcp.connectTimeout",
        "IST0106 spec.trafficPolicy.tls.clientCertificate",
        "IST0106 spec.trafficPolicy.tls.privateKey",
        "IST0106 spec.trafficPolicy.portLevelSettings[0]",
        "IST0106 spec.subsets[0].name",
        "IST0106 spec.subsets[0].labels[a b]",
        "IST0106 spec.subsets[0].trafficPolicy",
    ];
    check("DestinationRule", &spec, &expect);
}

#[test]
fn a_denial_by_http_attributes_only_is_dubious() {
    let deny = |rule: Value| json!({"action": "DENY", "rules": [rule]});
    let by_method = json!({"to": [{"operation": {"methods": ["GET"]}}]});
    check("AuthorizationPolicy", &deny(by_method), &["IST0133 spec.rules[0]"]);
    let by_port = json!({"to": [{"operation": {"methods": ["GET"], "ports": ["80"]}}]});
    check("AuthorizationPolicy", &deny(by_port), &[]);
    let by_namespace = json!({"from": [{"source": {"namespaces": ["a"]}}]});
    check("AuthorizationPolicy", &deny(by_namespace), &[]);
    check("AuthorizationPolicy", &json!({"action": "DENY"}), &["IST0106 spec.rules"]);
}

#[test]
fn expressions_of_access_logs_must_be_cel() {
    let logging = |filter: &str| json!({"accessLogging": [{"filter": {"expression": filter}}]});
    check("Telemetry", &logging("response.code >= 400 && !connection.mtls"), &[]);
    check(
        "Telemetry",
        &logging("response.code >="),
        &["IST0106 spec.accessLogging[0].filter.expression"],
    );
}

#[test]
fn listeners_of_sidecars_bind_where_their_traffic_can_be() {
    let ingress = json!({"port": {"number": 80, "protocol": "HTTP"}, "bind": "unix:///a"});
    let egress = |bind: &str, number: u32| json!({"port": {"number": number, "protocol": "HTTP"}, "bind": bind, "hosts": ["*/*"]});
    let spec = json!({"ingress": [ingress], "egress": [egress("unix:///a", 0), egress("unix:///a", 80), egress("1.2.3.4", 0)]});
    let expect = [
        "IST0106 spec.ingress[0].bind",
        "IST0106 spec.egress[1].bind",
        "IST0106 spec.egress[2].bind",
    ];
    check("Sidecar", &spec, &expect);
}

#[test]
fn kinds_without_rules_are_left_alone() {
    assert!(validate(&json!({"apiVersion": "v1", "kind": "Service"})).is_none());
    assert!(
        validate(&json!({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway"}))
            .is_none()
    );
}

#[test]
fn what_cannot_be_read_is_told_with_its_field() {
    let object = json!({
        "apiVersion": "networking.istio.io/v1", "kind": "DestinationRule",
        "spec": {"host": "a", "trafficPolicy": {"loadBalancer": {"simple": "BEST"}}},
    });
    let error = validate(&object).expect("a kind with rules").expect_err("no such value");
    assert_eq!(error.field.to_string(), "spec.trafficPolicy.loadBalancer.simple");
    assert!(error.message.starts_with("Unsupported value: \"BEST\""), "{}", error.message);
}
