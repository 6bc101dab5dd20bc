//! What is put in force for a workload, and what became of it.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use serin_routing::Model;
use serin_telemetry::Workload;
use serin_telemetry::access_log::AccessLog;
use serin_telemetry::customization::Customizations;
use serin_telemetry::trace::Tracing;

use crate::network::Network;
use crate::snapshot::TlsProblem;

/// What a proxy executes for one workload. Models of different workloads should share what they have in common: it is compiled
/// once, found by its address.
#[derive(Clone, Debug, Default)]
pub struct Publication {
    /// The rules.
    pub model: Arc<Model>,
    /// Where its listeners are opened: the pod's own network; the host's if there is none. Inbound listeners of a model are not
    /// opened in a pod's network, for whoever could reach them comes through this proxy already.
    pub network: Option<Arc<dyn Network>>,
    /// Who sends what comes through its listeners, as metrics name it. With a principal, it is in the mesh: what it sends to
    /// pods of the mesh on this machine is known by construction to be from it. A pod without one is outside the mesh: in Istio
    /// there is no proxy beside it, and so nothing is counted for it as a sender.
    pub workload: Workload,
    /// Where its requests are logged.
    pub access_log: Option<Arc<AccessLog>>,
    /// How its requests are traced; contexts pass through as they came if not at all.
    pub tracing: Option<Arc<Tracing>>,
    /// How its metrics differ from Istio's.
    pub customizations: Customizations,
}

impl Publication {
    /// Whether nothing of what the workload sends is counted for it.
    pub(crate) fn is_silent(&self) -> bool {
        self.network.is_some() && self.workload.principal.is_empty()
    }
}

/// What became of a model that was published.
#[derive(Debug, Default)]
pub struct Published {
    /// Its version, counted from 1 for each workload.
    pub version: u64,
    /// Listeners that could not be opened; everything else is in force.
    pub failed: Vec<(Arc<str>, SocketAddr, io::Error)>,
    /// Where each listener with a socket listens.
    pub listening: BTreeMap<Arc<str>, SocketAddr>,
    /// TLS that is not what was asked for.
    pub tls: Vec<TlsProblem>,
}
