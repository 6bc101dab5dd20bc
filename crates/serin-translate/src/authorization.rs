//! Who may do what at which workload: AuthorizationPolicies, RequestAuthentications and PeerAuthentications become what their proxies
//! keep.
//!
//! Which policies are a workload's is Istio's (`GetAuthorizationPolicies`): those of its namespace and of the root namespace, without
//! a selector or with one that fits; and at the ports of a Gateway of the Gateway API those that are attached to it. What `CUSTOM` policies would have somebody else decide is denied, as Istio does where the provider
//! is not known: what was to be asked about is not let through unasked.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ipnet::IpNet;
use serin_api::networking::Gateway;
use serin_api::security::{
    AuthorizationAction, AuthorizationPolicy, AuthorizationRule, Condition as Written, Operation,
    RequestAuthentication, Source,
};
use serin_api::values::{PolicySelector, TargetRef};
use serin_api::{Object, ObjectRef};
use serin_routing::authorization::{
    Attribute, Authorization, Condition, Inbound, Inbounds, PathTemplate, Rule, Value,
};
use serin_routing::model::{ByName, EndpointTls, Listener};

use crate::authentication::authentication;
use crate::gateway::served_at;
use crate::mesh::{Mode, Modes};
use crate::proxy::{Proxy, ProxyKind};
use crate::registry::pod_workloads;
use crate::snapshot::{Objects, Settings, Snapshot, same};

/// Says that a policy only pretends to be in force.
const DRY_RUN: &str = "istio.io/dry-run";
/// The group of Gateways that policies are attached to.
const GATEWAY_API: &str = "gateway.networking.k8s.io";
/// The trust domain that stands for the mesh's own.
const LOCAL: &str = "cluster.local";

/// What the pods of the mesh take. What is the same as in `last` is taken from there.
pub(crate) fn inbounds(
    objects: &Objects,
    settings: &Settings,
    last: Option<&Snapshot>,
) -> Arc<Inbounds> {
    let is_without = objects.authorization_policies.is_empty()
        && objects.request_authentications.is_empty()
        && objects.peer_authentications.is_empty();
    if is_without {
        let before = last.map(Snapshot::inbounds).filter(|it| it.is_empty());
        return before.map(Arc::clone).unwrap_or_default();
    }
    let is_same = |before: &&Snapshot| {
        let last = before.objects();
        same(&last.authorization_policies, &objects.authorization_policies)
            && same(&last.request_authentications, &objects.request_authentications)
            && same(&last.peer_authentications, &objects.peer_authentications)
            && same(&last.pods, &objects.pods)
            && same(&last.namespaces, &objects.namespaces)
            && before.settings() == settings
    };
    if let Some(before) = last.filter(is_same) {
        return Arc::clone(before.inbounds());
    }
    let mut policies = Policies::new(objects, settings);
    let mut inbounds = Inbounds::new();
    for (pod, workload) in pod_workloads(objects, settings) {
        if pod.spec.host_network || workload.tls != EndpointTls::Mesh {
            continue;
        }
        let namespace = &*workload.identity.namespace;
        let has_labels = |labels: &BTreeMap<_, _>| workload.has_labels(labels);
        let authorization = policies.of(namespace, has_labels, &[]);
        let root = &settings.mesh.root_namespace;
        let modes = Modes::of(namespace, has_labels, &objects.peer_authentications, root);
        let is_strict = |mode| mode == Mode::Strict;
        let inbound = Inbound {
            strict: is_strict(modes.general()),
            strict_ports: modes.ports().map(|(port, mode)| (port, is_strict(mode))).collect(),
            authorization,
        };
        if inbound == Inbound::default() {
            continue;
        }
        let inbound = Arc::new(inbound);
        inbounds.extend(workload.addresses.iter().map(|address| (*address, Arc::clone(&inbound))));
    }
    match last {
        Some(before) if **before.inbounds() == inbounds => Arc::clone(before.inbounds()),
        _ => Arc::new(inbounds),
    }
}

