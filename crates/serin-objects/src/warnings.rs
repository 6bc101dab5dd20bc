//! What the author of an object should hear although it is stored: what is deprecated in it, ignored, or likely a mistake.

use serde_json::Value;

use crate::Resource;
use crate::fields::Path;
use crate::go::{printed, quote};
use crate::quantity::Quantity;
use crate::validate::names;

mod pod;

/// The warnings for an object that is new, or whose wanted state changed.
pub(crate) fn object(resource: &Resource, old: Option<&Value>, new: &Value) -> Vec<String> {
    if resource.is_custom() {
        return finalizers(old, new);
    }
    let spec = &new["spec"];
    let mut out = Vec::new();
    match (resource.group.as_str(), resource.kind.as_str()) {
        ("", "Pod") => {
            if old.is_none() {
                out.extend(long_name(new, "the Pod's hostname"));
            }
            pod::check(&mut out, &Path::root(), new);
        }
        ("apps", "Deployment" | "ReplicaSet" | "StatefulSet" | "DaemonSet")
        | ("", "ReplicationController") => workload(&mut out, resource, old, new),
        ("batch", "Job") => {
            if old.is_none() {
                out.extend(long_name(new, PODS));
            }
            pod::check(&mut out, &Path::new("spec.template"), &spec["template"]);
        }
        ("batch", "CronJob") => {
            if old.is_none() {
                out.extend(long_name(new, PODS));
            }
            let path = Path::new("spec.jobTemplate.spec.template");
            pod::check(&mut out, &path, &spec["jobTemplate"]["spec"]["template"]);
        }
        ("", "PodTemplate") => pod::check(&mut out, &Path::new("template"), &new["template"]),
        ("", "Service") => service(&mut out, spec),
        ("", "PersistentVolumeClaim") => claim(&mut out, &Path::new("spec"), spec),
        ("", "PersistentVolume") => volume(&mut out, new),
        ("", "ServiceAccount") => {
            let name = "kubernetes.io/enforce-mountable-secrets";
            if new["metadata"]["annotations"][name].is_string() {
                let path = Path::new("metadata.annotations").key(name);
                out.push(format!(
                    "{path}: deprecated in v1.32+; prefer separate namespaces to isolate access to mounted secrets"
                ));
            }
        }
        ("networking.k8s.io", "Ingress") if old.is_none() => ingress(&mut out, new),
        _ => {}
    }
    out
}

const PODS: &str = "Pod names and hostnames";

/// Names of pods become names of hosts.
fn long_name(object: &Value, what: &str) -> Option<String> {
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    let wrong: Vec<Value> = names::dns1123_label(name).into_iter().map(Value::from).collect();
    (!wrong.is_empty()).then(|| {
        let wrong = printed(&Value::Array(wrong));
        format!(
            "metadata.name: this is used in {what}, which can result in surprising behavior; a DNS label is recommended: {wrong}"
        )
    })
}

fn workload(out: &mut Vec<String>, resource: &Resource, old: Option<&Value>, new: &Value) {
    let spec = &new["spec"];
    let named =
        matches!(resource.kind.as_str(), "Deployment" | "ReplicaSet" | "ReplicationController");
    if old.is_none() && named {
        out.extend(long_name(new, PODS));
    }
    pod::check(out, &Path::new("spec.template"), &spec["template"]);
    if resource.kind == "StatefulSet" {
        if spec["revisionHistoryLimit"].as_i64().is_some_and(|it| it < 0) {
            out.push("spec.revisionHistoryLimit: a negative value retains all historical revisions; a value >= 0 is recommended".to_owned());
        }
        let claims = spec["volumeClaimTemplates"].as_array();
        for (index, it) in claims.into_iter().flatten().enumerate() {
            // The case of the last word is Kubernetes' own.
            let path = Path::new("spec.volumeClaimTemplates").index(index).child("Spec");
            claim(out, &path, &it["spec"]);
        }
    }
}

fn service(out: &mut Vec<String>, spec: &Value) {
    let text = |name: &str| spec[name].as_str().unwrap_or_default();
    let some = |name: &str| spec[name].as_array().is_some_and(|it| !it.is_empty());
    if text("clusterIP") == "None" {
        if !text("loadBalancerIP").is_empty() {
            out.push("spec.loadBalancerIP is ignored for headless services".to_owned());
        }
        if some("externalIPs") {
            out.push("spec.externalIPs is ignored for headless services".to_owned());
        }
        if !matches!(text("sessionAffinity"), "" | "None") {
            out.push("spec.SessionAffinity is ignored for headless services".to_owned());
        }
    }
    let external = text("type") == "ExternalName";
    if external && some("externalIPs") {
        out.push("spec.externalIPs is ignored when spec.type is \"ExternalName\"".to_owned());
    }
    if !external && !text("externalName").is_empty() {
        out.push("spec.externalName is ignored when spec.type is not \"ExternalName\"".to_owned());
    }
}

