//! Models of workloads that call others, as a sidecar's.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use serin_proxy::Publication;
use serin_routing::model::*;
use serin_routing::{Model, retry};
use serin_telemetry::Workload;

use crate::support::{cluster, forward};

/// The host that rules are for.
pub(crate) const REVIEWS: &str = "reviews.shop.svc.cluster.local";

/// Everything about one service.
pub(crate) fn model(endpoints: &[(SocketAddr, Arc<WorkloadIdentity>, EndpointTls)]) -> Model {
    let reviews = Cluster {
        service_host: REVIEWS.into(),
        service_namespace: "shop".into(),
        tls: ClusterTls::Automatic(mesh_tls()),
        ..cluster("outbound|80||reviews")
    };
    let passthrough = Cluster {
        balancer: serin_routing::balancer::Policy::Passthrough,
        protocol: UpstreamProtocol::SameAsDownstream,
        ..Cluster::new(PASSTHROUGH_CLUSTER.into(), Discovery::OriginalDestination)
    };
    let black_hole = Cluster::new(BLACK_HOLE_CLUSTER.into(), Discovery::BlackHole);
    let host = VirtualHost {
        name: "reviews:80".into(),
        domains: vec![REVIEWS.into(), "reviews".into()],
        routes: vec![Arc::new(retried(forward("outbound|80||reviews")))],
        require_tls: false,
    };
    let others = VirtualHost {
        name: "allow_any".into(),
        domains: vec!["*".into()],
        routes: vec![Arc::new(forward(PASSTHROUGH_CLUSTER))],
        require_tls: false,
    };
    let table =
        RouteTable { name: "80".into(), virtual_hosts: vec![Arc::new(host), Arc::new(others)] };
    let listeners = [captured("0.0.0.0_80", 80, http("80")), capture()];
    let endpoints = endpoints.iter().map(|(address, identity, tls)| Endpoint {
        address: EndpointAddress::Socket(address.ip(), address.port()),
        weight: 1,
        health: Health::Healthy,
        tls: *tls,
        identity: Arc::clone(identity),
    });
    let localities =
        vec![LocalityEndpoints { endpoints: endpoints.collect(), ..LocalityEndpoints::default() }];
    Model {
        listeners: listeners.into_iter().map(|it| (Arc::clone(&it.name), Arc::new(it))).collect(),
        route_tables: [(Arc::clone(&table.name), Arc::new(table))].into(),
        endpoints: [(Arc::clone(&reviews.name), Arc::new(Endpoints { localities }))].into(),
        clusters: [reviews, passthrough, black_hole]
            .into_iter()
            .map(|it| (Arc::clone(&it.name), Arc::new(it)))
            .collect(),
        ..Model::default()
    }
}

/// The same with another way of forwarding to the service.
pub(crate) fn forwarding(mut model: Model, change: impl Fn(&mut Forward)) -> Model {
    let table = Arc::make_mut(model.route_tables.get_mut("80").unwrap());
    let host = Arc::make_mut(&mut table.virtual_hosts[0]);
    match &mut Arc::make_mut(&mut host.routes[0]).action {
        Action::Forward(forward) => change(forward),
        _ => panic!("the first rule forwards"),
    }
    model
}

/// What workloads outside the mesh get: connections are balanced at random, and nothing is read.
pub(crate) fn plain(model: Model) -> Model {
    let mut plain = model;
    let mut reviews = (*plain.clusters["outbound|80||reviews"]).clone();
    reviews.balancer = serin_routing::balancer::Policy::Random;
    reviews.protocol = UpstreamProtocol::Tcp;
    plain.clusters.insert(Arc::clone(&reviews.name), Arc::new(reviews));
    let mut listener = captured("10.96.0.7_80", 80, http("80"));
    listener.address = [10, 96, 0, 7].into();
    listener.inspect = Inspect::default();
    listener.filter_chains = vec![bytes_to("outbound|80||reviews", FilterChainMatch::default())];
    listener.default_filter_chain = None;
    plain.listeners.insert(Arc::clone(&listener.name), Arc::new(listener));
    plain
}

