//! How Telemetries change Istio's metrics for a proxy.

use std::sync::Arc;

use serin_api::mesh_config::MeshConfig;
use serin_api::telemetry::{
    IstioMetric, MetricSelector, MetricsOverrides, ProviderRef, TagOperation, WorkloadMode,
};
use serin_telemetry::customization::{Customization, Customizations, Expression, Metric};
use serin_translate::{Proxy, Snapshot};

use super::attributes::{self, Node};
use super::telemetries;

/// Changes of all levels, one after the other: a later one has the last word, on each metric and label for itself.
pub(crate) fn of(snapshot: &Snapshot, proxy: &Proxy, node: &Node) -> Customizations {
    let (mut sent, mut received) = (Customization::default(), Customization::default());
    let mesh = &snapshot.settings().mesh;
    let levels = telemetries::all(snapshot, proxy, |telemetry| {
        Some(&telemetry.metrics).filter(|metrics| !metrics.is_empty())
    });
    // Who names no providers means those of the level before.
    let mut providers: &[ProviderRef] = &[];
    for metrics in levels.into_iter().flatten() {
        if !metrics.providers.is_empty() {
            providers = &metrics.providers;
        }
        if !is_for_prometheus(providers, mesh) {
            continue;
        }
        for change in &metrics.overrides {
            let selector = change.condition.as_ref();
            let mode = selector.map_or(&WorkloadMode::ClientAndServer, |it| &it.mode);
            let (is_of_sent, is_of_received) = telemetries::sides(mode);
            if is_of_sent {
                apply(change, node, &mut sent);
            }
            if is_of_received {
                apply(change, node, &mut received);
            }
        }
    }
    Customizations { sent: Arc::new(sent), received: Arc::new(received) }
}

fn is_for_prometheus(named: &[ProviderRef], mesh: &MeshConfig) -> bool {
    let is_prometheus = |named: &ProviderRef| {
        let mut providers = mesh.extension_providers.iter();
        named.name == "prometheus"
            || providers.any(|it| it.name == named.name && it.prometheus.is_some())
    };
    named.is_empty() || named.iter().any(is_prometheus)
}

fn apply(change: &MetricsOverrides, node: &Node, to: &mut Customization) {
    let metrics = metrics(change.condition.as_ref());
    if let Some(is_disabled) = change.disabled {
        metrics.iter().for_each(|metric| to.disable(*metric, is_disabled));
    }
    for (label, tag) in &change.tag_overrides {
        match tag.operation {
            TagOperation::Remove => to.remove(&metrics, label),
            _ => to.upsert(&metrics, label, expression(&tag.value, node)),
        }
    }
}

/// What cannot be compiled was refused with its Telemetry; it has no value.
fn expression(text: &str, node: &Node) -> Expression {
    let compiled = attributes::Expression::new(text, node).ok();
    let evaluate = move |facts: &dyn serin_routing::format::Facts| compiled.as_ref()?.text(facts);
    // The same text is another expression for another node.
    let asked = attributes::asks_for_node(text).then_some(node);
    let key = asked.map_or_else(|| text.to_owned(), |node| format!("{text} {node:?}"));
    Expression::new(key, Box::new(evaluate))
}

fn metrics(selector: Option<&MetricSelector>) -> Vec<Metric> {
    let Some(selector) = selector else { return Metric::ALL.to_vec() };
    if let Some(name) = &selector.custom_metric {
        // Istio's own metrics may be called by their names in Prometheus, too.
        return Metric::ALL.into_iter().filter(|metric| metric.has_name(name)).collect();
    }
    let one = match selector.metric.as_ref().unwrap_or(&IstioMetric::All) {
        IstioMetric::RequestCount => Metric::Requests,
        IstioMetric::RequestDuration => Metric::Duration,
        IstioMetric::RequestSize => Metric::RequestBytes,
        IstioMetric::ResponseSize => Metric::ResponseBytes,
        IstioMetric::GrpcRequestMessages => Metric::RequestMessages,
        IstioMetric::GrpcResponseMessages => Metric::ResponseMessages,
        IstioMetric::TcpOpenedConnections => Metric::TcpOpened,
        IstioMetric::TcpClosedConnections => Metric::TcpClosed,
        IstioMetric::TcpSentBytes => Metric::TcpSent,
        IstioMetric::TcpReceivedBytes => Metric::TcpReceived,
        _ => return Metric::ALL.to_vec(),
    };
    vec![one]
}

#[cfg(test)]
mod tests;
