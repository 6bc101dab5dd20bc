//! What a Job does next: a function from what is there to what to write.
//!
//! No end of a pod is counted twice or lost, wherever the process ends: a finalizer holds the pod, first its uid is written to
//! the status, then the finalizer goes, and then the uid becomes a count.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::{Job, JobSpec, JobStatus, UncountedTerminatedPods};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt as _;

use super::conditions::{self, COMPLETE, FAILED, FAILURE, SUCCESS, SUSPENDED};
use super::{index, indexes, is_tracked, uids};
use crate::deployment::status::some;
use crate::pods;

/// The pause before a pod is replaced that failed; it doubles with each failure in a row.
const PAUSE: Duration = Duration::from_secs(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(600);

/// What to do, in this order.
#[derive(Debug)]
pub(super) struct Plan {
    /// Pods to delete whose end does not count.
    pub(super) discard: Vec<Arc<Pod>>,
    /// Pods to delete whose end counts.
    pub(super) stop: Vec<Arc<Pod>>,
    /// Pods to make, by their indexes if they have such.
    pub(super) create: Vec<Option<i32>>,
    pub(super) status: JobStatus,
    /// Whether it is a problem, a reason and a message.
    pub(super) events: Vec<(bool, &'static str, String)>,
    /// Pods whose end the status holds already: they may go.
    pub(super) count: Vec<Arc<Pod>>,
    pub(super) again: Option<Duration>,
    /// The Job ended so long ago that it is to be deleted.
    pub(super) expired: bool,
}

/// Plans the next step.
pub(super) fn plan(job: &Job, pods: &[Arc<Pod>], now: Timestamp) -> Plan {
    let default = JobSpec::default();
    let spec = job.spec.as_ref().unwrap_or(&default);
    let status = job.status.clone().unwrap_or_default();
    let plan = Plan {
        discard: Vec::new(),
        stop: Vec::new(),
        create: Vec::new(),
        status,
        events: Vec::new(),
        count: Vec::new(),
        again: None,
        expired: false,
    };
    let mut planner = Planner { spec, pods, now, plan, succeeded: 0, failed: 0 };
    planner.decide();
    planner.plan
}

struct Planner<'j> {
    spec: &'j JobSpec,
    pods: &'j [Arc<Pod>],
    now: Timestamp,
    plan: Plan,
    /// Pods that ended well, or indexes that did.
    succeeded: i32,
    failed: i32,
}

impl Planner<'_> {
    fn decide(&mut self) {
        if let Some(end) = conditions::finished(&self.plan.status) {
            self.after(end);
            return;
        }
        let settled = self.count();
        self.note_suspension();
        let active: Vec<_> = self.pods.iter().filter(|pod| pods::is_active(pod)).cloned().collect();
        let ending =
            self.pods.iter().filter(|pod| pods::is_terminating(pod) && !pods::is_finished(pod));
        let ending = ending.count();
        self.note_counts(&active, ending);
        if let Some((reason, message)) = self.failure(&active) {
            conditions::set(&mut self.plan.status, FAILURE, true, (&reason, &message), self.now);
            self.plan.stop.extend(active.iter().cloned());
            if settled && active.is_empty() && ending == 0 {
                conditions::set(&mut self.plan.status, FAILED, true, (&reason, &message), self.now);
                let reason = if reason == "DeadlineExceeded" {
                    "DeadlineExceeded"
                } else {
                    "BackoffLimitExceeded"
                };
                self.plan.events.push((true, reason, message));
            }
        } else if self.is_complete(&active) {
            let words = ("CompletionsReached", "Reached expected number of succeeded pods");
            conditions::set(&mut self.plan.status, SUCCESS, true, words, self.now);
            self.plan.discard.extend(active.iter().cloned());
            if settled && active.is_empty() && ending == 0 {
                conditions::set(&mut self.plan.status, COMPLETE, true, words, self.now);
                self.plan.status.completion_time = Some(Time(self.now));
                self.plan.events.push((false, "Completed", "Job completed".to_owned()));
            }
        } else {
            self.manage(active);
        }
        self.wait_for_deadline();
    }

    /// After its end a Job stays for as long as it is wanted.
    fn after(&mut self, end: Timestamp) {
        let ended = self.pods.iter().filter(|pod| is_tracked(pod) && !pods::is_active(pod));
        self.plan.count = ended.cloned().collect();
        let Some(seconds) = self.spec.ttl_seconds_after_finished else { return };
        let left = self.left(end, u64::from(seconds.unsigned_abs()));
        self.plan.expired = left.is_zero();
        self.plan.again = Some(left);
    }

    fn left(&self, since: Timestamp, seconds: u64) -> Duration {
        let passed = Duration::try_from(self.now.duration_since(since)).unwrap_or_default();
        Duration::from_secs(seconds).saturating_sub(passed)
    }

    fn is_indexed(&self) -> bool {
        self.spec.completion_mode.as_deref() == Some("Indexed")
    }

    /// Whether a pod failed, or will have: one that is deleted does not end well any more.
    fn has_failed(&self, pod: &Pod) -> bool {
        let waits = self.spec.pod_replacement_policy.as_deref() == Some("Failed");
        match pods::phase(pod) {
            "Failed" => true,
            "Succeeded" => false,
            _ => !waits && pods::is_terminating(pod),
        }
    }

    /// Counts the pods that ended. Whether there is none left that is not counted for good.
    fn count(&mut self) -> bool {
        let before = self.plan.status.uncounted_terminated_pods.clone().unwrap_or_default();
        let tracked: HashMap<_, _> =
            self.pods.iter().filter(|pod| is_tracked(pod)).map(|pod| (pod.uid(), pod)).collect();
        let is_held = |uid: &String| tracked.contains_key(&Some(uid.clone()));
        let split = |list: Option<Vec<String>>| -> (Vec<String>, Vec<String>) {
            list.unwrap_or_default().into_iter().partition(is_held)
        };
        let (mut succeeded, over) = split(before.succeeded.clone());
        let add = |count: Option<i32>, more: usize| {
            count.unwrap_or(0).saturating_add(i32::try_from(more).unwrap_or(i32::MAX))
        };
        let counted = add(self.plan.status.succeeded, over.len());
        let (mut failed, over) = split(before.failed.clone());
        self.plan.status.failed = some(add(self.plan.status.failed, over.len()));
        let known = [uids(before.succeeded.as_ref()), uids(before.failed.as_ref())];
        let done = self.plan.status.completed_indexes.as_deref().unwrap_or_default();
        let done = indexes::parse(done);
        let mut completed = done.clone();
        for pod in self.pods.iter().filter(|pod| is_tracked(pod)) {
            let uid = pod.uid().unwrap_or_default();
            let index = index(pod).filter(|_| self.is_indexed());
            if known.iter().any(|known| known.contains(uid.as_str())) {
                self.plan.count.push(Arc::clone(pod));
            } else if pods::phase(pod) == "Succeeded" {
                match index {
                    Some(index) if done.contains(&index) => self.plan.count.push(Arc::clone(pod)),
                    Some(index) => drop(completed.insert(index)),
                    None => succeeded.push(uid),
                }
            } else if self.has_failed(pod) {
                failed.push(uid);
            }
        }
        let settled = succeeded.is_empty()
            && failed.is_empty()
            && completed == done
            && self.plan.count.is_empty();
        self.failed = add(self.plan.status.failed, failed.len());
        self.succeeded = if self.is_indexed() {
            self.note_indexes(&completed);
            i32::try_from(completed.len()).unwrap_or(i32::MAX)
        } else {
            add(Some(counted), succeeded.len())
        };
        let stands = if self.is_indexed() { self.succeeded } else { counted };
        self.plan.status.succeeded = some(stands);
        let list = |list: Vec<String>| (!list.is_empty()).then_some(list);
        self.plan.status.uncounted_terminated_pods =
            Some(UncountedTerminatedPods { failed: list(failed), succeeded: list(succeeded) });
        settled
    }

    fn note_indexes(&mut self, completed: &BTreeSet<i32>) {
        let limit = self.spec.completions.unwrap_or(0);
        let inside: BTreeSet<i32> = completed.iter().copied().filter(|it| *it < limit).collect();
        let text = indexes::text(&inside);
        self.plan.status.completed_indexes = (!text.is_empty()).then_some(text);
    }

    fn note_counts(&mut self, active: &[Arc<Pod>], ending: usize) {
        let number = |count: usize| i32::try_from(count).unwrap_or(i32::MAX);
        let ready = active.iter().filter(|pod| pods::is_ready(pod)).count();
        let status = &mut self.plan.status;
        status.active = some(number(active.len()));
        status.ready = Some(number(ready));
        status.terminating = Some(number(ending));
    }

    fn note_suspension(&mut self) {
        let suspended = self.spec.suspend.unwrap_or(false);
        let (status, now) = (&mut self.plan.status, self.now);
        let was = conditions::holds(status, SUSPENDED).is_some();
        if suspended && !was {
            let words = ("JobSuspended", "Job suspended");
            conditions::set(status, SUSPENDED, true, words, now);
            status.start_time = None;
            self.plan.events.push((false, "Suspended", words.1.to_owned()));
        } else if !suspended {
            if was && conditions::has(status, SUSPENDED) {
                let words = ("JobResumed", "Job resumed");
                conditions::set(status, SUSPENDED, false, words, now);
                status.start_time = Some(Time(now));
                self.plan.events.push((false, "Resumed", words.1.to_owned()));
            }
            status.start_time.get_or_insert(Time(now));
        }
    }

    /// Why the Job has failed, if it has: a reason and a message.
    fn failure(&self, active: &[Arc<Pod>]) -> Option<(String, String)> {
        let words = |reason: &str, message: &str| Some((reason.to_owned(), message.to_owned()));
        if let Some(stands) = conditions::holds(&self.plan.status, FAILURE) {
            let text = |it: &Option<String>| it.clone().unwrap_or_default();
            return Some((text(&stands.reason), text(&stands.message)));
        }
        if conditions::holds(&self.plan.status, SUCCESS).is_some() {
            return None;
        }
        let limit = self.spec.backoff_limit.unwrap_or(6);
        if self.failed > limit || self.restarted_too_often(active, limit) {
            return words("BackoffLimitExceeded", "Job has reached the specified backoff limit");
        }
        if self.deadline().is_some_and(|left| left.is_zero()) {
            return words("DeadlineExceeded", "Job was active longer than specified deadline");
        }
        None
    }

    /// Containers that are started again in the same pod count as failures, too.
    fn restarted_too_often(&self, active: &[Arc<Pod>], limit: i32) -> bool {
        let template = self.spec.template.spec.as_ref();
        if template.and_then(|spec| spec.restart_policy.as_deref()) != Some("OnFailure") {
            return false;
        }
        let restarts = |pod: &Pod| -> i32 {
            let status = pod.status.as_ref();
            let containers = status.and_then(|it| it.container_statuses.as_ref());
            let first = status.and_then(|it| it.init_container_statuses.as_ref());
            let all = containers.into_iter().chain(first).flatten();
            all.map(|container| container.restart_count).sum()
        };
        let total: i32 = active.iter().map(|pod| restarts(pod)).sum();
        if limit == 0 { total > 0 } else { total >= limit }
    }

    /// How long the Job may still run, if that is limited.
    fn deadline(&self) -> Option<Duration> {
        let seconds = self.spec.active_deadline_seconds?;
        let start = self.plan.status.start_time.as_ref()?.0;
        Some(self.left(start, seconds.unsigned_abs()))
    }

    fn wait_for_deadline(&mut self) {
        let Some(left) = self.deadline().filter(|left| !left.is_zero()) else { return };
        self.plan.again = Some(self.plan.again.map_or(left, |again| again.min(left)));
    }

    fn is_complete(&self, active: &[Arc<Pod>]) -> bool {
        if conditions::holds(&self.plan.status, SUCCESS).is_some() {
            return true;
        }
        match self.spec.completions {
            // A queue that one pod found empty: the others come to their end, too.
            None => self.succeeded > 0 && active.is_empty(),
            Some(completions) => self.succeeded >= completions && !self.is_suspended(),
        }
    }

    fn is_suspended(&self) -> bool {
        self.spec.suspend.unwrap_or(false)
    }

    /// Brings the number of running pods to what it is to be.
    fn manage(&mut self, mut active: Vec<Arc<Pod>>) {
        let running = i32::try_from(active.len()).unwrap_or(i32::MAX);
        let parallelism = self.spec.parallelism.unwrap_or(1);
        let wanted = match self.spec.completions {
            _ if self.is_suspended() => 0,
            None if self.succeeded > 0 => running.min(parallelism),
            None => parallelism,
            Some(completions) => (completions - self.succeeded).clamp(0, parallelism),
        };
        if running > wanted {
            pods::sort_for_deletion(&mut active, &HashMap::new(), self.now);
            active.truncate(usize::try_from(running - wanted).unwrap_or(0));
            self.plan.discard = active;
        } else if running < wanted {
            let pause = self.pause();
            if !pause.is_zero() {
                self.plan.again = Some(pause);
                return;
            }
            let missing = usize::try_from(wanted - running).unwrap_or(0);
            self.plan.create = self.free_indexes(&active, missing);
        }
    }

    /// What the pods to be made are for.
    fn free_indexes(&self, active: &[Arc<Pod>], count: usize) -> Vec<Option<i32>> {
        if !self.is_indexed() {
            return vec![None; count];
        }
        let done = self.plan.status.completed_indexes.as_deref().unwrap_or_default();
        let mut taken = indexes::parse(done);
        taken.extend(active.iter().filter_map(|pod| index(pod)));
        let all = 0..self.spec.completions.unwrap_or(0);
        all.filter(|index| !taken.contains(index)).take(count).map(Some).collect()
    }

    /// How long to wait before the next pod, for the failures since the last success.
    fn pause(&self) -> Duration {
        let created = |pod: &Pod| pod.metadata.creation_timestamp.as_ref().map(|time| time.0);
        let end = |pod: &Pod| ended_at(pod).or_else(|| created(pod)).unwrap_or(self.now);
        let successes = self.pods.iter().filter(|pod| pods::phase(pod) == "Succeeded");
        let last_success = successes.map(|pod| end(pod)).max();
        let failures = self.pods.iter().filter(|pod| pods::phase(pod) == "Failed");
        let failures: Vec<_> =
            failures.map(|pod| end(pod)).filter(|end| Some(*end) > last_success).collect();
        let Some(last) = failures.iter().max() else { return Duration::ZERO };
        let doublings = u32::try_from(failures.len() - 1).unwrap_or(u32::MAX).min(16);
        let pause = PAUSE.saturating_mul(1 << doublings).min(LONGEST_PAUSE);
        self.left(*last, pause.as_secs())
    }
}

/// When the last container of a pod ended.
fn ended_at(pod: &Pod) -> Option<Timestamp> {
    let statuses = pod.status.as_ref()?.container_statuses.as_ref()?;
    let ends = statuses.iter().filter_map(|it| {
        let end = it.state.as_ref()?.terminated.as_ref()?.finished_at.as_ref()?;
        Some(end.0)
    });
    ends.max()
}
