//! Names: DNS labels, hosts with and without wildcards, addresses, labels of objects.
//!
//! The checks return what is wrong; where it is wrong is the caller's to say. Istio's idea of a DNS label is wider than
//! Kubernetes': letters of both cases.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;

use super::place::Place;

const LONGEST_LABEL: usize = 63;
const LONGEST_NAME: usize = 255;

/// One label of a DNS name.
pub(super) fn is_dns_label(label: &str) -> bool {
    let bytes = label.as_bytes();
    let ends = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    label.len() <= LONGEST_LABEL
        && ends(bytes.first())
        && ends(bytes.last())
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-')
}

/// A DNS label, which may begin with `*` or `*-`, or be `*`.
fn is_wildcard_label(label: &str) -> bool {
    let Some(rest) = label.strip_prefix('*') else { return is_dns_label(label) };
    let rest = rest.strip_prefix('-').filter(|rest| !rest.is_empty()).unwrap_or(rest);
    label.len() <= LONGEST_LABEL && (rest.is_empty() || is_dns_label(rest))
}

fn length(name: &str) -> Result<(), String> {
    if name.is_empty() {
        return Err("a domain name must not be empty".to_owned());
    }
    if name.len() > LONGEST_NAME {
        return Err(format!("the domain name {name:?} is longer than {LONGEST_NAME} characters"));
    }
    Ok(())
}

fn labels(name: &str) -> Result<(), String> {
    let labels: Vec<&str> = name.split('.').collect();
    let (last, init) = labels.split_last().unwrap_or((&"", &[]));
    if last.parse::<i64>().is_ok() {
        return Err(format!(
            "the domain name {name:?} is invalid: its top level domain {last:?} is a number"
        ));
    }
    // `example.com.` is the unambiguous form of `example.com`.
    let last = Some(last).filter(|last| !last.is_empty());
    match init.iter().chain(last).find(|label| !is_dns_label(label)) {
        Some(label) => Err(invalid_label(name, label)),
        None => Ok(()),
    }
}

fn invalid_label(name: &str, label: &str) -> String {
    format!("the domain name {name:?} is invalid: {label:?} is not a DNS label")
}

/// A domain name without a wildcard. A name of one label is one too.
pub(super) fn fqdn(name: &str) -> Result<(), String> {
    length(name)?;
    labels(name)
}

/// A domain name whose first label may be or begin with a wildcard.
pub(super) fn wildcard_domain(name: &str) -> Result<(), String> {
    length(name)?;
    let (first, rest) =
        name.split_once('.').map_or((name, None), |(first, rest)| (first, Some(rest)));
    if !is_wildcard_label(first) {
        return Err(invalid_label(name, first));
    }
    rest.map_or(Ok(()), labels)
}

/// A host of rules that gateways apply. With server names, `outbound_.80_._.service` is one too: the name by which
/// gateways between networks tell services apart.
pub(super) fn gateway_domain(name: &str, by_server_name: bool) -> Result<(), String> {
    let Some(rest) = name.strip_prefix("outbound_.").filter(|_| by_server_name) else {
        return wildcard_domain(name);
    };
    length(name)?;
    if rest.starts_with(|c: char| ('0'..='8').contains(&c)) {
        Ok(())
    } else {
        Err(invalid_label(name, "outbound_"))
    }
}

/// Refuses `*foo.com`.
pub(super) fn whole_wildcard(host: &str) -> Result<(), String> {
    if host.contains('*') && host != "*" && !host.starts_with("*.") {
        return Err(format!("partial wildcard {host:?} not allowed: a wildcard is a whole label"));
    }
    Ok(())
}

/// Whether `name` is an IP address; IPv6 zones are allowed.
pub(super) fn is_ip(name: &str) -> bool {
    let (address, zone) = name.split_once('%').unwrap_or((name, "none"));
    match address.parse() {
        Ok(IpAddr::V4(_)) => !name.contains('%'),
        Ok(IpAddr::V6(_)) => !zone.is_empty(),
        Err(_) => false,
    }
}

/// An IP address.
pub(super) fn ip(address: &str) -> Result<(), String> {
    if is_ip(address) { Ok(()) } else { Err(format!("{address} is not a valid IP address")) }
}

