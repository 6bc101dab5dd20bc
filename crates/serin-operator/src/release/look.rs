//! What a turn sees.

use std::sync::Arc;

use serde_json::{Value, json};
use serin_rollout::facts::{Arm, Lately};
use serin_rollout::statistics::{Interval, Unit};
use serin_rollout::{
    Answer, Decision, Observation, Plan, Question, Routes, Span, State, Time, Traffic, Workload,
};

use super::{Memory, Name, Release, subject};
use crate::json;
use crate::kind::Kind;
use crate::objects::{Obstacle, Scene};
use crate::shared;
use crate::status;
use crate::traffic::{RouteName, Sample};
use crate::workload::{self, Patience};

/// How long a workload may take where nothing is said.
const DEADLINE: i64 = 600;

impl Release {
    /// Everything that a step is told, but for commands.
    pub(super) async fn observe(
        &mut self,
        scene: &Scene<'_>,
        now: Time,
    ) -> Result<Observation, Obstacle> {
        let answers = self.take_answers();
        let traffic = self.take_traffic(scene, now).await;
        let Some(memory) = &self.memory else { return Ok(Observation::default()) };
        let state = &memory.now.state;
        let [target, primary] = self.workloads(scene, state, now).await?;
        let believed = believed(memory);
        let routes = scene.observe_routes(&believed);
        let route = scene.route_object();
        let generation = route.and_then(|it| json::at(&it, "metadata/generation").as_i64());
        Ok(Observation {
            target,
            primary,
            routes,
            answers,
            traffic,
            command: None,
            proxies: generation.and_then(|generation| {
                let (kind, name) = (scene.route_kind(), scene.route_name());
                let route = RouteName { kind, namespace: &scene.plan.namespace, name };
                self.shared.settings.traffic.proxies(&route, generation)
            }),
            group: self.shared.members.of(&self.shared.cluster, scene.plan),
            is_deleted: !json::at(scene.canary, "metadata/deletionTimestamp").is_null(),
            nonce: crate::chance::number(),
        })
    }

    fn take_answers(&mut self) -> Vec<(Question, Answer)> {
        while let Some(answer) = self.answers.try_join_next() {
            self.answered.extend(answer.ok());
        }
        for (question, _) in &self.answered {
            self.asked.remove(question);
        }
        if self.answers.is_empty() {
            // Nobody is at work on any question any more, however it ended.
            self.asked.clear();
        }
        while self.errands.try_join_next().is_some() {}
        std::mem::take(&mut self.answered)
    }

    /// The traffic since the turn before, while there is a release on its way.
    async fn take_traffic(&mut self, scene: &Scene<'_>, now: Time) -> Vec<Traffic> {
        let plan = scene.plan;
        let Some(state) = self.memory.as_ref().map(|it| &it.now.state) else { return Vec::new() };
        let traffic = Arc::clone(&self.shared.settings.traffic);
        if !state.phase.is_running() {
            traffic.forget(&plan.namespace, &plan.name);
            return Vec::new();
        }
        let route = scene.route_object();
        let subject = subject::of(plan, state.started, route.as_deref());
        match traffic.take(&subject).await {
            Ok(sample) => {
                // Metrics know no difference between what users asked and what was copied.
                let mut seen = sample.requests.clone();
                seen.canary.counts.add(sample.copies.counts);
                seen.canary.latency.add(&sample.copies.latency);
                self.window.add(now, seen);
                evidence(plan, sample)
            }
            Err(error) => {
                tracing::warn!(
                    release = plan.full_name(),
                    error,
                    "the traffic could not be counted"
                );
                Vec::new()
            }
        }
    }

    async fn workloads(
        &self,
        scene: &Scene<'_>,
        state: &State,
        now: Time,
    ) -> Result<[Option<Workload>; 2], Obstacle> {
        if let Some(versions) = &scene.plan.versions {
            let canary = scene.pods_of_subset(&versions.canary).await?;
            let primary = scene.pods_of_subset(&versions.primary).await?;
            return Ok([Some(canary), Some(primary)]);
        }
        let analysis = scene.spec.analysis();
        let patience = |percent: Option<i32>| scene.patience(percent, state.since);
        let canary = patience(analysis.and_then(|it| it.canary_ready_threshold));
        let primary = patience(analysis.and_then(|it| it.primary_ready_threshold));
        let name = workload::primary_name(&scene.plan.target);
        let copy = workload::kind(scene.plan)
            .and_then(|kind| scene.cluster.get(kind, &scene.plan.namespace, &name));
        let unknown = status::unknown_revision(state, copy.as_deref());
        if scene.plan.releases_service() {
            let (cluster, mut seen) = (scene.cluster, [None, None]);
            if let Ok((_, target)) = scene.target() {
                let target = workload::observe_service(cluster, &target, None, &canary, now);
                seen[0] = Some(target.await?);
            }
            if let Some(copy) = copy {
                let copy = workload::observe_service(cluster, &copy, Some(unknown), &primary, now);
                seen[1] = Some(copy.await?);
            }
            return Ok(seen);
        }
        Ok([
            workload::observe_target(scene.cluster, scene.plan, &canary, now),
            workload::observe_primary(scene.cluster, scene.plan, &primary, unknown, now),
        ])
    }

