//! Where the gateway tells that it is ready, as Istio's gateways do: `/healthz/ready` on port 15021, which its Service leads to.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use serin_routing::Model;
use serin_routing::model::{
    Action, Bind, ClientCertificates, Codec, DirectResponse, Direction, FilterChain,
    FilterChainMatch, HeaderOps, HttpConnection, Inspect, Listener, NetworkFilter, Origin,
    PathMatch, Route, RouteMatch, RouteTable, VirtualHost,
};

/// The port.
pub(crate) const PORT: u16 = 15021;
/// Envoy's time for an idle connection.
const IDLE: Duration = Duration::from_secs(3600);

/// The listener, made once: models that have it share it.
#[derive(Debug)]
pub(crate) struct Health {
    listener: Arc<Listener>,
    routes: Arc<RouteTable>,
}

impl Health {
    pub(crate) fn new() -> Self {
        let name: Arc<str> = Arc::from(format!("0.0.0.0_{PORT}"));
        let ready = PathMatch::Exact(Arc::from("/healthz/ready"));
        let host = VirtualHost {
            name: Arc::from("health"),
            domains: vec![Arc::from("*")],
            routes: vec![answer(ready, 200), answer(PathMatch::Any, 404)],
            require_tls: false,
        };
        let routes = RouteTable { name: Arc::clone(&name), virtual_hosts: vec![Arc::new(host)] };
        Self { listener: Arc::new(listener(name)), routes: Arc::new(routes) }
    }

    /// Adds it to the gateway's model, unless a Gateway has the port.
    pub(crate) fn add_to(&self, model: &mut Model) {
        if model.listeners.values().any(|it| it.port == PORT) {
            return;
        }
        model.listeners.insert(Arc::clone(&self.listener.name), Arc::clone(&self.listener));
        model.route_tables.insert(Arc::clone(&self.routes.name), Arc::clone(&self.routes));
    }
}

fn answer(path: PathMatch, status: u16) -> Arc<Route> {
    Arc::new(Route {
        name: Arc::default(),
        origin: Origin::default(),
        condition: RouteMatch { path, ..RouteMatch::default() },
        action: Action::Direct(DirectResponse { status, body: Arc::from(*b"") }),
        request_headers: HeaderOps::default(),
        response_headers: HeaderOps::default(),
        fault: None,
        cors: None,
    })
}

fn listener(name: Arc<str>) -> Listener {
    let connection = HttpConnection {
        routes: Arc::clone(&name),
        codec: Codec::Auto,
        server_name: Arc::from("envoy"),
        use_remote_address: true,
        trusted_hops: 0,
        client_certificates: ClientCertificates::Sanitize,
        accept_http_10: true,
        stream_idle_timeout: None,
        idle_timeout: Some(IDLE),
        strict_server_name: false,
    };
    let chain = FilterChain {
        name: Arc::clone(&name),
        criteria: FilterChainMatch::default(),
        tls: None,
        filter: NetworkFilter::Http(connection),
    };
    Listener {
        name,
        address: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        port: PORT,
        bind: Bind::Socket,
        direction: Direction::Gateway,
        inspect: Inspect { tls: false, http: false, proxy_protocol: false, timeout: None },
        filter_chains: vec![chain],
        default_filter_chain: None,
    }
}
