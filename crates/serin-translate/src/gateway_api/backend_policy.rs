//! BackendTLSPolicies, XBackendTrafficPolicies and the TLS of XBackends become DestinationRules, one for each host.
//!
//! Of several policies that say the same of a backend the oldest wins, then the first by name.

pub(super) mod authority;
mod traffic;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use serin_api::gateway_api::{
    BackendTlsPolicy, LocalPolicyTargetReferenceWithSectionName as TargetReference, ParentReference,
};
use serin_api::networking::{
    ClientTlsMode, ClientTlsSettings, DestinationRule, LoadBalancerSettings, PortTrafficPolicy,
    RetryBudget, TrafficPolicy,
};
use serin_api::values::PortSelector;
use serin_api::{Meta, Object, Resource};

use super::class::{self, GATEWAY_CONTROLLER, MESH_CONTROLLER};
use super::condition::{Condition, Refusal};
use super::parent::GATEWAY_GROUP;
use super::route::{BackendKey, Name, Routes};
use super::status::Outcome;
use super::world::World;
use super::{names, notice, x_backend};

/// How many ancestors a status holds at most.
const MAX_ANCESTORS: usize = 16;
const TARGET_NOT_FOUND: &str = "TargetNotFound";
const ISTIO_GROUP: &str = "networking.istio.io";

/// What a policy is for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Target {
    Service(Name),
    ServiceEntry(Name),
}

/// What one policy says of one target.
struct Policy<'a> {
    kind: &'static str,
    meta: &'a Meta,
    target: Target,
    /// The port that it is for; none is all of them.
    port: Option<u32>,
    tls: Option<ClientTlsSettings>,
    load_balancer: Option<LoadBalancerSettings>,
    retry_budget: Option<RetryBudget>,
}

/// Translates all policies.
pub(super) fn convert(
    world: &World<'_>,
    routes: &Routes,
    outcome: &mut Outcome,
) -> Vec<Object<DestinationRule>> {
    let mut policies = traffic::convert(world, outcome);
    policies.extend(tls_policies(world, routes, outcome));
    policies.sort_by_key(|it| (&it.meta.creation_timestamp, &it.meta.namespace, &it.meta.name));
    let mut by_target: BTreeMap<&Target, Vec<&Policy<'_>>> = BTreeMap::new();
    for policy in &policies {
        by_target.entry(&policy.target).or_default().push(policy);
    }
    let rules =
        by_target.into_iter().flat_map(|(target, policies)| rules(world, target, &policies));
    let mut rules: Vec<_> = rules.collect();
    rules.extend(x_backend::rules(world, routes, outcome));
    rules
}

