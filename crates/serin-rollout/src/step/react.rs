//! What cannot wait for the next tick.

use std::ops::ControlFlow::{self, Break, Continue};

use super::Run;
use crate::action::{Action, Severity};
use crate::observation::{Command, Readiness, Traffic};
use crate::state::{Phase, Routes};

impl Run<'_> {
    /// Takes in answers and traffic.
    pub(super) fn take_in(&mut self) {
        let current = self.state.tick.number;
        for (question, answer) in &self.seen.answers {
            let tick = &mut self.state.tick;
            let is_new = tick.answers.iter().all(|(known, _)| known != question);
            if question.tick == current && is_new {
                tick.answers.push((question.clone(), answer.clone()));
            }
        }
        if !self.state.phase.is_analysed() {
            return;
        }
        for traffic in &self.seen.traffic {
            self.state.exposed += match traffic {
                Traffic::Counts(interval) => interval.canary.counts.total,
                Traffic::Reached(requests) => *requests,
                Traffic::Sessions(..) | Traffic::Mirrored(_) => 0,
            };
            let Some(evidence) = &mut self.state.evidence else { continue };
            match traffic {
                Traffic::Counts(interval) => evidence.observe(interval),
                Traffic::Sessions(canary, primary) => evidence.observe_sessions(canary, primary),
                Traffic::Mirrored(interval) => evidence.observe_mirror(interval),
                Traffic::Reached(_) => {}
            }
        }
    }

    /// Reacts; breaks if there is no tick after it.
    pub(super) fn react(&mut self) -> ControlFlow<()> {
        if self.seen.is_deleted {
            self.terminate();
            return Break(());
        }
        if let Some(command) = self.seen.command {
            self.obey(command);
        }
        if self.state.phase.is_analysed() {
            self.believe_evidence();
            self.follow_group();
            self.limit_exposure();
        }
        self.scale_down_if_due();
        if self.state.undo.is_some() {
            self.go_on_undoing();
            return Break(());
        }
        if self.state.is_urged && self.state.phase.is_analysed() {
            self.promote_as_urged();
        }
        Continue(())
    }

    fn terminate(&mut self) {
        if self.state.phase == Phase::Terminated {
            return;
        }
        let name = self.plan.full_name();
        if !self.plan.reverts_on_deletion {
            self.enter(Phase::Terminated);
            self.actions.push(Action::ReleaseFinalizer);
            return;
        }
        if self.state.phase != Phase::Terminating {
            self.tell(
                format!("Terminating canary {name}"),
                "the object is deleted and revertOnDeletion is set",
            );
            self.enter(Phase::Terminating);
            // The workload takes the traffic itself again, and needs pods before it does.
            self.state.routes = Routes::default();
            self.actions.push(Action::ScaleUpCanary);
            return;
        }
        let is_ready = (self.seen.target.as_ref())
            .is_none_or(|target| target.readiness == Readiness::Ready && target.ready_pods > 0);
        if is_ready {
            self.enter(Phase::Terminated);
            self.actions.push(Action::RestoreOriginals);
            self.tell(format!("Terminated canary {name}"), "the originals are back");
            self.actions.push(Action::ReleaseFinalizer);
        } else {
            self.wait_for(
                "waiting for the workload",
                "its pods must be ready before it gets traffic again",
            );
        }
    }

    fn obey(&mut self, command: Command) {
        let phase = self.state.phase;
        let reason = "someone asked for it";
        match command {
            Command::Hold if !self.state.is_held => {
                self.state.is_held = true;
                self.tell("Holding", reason);
            }
            Command::Resume if self.state.is_held => {
                self.state.is_held = false;
                self.tell("Resuming", reason);
            }
            Command::Promote if phase.is_analysed() && !self.state.is_urged => {
                self.state.is_urged = true;
                self.tell("Promoting without further checks", reason);
            }
            Command::Abort if matches!(phase, Phase::Waiting) || phase.is_analysed() => {
                self.warn("Aborting", reason);
                self.alert(Severity::Warn, "Rolling back, as someone asked");
                self.roll_back(reason);
            }
            Command::Abort if matches!(phase, Phase::Promoting | Phase::Finalising) => {
                self.warn(
                    "Aborting",
                    format!("{reason}; the primary gets its former version back first"),
                );
                self.state.undo = Some(reason.to_owned());
            }
            Command::Restart if self.may_restart() => {
                self.warn("Restarting", reason);
                self.restart();
            }
            Command::Abort | Command::Restart => {
                self.warn(
                    format!("{command:?} is not possible now"),
                    format!("the phase is {phase}, or the primary is not ready"),
                );
            }
            Command::Promote if !self.state.is_urged => {
                self.warn("Promote is not possible now", format!("the phase is {phase}"));
            }
            _ => {}
        }
    }

    /// Whether a run can begin anew: not while the primary could not carry the traffic.
    fn may_restart(&self) -> bool {
        let is_ready =
            self.seen.primary.as_ref().is_some_and(|it| it.readiness == Readiness::Ready);
        is_ready && (self.state.phase.is_analysed() || self.state.phase == Phase::Failed)
    }

    /// Ends a release whose evidence says so, at once.
    fn believe_evidence(&mut self) {
        let Some(evidence) = self.state.evidence.as_ref().filter(|it| it.is_abort()) else {
            return;
        };
        let reason = format!(
            "the new version is worse: {}; evidence {:.1} of {:.1} needed",
            evidence.complaint(),
            evidence.peak(),
            evidence.threshold(),
        );
        self.warn(format!("Rolling back {} by evidence", self.plan.full_name()), reason.clone());
        self.alert(Severity::Error, format!("Rolling back by evidence: {reason}"));
        self.roll_back(&reason);
    }

    /// Goes back with a member of the group that went back.
    fn follow_group(&mut self) {
        let started = self.state.started;
        let failed = |at: Option<crate::Time>| at.is_some_and(|at| at >= started);
        let Some(member) = self.seen.group.iter().find(|member| failed(member.failed_at)) else {
            return;
        };
        if !self.state.phase.is_analysed() {
            return;
        }
        let reason = format!("{} of the same group was rolled back", member.name);
        self.warn(format!("Rolling back {} with its group", self.plan.full_name()), reason.clone());
        self.roll_back(&reason);
    }

    /// Sends no more users to a version that has reached as many as it may, and is not decided about.
    fn limit_exposure(&mut self) {
        let most = self.plan.exposure.requests.and_then(|most| u64::try_from(most).ok());
        let is_over = most.is_some_and(|most| self.state.exposed >= most);
        if !is_over || self.state.routes.canary == 0 || self.is_decided() {
            return;
        }
        self.state.routes.canary = 0;
        let reason = format!(
            "{} requests have reached the new version without a verdict",
            self.state.exposed
        );
        self.warn("Routing all traffic to primary, the greatest exposure is reached", reason);
    }

    /// Takes the canary's pods away when their time has come and nobody is sent to them.
    fn scale_down_if_due(&mut self) {
        let Some(due) = self.state.scale_down else { return };
        let live = self.seen.routes.as_ref();
        let is_free = match live {
            Some(routes) => routes.canary == 0 && routes.mirror.is_none(),
            None => !self.plan.is_routed(),
        };
        let primary = self.seen.primary.as_ref().map_or(0, |it| it.ready_pods);
        let is_acked = self.seen.proxies.is_none_or(|proxies| proxies.acked >= proxies.total);
        if self.now >= due && is_free && is_acked && primary > 0 && self.state.routes.canary == 0 {
            self.state.scale_down = None;
            self.actions.push(Action::ScaleDownCanary);
        }
    }

    /// Waits for the primary to be what it was, then goes back.
    fn go_on_undoing(&mut self) {
        let former = self.state.last_promoted.clone();
        let is_back = (self.seen.primary.as_ref()).is_some_and(|primary| {
            primary.revision == former && primary.readiness == Readiness::Ready
        });
        if is_back {
            let reason = self.state.undo.take().unwrap_or_default();
            self.roll_back(&reason);
        } else {
            self.actions.push(Action::RestorePrimary { revision: former });
        }
    }

    fn promote_as_urged(&mut self) {
        let is_ready = |side: Option<&crate::Workload>| {
            side.is_some_and(|it| it.readiness == Readiness::Ready && it.ready_pods > 0)
        };
        if is_ready(self.seen.target.as_ref()) && !self.is_changed() {
            self.state.is_urged = false;
            self.promote("someone asked to promote without further checks");
        } else {
            self.wait_for(
                "waiting for the new version",
                "its pods must be ready before it is promoted",
            );
        }
    }
}
