//! Where workloads run.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serin_api::Object;
use serin_api::core::Node;
use serin_routing::model::Locality;

/// Labels of a workload that name its locality.
const WORKLOAD_LABELS: [&str; 2] = ["istio-locality", "topology.istio.io/locality"];
/// Labels of a node, each with the one that older clusters use.
const REGION: [&str; 2] =
    ["topology.kubernetes.io/region", "failure-domain.beta.kubernetes.io/region"];
const ZONE: [&str; 2] = ["topology.kubernetes.io/zone", "failure-domain.beta.kubernetes.io/zone"];
const SUB_ZONE: [&str; 1] = ["topology.istio.io/subzone"];

/// The localities of nodes.
#[derive(Debug, Default)]
pub(super) struct Localities(HashMap<String, Locality>);

impl Localities {
    /// What the nodes' labels say.
    pub(super) fn new(nodes: &[Arc<Object<Node>>]) -> Self {
        let locality = |node: &Arc<Object<Node>>| {
            let label = |keys: &[&str]| {
                let found = keys.iter().find_map(|key| node.meta.labels.get(*key));
                Arc::from(found.map_or("", String::as_str))
            };
            Locality { region: label(&REGION), zone: label(&ZONE), sub_zone: label(&SUB_ZONE) }
        };
        Self(nodes.iter().map(|node| (node.meta.name.clone(), locality(node))).collect())
    }

    /// The locality of a pod: what its own label says, else that of its node.
    pub(super) fn of_pod(&self, labels: &BTreeMap<String, String>, node: &str) -> Locality {
        Self::of_labels(labels).or_else(|| self.0.get(node).cloned()).unwrap_or_default()
    }

    /// What a workload's own label says. Labels cannot hold slashes, so that dots stand for them.
    pub(super) fn of_labels(labels: &BTreeMap<String, String>) -> Option<Locality> {
        let written =
            WORKLOAD_LABELS.iter().find_map(|key| labels.get(*key)).filter(|it| !it.is_empty())?;
        Some(Self::parse(&if written.contains('/') {
            written.clone()
        } else {
            written.replace('.', "/")
        }))
    }

    /// `region/zone/sub-zone`, of which later parts may be missing.
    pub(super) fn parse(written: &str) -> Locality {
        let mut parts = written.splitn(3, '/').map(Arc::from);
        let mut next = || parts.next().unwrap_or_default();
        Locality { region: next(), zone: next(), sub_zone: next() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_wins_over_the_node_and_writes_dots_for_slashes() {
        let labels = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
            pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
        };
        let mut node = Object::<Node>::default();
        node.meta.name = "n1".to_owned();
        node.meta.labels = labels(&[(REGION[0], "r"), (ZONE[1], "z"), (SUB_ZONE[0], "s")]);
        let places = Localities::new(&[Arc::new(node)]);
        assert_eq!(places.of_pod(&labels(&[]), "n1"), Localities::parse("r/z/s"));
        assert_eq!(
            places.of_pod(&labels(&[("istio-locality", "a.b.c")]), "n1"),
            Localities::parse("a/b/c")
        );
        assert_eq!(
            places.of_pod(&labels(&[("istio-locality", "a/b.c")]), "n1"),
            Localities::parse("a/b.c")
        );
        assert_eq!(places.of_pod(&labels(&[]), "n2"), Locality::default());
        assert_eq!(
            Localities::parse("a"),
            Locality { region: Arc::from("a"), ..Locality::default() }
        );
    }
}