/// An amount of bytes that is no whole number.
fn fraction(out: &mut Vec<String>, path: &Path, amounts: &Value, name: &str) {
    let Some(text) = amounts[name].as_str() else { return };
    if Quantity::parse(text).is_some_and(|it| !it.is_whole()) {
        let (path, shown) = (path.key(name), quote(text));
        out.push(format!("{path}: fractional byte value {shown} is invalid, must be an integer"));
    }
}

fn claim(out: &mut Vec<String>, path: &Path, spec: &Value) {
    fraction(out, &path.child("resources.requests"), &spec["resources"]["requests"], "storage");
}

/// Kinds of volumes that are gone, or go: in volumes of pods and in those of the cluster.
const OLD_VOLUMES: &[(&str, &str)] = &[
    ("photonPersistentDisk", "deprecated in v1.11, non-functional in v1.16+"),
    ("gitRepo", "deprecated in v1.11, and disabled by default in v1.33+"),
    ("scaleIO", "deprecated in v1.16, non-functional in v1.22+"),
    ("flocker", "deprecated in v1.22, non-functional in v1.25+"),
    ("storageos", "deprecated in v1.22, non-functional in v1.25+"),
    ("quobyte", "deprecated in v1.22, non-functional in v1.25+"),
    ("glusterfs", "deprecated in v1.25, non-functional in v1.26+"),
    ("cephfs", "deprecated in v1.28, non-functional in v1.31+"),
    ("rbd", "deprecated in v1.28, non-functional in v1.31+"),
];

fn old_volumes(out: &mut Vec<String>, path: &Path, volume: &Value) {
    for (name, what) in OLD_VOLUMES.iter().filter(|(name, _)| volume[*name].is_object()) {
        let name = if *name == "storageos" { "storageOS" } else { name };
        out.push(format!("{}: {what}", path.child(name)));
    }
}

fn volume(out: &mut Vec<String>, object: &Value) {
    let annotations = &object["metadata"]["annotations"];
    for (name, what) in [
        (
            "volume.beta.kubernetes.io/storage-class",
            "deprecated since v1.8; use \"storageClassName\" attribute instead",
        ),
        (
            "volume.beta.kubernetes.io/mount-options",
            "deprecated since v1.31; use \"mountOptions\" attribute instead",
        ),
    ] {
        if annotations[name].is_string() {
            out.push(format!("{}: {what}", Path::new("metadata.annotations").key(name)));
        }
    }
    let spec = &object["spec"];
    if spec["persistentVolumeReclaimPolicy"] == "Recycle" {
        out.push("spec.persistentVolumeReclaimPolicy: The Recycle reclaim policy is deprecated. Instead, the recommended approach is to use dynamic provisioning.".to_owned());
    }
    let path = Path::new("spec.nodeAffinity.required.nodeSelectorTerms");
    let terms = spec["nodeAffinity"]["required"]["nodeSelectorTerms"].as_array();
    for (index, it) in terms.into_iter().flatten().enumerate() {
        pod::node_term(out, &path.index(index), it);
    }
    old_volumes(out, &Path::new("spec"), spec);
    fraction(out, &Path::new("spec.capacity"), &spec["capacity"], "storage");
}

fn ingress(out: &mut Vec<String>, object: &Value) {
    let name = "kubernetes.io/ingress.class";
    if object["metadata"]["annotations"][name].is_string()
        && !object["spec"]["ingressClassName"].is_string()
    {
        out.push(format!(
            "annotation {} is deprecated, please use 'spec.ingressClassName' instead",
            quote(name)
        ));
    }
}

/// Finalizers of custom resources should have a domain, which those of Kubernetes' own kinds must.
fn finalizers(old: Option<&Value>, new: &Value) -> Vec<String> {
    let listed = |object: &Value| -> Vec<String> {
        let all = object["metadata"]["finalizers"].as_array().into_iter().flatten();
        all.filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let known = old.map(listed).unwrap_or_default();
    let standard = ["orphan", "foregroundDeletion"];
    let bare = listed(new).into_iter().filter(|name| {
        !name.contains('/') && !standard.contains(&name.as_str()) && !known.contains(name)
    });
    bare.map(|name| {
        format!(
            "metadata.finalizers: {}: prefer a domain-qualified finalizer name including a path (/) to avoid accidental conflicts with other finalizer writers",
            quote(&name)
        )
    })
    .collect()
}

#[cfg(test)]
mod tests;
