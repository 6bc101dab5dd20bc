//! What the object of a Canary says of its release, in the form in which people and scripts see it. As JSON it is a contract.
//!
//! It relies on the object alone; whoever reads a Canary, from whichever API, reads it here.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::state::Phase;
use crate::statistics::Evidence;

/// The annotation by which someone commands a release.
pub const COMMAND: &str = "serin.dev/command";

/// A release.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Facts {
    /// Name of the Canary.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// Its group and version.
    pub api_version: String,
    /// Kind and name of the workload.
    pub target: String,
    /// Where it is.
    pub phase: Phase,
    /// Since when.
    pub since: Option<String>,
    /// Steps that were taken.
    pub step: u64,
    /// Who has the traffic.
    pub weights: Weights,
    /// Iterations that were passed.
    pub iterations: u64,
    /// Checks that failed and are not forgotten.
    pub failed_checks: u64,
    /// So many failed checks bring the rollback.
    pub threshold: u64,
    /// Whether someone wants it to stay where it is.
    pub held: bool,
    /// Whether nothing at all is done.
    pub suspended: bool,
    /// A command that is not obeyed yet.
    pub command: Option<String>,
    /// What it waits for.
    pub waits_for: Option<String>,
    /// When this run began.
    pub started_at: Option<String>,
    /// What happens next if all checks pass.
    pub next: Option<Next>,
    /// The verdict by evidence.
    pub verdict: Option<String>,
    /// The evidence of this run.
    pub evidence: Option<Evidence>,
    /// What the evidence counts: `session` or `request`.
    pub unit: Option<String>,
    /// What both versions did lately.
    pub lately: Option<Lately>,
    /// The last decisions, oldest first.
    pub decisions: Vec<Decision>,
}

/// Percent of the traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Weights {
    /// What the version has that users have.
    pub primary: u64,
    /// What the new one has.
    pub canary: u64,
    /// What is copied to the new one.
    pub mirror: Option<u64>,
}

impl Default for Weights {
    fn default() -> Self {
        Self { primary: 100, canary: 0, mirror: None }
    }
}

/// What happens next if all checks pass.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Next {
    /// What.
    pub what: String,
    /// When; absent while that depends on someone.
    pub at: Option<String>,
}

/// What both versions did in the last seconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Lately {
    /// How many seconds.
    pub seconds: u64,
    /// The new version.
    pub canary: Arm,
    /// The one that users have.
    pub primary: Arm,
}

/// What a version did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Arm {
    /// Requests a second.
    pub requests_per_second: f64,
    /// Requests.
    pub requests: u64,
    /// Those that failed.
    pub failures: u64,
    /// Median of the latency in milliseconds.
    pub p50: Option<f64>,
    /// Its 99th percentile.
    pub p99: Option<f64>,
}

/// Something that was decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// When.
    pub time: String,
    /// Whether it is other than all would like.
    pub warning: bool,
    /// What.
    pub event: String,
    /// Why.
    pub reason: String,
}

impl Facts {
    /// What an object of this group and version says. What a controller has not written yet is at its beginning.
    pub fn of(api_version: &str, object: &Value) -> Self {
        let at = |path: &str| object.pointer(path).unwrap_or(&Value::Null);
        let number = |path: &str| at(path).as_u64().unwrap_or(0);
        let text = |path: &str| at(path).as_str().map(str::to_owned);
        let flag = |path: &str| at(path).as_bool().unwrap_or(false);
        let canary = number("/status/canaryWeight");
        let kind = text("/spec/targetRef/kind").unwrap_or_else(|| "Deployment".to_owned());
        let annotations = at("/metadata/annotations");
        Self {
            name: text("/metadata/name").unwrap_or_default(),
            namespace: text("/metadata/namespace").unwrap_or_default(),
            api_version: api_version.to_owned(),
            target: format!("{kind}/{}", text("/spec/targetRef/name").unwrap_or_default()),
            phase: read(at("/status/phase")).unwrap_or_default(),
            since: text("/status/lastTransitionTime"),
            step: number("/status/release/step"),
            weights: Weights {
                primary: 100_u64.saturating_sub(canary),
                canary,
                mirror: at("/status/release/mirrorWeight").as_u64(),
            },
            iterations: number("/status/iterations"),
            failed_checks: number("/status/failedChecks"),
            threshold: ["analysis", "canaryAnalysis"]
                .map(|it| number(&format!("/spec/{it}/threshold")))
                .into_iter()
                .find(|it| *it > 0)
                .unwrap_or(1),
            held: flag("/status/release/heldByCommand") || flag("/spec/hold"),
            suspended: flag("/spec/suspend"),
            command: annotations.get(COMMAND).and_then(Value::as_str).map(str::to_owned),
            waits_for: text("/status/release/waitsFor"),
            started_at: text("/status/release/startedAt"),
            next: read(at("/status/release/next")),
            verdict: text("/status/release/verdict"),
            evidence: read(at("/status/release/evidence")),
            unit: text("/status/release/unit"),
            lately: read(at("/status/release/lately")),
            decisions: read(at("/status/release/decisions")).unwrap_or_default(),
        }
    }

