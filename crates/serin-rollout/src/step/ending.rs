//! The ends of a run: promotion, success, rollback, and a promotion that fails.

use serin_api::delivery::HookType;

use super::{DONE, Flow, GO_ON, Run};
use crate::action::{Action, Severity};
use crate::observation::Readiness;
use crate::state::{Cookies, Phase, Routes};

impl Run<'_> {
    /// The primary has the new specification and is ready: traffic goes back to it.
    pub(super) fn promoting(&mut self) -> Flow {
        if self.state.phase != Phase::Promoting {
            return GO_ON;
        }
        self.is_copied()?;
        self.warm_up()?;
        let weight = self.state.routes.canary;
        let back = self.plan.step_weight_promotion;
        let left =
            if back == 0 || !self.plan.is_routed() { 0 } else { weight.saturating_sub(back) };
        self.state.routes.mirror = None;
        self.state.routes.canary = left;
        if left > 0 || (back > 0 && weight > 0) {
            let event = format!("Advance {} primary weight {}", self.plan.full_name(), 100 - left);
            self.tell(event, "the primary is ready");
        } else {
            self.tell("Routing all traffic to primary", "the primary is ready");
        }
        if left == 0 {
            self.take_cookies_away();
            self.enter(Phase::Finalising);
        }
        DONE
    }

    /// Whether the primary is what was to be promoted: a crash may have come before the copy.
    fn is_copied(&mut self) -> Flow {
        let wanted = self.state.last_applied.clone();
        let is_copied =
            self.seen.primary.as_ref().is_some_and(|primary| primary.revision == wanted);
        if is_copied {
            return GO_ON;
        }
        self.actions.push(Action::CopyToPrimary { revision: wanted });
        self.wait_for("Waiting for the primary", "its specification is being copied");
        DONE
    }

    /// Lets the primary grow and settle before it gets everything.
    fn warm_up(&mut self) -> Flow {
        let pods = |side: Option<&crate::Workload>| side.map_or(0, |it| it.ready_pods);
        let (canary, primary) = (pods(self.seen.target.as_ref()), pods(self.seen.primary.as_ref()));
        if self.plan.warms_to_canary && primary < canary {
            self.actions.push(Action::WarmUpPrimary { pods: canary });
            self.state.warm_since = None;
            self.wait_for(
                "Warming up the primary",
                "it gets as many pods as the canary before it gets its traffic",
            );
            return DONE;
        }
        let since = *self.state.warm_since.get_or_insert(self.now);
        if self.now.since(since) < self.plan.warm_up {
            self.wait_for("Warming up the primary", "its pods have not been ready for long enough");
            return DONE;
        }
        GO_ON
    }

    pub(super) fn finalising(&mut self) -> Flow {
        if self.state.phase != Phase::Finalising {
            return GO_ON;
        }
        if self.plan.versions.is_some() {
            self.take_cookies_away();
        }
        self.succeed(
            format!("Promotion completed! Scaling down {}", self.plan.target_name()),
            "the new version is the primary and has all traffic",
            "Canary analysis completed successfully, promotion finished.",
        );
        DONE
    }

    pub(super) fn succeed(&mut self, event: String, reason: &str, alert: &str) {
        self.state.last_promoted = self.state.last_applied.clone();
        self.enter(Phase::Succeeded);
        self.let_canary_go();
        self.tell(event, reason);
        self.alert(Severity::Info, alert);
        self.notify_of_the_end();
    }

    /// All traffic goes to the primary, the canary goes away.
    pub(super) fn roll_back(&mut self, reason: &str) {
        let event = format!("Canary failed! Scaling down {}", self.plan.full_name());
        self.state.routes.canary = 0;
        self.state.routes.mirror = None;
        self.take_cookies_away();
        self.enter(Phase::Failed);
        self.let_canary_go();
        self.warn(event, reason);
        self.state.undo = None;
        self.notify_of_the_end();
    }

    /// The primary does not come up with the new specification: the canary, which is known to work, has the traffic.
    pub(super) fn promotion_failed(&mut self, why: &str) {
        let event =
            format!("Promotion of {} failed, primary not ready: {why}", self.plan.full_name());
        let has_pods =
            self.seen.target.as_ref().is_some_and(|target| {
                target.ready_pods > 0 && target.readiness == Readiness::Ready
            });
        if has_pods {
            self.state.routes = Routes { canary: 100, ..Routes::default() };
        }
        self.state.scale_down = None;
        self.warn(
            event,
            "the canary passed its analysis and keeps the traffic until the primary is mended",
        );
        self.alert(Severity::Error, format!("Promotion failed, primary not ready: {why}"));
        self.enter(Phase::Failed);
        self.notify_of_the_end();
    }

    fn let_canary_go(&mut self) {
        if self.plan.versions.is_none() {
            self.state.scale_down = Some(self.now + self.plan.scale_down_delay);
        }
    }

    /// Users are free again: the canary's cookie is taken away where it is met.
    fn take_cookies_away(&mut self) {
        let cookies = &mut self.state.routes.cookies;
        let expired = cookies.canary.take().or(cookies.expired.take());
        *cookies = Cookies { expired, ..Cookies::default() };
    }

    fn notify_of_the_end(&mut self) {
        let plan = self.plan;
        for (_, hook) in plan.hooks(HookType::PostRollout) {
            self.actions.push(Action::Notify { hook: hook.name.clone(), phase: self.state.phase });
        }
    }
}
