//! Who a release is, to those who count its traffic, and what someone commands.

use serde_json::Value;
use serin_rollout::statistics::Unit;
use serin_rollout::{Command, Plan, Side, Time};

use crate::json;
use crate::traffic::Subject;

/// The annotation of a VirtualService by which sessions keep their version, and which names what tells them apart.
const COHORT: &str = "serin.dev/cohort";

/// Whose traffic is counted, in a run that began at a time. `route` is the VirtualService, if it is there.
pub(super) fn of(plan: &Plan, began: Time, route: Option<&Value>) -> Subject {
    Subject {
        namespace: plan.namespace.clone(),
        release: plan.name.clone(),
        canary: plan.version(Side::Canary),
        primary: plan.version(Side::Primary),
        began,
        session: sessions(plan, route),
    }
}

/// What the evidence of a plan counts: `session`, or `request` where nothing tells sessions apart; `None` without evidence.
pub(super) fn unit(plan: &Plan, route: Option<&Value>) -> Option<&'static str> {
    plan.evidence.as_ref()?;
    Some(if sessions(plan, route).is_empty() { "request" } else { "session" })
}

/// What tells the sessions of a plan apart.
fn sessions(plan: &Plan, route: Option<&Value>) -> String {
    let Some(evidence) = plan.evidence.as_ref().filter(|it| it.unit == Unit::Session) else {
        return String::new();
    };
    if !evidence.session.is_empty() {
        return evidence.session.clone();
    }
    let annotations = route.map(|route| json::texts(route, "metadata/annotations"));
    annotations.and_then(|mut all| all.remove(COHORT)).unwrap_or_default()
}

/// A command as it is written in the annotation: a word, and perhaps after an `@` whatever tells it from the one before.
pub(super) fn command(text: &str) -> Option<Command> {
    Some(match text.split('@').next().unwrap_or_default().trim() {
        "hold" | "pause" => Command::Hold,
        "resume" => Command::Resume,
        "promote" => Command::Promote,
        "abort" | "rollback" => Command::Abort,
        "restart" | "retry" => Command::Restart,
        _ => return None,
    })
}
