//! What a Canary's status says, in the form in which it is shown. As JSON it is a contract for scripts.

use kube::api::DynamicObject;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serin_rollout::statistics::Evidence;

/// A release.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Facts {
    pub(crate) name: String,
    pub(crate) namespace: String,
    pub(crate) api_version: String,
    pub(crate) target: String,
    pub(crate) phase: String,
    pub(crate) since: Option<String>,
    pub(crate) step: u64,
    pub(crate) weights: Weights,
    pub(crate) iterations: u64,
    pub(crate) failed_checks: u64,
    pub(crate) threshold: u64,
    pub(crate) held: bool,
    pub(crate) suspended: bool,
    pub(crate) waits_for: Option<String>,
    pub(crate) started_at: Option<String>,
    pub(crate) next: Option<Next>,
    pub(crate) verdict: Option<String>,
    pub(crate) evidence: Option<Evidence>,
    pub(crate) lately: Option<Lately>,
    pub(crate) decisions: Vec<Decision>,
}

/// Percent of the traffic.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Weights {
    pub(crate) primary: u64,
    pub(crate) canary: u64,
    pub(crate) mirror: Option<u64>,
}

/// What happens next if all checks pass.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Next {
    pub(crate) what: String,
    pub(crate) at: String,
}

/// What both versions did in the last seconds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Lately {
    pub(crate) seconds: u64,
    pub(crate) canary: Arm,
    pub(crate) primary: Arm,
}

/// What a version did.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Arm {
    pub(crate) requests_per_second: f64,
    pub(crate) requests: u64,
    pub(crate) failures: u64,
    /// Milliseconds.
    pub(crate) p50: Option<f64>,
    pub(crate) p99: Option<f64>,
}

/// Something that was decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Decision {
    pub(crate) time: String,
    pub(crate) warning: bool,
    pub(crate) event: String,
    pub(crate) reason: String,
}

impl Facts {
    /// What an object says. What a controller has not written yet is at its beginning.
    pub(super) fn of((group, version): (&str, &str), object: &DynamicObject) -> Self {
        let at = |path: &str| object.data.pointer(path).unwrap_or(&Value::Null);
        let number = |path: &str| at(path).as_u64().unwrap_or(0);
        let text = |path: &str| at(path).as_str().map(str::to_owned);
        let flag = |path: &str| at(path).as_bool().unwrap_or(false);
        let canary = number("/status/canaryWeight");
        let kind = text("/spec/targetRef/kind").unwrap_or_else(|| "Deployment".to_owned());
        Self {
            name: object.metadata.name.clone().unwrap_or_default(),
            namespace: object.metadata.namespace.clone().unwrap_or_default(),
            api_version: format!("{group}/{version}"),
            target: format!("{kind}/{}", text("/spec/targetRef/name").unwrap_or_default()),
            phase: text("/status/phase").unwrap_or_else(|| "Initializing".to_owned()),
            since: text("/status/lastTransitionTime"),
            step: number("/status/release/step"),
            weights: Weights {
                primary: 100_u64.saturating_sub(canary),
                canary,
                mirror: at("/status/release/mirrorWeight").as_u64(),
            },
            iterations: number("/status/iterations"),
            failed_checks: number("/status/failedChecks"),
            threshold: number("/spec/analysis/threshold").max(1),
            held: flag("/status/release/heldByCommand") || flag("/spec/hold"),
            suspended: flag("/spec/suspend"),
            waits_for: text("/status/release/waitsFor"),
            started_at: text("/status/release/startedAt"),
            next: read(at("/status/release/next")),
            verdict: text("/status/release/verdict"),
            evidence: read(at("/status/release/evidence")),
            lately: read(at("/status/release/lately")),
            decisions: read(at("/status/release/decisions")).unwrap_or_default(),
        }
    }

