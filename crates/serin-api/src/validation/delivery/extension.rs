//! Rules for what `serin.dev` adds.

use crate::delivery::{Canary, MaxExposure, QuietHours, SequentialAnalysis};
use crate::validation::http_route;
use crate::validation::place::Place;
use crate::values::Duration;

pub(super) fn check(canary: &Canary, spec: &Place<'_>) {
    if let Some(versions) = &canary.versions {
        let at = spec.key("versions");
        for (field, name) in [("primary", &versions.primary), ("canary", &versions.canary)] {
            at.key(field).expect(http_route::subset_name(name));
        }
        if versions.primary == versions.canary {
            at.key("canary").error("the new version must be another subset than the primary");
        }
        if canary.autoscaler_ref.is_some() {
            spec.key("autoscalerRef")
                .warning("of no effect with versions: no workload is copied or scaled");
        }
    }
    if let Some(group) = &canary.group
        && group.name.is_empty()
    {
        spec.key("group").key("name").error("a group needs a name");
    }
    spec.key("quietHours").each(&canary.quiet_hours, quiet_hours);
    duration(&canary.scale_down_delay, &spec.key("scaleDownDelay"));
    if let Some(warm_up) = &canary.warm_up {
        duration(&warm_up.duration, &spec.key("warmUp").key("duration"));
    }
    let Some(analysis) = canary.analysis() else { return };
    let at = spec.key(if canary.analysis.is_some() { "analysis" } else { "canaryAnalysis" });
    if let Some(it) = &analysis.sequential {
        sequential(it, &at.key("sequential"));
    }
    if let Some(it) = &analysis.max_exposure {
        exposure(it, &at.key("maxExposure"));
    }
    if let Some(it) = &analysis.await_proxies {
        duration(&it.timeout, &at.key("awaitProxies").key("timeout"));
    }
}

fn duration(text: &str, at: &Place<'_>) {
    if !text.is_empty() && !text.parse::<Duration>().is_ok_and(|it| it >= Duration::ZERO) {
        at.error(format!("{text:?} is not a duration, such as 30s"));
    }
}

fn quiet_hours(hours: &QuietHours, at: &Place<'_>) {
    if hours.from == hours.to && !hours.from.is_empty() {
        at.key("to").warning("from and to are the same: the whole day is quiet");
    }
}

fn sequential(test: &SequentialAnalysis, at: &Place<'_>) {
    let share = |name: &str, value: Option<f64>| {
        if let Some(value) = value.filter(|value| !(*value > 0.0 && *value < 1.0)) {
            at.key(name).error(format!("{value} must be above 0 and below 1"));
        }
    };
    share("alpha", test.alpha);
    share("errorCeiling", test.error_ceiling);
    if test.alpha.is_some_and(|alpha| alpha > 0.2) {
        at.key("alpha").warning("so many good versions would be rolled back; 0.01 is usual");
    }
    let tolerance = test.tolerance.unwrap_or(1.0);
    if !(1.0..=100.0).contains(&tolerance) {
        at.key("tolerance").error(format!("{tolerance} must be 1 at least, and 100 at most"));
    }
    if let Some(gate) = &test.gate {
        let at = at.key("gate");
        if let Some(beta) = gate.beta.filter(|beta| !(*beta > 0.0 && *beta < 1.0)) {
            at.key("beta").error(format!("{beta} must be above 0 and below 1"));
        }
        let ratio = gate.ratio.unwrap_or(2.0);
        if ratio.is_nan() || ratio <= 1.0 {
            at.key("ratio").error(format!("{ratio} must be above 1"));
        } else if ratio <= tolerance {
            at.key("ratio").error(format!(
                "a risk of {ratio} times the primary's is tolerated, and cannot be ruled out"
            ));
        }
    }
    duration(&test.patience, &at.key("patience"));
    if test.min_requests.is_some_and(|least| least < 0) {
        at.key("minRequests").error("the number of requests must not be negative");
    }
    let quantiles = test.quantiles.as_deref().unwrap_or_default();
    at.key("quantiles").each(quantiles, |quantile, at| {
        if !(*quantile > 0.0 && *quantile < 1.0) {
            at.error(format!("{quantile} is not a quantile: it must be above 0 and below 1"));
        }
    });
}

fn exposure(exposure: &MaxExposure, at: &Place<'_>) {
    if exposure.requests.is_none() && exposure.users.is_none() {
        at.error("the limit is missing: give requests or users");
    }
    if exposure.requests.is_some_and(|requests| requests <= 0) {
        at.key("requests").error("the number of requests must be 1 at least");
    }
    if let Some(users) = exposure.users.filter(|users| !(1..=100).contains(users)) {
        at.key("users").error(format!("{users} is not a percentage from 1 to 100"));
    }
}