/// The rules for one target: one, or one for each host of a ServiceEntry.
fn rules(
    world: &World<'_>,
    target: &Target,
    policies: &[&Policy<'_>],
) -> Vec<Object<DestinationRule>> {
    let (traffic_policy, parents) = merged(policies);
    let parents = parents.join(",");
    match target {
        Target::Service((namespace, name)) => {
            let host = world.host_of_service(name, namespace);
            vec![rule(names::policy_of_service(name), namespace, host, traffic_policy, &parents)]
        }
        Target::ServiceEntry((namespace, name)) => {
            let hosts = world
                .service_entry(namespace, name)
                .map(|it| it.spec.hosts.as_slice())
                .unwrap_or_default();
            let rule = |host: &String| {
                let name = names::policy_of_host(name, host);
                rule(name, namespace, host.clone(), traffic_policy.clone(), &parents)
            };
            hosts.iter().map(rule).collect()
        }
    }
}

/// A rule for `host`, made of the objects that `parents` names.
pub(super) fn rule(
    name: String,
    namespace: &str,
    host: String,
    traffic_policy: TrafficPolicy,
    parents: &str,
) -> Object<DestinationRule> {
    let annotations = BTreeMap::from([(names::PARENTS.to_owned(), parents.to_owned())]);
    let meta = Meta { name, namespace: namespace.to_owned(), annotations, ..Meta::default() };
    let spec = DestinationRule {
        host,
        traffic_policy: Some(traffic_policy),
        ..DestinationRule::default()
    };
    Object { api_version: "networking.istio.io/v1".to_owned(), meta, spec, ..Object::default() }
}

/// The first word of the policies on each setting, and the policies that said it.
fn merged(policies: &[&Policy<'_>]) -> (TrafficPolicy, Vec<String>) {
    let mut merged = TrafficPolicy::default();
    let mut ports: BTreeMap<u32, &ClientTlsSettings> = BTreeMap::new();
    let mut parents = Vec::new();
    for policy in policies {
        let mut counts = false;
        match (&policy.tls, policy.port) {
            (Some(tls), Some(port)) if !ports.contains_key(&port) => {
                ports.insert(port, tls);
                counts = true;
            }
            (Some(tls), None) => counts |= first(&mut merged.tls, Some(tls)),
            _ => {}
        }
        counts |= first(&mut merged.load_balancer, policy.load_balancer.as_ref());
        counts |= first(&mut merged.retry_budget, policy.retry_budget.as_ref());
        let parent = format!("{}/{}.{}", policy.kind, policy.meta.namespace, policy.meta.name);
        if counts && !parents.contains(&parent) {
            parents.push(parent);
        }
    }
    let of_port = |(number, tls): (u32, &ClientTlsSettings)| port_policy(number, tls.clone());
    merged.port_level_settings = ports.into_iter().map(of_port).collect();
    (merged, parents)
}

fn first<T: Clone>(setting: &mut Option<T>, word: Option<&T>) -> bool {
    let counts = setting.is_none() && word.is_some();
    if counts {
        *setting = word.cloned();
    }
    counts
}

/// TLS towards one port.
pub(super) fn port_policy(number: u32, tls: ClientTlsSettings) -> PortTrafficPolicy {
    PortTrafficPolicy {
        port: Some(PortSelector { number }),
        tls: Some(tls),
        ..PortTrafficPolicy::default()
    }
}

/// The object that `reference` of an object in `namespace` means.
fn find_target(
    world: &World<'_>,
    namespace: &str,
    group: &str,
    kind: &str,
    name: &str,
) -> Result<Target, String> {
    let own = || (namespace.to_owned(), name.to_owned());
    let (target, exists) = match (group, kind) {
        ("", "Service") => (Target::Service(own()), world.service(namespace, name).is_some()),
        (ISTIO_GROUP, "ServiceEntry") => {
            (Target::ServiceEntry(own()), world.service_entry(namespace, name).is_some())
        }
        _ => return Err(format!("unsupported kind {kind}")),
    };
    if exists {
        Ok(target)
    } else {
        Err(format!("reference {namespace}/{name} (of kind {kind}) not found"))
    }
}

/// The number of the port of `target` with this name.
fn port_named(world: &World<'_>, target: &Target, port: &str) -> Result<u32, String> {
    let (kind, (namespace, name), number) = match target {
        Target::Service(it) => {
            let ports =
                world.service(&it.0, &it.1).map(|it| it.spec.ports.as_slice()).unwrap_or_default();
            (
                "Service",
                it,
                ports.iter().find(|it| it.name == port).and_then(|it| u32::try_from(it.port).ok()),
            )
        }
        Target::ServiceEntry(it) => {
            let ports = world
                .service_entry(&it.0, &it.1)
                .map(|it| it.spec.ports.as_slice())
                .unwrap_or_default();
            ("ServiceEntry", it, ports.iter().find(|it| it.name == port).map(|it| it.number))
        }
    };
    number
        .ok_or_else(|| format!("sectionName {port:?} does not exist in {kind} {namespace}/{name}"))
}

fn tls_policies<'a>(world: &World<'a>, routes: &Routes, outcome: &mut Outcome) -> Vec<Policy<'a>> {
    let mut policies = Vec::new();
    for object in &world.input.objects.backend_tls_policies {
        policies.extend(tls_policy(world, object, routes, outcome));
    }
    policies
}

fn tls_policy<'a>(
    world: &World<'a>,
    object: &'a Object<BackendTlsPolicy>,
    routes: &Routes,
    outcome: &mut Outcome,
) -> Vec<Policy<'a>> {
    let namespace = object.meta.namespace.as_str();
    let authority = authority::of(world, namespace, &object.spec.validation);
    let tls = ClientTlsSettings {
        mode: ClientTlsMode::Simple,
        sni: object.spec.validation.hostname.clone(),
        subject_alt_names: authority::subject_alt_names(&object.spec.validation),
        credential_name: authority.credential_name.clone(),
        ..ClientTlsSettings::default()
    };
    let (mut policies, mut ancestors) = (Vec::new(), Ancestors::default());
    let (mut gateways, mut of_gateways) = (BTreeSet::new(), authority.conditions(None));
    for reference in &object.spec.target_refs {
        let found =
            find_target(world, namespace, &reference.group, &reference.kind, &reference.name)
                .and_then(|target| {
                    let section = reference.section_name.as_deref().filter(|it| !it.is_empty());
                    Ok((section.map(|it| port_named(world, &target, it)).transpose()?, target))
                });
        let found = found.map_err(|error| {
            Refusal::new(TARGET_NOT_FOUND, format!("targetRefs invalid: {error}"))
        });
        let conflict = conflict(world, object, reference);
        let conditions = authority.conditions(found.as_ref().err().or(conflict.as_ref()));
        if conditions.iter().any(|it| !it.status) {
            of_gateways.clone_from(&conditions);
        }
        ancestors.push(target_ancestor(reference), MESH_CONTROLLER, conditions);
        let Ok((port, target)) = found else { continue };
        gateways.extend(
            routes.ancestors.get(&backend_key(reference, namespace)).into_iter().flatten().cloned(),
        );
        if conflict.is_none() {
            let kind = BackendTlsPolicy::KIND;
            let (load_balancer, retry_budget) = (None, None);
            let tls = Some(tls.clone());
            policies.push(Policy {
                kind,
                meta: &object.meta,
                target,
                port,
                tls,
                load_balancer,
                retry_budget,
            });
        }
    }
    for (_, name) in gateways {
        let reference = ParentReference {
            group: Some(GATEWAY_GROUP.to_owned()),
            kind: Some("Gateway".to_owned()),
            name,
            ..ParentReference::default()
        };
        ancestors.push(reference, GATEWAY_CONTROLLER, of_gateways.clone());
    }
    ancestors.report(world, object, outcome);
    policies
}

