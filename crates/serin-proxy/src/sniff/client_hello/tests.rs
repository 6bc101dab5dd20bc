use std::sync::Arc;

use proptest::prelude::*;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore};

use super::*;

/// The first bytes that a real client sends.
fn real(server_name: &'static str, protocols: &[&str]) -> Vec<u8> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|it| it.as_bytes().to_vec()).collect();
    let name = ServerName::try_from(server_name).unwrap();
    let mut connection = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut bytes = Vec::new();
    connection.write_tls(&mut bytes).unwrap();
    bytes
}

fn expected() -> ClientHello {
    ClientHello {
        server_name: "www.example.com".to_owned(),
        protocols: vec!["h2".to_owned(), "http/1.1".to_owned()],
    }
}

#[test]
fn server_name_and_protocols_of_a_real_client_are_found() {
    let bytes = real("WWW.example.com", &["h2", "http/1.1"]);
    assert_eq!(ClientHello::read(&bytes), Look::Found(expected()));
    let bare = real("127.0.0.1", &[]);
    assert_eq!(ClientHello::read(&bare), Look::Found(ClientHello::default()));
}

#[test]
fn every_beginning_asks_for_more() {
    let bytes = real("www.example.com", &["h2", "http/1.1"]);
    for end in 0..bytes.len() {
        assert_eq!(ClientHello::read(&bytes[..end]), Look::More, "{end} of {}", bytes.len());
    }
}

#[test]
fn a_message_may_be_spread_over_records() {
    let bytes = real("www.example.com", &["h2", "http/1.1"]);
    let mut spread = Vec::new();
    for fragment in bytes[5..].chunks(7) {
        spread.extend_from_slice(&[22, 3, 1, 0, u8::try_from(fragment.len()).unwrap()]);
        spread.extend_from_slice(fragment);
    }
    assert_eq!(ClientHello::read(&spread), Look::Found(expected()));
}

#[test]
fn what_is_not_tls_is_told_at_once() {
    for other in
        [&b"GET / HTTP/1.1\r\n"[..], b"\x16\x02", b"\x80\x2e\x01\x03\x01", b"\x16\x03\x01\0\0"]
    {
        assert_eq!(ClientHello::read(other), Look::Not, "{other:?}");
    }
    let mut other_message = real("www.example.com", &[]);
    other_message[5] = 2;
    assert_eq!(ClientHello::read(&other_message), Look::Not);
}

proptest! {
    #[test]
    fn no_bytes_break_it(
        place in 0_usize..1800, byte: u8, cut in 0_usize..1800,
    ) {
        let mut bytes = real("www.example.com", &["h2", "http/1.1"]);
        let place = place % bytes.len();
        bytes[place] = byte;
        bytes.truncate(bytes.len().max(1) - cut % bytes.len());
        let _ = ClientHello::read(&bytes);
    }
}
