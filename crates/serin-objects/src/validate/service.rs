//! Services.

use serde_json::{Value, json};

use super::tools::{
    Errors, cidr, ip, items, named, non_special_ip, one_of, port, port_or_name, required_one_of,
    text,
};
use super::{Change, meta, names};
use crate::fields::{FieldError, Path};

const PROTOCOLS: &[&str] = &["SCTP", "TCP", "UDP"];
const TYPES: &[&str] = &["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"];

pub(super) fn check(change: &Change<'_>, errors: &mut Errors) {
    let (path, spec) = (Path::new("spec"), &change.new["spec"]);
    // Addresses are given before anything else is looked at; what is wrong with them is told alone.
    let mut of_addresses = Errors::new();
    addresses(&mut of_addresses, &path, spec);
    if !of_addresses.is_empty() {
        *errors = of_addresses;
        return;
    }
    if let Some(old) = change.old {
        update(errors, &path, &old["spec"], spec);
    }
    service(errors, &path, spec);
}

/// Addresses inside of the cluster and their families.
fn addresses(errors: &mut Errors, path: &Path, spec: &Value) {
    if text(spec, "type") == "ExternalName" {
        return;
    }
    let at = path.child("ipFamilies");
    let families = items(&spec["ipFamilies"]);
    for (index, it) in families.iter().enumerate() {
        let family = it.as_str().unwrap_or_default();
        if !matches!(family, "IPv4" | "IPv6") {
            errors.push(FieldError::not_supported(&at.index(index), family, &["IPv4", "IPv6"]));
        }
        if families[..index].contains(it) {
            errors.push(FieldError::duplicate(&at.index(index), family));
        }
    }
    let policies = ["PreferDualStack", "RequireDualStack", "SingleStack"];
    one_of(errors, path, spec, "ipFamilyPolicy", &policies);
    let at = path.child("clusterIPs");
    let given = items(&spec["clusterIPs"]);
    let alone = std::slice::from_ref(&spec["clusterIP"]);
    let given = if given.is_empty() { alone } else { given };
    for (index, it) in given.iter().enumerate() {
        match it.as_str().unwrap_or_default() {
            "None" if index == 0 => {
                if given.len() > 1 {
                    let why = "'None' must be the first and only value";
                    errors.push(FieldError::invalid(&at, spec["clusterIPs"].clone(), why));
                }
            }
            "" => {}
            address => ip(errors, &at.index(index), address),
        }
    }
}

fn service(errors: &mut Errors, path: &Path, spec: &Value) {
    let kind = text(spec, "type");
    let headless = text(spec, "clusterIP") == "None";
    if items(&spec["ports"]).is_empty() && !headless && kind != "ExternalName" {
        errors.push(FieldError::required(&path.child("ports"), ""));
    }
    match kind {
        "LoadBalancer" | "NodePort" if headless => {
            let why = format!("may not be set to 'None' for {kind} services");
            errors.push(FieldError::invalid(&path.child("clusterIPs").index(0), "None", &why));
        }
        "ExternalName" => external_name(errors, path, spec),
        _ => {}
    }
    ports(errors, &path.child("ports"), spec);
    errors.extend(meta::labels(&path.child("selector"), &spec["selector"]));
    required_one_of(errors, path, spec, "sessionAffinity", &["ClientIP", "None"]);
    affinity(errors, &path.child("sessionAffinityConfig"), spec);
    for (index, it) in items(&spec["externalIPs"]).iter().enumerate() {
        let (at, address) = (path.child("externalIPs").index(index), it.as_str());
        let before = errors.len();
        ip(errors, &at, address.unwrap_or_default());
        if errors.len() == before {
            non_special_ip(errors, &at, address.unwrap_or_default());
        }
    }
    required_one_of(errors, path, spec, "type", TYPES);
    node_ports(errors, &path.child("ports"), spec);
    balancer(errors, path, spec);
    traffic(errors, path, spec);
}

