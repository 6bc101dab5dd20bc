//! Inbound listeners of a sidecar (Istio's `listener_inbound.go`).
//!
//! One listener takes all redirected connections. For each port that a service leads to, or that a Sidecar declares, it has chains
//! for the ways in which the workload may be spoken to (`ways`): mutual TLS or plain text as the workload's policies allow,
//! HTTP or bytes as the port declares or the first bytes show. Connections to other ports are passed on as they are.

mod ways;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use serin_api::FieldPath;
use serin_api::Finding;
use serin_api::networking::{CaptureMode, IstioIngressListener};
use serin_routing::model::{
    Action, BLACK_HOLE_CLUSTER, Bind, CertificateSource, ClientCertificates, Codec, Direction,
    DownstreamTls, FilterChain, FilterChainMatch, HttpConnection, INBOUND_PASSTHROUGH_CLUSTER,
    Inspect, Listener, MutualMode, NetworkFilter, Origin, RouteTable, TlsVersion,
    TransportProtocol, VirtualHost,
};

use super::chains::{PLAIN_HTTP, tcp, texts};
use super::listeners::OWN_PORTS;
use super::outbound::{plain_route, single};
use super::peer_authentication::{Mode, Modes};
use crate::codes::LISTENER_TAKEN;
use crate::proxy::Proxy;
use crate::registry::{Protocol, ServiceTarget};
use crate::route::inbound_policy;
use crate::scope::Scope;
use crate::snapshot::Snapshot;

use ways::{Way, ways};

/// The name of the listener for redirected connections, and of its chain for bytes to unknown ports.
const CAPTURE: &str = "virtualInbound";

/// Inbound listeners and what they need.
#[derive(Clone, Debug, Default)]
pub(super) struct Inbound {
    /// Listeners, the one for redirected connections first.
    pub(super) listeners: Vec<Listener>,
    /// Route tables.
    pub(super) tables: Vec<RouteTable>,
    /// What was found on the way.
    pub(super) findings: Vec<Finding>,
}

/// A port of the workload that connections are taken for.
struct Port {
    number: u16,
    /// The service's port, for the virtual host's name.
    service_port: u16,
    protocol: Protocol,
    /// Whether it has a socket of its own, and the address in the chains' names.
    bind: Bind,
    address: IpAddr,
}

/// The name of the cluster for a port of the workload itself.
pub(crate) fn inbound_cluster_name(port: u16) -> Arc<str> {
    Arc::from(format!("inbound|{port}||"))
}

/// The inbound listeners of a sidecar.
pub(super) fn inbound(snapshot: &Snapshot, scope: &Scope, proxy: &Proxy) -> Inbound {
    let mesh = &snapshot.settings().mesh;
    let policies = &snapshot.objects().peer_authentications;
    let modes = Modes::of(
        &proxy.namespace,
        |labels| proxy.has_labels(labels),
        policies,
        &mesh.root_namespace,
    );
    let mut made = Inbound::default();
    let ports = if scope.ingress().is_empty() {
        service_ports(snapshot, proxy, &mut made.findings)
    } else {
        declared_ports(scope.ingress(), proxy)
    };
    let capture_port = u16::try_from(mesh.proxy_inbound_listen_port).unwrap_or(15006);
    let timeout = mesh.protocol_detection_timeout.to_std();
    let mut chains = vec![black_hole(capture_port)];
    chains.extend(unknown_ports(&modes, &ports));
    made.tables.push(table(Arc::from(INBOUND_PASSTHROUGH_CLUSTER), 0));
    for port in ports.values() {
        let own = port_chains(port, modes.of_port(port.number));
        made.tables.push(table(inbound_cluster_name(port.number), port.service_port));
        if port.bind == Bind::Socket {
            let name = chain_name(port.address, port.number);
            made.listeners.push(listener(
                name,
                port.address,
                port.number,
                Bind::Socket,
                own,
                timeout,
            ));
        } else {
            chains.extend(own);
        }
    }
    let everywhere = wildcard(proxy);
    let capture =
        listener(Arc::from(CAPTURE), everywhere, capture_port, Bind::Capture, chains, timeout);
    made.listeners.insert(0, capture);
    made
}

/// The address that stands for all of the proxy's own.
pub(crate) fn wildcard(proxy: &Proxy) -> IpAddr {
    if proxy.addresses.is_empty() || proxy.addresses.iter().any(IpAddr::is_ipv4) {
        Ipv4Addr::UNSPECIFIED.into()
    } else {
        Ipv6Addr::UNSPECIFIED.into()
    }
}

