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
mod parent;
mod route;
mod route_status;
mod rule;
mod status;
mod stream_route;
mod tls;
mod world;
mod x_backend;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use serin_api::core::{ConfigMap, Namespace, Secret, Service};
use serin_api::gateway_api::{
    BackendTlsPolicy, Gateway, GatewayClass, GrpcRoute, HttpRoute, InferencePool, ListenerSet,
    ReferenceGrant, TcpRoute, TlsRoute, XBackend, XBackendTrafficPolicy, XListenerSet,
};
use serin_api::networking::{self, DestinationRule, ServiceEntry, VirtualService};
use serin_api::{Finding, Object, ObjectRef};

use world::World;

/// Everything that a conversion looks at.
#[derive(Clone, Debug, Default)]
pub struct Input<'a> {
    /// GatewayClasses.
    pub gateway_classes: Vec<&'a Object<GatewayClass>>,
    /// Gateways.
    pub gateways: Vec<&'a Object<Gateway>>,
    /// ListenerSets.
    pub listener_sets: Vec<&'a Object<ListenerSet>>,
    /// ListenerSets under their experimental name.
    pub x_listener_sets: Vec<&'a Object<XListenerSet>>,
    /// HTTPRoutes.
    pub http_routes: Vec<&'a Object<HttpRoute>>,
    /// GRPCRoutes.
    pub grpc_routes: Vec<&'a Object<GrpcRoute>>,
    /// TLSRoutes.
    pub tls_routes: Vec<&'a Object<TlsRoute>>,
    /// TCPRoutes.
    pub tcp_routes: Vec<&'a Object<TcpRoute>>,
    /// ReferenceGrants.
    pub reference_grants: Vec<&'a Object<ReferenceGrant>>,
    /// BackendTLSPolicies.
    pub backend_tls_policies: Vec<&'a Object<BackendTlsPolicy>>,
    /// XBackendTrafficPolicies.
    pub backend_traffic_policies: Vec<&'a Object<XBackendTrafficPolicy>>,
    /// XBackends.
    pub backends: Vec<&'a Object<XBackend>>,
    /// InferencePools.
    pub inference_pools: Vec<&'a Object<InferencePool>>,
    /// ServiceEntries.
    pub service_entries: Vec<&'a Object<ServiceEntry>>,
    /// Services of Kubernetes.
    pub services: Vec<&'a Object<Service>>,
    /// Secrets, for certificates.
    pub secrets: Vec<&'a Object<Secret>>,
    /// ConfigMaps, for authorities.
    pub config_maps: Vec<&'a Object<ConfigMap>>,
    /// Namespaces, for selectors.
    pub namespaces: Vec<&'a Object<Namespace>>,
    /// The services of the registry.
    pub registry: Vec<ServiceView>,
    /// The cluster's domain: `cluster.local`.
    pub domain: &'a str,
    /// The time at which a changed condition changes, in RFC 3339.
    pub now: &'a str,
    /// What is switched on.
    pub features: Features,
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
#[derive(Clone, Debug, Default)]
pub struct Converted {
    /// One Gateway for each listener.
    pub gateways: Vec<Object<networking::Gateway>>,
    /// The routes.
    pub virtual_services: Vec<Object<VirtualService>>,
    /// The policies of backends.
    pub destination_rules: Vec<Object<DestinationRule>>,
    /// The whole new status of each object that gets one.
    pub statuses: Vec<(ObjectRef, Value)>,
    /// What the authors of the objects should know.
    pub findings: Vec<Finding>,
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
        gateways,
        virtual_services: routes.virtual_services,
        destination_rules,
        statuses: outcome.statuses,
        findings: outcome.findings,
    }
}