fn external_name(errors: &mut Errors, path: &Path, spec: &Value) {
    let why = "may not be set for ExternalName services";
    if !text(spec, "clusterIP").is_empty() {
        errors.push(FieldError::forbidden(&path.child("clusterIPs"), why));
    }
    for name in ["ipFamilies", "ipFamilyPolicy"] {
        if !spec[name].is_null() && spec[name] != json!([]) {
            errors.push(FieldError::forbidden(&path.child(name), why));
        }
    }
    let at = path.child("externalName");
    let name = text(spec, "externalName");
    match name.strip_suffix('.').unwrap_or(name) {
        "" => errors.push(FieldError::required(&at, "")),
        name => named(errors, &at, name, names::dns1123_subdomain),
    }
}

fn ports(errors: &mut Errors, path: &Path, spec: &Value) {
    let ports = items(&spec["ports"]);
    let mut seen: Vec<&str> = Vec::new();
    for (index, it) in ports.iter().enumerate() {
        let at = path.index(index);
        let name = text(it, "name");
        if ports.len() > 1 && name.is_empty() {
            errors.push(FieldError::required(&at.child("name"), ""));
        } else if !name.is_empty() {
            named(errors, &at.child("name"), name, names::dns1123_label);
            if seen.contains(&name) {
                errors.push(FieldError::duplicate(&at.child("name"), name));
            }
            seen.push(name);
        }
        port(errors, &at.child("port"), it["port"].as_i64().unwrap_or(0));
        required_one_of(errors, &at, it, "protocol", PROTOCOLS);
        port_or_name(errors, &at.child("targetPort"), &it["targetPort"]);
        if let Some(protocol) = it["appProtocol"].as_str() {
            named(errors, &at.child("appProtocol"), protocol, names::label_key_errors);
        }
    }
}

fn affinity(errors: &mut Errors, path: &Path, spec: &Value) {
    let config = &spec["sessionAffinityConfig"];
    match text(spec, "sessionAffinity") {
        "None" if config.is_object() => {
            let why = "must not be set when session affinity is None";
            errors.push(FieldError::forbidden(path, why));
        }
        "ClientIP" => {
            let at = path.child("clientIP.timeoutSeconds");
            match config["clientIP"]["timeoutSeconds"].as_i64() {
                Some(seconds) if !(1..=86400).contains(&seconds) => {
                    let why = "must be greater than 0 and less than 86400";
                    errors.push(FieldError::invalid(&at, seconds, why));
                }
                Some(_) => {}
                None => {
                    let why = "when session affinity type is ClientIP";
                    errors.push(FieldError::required(&at, why));
                }
            }
        }
        _ => {}
    }
}

/// Ports of the nodes, and ports that are there twice.
fn node_ports(errors: &mut Errors, path: &Path, spec: &Value) {
    let ports = items(&spec["ports"]);
    let node = |it: &Value| it["nodePort"].as_i64().unwrap_or(0);
    if text(spec, "type") == "ClusterIP" {
        for (index, _) in ports.iter().enumerate().filter(|(_, it)| node(it) != 0) {
            let why = "may not be used when `type` is 'ClusterIP'";
            errors.push(FieldError::forbidden(&path.index(index).child("nodePort"), why));
        }
    }
    for (index, it) in ports.iter().enumerate().filter(|(_, it)| node(it) != 0) {
        let same = |other: &Value| other["protocol"] == it["protocol"] && node(other) == node(it);
        if ports[..index].iter().any(same) {
            errors.push(FieldError::duplicate(&path.index(index).child("nodePort"), node(it)));
        }
    }
    for (index, it) in ports.iter().enumerate() {
        let same =
            |other: &Value| other["protocol"] == it["protocol"] && other["port"] == it["port"];
        if ports[..index].iter().any(same) {
            // As Kubernetes holds a port of which nothing else is known.
            let shown = json!({"Name": "", "Protocol": it["protocol"], "AppProtocol": null,
                "Port": it["port"], "TargetPort": 0, "NodePort": 0});
            errors.push(FieldError::duplicate(&path.index(index), shown));
        }
    }
}