/// Istio's default policy, as far as it matters here.
fn retried(mut route: Route) -> Route {
    if let Action::Forward(forward) = &mut route.action {
        forward.retry = Some(retry::Policy {
            attempts: 2,
            retry_on: vec![retry::Condition::ConnectFailure, retry::Condition::RefusedStream],
            avoid_previous_hosts: true,
            host_selection_attempts: 5,
            ..retry::Policy::none()
        });
    }
    route
}

fn mesh_tls() -> Tls {
    Tls {
        mode: UpstreamTlsMode::IstioMutual,
        certificate: Some(CertificateSource::Workload),
        ca: Some(CertificateSource::Workload),
        subject_alt_names: Vec::new(),
        server_name: Arc::default(),
        auto_server_name: false,
        alpn: vec!["istio".into()],
        insecure: false,
    }
}

fn http(routes: &str) -> NetworkFilter {
    NetworkFilter::Http(HttpConnection {
        routes: routes.into(),
        codec: Codec::Auto,
        server_name: "envoy".into(),
        use_remote_address: false,
        trusted_hops: 0,
        client_certificates: ClientCertificates::Sanitize,
        accept_http_10: true,
        stream_idle_timeout: None,
        idle_timeout: None,
        strict_server_name: false,
    })
}

/// A listener that shares its port with others than HTTP, as Istio's on the wildcard address.
fn captured(name: &str, port: u16, filter: NetworkFilter) -> Listener {
    let protocols = ["http/1.0", "http/1.1", "h2c"].map(Arc::from);
    let criteria = FilterChainMatch {
        transport_protocol: Some(TransportProtocol::Plain),
        application_protocols: protocols.into(),
        ..FilterChainMatch::default()
    };
    Listener {
        name: name.into(),
        address: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        port,
        bind: Bind::Captured,
        direction: Direction::Outbound,
        inspect: Inspect { tls: true, http: true, proxy_protocol: false, timeout: None },
        filter_chains: vec![FilterChain { name: "http".into(), criteria, tls: None, filter }],
        default_filter_chain: Some(bytes_to(PASSTHROUGH_CLUSTER, FilterChainMatch::default())),
    }
}

/// Istio's `virtualOutbound`.
fn capture() -> Listener {
    let itself = FilterChainMatch { destination_port: Some(15001), ..FilterChainMatch::default() };
    Listener {
        name: "virtualOutbound".into(),
        address: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        port: 15001,
        bind: Bind::Capture,
        direction: Direction::Outbound,
        inspect: Inspect::default(),
        filter_chains: vec![
            bytes_to(BLACK_HOLE_CLUSTER, itself),
            bytes_to(PASSTHROUGH_CLUSTER, FilterChainMatch::default()),
        ],
        default_filter_chain: None,
    }
}

fn bytes_to(cluster: &str, criteria: FilterChainMatch) -> FilterChain {
    let destinations = Destinations::new(vec![Destination::new(cluster.into(), 1)]);
    let filter = NetworkFilter::Tcp(TcpProxy {
        destinations,
        idle_timeout: None,
        max_duration: None,
        hash_source_address: false,
        tunnel: None,
    });
    FilterChain { name: cluster.into(), criteria, tls: None, filter }
}

/// A pod of a version of reviews.
pub(crate) fn reviews(version: &str) -> Arc<WorkloadIdentity> {
    let labels = [("app", "reviews"), ("version", version), ("pod-template-hash", "abc")];
    Arc::new(WorkloadIdentity {
        workload: format!("reviews-{version}").into(),
        namespace: "shop".into(),
        service_account: "reviews".into(),
        labels: labels.map(|(key, value)| (Arc::from(key), Arc::from(value))).into(),
        ..WorkloadIdentity::default()
    })
}

/// A workload of the mesh that calls others.
pub(crate) fn productpage(model: Model) -> Publication {
    let identity = WorkloadIdentity {
        workload: "productpage-v1".into(),
        namespace: "shop".into(),
        labels: [("app".into(), "productpage".into())].into(),
        ..WorkloadIdentity::default()
    };
    let workload = Workload::new(&identity, "Kubernetes").in_mesh("cluster.local", "productpage");
    Publication { model: Arc::new(model), workload, ..Publication::default() }
}
