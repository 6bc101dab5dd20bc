//! Rules of HTTPRoutes and GRPCRoutes in one form. A rule with several matches becomes several rules with one each, so that
//! rules of different routes can be put in order.

use std::collections::BTreeMap;

use serin_api::gateway_api::{
    GrpcBackendRef, GrpcMethodMatch, GrpcRoute, GrpcRouteFilter, GrpcRouteFilterType,
    GrpcRouteMatch, HttpBackendRef, HttpCorsFilter, HttpHeaderFilter, HttpPathMatch,
    HttpRequestMirrorFilter, HttpRequestRedirectFilter, HttpRoute, HttpRouteFilter,
    HttpRouteFilterType, HttpRouteMatch, HttpRouteRetry, HttpRouteTimeouts, HttpUrlRewriteFilter,
    HttpValueMatch, PathMatchType, ValueMatchType,
};
use serin_api::networking::HttpMatchRequest;
use serin_api::values::StringMatch;

use super::backend::Backend;
use super::condition::Refusal;

/// A rule with at most one match.
pub(super) struct Rule<'a> {
    /// Name, where its author gave it one.
    pub name: Option<&'a str>,
    /// Place of the rule in the route, from 0.
    pub position: usize,
    /// The match; none matches every request.
    pub condition: Result<Option<HttpMatchRequest>, Refusal>,
    pub filters: Vec<Filter<'a>>,
    pub backends: Vec<RuleBackend<'a>>,
    pub timeouts: Option<&'a HttpRouteTimeouts>,
    pub retry: Option<&'a HttpRouteRetry>,
}

/// A backend of a rule with filters of its own.
#[derive(Clone)]
pub(super) struct RuleBackend<'a> {
    pub backend: Backend<'a>,
    pub filters: Vec<Filter<'a>>,
}

/// Something done to requests and responses.
#[derive(Clone, Copy)]
pub(super) enum Filter<'a> {
    RequestHeaders(Option<&'a HttpHeaderFilter>),
    ResponseHeaders(Option<&'a HttpHeaderFilter>),
    Mirror(Option<&'a HttpRequestMirrorFilter>),
    Redirect(Option<&'a HttpRequestRedirectFilter>),
    Rewrite(Option<&'a HttpUrlRewriteFilter>),
    Cors(Option<&'a HttpCorsFilter>),
    /// One that is not supported, by the name of its type.
    Unsupported(&'static str),
}

/// The rules of an HTTPRoute.
pub(super) fn of_http(route: &HttpRoute) -> Vec<Rule<'_>> {
    let rules = route.rules.iter().flatten().enumerate();
    rules
        .flat_map(|(position, rule)| {
            let backends: Vec<_> = rule.backend_refs.iter().map(http_backend).collect();
            each_match(&rule.matches, http_condition).into_iter().map(move |condition| Rule {
                name: rule.name.as_deref(),
                position,
                condition: Ok(condition),
                filters: rule.filters.iter().map(http_filter).collect(),
                backends: backends.clone(),
                timeouts: rule.timeouts.as_ref(),
                retry: rule.retry.as_ref(),
            })
        })
        .collect()
}

/// The rules of a GRPCRoute.
pub(super) fn of_grpc(route: &GrpcRoute) -> Vec<Rule<'_>> {
    let rules = route.rules.iter().enumerate();
    rules
        .flat_map(|(position, rule)| {
            let backends: Vec<_> = rule.backend_refs.iter().map(grpc_backend).collect();
            each_match(&rule.matches, grpc_condition).into_iter().map(move |condition| Rule {
                name: rule.name.as_deref(),
                position,
                condition: condition.transpose(),
                filters: rule.filters.iter().map(grpc_filter).collect(),
                backends: backends.clone(),
                timeouts: None,
                retry: None,
            })
        })
        .collect()
}

fn each_match<M, C>(matches: &[M], translate: impl Fn(&M) -> C) -> Vec<Option<C>> {
    if matches.is_empty() {
        vec![None]
    } else {
        matches.iter().map(|it| Some(translate(it))).collect()
    }
}

fn http_backend(reference: &HttpBackendRef) -> RuleBackend<'_> {
    RuleBackend {
        backend: Backend::from(reference),
        filters: reference.filters.iter().map(http_filter).collect(),
    }
}

fn grpc_backend(reference: &GrpcBackendRef) -> RuleBackend<'_> {
    RuleBackend {
        backend: Backend::from(reference),
        filters: reference.filters.iter().map(grpc_filter).collect(),
    }
}

fn http_filter(filter: &HttpRouteFilter) -> Filter<'_> {
    match filter.filter_type {
        Some(HttpRouteFilterType::RequestHeaderModifier) => {
            Filter::RequestHeaders(filter.request_header_modifier.as_ref())
        }
        Some(HttpRouteFilterType::ResponseHeaderModifier) => {
            Filter::ResponseHeaders(filter.response_header_modifier.as_ref())
        }
        Some(HttpRouteFilterType::RequestMirror) => Filter::Mirror(filter.request_mirror.as_ref()),
        Some(HttpRouteFilterType::RequestRedirect) => {
            Filter::Redirect(filter.request_redirect.as_ref())
        }
        Some(HttpRouteFilterType::UrlRewrite) => Filter::Rewrite(filter.url_rewrite.as_ref()),
        Some(HttpRouteFilterType::Cors) => Filter::Cors(filter.cors.as_ref()),
        other => Filter::Unsupported(other.map_or("", HttpRouteFilterType::as_str)),
    }
}

fn grpc_filter(filter: &GrpcRouteFilter) -> Filter<'_> {
    match filter.filter_type {
        Some(GrpcRouteFilterType::RequestHeaderModifier) => {
            Filter::RequestHeaders(filter.request_header_modifier.as_ref())
        }
        Some(GrpcRouteFilterType::ResponseHeaderModifier) => {
            Filter::ResponseHeaders(filter.response_header_modifier.as_ref())
        }
        Some(GrpcRouteFilterType::RequestMirror) => Filter::Mirror(filter.request_mirror.as_ref()),
        other => Filter::Unsupported(other.map_or("", GrpcRouteFilterType::as_str)),
    }
}

