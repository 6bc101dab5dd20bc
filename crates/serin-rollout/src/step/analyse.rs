//! The checks of a tick: hooks first, then metrics; the first that fails ends them.

use serin_api::delivery::{CanaryMetric, HookType};

use super::{DONE, Flow, GO_ON, Refusal, Run};
use crate::action::Severity;
use crate::observation::{About, Answer};

/// A failed check is forgotten after so many times `threshold` further ticks.
const MEMORY: u64 = 10;

impl Run<'_> {
    pub(super) fn ask_rollback_hooks(&mut self) -> Flow {
        let plan = self.plan;
        if !self.state.phase.is_analysed() && self.state.phase != crate::Phase::Waiting {
            return GO_ON;
        }
        for (index, hook) in plan.hooks(HookType::Rollback) {
            if self.ask(About::Hook(index))? == Answer::Yes {
                let reason = format!("the webhook {} asked for it", hook.name);
                self.warn(format!("Rollback check {} passed", hook.name), reason.clone());
                self.warn(
                    format!("Rolling back {} manual webhook invoked", plan.full_name()),
                    reason.clone(),
                );
                self.alert(Severity::Warn, "Rolling back manual webhook invoked");
                self.roll_back(&reason);
                return DONE;
            }
        }
        GO_ON
    }

    pub(super) fn threshold(&mut self) -> Flow {
        let failed = self.state.failed_checks();
        if failed < self.plan.threshold {
            return GO_ON;
        }
        let event = format!(
            "Rolling back {} failed checks threshold reached {failed}",
            self.plan.full_name()
        );
        let reason = format!("{failed} checks failed and the threshold is {}", self.plan.threshold);
        self.warn(event, reason.clone());
        self.alert(Severity::Error, format!("Failed checks threshold reached {failed}"));
        self.roll_back(&reason);
        DONE
    }

    pub(super) fn analyse(&mut self) -> Flow {
        let is_untouched = self.state.routes.canary == 0
            && self.state.routes.mirror.is_none()
            && self.state.iterations == 0;
        if is_untouched { self.accept() } else { self.check() }
    }

    /// Before the first traffic: the acceptance tests, once.
    fn accept(&mut self) -> Flow {
        if self.state.is_accepted {
            return GO_ON;
        }
        self.tell(
            format!("Starting canary analysis for {}", self.plan.target_name()),
            "the new version is ready",
        );
        for lack in &self.plan.lacks {
            self.warn(*lack, "without routes the Service leads to the one version or the other");
        }
        if let Some(refusal) = self.ask_hooks(HookType::PreRollout)? {
            return self.refused(&refusal, "pre-rollout check");
        }
        self.state.is_accepted = true;
        GO_ON
    }

    fn check(&mut self) -> Flow {
        if let Some(refusal) = self.ask_hooks(HookType::Rollout)? {
            return self.refused(&refusal, "external check");
        }
        let plan = self.plan;
        let all = || plan.metrics.iter().enumerate();
        let is_template = |(_, metric): &(usize, &CanaryMetric)| metric.template_ref.is_some();
        // Those of templates come last.
        for (index, metric) in all().filter(|it| !is_template(it)).chain(all().filter(is_template))
        {
            let answer = self.ask(About::Metric(index))?;
            if answer == Answer::NoValue && self.is_early(metric) {
                // The first look-back window still ends before the traffic began: that is not the canary's silence.
                self.wait_for(
                    &format!("no values found for metric {} yet", metric.name),
                    "the query looks back to before the traffic began",
                );
                return DONE;
            }
            if let Some(event) = halt(plan, metric, &answer) {
                return self.failed(event);
            }
        }
        GO_ON
    }

    /// Whether a metric cannot have a value yet.
    fn is_early(&self, metric: &CanaryMetric) -> bool {
        let window = crate::Span::parse(&metric.interval).filter(|it| it.0 > 0);
        let window = window.unwrap_or(crate::Span::seconds(60)).max(self.plan.interval);
        self.state.position <= 1 && self.now.since(self.state.stepped).0 < 2 * window.0
    }

    fn refused(&mut self, refusal: &Refusal, check: &str) -> Flow {
        let name = refusal.name(self.plan);
        let event = format!(
            "Halt {} advancement {check} {name} failed {}",
            self.plan.full_name(),
            refusal.why
        );
        if self.plan.webhooks.get(refusal.hook).is_some_and(|hook| hook.abort_on_failure) {
            let reason =
                format!("the webhook {name} said no, and one no is enough (abortOnFailure)");
            self.warn(event, reason.clone());
            self.alert(Severity::Error, format!("Rolling back: {reason}"));
            self.roll_back(&reason);
            return DONE;
        }
        self.failed(event)
    }

    /// Counts a failed check, and forgets those that are long past.
    pub(super) fn failed(&mut self, event: String) -> Flow {
        let tick = self.state.tick.number;
        let memory = MEMORY * u64::from(self.plan.threshold);
        self.state.failures.retain(|failure| failure + memory > tick);
        self.state.failures.push(tick);
        let reason = format!(
            "failed check {} of {}, at which the release is rolled back",
            self.state.failed_checks(),
            self.plan.threshold
        );
        self.warn(event, reason);
        DONE
    }
}

