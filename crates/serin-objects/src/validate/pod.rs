//! Pods and templates of pods.

use serde_json::{Map, Value};

use super::container::{self, Pod};
use super::tools::{Errors, items, named, one_of, required_one_of, text};
use super::{Change, meta, names, placement, resize, security, volume};
use crate::fields::{FieldError, Path};

/// What may change in the spec of a pod, as Kubernetes says it.
const CHANGES: &str = "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)";

/// The class of service that a pod's resources earn it.
pub(crate) fn quality(pod: &Map<String, Value>) -> &'static str {
    let containers = |name: &str| {
        let list = pod.get("spec").and_then(|spec| spec[name].as_array());
        list.into_iter().flatten()
    };
    let (mut any, mut all) = (false, true);
    for container in containers("containers").chain(containers("initContainers")) {
        let resources = &container["resources"];
        for name in ["cpu", "memory"] {
            let (request, limit) = (&resources["requests"][name], &resources["limits"][name]);
            any |= request.is_string() || limit.is_string();
            all &= limit.is_string() && (request.is_null() || request == limit);
        }
    }
    match (any, all) {
        (false, _) => "BestEffort",
        (true, true) => "Guaranteed",
        (true, false) => "Burstable",
    }
}

pub(super) fn check(change: &Change<'_>, errors: &mut Errors) {
    let path = Path::new("spec");
    let new = &change.new["spec"];
    spec(errors, &path, new, true);
    tokens(errors, &path.child("volumes"), new);
    for list in ["containers", "initContainers"] {
        for (index, it) in items(&new[list]).iter().enumerate() {
            container::trimmed(errors, &path.child(list).index(index), it);
        }
    }
    match (change.old, change.subresource) {
        (Some(old), None) => update(errors, &path, &old["spec"], new),
        (Some(old), Some("ephemeralcontainers")) => {
            ephemeral_update(errors, &path.child("ephemeralContainers"), &old["spec"], new);
        }
        (Some(old), Some("resize")) => resize::check(errors, old, change.new),
        (None, _) => {
            if !items(&new["ephemeralContainers"]).is_empty() {
                let why = "cannot be set on create";
                errors.push(FieldError::forbidden(&path.child("ephemeralContainers"), why));
            }
            if !text(new, "nodeName").is_empty() && !items(&new["schedulingGates"]).is_empty() {
                let why = "cannot be set until all schedulingGates have been cleared";
                errors.push(FieldError::forbidden(&path.child("nodeName"), why));
            }
        }
        _ => {}
    }
}

/// Tokens are of an account.
fn tokens(errors: &mut Errors, path: &Path, spec: &Value) {
    if !text(spec, "serviceAccountName").is_empty() {
        return;
    }
    for (index, volume) in items(&spec["volumes"]).iter().enumerate() {
        for (number, it) in items(&volume["projected"]["sources"]).iter().enumerate() {
            if it["serviceAccountToken"].is_object() {
                let at = path.index(index).child("projected.sources").index(number);
                let why = "must not be specified when serviceAccountName is not set";
                errors.push(FieldError::forbidden(&at.child("serviceAccountToken"), why));
            }
        }
    }
}

/// A template of pods.
pub(super) fn template(errors: &mut Errors, path: &Path, template: &Value) {
    let metadata = &template["metadata"];
    errors.extend(meta::labels(&path.child("labels"), &metadata["labels"]));
    errors.extend(meta::annotations(&path.child("annotations"), &metadata["annotations"]));
    let path = path.child("spec");
    spec(errors, &path, &template["spec"], false);
    if !items(&template["spec"]["ephemeralContainers"]).is_empty() {
        let why = "ephemeral containers not allowed in pod template";
        errors.push(FieldError::forbidden(&path.child("ephemeralContainers"), why));
    }
}

/// The spec of a pod, or of a template of pods.
fn spec(errors: &mut Errors, path: &Path, spec: &Value, is_pod: bool) {
    let volumes = volume::list(errors, &path.child("volumes"), &spec["volumes"]);
    let pod = Pod { spec, volumes };
    container::regular(errors, &path.child("containers"), &pod);
    container::init(errors, &path.child("initContainers"), &pod);
    container::ephemeral(errors, &path.child("ephemeralContainers"), &pod);
    host_network(errors, &path.child("containers"), spec, is_pod);
    required_one_of(errors, path, spec, "restartPolicy", &["Always", "OnFailure", "Never"]);
    let dns = ["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"];
    required_one_of(errors, path, spec, "dnsPolicy", &dns);
    errors.extend(meta::labels(&path.child("nodeSelector"), &spec["nodeSelector"]));
    security::pod(errors, &path.child("securityContext"), spec);
    placement::affinity(errors, &path.child("affinity"), &spec["affinity"]);
    resolver(errors, &path.child("dnsConfig"), spec);
    for (index, it) in items(&spec["readinessGates"]).iter().enumerate() {
        let at = path.child("readinessGates").index(index).child("conditionType");
        named(errors, &at, text(it, "conditionType"), names::label_key_errors);
    }
    placement::gates(errors, &path.child("schedulingGates"), &spec["schedulingGates"]);
    let spread = "topologySpreadConstraints";
    placement::spread(errors, &path.child(spread), &spec[spread]);
    for name in ["hostNetwork", "hostPID", "hostIPC"] {
        if spec["hostUsers"] == false && spec[name] == true {
            let shown = name.replace("hostPID", "HostPID").replace("hostIPC", "HostIPC");
            let why = "when `pod.Spec.HostUsers` is false";
            errors.push(FieldError::forbidden(&path.child(&shown), why));
        }
    }
    short_texts(errors, path, spec);
}

