//! Addresses and ports of Services, which the server gives out.

use serde_json::{Map, Value, json};

use crate::fields::{FieldError, Path};

/// Gives out addresses and ports. Each is asked for by value (`wanted`) or left to choose; an error is the detail of the
/// field's error, such as `provided IP is already allocated`.
pub trait Allocator {
    /// A cluster IP.
    ///
    /// # Errors
    /// Why the wanted one cannot be had.
    fn cluster_ip(&mut self, wanted: Option<&str>) -> Result<String, String>;
    /// A port of the node.
    ///
    /// # Errors
    /// Why the wanted one cannot be had.
    fn node_port(&mut self, wanted: Option<u16>) -> Result<u16, String>;
}

/// What a Service holds of what is given out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// Cluster IPs.
    pub cluster_ips: Vec<String>,
    /// Ports of the node.
    pub node_ports: Vec<u16>,
}

/// What a Service holds of what is given out.
pub fn held(service: &Value) -> Held {
    let ips = service["spec"]["clusterIPs"].as_array().into_iter().flatten();
    let ports = service["spec"]["ports"].as_array().into_iter().flatten();
    let health = &service["spec"]["healthCheckNodePort"];
    let port =
        |value: &Value| value.as_u64().and_then(|it| u16::try_from(it).ok()).filter(|it| *it > 0);
    Held {
        cluster_ips: ips
            .filter_map(Value::as_str)
            .filter(|it| !it.is_empty() && *it != "None")
            .map(str::to_owned)
            .collect(),
        node_ports: ports.map(|it| &it["nodePort"]).chain([health]).filter_map(port).collect(),
    }
}

fn kind(service: &Value) -> &str {
    service["spec"]["type"].as_str().unwrap_or("ClusterIP")
}

fn needs_cluster_ip(service: &Value) -> bool {
    kind(service) != "ExternalName"
}

fn needs_node_ports(service: &Value) -> bool {
    match kind(service) {
        "NodePort" => true,
        "LoadBalancer" => service["spec"]["allocateLoadBalancerNodePorts"] != json!(false),
        _ => false,
    }
}

fn spec(service: &mut Value) -> &mut Map<String, Value> {
    if !service["spec"].is_object() {
        service["spec"] = json!({});
    }
    #[expect(clippy::expect_used, reason = "it was made an object just before")]
    service["spec"].as_object_mut().expect("the spec is an object")
}

/// Carries over what the old Service holds and the new one does not name, and drops what its new type has no use for.
pub(crate) fn carry(old: &Value, service: &mut Value) {
    if needs_cluster_ip(old) && needs_cluster_ip(service) {
        let absent = service["spec"]["clusterIP"].as_str().unwrap_or_default().is_empty();
        let list = service["spec"]["clusterIPs"].as_array().is_none_or(Vec::is_empty);
        for (name, absent) in [("clusterIP", absent && list), ("clusterIPs", absent && list)] {
            if absent && let Some(value) = old["spec"].get(name) {
                spec(service).insert(name.to_owned(), value.clone());
            }
        }
        if list && !absent && service["spec"]["clusterIP"] == old["spec"]["clusterIP"] {
            spec(service).insert("clusterIPs".to_owned(), old["spec"]["clusterIPs"].clone());
        }
        for name in ["ipFamilies", "ipFamilyPolicy"] {
            if service["spec"].get(name).is_none()
                && let Some(value) = old["spec"].get(name)
            {
                spec(service).insert(name.to_owned(), value.clone());
            }
        }
    }
    if needs_node_ports(old) && needs_node_ports(service) {
        carry_ports(old, service);
    }
    drop_unused(old, service);
}

/// A port that names no port of the node keeps the one it had.
fn carry_ports(old: &Value, service: &mut Value) {
    let known = old["spec"]["ports"].as_array().cloned().unwrap_or_default();
    let ports = service["spec"]["ports"].as_array().cloned().unwrap_or_default();
    let taken: Vec<Value> = ports.iter().map(|it| it["nodePort"].clone()).collect();
    let carried: Vec<Value> = ports
        .into_iter()
        .map(|mut port| {
            let same = known
                .iter()
                .find(|it| it["port"] == port["port"] && it["protocol"] == port["protocol"]);
            let number = same.map(|it| it["nodePort"].clone()).filter(|it| it.is_u64());
            if port["nodePort"].as_u64().unwrap_or(0) == 0
                && let Some(number) = number.filter(|it| !taken.contains(it))
            {
                port["nodePort"] = number;
            }
            port
        })
        .collect();
    if !carried.is_empty() {
        spec(service).insert("ports".to_owned(), Value::Array(carried));
    }
}