fn balancer(errors: &mut Errors, path: &Path, spec: &Value) {
    let is_balancer = text(spec, "type") == "LoadBalancer";
    let only = "may only be used when `type` is 'LoadBalancer'";
    let ranges = items(&spec["loadBalancerSourceRanges"]);
    // Kubernetes writes this one with a capital letter.
    let at = path.child("LoadBalancerSourceRanges");
    if !ranges.is_empty() && !is_balancer {
        errors.push(FieldError::forbidden(&at, only));
    }
    for (index, it) in ranges.iter().enumerate() {
        cidr(errors, &at.index(index), it.as_str().unwrap_or_default().trim());
    }
    if spec["allocateLoadBalancerNodePorts"].is_boolean() && !is_balancer {
        errors.push(FieldError::forbidden(&path.child("allocateLoadBalancerNodePorts"), only));
    }
    if let Some(class) = spec["loadBalancerClass"].as_str() {
        let at = path.child("loadBalancerClass");
        if is_balancer {
            named(errors, &at, class, names::label_key_errors);
        } else {
            errors.push(FieldError::forbidden(&at, only));
        }
    }
}

fn traffic(errors: &mut Errors, path: &Path, spec: &Value) {
    let kind = text(spec, "type");
    let is_external = matches!(kind, "NodePort" | "LoadBalancer")
        || kind == "ClusterIP" && !items(&spec["externalIPs"]).is_empty();
    let policy = text(spec, "externalTrafficPolicy");
    let at = path.child("externalTrafficPolicy");
    match (is_external, policy) {
        (false, "") | (true, "Cluster" | "Local") => {}
        (false, _) => {
            let why = "may only be set for externally-accessible services";
            errors.push(FieldError::invalid(&at, policy, why));
        }
        (true, "") => errors.push(FieldError::required(&at, "")),
        (true, _) => errors.push(FieldError::not_supported(&at, policy, &["Cluster", "Local"])),
    }
    let checked = kind == "LoadBalancer" && policy == "Local";
    if let Some(number) = spec["healthCheckNodePort"].as_i64().filter(|it| *it != 0) {
        let at = path.child("healthCheckNodePort");
        if checked {
            port(errors, &at, number);
        } else {
            let why = "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'";
            errors.push(FieldError::invalid(&at, number, why));
        }
    }
    one_of(errors, path, spec, "internalTrafficPolicy", &["Cluster", "Local"]);
    let spread = ["PreferClose", "PreferSameNode", "PreferSameZone"];
    one_of(errors, path, spec, "trafficDistribution", &spread);
}

fn update(errors: &mut Errors, path: &Path, old: &Value, new: &Value) {
    let needs = |spec: &Value| text(spec, "type") != "ExternalName";
    let (was, is) = (text(old, "clusterIP"), text(new, "clusterIP"));
    if needs(old) && needs(new) && !was.is_empty() && was != is {
        let at = path.child("clusterIPs").index(0);
        if is.is_empty() {
            let why = "primary clusterIP can not be unset";
            errors.push(FieldError::invalid(&at, "", why));
        } else {
            errors.push(FieldError::invalid(&at, json!([is]), "may not change once set"));
        }
    }
    let (was, is) = (items(&old["ipFamilies"]).first(), items(&new["ipFamilies"]).first());
    if needs(old) && needs(new) && was.is_some() && is.is_some() && was != is {
        let shown = new["ipFamilies"].clone();
        let at = path.child("ipFamilies").index(0);
        errors.push(FieldError::invalid(&at, shown, "may not change once set"));
    }
    if text(old, "type") == "LoadBalancer" && text(new, "type") == "LoadBalancer" {
        let name = "loadBalancerClass";
        if old[name] != new[name] {
            let why = "may not change once set";
            errors.push(FieldError::invalid(&path.child(name), new[name].clone(), why));
        }
    }
    let checked = |spec: &Value| {
        text(spec, "type") == "LoadBalancer" && text(spec, "externalTrafficPolicy") == "Local"
    };
    let name = "healthCheckNodePort";
    if checked(old) && checked(new) && old[name] != new[name] {
        errors.push(FieldError::forbidden(&path.child(name), "field is immutable"));
    }
}
