//! Originating TLS.

use std::net::SocketAddr;
use std::sync::Arc;

use serin_proxy::Pem;
use serin_routing::model::*;

use crate::pki::{Authority, secret, secure_upstream};
use crate::support::{HOST, Running, Setup, talk};

const GET: &str = "GET / HTTP/1.1\r\nHost: echo.example:8443\r\nConnection: close\r\n\r\n";

/// TLS with servers of the authority in the Secret `ca`, with the request's host for a server name.
fn simple() -> Tls {
    Tls {
        mode: UpstreamTlsMode::Simple,
        certificate: None,
        ca: Some(secret("ca")),
        subject_alt_names: Vec::new(),
        server_name: "".into(),
        auto_server_name: true,
        alpn: Vec::new(),
        insecure: false,
    }
}

fn start(upstream: SocketAddr, tls: Tls, pems: &[(&str, &Pem)]) -> Running {
    let mut setup = Setup::new(upstream);
    setup.cluster().tls = ClusterTls::Always(tls);
    setup.certificates = pems.iter().map(|(name, pem)| (secret(name), Pem::clone(pem))).collect();
    setup.start()
}

fn authorities(authority: &Authority) -> Pem {
    Pem { authorities: authority.pem.clone().into_bytes(), ..Pem::default() }
}

#[test]
fn the_endpoints_certificate_must_be_for_the_host_that_is_asked_for() {
    let authority = Authority::new("root");
    let ca = authorities(&authority);
    let right = secure_upstream(&authority.issue(&[HOST]), None);
    let running = start(right, simple(), &[("ca", &ca)]);
    let answer = talk(running.address, GET);
    assert!(answer.ends_with("name echo.example client "), "{answer}");
    let wrong = secure_upstream(&authority.issue(&["other.example"]), None);
    let running = start(wrong, simple(), &[("ca", &ca)]);
    let answer = talk(running.address, GET);
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
}

#[test]
fn the_endpoints_certificate_must_come_from_the_authority() {
    let (authority, stranger) = (Authority::new("root"), Authority::new("stranger"));
    let ca = authorities(&authority);
    let upstream = secure_upstream(&stranger.issue(&[HOST]), None);
    let check = |tls: Tls, status: &str| {
        let answer = talk(start(upstream, tls, &[("ca", &ca)]).address, GET);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{answer}");
    };
    check(simple(), "503");
    check(Tls { insecure: true, ..simple() }, "200");
    check(Tls { ca: None, ..simple() }, "200");
    check(Tls { ca: Some(secret("missing")), ..simple() }, "503");
}

#[test]
fn listed_names_take_the_place_of_the_hosts() {
    let authority = Authority::new("root");
    let ca = authorities(&authority);
    let upstream =
        secure_upstream(&authority.issue(&["a.example", "spiffe://cluster.local/ns/a/sa/b"]), None);
    let check = |names: &[&str], status: &str| {
        let names = names.iter().map(|name| Arc::from(*name)).collect();
        let server_name = "fixed.example".into();
        let tls =
            Tls { subject_alt_names: names, server_name, auto_server_name: false, ..simple() };
        let answer = talk(start(upstream, tls, &[("ca", &ca)]).address, GET);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{answer}");
        assert!(status != "200" || answer.contains("name fixed.example"), "{answer}");
    };
    check(&["a.example"], "200");
    check(&["b.example", "spiffe://cluster.local/ns/a/sa/b"], "200");
    check(&["b.example"], "503");
    check(&[], "200");
}

#[test]
fn a_certificate_of_its_own_is_shown_where_both_sides_must() {
    let authority = Authority::new("root");
    let upstream = secure_upstream(&authority.issue(&[HOST]), Some(&authority));
    let own = authority.issue(&["proxy.example"]);
    let ca = authorities(&authority);
    let mutual =
        Tls { mode: UpstreamTlsMode::Mutual, certificate: Some(secret("own")), ..simple() };
    let running = start(upstream, mutual, &[("ca", &ca), ("own", &own)]);
    let answer = talk(running.address, GET);
    assert!(answer.ends_with("client CN=proxy.example"), "{answer}");
    let answer = talk(start(upstream, simple(), &[("ca", &ca)]).address, GET);
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
}

#[test]
fn connections_for_one_host_are_not_for_anothers_requests() {
    let authority = Authority::new("root");
    let names = ["a.example", "b.example", "*.example"];
    let upstream = secure_upstream(&authority.issue(&names), None);
    let mut setup = Setup::new(upstream);
    setup.cluster().tls = ClusterTls::Always(simple());
    setup.certificates = vec![(secret("ca"), authorities(&authority))];
    setup.domains = vec!["*".into()];
    let running = setup.start();
    let pair = "GET / HTTP/1.1\r\nHost: a.example\r\n\r\nGET / HTTP/1.1\r\nHost: b.example\r\nConnection: close\r\n\r\n";
    let answer = talk(running.address, pair);
    assert!(answer.contains("name a.example") && answer.contains("name b.example"), "{answer}");
}

#[test]
fn mesh_tls_is_for_endpoints_that_take_it() {
    let authority = Authority::new("root");
    let identity = authority.issue(&["spiffe://cluster.local/ns/default/sa/web"]);
    let upstream = secure_upstream(&identity, Some(&authority));
    let own = authority.issue(&["spiffe://cluster.local/ns/default/sa/gateway"]);
    let tls = Tls {
        mode: UpstreamTlsMode::IstioMutual,
        certificate: Some(CertificateSource::Workload),
        ca: Some(CertificateSource::Workload),
        subject_alt_names: vec!["spiffe://cluster.local/ns/default/sa/web".into()],
        server_name: "outbound_.80_._.web.default.svc.cluster.local".into(),
        auto_server_name: false,
        alpn: vec!["istio".into()],
        insecure: false,
    };
    let mut setup = Setup::new(upstream);
    setup.cluster().tls = ClusterTls::Automatic(tls);
    setup.endpoint_tls = EndpointTls::Mesh;
    setup.certificates = vec![(CertificateSource::Workload, own)];
    let answer = talk(setup.start().address, GET);
    assert!(answer.contains("name outbound_.80_._.web.default"), "{answer}");
}
