//! Limits, time-outs and the HTTP version towards endpoints (`applyConnectionPool` and `applyH2Upgrade`).

use std::time::Duration;

use serin_api::mesh_config::MeshConfig;
use serin_api::networking::{
    ConnectionPoolSettings, H2UpgradePolicy, HttpSettings, RetryBudget, TcpKeepalive, TcpSettings,
};
use serin_routing::breaker::{self, Limits};
use serin_routing::model::{Cluster, Http2KeepAlive, KeepAlive, UpstreamProtocol};

use crate::proxy::ProxyKind;
use crate::registry::Protocol;

/// How long an HTTP connection without requests is kept (Envoy's default).
const IDLE: Duration = Duration::from_secs(3600);

/// What a retry budget is that says nothing more.
const BUDGET: breaker::RetryBudget = breaker::RetryBudget { percent: 20.0, min_concurrency: 3 };

/// Sets what holds where nothing is written.
pub(super) fn apply_defaults(cluster: &mut Cluster, mesh: &MeshConfig) {
    apply(cluster, mesh, None, None);
}

/// Sets limits and time-outs. A limit of 0 is none.
pub(super) fn apply(
    cluster: &mut Cluster,
    mesh: &MeshConfig,
    pool: Option<&ConnectionPoolSettings>,
    retries: Option<&RetryBudget>,
) {
    let (no_tcp, no_http) = (TcpSettings::default(), HttpSettings::default());
    let tcp = pool.and_then(|it| it.tcp.as_ref()).unwrap_or(&no_tcp);
    let http = pool.and_then(|it| it.http.as_ref()).unwrap_or(&no_http);
    cluster.limits = Limits {
        max_connections: limit(tcp.max_connections),
        max_pending_requests: limit(http.http1_max_pending_requests),
        max_requests: limit(http.http2_max_requests),
        max_retries: limit(http.max_retries),
        retry_budget: retries.map(retry_budget),
        max_requests_per_connection: u32::try_from(http.max_requests_per_connection).unwrap_or(0),
        max_connection_duration: tcp.max_connection_duration.map(|it| it.to_std()),
        max_concurrent_streams: u32::try_from(http.max_concurrent_streams).unwrap_or(0),
    };
    cluster.connect_timeout = tcp.connect_timeout.unwrap_or(mesh.connect_timeout).to_std();
    let idle = http.idle_timeout.or(tcp.idle_timeout).map_or(IDLE, |it| it.to_std());
    cluster.idle_timeout = Some(idle).filter(|idle| !idle.is_zero());
    cluster.keep_alive = keep_alive(mesh.tcp_keepalive.as_ref(), tcp.tcp_keepalive.as_ref());
    cluster.http2_keep_alive = http.http2_keep_alive.as_ref().and_then(|it| {
        Some(Http2KeepAlive { interval: it.interval?.to_std(), timeout: it.timeout?.to_std() })
    });
    if http.use_client_protocol {
        cluster.protocol = UpstreamProtocol::SameAsDownstream;
    }
}

fn limit(written: i32) -> u32 {
    u32::try_from(written).ok().filter(|limit| *limit > 0).unwrap_or(u32::MAX)
}

fn retry_budget(written: &RetryBudget) -> breaker::RetryBudget {
    breaker::RetryBudget {
        percent: written.percent.unwrap_or(BUDGET.percent),
        min_concurrency: Some(written.min_retry_concurrency)
            .filter(|it| *it > 0)
            .unwrap_or(BUDGET.min_concurrency),
    }
}

/// The mesh's probes, single values of which a rule may change.
fn keep_alive(mesh: Option<&TcpKeepalive>, rule: Option<&TcpKeepalive>) -> Option<KeepAlive> {
    let written = [rule, mesh].into_iter().flatten();
    mesh.or(rule)?;
    Some(KeepAlive {
        probes: written.clone().map(|it| it.probes).find(|it| *it > 0),
        time: written.clone().find_map(|it| it.time).map(|it| it.to_std()),
        interval: written.clone().find_map(|it| it.interval).map(|it| it.to_std()),
    })
}

/// The protocol towards endpoints of a port.
///
/// Where nothing is declared, sidecars speak what the client speaks; gateways, which do not look at first bytes, HTTP/1.1.
pub(super) const fn declared_protocol(protocol: Protocol, proxy: ProxyKind) -> UpstreamProtocol {
    if protocol.is_http2() {
        UpstreamProtocol::Http2
    } else if protocol.is_http() {
        UpstreamProtocol::Http1
    } else if protocol.is_sniffed() {
        match proxy {
            ProxyKind::Sidecar => UpstreamProtocol::SameAsDownstream,
            ProxyKind::Gateway => UpstreamProtocol::Http1,
        }
    } else {
        UpstreamProtocol::Tcp
    }
}

/// Whether HTTP/1.1 is sent as HTTP/2: a rule that says so is taken at its word for any port, the mesh only for ports that are
/// declared to be HTTP. Not where the client's protocol is to be used.
pub(super) fn is_upgraded(
    protocol: Protocol,
    pool: Option<&ConnectionPoolSettings>,
    mesh: &MeshConfig,
) -> bool {
    let http = pool.and_then(|it| it.http.as_ref());
    match http {
        Some(http) if http.use_client_protocol => false,
        Some(HttpSettings { h2_upgrade_policy: H2UpgradePolicy::Upgrade, .. }) => true,
        Some(HttpSettings { h2_upgrade_policy: H2UpgradePolicy::DoNotUpgrade, .. }) => false,
        _ => protocol.is_http() && mesh.h2_upgrade_policy == H2UpgradePolicy::Upgrade,
    }
}
