//! Listeners of a gateway, and their filter chains (Istio's `buildGatewayListeners`).

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use serin_api::Finding;
use serin_api::mesh_config::{ForwardClientCertDetails, MeshConfig};
use serin_routing::model::{
    Bind, ClientCertificates, Codec, Direction, FilterChain, HttpConnection, Inspect, Listener,
    NetworkFilter,
};

use super::View;
use super::certificates::Certificates;
use super::connections;
use super::merge::{Served, Socket};
use super::server::{Reading, Server};
use crate::codes::{SERVER_HOST_TAKEN, SERVES_NOTHING};
use crate::mesh::{IDLE_TIMEOUT, criteria};

/// Envoy's time for the first bytes of a connection.
const INSPECTION_TIMEOUT: Duration = Duration::from_secs(15);

/// Makes listeners.
pub(super) struct Builder<'a> {
    view: View<'a>,
    certificates: Certificates<'a>,
    findings: Vec<Finding>,
}

impl<'a> Builder<'a> {
    pub(super) fn new(view: View<'a>) -> Self {
        let certificates = Certificates::new(view.snapshot, view.proxy);
        Self { view, certificates, findings: Vec::new() }
    }

    /// What was found on the way.
    pub(super) fn into_findings(self) -> Vec<Finding> {
        self.findings
    }

    /// The listener for the servers of a socket; none if no connection to it leads anywhere.
    pub(super) fn listener(
        &mut self,
        (address, port): (IpAddr, u16),
        socket: &Socket<'_>,
    ) -> Option<Listener> {
        let mut chains = Chains::default();
        for served in &socket.served {
            let before = chains.made.len();
            self.add(served, &mut chains);
            if served.server.reading == Reading::Http {
                break;
            }
            if chains.made.len() == before && !chains.has_refused {
                self.findings.push(serves_nothing(served.server));
            }
        }
        if chains.made.is_empty() {
            return None;
        }
        let topology = self.mesh().default_config.gateway_topology.as_ref();
        let looks_at_names =
            |it: &FilterChain| it.tls.is_some() || !it.criteria.server_names.is_empty();
        Some(Listener {
            name: Arc::from(format!("{address}_{port}")),
            address,
            port,
            bind: Bind::Socket,
            direction: Direction::Gateway,
            inspect: Inspect {
                tls: chains.made.iter().any(looks_at_names),
                http: false,
                proxy_protocol: topology.is_some_and(|it| it.proxy_protocol.is_some()),
                timeout: Some(INSPECTION_TIMEOUT),
            },
            filter_chains: chains.made,
            default_filter_chain: None,
        })
    }

    fn add(&mut self, served: &Served<'_>, chains: &mut Chains) {
        let server = served.server;
        let tls = self.certificates.of(server, &mut self.findings);
        match &served.table {
            // One chain reads the HTTP of all servers on the socket.
            Some(table) => {
                let names = if tls.is_some() { server.all_hosts() } else { Vec::new() };
                let filter = NetworkFilter::Http(connection(Arc::clone(table), self.mesh()));
                let criteria = criteria(names.iter().map(|it| it.as_str()), &[]);
                let chain = FilterChain { name: Arc::clone(table), criteria, tls, filter };
                if !chains.add(chain) {
                    self.findings.push(hosts_taken(server));
                }
            }
            None => connections::add(&self.view, server, tls, chains, &mut self.findings),
        }
    }

    fn mesh(&self) -> &'a MeshConfig {
        &self.view.snapshot.settings().mesh
    }
}

/// The chains of a listener: no two are for the same server name.
#[derive(Default)]
pub(super) struct Chains {
    made: Vec<FilterChain>,
    /// The chain of each server name; that of an empty name takes every other.
    by_name: HashMap<Arc<str>, usize>,
    /// A chain was not added.
    has_refused: bool,
}

impl Chains {
    /// Adds a chain, unless another has one of its names. Whether it was added.
    pub(super) fn add(&mut self, chain: FilterChain) -> bool {
        if self.in_the_way(&chain).is_some() {
            self.has_refused = true;
            return false;
        }
        let place = self.made.len();
        self.by_name.extend(names(&chain).map(|it| (it, place)));
        self.made.push(chain);
        true
    }

    /// The chain that has one of the names of `chain`.
    pub(super) fn in_the_way(&self, chain: &FilterChain) -> Option<&FilterChain> {
        names(chain).find_map(|it| self.made.get(*self.by_name.get(&it)?))
    }
}

fn names(chain: &FilterChain) -> impl Iterator<Item = Arc<str>> {
    let names = &chain.criteria.server_names;
    names.iter().cloned().chain(names.is_empty().then(Arc::default))
}

/// How HTTP is read at the edge of the mesh.
fn connection(routes: Arc<str>, mesh: &MeshConfig) -> HttpConnection {
    let topology = mesh.default_config.gateway_topology.as_ref();
    let details = topology.map(|it| it.forward_client_cert_details).unwrap_or_default();
    HttpConnection {
        routes,
        codec: Codec::Auto,
        server_name: Arc::from("istio-envoy"),
        use_remote_address: true,
        trusted_hops: topology.map_or(0, |it| it.num_trusted_proxies),
        client_certificates: client_certificates(details),
        accept_http_10: false,
        stream_idle_timeout: None,
        idle_timeout: Some(IDLE_TIMEOUT),
        strict_server_name: false,
    }
}

const fn client_certificates(written: ForwardClientCertDetails) -> ClientCertificates {
    match written {
        ForwardClientCertDetails::Sanitize => ClientCertificates::Sanitize,
        ForwardClientCertDetails::ForwardOnly => ClientCertificates::ForwardOnly,
        ForwardClientCertDetails::AppendForward => ClientCertificates::AppendForward,
        ForwardClientCertDetails::Undefined | ForwardClientCertDetails::SanitizeSet => {
            ClientCertificates::SanitizeSet
        }
        ForwardClientCertDetails::AlwaysForwardOnly => ClientCertificates::AlwaysForwardOnly,
    }
}

fn hosts_taken(server: &Server<'_>) -> Finding {
    let message = format!(
        "a rule for another server on port {} takes connections for the same server names; this server has no effect",
        server.port
    );
    server.finding(SERVER_HOST_TAKEN, "hosts", message)
}

fn serves_nothing(server: &Server<'_>) -> Finding {
    let rules = match server.reading {
        Reading::Passthrough => "tls rule",
        Reading::AutoPassthrough => "service of the mesh",
        _ => "tcp rule",
    };
    let message = format!(
        "no {rules} leads anywhere from port {}, so connections to it are refused",
        server.port
    );
    server.finding(SERVES_NOTHING, "", message)
}
