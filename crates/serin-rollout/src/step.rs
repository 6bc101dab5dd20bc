//! The step: from what was and what is observed to what is to be done and what is then.
//!
//! Each call first takes in what has happened and reacts to what cannot wait (evidence, commands, pods that are gone, routes
//! that someone changed). When the interval is over it also takes a *tick*, which is Flagger's algorithm: phase by phase, in
//! Flagger's order. A tick either ends, or asks one question and ends when it is answered: it is run again from its
//! beginning with the answers so far, so that nothing but the answers has to be remembered between calls.

mod advance;
mod analyse;
mod begin;
mod ending;
mod outlook;
mod react;
mod waits;

use std::ops::ControlFlow::{self, Break, Continue};

use serin_api::delivery::HookType;

use crate::action::{Action, Severity};
use crate::observation::{About, Answer, Member, Observation, Question, Readiness, Workload};
use crate::plan::Plan;
use crate::state::{Decision, Phase, Routes, State};
use crate::time::{Span, Time};

pub use outlook::Outlook;

/// How often is looked whether the primary is ready at last.
const PACE: Span = Span::seconds(1);

/// What a step comes to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Step {
    /// What is now. To be stored after the actions were carried out.
    pub state: State,
    /// What is to be done, in this order.
    pub actions: Vec<Action>,
}

/// One step of the release of `plan`.
///
/// It may be called at any time and as often as one likes; once a second is usual. `state` is what was last stored.
pub fn step(plan: &Plan, state: &State, seen: &Observation, now: Time) -> Step {
    let mut run = Run { plan, seen, now, state: state.clone(), actions: Vec::new() };
    if *state == State::default() {
        run.state.since = now;
    }
    if plan.is_suspended && !seen.is_deleted {
        run.wait("skipping canary run as object is suspended", "spec.suspend is set", false);
        return run.finish_suspended();
    }
    run.take_in();
    if run.react().is_continue() && now >= run.state.tick.due {
        run.try_tick();
    }
    run.finish()
}

/// What ends a tick.
enum Halt {
    /// It is over.
    Done,
    /// It waits for an answer.
    Ask(Question),
}

type Flow = ControlFlow<Halt>;

/// A step while it is being made.
struct Run<'a> {
    plan: &'a Plan,
    seen: &'a Observation,
    now: Time,
    state: State,
    actions: Vec<Action>,
}

const DONE: Flow = Break(Halt::Done);
const GO_ON: Flow = Continue(());

