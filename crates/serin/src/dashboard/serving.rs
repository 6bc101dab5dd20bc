//! Where a dashboard is served.

use std::net::SocketAddr;
use std::sync::Arc;

use serin_dashboard::{Dashboard, Mesh, OpenError, Settings};

use crate::cli::DashboardAddress;

/// Serves a dashboard at the address that was chosen, or, where none was, at the usual one or a free one. `token` lets in whoever
/// brings it; without one it is made here.
pub(crate) async fn start(
    chosen: Option<DashboardAddress>,
    client: &kube::Client,
    mesh: Arc<dyn Mesh>,
    token: Option<String>,
) -> Result<Option<Dashboard>, OpenError> {
    let mut settings = Settings { token, ..Settings::default() };
    match chosen {
        Some(DashboardAddress::Off) => return Ok(None),
        Some(DashboardAddress::At(address)) => settings.address = address,
        None => {}
    }
    match Dashboard::start(client.clone(), Arc::clone(&mesh), &settings).await {
        Err(error) if chosen.is_none() => {
            tracing::warn!(%error, "the dashboard takes a free port");
            settings.address.set_port(0);
            Ok(Some(Dashboard::start(client.clone(), mesh, &settings).await?))
        }
        started => Ok(Some(started?)),
    }
}

/// Where it is reached from this machine.
pub(crate) fn url(dashboard: &Dashboard) -> String {
    let mut address = dashboard.address();
    if address.ip().is_unspecified() {
        address = SocketAddr::from(([127, 0, 0, 1], address.port()));
    }
    format!("http://{address}/")
}

/// The link that lets whoever has it in.
pub(crate) fn link(dashboard: &Dashboard) -> String {
    format!("{}?token={}", url(dashboard), dashboard.token())
}
