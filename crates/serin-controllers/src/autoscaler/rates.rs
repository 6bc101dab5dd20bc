//! How fast a target may be scaled: recommendations are steadied over a time, and policies limit the change within one.

use std::collections::VecDeque;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::autoscaling::v2::{
    HPAScalingPolicy, HPAScalingRules, HorizontalPodAutoscalerSpec,
};

/// How long the highest recommendation counts before less is done.
const DOWN_WINDOW: i32 = 300;
/// How much is remembered at most.
const REMEMBERED: usize = 1024;

/// What was recommended and done lately. It is lost when the process ends, as with Kubernetes' own.
#[derive(Clone, Debug, Default)]
pub(super) struct Memory {
    recommendations: VecDeque<(Timestamp, i32)>,
    /// Changes of the number of replicas; negative where there became fewer.
    changes: VecDeque<(Timestamp, i32)>,
}

/// A number of replicas, and what the conditions say of how it came about: a reason and a message each.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Decision {
    pub(super) replicas: i32,
    pub(super) able: (&'static str, &'static str),
    /// Whether it was limited, and by what.
    pub(super) limited: (bool, &'static str, &'static str),
}

const READY: (&str, &str) = ("ReadyForNewScale", "recommended size matches current size");
const DOWN_STEADIED: (&str, &str) = (
    "ScaleDownStabilized",
    "recent recommendations were higher than current one, applying the highest recent recommendation",
);
const UP_STEADIED: (&str, &str) = (
    "ScaleUpStabilized",
    "recent recommendations were lower than current one, applying the lowest recent recommendation",
);
const TOO_FEW: (bool, &str, &str) =
    (true, "TooFewReplicas", "the desired replica count is less than the minimum replica count");
const TOO_MANY: (bool, &str, &str) =
    (true, "TooManyReplicas", "the desired replica count is more than the maximum replica count");
const UP_LIMIT: (bool, &str, &str) = (
    true,
    "ScaleUpLimit",
    "the desired replica count is increasing faster than the maximum scale rate",
);
const DOWN_LIMIT: (bool, &str, &str) = (
    true,
    "ScaleDownLimit",
    "the desired replica count is decreasing faster than the maximum scale rate",
);
const WITHIN: (bool, &str, &str) =
    (false, "DesiredWithinRange", "the desired count is within the acceptable range");

impl Memory {
    /// The first look at a target: what it has is what was recommended.
    pub(super) fn begin(&mut self, replicas: i32, now: Timestamp) {
        if self.recommendations.is_empty() {
            self.recommendations.push_back((now, replicas));
        }
    }

    /// Remembers that the target was scaled.
    pub(super) fn note_change(&mut self, change: i32, now: Timestamp) {
        self.changes.push_back((now, change));
        if self.changes.len() > REMEMBERED {
            self.changes.pop_front();
        }
    }

    /// What becomes of a recommendation.
    pub(super) fn decide(
        &mut self,
        spec: &HorizontalPodAutoscalerSpec,
        current: i32,
        recommended: i32,
        now: Timestamp,
    ) -> Decision {
        let up = rules(spec, true);
        let down = rules(spec, false);
        let (steadied, able) = self.steady(&up, &down, current, recommended, now);
        let least = spec.min_replicas.unwrap_or(1);
        let (replicas, limited) = if steadied > current {
            // Without any behaviour the limit is one of its own.
            let limit = match spec.behavior {
                Some(_) => self.limit(&up, current, now).max(current),
                None => current.saturating_mul(2).max(4),
            };
            let most = spec.max_replicas.min(limit);
            if steadied <= most {
                (steadied, WITHIN)
            } else {
                (most, if most == spec.max_replicas { TOO_MANY } else { UP_LIMIT })
            }
        } else if steadied < current {
            let limit = self.limit(&down, current, now).min(current);
            let floor = least.max(limit);
            if steadied >= floor {
                (steadied, WITHIN)
            } else {
                (floor, if floor == least { TOO_FEW } else { DOWN_LIMIT })
            }
        } else {
            (steadied, WITHIN)
        };
        Decision { replicas, able, limited }
    }

