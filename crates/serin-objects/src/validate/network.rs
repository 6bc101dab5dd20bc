//! Services, endpoints, Ingresses and network policies.

use serde_json::{Value, json};

use super::tools::{
    Errors, immutable, ip, items, named, one_of, port, port_or_name, require, required_one_of,
    selector, text,
};
use super::{Change, meta, names};
use crate::fields::{FieldError, Path};

const PROTOCOLS: &[&str] = &["SCTP", "TCP", "UDP"];

pub(super) fn check(kind: &str, change: &Change<'_>, errors: &mut Errors) {
    let path = Path::new("spec");
    let spec = &change.new["spec"];
    match kind {
        "Service" => {
            service(errors, &path, spec);
            if let Some(old) = change.old {
                service_update(errors, &path, &old["spec"], spec);
            }
        }
        "Endpoints" => endpoints(errors, change.new),
        "EndpointSlice" => {
            slice(errors, change.new);
            if let Some(old) = change.old {
                let at = Path::new("addressType");
                immutable(errors, &at, &old["addressType"], &change.new["addressType"]);
            }
        }
        "Ingress" => ingress(errors, &path, spec),
        "IngressClass" => {
            if let Some(old) = change.old {
                let at = path.child("controller");
                immutable(errors, &at, &old["spec"]["controller"], &spec["controller"]);
            }
        }
        "NetworkPolicy" => network_policy(errors, &path, spec),
        _ => {}
    }
}

fn service(errors: &mut Errors, path: &Path, spec: &Value) {
    let kind = text(spec, "type");
    let headless = text(spec, "clusterIP") == "None";
    if items(&spec["ports"]).is_empty() && !headless && kind != "ExternalName" {
        errors.push(FieldError::required(&path.child("ports"), ""));
    }
    match kind {
        "LoadBalancer" if headless => {
            let why = "may not be set to 'None' for LoadBalancer services";
            errors.push(FieldError::invalid(&path.child("clusterIPs").index(0), "None", why));
        }
        "NodePort" if headless => {
            let why = "may not be set to 'None' for NodePort services";
            errors.push(FieldError::invalid(&path.child("clusterIPs").index(0), "None", why));
        }
        "ExternalName" => {
            if !text(spec, "clusterIP").is_empty() {
                let why = "may not be set for ExternalName services";
                errors.push(FieldError::forbidden(&path.child("clusterIPs"), why));
            }
            let name = text(spec, "externalName").trim_end_matches('.');
            if name.is_empty() {
                errors.push(FieldError::required(&path.child("externalName"), ""));
            } else {
                named(errors, &path.child("externalName"), name, names::dns1123_subdomain);
            }
        }
        _ => {}
    }
    service_ports(errors, &path.child("ports"), spec, kind);
    errors.extend(meta::labels(&path.child("selector"), &spec["selector"]));
    required_one_of(errors, path, spec, "sessionAffinity", &["ClientIP", "None"]);
    if let Some(address) = items(&spec["clusterIPs"]).first().and_then(Value::as_str)
        && address != "None"
        && !address.is_empty()
    {
        ip(errors, &path.child("clusterIPs").index(0), address);
    } else if !matches!(text(spec, "clusterIP"), "" | "None") {
        ip(errors, &path.child("clusterIPs").index(0), text(spec, "clusterIP"));
    }
    for (index, it) in items(&spec["externalIPs"]).iter().enumerate() {
        ip(errors, &path.child("externalIPs").index(index), it.as_str().unwrap_or_default());
    }
    required_one_of(
        errors,
        path,
        spec,
        "type",
        &["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"],
    );
    let is_external =
        matches!(kind, "NodePort" | "LoadBalancer") || !items(&spec["externalIPs"]).is_empty();
    if spec["externalTrafficPolicy"].is_string() && !is_external {
        let why = "may only be set for externally-accessible services";
        errors.push(FieldError::invalid(
            &path.child("externalTrafficPolicy"),
            spec["externalTrafficPolicy"].clone(),
            why,
        ));
    }
    one_of(errors, path, spec, "externalTrafficPolicy", &["Cluster", "Local"]);
    one_of(errors, path, spec, "internalTrafficPolicy", &["Cluster", "Local"]);
    let families = ["PreferDualStack", "RequireDualStack", "SingleStack"];
    one_of(errors, path, spec, "ipFamilyPolicy", &families);
}