fn http_condition(request: &HttpRouteMatch) -> HttpMatchRequest {
    HttpMatchRequest {
        uri: Some(path(request.path.as_ref())),
        headers: values(&request.headers),
        query_params: values(&request.query_params),
        method: request.method.map(|method| StringMatch::Exact(method.as_str().to_owned())),
        ..HttpMatchRequest::default()
    }
}

fn path(written: Option<&HttpPathMatch>) -> StringMatch {
    let value = written.and_then(|it| it.value.as_deref()).unwrap_or("/");
    match written.map(|it| it.match_type).unwrap_or_default() {
        PathMatchType::Exact => StringMatch::Exact(value.to_owned()),
        PathMatchType::RegularExpression => StringMatch::Regex(value.to_owned()),
        // A slash at the end of a prefix is of no meaning.
        PathMatchType::PathPrefix if value == "/" => StringMatch::Prefix(value.to_owned()),
        PathMatchType::PathPrefix => {
            StringMatch::Prefix(value.strip_suffix('/').unwrap_or(value).to_owned())
        }
    }
}

fn values(matches: &[HttpValueMatch]) -> BTreeMap<String, StringMatch> {
    let value = |it: &HttpValueMatch| match it.match_type {
        ValueMatchType::Exact => StringMatch::Exact(it.value.clone()),
        ValueMatchType::RegularExpression => StringMatch::Regex(it.value.clone()),
    };
    matches.iter().map(|it| (it.name.clone(), value(it))).collect()
}

fn grpc_condition(request: &GrpcRouteMatch) -> Result<HttpMatchRequest, Refusal> {
    let uri = request.method.as_ref().map(grpc_path).transpose()?;
    Ok(HttpMatchRequest { uri, headers: values(&request.headers), ..HttpMatchRequest::default() })
}

/// A gRPC method is called by the path `/service/method`.
fn grpc_path(called: &GrpcMethodMatch) -> Result<StringMatch, Refusal> {
    let filled = |it: &Option<String>| it.clone().filter(|it| !it.is_empty());
    Ok(match (called.match_type, filled(&called.service), filled(&called.method)) {
        (_, None, None) => {
            let message = "gRPC match must have method or service defined";
            return Err(Refusal::new("InvalidConfiguration", message));
        }
        (ValueMatchType::Exact, Some(service), None) => StringMatch::Prefix(format!("/{service}/")),
        (ValueMatchType::Exact, Some(service), Some(method)) => {
            StringMatch::Exact(format!("/{service}/{method}"))
        }
        (ValueMatchType::RegularExpression, Some(service), None) => {
            StringMatch::Regex(format!("/{service}/.+"))
        }
        (ValueMatchType::RegularExpression, Some(service), Some(method)) => {
            StringMatch::Regex(format!("/{service}/{method}"))
        }
        (_, None, Some(method)) => StringMatch::Regex(format!("/[^/]+/{method}")),
    })
}
