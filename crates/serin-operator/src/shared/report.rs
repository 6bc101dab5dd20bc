//! The controller's own metrics, under Flagger's names.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use serin_rollout::plan::Strategy;
use serin_rollout::{Answer, Phase, Plan, State, Time};
use serin_telemetry::exposition::Text;

use crate::cluster::Cluster;
use crate::json;
use crate::kind::Kind;

/// The limits of the histogram of durations, in seconds, as Prometheus' clients have them.
const LIMITS: [f64; 11] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

#[derive(Default)]
struct Numbers {
    /// By name and namespace.
    status: BTreeMap<(String, String), u8>,
    /// By workload and namespace, with the release that it belongs to.
    weights: BTreeMap<(String, String), (String, u32)>,
    /// By name, namespace and metric.
    values: BTreeMap<(String, String, String), f64>,
    durations: BTreeMap<(String, String), Durations>,
    /// By name, namespace, strategy and how it was analysed: successes and failures.
    ends: BTreeMap<[String; 4], [u64; 2]>,
}

#[derive(Default)]
struct Durations {
    buckets: [u64; LIMITS.len()],
    count: u64,
    sum: f64,
}

/// What happened to releases, in numbers.
#[derive(Default)]
pub(crate) struct Report(Mutex<Numbers>);

impl Report {
    /// A release went from one state to another.
    pub(crate) fn note(&self, plan: &Plan, before: &State, after: &State, now: Time) {
        let mut numbers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (plan.name.clone(), plan.namespace.clone());
        let status = match after.phase {
            Phase::Initialized | Phase::Succeeded => 1,
            Phase::Failed => 2,
            _ => 0,
        };
        numbers.status.insert(key.clone(), status);
        let primary = crate::workload::primary_name(&plan.target);
        for (workload, weight) in
            [(plan.target.clone(), after.routes.canary), (primary, after.routes.primary())]
        {
            numbers.weights.insert((workload, plan.namespace.clone()), (plan.name.clone(), weight));
        }
        let is_end =
            before.phase != after.phase && matches!(after.phase, Phase::Succeeded | Phase::Failed);
        if is_end && before.phase.is_running() {
            let strategy = match plan.strategy {
                Strategy::Weighted { .. } => "canary",
                Strategy::AbTesting => "ab-testing",
                Strategy::BlueGreen => "blue-green",
            };
            let analysis = if plan.skips_analysis { "skipped" } else { "completed" };
            let end = [
                plan.name.clone(),
                plan.namespace.clone(),
                strategy.to_owned(),
                analysis.to_owned(),
            ];
            numbers.ends.entry(end).or_default()[usize::from(after.phase == Phase::Failed)] += 1;
            let seconds = now.since(after.started).0 as f64 / 1000.0;
            let durations = numbers.durations.entry(key).or_default();
            durations.count += 1;
            durations.sum += seconds;
            for (limit, bucket) in LIMITS.iter().zip(&mut durations.buckets) {
                *bucket += u64::from(seconds <= *limit);
            }
        }
    }

    /// A metric was asked for.
    pub(crate) fn note_metric(&self, plan: &Plan, metric: &str, answer: &Answer) {
        if let Answer::Value(value) = answer {
            let key = (plan.name.clone(), plan.namespace.clone(), metric.to_owned());
            self.0.lock().unwrap_or_else(PoisonError::into_inner).values.insert(key, *value);
        }
    }

    pub(crate) fn leave(&self, namespace: &str, name: &str) {
        let mut numbers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        numbers.status.remove(&(name.to_owned(), namespace.to_owned()));
        numbers.weights.retain(|(_, space), (release, _)| space != namespace || release != name);
        numbers.values.retain(|(release, space, _), _| space != namespace || release != name);
    }

    /// Everything in Prometheus' text format.
    pub(crate) fn render(&self, cluster: &Cluster) -> String {
        let numbers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut out = Text::default();
        out.metric("flagger_info");
        let version = env!("CARGO_PKG_VERSION");
        out.value("flagger_info", &[("version", version), ("mesh_provider", "istio")], 1.0);
        let mut totals: BTreeMap<String, u32> = BTreeMap::new();
        for canary in
            [Kind::Canary, Kind::FlaggerCanary].into_iter().flat_map(|kind| cluster.all(kind))
        {
            *totals.entry(json::namespace(&canary).to_owned()).or_default() += 1;
        }
        out.metric("flagger_canary_total");
        for (namespace, total) in totals {
            out.value("flagger_canary_total", &[("namespace", &namespace)], f64::from(total));
        }
        out.metric("flagger_canary_status");
        for ((name, namespace), status) in &numbers.status {
            out.value(
                "flagger_canary_status",
                &[("name", name), ("namespace", namespace)],
                f64::from(*status),
            );
        }
        out.metric("flagger_canary_weight");
        for ((workload, namespace), (_, weight)) in &numbers.weights {
            let labels = [("workload", workload.as_str()), ("namespace", namespace)];
            out.value("flagger_canary_weight", &labels, f64::from(*weight));
        }
        out.metric("flagger_canary_metric_analysis");
        for ((name, namespace, metric), value) in &numbers.values {
            let labels = [("name", name.as_str()), ("namespace", namespace), ("metric", metric)];
            out.value("flagger_canary_metric_analysis", &labels, *value);
        }
        durations(&mut out, &numbers.durations);
        for (index, family) in ["flagger_canary_successes_total", "flagger_canary_failures_total"]
            .into_iter()
            .enumerate()
        {
            out.metric(family);
            for ([name, namespace, strategy, analysis], counts) in &numbers.ends {
                if counts[index] > 0 {
                    let labels = [
                        ("name", name.as_str()),
                        ("namespace", namespace),
                        ("deployment_strategy", strategy),
                        ("analysis_status", analysis),
                    ];
                    out.value(family, &labels, counts[index] as f64);
                }
            }
        }
        out.finish()
    }
}

/// How long releases took.
fn durations(out: &mut Text, all: &BTreeMap<(String, String), Durations>) {
    const NAME: &str = "flagger_canary_duration_seconds";
    out.metric(NAME);
    for ((name, namespace), durations) in all {
        let labels = [("name", name.as_str()), ("namespace", namespace.as_str())];
        for (limit, count) in LIMITS.iter().zip(durations.buckets) {
            let limit = limit.to_string();
            let labels = [labels[0], labels[1], ("le", &limit)];
            out.value(&format!("{NAME}_bucket"), &labels, count as f64);
        }
        let all = [labels[0], labels[1], ("le", "+Inf")];
        out.value(&format!("{NAME}_bucket"), &all, durations.count as f64);
        out.value(&format!("{NAME}_sum"), &labels, durations.sum);
        out.value(&format!("{NAME}_count"), &labels, durations.count as f64);
    }
}
