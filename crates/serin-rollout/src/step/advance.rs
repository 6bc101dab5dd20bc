//! The move of a tick whose checks passed.

use serin_api::delivery::{HookType, OnInconclusive};

use super::{DONE, Flow, GO_ON, Run};
use crate::action::{Action, Severity, Side};
use crate::plan::{Plan, Strategy};
use crate::state::{Cookies, Phase, State};
use crate::statistics::Verdict;

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Move {
    /// Copies of requests go to the canary, and the iteration counts.
    Mirror,
    /// The canary gets this share.
    Weight(u32),
    /// Another iteration, the canary having this share.
    Iterate(u32),
    /// The last step of blue/green: everything goes to the canary.
    RouteAll,
    /// The canary becomes the primary.
    Promote,
}

/// What comes next in a plan.
pub(super) fn next_move(plan: &Plan, state: &State) -> Move {
    let weight = state.routes.canary;
    match plan.strategy {
        Strategy::AbTesting if state.iterations < plan.iterations => Move::Iterate(100),
        Strategy::AbTesting => Move::Promote,
        Strategy::BlueGreen if state.iterations < plan.iterations => Move::Iterate(0),
        Strategy::BlueGreen if state.iterations == plan.iterations => Move::RouteAll,
        Strategy::BlueGreen => Move::Promote,
        Strategy::Weighted { .. } if weight >= plan.max_weight => Move::Promote,
        // With a weight the mirror is over, whatever the plan became meanwhile.
        Strategy::Weighted { mirror_ticks } if weight == 0 && state.iterations < mirror_ticks => {
            Move::Mirror
        }
        Strategy::Weighted { .. } => Move::Weight(plan.next_weight(weight)),
    }
}

