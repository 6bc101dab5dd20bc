//! The conditions of an autoscaler.

use jiff::Timestamp;
use k8s_openapi::api::autoscaling::v2::{
    HorizontalPodAutoscalerCondition, HorizontalPodAutoscalerStatus,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

pub(super) const ACTIVE: &str = "ScalingActive";
pub(super) const ABLE: &str = "AbleToScale";
pub(super) const LIMITED: &str = "ScalingLimited";

/// Sets a condition in its place, or first.
pub(super) fn set(
    status: &mut HorizontalPodAutoscalerStatus,
    kind: &str,
    value: bool,
    (reason, message): (&str, &str),
    now: Timestamp,
) {
    let all = status.conditions.get_or_insert_default();
    let value = if value { "True" } else { "False" };
    let index = all.iter().position(|it| it.type_ == kind).unwrap_or_else(|| {
        all.push(HorizontalPodAutoscalerCondition {
            type_: kind.to_owned(),
            ..HorizontalPodAutoscalerCondition::default()
        });
        all.len() - 1
    });
    let condition = &mut all[index];
    if condition.status != value {
        condition.last_transition_time = Some(Time(now));
        value.clone_into(&mut condition.status);
    }
    condition.reason = Some(reason.to_owned());
    condition.message = Some(message.to_owned());
}
