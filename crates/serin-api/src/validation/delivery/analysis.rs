//! Rules for the analysis of a release.

use super::{Dialect, web_address};
use crate::delivery::{
    Analysis, Canary, CanaryMetric, CanaryWebhook, HookType, Provider, SessionAffinity,
};
use crate::validation::place::Place;
use crate::values::Duration;

/// Metrics that need no query.
const BUILT_IN: [&str; 2] = ["request-success-rate", "request-duration"];

pub(super) fn check(analysis: &Analysis, canary: &Canary, dialect: Dialect, at: &Place<'_>) {
    interval(&analysis.interval, dialect, &at.key("interval"));
    if analysis.threshold < 0 {
        at.key("threshold").warning("a threshold below 1 is taken as 1");
    }
    schedule(analysis, canary, dialect, at);
    percents(analysis, at);
    at.key("metrics").each(&analysis.metrics, metric);
    at.key("webhooks").each(&analysis.webhooks, webhook);
    alerts(analysis, at);
    if let Some(affinity) = &analysis.session_affinity {
        self::affinity(affinity, &at.key("sessionAffinity"));
    }
}

/// Time from one check to the next.
fn interval(text: &str, dialect: Dialect, at: &Place<'_>) {
    let least = match dialect {
        Dialect::Flagger => 10,
        Dialect::Serin => 1,
    };
    match text.parse::<Duration>() {
        _ if text.is_empty() => {}
        Err(_) => at.warning(format!("{text:?} is not a duration; 60s is taken instead")),
        Ok(duration) if duration < Duration::from_secs(least) => {
            at.warning(format!("an interval of {text} is too short; {least}s is taken instead"));
        }
        Ok(_) => {}
    }
}

/// Which steps the release takes.
fn schedule(analysis: &Analysis, canary: &Canary, dialect: Dialect, at: &Place<'_>) {
    let has_weights = analysis.step_weight > 0 || !analysis.step_weights.is_empty();
    let iterates = analysis.iterations > 0;
    if !has_weights && !iterates && !canary.skip_analysis && canary.provider != Provider::Kubernetes
    {
        at.error("there are no steps: give stepWeight, stepWeights or iterations");
    }
    if analysis.iterations < 0 {
        at.key("iterations").error("the number of iterations must not be negative");
    }
    let combined = dialect == Dialect::Serin && analysis.mirror && analysis.matches.is_empty();
    if iterates && has_weights && !combined {
        let weights = if analysis.step_weight > 0 { "stepWeight" } else { "stepWeights" };
        at.key(weights).warning(match dialect {
            Dialect::Flagger => {
                "of no effect: with iterations the new version gets no traffic, or all. A Canary of serin.dev/v1alpha1 \
                 with mirror: true mirrors for so many iterations and then takes the steps"
            }
            Dialect::Serin => {
                "of no effect: with iterations, and without mirror or with match, the new version gets no traffic, or all"
            }
        });
    }
    if analysis.step_weight > 0 && !analysis.step_weights.is_empty() {
        at.key("stepWeights").warning("of no effect: stepWeight is given too, and goes before");
    }
    step_weights(analysis, at);
    if !analysis.matches.is_empty() && !iterates {
        at.key("match").warning("A/B testing counts iterations: give iterations with match");
    }
    if canary.provider == Provider::Kubernetes && (analysis.mirror || !analysis.matches.is_empty())
    {
        at.warning("without routes (provider: kubernetes) there is neither mirror nor match");
    }
    if analysis.mirror && !analysis.matches.is_empty() && dialect == Dialect::Flagger {
        at.key("mirror")
            .warning("of no effect: with match the chosen users get the new version itself");
    }
    if analysis.mirror_weight > 0 && !analysis.mirror {
        at.key("mirrorWeight").warning("of no effect without mirror: true");
    }
}

fn step_weights(analysis: &Analysis, at: &Place<'_>) {
    let weights = &analysis.step_weights;
    let at = at.key("stepWeights");
    let mut before = 0;
    for (index, weight) in weights.iter().enumerate() {
        let at = at.index(index);
        if !(1..=100).contains(weight) {
            at.error(format!("the weight {weight} is not in the range 1 to 100"));
        } else if *weight <= before {
            at.error(format!("the weight {weight} must be above the one before, {before}"));
        }
        before = *weight;
    }
}

