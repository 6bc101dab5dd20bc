//! The model of workloads outside of the mesh: what kube-proxy would do for them.
//!
//! Each port of each Service has a listener at each of its addresses; a connection goes to one of the Service's ready endpoints, at
//! random, or with `sessionAffinity: ClientIP` to the same one as long as the endpoints stay the same. What is for no Service is passed
//! on as it is. Traffic policies are of no matter: there is one machine.
//!
//! Where an endpoint is in the mesh and takes requests by what they ask for, requests are read as its own proxy would read them.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use serin_api::Object;
use serin_api::core::{self, ServiceStatus};
use serin_routing::Model;
use serin_routing::authorization::Inbounds;
use serin_routing::balancer::Policy;
use serin_routing::model::{
    BLACK_HOLE_CLUSTER, Bind, ByName, Cluster, Destination, Destinations, Direction, Discovery,
    Endpoint, EndpointAddress, Endpoints, FilterChain, FilterChainMatch, Health, Inspect, Listener,
    LocalityEndpoints, NetworkFilter, PASSTHROUGH_CLUSTER, RouteTable, TcpProxy, UpstreamProtocol,
};
use serin_translate::host::Host;
use serin_translate::registry::{Registry, Service, ServicePort};
use serin_translate::{Snapshot, received};

/// Time that a connection may be idle: as long as the kernel's connection tracking keeps one (`nf_conntrack_tcp_timeout_established`).
const IDLE: Duration = Duration::from_secs(86_400);
/// Points on the ring by which clients stay with an endpoint.
const RING: u64 = 1024;

/// The model of all workloads outside of the mesh. `node` is the address at which pods reach NodePorts. What is equal to `last` is
/// taken from there.
pub(crate) fn model(snapshot: &Snapshot, node: Option<IpAddr>, last: &Model) -> Model {
    let mut made = Made::default();
    for service in &snapshot.objects().services {
        for port in ports(snapshot, service) {
            let addresses = addresses(service);
            let at_node = node.iter().map(|it| (*it, port.node_port));
            let at_service = addresses.iter().map(|it| (*it, port.port.number));
            for (address, number) in at_service.chain(at_node).filter(|(_, number)| *number > 0) {
                made.add_listener(listener(address, number, Bind::Captured, &port));
            }
            made.add_cluster(&port);
        }
    }
    made.add_listener(capture(snapshot));
    let clusters = [
        (PASSTHROUGH_CLUSTER, Discovery::OriginalDestination),
        (BLACK_HOLE_CLUSTER, Discovery::BlackHole),
    ];
    for (name, discovery) in clusters {
        let mut cluster = Cluster::new(Arc::from(name), discovery);
        cluster.protocol = UpstreamProtocol::Tcp;
        if discovery == Discovery::OriginalDestination {
            cluster.balancer = Policy::Passthrough;
        }
        made.clusters.insert(Arc::clone(&cluster.name), Arc::new(cluster));
    }
    made.model(snapshot, last)
}

/// The endpoint that a connection to a Service's full name or address goes to, by the model of workloads outside of the mesh; `turn` says
/// which of several. With `sessionAffinity: ClientIP` it is always the same: to a Service, the proxies of this machine are one client.
/// `None` if no Service has the name or address, or it has no endpoint.
pub fn behind(model: &Model, service: &EndpointAddress, turn: usize) -> Option<SocketAddr> {
    let name = match service {
        EndpointAddress::Socket(ip, port) => {
            let listener = model.listeners.get(&*listener_name(*ip, *port))?;
            Arc::clone(clusters(listener).next()?)
        }
        EndpointAddress::Name(host, port) => cluster_name(host, *port),
        EndpointAddress::Unix(_) => return None,
    };
    let is_sticky = matches!(model.clusters.get(&*name)?.balancer, Policy::RingHash { .. });
    let localities = &model.endpoints.get(&*name)?.localities;
    let endpoints: Vec<&Endpoint> = localities.iter().flat_map(|it| &it.endpoints).collect();
    let turn = if is_sticky { 0 } else { turn };
    match endpoints.get(turn.checked_rem(endpoints.len())?)?.address {
        EndpointAddress::Socket(ip, port) => Some(SocketAddr::new(ip, port)),
        _ => None,
    }
}

