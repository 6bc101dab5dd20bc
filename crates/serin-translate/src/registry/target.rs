//! The ports of a workload that services lead to.

use std::sync::Arc;

use serin_routing::model::EndpointAddress;

use super::{Registry, Resolution, Service, ServiceEndpoint, ServicePort, TargetPort};
use crate::proxy::Proxy;

/// A port of the proxy's own workload that a service leads to.
#[derive(Clone, Debug, PartialEq)]
pub struct ServiceTarget {
    /// The service.
    pub service: Arc<Service>,
    /// The service's port.
    pub port: ServicePort,
    /// The workload's port.
    pub target_port: u16,
}

impl Registry {
    /// The services that lead to a proxy's workload, in Istio's order: those with an endpoint at one of its addresses, else
    /// those of its namespace that select its labels.
    pub fn targets(&self, proxy: &Proxy) -> Vec<ServiceTarget> {
        let by_address = self.targets_by(|service, port| {
            let at = |it: &Arc<ServiceEndpoint>| match it.address {
                EndpointAddress::Socket(ip, number) if proxy.addresses.contains(&ip) => {
                    Some(number)
                }
                _ => None,
            };
            self.endpoints_of_port(service, port).filter_map(at).collect()
        });
        if !by_address.is_empty() {
            return by_address;
        }
        self.targets_by(|service, port| {
            let selected = !service.selector.is_empty() && proxy.has_labels(&service.selector);
            if *service.namespace != *proxy.namespace || !selected {
                return Vec::new();
            }
            match &port.target {
                Some(TargetPort::Number(number)) => vec![*number],
                Some(TargetPort::Name(_)) => {
                    self.numbers_at_endpoints(service, port).take(1).collect()
                }
                None => vec![port.number],
            }
        })
    }

    /// The port of each endpoint.
    fn numbers_at_endpoints<'a>(
        &'a self,
        service: &Service,
        port: &'a ServicePort,
    ) -> impl Iterator<Item = u16> + use<'a> {
        self.endpoints_of_port(service, port).filter_map(|it| match it.address {
            EndpointAddress::Socket(_, number) | EndpointAddress::Name(_, number) => Some(number),
            EndpointAddress::Unix(_) => None,
        })
    }

    fn targets_by(
        &self,
        numbers: impl Fn(&Service, &ServicePort) -> Vec<u16>,
    ) -> Vec<ServiceTarget> {
        let mut targets = Vec::new();
        for service in self.services().iter().filter(|it| it.resolution != Resolution::Alias) {
            for port in &service.ports {
                for target_port in numbers(service, port) {
                    let target = ServiceTarget {
                        service: Arc::clone(service),
                        port: port.clone(),
                        target_port,
                    };
                    if !targets.contains(&target) {
                        targets.push(target);
                    }
                }
            }
        }
        targets
    }
}
