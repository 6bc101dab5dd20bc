//! What a release knows of itself. It is stored with the object after each step, as a whole.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::observation::{Answer, Question};
use crate::statistics::Sequential;
use crate::time::Time;

/// Where a release is.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
pub enum Phase {
    /// The primary is being made.
    #[default]
    Initializing,
    /// The primary serves; nothing was released yet.
    Initialized,
    /// A new revision waits for approval.
    Waiting,
    /// A new revision is being analysed.
    Progressing,
    /// The analysis is over; the promotion waits for approval.
    WaitingPromotion,
    /// The primary is becoming the new revision.
    Promoting,
    /// The primary has all traffic again; the canary goes.
    Finalising,
    /// The new revision was promoted.
    Succeeded,
    /// The new revision was rolled back, or its promotion failed.
    Failed,
    /// What was made is being undone.
    Terminating,
    /// It is undone.
    Terminated,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl Phase {
    /// Whether a new revision is being analysed.
    pub const fn is_analysed(self) -> bool {
        matches!(self, Self::Progressing | Self::WaitingPromotion)
    }

    /// Whether a release is on its way.
    pub const fn is_running(self) -> bool {
        matches!(
            self,
            Self::Waiting
                | Self::Progressing
                | Self::WaitingPromotion
                | Self::Promoting
                | Self::Finalising
        )
    }
}

/// Where the traffic goes. The primary has what the canary has not, so that weights sum to 100 whatever happens.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Routes {
    /// Percent of the requests (with `match`, of those that match) that go to the canary.
    pub canary: u32,
    /// Percent of the requests that are copied to the canary.
    pub mirror: Option<u32>,
    /// The cookies that keep users with their version.
    pub cookies: Cookies,
}

impl Routes {
    /// Percent of the requests that go to the primary.
    pub const fn primary(&self) -> u32 {
        100 - self.canary
    }
}

/// Values of the cookies that keep users with their version.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Cookies {
    /// Set for the canary's users.
    pub canary: Option<String>,
    /// Set for the primary's users; another at each step, so that each step draws anew.
    pub primary: Option<String>,
    /// A value of the canary's cookie that is to be taken away where it is met.
    pub expired: Option<String>,
}

/// Something that was decided, and why.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Decision {
    /// When.
    pub at: Time,
    /// Whether it is other than all would like.
    pub is_warning: bool,
    /// What, as events say it.
    pub event: String,
    /// Why, in plain words.
    pub reason: String,
}

/// So many decisions are kept.
const HISTORY: usize = 100;

/// What a release knows of itself.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// Where it is.
    pub phase: Phase,
    /// Since when.
    pub since: Time,
    /// Where the traffic shall go.
    pub routes: Routes,
    /// Iterations that were passed: of blue/green and A/B testing, or of mirroring before the steps.
    pub iterations: u32,
    /// Steps that were taken.
    pub position: u32,
    /// Ticks whose checks failed and that are not forgotten.
    pub failures: Vec<u64>,
    /// The revision that was last released or tried.
    pub last_applied: String,
    /// The revision that was last promoted.
    pub last_promoted: String,
    /// Checksums of the configuration that was last released or tried.
    pub configs: BTreeMap<String, String>,
    /// The tick that is next or under way.
    pub tick: Tick,
    /// When this run began.
    pub started: Time,
    /// The number that the cookies of this run come from.
    pub nonce: u64,
    /// When the last step was taken.
    pub stepped: Time,
    /// Whether the hooks before the first traffic have agreed.
    pub is_accepted: bool,
    /// Whether someone wants it to stay where it is.
    pub is_held: bool,
    /// Whether someone wants it promoted without further checks.
    pub is_urged: bool,
    /// Whether it goes back step by step to begin anew with a newer revision.
    pub is_restarting: bool,
    /// Why the primary is to be restored before traffic goes back to it.
    pub undo: Option<String>,
    /// When the canary's pods may go.
    pub scale_down: Option<Time>,
    /// Since when the primary has been ready for all traffic.
    pub warm_since: Option<Time>,
    /// Since when the last step has waited for evidence.
    pub undecided_since: Option<Time>,
    /// Requests that reached the canary in this run.
    pub exposed: u64,
    /// What it waits for, so that it is told once.
    pub waits_for: Option<String>,
    /// The evidence of this run.
    pub evidence: Option<Sequential>,
    /// The last decisions, oldest first.
    pub history: Vec<Decision>,
}

/// A tick: one check and one step.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Tick {
    /// Its number.
    pub number: u64,
    /// When it is due.
    pub due: Time,
    /// The answers to its questions so far.
    pub answers: Vec<(Question, Answer)>,
}

impl State {
    /// Failed checks that count.
    pub fn failed_checks(&self) -> u32 {
        u32::try_from(self.failures.len()).unwrap_or(u32::MAX)
    }

    /// Remembers a decision.
    pub(crate) fn remember(&mut self, decision: Decision) {
        if self.history.len() >= HISTORY {
            self.history.remove(0);
        }
        self.history.push(decision);
    }
}
