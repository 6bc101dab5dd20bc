//! TLSRoutes and TCPRoutes: what becomes of connections.

use serin_api::gateway_api::L4RouteRule;
use serin_api::networking::{
    Destination, L4MatchAttributes, RouteDestination, TcpRoute, TlsMatchAttributes, TlsRoute,
    VirtualService,
};
use serin_api::values::PortSelector;
use serin_api::{Meta, Object};

use super::backend::{self, Backend};
use super::condition::Refusal;
use super::parent::Attachment;
use super::route::{Attached, RouteView, Translated};
use super::world::World;
use super::{merge, names};
use crate::host::Host;

/// Every backend of `rules`.
pub(super) fn backends(rules: &[L4RouteRule]) -> impl Iterator<Item = Backend<'_>> {
    rules.iter().flat_map(|rule| &rule.backend_refs).map(Backend::from)
}

/// The TLS route that `rule` means.
///
/// # Errors
/// What makes the whole route useless.
pub(super) fn translate_tls(
    world: &World<'_>,
    view: &RouteView<'_>,
    rule: &L4RouteRule,
    mesh: bool,
) -> Result<Translated<TlsRoute>, Refusal> {
    let any = || vec![Host::ANY.to_owned()];
    let sni_hosts = if view.hostnames.is_empty() { any() } else { view.hostnames.to_vec() };
    let matches = vec![TlsMatchAttributes { sni_hosts, ..TlsMatchAttributes::default() }];
    let Some((route, refusal)) = destinations(world, view, rule, mesh)? else {
        return Ok(Translated {
            rule: TlsRoute { route: nowhere(), ..TlsRoute::default() },
            refusal: None,
        });
    };
    Ok(Translated { rule: TlsRoute { matches, route }, refusal })
}

/// The TCP route that `rule` means.
///
/// # Errors
/// What makes the whole route useless.
pub(super) fn translate_tcp(
    world: &World<'_>,
    view: &RouteView<'_>,
    rule: &L4RouteRule,
    mesh: bool,
) -> Result<Translated<TcpRoute>, Refusal> {
    let (route, refusal) =
        destinations(world, view, rule, mesh)?.unwrap_or_else(|| (nowhere(), None));
    Ok(Translated { rule: TcpRoute { route, ..TcpRoute::default() }, refusal })
}

type Destinations = (Vec<RouteDestination>, Option<Refusal>);

/// Nothing if no backend takes any share.
fn destinations(
    world: &World<'_>,
    view: &RouteView<'_>,
    rule: &L4RouteRule,
    mesh: bool,
) -> Result<Option<Destinations>, Refusal> {
    let (mut all, mut refusal) = (Vec::new(), None);
    for (backend, weight) in
        backend::weights(rule.backend_refs.iter().map(Backend::from).map(|it| (it, it.weight)))
    {
        let (destination, error) = backend::destination(world, view, backend, mesh)?;
        refusal = error.or(refusal);
        all.push(RouteDestination { destination: Some(destination), weight });
    }
    Ok((!all.is_empty()).then_some((all, refusal)))
}

/// A destination that nothing serves, so that connections are refused.
fn nowhere() -> Vec<RouteDestination> {
    let destination = Destination {
        host: "internal.cluster.local".to_owned(),
        subset: "zero-weight".to_owned(),
        port: Some(PortSelector { number: 65535 }),
    };
    vec![RouteDestination { destination: Some(destination), weight: 0 }]
}

/// The VirtualServices of a TCPRoute: a listener for TCP has no hosts, so one for each parent in gateways, one for each
/// host in the mesh.
pub(super) fn tcp(
    world: &World<'_>,
    view: &RouteView<'_>,
    attached: &Attached<'_, TcpRoute>,
) -> Vec<Object<VirtualService>> {
    let make = |attachment: &Attachment<'_>, _: &str| {
        let mut tcp = attached.rules(attachment).to_vec();
        if let Some(port) = mesh_port(attachment) {
            for route in &mut tcp {
                if route.matches.is_empty() {
                    route.matches.push(L4MatchAttributes::default());
                }
                route.matches.iter_mut().for_each(|it| it.port = Some(port));
            }
        }
        (!tcp.is_empty()).then(|| VirtualService { tcp, ..VirtualService::default() })
    };
    for_each_host(world, view, attached, "tcp", make)
}

/// The VirtualServices of a TLSRoute, one for each host of each parent.
pub(super) fn tls(
    world: &World<'_>,
    view: &RouteView<'_>,
    attached: &Attached<'_, TlsRoute>,
) -> Vec<Object<VirtualService>> {
    let make = |attachment: &Attachment<'_>, host: &str| {
        let mut tls = attached.rules(attachment).to_vec();
        if attachment.is_mesh() {
            let parent_hosts = view.hosts(world, attachment);
            let matches = tls.iter_mut().flat_map(|route| &mut route.matches);
            matches.for_each(|it| fit_to_mesh(it, attachment, &parent_hosts, host));
        }
        (!tls.is_empty()).then(|| VirtualService { tls, ..VirtualService::default() })
    };
    for_each_host(world, view, attached, "tls", make)
}

/// In the mesh a route without server names is for those of its parent, and each host gets the names that fit it.
fn fit_to_mesh(
    request: &mut TlsMatchAttributes,
    attachment: &Attachment<'_>,
    parent_hosts: &[String],
    host: &str,
) {
    if request.sni_hosts == [Host::ANY] {
        request.sni_hosts = parent_hosts.to_vec();
    }
    request.port = mesh_port(attachment).or(request.port);
    if request.sni_hosts.len() > 1 {
        let host = Host::new(host);
        request.sni_hosts.retain(|name| host.matches(&Host::new(name)));
    }
}

fn mesh_port(attachment: &Attachment<'_>) -> Option<u32> {
    attachment
        .reference
        .port
        .filter(|_| attachment.is_mesh())
        .and_then(|port| u32::try_from(port).ok())
}

fn for_each_host<T>(
    world: &World<'_>,
    view: &RouteView<'_>,
    attached: &Attached<'_, T>,
    protocol: &str,
    make: impl Fn(&Attachment<'_>, &str) -> Option<VirtualService>,
) -> Vec<Object<VirtualService>> {
    let parent = names::parent(view.kind.name(), view.meta);
    let mut all = Vec::new();
    for attachment in &attached.attachments {
        for host in view.hosts(world, attachment) {
            let Some(spec) = make(attachment, &host) else { continue };
            let meta = Meta {
                name: names::stream_route(&view.meta.name, protocol, all.len()),
                namespace: view.meta.namespace.clone(),
                creation_timestamp: view.meta.creation_timestamp.clone(),
                ..Meta::default()
            };
            let gateways = vec![attachment.parent.internal_name.clone()];
            all.push(merge::virtual_service(
                meta,
                &parent,
                VirtualService { hosts: vec![host], gateways, ..spec },
            ));
        }
    }
    all
}
