//! Events of a Canary, as `kubectl describe` shows them.

use serde_json::{Value, json};
use serin_rollout::{Decision, Time};

use crate::json;

/// The reason of every event, as Flagger's.
const REASON: &str = "Synced";

/// A time as Kubernetes writes it.
pub(crate) fn timestamp(time: Time) -> String {
    let whole = time.0.div_euclid(1000);
    jiff::Timestamp::from_second(whole).map_or_else(|_| String::new(), |it| it.to_string())
}

/// The event of a decision. Its name tells when and what, so that a decision is recorded once.
pub(crate) fn of(canary: &Value, decision: &Decision) -> Value {
    let (name, namespace) = (json::name(canary), json::namespace(canary));
    let at = timestamp(decision.at);
    let what = json::hash(&json!([decision.event, decision.at.0]));
    json!({
        "metadata": {"name": format!("{name}.{:x}{what}", decision.at.0), "namespace": namespace},
        "involvedObject": {
            "apiVersion": json::text(canary, "apiVersion"),
            "kind": "Canary",
            "name": name,
            "namespace": namespace,
            "uid": json::text(canary, "metadata/uid"),
            "resourceVersion": json::text(canary, "metadata/resourceVersion"),
        },
        "type": if decision.is_warning { "Warning" } else { "Normal" },
        "reason": REASON,
        "message": decision.event,
        "source": {"component": "serin"},
        "reportingComponent": "serin",
        "firstTimestamp": at,
        "lastTimestamp": at,
        "count": 1,
    })
}
