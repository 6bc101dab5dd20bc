//! Whether a workload takes mutual TLS, for each of its ports (Istio's `ComposePeerAuthentication`).

use std::collections::BTreeMap;
use std::sync::Arc;

use serin_api::Object;
use serin_api::security::{MutualTls, MutualTlsMode, PeerAuthentication};

/// Which connections a workload takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Plain text.
    Disable,
    /// Plain text and mutual TLS.
    Permissive,
    /// Mutual TLS only.
    Strict,
}

/// The modes of a workload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Modes {
    general: Mode,
    /// By port of the workload.
    ports: BTreeMap<u16, Mode>,
}

impl Modes {
    /// The modes of a workload of `namespace` whose labels answer `has_labels`. `policies` are in Istio's order. The narrowest
    /// scope that says something holds: the workload's policy, the namespace's, the mesh's; of several in a scope the oldest.
    pub(crate) fn of(
        namespace: &str,
        has_labels: impl Fn(&BTreeMap<String, String>) -> bool,
        policies: &[Arc<Object<PeerAuthentication>>],
        root_namespace: &str,
    ) -> Self {
        let general_of = |home: &str| {
            policies.iter().find(|it| it.meta.namespace == home && selector(it).is_none())
        };
        let of_mesh = general_of(root_namespace);
        let of_namespace = general_of(namespace).filter(|_| namespace != root_namespace);
        // A selector in the root namespace selects nothing.
        let of_workload = policies.iter().find(|it| {
            it.meta.namespace == namespace
                && namespace != root_namespace
                && selector(it).is_some_and(&has_labels)
        });
        let said = [of_workload, of_namespace, of_mesh].into_iter().flatten();
        let general =
            said.filter_map(|it| mode(it.spec.mtls.as_ref())).next().unwrap_or(Mode::Permissive);
        let ports = of_workload.into_iter().flat_map(|it| &it.spec.port_level_mtls);
        let ports = ports.filter_map(|(port, written)| {
            Some((u16::try_from(*port).ok()?, mode(Some(written)).unwrap_or(general)))
        });
        Self { general, ports: ports.collect() }
    }

    /// The mode of a port of the workload.
    pub(crate) fn of_port(&self, port: u16) -> Mode {
        self.ports.get(&port).copied().unwrap_or(self.general)
    }

    /// The mode of ports without one of their own.
    pub(crate) fn general(&self) -> Mode {
        self.general
    }

    /// Ports with a mode of their own.
    pub(crate) fn ports(&self) -> impl Iterator<Item = (u16, Mode)> {
        self.ports.iter().map(|(port, mode)| (*port, *mode))
    }
}

/// The labels that a policy selects workloads by; `None` if it holds for its whole scope.
fn selector(policy: &Object<PeerAuthentication>) -> Option<&BTreeMap<String, String>> {
    policy.spec.selector.as_ref().map(|it| &it.match_labels).filter(|it| !it.is_empty())
}

/// The mode that is written; `None` leaves it to the wider scope.
fn mode(written: Option<&MutualTls>) -> Option<Mode> {
    match written?.mode {
        MutualTlsMode::Unset => None,
        MutualTlsMode::Disable => Some(Mode::Disable),
        MutualTlsMode::Permissive => Some(Mode::Permissive),
        MutualTlsMode::Strict => Some(Mode::Strict),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn policy(namespace: &str, spec: Value) -> Arc<Object<PeerAuthentication>> {
        let object = json!({"metadata": {"name": "p", "namespace": namespace}, "spec": spec});
        Arc::new(Object::from_value(&object).unwrap())
    }

    fn all(mode: &str) -> Value {
        json!({"mtls": {"mode": mode}})
    }

    fn selecting(mode: &str, ports: Value) -> Value {
        json!({"selector": {"matchLabels": {"app": "a"}}, "mtls": {"mode": mode}, "portLevelMtls": ports})
    }

    fn modes(namespace: &str, policies: &[Arc<Object<PeerAuthentication>>]) -> Modes {
        let own = BTreeMap::from([("app".to_owned(), "a".to_owned())]);
        let has_labels =
            |labels: &BTreeMap<_, _>| labels.iter().all(|(key, value)| own.get(key) == Some(value));
        Modes::of(namespace, has_labels, policies, "root")
    }

    #[track_caller]
    fn check(policies: &[Arc<Object<PeerAuthentication>>], expect: Mode) {
        assert_eq!(modes("ns", policies).general(), expect);
    }

    #[test]
    fn the_narrowest_scope_that_says_something_holds() {
        check(&[], Mode::Permissive);
        check(&[policy("root", all("STRICT"))], Mode::Strict);
        check(&[policy("root", all("STRICT")), policy("ns", all("DISABLE"))], Mode::Disable);
        check(&[policy("root", all("STRICT")), policy("ns", all("UNSET"))], Mode::Strict);
        check(&[policy("ns", json!({})), policy("root", all("DISABLE"))], Mode::Disable);
        check(
            &[policy("ns", all("STRICT")), policy("ns", selecting("DISABLE", json!({})))],
            Mode::Disable,
        );
        check(
            &[policy("ns", all("STRICT")), policy("ns", selecting("UNSET", json!({})))],
            Mode::Strict,
        );
        check(&[policy("other", all("STRICT"))], Mode::Permissive);
    }

    #[test]
    fn of_several_in_a_scope_the_oldest_holds() {
        check(&[policy("ns", all("STRICT")), policy("ns", all("DISABLE"))], Mode::Strict);
    }

    #[test]
    fn a_selector_that_selects_nothing_or_stands_in_the_root_namespace_has_no_effect() {
        let other = json!({"selector": {"matchLabels": {"app": "b"}}, "mtls": {"mode": "STRICT"}});
        check(&[policy("ns", other)], Mode::Permissive);
        check(&[policy("root", selecting("STRICT", json!({})))], Mode::Permissive);
        let in_root = modes("root", &[policy("root", selecting("STRICT", json!({})))]);
        assert_eq!(in_root.general(), Mode::Permissive);
    }

    #[test]
    fn ports_have_modes_of_their_own_and_unset_ones_are_the_workloads() {
        let ports = json!({"80": {"mode": "DISABLE"}, "81": {"mode": "UNSET"}});
        let modes = modes("ns", &[policy("ns", selecting("STRICT", ports))]);
        assert_eq!(modes.of_port(80), Mode::Disable);
        assert_eq!(modes.of_port(81), Mode::Strict);
        assert_eq!(modes.of_port(82), Mode::Strict);
        assert_eq!(modes.ports().count(), 2);
    }
}
