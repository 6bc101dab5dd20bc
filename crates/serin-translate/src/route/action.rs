//! What a rule does: forward, redirect, answer.

use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serin_api::networking::{
    HttpDirectResponse, HttpRedirect, HttpRewrite, HttpRoute, RedirectPortSelection,
};
use serin_re2::{Regex, Rewrite};
use serin_routing::model::{
    DirectResponse, Forward, PathMatch, PathRedirect, PathRewrite, Redirect, RedirectPort,
};

use super::headers::RouteHeaders;
use super::{RouteContext, Unusable, destination, hash, retry};
use crate::virtual_service::Semantics;

/// Forwarding to the destinations of `rule`. `path` is the condition on the path, which a rewrite refers to.
pub(super) fn forward(
    semantics: Semantics,
    rule: &HttpRoute,
    path: &PathMatch,
    changes: &mut RouteHeaders,
    context: &RouteContext<'_>,
) -> Result<Forward, Unusable> {
    let rewrite = rule.rewrite.as_ref();
    if let Some(authority) = rewrite.map(|it| it.authority.as_str()).filter(|it| !it.is_empty()) {
        changes.authority = Some(Arc::from(authority));
    }
    let destinations = destination::destinations(rule, changes, context);
    let hash = hash::policies(rule, context);
    let hashes_to_one = rule.route.len() == 1 && !hash.is_empty();
    Ok(Forward {
        destinations,
        cluster_not_found_status: if semantics == Semantics::Gateway { 500 } else { 503 },
        path_rewrite: rewrite.map(|it| path_rewrite(it, path, semantics)).transpose()?.flatten(),
        host_rewrite: changes.authority.clone(),
        auto_host_rewrite: false,
        timeout: rule.timeout.map(|it| it.to_std()).filter(|it| !it.is_zero()),
        retry: retry::policy(rule.retries.as_ref().or(context.default_retries), hashes_to_one),
        mirrors: destination::mirrors(rule, context),
        hash,
        cohort: None,
        allow_upgrade: true,
    })
}

fn path_rewrite(
    written: &HttpRewrite,
    path: &PathMatch,
    semantics: Semantics,
) -> Result<Option<PathRewrite>, Unusable> {
    if let Some(regex) = &written.uri_regex_rewrite {
        return regex_rewrite(&regex.pattern, &regex.rewrite).map(Some);
    }
    if semantics == Semantics::Gateway && written.uri == "/" {
        // Putting "/" for the prefix of "/prefix/x" would leave two slashes; the prefix goes with the slash after it.
        let prefix = if let PathMatch::Segments(prefix) = path { prefix } else { "" };
        return regex_rewrite(&format!("^{}(/?)(.*)", quote(prefix)), r"/\2").map(Some);
    }
    Ok((!written.uri.is_empty()).then(|| PathRewrite::Prefix(Arc::from(written.uri.as_str()))))
}

fn regex_rewrite(pattern: &str, rewrite: &str) -> Result<PathRewrite, Unusable> {
    let pattern = Regex::new(pattern)
        .map_err(|error| Unusable::new("rewrite.uriRegexRewrite.match", error))?;
    let substitution = Rewrite::parse(rewrite, pattern.groups())
        .map_err(|error| Unusable::new("rewrite.uriRegexRewrite.rewrite", error))?;
    Ok(PathRewrite::Regex { pattern, substitution })
}

/// `text` as an expression that matches just it.
fn quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len());
    for character in text.chars() {
        if r"\.+*?()|[]{}^$".contains(character) {
            quoted.push('\\');
        }
        quoted.push(character);
    }
    quoted
}

/// A redirect. A port that is usual for the scheme is left out.
pub(super) fn redirect(
    written: &HttpRedirect,
    context: &RouteContext<'_>,
) -> Result<Redirect, Unusable> {
    let status = match written.redirect_code {
        0 => 301,
        code @ (301 | 302 | 303 | 307 | 308) => u16::try_from(code).unwrap_or(301),
        code => {
            return Err(Unusable::new(
                "redirect.redirectCode",
                format!("{code} is no redirect that proxies make"),
            ));
        }
    };
    let scheme = match (written.scheme.as_str(), context.terminates_tls) {
        ("", true) => "https",
        ("", false) => "http",
        (scheme, _) => scheme,
    };
    // Envoy cannot take the port from the request, but a route belongs to one listener, whose port it is.
    let port = match written.derive_port {
        Some(RedirectPortSelection::FromRequestPort) => Some(context.place.port),
        Some(RedirectPortSelection::FromProtocolDefault) => None,
        None => written.port.and_then(|port| u16::try_from(port).ok()),
    };
    let port =
        port.filter(|port| !matches!((port, scheme), (0, _) | (80, "http") | (443, "https")));
    let text = |text: &str| (!text.is_empty()).then(|| Arc::from(text));
    Ok(Redirect {
        status,
        scheme: text(&written.scheme),
        authority: text(&written.authority),
        port: port.map(RedirectPort::Port),
        path: text(&written.prefix_rewrite)
            .map(PathRedirect::Prefix)
            .or_else(|| text(&written.uri).map(PathRedirect::Full)),
    })
}

/// A fixed answer.
pub(super) fn direct_response(written: &HttpDirectResponse) -> Result<DirectResponse, Unusable> {
    let status = u16::try_from(written.status).map_err(|_| {
        Unusable::new("directResponse.status", format!("{} is no status code", written.status))
    })?;
    let body = match written.body.as_ref() {
        None => Vec::new(),
        Some(body) => match (&body.string, &body.bytes) {
            (Some(text), _) => text.clone().into_bytes(),
            (None, Some(encoded)) => BASE64_STANDARD
                .decode(encoded)
                .map_err(|error| Unusable::new("directResponse.body.bytes", error))?,
            (None, None) => Vec::new(),
        },
    };
    Ok(DirectResponse { status, body: Arc::from(body) })
}