/// A port of a Service that has endpoints of its own.
pub(crate) struct Port<'s> {
    /// The Service's port.
    pub(crate) port: &'s ServicePort,
    /// The machine's port, or 0.
    pub(crate) node_port: u16,
    service: &'s Service,
    registry: &'s Registry,
    /// Whether clients stay with an endpoint.
    is_sticky: bool,
    /// Whether requests are read.
    is_read: bool,
}

/// The ports of a Service that connections are balanced for.
pub(crate) fn ports<'s>(
    snapshot: &'s Snapshot,
    object: &'s Object<core::Service>,
) -> impl Iterator<Item = Port<'s>> {
    let (meta, spec) = (&object.meta, &object.spec);
    let host = Host::of_service(&meta.name, &meta.namespace, &snapshot.settings().cluster_domain);
    let registry = snapshot.registry();
    let service = registry.by_host(&host).and_then(|it| it.get(meta.namespace.as_str()));
    let service = service.filter(|it| it.object.kind == "Service" && it.external_name.is_none());
    let is_sticky = spec.session_affinity == "ClientIP";
    let of_port = move |service: &'s Arc<Service>| {
        let is_tcp = |it: &&core::ServicePort| matches!(it.protocol.as_str(), "" | "TCP");
        spec.ports.iter().filter(is_tcp).filter_map(move |written| {
            let port = service
                .ports
                .iter()
                .find(|it| i32::from(it.number) == written.port && *it.name == *written.name)?;
            let node_port = u16::try_from(written.node_port).unwrap_or(0);
            let is_read = is_read(snapshot.inbounds(), registry, service, port);
            Some(Port { port, node_port, service, registry, is_sticky, is_read })
        })
    };
    service.into_iter().flat_map(of_port)
}

/// Whether an endpoint takes requests by what they ask for. Where a connection is not taken at all, nobody asks.
fn is_read(
    inbounds: &Inbounds,
    registry: &Registry,
    service: &Service,
    port: &ServicePort,
) -> bool {
    let looks = |address: &EndpointAddress| {
        let EndpointAddress::Socket(ip, port) = address else { return false };
        let Some(inbound) = inbounds.get(ip).filter(|it| !it.is_strict(*port)) else {
            return false;
        };
        inbound.authorization.as_ref().is_some_and(|it| it.looks_at_requests())
    };
    let may_be_http = port.protocol.is_http() || port.protocol.is_sniffed();
    may_be_http
        && !inbounds.is_empty()
        && registry.endpoints_of_port(service, port).any(|it| looks(&it.address))
}

/// The addresses inside of the cluster at which a Service is reached. Addresses of this machine alone are none: in a pod they are the
/// pod's own.
fn addresses(service: &Object<core::Service>) -> Vec<IpAddr> {
    let spec = &service.spec;
    let own = if spec.cluster_ips.is_empty() {
        std::slice::from_ref(&spec.cluster_ip)
    } else {
        &spec.cluster_ips
    };
    let outside = balanced_at(service);
    let all = own.iter().chain(&spec.external_ips).filter_map(|it| it.parse().ok()).chain(outside);
    all.filter(|it: &IpAddr| !it.is_loopback() && !it.is_unspecified()).collect()
}

/// The addresses of a Service's load balancer.
pub(crate) fn balanced_at(service: &Object<core::Service>) -> Vec<IpAddr> {
    let status: ServiceStatus = serin_api::decode(&service.status).unwrap_or_default();
    status.load_balancer.ingress.iter().filter_map(|it| it.ip.parse().ok()).collect()
}

