//! Pairs of certificates and keys made for these tests; `other.*` belong to no certificate.

use super::*;

macro_rules! pem {
    ($name:literal) => {
        include_str!(concat!("testdata/", $name))
    };
}

fn entries(of: &[(&str, &str)]) -> Entries {
    of.iter().map(|(name, content)| ((*name).to_owned(), content.as_bytes().to_vec())).collect()
}

#[track_caller]
fn check(cert: &str, key: &str, expect: Result<(), &str>) {
    let found = check_key_pair(&entries(&[("tls.crt", cert), ("tls.key", key)]));
    let malformed = |it: &str| format!("the certificate is malformed: tls: {it}");
    assert_eq!(found, expect.map_err(malformed));
}

#[test]
fn a_certificate_goes_with_its_own_key_in_every_form() {
    check(pem!("rsa.crt"), pem!("rsa.key"), Ok(()));
    check(pem!("rsa.crt"), pem!("rsa.pkcs1"), Ok(()));
    check(pem!("ec.crt"), pem!("ec.key"), Ok(()));
    check(pem!("ec.crt"), pem!("ec.sec1"), Ok(()));
    check(pem!("ed.crt"), pem!("ed.key"), Ok(()));
}

#[test]
fn a_certificate_does_not_go_with_another_key() {
    check(pem!("rsa.crt"), pem!("other.pkcs1"), Err("private key does not match public key"));
    check(pem!("ec.crt"), pem!("other.sec1"), Err("private key does not match public key"));
    let types = "private key type does not match public key type";
    check(pem!("rsa.crt"), pem!("ec.key"), Err(types));
    check(pem!("ec.crt"), pem!("rsa.key"), Err(types));
}

#[test]
fn what_is_not_a_pair_says_what_it_lacks() {
    check("hello", pem!("rsa.key"), Err("failed to find any PEM data in certificate input"));
    check(pem!("rsa.crt"), "hello", Err("failed to find any PEM data in key input"));
    let switched =
        "the certificate input holds no certificate, only PEM blocks of type PRIVATE KEY";
    check(pem!("rsa.key"), pem!("rsa.crt"), Err(switched));
}

#[test]
fn both_names_of_the_entries_are_known_and_the_short_ones_win() {
    let found = |of: &[(&str, &str)]| check_key_pair(&entries(of));
    let (cert, key) = (pem!("ec.crt"), pem!("ec.key"));
    assert_eq!(found(&[("cert", cert), ("key", key), ("tls.crt", "x"), ("tls.key", "x")]), Ok(()));
    let missing = "found secret, but didn't have expected keys (cert and key) or (tls.crt and tls.key); found: a, cert";
    assert_eq!(found(&[("cert", cert), ("a", "")]), Err(missing.to_owned()));
}

#[test]
fn authorities_are_found_by_either_name() {
    let found = |of: &[(&str, &str)]| authorities(&entries(of)).map(<[u8]>::to_vec);
    assert_eq!(found(&[("ca.crt", "a")]), Ok(b"a".to_vec()));
    assert_eq!(found(&[("ca.crt", "a"), ("cacert", "b")]), Ok(b"b".to_vec()));
    assert!(found(&[("ca.crt", "")]).is_err());
    assert!(found(&[("other", "a")]).is_err());
}

#[test]
fn a_bundle_holds_at_least_one_certificate_that_can_be_read() {
    assert!(has_certificate(pem!("ec.crt").as_bytes()));
    assert!(has_certificate(
        concat!(include_str!("testdata/ec.key"), include_str!("testdata/ec.crt")).as_bytes()
    ));
    assert!(!has_certificate(pem!("ec.key").as_bytes()));
    assert!(!has_certificate(b"hello"));
}

#[test]
fn cut_or_odd_der_is_no_key() {
    for bytes in [
        &[][..],
        &[0x30],
        &[0x30, 0x84, 0xff, 0xff, 0xff, 0xff],
        &[0x30, 0x85, 1, 1, 1, 1, 1],
        &[0x30, 3, 2, 1, 0],
    ] {
        assert!(private_key(bytes).is_none(), "{bytes:?}");
    }
}
