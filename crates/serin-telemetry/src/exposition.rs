//! Prometheus' text format (version 0.0.4).

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::{Display, Write};

use serin_routing::response::Flags;

use crate::catalogue::{self, Entry};
use crate::customization::{Customized, Metric};
use crate::destination::{UNKNOWN, Workload};
use crate::histogram::Histogram;
use crate::metrics::{Counted, Ends, Metrics, Protocol, Reporter, Series, Sum, Tcp};

/// A metric, and its value in a series.
type Number<T> = (Metric, fn(&T) -> u64);
type Distribution = (Metric, fn(&Counted) -> &Histogram);

const REQUEST_COUNTERS: [Number<Counted>; 3] = [
    (Metric::Requests, |it| it.requests),
    (Metric::RequestMessages, |it| it.request_messages),
    (Metric::ResponseMessages, |it| it.response_messages),
];
const REQUEST_HISTOGRAMS: [Distribution; 3] = [
    (Metric::Duration, |it| &it.duration),
    (Metric::RequestBytes, |it| &it.request_bytes),
    (Metric::ResponseBytes, |it| &it.response_bytes),
];
const TCP_COUNTERS: [Number<Tcp>; 4] = [
    (Metric::TcpOpened, |it| it.opened),
    (Metric::TcpClosed, |it| it.closed),
    (Metric::TcpSent, |it| it.sent),
    (Metric::TcpReceived, |it| it.received),
];

/// A text of metrics in the making.
#[derive(Debug, Default)]
pub struct Text {
    text: String,
}

impl Text {
    /// Begins a metric of the [catalogue].
    ///
    /// # Panics
    /// In tests: it is not there.
    pub fn metric(&mut self, name: &str) -> &mut Self {
        let entry = catalogue::find(name);
        debug_assert!(entry.is_some(), "{name} is not in the catalogue");
        // Writing to memory does not fail, here and below.
        let _ = entry.map(|Entry { kind, help, .. }| {
            writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {}", kind.name())
        });
        self
    }

    /// One value, with labels.
    pub fn value(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) -> &mut Self {
        let labels = rendered(labels.iter().map(|(key, value)| (*key, *value)));
        self.sample(name, &labels, "", value);
        self
    }

    fn sample(&mut self, name: &str, labels: &str, more: &str, value: impl Display) {
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

    fn requests(&mut self, suffix: &str, family: &Family<Counted>) {
        for (metric, value) in REQUEST_COUNTERS {
            self.counter(&format!("istio{suffix}_{}", metric.name()), &family.of(metric), value);
        }
        for (metric, histogram) in REQUEST_HISTOGRAMS {
            let series = family.of(metric);
            if series.is_empty() {
                continue;
            }
            let name = format!("istio{suffix}_{}", metric.name());
            self.metric(&name);
            for (labels, counted) in series {
                self.histogram(&name, labels, histogram(&counted));
            }
        }
    }

    fn connections(&mut self, family: &Family<Tcp>) {
        for (metric, value) in TCP_COUNTERS {
            self.counter(&format!("istio_{}", metric.name()), &family.of(metric), value);
        }
    }

    fn counter<T: Clone>(&mut self, name: &str, series: &Listed<'_, T>, value: fn(&T) -> u64) {
        if series.is_empty() {
            return;
        }
        self.metric(name);
        for (labels, counted) in series {
            self.sample(name, labels, "", value(counted));
        }
    }

    /// The text.
    pub fn finish(self) -> String {
        self.text
    }
}

/// Series of all cores.
#[derive(Default)]
struct Sums {
    requests: Family<Counted>,
    mirrored: Family<Counted>,
    tcp: Family<Tcp>,
}

impl Sums {
    fn add(&mut self, core: &Metrics) {
        core.requests(|series, counted| {
            // To the receiving side a copy is a request like any other, as in Istio.
            let is_apart = series.is_mirror && series.ends.reporter == Reporter::Source;
            let all = if is_apart { &mut self.mirrored } else { &mut self.requests };
            let metrics = match series.protocol {
                Protocol::Http => HTTP_METRICS,
                Protocol::Grpc(_) => GRPC_METRICS,
            };
            all.add(&request_labels(&series), (metrics, series.custom), counted);
        });
        core.connections(|ends, flags, custom, counted| {
            self.tcp.add(&common_labels(ends, "tcp", flags), (TCP_METRICS, custom), counted);
        });
    }
}

const GRPC_METRICS: &[Metric] = Metric::ALL.split_at(6).0;
const HTTP_METRICS: &[Metric] = Metric::ALL.split_at(4).0;
const TCP_METRICS: &[Metric] = Metric::ALL.split_at(6).1;

/// Series of metrics that are counted together, by their labels as they are written.
#[derive(Default)]
struct Family<T> {
    /// With Istio's labels, which all the metrics have; and which of them they are.
    istios: BTreeMap<String, (&'static [Metric], T)>,
    /// With the labels that users want.
    changed: BTreeMap<Metric, BTreeMap<String, T>>,
}

/// The series of one metric.
type Listed<'s, T> = Vec<(&'s str, Cow<'s, T>)>;

impl<T: Sum> Family<T> {
    /// Adds to the series of `metrics` with these labels, or with those that users want in their place.
    fn add(
        &mut self,
        labels: &[(&'static str, String)],
        (metrics, custom): (&'static [Metric], &Customized),
        counted: &T,
    ) {
        if custom.is_none() {
            let labels = rendered(labels.iter().map(|(name, value)| (*name, value.as_str())));
            let place = self.istios.entry(labels).or_insert_with(|| (metrics, T::default()));
            place.1.add(counted);
            return;
        }
        for metric in metrics {
            if let Some(labels) = custom.labels(*metric, labels) {
                let series = self.changed.entry(*metric).or_default();
                series.entry(rendered(labels.into_iter())).or_default().add(counted);
            }
        }
    }

    fn of(&self, metric: Metric) -> Listed<'_, T> {
        let has_metric = |metrics: &[Metric]| metrics.contains(&metric);
        let istios = self.istios.iter().filter(|(_, (metrics, _))| has_metric(metrics));
        let istios = istios.map(|(labels, (_, counted))| (labels.as_str(), Cow::Borrowed(counted)));
        let Some(changed) = self.changed.get(&metric) else { return istios.collect() };
        let mut all: BTreeMap<&str, Cow<'_, T>> = istios.collect();
        for (labels, counted) in changed {
            match all.get_mut(labels.as_str()) {
                Some(sum) => sum.to_mut().add(counted),
                None => {
                    all.insert(labels, Cow::Borrowed(counted));
                }
            }
        }
        all.into_iter().collect()
    }
}

fn request_labels(series: &Series<'_>) -> Vec<(&'static str, String)> {
    let (protocol, grpc_status) = match series.protocol {
        Protocol::Http => ("http", String::new()),
        Protocol::Grpc(status) => {
            ("grpc", status.map(|status| status.to_string()).unwrap_or_default())
        }
    };
    let mut labels = common_labels(series.ends, protocol, series.flags);
    labels.push(("response_code", series.status.to_string()));
    labels.push(("grpc_response_status", grpc_status));
    labels
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
