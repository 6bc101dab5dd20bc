//! A world for one release: two workloads and a route, changed only by the actions of steps and by whoever holds it.

use crate::action::Action;
use crate::observation::{Answer, Command, Observation, Question, Readiness, Traffic, Workload};
use crate::plan::Plan;
use crate::state::{Routes, State};
use crate::step::step;
use crate::time::Time;

/// Pods of a workload that is scaled up.
const PODS: u32 = 2;

/// Workloads and routes as they are.
#[derive(Clone, Debug, PartialEq)]
pub struct World {
    /// The workload whose changes are released.
    pub target: Workload,
    /// Its primary.
    pub primary: Option<Workload>,
    /// The routes.
    pub routes: Option<Routes>,
    /// Whether pods are ready as soon as they are wanted.
    pub is_quick: bool,
    /// Traffic for the next step.
    pub traffic: Vec<Traffic>,
    /// What someone wants.
    pub command: Option<Command>,
    /// What was asked and not answered.
    pub questions: Vec<Question>,
    /// Everything that was done, in order, while `keeps_log`.
    pub log: Vec<Action>,
    /// Whether the log is kept.
    pub keeps_log: bool,
}

impl World {
    /// A workload of this revision that runs, and nothing else.
    pub fn new(revision: &str) -> Self {
        let target = Workload {
            revision: revision.to_owned(),
            replicas: PODS,
            ready_pods: PODS,
            ..Workload::default()
        };
        Self {
            target,
            primary: None,
            routes: None,
            is_quick: true,
            traffic: Vec::new(),
            command: None,
            questions: Vec::new(),
            log: Vec::new(),
            keeps_log: true,
        }
    }

    /// A world in which `plan` was initialised with the revision `v1`, and its state then.
    pub fn initialised(plan: &Plan, now: Time) -> (Self, State) {
        let mut world = Self::new("v1");
        let mut state = State::default();
        if let Some(versions) = &plan.versions {
            world.target.revision.clone_from(&versions.canary);
            let revision = versions.primary.clone();
            world.primary = Some(Workload { revision, ..world.target.clone() });
        }
        let calls = if plan.versions.is_some() { 0 } else { 4 };
        for _ in 0..calls {
            state.tick.due = now;
            state = world.turn(plan, &state, now, |_| Answer::Yes);
        }
        state.history.clear();
        world.log.clear();
        (world, state)
    }

    /// What a step would see.
    pub fn observe(&mut self) -> Observation {
        Observation {
            target: Some(self.target.clone()),
            primary: self.primary.clone(),
            routes: self.routes.clone(),
            traffic: std::mem::take(&mut self.traffic),
            command: self.command,
            nonce: 7,
            ..Observation::default()
        }
    }

    /// Steps until nothing is asked any more; `answer` answers.
    pub fn turn(
        &mut self,
        plan: &Plan,
        state: &State,
        now: Time,
        mut answer: impl FnMut(&Question) -> Answer,
    ) -> State {
        let mut state = state.clone();
        let mut answers = Vec::new();
        loop {
            let mut seen = self.observe();
            seen.answers = std::mem::take(&mut answers);
            let next = step(plan, &state, &seen, now);
            next.actions.iter().for_each(|action| self.carry_out(action));
            state = next.state;
            self.command = None;
            if self.questions.is_empty() {
                return state;
            }
            answers = self
                .questions
                .drain(..)
                .map(|question| (question.clone(), answer(&question)))
                .collect();
        }
    }

    /// Does what an action says.
    pub fn carry_out(&mut self, action: &Action) {
        match action {
            Action::EnsureObjects => {
                let target = &self.target;
                self.primary.get_or_insert_with(|| Workload {
                    replicas: PODS,
                    ready_pods: PODS,
                    readiness: Readiness::Ready,
                    ..target.clone()
                });
                self.routes.get_or_insert_default();
            }
            Action::SetRoutes(routes) => self.routes = Some(routes.clone()),
            Action::ScaleUpCanary => {
                self.target.replicas = PODS;
                if self.is_quick {
                    self.target.ready_pods = PODS;
                }
            }
            Action::ScaleDownCanary => (self.target.replicas, self.target.ready_pods) = (0, 0),
            Action::WarmUpPrimary { pods } => {
                if let Some(primary) = &mut self.primary {
                    primary.replicas = primary.replicas.max(*pods);
                    if self.is_quick {
                        primary.ready_pods = primary.replicas;
                    }
                }
            }
            Action::CopyToPrimary { revision } | Action::RestorePrimary { revision } => {
                if let Some(primary) = &mut self.primary {
                    primary.revision.clone_from(revision);
                }
            }
            Action::Ask(question) => {
                self.questions.push(question.clone());
                return;
            }
            Action::SetScaler { .. }
            | Action::Notify { .. }
            | Action::Alert { .. }
            | Action::Record(_)
            | Action::RestoreOriginals
            | Action::ReleaseFinalizer => {}
        }
        if self.keeps_log {
            self.log.push(action.clone());
        }
    }
}
