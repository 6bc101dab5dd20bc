//! The status of a ReplicaSet.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{ReplicaSet, ReplicaSetCondition, ReplicaSetStatus};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt as _;

use crate::deployment::status::some;
use crate::pods;

const FAILURE: &str = "ReplicaFailure";

/// The status that the pods make, and when it will change though nothing happens. `failure` is what went wrong: a reason and
/// a message.
pub(super) fn status(
    set: &ReplicaSet,
    own: &[Arc<Pod>],
    failure: Option<(&str, String)>,
    now: Timestamp,
) -> (ReplicaSetStatus, Option<Duration>) {
    let spec = set.spec.as_ref();
    let min_ready = spec.and_then(|spec| spec.min_ready_seconds).unwrap_or(0);
    let template = spec.and_then(|spec| spec.template.as_ref()?.metadata.as_ref()?.labels.clone());
    let template = template.unwrap_or_default();
    let (mut labelled, mut ready, mut available) = (0, 0, 0);
    let mut again: Option<Duration> = None;
    for pod in own {
        let labels = pod.labels();
        labelled += i32::from(template.iter().all(|(name, value)| labels.get(name) == Some(value)));
        ready += i32::from(pods::is_ready(pod));
        match pods::availability(pod, min_ready, now) {
            Ok(()) => available += 1,
            Err(Some(lacks)) => again = Some(again.map_or(lacks, |again| again.min(lacks))),
            Err(None) => {}
        }
    }
    let before = set.status.clone().unwrap_or_default();
    let status = ReplicaSetStatus {
        replicas: i32::try_from(own.len()).unwrap_or(i32::MAX),
        fully_labeled_replicas: some(labelled),
        ready_replicas: some(ready),
        available_replicas: some(available),
        terminating_replicas: before.terminating_replicas,
        observed_generation: set.metadata.generation,
        conditions: conditions(before.conditions, failure, now),
    };
    (status, again)
}

fn conditions(
    before: Option<Vec<ReplicaSetCondition>>,
    failure: Option<(&str, String)>,
    now: Timestamp,
) -> Option<Vec<ReplicaSetCondition>> {
    let mut conditions = before.unwrap_or_default();
    let stands = conditions.iter().any(|it| it.type_ == FAILURE);
    match failure {
        Some((reason, message)) if !stands => conditions.push(ReplicaSetCondition {
            type_: FAILURE.to_owned(),
            status: "True".to_owned(),
            reason: Some(reason.to_owned()),
            message: Some(message),
            last_transition_time: Some(Time(now)),
        }),
        Some(_) => {}
        None => conditions.retain(|it| it.type_ != FAILURE),
    }
    (!conditions.is_empty()).then_some(conditions)
}
