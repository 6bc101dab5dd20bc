//! Clusters for tests.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use super::Policy;
use crate::model::{
    Cluster, Discovery, Endpoint, EndpointAddress, EndpointTls, Endpoints, Health, Locality,
    LocalityEndpoints,
};

/// A healthy endpoint whose address ends in `number`.
pub(crate) fn endpoint(number: u8, weight: u32) -> Endpoint {
    Endpoint {
        address: EndpointAddress::Socket(IpAddr::V4(Ipv4Addr::new(10, 0, 0, number)), 8080),
        weight,
        health: Health::Healthy,
        tls: EndpointTls::Plain,
        identity: Arc::default(),
    }
}

pub(crate) fn unhealthy(number: u8) -> Endpoint {
    Endpoint { health: Health::Unhealthy, ..endpoint(number, 1) }
}

pub(crate) fn place(
    priority: u32,
    weight: Option<u32>,
    endpoints: Vec<Endpoint>,
) -> LocalityEndpoints {
    LocalityEndpoints { locality: Locality::default(), priority, weight, endpoints }
}

/// Endpoints of one place and priority.
pub(crate) fn endpoints(endpoints: Vec<Endpoint>) -> Endpoints {
    Endpoints { localities: vec![place(0, None, endpoints)] }
}

pub(crate) fn cluster(policy: Policy) -> Cluster {
    Cluster { balancer: policy, ..Cluster::new("outbound|80||test".into(), Discovery::Listed) }
}
