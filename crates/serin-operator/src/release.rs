//! One release: its turn, about once a second.
//!
//! A turn observes, asks `serin_rollout::step` what is to be done, does it in that order, and stores the state after it. When
//! something goes wrong on the way nothing is stored, and the next turn decides anew from what was stored and what is.

mod carry_out;
mod look;
mod subject;

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Value, json};
use serin_api::delivery::{Canary, FlaggerCanary};
use serin_api::{DecodeError, Object};
use serin_rollout::facts::COMMAND;
use serin_rollout::{
    Action, Answer, Observation, Phase, Plan, Question, Routes, Span, Step, Time, step,
};
use tokio::task::JoinSet;

use crate::json;
use crate::kind::Kind;
use crate::objects::{Obstacle, Scene};
use crate::shared::Shared;
use crate::status::{self, Stored};
use crate::traffic::Window;

/// The finalizer of releases that are undone with their object.
const FINALIZER: &str = "finalizer.flagger.app";
/// Evidence is stored this often.
const STORED_EVERY: Span = Span::seconds(5);

/// What became of a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// The release goes on.
    Done,
    /// Its object is gone.
    Gone,
}

/// The name of a release.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name {
    /// In which group.
    pub kind: Kind,
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
}

/// A Canary that is being looked after.
pub struct Release {
    shared: Arc<Shared>,
    name: Name,
    memory: Option<Memory>,
    /// Questions that were put.
    asked: BTreeSet<Question>,
    answers: JoinSet<(Question, Answer)>,
    /// Answers that came between two turns.
    answered: Vec<(Question, Answer)>,
    /// Whoever is told something, beside the release's way.
    errands: JoinSet<()>,
    /// The obstacle that was told last.
    told: Option<String>,
    window: Window,
}

/// What is known of a release between its turns.
struct Memory {
    /// As it is.
    now: Stored,
    /// As it was stored last, and when.
    stored: Stored,
    stored_at: Time,
    /// The routes that were in place at the end of the turn before, under which plan.
    routes: Option<(Routes, Plan)>,
    /// Whether the status cannot hold the state.
    is_pruned: bool,
}

/// A Canary as read.
struct Read {
    object: Arc<Value>,
    spec: Canary,
    plan: Plan,
}

impl Release {
    /// A release that has had no turn yet.
    pub fn new(shared: Arc<Shared>, name: Name) -> Self {
        Self {
            shared,
            name,
            memory: None,
            asked: BTreeSet::new(),
            answers: JoinSet::new(),
            answered: Vec::new(),
            errands: JoinSet::new(),
            told: None,
            window: Window::default(),
        }
    }

    /// One turn.
    ///
    /// # Errors
    /// What stood in the way. The next turn tries again.
    pub async fn turn(&mut self, now: Time) -> Result<Turn, Obstacle> {
        let Name { kind, namespace, name } = self.name.clone();
        let Some(object) = self.shared.cluster.get(kind, &namespace, &name) else {
            self.leave();
            return Ok(Turn::Gone);
        };
        let result = match read(kind, &object) {
            Ok(read) => self.turn_of(&read, now).await,
            Err(error) => Err(Obstacle::Impossible(format!("the Canary cannot be read: {error}"))),
        };
        match result {
            Err(Obstacle::Impossible(why)) => {
                self.tell_obstacle(&object, &why, now).await;
                Err(Obstacle::Impossible(why))
            }
            // The object went while it was worked on.
            Err(Obstacle::Api(error))
                if error.code() == 404
                    && matches!(
                        self.shared.cluster.read(kind, &namespace, &name).await,
                        Ok(None)
                    ) =>
            {
                self.leave();
                Ok(Turn::Gone)
            }
            // Trying again does not help: someone has to do something.
            Err(Obstacle::Api(error)) if error.is_refusal() => {
                self.tell_obstacle(&object, &error.to_string(), now).await;
                Err(error.into())
            }
            other => other,
        }
    }

