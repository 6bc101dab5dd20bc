//! Clusters for services that a proxy sends requests to (`buildOutboundClusters`, `applyDestinationRule`).

use std::sync::Arc;

use serin_api::mesh_config::MeshConfig;
use serin_api::networking::{SimpleLb, Subset};
use serin_routing::balancer;
use serin_routing::model::{Cluster, ClusterTls, Discovery, Endpoints, UpstreamProtocol};

use super::balancing::{self, Client, Preference};
use super::endpoints::{Chooser, is_empty, mutual_only};
use super::peers::Peers;
use super::tls::{self, sni_name};
use super::{Clusters, pool};
use crate::destination_rule::{MergedRule, Policy};
use crate::proxy::{Proxy, ProxyKind};
use crate::registry::{Protocol, Resolution, Service, ServicePort, ServiceRegistry, TargetPort};
use crate::route::cluster_name;
use crate::scope::Scope;
use crate::snapshot::Snapshot;

/// Whether clusters are for TLS that is passed through by its server name, and named by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SniRouting {
    No,
    Yes,
}

/// Makes outbound clusters of one proxy.
pub(super) struct Outbound<'a> {
    snapshot: &'a Snapshot,
    scope: &'a Scope,
    proxy: &'a Proxy,
    mesh: &'a MeshConfig,
    peers: Peers<'a>,
    client: Client,
}

/// What one cluster is for.
#[derive(Clone, Copy)]
struct Target<'a> {
    service: &'a Service,
    port: &'a ServicePort,
    rule: Option<&'a MergedRule>,
    subset: Option<&'a Subset>,
    sni: SniRouting,
}

impl<'a> Outbound<'a> {
    pub(super) fn new(snapshot: &'a Snapshot, scope: &'a Scope, proxy: &'a Proxy) -> Self {
        let mesh = &snapshot.settings().mesh;
        Self {
            snapshot,
            scope,
            proxy,
            mesh,
            peers: Peers::new(snapshot),
            client: Client::new(proxy),
        }
    }

    /// Adds the clusters of every service in scope.
    pub(super) fn add_all(&self, clusters: &mut Clusters, sni: SniRouting) {
        let served = self.scope.services().iter().filter(|it| it.resolution != Resolution::Alias);
        for service in served.filter(|it| sni == SniRouting::No || !it.mesh_external) {
            let rule = self.scope.outbound_rule(self.proxy, &service.host).map(|it| &**it);
            for port in service.ports.iter().filter(|it| it.protocol != Protocol::Udp) {
                let subsets = rule.into_iter().flat_map(|it| &it.spec.subsets).map(Some);
                for subset in std::iter::once(None).chain(subsets) {
                    let target = Target { service, port, rule, subset, sni };
                    if let Some((cluster, endpoints)) = self.cluster(target) {
                        clusters.add(cluster, endpoints);
                    }
                }
            }
        }
    }

    /// The cluster, and its endpoints if it has a list of them. Names that are to be resolved must be there, else there is no
    /// cluster.
    fn cluster(&self, target: Target<'_>) -> Option<(Cluster, Option<Endpoints>)> {
        let Target { service, port, rule, subset, sni } = target;
        let policy = rule.map(|it| it.policy(port.number, subset)).unwrap_or_default();
        let mut cluster = self.named(target, self.discovery(service, &policy));
        if pool::is_upgraded(port.protocol, policy.connection_pool, self.mesh) {
            cluster.protocol = UpstreamProtocol::Http2;
        }
        pool::apply(&mut cluster, self.mesh, policy.connection_pool, policy.retry_budget);
        cluster.outlier = policy.outlier_detection.map(balancing::outlier);
        let preference = Preference::new(policy.load_balancer, service, self.mesh);
        cluster.locality = preference.policy(service, policy.outlier_detection);
        (cluster.balancer, cluster.warm_up) = match cluster.discovery {
            Discovery::OriginalDestination => (balancer::Policy::Passthrough, None),
            _ => balancing::policy(policy.load_balancer),
        };
        if sni == SniRouting::No {
            cluster.tls = self.tls(&cluster, target, &policy);
            cluster.proxy_protocol = policy.proxy_protocol.map(proxy_protocol_version);
        }
        let endpoints = match cluster.discovery {
            Discovery::Listed | Discovery::StrictDns | Discovery::LogicalDns => {
                Some(self.endpoints(&cluster, target, &preference))
            }
            Discovery::DynamicDns | Discovery::OriginalDestination | Discovery::BlackHole => None,
        };
        let resolves = matches!(cluster.discovery, Discovery::StrictDns | Discovery::LogicalDns);
        let is_useless = resolves && endpoints.as_ref().is_none_or(is_empty);
        (!is_useless).then_some((cluster, endpoints))
    }

