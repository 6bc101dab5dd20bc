//! What a write may change, by kind: status and spec apart, and changes of the spec counted.

use serde_json::{Map, Value, json};

use crate::Resource;
use crate::decode::canonical;

/// Kinds of Kubernetes' own whose changes are counted.
const COUNTED: &[(&str, &str)] = &[
    ("", "Pod"),
    ("", "ReplicationController"),
    ("apps", "DaemonSet"),
    ("apps", "Deployment"),
    ("apps", "ReplicaSet"),
    ("apps", "StatefulSet"),
    ("batch", "CronJob"),
    ("batch", "Job"),
    ("networking.k8s.io", "Ingress"),
    ("networking.k8s.io", "IngressClass"),
    ("networking.k8s.io", "NetworkPolicy"),
    ("policy", "PodDisruptionBudget"),
    ("discovery.k8s.io", "EndpointSlice"),
    ("scheduling.k8s.io", "PriorityClass"),
    ("flowcontrol.apiserver.k8s.io", "FlowSchema"),
    ("flowcontrol.apiserver.k8s.io", "PriorityLevelConfiguration"),
    ("storage.k8s.io", "CSIDriver"),
    ("apiextensions.k8s.io", "CustomResourceDefinition"),
    ("admissionregistration.k8s.io", "MutatingWebhookConfiguration"),
    ("admissionregistration.k8s.io", "ValidatingWebhookConfiguration"),
    ("admissionregistration.k8s.io", "ValidatingAdmissionPolicy"),
    ("admissionregistration.k8s.io", "ValidatingAdmissionPolicyBinding"),
];

fn is_counted(resource: &Resource) -> bool {
    resource.is_custom() || COUNTED.iter().any(|(group, kind)| resource.is(group, kind))
}

/// Sets what a new object begins with.
pub(super) fn before_create(resource: &Resource, object: &mut Value) {
    if is_counted(resource) {
        object["metadata"]["generation"] = json!(1);
    }
    if resource.has_status() {
        reset_status(resource, object);
    }
    if resource.is("", "Namespace") {
        let name = object["metadata"]["name"].clone();
        object["metadata"]["labels"]["kubernetes.io/metadata.name"] = name;
        if !object["spec"].is_object() {
            object["spec"] = json!({});
        }
        let finalizers = &mut object["spec"]["finalizers"];
        if !finalizers.as_array().is_some_and(|list| list.contains(&json!("kubernetes"))) {
            *finalizers = json!(["kubernetes"]);
        }
    }
    pod_template_generation(resource, object);
    if resource.is("batch", "Job") {
        job_labels(object);
    }
}

/// A job's pods are told from others by its uid, unless its author chose how.
fn job_labels(object: &mut Value) {
    if object["spec"]["manualSelector"] != true {
        select_own_pods(object);
    }
    // A job without labels has those of its pods.
    let none = object["metadata"]["labels"].as_object().is_none_or(Map::is_empty);
    let labels = object["spec"]["template"]["metadata"]["labels"].clone();
    if none && labels.is_object() {
        object["metadata"]["labels"] = labels;
    }
}

fn select_own_pods(object: &mut Value) {
    let (name, uid) = (object["metadata"]["name"].clone(), object["metadata"]["uid"].clone());
    let labels = &mut object["spec"]["template"]["metadata"]["labels"];
    for prefix in ["", "batch.kubernetes.io/"] {
        labels[format!("{prefix}job-name")] = name.clone();
        labels[format!("{prefix}controller-uid")] = uid.clone();
    }
    if object["spec"]["selector"].is_null() {
        object["spec"]["selector"] =
            json!({"matchLabels": {"batch.kubernetes.io/controller-uid": uid}});
    }
}

/// Texts of a Secret are data.
pub(super) fn secret_texts(resource: &Resource, object: &mut Value) {
    use base64::Engine as _;
    if !resource.is("", "Secret") {
        return;
    }
    let Some(Value::Object(texts)) = object.as_object_mut().and_then(|it| it.remove("stringData"))
    else {
        return;
    };
    for (name, text) in texts {
        let text = text.as_str().unwrap_or_default();
        object["data"][&name] = json!(base64::engine::general_purpose::STANDARD.encode(text));
    }
}

