//! What the API server is told about an object before it stores it.
//!
//! Refused is what Istio refuses, and what only Envoy could carry out. What `serin check` would find about the object beside the others
//! of the cluster is a warning. It is a pure function of the object and a snapshot; whoever serves the API, or a webhook, asks it.
//!
//! Of a large cluster only what can have to do with the object is looked at, so that an answer takes a few milliseconds.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value;
use serin_api::networking::{DestinationRule, VirtualService};
use serin_api::{
    AnyObject, Code, FieldPath, Finding, Kind, Object, ObjectRef, Severity, codes, validation,
};
use serin_translate::host::Host;
use serin_translate::{Objects, Snapshot, SnapshotBuilder, analysis};

use crate::cache::{Key, envoy_only};
use crate::kinds;

/// Findings that say that another object is missing which is usually applied afterwards: no VirtualService at a Gateway.
const EARLY: [Code; 1] = [Code("SRN0402")];

/// What is done with an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// It is made.
    Create,
    /// It is changed.
    Update,
    /// It is removed.
    Delete,
}

/// What there is to say about an object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Review {
    /// Why it is refused; it is taken if there is nothing here.
    pub refused: Vec<Finding>,
    /// What its author should know.
    pub warnings: Vec<Finding>,
}

impl Review {
    /// The message of the refusal, if the object is refused.
    pub fn refusal(&self) -> Option<String> {
        let problems: Vec<String> = self.refused.iter().map(text).collect();
        (!problems.is_empty()).then(|| format!("configuration is invalid: {}", problems.join("; ")))
    }

    /// The warnings as kubectl shows them.
    pub fn warning_texts(&self) -> Vec<String> {
        let text = |it: &Finding| match &it.help {
            Some(help) => format!("{} [{}]; {help}", text(it), it.code),
            None => format!("{} [{}]", text(it), it.code),
        };
        self.warnings.iter().map(text).collect()
    }
}

fn text(finding: &Finding) -> String {
    if finding.field.is_root() {
        finding.message.clone()
    } else {
        format!("{}: {}", finding.field, finding.message)
    }
}

/// Judges an object, which takes the place of `old`. Without a snapshot it is judged by itself.
pub fn review(
    object: &Value,
    old: Option<&Value>,
    operation: Operation,
    snapshot: Option<&Arc<Snapshot>>,
) -> Review {
    let mut review = Review::default();
    let text = |name: &str| object.get(name).and_then(Value::as_str).unwrap_or_default();
    let group = text("apiVersion").split_once('/').map_or("", |(group, _)| group);
    let Some(kind) = kinds::watched().find(|it| it.group == group && it.kind == text("kind"))
    else {
        return review;
    };
    // Whoever only takes away, or writes labels and finalizers, is not held up by what was wrong before.
    let is_as_before = old.is_some_and(|old| old.get("spec") == object.get("spec"));
    if operation == Operation::Delete || !kind.is_custom || is_as_before {
        return review;
    }
    let Some(reference) = judge_alone(kind, object, &mut review) else { return review };
    if review.refused.is_empty()
        && let Some(snapshot) = snapshot
        && let Ok(typed) = kind.read(object)
    {
        judge_among(typed, &reference, snapshot, &mut review);
    }
    review
}

/// What can be said of the object by itself.
fn judge_alone(kind: &'static Kind, object: &Value, review: &mut Review) -> Option<ObjectRef> {
    let text = |at: &str| object.pointer(at).and_then(Value::as_str).unwrap_or_default().to_owned();
    let reference = ObjectRef {
        api_version: text("/apiVersion"),
        kind: kind.kind.to_owned(),
        namespace: text("/metadata/namespace"),
        name: text("/metadata/name"),
    };
    if matches!(kind.kind, "EnvoyFilter" | "WasmPlugin" | "TrafficExtension") {
        let field = FieldPath::root().key("kind");
        let message = envoy_only(kind.kind);
        let finding = Finding::new(codes::ENVOY_ONLY, Severity::Error, &reference, field, message);
        review.refused.push(finding);
        return None;
    }
    let problems = match validation::validate(object) {
        Some(Ok(problems)) => problems,
        Some(Err(error)) => {
            let finding = Finding::new(
                codes::UNDECODABLE,
                Severity::Error,
                &reference,
                error.field,
                error.message,
            );
            review.refused.push(finding);
            return None;
        }
        None => Vec::new(),
    };
    for problem in problems {
        let finding = problem.into_finding(&reference);
        match finding.severity {
            Severity::Error => review.refused.push(finding),
            Severity::Warning => review.warnings.push(finding),
            Severity::Info => {}
        }
    }
    Some(reference)
}

