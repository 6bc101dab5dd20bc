//! The objects a translation works on, indexed and in Istio's order.
//!
//! A [`Snapshot`] is immutable and shared; the next one is made from all objects again, but what depends on objects that are
//! the same (by address, not by comparison) is taken over from the last one. So a change costs what depends on it, as long as
//! the objects are the last ones with some of them exchanged ([`Objects::exchange`]).

mod list;
mod objects;
mod virtual_services;

use std::collections::HashSet;
use std::sync::Arc;

use serin_api::core::Namespace;
use serin_api::mesh_config::MeshConfig;
use serin_api::networking::{DestinationRule, Gateway, VirtualService};
use serin_api::values::LabelSelector;
use serin_api::{Finding, Object};
use serin_routing::authorization::Inbounds;

use crate::authorization;
use crate::destination_rule::{self, DestinationRules};
use crate::gateway_api::{self, Converted};
use crate::registry::Registry;
use crate::scope::Sidecars;
use crate::virtual_service::{NameSettings, Resolver};

pub use list::List;
pub(crate) use list::{order, position};
pub(crate) use objects::same;
pub use objects::{Kind, Objects};
pub(crate) use virtual_services::VirtualServices;

/// The label that Kubernetes gives every namespace.
const NAME_LABEL: &str = "kubernetes.io/metadata.name";

/// What holds for the whole mesh.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Istio's mesh configuration.
    pub mesh: Arc<MeshConfig>,
    /// Domain of Kubernetes services.
    pub cluster_domain: Arc<str>,
    /// The objects are manifests rather than what a cluster holds: pods that a Deployment will make count as endpoints.
    pub expects_pods: bool,
    /// Pods have proxies by the labels that ask for them, without containers for them.
    pub injects: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            mesh: Arc::default(),
            cluster_domain: Arc::from("cluster.local"),
            expects_pods: false,
            injects: false,
        }
    }
}

/// All objects of a mesh at one time, and what is known from them for every proxy.
#[derive(Debug)]
pub struct Snapshot {
    settings: Settings,
    objects: Objects,
    registry: Arc<Registry>,
    pub(crate) gateway_api: Arc<Converted>,
    virtual_services: Arc<VirtualServices>,
    destination_rules: Arc<DestinationRules>,
    sidecars: Arc<Sidecars>,
    inbounds: Arc<Inbounds>,
    /// The objects that users wrote, in order, before those that were made from them joined.
    written: Objects,
    /// The objects as they were given.
    given: Objects,
}

impl Snapshot {
    /// A snapshot of `objects`, in whatever order they come.
    pub fn new(objects: Objects, settings: Settings) -> Self {
        SnapshotBuilder::default().build_owned(objects, settings)
    }

    /// What holds for the whole mesh.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Every object, those made from the Gateway API's among them.
    pub fn objects(&self) -> &Objects {
        &self.objects
    }

    /// The objects as they were given: without those made from the Gateway API's, and before namespaces were left out.
    pub fn given(&self) -> &Objects {
        &self.given
    }

    /// The VirtualServices that users wrote.
    pub fn written_virtual_services(&self) -> &[Arc<Object<VirtualService>>] {
        &self.written.virtual_services
    }

    /// The DestinationRules that users wrote.
    pub fn written_destination_rules(&self) -> &[Arc<Object<DestinationRule>>] {
        &self.written.destination_rules
    }

    /// Istio's Gateways that users wrote.
    pub fn written_gateways(&self) -> &[Arc<Object<Gateway>>] {
        &self.written.gateways
    }

    /// What serves.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// What the Gateway API's objects became, and the statuses they get.
    pub fn gateway_api(&self) -> &Converted {
        &self.gateway_api
    }

    /// VirtualServices by gateway and by who sees them.
    pub(crate) fn virtual_services(&self) -> &VirtualServices {
        &self.virtual_services
    }

    /// DestinationRules by host.
    pub(crate) fn destination_rules(&self) -> &Arc<DestinationRules> {
        &self.destination_rules
    }

    /// Sidecars by namespace.
    pub(crate) fn sidecars(&self) -> &Sidecars {
        &self.sidecars
    }

    /// What the pods of the mesh take, by their addresses.
    pub fn inbounds(&self) -> &Arc<Inbounds> {
        &self.inbounds
    }

    /// Whether everything but VirtualServices is the same as in `before`, so that a proxy has the same clusters for the same
    /// services.
    pub(crate) fn differs_in_rules_only(&self, before: &Self) -> bool {
        Arc::ptr_eq(&self.registry, &before.registry)
            && Arc::ptr_eq(&self.destination_rules, &before.destination_rules)
            && Arc::ptr_eq(&self.sidecars, &before.sidecars)
            && same(&self.objects.peer_authentications, &before.objects.peer_authentications)
            && self.settings == before.settings
    }

    /// What was found about objects, whatever proxy they are for.
    pub fn findings(&self) -> impl Iterator<Item = &Finding> {
        let rules = self.virtual_services.findings().chain(&self.destination_rules.findings);
        rules.chain(&self.sidecars.findings).chain(&self.gateway_api.findings)
    }
}

/// Makes snapshots one after the other.
#[derive(Debug, Default)]
pub struct SnapshotBuilder {
    resolver: Resolver,
    last: Option<Arc<Snapshot>>,
}

impl SnapshotBuilder {
    /// A builder whose next snapshot takes over from `last` what is the same.
    pub fn after(last: Arc<Snapshot>) -> Self {
        Self { resolver: Resolver::default(), last: Some(last) }
    }

