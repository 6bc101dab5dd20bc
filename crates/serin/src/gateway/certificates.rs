//! What Secrets and ConfigMaps hold of certificates, keys and authorities (Istio's names of their entries).

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serin_api::core::{ConfigMap, Secret};
use serin_api::{AnyObject, Meta};
use serin_proxy::Pem;
use serin_routing::model::CertificateSource;
use serin_translate::Objects;

/// Entries for the certificate, its key and the authorities; the first that is there counts.
const CERTIFICATE: [&str; 2] = ["cert", "tls.crt"];
const PRIVATE_KEY: [&str; 2] = ["key", "tls.key"];
const AUTHORITIES: [&str; 2] = ["cacert", "ca.crt"];

/// What all Secrets and ConfigMaps among the objects hold.
pub(super) fn of_objects(objects: &[AnyObject]) -> Vec<(CertificateSource, Pem)> {
    let names = |meta: &Meta| (Arc::from(meta.namespace.as_str()), Arc::from(meta.name.as_str()));
    let held = objects.iter().filter_map(|object| match object {
        AnyObject::Secret(secret) => {
            let (namespace, name) = names(&secret.meta);
            Some((CertificateSource::Secret { namespace, name }, of_secret(&secret.spec)))
        }
        AnyObject::ConfigMap(map) => {
            let (namespace, name) = names(&map.meta);
            Some((CertificateSource::ConfigMap { namespace, name }, of_config_map(&map.spec)))
        }
        _ => None,
    });
    held.collect()
}

/// The same of the objects of a snapshot.
pub(crate) fn of_snapshot(objects: &Objects) -> Vec<(CertificateSource, Pem)> {
    let names = |meta: &Meta| (Arc::from(meta.namespace.as_str()), Arc::from(meta.name.as_str()));
    let secrets = objects.secrets.iter().map(|secret| {
        let (namespace, name) = names(&secret.meta);
        (CertificateSource::Secret { namespace, name }, of_secret(&secret.spec))
    });
    let maps = objects.config_maps.iter().map(|map| {
        let (namespace, name) = names(&map.meta);
        (CertificateSource::ConfigMap { namespace, name }, of_config_map(&map.spec))
    });
    secrets.chain(maps).collect()
}

/// What a Secret holds. Entries that are not base64 count as not there.
fn of_secret(secret: &Secret) -> Pem {
    let decode = |text: &String| {
        // Line breaks are allowed within.
        let text: String = text.split_ascii_whitespace().collect();
        BASE64_STANDARD.decode(text).ok()
    };
    let entry = |names: [&str; 2]| {
        first(names, |name| {
            let plain = secret.string_data.get(name).map(|text| text.clone().into_bytes());
            plain.or_else(|| secret.data.get(name).and_then(decode))
        })
    };
    Pem {
        certificate: entry(CERTIFICATE),
        private_key: entry(PRIVATE_KEY),
        authorities: entry(AUTHORITIES),
    }
}

/// What a ConfigMap holds: authorities only.
fn of_config_map(map: &ConfigMap) -> Pem {
    let entries: &BTreeMap<String, String> = &map.data;
    let entry = |name: &str| entries.get(name).map(|text| text.clone().into_bytes());
    Pem { authorities: first(AUTHORITIES, entry), ..Pem::default() }
}

fn first(names: [&str; 2], entry: impl Fn(&str) -> Option<Vec<u8>>) -> Vec<u8> {
    names
        .into_iter()
        .find_map(|name| entry(name).filter(|bytes| !bytes.is_empty()))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(data: &[(&str, &str)], string_data: &[(&str, &str)], expect: [&str; 3]) {
        let map = |entries: &[(&str, &str)]| {
            entries.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        let secret = Secret { data: map(data), string_data: map(string_data), ..Secret::default() };
        let pem = of_secret(&secret);
        let found = [&pem.certificate, &pem.private_key, &pem.authorities];
        assert_eq!(found.map(|bytes| String::from_utf8_lossy(bytes).into_owned()), expect);
    }

    #[test]
    fn entries_go_by_istios_names() {
        check(
            &[("tls.crt", "YQ=="), ("tls.key", "Yg=="), ("ca.crt", "Yw==")],
            &[],
            ["a", "b", "c"],
        );
        check(&[("cert", "YQ=="), ("key", "Yg=="), ("cacert", "Y\nw==")], &[], ["a", "b", "c"]);
        check(
            &[("tls.crt", "YQ=="), ("tls.key", "???")],
            &[("tls.crt", "plain")],
            ["plain", "", ""],
        );
    }
}
