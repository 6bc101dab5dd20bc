//! Scenarios tick by tick, faults, and the laws that hold in every state.

mod better;
mod explore;
mod extensions;
mod model;
mod texts;
mod walkthroughs;

use serde_json::{Value, json};
use serin_api::Object;
use serin_api::delivery::{Canary, FlaggerCanary};

use crate::action::Action;
use crate::observation::{About, Answer, Question, Readiness};
use crate::plan::Plan;
use crate::rehearse::World;
use crate::state::{Phase, State};
use crate::time::{Span, Time};

fn object(group: &str, spec: Value) -> Value {
    let mut whole = json!({
        "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "podinfo"},
        "service": {"port": 9898},
    });
    for (key, value) in spec.as_object().unwrap() {
        whole[key] = value.clone();
    }
    json!({"apiVersion": group, "kind": "Canary", "metadata": {"name": "podinfo", "namespace": "test"}, "spec": whole})
}

/// The plan of a Canary of `flagger.app`.
fn flagger(analysis: Value) -> Plan {
    let value = object("flagger.app/v1beta1", json!({"analysis": analysis}));
    Plan::of_flagger(&Object::<FlaggerCanary>::from_value(&value).unwrap())
}

/// The plan of a Canary of `serin.dev`.
fn serin(spec: Value) -> Plan {
    Plan::of(&Object::<Canary>::from_value(&object("serin.dev/v1alpha1", spec)).unwrap())
}

/// A release that is watched tick by tick.
struct Release {
    plan: Plan,
    world: World,
    state: State,
    now: Time,
    /// What hooks and metrics say: by name, or else agreement and 100.
    answers: Vec<(String, Answer)>,
    /// Hooks that were asked in the last tick.
    asked: Vec<String>,
}

impl Release {
    /// A plan that was initialised with the revision `v1`.
    fn new(plan: Plan) -> Self {
        let now = Time(1_000_000_000);
        let (world, state) = World::initialised(&plan, now);
        let mut release = Self { plan, world, state, now, answers: Vec::new(), asked: Vec::new() };
        release.tick();
        release
    }

    /// The same with a new revision.
    fn changed(plan: Plan) -> Self {
        let mut release = Self::new(plan);
        release.world.target.revision = "v2".to_owned();
        release
    }

    fn say(&mut self, name: &str, answer: Answer) {
        self.answers.retain(|(known, _)| known != name);
        self.answers.push((name.to_owned(), answer));
    }

    fn name(plan: &Plan, question: &Question) -> String {
        match question.about {
            About::Hook(index) => plan.webhooks[index].name.clone(),
            About::Metric(index) => plan.metrics[index].name.clone(),
            About::MetricServers => "metric servers".to_owned(),
        }
    }

    /// Lets an interval pass: the tick, and a second later whatever is due then.
    fn tick(&mut self) {
        self.now = self.now + self.plan.interval;
        self.asked.clear();
        self.call();
        self.now = self.now + Span::seconds(1);
        self.call();
        self.state.tick.due = self.now + self.plan.interval;
    }

    fn call(&mut self) {
        let (plan, answers, asked) = (&self.plan, &self.answers, &mut self.asked);
        self.state = self.world.turn(plan, &self.state, self.now, |question| {
            let name = Self::name(plan, question);
            asked.push(name.clone());
            let said =
                answers.iter().find(|(known, _)| *known == name).map(|(_, answer)| answer.clone());
            said.unwrap_or(match question.about {
                About::Hook(_) | About::MetricServers => Answer::Yes,
                About::Metric(_) => Answer::Value(100.0),
            })
        });
    }

    /// `Phase weight` of each tick from now on, until the phase is `end` or 40 ticks have passed.
    fn until(&mut self, end: Phase) -> Vec<String> {
        let mut seen = Vec::new();
        while seen.len() < 40 {
            self.tick();
            seen.push(self.shown());
            if self.state.phase == end {
                break;
            }
        }
        seen
    }

    /// The phase, the canary's weight, `m` while mirroring and the number of failed checks if there are any.
    fn shown(&self) -> String {
        let routes = self.world.routes.clone().unwrap_or_default();
        let mirror = if routes.mirror.is_some() { " m" } else { "" };
        let failed = match self.state.failed_checks() {
            0 => String::new(),
            failed => format!(" f{failed}"),
        };
        format!("{:?} {}{mirror}{failed}", self.state.phase, routes.canary)
    }

    fn events(&self) -> Vec<&str> {
        self.state.history.iter().map(|decision| decision.event.as_str()).collect()
    }

    fn did(&self, action: &Action) -> usize {
        self.world.log.iter().filter(|done| *done == action).count()
    }
}
