//! How servers terminate TLS.

use serin_routing::model::{CertificateSource, DownstreamTls, MutualMode, TlsVersion};

use super::*;

/// How a server on 443 with these fields of `tls` terminates TLS, beside the objects of `text`.
fn terminated(protocol: &str, fields: &str, text: &str) -> (DownstreamTls, Edge) {
    let vs =
        rules("vs", "gateways: [gw], hosts: ['*'], tcp: [{route: [{destination: {host: a}}]}]");
    let edge = edge(&all(&[gw("gw", &tls(protocol, 443, "a.com", fields)), vs, text.to_owned()]));
    let tls = edge.listeners["0.0.0.0_8443"].filter_chains[0].tls.clone().unwrap();
    (tls, edge)
}

const NOTHING_ELSE: &str = "{kind: Namespace, metadata: {name: default}}";

fn https_with(fields: &str) -> DownstreamTls {
    terminated("HTTPS", fields, NOTHING_ELSE).0
}

fn source(it: &CertificateSource) -> String {
    match it {
        CertificateSource::Secret { namespace, name } => format!("secret {namespace}/{name}"),
        CertificateSource::ConfigMap { namespace, name } => format!("map {namespace}/{name}"),
        CertificateSource::Files { certificate, private_key } => {
            format!("{certificate} {private_key}")
        }
        CertificateSource::Workload => "workload".to_owned(),
        CertificateSource::System => "system".to_owned(),
    }
}

fn alpn(tls: &DownstreamTls) -> Vec<&str> {
    tls.alpn.iter().map(|it| &**it).collect()
}

#[test]
fn simple_tls_has_a_certificate_and_asks_for_none() {
    let tls = https_with("mode: SIMPLE, credentialName: cert");
    assert_eq!(
        tls.certificates.iter().map(source).collect::<Vec<_>>(),
        ["secret istio-system/cert"]
    );
    assert_eq!((tls.client, tls.client_ca.clone()), (MutualMode::None, None));
    assert_eq!((tls.min_version, tls.max_version), (Some(TlsVersion::V1_2), None));
    assert_eq!(alpn(&tls), ["h2", "http/1.1"]);
    assert!(!tls.mesh);
}

#[test]
fn certificates_come_from_secrets_or_files() {
    let check = |fields: &str, expect: &[&str]| {
        let tls = https_with(&format!("mode: SIMPLE, {fields}"));
        assert_eq!(tls.certificates.iter().map(source).collect::<Vec<_>>(), expect, "{fields}");
    };
    check(
        "credentialNames: [rsa, ecdsa]",
        &["secret istio-system/rsa", "secret istio-system/ecdsa"],
    );
    check("credentialName: 'kubernetes://cert'", &["secret istio-system/cert"]);
    check("credentialName: 'builtin://'", &["workload"]);
    check("serverCertificate: /c, privateKey: /k", &["/c /k"]);
    check(
        "tlsCertificates: [{serverCertificate: /a, privateKey: /b}, {serverCertificate: /c, privateKey: /d}]",
        &["/a /b", "/c /d"],
    );
}

#[test]
fn secrets_of_other_namespaces_need_a_grant() {
    let check = |name: &str, text: &str, expect: &[&str], refused: usize| {
        let fields = format!("mode: SIMPLE, credentialName: '{name}'");
        let (tls, edge) = terminated("HTTPS", &fields, text);
        assert_eq!(tls.certificates.iter().map(source).collect::<Vec<_>>(), expect, "{name}");
        assert_eq!(found(&edge, "SRN0507").len(), refused, "{name}");
    };
    check("kubernetes://other/cert", NOTHING_ELSE, &[], 1);
    check("kubernetes-gateway://other/cert", NOTHING_ELSE, &[], 1);
    // The Gateway's own namespace.
    check("kubernetes-gateway://default/cert", NOTHING_ELSE, &["secret default/cert"], 0);
    check("kubernetes-gateway://istio-system/cert", NOTHING_ELSE, &["secret istio-system/cert"], 0);
}

#[test]
fn a_gateway_of_the_gateway_api_may_use_what_it_is_granted() {
    let granted = |kind: &str, from: &str| {
        let text = format!(
            "
kind: ReferenceGrant
apiVersion: gateway.networking.k8s.io/v1beta1
metadata: {{name: grant, namespace: other}}
spec: {{from: [{{group: gateway.networking.k8s.io, kind: {kind}, namespace: {from}}}], to: [{{group: '', kind: Secret}}]}}
---
kind: Gateway
metadata:
  name: gw
  namespace: istio-system
  annotations:
    internal.istio.io/gateway-service: ingress.istio-system.svc.cluster.local
    internal.istio.io/parents: Gateway/gw/secure.istio-system
spec: {{servers: [{{port: {{number: 443, name: default, protocol: HTTPS}}, hosts: ['*/a.com'], tls: {{mode: SIMPLE, credentialName: 'kubernetes-gateway://other/cert'}}}}]}}
"
        );
        let edge = edge(&text);
        let tls = edge.listeners["0.0.0.0_8443"].filter_chains[0].tls.clone().unwrap();
        !tls.certificates.is_empty()
    };
    assert!(granted("Gateway", "istio-system"));
    assert!(!granted("Gateway", "default"));
    assert!(!granted("ListenerSet", "istio-system"));
}

