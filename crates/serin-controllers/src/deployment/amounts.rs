//! How many: what a Deployment's replicas, surge and unavailability come to as numbers of pods.

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet, RollingUpdateDeployment};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::sets;

/// How many replicas the Deployment is to have.
pub(super) fn replicas(deployment: &Deployment) -> i32 {
    deployment.spec.as_ref().map_or(0, |spec| spec.replicas.unwrap_or(1))
}

/// Whether pods are replaced a few at a time; otherwise all are removed first.
pub(super) fn is_rolling(deployment: &Deployment) -> bool {
    let strategy = deployment.spec.as_ref().and_then(|spec| spec.strategy.as_ref());
    strategy.and_then(|strategy| strategy.type_.as_deref()) != Some("Recreate")
}

/// How many pods there may be above the replicas.
pub(super) fn surge(deployment: &Deployment) -> i32 {
    if is_rolling(deployment) { limits(deployment).0 } else { 0 }
}

/// How many of the replicas may be unavailable.
pub(super) fn unavailable(deployment: &Deployment) -> i32 {
    let replicas = replicas(deployment);
    if !is_rolling(deployment) || replicas == 0 {
        return 0;
    }
    limits(deployment).1.min(replicas)
}

/// Surge and unavailability. Parts of the surge count as whole pods, parts of the unavailability do not count; where both
/// come to nothing, one pod may be unavailable, or nothing could ever happen.
fn limits(deployment: &Deployment) -> (i32, i32) {
    let strategy = deployment.spec.as_ref().and_then(|spec| spec.strategy.as_ref());
    let default = RollingUpdateDeployment::default();
    let rolling = strategy.and_then(|it| it.rolling_update.as_ref()).unwrap_or(&default);
    let quarter = IntOrString::String("25%".to_owned());
    let replicas = replicas(deployment);
    let surge = part(rolling.max_surge.as_ref().unwrap_or(&quarter), replicas, true);
    let unavailable = part(rolling.max_unavailable.as_ref().unwrap_or(&quarter), replicas, false);
    if surge == 0 && unavailable == 0 { (0, 1) } else { (surge, unavailable) }
}

/// A number, or a percentage of a number. What is neither counts as nothing.
pub(crate) fn part(value: &IntOrString, of: i32, round_up: bool) -> i32 {
    let percentage = match value {
        IntOrString::Int(number) => return *number,
        IntOrString::String(text) => text.strip_suffix('%').and_then(|it| it.parse::<i64>().ok()),
    };
    let hundredths = percentage.unwrap_or(0) * i64::from(of);
    let whole = if round_up { (hundredths + 99).div_euclid(100) } else { hundredths / 100 };
    i32::try_from(whole).unwrap_or(i32::MAX)
}

/// How large the ReplicaSet of the template may become at once. `others` is how many pods all ReplicaSets are to have.
pub(super) fn grown(deployment: &Deployment, others: i32, new: i32) -> i32 {
    let replicas = replicas(deployment);
    if !is_rolling(deployment) {
        return replicas;
    }
    let most = replicas + surge(deployment);
    if others >= most { new } else { new + (most - others).min(replicas - new) }
}

/// By how many pods a ReplicaSet's share of the Deployment changes when the Deployment is scaled: of `to_add` (negative:
/// to take away), of which `added` were given to others.
pub(super) fn share(deployment: &Deployment, set: &ReplicaSet, to_add: i32, added: i32) -> i32 {
    if sets::replicas(set) == 0 || to_add == 0 || to_add == added {
        return 0;
    }
    let (fraction, allowed) = (fraction(deployment, set), to_add - added);
    if to_add > 0 { fraction.min(allowed) } else { fraction.max(allowed) }
}

fn fraction(deployment: &Deployment, set: &ReplicaSet) -> i32 {
    let size = sets::replicas(set);
    let wanted = replicas(deployment);
    if wanted == 0 {
        return -size;
    }
    let status = deployment.status.as_ref();
    let before = sets::most(set).or_else(|| status.and_then(|status| status.replicas)).unwrap_or(0);
    if before == 0 {
        return 0;
    }
    let most = wanted + surge(deployment);
    let share = f64::from(size) * f64::from(most) / f64::from(before);
    // Shares are small: the number of pods of one ReplicaSet.
    #[expect(clippy::cast_possible_truncation, reason = "rounded, and within what an i32 holds")]
    let share = share.round() as i32;
    share - size
}
