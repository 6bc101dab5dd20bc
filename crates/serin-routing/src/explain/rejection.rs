//! Why a rule does not take a request.

use serde::Serialize;

use super::RuleReport;
use crate::matching::Failed;
use crate::model::{Claim, HeaderMatch, PathMatch, Route, ValueMatch};
use crate::request::{Request, View, first_parameter};

/// A rule that does not take a request, and the first of its conditions that is not met.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Rejection {
    /// The rule.
    pub rule: RuleReport,
    /// The condition, as a field of Istio's `HTTPMatchRequest`: `uri.prefix`, `headers[end-user].exact`.
    pub condition: String,
    /// What it asks for.
    pub expected: String,
    /// What the request has; none if it has nothing of the kind.
    pub actual: Option<String>,
}

impl Rejection {
    pub(super) fn new<R: Request>(route: &Route, failed: Failed<'_>, view: &View<'_, R>) -> Self {
        let (condition, expected, actual) = match failed {
            Failed::NoPath => ("uri".to_owned(), "present".to_owned(), None),
            Failed::Path => path(&route.condition.path, view),
            Failed::Header(header) => header_condition(header, view),
            Failed::Query(query) => {
                let (kind, expected) = value(&query.value);
                let actual = first_parameter(view.query, &query.name).map(text);
                (format!("queryParams[{}]{kind}", query.name), expected, actual)
            }
            Failed::Claim(claim) => claim_condition(claim, view),
        };
        Self { rule: RuleReport::new(&route.origin), condition, expected, actual }
    }
}

fn path<R: Request>(path: &PathMatch, view: &View<'_, R>) -> (String, String, Option<String>) {
    let (condition, expected) = match path {
        PathMatch::Any => ("uri", "present"),
        PathMatch::Exact(path) => ("uri.exact", &**path),
        PathMatch::Prefix(prefix) => ("uri.prefix", &**prefix),
        PathMatch::Segments(prefix) => ("uri.pathPrefix", &**prefix),
        PathMatch::Regex(regex) => ("uri.regex", regex.as_str()),
    };
    (condition.to_owned(), expected.to_owned(), Some(text(view.path)))
}

fn header_condition<R: Request>(
    header: &HeaderMatch,
    view: &View<'_, R>,
) -> (String, String, Option<String>) {
    let name = &header.name;
    let (kind, mut expected) = value(&header.value);
    let field = match &**name {
        ":method" if !header.invert => "method".to_owned(),
        ":scheme" if !header.invert => "scheme".to_owned(),
        ":authority" if !header.invert => "authority".to_owned(),
        _ if header.invert => format!("withoutHeaders[{name}]"),
        _ => format!("headers[{name}]"),
    };
    if header.invert && header.value == ValueMatch::Present {
        "absent".clone_into(&mut expected);
    }
    let actual = view.header(name, &mut Vec::new()).map(text);
    (format!("{field}{kind}"), expected, actual)
}

fn claim_condition<R: Request>(
    claim: &Claim,
    view: &View<'_, R>,
) -> (String, String, Option<String>) {
    let (kind, expected) = value(&claim.value);
    let mut found = Vec::new();
    view.request.any_claim(&claim.path, &mut |value| {
        found.push(text(value));
        false
    });
    let field = if claim.invert { "withoutHeaders" } else { "headers" };
    let path = claim.path.join(".");
    let actual = (!found.is_empty()).then(|| found.join(","));
    (format!("{field}[@request.auth.claims.{path}]{kind}"), expected, actual)
}

/// The field of a `StringMatch`, and what it asks for.
fn value(value: &ValueMatch) -> (&'static str, String) {
    match value {
        ValueMatch::Present => ("", "present".to_owned()),
        ValueMatch::Exact(text) => (".exact", text.to_string()),
        ValueMatch::Prefix(text) => (".prefix", text.to_string()),
        ValueMatch::Suffix(text) => (".suffix", text.to_string()),
        ValueMatch::Regex(regex) => (".regex", regex.as_str().to_owned()),
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
