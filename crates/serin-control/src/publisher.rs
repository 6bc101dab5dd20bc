//! The way to the proxies.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;

use serin_routing::Model;
use serin_translate::Snapshot;

use crate::proxy::{ProxyId, Workload};

/// Brings models to proxies.
pub trait Publisher: Send + Sync + 'static {
    /// What all proxies share, before the models made from it are published: certificates, logs, traces, and `plain`, the model of
    /// workloads outside of the mesh, by which every Service is known. Called once for each push, on a thread that may block for a
    /// short time.
    fn prepare(&self, _snapshot: &Arc<Snapshot>, _plain: &Arc<Model>) {}

    /// Gives a proxy its model; resolves when the proxy decides by it. For one proxy there is never more than one publication under
    /// way. Proxies with the same rules get the same model, by address, and so what is made of it can be shared.
    fn publish(
        &self,
        proxy: &ProxyId,
        model: Arc<Model>,
        workload: Arc<Workload>,
    ) -> impl Future<Output = Result<Ack, PublishError>> + Send;

    /// Tells that a proxy gets no models any more, because what it was for is gone.
    fn retire(&self, proxy: &ProxyId) -> impl Future<Output = ()> + Send;
}

/// A proxy decides by a model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ack {
    /// What of the model could not be had: ports that are taken, certificates that are missing. The rest is in force.
    pub problems: Vec<Problem>,
}

/// A part of a model that is not in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The address and port, in the model, of a listener that could not be opened. It is tried again from time to time.
    pub listener: Option<SocketAddr>,
    /// What is missing, why, and what to do, in words.
    pub message: String,
}

/// A proxy does not decide by a model, and goes on with the one before.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the proxy did not take the model: {reason}")]
pub struct PublishError {
    /// Why.
    pub reason: String,
}
