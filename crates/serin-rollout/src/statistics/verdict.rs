//! The verdict: all tests of a release together, and what they say: go on, abort, or not enough evidence.
//!
//! The tests that a plan calls for share one budget. Their evidence is averaged, which is evidence again and loses less
//! than a threshold for each. Copies and users are different requests, so what they show of the same matter multiplies. What
//! the canary may be aborted for is one number that is compared with 1/α.

use serde::{Deserialize, Serialize};

use super::error_rate::{Counts, RelativeRisk};
use super::guard::Ceiling;
use super::latency::{COLD, Histogram, SlowEvents};
use super::paired::Paired;
use super::sequences;
use super::sessions::{Ledger, Session};
use super::special::log_weighted_mean;

mod evidence;

pub use evidence::{ArmEvidence, Evidence, GateEvidence, TestEvidence, TestName};

/// The canary's share of the pairs in which just one answer is an error, where versions are alike.
const FAIR: f64 = 0.5;

/// The canary's share of the pairs in which one answer is clearly slower that is still nobody's fault. A copy is sent after the request that it is
/// a copy of, and waits behind it wherever both meet: a processor, a database, a lock. On a machine that is busy that makes it the slower
/// one in three of four pairs.
const FAIR_TO_COPIES: f64 = 0.8;

/// What one unit of evidence is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Unit {
    /// A session or client, counted once however often it fails.
    #[default]
    Session,
    /// A request. Right only where requests fail independently of each other.
    Request,
}

/// The promotion gate: no promotion without evidence that the risk is below `ratio` times the primary's.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Gate {
    /// The relative risk that must be ruled out; above 1.
    pub ratio: f64,
    /// The greatest probability of promoting in spite of such a risk.
    pub beta: f64,
}

/// What the verdict is to hold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Policy {
    /// The greatest probability of ever aborting a canary that is no worse.
    pub alpha: f64,
    /// The relative risk that counts as no worse; 1 or more.
    pub tolerance: f64,
    /// The promotion gate; `None` promotes when nothing speaks against it.
    pub gate: Option<Gate>,
    /// Quantiles of latency that are watched; none leaves latency out.
    pub quantiles: Vec<f64>,
    /// A risk that the canary must not have, whatever the primary's is.
    pub ceiling: Option<f64>,
    /// Whether requests are mirrored before users are sent to the canary.
    pub mirrored: bool,
    /// So many units must have reached the canary before it may be promoted.
    pub least_units: u64,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            alpha: 0.01,
            tolerance: 1.0,
            gate: Some(Gate { ratio: 2.0, beta: 0.05 }),
            quantiles: vec![0.5, 0.9, 0.99],
            ceiling: None,
            mirrored: false,
            least_units: 100,
        }
    }
}

/// What a version did in an interval.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arm {
    /// Units and errors.
    pub counts: Counts,
    /// Latency of the answers that were not errors.
    pub latency: Histogram,
}

/// What both versions did in an interval of one to five seconds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interval {
    /// The new version.
    pub canary: Arm,
    /// The version that users have.
    pub primary: Arm,
}

/// What became of mirrored requests in an interval: pairs of answers that differ, each session once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MirrorInterval {
    /// Pairs in all.
    pub pairs: u64,
    /// Only the canary's answer was an error.
    pub canary_failed: u64,
    /// Only the primary's answer was an error.
    pub primary_failed: u64,
    /// The canary's answer was slower by more than a quarter, and by more than 5 ms.
    pub canary_slower: u64,
    /// The primary's answer was slower by more than a quarter, and by more than 5 ms.
    pub primary_slower: u64,
}

/// What the evidence says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Verdict {
    /// The canary is not worse, as far as the policy asks.
    GoOn,
    /// Too little evidence for either.
    Inconclusive,
    /// The canary is worse.
    Abort,
}

/// A test, its part of the budget, and the logarithm of its evidence.
type Test = (TestName, f64, f64);

/// The evidence of a release as it grows. It can be stored and goes on where it was.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sequential {
    policy: Policy,
    errors: RelativeRisk,
    latency: SlowEvents,
    mirrored_errors: Paired,
    mirrored_latency: Paired,
    /// Pairs of mirrored requests so far.
    #[serde(default)]
    copies: u64,
    ceiling: Option<Ceiling>,
    gate: Option<RelativeRisk>,
    canary: Counts,
    primary: Counts,
    canary_sessions: Ledger,
    primary_sessions: Ledger,
    /// The last interval that reached both versions: what the present share is.
    share: (u64, u64),
    /// The greatest logarithm of the evidence so far. It decides: evidence that was once enough stays enough.
    peak: f64,
}

impl Sequential {
    /// No evidence yet.
    pub fn new(policy: Policy) -> Self {
        Self {
            errors: RelativeRisk::above(policy.tolerance, &RelativeRisk::ERRORS),
            latency: SlowEvents::new(&policy.quantiles, policy.tolerance),
            mirrored_errors: Paired::default(),
            mirrored_latency: Paired::default(),
            copies: 0,
            ceiling: policy.ceiling.map(Ceiling::new),
            gate: policy.gate.map(|gate| RelativeRisk::below(gate.ratio, 1.0)),
            canary: Counts::default(),
            primary: Counts::default(),
            canary_sessions: Ledger::default(),
            primary_sessions: Ledger::default(),
            share: (1, 1),
            peak: 0.0,
            policy,
        }
    }

