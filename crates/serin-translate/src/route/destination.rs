//! Destinations become names of clusters.

use std::fmt::Display;
use std::sync::Arc;

use serin_api::networking::{
    Destination as WrittenDestination, HttpMirrorPolicy, HttpRoute, RouteDestination,
};
use serin_api::values::Percent;
use serin_routing::model::{Destination, Destinations, Mirror, PerMillion};

use super::RouteContext;
use super::headers::RouteHeaders;

/// The name for a destination that is none: the cluster does not exist.
const UNKNOWN: &str = "UnknownService";

/// Istio's name of the cluster for a port of a service, or for a subset of it.
pub(crate) fn cluster_name(host: &str, subset: &str, port: impl Display) -> Arc<str> {
    Arc::from(format!("outbound|{port}|{subset}|{host}"))
}

/// The cluster of a destination. A destination without a port means the service's only port, or else the listener's
/// (`GetDestinationCluster`).
fn cluster(destination: Option<&WrittenDestination>, context: &RouteContext<'_>) -> Arc<str> {
    let Some(destination) = destination.filter(|it| !it.host.is_empty()) else {
        return Arc::from(UNKNOWN);
    };
    let written = destination.host.as_str();
    let host = context.services.stands_for(written).map_or(written, |host| host.as_str());
    match &destination.port {
        Some(port) => cluster_name(host, &destination.subset, port.number),
        None => {
            let port = context.services.only_port(written).unwrap_or(context.place.port);
            cluster_name(host, &destination.subset, port)
        }
    }
}

/// The weighted clusters of a rule. Header changes of a lone destination join those of the rule, in `changes`.
pub(super) fn destinations(
    rule: &HttpRoute,
    changes: &mut RouteHeaders,
    context: &RouteContext<'_>,
) -> Destinations {
    match &*rule.route {
        [] => Destinations::new(vec![Destination::new(Arc::from(UNKNOWN), 1)]),
        [only] => {
            let of_destination = RouteHeaders::new(only.headers.as_ref());
            if changes.authority.is_none() {
                changes.authority.clone_from(&of_destination.authority);
            }
            changes.append(of_destination);
            Destinations::new(vec![Destination::new(
                cluster(only.destination.as_ref(), context),
                1,
            )])
        }
        several => {
            let destination = |it: &serin_api::networking::HttpRouteDestination| {
                let changes = RouteHeaders::new(it.headers.as_ref());
                Destination {
                    request_headers: changes.request,
                    response_headers: changes.response,
                    host_rewrite: changes.authority,
                    ..Destination::new(
                        cluster(it.destination.as_ref(), context),
                        u32::try_from(it.weight).unwrap_or(0),
                    )
                }
            };
            Destinations::new(several.iter().map(destination).collect())
        }
    }
}

/// The weighted clusters of a rule for connections.
pub(crate) fn connection_destinations(
    routes: &[RouteDestination],
    context: &RouteContext<'_>,
) -> Destinations {
    let destination = |it: &RouteDestination| {
        Destination::new(
            cluster(it.destination.as_ref(), context),
            u32::try_from(it.weight).unwrap_or(0),
        )
    };
    Destinations::new(routes.iter().map(destination).collect())
}

/// The copies that a rule sends. An absent share is all, an explicit zero is none (`MirrorPercent`).
pub(super) fn mirrors(rule: &HttpRoute, context: &RouteContext<'_>) -> Vec<Mirror> {
    let share = |percentage: Option<&Percent>| match percentage {
        Some(percentage) => PerMillion::from_percent(percentage.value),
        None => PerMillion::ALL,
    };
    let single = rule.mirror.as_ref().map(|destination| {
        let whole_percent =
            rule.mirror_percent.map(|percent| Percent { value: f64::from(percent) });
        (destination, share(rule.mirror_percentage.as_ref().or(whole_percent.as_ref())))
    });
    let several = rule.mirrors.iter().filter_map(|HttpMirrorPolicy { destination, percentage }| {
        Some((destination.as_ref()?, share(percentage.as_ref())))
    });
    single
        .into_iter()
        .chain(several)
        .filter(|(_, fraction)| *fraction > PerMillion::NONE)
        .map(|(destination, fraction)| Mirror {
            cluster: cluster(Some(destination), context),
            fraction,
        })
        .collect()
}