/// An IP address, or a CIDR block.
pub(super) fn subnet(subnet: &str) -> Result<(), String> {
    if !subnet.contains('/') {
        return ip(subnet);
    }
    match subnet.parse::<IpNet>() {
        Ok(_) => Ok(()),
        Err(_) => Err(format!("{subnet} is not a valid CIDR block")),
    }
}

/// The part of a `unix://` address after the scheme: an absolute path to a file, or `@` and a name.
pub(super) fn unix_socket(path: &str) -> Result<(), String> {
    if path.is_empty() {
        return Err("the address of a unix domain socket must not be empty".to_owned());
    }
    if path.starts_with('@') || (path.starts_with('/') && !path.ends_with('/')) {
        return Ok(());
    }
    Err(format!("{path} is not an absolute path to a file"))
}

/// Whether two hosts have names in common, a leading `*` standing for any text.
pub(super) fn overlap(a: &str, b: &str) -> bool {
    match (a.strip_prefix('*'), b.strip_prefix('*')) {
        (Some(a), Some(b)) => a.ends_with(b) || b.ends_with(a),
        (Some(suffix), None) => b.ends_with(suffix),
        (None, Some(suffix)) => a.ends_with(suffix),
        (None, None) => a == b,
    }
}

/// Whether every name of host `a` is one of host `b`.
pub(super) fn covered(a: &str, b: &str) -> bool {
    match (a.strip_prefix('*'), b.strip_prefix('*')) {
        (Some(a), Some(b)) => a.ends_with(b),
        (Some(_), None) => false,
        (None, Some(suffix)) => a.ends_with(suffix),
        (None, None) => a == b,
    }
}

/// Labels of workloads: Kubernetes' form of keys and values.
pub(super) fn object_labels(labels: &BTreeMap<String, String>, at: &Place<'_>) {
    for (key, value) in labels {
        let at = at.key(key);
        if !is_label_key(key) {
            at.error(format!("invalid label key {key:?}"));
        }
        if !value.is_empty() && !is_label_name(value) {
            at.error(format!("invalid label value {value:?}"));
        }
    }
}

fn is_label_key(key: &str) -> bool {
    match key.split_once('/') {
        None => is_label_name(key),
        Some((prefix, name)) => {
            prefix.len() <= 253 && prefix.split('.').all(is_dns_label) && is_label_name(name)
        }
    }
}

fn is_label_name(name: &str) -> bool {
    let bytes = name.as_bytes();
    let ends = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    name.len() <= LONGEST_LABEL
        && ends(bytes.first())
        && ends(bytes.last())
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(validate: fn(&str) -> Result<(), String>, good: &[&str], bad: &[&str]) {
        for name in good {
            assert_eq!(validate(name), Ok(()), "{name}");
        }
        for name in bad {
            assert!(validate(name).is_err(), "{name}");
        }
    }

    #[test]
    fn domain_names_have_dns_labels_and_no_numeric_end() {
        let long = "a".repeat(64);
        let good = ["a", "a.b", "a.b.", "A-1.b", "x.123a"];
        check(fqdn, &good, &["", ".a", "a..b", "-a.b", "a_.b", "a.1", "1.1.1.1", "*.a", &long]);
        let good = ["*", "*.a", "*a.b", "*-a.b", "a.b"];
        check(wildcard_domain, &good, &["", "a.*", "*.*", "**.a", "*-.a", "*.1", "-"]);
    }

    #[test]
    fn addresses_and_blocks() {
        check(
            ip,
            &["1.2.3.4", "::1", "fe80::1%eth0"],
            &["", "1.2.3", "a", "1.2.3.4/32", "1.2.3.4%a"],
        );
        check(
            subnet,
            &["1.2.3.4", "172.1.2.16/16", "2001::1/64"],
            &["1.2.3.4/33", "1.2.3/8", "/8"],
        );
        check(unix_socket, &["/a/b", "@a"], &["", "a", "/a/", "/"]);
    }

    #[test]
    fn hosts_overlap_and_cover_by_suffix() {
        assert!(overlap("*.foo.bar", "*.bar"));
        assert!(overlap("a.bar", "*.bar"));
        assert!(!overlap("a.foo", "*.bar"));
        assert!(covered("*.foo.bar", "*.bar"));
        assert!(!covered("*.bar", "*.foo.bar"));
        assert!(!covered("*.bar", "a.bar"));
    }
}
