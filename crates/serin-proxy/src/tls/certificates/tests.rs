use rcgen::{CertificateParams, KeyPair};

use super::*;

fn source(name: &str) -> CertificateSource {
    CertificateSource::Secret { namespace: "default".into(), name: name.into() }
}

/// A certificate with its key.
fn own(name: &str) -> Pem {
    valid_until(name, 4000)
}

fn valid_until(name: &str, year: i32) -> Pem {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.not_after = rcgen::date_time_ymd(year, 1, 1);
    let certificate = params.self_signed(&key).unwrap();
    Pem {
        certificate: certificate.pem().into_bytes(),
        private_key: key.serialize_pem().into_bytes(),
        authorities: certificate.pem().into_bytes(),
    }
}

fn names(found: &Found<Identity>) -> Vec<&str> {
    found.0.iter().flat_map(|it| &it.names).map(|it| &**it).collect()
}

fn problem(found: &Found<Identity>) -> String {
    found.1.as_ref().map(ToString::to_string).unwrap_or_default()
}

#[test]
fn what_is_missing_is_named_and_what_is_there_is_read_once() {
    let mut certificates = Certificates::default();
    let found = certificates.identity(&source("web"));
    assert!(found.0.is_none());
    assert_eq!(problem(&found), "Secret default/web does not exist");
    certificates.set(source("web"), Some(own("Web.Example")));
    let first = certificates.identity(&source("web"));
    assert_eq!((names(&first), problem(&first)), (vec!["web.example"], String::new()));
    let second = certificates.identity(&source("web"));
    assert!(Arc::ptr_eq(first.0.as_ref().unwrap(), second.0.as_ref().unwrap()));
}

#[test]
fn the_last_good_certificate_stays_when_its_successor_is_not_good() {
    let mut certificates = Certificates::default();
    certificates.set(source("web"), Some(own("old.example")));
    let _ = certificates.identity(&source("web"));
    let mismatched = Pem { private_key: own("other").private_key, ..own("new.example") };
    let nonsense = Pem { certificate: b"nonsense".to_vec(), ..own("new.example") };
    let outdated = valid_until("new.example", 2001);
    for (bad, reason) in [
        (Some(mismatched), "Secret default/web: the private key is not the certificate's"),
        (Some(nonsense), "Secret default/web: there is no certificate"),
        (Some(outdated), "Secret default/web: the certificate is not valid at this time"),
        (None, "Secret default/web does not exist"),
    ] {
        certificates.set(source("web"), bad);
        let found = certificates.identity(&source("web"));
        assert_eq!((names(&found), &*problem(&found)), (vec!["old.example"], reason));
    }
    certificates.set(source("web"), Some(own("new.example")));
    let found = certificates.identity(&source("web"));
    assert_eq!((names(&found), problem(&found)), (vec!["new.example"], String::new()));
}

#[test]
fn an_outdated_certificate_is_better_than_none() {
    let mut certificates = Certificates::default();
    certificates.set(source("web"), Some(valid_until("web.example", 2001)));
    let found = certificates.identity(&source("web"));
    assert_eq!(names(&found), ["web.example"]);
    assert!(problem(&found).ends_with("not valid at this time"), "{}", problem(&found));
}

#[test]
fn authorities_stand_in_the_secret_beside_or_in_the_same() {
    let mut certificates = Certificates::default();
    let beside = own("beside");
    certificates.set(source("web"), Some(own("same")));
    let same = certificates.authorities(&source("web")).0.unwrap();
    certificates.set(source("web-cacert"), Some(beside));
    let found = certificates.authorities(&source("web")).0.unwrap();
    assert_ne!(same.certificates, found.certificates);
}

#[test]
fn files_are_read_again() {
    let folder = std::env::temp_dir().join(format!("serin-certificates-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let write = |pem: &Pem| {
        std::fs::write(path("tls.crt"), &pem.certificate).unwrap();
        std::fs::write(path("tls.key"), &pem.private_key).unwrap();
    };
    let source = CertificateSource::Files {
        certificate: path("tls.crt").into(),
        private_key: path("tls.key").into(),
    };
    let mut certificates = Certificates::default();
    write(&own("old.example"));
    assert_eq!(names(&certificates.identity(&source)), ["old.example"]);
    write(&own("new.example"));
    assert_eq!(names(&certificates.identity(&source)), ["new.example"]);
    std::fs::remove_dir_all(&folder).unwrap();
    assert_eq!(names(&certificates.identity(&source)), ["new.example"]);
}

#[test]
fn a_chain_is_kept_in_its_order() {
    let key = KeyPair::generate().unwrap();
    let leaf =
        CertificateParams::new(vec!["leaf.example".into()]).unwrap().self_signed(&key).unwrap();
    let other = own("other");
    let pem = Pem {
        certificate: [leaf.pem().into_bytes(), other.certificate].concat(),
        private_key: key.serialize_pem().into_bytes(),
        authorities: Vec::new(),
    };
    let found = Identity::parse(&source("web"), &pem).map_err(|it| it.to_string());
    let identity = found.unwrap().value;
    assert_eq!((identity.key.cert.len(), &*identity.names[0]), (2, "leaf.example"));
}
