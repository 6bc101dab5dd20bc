//! The beginning of a run: making the primary, noticing a new revision, asking for approval, and beginning anew.

use serin_api::delivery::HookType;

use super::{DONE, Flow, GO_ON, Run};
use crate::action::{Action, Severity, Side};
use crate::observation::{About, Answer, Readiness};
use crate::state::{Phase, Routes};
use crate::statistics::Sequential;

impl Run<'_> {
    /// Waits for the primary, then hands it the traffic.
    pub(super) fn initialise(&mut self) -> Flow {
        if self.state.phase != Phase::Initializing {
            return GO_ON;
        }
        let Some(target) = self.seen.target.clone() else {
            let name = format!("{} {}.{}", self.plan.kind, self.plan.target, self.plan.namespace);
            self.wait_for(&format!("{name} not found"), "there is nothing to release yet");
            return DONE;
        };
        let versions = self.plan.versions.is_some();
        if !versions && !self.plan.skips_analysis {
            let primary = self.seen.primary.as_ref();
            let why = match primary.map(|primary| (&primary.readiness, primary.ready_pods)) {
                Some((Readiness::Ready, 1..)) => None,
                Some((Readiness::Pending(why) | Readiness::Stuck(why), _)) => Some(why.clone()),
                _ => Some("it has no ready pod".to_owned()),
            };
            if let Some(why) = why {
                let name = format!("{}-primary.{}", self.plan.target, self.plan.namespace);
                self.wait_for_pods(&name, &why);
                return DONE;
            }
        }
        self.try_metric_servers()?;
        let primary = self.seen.primary.as_ref().map(|it| it.revision.clone()).unwrap_or_default();
        self.state.last_applied = if versions { primary } else { target.revision };
        self.state.last_promoted = self.state.last_applied.clone();
        self.state.configs = target.configs;
        self.state.routes = Routes::default();
        self.enter(Phase::Initialized);
        if !versions {
            self.state.scale_down = Some(self.now);
        }
        let kind = self.plan.kind.clone();
        self.tell(
            format!("Initialization done! {}", self.plan.full_name()),
            "the primary is ready and has all traffic",
        );
        self.alert(Severity::Info, format!("New {kind} detected, initialization completed."));
        GO_ON
    }

    /// Finds out before the first release whether all who will be asked for metrics can be asked. Nothing else depends on it.
    fn try_metric_servers(&mut self) -> Flow {
        if self.plan.skips_analysis || self.plan.metrics.is_empty() {
            return GO_ON;
        }
        match self.ask(About::MetricServers)? {
            Answer::No(why) | Answer::Failed(why) => self.warn(
                format!("Error checking metric providers: {why}"),
                "a check whose metric cannot be asked for fails",
            ),
            Answer::Yes | Answer::Value(_) | Answer::NoValue => {
                self.tell("all the metrics providers are available!", "each of them answered");
            }
        }
        GO_ON
    }

    /// Begins a run, when everybody agrees.
    pub(super) fn begin(&mut self) -> Flow {
        let is_new =
            matches!(self.state.phase, Phase::Initialized | Phase::Succeeded | Phase::Failed);
        if !is_new && self.state.phase != Phase::Waiting {
            return GO_ON;
        }
        if self.state.phase == Phase::Waiting {
            self.ask_rollback_hooks()?;
        }
        if let Some(refusal) = self.ask_hooks(HookType::ConfirmRollout)? {
            if self.state.phase != Phase::Waiting {
                let name = refusal.name(self.plan);
                let event = format!(
                    "Halt {} advancement waiting for approval {name}",
                    self.plan.full_name()
                );
                self.warn(event, refusal.why.clone());
                self.alert_unless_muted(refusal.hook, "Canary is waiting for approval.");
                self.enter(Phase::Waiting);
            }
            return DONE;
        }
        self.may_move()?;
        self.tell(
            format!("New revision detected! Scaling up {}", self.plan.target_name()),
            "the workload or its configuration changed",
        );
        self.alert(Severity::Info, "New revision detected, progressing canary analysis.");
        self.begin_run(Phase::Progressing);
        DONE
    }

    pub(super) fn alert_unless_muted(&mut self, hook: usize, text: &str) {
        if self.plan.webhooks.get(hook).is_some_and(|hook| !hook.mute_alert) {
            self.alert(Severity::Warn, text);
        }
    }

    /// Everything of a run at its beginning.
    fn begin_run(&mut self, phase: Phase) {
        let Some(target) = self.seen.target.clone() else { return };
        let old = self.state.routes.cookies.canary.take();
        let state = &mut self.state;
        state.last_applied = target.revision;
        state.configs = target.configs;
        state.routes = Routes::default();
        state.routes.cookies.expired = old;
        state.failures.clear();
        (state.iterations, state.position, state.exposed) = (0, 0, 0);
        (state.started, state.stepped) = (self.now, self.now);
        state.nonce = self.seen.nonce;
        (state.is_accepted, state.is_restarting, state.is_urged) = (false, false, false);
        (state.scale_down, state.warm_since, state.undecided_since) = (None, None, None);
        state.evidence = self.plan.evidence.as_ref().map(|it| Sequential::new(it.policy.clone()));
        self.enter(phase);
        if self.plan.versions.is_none() {
            self.actions.push(Action::ScaleUpCanary);
            self.set_scaler(Side::Canary);
        }
    }

    /// Gives the autoscaler of a version the limits of the plan.
    pub(super) fn set_scaler(&mut self, side: Side) {
        let Some(scaler) = &self.plan.scaler else { return };
        let limits = match side {
            Side::Primary => &scaler.primary_scaler_replicas,
            Side::Canary => &scaler.canary_scaler_replicas,
        };
        let (least, most) =
            limits.as_ref().map_or((None, None), |it| (it.min_replicas, it.max_replicas));
        self.actions.push(Action::SetScaler { side, least, most });
    }

    /// Begins again with the revision that is there.
    pub(super) fn restart(&mut self) {
        self.begin_run(Phase::Progressing);
    }

    /// Begins anew when the workload changes under analysis or promotion.
    pub(super) fn restart_if_changed(&mut self) -> Flow {
        let phase = self.state.phase;
        if phase.is_analysed() && self.is_reverted() {
            let reason = "the workload is again what was promoted before";
            self.warn(
                format!("Rolling back {} the new revision was withdrawn", self.plan.full_name()),
                reason,
            );
            self.roll_back(reason);
            return DONE;
        }
        if !self.is_changed() && !self.state.is_restarting {
            return GO_ON;
        }
        let event =
            format!("New revision detected! Restarting analysis for {}", self.plan.target_name());
        if phase.is_analysed() {
            let weight = self.state.routes.canary;
            let back = self.plan.step_weight_promotion;
            if back > 0 && weight > back {
                // The primary may have shrunk while the canary carried the load: it gets the traffic back in steps.
                if !self.state.is_restarting {
                    self.tell(
                        event,
                        "the workload changed; traffic goes back by stepWeightPromotion first",
                    );
                    self.state.is_restarting = true;
                }
                self.state.routes.canary = weight - back;
                self.state.routes.mirror = None;
                return DONE;
            }
            self.tell(event, "the workload or its configuration changed");
            self.restart();
            return DONE;
        }
        // In promotion: the primary has the revision that was analysed, and is ready; the canary is no longer that.
        if phase == Phase::Promoting {
            self.tell(
                event,
                "the workload changed while its former revision was promoted, which is done",
            );
            let analysed = self.state.last_applied.clone();
            if self.seen.primary.as_ref().is_some_and(|primary| primary.revision == analysed) {
                self.state.last_promoted = analysed;
            }
            self.restart();
            return DONE;
        }
        GO_ON
    }

    /// Promotes at once what is not to be analysed.
    pub(super) fn skip_analysis(&mut self) -> Flow {
        if !self.plan.skips_analysis || !self.state.phase.is_analysed() {
            return GO_ON;
        }
        self.state.routes = Routes::default();
        let reason = "spec.skipAnalysis is set, or there is no analysis";
        self.copy_to_primary(reason);
        self.succeed(
            format!(
                "Promotion completed! Canary analysis was skipped for {}",
                self.plan.target_name()
            ),
            reason,
            "Canary analysis was skipped, promotion finished.",
        );
        DONE
    }
}
