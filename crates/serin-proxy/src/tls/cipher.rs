//! Cipher suites by OpenSSL's names.

use rustls::crypto::aws_lc_rs::cipher_suite as suite;
use rustls::{CipherSuite, SupportedCipherSuite};

/// Suites of TLS 1.2, in Envoy's order of preference.
const TLS12: [(&str, SupportedCipherSuite); 6] = [
    ("ECDHE-ECDSA-AES128-GCM-SHA256", suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256),
    ("ECDHE-ECDSA-CHACHA20-POLY1305", suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256),
    ("ECDHE-RSA-AES128-GCM-SHA256", suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256),
    ("ECDHE-RSA-CHACHA20-POLY1305", suite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256),
    ("ECDHE-ECDSA-AES256-GCM-SHA384", suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384),
    ("ECDHE-RSA-AES256-GCM-SHA384", suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384),
];

/// Suites of TLS 1.3, which no setting changes.
const TLS13: [(&str, SupportedCipherSuite); 3] = [
    ("TLS_AES_128_GCM_SHA256", suite::TLS13_AES_128_GCM_SHA256),
    ("TLS_AES_256_GCM_SHA384", suite::TLS13_AES_256_GCM_SHA384),
    ("TLS_CHACHA20_POLY1305_SHA256", suite::TLS13_CHACHA20_POLY1305_SHA256),
];

/// Suites to offer, and names that stand for none that is supported.
#[derive(Debug)]
pub(super) struct Suites<'n> {
    pub(super) offered: Vec<SupportedCipherSuite>,
    pub(super) unsupported: Vec<&'n str>,
    /// TLS 1.2 was asked for by names, none of which is supported.
    pub(super) none_of_tls12: bool,
}

/// The suites that `names` mean; all if there are none. As in BoringSSL, names choose among those of TLS 1.2 only.
pub(super) fn suites<'n>(names: impl Iterator<Item = &'n str>) -> Suites<'n> {
    let (mut chosen, mut unsupported, mut is_any_named) = (Vec::new(), Vec::new(), false);
    for name in names {
        is_any_named |= !is_tls13(name);
        match TLS12.iter().find(|(known, _)| *known == name) {
            Some((_, suite)) if !chosen.contains(suite) => chosen.push(*suite),
            Some(_) => {}
            None if is_tls13(name) => {}
            None => unsupported.push(name),
        }
    }
    if !is_any_named {
        chosen.extend(TLS12.map(|(_, suite)| suite));
    }
    let none_of_tls12 = chosen.is_empty();
    let offered = TLS13.iter().map(|(_, suite)| *suite).chain(chosen).collect();
    Suites { offered, unsupported, none_of_tls12 }
}

fn is_tls13(name: &str) -> bool {
    TLS13.iter().any(|(known, _)| *known == name)
}

/// OpenSSL's name of a suite.
pub(super) fn name(suite: CipherSuite) -> &'static str {
    let all = TLS13.iter().chain(&TLS12);
    all.clone().find(|(_, known)| known.suite() == suite).map_or("-", |(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(names: &str, offered: &[&str], unsupported: &[&str]) {
        let suites = suites(names.split(':').filter(|it| !it.is_empty()));
        let tls12: Vec<_> =
            suites.offered.iter().skip(TLS13.len()).map(|it| name(it.suite())).collect();
        assert_eq!(tls12, offered);
        assert_eq!(suites.unsupported, unsupported);
        assert_eq!(suites.none_of_tls12, offered.is_empty());
    }

    #[test]
    fn names_choose_among_the_suites_of_tls_1_2() {
        check("", &TLS12.map(|(name, _)| name), &[]);
        check("TLS_AES_128_GCM_SHA256", &TLS12.map(|(name, _)| name), &[]);
        let one = "ECDHE-RSA-AES256-GCM-SHA384";
        check(one, &[one], &[]);
        check(&format!("{one}:AES128-SHA:{one}"), &[one], &["AES128-SHA"]);
        check("AES128-SHA:NONSENSE", &[], &["AES128-SHA", "NONSENSE"]);
    }
}
