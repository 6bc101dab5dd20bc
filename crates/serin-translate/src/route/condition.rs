//! Matches become conditions of routes (Istio's `TranslateRouteMatch`).

use std::sync::Arc;

use serin_api::networking::HttpMatchRequest;
use serin_api::values::StringMatch;
use serin_re2::Regex;
use serin_routing::model::{Claim, HeaderMatch, PathMatch, QueryMatch, RouteMatch, ValueMatch};

use super::Unusable;
use crate::virtual_service::Semantics;

/// The prefix of header names that mean claims of the request's token.
const CLAIMS: &str = "@request.auth.claims";

/// The condition on the path of a rule that names none: everything that is a path, which `OPTIONS *` has not.
pub(crate) fn any_path() -> PathMatch {
    PathMatch::Prefix(Arc::from("/"))
}

/// The condition of a match; that of a rule without matches if there is none.
pub(super) fn condition(
    written: Option<&HttpMatchRequest>,
    semantics: Semantics,
) -> Result<RouteMatch, Unusable> {
    let Some(written) = written else {
        return Ok(RouteMatch { path: any_path(), ..RouteMatch::default() });
    };
    let mut made = RouteMatch {
        path: path(written.uri.as_ref(), semantics)?,
        ignore_case: written.ignore_uri_case,
        ..RouteMatch::default()
    };
    for (name, value) in &written.headers {
        add_header(&mut made, name, value, false)?;
    }
    for (name, value) in &written.without_headers {
        add_header(&mut made, name, value, true)?;
    }
    made.headers.sort_by(|one, other| one.name.cmp(&other.name));
    let pseudo_headers = [
        (":method", "method", &written.method),
        (":authority", "authority", &written.authority),
        (":scheme", "scheme", &written.scheme),
    ];
    for (name, field, value) in pseudo_headers {
        if let Some(value) = value {
            let value = value_match(value).map_err(|error| Unusable::in_match(field, error))?;
            made.headers.push(HeaderMatch {
                name: Arc::from(name),
                value,
                invert: false,
                missing_is_empty: false,
            });
        }
    }
    for (name, value) in &written.query_params {
        let value = value_match(value)
            .map_err(|error| Unusable::in_match_key("queryParams", name, error))?;
        made.query.push(QueryMatch { name: Arc::from(name.as_str()), value });
    }
    Ok(made)
}

fn path(uri: Option<&StringMatch>, semantics: Semantics) -> Result<PathMatch, Unusable> {
    let whole_segments = semantics != Semantics::Istio;
    Ok(match uri {
        None | Some(StringMatch::Empty) => any_path(),
        Some(StringMatch::Exact(text)) => PathMatch::Exact(Arc::from(text.as_str())),
        Some(StringMatch::Prefix(text)) if whole_segments && text != "/" => {
            PathMatch::Segments(Arc::from(text.strip_suffix('/').unwrap_or(text)))
        }
        Some(StringMatch::Prefix(text)) => PathMatch::Prefix(Arc::from(text.as_str())),
        Some(StringMatch::Regex(text)) => {
            PathMatch::Regex(Regex::new(text).map_err(|error| Unusable::in_match("uri", error))?)
        }
    })
}

fn add_header(
    made: &mut RouteMatch,
    name: &str,
    value: &StringMatch,
    invert: bool,
) -> Result<(), Unusable> {
    let field = if invert { "withoutHeaders" } else { "headers" };
    let value = value_match(value).map_err(|error| Unusable::in_match_key(field, name, error))?;
    if let Some(path) = claim_path(name) {
        made.claims.push(Claim { path, value, invert });
    } else {
        // A header that must not have a value may be missing; only where its presence is the condition, missing and empty
        // differ.
        let missing_is_empty = invert && value != ValueMatch::Present;
        let name = Arc::from(name.to_ascii_lowercase());
        made.headers.push(HeaderMatch { name, value, invert, missing_is_empty });
    }
    Ok(())
}

/// The claim that a header name means: `@request.auth.claims.group.id` or `@request.auth.claims[group][id]`.
fn claim_path(name: &str) -> Option<Vec<Arc<str>>> {
    let (prefix, rest) = name.split_at_checked(CLAIMS.len())?;
    if !prefix.eq_ignore_ascii_case(CLAIMS) {
        return None;
    }
    let names = |text: &str, separator: &str| text.split(separator).map(Arc::from).collect();
    if let Some(dotted) = rest.strip_prefix('.').filter(|it| !it.is_empty()) {
        return Some(names(dotted, "."));
    }
    let inner = rest.strip_prefix('[')?.strip_suffix(']').filter(|it| !it.is_empty())?;
    Some(names(inner, "]["))
}

/// A comparison. `{}` asks for presence, and so does the expression `*`, which is none in RE2
/// (`canBeConvertedToPresentMatch`).
pub(super) fn value_match(written: &StringMatch) -> Result<ValueMatch, serin_re2::Error> {
    Ok(match written {
        StringMatch::Empty => ValueMatch::Present,
        StringMatch::Exact(text) => ValueMatch::Exact(Arc::from(text.as_str())),
        StringMatch::Prefix(text) => ValueMatch::Prefix(Arc::from(text.as_str())),
        StringMatch::Regex(text) if text == "*" => ValueMatch::Present,
        StringMatch::Regex(text) => ValueMatch::Regex(Regex::new(text)?),
    })
}

#[cfg(test)]
mod tests;
