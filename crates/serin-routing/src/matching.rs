//! Whether a request meets a rule's conditions, one condition after the other.
//!
//! This is what a condition means. [`crate::index`] narrows the rules down that have to be asked, and
//! [`crate::explain`] tells which condition failed; both rely on the functions here.

use std::sync::Arc;

use crate::model::{Claim, HeaderMatch, PathMatch, QueryMatch, Route, RouteMatch, ValueMatch};
use crate::request::{Request, View, first_parameter};

/// The condition of a rule that a request does not meet.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Failed<'m> {
    /// The request has no path: a `CONNECT`, which no rule but Envoy's `connect_matcher` takes.
    NoPath,
    /// The path differs.
    Path,
    /// A header.
    Header(&'m HeaderMatch),
    /// A query parameter.
    Query(&'m QueryMatch),
    /// A claim.
    Claim(&'m Claim),
}

/// The first condition that the request does not meet; `None` if it meets all.
pub(crate) fn first_failure<'m, R: Request>(
    condition: &'m RouteMatch,
    view: &View<'_, R>,
    buffer: &mut Vec<u8>,
) -> Option<Failed<'m>> {
    if view.path.is_empty() {
        return Some(Failed::NoPath);
    }
    if !condition.path.holds(condition.ignore_case, view.path) {
        return Some(Failed::Path);
    }
    let mut header_fails = |header: &HeaderMatch| !header.holds(view.header(&header.name, buffer));
    if let Some(header) = condition.headers.iter().find(|header| header_fails(header)) {
        return Some(Failed::Header(header));
    }
    if let Some(query) =
        condition.query.iter().find(|query| !query.holds(first_parameter(view.query, &query.name)))
    {
        return Some(Failed::Query(query));
    }
    let claim_fails = |claim: &Claim| {
        let found = view.request.any_claim(&claim.path, &mut |value| claim.value.holds(value));
        found == claim.invert
    };
    condition.claims.iter().find(|claim| claim_fails(claim)).map(Failed::Claim)
}

/// The first of some rules that a request meets, found by asking one after the other.
///
/// Decisions find the same rule without asking all ([`crate::compiled`]).
pub fn first_match<'m, R: Request>(routes: &'m [Arc<Route>], request: &R) -> Option<&'m Route> {
    let (view, mut buffer) = (View::new(request), Vec::new());
    routes.iter().map(|route| &**route).find(|route| holds(&route.condition, &view, &mut buffer))
}

/// Whether the request meets all conditions.
pub(crate) fn holds<R: Request>(
    condition: &RouteMatch,
    view: &View<'_, R>,
    buffer: &mut Vec<u8>,
) -> bool {
    first_failure(condition, view, buffer).is_none()
}

/// The length of the part of `path` that a condition that holds has matched: what a prefix rewrite replaces.
pub(crate) fn matched_length(condition: &PathMatch, path: &[u8]) -> usize {
    match condition {
        // Istio's routes without a path condition have the prefix `/`.
        PathMatch::Any => path.len().min(1),
        PathMatch::Prefix(prefix) | PathMatch::Segments(prefix) => prefix.len().min(path.len()),
        PathMatch::Exact(_) | PathMatch::Regex(_) => path.len(),
    }
}

impl RouteMatch {
    /// Builds now what its regular expressions would otherwise build at their first use, as long as `budget` lasts; each
    /// takes one off it.
    pub(crate) fn warm(&self, budget: &mut usize) {
        let of_value = |value: &'_ ValueMatch| match value {
            ValueMatch::Regex(regex) => Some(regex.clone()),
            _ => None,
        };
        let of_path = match &self.path {
            PathMatch::Regex(regex) => Some(regex.clone()),
            _ => None,
        };
        let values = self.headers.iter().map(|header| &header.value);
        let values = values.chain(self.query.iter().map(|query| &query.value));
        let values = values.chain(self.claims.iter().map(|claim| &claim.value));
        for regex in of_path.into_iter().chain(values.filter_map(of_value)).take(*budget) {
            regex.warm();
            *budget -= 1;
        }
    }
}

impl PathMatch {
    fn holds(&self, ignore_case: bool, path: &[u8]) -> bool {
        match self {
            Self::Any => true,
            Self::Exact(text) if ignore_case => path.eq_ignore_ascii_case(text.as_bytes()),
            Self::Exact(text) => path == text.as_bytes(),
            Self::Prefix(text) => after_prefix(path, text, ignore_case).is_some(),
            Self::Segments(text) => {
                matches!(after_prefix(path, text, ignore_case), Some([] | [b'/', ..]))
            }
            Self::Regex(regex) => regex.is_full_match(path),
        }
    }
}

fn after_prefix<'p>(path: &'p [u8], prefix: &str, ignore_case: bool) -> Option<&'p [u8]> {
    let (start, rest) = path.split_at_checked(prefix.len())?;
    let same = if ignore_case {
        start.eq_ignore_ascii_case(prefix.as_bytes())
    } else {
        start == prefix.as_bytes()
    };
    same.then_some(rest)
}

impl HeaderMatch {
    fn holds(&self, value: Option<&[u8]>) -> bool {
        match (&self.value, value) {
            (ValueMatch::Present, value) => {
                (value.is_some() || self.missing_is_empty) != self.invert
            }
            (_, None) if !self.missing_is_empty => false,
            (matcher, value) => matcher.holds(value.unwrap_or_default()) != self.invert,
        }
    }
}

impl QueryMatch {
    fn holds(&self, value: Option<&[u8]>) -> bool {
        value.is_some_and(|value| self.value.holds(value))
    }
}

impl ValueMatch {
    /// Whether a value that is there meets the condition.
    pub(crate) fn holds(&self, value: &[u8]) -> bool {
        match self {
            Self::Present => true,
            Self::Exact(text) => value == text.as_bytes(),
            Self::Prefix(text) => value.starts_with(text.as_bytes()),
            Self::Suffix(text) => value.ends_with(text.as_bytes()),
            Self::Regex(regex) => regex.is_full_match(value),
        }
    }
}

#[cfg(test)]
mod tests;
