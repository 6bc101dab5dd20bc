//! What Istio's admission would refuse is refused here, too, and what `serin check` finds beyond that is said to the author.

use std::sync::{Arc, OnceLock};

use serin_apiserver::{Admission, Operation, Review};
use serin_control::Control;

/// Asks the control plane's judgement, once there is a control plane.
#[derive(Clone, Default)]
pub(super) struct Judgement {
    control: Arc<OnceLock<Arc<Control>>>,
}

impl Judgement {
    /// Objects are judged among those that this control plane knows, from now on.
    pub(super) fn set_control(&self, control: Arc<Control>) {
        // There is one.
        let _ = self.control.set(control);
    }
}

impl Admission for Judgement {
    fn name(&self) -> &str {
        "validation.istio.io"
    }

    fn validate(&self, review: &Review<'_>) -> Result<Vec<String>, String> {
        let operation = match review.operation {
            Operation::Create => serin_control::Operation::Create,
            Operation::Update => serin_control::Operation::Update,
            Operation::Delete | Operation::Connect => return Ok(Vec::new()),
        };
        if !review.subresource.is_empty() {
            return Ok(Vec::new());
        }
        let old = (!review.old.is_null()).then_some(review.old);
        let snapshot = self.control.get().and_then(|control| control.snapshot());
        let judged = serin_control::review(review.object, old, operation, snapshot.as_ref());
        match judged.refusal() {
            Some(why) => Err(why),
            None => Ok(judged.warning_texts()),
        }
    }
}