/// Listeners, clusters and endpoints in the making.
#[derive(Default)]
pub(crate) struct Made {
    listeners: ByName<Listener>,
    route_tables: ByName<RouteTable>,
    clusters: ByName<Cluster>,
    endpoints: ByName<Endpoints>,
}

impl Made {
    /// Of several listeners for one place the first stays: its Service is the oldest.
    pub(crate) fn add_listener(&mut self, listener: Listener) {
        let name = Arc::clone(&listener.name);
        self.listeners.entry(name).or_insert_with(|| Arc::new(listener));
    }

    pub(crate) fn add_cluster(&mut self, port: &Port<'_>) {
        let name = port.cluster_name();
        if port.is_read {
            let (_, _, table) = port.received(&name);
            self.route_tables.insert(Arc::clone(&name), Arc::new(table));
        }
        self.endpoints.insert(Arc::clone(&name), Arc::new(port.endpoints()));
        self.clusters.insert(Arc::clone(&name), Arc::new(port.cluster(name)));
    }

    /// The model, with what is equal to `last` taken from there.
    pub(crate) fn model(mut self, snapshot: &Snapshot, last: &Model) -> Model {
        share(&mut self.listeners, &last.listeners);
        share(&mut self.route_tables, &last.route_tables);
        share(&mut self.clusters, &last.clusters);
        share(&mut self.endpoints, &last.endpoints);
        let Self { listeners, route_tables, clusters, endpoints } = self;
        Model {
            listeners,
            route_tables,
            clusters,
            endpoints,
            inbounds: Arc::clone(snapshot.inbounds()),
            ..Model::default()
        }
    }
}

/// Takes from `last` what is equal, the whole map if all is.
pub(crate) fn share<T: PartialEq>(map: &mut ByName<T>, last: &ByName<T>) {
    let mut is_same = map.len() == last.len();
    for (name, value) in map.iter_mut() {
        match last.get(name) {
            Some(before) if Arc::ptr_eq(before, value) => {}
            Some(before) if **before == **value => *value = Arc::clone(before),
            _ => is_same = false,
        }
    }
    if is_same {
        *map = last.clone();
    }
}

impl Port<'_> {
    fn cluster_name(&self) -> Arc<str> {
        cluster_name(self.service.host.as_str(), self.port.number)
    }

    fn cluster(&self, name: Arc<str>) -> Cluster {
        let balancer = match self.is_sticky {
            true => Policy::RingHash { minimum_ring_size: RING },
            false => Policy::Random,
        };
        let mut cluster = Cluster {
            service_host: self.service.host.shared(),
            service_namespace: Arc::clone(&self.service.namespace),
            port: self.port.number,
            protocol: match self.is_read {
                true => UpstreamProtocol::SameAsDownstream,
                false => UpstreamProtocol::Tcp,
            },
            balancer,
            ..Cluster::new(name, Discovery::Listed)
        };
        // An endpoint that is not ready gets no connections, however few are.
        cluster.locality.panic_threshold_percent = 0.0;
        cluster
    }

    /// How requests are read.
    fn received(&self, name: &Arc<str>) -> (Vec<FilterChain>, Inspect, RouteTable) {
        received(name, self.port.number, self.port.protocol)
    }

    /// How connections are read, and what of their first bytes tells.
    fn chains(&self) -> (Vec<FilterChain>, Inspect) {
        let name = self.cluster_name();
        if self.is_read {
            let (chains, inspect, _) = self.received(&name);
            return (chains, inspect);
        }
        let filter = NetworkFilter::Tcp(tcp_to(Arc::clone(&name), self.is_sticky));
        let chain = FilterChain { name, criteria: FilterChainMatch::default(), tls: None, filter };
        (vec![chain], Inspect::default())
    }

    /// The ready endpoints; where there are none those that are being stopped, which may still answer.
    fn endpoints(&self) -> Endpoints {
        let all = || self.registry.endpoints_of_port(self.service, self.port);
        let publishes_all = self.service.publish_not_ready;
        let ready = || all().filter(|it| publishes_all || it.health == Health::Healthy);
        let is_any_ready = ready().next().is_some();
        let chosen = all().filter(|it| match is_any_ready {
            true => publishes_all || it.health == Health::Healthy,
            false => it.health == Health::Draining,
        });
        let endpoints = chosen.map(|it| Endpoint {
            address: it.address.clone(),
            weight: 1,
            health: Health::Healthy,
            // Nobody speaks it here; it tells that the endpoint is in the mesh.
            tls: it.workload.tls,
            identity: Arc::clone(&it.workload.identity),
        });
        let endpoints = endpoints.collect();
        Endpoints { localities: vec![LocalityEndpoints { endpoints, ..Default::default() }] }
    }
}