/// Who may do what at a gateway's own listeners, by port. Sidecars have none: their workloads' are [`inbounds`].
pub(crate) fn of_gateway(
    snapshot: &Snapshot,
    proxy: &Proxy,
    listeners: &ByName<Listener>,
) -> BTreeMap<u16, Arc<Authorization>> {
    if proxy.kind == ProxyKind::Sidecar {
        return BTreeMap::new();
    }
    let mut policies = Policies::new(snapshot.objects(), snapshot.settings());
    // One that stands for every gateway is also the one that these labels are for.
    let gateways = &snapshot.objects().gateways;
    let is_chosen = |labels: &BTreeMap<_, _>| {
        let asks = |gateway: &Object<Gateway>| {
            labels.iter().all(|(key, value)| gateway.spec.selector.get(key) == Some(value))
        };
        proxy.serves_every_gateway && gateways.iter().any(|it| asks(it))
    };
    let has_labels = |labels: &BTreeMap<_, _>| proxy.has_labels(labels) || is_chosen(labels);
    if policies.are_none() {
        return BTreeMap::new();
    }
    let ports: BTreeSet<u16> = listeners.values().map(|it| it.port).collect();
    let own = ports.into_iter().filter_map(|port| {
        let gateways = served_at(snapshot, proxy, port);
        Some((port, policies.of(&proxy.namespace, has_labels, &gateways)?))
    });
    own.collect()
}

/// Policies, each made at most once, and what those that select the same workloads are together.
struct Policies<'p> {
    written: &'p [Arc<Object<AuthorizationPolicy>>],
    of_tokens: &'p [Arc<Object<RequestAuthentication>>],
    settings: &'p Settings,
    /// By the places of the policies that make them, those of tokens last.
    made: BTreeMap<(Vec<usize>, Vec<usize>), Arc<Authorization>>,
}

impl<'p> Policies<'p> {
    fn new(objects: &'p Objects, settings: &'p Settings) -> Self {
        let written = &*objects.authorization_policies;
        let of_tokens = &*objects.request_authentications;
        Self { written, of_tokens, settings, made: BTreeMap::new() }
    }

    const fn are_none(&self) -> bool {
        self.written.is_empty() && self.of_tokens.is_empty()
    }

    /// The policies of a workload of `namespace` whose labels answer `has_labels`, and those that are attached to `gateways`.
    fn of(
        &mut self,
        namespace: &str,
        has_labels: impl Fn(&BTreeMap<String, String>) -> bool,
        gateways: &[ObjectRef],
    ) -> Option<Arc<Authorization>> {
        let root = &self.settings.mesh.root_namespace;
        let is_for = |home: &str, selector: Option<&PolicySelector>, targets: Targets<'_>| {
            if !targets.are_none() {
                return gateways.iter().any(|it| it.namespace == home && targets.name(it));
            }
            let is_selected = selector.is_none_or(|it| has_labels(&it.match_labels));
            (home == namespace || home == root) && is_selected
        };
        let places = places(self.written, |it| {
            let (home, spec) = (&it.meta.namespace, &it.spec);
            let targets = Targets(spec.target_ref.as_ref(), &spec.target_refs);
            is_for(home, spec.selector.as_ref(), targets) && is_in_force(it)
        });
        let of_tokens = self::places(self.of_tokens, |it| {
            let (home, spec) = (&it.meta.namespace, &it.spec);
            let targets = Targets(spec.target_ref.as_ref(), &spec.target_refs);
            is_for(home, spec.selector.as_ref(), targets)
        });
        if places.is_empty() && of_tokens.is_empty() {
            return None;
        }
        let (written, mesh) = (self.written, &self.settings.mesh);
        let domains = mesh.trust_domain_aliases.iter().map(String::as_str);
        let domains: Vec<&str> =
            std::iter::once(mesh.trust_domain.as_str()).chain(domains).collect();
        let tokens = self.of_tokens;
        let made =
            self.made.entry((places, of_tokens)).or_insert_with_key(|(places, of_tokens)| {
                let policies = places.iter().filter_map(|place| written.get(*place));
                let tokens = of_tokens.iter().filter_map(|place| tokens.get(*place));
                let tokens = authentication(tokens.map(|it| &**it));
                Arc::new(Authorization {
                    tokens,
                    ..authorization(policies.map(|it| &**it), &domains)
                })
            });
        Some(Arc::clone(made))
    }
}
/// The objects that a policy is attached to, in the old field or the new one.
#[derive(Clone, Copy)]
pub(crate) struct Targets<'p>(pub(crate) Option<&'p TargetRef>, pub(crate) &'p [TargetRef]);