/// The count of changes of a DaemonSet's template.
fn pod_template_generation(resource: &Resource, object: &mut Value) {
    if resource.is("apps", "DaemonSet") {
        object["metadata"]["annotations"]["deprecated.daemonset.template.generation"] = json!("1");
    }
}

/// The status of a new object: what nobody has written to yet, whatever the client sent.
fn reset_status(resource: &Resource, object: &mut Value) {
    let Some(map) = object.as_object_mut() else { return };
    if resource.is_custom() {
        map.remove("status");
        return;
    }
    // A node reports itself when it registers.
    if resource.is("", "Node") {
        return;
    }
    let status = match resource.kind.as_str() {
        "Namespace" => json!({"phase": "Active"}),
        "Pod" => json!({"phase": "Pending", "qosClass": crate::validate::pod::quality(map)}),
        "PersistentVolumeClaim" | "PersistentVolume" => json!({"phase": "Pending"}),
        "CustomResourceDefinition" => {
            let versions = map.get("spec").and_then(|spec| spec["versions"].as_array());
            let kept = versions.into_iter().flatten().find(|it| it["storage"] == true);
            let kept = kept.map(|it| it["name"].clone());
            json!({"acceptedNames": {"kind": "", "plural": ""}, "conditions": null,
                   "storedVersions": kept.into_iter().collect::<Vec<_>>()})
        }
        _ => canonical::zero(resource.schema().field("status")),
    };
    map.insert("status".to_owned(), status);
}

/// Puts back what a write does not change: the status, or all but the status.
pub(super) fn keep(
    resource: &Resource,
    old: &Value,
    object: &mut Value,
    subresource: Option<&str>,
) {
    match subresource {
        Some("status") => keep_all_but_status(resource, old, object),
        Some("finalize") => keep_field(old, object, "status"),
        Some("ephemeralcontainers") => keep_all_but_spec(old, object, |spec, from| {
            keep_field(from, spec, "ephemeralContainers");
        }),
        Some("resize") => keep_all_but_spec(old, object, resize),
        Some("approval") => {
            let conditions = object["status"]["conditions"].take();
            keep_all_but_spec(old, object, |_, _| {});
            object["status"]["conditions"] = conditions;
        }
        None if resource.has_status() => keep_field(old, object, "status"),
        _ => {}
    }
    if resource.is("", "Namespace") && subresource != Some("finalize") {
        object["spec"]["finalizers"] = old["spec"]["finalizers"].clone();
    }
    if resource.is("certificates.k8s.io", "CertificateSigningRequest") {
        keep_field(old, object, "spec");
        if subresource == Some("status") {
            keep_verdicts(old, object);
        }
    }
}

/// Carries over what the server gave an object earlier. Nobody owns that.
pub(super) fn carry(
    resource: &Resource,
    old: &Value,
    object: &mut Value,
    subresource: Option<&str>,
) {
    if resource.is("", "Service") && subresource.is_none() {
        crate::service::carry(old, object);
    }
}

/// Whether a request is approved is not written with its status.
fn keep_verdicts(old: &Value, object: &mut Value) {
    let is_verdict = |it: &Value| it["type"] == "Approved" || it["type"] == "Denied";
    let all = |it: &Value| it["status"]["conditions"].as_array().cloned().unwrap_or_default();
    let mut conditions: Vec<Value> = all(old).into_iter().filter(is_verdict).collect();
    conditions.extend(all(object).into_iter().filter(|it| !is_verdict(it)));
    if !conditions.is_empty() {
        object["status"]["conditions"] = conditions.into();
    }
}