fn service_ports(errors: &mut Errors, path: &Path, spec: &Value, kind: &str) {
    let ports = items(&spec["ports"]);
    let (mut names_seen, mut seen): (Vec<&str>, Vec<Value>) = (Vec::new(), Vec::new());
    for (index, it) in ports.iter().enumerate() {
        let at = path.index(index);
        let name = text(it, "name");
        if ports.len() > 1 && name.is_empty() {
            errors.push(FieldError::required(&at.child("name"), ""));
        } else if !name.is_empty() {
            named(errors, &at.child("name"), name, names::dns1123_label);
            if names_seen.contains(&name) {
                errors.push(FieldError::duplicate(&at.child("name"), name));
            }
            names_seen.push(name);
        }
        port(errors, &at.child("port"), it["port"].as_i64().unwrap_or(0));
        required_one_of(errors, &at, it, "protocol", PROTOCOLS);
        port_or_name(errors, &at.child("targetPort"), &it["targetPort"]);
        let node = it["nodePort"].as_i64().unwrap_or(0);
        if node != 0 {
            if matches!(kind, "ClusterIP" | "ExternalName") {
                let why = format!("may not be used when `type` is '{kind}'");
                errors.push(FieldError::forbidden(&at.child("nodePort"), &why));
            } else {
                port(errors, &at.child("nodePort"), node);
            }
        }
        let key = json!({"protocol": it["protocol"], "port": it["port"]});
        if seen.contains(&key) {
            errors.push(FieldError::duplicate(&at, key.clone()));
        }
        seen.push(key);
    }
}

fn service_update(errors: &mut Errors, path: &Path, old: &Value, new: &Value) {
    let needs = |spec: &Value| text(spec, "type") != "ExternalName";
    let (was, is) = (text(old, "clusterIP"), text(new, "clusterIP"));
    if needs(old) && needs(new) && !was.is_empty() && was != is {
        if is.is_empty() {
            let why = "primary clusterIP can not be unset";
            errors.push(FieldError::invalid(&path.child("clusterIPs").index(0), "", why));
        } else {
            let why = "may not change once set";
            errors.push(FieldError::invalid(&path.child("clusterIPs").index(0), json!([is]), why));
        }
    }
    if text(old, "type") == "LoadBalancer" && text(new, "type") == "LoadBalancer" {
        let name = "loadBalancerClass";
        if old[name] != new[name] {
            errors.push(FieldError::invalid(
                &path.child(name),
                new[name].clone(),
                "may not change once set",
            ));
        }
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
                ip(errors, &path.child(list).index(index).child("ip"), text(it, "ip"));
            }
        }
        let ports = items(&subset["ports"]);
        for (index, it) in ports.iter().enumerate() {
            let at = path.child("ports").index(index);
            if ports.len() > 1 && text(it, "name").is_empty() {
                errors.push(FieldError::required(&at.child("name"), ""));
            }
            port(errors, &at.child("port"), it["port"].as_i64().unwrap_or(0));
            required_one_of(errors, &at, it, "protocol", PROTOCOLS);
        }
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
        for (index, address) in items(&it["addresses"]).iter().enumerate() {
            let address = address.as_str().unwrap_or_default();
            let at = path.index(index);
            match kind {
                "IPv4" if address.parse::<std::net::Ipv4Addr>().is_err() => {
                    errors.push(FieldError::invalid(&at, address, "must be a valid IPv4 address"));
                }
                "IPv6" if address.parse::<std::net::Ipv6Addr>().is_err() => {
                    errors.push(FieldError::invalid(&at, address, "must be a valid IPv6 address"));
                }
                "FQDN" => named(errors, &at, address, names::dns1123_subdomain),
                _ => {}
            }
        }
    }
    let mut seen: Vec<&str> = Vec::new();
    for (index, it) in items(&object["ports"]).iter().enumerate() {
        let at = Path::new("ports").index(index);
        let name = text(it, "name");
        if seen.contains(&name) {
            errors.push(FieldError::duplicate(&at.child("name"), name));
        }
        seen.push(name);
        one_of(errors, &at, it, "protocol", PROTOCOLS);
    }
}

