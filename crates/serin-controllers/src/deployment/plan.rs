//! What a Deployment does next: a function from what is there to what to write.
//!
//! A plan is made again after every change, also of our own, until there is nothing left to write; so each plan is one step.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{Deployment, DeploymentStatus, ReplicaSet};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;

use super::sets::{self, Sets};
use super::{amounts, status};
use crate::{owner, pods};

/// What to write.
#[derive(Debug)]
pub(crate) struct Plan {
    /// Changes of ReplicaSets, in this order.
    pub(crate) writes: Vec<Write>,
    pub(crate) status: DeploymentStatus,
    /// The revision that the Deployment has to say it is at.
    pub(crate) revision: Option<i64>,
    /// When to look again though nothing happened.
    pub(crate) again: Option<Duration>,
}

/// A change of a ReplicaSet.
#[derive(Debug)]
pub(crate) enum Write {
    /// Make it.
    Create(Box<ReplicaSet>),
    /// Change its size, and what it says.
    Change {
        set: Arc<ReplicaSet>,
        replicas: Option<i32>,
        annotations: BTreeMap<String, String>,
        min_ready_seconds: Option<i32>,
    },
    /// It is older than the history that is kept.
    Delete(Arc<ReplicaSet>),
}

/// Plans the next step. `pods` are those of all ReplicaSets.
pub(crate) fn plan(
    deployment: &Deployment,
    all: &[Arc<ReplicaSet>],
    pods: &[Arc<Pod>],
    now: Timestamp,
) -> Plan {
    let sets = Sets::sort(deployment, all);
    let before = deployment.status.clone().unwrap_or_default();
    if deployment.metadata.deletion_timestamp.is_some() {
        return Plan {
            writes: Vec::new(),
            status: status::count(deployment, &sets, &before, now),
            revision: None,
            again: None,
        };
    }
    Planner { deployment, sets, pods, now, before, writes: Vec::new(), created: None }.plan()
}

struct Planner<'d> {
    deployment: &'d Deployment,
    sets: Sets,
    pods: &'d [Arc<Pod>],
    now: Timestamp,
    /// The status so far.
    before: DeploymentStatus,
    writes: Vec<Write>,
    /// The name of the ReplicaSet that is to be made.
    created: Option<String>,
}

