//! Snapshots and proxies for tests, from manifests as users write them.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;
use serin_api::mesh_config::MeshConfig;
use serin_api::{Kind, yaml};

use crate::{Objects, Proxy, ProxyKind, Settings, Snapshot};

/// The objects of a YAML text. Each document may leave out what is the same everywhere: `metadata.namespace` is `default`, and
/// `apiVersion` is that of the kind.
pub(crate) fn objects(text: &str) -> Objects {
    from_values(&values(text))
}

/// The objects of a YAML text as plain values, one for each document.
pub(crate) fn values(text: &str) -> Vec<Value> {
    let stream = yaml::read(text);
    assert!(stream.problems.is_empty(), "{:?}", stream.problems);
    stream.documents.iter().map(|document| completed(document.root.to_json())).collect()
}

fn completed(mut value: Value) -> Value {
    let kind = value["kind"].as_str().unwrap().to_owned();
    if value["apiVersion"].is_null() {
        value["apiVersion"] = api_version(&kind).into();
    }
    let in_a_namespace = !matches!(kind.as_str(), "Namespace" | "Node" | "GatewayClass");
    if in_a_namespace && value["metadata"]["namespace"].is_null() {
        value["metadata"]["namespace"] = "default".into();
    }
    value
}

/// Objects in the order in which they are given.
pub(crate) fn from_values<'a>(values: impl IntoIterator<Item = &'a Value>) -> Objects {
    let read = |value: &Value| {
        let api_version = value["apiVersion"].as_str().unwrap();
        let group = api_version.split_once('/').map_or("", |(group, _)| group);
        let kind = Kind::find(group, value["kind"].as_str().unwrap());
        kind.unwrap_or_else(|| panic!("{value}")).read(value).unwrap()
    };
    values.into_iter().map(read).collect()
}

fn api_version(kind: &str) -> &'static str {
    match kind {
        "VirtualService" | "DestinationRule" | "Gateway" | "ServiceEntry" | "WorkloadEntry"
        | "Sidecar" => "networking.istio.io/v1",
        "PeerAuthentication" => "security.istio.io/v1",
        "EndpointSlice" => "discovery.k8s.io/v1",
        "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet" => "apps/v1",
        _ => "v1",
    }
}

/// The snapshot of a folder of manifests.
pub(crate) fn manifests(text: &str) -> Snapshot {
    Snapshot::new(objects(text), Settings { expects_pods: true, ..Settings::default() })
}

/// The snapshot of what a cluster holds.
pub(crate) fn cluster(text: &str) -> Snapshot {
    Snapshot::new(objects(text), Settings::default())
}

/// The snapshot of what a cluster holds, in a mesh that differs from the default.
pub(crate) fn cluster_with(text: &str, mesh: impl FnOnce(&mut MeshConfig)) -> Snapshot {
    let mut config = MeshConfig::default();
    mesh(&mut config);
    Snapshot::new(objects(text), Settings { mesh: Arc::new(config), ..Settings::default() })
}

/// Labels from `key=value` separated by commas.
pub(crate) fn labels(written: &str) -> BTreeMap<String, String> {
    let pairs = written.split(',').filter_map(|it| it.split_once('='));
    pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

/// A sidecar in a namespace, of a workload with these labels.
pub(crate) fn sidecar(namespace: &str, workload: &str) -> Proxy {
    Proxy::new(ProxyKind::Sidecar, namespace, labels(workload))
}

/// A gateway in a namespace, with these labels.
pub(crate) fn gateway(namespace: &str, workload: &str) -> Proxy {
    Proxy::new(ProxyKind::Gateway, namespace, labels(workload))
}
