//! What the schemas of Gateway API kinds refuse, in the words of their rules.

use serde_json::{Value, json};
use serin_api::Kind;

/// Checks `spec` of `kind` as an API server would: defaults first. `None` expects no error, otherwise a part of one.
#[track_caller]
fn check(kind: &str, spec: &Value, expect: Option<&str>) {
    let kind = Kind::find("gateway.networking.k8s.io", kind)
        .unwrap_or_else(|| panic!("{kind} is not known"));
    let schema = kind.schema();
    let mut object = json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": kind.kind, "metadata": {"name": "a"}, "spec": spec,
    });
    schema.apply_defaults(&mut object);
    let errors: Vec<String> =
        schema.validate(&object, None).iter().map(ToString::to_string).collect();
    match expect {
        None => assert!(errors.is_empty(), "{errors:#?}"),
        Some(text) => {
            assert!(errors.iter().any(|error| error.contains(text)), "{text} is not in {errors:#?}")
        }
    }
}

fn route(rule: &Value) -> Value {
    json!({"rules": [rule]})
}

#[test]
fn rules_of_http_routes_hold() {
    let backend = json!([{"name": "a", "port": 80}]);
    check("HTTPRoute", &route(&json!({"backendRefs": backend})), None);
    let no_port = json!({"backendRefs": [{"name": "a"}]});
    check("HTTPRoute", &route(&no_port), Some("Must have port for Service reference"));
    let redirect = json!({"type": "RequestRedirect", "requestRedirect": {}});
    let both = json!({"backendRefs": backend, "filters": [redirect]});
    check("HTTPRoute", &route(&both), Some("must not be used together with backendRefs"));
    let twice = json!({"filters": [redirect, redirect]});
    check("HTTPRoute", &route(&twice), Some("RequestRedirect filter cannot be repeated"));
    let other = json!({"filters": [{"type": "URLRewrite", "requestRedirect": {}}]});
    check("HTTPRoute", &route(&other), Some("filter.urlRewrite must be specified"));
    let mirror = json!({"backendRef": {"name": "a", "port": 80}, "percent": 5, "fraction": {"numerator": 1}});
    let mirror = json!({"filters": [{"type": "RequestMirror", "requestMirror": mirror}]});
    check("HTTPRoute", &route(&mirror), Some("Only one of percent or fraction"));
    let timeouts = json!({"timeouts": {"request": "1s", "backendRequest": "2s"}});
    check(
        "HTTPRoute",
        &route(&timeouts),
        Some("backendRequest timeout cannot be longer than request timeout"),
    );
}

#[test]
fn rules_of_paths_hold() {
    let path = |kind: &str, value: &str| {
        route(&json!({"matches": [{"path": {"type": kind, "value": value}}]}))
    };
    check("HTTPRoute", &path("PathPrefix", "/a/b"), None);
    check("HTTPRoute", &path("RegularExpression", "a//b"), None);
    check("HTTPRoute", &path("Exact", "a"), Some("must be an absolute path"));
    check("HTTPRoute", &path("Exact", "/a//b"), Some("must not contain '//'"));
    check("HTTPRoute", &path("PathPrefix", "/a/.."), Some("must not end with '/..'"));
    check("HTTPRoute", &path("Regex", "/a"), Some("Unsupported value: \"Regex\""));
    check("HTTPRoute", &json!({"hostnames": ["1_2"]}), Some("should match"));
    check(
        "HTTPRoute",
        &json!({"parentRefs": [{"kind": "Gateway"}]}),
        Some("spec.parentRefs[0].name: Required value"),
    );
}

#[test]
fn rules_of_gateways_hold() {
    let gateway = |listeners: Value| json!({"gatewayClassName": "istio", "listeners": listeners});
    let http = json!({"name": "a", "port": 80, "protocol": "HTTP"});
    check("Gateway", &gateway(json!([http])), None);
    check("Gateway", &json!({"listeners": [http]}), Some("spec.gatewayClassName: Required value"));
    check("Gateway", &gateway(json!([http, http])), Some("Duplicate value"));
    let same = json!({"name": "b", "port": 80, "protocol": "HTTP"});
    check(
        "Gateway",
        &gateway(json!([http, same])),
        Some("port, protocol and hostname must be unique"),
    );
    let tls = json!({"name": "a", "port": 80, "protocol": "HTTP", "tls": {"certificateRefs": [{"name": "c"}]}});
    check("Gateway", &gateway(json!([tls])), Some("tls must not be specified for protocols"));
    let passthrough =
        json!({"name": "a", "port": 443, "protocol": "HTTPS", "tls": {"mode": "Passthrough"}});
    check(
        "Gateway",
        &gateway(json!([passthrough])),
        Some("tls mode must be Terminate for protocol HTTPS"),
    );
    let no_certificate = json!({"name": "a", "port": 443, "protocol": "HTTPS", "tls": {}});
    check(
        "Gateway",
        &gateway(json!([no_certificate])),
        Some("certificateRefs or options must be specified"),
    );
    let port = json!({"name": "a", "port": 70000, "protocol": "HTTP"});
    check("Gateway", &gateway(json!([port])), Some("should be less than or equal to 65535"));
}

#[test]
fn rules_of_backend_policies_hold() {
    let policy = |validation: Value| json!({"targetRefs": [{"group": "", "kind": "Service", "name": "a"}], "validation": validation});
    check(
        "BackendTLSPolicy",
        &policy(json!({"hostname": "a.b", "wellKnownCACertificates": "System"})),
        None,
    );
    let neither = json!({"hostname": "a.b"});
    check(
        "BackendTLSPolicy",
        &policy(neither),
        Some("must specify either caCertificateRefs or wellKnownCACertificates"),
    );
    let authority = json!([{"group": "", "kind": "ConfigMap", "name": "c"}]);
    let both = json!({"hostname": "a.b", "wellKnownCACertificates": "System", "caCertificateRefs": authority});
    check("BackendTLSPolicy", &policy(both), Some("must not contain both"));
}
