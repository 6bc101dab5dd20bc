//! VirtualServices for tests, written as JSON.

use std::sync::Arc;

use serde_json::{Value, json};
use serin_api::Object;
use serin_api::networking::VirtualService;

use super::{NameSettings, ResolvedVirtualService, Resolver};

/// The VirtualService `name` (`namespace/name`) with these fields.
pub(crate) fn written(name: &str, spec: Value) -> Arc<Object<VirtualService>> {
    let (namespace, name) = name.split_once('/').unwrap();
    let object = json!({
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec,
    });
    Arc::new(Object::from_value(&object).unwrap())
}

/// The settings of a mesh where nothing is set.
pub(crate) fn settings() -> NameSettings {
    NameSettings { cluster_domain: "cluster.local".to_owned(), export_to: Vec::new() }
}

/// The resolved forms of all of them.
pub(crate) fn resolved(
    objects: &[Arc<Object<VirtualService>>],
) -> Vec<Arc<ResolvedVirtualService>> {
    let list = objects.iter().cloned().collect();
    Resolver::default().resolve(&list, &settings()).to_vec()
}

/// The resolved form of one.
pub(crate) fn resolved_one(name: &str, spec: Value) -> Arc<ResolvedVirtualService> {
    resolved(&[written(name, spec)]).remove(0)
}
