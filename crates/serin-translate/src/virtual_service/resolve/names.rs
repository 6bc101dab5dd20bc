//! Names inside a VirtualService: services and gateways, completed with the namespace of the object they stand in.

use std::collections::BTreeSet;

use serin_api::Object;
use serin_api::networking::{Destination, HttpRoute, RouteDestination, VirtualService};

use super::super::{GatewayName, HttpRule, all_destinations};
use super::NameSettings;
use crate::host::Host;

/// The object's own fields with complete names; only gateways and letter case are seen to if `names` is `None`.
pub(super) fn resolve_names(
    object: &Object<VirtualService>,
    names: Option<&NameSettings>,
) -> VirtualService {
    let namespace = object.meta.namespace.as_str();
    let mut spec = object.spec.clone();
    let resolve_host = |host: &mut String| {
        if let Some(names) = names {
            *host = Host::resolve(host, namespace, &names.cluster_domain).as_str().to_owned();
        }
    };
    let resolve_gateways = |written: &mut Vec<String>| {
        for name in written {
            *name = GatewayName::resolve(name, namespace).as_str().to_owned();
        }
    };
    spec.hosts.iter_mut().for_each(resolve_host);
    for route in &mut spec.http {
        route.matches.iter_mut().for_each(|it| resolve_gateways(&mut it.gateways));
        for_each_destination(route, |destination| resolve_host(&mut destination.host));
    }
    let connection_routes = |routes: &mut Vec<RouteDestination>| {
        routes
            .iter_mut()
            .filter_map(|it| it.destination.as_mut())
            .for_each(|it| resolve_host(&mut it.host));
    };
    for route in &mut spec.tls {
        route.matches.iter_mut().for_each(|it| resolve_gateways(&mut it.gateways));
        connection_routes(&mut route.route);
    }
    for route in &mut spec.tcp {
        route.matches.iter_mut().for_each(|it| resolve_gateways(&mut it.gateways));
        connection_routes(&mut route.route);
    }
    spec
}

fn for_each_destination(route: &mut HttpRoute, change: impl FnMut(&mut Destination)) {
    let routed = route.route.iter_mut().filter_map(|it| it.destination.as_mut());
    let mirrored = route.mirrors.iter_mut().filter_map(|it| it.destination.as_mut());
    routed.chain(route.mirror.as_mut()).chain(mirrored).for_each(change);
}

/// The services that rules refer to.
pub(super) fn destinations(rules: &[HttpRule]) -> Vec<Host> {
    let all = rules.iter().flat_map(|rule| all_destinations(&rule.route));
    let hosts: BTreeSet<_> = all.map(|destination| Host::new(&destination.host)).collect();
    hosts.into_iter().collect()
}