impl Planner<'_> {
    fn plan(mut self) -> Plan {
        status::note_pause(self.deployment, &mut self.before, self.now);
        let revision = self.note_revision();
        let spec = self.deployment.spec.as_ref();
        let paused = spec.and_then(|spec| spec.paused).unwrap_or(false);
        let status = if paused || self.is_scaled() {
            self.scale();
            if paused {
                self.clean_up();
            }
            status::count(self.deployment, &self.sets, &self.before, self.now)
        } else {
            let done =
                if amounts::is_rolling(self.deployment) { self.roll() } else { self.recreate() };
            let was = self.deployment.status.clone().unwrap_or_default();
            if done && status::is_complete(self.deployment, &was) {
                self.clean_up();
            }
            status::roll(self.deployment, &self.sets, &self.before, self.now)
        };
        let (revision, status) = self.note_creation(revision, status);
        let again = status::look_again(self.deployment, &status, self.now);
        Plan { writes: self.writes, status, revision, again }
    }

    /// The ReplicaSet of the template is the latest revision, also where it is an old one that is used again.
    fn note_revision(&mut self) -> Option<i64> {
        let set = Arc::clone(self.sets.new.as_ref()?);
        let next = self.sets.next_revision();
        let annotations = sets::missing_annotations(self.deployment, &set, next);
        let wanted = self.deployment.spec.as_ref().and_then(|spec| spec.min_ready_seconds);
        let has = set.spec.as_ref().and_then(|spec| spec.min_ready_seconds);
        let other = wanted.unwrap_or(0) != has.unwrap_or(0);
        if !annotations.is_empty() || other {
            let min_ready_seconds = other.then(|| wanted.unwrap_or(0));
            self.writes.push(Write::Change {
                set: Arc::clone(&set),
                replicas: None,
                annotations,
                min_ready_seconds,
            });
        }
        let deadline = status::deadline(self.deployment);
        if deadline.is_some() && status::find(&self.before, status::PROGRESSING).is_none() {
            let message = format!("Found new replica set {:?}", set.name_any());
            status::progress(&mut self.before, "True", "FoundNewReplicaSet", message, self.now);
        }
        let stands = sets::revision(&set);
        Some(stands.max(next))
    }

    /// Says that a ReplicaSet is made.
    fn note_creation(
        &self,
        revision: Option<i64>,
        mut status: DeploymentStatus,
    ) -> (Option<i64>, DeploymentStatus) {
        let Some(name) = &self.created else { return (revision, status) };
        if status::deadline(self.deployment).is_some() {
            let message = format!("Created new replica set {name:?}");
            status::progress(&mut status, "True", "NewReplicaSetCreated", message, self.now);
        }
        (Some(self.sets.next_revision()), status)
    }

    /// Whether the Deployment was scaled since its ReplicaSets were last looked at.
    fn is_scaled(&self) -> bool {
        let replicas = amounts::replicas(self.deployment);
        let mut active = self.sets.all().filter(|set| sets::is_active(set));
        active.any(|set| sets::desired(set).is_some_and(|desired| desired != replicas))
    }

    /// Brings the ReplicaSets to the Deployment's size without moving on from one to another.
    fn scale(&mut self) {
        let replicas = amounts::replicas(self.deployment);
        if let Some(set) = self.only() {
            self.resize(&set, replicas);
            return;
        }
        if self.sets.new.as_ref().is_some_and(|new| self.is_saturated(new)) {
            for set in self.active_old() {
                self.resize(&set, 0);
            }
            return;
        }
        if amounts::is_rolling(self.deployment) {
            self.scale_in_proportion(replicas);
        }
    }

    /// The ReplicaSet that takes the whole size: the only active one, or the latest if none is.
    fn only(&self) -> Option<Arc<ReplicaSet>> {
        let mut active = self.sets.all().filter(|set| sets::is_active(set));
        match (active.next(), active.next()) {
            (None, _) => self.sets.new.as_ref().or(self.sets.old.last()).cloned(),
            (Some(only), None) => Some(Arc::clone(only)),
            (Some(_), Some(_)) => None,
        }
    }

    fn is_saturated(&self, set: &ReplicaSet) -> bool {
        let replicas = amounts::replicas(self.deployment);
        let counts = [sets::replicas(set), sets::available(set)];
        sets::desired(set) == Some(replicas) && counts == [replicas; 2]
    }

    /// Spreads what is added or taken away over the ReplicaSets by their sizes, the larger first.
    fn scale_in_proportion(&mut self, replicas: i32) {
        let mut active: Vec<_> =
            self.sets.all().filter(|set| sets::is_active(set)).map(Arc::clone).collect();
        let total: i32 = active.iter().map(|set| sets::replicas(set)).sum();
        let allowed = if replicas > 0 { replicas + amounts::surge(self.deployment) } else { 0 };
        let to_add = allowed - total;
        active.sort_by(|left, right| {
            let size = sets::replicas(right).cmp(&sets::replicas(left));
            let age = sets::older_first(left, right);
            size.then(if to_add > 0 { age.reverse() } else { age })
        });
        let mut added = 0;
        let mut sizes = Vec::new();
        for set in &active {
            let share = amounts::share(self.deployment, set, to_add, added);
            added += share;
            sizes.push(sets::replicas(set) + share);
        }
        // What rounding left goes to the largest.
        if let Some(first) = sizes.first_mut() {
            *first = (*first + to_add - added).max(0);
        }
        for (set, size) in active.iter().zip(sizes) {
            self.resize(set, size);
        }
    }

    /// One step of a rolling update. Whether there is nothing more to do.
    fn roll(&mut self) -> bool {
        let total: i32 = self.sets.all().map(|set| sets::replicas(set)).sum();
        let replicas = amounts::replicas(self.deployment);
        let Some(new) = self.sets.new.clone() else {
            self.create(amounts::grown(self.deployment, total, 0));
            return false;
        };
        let size = sets::replicas(&new);
        let wanted =
            if size > replicas { replicas } else { amounts::grown(self.deployment, total, size) };
        if wanted != size {
            self.resize(&new, wanted);
            return false;
        }
        !self.shrink_old(&new, total)
    }

    /// Takes pods away from the old ReplicaSets, as many as leave enough available: those that are not first. Whether any.
    fn shrink_old(&mut self, new: &ReplicaSet, total: i32) -> bool {
        let old = self.active_old();
        if old.is_empty() {
            return false;
        }
        let least = amounts::replicas(self.deployment) - amounts::unavailable(self.deployment);
        let not_yet = sets::replicas(new) - sets::available(new);
        let most = total - least - not_yet;
        if most <= 0 {
            return false;
        }
        let mut sizes: Vec<i32> = old.iter().map(|set| sets::replicas(set)).collect();
        let mut taken = 0;
        for (set, size) in old.iter().zip(&mut sizes) {
            let unhealthy = (*size - sets::available(set)).max(0).min(most - taken);
            *size -= unhealthy;
            taken += unhealthy;
        }
        let available: i32 = self.sets.all().map(|set| sets::available(set)).sum();
        let mut spare = (available - least).max(0);
        for size in &mut sizes {
            let down = (*size).min(spare);
            *size -= down;
            spare -= down;
            taken += down;
        }
        for (set, size) in old.iter().zip(sizes) {
            if size != sets::replicas(set) {
                self.resize(set, size);
            }
        }
        taken > 0
    }

    /// One step of replacing all pods at once. Whether there is nothing more to do.
    fn recreate(&mut self) -> bool {
        let old = self.active_old();
        for set in &old {
            self.resize(set, 0);
        }
        if !old.is_empty() || self.old_pods_run() {
            return false;
        }
        let replicas = amounts::replicas(self.deployment);
        match self.sets.new.clone() {
            None => self.create(replicas),
            Some(new) if sets::replicas(&new) != replicas => self.resize(&new, replicas),
            Some(_) => return true,
        }
        false
    }

    /// Whether pods of earlier revisions have not ended yet; those that are being stopped still run.
    fn old_pods_run(&self) -> bool {
        let old: HashSet<_> = self.sets.old.iter().filter_map(|set| set.uid()).collect();
        self.pods.iter().filter(|pod| !pods::is_finished(pod)).any(|pod| {
            owner::controller(&pod.metadata).is_some_and(|owner| old.contains(&owner.uid))
        })
    }

    /// Removes the oldest ReplicaSets beyond the history that is kept.
    fn clean_up(&mut self) {
        let limit = self.deployment.spec.as_ref().and_then(|spec| spec.revision_history_limit);
        let Some(limit) = limit.filter(|limit| *limit != i32::MAX) else { return };
        let mut old = self.sets.old.clone();
        old.retain(|set| set.metadata.deletion_timestamp.is_none());
        old.sort_by_key(|set| sets::revision(set));
        let surplus = old.len().saturating_sub(usize::try_from(limit).unwrap_or(0));
        for set in old.into_iter().take(surplus) {
            let status = set.status.clone().unwrap_or_default();
            let settled = status.observed_generation >= set.metadata.generation;
            if status.replicas == 0 && !sets::is_active(&set) && settled {
                self.writes.push(Write::Delete(set));
            }
        }
    }

    fn active_old(&self) -> Vec<Arc<ReplicaSet>> {
        self.sets.old.iter().filter(|set| sets::is_active(set)).map(Arc::clone).collect()
    }

    fn create(&mut self, replicas: i32) {
        let set = sets::make(self.deployment, self.sets.next_revision(), replicas);
        self.created = Some(set.name_any());
        self.writes.push(Write::Create(Box::new(set)));
    }

    /// Gives a ReplicaSet a size, and tells it the Deployment's; nothing if it has and knows both.
    fn resize(&mut self, set: &Arc<ReplicaSet>, replicas: i32) {
        let mut sizes = sets::sizes(self.deployment);
        sizes.retain(|name, value| set.annotations().get(name) != Some(value));
        let size = (sets::replicas(set) != replicas).then_some(replicas);
        if size.is_none() && sizes.is_empty() {
            return;
        }
        let same = self.writes.iter_mut().find_map(|write| match write {
            Write::Change { set: other, replicas, annotations, .. } if Arc::ptr_eq(other, set) => {
                Some((replicas, annotations))
            }
            _ => None,
        });
        if let Some((replicas, annotations)) = same {
            *replicas = size;
            annotations.extend(sizes);
            return;
        }
        self.writes.push(Write::Change {
            set: Arc::clone(set),
            replicas: size,
            annotations: sizes,
            min_ready_seconds: None,
        });
    }
}
