//! Delegates: a rule of a root is replaced by the rules of another VirtualService, narrowed to what the root's rule takes.
//!
//! Merging is Istio's (`pilot/pkg/model/virtualservice.go`): a pair of matches is compatible only if it is plain that the
//! delegate's is narrower; anything that would need thought is a conflict. Which VirtualService is the delegate, and
//! whether it may be used, is found out before.

use std::collections::BTreeMap;

use serin_api::networking::{HttpMatchRequest, HttpRoute};
use serin_api::values::StringMatch;

/// The places of the two matches that a merged match was made of; `None` where that side has no matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct MatchSource {
    pub(super) root: Option<usize>,
    pub(super) leaf: Option<usize>,
}

/// A delegate's rule asks for something that the root's rule does not take, or not plainly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Conflict {
    /// Which match of the delegate's rule.
    pub(super) leaf: usize,
    /// The property that conflicts with each match of the root's rule, as its field is called.
    pub(super) properties: Vec<String>,
}

/// The delegate's rule `leaf` as it holds under the root's rule `root`, and what its matches came from.
pub(super) fn merge_route(
    root: &HttpRoute,
    leaf: &HttpRoute,
) -> Result<(HttpRoute, Vec<MatchSource>), Conflict> {
    let (matches, sources) = merge_matches(&root.matches, &leaf.matches)?.into_iter().unzip();
    let merged = HttpRoute {
        name: join_names(&root.name, &leaf.name),
        matches,
        rewrite: leaf.rewrite.clone().or_else(|| root.rewrite.clone()),
        direct_response: leaf.direct_response.clone().or_else(|| root.direct_response.clone()),
        timeout: leaf.timeout.or(root.timeout),
        retries: leaf.retries.clone().or_else(|| root.retries.clone()),
        fault: leaf.fault.clone().or_else(|| root.fault.clone()),
        mirror: leaf.mirror.clone().or_else(|| root.mirror.clone()),
        mirror_percent: leaf.mirror_percent.or(root.mirror_percent),
        mirror_percentage: leaf
            .mirror_percentage
            .clone()
            .or_else(|| root.mirror_percentage.clone()),
        mirrors: if leaf.mirrors.is_empty() { root.mirrors.clone() } else { leaf.mirrors.clone() },
        cors_policy: leaf.cors_policy.clone().or_else(|| root.cors_policy.clone()),
        headers: leaf.headers.clone().or_else(|| root.headers.clone()),
        ..leaf.clone()
    };
    Ok((merged, sources))
}

/// Every compatible pair, in the order of the delegate's matches. A delegate's match that is compatible with none of the root's
/// makes the whole rule void.
fn merge_matches(
    root: &[HttpMatchRequest],
    leaf: &[HttpMatchRequest],
) -> Result<Vec<(HttpMatchRequest, MatchSource)>, Conflict> {
    if root.is_empty() {
        let source = |index| MatchSource { root: None, leaf: Some(index) };
        return Ok(leaf
            .iter()
            .enumerate()
            .map(|(index, it)| (it.clone(), source(index)))
            .collect());
    }
    if leaf.is_empty() {
        let source = |index| MatchSource { root: Some(index), leaf: None };
        return Ok(root
            .iter()
            .enumerate()
            .map(|(index, it)| (it.clone(), source(index)))
            .collect());
    }
    let mut merged = Vec::new();
    for (leaf_index, narrow) in leaf.iter().enumerate() {
        let mut properties = Vec::new();
        for (root_index, wide) in root.iter().enumerate() {
            match conflict(wide, narrow) {
                Some(property) => properties.push(property),
                None => {
                    let source = MatchSource { root: Some(root_index), leaf: Some(leaf_index) };
                    merged.push((merge_match(wide, narrow), source));
                }
            }
        }
        if properties.len() == root.len() {
            return Err(Conflict { leaf: leaf_index, properties });
        }
    }
    Ok(merged)
}

fn merge_match(root: &HttpMatchRequest, leaf: &HttpMatchRequest) -> HttpMatchRequest {
    HttpMatchRequest {
        name: join_names(&root.name, &leaf.name),
        uri: leaf.uri.clone().or_else(|| root.uri.clone()),
        scheme: leaf.scheme.clone().or_else(|| root.scheme.clone()),
        method: leaf.method.clone().or_else(|| root.method.clone()),
        authority: leaf.authority.clone().or_else(|| root.authority.clone()),
        headers: merge_maps(&root.headers, &leaf.headers),
        without_headers: merge_maps(&root.without_headers, &leaf.without_headers),
        query_params: merge_maps(&root.query_params, &leaf.query_params),
        source_labels: merge_maps(&root.source_labels, &leaf.source_labels),
        port: leaf.port.filter(|port| *port != 0).or(root.port),
        gateways: if leaf.gateways.is_empty() { &root.gateways } else { &leaf.gateways }.clone(),
        source_namespace: first_non_empty(&leaf.source_namespace, &root.source_namespace),
        stat_prefix: first_non_empty(&leaf.stat_prefix, &root.stat_prefix),
        ignore_uri_case: leaf.ignore_uri_case,
    }
}

