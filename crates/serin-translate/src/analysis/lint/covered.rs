//! SRN0401: rules that can never match because earlier ones take all that they are for.
//!
//! Only what can be proved counts: a condition covers another if every request that meets the second meets the first.

use std::collections::BTreeMap;

use serin_api::FieldPath;
use serin_api::networking::{HttpMatchRequest, VirtualService};
use serin_api::validation::virtual_service::unreachable;
use serin_api::values::StringMatch;
use serin_re2::Regex;

use super::{codes, matches, rules, written};
use crate::analysis::{Input, Report};

/// Reports rules all of whose matches are covered, each with the rule that covers it.
pub(in crate::analysis) fn covered_rules(input: Input<'_>, report: &mut Report) {
    for virtual_service in written(input) {
        // What Istio itself tells as unreachable needs no second word.
        let told: Vec<FieldPath> =
            unreachable(virtual_service).into_iter().map(|problem| problem.field).collect();
        let spec = &virtual_service.spec;
        for (at, rule) in rules(spec) {
            if told.contains(&at) || rule.matches.is_empty() {
                continue;
            }
            let covers: Option<Vec<_>> =
                matches(&at, rule).map(|(at, entry)| covering(spec, &at, entry)).collect();
            let Some(earlier) = covers.and_then(|covers| covers.into_iter().next()) else {
                continue;
            };
            let text = format!(
                "this rule never matches: {earlier} comes before it and takes every request that it is for"
            );
            let help = "put the narrower rule first; the first rule that matches is used";
            let message = codes::COVERED_RULE.message(text).help(help);
            report.add_related(virtual_service, at, message, earlier, "takes every such request");
        }
    }
}

/// The earlier match, or rule without one, that takes everything that `entry` (at `at`) is for.
fn covering(spec: &VirtualService, at: &FieldPath, entry: &HttpMatchRequest) -> Option<FieldPath> {
    for (rule_at, rule) in rules(spec) {
        // Paths of one list compare by their indexes; those of this rule and later ones do not come before it.
        if at.segments().get(2) <= rule_at.segments().get(2) {
            return None;
        }
        if rule.matches.is_empty() {
            return Some(rule_at);
        }
        if let Some((earlier, _)) =
            matches(&rule_at, rule).find(|(_, earlier)| covers(spec, earlier, entry))
        {
            return Some(earlier);
        }
    }
    None
}

/// Whether every request that `narrow` takes is taken by `wide`.
fn covers(spec: &VirtualService, wide: &HttpMatchRequest, narrow: &HttpMatchRequest) -> bool {
    let gateways = |entry: &HttpMatchRequest| {
        let listed = if entry.gateways.is_empty() { &spec.gateways } else { &entry.gateways };
        if listed.is_empty() { vec!["mesh".to_owned()] } else { listed.clone() }
    };
    let wide_gateways = gateways(wide);
    let same_place = gateways(narrow).iter().all(|gateway| wide_gateways.contains(gateway))
        && (wide.port.is_none() || wide.port == narrow.port)
        && wide
            .source_labels
            .iter()
            .all(|(key, value)| narrow.source_labels.get(key) == Some(value))
        && (wide.source_namespace.is_empty() || wide.source_namespace == narrow.source_namespace);
    let same_case = wide.ignore_uri_case == narrow.ignore_uri_case || wide.uri.is_none();
    let path = same_case && covers_option(wide.uri.as_ref(), narrow.uri.as_ref());
    same_place
        && path
        && covers_option(wide.method.as_ref(), narrow.method.as_ref())
        && covers_option(wide.scheme.as_ref(), narrow.scheme.as_ref())
        && covers_option(wide.authority.as_ref(), narrow.authority.as_ref())
        && covers_map(&wide.headers, &narrow.headers)
        && covers_map(&wide.query_params, &narrow.query_params)
        && wide
            .without_headers
            .iter()
            .all(|(key, value)| narrow.without_headers.get(key) == Some(value))
}

fn covers_map(
    wide: &BTreeMap<String, StringMatch>,
    narrow: &BTreeMap<String, StringMatch>,
) -> bool {
    let find = |name: &str| {
        narrow.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    };
    wide.iter()
        .all(|(name, value)| find(name).is_some_and(|narrow| covers_text(value, narrow, true)))
}

fn covers_option(wide: Option<&StringMatch>, narrow: Option<&StringMatch>) -> bool {
    match (wide, narrow) {
        (None, _) => true,
        (Some(wide), None) => is_everything(wide),
        (Some(wide), Some(narrow)) => covers_text(wide, narrow, false),
    }
}

/// Conditions that every path meets.
fn is_everything(wide: &StringMatch) -> bool {
    match wide {
        StringMatch::Prefix(prefix) => prefix.is_empty() || prefix == "/",
        StringMatch::Regex(pattern) => {
            Regex::new(pattern).is_ok_and(|regex| regex.matches_everything())
        }
        StringMatch::Empty | StringMatch::Exact(_) => false,
    }
}

/// Whether every text that `narrow` takes is taken by `wide`. `{}` asks of a header only that it is there.
fn covers_text(wide: &StringMatch, narrow: &StringMatch, is_header: bool) -> bool {
    let regex = |pattern: &str| Regex::new(pattern).ok();
    match (wide, narrow) {
        (StringMatch::Empty, _) => is_header,
        (StringMatch::Exact(wide), StringMatch::Exact(narrow)) => wide == narrow,
        (StringMatch::Prefix(wide), StringMatch::Exact(narrow) | StringMatch::Prefix(narrow)) => {
            narrow.starts_with(wide.as_str())
        }
        (StringMatch::Prefix(wide), StringMatch::Regex(narrow)) => {
            regex(narrow).is_some_and(|narrow| narrow.literal_prefix().starts_with(wide.as_bytes()))
        }
        (StringMatch::Regex(wide), StringMatch::Exact(narrow)) => {
            regex(wide).is_some_and(|wide| wide.is_full_match(narrow.as_bytes()))
        }
        (StringMatch::Regex(wide), StringMatch::Regex(narrow)) => {
            wide == narrow
                || matches!((regex(wide), regex(narrow)), (Some(wide), Some(narrow)) if wide.covers(&narrow) == Some(true))
        }
        (StringMatch::Regex(_), StringMatch::Prefix(_)) => is_everything(wide),
        (StringMatch::Exact(_) | StringMatch::Prefix(_) | StringMatch::Regex(_), _) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wider_condition_covers_a_narrower_one() {
        let exact = |text: &str| StringMatch::Exact(text.to_owned());
        let prefix = |text: &str| StringMatch::Prefix(text.to_owned());
        let regex = |text: &str| StringMatch::Regex(text.to_owned());
        let check = |wide: StringMatch, narrow: StringMatch, expected: bool| {
            assert_eq!(covers_text(&wide, &narrow, true), expected, "{wide:?} {narrow:?}");
        };
        check(prefix("/a"), exact("/ab"), true);
        check(prefix("/a"), prefix("/a/b"), true);
        check(prefix("/a/b"), prefix("/a"), false);
        check(prefix("/a"), regex("/a/[0-9]+"), true);
        check(prefix("/a/1"), regex("/a/[0-9]+"), false);
        check(regex("/a.*"), exact("/ab"), true);
        check(regex(".*"), regex("x+"), true);
        check(regex("x+"), regex(".*"), false);
        check(StringMatch::Empty, exact("x"), true);
        check(exact("x"), StringMatch::Empty, false);
    }
}