fn backend_key(reference: &TargetReference, namespace: &str) -> BackendKey {
    BackendKey {
        group: reference.group.clone(),
        kind: reference.kind.clone(),
        namespace: namespace.to_owned(),
        name: reference.name.clone(),
    }
}

fn target_ancestor(reference: &TargetReference) -> ParentReference {
    ParentReference {
        group: Some(reference.group.clone()),
        kind: Some(reference.kind.clone()),
        name: reference.name.clone(),
        section_name: reference.section_name.clone(),
        ..ParentReference::default()
    }
}

/// Another policy that is for the same and comes first.
fn conflict(
    world: &World<'_>,
    object: &Object<BackendTlsPolicy>,
    reference: &TargetReference,
) -> Option<Refusal> {
    let age =
        |it: &Object<BackendTlsPolicy>| (it.meta.creation_timestamp.clone(), it.meta.name.clone());
    let winner = world.input.objects.backend_tls_policies.iter().find(|it| {
        it.meta.namespace == object.meta.namespace
            && it.meta.uid != object.meta.uid
            && age(it) < age(object)
            && it.spec.target_refs.contains(reference)
    })?;
    let (kind, name) = (BackendTlsPolicy::KIND, &winner.meta.name);
    Some(Refusal::new(
        "Conflicted",
        format!("Conflicts with {kind} {name:?} targeting the same backend"),
    ))
}

/// What the status of a policy says of each object that it concerns.
#[derive(Default)]
pub(super) struct Ancestors(Vec<(ParentReference, &'static str, Vec<Condition>)>);

impl Ancestors {
    pub(super) fn push(
        &mut self,
        reference: ParentReference,
        controller: &'static str,
        conditions: Vec<Condition>,
    ) {
        self.0.push((reference, controller, conditions));
    }

    /// Reports the status of `object`. Entries of other controllers stay; those beyond the limit are left out, which the
    /// policy survives.
    pub(super) fn report<T: Resource>(
        self,
        world: &World<'_>,
        object: &Object<T>,
        outcome: &mut Outcome,
    ) {
        let conditions = self.0.iter().flat_map(|(_, _, conditions)| conditions);
        notice::of_conditions(&object.reference(), conditions, outcome);
        let mut entries =
            self.entries(world, &object.meta, &object.status["ancestors"], "ancestorRef");
        entries.truncate(MAX_ANCESTORS);
        outcome.status(object, |status| {
            status.insert("ancestors".to_owned(), Value::Array(entries));
        });
    }

    /// The entries together with those that are there: others' as they are, ours in the place that they have.
    pub(super) fn entries(
        self,
        world: &World<'_>,
        meta: &Meta,
        existing: &Value,
        field: &str,
    ) -> Vec<Value> {
        let existing = existing.as_array().cloned().unwrap_or_default();
        let mut fresh: Vec<Value> = Vec::new();
        for (reference, controller, conditions) in self.0 {
            let mut entry = json!({ "controllerName": controller });
            entry[field] = json!(reference);
            let before = existing.iter().find(|it| same_ancestor(it, &entry, field));
            let before = before.map_or(&Value::Null, |it| &it["conditions"]);
            entry["conditions"] = world.report(meta).merge(before, conditions);
            fresh.push(entry);
        }
        let mut merged = Vec::new();
        for entry in existing {
            if !class::is_own(&entry["controllerName"]) {
                merged.push(entry);
            } else if let Some(place) = fresh.iter().position(|it| same_ancestor(it, &entry, field))
            {
                merged.push(fresh.remove(place));
            }
        }
        merged.extend(fresh);
        merged
    }
}

fn same_ancestor(one: &Value, other: &Value, field: &str) -> bool {
    one[field] == other[field] && one["controllerName"] == other["controllerName"]
}
