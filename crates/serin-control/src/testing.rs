//! Snapshots out of YAML, for tests.

use std::sync::Arc;

use serde_json::Value;
use serin_api::Kind;
use serin_translate::{Settings as MeshSettings, Snapshot, SnapshotBuilder};

use crate::cache::{Cache, Event, What};
use crate::gateway;
use crate::settings::Settings;

/// The objects of a text.
pub(crate) fn values(text: &str) -> Vec<Value> {
    let stream = serin_api::yaml::read(text);
    assert!(stream.problems.is_empty(), "{:?}", stream.problems);
    stream.documents.iter().map(|it| it.root.to_json()).filter(Value::is_object).collect()
}

/// The one object of a text.
pub(crate) fn value(text: &str) -> Value {
    values(text).remove(0)
}

/// A cache that holds the objects of a text.
pub(crate) fn cache(text: &str) -> Cache {
    let settings = Settings::default();
    let pods = settings.gateway.iter().map(|it| gateway::pod(it, &settings));
    let mut cache = Cache::new("istio-system", pods);
    for object in values(text) {
        let api_version = object["apiVersion"].as_str().unwrap();
        let group = api_version.split_once('/').map_or("", |(group, _)| group);
        let kind = Kind::find(group, object["kind"].as_str().unwrap()).unwrap();
        cache.take(Event { kind, what: What::Present(object) });
    }
    cache
}

/// The snapshot of the objects of a text.
pub(crate) fn snapshot(text: &str) -> Arc<Snapshot> {
    let cache = cache(text);
    let settings = MeshSettings { mesh: Arc::clone(cache.mesh()), ..MeshSettings::default() };
    SnapshotBuilder::default().build(cache.objects().clone(), settings)
}

/// A Service with ready endpoints.
pub(crate) fn service(name: &str, spec: &str, addresses: &[&str]) -> String {
    let endpoints: Vec<String> = addresses
        .iter()
        .map(|it| match it.strip_prefix('!') {
            Some(stopping) => format!(
                "{{addresses: [{stopping}], conditions: {{ready: false, serving: true, terminating: true}}}}"
            ),
            None => format!("{{addresses: [{it}], conditions: {{ready: true}}}}"),
        })
        .collect();
    format!(
        "
{{apiVersion: v1, kind: Service, metadata: {{name: {name}, namespace: default}}, spec: {{{spec}}}}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: {name}-1, namespace: default, labels: {{kubernetes.io/service-name: {name}}}}}
addressType: IPv4
endpoints: [{}]
ports: [{{name: http, port: 8080}}]
---
",
        endpoints.join(", ")
    )
}