/// What the last part of a spec says in a word or a number.
fn short_texts(errors: &mut Errors, path: &Path, spec: &Value) {
    let given = |errors: &mut Errors, name: &str, rule: fn(&str) -> Vec<String>| {
        if !text(spec, name).is_empty() {
            named(errors, &path.child(name), text(spec, name), rule);
        }
    };
    given(errors, "serviceAccountName", names::dns1123_subdomain);
    given(errors, "nodeName", names::dns1123_subdomain);
    if let Some(seconds) = spec["activeDeadlineSeconds"].as_i64()
        && !(1..=i64::from(i32::MAX)).contains(&seconds)
    {
        let why = "must be between 1 and 2147483647, inclusive";
        errors.push(FieldError::invalid(&path.child("activeDeadlineSeconds"), seconds, why));
    }
    given(errors, "hostname", names::dns1123_label);
    given(errors, "subdomain", names::dns1123_label);
    placement::tolerations(errors, &path.child("tolerations"), &spec["tolerations"]);
    for (index, it) in items(&spec["hostAliases"]).iter().enumerate() {
        let at = path.child("hostAliases").index(index);
        super::tools::ip(errors, &at.child("ip"), text(it, "ip"));
        for (index, name) in items(&it["hostnames"]).iter().enumerate() {
            let name = name.as_str().unwrap_or_default();
            let at = at.child("hostnames").index(index);
            named(errors, &at, name, names::dns1123_subdomain);
        }
    }
    given(errors, "priorityClassName", names::dns1123_subdomain);
    given(errors, "runtimeClassName", names::dns1123_subdomain);
    one_of(errors, path, spec, "preemptionPolicy", &["PreemptLowerPriority", "Never"]);
    if spec["os"].is_object() {
        let (at, name) = (path.child("os"), text(&spec["os"], "name"));
        if name.is_empty() {
            errors.push(FieldError::required(&at.child("name"), "cannot be empty"));
        } else if !matches!(name, "linux" | "windows") {
            errors.push(FieldError::not_supported(&at, name, &["linux", "windows"]));
        }
    }
}

/// In the network of the host, ports are what they are.
fn host_network(errors: &mut Errors, path: &Path, spec: &Value, is_pod: bool) {
    if spec["hostNetwork"] != true {
        return;
    }
    for (index, container) in items(&spec["containers"]).iter().enumerate() {
        for (number, it) in items(&container["ports"]).iter().enumerate() {
            let host = it["hostPort"].as_i64().unwrap_or(0);
            if (is_pod || host != 0) && it["containerPort"] != host {
                let at = path.index(index).child("ports").index(number).child("hostPort");
                let why = "must match `containerPort` when `hostNetwork` is true";
                errors.push(FieldError::invalid(&at, host, why));
            }
        }
    }
}

/// Where the containers ask for names.
fn resolver(errors: &mut Errors, path: &Path, spec: &Value) {
    let config = &spec["dnsConfig"];
    let servers = items(&config["nameservers"]);
    if text(spec, "dnsPolicy") == "None" {
        if !config.is_object() {
            let why = "must provide `dnsConfig` when `dnsPolicy` is None";
            return errors.push(FieldError::required(path, why));
        }
        if servers.is_empty() {
            let why = "must provide at least one DNS nameserver when `dnsPolicy` is None";
            return errors.push(FieldError::required(&path.child("nameservers"), why));
        }
    }
    let at = path.child("nameservers");
    if servers.len() > 3 {
        let why = "must not have more than 3 nameservers";
        errors.push(FieldError::invalid(&at, config["nameservers"].clone(), why));
    }
    for (index, it) in servers.iter().enumerate() {
        super::tools::ip(errors, &at.index(index), it.as_str().unwrap_or_default());
    }
    let (at, searches) = (path.child("searches"), items(&config["searches"]));
    if searches.len() > 32 {
        let why = "must not have more than 32 search paths";
        errors.push(FieldError::invalid(&at, config["searches"].clone(), why));
    }
    for (index, it) in searches.iter().enumerate() {
        let name = it.as_str().unwrap_or_default();
        if name != "." {
            let name = name.strip_suffix('.').unwrap_or(name).replace('_', "-");
            named(errors, &at.index(index), &name, names::dns1123_subdomain);
        }
    }
    for (index, it) in items(&config["options"]).iter().enumerate() {
        if text(it, "name").is_empty() {
            let at = path.child("options").index(index);
            errors.push(FieldError::required(&at, "must not be empty"));
        }
    }
}

