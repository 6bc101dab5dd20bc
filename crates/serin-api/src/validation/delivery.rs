//! Rules for Canaries, MetricTemplates and AlertProviders: what a release could not do, and what it would pass over.

mod analysis;
mod extension;

use super::place::Place;
use super::{Rules, headers, names, url};
use crate::Meta;
use crate::delivery::{
    AlertProvider, AlertProviderType, Canary, CanaryService, FlaggerAlertProvider, FlaggerCanary,
    FlaggerMetricTemplate, MetricProviderType, MetricTemplate, Provider, TargetReference,
};

/// Whose rules an object follows.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Dialect {
    Flagger,
    Serin,
}

impl Rules for Canary {
    fn check(&self, _: &Meta, spec: &Place<'_>) {
        canary(self, Dialect::Serin, spec);
    }
}

impl Rules for FlaggerCanary {
    fn check(&self, _: &Meta, spec: &Place<'_>) {
        canary(&self.0, Dialect::Flagger, spec);
    }
}

impl Rules for MetricTemplate {
    fn check(&self, _: &Meta, spec: &Place<'_>) {
        metric_template(self, spec);
    }
}

impl Rules for FlaggerMetricTemplate {
    fn check(&self, _: &Meta, spec: &Place<'_>) {
        metric_template(&self.0, spec);
    }
}

impl Rules for AlertProvider {
    fn check(&self, _: &Meta, spec: &Place<'_>) {
        alert_provider(self, spec);
    }
}

impl Rules for FlaggerAlertProvider {
    fn check(&self, _: &Meta, spec: &Place<'_>) {
        alert_provider(&self.0, spec);
    }
}

fn canary(canary: &Canary, dialect: Dialect, spec: &Place<'_>) {
    web_address(&canary.metrics_server, false, &spec.key("metricsServer"));
    target(canary, &spec.key("targetRef"));
    if let Some(service) = &canary.service {
        self::service(service, canary, &spec.key("service"));
    }
    if canary.progress_deadline_seconds.is_some_and(|seconds| seconds <= 0) {
        spec.key("progressDeadlineSeconds").error("the deadline must be one second at least");
    }
    if canary.provider != Provider::Default && !is_supported(canary.provider) {
        spec.key("provider").warning(format!(
            "Serin does not route through {}: releases of this Canary are left alone",
            canary.provider
        ));
    }
    if canary.analysis.is_some() && canary.canary_analysis.is_some() {
        spec.key("canaryAnalysis").warning("of no effect: analysis is given too, and goes before");
    }
    match (canary.analysis(), canary.analysis.is_some()) {
        (Some(it), true) => analysis::check(it, canary, dialect, &spec.key("analysis")),
        (Some(it), false) => {
            let at = spec.key("canaryAnalysis");
            at.warning("deprecated: write analysis");
            analysis::check(it, canary, dialect, &at);
        }
        (None, _) if !canary.skip_analysis => {
            spec.key("analysis")
                .warning("without an analysis every new version is promoted at once");
        }
        (None, _) => {}
    }
    extension::check(canary, spec);
}

const fn is_supported(provider: Provider) -> bool {
    matches!(
        provider,
        Provider::Istio | Provider::Kubernetes | Provider::GatewayApi | Provider::GatewayApiBeta
    )
}

fn target(canary: &Canary, at: &Place<'_>) {
    let Some(TargetReference { kind, name, .. }) = &canary.target_ref else { return };
    match kind.as_str() {
        "Deployment" | "DaemonSet" => {}
        "Service" => released_service(canary, at),
        _ => at.key("kind").error(format!(
            "{kind:?} cannot be released: the kinds are Deployment, DaemonSet and Service"
        )),
    }
    if name.is_empty() {
        at.key("name").error("the workload to release has no name");
    }
    if name.ends_with("-primary") {
        at.key("name").warning(
            "this is the name of a primary, which is made from the workload: name the workload itself",
        );
    }
}

/// What a Service that is released cannot have: it leads to pods that are there, and nobody makes others.
fn released_service(canary: &Canary, at: &Place<'_>) {
    if canary.provider == Provider::Kubernetes {
        at.key("kind").error(
            "without routes (provider kubernetes) users are led by the Service itself, which therefore cannot be what is released",
        );
    }
    let target = canary.target_ref.as_ref().map_or("", |it| it.name.as_str());
    let name = canary.service.as_ref().map_or("", |it| it.name.as_str());
    if !name.is_empty() && name != target {
        at.key("name").error(format!(
            "a Service is released under its own name: spec.service.name {name:?} must be {target:?}, or absent"
        ));
    }
    if canary.autoscaler_ref.is_some() {
        at.key("kind").warning("of no effect on a Service: autoscalerRef");
    }
}

