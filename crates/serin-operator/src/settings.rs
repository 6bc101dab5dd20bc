//! What the controller is told about where it runs.

use std::fmt;
use std::sync::Arc;

use rustls::RootCertStore;
use serin_api::delivery::AlertProvider;
use serin_rollout::Time;

use crate::http::{Dial, System, Trust};
use crate::traffic::{NoTraffic, Traffic};

/// Settings of the controller.
#[derive(Clone)]
pub struct Settings {
    /// Prometheus of the built-in metrics, for Canaries that name none. Without it, the built-in metrics are answered from
    /// what the proxies count.
    pub metrics_server: Option<String>,
    /// Who is told of every event of Canaries that have no event hook of their own.
    pub event_webhook: Option<String>,
    /// Who is told of releases that name no alerts of their own.
    pub alerts: Option<AlertProvider>,
    /// The cluster's name in alerts.
    pub cluster_name: String,
    /// Labels and annotations of workloads that their primaries get, too: by prefix, or `*` for all.
    pub include_label_prefixes: Vec<String>,
    /// What this controller is called among several.
    pub identity: String,
    /// The Lease that decides who acts, as namespace and name; `None` acts always.
    pub lease: Option<(String, String)>,
    /// Canaries of `flagger.app` are somebody else's.
    pub leaves_flagger: bool,
    /// The traffic of both versions.
    pub traffic: Arc<dyn Traffic>,
    /// How hooks, metrics and those who are told are reached.
    pub dial: Arc<dyn Dial>,
    /// Whose certificates are believed there.
    pub trust: Trust,
    /// The wall clock.
    pub clock: fn() -> Time,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            metrics_server: None,
            event_webhook: None,
            alerts: None,
            cluster_name: String::new(),
            include_label_prefixes: Vec::new(),
            identity: format!("serin-{}", crate::chance::unique()),
            lease: None,
            leaves_flagger: false,
            traffic: Arc::new(NoTraffic),
            dial: Arc::new(System),
            trust: Trust::new(RootCertStore::empty()),
            clock: || Time(jiff::Timestamp::now().as_millisecond()),
        }
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings").field("identity", &self.identity).finish_non_exhaustive()
    }
}