/// The ports that services lead to. Of several services for a port the oldest says what it speaks.
fn service_ports(
    snapshot: &Snapshot,
    proxy: &Proxy,
    findings: &mut Vec<Finding>,
) -> BTreeMap<u16, Port> {
    let mesh = &snapshot.settings().mesh;
    let captures = [mesh.proxy_listen_port, mesh.proxy_inbound_listen_port];
    let mut ports = BTreeMap::<u16, Port>::new();
    let mut first = BTreeMap::<u16, ServiceTarget>::new();
    for target in snapshot.registry().targets(proxy) {
        let number = target.target_port;
        let is_own = OWN_PORTS.contains(&number) || captures.contains(&i32::from(number));
        if is_own || target.port.protocol == Protocol::Udp {
            continue;
        }
        if let Some(first) = first.get(&number) {
            if first.port.protocol != target.port.protocol
                && first.service.host != target.service.host
            {
                findings.push(conflict(first, &target));
            }
            continue;
        }
        let port = Port {
            number,
            service_port: target.port.number,
            protocol: target.port.protocol,
            bind: Bind::Captured,
            address: wildcard(proxy),
        };
        ports.insert(number, port);
        first.insert(number, target);
    }
    ports
}

fn conflict(first: &ServiceTarget, second: &ServiceTarget) -> Finding {
    let message = format!(
        "port {} of the workload is {} for {}, which is older; {} has no effect here",
        first.target_port, first.port.protocol, first.service.host, second.port.protocol,
    );
    LISTENER_TAKEN
        .finding(&second.service.object, FieldPath::spec().key("ports"), message)
        .with_help("declare the same protocol in both Services")
}

/// The ports that a Sidecar declares.
fn declared_ports(declared: &[IstioIngressListener], proxy: &Proxy) -> BTreeMap<u16, Port> {
    let mut ports = BTreeMap::new();
    for listener in declared {
        let Some(port) = &listener.port else { continue };
        let Ok(number) = u16::try_from(port.number) else { continue };
        let bind =
            if listener.capture_mode == CaptureMode::None { Bind::Socket } else { Bind::Captured };
        if bind == Bind::Socket && number < 1024 && proxy.unprivileged {
            continue;
        }
        // Where the listener would be on every address, the proxy's own health and metrics ports are taken.
        let protocol = Protocol::parse(&port.protocol);
        let is_everywhere = match listener.bind.as_str() {
            "" => protocol.is_http(),
            written => written.parse() == Ok(wildcard(proxy)),
        };
        if is_everywhere && OWN_PORTS.contains(&number) {
            continue;
        }
        let own = proxy.addresses.first().copied().unwrap_or_else(|| wildcard(proxy));
        ports.entry(number).or_insert_with(|| Port {
            number,
            service_port: number,
            protocol,
            bind,
            address: listener.bind.parse().unwrap_or(own),
        });
    }
    ports
}

fn port_chains(port: &Port, mode: Mode) -> Vec<FilterChain> {
    let cluster = inbound_cluster_name(port.number);
    let name = chain_name(port.address, port.number);
    let to_chain = |way: &Way| way.chain(Arc::clone(&name), Some(port.number), &cluster);
    ways(mode, port.protocol).iter().map(to_chain).collect()
}

/// Chains for ports that nothing is known of, and for those that have nothing but a mode of mutual TLS.
fn unknown_ports(modes: &Modes, known: &BTreeMap<u16, Port>) -> Vec<FilterChain> {
    let others = modes
        .ports()
        .filter(|(port, _)| !known.contains_key(port))
        .map(|(port, mode)| (Some(port), mode));
    let all = std::iter::once((None, modes.general())).chain(others);
    all.flat_map(|(port, mode)| {
        ways(mode, Protocol::Auto).into_iter().map(move |way| {
            let name = if way.is_http { "virtualInbound-catchall-http" } else { CAPTURE };
            way.chain(Arc::from(name), port, INBOUND_PASSTHROUGH_CLUSTER)
        })
    })
    .collect()
}

/// Connections to the listener's own port were not redirected, and would go round in circles.
fn black_hole(port: u16) -> FilterChain {
    FilterChain {
        name: Arc::from("virtualInbound-blackhole"),
        criteria: FilterChainMatch { destination_port: Some(port), ..FilterChainMatch::default() },
        tls: None,
        filter: NetworkFilter::Tcp(tcp(single(Arc::from(BLACK_HOLE_CLUSTER)))),
    }
}