    /// Whether a release is on its way.
    pub(crate) fn is_running(&self) -> bool {
        matches!(
            self.phase.as_str(),
            "Waiting" | "Progressing" | "WaitingPromotion" | "Promoting" | "Finalising"
        )
    }
}

fn read<T: for<'de> Deserialize<'de>>(value: &Value) -> Option<T> {
    T::deserialize(value).ok()
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::json;

    use super::*;

    /// A release in the middle of its way.
    pub(in super::super) fn example() -> Facts {
        let object = json!({
            "apiVersion": "serin.dev/v1alpha1", "kind": "Canary",
            "metadata": {"name": "reviews", "namespace": "shop"},
            "spec": {"targetRef": {"kind": "Deployment", "name": "reviews"}, "analysis": {"threshold": 5}},
            "status": {
                "phase": "Progressing", "canaryWeight": 20, "failedChecks": 1, "iterations": 0,
                "lastTransitionTime": "2026-11-21T10:00:00Z",
                "release": {
                    "step": 2, "verdict": "inconclusive", "waitsFor": null,
                    "next": {"what": "the new version gets 40 %", "at": "2026-11-21T10:02:30Z"},
                    "evidence": {
                        "verdict": "inconclusive", "logE": 0.42, "peakLogE": 0.9, "threshold": 4.605, "pValue": 0.4,
                        "tests": [{"name": "errors", "logE": 0.8, "weight": 0.5}, {"name": "latency", "logE": -0.2, "weight": 0.5}],
                        "gate": {"ratio": 2.0, "logE": 1.2, "threshold": 2.996},
                        "canary": {"units": 1204, "errors": 2, "low": 0.0002, "high": 0.0089},
                        "primary": {"units": 4816, "errors": 5, "low": 0.0003, "high": 0.0041},
                        "outlook": ["3 more errors of the canary in a row, with none of the primary, would abort"],
                    },
                    "lately": {
                        "seconds": 60,
                        "canary": {"requestsPerSecond": 20.1, "requests": 1204, "failures": 2, "p50": 12.0, "p99": 80.5},
                        "primary": {"requestsPerSecond": 80.3, "requests": 4816, "failures": 5, "p50": 11.0, "p99": 71.2},
                    },
                    "decisions": [
                        {"time": "2026-11-21T10:00:00Z", "warning": false, "event": "New revision detected! Scaling up reviews.shop",
                         "reason": "the workload or its configuration changed"},
                        {"time": "2026-11-21T10:01:30Z", "warning": true, "event": "Halt reviews.shop advancement success rate 98.00% < 99%",
                         "reason": "failed check 1 of 5, at which the release is rolled back"},
                    ],
                },
            },
        });
        Facts::of(("serin.dev", "v1alpha1"), &serde_json::from_value(object).unwrap())
    }

    #[test]
    fn scripts_find_what_they_are_promised() {
        let shown = serde_json::to_value(example()).unwrap();
        for (path, expect) in [
            ("/phase", json!("Progressing")),
            ("/step", json!(2)),
            ("/weights", json!({"primary": 80, "canary": 20, "mirror": null})),
            ("/failedChecks", json!(1)),
            ("/verdict", json!("inconclusive")),
            ("/evidence/threshold", json!(4.605)),
            ("/evidence/tests/0/logE", json!(0.8)),
            (
                "/decisions/1/reason",
                json!("failed check 1 of 5, at which the release is rolled back"),
            ),
        ] {
            assert_eq!(shown.pointer(path), Some(&expect), "{path}");
        }
    }

    #[test]
    fn a_canary_without_a_status_is_at_its_beginning() {
        let object = json!({"apiVersion": "flagger.app/v1beta1", "kind": "Canary", "metadata": {"name": "a"}, "spec": {}});
        let facts = Facts::of(("flagger.app", "v1beta1"), &serde_json::from_value(object).unwrap());
        assert_eq!(
            (facts.phase.as_str(), facts.weights.primary, facts.decisions.len()),
            ("Initializing", 100, 0)
        );
    }
}
