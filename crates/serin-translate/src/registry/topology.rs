//! Labels that say where a workload is, as failover rules compare them (Istio's `AugmentLabels`).

use std::collections::BTreeMap;
use std::sync::Arc;

use serin_routing::model::Locality;

/// The labels, from the widest place to the narrowest.
pub(crate) const LABELS: [&str; 5] = [
    "topology.istio.io/network",
    "topology.kubernetes.io/region",
    "topology.kubernetes.io/zone",
    "topology.istio.io/subzone",
    "kubernetes.io/hostname",
];

/// A workload's own labels and those of its place, as far as it is known.
pub(crate) fn with_place(
    labels: &BTreeMap<String, String>,
    locality: &Locality,
    network: &str,
    node: &str,
) -> BTreeMap<Arc<str>, Arc<str>> {
    let own =
        labels.iter().map(|(key, value)| (Arc::from(key.as_str()), Arc::from(value.as_str())));
    let place = [network, &locality.region, &locality.zone, &locality.sub_zone, node];
    let known = LABELS.into_iter().zip(place).filter(|(_, value)| !value.is_empty());
    own.chain(known.map(|(key, value)| (Arc::from(key), Arc::from(value)))).collect()
}
