//! Clusters for the proxy's own workload (`buildInboundClusters`).

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use serin_api::networking::IstioIngressListener;
use serin_routing::balancer;
use serin_routing::model::{
    Cluster, Discovery, Endpoint, EndpointAddress, EndpointTls, Endpoints, Health,
    LocalityEndpoints, WorkloadIdentity,
};

use super::{Clusters, pool};
use crate::mesh::inbound_cluster_name;
use crate::proxy::{Proxy, ProxyKind};
use crate::registry::{Protocol, ServiceTarget};
use crate::scope::Scope;
use crate::snapshot::Snapshot;

/// Adds a cluster for each port that the Sidecar declares, or else that a service leads to. Of several services that lead to a
/// port, the first decides about protocol and limits.
pub(super) fn add_all(clusters: &mut Clusters, snapshot: &Snapshot, scope: &Scope, proxy: &Proxy) {
    let targets = snapshot.registry().targets(proxy);
    let inbound = Inbound { snapshot, scope, proxy };
    if !scope.ingress().is_empty() {
        for listener in scope.ingress() {
            if let Some((cluster, endpoints)) = inbound.declared(listener, &targets) {
                clusters.add(cluster, endpoints);
            }
        }
        return;
    }
    let mut done = BTreeSet::new();
    for target in targets.iter().filter(|it| it.port.protocol != Protocol::Udp) {
        if done.insert(target.target_port) {
            let (port, protocol) = (target.target_port, target.port.protocol);
            clusters.add(inbound.cluster(port, protocol, Some(target)), None);
        }
    }
}

struct Inbound<'a> {
    snapshot: &'a Snapshot,
    scope: &'a Scope,
    proxy: &'a Proxy,
}

impl Inbound<'_> {
    /// The cluster that passes connections on to the workload's own address.
    fn cluster(&self, port: u16, protocol: Protocol, target: Option<&ServiceTarget>) -> Cluster {
        let service = target.map(|it| &*it.service);
        let mut cluster = Cluster::new(inbound_cluster_name(port), Discovery::OriginalDestination);
        cluster.balancer = balancer::Policy::Passthrough;
        cluster.protocol = pool::declared_protocol(protocol, ProxyKind::Sidecar);
        cluster.port = target.map_or(port, |it| it.port.number);
        if let Some(service) = service {
            cluster.service_host = service.host.shared();
            cluster.service_namespace = Arc::clone(&service.namespace);
        }
        let rule = service.and_then(|it| self.scope.inbound_rule(self.proxy, &it.host));
        let policy = rule.map(|it| it.policy(cluster.port, None)).unwrap_or_default();
        // The Sidecar's own limits go before those of a rule for the service.
        let limits = self.scope.inbound_pool(port).or(policy.connection_pool);
        pool::apply(&mut cluster, &self.snapshot.settings().mesh, limits, policy.retry_budget);
        cluster
    }

    /// The cluster of a listener that the Sidecar declares, which may lead elsewhere.
    fn declared(
        &self,
        listener: &IstioIngressListener,
        targets: &[ServiceTarget],
    ) -> Option<(Cluster, Option<Endpoints>)> {
        let declared = listener.port.as_ref()?;
        let port = u16::try_from(declared.number).ok()?;
        let target = targets.iter().find(|it| it.port.number == port);
        let mut cluster = self.cluster(port, Protocol::parse(&declared.protocol), target);
        let Some(address) = self.default_endpoint(&listener.default_endpoint) else {
            return Some((cluster, None));
        };
        cluster.discovery = Discovery::Listed;
        cluster.balancer = balancer::Policy::default();
        Some((cluster, Some(single(address))))
    }

    /// Where a declared listener leads to; `None` for where connections were meant for. `0.0.0.0` and `[::]` are the workload's
    /// own address.
    fn default_endpoint(&self, written: &str) -> Option<EndpointAddress> {
        if let Some(path) = written.strip_prefix("unix://") {
            return Some(EndpointAddress::Unix(Arc::from(path)));
        }
        let (host, port) = written.rsplit_once(':')?;
        let port = port.parse().ok()?;
        let address: IpAddr = host.trim_matches(['[', ']']).parse().ok()?;
        let own = || self.proxy.addresses.first().copied();
        let address = if address.is_unspecified() { own() } else { Some(address) };
        Some(EndpointAddress::Socket(address.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)), port))
    }
}

fn single(address: EndpointAddress) -> Endpoints {
    let endpoint = Endpoint {
        address,
        weight: 1,
        health: Health::Healthy,
        tls: EndpointTls::Plain,
        identity: Arc::new(WorkloadIdentity::default()),
    };
    let place = LocalityEndpoints { endpoints: vec![endpoint], ..LocalityEndpoints::default() };
    Endpoints { localities: vec![place] }
}