fn ingress(errors: &mut Errors, path: &Path, spec: &Value) {
    if items(&spec["rules"]).is_empty() && !spec["defaultBackend"].is_object() {
        let why = "either `defaultBackend` or `rules` must be specified";
        errors.push(FieldError::invalid(path, spec.clone(), why));
    }
    if spec["defaultBackend"].is_object() {
        backend(errors, &path.child("defaultBackend"), &spec["defaultBackend"]);
    }
    for (index, rule) in items(&spec["rules"]).iter().enumerate() {
        let at = path.child("rules").index(index);
        let host = text(rule, "host");
        if !host.is_empty() {
            let plain = host.strip_prefix("*.").unwrap_or(host);
            named(errors, &at.child("host"), plain, names::dns1123_subdomain);
        }
        let http = &rule["http"];
        if !http.is_object() {
            continue;
        }
        let at = at.child("http.paths");
        if items(&http["paths"]).is_empty() {
            errors.push(FieldError::required(&at, ""));
        }
        for (index, it) in items(&http["paths"]).iter().enumerate() {
            let at = at.index(index);
            let kind = text(it, "pathType");
            if kind.is_empty() {
                errors.push(FieldError::required(
                    &at.child("pathType"),
                    "pathType must be specified",
                ));
            }
            let allowed = ["Exact", "ImplementationSpecific", "Prefix"];
            one_of(errors, &at, it, "pathType", &allowed);
            let text = text(it, "path");
            if matches!(kind, "Exact" | "Prefix") && !text.starts_with('/') {
                errors.push(FieldError::invalid(
                    &at.child("path"),
                    text,
                    "must be an absolute path",
                ));
            }
            backend(errors, &at.child("backend"), &it["backend"]);
        }
    }
}

fn backend(errors: &mut Errors, path: &Path, backend: &Value) {
    match (backend["service"].is_object(), backend["resource"].is_object()) {
        (true, true) => {
            let why = "cannot set both resource and service backends";
            errors.push(FieldError::invalid(path, "", why));
        }
        (false, false) => {
            errors.push(FieldError::required(path, "port name or number is required"));
        }
        (true, false) => {
            let (at, service) = (path.child("service"), &backend["service"]);
            if require(errors, &at, service, "name") {
                named(errors, &at.child("name"), text(service, "name"), names::dns1035_label);
            }
            let (name, number) =
                (text(&service["port"], "name"), service["port"]["number"].as_i64());
            match (name, number.unwrap_or(0)) {
                ("", 0) => {
                    errors.push(FieldError::required(
                        &path.child("service.port"),
                        "port name or number is required",
                    ));
                }
                ("", number) => port(errors, &at.child("port.number"), number),
                (name, 0) => {
                    for why in names::port_name_errors(name) {
                        errors.push(FieldError::invalid(&at.child("port.name"), name, &why));
                    }
                }
                _ => {
                    let why = "cannot set both port name & port number";
                    errors.push(FieldError::invalid(path, "", why));
                }
            }
        }
        (false, true) => {}
    }
}

fn network_policy(errors: &mut Errors, path: &Path, spec: &Value) {
    selector(errors, &path.child("podSelector"), &spec["podSelector"]);
    for (list, peers) in [("ingress", "from"), ("egress", "to")] {
        for (index, rule) in items(&spec[list]).iter().enumerate() {
            let at = path.child(list).index(index);
            for (index, it) in items(&rule["ports"]).iter().enumerate() {
                let at = at.child("ports").index(index);
                one_of(errors, &at, it, "protocol", PROTOCOLS);
                port_or_name(errors, &at.child("port"), &it["port"]);
            }
            for (index, it) in items(&rule[peers]).iter().enumerate() {
                let at = at.child(peers).index(index);
                let given = it.as_object().map_or(0, serde_json::Map::len);
                if given == 0 {
                    errors.push(FieldError::required(&at, "must specify a peer"));
                } else if it["ipBlock"].is_object() && given > 1 {
                    let why = "may not specify both ipBlock and another peer";
                    errors.push(FieldError::forbidden(&at, why));
                }
                selector(errors, &at.child("podSelector"), &it["podSelector"]);
                selector(errors, &at.child("namespaceSelector"), &it["namespaceSelector"]);
            }
        }
    }
    for (index, it) in items(&spec["policyTypes"]).iter().enumerate() {
        let found = it.as_str().unwrap_or_default();
        if !matches!(found, "Ingress" | "Egress") {
            let at = path.child("policyTypes").index(index);
            errors.push(FieldError::not_supported(&at, found, &["Ingress", "Egress"]));
        }
    }
}