    /// Whether a release is on its way.
    pub const fn is_running(&self) -> bool {
        self.phase.is_running()
    }

    /// Why it is as it is: the last decision with a reason that all would like otherwise, or else the last one.
    pub fn why(&self) -> Option<&Decision> {
        let warning = self.decisions.iter().rev().find(|it| it.warning && !it.reason.is_empty());
        warning.or_else(|| self.decisions.last())
    }
}

fn read<T: for<'de> Deserialize<'de>>(value: &Value) -> Option<T> {
    T::deserialize(value).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn scripts_find_what_they_are_promised() {
        let object = json!({
            "metadata": {"name": "reviews", "namespace": "shop", "annotations": {COMMAND: "abort@1"}},
            "spec": {"targetRef": {"name": "reviews"}, "analysis": {"threshold": 5}},
            "status": {
                "phase": "Progressing", "canaryWeight": 20, "failedChecks": 1,
                "release": {
                    "step": 2, "verdict": "inconclusive",
                    "next": {"what": "the new version gets 40 %", "at": "2026-11-21T10:02:30Z"},
                    "evidence": {
                        "verdict": "inconclusive", "logE": 0.42, "peakLogE": 0.9, "threshold": 4.605, "pValue": 0.4,
                        "tests": [{"name": "errors", "logE": 0.8, "weight": 0.5}],
                        "gate": {"ratio": 2.0, "logE": 1.2, "threshold": 2.996},
                        "canary": {"units": 1204, "errors": 2, "low": 0.0002, "high": 0.0089},
                        "primary": {"units": 4816, "errors": 5, "low": 0.0003, "high": 0.0041},
                        "outlook": [],
                    },
                    "decisions": [{"time": "2026-11-21T10:01:30Z", "warning": true, "event": "Halt", "reason": "a check failed"}],
                },
            },
        });
        let shown = serde_json::to_value(Facts::of("serin.dev/v1alpha1", &object)).unwrap();
        for (path, expect) in [
            ("/apiVersion", json!("serin.dev/v1alpha1")),
            ("/target", json!("Deployment/reviews")),
            ("/phase", json!("Progressing")),
            ("/step", json!(2)),
            ("/weights", json!({"primary": 80, "canary": 20, "mirror": null})),
            ("/failedChecks", json!(1)),
            ("/command", json!("abort@1")),
            ("/verdict", json!("inconclusive")),
            ("/next/at", json!("2026-11-21T10:02:30Z")),
            ("/evidence/threshold", json!(4.605)),
            ("/evidence/tests/0/logE", json!(0.8)),
            ("/decisions/0/reason", json!("a check failed")),
        ] {
            assert_eq!(shown.pointer(path), Some(&expect), "{path}");
        }
    }

    #[test]
    fn a_canary_without_a_status_is_at_its_beginning() {
        let facts =
            Facts::of("flagger.app/v1beta1", &json!({"metadata": {"name": "a"}, "spec": {}}));
        assert_eq!(
            (facts.phase, facts.weights, facts.threshold),
            (Phase::Initializing, Weights::default(), 1)
        );
    }
}