/// What an event says of a metric that does not pass; `None` if it does.
fn halt(plan: &crate::Plan, metric: &CanaryMetric, answer: &Answer) -> Option<String> {
    let name = plan.full_name();
    let value = match answer {
        Answer::Value(value) if !value.is_nan() => *value,
        Answer::Value(_) | Answer::NoValue | Answer::Yes => return Some(silence(plan, metric)),
        Answer::Failed(why) | Answer::No(why) => return Some(trouble(metric, why)),
    };
    let (min, max) = limits(metric);
    let below = min.filter(|min| value < *min);
    let above = max.filter(|max| value > *max);
    let limit = below.or(above)?;
    let sign = if below.is_some() { '<' } else { '>' };
    Some(match metric.name.as_str() {
        "request-success-rate" => {
            format!("Halt {name} advancement success rate {value:.2}% {sign} {limit}%")
        }
        // Milliseconds with their fraction: a limit of half a millisecond is one.
        "request-duration" => {
            let (value, limit) = (duration(value), duration(limit));
            format!("Halt {name} advancement request duration {value} {sign} {limit}")
        }
        other => format!("Halt {name} advancement {other} {value:.2} {sign} {limit}"),
    })
}

/// What an event says of a metric without a value.
fn silence(plan: &crate::Plan, metric: &CanaryMetric) -> String {
    let (found, name) = ("Halt advancement no values found for", &metric.name);
    if metric.template_ref.is_some() {
        return format!("{found} custom metric: {name}: no values found");
    }
    if !metric.query.is_empty() {
        return format!("{found} metric: {name}");
    }
    let (provider, target) = (plan.router.provider(), plan.target_name());
    format!("{found} {provider} metric {name} probably {target} is not receiving traffic")
}

/// What an event says of a metric that could not be asked for.
fn trouble(metric: &CanaryMetric, why: &str) -> String {
    if metric.template_ref.is_some() {
        return format!("Metric query failed for {}: {why}", metric.name);
    }
    if !metric.query.is_empty() {
        return format!("Prometheus query failed for {}: {why}", metric.name);
    }
    format!("Prometheus query failed: {why}")
}

/// Milliseconds as Go writes them, to a thousandth: `512.5ms`, `1.5s`, `1m30s`.
fn duration(milliseconds: f64) -> String {
    let rounded = (milliseconds * 1000.0).round() / 1000.0;
    if rounded.abs() < 1000.0 {
        return format!("{rounded}ms");
    }
    let (minutes, rest) = ((rounded / 60_000.0).trunc(), rounded % 60_000.0);
    let seconds = (rest * 1000.0).round() / 1_000_000.0;
    if minutes == 0.0 { format!("{seconds}s") } else { format!("{minutes}m{}s", seconds.abs()) }
}

/// The least and the greatest value that pass.
fn limits(metric: &CanaryMetric) -> (Option<f64>, Option<f64>) {
    match &metric.threshold_range {
        Some(range) => (range.min, range.max),
        None if metric.name == "request-success-rate" => (Some(metric.threshold), None),
        None => (None, Some(metric.threshold)),
    }
}

#[cfg(test)]
mod tests {
    use super::duration;

    #[test]
    fn times_are_written_as_go_writes_them() {
        for (milliseconds, expect) in [
            (0.6, "0.6ms"),
            (512.3456789, "512.346ms"),
            (999.9999, "1s"),
            (1500.0, "1.5s"),
            (90_000.0, "1m30s"),
            (60_250.0, "1m0.25s"),
        ] {
            assert_eq!(duration(milliseconds), expect);
        }
    }
}
