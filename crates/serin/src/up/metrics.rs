//! Metrics for a Prometheus: Istio's of all proxies of this cluster, and those of the controller of releases.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use futures_util::future::BoxFuture;
use serin_operator::Shared;
use serin_proxy::Observer;
use serin_telemetry::exposition::Text;

use crate::metrics::{self, Hosts, Source};

/// Where Istio's proxies serve theirs.
const PORT: u16 = 15020;

/// Who has counted.
pub(super) struct Metrics {
    observer: Observer,
    releases: Arc<Shared>,
}

impl Metrics {
    pub(super) const fn new(observer: Observer, releases: Arc<Shared>) -> Self {
        Self { observer, releases }
    }

    /// Serves until `stop`. A port that is taken takes nothing else down.
    pub(super) async fn serve(self, address: IpAddr, stop: impl Future<Output = ()>) {
        match metrics::listen(SocketAddr::new(address, PORT)).await {
            Ok(listener) => metrics::serve(listener, Arc::new(self), Hosts::Addresses, stop).await,
            Err(error) => tracing::warn!(
                "no metrics for a Prometheus: {error}. End what listens there, or give this cluster another --gateway-address \
                 (127.0.0.2), and start it again; everything else works"
            ),
        }
    }
}

impl Source for Metrics {
    fn text(&self) -> BoxFuture<'_, String> {
        Box::pin(async {
            let cores = self.observer.stats().await;
            let mut text = Text::default();
            text.istio(cores.iter().map(|core| &core.metrics));
            let build = [("component", "proxy"), ("tag", env!("CARGO_PKG_VERSION"))];
            text.metric("istio_build").value("istio_build", &build, 1);
            text.finish() + &self.releases.metrics()
        })
    }
}
