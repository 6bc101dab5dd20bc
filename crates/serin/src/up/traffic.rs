//! The traffic of releases, as the proxies of this process have counted it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use futures_util::future::BoxFuture;
use serin_api::ObjectRef;
use serin_control::Control;
use serin_operator::{Sample, Subject, Traffic, Version};
use serin_proxy::Observer;
use serin_rollout::Proxies;
use serin_rollout::statistics::{Counts, MirrorInterval};
use serin_telemetry::Tally;

/// Asks the proxies. What they count only grows: the difference to the last answer is what happened since.
pub(super) struct Counted {
    observer: Observer,
    control: OnceLock<Arc<Control>>,
    last: Mutex<BTreeMap<Subject, [Totals; 2]>>,
}

/// What was counted for one version so far.
#[derive(Clone, Debug, Default)]
struct Totals {
    sent: Tally,
    mirrored: Tally,
}

impl Counted {
    pub(super) fn new(observer: Observer) -> Self {
        Self { observer, control: OnceLock::new(), last: Mutex::default() }
    }

    /// Who knows what proxies decide by.
    pub(super) fn set_control(&self, control: Arc<Control>) {
        // There is one.
        let _ = self.control.set(control);
    }

    async fn totals(&self, subject: &Subject) -> [Totals; 2] {
        let mut totals = [Totals::default(), Totals::default()];
        for traffic in self.observer.traffic().await {
            let destination = &traffic.destination;
            let versions = [&subject.canary, &subject.primary];
            for (total, version) in totals.iter_mut().zip(versions) {
                let namespaces = [&destination.workload.namespace, &destination.service_namespace];
                let is_here = namespaces.iter().any(|it| ***it == subject.namespace);
                if is_here && is_of(version, destination) {
                    total.sent.add(&traffic.sent);
                    total.mirrored.add(&traffic.mirrored);
                }
            }
        }
        totals
    }
}

/// Whether a destination is a version: its workload, or, where no endpoint was found, its Service or subset.
fn is_of(version: &Version, destination: &serin_telemetry::Destination) -> bool {
    if !version.subset.is_empty() {
        return *destination.subset == version.subset
            && *destination.service_name == version.service;
    }
    if destination.workload.name.is_empty() {
        return *destination.service_name == version.service;
    }
    *destination.workload.name == version.workload
}

impl Traffic for Counted {
    fn take<'a>(&'a self, subject: &'a Subject) -> BoxFuture<'a, Result<Sample, String>> {
        Box::pin(async move {
            let now = self.totals(subject).await;
            let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(before) = last.insert(subject.clone(), now.clone()) else {
                return Ok(Sample::default());
            };
            let [canary, primary] = &now;
            let [canary_before, primary_before] = &before;
            let mut sample = Sample::default();
            for (arm, now, before) in [
                (&mut sample.requests.canary, canary, canary_before),
                (&mut sample.requests.primary, primary, primary_before),
            ] {
                let requests = now.sent.requests.saturating_sub(before.sent.requests);
                let failures = now.sent.failures.saturating_sub(before.sent.failures);
                arm.counts = Counts::new(requests, failures);
                for (milliseconds, count) in spread(&now.sent, &before.sent) {
                    (0..count).for_each(|_| arm.latency.record(milliseconds));
                }
            }
            sample.mirrored = mirrored(&canary.mirrored, &canary_before.mirrored, &sample);
            Ok(sample)
        })
    }

    fn proxies(&self, namespace: &str, route: &str, generation: i64) -> Option<Proxies> {
        let route = ObjectRef {
            api_version: "networking.istio.io/v1".to_owned(),
            kind: "VirtualService".to_owned(),
            namespace: namespace.to_owned(),
            name: route.to_owned(),
        };
        let live = self.control.get()?.live(&route)?;
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        let acked = if live.generation >= generation { live.live } else { 0 };
        Some(Proxies { acked: count(acked), total: count(live.proxies) })
    }

    fn forget(&self, subject: &Subject) {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).remove(subject);
    }
}

/// What was added to each bucket of durations, at the middle of the bucket.
fn spread(now: &Tally, before: &Tally) -> Vec<(f64, u64)> {
    let mut below = 0.0_f64;
    let mut counted = 0;
    let buckets = now.duration.cumulative().zip(before.duration.cumulative());
    let added = buckets.map(|((bound, now), (_, before))| {
        let cumulative = now.saturating_sub(before);
        let count = cumulative.saturating_sub(counted);
        counted = cumulative;
        let middle = f64::midpoint(below, bound);
        below = bound;
        (middle, count)
    });
    added.filter(|(_, count)| *count > 0).collect()
}

/// Copies against what users got in the same time. Which copy belongs to which request is not known: failures count as if they
/// never met, which makes the test slower, not wrong.
fn mirrored(now: &Tally, before: &Tally, sample: &Sample) -> Option<MirrorInterval> {
    let pairs = now.requests.saturating_sub(before.requests);
    let canary_failed = now.failures.saturating_sub(before.failures);
    let primary_failed = sample.requests.primary.counts.bad.min(pairs);
    (pairs > 0).then_some(MirrorInterval {
        pairs,
        canary_failed: canary_failed.min(pairs),
        primary_failed,
        ..MirrorInterval::default()
    })
}
