//! What a release does next, for those who watch it.

use super::advance::{Move, next_move};
use crate::plan::Plan;
use crate::state::{Phase, State};
use crate::time::Time;

/// What happens next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outlook {
    /// What, in a few words.
    pub what: String,
    /// When, if that depends on nobody.
    pub at: Option<Time>,
}

impl State {
    /// What the next tick does if all its checks pass.
    pub fn outlook(&self, plan: &Plan) -> Outlook {
        let what = self.next_in_words(plan);
        let stays = self.is_held || plan.is_held;
        match self.phase {
            _ if plan.is_suspended => {
                Outlook { what: "nothing, while spec.suspend is set".to_owned(), at: None }
            }
            // A promotion that has begun is not held up.
            phase if stays && (phase.is_analysed() || phase == Phase::Waiting) => {
                Outlook { what: format!("{what}, once it is resumed"), at: None }
            }
            Phase::Waiting => Outlook { what, at: None },
            phase => Outlook { what, at: phase.is_running().then_some(self.tick.due) },
        }
    }

    fn next_in_words(&self, plan: &Plan) -> String {
        let moves = match self.phase {
            Phase::Initializing => "the primary is made ready",
            Phase::Waiting => "the analysis begins, once it is approved",
            Phase::Progressing | Phase::WaitingPromotion => {
                return match next_move(plan, self) {
                    Move::Mirror => "requests are mirrored to the new version".to_owned(),
                    Move::Weight(weight) => format!("the new version gets {weight} %"),
                    Move::Iterate(_) => {
                        format!("iteration {} of {}", self.iterations + 1, plan.iterations)
                    }
                    Move::RouteAll => "the new version gets all traffic".to_owned(),
                    Move::Promote => "the new version is promoted".to_owned(),
                };
            }
            Phase::Promoting => "traffic goes back to the primary once it is ready",
            Phase::Finalising => "the new version's pods are taken away",
            _ => "nothing, until the workload changes",
        };
        moves.to_owned()
    }
}
