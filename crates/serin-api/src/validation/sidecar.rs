//! Rules for Sidecars.

use std::collections::{BTreeMap, BTreeSet};

use super::gateway::{UNIX, host_name};
use super::place::Place;
use super::{
    Rules, connection_pool, http_route, names, numbers, selectors, server_tls, service_entry,
};
use crate::Meta;
use crate::networking::{
    CaptureMode, IstioEgressListener, IstioIngressListener, OutboundTrafficPolicy,
    OutboundTrafficPolicyMode, ServerTlsMode, ServerTlsSettings, Sidecar, SidecarPort,
};
use crate::values::Protocol;

const LOOPBACK: [&str; 5] = ["", "127.0.0.1", "0.0.0.0", "::1", "::"];

impl Rules for Sidecar {
    fn check(&self, meta: &Meta, spec: &Place<'_>) {
        let selector = spec.key("workloadSelector");
        selectors::workload_selector(self.workload_selector.as_ref(), &selector);
        let is_empty = self.egress.is_empty()
            && self.ingress.is_empty()
            && self.outbound_traffic_policy.is_none()
            && self.inbound_connection_pool.is_none();
        if is_empty {
            spec.error("a Sidecar must configure something");
        }
        let mut ports = BTreeSet::new();
        spec.key("ingress").each(&self.ingress, |listener, at| {
            ingress(listener, &mut ports, at);
        });
        if let Some(pool) = &self.inbound_connection_pool {
            connection_pool::check(pool, &spec.key("inboundConnectionPool"));
        }
        let mut listeners = BTreeSet::new();
        for (index, listener) in self.egress.iter().enumerate() {
            let at = spec.key("egress");
            let at = at.index(index);
            match &listener.port {
                Some(port) => egress_port(port, listener, &mut listeners, &at),
                None if index + 1 < self.egress.len() => {
                    at.error(
                        "the listener without a port takes what no other does and must be the last",
                    );
                }
                None => {}
            }
            egress_hosts(&listener.hosts, &meta.namespace, &at.key("hosts"));
        }
        if let Some(policy) = &self.outbound_traffic_policy {
            outbound_policy(policy, &spec.key("outboundTrafficPolicy"));
        }
    }
}

fn ingress(listener: &IstioIngressListener, ports: &mut BTreeSet<u32>, at: &Place<'_>) {
    let Some(port) = &listener.port else {
        at.key("port").error("a listener for inbound traffic needs a port");
        return;
    };
    self::port(port, &at.key("port"));
    at.key("port").key("number").expect(numbers::port(port.number));
    if !listener.bind.is_empty() {
        at.key("bind").expect(names::ip(&listener.bind));
    }
    if !ports.insert(port.number) {
        at.key("port").error("ports of listeners must be unique");
    }
    if !listener.default_endpoint.is_empty() {
        at.key("defaultEndpoint").expect(default_endpoint(&listener.default_endpoint));
    }
    let protocol = Protocol::parse(&port.protocol);
    if let Some(tls) = &listener.tls {
        ingress_tls(tls, protocol, &at.key("tls"));
    }
    if let Some(pool) = &listener.connection_pool {
        connection_pool::check(pool, &at.key("connectionPool"));
        if pool.http.is_some() && !protocol.is_http() {
            at.key("connectionPool")
                .key("http")
                .warning("the port is not HTTP: limits for HTTP have no effect");
        }
    }
}

/// What ports of listeners in both directions have in common. A name is optional.
fn port(port: &SidecarPort, at: &Place<'_>) {
    if port.target_port > 0 {
        at.key("targetPort").error("targetPort has no effect on Sidecars");
    }
    if !port.name.is_empty() {
        at.key("name").expect(service_entry::port_name(&port.name));
    }
    at.key("protocol").expect(service_entry::protocol(&port.protocol));
}

/// `host:port` with a loopback or any-address, or a unix domain socket.
fn default_endpoint(endpoint: &str) -> Result<(), String> {
    if let Some(path) = endpoint.strip_prefix(UNIX) {
        return names::unix_socket(path);
    }
    let form = || {
        format!(
            "{endpoint:?} must be 127.0.0.1:port, 0.0.0.0:port, [::1]:port, [::]:port or unix:// and a path"
        )
    };
    let (host, port) = match endpoint.strip_prefix('[') {
        Some(rest) => rest.split_once("]:").ok_or_else(form)?,
        None => endpoint.split_once(':').ok_or_else(form)?,
    };
    if !LOOPBACK.contains(&host) {
        return Err(form());
    }
    let number = port.parse().map_err(|_| format!("the port {port:?} is not a number"))?;
    numbers::port(number)
}

