//! Terminating TLS.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use serin_proxy::Pem;
use serin_routing::model::*;

use crate::pki::{Authority, Client, Key, secret, shown};
use crate::support::{HOST, Running, Setup, connect, echo};

const GET: &str = "GET / HTTP/1.1\r\nHost: echo.example\r\nConnection: close\r\n\r\n";

/// Shows the certificates of Secrets to everyone.
pub(crate) fn showing(secrets: &[&str]) -> DownstreamTls {
    DownstreamTls {
        client: MutualMode::None,
        certificates: secrets.iter().map(|name| secret(name)).collect(),
        client_ca: None,
        subject_alt_names: Vec::new(),
        verify_spki: Vec::new(),
        verify_hash: Vec::new(),
        min_version: Some(TlsVersion::V1_2),
        max_version: None,
        cipher_suites: Vec::new(),
        alpn: vec!["h2".into(), "http/1.1".into()],
        mesh: false,
    }
}

/// A proxy that terminates TLS, with an upstream that tells what it got.
fn start(tls: DownstreamTls, pems: &[(&str, &Pem)]) -> Running {
    start_with(tls, pems, |_| {})
}

fn start_with(
    tls: DownstreamTls,
    pems: &[(&str, &Pem)],
    change: impl FnOnce(&mut Setup),
) -> Running {
    let mut setup = Setup::new(echo());
    change(&mut setup);
    setup.chains = vec![FilterChain {
        name: "https".into(),
        criteria: FilterChainMatch::default(),
        tls: Some(tls),
        filter: NetworkFilter::Http(setup.http.clone()),
    }];
    setup.certificates = pems.iter().map(|(name, pem)| (secret(name), Pem::clone(pem))).collect();
    setup.start()
}

#[test]
fn tls_is_terminated_and_the_upstream_is_told() {
    let authority = Authority::new("root");
    let running = start(showing(&["web"]), &[("web", &authority.issue(&[HOST]))]);
    assert!(running.tls.is_empty(), "{:?}", running.tls);
    let answer = Client::new(&authority, HOST).talk(running.address, GET).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.contains("x-forwarded-proto: https"), "{answer}");
    assert!(!answer.contains("x-forwarded-client-cert"), "{answer}");
}

