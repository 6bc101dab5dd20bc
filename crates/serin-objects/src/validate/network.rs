//! Services, endpoints, Ingresses and network policies.

use std::net::IpAddr;

use serde_json::Value;

use super::tools::{
    Errors, cidr, immutable, ip, items, named, non_special_ip, one_of, parsed_cidr, port,
    port_or_name, require, required_one_of, selector, text,
};
use super::{Change, ingress, names, service};
use crate::fields::{FieldError, Path};

const PROTOCOLS: &[&str] = &["SCTP", "TCP", "UDP"];

pub(super) fn check(kind: &str, change: &Change<'_>, errors: &mut Errors) {
    let path = Path::new("spec");
    let spec = &change.new["spec"];
    match kind {
        "Service" => service::check(change, errors),
        "Endpoints" => endpoints(errors, change.new),
        "EndpointSlice" => {
            slice(errors, change.new);
            if let Some(old) = change.old {
                let at = Path::new("addressType");
                immutable(errors, &at, &old["addressType"], &change.new["addressType"]);
            }
        }
        "Ingress" => ingress::check(change, errors),
        "IngressClass" => ingress::class(change, errors),
        "NetworkPolicy" => network_policy(errors, &path, spec),
        _ => {}
    }
}

fn endpoints(errors: &mut Errors, object: &Value) {
    for (index, subset) in items(&object["subsets"]).iter().enumerate() {
        let path = Path::new("subsets").index(index);
        let none = items(&subset["addresses"]).is_empty()
            && items(&subset["notReadyAddresses"]).is_empty();
        if none {
            let why = "must specify `addresses` or `notReadyAddresses`";
            errors.push(FieldError::required(&path, why));
        }
        for list in ["addresses", "notReadyAddresses"] {
            for (index, it) in items(&subset[list]).iter().enumerate() {
                endpoint_address(errors, &path.child(list).index(index), it);
            }
        }
        let ports = items(&subset["ports"]);
        for (index, it) in ports.iter().enumerate() {
            let at = path.child("ports").index(index);
            if ports.len() > 1 && text(it, "name").is_empty() {
                errors.push(FieldError::required(&at.child("name"), ""));
            } else if !text(it, "name").is_empty() {
                named(errors, &at.child("name"), text(it, "name"), names::dns1123_label);
            }
            port(errors, &at.child("port"), it["port"].as_i64().unwrap_or(0));
            required_one_of(errors, &at, it, "protocol", PROTOCOLS);
            if let Some(protocol) = it["appProtocol"].as_str() {
                named(errors, &at.child("appProtocol"), protocol, names::label_key_errors);
            }
        }
    }
}

fn endpoint_address(errors: &mut Errors, path: &Path, it: &Value) {
    let address = text(it, "ip");
    ip(errors, &path.child("ip"), address);
    for (name, rule) in [
        ("hostname", names::dns1123_label as fn(&str) -> Vec<String>),
        ("nodeName", names::dns1123_subdomain),
    ] {
        if !text(it, name).is_empty() {
            named(errors, &path.child(name), text(it, name), rule);
        }
    }
    backend_ip(errors, &path.child("ip"), address);
}

/// An address that a Service can lead to. Unlike in a Kubernetes of many machines it may be one of this machine's own:
/// there the gateway of a cluster on one machine listens.
fn backend_ip(errors: &mut Errors, path: &Path, address: &str) {
    if !address.parse::<IpAddr>().is_ok_and(|it| it.is_loopback()) {
        non_special_ip(errors, path, address);
    }
}

fn slice(errors: &mut Errors, object: &Value) {
    let root = Path::root();
    required_one_of(errors, &root, object, "addressType", &["FQDN", "IPv4", "IPv6"]);
    let kind = text(object, "addressType");
    let endpoints = items(&object["endpoints"]);
    if endpoints.len() > 1000 {
        errors.push(FieldError::too_many(&Path::new("endpoints"), endpoints.len(), 1000));
    }
    for (index, it) in endpoints.iter().enumerate() {
        let path = Path::new("endpoints").index(index).child("addresses");
        if items(&it["addresses"]).is_empty() {
            errors.push(FieldError::required(&path, "must contain at least 1 address"));
        }
        if items(&it["addresses"]).len() > 100 {
            errors.push(FieldError::too_many(&path, items(&it["addresses"]).len(), 100));
        }
        for (index, address) in items(&it["addresses"]).iter().enumerate() {
            slice_address(errors, &path.index(index), kind, address.as_str().unwrap_or_default());
        }
        let path = Path::new("endpoints").index(index);
        for (name, rule) in [
            ("nodeName", names::dns1123_subdomain as fn(&str) -> Vec<String>),
            ("hostname", names::dns1123_label),
        ] {
            if let Some(value) = it[name].as_str() {
                named(errors, &path.child(name), value, rule);
            }
        }
    }
    let mut seen: Vec<&str> = Vec::new();
    for (index, it) in items(&object["ports"]).iter().enumerate() {
        let at = Path::new("ports").index(index);
        let name = text(it, "name");
        if !name.is_empty() {
            named(errors, &at.child("name"), name, names::dns1123_label);
        }
        if seen.contains(&name) {
            errors.push(FieldError::duplicate(&at.child("name"), name));
        }
        seen.push(name);
        one_of(errors, &at, it, "protocol", PROTOCOLS);
    }
}

