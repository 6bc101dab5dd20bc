//! The status of a Canary: what Flagger's users look for, what Serin's users look for, and the state as a whole.
//!
//! The state is one text, so that an API server keeps every digit of it. Where the CustomResourceDefinition is Flagger's own
//! and fields that it does not know are dropped, the text is kept in an annotation.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use serin_rollout::facts::{Decision, Next};
use serin_rollout::{Phase, Plan, State, Time};

use crate::events::timestamp;
use crate::json;
use crate::workload::COPIED;

/// Where the state is kept if the status cannot hold it.
pub(crate) const ANNOTATION: &str = "serin.dev/state";
/// So many decisions are shown.
const SHOWN: usize = 50;

/// What is stored.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Stored {
    pub(crate) state: State,
    /// The command that was obeyed last and may not have been cleared yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) obeyed: Option<String>,
}

/// What was stored; `target` is the revision of the workload as it is, for releases that another controller began.
pub(crate) fn load(canary: &Value, target: &str, configs: &BTreeMap<String, String>) -> Stored {
    let annotation = json::texts(canary, "metadata/annotations").remove(ANNOTATION);
    let text = match json::text(canary, "status/release/state") {
        "" => annotation,
        text => Some(text.to_owned()),
    };
    let stored = text.and_then(|text| serde_json::from_str::<Stored>(&text).ok());
    stored.unwrap_or_else(|| taken_over(canary, target, configs))
}

/// A release that Flagger has at rest goes on from there, without a release of what is there already. One that it was in the
/// middle of begins again.
fn taken_over(canary: &Value, target: &str, configs: &BTreeMap<String, String>) -> Stored {
    let phase = match json::text(canary, "status/phase") {
        "Initialized" => Phase::Initialized,
        "Succeeded" => Phase::Succeeded,
        "Failed" => Phase::Failed,
        "Waiting" | "Progressing" | "WaitingPromotion" => Phase::Initialized,
        _ => return Stored::default(),
    };
    let is_at_rest =
        matches!(json::text(canary, "status/phase"), "Initialized" | "Succeeded" | "Failed");
    let revision = if is_at_rest { target.to_owned() } else { "taken over".to_owned() };
    let state = State {
        phase,
        last_applied: revision.clone(),
        last_promoted: if phase == Phase::Failed { "taken over".to_owned() } else { revision },
        configs: configs.clone(),
        ..State::default()
    };
    Stored { state, obeyed: None }
}

/// What is worth storing. While there is no release on its way ticks only look, and nobody needs to know how often.
fn worth(stored: &Stored) -> Stored {
    let mut stored = stored.clone();
    if !stored.state.phase.is_running() {
        stored.state.tick = State::default().tick;
    }
    stored
}

/// Whether anything changed.
pub(crate) fn is_other(before: &Stored, after: &Stored) -> bool {
    worth(before) != worth(after)
}

/// Whether something changed that a restart must not forget. Evidence grows with every second and is stored less often.
pub(crate) fn is_news(before: &Stored, after: &Stored) -> bool {
    let bare = |stored: &Stored| {
        let mut stored = worth(stored);
        let state = &mut stored.state;
        (state.evidence, state.exposed) = (None, 0);
        state.tick.answers.clear();
        stored
    };
    bare(before) != bare(after)
}

/// The status as a merge patch over what is there.
pub(crate) fn patch(plan: &Plan, canary: &Value, stored: &Stored, live: Value) -> Value {
    let state = &stored.state;
    let cookie = |name: &str, value: &Option<String>| match value {
        Some(value) if !name.is_empty() => json!(format!("{name}={value}")),
        _ => Value::Null,
    };
    let affinity = plan.affinity.clone().unwrap_or_default();
    let cookies = &state.routes.cookies;
    let mut tracked: BTreeMap<String, Value> =
        state.configs.iter().map(|(key, sum)| (key.clone(), json!(sum))).collect();
    for key in json::texts(canary, "status/trackedConfigs").into_keys() {
        tracked.entry(key).or_insert(Value::Null);
    }
    let since = timestamp(state.since);
    let mut release = live;
    json::set(&mut release, "decisions", decisions(state));
    json::set(&mut release, "state", json!(serde_json::to_string(stored).unwrap_or_default()));
    json!({"status": {
        "phase": state.phase.to_string(),
        "failedChecks": state.failed_checks(),
        "canaryWeight": state.routes.canary,
        "iterations": state.iterations,
        "sessionAffinityCookie": cookie(&affinity.cookie_name, &cookies.canary),
        "previousSessionAffinityCookie": cookie(&affinity.cookie_name, &cookies.expired),
        "primarySessionAffinityCookie": cookie(&affinity.primary_cookie_name, &cookies.primary),
        "trackedConfigs": tracked,
        "lastAppliedSpec": state.last_applied,
        "lastPromotedSpec": state.last_promoted,
        "lastTransitionTime": since,
        "conditions": [condition(plan, state.phase, &since)],
        "release": release,
    }})
}

/// The status of a Canary that cannot go on, as a merge patch.
pub(crate) fn blocked(canary: &Value, why: &str, now: Time) -> Value {
    let at = timestamp(now);
    json!({
        // Nobody has written since it was read.
        "metadata": {"resourceVersion": json::at(canary, "metadata/resourceVersion")},
        "status": {
            "release": {"waitsFor": why},
            "conditions": [{
                "type": "Promoted",
                "status": "Unknown",
                "reason": "Blocked",
                "message": why,
                "lastUpdateTime": at,
                "lastTransitionTime": at,
            }],
        },
    })
}

