//! Releases: what a Canary says, and the list of them.

use maud::{Markup, html};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use serin_api::delivery::{Canary, FlaggerCanary};
use serin_rollout::facts::Facts;
use serin_rollout::plan::Strategy;
use serin_rollout::{About, Answer, Destination, Phase, Plan, Side, Version};

use crate::objects::{Objects, items, text};
use crate::page::View;
use crate::parts::{self, State, state};
use crate::traffic::{Counts, Edge, Window};
use crate::world::World;

/// The groups and versions in which there are Canaries, the first that has a name first.
const GROUPS: [(&str, &str); 2] = [("serin.dev", "v1alpha1"), ("flagger.app", "v1beta1")];

/// A release.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Release {
    #[serde(flatten)]
    pub(crate) facts: Facts,
    pub(crate) hooks: Vec<Hook>,
    pub(crate) steps: Vec<Step>,
    /// The new version, and the one that users have.
    #[serde(skip)]
    pub(crate) versions: Option<[Version; 2]>,
}

/// A service that is asked or told.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Hook {
    pub(crate) name: String,
    /// When it is asked.
    pub(crate) when: String,
    pub(crate) url: String,
    /// What it said in the check that is under way.
    pub(crate) answer: Option<String>,
}

/// A part of a release's way.
#[derive(Clone, Debug, Serialize, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) name: String,
    pub(crate) place: Place,
}

/// Where the release is, seen from a step.
#[derive(Clone, Copy, Debug, Serialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Place {
    Done,
    Now,
    Later,
}

impl Release {
    /// Every release, by namespace and name.
    pub(crate) fn all(objects: &Objects) -> Vec<Self> {
        let of_group =
            |group: (_, _)| objects.all(group.0, "Canary").into_iter().map(move |it| (group, it));
        let all = GROUPS.into_iter().flat_map(of_group);
        let mut all: Vec<Self> = all.map(|(group, it)| Self::of(group, &it)).collect();
        let place = |it: &Self| (it.facts.namespace.clone(), it.facts.name.clone());
        all.sort_by_key(place);
        all
    }

    /// One of them.
    pub(crate) fn find(objects: &Objects, namespace: &str, name: &str) -> Option<Self> {
        let found = |group: (&'static str, _)| {
            Some((group, objects.get(group.0, "Canary", namespace, name)?))
        };
        let (group, object) = GROUPS.into_iter().find_map(found)?;
        Some(Self::of(group, &object))
    }

    fn of((group, version): (&str, &str), object: &Value) -> Self {
        let plan = plan(group, object);
        let both = |plan: &Plan| [Side::Canary, Side::Primary].map(|side| plan.version(side));
        let facts = Facts::of(&format!("{group}/{version}"), object);
        Self {
            hooks: hooks(object),
            steps: plan.as_ref().map(|plan| steps(&facts, plan)).unwrap_or_default(),
            versions: plan.as_ref().map(both),
            facts,
        }
    }

    /// The phase in words, and how well that is.
    pub(crate) fn told(&self) -> (State, &'static str) {
        let facts = &self.facts;
        if facts.suspended {
            return (State::Idle, "suspended");
        }
        match facts.phase {
            Phase::Initializing => (State::Busy, "being set up"),
            Phase::Initialized => (State::Good, "at rest"),
            phase if phase.is_running() && facts.held => (State::Odd, "held"),
            Phase::Waiting => (State::Odd, "waits for approval to begin"),
            Phase::Progressing if facts.weights.mirror.is_some() => {
                (State::Busy, "tried on copies")
            }
            Phase::Progressing => (State::Busy, "being tried"),
            Phase::WaitingPromotion => (State::Odd, "waits for approval to promote"),
            Phase::Promoting => (State::Busy, "being promoted"),
            Phase::Finalising => (State::Busy, "being finished"),
            Phase::Succeeded => (State::Good, "promoted"),
            Phase::Failed => (State::Bad, "rolled back"),
            Phase::Terminating => (State::Busy, "being undone"),
            Phase::Terminated => (State::Idle, "undone"),
        }
    }

    /// The group of its Canary.
    pub(crate) fn group(&self) -> &str {
        self.facts.api_version.split('/').next().unwrap_or_default()
    }

    /// Its page.
    pub(crate) fn link(&self) -> String {
        format!(
            "/releases/{}/{}",
            parts::segment(&self.facts.namespace),
            parts::segment(&self.facts.name)
        )
    }

    /// What went to the new version and to the one before.
    pub(crate) fn counts(&self, window: &Window) -> Option<[Counts; 2]> {
        let versions = self.versions.as_ref()?;
        let of = |version: &Version| window.sum(|edge| version.is_at(&destination(edge)));
        Some([of(&versions[0]), of(&versions[1])])
    }
}

fn destination(edge: &Edge) -> Destination<'_> {
    Destination {
        namespaces: [&edge.destination.namespace, &edge.service_namespace],
        workload: &edge.destination.workload,
        service: &edge.service,
        subset: &edge.subset,
    }
}