impl Targets<'_> {
    /// Whether the policy goes by its selector.
    pub(crate) const fn are_none(self) -> bool {
        self.0.is_none() && self.1.is_empty()
    }

    /// Whether any of them is a Gateway of the Gateway API.
    pub(crate) fn are_gateways(self) -> bool {
        self.0.into_iter().chain(self.1).any(is_gateway)
    }

    fn name(self, object: &ObjectRef) -> bool {
        let is_same_kind = object.kind == "Gateway" && object.api_version.starts_with(GATEWAY_API);
        let mut targets = self.0.into_iter().chain(self.1);
        is_same_kind && targets.any(|it| is_gateway(it) && it.name == object.name)
    }
}

fn is_gateway(target: &TargetRef) -> bool {
    target.group == GATEWAY_API && target.kind == "Gateway"
}

/// The places of those that are meant.
fn places<T>(all: &[Arc<T>], is_meant: impl Fn(&T) -> bool) -> Vec<usize> {
    let all = all.iter().enumerate();
    all.filter(|(_, it)| is_meant(it)).map(|(place, _)| place).collect()
}

/// Whether a policy decides anything: not one that is for auditing, or that is only tried.
fn is_in_force(policy: &Object<AuthorizationPolicy>) -> bool {
    let dry_run = policy.meta.annotations.get(DRY_RUN);
    let is_dry =
        dry_run.is_some_and(|it| matches!(it.as_str(), "1" | "t" | "T" | "TRUE" | "true" | "True"));
    policy.spec.action != AuthorizationAction::Audit && !is_dry
}

fn authorization<'p>(
    policies: impl Iterator<Item = &'p Object<AuthorizationPolicy>>,
    domains: &[&str],
) -> Authorization {
    let mut authorization = Authorization::default();
    for policy in policies {
        let rules = policy.spec.rules.iter().enumerate();
        let rules = rules.map(|(place, written)| rule(policy, place, written, domains));
        match policy.spec.action {
            AuthorizationAction::Allow => {
                authorization.allow.get_or_insert_default().extend(rules);
            }
            AuthorizationAction::Deny | AuthorizationAction::Custom => {
                authorization.deny.extend(rules);
            }
            AuthorizationAction::Audit => {}
        }
    }
    authorization
}

fn rule(
    policy: &Object<AuthorizationPolicy>,
    place: usize,
    written: &AuthorizationRule,
    domains: &[&str],
) -> Rule {
    let (namespace, name) = (&policy.meta.namespace, &policy.meta.name);
    let reader = Reader { namespace, domains };
    let sources = written.from.iter().filter_map(|it| it.source.as_ref());
    let operations = written.to.iter().filter_map(|it| it.operation.as_ref());
    Rule {
        name: format!("ns[{namespace}]-policy[{name}]-rule[{place}]").into(),
        from: sources.map(|it| reader.source(it)).collect(),
        to: operations.map(|it| reader.operation(it)).collect(),
        when: written.when.iter().map(|it| reader.when(it)).collect(),
    }
}

/// Reads the values of a policy.
struct Reader<'p> {
    /// The policy's.
    namespace: &'p str,
    /// The mesh's own trust domain and its other names.
    domains: &'p [&'p str],
}