/// What can be said of the object beside the others.
fn judge_among(
    object: AnyObject,
    reference: &ObjectRef,
    snapshot: &Arc<Snapshot>,
    review: &mut Review,
) {
    let Some(key) = Key::of(reference) else { return };
    let objects = surroundings(object, snapshot);
    let settings = snapshot.settings().clone();
    let snapshot = SnapshotBuilder::after(Arc::clone(snapshot)).build(objects, settings);
    let found =
        snapshot.findings().cloned().chain(analysis::analyze(analysis::Input::new(&snapshot)));
    for finding in found {
        let is_about = finding.object.as_ref().and_then(Key::of).is_some_and(|it| it == key);
        let is_told = finding.severity != Severity::Info && !EARLY.contains(&finding.code);
        if is_about && is_told && !is_known(&review.warnings, &finding) {
            review.warnings.push(finding);
        }
    }
}

fn is_known(warnings: &[Finding], finding: &Finding) -> bool {
    let is_same = |it: &Finding| {
        it.code == finding.code && it.field == finding.field && it.message == finding.message
    };
    warnings.iter().any(is_same)
}

/// The object with those that can have to do with it.
fn surroundings(object: AnyObject, snapshot: &Snapshot) -> Objects {
    let mut objects = snapshot.given().clone();
    let domain = &snapshot.settings().cluster_domain;
    match &object {
        AnyObject::VirtualService(rules) => {
            let hosts = hosts(rules, domain);
            let destinations = destinations(rules, domain);
            objects.virtual_services.retain(|it| concerns(it, rules, &hosts, domain));
            objects.destination_rules.retain(|it| destinations.contains(&host(it, domain)));
        }
        AnyObject::DestinationRule(rule) => {
            let of_rule = host(rule, domain);
            objects.virtual_services.clear();
            objects.destination_rules.retain(|it| host(it, domain) == of_rule);
        }
        _ => {}
    }
    let meta = object.meta();
    let old = kinds::named(&objects, &object, &meta.name, &meta.namespace);
    kinds::exchange(&mut objects, old.as_ref(), Some(object));
    objects
}

fn resolved(name: &str, namespace: &str, domain: &str) -> Host {
    Host::resolve(name, namespace, domain)
}

fn hosts(rules: &Object<VirtualService>, domain: &str) -> BTreeSet<Host> {
    rules.spec.hosts.iter().map(|it| resolved(it, &rules.meta.namespace, domain)).collect()
}

fn host(rule: &Object<DestinationRule>, domain: &str) -> Host {
    resolved(&rule.spec.host, &rule.meta.namespace, domain)
}

/// The hosts that the rules send requests to.
fn destinations(rules: &Object<VirtualService>, domain: &str) -> BTreeSet<Host> {
    let http = rules.spec.http.iter().flat_map(|it| {
        let routes = it.route.iter().filter_map(|it| it.destination.as_ref());
        routes.chain(&it.mirror).chain(it.mirrors.iter().filter_map(|it| it.destination.as_ref()))
    });
    let tls = rules.spec.tls.iter().flat_map(|it| &it.route);
    let tcp = rules.spec.tcp.iter().flat_map(|it| &it.route);
    let bytes = tls.chain(tcp).filter_map(|it| it.destination.as_ref());
    http.chain(bytes).map(|it| resolved(&it.host, &rules.meta.namespace, domain)).collect()
}

/// Whether other rules are for a host of these, or one delegates to the other.
fn concerns(
    other: &Object<VirtualService>,
    rules: &Object<VirtualService>,
    hosts: &BTreeSet<Host>,
    domain: &str,
) -> bool {
    let delegates = |root: &Object<VirtualService>, to: &Object<VirtualService>| {
        root.spec.http.iter().filter_map(|it| it.delegate.as_ref()).any(|it| {
            let namespace = Some(&it.namespace).filter(|it| !it.is_empty());
            it.name == to.meta.name
                && *namespace.unwrap_or(&root.meta.namespace) == to.meta.namespace
        })
    };
    let shares = |it: &String| hosts.contains(&resolved(it, &other.meta.namespace, domain));
    other.spec.hosts.iter().any(shares) || delegates(other, rules) || delegates(rules, other)
}

#[cfg(test)]
mod tests;