    /// Tells when someone has changed the routes since the turn before.
    pub(super) async fn tell_of_edits(&mut self, scene: &Scene<'_>, seen: &Observation, now: Time) {
        let Some((routes, plan)) = self.memory.as_ref().and_then(|it| it.routes.clone()) else {
            return;
        };
        if seen.routes.as_ref() == Some(&routes) || plan != *scene.plan || seen.is_deleted {
            return;
        }
        let kind = scene.route_kind().name();
        let name = format!("{}.{}", scene.route_name(), scene.plan.namespace);
        let event = match &seen.routes {
            None => format!("{kind} {name} was removed by someone else and is made again"),
            Some(_) => {
                let editor = scene.route_editor().await.unwrap_or_else(|| "someone".to_owned());
                format!("The routes of {kind} {name} were changed by {editor} and are set back")
            }
        };
        let decision = Decision { at: now, is_warning: true, event, reason: String::new() };
        shared::record(&self.shared, scene.canary, &decision).await;
    }

    /// Tells what stands in the way, once.
    pub(super) async fn tell_obstacle(&mut self, canary: &Value, why: &str, now: Time) {
        if self.told.as_deref() == Some(why) {
            return;
        }
        let decision =
            Decision { at: now, is_warning: true, event: why.to_owned(), reason: String::new() };
        shared::record(&self.shared, canary, &decision).await;
        let Name { kind, namespace, name } = &self.name;
        let patch = status::blocked(canary, why, now);
        match self.shared.cluster.merge_status(*kind, namespace, name, &patch).await {
            Ok(_) => self.told = Some(why.to_owned()),
            // The next turn tells it again.
            Err(error) => {
                tracing::warn!(release = self.full_name(), %error, "the status cannot be written")
            }
        }
    }

    /// What the status shows of this moment.
    pub(super) fn window_live(&self, plan: &Plan, state: &State, now: Time) -> Value {
        use serin_rollout::Side;
        let mut live = status::live(plan, state);
        let span = Span::seconds(60).0.min(now.since(state.started).0.max(1000));
        let of = |side| {
            let arm = self.window.last(side, now, Span(span));
            let seconds = span as f64 / 1000.0;
            Arm {
                requests_per_second: (arm.counts.total as f64 / seconds * 10.0).round() / 10.0,
                requests: arm.counts.total,
                failures: arm.counts.bad,
                p50: arm.latency.quantile(0.5),
                p99: arm.latency.quantile(0.99),
            }
        };
        let lately = state.phase.is_running().then(|| Lately {
            seconds: u64::try_from(span / 1000).unwrap_or_default(),
            canary: of(Side::Canary),
            primary: of(Side::Primary),
        });
        json::set(&mut live, "lately", json!(lately));
        live
    }
}

/// The routes that may be in place: those that shall be, what a step makes of them while a version has no pods, and those
/// that were there in the turn before.
fn believed(memory: &Memory) -> Vec<Routes> {
    let wanted = &memory.now.state.routes;
    let mut all: Vec<Routes> = memory.routes.iter().map(|(routes, _)| routes.clone()).collect();
    all.insert(0, wanted.clone());
    for canary in [wanted.canary, 0, 100] {
        for mirror in [wanted.mirror, None] {
            all.push(Routes { canary, mirror, ..wanted.clone() });
        }
    }
    all
}

/// A sample as the plan wants it counted.
fn evidence(plan: &Plan, sample: Sample) -> Vec<Traffic> {
    let by_session = plan.evidence.as_ref().is_none_or(|it| it.unit == Unit::Session);
    let reached = sample.requests.canary.counts.total;
    let mut traffic = Vec::new();
    let counts = match sample.sessions.filter(|_| by_session) {
        Some(sessions) => {
            // Those that belong to no session are told as counts, with their number.
            let alone = sessions.alone.canary.counts.total;
            traffic.push(Traffic::Reached(reached.saturating_sub(alone)));
            traffic.push(Traffic::Sessions(sessions.canary, sessions.primary));
            sessions.alone
        }
        None => sample.requests,
    };
    if counts != Interval::default() {
        traffic.push(Traffic::Counts(counts));
    }
    traffic.extend(sample.mirrored.map(Traffic::Mirrored));
    traffic
}

impl Scene<'_> {
    pub(super) fn patience(&self, percent: Option<i32>, since: Time) -> Patience {
        let deadline = json::at(self.canary, "spec/progressDeadlineSeconds").as_i64();
        Patience {
            deadline: Span::seconds(deadline.filter(|it| *it > 0).unwrap_or(DEADLINE)),
            percent: percent.and_then(|it| u32::try_from(it).ok()).unwrap_or(100),
            since,
        }
    }

    /// The workload as it is.
    pub(super) fn target_now(&self, now: Time) -> Option<Workload> {
        workload::observe_target(self.cluster, self.plan, &self.patience(None, now), now)
    }

    /// A subset, as its pods are.
    async fn pods_of_subset(&self, subset: &str) -> Result<Workload, Obstacle> {
        let labels = self.labels_of_subset(subset)?;
        let labels: Vec<String> =
            labels.into_iter().map(|(key, value)| format!("{key}={value}")).collect();
        let pods = self.cluster.list(Kind::Pod, &self.plan.namespace, &labels.join(",")).await?;
        Ok(workload::of_subset(subset, &pods))
    }
}
