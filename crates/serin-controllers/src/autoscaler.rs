//! HorizontalPodAutoscalers: at an interval they compare what pods use with what they should, and scale their target.

mod conditions;
mod metric;
mod metrics;
mod rates;
pub(crate) mod target;
mod usage;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use k8s_openapi::api::autoscaling::v2::{
    HPAScalingRules, HorizontalPodAutoscaler, HorizontalPodAutoscalerSpec,
    HorizontalPodAutoscalerStatus,
};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt as _;
use serin_objects::quantity::Quantity;
use serin_objects::selector::Labels;

use self::conditions::{ABLE, ACTIVE, LIMITED};
use self::metric::Metric;
use self::rates::Memory;
use self::target::Scale;
use self::usage::{Situation, TOLERANCE, Target, Tolerances, Wanted};
use crate::objects::Key;
use crate::queue::Outcome;
use crate::world::World;

const COMPONENT: &str = "horizontal-pod-autoscaler";

/// What is remembered of each autoscaler.
#[derive(Default)]
pub(crate) struct Memories(Mutex<HashMap<Key, Memory>>);

impl Memories {
    fn with<T>(&self, key: &Key, work: impl FnOnce(&mut Memory) -> T) -> T {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        work(all.entry(key.clone()).or_default())
    }

    fn forget(&self, key: &Key) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }
}

/// Looks at an autoscaler.
pub(crate) async fn reconcile(world: Arc<World>, key: Key) -> Outcome {
    let Some(autoscaler) = world.autoscalers.get(&key) else {
        world.memories.forget(&key);
        return Ok(None);
    };
    let Some(spec) = &autoscaler.spec else { return Ok(None) };
    let mut status = autoscaler.status.clone().unwrap_or_default();
    status.observed_generation = autoscaler.metadata.generation;
    let look =
        Look { world: &world, key: &key, autoscaler: &autoscaler, spec, now: Timestamp::now() };
    look.look(&mut status).await;
    if autoscaler.status.as_ref() != Some(&status) {
        let mut changed = HorizontalPodAutoscaler::clone(&autoscaler);
        changed.status = Some(status);
        world.autoscalers.put_status(&changed).await?;
    }
    Ok(Some(world.settings.autoscaling_interval))
}

/// One look at an autoscaler.
struct Look<'l> {
    world: &'l World,
    key: &'l Key,
    autoscaler: &'l HorizontalPodAutoscaler,
    spec: &'l HorizontalPodAutoscalerSpec,
    now: Timestamp,
}

/// How many replicas are to be, and why.
struct Plan {
    replicas: i32,
    reason: String,
}

