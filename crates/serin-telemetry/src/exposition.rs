//! Prometheus' text format (version 0.0.4).

use std::collections::BTreeMap;
use std::fmt::Write;

use serin_routing::response::Flags;

use crate::destination::{UNKNOWN, Workload};
use crate::histogram::Histogram;
use crate::metrics::{Counted, Ends, Metrics, Protocol, Reporter, Series, Tcp};

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

/// A metric's name, and its value in a series.
type Number<T> = (&'static str, fn(&T) -> u64);
type Distribution = (&'static str, fn(&Counted) -> &Histogram);

/// A text of metrics in the making.
#[derive(Debug, Default)]
pub struct Text {
    text: String,
}

impl Text {
    /// Begins a metric.
    pub fn metric(&mut self, name: &str, kind: Kind) -> &mut Self {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        // Writing to memory does not fail, here and below.
        let _ = writeln!(self.text, "# TYPE {name} {kind}");
        self
    }

    /// One value, with labels.
    pub fn value(&mut self, name: &str, labels: &[(&str, &str)], value: u64) -> &mut Self {
        let labels = rendered(labels.iter().map(|(key, value)| (*key, *value)));
        self.sample(name, &labels, "", value);
        self
    }

    fn sample(&mut self, name: &str, labels: &str, more: &str, value: impl std::fmt::Display) {
        let comma = if labels.is_empty() || more.is_empty() { "" } else { "," };
        let _ = if labels.is_empty() && more.is_empty() {
            writeln!(self.text, "{name} {value}")
        } else {
            writeln!(self.text, "{name}{{{labels}{comma}{more}}} {value}")
        };
    }

    fn histogram(&mut self, name: &str, labels: &str, histogram: &Histogram) {
        let bucket = format!("{name}_bucket");
        for (bound, count) in histogram.cumulative() {
            self.sample(&bucket, labels, &format!("le=\"{bound}\""), count);
        }
        self.sample(&bucket, labels, "le=\"+Inf\"", histogram.count());
        self.sample(&format!("{name}_sum"), labels, "", histogram.sum());
        self.sample(&format!("{name}_count"), labels, "", histogram.count());
    }

    /// Istio's metrics: the sums over all cores.
    pub fn istio<'m>(&mut self, cores: impl Iterator<Item = &'m Metrics>) -> &mut Self {
        let mut sums = Sums::default();
        cores.for_each(|core| sums.add(core));
        for (suffix, series) in [("", &sums.requests), ("_mirrored", &sums.mirrored)] {
            self.requests(suffix, series);
        }
        self.connections(&sums.tcp);
        self
    }

    fn requests(&mut self, suffix: &str, series: &BTreeMap<String, Counted>) {
        if series.is_empty() {
            return;
        }
        let counters: [Number<Counted>; 3] = [
            ("requests_total", |it| it.requests),
            ("request_messages_total", |it| it.request_messages),
            ("response_messages_total", |it| it.response_messages),
        ];
        for (name, value) in counters {
            let has_messages = |labels: &str| labels.contains("request_protocol=\"grpc\"");
            let wanted = |labels: &String| name == "requests_total" || has_messages(labels);
            let name = format!("istio{suffix}_{name}");
            self.metric(&name, Kind::Counter);
            for (labels, counted) in series.iter().filter(|(labels, _)| wanted(labels)) {
                self.sample(&name, labels, "", value(counted));
            }
        }
        let histograms: [Distribution; 3] = [
            ("request_duration_milliseconds", |it| &it.duration),
            ("request_bytes", |it| &it.request_bytes),
            ("response_bytes", |it| &it.response_bytes),
        ];
        for (name, histogram) in histograms {
            let name = format!("istio{suffix}_{name}");
            self.metric(&name, Kind::Histogram);
            for (labels, counted) in series {
                self.histogram(&name, labels, histogram(counted));
            }
        }
    }

    fn connections(&mut self, series: &BTreeMap<String, Tcp>) {
        if series.is_empty() {
            return;
        }
        let counters: [Number<Tcp>; 4] = [
            ("istio_tcp_connections_opened_total", |it| it.opened),
            ("istio_tcp_connections_closed_total", |it| it.closed),
            ("istio_tcp_sent_bytes_total", |it| it.sent),
            ("istio_tcp_received_bytes_total", |it| it.received),
        ];
        for (name, value) in counters {
            self.metric(name, Kind::Counter);
            for (labels, counted) in series {
                self.sample(name, labels, "", value(counted));
            }
        }
    }

    /// The text.
    pub fn finish(self) -> String {
        self.text
    }
}

/// Series of all cores, by their labels as they are written.
#[derive(Default)]
struct Sums {
    requests: BTreeMap<String, Counted>,
    mirrored: BTreeMap<String, Counted>,
    tcp: BTreeMap<String, Tcp>,
}

impl Sums {
    fn add(&mut self, core: &Metrics) {
        core.requests(|series, counted| {
            let labels = request_labels(&series);
            // To the receiving side a copy is a request like any other, as in Istio.
            let is_apart = series.is_mirror && series.ends.reporter == Reporter::Source;
            let all = if is_apart { &mut self.mirrored } else { &mut self.requests };
            let sum = all.entry(labels).or_default();
            sum.requests += counted.requests;
            sum.request_messages += counted.request_messages;
            sum.response_messages += counted.response_messages;
            sum.duration.add(&counted.duration);
            sum.request_bytes.add(&counted.request_bytes);
            sum.response_bytes.add(&counted.response_bytes);
        });
        core.connections(|ends, flags, counted| {
            let labels = common_labels(ends, "tcp", flags);
            let sum = self.tcp.entry(rendered(labels.iter().map(pair))).or_default();
            sum.opened += counted.opened;
            sum.closed += counted.closed;
            sum.sent += counted.sent;
            sum.received += counted.received;
        });
    }
}

fn request_labels(series: &Series<'_>) -> String {
    let (protocol, grpc_status) = match series.protocol {
        Protocol::Http => ("http", String::new()),
        Protocol::Grpc(status) => {
            ("grpc", status.map(|status| status.to_string()).unwrap_or_default())
        }
    };
    let mut labels = common_labels(series.ends, protocol, series.flags);
    labels.push(("response_code", series.status.to_string()));
    labels.push(("grpc_response_status", grpc_status));
    rendered(labels.iter().map(pair))
}

fn pair<'l>((key, value): &'l (&'static str, String)) -> (&'l str, &'l str) {
    (key, value)
}

/// The labels that requests and connections have in common (`istio_stats`).
fn common_labels(
    Ends { reporter, source: own, destination }: Ends<'_>,
    protocol: &str,
    flags: Flags,
) -> Vec<(&'static str, String)> {
    let known = |text: &str| if text.is_empty() { UNKNOWN } else { text }.to_owned();
    let unknown_revision = |it: &Workload| match &*it.canonical_revision {
        "" => "latest".to_owned(),
        revision => revision.to_owned(),
    };
    let to = &destination.workload;
    let are_both_known = !own.principal.is_empty() && !to.principal.is_empty();
    let (reporter, policy) = match reporter {
        // Only the receiving side knows how the connection was secured.
        Reporter::Source => ("source", UNKNOWN),
        // Within one process, identities are known by construction: what mutual TLS is for between two.
        Reporter::Destination if are_both_known => ("destination", "mutual_tls"),
        Reporter::Destination => ("destination", "none"),
    };
    vec![
        ("reporter", reporter.to_owned()),
        ("source_workload", known(&own.name)),
        ("source_canonical_service", known(&own.canonical_service)),
        ("source_canonical_revision", unknown_revision(own)),
        ("source_workload_namespace", known(&own.namespace)),
        ("source_principal", known(&own.principal)),
        ("source_app", known(&own.app)),
        ("source_version", known(&own.version)),
        ("source_cluster", known(&own.cluster)),
        ("destination_workload", known(&to.name)),
        ("destination_workload_namespace", known(&to.namespace)),
        ("destination_principal", known(&to.principal)),
        ("destination_app", known(&to.app)),
        ("destination_version", known(&to.version)),
        ("destination_service", known(&destination.service)),
        ("destination_canonical_service", known(&to.canonical_service)),
        ("destination_canonical_revision", unknown_revision(to)),
        ("destination_service_name", known(&destination.service_name)),
        ("destination_service_namespace", known(&destination.service_namespace)),
        ("destination_cluster", known(&to.cluster)),
        ("request_protocol", protocol.to_owned()),
        ("response_flags", flags.to_string()),
        ("connection_security_policy", policy.to_owned()),
    ]
}

/// `a="1",b="2"`, with backslashes, quotes and line ends escaped.
fn rendered<'l>(labels: impl Iterator<Item = (&'l str, &'l str)>) -> String {
    let mut text = String::new();
    for (key, value) in labels {
        if !text.is_empty() {
            text.push(',');
        }
        let _ = write!(text, "{key}=\"");
        for character in value.chars() {
            match character {
                '\\' => text.push_str("\\\\"),
                '"' => text.push_str("\\\""),
                '\n' => text.push_str("\\n"),
                other => text.push(other),
            }
        }
        text.push('"');
    }
    text
}

#[cfg(test)]
mod tests;
