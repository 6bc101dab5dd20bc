//! What a real Kubernetes refuses, in its words.

use serde_json::Value;

use crate::Resource;
use crate::fields::FieldError;

mod access;
mod certificate;
mod config;
mod container;
mod crd;
mod custom;
mod env;
mod ingress;
mod job;
mod limits;
mod meta;
mod mounts;
pub(crate) mod names;
mod network;
mod placement;
pub(crate) mod pod;
mod probe;
mod registration;
mod resize;
mod resources;
mod scaling;
mod schedule;
mod security;
mod service;
mod tools;
mod volume;
mod webhook;
mod workload;

/// An object, and the one it replaces.
#[derive(Clone, Copy)]
struct Change<'c> {
    old: Option<&'c Value>,
    new: &'c Value,
    /// The part of the object that is written.
    subresource: Option<&'c str>,
}

/// Everything that is wrong with an object, new or in the place of `old`.
pub(crate) fn object(
    resource: &Resource,
    old: Option<&Value>,
    new: &Value,
    subresource: Option<&str>,
) -> Vec<FieldError> {
    let mut errors = meta::check(resource, new);
    if let Some(old) = old {
        errors.extend(meta::check_update(old, new));
    }
    let change = Change { old, new, subresource };
    if resource.is_custom() {
        errors.extend(custom::check(resource, old, new));
        return errors;
    }
    // What is not written was right already.
    if subresource == Some("status") {
        return errors;
    }
    match (resource.group.as_str(), resource.kind.as_str()) {
        ("", "Pod") => pod::check(&change, &mut errors),
        ("", "ConfigMap" | "Secret" | "Namespace" | "ServiceAccount" | "Node" | "Event") => {
            config::check(&resource.kind, &change, &mut errors);
        }
        (
            "",
            "PersistentVolume"
            | "PersistentVolumeClaim"
            | "LimitRange"
            | "ResourceQuota"
            | "PodTemplate",
        ) => {
            config::check(&resource.kind, &change, &mut errors);
        }
        ("", "Service" | "Endpoints") | ("networking.k8s.io" | "discovery.k8s.io", _) => {
            network::check(&resource.kind, &change, &mut errors);
        }
        ("apps" | "batch", _) | ("", "ReplicationController") => {
            workload::check(&resource.kind, &change, &mut errors);
        }
        (
            "autoscaling"
            | "policy"
            | "scheduling.k8s.io"
            | "storage.k8s.io"
            | "coordination.k8s.io",
            _,
        ) => {
            scaling::check(resource, &change, &mut errors);
        }
        ("rbac.authorization.k8s.io", _) => access::check(&resource.kind, &change, &mut errors),
        ("admissionregistration.k8s.io", _) => webhook::check(&resource.kind, &change, &mut errors),
        ("apiextensions.k8s.io", _) => crd::check(&change, &mut errors),
        ("certificates.k8s.io", _) => certificate::check(&change, &mut errors),
        ("events.k8s.io", _) => config::check(&resource.kind, &change, &mut errors),
        ("apiregistration.k8s.io", _) => registration::check(&change, &mut errors),
        ("node.k8s.io", _) => certificate::runtime_class(&change, &mut errors),
        _ => {}
    }
    errors
}

#[cfg(test)]
mod tests;