    async fn turn_of(&mut self, read: &Read, now: Time) -> Result<Turn, Obstacle> {
        let shared = Arc::clone(&self.shared);
        let scene = Scene {
            cluster: &shared.cluster,
            settings: &shared.settings,
            plan: &read.plan,
            spec: &read.spec,
            canary: &read.object,
        };
        scene.can_be()?;
        if self.memory.is_none() {
            self.memory = Some(self.remember(&scene, now).await?);
        }
        self.keep_finalizer(&scene).await?;
        let (command, clear) = self.command(&read.object);
        let mut seen = self.observe(&scene, now).await?;
        seen.command = command;
        self.tell_of_edits(&scene, &seen, now).await;
        let Some(memory) = &self.memory else { return Ok(Turn::Done) };
        let next = step(&read.plan, &memory.now.state, &seen, now);
        let obeyed = clear.clone();
        self.carry_out_all(&scene, &seen, &next, now).await?;
        self.finish(&scene, &seen, next, obeyed, now).await?;
        if let Some(command) = clear {
            self.clear_command(&read.object, &command).await?;
        }
        self.told = None;
        Ok(Turn::Done)
    }

    /// What was stored, as it is in the API now.
    async fn remember(&self, scene: &Scene<'_>, now: Time) -> Result<Memory, Obstacle> {
        let Name { kind, namespace, name } = &self.name;
        let object = self.shared.cluster.read(*kind, namespace, name).await?.unwrap_or_default();
        let target = scene.target_now(now);
        let stored = target.map_or_else(
            || status::load(&object, "", &Default::default()),
            |target| status::load(&object, &target.revision, &target.configs),
        );
        Ok(Memory { now: stored.clone(), stored, stored_at: now, routes: None, is_pruned: false })
    }

    /// The command that someone gave and that was not obeyed yet, and the text that is to be cleared.
    fn command(&self, canary: &Value) -> (Option<serin_rollout::Command>, Option<String>) {
        let text = json::texts(canary, "metadata/annotations").remove(COMMAND);
        let obeyed = self.memory.as_ref().and_then(|it| it.now.obeyed.clone());
        match text {
            Some(text) if Some(&text) == obeyed.as_ref() => (None, Some(text)),
            Some(text) => (subject::command(&text), Some(text)),
            None => (None, None),
        }
    }

    async fn clear_command(&self, canary: &Value, command: &str) -> Result<(), Obstacle> {
        let path = format!("/metadata/annotations/{}", COMMAND.replace('/', "~1"));
        let operations = json!([
            {"op": "test", "path": path, "value": command},
            {"op": "remove", "path": path},
        ]);
        let (namespace, name) = (json::namespace(canary), json::name(canary));
        match self.shared.cluster.edit(self.name.kind, namespace, name, &operations).await {
            // Someone has given another command meanwhile.
            Err(error) if error.code() == 422 || error.code() == 409 => Ok(()),
            Err(error) => Err(error.into()),
            Ok(_) => Ok(()),
        }
    }

    /// Stores what is now, if it is news, and lets others know.
    async fn finish(
        &mut self,
        scene: &Scene<'_>,
        seen: &Observation,
        next: Step,
        obeyed: Option<String>,
        now: Time,
    ) -> Result<(), Obstacle> {
        let Some(memory) = &mut self.memory else { return Ok(()) };
        let after = Stored { state: next.state, obeyed };
        let is_due =
            now.since(memory.stored_at) >= STORED_EVERY && status::is_other(&memory.stored, &after);
        // In the place of the obstacle that the status tells of.
        let is_free = self.told.is_some();
        let is_first = memory.stored == Stored::default() || is_free;
        if is_first || is_due || status::is_news(&memory.stored, &after) {
            let mut live = self.window_live(scene.plan, &after.state, now);
            let route = scene.route_object();
            json::set(&mut live, "unit", json!(subject::unit(scene.plan, route.as_deref())));
            self.store(scene, &after, live).await?;
            if let Some(memory) = &mut self.memory {
                memory.stored = after.clone();
                memory.stored_at = now;
            }
        }
        let Some(memory) = &mut self.memory else { return Ok(()) };
        if after.state.phase != memory.now.state.phase && after.state.phase == Phase::Progressing {
            self.window.clear();
        }
        let set = next.actions.iter().rev().find_map(|it| match it {
            Action::SetRoutes(routes) => Some(routes.clone()),
            _ => None,
        });
        let routes = set.or_else(|| seen.routes.clone());
        memory.routes = routes.map(|routes| (routes, scene.plan.clone()));
        let numbers = &self.shared.report;
        numbers.note(scene.plan, &memory.now.state, &after.state, now);
        self.shared.members.note(scene.plan, &after.state);
        memory.now = after;
        Ok(())
    }

