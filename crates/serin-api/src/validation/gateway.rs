//! Rules for Gateways.

use std::collections::BTreeSet;

use super::place::Place;
use super::{Rules, annotations, names, numbers, server_tls};
use crate::Meta;
use crate::networking::{Gateway, Port, Server, ServerTlsMode, ServerTlsSettings};
use crate::values::Protocol;

pub(super) const UNIX: &str = "unix://";

impl Rules for Gateway {
    fn check(&self, meta: &Meta, spec: &Place<'_>) {
        let has_gateway_semantics = annotations::has_gateway_semantics(meta);
        if !names::is_dns_label(&meta.name) && !has_gateway_semantics {
            spec.error(format!(
                "{:?} is not a valid name of a gateway: it must be a DNS label",
                meta.name
            ));
        }
        if self.servers.is_empty() {
            spec.key("servers").error("a gateway needs at least one server");
        }
        let mut port_names = BTreeSet::new();
        spec.key("servers").each(&self.servers, |server, at| {
            self::server(server, has_gateway_semantics, at);
            let Some(port) = &server.port else { return };
            if !port_names.insert(&port.name) {
                at.key("port")
                    .key("name")
                    .error(format!("port names must be unique: {:?} is a duplicate", port.name));
            }
            let redirects = server.tls.as_ref().is_some_and(|tls| tls.https_redirect);
            if redirects && !Protocol::parse(&port.protocol).is_http() {
                at.key("tls")
                    .key("httpsRedirect")
                    .warning("httpsRedirect only makes sense on HTTP servers");
            }
        });
    }
}

fn server(server: &Server, has_gateway_semantics: bool, at: &Place<'_>) {
    if server.hosts.is_empty() {
        at.key("hosts").error("a server needs at least one host");
    }
    at.key("hosts").each(&server.hosts, |host, at| {
        self::host(host, has_gateway_semantics, at);
    });
    let port = server.port.as_ref();
    let port_is_valid = self::port(port, &server.bind, &at.key("port"));
    bind(port, &server.bind, &at.key("bind"));
    if let Some(tls) = &server.tls {
        server_tls::check(tls, &at.key("tls"));
    }
    if let Some(port) = port.filter(|_| port_is_valid) {
        tls_fits(Protocol::parse(&port.protocol), server.tls.as_ref(), &at.key("tls"));
    }
}

/// TLS settings are for TLS ports; plain HTTP ports may redirect to https.
fn tls_fits(protocol: Protocol, tls: Option<&ServerTlsSettings>, at: &Place<'_>) {
    match tls {
        None if protocol.is_tls() => at.error("a server for HTTPS or TLS needs TLS settings"),
        Some(tls) if protocol.is_http() => {
            let passes =
                matches!(tls.mode, ServerTlsMode::Passthrough | ServerTlsMode::AutoPassthrough);
            let files = [&tls.ca_certificates, &tls.private_key, &tls.server_certificate];
            if !passes || files.iter().any(|file| !file.is_empty()) {
                at.error("a plain HTTP server cannot have TLS settings beside httpsRedirect");
            }
        }
        Some(_) if !protocol.is_tls() => {
            at.error("a server cannot have TLS settings on a port that is neither HTTPS nor TLS");
        }
        _ => {}
    }
}

fn port(port: Option<&Port>, bind: &str, at: &Place<'_>) -> bool {
    let Some(port) = port else {
        at.error("a port is required");
        return false;
    };
    let mut valid = true;
    if Protocol::parse(&port.protocol) == Protocol::Auto {
        at.key("protocol").error(format!("invalid protocol {:?}: use HTTP, HTTPS, HTTP2, GRPC, GRPC-WEB, TLS, TCP, MONGO, REDIS or MYSQL", port.protocol));
        valid = false;
    }
    if port.number > 0 || !bind.starts_with(UNIX) {
        valid &= at.key("number").expect(numbers::port(port.number));
    }
    if port.target_port > 0 {
        at.key("targetPort").error("targetPort has no effect on gateways");
        valid = false;
    }
    if port.name.is_empty() {
        at.key("name").error("a port needs a name");
        valid = false;
    }
    valid
}

fn bind(port: Option<&Port>, bind: &str, at: &Place<'_>) {
    if let Some(path) = bind.strip_prefix(UNIX) {
        at.expect(names::unix_socket(path));
        if port.is_some_and(|port| port.number != 0) {
            at.error("the port number must be 0 for a unix domain socket");
        }
    } else if !bind.is_empty() {
        at.expect(names::ip(bind));
    }
}

/// `host` or `namespace/host`.
fn host(host: &str, has_gateway_semantics: bool, at: &Place<'_>) {
    let Some((namespace, name)) = host.split_once('/') else {
        host_name(host, true, at);
        return;
    };
    // A Gateway API listener without routes has hosts that nobody may use.
    let special = matches!(namespace, "*" | ".") || (namespace == "~" && has_gateway_semantics);
    if !special && !names::is_dns_label(namespace) {
        at.error(format!("{namespace:?} is not the name of a namespace"));
    }
    host_name(name, true, at);
}

/// The host in an entry of a Gateway or a Sidecar.
pub(super) fn host_name(host: &str, ip_allowed: bool, at: &Place<'_>) {
    if host != "*" && !host.contains('.') {
        at.error(format!(
            "short names such as {host:?} are not allowed: write the full domain name"
        ));
    }
    if !(ip_allowed && names::is_ip(host)) {
        at.expect(names::wildcard_domain(host));
    }
    at.expect(names::whole_wildcard(host));
}