fn join_names(root: &str, leaf: &str) -> String {
    match (root, leaf) {
        ("", name) | (name, "") => name.to_owned(),
        (root, leaf) => format!("{root}-{leaf}"),
    }
}

fn first_non_empty(first: &str, second: &str) -> String {
    if first.is_empty() { second } else { first }.to_owned()
}

fn merge_maps<V: Clone>(
    root: &BTreeMap<String, V>,
    leaf: &BTreeMap<String, V>,
) -> BTreeMap<String, V> {
    let mut merged = root.clone();
    merged.extend(leaf.iter().map(|(key, value)| (key.clone(), value.clone())));
    merged
}

/// The property because of which `leaf` is not plainly narrower than `root` (`hasConflict`).
fn conflict(root: &HttpMatchRequest, leaf: &HttpMatchRequest) -> Option<String> {
    conflicting_text(root, leaf)
        .or_else(|| conflicting_key("headers", &root.headers, &leaf.headers))
        .or_else(|| conflicting_key("withoutHeaders", &root.without_headers, &leaf.without_headers))
        .or_else(|| conflicting_key("queryParams", &root.query_params, &leaf.query_params))
        .or_else(|| conflicting_place(root, leaf))
}

fn conflicting_text(root: &HttpMatchRequest, leaf: &HttpMatchRequest) -> Option<String> {
    let texts = [
        ("uri", &root.uri, &leaf.uri),
        ("scheme", &root.scheme, &leaf.scheme),
        ("method", &root.method, &leaf.method),
        ("authority", &root.authority, &leaf.authority),
    ];
    texts.into_iter().find_map(|(name, root, leaf)| {
        let both = root.as_ref().zip(leaf.as_ref())?;
        (!is_plainly_narrower(both.0, both.1)).then(|| name.to_owned())
    })
}

fn conflicting_key(
    field: &str,
    root: &BTreeMap<String, StringMatch>,
    leaf: &BTreeMap<String, StringMatch>,
) -> Option<String> {
    leaf.iter()
        .find(|(key, value)| root.get(*key).is_some_and(|root| !is_plainly_narrower(root, value)))
        .map(|(key, _)| format!("{field}[{key}]"))
}

fn conflicting_place(root: &HttpMatchRequest, leaf: &HttpMatchRequest) -> Option<String> {
    let set = |port: Option<u32>| port.filter(|port| *port != 0);
    let ports_differ = set(root.port).zip(set(leaf.port)).is_some_and(|(root, leaf)| root != leaf);
    // A root that names a namespace conflicts with a delegate that names none: that is Istio's rule, though the merged
    // match would take the root's.
    let namespaces_differ =
        !root.source_namespace.is_empty() && root.source_namespace != leaf.source_namespace;
    let labels_differ = leaf
        .source_labels
        .iter()
        .any(|(key, value)| root.source_labels.get(key).is_some_and(|root| root != value));
    let more_gateways = !root.gateways.is_empty()
        && leaf.gateways.iter().any(|gateway| !root.gateways.contains(gateway));
    [
        ("ignoreUriCase", root.ignore_uri_case != leaf.ignore_uri_case),
        ("port", ports_differ),
        ("sourceNamespace", namespaces_differ),
        ("sourceLabels", labels_differ),
        ("gateways", more_gateways),
    ]
    .into_iter()
    .find(|(_, conflicts)| *conflicts)
    .map(|(name, _)| name.to_owned())
}

/// Whether it is plain that whatever `leaf` takes, `root` takes too: an equal exact text, or an exact text or a prefix that
/// begins with the root's prefix. Regular expressions and presence never are (`stringMatchConflict`).
fn is_plainly_narrower(root: &StringMatch, leaf: &StringMatch) -> bool {
    match (root, leaf) {
        (StringMatch::Exact(root), StringMatch::Exact(leaf)) => !root.is_empty() && root == leaf,
        (StringMatch::Prefix(root), StringMatch::Exact(leaf) | StringMatch::Prefix(leaf)) => {
            !root.is_empty() && !leaf.is_empty() && leaf.starts_with(root.as_str())
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests;