#[test]
fn bodies_of_many_records_go_through_whole() {
    let authority = Authority::new("root");
    let running = start(showing(&["web"]), &[("web", &authority.issue(&[HOST]))]);
    let body = "0123456789abcdef".repeat(40_000);
    let request = format!(
        "POST / HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let answer = Client::new(&authority, HOST).talk(running.address, &request).unwrap();
    assert!(answer.ends_with(&body), "{} bytes came back", answer.len());
}

#[test]
fn the_certificate_goes_by_server_name_then_by_key_then_by_order() {
    let authority = Authority::new("root");
    let pems = [
        ("first", authority.issue_for(Key::Rsa, &["first.example"])),
        ("wild", authority.issue(&["*.wild.example"])),
        ("exact", authority.issue(&["a.wild.example"])),
        ("rsa", authority.issue_for(Key::Rsa, &["both.example", "rsa.example"])),
        ("ecdsa", authority.issue(&["both.example", "ecdsa.example"])),
    ];
    let names: Vec<&str> = pems.iter().map(|(name, _)| *name).collect();
    let pems: Vec<(&str, &Pem)> = pems.iter().map(|(name, pem)| (*name, pem)).collect();
    let running = start(showing(&names), &pems);
    let ask = |suite: &str, name: &str| {
        shown(&Client::new(&authority, name).suite(suite).open(running.address).unwrap())
    };
    assert_eq!(ask("ECDHE", "A.wild.example"), "a.wild.example");
    assert_eq!(ask("ECDHE", "b.wild.example"), "*.wild.example");
    let both = |suite| {
        let stream = Client::new(&authority, "both.example").suite(suite).open(running.address);
        let der = stream.unwrap().conn.peer_certificates().unwrap()[0].to_vec();
        let text = String::from_utf8_lossy(&der).into_owned();
        text.contains("ecdsa.example")
    };
    assert!(both("ECDHE"));
    assert!(both("ECDSA"));
    assert!(!both("ECDHE_RSA"));
    assert_eq!(ask("ECDHE", "unknown.example"), "first.example");
    assert_eq!(ask("ECDHE", "127.0.0.1"), "first.example");
    // The first has a key that this client cannot check.
    assert_eq!(ask("ECDSA", "unknown.example"), "*.wild.example");
}

#[test]
fn application_protocols_are_agreed_on_or_left_open() {
    let authority = Authority::new("root");
    let running = start(showing(&["web"]), &[("web", &authority.issue(&[HOST]))]);
    for (offered, agreed) in [
        (&["http/1.1", "h2"][..], Some(&b"h2"[..])),
        (&["http/1.1"], Some(b"http/1.1")),
        (&["acme"], None),
        (&[], None),
    ] {
        let stream = Client::new(&authority, HOST).alpn(offered).open(running.address).unwrap();
        assert_eq!(stream.conn.alpn_protocol(), agreed, "{offered:?}");
    }
    let only_http1 =
        start_with(showing(&["web"]), &[("web", &authority.issue(&[HOST]))], |setup| {
            setup.http.codec = Codec::Http1;
        });
    let client = Client::new(&authority, HOST).alpn(&["h2", "http/1.1"]);
    let stream = client.open(only_http1.address).unwrap();
    assert_eq!(stream.conn.alpn_protocol(), Some(&b"http/1.1"[..]));
}

/// Asks for certificates of an authority's clients.
fn mutual(client: MutualMode) -> DownstreamTls {
    DownstreamTls { client, client_ca: Some(secret("web")), ..showing(&["web"]) }
}

#[test]
fn clients_certificates_are_required_optional_or_refused() {
    let (authority, stranger) = (Authority::new("root"), Authority::new("stranger"));
    let web = authority.issue(&[HOST]);
    let good = authority.issue(&["client.example", "spiffe://cluster.local/ns/a/sa/b"]);
    let bad = stranger.issue(&["client.example"]);
    let none = Client::new(&authority, HOST);
    let good = Client::with_certificate(&authority, HOST, &good);
    let bad = Client::with_certificate(&authority, HOST, &bad);
    for (mode, without) in [(MutualMode::Required, false), (MutualMode::Optional, true)] {
        let running = start(mutual(mode), &[("web", &web)]);
        let answers = |client: &Client| client.talk(running.address, GET).is_ok();
        assert_eq!((answers(&none), answers(&good), answers(&bad)), (without, true, false));
        let answer = good.talk(running.address, GET).unwrap();
        assert!(answer.contains("x-forwarded-client-cert: Hash="), "{answer}");
        assert!(answer.contains("Subject=\"CN=client.example\""), "{answer}");
        assert!(
            answer.contains("URI=spiffe://cluster.local/ns/a/sa/b;DNS=client.example"),
            "{answer}"
        );
    }
}

#[test]
fn a_session_without_a_certificate_is_not_resumed_where_one_is_required() {
    let authority = Authority::new("root");
    let web = authority.issue(&[HOST]);
    let open = start(showing(&["web"]), &[("web", &web)]);
    let closed = start(mutual(MutualMode::Required), &[("web", &web)]);
    let client = Client::new(&authority, HOST);
    assert!(client.talk(open.address, GET).is_ok());
    let mut resumed = client.open(open.address).unwrap();
    resumed.write_all(GET.as_bytes()).unwrap();
    resumed.read_exact(&mut [0]).unwrap();
    assert_eq!(resumed.conn.handshake_kind(), Some(rustls::HandshakeKind::Resumed));
    assert!(client.talk(closed.address, GET).is_err());
}

#[test]
fn names_and_pins_narrow_down_who_may_connect() {
    let authority = Authority::new("root");
    let web = authority.issue(&[HOST]);
    let own = authority.issue(&["client.example"]);
    let client = Client::with_certificate(&authority, HOST, &own);
    let hash = {
        use rustls::pki_types::pem::PemObject;
        let der = rustls::pki_types::CertificateDer::from_pem_slice(&own.certificate).unwrap();
        <sha2::Sha256 as sha2::Digest>::digest(&der)
    };
    let hexadecimal: String = hash.iter().map(|byte| format!("{byte:02X}:")).collect();
    let hexadecimal = hexadecimal.trim_end_matches(':');
    let other = "00".repeat(32);
    let check = |change: &dyn Fn(&mut DownstreamTls), expect: bool| {
        let mut tls = mutual(MutualMode::Required);
        change(&mut tls);
        let running = start(tls, &[("web", &web)]);
        assert_eq!(client.talk(running.address, GET).is_ok(), expect);
    };
    check(&|tls| tls.subject_alt_names = vec!["client.example".into()], true);
    check(&|tls| tls.subject_alt_names = vec!["other.example".into()], false);
    check(&|tls| tls.verify_hash = vec![hexadecimal.into()], true);
    check(&|tls| tls.verify_hash = vec![other.as_str().into()], false);
    check(&|tls| tls.verify_hash = vec!["nonsense".into()], false);
    check(
        &|tls| tls.verify_spki = vec!["AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=".into()],
        false,
    );
}

#[test]
fn a_client_that_can_check_no_certificate_is_told_that_the_handshake_failed() {
    let authority = Authority::new("root");
    let web = authority.issue(&[HOST]);
    let running = start(showing(&["web"]), &[("web", &web)]);
    let error = Client::new(&authority, HOST).suite("ECDHE_RSA").open(running.address).unwrap_err();
    assert!(error.to_string().contains("HandshakeFailure"), "{error}");
}

#[test]
fn versions_outside_the_range_are_refused() {
    let authority = Authority::new("root");
    let web = authority.issue(&[HOST]);
    let tls12 = Client::build(&authority, HOST, None, &[&rustls::version::TLS12]);
    let tls13 = Client::build(&authority, HOST, None, &[&rustls::version::TLS13]);
    let check = |lowest, highest, expect: (bool, bool)| {
        let tls = DownstreamTls { min_version: lowest, max_version: highest, ..showing(&["web"]) };
        let running = start(tls, &[("web", &web)]);
        let answers = |client: &Client| client.talk(running.address, GET).is_ok();
        assert_eq!((answers(&tls12), answers(&tls13)), expect, "{lowest:?} {highest:?}");
    };
    check(None, None, (true, true));
    check(Some(TlsVersion::V1_3), None, (false, true));
    check(None, Some(TlsVersion::V1_2), (true, false));
    check(Some(TlsVersion::V1_0), Some(TlsVersion::V1_1), (false, false));
}

#[test]
fn what_is_not_offered_is_told() {
    let authority = Authority::new("root");
    let web = authority.issue(&[HOST]);
    let check = |names: &[&str], expect: &[&str], serves: bool| {
        let cipher_suites = names.iter().map(|name| Arc::from(*name)).collect();
        let tls = DownstreamTls { cipher_suites, ..showing(&["web"]) };
        let running = start(tls, &[("web", &web)]);
        let reasons: Vec<&str> = running.tls.iter().map(|it| &*it.reason).collect();
        assert_eq!(reasons, expect);
        let answer = Client::build(&authority, HOST, None, &[&rustls::version::TLS12]);
        assert_eq!(answer.talk(running.address, GET).is_ok(), serves);
    };
    check(&["ECDHE-ECDSA-AES256-GCM-SHA384"], &[], true);
    check(
        &["ECDHE-ECDSA-AES256-GCM-SHA384", "AES128-SHA"],
        &["the cipher suite AES128-SHA is not supported; it is not offered"],
        true,
    );
    check(
        &["AES128-SHA"],
        &["the cipher suite AES128-SHA is not supported; it is not offered"],
        false,
    );
}

#[test]
fn a_chain_without_a_certificate_refuses_and_says_so() {
    let running = start(showing(&["web"]), &[]);
    let problem = &running.tls[0];
    assert_eq!(&*problem.reason, "Secret default/web does not exist");
    assert!(!problem.serves);
    assert!(Client::new(&Authority::new("root"), HOST).open(running.address).is_err());
}

#[test]
fn certificates_rotate_without_dropping_a_connection() {
    let authority = Authority::new("root");
    let mut running =
        start(showing(&["web"]), &[("web", &authority.issue(&["old.example", HOST]))]);
    let client = Client::new(&authority, HOST);
    let mut open = client.open(running.address).unwrap();
    assert_eq!(shown(&open), "old.example");
    let source = secret("web");
    let mut rotate = |pem: Pem| {
        running.proxy.certificates().set(source.clone(), Some(pem));
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let mut published = runtime.block_on(running.proxy.refresh());
        assert!(runtime.block_on(running.proxy.refresh()).is_empty());
        published.remove(0).1.tls
    };
    assert!(rotate(authority.issue(&["new.example", HOST])).is_empty());
    assert_eq!(shown(&Client::new(&authority, HOST).open(running.address).unwrap()), "new.example");
    let mismatched = Pem {
        private_key: authority.issue(&[HOST]).private_key,
        ..authority.issue(&["bad.example", HOST])
    };
    let problems = rotate(mismatched);
    assert!(problems[0].serves && problems[0].reason.contains("private key"), "{problems:?}");
    assert_eq!(shown(&Client::new(&authority, HOST).open(running.address).unwrap()), "new.example");
    open.write_all(GET.as_bytes()).unwrap();
    let mut answer = String::new();
    let _ = open.read_to_string(&mut answer);
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
}

#[test]
fn requests_for_another_name_than_the_connections_are_misdirected() {
    let authority = Authority::new("root");
    let web = authority.issue(&[HOST, "other.example"]);
    let running = start_with(showing(&["web"]), &[("web", &web)], |setup| {
        setup.http.strict_server_name = true
    });
    let status = |name: &str| {
        let answer = Client::new(&authority, name).talk(running.address, GET).unwrap();
        answer.split(' ').nth(1).unwrap().to_owned()
    };
    assert_eq!(status(HOST), "200");
    assert_eq!(status("other.example"), "421");
}

#[test]
fn a_client_that_does_not_finish_its_handshake_is_not_waited_for() {
    let authority = Authority::new("root");
    let web = authority.issue(&[HOST]);
    let running = start_with(showing(&["web"]), &[("web", &web)], |setup| {
        setup.settings.handshake_timeout = Duration::from_millis(100);
        setup.settings.handshakes_per_worker = 1;
    });
    let mut slow = connect(running.address);
    slow.write_all(&[22, 3, 1, 2]).unwrap();
    // The only leave to handshake is given back.
    let mut served = false;
    for _ in 0..100 {
        served = Client::new(&authority, HOST).talk(running.address, GET).is_ok();
        if served {
            break;
        }
    }
    assert!(served);
    let mut rest = Vec::new();
    assert!(slow.read_to_end(&mut rest).is_ok(), "the slow client is cut off");
}

#[test]
fn plain_text_on_a_tls_port_is_refused_with_an_alert() {
    let authority = Authority::new("root");
    let running = start(showing(&["web"]), &[("web", &authority.issue(&[HOST]))]);
    let mut plain = connect(running.address);
    plain.write_all(GET.as_bytes()).unwrap();
    plain.shutdown(Shutdown::Write).unwrap();
    let mut answer = Vec::new();
    let _ = plain.read_to_end(&mut answer);
    assert!(answer.is_empty() || answer.starts_with(&[21]), "{answer:?}");
}

#[test]
fn chains_are_chosen_by_server_name_and_each_has_its_own_certificate() {
    let authority = Authority::new("root");
    let mut setup = Setup::new(echo());
    setup.inspect.tls = true;
    for name in ["a", "b"] {
        let host = format!("{name}.example");
        setup.certificates.push((secret(name), authority.issue(&[&host])));
        setup.chains.push(FilterChain {
            name: name.into(),
            criteria: FilterChainMatch {
                server_names: vec![host.as_str().into()],
                ..FilterChainMatch::default()
            },
            tls: Some(showing(&[name])),
            filter: NetworkFilter::Http(setup.http.clone()),
        });
    }
    let running = setup.start();
    let shown_for =
        |name: &str| shown(&Client::new(&authority, name).open(running.address).unwrap());
    assert_eq!(shown_for("a.example"), "a.example");
    assert_eq!(shown_for("b.example"), "b.example");
    assert!(Client::new(&authority, "c.example").open(running.address).is_err());
    // A ClientHello that comes byte by byte is waited for.
    let slow = dribbled(running.address);
    assert_eq!(shown(&Client::new(&authority, "b.example").over(slow).unwrap()), "b.example");
}

/// A connection to a forwarder that passes bytes on one by one.
fn dribbled(address: SocketAddr) -> std::net::TcpStream {
    let forwarder = crate::support::upstream(move |mut client| {
        let mut server = connect(address);
        server.set_nodelay(true).unwrap();
        let (mut from, mut to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
        std::thread::spawn(move || {
            let mut byte = [0];
            while let Ok(1) = from.read(&mut byte) {
                if to.write_all(&byte).is_err() {
                    return;
                }
            }
        });
        let _ = std::io::copy(&mut server, &mut client);
    });
    connect(forwarder)
}

#[test]
fn http2_is_spoken_over_tls() {
    let authority = Authority::new("root");
    let running = start(showing(&["web"]), &[("web", &authority.issue(&[HOST]))]);
    let client = Client::new(&authority, HOST).alpn(&["h2"]);
    let mut stream = client.open(running.address).unwrap();
    // The preface and empty settings: the answer is settings, too.
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").unwrap();
    let mut frame = [0; 4];
    stream.read_exact(&mut frame).unwrap();
    assert_eq!(frame[3], 4, "{frame:?}");
}

#[test]
fn keep_alive_and_pipelining_work_over_tls() {
    let authority = Authority::new("root");
    let running = start(showing(&["web"]), &[("web", &authority.issue(&[HOST]))]);
    let get = format!("GET /a HTTP/1.1\r\nHost: {HOST}\r\n\r\n");
    let twice = get.clone() + &get + GET;
    let answer = Client::new(&authority, HOST).talk(running.address, &twice).unwrap();
    assert_eq!(answer.matches("HTTP/1.1 200 OK").count(), 3, "{answer}");
}
