//! Traffic from Istio's metrics in a Prometheus, for clusters whose proxies do not report themselves.
//!
//! It is as late as Prometheus' scrapes are, and knows requests only, not sessions. Asking takes its time beside the
//! releases' turns: a turn takes what has come since.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use serde_json::Value;
use serin_rollout::Version;
use tokio::task::JoinHandle;

use super::{Look, Sample, Subject, Totals, Traffic};
use crate::http::Caller;
use crate::json;
use crate::metrics::Server;
use crate::settings::Settings;

/// Prometheus is asked this often.
const EVERY: Duration = Duration::from_secs(5);

/// Traffic from a Prometheus.
pub struct PrometheusTraffic {
    caller: Caller,
    server: Server,
    subjects: Mutex<BTreeMap<Subject, Asked>>,
}

#[derive(Default)]
struct Asked {
    at: Option<Instant>,
    answer: Option<JoinHandle<Result<Look, String>>>,
    last: Option<Look>,
}

impl PrometheusTraffic {
    /// The Prometheus at an address, reached as the settings say.
    pub fn new(address: &str, settings: &Settings) -> Self {
        Self {
            caller: Caller::new(settings.dial.clone(), settings.trust.clone()),
            server: Server::at(address),
            subjects: Mutex::default(),
        }
    }

    /// What has come since the question before; asks again if it is time.
    async fn turn(&self, subject: &Subject) -> Result<Sample, String> {
        let mut asked = {
            let mut all = self.subjects.lock().unwrap_or_else(PoisonError::into_inner);
            let known = all.remove(subject).unwrap_or_default();
            all.retain(|it, _| !it.is_of(&subject.namespace, &subject.release));
            known
        };
        let mut sample = Ok(Sample::default());
        if asked.answer.as_ref().is_some_and(JoinHandle::is_finished)
            && let Some(answer) = asked.answer.take()
        {
            match answer.await {
                Ok(Ok(look)) => {
                    sample = Ok(asked
                        .last
                        .as_ref()
                        .map_or_else(Sample::default, |last| look.since(last)));
                    asked.last = Some(look);
                }
                Ok(Err(why)) => sample = Err(why),
                Err(error) => sample = Err(error.to_string()),
            }
        }
        if asked.answer.is_none() && asked.at.is_none_or(|at| at.elapsed() >= EVERY) {
            asked.at = Some(Instant::now());
            let (caller, server, subject) =
                (self.caller.clone(), self.server.clone(), subject.clone());
            asked.answer =
                Some(tokio::spawn(async move { look(&caller, &server, &subject).await }));
        }
        let mut all = self.subjects.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(subject.clone(), asked);
        sample
    }
}

impl Traffic for PrometheusTraffic {
    fn take<'a>(&'a self, subject: &'a Subject) -> BoxFuture<'a, Result<Sample, String>> {
        Box::pin(self.turn(subject))
    }

    fn forget(&self, namespace: &str, release: &str) {
        let mut all = self.subjects.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|it, _| !it.is_of(namespace, release));
    }
}

/// Looks at both versions' counters.
async fn look(caller: &Caller, server: &Server, subject: &Subject) -> Result<Look, String> {
    let (label, selector) = selector(subject);
    let counted =
        format!("sum by (reporter, {label}, response_code) (istio_requests_total{{{selector}}})");
    let timed = format!(
        "sum by (reporter, {label}, le) (istio_request_duration_milliseconds_bucket{{{selector}}})"
    );
    let counted = server.ask(caller, &counted).await?;
    let timed = server.ask(caller, &timed).await?;
    let of = |version: &Version| totals(&counted, &timed, label, name(version));
    Ok(Look { canary: of(&subject.canary), primary: of(&subject.primary) })
}

/// The name by which metrics know a version.
fn name(version: &Version) -> &str {
    let names = [&version.subset, &version.workload, &version.service];
    names.into_iter().find(|it| !it.is_empty()).map_or("", String::as_str)
}

/// The label that tells the versions apart, and what selects both. Subsets are known by the label `version` of their pods.
fn selector(subject: &Subject) -> (&'static str, String) {
    let Subject { namespace, canary, primary, .. } = subject;
    let names = format!("{}|{}", name(canary), name(primary));
    if canary.subset.is_empty() && canary.workload.is_empty() {
        let text = format!(
            "destination_service_namespace=\"{namespace}\", destination_service_name=~\"{names}\""
        );
        return ("destination_service_name", text);
    }
    if canary.subset.is_empty() {
        let text = format!(
            "destination_workload_namespace=\"{namespace}\", destination_workload=~\"{names}\""
        );
        return ("destination_workload", text);
    }
    let service = &canary.service;
    let text = format!(
        "destination_service_namespace=\"{namespace}\", destination_service_name=\"{service}\", destination_version=~\"{names}\""
    );
    ("destination_version", text)
}

/// The counters of a version: as its callers report them, or else as it reports itself.
fn totals(counted: &Value, timed: &Value, label: &str, version: &str) -> Totals {
    let of = |answer: &Value, reporter: &str| -> Vec<(Value, u64)> {
        let series = json::items(answer, "data/result").iter().filter(|it| {
            json::text(it, &format!("metric/{label}")) == version
                && json::text(it, "metric/reporter") == reporter
        });
        series
            .filter_map(|it| {
                let value = json::items(it, "value").get(1)?.as_str()?.parse::<f64>().ok()?;
                Some((json::at(it, "metric").clone(), value as u64))
            })
            .collect()
    };
    let source = of(counted, "source");
    let reporter = if source.is_empty() { "destination" } else { "source" };
    let mut totals = Totals::default();
    for (metric, count) in of(counted, reporter) {
        let code = json::text(&metric, "response_code");
        totals.requests += count;
        // A request that never got an answer has the code 0.
        totals.failures += if code.starts_with('5') || code == "0" { count } else { 0 };
    }
    for (metric, count) in of(timed, reporter) {
        let limit = json::text(&metric, "le").replace("+Inf", "inf").parse::<f64>();
        totals.buckets.extend(limit.ok().map(|limit| (limit, count)));
    }
    totals.buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
    totals
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn callers_are_believed_before_the_workload_itself() {
        let series = |reporter: &str, code: &str, value: &str| json!({"metric": {"reporter": reporter, "destination_workload": "podinfo", "response_code": code}, "value": [0, value]});
        let bucket = |limit: &str, value: &str| json!({"metric": {"reporter": "source", "destination_workload": "podinfo", "le": limit}, "value": [0, value]});
        let counted = json!({"data": {"result": [
            series("source", "200", "90"), series("source", "503", "7"), series("source", "0", "3"),
            series("destination", "200", "90"),
        ]}});
        let timed = json!({"data": {"result": [bucket("+Inf", "100"), bucket("25", "80")]}});
        let totals = totals(&counted, &timed, "destination_workload", "podinfo");
        assert_eq!((totals.requests, totals.failures), (100, 10));
        assert_eq!(totals.buckets, [(25.0, 80), (f64::INFINITY, 100)]);
    }
}