fn drop_unused(old: &Value, service: &mut Value) {
    let same = |service: &Value, name: &str| old["spec"].get(name) == service["spec"].get(name);
    let is_balancer = |service: &Value| kind(service) == "LoadBalancer";
    let is_external = |service: &Value| matches!(kind(service), "NodePort" | "LoadBalancer");
    let mut gone: Vec<&str> = Vec::new();
    if needs_cluster_ip(old) && !needs_cluster_ip(service) && same(service, "clusterIPs") {
        gone.extend([
            "clusterIP",
            "clusterIPs",
            "ipFamilies",
            "ipFamilyPolicy",
            "internalTrafficPolicy",
        ]);
    }
    if is_external(old) && !is_external(service) && same(service, "externalTrafficPolicy") {
        gone.push("externalTrafficPolicy");
    }
    if is_balancer(old) && !is_balancer(service) {
        for name in ["allocateLoadBalancerNodePorts", "loadBalancerClass", "healthCheckNodePort"] {
            if same(service, name) {
                gone.push(name);
            }
        }
    }
    let drop_ports = is_external(old) && !is_external(service);
    let spec = spec(service);
    for name in gone {
        spec.remove(name);
    }
    if drop_ports {
        for port in spec.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten() {
            let number = port["nodePort"].clone();
            let known = old["spec"]["ports"].as_array().into_iter().flatten();
            if known.map(|it| &it["nodePort"]).any(|it| *it == number)
                && let Some(port) = port.as_object_mut()
            {
                port.remove("nodePort");
            }
        }
    }
}

/// Gives a new or changed Service (from [`crate::prepare`]) what it needs and has not yet. `old` is none for a new one.
///
/// # Errors
/// Values that cannot be had.
pub fn allocate(
    service: &mut Value,
    old: Option<&Value>,
    allocator: &mut dyn Allocator,
) -> Result<(), Vec<FieldError>> {
    let held = old.map(held).unwrap_or_default();
    let mut errors = unknown_families(service);
    if !errors.is_empty() {
        return Err(errors);
    }
    if needs_cluster_ip(service) {
        cluster_ip(service, &held, allocator, &mut errors);
    }
    if needs_node_ports(service) {
        node_ports(service, &held, allocator, &mut errors);
    }
    let wants_health = kind(service) == "LoadBalancer"
        && service["spec"]["externalTrafficPolicy"] == "Local"
        && service["spec"]["healthCheckNodePort"].as_u64().unwrap_or(0) == 0;
    if wants_health {
        match allocator.node_port(None) {
            Ok(port) => service["spec"]["healthCheckNodePort"] = json!(port),
            Err(why) => {
                let path = Path::new("spec.healthCheckNodePort");
                errors.push(FieldError::invalid(&path, 0, &why));
            }
        }
    }
    if errors.is_empty() { Ok(()) } else { Err(errors) }
}

/// Addresses are of the fourth version alone. Services that give none out and select nothing may name any.
fn unknown_families(service: &Value) -> Vec<FieldError> {
    let (path, spec) = (Path::new("spec"), &service["spec"]);
    let selects = spec["selector"].as_object().is_some_and(|it| !it.is_empty());
    if !needs_cluster_ip(service) || spec["clusterIP"] == "None" && !selects {
        return Vec::new();
    }
    let mut errors = Vec::new();
    for (index, family) in spec["ipFamilies"].as_array().into_iter().flatten().enumerate() {
        if family == "IPv6" {
            let at = path.child("ipFamilies").index(index);
            let why = "not configured on this cluster";
            errors.push(FieldError::invalid(&at, family.clone(), why));
        }
    }
    if spec["ipFamilyPolicy"] == "RequireDualStack" {
        let why = "this cluster is not configured for dual-stack services";
        let at = path.child("ipFamilyPolicy");
        errors.push(FieldError::invalid(&at, spec["ipFamilyPolicy"].clone(), why));
    }
    errors
}

fn cluster_ip(
    service: &mut Value,
    held: &Held,
    allocator: &mut dyn Allocator,
    errors: &mut Vec<FieldError>,
) {
    let listed = service["spec"]["clusterIPs"][0].as_str().unwrap_or_default();
    let wanted = match service["spec"]["clusterIP"].as_str().unwrap_or_default() {
        "" => listed.to_owned(),
        ip => ip.to_owned(),
    };
    let ip = if wanted == "None" || held.cluster_ips.contains(&wanted) {
        wanted
    } else {
        match allocator.cluster_ip(Some(wanted.as_str()).filter(|it| !it.is_empty())) {
            Ok(ip) => ip,
            Err(why) => {
                let path = Path::new("spec.clusterIPs");
                let why = format!("failed to allocate IP {wanted}: {why}");
                errors.push(FieldError::invalid(&path, json!([wanted]), &why));
                return;
            }
        }
    };
    let has_selector = service["spec"]["selector"].as_object().is_some_and(|it| !it.is_empty());
    let family = if ip.contains(':') { "IPv6" } else { "IPv4" };
    let spec = spec(service);
    spec.insert("clusterIP".to_owned(), json!(ip));
    spec.insert("clusterIPs".to_owned(), json!([ip]));
    let policy = if ip == "None" && !has_selector { "RequireDualStack" } else { "SingleStack" };
    let families =
        if ip == "None" && !has_selector { json!(["IPv4", "IPv6"]) } else { json!([family]) };
    spec.entry("ipFamilies").or_insert(families);
    spec.entry("ipFamilyPolicy").or_insert(json!(policy));
}

