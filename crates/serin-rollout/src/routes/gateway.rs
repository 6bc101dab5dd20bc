//! The rules of a release as the Gateway API says them: the same rules, in an HTTPRoute.
//!
//! What an HTTPRoute has defaults for is written out, so that the rules read from the API are those that were made.

use serde_json::json;
use serin_api::decode;
use serin_api::gateway_api::{
    BackendObjectReference, HttpBackendRef, HttpHeader, HttpHeaderFilter, HttpPathMatch,
    HttpPathModifier, HttpRequestMirrorFilter, HttpRouteFilter, HttpRouteFilterType,
    HttpRouteMatch, HttpRouteRule, HttpRouteTimeouts, HttpUrlRewriteFilter, HttpValueMatch,
    PathMatchType, PathModifierType, ValueMatchType,
};
use serin_api::networking::{
    HeaderOperations, Headers, HttpMatchRequest, HttpRoute, HttpRouteDestination,
};
use serin_api::values::StringMatch;

use super::{apex, http_rules};
use crate::plan::Plan;
use crate::state::{Cookies, Routes};

/// The kind of a rewrite that replaces a prefix.
const PREFIX: &str = "ReplacePrefixMatch";

/// The rules of an HTTPRoute.
///
/// # Errors
/// A condition that the Gateway API has no words for.
pub fn gateway_rules(plan: &Plan, routes: &Routes) -> Result<Vec<HttpRouteRule>, String> {
    http_rules(plan, routes).iter().map(|it| rule(plan, it)).collect()
}

/// The weights and the mirror of rules that someone else wrote. Their cookies are not known.
pub fn read_gateway_rules(plan: &Plan, rules: &[HttpRouteRule]) -> Routes {
    let canary = format!("{}-canary", apex(plan));
    let is_chosen = plan.is_for_chosen() && rules.len() > 1;
    let rule = if is_chosen { rules.first() } else { rules.last() };
    let share = |rule: &HttpRouteRule| {
        let weight = |it: &HttpBackendRef| u32::try_from(it.weight.unwrap_or(1)).unwrap_or(0);
        let of_canary: u32 =
            rule.backend_refs.iter().filter(|it| it.name == canary).map(weight).sum();
        let all: u32 = rule.backend_refs.iter().map(weight).sum();
        (100 * of_canary).checked_div(all).unwrap_or(0)
    };
    let mut filters = rules.iter().flat_map(|it| &it.filters);
    let mirror = filters.find_map(|it| {
        let mirror = it.request_mirror.as_ref()?;
        let is_canary = mirror.backend_ref.as_ref().is_some_and(|it| it.name == canary);
        is_canary.then(|| u32::try_from(mirror.percent.unwrap_or(100)).unwrap_or(100))
    });
    let cookies = Cookies { expired: Some(String::new()), ..Cookies::default() };
    Routes { canary: rule.map_or(0, share), mirror, cookies }
}

fn rule(plan: &Plan, made: &HttpRoute) -> Result<HttpRouteRule, String> {
    let service = &plan.service;
    let mut matches: Vec<HttpRouteMatch> =
        made.matches.iter().map(condition).collect::<Result<_, _>>()?;
    if matches.is_empty() {
        matches.push(HttpRouteMatch { path: Some(everywhere()), ..HttpRouteMatch::default() });
    }
    let mut filters = header_filters(made.headers.as_ref());
    filters.extend(rewrite(plan));
    let mirrored = service.mirror.iter().cloned().map(mirror_filter);
    filters.extend(mirrored);
    if let Some(to) = &made.mirror {
        let percent = made.mirror_percentage.as_ref().map_or(100, |it| it.value as i32);
        filters.push(mirror_filter(HttpRequestMirrorFilter {
            backend_ref: Some(BackendObjectReference {
                group: Some(String::new()),
                kind: Some("Service".to_owned()),
                name: to.host.clone(),
                namespace: None,
                port: Some(service.port),
            }),
            percent: (percent < 100).then_some(percent),
            fraction: None,
        }));
    }
    let backend = service.backend_timeout.parse().ok();
    let has_timeout = service.timeout.is_some() || backend.is_some();
    Ok(HttpRouteRule {
        matches,
        filters,
        backend_refs: made.route.iter().map(|to| backend_ref(plan, to)).collect(),
        timeouts: has_timeout
            .then_some(HttpRouteTimeouts { request: service.timeout, backend_request: backend }),
        ..HttpRouteRule::default()
    })
}

fn backend_ref(plan: &Plan, to: &HttpRouteDestination) -> HttpBackendRef {
    let name = to.destination.as_ref().map(|it| it.host.clone()).unwrap_or_default();
    HttpBackendRef {
        group: Some(String::new()),
        kind: Some("Service".to_owned()),
        name,
        namespace: None,
        port: Some(plan.service.port),
        weight: Some(to.weight),
        filters: header_filters(to.headers.as_ref()),
    }
}

fn everywhere() -> HttpPathMatch {
    path(PathMatchType::PathPrefix, "/")
}

