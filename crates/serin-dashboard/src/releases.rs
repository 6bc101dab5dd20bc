//! Releases: what a Canary says, and the list of them.

use maud::{Markup, html};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use serin_api::delivery::{Canary, FlaggerCanary};
use serin_rollout::plan::Strategy;
use serin_rollout::statistics::Evidence;
use serin_rollout::{About, Answer, Plan, routes};

use crate::objects::{self, Objects, items, text};
use crate::page::View;
use crate::parts::{self, State, state};
use crate::traffic::{Counts, Edge, Window};
use crate::world::World;

/// The groups in which there are Canaries, the first that has a name first.
pub(crate) const GROUPS: [&str; 2] = ["serin.dev", "flagger.app"];
/// The annotation of commands.
pub(crate) const COMMAND: &str = "serin.dev/command";

/// A release.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Release {
    pub(crate) name: String,
    pub(crate) namespace: String,
    pub(crate) group: &'static str,
    /// Kind and name of the workload.
    pub(crate) target: String,
    pub(crate) phase: String,
    pub(crate) since: String,
    /// Percent of the traffic that the new version gets.
    pub(crate) canary: u64,
    /// Percent that is copied to it.
    pub(crate) mirror: Option<u64>,
    pub(crate) iterations: u64,
    pub(crate) failed_checks: u64,
    pub(crate) threshold: u64,
    pub(crate) held: bool,
    pub(crate) suspended: bool,
    pub(crate) waits_for: Option<String>,
    pub(crate) started_at: Option<String>,
    pub(crate) next: Option<Next>,
    pub(crate) evidence: Option<Evidence>,
    pub(crate) decisions: Vec<Decision>,
    pub(crate) hooks: Vec<Hook>,
    /// A command that is not obeyed yet.
    pub(crate) command: Option<String>,
    pub(crate) steps: Vec<Step>,
    #[serde(skip)]
    pub(crate) versions: Option<[Version; 2]>,
}

/// What happens next if all checks pass.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Next {
    pub(crate) what: String,
    pub(crate) at: String,
}

/// Something that was decided.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Decision {
    pub(crate) time: String,
    pub(crate) warning: bool,
    pub(crate) event: String,
    pub(crate) reason: String,
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

/// A version, by everything that a proxy may know it by.
#[derive(Clone, Debug, Default)]
pub(crate) struct Version {
    workload: String,
    service: String,
    subset: String,
}

impl Version {
    /// Its workload, or, where no endpoint was found, its Service or subset.
    fn takes(&self, namespace: &str, edge: &Edge) -> bool {
        let is_here = [&edge.destination.namespace, &edge.service_namespace];
        if !is_here.iter().any(|it| ***it == *namespace) {
            return false;
        }
        if !self.subset.is_empty() {
            return *edge.subset == *self.subset && *edge.service == *self.service;
        }
        if edge.destination.workload.is_empty() {
            return *edge.service == *self.service;
        }
        *edge.destination.workload == *self.workload
    }
}

impl Release {
    /// Every release, by namespace and name.
    pub(crate) fn all(objects: &Objects) -> Vec<Self> {
        let of_group = |group| objects.all(group, "Canary").into_iter().map(move |it| (group, it));
        let all = GROUPS.into_iter().flat_map(of_group);
        let mut all: Vec<Self> = all.map(|(group, it)| Self::of(group, &it)).collect();
        all.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
        all
    }

    /// One of them.
    pub(crate) fn find(objects: &Objects, namespace: &str, name: &str) -> Option<Self> {
        let found = |group| Some((group, objects.get(group, "Canary", namespace, name)?));
        let (group, object) = GROUPS.into_iter().find_map(found)?;
        Some(Self::of(group, &object))
    }

    /// What an object says. What a controller has not written yet is at its beginning.
    fn of(group: &'static str, object: &Value) -> Self {
        let at = |path: &str| object.pointer(path).unwrap_or(&Value::Null);
        let number = |path: &str| at(path).as_u64().unwrap_or(0);
        let flag = |path: &str| at(path).as_bool().unwrap_or(false);
        let optional = |path: &str| at(path).as_str().map(str::to_owned);
        let plan = plan(group, object);
        let kind = optional("/spec/targetRef/kind").unwrap_or_else(|| "Deployment".to_owned());
        let mut release = Self {
            name: objects::name(object).to_owned(),
            namespace: objects::namespace(object).to_owned(),
            group,
            target: format!("{kind} {}", text(object, "/spec/targetRef/name")),
            phase: optional("/status/phase").unwrap_or_else(|| "Initializing".to_owned()),
            since: text(object, "/status/lastTransitionTime").to_owned(),
            canary: number("/status/canaryWeight"),
            mirror: at("/status/release/mirrorWeight").as_u64(),
            iterations: number("/status/iterations"),
            failed_checks: number("/status/failedChecks"),
            threshold: number("/spec/analysis/threshold").max(1),
            held: flag("/status/release/heldByCommand") || flag("/spec/hold"),
            suspended: flag("/spec/suspend"),
            waits_for: optional("/status/release/waitsFor"),
            started_at: optional("/status/release/startedAt"),
            next: read(at("/status/release/next")),
            evidence: read(at("/status/release/evidence")),
            decisions: read(at("/status/release/decisions")).unwrap_or_default(),
            hooks: hooks(object),
            command: object["metadata"]["annotations"][COMMAND].as_str().map(str::to_owned),
            steps: Vec::new(),
            versions: plan.as_ref().map(versions),
        };
        release.steps = plan.map(|plan| release.steps_of(&plan)).unwrap_or_default();
        release
    }

