use serde_json::{Value, json};

use super::*;

fn read(written: Value, semantics: Semantics) -> RouteMatch {
    condition(Some(&serde_json::from_value(written).unwrap()), semantics).unwrap()
}

fn istio(written: Value) -> RouteMatch {
    read(written, Semantics::Istio)
}

fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).unwrap()
}

#[track_caller]
fn check_path(uri: Value, semantics: Semantics, expect: PathMatch) {
    assert_eq!(read(json!({"uri": uri}), semantics).path, expect, "{uri}");
}

#[test]
fn paths_are_compared_as_written() {
    check_path(json!({"exact": "/a"}), Semantics::Istio, PathMatch::Exact("/a".into()));
    check_path(json!({"prefix": "/a/"}), Semantics::Istio, PathMatch::Prefix("/a/".into()));
    check_path(json!({"regex": "/a.*"}), Semantics::Istio, PathMatch::Regex(regex("/a.*")));
    check_path(json!({}), Semantics::Istio, any_path());
    assert_eq!(istio(json!({})).path, any_path());
    assert!(istio(json!({"uri": {"exact": "/a"}, "ignoreUriCase": true})).ignore_case);
}

#[test]
fn prefixes_of_the_gateway_api_and_of_ingress_end_at_segments() {
    for semantics in [Semantics::Gateway, Semantics::Ingress] {
        check_path(json!({"prefix": "/a"}), semantics, PathMatch::Segments("/a".into()));
        check_path(json!({"prefix": "/a/"}), semantics, PathMatch::Segments("/a".into()));
        check_path(json!({"prefix": "/"}), semantics, PathMatch::Prefix("/".into()));
        check_path(json!({"exact": "/a/"}), semantics, PathMatch::Exact("/a/".into()));
    }
}

#[test]
fn headers_are_lower_case_and_sorted_and_pseudo_headers_come_last() {
    let made = istio(json!({
        "headers": {"Cookie": {"regex": ".*a.*"}, "b": {"exact": "1"}, "a": {"prefix": "2"}},
        "method": {"exact": "GET"},
        "authority": {"prefix": "x"},
        "scheme": {"exact": "https"},
    }));
    let names: Vec<_> = made.headers.iter().map(|it| &*it.name).collect();
    assert_eq!(names, ["a", "b", "cookie", ":method", ":authority", ":scheme"]);
    assert_eq!(made.headers[2].value, ValueMatch::Regex(regex(".*a.*")));
    assert!(!made.headers[2].invert);
}

#[test]
fn an_empty_comparison_and_the_expression_star_ask_for_presence() {
    let made = istio(json!({
        "headers": {"a": {}, "b": {"regex": "*"}},
        "queryParams": {"c": {}, "d": {"regex": "*"}, "e": {"exact": ""}},
    }));
    assert!(made.headers.iter().all(|it| it.value == ValueMatch::Present));
    let query: Vec<_> = made.query.iter().map(|it| it.value.clone()).collect();
    assert_eq!(query, [ValueMatch::Present, ValueMatch::Present, ValueMatch::Exact("".into())]);
}

#[test]
fn without_headers_turn_the_condition_round_and_take_missing_for_empty_except_for_presence() {
    let made =
        istio(json!({"withoutHeaders": {"A": {"regex": ".*"}, "b": {}, "c": {"exact": "1"}}}));
    let flags: Vec<_> =
        made.headers.iter().map(|it| (&*it.name, it.invert, it.missing_is_empty)).collect();
    assert_eq!(flags, [("a", true, true), ("b", true, false), ("c", true, true)]);
}

#[test]
fn claims_of_the_token_are_written_with_dots_or_brackets() {
    let path = |name: &str| {
        let made = istio(json!({"headers": {name: {"exact": "x"}}}));
        assert!(made.headers.is_empty() != made.claims.is_empty());
        made.claims
            .first()
            .map(|it| it.path.iter().map(ToString::to_string).collect::<Vec<_>>().join("/"))
    };
    assert_eq!(path("@request.auth.claims.group.id").as_deref(), Some("group/id"));
    assert_eq!(path("@request.auth.claims[group][a.b]").as_deref(), Some("group/a.b"));
    assert_eq!(path("@Request.Auth.Claims[sub]").as_deref(), Some("sub"));
    assert_eq!(path("@request.auth.claims"), None);
    assert_eq!(path("@request.auth.claims."), None);
    assert_eq!(path("@request.auth.claims[]"), None);
    assert!(
        istio(json!({"withoutHeaders": {"@request.auth.claims.a": {"exact": "x"}}})).claims[0]
            .invert
    );
}

#[test]
fn an_expression_that_is_none_makes_the_match_unusable() {
    let broken = json!({"headers": {"x": {"regex": "("}}});
    let error =
        condition(Some(&serde_json::from_value(broken).unwrap()), Semantics::Istio).unwrap_err();
    assert!(error.in_match);
    assert_eq!(error.field.to_string(), "headers.x");
}