fn service(service: &CanaryService, canary: &Canary, at: &Place<'_>) {
    if !(1..=65535).contains(&service.port) {
        at.key("port").error(format!("port {} must be in the range 1 to 65535", service.port));
    }
    if service.delegation {
        for (name, given) in
            [("hosts", !service.hosts.is_empty()), ("gateways", !service.gateways.is_empty())]
        {
            if given {
                at.key(name).error(format!(
                    "a VirtualService that is delegated to (delegation) must not have {name}"
                ));
            }
        }
    }
    at.key("hosts").each(&service.hosts, |host, at| {
        at.expect(names::wildcard_domain(host));
    });
    headers::headers(service.headers.as_ref(), &at.key("headers"));
    if service.app_protocol.eq_ignore_ascii_case("tcp") {
        let analysis = canary.analysis();
        let lost = [
            // The port of a connection is known, and nothing else.
            ("match", service.matches.iter().any(|it| it.port.is_none())),
            ("headers", service.headers.is_some()),
            ("retries", service.retries.is_some()),
            ("rewrite", service.rewrite.is_some()),
            ("corsPolicy", service.cors_policy.is_some()),
        ];
        for (name, _) in lost.iter().filter(|(_, given)| *given) {
            at.key(name)
                .warning("of no effect: routes of connections (appProtocol: tcp) have no requests");
        }
        if analysis.is_some_and(|it| it.mirror || it.session_affinity.is_some()) {
            at.key("appProtocol")
                .warning("routes of connections have no mirror and no session affinity");
        }
    }
}

fn metric_template(template: &MetricTemplate, spec: &Place<'_>) {
    let Some(provider) = &template.provider else { return };
    let at = spec.key("provider");
    use MetricProviderType as Type;
    let needs_address = matches!(
        provider.provider_type,
        Type::Prometheus
            | Type::Influxdb
            | Type::Graphite
            | Type::Dynatrace
            | Type::Splunk
            | Type::Externalmetrics
    );
    web_address(&provider.address, needs_address, &at.key("address"));
    if provider.provider_type == Type::Cloudwatch && provider.region.is_empty() {
        at.key("region").error("CloudWatch is asked in a region: name it");
    }
    for name in provider.headers.keys() {
        at.key("headers").key(name).expect(headers::strict_name(name));
    }
    if template.query.trim().is_empty() {
        spec.key("query").error("there is no query");
    }
    if let Err(problem) = template_text(&template.query) {
        spec.key("query").error(problem);
    }
}

/// The actions of a template are functions that exist.
fn template_text(query: &str) -> Result<(), String> {
    const FUNCTIONS: [&str; 7] =
        ["name", "namespace", "target", "service", "ingress", "route", "interval"];
    for part in query.split("{{").skip(1) {
        let Some((action, _)) = part.split_once("}}") else {
            return Err("an action that begins with {{ has no }}".to_owned());
        };
        let action = action.trim_matches(['-', ' ', '\t', '\n']);
        let is_variable = action.strip_prefix("variables.").is_some_and(|name| !name.is_empty());
        // What is more than a word is a template of its own, which only its rendering can judge.
        let is_word = action.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '.');
        if is_word && !is_variable && !FUNCTIONS.contains(&action) {
            return Err(format!(
                "there is no function {action:?}; there are {} and variables.NAME",
                FUNCTIONS.join(", ")
            ));
        }
    }
    Ok(())
}

fn alert_provider(provider: &AlertProvider, spec: &Place<'_>) {
    if provider.address.is_empty() && provider.secret_ref.is_none() {
        spec.key("address")
            .error("nobody can be told: give an address, or a secretRef that holds one");
    }
    web_address(&provider.address, false, &spec.key("address"));
    web_address(&provider.proxy, false, &spec.key("proxy"));
    let discord = provider.provider_type == AlertProviderType::Discord;
    if discord && !provider.address.is_empty() && !provider.address.ends_with("/slack") {
        spec.key("address").warning(
            "Discord takes these messages at its address with /slack at the end; it will be added",
        );
    }
}

/// An address that requests are sent to.
fn web_address(address: &str, is_needed: bool, at: &Place<'_>) {
    if address.is_empty() {
        if is_needed {
            at.error("the address is missing");
        }
        return;
    }
    match url::scheme(address) {
        Ok(scheme) if matches!(scheme.as_str(), "http" | "https") => {}
        Ok(_) => at.error(format!("{address:?} must begin with http:// or https://")),
        Err(problem) => at.error(problem),
    }
}

#[cfg(test)]
mod tests;
