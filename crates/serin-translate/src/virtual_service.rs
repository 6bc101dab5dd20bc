//! VirtualServices: names resolved, delegates merged, rules chosen for a proxy.
//!
//! A VirtualService as written becomes a [`ResolvedVirtualService`]: names of services and gateways are complete, and rules that name a
//! delegate have been replaced by the delegate's (`delegate`). That depends on no proxy, so that it is done once for each
//! version of an object ([`Resolver`]). Which rules then hold for a proxy is a question of its labels, namespace, port and
//! gateways ([`Place`]). What the rules do is turned into routes by `crate::route`.

mod cohort;
mod delegate;
mod gateway_name;
mod place;
mod resolve;
#[cfg(test)]
pub(crate) mod testing;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serin_api::networking::{Destination, HttpRoute, TcpRoute, TlsRoute, VirtualService};
use serin_api::{Finding, Meta, Object};
use serin_routing::cohort::Cohort;
use serin_routing::model::Origin;

use crate::host::Host;
use crate::visibility::Visibility;

pub(crate) use gateway_name::GatewayName;
pub(crate) use place::{Elsewhere, Place};
pub(crate) use resolve::{NameSettings, Resolved, Resolver};

/// The annotation by which a VirtualService made out of another API's object says whose rules of matching it follows.
pub(crate) const SEMANTICS_ANNOTATION: &str = "internal.istio.io/route-semantics";

/// Whose rules of matching and of precedence hold for a VirtualService.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Semantics {
    /// Istio's own.
    #[default]
    Istio,
    /// The Gateway API's: prefixes end at segments, a backend that does not exist gives 500.
    Gateway,
    /// Those of Kubernetes Ingress: prefixes end at segments.
    Ingress,
}

impl Semantics {
    fn of(meta: &Meta) -> Self {
        match meta.annotations.get(SEMANTICS_ANNOTATION).map(String::as_str) {
            Some("gateway") => Self::Gateway,
            Some("ingress") => Self::Ingress,
            _ => Self::Istio,
        }
    }
}

/// A VirtualService with names resolved and delegates merged.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ResolvedVirtualService {
    /// The object; the root when there are delegates.
    pub(crate) object: Arc<Object<VirtualService>>,
    /// Whose rules of matching hold.
    pub(crate) semantics: Semantics,
    /// Which namespaces see it.
    pub(crate) visibility: Visibility,
    /// The hosts it is for.
    pub(crate) hosts: Vec<Host>,
    /// The gateways it is bound to; the mesh if none is written.
    pub(crate) gateways: Vec<GatewayName>,
    /// Rules for HTTP, in order.
    pub(crate) http: Vec<HttpRule>,
    /// Rules for TLS connections, in order.
    pub(crate) tls: Vec<TlsRoute>,
    /// Rules for TCP connections, in order.
    pub(crate) tcp: Vec<TcpRoute>,
    /// Services that the HTTP rules refer to, sorted: their ports and DestinationRules decide about the routes.
    pub(crate) destinations: Vec<Host>,
    /// Sessions keep their destination while weights change, if the author asks for it.
    pub(crate) cohort: Option<Cohort>,
    /// What was found on the way.
    pub(crate) findings: Vec<Finding>,
}

/// A rule for HTTP and where it came from.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct HttpRule {
    /// The rule; its `delegate` is not set.
    pub(crate) route: HttpRoute,
    /// The origin of each of its matches; a single one for a rule without matches.
    pub(crate) origins: Vec<Origin>,
}

impl ResolvedVirtualService {
    /// The namespace of the object.
    pub(crate) fn namespace(&self) -> &str {
        &self.object.meta.namespace
    }

    /// Whether two are for the same hosts and gateways and seen by the same, whatever their rules.
    pub(crate) fn has_same_place(&self, other: &Self) -> bool {
        self.hosts == other.hosts
            && self.gateways == other.gateways
            && self.semantics == other.semantics
            && self.visibility == other.visibility
            && self.namespace() == other.namespace()
    }
}

/// Ports of the services that rules name, by host; 0 stands for a destination without a port.
type DestinationPorts = BTreeMap<Host, BTreeSet<u32>>;

impl ResolvedVirtualService {
    /// The services that rules for callers in `namespace` name, with the ports they name. Callers come to know these
    /// services by the rules, whatever their Sidecar imports (`virtualServiceDestinationsFilteredBySourceNamespace`).
    pub(crate) fn destinations_from(&self, namespace: &str) -> DestinationPorts {
        let mut ports = DestinationPorts::new();
        let mut add = |destination: &Destination| {
            let port = destination.port.as_ref().map_or(0, |port| port.number);
            ports.entry(Host::new(&destination.host)).or_default().insert(port);
        };
        for route in self.http.iter().map(|rule| &rule.route) {
            if is_for_namespace(
                route.matches.iter().map(|it| it.source_namespace.as_str()),
                namespace,
            ) {
                all_destinations(route).for_each(&mut add);
            }
        }
        let tls = self.tls.iter().filter(|route| {
            is_for_namespace(route.matches.iter().map(|it| it.source_namespace.as_str()), namespace)
        });
        let tcp = self.tcp.iter().filter(|route| {
            is_for_namespace(route.matches.iter().map(|it| it.source_namespace.as_str()), namespace)
        });
        let connections = tls.flat_map(|it| &it.route).chain(tcp.flat_map(|it| &it.route));
        connections.filter_map(|it| it.destination.as_ref()).for_each(&mut add);
        ports
    }
}

/// Whether one of the matches, if there are any, takes callers of `namespace`.
fn is_for_namespace<'a>(
    mut sources: impl ExactSizeIterator<Item = &'a str>,
    namespace: &str,
) -> bool {
    sources.len() == 0 || sources.any(|source| source.is_empty() || source == namespace)
}

/// Every destination of a rule, those of copies too.
fn all_destinations(route: &HttpRoute) -> impl Iterator<Item = &Destination> {
    let routed = route.route.iter().filter_map(|it| it.destination.as_ref());
    let mirrored = route.mirrors.iter().filter_map(|it| it.destination.as_ref());
    routed.chain(route.mirror.as_ref()).chain(mirrored)
}
