//! Gateway API objects become Istio objects with the Gateway API's own semantics, and get their status.
//!
//! [`convert`] is a pure function of [`Input`]. It makes what istiod makes (`pilot/pkg/config/kube/gateway`): a Gateway for
//! each listener, VirtualServices for the routes attached to it, DestinationRules for policies of backends, with the names
//! that istiod gives them and annotations (`internal.istio.io/…`) that tell the rest of the translation to match paths by
//! segments and to answer 500 where a backend is missing. It relies on types and defaults of `serin-api`; writing statuses,
//! and making the deployments and services of Gateways, is left to controllers.
//!
//! The order in which things are looked at: GatewayClasses, Gateways with their ListenerSets, routes, policies. Statuses of
//! Gateways come last, because they count the routes attached.

mod address;
mod backend;
mod backend_policy;
mod certificate;
mod class;
mod condition;
mod conflict;
mod gateway;
mod grants;
mod http_route;
mod inference;
mod listener;
mod merge;
mod names;
mod notice;
mod of_snapshot;
mod parent;
mod route;
mod route_status;
mod rule;
mod status;
mod stream_route;
mod tls;
mod world;
mod x_backend;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use serde_json::Value;
use serin_api::networking::{self, DestinationRule, VirtualService};
use serin_api::{Finding, Object, ObjectRef};

use crate::snapshot::Objects;
pub(crate) use grants::Grants;
pub(crate) use names::{GATEWAY_SERVICE, ListenerOrigin, PARENT_NAMESPACE};
pub(crate) use of_snapshot::{convert_objects, depends_on_same};
use world::World;

/// Everything that a conversion looks at.
#[derive(Clone, Copy)]
pub struct Input<'a> {
    /// The Gateway API's objects, and of others Services, ServiceEntries, Namespaces, Secrets and ConfigMaps.
    pub objects: &'a Objects,
    /// The services of the registry.
    pub services: &'a dyn Services,
    /// The cluster's domain: `cluster.local`.
    pub domain: &'a str,
    /// What is switched on.
    pub features: Features,
}

/// The services of a registry.
pub trait Services {
    /// The service with this host name that belongs to `namespace`.
    fn find(&self, hostname: &str, namespace: &str) -> Option<ServiceView>;

    /// The namespaces that have a service with this host name, in order.
    fn namespaces(&self, hostname: &str) -> Vec<String>;
}

/// Parts of the Gateway API that can be switched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Features {
    /// Listeners for TLS and TCP.
    pub alpha: bool,
    /// InferencePools as backends.
    pub inference: bool,
    /// Whether a ServiceImport has a host name of its own under `clusterset.local`.
    pub multicluster_hosts: bool,
}

impl Default for Features {
    fn default() -> Self {
        Self { alpha: true, inference: true, multicluster_hosts: false }
    }
}

/// A service of the registry, as far as Gateways look at it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceView {
    /// Its host name.
    pub hostname: String,
    /// The namespace that it belongs to.
    pub namespace: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its ports, in order.
    pub ports: Vec<u32>,
    /// Its addresses inside the cluster.
    pub addresses: Vec<String>,
    /// Its addresses outside.
    pub external_addresses: Vec<String>,
    /// Whether a load balancer is to give it an address outside.
    pub load_balancer: bool,
    /// The ports of the workloads behind each of its ports that has any.
    pub endpoint_ports: BTreeMap<u32, BTreeSet<u32>>,
}

/// What a conversion makes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Converted {
    /// One Gateway for each listener.
    pub gateways: Vec<Arc<Object<networking::Gateway>>>,
    /// The routes.
    pub virtual_services: Vec<Arc<Object<VirtualService>>>,
    /// The policies of backends.
    pub destination_rules: Vec<Arc<Object<DestinationRule>>>,
    /// What the authors of the objects should know.
    pub findings: Vec<Finding>,
    statuses: Vec<(ObjectRef, Value)>,
}

impl Converted {
    /// The whole new status of each object that gets one. Conditions that change do so at `now`, in RFC 3339.
    pub fn statuses(&self, now: &str) -> Vec<(ObjectRef, Value)> {
        let mut statuses = self.statuses.clone();
        statuses.iter_mut().for_each(|(_, status)| condition::set_time(status, now));
        statuses
    }

    /// Takes from `last` the objects that are equal, so that what depends on them is known not to have changed.
    pub(crate) fn reuse(&mut self, last: &Self) {
        reuse(&mut self.gateways, &last.gateways);
        reuse(&mut self.virtual_services, &last.virtual_services);
        reuse(&mut self.destination_rules, &last.destination_rules);
    }
}

fn reuse<T: PartialEq>(list: &mut [Arc<Object<T>>], last: &[Arc<Object<T>>]) {
    let name = |it: &Arc<Object<T>>| (it.meta.namespace.clone(), it.meta.name.clone());
    let by_name: HashMap<_, _> = last.iter().map(|it| (name(it), it)).collect();
    for object in list {
        if let Some(known) = by_name.get(&name(object)).filter(|known| ***known == *object) {
            *object = Arc::clone(known);
        }
    }
}

/// Converts all Gateway API objects of `input`.
pub fn convert(input: &Input<'_>) -> Converted {
    let world = World::new(input);
    let mut outcome = status::Outcome::default();
    class::report(&world, &mut outcome);
    let gateway::Edge { gateways, parents, statuses } = gateway::convert(&world);
    let routes = route::convert(&world, &parents, &mut outcome);
    let destination_rules = backend_policy::convert(&world, &routes, &mut outcome);
    statuses.report(&world, &routes, &mut outcome);
    inference::report(&world, &mut outcome);
    Converted {
        gateways: gateways.into_iter().map(Arc::new).collect(),
        virtual_services: routes.virtual_services.into_iter().map(Arc::new).collect(),
        destination_rules: destination_rules.into_iter().map(Arc::new).collect(),
        findings: outcome.findings,
        statuses: outcome.statuses,
    }
}
