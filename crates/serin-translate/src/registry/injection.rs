//! Whether pods are part of the mesh, by their own labels and their namespace's, as Istio's webhooks and injector decide.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serin_api::Object;
use serin_api::core::{Namespace, Pod, PodSpec};

type Labels = BTreeMap<String, String>;

/// Label, and in older manifests annotation, of a pod that asks for a proxy or refuses one.
const INJECT: &str = "sidecar.istio.io/inject";
/// Label of a namespace or a pod that names a control plane. There is one, which answers to every name.
const REVISION: &str = "istio.io/rev";
/// Label of a namespace that asks for proxies.
const NAMESPACE: &str = "istio-injection";
/// The container of a proxy that was injected before the pod came here.
const PROXY: &str = "istio-proxy";
/// Namespaces whose pods are never part of the mesh (`inject.IgnoredNamespaces`).
const EXEMPT: [&str; 4] = ["kube-system", "kube-public", "kube-node-lease", "local-path-storage"];

/// Whether `pod` is part of the mesh.
pub fn is_injected(pod: &Object<Pod>, namespace: Option<&Object<Namespace>>) -> bool {
    let none = Labels::new();
    let of_namespace = namespace.map_or(&none, |it| &it.meta.labels);
    let own = (&pod.meta.labels, &pod.meta.annotations);
    gets_proxy((&pod.meta.namespace, of_namespace), own, &pod.spec)
}

/// Whether a pod is a gateway of somebody else's making: its proxy is started as a router (Istio's template `gateway`).
pub fn is_gateway(pod: &Object<Pod>) -> bool {
    let mut proxies = pod.spec.containers.iter().filter(|it| it.name == PROXY);
    proxies.any(|it| it.args.iter().any(|it| it == "router"))
}

/// What namespaces say about proxies.
#[derive(Debug)]
pub(super) struct Injection<'a>(HashMap<&'a str, &'a Labels>);

impl<'a> Injection<'a> {
    pub(super) fn new(namespaces: &'a [Arc<Object<Namespace>>]) -> Self {
        Self(namespaces.iter().map(|it| (it.meta.name.as_str(), &it.meta.labels)).collect())
    }

    /// Whether a pod has a proxy already.
    pub(super) fn is_injected(pod: &PodSpec) -> bool {
        pod.containers.iter().chain(&pod.init_containers).any(|it| it.name == PROXY)
    }

    /// Whether a pod with these labels and annotations is part of the mesh.
    pub(super) fn would_inject(
        &self,
        namespace: &str,
        own: (&Labels, &Labels),
        spec: &PodSpec,
    ) -> bool {
        let none = Labels::new();
        let of_namespace = self.0.get(namespace).copied().unwrap_or(&none);
        gets_proxy((namespace, of_namespace), own, spec)
    }
}

fn gets_proxy(
    (namespace, of_namespace): (&str, &Labels),
    (labels, annotations): (&Labels, &Labels),
    spec: &PodSpec,
) -> bool {
    Injection::is_injected(spec)
        || !spec.host_network
            && !EXEMPT.contains(&namespace)
            && is_selected(of_namespace, labels)
            && is_wanted(labels, annotations)
}

/// Whether one of the webhooks takes the pod (their namespace and object selectors).
fn is_selected(namespace: &Labels, pod: &Labels) -> bool {
    let wish = pod.get(INJECT).map(String::as_str);
    let refuses = wish == Some("false");
    match (namespace.get(NAMESPACE).map(String::as_str), namespace.contains_key(REVISION)) {
        (Some("enabled"), _) => !refuses,
        (Some(_), _) => false,
        (None, true) => !refuses,
        (None, false) => wish == Some("true") || (pod.contains_key(REVISION) && !refuses),
    }
}

/// Whether the injector goes on (`injectRequired`): the label goes before the annotation, and anything that is neither yes nor
/// absent is no.
fn is_wanted(labels: &Labels, annotations: &Labels) -> bool {
    let wish = labels.get(INJECT).or_else(|| annotations.get(INJECT));
    let wish = wish.map(|it| it.to_ascii_lowercase());
    matches!(wish.as_deref(), None | Some("" | "y" | "yes" | "true" | "on"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&str, &str)]) -> Labels {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    fn pod(labels: &[(&str, &str)], annotations: &[(&str, &str)]) -> Object<Pod> {
        let mut pod = Object::<Pod>::default();
        pod.meta.namespace = "ns".to_owned();
        pod.meta.labels = map(labels);
        pod.meta.annotations = map(annotations);
        pod
    }

    fn check(
        namespace: &[(&str, &str)],
        labels: &[(&str, &str)],
        annotations: &[(&str, &str)],
        expect: bool,
    ) {
        let mut object = Object::<Namespace>::default();
        object.meta.labels = map(namespace);
        let injected = is_injected(&pod(labels, annotations), Some(&object));
        assert_eq!(injected, expect, "{namespace:?} {labels:?} {annotations:?}");
    }

    #[test]
    fn a_pod_is_injected_by_its_namespace_or_its_own_word() {
        let enabled = [(NAMESPACE, "enabled")];
        let disabled = [(NAMESPACE, "disabled")];
        let revision = [(REVISION, "stable")];
        let (yes, no) = ([(INJECT, "true")], [(INJECT, "false")]);
        check(&[], &[], &[], false);
        check(&enabled, &[], &[], true);
        check(&enabled, &yes, &[], true);
        check(&enabled, &no, &[], false);
        check(&disabled, &[], &[], false);
        check(&disabled, &yes, &[], false);
        check(&disabled, &revision, &[], false);
        check(&[], &yes, &[], true);
        check(&[], &revision, &[], true);
        check(&[], &[(REVISION, "stable"), (INJECT, "false")], &[], false);
        check(&revision, &[], &[], true);
        check(&revision, &no, &[], false);
        check(&[(NAMESPACE, "enabled"), (REVISION, "stable")], &[], &[], true);
        check(&[(NAMESPACE, "disabled"), (REVISION, "stable")], &[], &[], false);
    }

    #[test]
    fn an_annotation_refuses_but_does_not_ask_and_a_label_goes_before_it() {
        let enabled = [(NAMESPACE, "enabled")];
        check(&enabled, &[], &[(INJECT, "false")], false);
        check(&enabled, &[], &[(INJECT, "no way")], false);
        check(&enabled, &[], &[(INJECT, "Yes")], true);
        check(&enabled, &[(INJECT, "true")], &[(INJECT, "false")], true);
        check(&[], &[], &[(INJECT, "true")], false);
    }

    #[test]
    fn pods_on_the_hosts_network_and_of_the_system_are_left_alone() {
        let mut namespace = Object::<Namespace>::default();
        namespace.meta.labels = map(&[(NAMESPACE, "enabled")]);
        let mut on_host = pod(&[], &[]);
        on_host.spec.host_network = true;
        assert!(!is_injected(&on_host, Some(&namespace)));
        let mut of_system = pod(&[(INJECT, "true")], &[]);
        of_system.meta.namespace = "kube-system".to_owned();
        assert!(!is_injected(&of_system, Some(&namespace)));
        assert!(!is_injected(&pod(&[], &[]), None));
    }
}
