//! A pod's life: what to do next (`machine`), what to tell of it (`status`), and the task that does it (`worker`).

pub(crate) mod env;
pub(crate) mod files;
pub(crate) mod machine;
pub(crate) mod status;
pub(crate) mod volumes;
pub(crate) mod worker;

use std::borrow::Cow;

use k8s_openapi::api::core::v1::{Container, EphemeralContainer, Pod, PodSpec};

/// What part a container has in its pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Runs to its end before the next one starts.
    Init,
    /// An init container that stays.
    Sidecar,
    /// What the pod is for.
    Main,
    /// Added to a pod that runs, to look into it. The pod's own life does not depend on it, and it runs once.
    Added,
}

/// The containers that make the pod, with their roles, in the order in which they start.
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

/// The containers that were added to the pod.
pub(crate) fn added(pod: &Pod) -> &[EphemeralContainer] {
    pod.spec.as_ref().and_then(|spec| spec.ephemeral_containers.as_deref()).unwrap_or_default()
}

/// The names of all containers with their roles.
pub(crate) fn names(pod: &Pod) -> impl Iterator<Item = (Role, &str)> {
    let added = added(pod).iter().map(|container| (Role::Added, container.name.as_str()));
    containers(pod).map(|(role, container)| (role, container.name.as_str())).chain(added)
}

/// A container by name, whichever it is.
pub(crate) fn container<'a>(pod: &'a Pod, name: &str) -> Option<(Role, Cow<'a, Container>)> {
    let own = containers(pod).find(|(_, container)| container.name == name);
    own.map(|(role, container)| (role, Cow::Borrowed(container))).or_else(|| {
        let added = added(pod).iter().find(|container| container.name == name)?;
        Some((Role::Added, Cow::Owned(plain(added))))
    })
}

/// A container that was added, in the form that the others have.
pub(crate) fn plain(added: &EphemeralContainer) -> Container {
    let it = added.clone();
    Container {
        name: it.name,
        image: it.image,
        command: it.command,
        args: it.args,
        working_dir: it.working_dir,
        env: it.env,
        env_from: it.env_from,
        volume_mounts: it.volume_mounts,
        termination_message_path: it.termination_message_path,
        termination_message_policy: it.termination_message_policy,
        image_pull_policy: it.image_pull_policy,
        security_context: it.security_context,
        stdin: it.stdin,
        stdin_once: it.stdin_once,
        tty: it.tty,
        ..Container::default()
    }
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