impl Look<'_> {
    async fn look(&self, status: &mut HorizontalPodAutoscalerStatus) {
        let scale = match target::get(self.world, &self.key.namespace, self.spec).await {
            Ok(scale) => scale,
            Err(why) => {
                let message = format!(
                    "the HPA controller was unable to get the target's current scale: {why}"
                );
                conditions::set(status, ABLE, false, ("FailedGetScale", &message), self.now);
                self.warn("FailedGetScale", why);
                return;
            }
        };
        let words =
            ("SucceededGetScale", "the HPA controller was able to get the target's current scale");
        conditions::set(status, ABLE, true, words, self.now);
        status.current_replicas = Some(scale.wanted);
        let current = scale.wanted;
        self.world.memories.with(self.key, |memory| memory.begin(current, self.now));
        let Some(plan) = self.plan(&scale, status).await else { return };
        if plan.replicas == current {
            status.desired_replicas = current;
            return;
        }
        match target::set(self.world, &self.key.namespace, self.spec, plan.replicas).await {
            Ok(()) => {
                let message = format!(
                    "the HPA controller was able to update the target scale to {}",
                    plan.replicas
                );
                conditions::set(status, ABLE, true, ("SucceededRescale", &message), self.now);
                let message = format!("New size: {}; reason: {}", plan.replicas, plan.reason);
                let events = &self.world.events;
                events.normal(COMPONENT, self.autoscaler, "SuccessfulRescale", message);
                let change = plan.replicas - current;
                self.world.memories.with(self.key, |memory| memory.note_change(change, self.now));
                status.desired_replicas = plan.replicas;
                status.last_scale_time = Some(Time(self.now));
            }
            Err(why) => {
                let message =
                    format!("the HPA controller was unable to update the target scale: {why}");
                conditions::set(status, ABLE, false, ("FailedUpdateScale", &message), self.now);
                let Plan { replicas, reason } = plan;
                let message = format!("New size: {replicas}; reason: {reason}; error: {why}");
                self.warn("FailedRescale", message);
                status.desired_replicas = current;
            }
        }
    }

    async fn plan(
        &self,
        scale: &Scale,
        status: &mut HorizontalPodAutoscalerStatus,
    ) -> Option<Plan> {
        let (current, least) = (scale.wanted, self.spec.min_replicas.unwrap_or(1));
        let because = |replicas, reason: &str| Some(Plan { replicas, reason: reason.to_owned() });
        if current == 0 && least != 0 {
            let message = "scaling is disabled since the replica count of the target is zero";
            conditions::set(status, ACTIVE, false, ("ScalingDisabled", message), self.now);
            return because(0, "");
        }
        if current > self.spec.max_replicas {
            let reason = "Current number of replicas above Spec.MaxReplicas";
            return because(self.spec.max_replicas, reason);
        }
        if current < least {
            return because(least, "Current number of replicas below Spec.MinReplicas");
        }
        let (recommended, name) = match self.measure(scale, status).await {
            Ok(measured) => measured,
            Err(why) => {
                status.desired_replicas = status.desired_replicas.max(0);
                self.warn("FailedComputeMetricsReplicas", why);
                return None;
            }
        };
        let memories = &self.world.memories;
        let decision = memories
            .with(self.key, |memory| memory.decide(self.spec, current, recommended, self.now));
        conditions::set(status, ABLE, true, decision.able, self.now);
        let (is_limited, reason, message) = decision.limited;
        conditions::set(status, LIMITED, is_limited, (reason, message), self.now);
        let reason = if recommended > current {
            format!("{name} above target")
        } else {
            "All metrics below target".to_owned()
        };
        Some(Plan { replicas: decision.replicas, reason })
    }

    /// The number that the most demanding metric asks for, and the name of that.
    async fn measure(
        &self,
        scale: &Scale,
        status: &mut HorizontalPodAutoscalerStatus,
    ) -> Result<(i32, String), String> {
        let selector = Labels::parse(&scale.selector).ok().filter(|it| !it.is_empty());
        let Some(selector) = selector else {
            let message = "the HPA target's scale is missing a selector";
            conditions::set(status, ACTIVE, false, ("InvalidSelector", message), self.now);
            self.warn("SelectorRequired", "selector is required".to_owned());
            return Err("selector is required".to_owned());
        };
        let mut pods = self.world.pods.in_namespace(&self.key.namespace);
        pods.retain(|pod| selector.matches(&serde_json::json!(pod.labels())));
        let list = metrics::fetch(&self.world.client, &self.key.namespace).await;
        let default = Vec::new();
        let specs = self.spec.metrics.as_ref().unwrap_or(&default);
        let (mut best, mut statuses, mut failures) = (None, Vec::new(), Vec::new());
        for spec in specs {
            let metric = Metric::read(spec);
            let wanted = match (&metric, &list) {
                (Err(why), _) => Err(why.clone()),
                (Ok(metric), Ok(list)) => self.wanted(scale, &pods, list, metric),
                (Ok(metric), Err(why)) => Err(format!(
                    "unable to get metrics for resource {}: {why}",
                    metric.subject.resource
                )),
            };
            match (metric, wanted) {
                (Ok(metric), Ok(wanted)) => {
                    statuses.push(metric.status(wanted));
                    if best.as_ref().is_none_or(|(replicas, _)| wanted.replicas > *replicas) {
                        best = Some((wanted.replicas, metric.name()));
                    }
                }
                (metric, Err(why)) => failures.push(self.failure(metric.ok().as_ref(), &why)),
                (Err(_), Ok(_)) => {}
            }
        }
        status.current_metrics = (!statuses.is_empty()).then_some(statuses);
        self.conclude(scale, best, failures, specs.len(), status)
    }

    fn conclude(
        &self,
        scale: &Scale,
        best: Option<(i32, String)>,
        failures: Vec<Failure>,
        count: usize,
        status: &mut HorizontalPodAutoscalerStatus,
    ) -> Result<(i32, String), String> {
        // What one metric asks for is not enough to take away what another, that is not known, may need.
        let enough =
            |(replicas, _): &(i32, String)| failures.is_empty() || *replicas >= scale.wanted;
        if let Some((replicas, name)) = best.filter(enough) {
            let message =
                format!("the HPA was able to successfully calculate a replica count from {name}");
            conditions::set(status, ACTIVE, true, ("ValidMetricFound", &message), self.now);
            return Ok((replicas, name));
        }
        let Some(first) = failures.first() else { return Err("there are no metrics".to_owned()) };
        let message = format!("the HPA was unable to compute the replica count: {}", first.text);
        conditions::set(status, ACTIVE, false, (first.reason, &message), self.now);
        Err(format!(
            "invalid metrics ({} invalid out of {count}), first error is: failed to get {} metric value: {}",
            failures.len(),
            first.what,
            first.text
        ))
    }

    fn wanted(
        &self,
        scale: &Scale,
        pods: &[Arc<Pod>],
        list: &metrics::PodMetricsList,
        metric: &Metric<'_>,
    ) -> Result<Wanted, String> {
        let samples = metrics::samples(list, metric.subject);
        if samples.is_empty() {
            let resource = metric.subject.resource;
            return Err(format!(
                "unable to get metrics for resource {resource}: no metrics returned from resource metrics API"
            ));
        }
        let behavior = self.spec.behavior.as_ref();
        let given = |it: Option<&HPAScalingRules>| {
            let text = it.and_then(|rules| rules.tolerance.as_ref());
            let given = text.and_then(|text| Quantity::parse(&text.0)).map(Quantity::milli);
            let given = given.and_then(|milli| u32::try_from(milli).ok());
            given.map_or(TOLERANCE, |milli| f64::from(milli) / 1000.0)
        };
        let tolerances = Tolerances {
            up: given(behavior.and_then(|it| it.scale_up.as_ref())),
            down: given(behavior.and_then(|it| it.scale_down.as_ref())),
        };
        // What is counted is what the target has, not what it is to have.
        let situation = Situation { replicas: scale.has, pods, tolerances, now: self.now };
        usage::wanted(&situation, &samples, metric.subject, metric.target)
    }

    fn failure(&self, metric: Option<&Metric<'_>>, why: &str) -> Failure {
        let failure = match metric {
            None => Failure {
                reason: "InvalidMetricSourceType",
                what: "unknown".to_owned(),
                text: why.to_owned(),
            },
            Some(metric) => {
                let resource = metric.subject.resource;
                let what = match metric.target {
                    Target::Utilization(_) => "utilization",
                    Target::Average(_) => "resource metric value",
                };
                let container = metric.subject.container.is_some();
                Failure {
                    reason: if container {
                        "FailedGetContainerResourceMetric"
                    } else {
                        "FailedGetResourceMetric"
                    },
                    what: format!(
                        "{resource} {}resource",
                        if container { "container " } else { "" }
                    ),
                    text: format!("failed to get {resource} {what}: {why}"),
                }
            }
        };
        self.warn(failure.reason, failure.text.clone());
        failure
    }

    fn warn(&self, reason: &str, message: String) {
        self.world.events.warning(COMPONENT, self.autoscaler, reason, message);
    }
}

/// Why a metric says nothing.
struct Failure {
    reason: &'static str,
    what: String,
    text: String,
}

#[cfg(test)]
mod tests;
