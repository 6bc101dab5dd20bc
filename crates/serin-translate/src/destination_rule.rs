//! DestinationRules: merging, choosing the one for a host, and inheriting traffic policies.
//!
//! Rules of one namespace for the same host are merged (`merge`); which namespace's rule a client takes is decided by
//! [`DestinationRules::lookup`]; what a rule means for one port and subset by [`Policy`] (`policy`). What the settings do to a
//! cluster is left to `crate::cluster`.

mod merge;
mod policy;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use serin_api::networking::{DestinationRule, Subset};
use serin_api::{Finding, Object, ObjectRef};

use crate::host::{Host, HostMap};
use crate::proxy::Proxy;

pub(crate) use policy::Policy;

/// A rule as it holds for its host: several objects of one namespace merged.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct MergedRule {
    /// The host, full name.
    pub(crate) host: Host,
    /// Namespace of the objects.
    pub(crate) namespace: Arc<str>,
    /// The merged fields.
    pub(crate) spec: DestinationRule,
    /// The objects, the one that came first leading.
    pub(crate) from: Vec<ObjectRef>,
    /// It comes from policies of the Gateway API only.
    is_policy: bool,
    /// Namespaces as written; empty for the default.
    export_to: BTreeSet<String>,
}

impl MergedRule {
    /// The subset of this name.
    pub(crate) fn subset(&self, name: &str) -> Option<&Subset> {
        self.spec.subsets.iter().find(|subset| subset.name == name)
    }

    /// The settings for a port of the host, or of one of its subsets.
    pub(crate) fn policy(&self, port: u16, subset: Option<&Subset>) -> Policy<'_> {
        let subset = subset.and_then(|subset| self.subset(&subset.name));
        Policy::new(
            self.spec.traffic_policy.as_ref(),
            subset.and_then(|it| it.traffic_policy.as_ref()),
            port,
        )
    }

    fn is_exported_to(&self, client: &str) -> bool {
        self.export_to.is_empty()
            || self.export_to.contains("*")
            || self.export_to.contains(client)
            || (self.export_to.contains(".") && *self.namespace == *client)
    }
}

/// Rules of one namespace by host. A host may have several: rules for certain workloads, and rules whose `exportTo` differs.
type ByHost = HostMap<Vec<Arc<MergedRule>>>;

/// Every DestinationRule, found by host and namespace.
#[derive(Clone, Debug, Default)]
pub(crate) struct DestinationRules {
    root_namespace: Arc<str>,
    /// Rules that clients of their own namespace see.
    local: HashMap<Arc<str>, ByHost>,
    /// Rules that clients of other namespaces may see.
    exported: HashMap<Arc<str>, ByHost>,
    /// Rules of the root namespace that only its own clients see.
    root_private: ByHost,
    /// What was found on the way.
    pub(crate) findings: Vec<Finding>,
}

/// What the mesh says about rules.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Defaults<'a> {
    /// Domain of full service names.
    pub(crate) cluster_domain: &'a str,
    /// Namespace whose rules hold for the whole mesh.
    pub(crate) root_namespace: &'a str,
    /// `exportTo` of rules that have none.
    pub(crate) export_to: &'a [String],
}

impl DestinationRules {
    /// The rules of all objects, which are in Istio's order.
    pub(crate) fn new(objects: &[Arc<Object<DestinationRule>>], defaults: Defaults<'_>) -> Self {
        let mut rules =
            Self { root_namespace: Arc::from(defaults.root_namespace), ..Self::default() };
        let for_some =
            |object: &&Arc<Object<DestinationRule>>| object.spec.workload_selector.is_some();
        // Rules for certain workloads come first, so that the general ones can be merged into them.
        for object in
            objects.iter().filter(for_some).chain(objects.iter().filter(|it| !for_some(it)))
        {
            rules.add(object, defaults);
        }
        rules
    }

    fn add(&mut self, object: &Object<DestinationRule>, defaults: Defaults<'_>) {
        let rule = MergedRule::new(object, defaults.cluster_domain);
        let namespace = Arc::clone(&rule.namespace);
        let written = &rule.export_to;
        let has = |sign: &str| written.contains(sign);
        let is_local = written.is_empty() || has("*") || has(".") || has(&namespace);
        let is_private = if written.is_empty() {
            defaults.export_to.iter().any(|it| it == ".")
        } else {
            written.len() == 1 && (has(".") || has(&namespace))
        };
        let mut findings = Vec::new();
        if is_local {
            let local = self.local.entry(Arc::clone(&namespace)).or_default();
            findings = merge::add(local.entry(rule.host.clone()), &rule);
        }
        if is_private {
            if namespace == self.root_namespace {
                merge::add(self.root_private.entry(rule.host.clone()), &rule);
            }
        } else {
            let exported = self.exported.entry(namespace).or_default();
            let found = merge::add(exported.entry(rule.host.clone()), &rule);
            if !is_local {
                findings = found;
            }
        }
        self.findings.append(&mut findings);
    }

    /// The rules for a host that clients of `client` use: those of their own namespace, else of the service's namespace, else
    /// of the root namespace (`destinationRule` in `push_context.go`).
    pub(crate) fn lookup(
        &self,
        client: &str,
        service_namespace: &str,
        host: &Host,
    ) -> Vec<&Arc<MergedRule>> {
        let own = if *client == *self.root_namespace {
            // Rules for the whole mesh live here too; those of the service's namespace go before them.
            Some(&self.root_private)
        } else {
            self.local.get(client)
        };
        if let Some((_, rules)) = own.and_then(|rules| rules.most_specific(host)) {
            return rules.iter().collect();
        }
        let owners = [service_namespace, &self.root_namespace];
        let found = owners.into_iter().map(|owner| self.exported_to(client, owner, host));
        found.into_iter().find(|rules| !rules.is_empty()).unwrap_or_default()
    }

    fn exported_to(&self, client: &str, owner: &str, host: &Host) -> Vec<&Arc<MergedRule>> {
        let found = self.exported.get(owner).and_then(|rules| rules.most_specific(host));
        let rules = found.map_or(&[][..], |(_, rules)| rules);
        rules.iter().filter(|rule| rule.is_exported_to(client)).collect()
    }

    /// The rule for a host that `proxy` uses for connections it makes: one that selects its workload, else a general one.
    pub(crate) fn for_outbound(
        &self,
        proxy: &Proxy,
        service_namespace: &str,
        host: &Host,
    ) -> Option<&Arc<MergedRule>> {
        let rules = self.lookup(&proxy.namespace, service_namespace, host);
        let selects = |rule: &MergedRule| {
            let selector = rule.spec.workload_selector.as_ref();
            *rule.namespace == *proxy.namespace
                && selector.is_some_and(|it| proxy.has_labels(&it.match_labels))
        };
        let chosen = rules.iter().find(|rule| selects(rule)).copied();
        chosen.or_else(|| general(&rules))
    }

    /// The rule for a host that holds for connections to `proxy`: workload selectors speak of clients only.
    pub(crate) fn for_inbound(
        &self,
        proxy: &Proxy,
        service_namespace: &str,
        host: &Host,
    ) -> Option<&Arc<MergedRule>> {
        general(&self.lookup(&proxy.namespace, service_namespace, host))
    }
}

/// Of rules that could not be merged, the last holds.
fn general<'a>(rules: &[&'a Arc<MergedRule>]) -> Option<&'a Arc<MergedRule>> {
    rules.iter().rfind(|rule| rule.spec.workload_selector.is_none()).copied()
}

#[cfg(test)]
mod tests;
