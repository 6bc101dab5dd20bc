//! Which listeners can serve.

use super::*;

fn accepted(listener_text: &str) -> String {
    condition(&listener(&convert(&[gateway(listener_text)]), 0), "Accepted")
}

#[test]
fn protocols_that_cannot_be_served_are_refused() {
    let ok = "True Accepted: No errors found";
    assert_eq!(accepted("{name: l, port: 80, protocol: HTTP}"), ok);
    assert_eq!(accepted("{name: l, port: 80, protocol: TCP}"), ok);
    let refused = |it: &str| format!("False UnsupportedProtocol: {it}");
    assert_eq!(
        accepted("{name: l, port: 80, protocol: UDP}"),
        refused(r#"protocol "UDP" is unsupported"#)
    );
    assert_eq!(
        accepted("{name: l, port: 80, protocol: http}"),
        refused(r#"protocol "http" is unsupported. hint: "HTTP" (uppercase) may be supported"#)
    );
    assert_eq!(
        accepted("{name: l, port: 15008, protocol: HBONE}"),
        refused(r#"protocol "HBONE" is only supported for waypoint proxies"#)
    );
    assert_eq!(
        accepted("{name: l, port: 443, protocol: HTTPS}"),
        refused("protocol is HTTPS but no TLS section is defined")
    );
}

#[test]
fn a_gateway_is_accepted_while_one_listener_can_serve() {
    let check = |listeners: &str, expect: &str| {
        let converted = convert(&[gateway(listeners)]);
        assert_eq!(
            condition(&status(&converted, "Gateway", "gw"), "Accepted"),
            expect,
            "{listeners}"
        );
    };
    let (good, bad) =
        ("{name: a, port: 80, protocol: HTTP}", "{name: b, port: 443, protocol: HTTPS}");
    check(good, "True Accepted: Resource accepted");
    check(
        &format!("{good}, {bad}"),
        "True ListenersNotValid: One or more of the Gateway's listeners are invalid",
    );
    check(bad, "False ListenersNotValid: None of the Gateway's listeners are valid");
}

#[test]
fn a_listener_that_cannot_serve_makes_no_gateway_and_a_finding() {
    let converted = convert(&[gateway("{name: b, port: 443, protocol: HTTPS}")]);
    assert!(converted.gateways.is_empty());
    let [finding] = converted.findings.as_slice() else { panic!("{:?}", converted.findings) };
    assert_eq!(
        (finding.code.0, finding.field.to_string().as_str()),
        ("SRN0604", "spec.listeners[0]")
    );
}

#[test]
fn listeners_of_one_port_must_differ_in_host() {
    let conflicts = |one: &str, other: &str| {
        let tls = "tls: {mode: Passthrough}";
        let expand = |name: &str, it: &str| {
            let tls = if it.contains("TLS") { tls } else { "" };
            format!("{{name: {name}, port: 80, {it}, {tls}}}")
        };
        let converted =
            convert(&[gateway(&format!("{}, {}", expand("a", one), expand("b", other)))]);
        condition(&listener(&converted, 1), "Conflicted").split(':').next().unwrap().to_owned()
    };
    assert_eq!(conflicts("protocol: HTTP", "protocol: HTTP"), "True HostnameConflict");
    assert_eq!(
        conflicts("protocol: HTTP", "protocol: HTTP, hostname: '*'"),
        "True HostnameConflict"
    );
    assert_eq!(
        conflicts("protocol: HTTP", "protocol: HTTP, hostname: h.example"),
        "False NoConflicts"
    );
    assert_eq!(conflicts("protocol: TLS", "protocol: HTTP"), "True ProtocolConflict");
    assert_eq!(
        conflicts("protocol: HTTP, hostname: h.example", "protocol: TCP"),
        "True ProtocolConflict"
    );
    assert_eq!(conflicts("protocol: TCP", "protocol: UDP"), "True ProtocolConflict");
}

#[test]
fn certificates_must_exist_and_be_secrets() {
    let reference = |it: &str| {
        let listener_text = format!(
            "{{name: l, port: 443, protocol: HTTPS, tls: {{certificateRefs: [{{{it}}}]}}}}"
        );
        condition(&listener(&convert(&[gateway(&listener_text)]), 0), "ResolvedRefs")
    };
    assert_eq!(
        reference("name: missing"),
        "False InvalidCertificateRef: invalid certificate reference //missing., secret infra/missing not found"
    );
    assert_eq!(
        reference("kind: ConfigMap, name: it, namespace: other"),
        "False InvalidCertificateRef: invalid certificate reference /ConfigMap/it.other, only secret is allowed"
    );
}

#[test]
fn a_selector_that_chooses_no_namespace_lets_no_route_in() {
    let none = "{name: l, port: 80, protocol: HTTP, hostname: h.example, \
                allowedRoutes: {namespaces: {from: Selector, selector: {matchLabels: {a: b}}}}}";
    let converted = convert(&[gateway(none), route_with_rule("")]);
    assert_eq!(converted.gateways[0].spec.servers[0].hosts, ["~/h.example"]);
    assert_eq!(
        parents(&converted, "HTTPRoute", "r")[0][0],
        "False NotAllowedByListeners: hostnames matched parent hostname \"h.example\", but namespace \"app\" is not allowed by the parent"
    );
}

#[test]
fn clients_are_checked_as_the_gateway_says_for_the_port() {
    let pem = include_str!("../../src/gateway_api/certificate/testdata/ec.crt");
    let key = include_str!("../../src/gateway_api/certificate/testdata/ec.key");
    let of_core = |kind: &str, name: &str, entries: Value| {
        let (field, entries) =
            if kind == "Secret" { ("stringData", entries) } else { ("data", entries) };
        let metadata = serde_json::json!({"name": name, "namespace": "infra"});
        serde_json::json!({"apiVersion": "v1", "kind": kind, "metadata": metadata, field: entries})
            .to_string()
    };
    let authority = |name: &str| {
        format!(
            "{{validation: {{caCertificateRefs: [{{group: '', kind: ConfigMap, name: {name}}}]}}}}"
        )
    };
    let insecure =
        authority("ca").replace("validation: {", "validation: {mode: AllowInsecureFallback, ");
    let checked = |frontend: &str| {
        let listener_text =
            "{name: l, port: 443, protocol: HTTPS, tls: {certificateRefs: [{name: pair}]}}";
        let tls = format!("gatewayClassName: istio, tls: {{frontend: {{{frontend}}}}},");
        let converted = convert(&[
            gateway(listener_text).replace("gatewayClassName: istio,", &tls),
            of_core("Secret", "pair", serde_json::json!({"tls.crt": pem, "tls.key": key})),
            of_core("ConfigMap", "ca", serde_json::json!({"ca.crt": pem})),
            of_core("ConfigMap", "bad", serde_json::json!({"ca.crt": "hello"})),
        ]);
        let settings = converted.gateways.first().map(|it| it.spec.servers[0].tls.clone().unwrap());
        let shown = settings
            .map(|it| (it.mode.as_str(), it.ca_cert_credential_name, it.insecure_skip_verify));
        let listener = listener(&converted, 0);
        let reasons = ["Accepted", "ResolvedRefs"]
            .map(|it| condition(&listener, it).split(':').next().unwrap().to_owned());
        (shown, reasons)
    };
    let good = ["True Accepted".to_owned(), "True ResolvedRefs".to_owned()];
    let ca = || "configmap://infra/ca-cacert".to_owned();
    let mutual = (Some(("MUTUAL", ca(), Some(false))), good.clone());
    assert_eq!(checked(&format!("default: {}", authority("ca"))), mutual);
    let per_port = format!(
        "default: {}, perPort: [{{port: 443, tls: {}}}]",
        authority("bad"),
        authority("ca")
    );
    assert_eq!(checked(&per_port), mutual);
    let other_port = format!("perPort: [{{port: 444, tls: {}}}]", authority("ca"));
    assert_eq!(checked(&other_port), (Some(("SIMPLE", String::new(), None)), good.clone()));
    let optional = (Some(("OPTIONAL_MUTUAL", ca(), Some(true))), good);
    assert_eq!(checked(&format!("default: {insecure}")), optional);
    let bad = ["False NoValidCACertificate".to_owned(), "False InvalidCACertificateRef".to_owned()];
    assert_eq!(checked(&format!("default: {}", authority("bad"))), (None, bad.clone()));
    assert_eq!(checked(&format!("default: {}", authority("missing"))), (None, bad));
}