/// A condition of an HTTPRoute.
fn condition(made: &HttpMatchRequest) -> Result<HttpRouteMatch, String> {
    let foreign = [
        ("scheme", made.scheme.is_some()),
        ("authority", made.authority.is_some()),
        ("port", made.port.is_some()),
        ("sourceLabels", !made.source_labels.is_empty()),
        ("sourceNamespace", !made.source_namespace.is_empty()),
        ("gateways", !made.gateways.is_empty()),
        ("withoutHeaders", !made.without_headers.is_empty()),
        ("ignoreUriCase", made.ignore_uri_case),
    ];
    if let Some((name, _)) = foreign.into_iter().find(|(_, is_given)| *is_given) {
        return Err(no_words(name));
    }
    let path = match &made.uri {
        None | Some(StringMatch::Empty) => everywhere(),
        Some(StringMatch::Exact(text)) => path(PathMatchType::Exact, text),
        Some(StringMatch::Prefix(text)) => path(PathMatchType::PathPrefix, text),
        Some(StringMatch::Regex(text)) => path(PathMatchType::RegularExpression, text),
    };
    let method = match &made.method {
        None => None,
        Some(StringMatch::Exact(text)) => {
            Some(decode(&json!(text)).map_err(|_| no_words("method"))?)
        }
        Some(_) => return Err(no_words("method by prefix or expression")),
    };
    let values = |all: &std::collections::BTreeMap<String, StringMatch>| {
        all.iter().map(|(name, it)| value(name, it)).collect::<Result<Vec<_>, _>>()
    };
    Ok(HttpRouteMatch {
        path: Some(path),
        headers: values(&made.headers)?,
        query_params: values(&made.query_params)?,
        method,
    })
}

fn path(match_type: PathMatchType, value: &str) -> HttpPathMatch {
    HttpPathMatch { match_type, value: Some(value.to_owned()) }
}

fn value(name: &str, made: &StringMatch) -> Result<HttpValueMatch, String> {
    let (match_type, value) = match made {
        StringMatch::Exact(text) => (ValueMatchType::Exact, text.clone()),
        StringMatch::Regex(text) => (ValueMatchType::RegularExpression, text.clone()),
        StringMatch::Empty => (ValueMatchType::RegularExpression, ".*".to_owned()),
        StringMatch::Prefix(_) => return Err(no_words(&format!("prefix of {name}"))),
    };
    Ok(HttpValueMatch { match_type, name: name.to_owned(), value })
}

fn no_words(condition: &str) -> String {
    format!(
        "the Gateway API has no condition {condition}; take it out of match, or use the provider istio"
    )
}

fn header_filters(headers: Option<&Headers>) -> Vec<HttpRouteFilter> {
    let Some(headers) = headers else { return Vec::new() };
    let modifier = |operations: &HeaderOperations| {
        let list = |all: &std::collections::BTreeMap<String, String>| {
            let header = |(name, value): (&String, &String)| HttpHeader {
                name: name.clone(),
                value: value.clone(),
            };
            all.iter().map(header).collect()
        };
        HttpHeaderFilter {
            set: list(&operations.set),
            add: list(&operations.add),
            remove: operations.remove.clone(),
        }
    };
    let request = headers.request.as_ref().map(|it| HttpRouteFilter {
        filter_type: Some(HttpRouteFilterType::RequestHeaderModifier),
        request_header_modifier: Some(modifier(it)),
        ..HttpRouteFilter::default()
    });
    let response = headers.response.as_ref().map(|it| HttpRouteFilter {
        filter_type: Some(HttpRouteFilterType::ResponseHeaderModifier),
        response_header_modifier: Some(modifier(it)),
        ..HttpRouteFilter::default()
    });
    request.into_iter().chain(response).collect()
}

fn rewrite(plan: &Plan) -> Option<HttpRouteFilter> {
    let rewrite = plan.service.rewrite.as_ref()?;
    let is_prefix = rewrite.rewrite_type == PREFIX;
    let path = (!rewrite.uri.is_empty()).then(|| HttpPathModifier {
        modifier_type: Some(if is_prefix {
            PathModifierType::ReplacePrefixMatch
        } else {
            PathModifierType::ReplaceFullPath
        }),
        replace_full_path: (!is_prefix).then(|| rewrite.uri.clone()),
        replace_prefix_match: is_prefix.then(|| rewrite.uri.clone()),
    });
    let hostname = (!rewrite.authority.is_empty()).then(|| rewrite.authority.clone());
    Some(HttpRouteFilter {
        filter_type: Some(HttpRouteFilterType::UrlRewrite),
        url_rewrite: Some(HttpUrlRewriteFilter { hostname, path }),
        ..HttpRouteFilter::default()
    })
}

fn mirror_filter(mirror: HttpRequestMirrorFilter) -> HttpRouteFilter {
    HttpRouteFilter {
        filter_type: Some(HttpRouteFilterType::RequestMirror),
        request_mirror: Some(mirror),
        ..HttpRouteFilter::default()
    }
}