impl Reader<'_> {
    fn source(&self, source: &Source) -> Vec<Condition> {
        let fields = [
            (Attribute::Principal, &source.principals, &source.not_principals),
            (Attribute::TokenPrincipal, &source.request_principals, &source.not_request_principals),
            (Attribute::Namespace, &source.namespaces, &source.not_namespaces),
            (Attribute::ServiceAccount, &source.service_accounts, &source.not_service_accounts),
            (Attribute::TrustDomain, &source.trust_domains, &source.not_trust_domains),
            (Attribute::SourceAddress, &source.ip_blocks, &source.not_ip_blocks),
            (Attribute::RemoteAddress, &source.remote_ip_blocks, &source.not_remote_ip_blocks),
        ];
        self.conditions(fields)
    }

    fn operation(&self, operation: &Operation) -> Vec<Condition> {
        let fields = [
            (Attribute::Host, &operation.hosts, &operation.not_hosts),
            (Attribute::DestinationPort, &operation.ports, &operation.not_ports),
            (Attribute::Method, &operation.methods, &operation.not_methods),
            (Attribute::Path, &operation.paths, &operation.not_paths),
        ];
        self.conditions(fields)
    }

    fn conditions<const N: usize>(
        &self,
        fields: [(Attribute, &Vec<String>, &Vec<String>); N],
    ) -> Vec<Condition> {
        let said = fields.into_iter().filter(|(_, is, not)| !is.is_empty() || !not.is_empty());
        said.map(|(attribute, is, not)| self.condition(attribute, is, not)).collect()
    }

    fn when(&self, written: &Written) -> Condition {
        let key = written.key.as_str();
        let attribute = match key {
            "source.ip" => Attribute::SourceAddress,
            "remote.ip" => Attribute::RemoteAddress,
            "source.namespace" => Attribute::Namespace,
            "source.principal" => Attribute::Principal,
            "source.serviceAccount" => Attribute::ServiceAccount,
            "source.trustDomain" => Attribute::TrustDomain,
            "destination.ip" => Attribute::DestinationAddress,
            "destination.port" => Attribute::DestinationPort,
            "connection.sni" => Attribute::ServerName,
            "request.auth.principal" => Attribute::TokenPrincipal,
            "request.auth.audiences" => Attribute::Claim(vec!["aud".into()]),
            "request.auth.presenter" => Attribute::Claim(vec!["azp".into()]),
            _ => {
                match (in_brackets(key, "request.headers"), in_brackets(key, "request.auth.claims"))
                {
                    (Some(name), _) => Attribute::Header(name.to_ascii_lowercase().into()),
                    (_, Some(path)) => Attribute::Claim(path.split("][").map(Arc::from).collect()),
                    _ => Attribute::Unknown,
                }
            }
        };
        self.condition(attribute, &written.values, &written.not_values)
    }

    fn condition(&self, attribute: Attribute, is: &[String], not: &[String]) -> Condition {
        let read = |written: &[String]| {
            written.iter().flat_map(|it| self.values(&attribute, it)).collect::<Vec<_>>()
        };
        let (values, not_values) = (read(is), read(not));
        Condition { attribute, values, not_values }
    }

    fn values(&self, attribute: &Attribute, written: &str) -> Vec<Value> {
        // What cannot be read is kept as a text, which fits no address and no port: a condition must not vanish.
        let one = match attribute {
            Attribute::Principal => return self.principals(written),
            Attribute::ServiceAccount => {
                let (namespace, account) =
                    written.split_once('/').unwrap_or((self.namespace, written));
                Value::Exact(format!("{namespace}/sa/{account}").into())
            }
            Attribute::SourceAddress | Attribute::RemoteAddress | Attribute::DestinationAddress => {
                network(written).map_or_else(|| Value::text(written), Value::Network)
            }
            Attribute::DestinationPort => {
                written.parse().map_or_else(|_| Value::text(written), Value::Port)
            }
            Attribute::Path => {
                PathTemplate::new(written).map_or_else(|| Value::text(written), Value::Template)
            }
            _ => Value::text(written),
        };
        vec![one]
    }

    /// An identity of the mesh's own trust domain is the same under each of the domain's names.
    fn principals(&self, written: &str) -> Vec<Value> {
        match written.split_once('/') {
            Some((domain, rest)) if domain == LOCAL || self.domains.contains(&domain) => {
                let all = self.domains.iter();
                all.map(|domain| Value::text(&format!("{domain}/{rest}"))).collect()
            }
            _ => vec![Value::text(written)],
        }
    }
}

/// What stands in the brackets of a key, from the first to the last: `name[…]`.
fn in_brackets<'k>(key: &'k str, name: &str) -> Option<&'k str> {
    key.strip_prefix(name)?.strip_prefix('[')?.strip_suffix(']').filter(|it| !it.is_empty())
}

/// An address or a network.
fn network(written: &str) -> Option<IpNet> {
    written.parse().ok().or_else(|| written.parse::<std::net::IpAddr>().ok().map(IpNet::from))
}

#[cfg(test)]
mod tests;
