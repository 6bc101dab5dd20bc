//! How many replicas a metric asks for: a function of what the pods use and ask for.
//!
//! Pods that say nothing, or that only begin, must neither blow a Deployment up nor let it collapse: where they could turn
//! the decision they count against it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, Pod};
use kube::ResourceExt as _;
use serin_objects::quantity::Quantity;

use crate::pods;

/// How long after its start a pod's use of CPU may be that of its beginning.
const INITIALISATION: Duration = Duration::from_secs(300);
/// How long after its start a pod that was never ready counts as beginning.
const FIRST_READINESS: Duration = Duration::from_secs(30);
/// By how much the use may differ from the target without anything to be done.
pub(super) const TOLERANCE: f64 = 0.1;

/// What a pod used, in thousandths.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Sample {
    pub(super) value: i64,
    /// When it was measured, and over which time before.
    pub(super) at: Timestamp,
    pub(super) window: Duration,
}

/// Samples by the pods' names.
pub(super) type Samples = BTreeMap<String, Sample>;

/// What is to be kept.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Target {
    /// A percentage of what the pods ask for.
    Utilization(i32),
    /// So many thousandths a pod.
    Average(i64),
}

/// Which resource is looked at: `cpu` or `memory`, of all containers or one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Subject<'s> {
    pub(super) resource: &'s str,
    pub(super) container: Option<&'s str>,
}

/// What a metric comes to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Wanted {
    pub(super) replicas: i32,
    /// Where the target is a percentage.
    pub(super) utilization: Option<i32>,
    /// The average use, in thousandths.
    pub(super) average: i64,
}

/// By how much use may be above and below the target.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tolerances {
    pub(super) up: f64,
    pub(super) down: f64,
}

impl Tolerances {
    fn hold(self, ratio: f64) -> bool {
        1.0 - self.down <= ratio && ratio <= 1.0 + self.up
    }
}

/// Everything that a decision depends on.
pub(super) struct Situation<'s> {
    pub(super) replicas: i32,
    pub(super) pods: &'s [Arc<Pod>],
    pub(super) tolerances: Tolerances,
    pub(super) now: Timestamp,
}

/// The pods of a target by what can be said of them.
struct Groups {
    ready: usize,
    unready: BTreeSet<String>,
    missing: BTreeSet<String>,
    ignored: BTreeSet<String>,
}

/// How many replicas are wanted.
///
/// # Errors
/// Why it cannot be said.
pub(super) fn wanted(
    situation: &Situation<'_>,
    samples: &Samples,
    subject: Subject<'_>,
    target: Target,
) -> Result<Wanted, String> {
    if situation.pods.is_empty() {
        return Err("no pods returned by selector while calculating replica count".to_owned());
    }
    let groups = group(situation, samples, subject.resource);
    let mut used: BTreeMap<&str, i64> = samples
        .iter()
        .filter(|(name, _)| !groups.ignored.contains(*name) && !groups.unready.contains(*name))
        .filter(|(name, _)| situation.pods.iter().any(|pod| pod.name_any() == **name))
        .map(|(name, sample)| (name.as_str(), sample.value))
        .collect();
    if used.is_empty() {
        let why = "did not receive metrics for targeted pods (pods might be unready)";
        return Err(why.to_owned());
    }
    let requests = match target {
        Target::Utilization(_) => requests(situation.pods, subject)?,
        Target::Average(_) => BTreeMap::new(),
    };
    let first = measure(&used, &requests, target)?;
    let keep = |wanted: &Measure| wanted.with(situation.replicas);
    let beginners = !groups.unready.is_empty() && first.ratio > 1.0;
    if !beginners && groups.missing.is_empty() {
        if situation.tolerances.hold(first.ratio) {
            return Ok(keep(&first));
        }
        return Ok(first.with(ceil(first.ratio * count(groups.ready))));
    }
    // Those that say nothing: as if they used nothing where more is wanted, and all that they may where less is.
    for name in &groups.missing {
        if first.ratio < 1.0 {
            used.insert(name, fallback(name, &requests, target));
        } else if first.ratio > 1.0 {
            used.insert(name, 0);
        }
    }
    if beginners {
        used.extend(groups.unready.iter().map(|name| (name.as_str(), 0)));
    }
    let second = measure(&used, &requests, target)?.ratio;
    let turned = (first.ratio < 1.0 && second > 1.0) || (first.ratio > 1.0 && second < 1.0);
    if situation.tolerances.hold(second) || turned {
        return Ok(keep(&first));
    }
    let replicas = ceil(second * count(used.len()));
    let against = (second < 1.0 && replicas > situation.replicas)
        || (second > 1.0 && replicas < situation.replicas);
    Ok(if against { keep(&first) } else { first.with(replicas) })
}

