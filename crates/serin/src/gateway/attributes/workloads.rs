//! Workloads in expressions: the proxy's own as Envoy's `node` (and `xds.node`) with the metadata that Istio gives it, and the one at the
//! other end as `downstream_peer` or `upstream_peer`, also in `filter_state`.
//!
//! Istio has had two forms of peers. In `filter_state` a label is a text (`filter_state.upstream_peer.labels['app']`), by its own name the
//! peer is the older form, in which it is an entry (`upstream_peer.labels['app'].value`). Both have the same other fields.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use cel::{Context, Value};
use serin_routing::format::{Facts, Peer, PeerFacts};
use serin_routing::model::WorkloadIdentity;

/// A proxy's own workload.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Node {
    pub(crate) identity: WorkloadIdentity,
    /// The Kubernetes cluster it runs in.
    pub(crate) cluster: Arc<str>,
}

impl Node {
    /// As expressions see it.
    pub(super) fn value(&self) -> Value {
        let identity = &self.identity;
        let app = identity.labels.get("app").unwrap_or(&identity.workload);
        let metadata = map(
            [
                ("NAME", &identity.pod),
                ("NAMESPACE", &identity.namespace),
                ("WORKLOAD_NAME", &identity.workload),
                ("SERVICE_ACCOUNT", &identity.service_account),
                ("CLUSTER_ID", &self.cluster),
            ],
            [("LABELS", labels(&identity.labels, text))],
        );
        let cluster: Arc<str> = format!("{app}.{}", identity.namespace).into();
        map([("cluster", &cluster)], [("metadata", metadata)])
    }
}

/// Adds the peers that are known.
pub(super) fn add_peers(facts: &dyn Facts, context: &mut Context<'_>) {
    let mut state = HashMap::new();
    for (name, end) in [("downstream_peer", Peer::Downstream), ("upstream_peer", Peer::Upstream)] {
        if let Some(found) = facts.peer(end) {
            let entry = |label: &Arc<str>| map([("value", label)], []);
            context.add_variable_from_value(name, peer(&found, labels(&found.labels, entry)));
            state.insert(name.to_owned(), peer(&found, labels(&found.labels, text)));
        }
    }
    context.add_variable_from_value("filter_state", Value::from(state));
}

fn peer(found: &PeerFacts, labels: Value) -> Value {
    map(
        [
            ("name", &found.pod),
            ("workload", &found.workload),
            ("namespace", &found.namespace),
            ("cluster", &found.cluster),
            ("service", &found.service),
            ("revision", &found.revision),
            ("app", &found.app),
            ("version", &found.version),
            ("identity", &found.principal),
            ("service_account", &found.service_account),
        ],
        [("labels", labels)],
    )
}

fn labels(labels: &BTreeMap<Arc<str>, Arc<str>>, value: impl Fn(&Arc<str>) -> Value) -> Value {
    let labels = labels.iter().map(|(name, label)| (name.to_string(), value(label)));
    Value::from(labels.collect::<HashMap<String, Value>>())
}

fn text(text: &Arc<str>) -> Value {
    Value::String(Arc::new(text.to_string()))
}

/// Texts that are known, and other values.
fn map<const T: usize, const V: usize>(
    texts: [(&str, &Arc<str>); T],
    values: [(&str, Value); V],
) -> Value {
    let known = texts.into_iter().filter(|(_, value)| !value.is_empty());
    let texts = known.map(|(name, value)| (name.to_owned(), text(value)));
    let values = values.into_iter().map(|(name, value)| (name.to_owned(), value));
    Value::from(texts.chain(values).collect::<HashMap<String, Value>>())
}

#[cfg(test)]
mod tests {
    use super::super::Expression;
    use super::*;

    /// A request from nobody that is known to `reviews`.
    struct ToReviews;

    impl Facts for ToReviews {
        fn request_header(&self, _: &str) -> Option<&[u8]> {
            None
        }

        fn peer(&self, end: Peer) -> Option<PeerFacts> {
            (end == Peer::Upstream).then(|| PeerFacts {
                workload: "reviews-v2".into(),
                namespace: "shop".into(),
                labels: [("app".into(), "reviews".into())].into_iter().collect(),
                ..PeerFacts::default()
            })
        }
    }

    fn check(expression: &str, expected: Option<&str>) {
        let node = Node {
            identity: WorkloadIdentity {
                workload: "till".into(),
                pod: "till-1".into(),
                namespace: "shop".into(),
                labels: [("app".into(), "till".into())].into_iter().collect(),
                ..WorkloadIdentity::default()
            },
            cluster: "Kubernetes".into(),
        };
        let found = Expression::new(expression, &node).unwrap().text(&ToReviews);
        assert_eq!(found.as_deref(), expected, "{expression}");
    }

    #[test]
    fn the_proxys_node_has_istios_metadata() {
        check("node.metadata['NAME']", Some("till-1"));
        check("xds.node.metadata.WORKLOAD_NAME", Some("till"));
        check("node.metadata.LABELS['app']", Some("till"));
        check("node.metadata['CLUSTER_ID'] + '/' + xds.node.cluster", Some("Kubernetes/till.shop"));
        check("node.metadata['SERVICE_ACCOUNT']", None);
    }

    #[test]
    fn a_peer_is_known_in_both_of_istios_forms() {
        check("upstream_peer.workload", Some("reviews-v2"));
        check("upstream_peer.labels['app'].value", Some("reviews"));
        check("filter_state.upstream_peer.labels['app']", Some("reviews"));
        check("filter_state['upstream_peer'].namespace", Some("shop"));
        check("has(filter_state.downstream_peer) ? 'known' : 'stranger'", Some("stranger"));
        check("downstream_peer.workload", None);
        check("upstream_peer.version", None);
    }
}