fn slice_address(errors: &mut Errors, path: &Path, kind: &str, address: &str) {
    let wrong = match kind {
        "IPv4" => address.parse::<std::net::Ipv4Addr>().is_err(),
        "IPv6" => address.parse::<std::net::Ipv6Addr>().is_err(),
        "FQDN" => return named(errors, path, address, names::dns1123_subdomain),
        _ => return,
    };
    if wrong {
        let why = format!("must be a valid {kind} address");
        errors.push(FieldError::invalid(path, address, &why));
    }
    backend_ip(errors, path, address);
}

fn network_policy(errors: &mut Errors, path: &Path, spec: &Value) {
    selector(errors, &path.child("podSelector"), &spec["podSelector"]);
    for (list, peers) in [("ingress", "from"), ("egress", "to")] {
        for (index, rule) in items(&spec[list]).iter().enumerate() {
            let at = path.child(list).index(index);
            for (index, it) in items(&rule["ports"]).iter().enumerate() {
                policy_port(errors, &at.child("ports").index(index), it);
            }
            for (index, it) in items(&rule[peers]).iter().enumerate() {
                peer(errors, &at.child(peers).index(index), it);
            }
        }
    }
    let (at, types) = (path.child("policyTypes"), items(&spec["policyTypes"]));
    if types.len() > 2 {
        let why = "may not specify more than two policyTypes";
        errors.push(FieldError::invalid(&at, spec["policyTypes"].clone(), why));
        return;
    }
    for (index, it) in types.iter().enumerate() {
        let found = it.as_str().unwrap_or_default();
        if !matches!(found, "Ingress" | "Egress") {
            let allowed = ["Egress", "Ingress"];
            errors.push(FieldError::not_supported(&at.index(index), found, &allowed));
        }
    }
}

fn policy_port(errors: &mut Errors, path: &Path, it: &Value) {
    one_of(errors, path, it, "protocol", &["TCP", "UDP", "SCTP"]);
    let (at, last) = (path.child("endPort"), it["endPort"].as_i64());
    port_or_name(errors, &path.child("port"), &it["port"]);
    let Some(last) = last else { return };
    let why = match &it["port"] {
        Value::Number(_) => {
            let first = it["port"].as_i64().unwrap_or(0);
            if last < first {
                let why = "must be greater than or equal to `port`";
                errors.push(FieldError::invalid(&at, first, why));
            }
            return port(errors, &at, last);
        }
        Value::String(_) => "may not be specified when `port` is non-numeric",
        _ => "may not be specified when `port` is not specified",
    };
    errors.push(FieldError::invalid(&at, last, why));
}

fn peer(errors: &mut Errors, path: &Path, it: &Value) {
    selector(errors, &path.child("podSelector"), &it["podSelector"]);
    selector(errors, &path.child("namespaceSelector"), &it["namespaceSelector"]);
    let block = &it["ipBlock"];
    if block.is_object() {
        ip_block(errors, &path.child("ipBlock"), block);
    }
    let given = it.as_object().map_or(0, serde_json::Map::len);
    if given == 0 {
        errors.push(FieldError::required(path, "must specify a peer"));
    } else if given > 1 && block.is_object() {
        let why = "may not specify both ipBlock and another peer";
        errors.push(FieldError::forbidden(path, why));
    }
}

fn ip_block(errors: &mut Errors, path: &Path, block: &Value) {
    let whole = text(block, "cidr");
    if !require(errors, path, block, "cidr") {
        return;
    }
    cidr(errors, &path.child("cidr"), whole);
    let Some((network, length)) = parsed_cidr(whole) else { return };
    for (index, it) in items(&block["except"]).iter().enumerate() {
        let (at, part) = (path.child("except").index(index), it.as_str().unwrap_or_default());
        cidr(errors, &at, part);
        let Some((address, part_length)) = parsed_cidr(part) else { continue };
        if part_length <= length || !contains(network, length, address) {
            errors.push(FieldError::invalid(&at, part, "must be a strict subset of `cidr`"));
        }
    }
}

/// Whether an address is one of a network.
fn contains(network: IpAddr, length: u32, address: IpAddr) -> bool {
    match (network, address) {
        (IpAddr::V4(network), IpAddr::V4(address)) => {
            let bits = u32::from(network) ^ u32::from(address);
            bits.checked_shr(32 - length).unwrap_or(0) == 0
        }
        (IpAddr::V6(network), IpAddr::V6(address)) => {
            let bits = u128::from(network) ^ u128::from(address);
            bits.checked_shr(128 - length).unwrap_or(0) == 0
        }
        _ => false,
    }
}