/// What a pod that says nothing is taken to use where less may be wanted.
fn fallback(name: &str, requests: &BTreeMap<String, i64>, target: Target) -> i64 {
    match target {
        Target::Average(value) => value,
        Target::Utilization(percent) => {
            requests.get(name).copied().unwrap_or(0) * i64::from(percent.max(100)) / 100
        }
    }
}

struct Measure {
    ratio: f64,
    utilization: Option<i32>,
    average: i64,
}

impl Measure {
    fn with(&self, replicas: i32) -> Wanted {
        Wanted { replicas, utilization: self.utilization, average: self.average }
    }
}

/// The ratio of use to target.
fn measure(
    used: &BTreeMap<&str, i64>,
    requests: &BTreeMap<String, i64>,
    target: Target,
) -> Result<Measure, String> {
    let total: i64 = used.values().sum();
    let average = total / i64::try_from(used.len().max(1)).unwrap_or(1);
    match target {
        Target::Average(value) => {
            let ratio = float(average) / float(value.max(1));
            Ok(Measure { ratio, utilization: None, average })
        }
        Target::Utilization(percent) => {
            let asked = used.keys().filter_map(|name| requests.get(*name)).sum::<i64>();
            if asked == 0 {
                return Err("no metrics returned matched known pods".to_owned());
            }
            let utilization = i32::try_from(total * 100 / asked).unwrap_or(i32::MAX);
            let ratio = f64::from(utilization) / f64::from(percent.max(1));
            Ok(Measure { ratio, utilization: Some(utilization), average })
        }
    }
}

fn group(situation: &Situation<'_>, samples: &Samples, resource: &str) -> Groups {
    let mut groups = Groups {
        ready: 0,
        unready: BTreeSet::new(),
        missing: BTreeSet::new(),
        ignored: BTreeSet::new(),
    };
    for pod in situation.pods {
        let name = pod.name_any();
        if pods::is_terminating(pod) || pods::phase(pod) == "Failed" {
            groups.ignored.insert(name);
        } else if pods::phase(pod) == "Pending" {
            groups.unready.insert(name);
        } else if let Some(sample) = samples.get(&name) {
            if resource == "cpu" && begins(pod, sample, situation.now) {
                groups.unready.insert(name);
            } else {
                groups.ready += 1;
            }
        } else {
            groups.missing.insert(name);
        }
    }
    groups
}

/// Whether what a pod used says nothing yet of what it will use.
fn begins(pod: &Pod, sample: &Sample, now: Timestamp) -> bool {
    let start = pod.status.as_ref().and_then(|status| status.start_time.as_ref());
    let (Some(start), Some(ready)) = (start, pods::condition(pod, "Ready")) else { return true };
    let Some(changed) = ready.last_transition_time.as_ref() else { return true };
    if start.0 + INITIALISATION > now {
        // The sample has to be of a time in which the pod was ready throughout.
        return ready.status == "False" || sample.at < changed.0 + sample.window;
    }
    ready.status == "False" && start.0 + FIRST_READINESS > changed.0
}

/// What the pods ask for, in thousandths.
fn requests(pods: &[Arc<Pod>], subject: Subject<'_>) -> Result<BTreeMap<String, i64>, String> {
    let mut all = BTreeMap::new();
    for pod in pods {
        let Some(spec) = &pod.spec else { continue };
        let sidecars = spec.init_containers.iter().flatten();
        let sidecars = sidecars.filter(|it| it.restart_policy.as_deref() == Some("Always"));
        let mut sum = 0;
        for container in spec.containers.iter().chain(sidecars) {
            if subject.container.is_some_and(|name| name != container.name) {
                continue;
            }
            sum += request(container, subject.resource).ok_or_else(|| {
                format!(
                    "missing request for {} in container {} of Pod {}",
                    subject.resource,
                    container.name,
                    pod.name_any()
                )
            })?;
        }
        all.insert(pod.name_any(), sum);
    }
    Ok(all)
}

fn request(container: &Container, resource: &str) -> Option<i64> {
    let requests = container.resources.as_ref()?.requests.as_ref()?;
    Quantity::parse(&requests.get(resource)?.0).map(Quantity::milli)
}

fn count(number: usize) -> f64 {
    f64::from(u32::try_from(number).unwrap_or(u32::MAX))
}

#[expect(clippy::cast_precision_loss, reason = "thousandths of cores and bytes: the ratio counts")]
const fn float(value: i64) -> f64 {
    value as f64
}

#[expect(clippy::cast_possible_truncation, reason = "a cast from a float saturates")]
fn ceil(value: f64) -> i32 {
    value.ceil() as i32
}