/// The name of the cluster of a Service's port: unlike those of the mesh's clusters, since a model may have both.
fn cluster_name(host: &str, port: u16) -> Arc<str> {
    Arc::from(format!("plain|{port}||{host}"))
}

/// The name of the listener for a Service's port at an address.
fn listener_name(address: IpAddr, number: u16) -> Arc<str> {
    Arc::from(format!("{address}_{number}"))
}

/// The listener for a Service's port at an address.
pub(crate) fn listener(address: IpAddr, number: u16, bind: Bind, port: &Port<'_>) -> Listener {
    let (filter_chains, inspect) = port.chains();
    let direction = if bind == Bind::Socket { Direction::Gateway } else { Direction::Outbound };
    Listener {
        name: listener_name(address, number),
        address,
        port: number,
        bind,
        direction,
        inspect,
        filter_chains,
        default_filter_chain: None,
    }
}

/// The listener that outbound traffic is redirected to.
fn capture(snapshot: &Snapshot) -> Listener {
    let port = u16::try_from(snapshot.settings().mesh.proxy_listen_port).unwrap_or(15001);
    let to = |name: &str, criteria, cluster: &str| FilterChain {
        name: Arc::from(name),
        criteria,
        tls: None,
        filter: NetworkFilter::Tcp(tcp_to(Arc::from(cluster), false)),
    };
    let itself = FilterChainMatch { destination_port: Some(port), ..FilterChainMatch::default() };
    Listener {
        name: Arc::from("virtualOutbound"),
        address: Ipv4Addr::UNSPECIFIED.into(),
        port,
        bind: Bind::Capture,
        direction: Direction::Outbound,
        inspect: Inspect::default(),
        filter_chains: vec![
            to("virtualOutbound-blackhole", itself, BLACK_HOLE_CLUSTER),
            to("virtualOutbound-catchall-tcp", FilterChainMatch::default(), PASSTHROUGH_CLUSTER),
        ],
        default_filter_chain: None,
    }
}

/// The cluster of connections that go where they were meant to go.
pub(crate) fn passthrough() -> Arc<str> {
    Arc::from(PASSTHROUGH_CLUSTER)
}

/// Passing bytes on to a cluster.
pub(crate) fn tcp_to(cluster: Arc<str>, hash_source_address: bool) -> TcpProxy {
    let destinations = Destinations::new(vec![Destination::new(cluster, 1)]);
    let idle_timeout = Some(IDLE);
    TcpProxy { destinations, idle_timeout, max_duration: None, hash_source_address, tunnel: None }
}

/// The clusters that a listener's connections go to. A route table here has the name of its only cluster.
pub(crate) fn clusters(listener: &Listener) -> impl Iterator<Item = &Arc<str>> {
    let chains = listener.filter_chains.iter().chain(&listener.default_filter_chain);
    chains.flat_map(|chain| match &chain.filter {
        NetworkFilter::Tcp(tcp) => tcp.destinations.list().iter().map(|it| &it.cluster).collect(),
        NetworkFilter::Http(http) => vec![&http.routes],
    })
}

#[cfg(test)]
mod tests;
