//! Rules for VirtualServices.

mod unreachable;

use super::http_route::{self, Around};
use super::place::Place;
use super::visibility::{Exported, export_to};
use super::{Rules, annotations, headers, names, numbers};
use crate::Meta;
use crate::networking::{RouteDestination, TcpRoute, TlsMatchAttributes, TlsRoute, VirtualService};

pub use unreachable::unreachable;

/// The name that stands for all sidecars.
const MESH: &str = "mesh";

impl Rules for VirtualService {
    fn check(&self, meta: &Meta, spec: &Place<'_>) {
        let around = Around {
            is_delegate: self.hosts.is_empty(),
            has_gateway_semantics: annotations::has_route_semantics(meta),
        };
        if around.is_delegate {
            delegate(self, spec);
        }
        gateway_names(&self.gateways, around.has_gateway_semantics, &spec.key("gateways"));
        if !is_for_gateways(self) {
            no_claims(self, spec);
        }
        hosts(self, &spec.key("hosts"));
        if self.http.is_empty() && self.tcp.is_empty() && self.tls.is_empty() {
            spec.error("a VirtualService needs http, tls or tcp routes");
        }
        spec.key("http").each(&self.http, |route, at| http_route::check(route, around, at));
        spec.key("tls").each(&self.tls, |route, at| tls_route(route, self, around, at));
        spec.key("tcp").each(&self.tcp, |route, at| tcp_route(route, around, at));
        export_to(&self.export_to, &meta.namespace, Exported::Plain, &spec.key("exportTo"));
        unreachable::check(self, spec);
    }
}

/// What a VirtualService without hosts cannot have: it is only used through another's HTTP routes.
fn delegate(service: &VirtualService, spec: &Place<'_>) {
    let parts = [
        ("gateways", service.gateways.is_empty()),
        ("tls", service.tls.is_empty()),
        ("tcp", service.tcp.is_empty()),
    ];
    for (part, _) in parts.iter().filter(|(_, absent)| !absent) {
        spec.key(part).error(format!(
            "a VirtualService without hosts is delegated to and must not have {part}"
        ));
    }
}

/// Whether gateways, and not sidecars, apply the routes.
fn is_for_gateways(service: &VirtualService) -> bool {
    !service.gateways.is_empty() && !service.gateways.iter().any(|gateway| gateway == MESH)
}

/// Claims of tokens can be compared by gateways only.
fn no_claims(service: &VirtualService, spec: &Place<'_>) {
    spec.key("http").each(&service.http, |route, at| {
        at.key("match").each(&route.matches, |request, at| {
            let lists =
                [("headers", &request.headers), ("withoutHeaders", &request.without_headers)];
            for (list, headers) in lists {
                for name in headers.keys().filter(|name| headers::is_claim(name)) {
                    at.key(list).key(name).error("routing by claims of a token works on gateways only, and this VirtualService is not for gateways alone");
                }
            }
        });
    });
}

fn hosts(service: &VirtualService, at: &Place<'_>) {
    let for_gateways = is_for_gateways(service);
    let by_server_name =
        service.tls.iter().flat_map(|route| &route.matches).any(|it| !it.sni_hosts.is_empty());
    let mut all_valid = true;
    at.each(&service.hosts, |host, at| {
        let valid = if for_gateways {
            names::gateway_domain(host, by_server_name)
        } else {
            names::wildcard_domain(host)
        };
        if valid.is_err() && !names::is_ip(host) {
            all_valid = at.expect(valid);
        } else if host == "*" && !for_gateways {
            at.error("the host * is allowed on gateways only");
            all_valid = false;
        }
    });
    if !all_valid {
        return;
    }
    for (index, host) in service.hosts.iter().enumerate() {
        let earlier = service.hosts[..index].iter().filter(|earlier| names::overlap(earlier, host));
        for earlier in earlier {
            at.index(index)
                .error(format!("duplicate hosts: {earlier} and {host} have names in common"));
        }
    }
}

