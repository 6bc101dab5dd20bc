//! Rules for limits of connections.

use super::numbers::{duration, not_negative};
use super::place::Place;
use crate::networking::{ConnectionPoolSettings, H2UpgradePolicy, HttpSettings, TcpSettings};

pub(super) fn check(pool: &ConnectionPoolSettings, at: &Place<'_>) {
    if pool.http.is_none() && pool.tcp.is_none() {
        at.error("a connection pool must have at least one of tcp and http");
    }
    if let Some(settings) = &pool.http {
        http(settings, &at.key("http"));
    }
    if let Some(settings) = &pool.tcp {
        tcp(settings, &at.key("tcp"));
    }
}

fn http(http: &HttpSettings, at: &Place<'_>) {
    not_negative(http.http1_max_pending_requests, &at.key("http1MaxPendingRequests"));
    not_negative(http.http2_max_requests, &at.key("http2MaxRequests"));
    not_negative(http.max_requests_per_connection, &at.key("maxRequestsPerConnection"));
    not_negative(http.max_retries, &at.key("maxRetries"));
    not_negative(http.max_concurrent_streams, &at.key("maxConcurrentStreams"));
    duration(http.idle_timeout, &at.key("idleTimeout"));
    if http.h2_upgrade_policy == H2UpgradePolicy::Upgrade && http.use_client_protocol {
        at.key("useClientProtocol")
            .error("the client's protocol cannot be kept with h2UpgradePolicy: UPGRADE");
    }
    if let Some(pings) = &http.http2_keep_alive {
        let at = at.key("http2KeepAlive");
        for (field, time) in [("interval", pings.interval), ("timeout", pings.timeout)] {
            if time.is_none() {
                at.key(field).error(format!("pings on connections need a {field}"));
            }
            duration(time, &at.key(field));
        }
    }
}

fn tcp(tcp: &TcpSettings, at: &Place<'_>) {
    not_negative(tcp.max_connections, &at.key("maxConnections"));
    duration(tcp.connect_timeout, &at.key("connectTimeout"));
    duration(tcp.max_connection_duration, &at.key("maxConnectionDuration"));
    // Zero turns the timeout off.
    let idle_timeout = tcp.idle_timeout.filter(|timeout| timeout.nanos().abs() >= 1_000_000);
    duration(idle_timeout, &at.key("idleTimeout"));
    if let Some(probes) = &tcp.tcp_keepalive {
        let at = at.key("tcpKeepalive");
        duration(probes.time, &at.key("time"));
        duration(probes.interval, &at.key("interval"));
    }
}