    /// Neither above the lowest recommendation of the window for more, nor below the highest of that for fewer.
    fn steady(
        &mut self,
        up: &Rules,
        down: &Rules,
        current: i32,
        recommended: i32,
        now: Timestamp,
    ) -> (i32, (&'static str, &'static str)) {
        let (mut lowest, mut highest) = (recommended, recommended);
        for (at, recommendation) in &self.recommendations {
            if *at > now - up.window {
                lowest = lowest.min(*recommendation);
            }
            if *at > now - down.window {
                highest = highest.max(*recommendation);
            }
        }
        let longest = up.window.max(down.window);
        while self.recommendations.front().is_some_and(|(at, _)| *at <= now - longest)
            || self.recommendations.len() >= REMEMBERED
        {
            self.recommendations.pop_front();
        }
        self.recommendations.push_back((now, recommended));
        let steadied = current.max(lowest).min(highest);
        let able = match steadied.cmp(&recommended) {
            std::cmp::Ordering::Equal => READY,
            std::cmp::Ordering::Less => UP_STEADIED,
            std::cmp::Ordering::Greater => DOWN_STEADIED,
        };
        (steadied, able)
    }

    /// As far as the policies let the number go.
    fn limit(&mut self, rules: &Rules, current: i32, now: Timestamp) -> i32 {
        let longest = rules.policies.iter().map(|policy| policy.period_seconds).max().unwrap_or(0);
        let oldest = now - seconds(longest.max(1800));
        while self.changes.front().is_some_and(|(at, _)| *at <= oldest) {
            self.changes.pop_front();
        }
        let proposals =
            rules.policies.iter().map(|policy| self.propose(policy, rules.up, current, now));
        let limit = match (rules.select.as_str(), rules.up) {
            ("Disabled", _) => None,
            // The largest change.
            ("Min", true) | ("Max", false) => proposals.min(),
            _ => proposals.max(),
        };
        limit.unwrap_or(current)
    }

    fn propose(&self, policy: &HPAScalingPolicy, up: bool, current: i32, now: Timestamp) -> i32 {
        let since = now - seconds(policy.period_seconds);
        let changed: i32 =
            self.changes.iter().filter(|(at, _)| *at > since).map(|(_, change)| change).sum();
        let began = current - changed;
        let sign = if up { 1 } else { -1 };
        if policy.type_ == "Pods" {
            return began.saturating_add(sign * policy.value);
        }
        let hundredths = i64::from(began) * i64::from(100 + sign * policy.value);
        let whole = if up { (hundredths + 99).div_euclid(100) } else { hundredths / 100 };
        i32::try_from(whole).unwrap_or(i32::MAX)
    }
}

/// The rules for one direction, with what is left out filled in.
struct Rules {
    up: bool,
    window: Duration,
    select: String,
    policies: Vec<HPAScalingPolicy>,
}

fn rules(spec: &HorizontalPodAutoscalerSpec, up: bool) -> Rules {
    let behavior = spec.behavior.as_ref();
    let given =
        behavior.and_then(|it| if up { it.scale_up.as_ref() } else { it.scale_down.as_ref() });
    let default = HPAScalingRules::default();
    let given = given.unwrap_or(&default);
    let policy = |kind: &str, value: i32| HPAScalingPolicy {
        type_: kind.to_owned(),
        value,
        period_seconds: 15,
    };
    let policies = match &given.policies {
        Some(policies) if !policies.is_empty() => policies.clone(),
        _ if up => vec![policy("Pods", 4), policy("Percent", 100)],
        _ => vec![policy("Percent", 100)],
    };
    let window = given.stabilization_window_seconds.unwrap_or(if up { 0 } else { DOWN_WINDOW });
    let select = given.select_policy.clone().unwrap_or_else(|| "Max".to_owned());
    Rules { up, window: seconds(window), select, policies }
}

fn seconds(number: i32) -> Duration {
    Duration::from_secs(u64::try_from(number).unwrap_or(0))
}