/// Names of gateways: `namespace/name`, a name of the same namespace, or `mesh`.
///
/// As in Istio, the first name without a namespace ends the check.
pub(super) fn gateway_names(gateways: &[String], has_gateway_semantics: bool, at: &Place<'_>) {
    for (index, gateway) in gateways.iter().enumerate() {
        let at = at.index(index);
        let Some((namespace, name)) = gateway.split_once('/') else {
            if let Some((name, rest)) = gateway.split_once('.') {
                let namespace = rest.split('.').next().unwrap_or_default();
                at.warning(format!(
                    "{gateway:?} is an old form of the name: write {namespace}/{name}"
                ));
            }
            at.expect(names::fqdn(gateway));
            return;
        };
        if !names::is_dns_label(namespace) {
            at.error(format!("{namespace:?} is not the name of a namespace"));
        }
        if name.is_empty() || (!names::is_dns_label(name) && !has_gateway_semantics) {
            at.error(format!("{name:?} is not the name of a gateway"));
        }
    }
}

fn tls_route(route: &TlsRoute, service: &VirtualService, around: Around, at: &Place<'_>) {
    if route.matches.is_empty() {
        at.key("match").error("a TLS route needs a condition");
    }
    at.key("match").each(&route.matches, |it, at| tls_match(it, service, at));
    if route.route.is_empty() {
        at.key("route").error("a TLS route needs a destination");
    }
    destinations(&route.route, around, &at.key("route"));
}

fn tls_match(condition: &TlsMatchAttributes, service: &VirtualService, at: &Place<'_>) {
    if condition.sni_hosts.is_empty() {
        at.key("sniHosts").error("a condition on TLS connections needs a server name (sniHosts)");
    }
    at.key("sniHosts").each(&condition.sni_hosts, |name, at| sni_host(name, service, at));
    connection(&condition.destination_subnets, condition.port, at);
    names::object_labels(&condition.source_labels, &at.key("sourceLabels"));
    gateway_names(&condition.gateways, false, &at.key("gateways"));
}

fn sni_host(name: &str, service: &VirtualService, at: &Place<'_>) {
    // Here no gateway at all counts as gateways only.
    let for_gateways = !service.gateways.iter().any(|gateway| gateway == MESH);
    let valid =
        if for_gateways { names::gateway_domain(name, true) } else { names::wildcard_domain(name) };
    if valid.is_err() {
        if names::is_ip(name) {
            at.warning(format!(
                "{name} is an IP address, which is no server name: most clients send none"
            ));
        } else {
            at.expect(valid);
        }
    } else if !service.hosts.iter().any(|host| names::covered(name, host)) {
        at.error(format!(
            "the server name {name:?} is not covered by any host of the VirtualService"
        ));
    }
}

fn tcp_route(route: &TcpRoute, around: Around, at: &Place<'_>) {
    at.key("match").each(&route.matches, |condition, at| {
        connection(&condition.destination_subnets, condition.port, at);
        names::object_labels(&condition.source_labels, &at.key("sourceLabels"));
        gateway_names(&condition.gateways, false, &at.key("gateways"));
    });
    if route.route.is_empty() {
        at.key("route").error("a TCP route needs a destination");
    }
    destinations(&route.route, around, &at.key("route"));
}

/// Where a connection goes.
fn connection(subnets: &[String], port: Option<u32>, at: &Place<'_>) {
    at.key("destinationSubnets").each(subnets, |subnet, at| {
        at.expect(names::subnet(subnet));
    });
    if let Some(port) = port.filter(|port| *port != 0) {
        at.key("port").expect(numbers::port(port));
    }
}

fn destinations(routes: &[RouteDestination], around: Around, at: &Place<'_>) {
    at.each(routes, |route, at| {
        let target = route.destination.as_ref();
        http_route::weighted(target, route.weight, around.has_gateway_semantics, at);
    });
    http_route::some_weight(routes.iter().map(|route| route.weight), at);
}
