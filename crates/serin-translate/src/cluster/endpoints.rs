//! Which endpoints of a service a cluster has.

use std::collections::BTreeMap;
use std::sync::Arc;

use serin_api::networking::Subset;
use serin_routing::model::{Endpoint, EndpointTls, Endpoints, Health, Locality, LocalityEndpoints};

use super::peers::Peers;
use crate::proxy::Proxy;
use crate::registry::{EndpointSource, Registry, Service, ServiceEndpoint, ServicePort};

/// Label of Services whose sessions stay with an endpoint until it is gone.
const PERSISTENT_SESSION: &str = "istio.io/persistent-session";

/// Chooses endpoints for one proxy.
#[derive(Clone, Copy, Debug)]
pub(super) struct Chooser<'a> {
    pub(super) registry: &'a Registry,
    pub(super) peers: &'a Peers<'a>,
    pub(super) proxy: &'a Proxy,
}

impl Chooser<'_> {
    /// The endpoints of a port of a service, or those of a subset of it, by place.
    pub(super) fn endpoints(
        &self,
        service: &Service,
        port: &ServicePort,
        subset: Option<&Subset>,
    ) -> Endpoints {
        let mut places = BTreeMap::<Locality, Vec<Endpoint>>::new();
        for endpoint in self.registry.endpoints_of_port(service, port) {
            let chosen = endpoint.source == EndpointSource::Assumed
                || subset.is_none_or(|subset| endpoint.workload.has_labels(&subset.labels));
            if chosen && self.takes_traffic(service, endpoint) {
                let place = places.entry(endpoint.workload.locality.clone()).or_default();
                place.push(self.endpoint(endpoint));
            }
        }
        let by_place = |(locality, endpoints): (Locality, Vec<Endpoint>)| LocalityEndpoints {
            locality,
            priority: 0,
            weight: Some(weight(&endpoints)),
            endpoints,
        };
        Endpoints { localities: places.into_iter().map(by_place).collect() }
    }

    fn endpoint(&self, endpoint: &ServiceEndpoint) -> Endpoint {
        Endpoint {
            address: endpoint.address.clone(),
            weight: endpoint.weight,
            health: endpoint.health,
            tls: self.peers.tls_of(endpoint),
            identity: Arc::clone(&endpoint.workload.identity),
        }
    }

    /// Endpoints that are not ready count only for services that say so, those that are being stopped only where sessions stay with
    /// them, those of other nodes not for services that stay on theirs (`filterIstioEndpoint`).
    fn takes_traffic(&self, service: &Service, endpoint: &ServiceEndpoint) -> bool {
        let near = !service.node_local || *endpoint.workload.node == *self.proxy.node;
        near && match endpoint.health {
            Health::Healthy => true,
            Health::Unhealthy => service.publish_not_ready,
            Health::Draining => service.labels.contains_key(PERSISTENT_SESSION),
        }
    }
}

/// The same without endpoints that do not take mutual TLS: who passes TLS through cannot tell whether it is the mesh's.
pub(super) fn mutual_only(mut endpoints: Endpoints) -> Endpoints {
    for place in &mut endpoints.localities {
        place.endpoints.retain(|endpoint| endpoint.tls == EndpointTls::Mesh);
        place.weight = Some(weight(&place.endpoints));
    }
    endpoints.localities.retain(|place| !place.endpoints.is_empty());
    endpoints
}

fn weight(endpoints: &[Endpoint]) -> u32 {
    endpoints.iter().fold(0, |sum, it| sum.saturating_add(it.weight))
}

/// Whether there is no endpoint at all.
pub(super) fn is_empty(endpoints: &Endpoints) -> bool {
    endpoints.localities.iter().all(|place| place.endpoints.is_empty())
}
