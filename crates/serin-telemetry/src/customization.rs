//! Changes that users make to Istio's metrics: which of them are written, and with which labels (a Telemetry's `metrics.overrides`).
//!
//! Requests are counted the same whatever the changes, which apply when counters are written. Only expressions are looked at as a
//! request is counted: it counts apart from others for which they have other values.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serin_routing::format::Facts;

use crate::destination::{Numbered, UNKNOWN};

/// A metric of Istio's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Metric {
    /// `istio_requests_total`.
    Requests,
    /// `istio_request_duration_milliseconds`.
    Duration,
    /// `istio_request_bytes`.
    RequestBytes,
    /// `istio_response_bytes`.
    ResponseBytes,
    /// `istio_request_messages_total`.
    RequestMessages,
    /// `istio_response_messages_total`.
    ResponseMessages,
    /// `istio_tcp_connections_opened_total`.
    TcpOpened,
    /// `istio_tcp_connections_closed_total`.
    TcpClosed,
    /// `istio_tcp_sent_bytes_total`.
    TcpSent,
    /// `istio_tcp_received_bytes_total`.
    TcpReceived,
}

impl Metric {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Requests,
        Self::Duration,
        Self::RequestBytes,
        Self::ResponseBytes,
        Self::RequestMessages,
        Self::ResponseMessages,
        Self::TcpOpened,
        Self::TcpClosed,
        Self::TcpSent,
        Self::TcpReceived,
    ];

    /// Its name, but for the prefix `istio_`.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Requests => "requests_total",
            Self::Duration => "request_duration_milliseconds",
            Self::RequestBytes => "request_bytes",
            Self::ResponseBytes => "response_bytes",
            Self::RequestMessages => "request_messages_total",
            Self::ResponseMessages => "response_messages_total",
            Self::TcpOpened => "tcp_connections_opened_total",
            Self::TcpClosed => "tcp_connections_closed_total",
            Self::TcpSent => "tcp_sent_bytes_total",
            Self::TcpReceived => "tcp_received_bytes_total",
        }
    }

    /// Whether it is called so, with the prefix or without.
    pub fn has_name(self, name: &str) -> bool {
        name.strip_prefix("istio_").unwrap_or(name) == self.name()
    }
}

/// How the metrics of a workload differ from Istio's.
#[derive(Clone, Debug, Default)]
pub struct Customizations {
    /// Of requests that it sends.
    pub sent: Arc<Customization>,
    /// Of requests that come to it.
    pub received: Arc<Customization>,
}

/// What finds a label's value; `None` if there is none.
pub type Evaluate = Box<dyn Fn(&dyn Facts) -> Option<String> + Send + Sync>;

/// A label's value as an expression, which its text identifies.
pub struct Expression {
    text: String,
    evaluate: Evaluate,
}

impl Expression {
    /// An expression by its text, and what it does.
    pub const fn new(text: String, evaluate: Evaluate) -> Self {
        Self { text, evaluate }
    }
}

impl fmt::Debug for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.text.fmt(f)
    }
}

impl PartialEq for Expression {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Expression {}

impl PartialOrd for Expression {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Expression {
    fn cmp(&self, other: &Self) -> Ordering {
        self.text.cmp(&other.text)
    }
}

/// How one metric differs from Istio's.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Change {
    is_disabled: bool,
    /// Labels by name: without it, or with the value of an expression by its number.
    labels: BTreeMap<String, Option<usize>>,
}

/// How the metrics of a workload differ from Istio's, on one side of its requests.
#[derive(Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Customization {
    changes: BTreeMap<Metric, Change>,
    expressions: Vec<Expression>,
}

impl Customization {
    /// Whether nothing differs.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// Whether there is something to evaluate for each request.
    pub fn has_expressions(&self) -> bool {
        !self.expressions.is_empty()
    }

    /// A metric is not written, or is again.
    pub fn disable(&mut self, metric: Metric, is_disabled: bool) {
        self.changes.entry(metric).or_default().is_disabled = is_disabled;
    }

    /// Metrics do not have a label.
    pub fn remove(&mut self, metrics: &[Metric], label: &str) {
        self.set_label(metrics, label, None);
    }

    /// A label of metrics has the value of an expression, whether or not it is one of Istio's.
    pub fn upsert(&mut self, metrics: &[Metric], label: &str, value: Expression) {
        let known = self.expressions.iter().position(|it| *it == value);
        let number = known.unwrap_or_else(|| {
            self.expressions.push(value);
            self.expressions.len() - 1
        });
        self.set_label(metrics, label, Some(number));
    }

    fn set_label(&mut self, metrics: &[Metric], label: &str, value: Option<usize>) {
        for metric in metrics {
            let labels = &mut self.changes.entry(*metric).or_default().labels;
            labels.insert(label.to_owned(), value);
        }
    }
}

/// A customization with the values that its expressions have for some requests. None of both for most.
#[derive(Clone, Debug, Default)]
pub(crate) struct Customized {
    rules: Arc<Customization>,
    values: Vec<String>,
}

impl Customized {
    /// The values for a request.
    pub(crate) fn new(rules: &Arc<Customization>, facts: &dyn Facts) -> Self {
        let value = |it: &Expression| (it.evaluate)(facts).unwrap_or_else(|| UNKNOWN.to_owned());
        Self { rules: Arc::clone(rules), values: rules.expressions.iter().map(value).collect() }
    }

    /// The same where there have been too many values already.
    pub(crate) fn without_values(&self) -> Self {
        let values = vec![UNKNOWN.to_owned(); self.values.len()];
        Self { rules: Arc::clone(&self.rules), values }
    }

    /// Whether metrics are Istio's.
    pub(crate) fn is_none(&self) -> bool {
        self.rules.is_empty()
    }

    /// The labels that a metric has instead of Istio's; `None` if it is not written.
    pub(crate) fn labels<'l>(
        &'l self,
        metric: Metric,
        istios: &'l [(&'static str, String)],
    ) -> Option<Vec<(&'l str, &'l str)>> {
        let own = istios.iter().map(|(name, value)| (*name, value.as_str()));
        let Some(change) = self.rules.changes.get(&metric) else { return Some(own.collect()) };
        if change.is_disabled {
            return None;
        }
        let value = |number: &usize| self.values.get(*number).map_or(UNKNOWN, String::as_str);
        let kept = own.filter_map(|(name, istios)| match change.labels.get(name) {
            None => Some((name, istios)),
            Some(None) => None,
            Some(Some(number)) => Some((name, value(number))),
        });
        let is_new = |name: &str| istios.iter().all(|(own, _)| *own != name);
        let added = change.labels.iter().filter(|(name, _)| is_new(name));
        let added =
            added.filter_map(|(name, number)| Some((name.as_str(), value(number.as_ref()?))));
        Some(kept.chain(added).collect())
    }
}

impl PartialEq for Customized {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Customized {}

impl PartialOrd for Customized {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Customized {
    fn cmp(&self, other: &Self) -> Ordering {
        let rules = if Arc::ptr_eq(&self.rules, &other.rules) {
            Ordering::Equal
        } else {
            self.rules.cmp(&other.rules)
        };
        rules.then_with(|| self.values.cmp(&other.values))
    }
}

/// The number on one core of a customization with its values; by default there is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct CustomId(u32);

impl Numbered for Customized {
    type Id = CustomId;
}

impl From<u32> for CustomId {
    fn from(number: u32) -> Self {
        Self(number)
    }
}

impl From<CustomId> for u32 {
    fn from(id: CustomId) -> Self {
        id.0
    }
}
