//! What servers share: sockets and route tables (Istio's `MergeGateways`).
//!
//! On one address and port there can be plain HTTP of any number of servers, or TLS of servers that their hosts tell apart, or
//! one server for bytes. The first server holds; one that does not fit beside it is left out, with a finding.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use serin_api::Finding;

use super::selection::Selected;
use super::server::{Reading, Server};
use crate::codes::{LISTENER_IMPOSSIBLE, SERVER_HOST_TAKEN, SERVER_NAME_TAKEN, SERVER_PORT_TAKEN};
use crate::host::Host;
use crate::mesh::wildcard;
use crate::proxy::Proxy;

/// The servers of a proxy by what they share.
pub(super) struct Merged<'s> {
    pub(super) sockets: BTreeMap<(IpAddr, u16), Socket<'s>>,
    /// The servers of each route table.
    pub(super) tables: BTreeMap<Arc<str>, Vec<&'s Server<'s>>>,
    pub(super) findings: Vec<Finding>,
}

/// An address and port, and the servers on it.
#[derive(Default)]
pub(super) struct Socket<'s> {
    pub(super) served: Vec<Served<'s>>,
    /// Hosts of TLS, with the place of their server.
    hosts: HashMap<&'s Host, usize>,
}

/// A server on a socket.
pub(super) struct Served<'s> {
    pub(super) server: &'s Server<'s>,
    /// The route table for its requests, if it has some.
    pub(super) table: Option<Arc<str>>,
}

impl<'s> Merged<'s> {
    /// The servers of `selected` Gateways, in their order.
    pub(super) fn new(selected: &'s [Selected<'_>], proxy: &Proxy) -> Self {
        let mut merged =
            Self { sockets: BTreeMap::new(), tables: BTreeMap::new(), findings: Vec::new() };
        for gateway in selected {
            for server in &gateway.servers {
                for port in gateway.ports(server.port) {
                    if let Err(finding) = merged.add(server, port, proxy) {
                        merged.findings.push(*finding);
                    }
                }
            }
        }
        merged
    }

    fn add(
        &mut self,
        server: &'s Server<'s>,
        port: u16,
        proxy: &Proxy,
    ) -> Result<(), Box<Finding>> {
        let address = match server.address() {
            Ok(address) => address.unwrap_or_else(|| wildcard(proxy)),
            Err(_) => {
                let message = "a gateway listens on IP addresses only; this server is left out";
                return Err(Box::new(server.finding(LISTENER_IMPOSSIBLE, "bind", message)));
            }
        };
        if proxy.unprivileged && port < 1024 {
            let message = format!(
                "the proxy may not listen on port {port}, which is below 1024; this server is left out"
            );
            let finding = server.finding(LISTENER_IMPOSSIBLE, "port.number", message);
            let help = "map the port to a higher target port in the proxy's Service";
            return Err(Box::new(finding.with_help(help)));
        }
        let mut table = server.table_name(port);
        let named_alike = table.as_ref().and_then(|it| self.owner(it, server));
        let socket = self.sockets.entry((address, port)).or_default();
        if let Some(conflict) = socket.conflict(server) {
            return Err(Box::new(conflict));
        }
        if server.reading == Reading::Http {
            // Whoever came first has named the table of the socket.
            table = socket.served.first().map_or(table, |it| it.table.clone());
        } else if let Some(other) = named_alike {
            return Err(Box::new(same_name(server, other)));
        }
        if server.reading.is_tls() {
            let place = socket.served.len();
            socket.hosts.extend(server.all_hosts().into_iter().map(|host| (host, place)));
        }
        if let Some(table) = &table {
            let servers = self.tables.entry(Arc::clone(table)).or_default();
            if !servers.iter().any(|it| std::ptr::eq(*it, server)) {
                servers.push(server);
            }
        }
        socket.served.push(Served { server, table });
        Ok(())
    }

    /// Another server that has this table.
    fn owner(&self, table: &str, server: &Server<'_>) -> Option<&'s Server<'s>> {
        let first = self.tables.get(table)?.first()?;
        (!std::ptr::eq(*first, server)).then_some(first)
    }
}

impl Socket<'_> {
    /// Why `server` cannot be beside the others.
    fn conflict(&self, server: &Server<'_>) -> Option<Finding> {
        let first = self.served.first()?.server;
        match (first.reading, server.reading) {
            (Reading::Http, Reading::Http) => None,
            (one, other) if one.is_tls() && other.is_tls() => self.host_conflict(server),
            _ => Some(port_conflict(first, server)),
        }
    }

    fn host_conflict(&self, server: &Server<'_>) -> Option<Finding> {
        let hosts = server.all_hosts();
        let taken: Vec<_> = hosts.into_iter().filter(|it| self.hosts.contains_key(it)).collect();
        let owner = self.served.get(*self.hosts.get(*taken.first()?)?)?.server;
        let (object, field) = owner.place();
        let names: Vec<_> = taken.iter().map(|it| it.as_str()).collect();
        let message = format!(
            "TLS for {} on port {} belongs to {object}, which goes first; this server has no effect",
            names.join(", "),
            server.port,
        );
        let finding = server.finding(SERVER_HOST_TAKEN, "hosts", message);
        let help = "give the servers different hosts, or put them together in one server";
        Some(finding.with_help(help).with_related(&object, field, "has the host already"))
    }
}

fn port_conflict(first: &Server<'_>, server: &Server<'_>) -> Finding {
    let (object, field) = first.place();
    let message = format!(
        "{} on port {} cannot stand beside {} of {object}, which goes first; this server has no effect",
        server.protocol, server.port, first.protocol,
    );
    let finding = server.finding(SERVER_PORT_TAKEN, "port", message);
    let help = "use another port: only HTTP goes with HTTP, and TLS with TLS";
    finding.with_help(help).with_related(&object, field, "has the port already")
}

fn same_name(server: &Server<'_>, other: &Server<'_>) -> Finding {
    let (object, field) = other.place();
    let message =
        "another server of the Gateway has the same port and port name; this one has no effect";
    let finding = server.finding(SERVER_NAME_TAKEN, "port.name", message);
    let help = "give every server's port a name of its own";
    finding.with_help(help).with_related(&object, field, "has the name already")
}