    /// The way of a release, as far as it is known before.
    fn steps_of(&self, plan: &Plan) -> Vec<Step> {
        let mut steps = Vec::new();
        let is_running = self.is_running();
        let is_promoting = matches!(self.phase.as_str(), "Promoting" | "Finalising");
        let is_over = self.phase == "Succeeded";
        let mut add = |name: String, is_done: bool, is_now: bool| {
            let place = match () {
                () if is_over || is_done => Place::Done,
                () if is_running && is_now => Place::Now,
                () => Place::Later,
            };
            steps.push(Step { name, place });
        };
        let has_weight = self.canary > 0;
        if plan.mirror.is_some() {
            let is_mirrored = self.mirror.is_some();
            add("Copies".to_owned(), is_running && has_weight || is_promoting, is_mirrored);
        }
        match plan.strategy {
            Strategy::Weighted { .. } => {
                for weight in weights(plan) {
                    let is_past = self.canary > u64::from(weight) && is_running || is_promoting;
                    let is_now = has_weight && self.canary == u64::from(weight);
                    add(format!("{weight} %"), is_past, is_now);
                }
            }
            Strategy::AbTesting | Strategy::BlueGreen => {
                let is_now = self.phase == "Progressing";
                add(format!("{} checks", plan.iterations), is_promoting, is_now);
            }
        }
        add("Promoted".to_owned(), false, is_promoting);
        steps
    }

    /// Whether it is on its way.
    pub(crate) fn is_running(&self) -> bool {
        let running = ["Waiting", "Progressing", "WaitingPromotion", "Promoting", "Finalising"];
        running.contains(&self.phase.as_str())
    }

    /// The phase in words, and how well that is.
    pub(crate) fn told(&self) -> (State, &'static str) {
        if self.suspended {
            return (State::Idle, "suspended");
        }
        match self.phase.as_str() {
            "Initializing" => (State::Busy, "being set up"),
            "Initialized" => (State::Good, "at rest"),
            _ if self.is_running() && self.held => (State::Odd, "held"),
            "Waiting" => (State::Odd, "waits for approval to begin"),
            "Progressing" if self.mirror.is_some() => (State::Busy, "tried on copies"),
            "Progressing" => (State::Busy, "being tried"),
            "WaitingPromotion" => (State::Odd, "waits for approval to promote"),
            "Promoting" => (State::Busy, "being promoted"),
            "Finalising" => (State::Busy, "being finished"),
            "Succeeded" => (State::Good, "promoted"),
            "Failed" => (State::Bad, "rolled back"),
            "Terminating" => (State::Busy, "being undone"),
            _ => (State::Idle, "undone"),
        }
    }

    /// Why it is as it is: the last decision with a reason.
    pub(crate) fn why(&self) -> Option<&Decision> {
        let warning = self.decisions.iter().rev().find(|it| it.warning && !it.reason.is_empty());
        warning.or_else(|| self.decisions.last())
    }

    /// Its page.
    pub(crate) fn link(&self) -> String {
        format!("/releases/{}/{}", parts::segment(&self.namespace), parts::segment(&self.name))
    }

    /// What went to the new version and to the one before.
    pub(crate) fn counts(&self, window: &Window) -> Option<[Counts; 2]> {
        let versions = self.versions.as_ref()?;
        let of = |version: &Version| window.sum(|edge| version.takes(&self.namespace, edge));
        Some([of(&versions[0]), of(&versions[1])])
    }
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

/// The new version, and the one that users have.
fn versions(plan: &Plan) -> [Version; 2] {
    let apex = routes::apex(plan);
    if let Some(versions) = &plan.versions {
        let of = |subset: &String| Version {
            workload: String::new(),
            service: apex.to_owned(),
            subset: subset.clone(),
        };
        return [of(&versions.canary), of(&versions.primary)];
    }
    let of = |workload: String, side: &str| Version {
        workload,
        service: format!("{apex}-{side}"),
        subset: String::new(),
    };
    [of(plan.target.clone(), "canary"), of(format!("{}-primary", plan.target), "primary")]
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
                            a href=(release.link()) { (release.name) }
                            span.quiet { " " (release.namespace) }
                        }
                        td { @let (how, word) = release.told(); (state(how, word)) }
                        td.number { (release.canary) " %" }
                        td.number { (release.failed_checks) " of " (release.threshold) }
                        td.long { (next(release)) }
                    }
                }
            }
        }
    }
}

/// What a release waits for or does next.
fn next(release: &Release) -> String {
    if !release.is_running() {
        return String::new();
    }
    let waits = release.waits_for.clone();
    waits.or_else(|| release.next.as_ref().map(|next| next.what.clone())).unwrap_or_default()
}