fn node_ports(
    service: &mut Value,
    held: &Held,
    allocator: &mut dyn Allocator,
    errors: &mut Vec<FieldError>,
) {
    let mut given: Vec<(u16, Value)> = Vec::new();
    let ports = service["spec"]["ports"].as_array_mut();
    for (index, port) in ports.into_iter().flatten().enumerate() {
        let wanted =
            port["nodePort"].as_u64().and_then(|it| u16::try_from(it).ok()).filter(|it| *it > 0);
        // Ports of several protocols may share a number.
        let shared = wanted.is_some_and(|it| {
            given.iter().any(|(number, protocol)| *number == it && *protocol != port["protocol"])
        });
        if let Some(number) = wanted.filter(|it| held.node_ports.contains(it) || shared) {
            given.push((number, port["protocol"].clone()));
            continue;
        }
        match allocator.node_port(wanted) {
            Ok(number) => {
                given.push((number, port["protocol"].clone()));
                port["nodePort"] = json!(number);
            }
            Err(why) => {
                let path = Path::new("spec.ports").index(index).child("nodePort");
                errors.push(FieldError::invalid(&path, wanted.unwrap_or(0), &why));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Counter(u16);

    impl Allocator for Counter {
        fn cluster_ip(&mut self, wanted: Option<&str>) -> Result<String, String> {
            match wanted {
                Some("10.0.0.9") => Err("provided IP is already allocated".to_owned()),
                Some(ip) => Ok(ip.to_owned()),
                None => Ok("10.0.0.1".to_owned()),
            }
        }

        fn node_port(&mut self, wanted: Option<u16>) -> Result<u16, String> {
            self.0 += 1;
            Ok(wanted.unwrap_or(30_000 + self.0))
        }
    }

    #[test]
    fn services_get_addresses_and_ports_and_keep_them() {
        let mut first =
            json!({"spec": {"type": "LoadBalancer", "ports": [{"port": 80, "protocol": "TCP"}]}});
        allocate(&mut first, None, &mut Counter::default()).unwrap();
        assert_eq!(
            first["spec"],
            json!({"type": "LoadBalancer", "ports": [{"port": 80, "protocol": "TCP", "nodePort": 30001}],
                   "clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1"], "ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack"})
        );
        let mut next =
            json!({"spec": {"type": "NodePort", "ports": [{"port": 80, "protocol": "TCP"}]}});
        carry(&first, &mut next);
        let mut counter = Counter::default();
        allocate(&mut next, Some(&first), &mut counter).unwrap();
        assert_eq!((next["spec"]["ports"][0]["nodePort"].as_u64(), counter.0), (Some(30001), 0));
        assert_eq!(
            held(&next),
            Held { cluster_ips: vec!["10.0.0.1".to_owned()], node_ports: vec![30001] }
        );
        let mut plain = next.clone();
        plain["spec"]["type"] = json!("ClusterIP");
        carry(&next, &mut plain);
        assert_eq!(plain["spec"]["ports"], json!([{"port": 80, "protocol": "TCP"}]));
    }

    #[test]
    fn addresses_are_of_the_fourth_version() {
        let refused = |spec: Value| -> Vec<String> {
            let mut service = json!({ "spec": spec });
            let given = allocate(&mut service, None, &mut Counter::default());
            given.map_or_else(|all| all.iter().map(ToString::to_string).collect(), |()| Vec::new())
        };
        assert_eq!(
            refused(json!({"ipFamilies": ["IPv4", "IPv6"], "ipFamilyPolicy": "RequireDualStack"})),
            [
                "spec.ipFamilies[1]: Invalid value: \"IPv6\": not configured on this cluster",
                "spec.ipFamilyPolicy: Invalid value: \"RequireDualStack\": this cluster is not configured for dual-stack services",
            ]
        );
        let none: Vec<String> = Vec::new();
        assert_eq!(
            refused(json!({"clusterIP": "None", "ipFamilyPolicy": "RequireDualStack"})),
            none
        );
        assert_eq!(refused(json!({"ipFamilyPolicy": "PreferDualStack"})), none);
        assert_eq!(refused(json!({"type": "ExternalName", "ipFamilies": ["IPv6"]})), none);
    }

    #[test]
    fn an_address_that_is_taken_is_refused() {
        let mut service = json!({"spec": {"clusterIP": "10.0.0.9"}});
        let errors = allocate(&mut service, None, &mut Counter::default()).unwrap_err();
        assert_eq!(
            errors[0].to_string(),
            "spec.clusterIPs: Invalid value: [\"10.0.0.9\"]: failed to allocate IP 10.0.0.9: provided IP is already allocated"
        );
    }
}
