//! What pods use, as the group `metrics.k8s.io` tells it.

use std::time::Duration;

use http::Request;
use jiff::Timestamp;
use kube::Client;
use serde::Deserialize;
use serin_objects::quantity::Quantity;

use super::usage::{Sample, Samples, Subject};

/// The metrics of the pods of a namespace.
#[derive(Debug, Deserialize)]
pub(super) struct PodMetricsList {
    items: Vec<PodMetrics>,
}

#[derive(Debug, Deserialize)]
struct PodMetrics {
    metadata: Metadata,
    timestamp: Timestamp,
    #[serde(default)]
    window: String,
    #[serde(default)]
    containers: Vec<ContainerMetrics>,
}

#[derive(Debug, Deserialize)]
struct Metadata {
    name: String,
}

#[derive(Debug, Deserialize)]
struct ContainerMetrics {
    name: String,
    #[serde(default)]
    usage: std::collections::BTreeMap<String, String>,
}

/// Asks what the pods of a namespace use.
///
/// # Errors
/// What the API said.
pub(super) async fn fetch(client: &Client, namespace: &str) -> Result<PodMetricsList, String> {
    let path = format!("/apis/metrics.k8s.io/v1beta1/namespaces/{namespace}/pods");
    let request = Request::get(path).body(Vec::new()).map_err(|problem| problem.to_string())?;
    client.request(request).await.map_err(|problem| {
        let why = match problem {
            kube::Error::Api(status) => status.message,
            other => other.to_string(),
        };
        format!("unable to fetch metrics from resource metrics API: {why}")
    })
}

/// The use of a resource by each pod. A pod of which a part is not known is left out.
pub(super) fn samples(list: &PodMetricsList, subject: Subject<'_>) -> Samples {
    let value = |pod: &PodMetrics| {
        let wanted = |it: &&ContainerMetrics| subject.container.is_none_or(|name| it.name == name);
        let mut containers = pod.containers.iter().filter(wanted).peekable();
        containers.peek()?;
        let amounts = containers.map(|it| it.usage.get(subject.resource));
        amounts.map(|amount| Some(Quantity::parse(amount?)?.milli())).sum::<Option<i64>>()
    };
    let sample = |pod: &PodMetrics| {
        let sample = Sample { value: value(pod)?, at: pod.timestamp, window: window(&pod.window) };
        Some((pod.metadata.name.clone(), sample))
    };
    list.items.iter().filter_map(sample).collect()
}

/// A time such as `15.1s` or `1m30s`; a minute where none is told.
fn window(text: &str) -> Duration {
    let parsed: Result<jiff::SignedDuration, _> = text.parse();
    parsed.ok().and_then(|it| Duration::try_from(it).ok()).unwrap_or(Duration::from_secs(60))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_use_of_a_pod_is_that_of_its_containers() {
        let list: PodMetricsList = serde_json::from_value(serde_json::json!({"items": [
            {"metadata": {"name": "a"}, "timestamp": "2026-01-01T00:00:10Z", "window": "15.5s", "containers": [
                {"name": "x", "usage": {"cpu": "100m", "memory": "1Mi"}},
                {"name": "y", "usage": {"cpu": "1500000n"}},
            ]},
            {"metadata": {"name": "b"}, "timestamp": "2026-01-01T00:00:10Z", "window": "1m0s", "containers": []},
        ]}))
        .unwrap();
        let of = |resource, container| samples(&list, Subject { resource, container });
        let cpu = of("cpu", None);
        assert_eq!(cpu.len(), 1);
        assert_eq!((cpu["a"].value, cpu["a"].window), (102, Duration::from_millis(15_500)));
        assert!(of("memory", None).is_empty(), "y tells nothing of its memory");
        assert_eq!(of("memory", Some("x"))["a"].value, 1_048_576_000);
    }
}
