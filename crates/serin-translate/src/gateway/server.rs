//! Servers of Gateways, as a proxy reads them.

use std::net::IpAddr;
use std::sync::Arc;

use serin_api::networking::{self, Gateway, ServerTlsMode, ServerTlsSettings};
use serin_api::{FieldPath, Finding, Object, ObjectRef};

use crate::codes::Kind;
use crate::gateway_api::ListenerOrigin;
use crate::host::Host;
use crate::registry::Protocol;
use crate::virtual_service::GatewayName;

/// A server of a Gateway.
pub(super) struct Server<'a> {
    pub(super) gateway: &'a Arc<Object<Gateway>>,
    /// The Gateway's name, as rules say it.
    pub(super) name: GatewayName,
    /// Its place in the Gateway.
    pub(super) index: usize,
    pub(super) written: &'a networking::Server,
    /// The port by which clients and rules know it.
    pub(super) port: u16,
    pub(super) protocol: Protocol,
    pub(super) reading: Reading,
    pub(super) hosts: Vec<ServerHost>,
    port_name: &'a str,
}

/// What becomes of a server's connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    /// They are read as HTTP.
    Http,
    /// TLS is terminated, and they are read as HTTP.
    Https,
    /// They are passed on.
    Bytes,
    /// TLS is terminated, and they are passed on.
    TerminatedBytes,
    /// TLS is passed on by its server name, as rules say.
    Passthrough,
    /// TLS is passed on to the cluster that its server name spells.
    AutoPassthrough,
}

impl Reading {
    fn of(protocol: Protocol, tls: Option<&ServerTlsSettings>) -> Self {
        match tls.map(|it| it.mode) {
            _ if protocol.is_http() => Self::Http,
            None => Self::Bytes,
            Some(ServerTlsMode::Passthrough) => Self::Passthrough,
            Some(ServerTlsMode::AutoPassthrough) => Self::AutoPassthrough,
            Some(_) if protocol == Protocol::Https => Self::Https,
            Some(_) => Self::TerminatedBytes,
        }
    }

    /// Whether connections are TLS, so that server names tell servers on one port apart.
    pub(super) const fn is_tls(self) -> bool {
        !matches!(self, Self::Http | Self::Bytes)
    }
}

/// A host of a server, and whose rules may be for it.
pub(super) struct ServerHost {
    /// Only the rules of this namespace.
    namespace: Option<Box<str>>,
    host: Host,
}

impl ServerHost {
    /// `host`, `*/host`, `./host` or `namespace/host`, in a Gateway of `own`.
    fn parse(written: &str, own: &str) -> Self {
        let (namespace, host) = written.split_once('/').unwrap_or((Host::ANY, written));
        let namespace = match namespace {
            Host::ANY => None,
            "." => Some(Box::from(own)),
            other => Some(Box::from(other)),
        };
        Self { namespace, host: Host::new(host) }
    }

    fn is_for(&self, namespace: &str) -> bool {
        self.namespace.as_deref().is_none_or(|own| own == namespace)
    }
}

impl<'a> Server<'a> {
    /// The servers of a Gateway. One without a port, which admission refuses, is none.
    pub(super) fn all(gateway: &'a Arc<Object<Gateway>>) -> impl Iterator<Item = Self> {
        gateway.spec.servers.iter().enumerate().filter_map(move |(index, written)| {
            let port = written.port.as_ref()?;
            let protocol = Protocol::parse(&port.protocol);
            let own = &gateway.meta.namespace;
            Some(Self {
                gateway,
                name: GatewayName::of(gateway),
                index,
                written,
                port: u16::try_from(port.number).ok().filter(|it| *it > 0)?,
                protocol,
                reading: Reading::of(protocol, written.tls.as_ref()),
                hosts: written.hosts.iter().map(|it| ServerHost::parse(it, own)).collect(),
                port_name: &port.name,
            })
        })
    }

    /// The address that it asks for; none if it is for all of them, an error if it is not one that a proxy can listen on.
    pub(super) fn address(&self) -> Result<Option<IpAddr>, std::net::AddrParseError> {
        let written = self.written.bind.as_str();
        if written.is_empty() { Ok(None) } else { written.parse().map(Some) }
    }

    /// The name of the route table for requests on the proxy's `port` (`gatewayRDSRouteName`). HTTP of all Gateways shares one
    /// for each port; with TLS each server has its own.
    pub(super) fn table_name(&self, port: u16) -> Option<Arc<str>> {
        let name = match self.reading {
            Reading::Http => format!("http.{port}"),
            Reading::Https => {
                let gateway = &self.gateway.meta;
                let (number, name) = (self.port, self.port_name);
                format!("https.{number}.{name}.{}.{}", gateway.name, gateway.namespace)
            }
            _ => return None,
        };
        let bind = &self.written.bind;
        Some(if bind.is_empty() { name.into() } else { format!("{name}.{bind}").into() })
    }

    /// The hosts that rules of `namespace` may be for.
    pub(super) fn hosts_for(&self, namespace: &str) -> Vec<Host> {
        self.hosts.iter().filter(|it| it.is_for(namespace)).map(|it| it.host.clone()).collect()
    }

    /// Whether one of `hosts`, which rules of `namespace` are for, is among the server's.
    pub(super) fn serves(&self, namespace: &str, hosts: &[Host]) -> bool {
        let own = self.hosts.iter().filter(|it| it.is_for(namespace));
        own.flat_map(|own| hosts.iter().map(|it| own.host.matches(it))).any(|it| it)
    }

    /// All hosts, whoever's rules they are for, in order and without repetition.
    pub(super) fn all_hosts(&self) -> Vec<&Host> {
        let mut hosts: Vec<_> = self.hosts.iter().map(|it| &it.host).collect();
        hosts.sort();
        hosts.dedup();
        hosts
    }

    /// Whether plain HTTP is only answered by a redirect.
    pub(super) fn redirects(&self) -> bool {
        self.written.tls.as_ref().is_some_and(|it| it.https_redirect)
    }

    /// The object that someone wrote, and where the server stands in it.
    pub(super) fn place(&self) -> (ObjectRef, FieldPath) {
        match ListenerOrigin::of(&self.gateway.meta) {
            Some(origin) => (origin.object(), FieldPath::spec().key("listeners")),
            None => {
                let field = FieldPath::spec().key("servers").index(self.index);
                (self.gateway.reference(), field)
            }
        }
    }

    /// A finding about a field of the server.
    pub(super) fn finding(&self, kind: Kind, field: &str, message: impl Into<String>) -> Finding {
        let (object, at) = self.place();
        let is_generated = ListenerOrigin::of(&self.gateway.meta).is_some();
        let field = if is_generated || field.is_empty() { at } else { at.keys(field) };
        kind.finding(&object, field, message)
    }
}
