//! Pods and what selects them.

use std::collections::BTreeMap;

use serin_api::Object;
use serin_api::core::{Container, Namespace, Pod, PodSpec};

use crate::snapshot::Objects;

pub(super) type Labels = BTreeMap<String, String>;

/// Whether every label of the selector is there. An empty selector selects everything.
pub(super) fn selects(selector: &Labels, labels: &Labels) -> bool {
    selector.iter().all(|(key, value)| labels.get(key) == Some(value))
}

/// Namespace and labels of every workload: of pods, and of the pods that Deployments and their like make.
pub(super) fn workloads(objects: &Objects) -> Vec<(&str, &Labels)> {
    let pods = objects.pods.iter().map(|it| (it.meta.namespace.as_str(), &it.meta.labels));
    macro_rules! templates {
        ($list:ident) => {
            objects
                .$list
                .iter()
                .map(|it| (it.meta.namespace.as_str(), &it.spec.template.metadata.labels))
        };
    }
    pods.chain(templates!(deployments))
        .chain(templates!(stateful_sets))
        .chain(templates!(daemon_sets))
        .collect()
}

/// A selector as Kubernetes writes it: `app=reviews,version=v1`.
pub(super) fn written(selector: &Labels) -> String {
    let pairs: Vec<_> = selector.iter().map(|(key, value)| format!("{key}={value}")).collect();
    pairs.join(",")
}

/// A name with its namespace, if it has one.
pub(super) fn full_name<T>(object: &Object<T>) -> String {
    let meta = &object.meta;
    if meta.namespace.is_empty() {
        meta.name.clone()
    } else {
        format!("{}/{}", meta.namespace, meta.name)
    }
}

/// A reference by name, or by namespace and name, from an object of `namespace`.
pub(super) fn split_name<'a>(reference: &'a str, namespace: &'a str) -> (&'a str, &'a str) {
    reference.split_once('/').unwrap_or((namespace, reference))
}

pub(super) fn namespace<'a>(objects: &'a Objects, name: &str) -> Option<&'a Object<Namespace>> {
    objects
        .namespaces
        .iter()
        .find(|namespace| namespace.meta.name == name)
        .map(|namespace| &**namespace)
}

/// The sidecar's container, also as a native sidecar.
pub(super) fn proxy_container(pod: &PodSpec) -> Option<&Container> {
    pod.containers
        .iter()
        .chain(&pod.init_containers)
        .find(|container| container.name == "istio-proxy")
}

/// Whether traffic of the pod is taken over without a sidecar.
pub(super) fn is_ambient(pod: &Object<Pod>) -> bool {
    pod.meta.annotations.get("ambient.istio.io/redirection").is_some_and(|value| value == "enabled")
}

/// Whether a namespace asks that its pods be taken over without sidecars. Injection labels win.
pub(super) fn is_ambient_namespace(labels: &Labels) -> bool {
    let injects = labels.get("istio-injection").is_some_and(|value| value == "enabled")
        || labels.contains_key("istio.io/rev");
    labels.get("istio.io/dataplane-mode").is_some_and(|value| value == "ambient") && !injects
}

/// Whether the pod has a sidecar or would get one: its own label before its namespace's.
pub(super) fn is_in_mesh(objects: &Objects, pod: &Object<Pod>) -> bool {
    proxy_container(&pod.spec).is_some()
        || injection_of(&pod.meta.labels, &pod.meta.annotations)
            .unwrap_or_else(|| namespace_injects(objects, &pod.meta.namespace))
}

/// What a pod itself says about injection. The label beats the deprecated annotation.
pub(super) fn injection_of(labels: &Labels, annotations: &Labels) -> Option<bool> {
    let name = "sidecar.istio.io/inject";
    let value = labels.get(name).or_else(|| annotations.get(name))?;
    Some(matches!(value.to_ascii_lowercase().as_str(), "true" | "y" | "yes" | "on" | "1"))
}

/// Whether a namespace's labels ask for injection.
pub(super) fn namespace_injects(objects: &Objects, name: &str) -> bool {
    namespace(objects, name).is_some_and(|namespace| {
        let labels = &namespace.meta.labels;
        match labels.get("istio-injection") {
            Some(value) => value == "enabled",
            None => labels.contains_key("istio.io/rev"),
        }
    })
}

/// Namespaces of Kubernetes itself, which nobody analyses.
pub(super) fn is_system(namespace: &str) -> bool {
    matches!(namespace, "kube-system" | "kube-public" | "kube-node-lease" | "local-path-storage")
}
