//! What a proxy makes routes for outbound traffic of: listeners and route tables of sidecars, connections through gateways.

use std::sync::Arc;

use serin_api::networking::{DestinationRule, HttpRetry, OutboundTrafficPolicyMode};
use serin_routing::model::{
    Action, BLACK_HOLE_CLUSTER, Destination, Destinations, DirectResponse, Forward, HashPolicy,
    HeaderOps, Origin, PASSTHROUGH_CLUSTER, Route, RouteMatch, VirtualHost,
};

use crate::destination_rule::MergedRule;
use crate::host::Host;
use crate::proxy::Proxy;
use crate::registry::{Service, ServiceRegistry};
use crate::route::{
    RouteContext, ServiceLookup, any_path, cluster_name, port_hash_policy, retry_policy,
};
use crate::scope::Scope;
use crate::snapshot::Snapshot;
use crate::virtual_service::{GatewayName, Place};

/// A proxy and what it sees.
#[derive(Clone, Copy)]
pub(crate) struct Outbound<'a> {
    pub(crate) snapshot: &'a Snapshot,
    pub(crate) scope: &'a Scope,
    pub(crate) proxy: &'a Proxy,
    /// The gateways whose rules hold; for a sidecar the mesh.
    pub(crate) gateways: &'a [GatewayName],
}

impl<'a> Outbound<'a> {
    /// Where rules for connections to `port` are chosen for.
    pub(crate) fn place(&self, port: u16) -> Place<'a> {
        Place {
            labels: &self.proxy.labels,
            namespace: &self.proxy.namespace,
            gateways: self.gateways,
            port,
        }
    }

    /// What routes for connections to `port` are made for, if `services` are those that they may lead to.
    pub(crate) fn routes<'s>(&self, port: u16, services: &'s dyn ServiceLookup) -> RouteContext<'s>
    where
        'a: 's,
    {
        RouteContext {
            place: self.place(port),
            terminates_tls: false,
            services,
            default_retries: self.default_retries(),
        }
    }

    pub(super) fn default_retries(&self) -> Option<&'a HttpRetry> {
        self.snapshot.settings().mesh.default_http_retry_policy.as_ref()
    }

    /// The DestinationRule for connections to a host.
    pub(crate) fn rule(&self, host: &Host) -> Option<&'a Arc<MergedRule>> {
        self.scope.outbound_rule(self.proxy, host)
    }

    /// Whether traffic to unknown destinations is let through.
    pub(super) fn allows_any(&self) -> bool {
        self.scope.outbound == OutboundTrafficPolicyMode::AllowAny
    }

    /// Where connections to unknown destinations go.
    pub(super) fn unknown_cluster(&self) -> Arc<str> {
        match &self.scope.egress_proxy {
            _ if !self.allows_any() => Arc::from(BLACK_HOLE_CLUSTER),
            Some(proxy) => {
                let port = proxy.port.as_ref().map_or(0, |port| port.number);
                cluster_name(&proxy.host, &proxy.subset, port)
            }
            None => Arc::from(PASSTHROUGH_CLUSTER),
        }
    }
}

/// Looks services up by name alone, as rules for connections do.
impl ServiceLookup for Outbound<'_> {
    fn only_port(&self, host: &str) -> Option<u16> {
        match &*self.scope.service(&Host::new(host))?.ports {
            [only] => Some(only.number),
            _ => None,
        }
    }

    fn stands_for(&self, host: &str) -> Option<&Host> {
        self.scope.service(&Host::new(host))?.external_name.as_ref()
    }

    fn destination_rule(&self, host: &str) -> Option<&DestinationRule> {
        self.rule(&Host::new(host)).map(|rule| &rule.spec)
    }
}

/// The cluster for a port of a service.
pub(super) fn service_cluster(service: &Service, port: u16) -> Arc<str> {
    cluster_name(&service.host, "", port)
}

/// One destination without conditions.
pub(crate) fn single(cluster: Arc<str>) -> Destinations {
    Destinations::new(vec![Destination::new(cluster, 1)])
}

/// A route for every request to one cluster, without a time limit.
pub(super) fn plain_route(name: &str, origin: Origin, cluster: Arc<str>) -> Route {
    Route {
        name: Arc::from(name),
        origin,
        condition: RouteMatch { path: any_path(), ..RouteMatch::default() },
        action: Action::Forward(Box::new(Forward::new(single(cluster)))),
        request_headers: HeaderOps::default(),
        response_headers: HeaderOps::default(),
        fault: None,
        cors: None,
    }
}

/// The route to a service that no VirtualService is for.
pub(super) fn service_route(service: &Service, port: u16, outbound: &Outbound<'_>) -> Route {
    let mut route = plain_route("default", service_origin(service), service_cluster(service, port));
    if let Action::Forward(forward) = &mut route.action {
        let rule = outbound.rule(&service.host);
        let hash = rule.and_then(|rule| port_hash_policy(&rule.spec, port));
        forward.hash = hash.into_iter().collect::<Vec<HashPolicy>>();
        forward.retry = retry_policy(outbound.default_retries(), false);
    }
    route
}

fn service_origin(service: &Service) -> Origin {
    let kind = match service.registry {
        ServiceRegistry::Kubernetes => "Service",
        ServiceRegistry::ServiceEntry => "ServiceEntry",
    };
    Origin {
        kind: Arc::from(kind),
        namespace: Arc::clone(&service.namespace),
        name: Arc::clone(&service.name),
        ..Origin::default()
    }
}

/// The virtual host for requests to unknown hosts: they are let through, or answered with 502.
pub(super) fn catch_all(outbound: &Outbound<'_>) -> VirtualHost {
    let (name, route) = if outbound.allows_any() {
        let origin = Origin::built_in("allow_any");
        ("allow_any", plain_route("allow_any", origin, outbound.unknown_cluster()))
    } else {
        let refuse = DirectResponse { status: 502, body: Arc::from([]) };
        let route =
            plain_route("block_all", Origin::built_in("block_all"), outbound.unknown_cluster());
        ("block_all", Route { action: Action::Direct(refuse), ..route })
    };
    VirtualHost {
        name: Arc::from(name),
        domains: vec![Arc::from(Host::ANY)],
        routes: vec![Arc::new(route)],
        require_tls: false,
    }
}
