//! Routes of several HTTPRoutes and GRPCRoutes for one host become one VirtualService in the order that the Gateway API
//! demands: the most specific match first, whichever object it stands in.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use serin_api::networking::{HttpMatchRequest, HttpRoute, VirtualService};
use serin_api::values::StringMatch;
use serin_api::{Meta, Object};

use super::names;

/// The routes of one object for one host of one gateway.
#[derive(Clone, Debug)]
pub(super) struct Piece<'a> {
    /// What pieces are merged by: the gateway, or the namespace for the mesh, and the host.
    pub key: String,
    /// The host.
    pub host: String,
    /// The gateway, or `mesh`.
    pub gateway: String,
    /// Kind of the object.
    pub kind: &'static str,
    /// Metadata of the object.
    pub meta: &'a Meta,
    /// The routes.
    pub routes: Vec<HttpRoute>,
}

/// One VirtualService for each key, by key.
pub(super) fn merge(pieces: Vec<Piece<'_>>) -> Vec<Object<VirtualService>> {
    let mut by_key: BTreeMap<String, Vec<Piece<'_>>> = BTreeMap::new();
    for piece in pieces {
        let same = by_key.entry(piece.key.clone()).or_default();
        // A route that names one parent twice is there once.
        if !same.iter().any(|it| it.kind == piece.kind && std::ptr::eq(it.meta, piece.meta)) {
            same.push(piece);
        }
    }
    by_key.into_iter().filter_map(|(key, pieces)| merge_one(&key, pieces)).collect()
}

fn merge_one(key: &str, mut pieces: Vec<Piece<'_>>) -> Option<Object<VirtualService>> {
    pieces.sort_by_key(|it| {
        (&it.meta.creation_timestamp, &it.meta.namespace, &it.meta.name, it.kind)
    });
    let parents: Vec<_> = pieces.iter().map(|it| names::parent(it.kind, it.meta)).collect();
    let oldest = pieces.first()?;
    let meta = Meta {
        name: names::merged_routes(key),
        namespace: oldest.meta.namespace.clone(),
        creation_timestamp: oldest.meta.creation_timestamp.clone(),
        ..Meta::default()
    };
    let (hosts, gateways) = (vec![oldest.host.clone()], vec![oldest.gateway.clone()]);
    let mut http: Vec<_> = pieces.into_iter().flat_map(|it| it.routes).collect();
    sort(&mut http);
    Some(virtual_service(
        meta,
        &parents.join(","),
        VirtualService { hosts, gateways, http, ..VirtualService::default() },
    ))
}

/// A VirtualService made of the objects that `parents` names.
pub(super) fn virtual_service(
    mut meta: Meta,
    parents: &str,
    spec: VirtualService,
) -> Object<VirtualService> {
    meta.annotations.insert(names::PARENTS.to_owned(), parents.to_owned());
    meta.annotations.insert(names::ROUTE_SEMANTICS.to_owned(), names::SEMANTICS.to_owned());
    Object { api_version: "networking.istio.io/v1".to_owned(), meta, spec, ..Object::default() }
}

/// Sorts routes that have at most one match each (`HTTPRouteRule.matches` of the Gateway API): exact paths, then prefixes,
/// then expressions; longer before shorter; a method, more headers, more query parameters before fewer. What is equal in
/// all this keeps its order, and a route without a match comes last.
pub(super) fn sort(routes: &mut [HttpRoute]) {
    routes.sort_by_key(|route| {
        route.matches.first().map_or((true, None), |it| (false, Some(specificity(it))))
    });
}

type Specificity = Reverse<(u8, usize, bool, usize, usize)>;

fn specificity(request: &HttpMatchRequest) -> Specificity {
    let (rank, length) = match &request.uri {
        Some(StringMatch::Exact(path)) => (3, path.len()),
        Some(StringMatch::Prefix(path)) => (2, path.len()),
        Some(StringMatch::Regex(path)) => (1, path.len()),
        Some(StringMatch::Empty) | None => (0, 0),
    };
    Reverse((
        rank,
        length,
        request.method.is_some(),
        request.headers.len(),
        request.query_params.len(),
    ))
}