/// The way of a release, as far as it is known before.
fn steps(facts: &Facts, plan: &Plan) -> Vec<Step> {
    let mut steps = Vec::new();
    let is_running = facts.is_running();
    let is_promoting = matches!(facts.phase, Phase::Promoting | Phase::Finalising);
    let is_over = facts.phase == Phase::Succeeded;
    let mut add = |name: String, is_done: bool, is_now: bool| {
        let place = match () {
            () if is_over || is_done => Place::Done,
            () if is_running && is_now => Place::Now,
            () => Place::Later,
        };
        steps.push(Step { name, place });
    };
    let has_weight = facts.weights.canary > 0;
    if plan.mirror.is_some() {
        let is_mirrored = facts.weights.mirror.is_some();
        add("Copies".to_owned(), is_running && has_weight || is_promoting, is_mirrored);
    }
    match plan.strategy {
        Strategy::Weighted { .. } => {
            for weight in weights(plan) {
                let is_past =
                    facts.weights.canary > u64::from(weight) && is_running || is_promoting;
                let is_now = has_weight && facts.weights.canary == u64::from(weight);
                add(format!("{weight} %"), is_past, is_now);
            }
        }
        Strategy::AbTesting | Strategy::BlueGreen => {
            let is_now = facts.phase == Phase::Progressing;
            add(format!("{} checks", plan.iterations), is_promoting, is_now);
        }
    }
    add("Promoted".to_owned(), false, is_promoting);
    steps
}

fn read<T: for<'de> Deserialize<'de>>(value: &Value) -> Option<T> {
    T::deserialize(value).ok()
}

fn plan(group: &str, object: &Value) -> Option<Plan> {
    if group == "serin.dev" {
        return Some(Plan::of(&serin_api::Object::<Canary>::from_value(object).ok()?));
    }
    Some(Plan::of_flagger(&serin_api::Object::<FlaggerCanary>::from_value(object).ok()?))
}

/// The weights of the steps.
fn weights(plan: &Plan) -> Vec<u32> {
    if !plan.step_weights.is_empty() {
        return plan.step_weights.clone();
    }
    let step = plan.step_weight.max(1);
    (1..)
        .map(|number| (number * step).min(plan.max_weight))
        .scan(false, |is_over, weight| {
            let next = (!*is_over).then_some(weight);
            *is_over = weight >= plan.max_weight;
            next
        })
        .collect()
}

/// The hooks of the plan, with the answers of the check that is under way.
fn hooks(object: &Value) -> Vec<Hook> {
    let state: Value =
        serde_json::from_str(text(object, "/status/release/state")).unwrap_or_default();
    let answers: Vec<(serin_rollout::Question, Answer)> =
        read(&state["state"]["tick"]["answers"]).unwrap_or_default();
    let hooks = items(object, "/spec/analysis/webhooks").iter().enumerate();
    hooks
        .map(|(place, hook)| {
            let answer = answers.iter().find(|(question, _)| question.about == About::Hook(place));
            let kind = text(hook, "/type");
            Hook {
                name: text(hook, "/name").to_owned(),
                when: if kind.is_empty() { "rollout" } else { kind }.to_owned(),
                url: text(hook, "/url").to_owned(),
                answer: answer.map(|(_, answer)| match answer {
                    Answer::Yes => "yes".to_owned(),
                    Answer::No(why) if why.is_empty() => "no".to_owned(),
                    Answer::No(why) => format!("no: {why}"),
                    Answer::Value(value) => value.to_string(),
                    Answer::NoValue => "no value".to_owned(),
                    Answer::Failed(why) => format!("failed: {why}"),
                }),
            }
        })
        .collect()
}

/// The list of releases.
pub(crate) struct Releases(Vec<Release>);

impl Releases {
    pub(crate) fn of(world: &World) -> Self {
        Self(Release::all(&world.objects))
    }
}

impl View for Releases {
    fn title(&self) -> String {
        "Releases".to_owned()
    }

    fn html(&self) -> Markup {
        html! {
            h1 { "Releases" }
            @if self.0.is_empty() {
                p { "No service is released step by step yet. A Canary makes one so:" }
                p { (parts::command("kubectl apply -f canary.yaml")) }
            } @else {
                (parts::scroll("Releases", &table(&self.0)))
            }
        }
    }

    fn json(&self) -> Value {
        json!({"releases": self.0})
    }
}

/// A table of releases.
pub(crate) fn table(releases: &[Release]) -> Markup {
    html! {
        table {
            thead { tr {
                th scope="col" { "Release" }
                th scope="col" { "State" }
                th.number scope="col" { "New version" }
                th.number scope="col" { "Failed checks" }
                th scope="col" { "Next" }
            } }
            tbody {
                @for release in releases {
                    tr {
                        th scope="row" {
                            a href=(release.link()) { (release.facts.name) }
                            span.quiet { " " (release.facts.namespace) }
                        }
                        td { @let (how, word) = release.told(); (state(how, word)) }
                        td.number { (release.facts.weights.canary) " %" }
                        td.number { (release.facts.failed_checks) " of " (release.facts.threshold) }
                        td.long { (next(&release.facts)) }
                    }
                }
            }
        }
    }
}

/// What a release waits for or does next.
fn next(facts: &Facts) -> String {
    if !facts.is_running() {
        return String::new();
    }
    let waits = facts.waits_for.clone();
    waits.or_else(|| facts.next.as_ref().map(|next| next.what.clone())).unwrap_or_default()
}
