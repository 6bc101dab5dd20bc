//! A pod's life: what to do next (`machine`), what to tell of it (`status`), and the task that does it (`worker`).

pub(crate) mod env;
pub(crate) mod files;
pub(crate) mod machine;
pub(crate) mod status;
pub(crate) mod volumes;
pub(crate) mod worker;

use k8s_openapi::api::core::v1::{Container, Pod, PodSpec};

/// What part a container has in its pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Runs to its end before the next one starts.
    Init,
    /// An init container that stays.
    Sidecar,
    /// What the pod is for.
    Main,
}

/// The containers with their roles, in the order in which they start.
pub(crate) fn containers(pod: &Pod) -> impl Iterator<Item = (Role, &Container)> {
    let spec = pod.spec.as_ref();
    let init = spec.and_then(|spec| spec.init_containers.as_deref()).unwrap_or_default();
    let main = spec.map(|spec| spec.containers.as_slice()).unwrap_or_default();
    let role = |container: &Container| match container.restart_policy.as_deref() {
        Some("Always") => Role::Sidecar,
        _ => Role::Init,
    };
    init.iter()
        .map(move |container| (role(container), container))
        .chain(main.iter().map(|container| (Role::Main, container)))
}

/// A container by name.
pub(crate) fn container<'a>(pod: &'a Pod, name: &str) -> Option<(Role, &'a Container)> {
    containers(pod).find(|(_, container)| container.name == name)
}

/// The restart policy of the pod.
pub(crate) fn restart_policy(pod: &Pod) -> &str {
    let policy = pod.spec.as_ref().and_then(|spec| spec.restart_policy.as_deref());
    policy.unwrap_or("Always")
}

/// The namespace, name and ID of a pod.
pub(crate) fn identity(pod: &Pod) -> (&str, &str, &str) {
    let meta = &pod.metadata;
    (
        meta.namespace.as_deref().unwrap_or_default(),
        meta.name.as_deref().unwrap_or_default(),
        meta.uid.as_deref().unwrap_or_default(),
    )
}

/// Whether the pod uses the network of the host.
pub(crate) fn uses_host_network(spec: &PodSpec) -> bool {
    spec.host_network == Some(true)
}

/// As messages of Kubernetes name a pod: `NAME_NAMESPACE(UID)`.
pub(crate) fn full_name(pod: &Pod) -> String {
    let (namespace, name, uid) = identity(pod);
    format!("{name}_{namespace}({uid})")
}