fn chain_name(address: IpAddr, port: u16) -> Arc<str> {
    Arc::from(format!("{address}_{port}"))
}

fn listener(
    name: Arc<str>,
    address: IpAddr,
    port: u16,
    bind: Bind,
    filter_chains: Vec<FilterChain>,
    timeout: Duration,
) -> Listener {
    let timeout = (!timeout.is_zero()).then_some(timeout);
    let inspect = Inspect { timeout, ..inspection(&filter_chains) };
    let direction = Direction::Inbound;
    Listener {
        name,
        address,
        port,
        bind,
        direction,
        inspect,
        filter_chains,
        default_filter_chain: None,
    }
}

/// What of a connection's first bytes the choice of a chain asks for.
fn inspection(filter_chains: &[FilterChain]) -> Inspect {
    let has = |test: &dyn Fn(&FilterChainMatch) -> bool| {
        filter_chains.iter().any(|it| test(&it.criteria))
    };
    Inspect {
        tls: has(&|it| it.transport_protocol == Some(TransportProtocol::Tls)),
        http: has(&|it| it.application_protocols.iter().any(|it| PLAIN_HTTP.contains(&&**it))),
        proxy_protocol: false,
        timeout: None,
    }
}

/// How connections to a port of workloads are read where these have no proxies of their own that would: requests, by the route table of
/// the cluster's name, and bytes go to `cluster`.
pub fn received(
    cluster: &Arc<str>,
    port: u16,
    protocol: Protocol,
) -> (Vec<FilterChain>, Inspect, RouteTable) {
    let ways = ways(Mode::Disable, protocol);
    let chains: Vec<_> =
        ways.iter().map(|way| way.chain(Arc::clone(cluster), None, cluster)).collect();
    let inspect = inspection(&chains);
    (chains, inspect, table(Arc::clone(cluster), port))
}

/// Every request goes to the workload.
fn table(cluster: Arc<str>, port: u16) -> RouteTable {
    let mut route = plain_route("default", Origin::built_in("inbound"), Arc::clone(&cluster));
    if let Action::Forward(forward) = &mut route.action {
        forward.retry = Some(inbound_policy());
    }
    let host = VirtualHost {
        name: Arc::from(format!("inbound|http|{port}")),
        domains: texts(["*"]),
        routes: vec![Arc::new(route)],
        require_tls: false,
    };
    RouteTable { name: cluster, virtual_hosts: vec![Arc::new(host)] }
}

impl Way {
    /// The chain for connections to `port`, or to any, that are spoken this way.
    fn chain(&self, name: Arc<str>, port: Option<u16>, cluster: &str) -> FilterChain {
        let cluster: Arc<str> = Arc::from(cluster);
        FilterChain {
            name,
            criteria: FilterChainMatch {
                destination_port: port,
                transport_protocol: Some(self.transport),
                application_protocols: texts(self.alpn.iter().copied()),
                ..FilterChainMatch::default()
            },
            tls: self.terminates.then(|| mesh_tls(self.is_http)),
            filter: if self.is_http {
                NetworkFilter::Http(inbound_http(cluster))
            } else {
                NetworkFilter::Tcp(tcp(single(cluster)))
            },
        }
    }
}

/// The mesh's own mutual TLS.
pub(crate) fn mesh_tls(is_http: bool) -> DownstreamTls {
    let alpn: &[&str] =
        if is_http { &["h2", "http/1.1"] } else { &["istio-peer-exchange", "h2", "http/1.1"] };
    DownstreamTls {
        client: MutualMode::Required,
        certificates: vec![CertificateSource::Workload],
        client_ca: Some(CertificateSource::Workload),
        subject_alt_names: Vec::new(),
        verify_spki: Vec::new(),
        verify_hash: Vec::new(),
        min_version: Some(TlsVersion::V1_2),
        max_version: None,
        cipher_suites: Vec::new(),
        alpn: texts(alpn.iter().copied()),
        mesh: true,
    }
}

/// Reading HTTP on the way in.
fn inbound_http(routes: Arc<str>) -> HttpConnection {
    HttpConnection {
        routes,
        codec: Codec::Auto,
        server_name: Arc::from("istio-envoy"),
        use_remote_address: false,
        trusted_hops: 0,
        client_certificates: ClientCertificates::AppendForward,
        accept_http_10: false,
        stream_idle_timeout: None,
        idle_timeout: Some(Duration::from_secs(3_600)),
        strict_server_name: false,
    }
}

#[cfg(test)]
mod tests;