/// Puts back everything but what `take` takes over from the spec that was written.
fn keep_all_but_spec(old: &Value, object: &mut Value, take: impl Fn(&mut Value, &Value)) {
    let mut kept = old.clone();
    take(&mut kept["spec"], &object["spec"]);
    for name in ["managedFields", "resourceVersion"] {
        keep_field(&object["metadata"], &mut kept["metadata"], name);
    }
    *object = kept;
}

/// Takes over the resources of containers.
fn resize(spec: &mut Value, from: &Value) {
    for list in ["containers", "initContainers"] {
        let containers = spec.get_mut(list).and_then(Value::as_array_mut);
        for container in containers.into_iter().flatten() {
            let mut all = from[list].as_array().into_iter().flatten();
            if let Some(wanted) = all.find(|it| it["name"] == container["name"]) {
                keep_field(wanted, container, "resources");
                keep_field(wanted, container, "resizePolicy");
            }
        }
    }
}

fn keep_field(old: &Value, object: &mut Value, name: &str) {
    let Some(map) = object.as_object_mut() else { return };
    match old.get(name) {
        Some(value) => map.insert(name.to_owned(), value.clone()),
        None => map.remove(name),
    };
}

fn keep_all_but_status(resource: &Resource, old: &Value, object: &mut Value) {
    let Some(map) = object.as_object_mut() else { return };
    if resource.is_custom() {
        let status = map.remove("status");
        let owners = map.get("metadata").and_then(|it| it.get("managedFields")).cloned();
        let version = map.get("metadata").and_then(|it| it.get("resourceVersion")).cloned();
        *map = old.as_object().cloned().unwrap_or_default();
        map.remove("status");
        if let Some(status) = status {
            map.insert("status".to_owned(), status);
        }
        if let Some(metadata) = map.get_mut("metadata").and_then(Value::as_object_mut) {
            restore(metadata, "managedFields", owners);
            restore(metadata, "resourceVersion", version);
        }
        return;
    }
    for name in old.as_object().into_iter().flatten().map(|(name, _)| name) {
        if name != "status" && name != "metadata" {
            map.insert(name.clone(), old[name].clone());
        }
    }
    map.retain(|name, _| name == "status" || name == "metadata" || old.get(name).is_some());
    if let Some(metadata) = map.get_mut("metadata").and_then(Value::as_object_mut) {
        let kept = match resource.kind.as_str() {
            "Deployment" | "DaemonSet" => vec!["labels", "ownerReferences", "finalizers"],
            "CustomResourceDefinition" => vec!["labels", "annotations", "ownerReferences"],
            _ => vec!["ownerReferences"],
        };
        for name in kept {
            restore(metadata, name, old["metadata"].get(name).cloned());
        }
    }
}

fn restore(map: &mut Map<String, Value>, name: &str, value: Option<Value>) {
    match value {
        Some(value) => map.insert(name.to_owned(), value),
        None => map.remove(name),
    };
}

/// Counts a change of what is wanted.
pub(super) fn count(resource: &Resource, old: &Value, object: &mut Value) {
    if !is_counted(resource) {
        return;
    }
    let differs = |name: &str| {
        old.get(name).unwrap_or(&Value::Null) != object.get(name).unwrap_or(&Value::Null)
    };
    let mut names: Vec<&String> = Vec::new();
    for it in [old, &*object] {
        names.extend(it.as_object().into_iter().flatten().map(|(name, _)| name));
    }
    let is_frame = |name: &str| {
        matches!(name, "apiVersion" | "kind" | "metadata")
            || (name == "status" && resource.has_status())
    };
    let changed = names.iter().any(|name| !is_frame(name) && differs(name));
    if resource.is("apps", "DaemonSet") && old["spec"]["template"] != object["spec"]["template"] {
        let name = "deprecated.daemonset.template.generation";
        let count =
            old["metadata"]["annotations"][name].as_str().and_then(|it| it.parse::<u64>().ok());
        object["metadata"]["annotations"][name] = json!((count.unwrap_or(0) + 1).to_string());
    }
    if changed {
        let count = old["metadata"]["generation"].as_i64().unwrap_or(0) + 1;
        object["metadata"]["generation"] = json!(count);
    }
}
