//! Rules for Telemetries.

use super::place::Place;
use super::{Rules, cel, selectors};
use crate::Meta;
use crate::telemetry::{
    CustomTag, MetricsOverrides, ProviderRef, TagOperation, Telemetry, Tracing,
};

impl Rules for Telemetry {
    fn check(&self, _: &Meta, spec: &Place<'_>) {
        let target = self.target_ref.as_ref();
        selectors::policy_scope(self.selector.as_ref(), target, &self.target_refs, spec);
        spec.key("metrics").each(&self.metrics, |metrics, at| {
            providers(&metrics.providers, &at.key("providers"));
            at.key("overrides").each(&metrics.overrides, metric_override);
        });
        if self.tracing.len() > 1 {
            spec.key("tracing").warning("only the first entry of tracing is used");
        }
        spec.key("tracing").each(&self.tracing, tracing);
        spec.key("accessLogging").each(&self.access_logging, |logging, at| {
            if let Some(filter) = &logging.filter {
                at.key("filter").key("expression").expect(cel::check(&filter.expression));
            }
            providers(&logging.providers, &at.key("providers"));
        });
    }
}

fn providers(providers: &[ProviderRef], at: &Place<'_>) {
    at.each(providers, |provider, at| {
        if provider.name.is_empty() {
            at.key("name").error("the name of a provider must not be empty");
        }
    });
}

fn tracing(tracing: &Tracing, at: &Place<'_>) {
    if tracing.providers.len() > 1 {
        at.key("providers")
            .warning("multiple providers are not supported here: only the first is used");
    }
    providers(&tracing.providers, &at.key("providers"));
    if tracing.random_sampling_percentage.is_some_and(|percent| !(0.0..=100.0).contains(&percent)) {
        at.key("randomSamplingPercentage")
            .error("randomSamplingPercentage must be in the range 0 to 100");
    }
    for (name, tag) in &tracing.custom_tags {
        let at = at.key("customTags");
        if name.is_empty() {
            at.error("a tag needs a name");
        }
        custom_tag(tag, &at.key(name));
    }
}

fn custom_tag(tag: &CustomTag, at: &Place<'_>) {
    let parts = [
        ("literal", tag.literal.as_ref().map(|it| it.value.is_empty()), "value"),
        ("header", tag.header.as_ref().map(|it| it.name.is_empty()), "name"),
        ("environment", tag.environment.as_ref().map(|it| it.name.is_empty()), "name"),
        ("formatter", tag.formatter.as_ref().map(|it| it.value.is_empty()), "value"),
    ];
    for (part, _, field) in parts.iter().filter(|(_, is_empty, _)| *is_empty == Some(true)) {
        at.key(part).key(field).error(format!("the {field} must not be empty"));
    }
}

fn metric_override(change: &MetricsOverrides, at: &Place<'_>) {
    for (name, tag) in &change.tag_overrides {
        let at = at.key("tagOverrides");
        if name.is_empty() {
            at.warning("a tag needs a name");
        }
        let at = at.key(name);
        match tag.operation {
            TagOperation::Upsert if tag.value.is_empty() => {
                at.key("value").error("the operation UPSERT needs a value");
            }
            TagOperation::Remove if !tag.value.is_empty() => {
                at.key("value").error("the operation REMOVE cannot have a value");
            }
            _ => {}
        }
    }
    let metric = change.condition.as_ref().and_then(|it| it.custom_metric.as_deref());
    if metric == Some("") {
        at.key("match").key("customMetric").error("the name of a metric must not be empty");
    }
}
