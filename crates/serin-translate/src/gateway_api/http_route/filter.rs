//! Filters of the Gateway API in the terms of a VirtualService.

use std::collections::BTreeMap;

use serin_api::gateway_api::{
    HttpCorsFilter, HttpHeader, HttpHeaderFilter, HttpRequestMirrorFilter,
    HttpRequestRedirectFilter, HttpUrlRewriteFilter, PathModifierType,
};
use serin_api::networking::{
    CorsPolicy, Destination, HeaderOperations, HttpMirrorPolicy, HttpRedirect, HttpRewrite,
    RedirectPortSelection, RegexRewrite, UnmatchedPreflights,
};
use serin_api::values::{Duration, Percent, StringMatch};

/// Any origin: a scheme and an authority.
const ANY_ORIGIN: &str = r"^[a-zA-Z][a-zA-Z0-9+.-]*://[^/\s?#]+$";

pub(super) fn headers(filter: &HttpHeaderFilter) -> HeaderOperations {
    HeaderOperations {
        set: by_name(&filter.set),
        add: by_name(&filter.add),
        remove: filter.remove.clone(),
    }
}

/// Of several headers whose names differ in letter case only, the first counts.
fn by_name(headers: &[HttpHeader]) -> BTreeMap<String, String> {
    let mut map = BTreeMap::new();
    for header in headers {
        map.entry(header.name.to_lowercase()).or_insert_with(|| header.value.clone());
    }
    map
}

pub(super) fn mirror(
    filter: &HttpRequestMirrorFilter,
    destination: Destination,
) -> HttpMirrorPolicy {
    let share = match (&filter.fraction, filter.percent) {
        (Some(fraction), _) => Some(
            100.0 * f64::from(fraction.numerator) / f64::from(fraction.denominator.unwrap_or(100)),
        ),
        (None, percent) => percent.map(f64::from),
    };
    HttpMirrorPolicy {
        destination: Some(destination),
        percentage: share.map(|value| Percent { value }),
    }
}

pub(super) fn rewrite(filter: &HttpUrlRewriteFilter) -> Option<HttpRewrite> {
    let mut rewrite = HttpRewrite {
        authority: filter.hostname.clone().unwrap_or_default(),
        ..HttpRewrite::default()
    };
    if let Some(path) = &filter.path {
        match path.modifier_type {
            Some(PathModifierType::ReplacePrefixMatch) => {
                let prefix = path.replace_prefix_match.as_deref().unwrap_or_default();
                let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
                rewrite.uri = if prefix.is_empty() { "/" } else { prefix }.to_owned();
            }
            Some(PathModifierType::ReplaceFullPath) => {
                let rewrite_to = path.replace_full_path.clone().unwrap_or_default();
                let pattern = "/.*".to_owned();
                rewrite.uri_regex_rewrite = Some(RegexRewrite { pattern, rewrite: rewrite_to });
            }
            None => {}
        }
    }
    (rewrite != HttpRewrite::default()).then_some(rewrite)
}

pub(super) fn redirect(filter: &HttpRequestRedirectFilter) -> HttpRedirect {
    let mut redirect = HttpRedirect {
        redirect_code: filter.status_code.and_then(|it| u32::try_from(it).ok()).unwrap_or_default(),
        authority: filter.hostname.clone().unwrap_or_default(),
        scheme: filter.scheme.clone().unwrap_or_default(),
        port: filter.port.and_then(|it| u32::try_from(it).ok()),
        ..HttpRedirect::default()
    };
    if redirect.port.is_none() {
        // A new scheme brings its usual port; without one the port of the request stays.
        redirect.derive_port = Some(if filter.scheme.is_some() {
            RedirectPortSelection::FromProtocolDefault
        } else {
            RedirectPortSelection::FromRequestPort
        });
    }
    if let Some(path) = &filter.path {
        match path.modifier_type {
            Some(PathModifierType::ReplaceFullPath) => {
                redirect.uri = path.replace_full_path.clone().unwrap_or_default();
            }
            Some(PathModifierType::ReplacePrefixMatch) => {
                redirect.prefix_rewrite = path.replace_prefix_match.clone().unwrap_or_default();
            }
            None => {}
        }
    }
    redirect
}

pub(super) fn cors(filter: &HttpCorsFilter) -> CorsPolicy {
    CorsPolicy {
        allow_origins: filter
            .allow_origins
            .iter()
            .filter(|it| !it.is_empty())
            .map(|it| origin(it))
            .collect(),
        allow_methods: filter.allow_methods.clone(),
        allow_headers: filter.allow_headers.clone(),
        expose_headers: filter.expose_headers.clone(),
        max_age: filter.max_age.filter(|it| *it > 0).map(|it| Duration::from_secs(i64::from(it))),
        allow_credentials: filter.allow_credentials.filter(|it| *it),
        unmatched_preflights: UnmatchedPreflights::Ignore,
        ..CorsPolicy::default()
    }
}

fn origin(written: &str) -> StringMatch {
    match written {
        "*" => StringMatch::Regex(ANY_ORIGIN.to_owned()),
        _ if written.contains('*') => {
            let parts: Vec<_> = written.split('*').map(quoted).collect();
            StringMatch::Regex(format!("^{}$", parts.join(".*")))
        }
        _ => StringMatch::Exact(written.to_owned()),
    }
}

/// `text` as a regular expression that matches itself.
fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len());
    for c in text.chars() {
        if r"\.+*?()|[]{}^$".contains(c) {
            quoted.push('\\');
        }
        quoted.push(c);
    }
    quoted
}