impl Run<'_> {
    pub(super) fn advance(&mut self) -> Flow {
        if !self.state.phase.is_analysed() {
            return DONE;
        }
        let next = next_move(self.plan, &self.state);
        self.may_move()?;
        self.proxies_have_it()?;
        self.group_lets()?;
        let name = self.plan.full_name();
        match next {
            Move::Mirror => self.mirror(),
            Move::Weight(weight) => {
                self.exposure_allows(weight)?;
                self.confirm_increase()?;
                self.state.routes.mirror = None;
                self.state.routes.canary = weight;
                self.bake_cookies();
                self.tell(format!("Advance {name} canary weight {weight}"), "all checks passed");
            }
            Move::Iterate(weight) => {
                self.state.routes.canary = weight;
                self.state.routes.mirror = self.plan.mirror;
                self.count_iteration(self.plan.iterations);
                self.bake_cookies();
            }
            Move::RouteAll => return self.route_all(),
            Move::Promote => return self.promote_if_confirmed(),
        }
        self.state.position += 1;
        self.state.stepped = self.now;
        DONE
    }

    fn count_iteration(&mut self, of: u32) {
        self.state.iterations += 1;
        let event = format!(
            "Advance {} canary iteration {}/{of}",
            self.plan.full_name(),
            self.state.iterations
        );
        self.tell(event, "all checks passed");
    }

    fn mirror(&mut self) {
        self.state.routes.mirror = self.plan.mirror;
        if self.plan.iterations > 0 {
            self.count_iteration(self.plan.iterations);
        } else {
            self.state.iterations += 1;
            let event = format!("Advance {} canary weight 0", self.plan.full_name());
            self.tell(event, "requests are mirrored before users are sent to the new version");
        }
    }

    /// Before the weight grows, those who want to be asked are. Mirroring ends without their leave.
    fn confirm_increase(&mut self) -> Flow {
        if self.state.routes.mirror.is_some() {
            return GO_ON;
        }
        if let Some(refusal) = self.ask_hooks(HookType::ConfirmTrafficIncrease)? {
            let event = format!(
                "Halt {} advancement waiting for traffic increase approval {}",
                self.plan.full_name(),
                refusal.name(self.plan)
            );
            if self.state.waits_for.as_ref().is_none_or(|it| !it.starts_with(&event)) {
                self.alert_unless_muted(
                    refusal.hook,
                    "Canary traffic increase is waiting for approval.",
                );
            }
            self.wait_for(&event, &refusal.why);
            return DONE;
        }
        GO_ON
    }

    /// Whether the evidence speaks for the new version.
    pub(super) fn is_decided(&self) -> bool {
        self.state.evidence.as_ref().is_some_and(|it| it.verdict() == Verdict::GoOn)
    }

    /// A version that is not decided about reaches no more users than the plan says.
    fn exposure_allows(&mut self, weight: u32) -> Flow {
        let limit = &self.plan.exposure;
        if self.is_decided() {
            return GO_ON;
        }
        if weight >= 100 && self.state.evidence.is_some() {
            return self.undecided("the next step leaves nothing to compare with");
        }
        let over_users = limit
            .users
            .and_then(|users| u32::try_from(users).ok())
            .is_some_and(|users| weight > users);
        let over_requests = limit
            .requests
            .and_then(|most| u64::try_from(most).ok())
            .is_some_and(|most| self.state.exposed >= most);
        if !over_users && !over_requests {
            return GO_ON;
        }
        self.undecided(if over_users {
            "the greatest share of users is reached"
        } else {
            "the greatest number of requests is reached"
        })
    }

    /// What happens when all that may be seen was seen, and the evidence is not enough.
    fn undecided(&mut self, why: &str) -> Flow {
        let Some(plan) = &self.plan.evidence else {
            self.wait_for(
                "Waiting for a decision",
                &format!("{why}, and without analysis.sequential nothing can decide"),
            );
            return DONE;
        };
        let since = *self.state.undecided_since.get_or_insert(self.now);
        let outlook = self.state.evidence.as_ref().map(|it| it.evidence().outlook.join("; "));
        let reason =
            format!("{why}, and the evidence is not enough: {}", outlook.unwrap_or_default());
        if self.now.since(since) < plan.patience {
            self.wait_for("Waiting for evidence", why);
            return DONE;
        }
        match plan.on_inconclusive {
            OnInconclusive::Hold => self.wait_for("Holding without a verdict", why),
            OnInconclusive::Promote => {
                self.warn(
                    "Going on without a verdict",
                    format!("{reason}; onInconclusive is promote"),
                );
                return self.promote_if_asked_hooks_agree();
            }
            OnInconclusive::Rollback => {
                self.warn(
                    "Rolling back without a verdict",
                    format!("{reason}; onInconclusive is rollback"),
                );
                self.alert(Severity::Error, format!("Rolling back without a verdict: {reason}"));
                self.roll_back(&reason);
            }
        }
        DONE
    }

    /// Cookies of this step. The primary's change with each step, so that each step draws among its users anew.
    fn bake_cookies(&mut self) {
        let Some(affinity) = &self.plan.affinity else { return };
        let primary = (!affinity.primary_cookie_name.is_empty())
            .then(|| letters(self.state.nonce ^ (u64::from(self.state.position) + 1)));
        let expired = self.state.routes.cookies.expired.take();
        self.state.routes.cookies =
            Cookies { canary: Some(letters(self.state.nonce)), primary, expired };
    }

    fn route_all(&mut self) -> Flow {
        if !self.confirmed()? {
            return DONE;
        }
        if self.plan.is_routed() {
            let was_mirrored = self.state.routes.mirror.take().is_some();
            self.state.routes.canary = 100;
            let event = if was_mirrored {
                "Stop traffic mirroring and route all traffic to canary"
            } else {
                "Routing all traffic to canary"
            };
            self.tell(event, "all iterations passed");
        }
        self.state.iterations += 1;
        self.state.position += 1;
        self.state.stepped = self.now;
        self.enter(Phase::Progressing);
        DONE
    }

    fn promote_if_confirmed(&mut self) -> Flow {
        let verdict = self.state.evidence.as_ref().map(|evidence| evidence.verdict());
        if verdict == Some(Verdict::Inconclusive) {
            return self.undecided("all steps are taken");
        }
        self.promote_if_asked_hooks_agree()
    }

    fn promote_if_asked_hooks_agree(&mut self) -> Flow {
        if self.confirmed()? {
            self.promote("all steps are taken and all checks passed");
        }
        DONE
    }

    /// Asks for leave to promote; without it the release waits where it is.
    fn confirmed(&mut self) -> std::ops::ControlFlow<super::Halt, bool> {
        let refusal = self.ask_hooks(HookType::ConfirmPromotion)?;
        if let Some(refusal) = &refusal
            && self.state.phase != Phase::WaitingPromotion
        {
            let event = format!(
                "Halt {} advancement waiting for promotion approval {}",
                self.plan.full_name(),
                refusal.name(self.plan)
            );
            self.warn(event, refusal.why.clone());
            self.alert_unless_muted(refusal.hook, "Canary promotion is waiting for approval.");
            self.enter(Phase::WaitingPromotion);
        }
        std::ops::ControlFlow::Continue(refusal.is_none())
    }

    /// The primary becomes the revision that was analysed.
    pub(super) fn promote(&mut self, reason: &str) {
        if self.plan.versions.is_some() {
            // There is nothing to copy: all users have the other subset from now on.
            self.state.routes.canary = 100;
            self.state.routes.mirror = None;
            self.tell("Routing all traffic to canary", reason);
            self.enter(Phase::Finalising);
            return;
        }
        self.copy_to_primary(reason);
        self.state.warm_since = None;
        self.enter(Phase::Promoting);
    }

    pub(super) fn copy_to_primary(&mut self, reason: &str) {
        let (target, namespace) = (&self.plan.target, &self.plan.namespace);
        let event =
            format!("Copying {target}.{namespace} template spec to {target}-primary.{namespace}");
        self.tell(event, reason);
        self.actions.push(Action::CopyToPrimary { revision: self.state.last_applied.clone() });
        self.set_scaler(Side::Primary);
    }
}

/// Ten letters from a number.
fn letters(number: u64) -> String {
    let mut random = crate::random::Random::new(number);
    (0..10).map(|_| char::from(b'a' + (random.next() % 26) as u8)).collect()
}