fn ingress_tls(tls: &ServerTlsSettings, protocol: Protocol, at: &Place<'_>) {
    let unsupported = [
        ("subjectAltNames", !tls.subject_alt_names.is_empty()),
        ("httpsRedirect", tls.https_redirect),
        ("credentialName", !tls.credential_name.is_empty()),
        ("credentialNames", !tls.credential_names.is_empty()),
        ("tlsCertificates", !tls.tls_certificates.is_empty()),
    ];
    for (field, _) in unsupported.iter().filter(|(_, present)| *present) {
        at.key(field).error(format!("{field} is not supported in a Sidecar"));
    }
    if matches!(tls.mode, ServerTlsMode::IstioMutual | ServerTlsMode::AutoPassthrough) {
        at.key("mode").error(format!("the mode {} is not supported in a Sidecar", tls.mode));
    }
    if !protocol.is_tls() {
        at.error("a listener cannot have TLS settings on a port that is neither HTTPS nor TLS");
    }
    server_tls::check(tls, at);
}

/// Listeners are told apart by their port, or by their socket.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Listening {
    Port(u32),
    Socket(String),
}

fn egress_port(
    port: &SidecarPort,
    listener: &IstioEgressListener,
    listeners: &mut BTreeSet<Listening>,
    at: &Place<'_>,
) {
    let bind = listener.bind.as_str();
    self::port(port, &at.key("port"));
    if port.number == 0 {
        match bind.strip_prefix(UNIX) {
            Some(path) => {
                at.key("bind").expect(names::unix_socket(path));
            }
            None => at.key("bind").error("the port number 0 needs a unix domain socket to bind to"),
        }
        if listener.capture_mode == CaptureMode::Iptables {
            at.key("captureMode").error("connections to a unix domain socket cannot be redirected: captureMode must be DEFAULT or NONE");
        }
        if !listeners.insert(Listening::Socket(bind.to_owned())) {
            at.key("bind").error("sockets of listeners must be unique");
        }
        return;
    }
    at.key("port").key("number").expect(numbers::port(port.number));
    if !bind.is_empty() {
        at.key("bind").expect(names::ip(bind));
    }
    if !listeners.insert(Listening::Port(port.number)) {
        at.key("port").error("ports of listeners must be unique");
    }
}

fn egress_hosts(hosts: &[String], own_namespace: &str, at: &Place<'_>) {
    if hosts.is_empty() {
        at.error("a listener for outbound traffic needs at least one host");
    }
    let mut imported: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    at.each(hosts, |entry, at| {
        let Some((namespace, host)) = entry.split_once('/') else {
            at.error(format!("{entry:?} must be of the form namespace/host"));
            return;
        };
        let excluded = namespace.strip_prefix('~').filter(|_| entry != "~/*");
        egress_host(excluded.unwrap_or(namespace), host, excluded.is_some(), at);
        if excluded.is_some() {
            return;
        }
        let namespace = if namespace == "." { own_namespace } else { namespace };
        let of_namespace = imported.entry(namespace).or_default();
        let known = if host == "*" {
            !of_namespace.is_empty()
        } else {
            of_namespace.contains(host) || of_namespace.contains("*")
        };
        if known {
            at.warning(format!("{entry} is a duplicate of an earlier host"));
        }
        of_namespace.insert(host);
    });
    let imports_all = imported.get("*").is_some_and(|hosts| hosts.contains("*"));
    if imports_all && imported.len() > 1 {
        at.warning("*/* imports everything: the other hosts have no effect");
    }
}

fn egress_host(namespace: &str, host: &str, is_excluded: bool, at: &Place<'_>) {
    let special = matches!(namespace, "*" | "." | "~") || (is_excluded && namespace.is_empty());
    if !special && !names::is_dns_label(namespace) {
        at.error(format!("{namespace:?} is not the name of a namespace"));
    }
    host_name(host, false, at);
}

fn outbound_policy(policy: &OutboundTrafficPolicy, at: &Place<'_>) {
    let Some(proxy) = &policy.egress_proxy else { return };
    let at_proxy = at.key("egressProxy");
    if policy.mode != OutboundTrafficPolicyMode::AllowAny {
        at_proxy.error("an egressProxy needs the mode ALLOW_ANY");
        return;
    }
    at_proxy.key("host").expect(names::fqdn(&proxy.host));
    if proxy.port.is_none() {
        at_proxy.key("port").error("an egressProxy needs a port");
        return;
    }
    http_route::destination(Some(proxy), &at_proxy);
}
