//! What a StatefulSet does next: a function from what is there to what to write.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{StatefulSet, StatefulSetSpec, StatefulSetStatus};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;

use super::pod::ordinal;
use crate::deployment::status::some;
use crate::pods;
use crate::revisions::REVISION;

/// What to do.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) delete: Vec<Arc<Pod>>,
    /// Pods to make, by their place and the name of their revision.
    pub(super) create: Vec<(i32, String)>,
    pub(super) status: StatefulSetStatus,
    pub(super) again: Option<Duration>,
}

/// Plans the next step. `update` is the name of the revision of the template.
pub(super) fn plan(set: &StatefulSet, pods: &[Arc<Pod>], update: &str, now: Timestamp) -> Plan {
    let default = StatefulSetSpec::default();
    let spec = set.spec.as_ref().unwrap_or(&default);
    let before = set.status.clone().unwrap_or_default();
    let current = before.current_revision.clone().filter(|it| !it.is_empty());
    let current = current.unwrap_or_else(|| update.to_owned());
    let pods: BTreeMap<i32, Arc<Pod>> =
        pods.iter().filter_map(|pod| Some((ordinal(set, pod)?, Arc::clone(pod)))).collect();
    let mut planner = Planner {
        spec,
        pods,
        update,
        current,
        now,
        delete: Vec::new(),
        create: Vec::new(),
        again: None,
    };
    let status = planner.status(set, &before);
    planner.step();
    Plan { delete: planner.delete, create: planner.create, status, again: planner.again }
}

struct Planner<'s> {
    spec: &'s StatefulSetSpec,
    pods: BTreeMap<i32, Arc<Pod>>,
    update: &'s str,
    current: String,
    now: Timestamp,
    delete: Vec<Arc<Pod>>,
    create: Vec<(i32, String)>,
    again: Option<Duration>,
}

fn is_of(pod: &Pod, revision: &str) -> bool {
    pod.labels().get(REVISION).is_some_and(|it| it == revision)
}

impl Planner<'_> {
    /// The places that are to be filled.
    fn range(&self) -> std::ops::Range<i32> {
        let start = self.spec.ordinals.as_ref().and_then(|it| it.start).unwrap_or(0);
        start..start.saturating_add(self.spec.replicas.unwrap_or(1))
    }

    fn is_available(&mut self, pod: &Pod) -> bool {
        let seconds = self.spec.min_ready_seconds.unwrap_or(0);
        match pods::availability(pod, seconds, self.now) {
            Ok(()) => !pods::is_terminating(pod),
            Err(lacks) => {
                self.again = lacks.or(self.again);
                false
            }
        }
    }

    /// The first place from which on pods are of the template's revision.
    fn partition(&self) -> i32 {
        let strategy = self.spec.update_strategy.as_ref();
        let rolling = strategy.and_then(|it| it.rolling_update.as_ref());
        self.range().start.saturating_add(rolling.and_then(|it| it.partition).unwrap_or(0))
    }

    fn is_rolling(&self) -> bool {
        let strategy = self.spec.update_strategy.as_ref();
        strategy.and_then(|it| it.type_.as_deref()) != Some("OnDelete")
    }

    fn step(&mut self) {
        let in_order = self.spec.pod_management_policy.as_deref() != Some("Parallel");
        let range = self.range();
        for place in range.clone() {
            let Some(pod) = self.pods.get(&place).cloned() else {
                let old = self.is_rolling() && place < self.partition();
                let revision = if old { self.current.clone() } else { self.update.to_owned() };
                self.create.push((place, revision));
                if in_order {
                    return;
                }
                continue;
            };
            if pods::is_finished(&pod) && !pods::is_terminating(&pod) {
                // It is made again when it is gone.
                self.delete.push(pod);
            } else if self.is_available(&pod) {
                continue;
            }
            if in_order {
                return;
            }
        }
        let surplus = self.pods.iter().rev().filter(|(place, _)| !range.contains(place));
        let surplus: Vec<_> = surplus.map(|(_, pod)| Arc::clone(pod)).collect();
        let some = !surplus.is_empty();
        for pod in surplus {
            if !pods::is_terminating(&pod) {
                self.delete.push(pod);
            }
            if in_order {
                return;
            }
        }
        if self.is_rolling() && !some && self.create.is_empty() && self.delete.is_empty() {
            self.update_one();
        }
    }

    /// Replaces the last pod that is of another revision, if all after it are available.
    fn update_one(&mut self) {
        for place in (self.partition().max(self.range().start)..self.range().end).rev() {
            let Some(pod) = self.pods.get(&place).cloned() else { return };
            if !is_of(&pod, self.update) && !pods::is_terminating(&pod) {
                self.delete.push(pod);
                return;
            }
            if !self.is_available(&pod) {
                return;
            }
        }
    }

    fn status(&mut self, set: &StatefulSet, before: &StatefulSetStatus) -> StatefulSetStatus {
        let pods: Vec<_> = self.pods.values().cloned().collect();
        let number = |count: usize| i32::try_from(count).unwrap_or(i32::MAX);
        let count = |good: &dyn Fn(&Pod) -> bool| number(pods.iter().filter(|it| good(it)).count());
        let ready = count(&|pod| pods::is_ready(pod));
        let updated = count(&|pod| !pods::is_terminating(pod) && is_of(pod, self.update));
        let mut current = count(&|pod| !pods::is_terminating(pod) && is_of(pod, &self.current));
        let available = number(pods.iter().filter(|pod| self.is_available(pod)).count());
        let replicas = number(pods.len());
        let wanted = self.spec.replicas.unwrap_or(1);
        let done = updated == replicas && ready == replicas && replicas == wanted;
        if self.is_rolling() && done {
            self.update.clone_into(&mut self.current);
            current = updated;
        }
        StatefulSetStatus {
            replicas,
            ready_replicas: some(ready),
            available_replicas: Some(available),
            current_replicas: some(current),
            updated_replicas: some(updated),
            current_revision: Some(self.current.clone()),
            update_revision: Some(self.update.to_owned()),
            observed_generation: set.metadata.generation,
            collision_count: Some(before.collision_count.unwrap_or(0)),
            conditions: before.conditions.clone(),
        }
    }
}