    /// What the verdict is to hold.
    pub const fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Units and errors of the canary so far.
    pub const fn canary(&self) -> Counts {
        self.canary
    }

    /// Takes in what both versions did in an interval.
    pub fn observe(&mut self, interval: &Interval) {
        let (canary, primary) = (&interval.canary, &interval.primary);
        self.errors.observe(canary.counts, primary.counts);
        self.latency.observe(&canary.latency, &primary.latency);
        if let Some(ceiling) = &mut self.ceiling {
            ceiling.observe(canary.counts);
        }
        if let Some(gate) = &mut self.gate {
            gate.observe(canary.counts, primary.counts);
        }
        if canary.counts.total > 0 {
            if primary.counts.total > 0 {
                self.share = (canary.counts.total, primary.counts.total);
            }
            // What the primary did before has no part in the comparison.
            self.canary.add(canary.counts);
            self.primary.add(primary.counts);
        }
        self.peak = self.peak.max(self.log_e());
    }

    /// Takes in what the sessions of an interval did, each counted once.
    pub fn observe_sessions(&mut self, canary: &[Session], primary: &[Session]) {
        let arm = |(counts, latency)| Arm { counts, latency };
        let interval = Interval {
            canary: arm(self.canary_sessions.count(canary)),
            primary: arm(self.primary_sessions.count(primary)),
        };
        self.observe(&interval);
    }

    /// Takes in what became of the mirrored requests of an interval.
    pub fn observe_mirror(&mut self, interval: &MirrorInterval) {
        self.mirrored_errors.observe(interval.canary_failed, interval.primary_failed);
        if self.copies >= COLD {
            self.mirrored_latency.observe(interval.canary_slower, interval.primary_slower);
        }
        self.copies += interval.pairs;
        self.peak = self.peak.max(self.log_e());
    }

    /// All tests.
    fn tests(&self) -> [Test; 5] {
        let latency = if self.policy.quantiles.is_empty() { 0.0 } else { 1.0 };
        let mirrored = if self.policy.mirrored { 1.0 } else { 0.0 };
        let guard = if self.ceiling.is_some() { 1.0 } else { 0.0 };
        let of_guard = self.ceiling.as_ref().map_or(0.0, Ceiling::log_e);
        [
            (TestName::Errors, 1.0, self.errors.log_e()),
            (TestName::Latency, latency, self.latency.log_e()),
            (TestName::MirroredErrors, mirrored, self.mirrored_errors.log_e(FAIR)),
            (
                TestName::MirroredLatency,
                mirrored * latency,
                self.mirrored_latency.log_e(FAIR_TO_COPIES),
            ),
            (TestName::Ceiling, guard, of_guard),
        ]
    }

    /// The logarithm of all evidence that the canary is worse; 0 at the beginning.
    pub fn log_e(&self) -> f64 {
        together(self.tests())
    }

    /// The greatest that the logarithm of the evidence ever was.
    pub const fn peak(&self) -> f64 {
        self.peak
    }

    /// What the logarithm of the evidence is compared with.
    pub fn threshold(&self) -> f64 {
        -self.policy.alpha.ln()
    }

    /// Whether the evidence was enough to abort, once.
    pub fn is_abort(&self) -> bool {
        self.peak >= self.threshold()
    }

    /// Whether the promotion gate is passed, or there is none.
    pub fn is_gate_passed(&self) -> bool {
        match (&self.gate, self.policy.gate) {
            (Some(gate), Some(Gate { beta, .. })) => gate.log_e() >= -beta.ln(),
            _ => true,
        }
    }

    /// What the evidence says now.
    pub fn verdict(&self) -> Verdict {
        if self.is_abort() {
            Verdict::Abort
        } else if self.canary.total >= self.policy.least_units && self.is_gate_passed() {
            Verdict::GoOn
        } else {
            Verdict::Inconclusive
        }
    }

    /// Units and errors of both versions with intervals that hold at all times.
    fn arms(&self) -> [ArmEvidence; 2] {
        [self.canary, self.primary].map(|counts| {
            let (low, high) = sequences::proportion(counts.bad, counts.total, 0.05);
            ArmEvidence { units: counts.total, errors: counts.bad, low, high }
        })
    }
}

/// The logarithm of the evidence of all tests.
///
/// Evidence of requests that are not the same multiplies: were the canary no worse, neither could be expected to grow,
/// whatever the other has come to. Each of two such tests keeps half of its stake back, so that where one of them speaks for
/// the canary, or nothing, it does not undo more than half of what the other says.
fn together(tests: [Test; 5]) -> f64 {
    let [errors, latency, mirrored_errors, mirrored_latency, ceiling] =
        tests.map(|(_, weight, log)| (weight, log));
    let half = |log: f64| log_weighted_mean([(1.0, 0.0), (1.0, log)].into_iter());
    let both = |users: (f64, f64), copies: (f64, f64)| match copies.0 {
        0.0 => users,
        _ => (users.0 + copies.0, half(users.1) + half(copies.1)),
    };
    let parts = [both(errors, mirrored_errors), both(latency, mirrored_latency), ceiling];
    log_weighted_mean(parts.into_iter())
}
