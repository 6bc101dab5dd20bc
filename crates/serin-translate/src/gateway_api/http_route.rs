//! A rule of an HTTPRoute or a GRPCRoute becomes an HTTP route of a VirtualService.

mod filter;

use serin_api::gateway_api::{HttpRouteRetry, HttpRouteTimeouts};
use serin_api::networking::{
    Headers, HttpDirectResponse, HttpMatchRequest, HttpRetry, HttpRoute, HttpRouteDestination,
};

use super::backend::{self, Backend};
use super::condition::Refusal;
use super::merge::Piece;
use super::route::{Attached, RouteView, Translated};
use super::rule::{Filter, Rule};
use super::world::World;

/// What a retry is tried on besides status codes: everything that means that the request was not worked on.
const RETRY_ON: &str = "connect-failure,refused-stream,unavailable,cancelled";
/// How often is tried again if the route does not say.
const ATTEMPTS: i32 = 2;

/// The HTTP route that `rule` means to gateways or to the mesh.
///
/// # Errors
/// What of the rule makes the whole route useless.
pub(super) fn translate(
    world: &World<'_>,
    view: &RouteView<'_>,
    rule: &Rule<'_>,
    mesh: bool,
) -> Result<Translated<HttpRoute>, Refusal> {
    let default_name = || format!("{}.{}.{}", view.meta.namespace, view.meta.name, rule.position);
    let mut route = HttpRoute {
        name: rule.name.map_or_else(default_name, str::to_owned),
        matches: rule.condition.clone()?.into_iter().collect(),
        ..HttpRoute::default()
    };
    let mirrors_refusal = apply_filters(world, view, rule, mesh, &mut route)?;
    route.retries = rule.retry.map(retries);
    if let Some(timeouts) = rule.timeouts {
        limit(&mut route, timeouts);
    }
    let mut refusal = None;
    if rule.backends.iter().all(|it| it.backend.weight == 0) && route.redirect.is_none() {
        // No backend takes any share: the Gateway API wants a 500.
        route.direct_response =
            Some(HttpDirectResponse { status: 500, ..HttpDirectResponse::default() });
    } else {
        (route.route, refusal) = destinations(world, view, rule, mesh)?;
    }
    Ok(Translated { rule: route, refusal: Refusal::joined(refusal, mirrors_refusal) })
}

/// Applies the filters of the rule. What is wrong with the backend of a mirror is returned; the rule serves without it.
fn apply_filters(
    world: &World<'_>,
    view: &RouteView<'_>,
    rule: &Rule<'_>,
    mesh: bool,
    route: &mut HttpRoute,
) -> Result<Option<Refusal>, Refusal> {
    let mut refusal = None;
    for filter in &rule.filters {
        match filter {
            Filter::Redirect(it) => route.redirect = it.map(filter::redirect),
            Filter::Rewrite(it) => route.rewrite = it.and_then(filter::rewrite),
            Filter::Cors(it) => route.cors_policy = it.map(filter::cors),
            Filter::Mirror(it) => {
                let Some((copy, reference)) =
                    it.and_then(|it| Some((it, it.backend_ref.as_ref()?)))
                else {
                    continue;
                };
                match backend::destination(world, view, Backend::from(reference), mesh) {
                    Ok((destination, None)) => {
                        route.mirrors.push(filter::mirror(copy, destination))
                    }
                    Ok((_, Some(error))) | Err(error) => refusal = Some(error),
                }
            }
            Filter::RequestHeaders(_) | Filter::ResponseHeaders(_) => {
                change_headers(&mut route.headers, filter)
            }
            Filter::Unsupported(kind) => return Err(unsupported(kind)),
        }
    }
    Ok(refusal)
}

fn change_headers(headers: &mut Option<Headers>, filter: &Filter<'_>) {
    match filter {
        Filter::RequestHeaders(Some(it)) => {
            headers.get_or_insert_default().request = Some(filter::headers(it))
        }
        Filter::ResponseHeaders(Some(it)) => {
            headers.get_or_insert_default().response = Some(filter::headers(it))
        }
        _ => {}
    }
}

