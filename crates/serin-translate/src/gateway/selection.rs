//! Which Gateways a proxy serves, and on which of its ports.

use std::collections::BTreeSet;
use std::sync::Arc;

use serin_api::Object;
use serin_api::networking::Gateway;

use super::server::Server;
use crate::gateway_api::{GATEWAY_SERVICE, PARENT_NAMESPACE};
use crate::proxy::Proxy;
use crate::registry::ServiceTarget;

/// The label of a Service whose ports say nothing about where Gateways' servers listen.
const NO_TRANSLATION: &str = "experimental.istio.io/disable-gateway-port-translation";

/// A Gateway that a proxy serves.
pub(super) struct Selected<'a> {
    pub(super) servers: Vec<Server<'a>>,
    services: Services<'a>,
}

/// The proxy's services, whose ports are what servers' ports mean.
enum Services<'a> {
    /// All of them: the Gateway chooses proxies by labels.
    OfProxy(&'a [ServiceTarget]),
    /// Those that the Gateway is bound to.
    Bound(Vec<&'a ServiceTarget>),
}

/// The Gateways among `all` that choose `proxy`, which `targets` lead to: by their services, or by labels, wherever they are.
pub(super) fn selected<'a>(
    all: &'a [Arc<Object<Gateway>>],
    proxy: &Proxy,
    targets: &'a [ServiceTarget],
) -> Vec<Selected<'a>> {
    let select = |gateway: &'a Arc<Object<Gateway>>| {
        let annotations = &gateway.meta.annotations;
        let services = if proxy.serves_every_gateway {
            Some(Services::OfProxy(&[]))
        } else if let Some(hosts) = annotations.get(GATEWAY_SERVICE) {
            let namespace = annotations.get(PARENT_NAMESPACE).unwrap_or(&gateway.meta.namespace);
            let is_bound = |it: &&ServiceTarget| {
                *it.service.namespace == **namespace
                    && hosts.split(',').any(|host| it.service.host.as_str() == host)
            };
            let bound: Vec<_> = targets.iter().filter(is_bound).collect();
            (!bound.is_empty()).then_some(Services::Bound(bound))
        } else {
            proxy.has_labels(&gateway.spec.selector).then_some(Services::OfProxy(targets))
        };
        Some(Selected { servers: Server::all(gateway).collect(), services: services? })
    };
    all.iter().filter_map(select).collect()
}

impl Selected<'_> {
    /// The proxy's ports that a server's port means (`resolvePorts`): the target ports of services that have it. With labels
    /// it is the first service's, or the number itself where no service has it.
    pub(super) fn ports(&self, number: u16) -> BTreeSet<u16> {
        match &self.services {
            Services::Bound(bound) => {
                let of_port = bound.iter().filter(|it| it.port.number == number);
                of_port.map(|it| it.target_port).collect()
            }
            Services::OfProxy(targets) => {
                let mut translating =
                    targets.iter().filter(|it| !it.service.labels.contains_key(NO_TRANSLATION));
                let first = translating.find(|it| it.port.number == number);
                BTreeSet::from([first.map_or(number, |it| it.target_port)])
            }
        }
    }
}
