//! Metrics: Istio's, and those of Envoy's that people watch.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};

use serin_proxy::{ClusterStats, CoreStats, Observer};
use serin_telemetry::exposition::Text;

use super::{Shared, Stage};

/// All of them, as Prometheus reads them.
pub(super) fn text(shared: &Shared, observer: &Observer, cores: &[CoreStats]) -> String {
    let mut text = Text::default();
    text.istio(cores.iter().map(|core| &core.metrics));
    text.metric("istio_build").value(
        "istio_build",
        &[("component", "proxy"), ("tag", env!("CARGO_PKG_VERSION"))],
        1,
    );
    server(&mut text, shared, observer);
    downstream(&mut text, cores);
    clusters(&mut text, &sums(cores));
    lost(&mut text, shared, cores);
    text.finish()
}

fn one(text: &mut Text, name: &str, value: u64) {
    text.metric(name).value(name, &[], value);
}

fn server(text: &mut Text, shared: &Shared, observer: &Observer) {
    let stage = shared.stage();
    one(text, "envoy_server_live", u64::from(stage == Stage::Serving));
    // Envoy's numbers: 0 live, 1 draining, 2 not yet initialised.
    let state = match stage {
        Stage::Serving => 0,
        Stage::Draining => 1,
        Stage::Starting => 2,
    };
    one(text, "envoy_server_state", state);
    one(text, "envoy_server_uptime", shared.started.elapsed().as_secs());
    let in_force = observer.in_force();
    one(text, "serin_config_version", in_force.version);
    one(text, "envoy_listener_manager_total_listeners_active", in_force.listening.len() as u64);
    one(text, "envoy_cluster_manager_active_clusters", in_force.model.clusters.len() as u64);
}

fn downstream(text: &mut Text, cores: &[CoreStats]) {
    let active = cores.iter().map(|core| core.downstream_active as u64).sum();
    one(text, "envoy_http_downstream_cx_active", active);
    let total = cores.iter().map(|core| core.downstream_total).sum();
    one(text, "envoy_http_downstream_cx_total", total);
}

fn lost(text: &mut Text, shared: &Shared, cores: &[CoreStats]) {
    let mirrors = cores.iter().map(|core| core.mirrors_dropped).sum();
    one(text, "serin_mirrors_dropped_total", mirrors);
    let log = shared.access_log.lock().unwrap_or_else(PoisonError::into_inner);
    let lines = log.as_ref().map_or(0, |log| log.dropped());
    one(text, "serin_access_log_lines_dropped_total", lines);
}

/// What all cores have counted of a cluster.
#[derive(Default)]
struct Sum {
    connections: u64,
    requests: u64,
    active: u64,
    overflows: u64,
    members: u64,
    healthy: u64,
    ejected: u64,
}

impl Sum {
    fn add(&mut self, core: &ClusterStats) {
        self.connections += core.connections as u64;
        self.requests += core.requests;
        self.overflows += core.overflows;
        self.active += core.endpoints.iter().map(|it| u64::from(it.active)).sum::<u64>();
        // Every core has the same endpoints and ejects on its own.
        let ejected = core.endpoints.iter().filter(|it| it.ejected).count() as u64;
        self.ejected = self.ejected.max(ejected);
        self.members = core.endpoints.len() as u64;
        self.healthy = core.endpoints.iter().filter(|it| it.healthy && !it.ejected).count() as u64;
    }
}

fn sums(cores: &[CoreStats]) -> BTreeMap<Arc<str>, Sum> {
    let mut sums: BTreeMap<Arc<str>, Sum> = BTreeMap::new();
    for (name, cluster) in cores.iter().flat_map(|core| &core.clusters) {
        sums.entry(Arc::clone(name)).or_default().add(cluster);
    }
    sums
}

/// A metric of clusters: its name, and where its value is.
type Column = (&'static str, fn(&Sum) -> u64);

fn clusters(text: &mut Text, sums: &BTreeMap<Arc<str>, Sum>) {
    let columns: [Column; 7] = [
        ("envoy_cluster_upstream_cx_active", |it| it.connections),
        ("envoy_cluster_upstream_rq_total", |it| it.requests),
        ("envoy_cluster_upstream_rq_active", |it| it.active),
        ("envoy_cluster_upstream_rq_pending_overflow", |it| it.overflows),
        ("envoy_cluster_membership_total", |it| it.members),
        ("envoy_cluster_membership_healthy", |it| it.healthy),
        ("envoy_cluster_outlier_detection_ejections_active", |it| it.ejected),
    ];
    for (name, value) in columns {
        text.metric(name);
        for (cluster, sum) in sums {
            text.value(name, &[("cluster_name", cluster)], value(sum));
        }
    }
}
