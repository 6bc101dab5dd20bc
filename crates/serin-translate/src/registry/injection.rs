//! Whether pods get a mesh proxy.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serin_api::Object;
use serin_api::core::{Namespace, PodSpec};

/// Name of the proxy's container.
const PROXY: &str = "istio-proxy";
/// Label (and older annotation) of pods that asks for a proxy or refuses it.
const INJECT: &str = "sidecar.istio.io/inject";
/// Label that names the control plane whose proxy is wanted.
const REVISION: &str = "istio.io/rev";
/// Namespaces whose pods never get one.
const EXEMPT: [&str; 4] = ["kube-system", "kube-public", "kube-node-lease", "local-path-storage"];

/// What namespaces say about proxies.
#[derive(Debug)]
pub(super) struct Injection<'a>(HashMap<&'a str, &'a BTreeMap<String, String>>);

impl<'a> Injection<'a> {
    pub(super) fn new(namespaces: &'a [Arc<Object<Namespace>>]) -> Self {
        Self(namespaces.iter().map(|it| (it.meta.name.as_str(), &it.meta.labels)).collect())
    }

    /// Whether a pod has a proxy.
    pub(super) fn is_injected(pod: &PodSpec) -> bool {
        pod.containers.iter().chain(&pod.init_containers).any(|it| it.name == PROXY)
    }

    /// Whether a pod with these labels and annotations gets a proxy: the pod's own word, else the namespace's (the selectors of Istio's
    /// injection webhooks).
    pub(super) fn would_inject(
        &self,
        namespace: &str,
        (labels, annotations): (&BTreeMap<String, String>, &BTreeMap<String, String>),
        spec: &PodSpec,
    ) -> bool {
        if Self::is_injected(spec) {
            return true;
        }
        if spec.host_network || EXEMPT.contains(&namespace) {
            return false;
        }
        let label = |key: &str| {
            self.0.get(namespace).and_then(|labels| labels.get(key)).map(String::as_str)
        };
        let wish = labels.get(INJECT).or_else(|| annotations.get(INJECT)).map(String::as_str);
        match (label("istio-injection"), wish) {
            (_, Some("false")) | (Some("disabled"), _) => false,
            (Some("enabled"), _) | (_, Some("true")) => true,
            _ => label(REVISION).is_some() || labels.contains_key(REVISION),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn a_pod_gets_a_proxy_by_its_own_word_or_its_namespaces() {
        let check =
            |namespace: &[(&str, &str)], pod: &[(&str, &str)], host_network: bool, expect: bool| {
                let mut object = Object::<Namespace>::default();
                object.meta.name = "ns".to_owned();
                object.meta.labels = map(namespace);
                let namespaces = [Arc::new(object)];
                let asked = (&map(pod), &map(&[]));
                let spec = PodSpec { host_network, ..PodSpec::default() };
                let injected = Injection::new(&namespaces).would_inject("ns", asked, &spec);
                assert_eq!(injected, expect, "{namespace:?} {pod:?}");
            };
        check(&[], &[], false, false);
        check(&[("istio-injection", "enabled")], &[], false, true);
        check(&[("istio-injection", "enabled")], &[], true, false);
        check(&[("istio-injection", "enabled")], &[(INJECT, "false")], false, false);
        check(&[("istio-injection", "disabled")], &[(INJECT, "true")], false, false);
        check(&[], &[(INJECT, "true")], false, true);
        check(&[(REVISION, "stable")], &[], false, true);
        check(&[], &[(REVISION, "stable")], false, true);
    }
}
