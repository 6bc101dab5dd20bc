//! What an object uses, by the names that quotas give to it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::Resource;
use crate::quantity::Quantity;
use crate::resources::{Amounts, amounts, pod_amounts};

/// Amounts by name.
pub type Usage = BTreeMap<String, Quantity>;

const CLASS: &str = ".storageclass.storage.k8s.io/";

/// Kinds of the core group that are counted under their plural alone, too.
const COUNTED: &[&str] = &[
    "configmaps",
    "persistentvolumeclaims",
    "pods",
    "replicationcontrollers",
    "resourcequotas",
    "secrets",
    "services",
];

/// Plural and group of the resource whose objects use something.
pub(super) fn source(name: &str) -> (String, String) {
    if let Some(counted) = name.strip_prefix("count/") {
        let (plural, group) = counted.split_once('.').unwrap_or((counted, ""));
        return (plural.to_owned(), group.to_owned());
    }
    let plural = match name {
        "services.loadbalancers" | "services.nodeports" => "services",
        "requests.storage" => "persistentvolumeclaims",
        name if name.contains(CLASS) => "persistentvolumeclaims",
        name if COUNTED.contains(&name) => name,
        _ => "pods",
    };
    (plural.to_owned(), String::new())
}

/// Whether every object of a resource uses one of it. Pods use none when they have ended.
pub(super) fn is_count(name: &str, resource: &Resource) -> bool {
    name.starts_with("count/")
        || resource.group.is_empty() && name == resource.plural && name != "pods"
}

/// Everything that an object uses.
pub fn of(resource: &Resource, object: &Value) -> Usage {
    let one = Quantity::from_whole(1);
    let mut out = Usage::from([(format!("count/{}", resource.group_resource()), one)]);
    if !resource.group.is_empty() {
        return out;
    }
    if COUNTED.contains(&resource.plural.as_str()) && resource.plural != "pods" {
        out.insert(resource.plural.clone(), one);
    }
    match resource.kind.as_str() {
        "Pod" if !is_over(object) => pod(&mut out, object),
        "Service" => service(&mut out, &object["spec"]),
        "PersistentVolumeClaim" => claim(&mut out, object),
        _ => {}
    }
    out
}

/// Whether a pod has ended; nothing of it runs any more.
fn is_over(pod: &Value) -> bool {
    matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed"))
}

fn pod(out: &mut Usage, pod: &Value) {
    out.insert("pods".to_owned(), Quantity::from_whole(1));
    compute(out, &pod_amounts(pod, "requests"), &pod_amounts(pod, "limits"));
}

/// Requests and limits under the names of quotas.
fn compute(out: &mut Usage, requests: &Amounts, limits: &Amounts) {
    for (name, amount) in requests {
        if matches!(name.as_str(), "cpu" | "memory" | "ephemeral-storage")
            || name.starts_with("hugepages-")
        {
            out.insert(name.clone(), *amount);
        }
        out.insert(format!("requests.{name}"), *amount);
    }
    for (name, amount) in limits {
        if matches!(name.as_str(), "cpu" | "memory" | "ephemeral-storage") {
            out.insert(format!("limits.{name}"), *amount);
        }
    }
}

/// Processor and memory that a quota limits have to be asked for by every container.
pub(super) fn explicit<'n>(pod: &Value, hard: impl Iterator<Item = &'n str>) -> Result<(), String> {
    const EXPLICIT: &[&str] =
        &["cpu", "limits.cpu", "limits.memory", "memory", "requests.cpu", "requests.memory"];
    let mut missing: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let required: Vec<&str> = hard.filter(|name| EXPLICIT.contains(name)).collect();
    for list in ["containers", "initContainers"] {
        for container in pod["spec"][list].as_array().into_iter().flatten() {
            let mut used = Usage::new();
            let resources = &container["resources"];
            compute(&mut used, &amounts(&resources["requests"]), &amounts(&resources["limits"]));
            for name in required.iter().filter(|name| !used.contains_key(**name)) {
                let of = container["name"].as_str().unwrap_or_default();
                missing.entry(name).or_default().insert(of);
            }
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    let parts = missing.iter().map(|(name, containers)| {
        let containers: Vec<&str> = containers.iter().copied().collect();
        format!("{name} for: {}", containers.join(","))
    });
    Err(format!("must specify {}", parts.collect::<Vec<_>>().join("; ")))
}

fn service(out: &mut Usage, spec: &Value) {
    let ports = spec["ports"].as_array().map_or(0, Vec::len);
    let (balanced, on_nodes) = match spec["type"].as_str() {
        Some("NodePort") => (0, ports),
        Some("LoadBalancer") if spec["allocateLoadBalancerNodePorts"] == false => {
            let given = spec["ports"].as_array().into_iter().flatten();
            (1, given.filter(|it| it["nodePort"].as_i64().is_some_and(|port| port > 0)).count())
        }
        Some("LoadBalancer") => (1, ports),
        _ => (0, 0),
    };
    out.insert("services.loadbalancers".to_owned(), Quantity::from_whole(balanced));
    out.insert("services.nodeports".to_owned(), Quantity::from_whole(on_nodes));
}

fn claim(out: &mut Usage, object: &Value) {
    let spec = &object["spec"];
    let annotation = &object["metadata"]["annotations"]["volume.beta.kubernetes.io/storage-class"];
    let class = annotation.as_str().or_else(|| spec["storageClassName"].as_str());
    let class = class.filter(|it| !it.is_empty());
    if let Some(class) = class {
        out.insert(format!("{class}{CLASS}persistentvolumeclaims"), Quantity::from_whole(1));
    }
    if let Some(size) = amounts(&spec["resources"]["requests"]).get("storage") {
        out.insert("requests.storage".to_owned(), *size);
        if let Some(class) = class {
            out.insert(format!("{class}{CLASS}requests.storage"), *size);
        }
    }
}