fn percents(analysis: &Analysis, at: &Place<'_>) {
    let fields = [
        ("mirrorWeight", Some(analysis.mirror_weight)),
        ("stepWeight", Some(analysis.step_weight)),
        ("maxWeight", Some(analysis.max_weight)),
        ("stepWeightPromotion", Some(analysis.step_weight_promotion)),
        ("primaryReadyThreshold", analysis.primary_ready_threshold),
        ("canaryReadyThreshold", analysis.canary_ready_threshold),
    ];
    for (name, value) in fields {
        if let Some(value) = value.filter(|value| !(0..=100).contains(value)) {
            at.key(name).error(format!("{value} is not a percentage from 0 to 100"));
        }
    }
    if analysis.max_weight > 0 && analysis.step_weight > analysis.max_weight {
        at.key("maxWeight").warning("the first step goes beyond this weight, and is the only one");
    }
}

fn metric(metric: &CanaryMetric, at: &Place<'_>) {
    if !metric.interval.is_empty() && metric.interval.parse::<Duration>().is_err() {
        at.key("interval").error(format!("{:?} is not a duration, such as 1m", metric.interval));
    }
    let built_in = BUILT_IN.contains(&metric.name.as_str());
    if !built_in && metric.template_ref.is_none() && metric.query.is_empty() {
        at.error(format!(
            "nothing says how to ask for {:?}: give a templateRef; built in are {}",
            metric.name,
            BUILT_IN.join(" and ")
        ));
    }
    if !metric.query.is_empty() {
        at.key("query").warning("deprecated: use a MetricTemplate (templateRef)");
    }
    match &metric.threshold_range {
        None if metric.threshold == 0.0 => {
            at.key("thresholdRange")
                .warning("without a range every value up to 0 passes and no other");
        }
        None => at.key("threshold").warning("deprecated: use thresholdRange"),
        Some(range) => {
            let at = at.key("thresholdRange");
            match (range.min, range.max) {
                (None, None) => at.warning("without min and max every value passes"),
                (Some(min), Some(max)) if min > max => {
                    at.error(format!("no value is at least {min} and at most {max}"));
                }
                _ => {}
            }
        }
    }
}

fn webhook(hook: &CanaryWebhook, at: &Place<'_>) {
    if hook.name.is_empty() {
        at.key("name").error("a webhook needs a name, by which events speak of it");
    }
    web_address(&hook.url, true, &at.key("url"));
    if !hook.timeout.is_empty() && hook.timeout.parse::<Duration>().is_err() {
        at.key("timeout").error(format!("{:?} is not a duration, such as 10s", hook.timeout));
    }
    if hook.retries < 0 {
        at.key("retries").error("the number of retries must not be negative");
    }
    let asks = matches!(hook.hook.resolved(), HookType::PreRollout | HookType::Rollout);
    if hook.abort_on_failure && !asks {
        at.key("abortOnFailure")
            .warning(format!("of no effect: a {} hook does not test", hook.hook));
    }
}

fn alerts(analysis: &Analysis, at: &Place<'_>) {
    at.key("alerts").each(&analysis.alerts, |alert, at| {
        let named = alert.provider_ref.as_ref().is_some_and(|provider| !provider.name.is_empty());
        if !named {
            at.key("providerRef").error("an alert needs an AlertProvider");
        }
    });
}

fn affinity(affinity: &SessionAffinity, at: &Place<'_>) {
    let names = [
        ("cookieName", &affinity.cookie_name),
        ("primaryCookieName", &affinity.primary_cookie_name),
    ];
    for (field, name) in names {
        let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
        if !name.chars().all(is_token) {
            at.key(field).error(format!("{name:?} cannot be the name of a cookie"));
        }
    }
    if affinity.cookie_name.is_empty() {
        at.key("cookieName").error("the cookie needs a name");
    }
    if affinity.cookie_name == affinity.primary_cookie_name && !affinity.cookie_name.is_empty() {
        at.key("primaryCookieName")
            .error("the cookies of the primary and of the new version must have different names");
    }
    if affinity.same_site == "None" && !affinity.secure {
        at.key("sameSite")
            .warning("browsers refuse a cookie with SameSite=None that is not secure");
    }
    if affinity.max_age < 0 {
        at.key("maxAge").error("the age of a cookie must not be negative");
    }
}
