//! Who a release is, to those who count its traffic, and what someone commands.

use serin_rollout::{Command, Plan, routes};

use crate::traffic::{Subject, Version};
use crate::workload;

/// Whose traffic is counted.
pub(super) fn of(plan: &Plan) -> Subject {
    let apex = routes::apex(plan);
    let (canary, primary) = match &plan.versions {
        Some(versions) => {
            let of = |subset: &str| Version {
                workload: String::new(),
                service: apex.to_owned(),
                subset: subset.to_owned(),
            };
            (of(&versions.canary), of(&versions.primary))
        }
        None => {
            let of = |workload: String, side: &str| Version {
                workload,
                service: format!("{apex}-{side}"),
                subset: String::new(),
            };
            (of(plan.target.clone(), "canary"), of(workload::primary_name(&plan.target), "primary"))
        }
    };
    Subject { namespace: plan.namespace.clone(), release: plan.name.clone(), canary, primary }
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