    fn named(&self, target: Target<'_>, discovery: Discovery) -> Cluster {
        let Target { service, port, subset, sni, .. } = target;
        let subset = subset.map_or("", |it| it.name.as_str());
        let name = match sni {
            SniRouting::No => cluster_name(&service.host, subset, port.number),
            SniRouting::Yes => sni_name(&service.host, subset, port.number),
        };
        Cluster {
            service_host: service.host.shared(),
            service_namespace: Arc::clone(&service.namespace),
            port: port.number,
            subset: Arc::from(subset),
            protocol: pool::declared_protocol(port.protocol, self.proxy.kind),
            port_override: port_override(service, port, discovery),
            ..Cluster::new(name, discovery)
        }
    }

    /// Where endpoints come from. A gateway has no original destination to go to, unless a rule insists.
    fn discovery(&self, service: &Service, policy: &Policy<'_>) -> Discovery {
        let simple = policy.load_balancer.filter(|it| it.consistent_hash.is_none());
        if simple.and_then(|it| it.simple) == Some(SimpleLb::Passthrough) {
            return Discovery::OriginalDestination;
        }
        match (service.resolution, self.proxy.kind) {
            (Resolution::Dns, _) => Discovery::StrictDns,
            (Resolution::DnsRoundRobin, _) => Discovery::LogicalDns,
            (Resolution::DynamicDns, _) => Discovery::DynamicDns,
            (Resolution::Passthrough, ProxyKind::Sidecar) => Discovery::OriginalDestination,
            _ => Discovery::Listed,
        }
    }

    fn tls(&self, cluster: &Cluster, target: Target<'_>, policy: &Policy<'_>) -> ClusterTls {
        let context = tls::Context {
            registry: self.snapshot.registry(),
            peers: &self.peers,
            mesh: self.mesh,
            proxy: self.proxy,
            service: target.service,
            port: target.port,
            for_some_workloads: target.rule.is_some_and(|it| it.spec.workload_selector.is_some()),
        };
        context.tls(cluster, policy.tls)
    }

    fn endpoints(
        &self,
        cluster: &Cluster,
        target: Target<'_>,
        preference: &Preference,
    ) -> Endpoints {
        let chooser =
            Chooser { registry: self.snapshot.registry(), peers: &self.peers, proxy: self.proxy };
        let mut endpoints = chooser.endpoints(target.service, target.port, target.subset);
        if target.sni == SniRouting::Yes {
            endpoints = mutual_only(endpoints);
        }
        let by_labels = cluster.discovery == Discovery::Listed;
        preference.apply(&mut endpoints, &self.client, cluster.outlier.as_ref(), by_labels);
        endpoints
    }
}

/// A ServiceEntry may send connections to another port of the address that they were meant for.
fn port_override(service: &Service, port: &ServicePort, discovery: Discovery) -> Option<u16> {
    let goes_where_meant = discovery == Discovery::OriginalDestination;
    match port.target {
        Some(TargetPort::Number(number))
            if goes_where_meant && service.registry == ServiceRegistry::ServiceEntry =>
        {
            Some(number)
        }
        _ => None,
    }
}

const fn proxy_protocol_version(written: &serin_api::networking::ProxyProtocolSettings) -> u8 {
    match written.version {
        serin_api::networking::ProxyProtocolVersion::V1 => 1,
        serin_api::networking::ProxyProtocolVersion::V2 => 2,
    }
}