impl Run<'_> {
    /// Takes the tick that is due, or as much of it as the answers allow.
    fn try_tick(&mut self) {
        let (state, actions) = (self.state.clone(), self.actions.clone());
        match self.tick() {
            Break(Halt::Ask(question)) => {
                // Nothing of an unfinished tick counts; it is run again when the answer is there.
                (self.state, self.actions) = (state, actions);
                self.actions.push(Action::Ask(question));
            }
            Break(Halt::Done) | Continue(()) => {
                let tick = &mut self.state.tick;
                tick.number += 1;
                tick.answers.clear();
                // Nothing is analysed before there is a primary: it need not wait for the rhythm of the analysis.
                let is_made = self.state.phase == Phase::Initializing;
                let pause = if is_made { PACE.min(self.plan.interval) } else { self.plan.interval };
                let next = tick.due + pause;
                tick.due = if next > self.now { next } else { self.now + pause };
            }
        }
    }

    /// Flagger's algorithm, in its order.
    fn tick(&mut self) -> Flow {
        self.actions.push(Action::EnsureObjects);
        self.initialise()?;
        if !self.state.phase.is_running() && !self.is_changed() {
            // Whatever it waited for is there.
            self.state.waits_for = None;
            return DONE;
        }
        self.primary_is_ready()?;
        self.begin()?;
        self.restart_if_changed()?;
        self.canary_is_ready()?;
        self.skip_analysis()?;
        self.ask_rollback_hooks()?;
        self.promoting()?;
        self.finalising()?;
        self.threshold()?;
        self.analyse()?;
        self.advance()
    }

    /// Brings the live routes in line and returns what came of it.
    fn finish(mut self) -> Step {
        if self.state.phase != Phase::Terminated {
            let live = self.safe_routes();
            let is_other = match &self.seen.routes {
                Some(seen) => *seen != live,
                // Until there is a primary users go where they went: what routes would lead to is just being made.
                None => live != Routes::default() && self.state.phase != Phase::Initializing,
            };
            if is_other {
                // First of all: nothing that follows may take pods away from under traffic.
                self.actions.insert(0, Action::SetRoutes(live));
            }
        }
        Step { state: self.state, actions: self.actions }
    }

    fn finish_suspended(self) -> Step {
        Step { state: self.state, actions: self.actions }
    }

    /// The routes that shall be, except that nobody is sent to a version without a ready pod while the other has one.
    fn safe_routes(&self) -> Routes {
        let pods = |side: Option<&Workload>| side.map_or(0, |it| it.ready_pods);
        let (canary, primary) = (pods(self.seen.target.as_ref()), pods(self.seen.primary.as_ref()));
        let mut routes = self.state.routes.clone();
        if canary == 0 {
            routes.mirror = None;
        }
        if routes.canary > 0 && canary == 0 && primary > 0 {
            routes.canary = 0;
        } else if routes.canary < 100 && primary == 0 && canary > 0 {
            routes.canary = 100;
        }
        routes
    }

    /// Records that something happened, and why.
    fn tell(&mut self, event: impl Into<String>, reason: impl Into<String>) {
        self.decide(false, event.into(), reason.into());
    }

    /// The same for what is other than all would like.
    fn warn(&mut self, event: impl Into<String>, reason: impl Into<String>) {
        self.decide(true, event.into(), reason.into());
    }

    fn decide(&mut self, is_warning: bool, event: String, reason: String) {
        let decision = Decision { at: self.now, is_warning, event, reason };
        self.state.remember(decision.clone());
        self.state.waits_for = None;
        self.actions.push(Action::Record(decision));
    }

    /// Records what the release waits for, when it begins to.
    fn wait_for(&mut self, event: &str, reason: &str) {
        self.wait(event, reason, true);
    }

    fn wait(&mut self, event: &str, reason: &str, is_warning: bool) {
        let what = format!("{event}: {reason}");
        if self.state.waits_for.as_ref() != Some(&what) {
            self.decide(is_warning, event.to_owned(), reason.to_owned());
            self.state.waits_for = Some(what);
        }
    }

    /// The same for the pods of a version. Those who see only the event know why, too.
    fn wait_for_pods(&mut self, name: &str, why: &str) {
        self.wait_for(&format!("{name} not ready: {why}"), "nothing goes on without its pods");
    }

    fn alert(&mut self, severity: Severity, text: impl Into<String>) {
        self.actions.push(Action::Alert { severity, text: text.into() });
    }

    fn enter(&mut self, phase: Phase) {
        self.state.phase = phase;
        self.state.since = self.now;
        // It was this run that someone wanted held, not the next one.
        self.state.is_held &= !matches!(phase, Phase::Succeeded | Phase::Failed);
    }

    /// The answer to a question of this tick.
    fn ask(&self, about: About) -> ControlFlow<Halt, Answer> {
        let question = Question { tick: self.state.tick.number, about };
        match self.state.tick.answers.iter().find(|(asked, _)| *asked == question) {
            Some((_, answer)) => Continue(answer.clone()),
            None => Break(Halt::Ask(question)),
        }
    }

    /// Asks the hooks of a type one after the other, until one says no: its name and why.
    fn ask_hooks(&mut self, kind: HookType) -> ControlFlow<Halt, Option<Refusal>> {
        let plan = self.plan;
        for (index, hook) in plan.hooks(kind) {
            let why = match self.ask(About::Hook(index))? {
                Answer::Yes => {
                    self.passed(kind, &hook.name);
                    continue;
                }
                Answer::No(why) | Answer::Failed(why) => why,
                Answer::Value(_) | Answer::NoValue => "it gave no answer".to_owned(),
            };
            return Continue(Some(Refusal { hook: index, why }));
        }
        Continue(None)
    }

    fn passed(&mut self, kind: HookType, name: &str) {
        let check = match kind {
            HookType::ConfirmRollout => "Confirm-rollout",
            HookType::PreRollout => "Pre-rollout",
            HookType::ConfirmTrafficIncrease => "Confirm-traffic-increase",
            HookType::ConfirmPromotion => "Confirm-promotion",
            _ => return,
        };
        self.tell(format!("{check} check {name} passed"), "the webhook agreed");
    }

    /// Whether the workload is another than the one that was last tried or promoted.
    fn is_changed(&self) -> bool {
        let Some(target) = &self.seen.target else { return false };
        let state = &self.state;
        // A workload that went back to what was promoted needs no release.
        let revision = target.revision != state.last_applied
            && (target.revision != state.last_promoted || state.last_promoted.is_empty());
        revision || target.configs != state.configs
    }

    /// Whether the workload that is being tried is again what was promoted before it.
    fn is_reverted(&self) -> bool {
        let Some(target) = &self.seen.target else { return false };
        let state = &self.state;
        target.revision == state.last_promoted && target.revision != state.last_applied
    }

    fn primary_is_ready(&mut self) -> Flow {
        if self.plan.skips_analysis || self.state.phase == Phase::Finalising {
            return GO_ON;
        }
        let name = format!("{}-primary.{}", self.plan.target, self.plan.namespace);
        let Some(primary) = &self.seen.primary else {
            self.wait_for(&format!("{name} is not there"), "the primary is being made");
            return DONE;
        };
        if primary.replicas == 0 && self.plan.versions.is_none() {
            self.wait_for(
                &format!("{name} is scaled to zero"),
                "without pods of the primary there is nothing to compare with or go back to",
            );
            return DONE;
        }
        match primary.readiness.clone() {
            Readiness::Ready => GO_ON,
            Readiness::Pending(why) => {
                self.wait_for_pods(&name, &why);
                DONE
            }
            Readiness::Stuck(why) => {
                match self.state.phase {
                    Phase::Promoting => self.promotion_failed(&why),
                    Phase::Progressing | Phase::WaitingPromotion => {
                        self.roll_back(&format!("the primary did not become ready: {why}"));
                    }
                    _ => self.wait_for_pods(&name, &why),
                }
                DONE
            }
        }
    }

    fn canary_is_ready(&mut self) -> Flow {
        if !self.state.phase.is_analysed() {
            return GO_ON;
        }
        let name = self.plan.full_name();
        let readiness = self.seen.target.as_ref().map(|target| target.readiness.clone());
        match readiness.unwrap_or_else(|| Readiness::Pending("the workload is gone".to_owned())) {
            Readiness::Ready => GO_ON,
            Readiness::Pending(why) => {
                let kind = self.plan.kind.to_lowercase();
                self.wait_for_pods(&format!("canary {kind} {}", self.plan.target_name()), &why);
                DONE
            }
            Readiness::Stuck(why) => {
                self.warn(
                    format!("Rolling back {name} progress deadline exceeded {why}"),
                    why.clone(),
                );
                self.alert(Severity::Error, format!("Progress deadline exceeded {why}"));
                self.roll_back(&why);
                DONE
            }
        }
    }
}

/// A hook that said no.
struct Refusal {
    /// Its place in the list.
    hook: usize,
    why: String,
}

impl Refusal {
    fn name<'p>(&self, plan: &'p Plan) -> &'p str {
        plan.webhooks.get(self.hook).map_or("", |hook| &hook.name)
    }
}

impl State {
    /// What the other members of the group see of this release.
    pub fn as_member(&self, plan: &Plan) -> Member {
        Member {
            name: plan.name.clone(),
            order: plan.group.as_ref().map_or(0, |group| group.order),
            is_running: self.phase.is_running() && self.phase != Phase::Waiting,
            position: self.position,
            is_final: matches!(self.phase, Phase::Promoting | Phase::Finalising)
                || (self.phase.is_analysed()
                    && advance::next_move(plan, self) == advance::Move::Promote),
            failed_at: (self.phase == Phase::Failed).then_some(self.since),
        }
    }
}

#[cfg(test)]
mod tests;