fn decisions(state: &State) -> Value {
    let skipped = state.history.len().saturating_sub(SHOWN);
    let shown = state.history.iter().skip(skipped);
    shown
        .map(|it| {
            json!(Decision {
                time: timestamp(it.at),
                warning: it.is_warning,
                event: it.event.clone(),
                reason: it.reason.clone(),
            })
        })
        .collect()
}

fn condition(plan: &Plan, phase: Phase, since: &str) -> Value {
    let kind = &plan.kind;
    let (status, message) = match phase {
        Phase::Initialized => ("True", format!("{kind} initialization completed.")),
        Phase::Waiting | Phase::WaitingPromotion => ("Unknown", "Waiting for approval.".to_owned()),
        Phase::Progressing => {
            ("Unknown", "New revision detected, progressing canary analysis.".to_owned())
        }
        Phase::Promoting => {
            ("Unknown", "Canary analysis completed, starting primary rolling update.".to_owned())
        }
        Phase::Finalising => {
            ("Unknown", "Canary analysis completed, routing all traffic to primary.".to_owned())
        }
        Phase::Succeeded => {
            ("True", "Canary analysis completed successfully, promotion finished.".to_owned())
        }
        Phase::Failed => ("False", format!("Canary analysis failed, {kind} scaled to zero.")),
        Phase::Initializing | Phase::Terminating | Phase::Terminated => {
            ("Unknown", format!("New {kind} detected, starting initialization."))
        }
    };
    json!({
        "type": "Promoted",
        "status": status,
        "reason": phase.to_string(),
        "message": message,
        "lastUpdateTime": since,
        "lastTransitionTime": since,
    })
}

/// What the status says live, beside what is stored.
pub(crate) fn live(plan: &Plan, state: &State) -> Value {
    let next = state.outlook(plan);
    let next = Next { what: next.what, at: next.at.map(timestamp) };
    let evidence = state.evidence.as_ref().map(serin_rollout::statistics::Sequential::evidence);
    json!({
        "step": state.position,
        "mirrorWeight": state.routes.mirror,
        "heldByCommand": state.is_held,
        "waitsFor": state.waits_for,
        "exposed": state.exposed,
        "verdict": evidence.as_ref().map(|it| it.verdict),
        "evidence": evidence,
        "startedAt": (state.started != Time::default()).then(|| timestamp(state.started)),
        "next": next,
    })
}

/// The revision that a workload without our mark is taken for.
pub(crate) fn unknown_revision<'s>(state: &'s State, primary: Option<&Value>) -> &'s str {
    let is_marked =
        primary.is_some_and(|it| json::texts(it, "metadata/annotations").contains_key(COPIED));
    if is_marked { "" } else { &state.last_promoted }
}

#[cfg(test)]
mod tests {
    use serin_api::Object;
    use serin_api::delivery::FlaggerCanary;

    use super::*;

    #[test]
    fn each_phase_has_flaggers_condition() {
        let spec =
            json!({"targetRef": {"kind": "DaemonSet", "name": "podinfo"}, "service": {"port": 80}});
        let object = json!({"metadata": {"name": "podinfo", "namespace": "test"}, "spec": spec});
        let plan = Plan::of_flagger(&Object::<FlaggerCanary>::from_value(&object).unwrap());
        let check = |phase: Phase, status: &str, message: &str| {
            let made = condition(&plan, phase, "2026-11-18T11:06:40Z");
            let expect = json!({
                "type": "Promoted", "status": status, "reason": format!("{phase:?}"), "message": message,
                "lastUpdateTime": "2026-11-18T11:06:40Z", "lastTransitionTime": "2026-11-18T11:06:40Z",
            });
            assert_eq!(made, expect);
        };
        let beginning = "New DaemonSet detected, starting initialization.";
        let done = "Canary analysis completed, ";
        check(Phase::Initializing, "Unknown", beginning);
        check(Phase::Initialized, "True", "DaemonSet initialization completed.");
        check(Phase::Waiting, "Unknown", "Waiting for approval.");
        let running = "New revision detected, progressing canary analysis.";
        check(Phase::Progressing, "Unknown", running);
        check(Phase::WaitingPromotion, "Unknown", "Waiting for approval.");
        check(Phase::Promoting, "Unknown", &format!("{done}starting primary rolling update."));
        check(Phase::Finalising, "Unknown", &format!("{done}routing all traffic to primary."));
        let promoted = "Canary analysis completed successfully, promotion finished.";
        check(Phase::Succeeded, "True", promoted);
        check(Phase::Failed, "False", "Canary analysis failed, DaemonSet scaled to zero.");
        check(Phase::Terminating, "Unknown", beginning);
    }

    #[test]
    fn ticks_are_no_news_between_releases() {
        let of = |phase: Phase, number: u64| {
            let mut state = State { phase, ..State::default() };
            state.tick.number = number;
            Stored { state, obeyed: None }
        };
        for phase in [Phase::Initializing, Phase::Initialized, Phase::Succeeded, Phase::Failed] {
            assert!(!is_news(&of(phase, 1), &of(phase, 2)), "{phase}");
            assert!(!is_other(&of(phase, 1), &of(phase, 2)), "{phase}");
        }
        assert!(is_news(&of(Phase::Progressing, 1), &of(Phase::Progressing, 2)));
        assert!(is_news(&of(Phase::Initialized, 1), &of(Phase::Progressing, 1)));
    }
}
