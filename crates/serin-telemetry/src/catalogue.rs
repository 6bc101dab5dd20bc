//! Every metric that is written: what it is called, what kind it is, what it says.

use Kind::{Counter, Gauge, Histogram};

/// The kind of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It only grows.
    Counter,
    /// It goes up and down.
    Gauge,
    /// Buckets, a sum and a count.
    Histogram,
}

impl Kind {
    /// Its name in Prometheus' text format.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// A metric.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// What it is called.
    pub name: &'static str,
    /// Its kind.
    pub kind: Kind,
    /// The labels of its own. Istio's metrics have Istio's.
    pub labels: &'static [&'static str],
    /// What it says.
    pub help: &'static str,
}

const fn entry(
    name: &'static str,
    kind: Kind,
    labels: &'static [&'static str],
    help: &'static str,
) -> Entry {
    Entry { name, kind, labels, help }
}

const CLUSTER: &[&str] = &["cluster_name"];
const RELEASE: &[&str] = &["name", "namespace"];
const END: &[&str] = &["name", "namespace", "deployment_strategy", "analysis_status"];

/// Istio's, of requests and connections.
pub const OF_TRAFFIC: &[Entry] = &[
    entry("istio_requests_total", Counter, &[], "Requests"),
    entry(
        "istio_request_duration_milliseconds",
        Histogram,
        &[],
        "From the head of a request to the end of its answer",
    ),
    entry("istio_request_bytes", Histogram, &[], "Bytes of the bodies of requests"),
    entry("istio_response_bytes", Histogram, &[], "Bytes of the bodies of answers"),
    entry("istio_request_messages_total", Counter, &[], "Messages of gRPC that went up"),
    entry("istio_response_messages_total", Counter, &[], "Messages of gRPC that came down"),
    entry(
        "istio_mirrored_requests_total",
        Counter,
        &[],
        "Copies of requests, as whoever sent them saw them end",
    ),
    entry("istio_mirrored_request_duration_milliseconds", Histogram, &[], "The same of copies"),
    entry("istio_mirrored_request_bytes", Histogram, &[], "The same of copies"),
    entry("istio_mirrored_response_bytes", Histogram, &[], "The same of copies"),
    entry("istio_mirrored_request_messages_total", Counter, &[], "The same of copies"),
    entry("istio_mirrored_response_messages_total", Counter, &[], "The same of copies"),
    entry(
        "istio_tcp_connections_opened_total",
        Counter,
        &[],
        "Connections of TCP that were opened",
    ),
    entry("istio_tcp_connections_closed_total", Counter, &[], "Connections of TCP that have ended"),
    entry("istio_tcp_sent_bytes_total", Counter, &[], "Bytes that went to clients"),
    entry("istio_tcp_received_bytes_total", Counter, &[], "Bytes that came from clients"),
    entry("istio_build", Gauge, &["component", "tag"], "The version, as a label; always 1"),
];

/// Of a proxy, under Envoy's names where Envoy has the same.
pub const OF_PROXIES: &[Entry] = &[
    entry("envoy_server_live", Gauge, &[], "1 while it serves, 0 while it starts or drains"),
    entry("envoy_server_state", Gauge, &[], "0 live, 1 draining, 2 not yet initialised"),
    entry("envoy_server_uptime", Gauge, &[], "Seconds since it was started"),
    entry("envoy_listener_manager_total_listeners_active", Gauge, &[], "Listeners that are open"),
    entry(
        "envoy_cluster_manager_active_clusters",
        Gauge,
        &[],
        "Clusters that requests can be sent to",
    ),
    entry("envoy_http_downstream_cx_active", Gauge, &[], "Connections of clients at present"),
    entry("envoy_http_downstream_cx_total", Counter, &[], "Connections of clients"),
    entry(
        "envoy_cluster_upstream_cx_active",
        Gauge,
        CLUSTER,
        "Connections to a cluster at present",
    ),
    entry("envoy_cluster_upstream_rq_total", Counter, CLUSTER, "Requests to a cluster"),
    entry("envoy_cluster_upstream_rq_active", Gauge, CLUSTER, "Requests to a cluster at present"),
    entry(
        "envoy_cluster_upstream_rq_pending_overflow",
        Counter,
        CLUSTER,
        "Requests that a circuit breaker refused",
    ),
    entry("envoy_cluster_membership_total", Gauge, CLUSTER, "Endpoints of a cluster"),
    entry(
        "envoy_cluster_membership_healthy",
        Gauge,
        CLUSTER,
        "Endpoints that are healthy and not ejected",
    ),
    entry(
        "envoy_cluster_outlier_detection_ejections_active",
        Gauge,
        CLUSTER,
        "Endpoints that are ejected",
    ),
    entry("serin_config_version", Gauge, &[], "How often the configuration has changed"),
    entry(
        "serin_mirrors_dropped_total",
        Counter,
        &[],
        "Copies that were not sent, because too many were on their way",
    ),
    entry(
        "serin_access_log_lines_dropped_total",
        Counter,
        &[],
        "Lines of the access log that could not be written",
    ),
];

/// Of releases, under Flagger's names.
pub const OF_RELEASES: &[Entry] = &[
    entry("flagger_info", Gauge, &["version", "mesh_provider"], "The controller; always 1"),
    entry("flagger_canary_total", Gauge, &["namespace"], "Canaries"),
    entry("flagger_canary_status", Gauge, RELEASE, "0 running, 1 successful, 2 failed"),
    entry("flagger_canary_weight", Gauge, &["workload", "namespace"], "Percent of the traffic"),
    entry(
        "flagger_canary_metric_analysis",
        Gauge,
        &["name", "namespace", "metric"],
        "The last value of a metric",
    ),
    entry("flagger_canary_duration_seconds", Histogram, RELEASE, "How long releases took"),
    entry("flagger_canary_successes_total", Counter, END, "Releases that were promoted"),
    entry("flagger_canary_failures_total", Counter, END, "Releases that were rolled back"),
];

/// The entry of a metric.
pub(crate) fn find(name: &str) -> Option<&'static Entry> {
    [OF_TRAFFIC, OF_PROXIES, OF_RELEASES].into_iter().flatten().find(|it| it.name == name)
}
