//! What Istio's admission would refuse is refused here, too, and what an object shows of itself is said to its author.
//!
//! What depends on other objects stands in the object's status instead: they may come in the same breath, in any order.

use serin_apiserver::{Admission, Operation, Review};

/// The control plane's judgement of single objects.
pub(super) struct Judgement;

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
        let judged = serin_control::review(review.object, old, operation, None);
        match judged.refusal() {
            Some(why) => Err(why),
            None => Ok(judged.warning_texts()),
        }
    }
}