fn unsupported(filter: &str) -> Refusal {
    Refusal::new("InvalidFilter", format!("unsupported filter type {filter:?}"))
}

fn retries(retry: &HttpRouteRetry) -> HttpRetry {
    let attempts = retry.attempts.unwrap_or(ATTEMPTS);
    let conditions =
        retry.codes.iter().fold(RETRY_ON.to_owned(), |all, code| format!("{all},{code}"));
    HttpRetry {
        attempts,
        // Conditions without attempts are refused.
        retry_on: if attempts == 0 { String::new() } else { conditions },
        backoff: retry.backoff,
        ..HttpRetry::default()
    }
}

/// A time for each try is the whole request's time where nothing is tried again. Zero is no limit.
fn limit(route: &mut HttpRoute, timeouts: &HttpRouteTimeouts) {
    route.timeout = timeouts.request.filter(|it| !it.is_zero());
    if let Some(each) = timeouts.backend_request.filter(|it| !it.is_zero()) {
        match &mut route.retries {
            Some(retries) => retries.per_try_timeout = Some(each),
            None => route.timeout = Some(each),
        }
    }
}

fn destinations(
    world: &World<'_>,
    view: &RouteView<'_>,
    rule: &Rule<'_>,
    mesh: bool,
) -> Result<(Vec<HttpRouteDestination>, Option<Refusal>), Refusal> {
    let (mut all, mut refusal) = (Vec::new(), None);
    for (it, weight) in backend::weights(rule.backends.iter().map(|it| (it, it.backend.weight))) {
        let (destination, error) = backend::destination(world, view, it.backend, mesh)?;
        refusal = error.or(refusal);
        let mut headers = None;
        for filter in &it.filters {
            match filter {
                Filter::RequestHeaders(_) | Filter::ResponseHeaders(_) => {
                    change_headers(&mut headers, filter)
                }
                other => return Err(unsupported(other.kind())),
            }
        }
        all.push(HttpRouteDestination { destination: Some(destination), weight, headers });
    }
    Ok((all, refusal))
}

impl Filter<'_> {
    /// The name of the type of the filter.
    const fn kind(&self) -> &'static str {
        match self {
            Self::RequestHeaders(_) => "RequestHeaderModifier",
            Self::ResponseHeaders(_) => "ResponseHeaderModifier",
            Self::Mirror(_) => "RequestMirror",
            Self::Redirect(_) => "RequestRedirect",
            Self::Rewrite(_) => "URLRewrite",
            Self::Cors(_) => "CORS",
            Self::Unsupported(kind) => kind,
        }
    }
}

/// The routes for each host of each parent.
pub(super) fn pieces<'a>(
    world: &World<'_>,
    view: &RouteView<'a>,
    attached: &Attached<'_, HttpRoute>,
) -> Vec<Piece<'a>> {
    let mut pieces = Vec::new();
    for attachment in &attached.attachments {
        let mut routes = attached.rules(attachment).to_vec();
        if routes.is_empty() {
            continue;
        }
        let mut target = attachment.parent.internal_name.clone();
        if attachment.is_mesh() {
            // Routes of the mesh are merged by the namespace they are written in and the port they are for.
            target.clone_from(&view.meta.namespace);
            if let Some(port) = attachment.reference.port.and_then(|port| u32::try_from(port).ok())
            {
                routes.iter_mut().for_each(|it| match_port(it, port));
                target = format!("{target}/{port}");
            }
        }
        for host in
            view.hosts(world, attachment).into_iter().filter(|host| attachment.parent.serves(host))
        {
            pieces.push(Piece {
                key: format!("{target}/{host}"),
                host,
                gateway: attachment.parent.internal_name.clone(),
                kind: view.kind.name(),
                meta: view.meta,
                routes: routes.clone(),
            });
        }
    }
    pieces
}

fn match_port(route: &mut HttpRoute, port: u32) {
    if route.matches.is_empty() {
        route.matches.push(HttpMatchRequest::default());
    }
    for request in &mut route.matches {
        request.port = Some(port);
    }
}
