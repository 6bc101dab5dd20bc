//! What all releases share: the cluster, the way to hooks and metrics, each other's progress, and the numbers.

mod members;
mod report;

use serde_json::Value;
use serin_rollout::Decision;

use crate::cluster::Cluster;
use crate::events;
use crate::http::Caller;
use crate::kind::Kind;
use crate::settings::Settings;

pub(crate) use members::Members;
pub(crate) use report::Report;

/// What all releases share.
pub struct Shared {
    pub(crate) cluster: Cluster,
    pub(crate) settings: Settings,
    pub(crate) caller: Caller,
    pub(crate) members: Members,
    pub(crate) report: Report,
}

impl Shared {
    /// For the releases of a cluster.
    pub fn new(client: kube::Client, settings: Settings) -> Self {
        Self {
            cluster: Cluster::new(client),
            caller: Caller::new(settings.dial.clone(), settings.trust.clone()),
            settings,
            members: Members::default(),
            report: Report::default(),
        }
    }

    /// The cluster.
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// The controller's own metrics in Prometheus' text format, under Flagger's names.
    pub fn metrics(&self) -> String {
        self.report.render(&self.cluster)
    }
}

/// Records an event of a Canary. What is lost is told in the log: no release stands still for it.
pub(crate) async fn record(shared: &Shared, canary: &Value, decision: &Decision) {
    let event = events::of(canary, decision);
    tracing::info!(
        canary = crate::json::name(canary),
        event = decision.event,
        reason = decision.reason
    );
    match shared.cluster.create(Kind::Event, &event).await {
        Err(error) if error.code() != 409 => {
            tracing::warn!(%error, "an event could not be recorded")
        }
        _ => {}
    }
}
