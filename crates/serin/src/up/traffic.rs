//! The traffic of releases, as the proxies of this process have counted it.
//!
//! While a release is on its way, the cores look closer at its two versions; each question takes what they have seen.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use futures_util::future::BoxFuture;
use serin_api::ObjectRef;
use serin_control::Control;
use serin_operator::{RouteName, Sample, Sessions, Subject, Traffic};
use serin_proxy::Observer;
use serin_rollout::statistics::{Counts, MirrorInterval, Session};
use serin_rollout::{Destination, Proxies};
use serin_routing::cohort::Key;
use serin_telemetry::focus::{Arm, Difference, Focus, Pairs, Side, Sight, Sum};

/// So many sessions are remembered for how their mirrored requests differed. When more come, all are forgotten.
const REMEMBERED: usize = 100_000;

/// Asks the proxies.
pub(super) struct Counted {
    observer: Observer,
    control: OnceLock<Arc<Control>>,
    /// By namespace and name of the release.
    looks: Mutex<BTreeMap<(String, String), Look>>,
}

/// A release that is looked at.
struct Look {
    subject: Subject,
    focus: Arc<Focus>,
    has_sessions: bool,
    /// Sessions whose mirrored requests were answered differently, each way: each counts once in a run.
    differed: HashSet<(u64, Difference)>,
}

impl Counted {
    pub(super) fn new(observer: Observer) -> Self {
        Self { observer, control: OnceLock::new(), looks: Mutex::default() }
    }

    /// Who knows what proxies decide by.
    pub(super) fn set_control(&self, control: Arc<Control>) {
        // There is one.
        let _ = self.control.set(control);
    }

    fn looks(&self) -> MutexGuard<'_, BTreeMap<(String, String), Look>> {
        self.looks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the cores are asked by. Another run, or other sessions, begin anew.
    fn focus(&self, subject: &Subject) -> Result<Arc<Focus>, String> {
        let mut looks = self.looks();
        let key = key(subject);
        if let Some(look) = looks.get(&key).filter(|look| look.subject == *subject) {
            return Ok(Arc::clone(&look.focus));
        }
        let keys = match subject.session.as_str() {
            "" => Vec::new(),
            text => Key::list(text)?,
        };
        let look = Look::new(subject, keys);
        let focus = Arc::clone(&look.focus);
        looks.insert(key, look);
        Ok(focus)
    }
}

fn key(subject: &Subject) -> (String, String) {
    (subject.namespace.clone(), subject.release.clone())
}

impl Look {
    fn new(subject: &Subject, keys: Vec<Key>) -> Self {
        let has_sessions = !keys.is_empty();
        let of = subject.clone();
        let focus = Focus::new(keys, move |destination| {
            let destination = Destination {
                namespaces: [&destination.workload.namespace, &destination.service_namespace],
                workload: &destination.workload.name,
                service: &destination.service_name,
                subset: &destination.subset,
            };
            if of.canary.is_at(&destination) {
                return Some(Side::Canary);
            }
            of.primary.is_at(&destination).then_some(Side::Primary)
        });
        Self { subject: subject.clone(), focus, has_sessions, differed: HashSet::new() }
    }

    fn sample(&mut self, sight: Sight) -> Sample {
        let mut sample = Sample::default();
        sample.requests.canary = arm(&sight.canary.all);
        sample.requests.primary = arm(&sight.primary.all);
        if self.has_sessions {
            let mut sessions = Sessions {
                canary: sessions(&sight.canary),
                primary: sessions(&sight.primary),
                ..Sessions::default()
            };
            sessions.alone.canary = arm(&sight.canary.alone);
            sessions.alone.primary = arm(&sight.primary.alone);
            sample.sessions = Some(sessions);
        }
        sample.copies = arm(&sight.copies);
        sample.mirrored = (sight.pairs.all > 0).then(|| self.mirrored(&sight.pairs));
        sample
    }

    /// Pairs of answers that differ, each session once.
    fn mirrored(&mut self, pairs: &Pairs) -> MirrorInterval {
        let mut interval = MirrorInterval { pairs: pairs.all, ..MirrorInterval::default() };
        for (session, difference) in &pairs.differences {
            if self.differed.len() >= REMEMBERED {
                self.differed.clear();
            }
            let is_new = session.is_none_or(|session| self.differed.insert((session, *difference)));
            *match difference {
                Difference::CanaryFailed => &mut interval.canary_failed,
                Difference::PrimaryFailed => &mut interval.primary_failed,
                Difference::CanarySlower => &mut interval.canary_slower,
                Difference::PrimarySlower => &mut interval.primary_slower,
            } += u64::from(is_new);
        }
        interval
    }
}

