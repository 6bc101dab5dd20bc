//! What a proxy sees: services, rules, and where unknown traffic goes.
//!
//! A Sidecar object cuts the visible part of the mesh down to what a workload needs (`sidecars` chooses it, `listener` reads
//! its host patterns); without one, and for gateways, everything visible is in scope. Of several services of one host, one is
//! chosen here, so that later steps find at most one (`SidecarScope` in `sidecar.go`).

mod listener;
mod pattern;
mod services;
mod sidecars;

use std::sync::Arc;

use serin_api::Object;
use serin_api::networking::{
    ConnectionPoolSettings, Destination, IstioEgressListener, IstioIngressListener,
    OutboundTrafficPolicyMode, Sidecar,
};

use crate::destination_rule::{DestinationRules, MergedRule};
use crate::host::Host;
use crate::proxy::{Proxy, ProxyKind};
use crate::registry::Service;
use crate::snapshot::Snapshot;

pub(crate) use listener::EgressListener;
pub(crate) use sidecars::Sidecars;

use services::ServiceSet;

/// What a proxy sees.
///
/// It depends on the proxy's namespace and its Sidecar alone, so that workloads may share it.
#[derive(Clone, Debug)]
pub(crate) struct Scope {
    /// The Sidecar that holds; `None` for the default.
    pub(crate) sidecar: Option<Arc<Object<Sidecar>>>,
    /// Listeners for outbound traffic in order; the last has no port and stands for every other one. One for gateways.
    pub(crate) egress: Vec<EgressListener>,
    /// Whether traffic to unknown destinations is let through.
    pub(crate) outbound: OutboundTrafficPolicyMode,
    /// A service to which traffic to unknown destinations is sent.
    pub(crate) egress_proxy: Option<Destination>,
    services: Arc<ServiceSet>,
    rules: Arc<DestinationRules>,
}

impl Scope {
    /// What `proxy` sees of `snapshot`.
    pub(crate) fn new(snapshot: &Snapshot, proxy: &Proxy) -> Self {
        let sidecar = match proxy.kind {
            ProxyKind::Gateway => None,
            ProxyKind::Sidecar => snapshot.sidecars().select(proxy),
        };
        let declared = sidecar.map_or(&[][..], |it| &it.spec.egress);
        let egress: Vec<_> = if declared.is_empty() {
            vec![EgressListener::everything(snapshot, &proxy.namespace)]
        } else {
            let namespace = &proxy.namespace;
            declared.iter().map(|it| EgressListener::new(snapshot, namespace, it)).collect()
        };
        let services = services(snapshot, proxy, &egress, sidecar.is_some());
        let policy = sidecar.and_then(|it| it.spec.outbound_traffic_policy.as_ref());
        let mesh = &snapshot.settings().mesh.outbound_traffic_policy;
        Self {
            egress,
            outbound: policy.map_or(mesh.mode, |it| it.mode),
            egress_proxy: policy.and_then(|it| it.egress_proxy.clone()),
            services,
            rules: Arc::clone(snapshot.destination_rules()),
            sidecar: sidecar.cloned(),
        }
    }

    /// What the same proxy sees of the next snapshot; this is what it saw of `before`.
    pub(crate) fn next(&self, before: &Snapshot, snapshot: &Snapshot, proxy: &Proxy) -> Self {
        if !snapshot.differs_in_rules_only(before) {
            return Self::new(snapshot, proxy);
        }
        let egress: Vec<_> = self
            .egress
            .iter()
            .map(|it| it.with_rules_of(before, snapshot, &proxy.namespace))
            .collect();
        let services = match self.sidecar {
            None => Arc::clone(&self.services),
            Some(_) => services(snapshot, proxy, &egress, true),
        };
        let (sidecar, egress_proxy) = (self.sidecar.clone(), self.egress_proxy.clone());
        let rules = Arc::clone(&self.rules);
        Self { sidecar, egress, outbound: self.outbound, egress_proxy, services, rules }
    }

    /// Services in scope, one for each host, in istiod's order of preference.
    pub(crate) fn services(&self) -> &[Arc<Service>] {
        self.services.list()
    }

    /// The service of a host.
    pub(crate) fn service(&self, host: &Host) -> Option<&Arc<Service>> {
        self.services.get(host)
    }

    /// The DestinationRule for connections that `proxy` makes to a host in scope.
    pub(crate) fn outbound_rule(&self, proxy: &Proxy, host: &Host) -> Option<&Arc<MergedRule>> {
        let service = self.service(host)?;
        self.rules.for_outbound(proxy, &service.namespace, &service.host)
    }

    /// The DestinationRule for connections to `proxy` that were made to a host in scope.
    pub(crate) fn inbound_rule(&self, proxy: &Proxy, host: &Host) -> Option<&Arc<MergedRule>> {
        let service = self.service(host)?;
        self.rules.for_inbound(proxy, &service.namespace, &service.host)
    }

    /// Listeners for inbound traffic that the Sidecar declares; none where they follow from the workload's services.
    pub(crate) fn ingress(&self) -> &[IstioIngressListener] {
        self.sidecar.as_ref().map_or(&[], |it| &it.spec.ingress)
    }

    /// The Sidecar's limits for connections to a port of the workload.
    pub(crate) fn inbound_pool(&self, port: u16) -> Option<&ConnectionPoolSettings> {
        let is_port = |it: &&IstioIngressListener| {
            it.port.as_ref().is_some_and(|it| it.number == u32::from(port))
        };
        let own = self.ingress().iter().filter(is_port).find_map(|it| it.connection_pool.as_ref());
        own.or_else(|| self.sidecar.as_ref()?.spec.inbound_connection_pool.as_ref())
    }

    /// The listener that holds for a port: the one declared for it, else the one for all ports.
    ///
    /// A declared listener on a Unix socket has port 0 and is found by its `bind`.
    pub(crate) fn egress_for(&self, port: u16, bind: &str) -> Option<&EgressListener> {
        let holds = |it: &IstioEgressListener| match &it.port {
            None => true,
            Some(own) if own.number != u32::from(port) => false,
            Some(_) => port != 0 || it.bind == bind,
        };
        self.egress.iter().find(|it| it.declared.as_deref().is_none_or(holds))
    }
}

/// The services of all listeners. Where a Sidecar cuts them down, those that its rules lead to come into scope too.
fn services(
    snapshot: &Snapshot,
    proxy: &Proxy,
    egress: &[EgressListener],
    infers: bool,
) -> Arc<ServiceSet> {
    if let ([only], false) = (egress, infers) {
        return Arc::clone(only.service_set());
    }
    let mut services = ServiceSet::default();
    for listener in egress {
        services.extend(listener.services());
        if infers {
            services.infer(snapshot.registry(), &proxy.namespace, listener);
        }
    }
    Arc::new(services)
}

#[cfg(test)]
mod tests;