    /// The snapshot of `objects`, in whatever order they come.
    pub fn build(&mut self, objects: Objects, settings: Settings) -> Arc<Snapshot> {
        let snapshot = Arc::new(self.build_owned(objects, settings));
        self.last = Some(Arc::clone(&snapshot));
        snapshot
    }

    fn build_owned(&mut self, given: Objects, settings: Settings) -> Snapshot {
        let last = self.last.as_deref().filter(|last| last.settings == settings);
        let written = written(&given, &settings.mesh.discovery_selectors, last);
        let registry = match last {
            Some(last) if Registry::depends_on_same(&last.written, &written) => {
                Arc::clone(&last.registry)
            }
            _ => Arc::new(Registry::new(&written, &settings)),
        };
        let gateway_api = gateway_api(last, &written, &registry, &settings);
        let objects = joined(&written, &gateway_api, last);
        let names = NameSettings {
            cluster_domain: settings.cluster_domain.to_string(),
            export_to: settings.mesh.default_virtual_service_export_to.clone(),
        };
        let resolved = self.resolver.resolve(&objects.virtual_services, &names);
        let virtual_services =
            VirtualServices::next(last.map(|last| &last.virtual_services), resolved);
        let destination_rules = match last {
            Some(last) if same(&last.objects.destination_rules, &objects.destination_rules) => {
                Arc::clone(&last.destination_rules)
            }
            _ => Arc::new(DestinationRules::new(
                &objects.destination_rules,
                destination_rule_defaults(&settings),
            )),
        };
        let sidecars = match last {
            Some(last) if same(&last.objects.sidecars, &objects.sidecars) => {
                Arc::clone(&last.sidecars)
            }
            _ => Arc::new(Sidecars::new(&objects.sidecars, &settings.mesh.root_namespace)),
        };
        let inbounds = authorization::inbounds(&objects, &settings, last);
        Snapshot {
            settings,
            objects,
            registry,
            gateway_api,
            virtual_services,
            destination_rules,
            sidecars,
            inbounds,
            written,
            given,
        }
    }
}

/// The objects in order. Where the mesh selects namespaces, those of others do not exist for it, those of the root namespace
/// included. What was given the last time is as it was then.
fn written(given: &Objects, selectors: &[LabelSelector], last: Option<&Snapshot>) -> Objects {
    if selectors.is_empty() {
        return given.clone().prepared(None, last.map(|last| (&last.given, &last.written)));
    }
    let is_selected = |namespace: &&Arc<Object<Namespace>>| {
        let mut labels = namespace.meta.labels.clone();
        labels.entry(NAME_LABEL.to_owned()).or_insert_with(|| namespace.meta.name.clone());
        selectors.iter().any(|it| it.matches(&labels))
    };
    let selected = given.namespaces.iter().filter(is_selected);
    let names: HashSet<_> = selected.map(|it| it.meta.name.as_str()).collect();
    let last = last.filter(|last| last.given.namespaces.is(&given.namespaces));
    let keeps = |namespace: &str| names.contains(namespace);
    given.clone().prepared(Some(&keeps), last.map(|last| (&last.given, &last.written)))
}

/// The objects with those that were made from them.
fn joined(written: &Objects, made: &Converted, last: Option<&Snapshot>) -> Objects {
    let mut objects = written.clone();
    macro_rules! join {
        ($($list:ident),+) => {
            $(objects.$list = Joined { written: &written.$list, made: &made.$list }.list(last.map(|last| {
                (Joined { written: &last.written.$list, made: &last.gateway_api.$list }, &last.objects.$list)
            }));)+
        };
    }
    join!(gateways, virtual_services, destination_rules);
    objects
}

/// Objects that users wrote and those that were made.
struct Joined<'a, T> {
    written: &'a List<T>,
    made: &'a [Arc<Object<T>>],
}

impl<T> Joined<'_, T> {
    /// The list of all. `last` is what they were before, and the list of them.
    fn list(&self, last: Option<(Self, &List<T>)>) -> List<T> {
        if self.made.is_empty() {
            return self.written.clone();
        }
        if let Some((before, list)) = last
            && same(before.made, self.made)
        {
            let mut list = list.clone();
            for (old, new) in before.written.changes(self.written) {
                list.exchange(old.map(|it| &**it), new.cloned());
            }
            return list;
        }
        let mut list = self.written.clone();
        list.extend_from_slice(self.made);
        list.sort();
        list
    }
}

/// What the Gateway API's objects become; taken from `last` as far as it is the same.
fn gateway_api(
    last: Option<&Snapshot>,
    objects: &Objects,
    registry: &Arc<Registry>,
    settings: &Settings,
) -> Arc<Converted> {
    let unchanged = last.filter(|last| {
        Arc::ptr_eq(&last.registry, registry)
            && gateway_api::depends_on_same(&last.written, objects)
    });
    if let Some(last) = unchanged {
        return Arc::clone(&last.gateway_api);
    }
    let mut converted = gateway_api::convert_objects(objects, registry, settings);
    if let Some(last) = last {
        converted.reuse(&last.gateway_api);
    }
    Arc::new(converted)
}

fn destination_rule_defaults(settings: &Settings) -> destination_rule::Defaults<'_> {
    destination_rule::Defaults {
        cluster_domain: &settings.cluster_domain,
        root_namespace: &settings.mesh.root_namespace,
        export_to: &settings.mesh.default_destination_rule_export_to,
    }
}

#[cfg(test)]
mod tests;