fn arm(sum: &Sum) -> serin_rollout::statistics::Arm {
    let mut arm = serin_rollout::statistics::Arm {
        counts: Counts::new(sum.requests, sum.failures),
        ..Default::default()
    };
    sum.latency.counts().for_each(|(middle, count)| arm.latency.record_many(middle, count));
    arm
}

fn sessions(arm: &Arm) -> Vec<Session> {
    let of = |(id, session): (&u64, &serin_telemetry::focus::Session)| Session {
        id: *id,
        failed: session.failed,
        latency: session.latency.map(|it| it.as_secs_f64() * 1000.0),
    };
    let mut sessions: Vec<Session> = arm.sessions.iter().map(of).collect();
    sessions.sort_by_key(|it| it.id);
    sessions
}

impl Traffic for Counted {
    fn take<'a>(&'a self, subject: &'a Subject) -> BoxFuture<'a, Result<Sample, String>> {
        Box::pin(async move {
            let focus = self.focus(subject)?;
            let sight = self.observer.look_closer(&focus).await;
            let mut looks = self.looks();
            let look = looks.get_mut(&key(subject)).filter(|look| Arc::ptr_eq(&look.focus, &focus));
            // Forgotten meanwhile: nobody wants to know.
            Ok(look.map_or_else(Sample::default, |look| look.sample(sight)))
        })
    }

    fn proxies(&self, route: &RouteName<'_>, generation: i64) -> Option<Proxies> {
        let route = ObjectRef {
            api_version: route.kind.api_version(),
            kind: route.kind.name().to_owned(),
            namespace: route.namespace.to_owned(),
            name: route.name.to_owned(),
        };
        let live = self.control.get()?.live(&route)?;
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        let acked = if live.generation >= generation { live.live } else { 0 };
        Some(Proxies { acked: count(acked), total: count(live.proxies) })
    }

    fn forget(&self, namespace: &str, release: &str) {
        self.looks().remove(&(namespace.to_owned(), release.to_owned()));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn subject() -> Subject {
        Subject {
            namespace: "test".to_owned(),
            release: "podinfo".to_owned(),
            ..Subject::default()
        }
    }

    #[test]
    fn a_session_differs_once_in_a_run() {
        let mut look = Look::new(&subject(), vec![Key::SourceAddress]);
        let failed = (Some(7), Difference::CanaryFailed);
        let slower = (Some(7), Difference::CanarySlower);
        let unknown = (None, Difference::CanaryFailed);
        let pairs = Pairs { all: 9, differences: vec![failed, failed, slower, unknown, unknown] };
        let counts = |it: MirrorInterval| (it.pairs, it.canary_failed, it.canary_slower);
        assert_eq!(counts(look.mirrored(&pairs)), (9, 3, 1));
        assert_eq!(counts(look.mirrored(&pairs)), (9, 2, 0));
    }

    #[test]
    fn what_was_seen_is_a_sample() {
        let mut look = Look::new(&subject(), vec![Key::SourceAddress]);
        let mut sight = Sight::default();
        sight.canary.all.requests = 3;
        sight.canary.all.failures = 1;
        sight.canary.all.latency.record(Duration::from_millis(40));
        sight.canary.alone.requests = 1;
        let seen = serin_telemetry::focus::Session {
            failed: true,
            latency: Some(Duration::from_millis(40)),
        };
        sight.canary.sessions.insert(5, seen);
        let sample = look.sample(sight);
        assert_eq!(sample.requests.canary.counts, Counts::new(3, 1));
        let median = sample.requests.canary.latency.quantile(0.5).unwrap();
        assert!((median / 40.0 - 1.0).abs() < 0.05, "{median}");
        let sessions = sample.sessions.unwrap();
        assert_eq!(sessions.alone.canary.counts, Counts::new(1, 0));
        assert_eq!(sessions.canary, [Session { id: 5, failed: true, latency: Some(40.0) }]);
        assert_eq!(sample.mirrored, None);
    }
}
