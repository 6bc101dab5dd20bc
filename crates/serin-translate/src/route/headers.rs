//! Header changes, and the authority hidden among them (Istio's `TranslateHeadersOperations`).

use std::collections::BTreeMap;
use std::sync::Arc;

use serin_api::networking::{HeaderOperations, Headers};
use serin_routing::model::{HeaderOps, HeaderValue};

/// Header changes of a rule or of one of its destinations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct RouteHeaders {
    /// Changes to requests.
    pub(super) request: HeaderOps,
    /// Changes to responses.
    pub(super) response: HeaderOps,
    /// The new authority: setting `Host` is no change of a header.
    pub(super) authority: Option<Arc<str>>,
}

impl RouteHeaders {
    /// The changes that `written` asks for. `host` and pseudo headers are left out: the proxy does not change them.
    pub(super) fn new(written: Option<&Headers>) -> Self {
        let request = written.and_then(|it| it.request.as_ref());
        let response = written.and_then(|it| it.response.as_ref());
        let authority = request.and_then(|it| authority(&it.set).or_else(|| authority(&it.add)));
        Self {
            request: request.map(operations).unwrap_or_default(),
            response: response.map(operations).unwrap_or_default(),
            authority: authority.filter(|it| !it.is_empty()).map(Arc::from),
        }
    }

    /// Appends the changes of the only destination of a rule. They come last and so win over the rule's.
    pub(super) fn append(&mut self, destination: Self) {
        append(&mut self.request, destination.request);
        append(&mut self.response, destination.response);
    }
}

/// Appends changes. What is appended is carried out after all of `to`: where it sets a header, nothing is left of what `to`
/// set or added there.
fn append(to: &mut HeaderOps, later: HeaderOps) {
    let is_overwritten = |name: &Arc<str>| later.set.iter().any(|(set, _)| set == name);
    to.set.retain(|(name, _)| !is_overwritten(name));
    to.add.retain(|(name, _)| !is_overwritten(name));
    to.remove.extend(later.remove);
    to.set.extend(later.set);
    to.add.extend(later.add);
}

fn operations(written: &HeaderOperations) -> HeaderOps {
    HeaderOps {
        remove: written
            .remove
            .iter()
            .filter(|name| !is_internal(name))
            .map(|name| lower_case(name))
            .collect(),
        set: values(&written.set),
        add: values(&written.add),
    }
}

fn values(written: &BTreeMap<String, String>) -> Vec<(Arc<str>, HeaderValue)> {
    written
        .iter()
        .filter(|(name, _)| !is_internal(name))
        .map(|(name, value)| (lower_case(name), HeaderValue { format: Arc::from(value.as_str()) }))
        .collect()
}

fn lower_case(name: &str) -> Arc<str> {
    Arc::from(name.to_ascii_lowercase())
}

fn authority(written: &BTreeMap<String, String>) -> Option<&str> {
    let is_authority =
        |name: &str| name.eq_ignore_ascii_case(":authority") || name.eq_ignore_ascii_case("host");
    written.iter().rfind(|(name, _)| is_authority(name)).map(|(_, value)| value.as_str())
}

fn is_internal(name: &str) -> bool {
    name.starts_with(':') || name.eq_ignore_ascii_case("host")
}

#[cfg(test)]
mod tests;