/// What was added once stays as it is.
fn ephemeral_update(errors: &mut Errors, path: &Path, old: &Value, new: &Value) {
    for before in items(&old["ephemeralContainers"]) {
        let now = items(&new["ephemeralContainers"]).iter().find(|it| it["name"] == before["name"]);
        let what = match now {
            None => "removed",
            Some(now) if now != before => "changed",
            Some(_) => continue,
        };
        let name = crate::go::quote(text(before, "name"));
        let why = format!("existing ephemeral containers {name} may not be {what}\n");
        errors.push(FieldError::forbidden(path, &why));
    }
}

/// What an update of a pod changes that it may not.
fn update(errors: &mut Errors, path: &Path, old: &Value, new: &Value) {
    for list in ["containers", "initContainers"] {
        if items(&old[list]).len() != items(&new[list]).len() {
            let why = "pod updates may not add or remove containers";
            errors.push(FieldError::forbidden(&path.child(list), why));
            return;
        }
    }
    if !deadline_update(errors, &path.child("activeDeadlineSeconds"), old, new) {
        return;
    }
    tolerations_update(errors, &path.child("tolerations"), old, new);
    let (was, is) = (items(&old["schedulingGates"]), items(&new["schedulingGates"]));
    for (index, gate) in is.iter().enumerate().filter(|(_, it)| !was.contains(it)) {
        let name = text(gate, "name");
        let why = format!("only deletion is allowed, but found new scheduling gate '{name}'");
        let at = path.child("schedulingGates").index(index).child("name");
        errors.push(FieldError::forbidden(&at, &why));
    }
    if masked(old, new) != *old {
        errors.push(FieldError::forbidden(path, CHANGES));
    }
}

/// The new spec with all that may change as it was.
fn masked(old: &Value, new: &Value) -> Value {
    let mut masked = new.clone();
    for name in ["activeDeadlineSeconds", "tolerations", "schedulingGates"] {
        mask(&mut masked, name, old.get(name));
    }
    for list in ["containers", "initContainers"] {
        for (index, it) in items(&old[list]).iter().enumerate() {
            masked[list][index]["image"] = it["image"].clone();
        }
    }
    let grace = "terminationGracePeriodSeconds";
    if old[grace].as_i64().is_some_and(|it| it < 0) && new[grace] == 1 {
        mask(&mut masked, grace, old.get(grace));
    }
    // A pod that waits at a gate may still be sent elsewhere.
    if !items(&old["schedulingGates"]).is_empty() {
        mask(&mut masked, "nodeSelector", old.get("nodeSelector"));
        mask(&mut masked, "affinity", old.get("affinity"));
    }
    masked
}

/// Whether the rest of an update is worth a look.
fn deadline_update(errors: &mut Errors, path: &Path, old: &Value, new: &Value) -> bool {
    let of = |spec: &Value| spec["activeDeadlineSeconds"].as_i64();
    match (of(old), of(new)) {
        (Some(was), Some(is)) if was < is => {
            let why = "must be less than or equal to previous value";
            errors.push(FieldError::invalid(path, is, why));
            return false;
        }
        (Some(_), None) => {
            let why = "must not update from a positive integer to nil value";
            errors.push(FieldError::invalid(path, Value::Null, why));
        }
        _ => {}
    }
    true
}

/// Tolerations may be added, and those that are there may last for another time.
fn tolerations_update(errors: &mut Errors, path: &Path, old: &Value, new: &Value) {
    let rest = |it: &Value| {
        let mut it = it.clone();
        it.as_object_mut().map(|map| map.remove("tolerationSeconds"));
        it
    };
    let now: Vec<Value> = items(&new["tolerations"]).iter().map(rest).collect();
    if !items(&old["tolerations"]).iter().all(|it| now.contains(&rest(it))) {
        let why = "existing toleration can not be modified except its tolerationSeconds";
        errors.push(FieldError::forbidden(path, why));
    }
}

fn mask(spec: &mut Value, name: &str, value: Option<&Value>) {
    let Some(map) = spec.as_object_mut() else { return };
    match value {
        Some(value) => map.insert(name.to_owned(), value.clone()),
        None => map.remove(name),
    };
}