    async fn store(
        &mut self,
        scene: &Scene<'_>,
        after: &Stored,
        live: Value,
    ) -> Result<(), Obstacle> {
        let Name { kind, namespace, name } = &self.name;
        let patch = status::patch(scene.plan, scene.canary, after, live);
        let cluster = &self.shared.cluster;
        let mut is_pruned = self.memory.as_ref().is_some_and(|it| it.is_pruned);
        if !is_pruned {
            let written = cluster.merge_status(*kind, namespace, name, &patch).await?;
            is_pruned = json::text(&written, "status/release/state").is_empty();
        }
        if is_pruned {
            // First the state as a whole, then what is made from it.
            let text = json::at(&patch, "status/release/state").clone();
            let annotation = json!({"metadata": {"annotations": {status::ANNOTATION: text}}});
            cluster.merge(*kind, namespace, name, &annotation).await?;
            cluster.merge_status(*kind, namespace, name, &patch).await?;
        }
        if let Some(memory) = &mut self.memory {
            memory.is_pruned = is_pruned;
        }
        Ok(())
    }

    async fn keep_finalizer(&self, scene: &Scene<'_>) -> Result<(), Obstacle> {
        let is_deleted = !json::at(scene.canary, "metadata/deletionTimestamp").is_null();
        let has = finalizers(scene.canary).iter().any(|it| it == FINALIZER);
        if is_deleted || has == scene.plan.reverts_on_deletion {
            return Ok(());
        }
        self.set_finalizer(scene, !has).await
    }

    async fn set_finalizer(&self, scene: &Scene<'_>, wanted: bool) -> Result<(), Obstacle> {
        let mut list = finalizers(scene.canary);
        list.retain(|it| it != FINALIZER);
        if wanted {
            list.push(FINALIZER.to_owned());
        }
        let Name { kind, namespace, name } = &self.name;
        let patch = json!({"metadata": {"finalizers": list}});
        match self.shared.cluster.merge(*kind, namespace, name, &patch).await {
            Err(error) if error.code() == 404 => Ok(()),
            Err(error) => Err(error.into()),
            Ok(_) => Ok(()),
        }
    }

    pub(crate) fn clock(&self) -> fn() -> Time {
        self.shared.settings.clock
    }

    pub(crate) fn full_name(&self) -> String {
        format!("{}.{}", self.name.name, self.name.namespace)
    }

    /// Waits for the next turn, or for an answer.
    pub(crate) async fn wait(&mut self, pause: std::time::Duration) {
        if self.answers.is_empty() {
            tokio::time::sleep(pause).await;
            return;
        }
        let answer = tokio::time::timeout(pause, self.answers.join_next()).await;
        if let Ok(Some(Ok(answer))) = answer {
            self.answered.push(answer);
        }
    }

    /// Waits until everything that was asked is answered and everybody is told. Turns need not wait for it; tests may.
    pub async fn settle(&mut self) {
        while let Some(answer) = self.answers.join_next().await {
            self.answered.extend(answer.ok());
        }
        while self.errands.join_next().await.is_some() {}
    }

    /// Whether questions are waiting for an answer, or answers for a turn.
    pub fn has_questions(&self) -> bool {
        !self.answers.is_empty() || !self.answered.is_empty()
    }

    fn leave(&mut self) {
        let Name { namespace, name, .. } = &self.name;
        self.shared.members.leave(namespace, name);
        self.shared.report.leave(namespace, name);
        self.shared.settings.traffic.forget(namespace, name);
        self.answers.abort_all();
    }
}

fn finalizers(object: &Value) -> Vec<String> {
    let list = json::items(object, "metadata/finalizers").iter();
    list.filter_map(|it| it.as_str().map(str::to_owned)).collect()
}

fn read(kind: Kind, object: &Arc<Value>) -> Result<Read, DecodeError> {
    let object = Arc::clone(object);
    if kind == Kind::Canary {
        let canary = Object::<Canary>::from_value(&object)?;
        return Ok(Read { plan: Plan::of(&canary), spec: canary.spec, object });
    }
    let canary = Object::<FlaggerCanary>::from_value(&object)?;
    Ok(Read { plan: Plan::of_flagger(&canary), spec: canary.spec.0, object })
}