#[test]
fn clients_are_checked_against_authorities() {
    const APART: &str = "{kind: Secret, metadata: {name: cert-cacert, namespace: istio-system}}";
    let check = |fields: &str, text: &str, client: MutualMode, expect: Option<&str>| {
        let (tls, _) = terminated("HTTPS", fields, text);
        assert_eq!(tls.client, client, "{fields}");
        assert_eq!(tls.client_ca.as_ref().map(source).as_deref(), expect, "{fields}");
    };
    let required = MutualMode::Required;
    let mutual = "mode: MUTUAL, credentialName: cert";
    check(mutual, NOTHING_ELSE, required, Some("secret istio-system/cert"));
    check(mutual, APART, required, Some("secret istio-system/cert-cacert"));
    let named = format!("{mutual}, caCertCredentialName: authority");
    check(&named, NOTHING_ELSE, required, Some("secret istio-system/authority"));
    let map = format!("{mutual}, caCertCredentialName: 'configmap://other/authority-cacert'");
    check(&map, NOTHING_ELSE, required, Some("map other/authority"));
    let files = "serverCertificate: /c, privateKey: /k, caCertificates: /ca";
    check(&format!("mode: MUTUAL, {files}"), NOTHING_ELSE, required, Some("/ca "));
    check(
        &format!("mode: OPTIONAL_MUTUAL, {files}"),
        NOTHING_ELSE,
        MutualMode::Optional,
        Some("/ca "),
    );
    check(&format!("mode: SIMPLE, {files}"), NOTHING_ELSE, MutualMode::None, None);
    let anyone = format!("mode: OPTIONAL_MUTUAL, {files}, insecureSkipVerify: true");
    check(&anyone, NOTHING_ELSE, MutualMode::Optional, None);
}

#[test]
fn what_a_client_s_certificate_must_have_counts_where_it_is_asked_for() {
    let lists = "subjectAltNames: [a], verifyCertificateSpki: [b], verifyCertificateHash: [c]";
    let count = |mode: &str| {
        let tls = https_with(&format!("mode: {mode}, credentialName: cert, {lists}"));
        tls.subject_alt_names.len() + tls.verify_spki.len() + tls.verify_hash.len()
    };
    assert_eq!(count("MUTUAL"), 3);
    assert_eq!(count("OPTIONAL_MUTUAL"), 3);
    assert_eq!(count("SIMPLE"), 0);
}

#[test]
fn mutual_tls_of_the_mesh_has_the_workload_s_identity() {
    let fields = "mode: ISTIO_MUTUAL, subjectAltNames: ['spiffe://x']";
    for (protocol, names) in [
        ("HTTPS", &["h2", "http/1.1"][..]),
        ("TLS", &["istio-peer-exchange", "h2", "http/1.1"][..]),
    ] {
        let (tls, _) = terminated(protocol, fields, NOTHING_ELSE);
        assert!(tls.mesh);
        assert_eq!(tls.client, MutualMode::Required);
        assert_eq!(tls.certificates, [CertificateSource::Workload]);
        assert_eq!(tls.subject_alt_names.len(), 1);
        assert_eq!(alpn(&tls), names, "{protocol}");
    }
}

#[test]
fn versions_and_cipher_suites_are_the_server_s_or_the_mesh_s() {
    let fields = "mode: SIMPLE, credentialName: cert, minProtocolVersion: TLSV1_3, maxProtocolVersion: TLSV1_3, cipherSuites: [X]";
    let tls = https_with(fields);
    assert_eq!(
        (tls.min_version, tls.max_version),
        (Some(TlsVersion::V1_3), Some(TlsVersion::V1_3))
    );
    assert_eq!(tls.cipher_suites.len(), 1);

    let text = format!("{SERVICES}\n---\n{}", gw("gw", &https(443, "a.com")));
    let snapshot = cluster_with(&text, |mesh| {
        let written =
            serde_json::json!({"minProtocolVersion": "TLSV1_3", "cipherSuites": ["A", "B"]});
        mesh.tls_defaults = Some(serde_json::from_value(written).unwrap());
    });
    let edge = edge_in(&snapshot, &ingress());
    let tls = edge.listeners["0.0.0.0_8443"].filter_chains[0].tls.clone().unwrap();
    assert_eq!(tls.min_version, Some(TlsVersion::V1_3));
    assert_eq!(tls.cipher_suites.len(), 2);
}
