use std::sync::Arc;

use serin_re2::Regex;

use super::*;
use crate::request::RequestParts;

fn matches(condition: &RouteMatch, request: &RequestParts) -> bool {
    holds(condition, &View::new(request), &mut Vec::new())
}

fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).unwrap()
}

#[track_caller]
fn check_path(path: PathMatch, ignore_case: bool, target: &str, expected: bool) {
    let condition = RouteMatch { path, ignore_case, ..RouteMatch::default() };
    assert_eq!(
        matches(&condition, &RequestParts::get("a", target)),
        expected,
        "{condition:?} {target}"
    );
}

#[test]
fn exact_paths_exclude_the_query() {
    let exact = || PathMatch::Exact("/login".into());
    check_path(exact(), false, "/login", true);
    check_path(exact(), false, "/login?next=/", true);
    check_path(exact(), false, "/login/", false);
    check_path(exact(), false, "/LOGIN", false);
    check_path(exact(), true, "/LOGIN", true);
}

#[test]
fn prefixes_end_anywhere_in_a_segment() {
    let prefix = || PathMatch::Prefix("/foo".into());
    check_path(prefix(), false, "/foo", true);
    check_path(prefix(), false, "/foobar", true);
    check_path(prefix(), false, "/foo/bar", true);
    check_path(prefix(), false, "/fo", false);
    check_path(prefix(), false, "/x?/foo", false);
    check_path(prefix(), true, "/FOObar", true);
    check_path(PathMatch::Prefix("".into()), false, "/", true);
}

#[test]
fn segment_prefixes_end_at_the_end_of_a_segment() {
    let segments = || PathMatch::Segments("/foo".into());
    check_path(segments(), false, "/foo", true);
    check_path(segments(), false, "/foo/", true);
    check_path(segments(), false, "/foo/bar", true);
    check_path(segments(), false, "/foobar", false);
    check_path(segments(), true, "/Foo/bar", true);
    check_path(PathMatch::Segments("".into()), false, "/x", true);
}

#[test]
fn regular_expressions_match_the_whole_path_and_mind_the_case() {
    let items = || PathMatch::Regex(regex("/items/[0-9]+"));
    check_path(items(), false, "/items/12", true);
    check_path(items(), false, "/items/12?x", true);
    check_path(items(), false, "/items/12/x", false);
    check_path(items(), false, "/a/items/12", false);
    check_path(items(), true, "/ITEMS/12", false);
}

#[test]
fn a_request_without_a_path_meets_no_rule() {
    let connect = RequestParts { target: String::new(), ..RequestParts::get("a:443", "") }
        .with_method("CONNECT");
    assert!(!matches(&RouteMatch::default(), &connect));
}

#[track_caller]
fn check_header(header: &HeaderMatch, values: &[&str], expected: bool) {
    let condition = RouteMatch { headers: vec![header.clone()], ..RouteMatch::default() };
    let request = values
        .iter()
        .fold(RequestParts::get("a", "/"), |request, value| request.with_header("x", value));
    assert_eq!(matches(&condition, &request), expected, "{header:?} {values:?}");
}

fn with(value: ValueMatch) -> HeaderMatch {
    HeaderMatch { name: "x".into(), value, invert: false, missing_is_empty: false }
}

/// As translated from `withoutHeaders`.
fn without(value: ValueMatch) -> HeaderMatch {
    let missing_is_empty = value != ValueMatch::Present;
    HeaderMatch { name: "x".into(), value, invert: true, missing_is_empty }
}

#[test]
fn headers_are_compared_after_joining_repeated_ones() {
    let exact = with(ValueMatch::Exact("1,2".into()));
    check_header(&exact, &["1", "2"], true);
    check_header(&exact, &["1,2"], true);
    check_header(&exact, &["2", "1"], false);
    check_header(&exact, &[], false);
    check_header(&with(ValueMatch::Prefix("1".into())), &["1", "2"], true);
    check_header(&with(ValueMatch::Suffix("2".into())), &["1", "2"], true);
    check_header(&with(ValueMatch::Regex(regex(".*2"))), &["1", "2"], true);
    check_header(&with(ValueMatch::Regex(regex("2"))), &["1", "2"], false);
    check_header(&with(ValueMatch::Present), &[""], true);
    check_header(&with(ValueMatch::Present), &[], false);
}

#[test]
fn a_missing_header_counts_as_empty_in_without_headers() {
    check_header(&without(ValueMatch::Present), &[], true);
    check_header(&without(ValueMatch::Present), &["1"], false);
    check_header(&without(ValueMatch::Exact("1".into())), &[], true);
    check_header(&without(ValueMatch::Exact("1".into())), &["1"], false);
    check_header(&without(ValueMatch::Exact("1".into())), &["2"], true);
    check_header(&without(ValueMatch::Regex(regex(".*"))), &[], false);
    check_header(&without(ValueMatch::Regex(regex(".*"))), &["1"], false);
}

#[test]
fn an_inverted_condition_without_the_empty_default_fails_on_a_missing_header() {
    let inverted = HeaderMatch { invert: true, ..with(ValueMatch::Exact("1".into())) };
    check_header(&inverted, &[], false);
    check_header(&inverted, &["2"], true);
}

#[test]
fn query_parameters_are_compared_by_their_first_occurrence() {
    let check = |value: ValueMatch, target: &str, expected: bool| {
        let condition = RouteMatch {
            query: vec![QueryMatch { name: "k".into(), value }],
            ..RouteMatch::default()
        };
        assert_eq!(
            matches(&condition, &RequestParts::get("a", target)),
            expected,
            "{condition:?} {target}"
        );
    };
    check(ValueMatch::Exact("v".into()), "/?k=v", true);
    check(ValueMatch::Exact("v".into()), "/?k=w&k=v", false);
    check(ValueMatch::Exact("".into()), "/?k", true);
    check(ValueMatch::Present, "/?k", true);
    check(ValueMatch::Present, "/?l", false);
    check(ValueMatch::Exact("a b".into()), "/?k=a%20b", false);
}

#[test]
fn claims_match_by_value_or_element() {
    let check = |invert: bool, value: &str, expected: bool| {
        let path: Vec<Arc<str>> = vec!["groups".into()];
        let claim = Claim { path, value: ValueMatch::Exact(value.into()), invert };
        let condition = RouteMatch { claims: vec![claim], ..RouteMatch::default() };
        let mut request = RequestParts::get("a", "/");
        request.claims.insert(vec!["groups".into()], vec!["dev".into(), "ops".into()]);
        assert_eq!(matches(&condition, &request), expected, "{condition:?}");
    };
    check(false, "ops", true);
    check(false, "none", false);
    check(true, "ops", false);
    check(true, "none", true);
}

#[test]
fn a_prefix_rewrite_replaces_what_was_matched() {
    let check = |path: PathMatch, text: &str, expected: usize| {
        assert_eq!(matched_length(&path, text.as_bytes()), expected, "{path:?}");
    };
    check(PathMatch::Any, "/x", 1);
    check(PathMatch::Prefix("/api".into()), "/api/x", 4);
    check(PathMatch::Segments("/api".into()), "/api/x", 4);
    check(PathMatch::Exact("/api".into()), "/api", 4);
    check(PathMatch::Regex(regex("/a.*")), "/api/x", 6);
}
