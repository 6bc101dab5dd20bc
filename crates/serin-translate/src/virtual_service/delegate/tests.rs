use serin_api::networking::{HttpRetry, HttpRewrite, HttpRouteDestination};
use serin_api::values::Duration;

use super::*;

fn exact(text: &str) -> StringMatch {
    StringMatch::Exact(text.to_owned())
}

fn prefix(text: &str) -> StringMatch {
    StringMatch::Prefix(text.to_owned())
}

fn regex(text: &str) -> StringMatch {
    StringMatch::Regex(text.to_owned())
}

fn uri(value: StringMatch) -> HttpMatchRequest {
    HttpMatchRequest { uri: Some(value), ..Default::default() }
}

fn header(name: &str, value: StringMatch) -> HttpMatchRequest {
    HttpMatchRequest { headers: BTreeMap::from([(name.to_owned(), value)]), ..Default::default() }
}

fn gateways(names: &[&str]) -> HttpMatchRequest {
    HttpMatchRequest {
        gateways: names.iter().map(|name| (*name).to_owned()).collect(),
        ..Default::default()
    }
}

fn source(key: &str, value: &str) -> HttpMatchRequest {
    HttpMatchRequest {
        source_labels: BTreeMap::from([(key.to_owned(), value.to_owned())]),
        ..Default::default()
    }
}

fn namespace(name: &str) -> HttpMatchRequest {
    HttpMatchRequest { source_namespace: name.to_owned(), ..Default::default() }
}

fn port(number: u32) -> HttpMatchRequest {
    HttpMatchRequest { port: Some(number), ..Default::default() }
}

#[track_caller]
fn check(root: &HttpMatchRequest, leaf: &HttpMatchRequest, property: Option<&str>) {
    assert_eq!(conflict(root, leaf).as_deref(), property, "root {root:?}\nleaf {leaf:?}");
}

#[test]
fn paths_conflict_unless_the_delegates_begins_with_the_roots() {
    check(&uri(prefix("/a")), &uri(prefix("/a/b")), None);
    check(&uri(prefix("/a")), &uri(exact("/a/b")), None);
    check(&uri(prefix("/a")), &uri(exact("/ab")), None);
    check(&uri(exact("/a")), &uri(exact("/a")), None);
    check(&uri(prefix("/a/b")), &uri(prefix("/a")), Some("uri"));
    check(&uri(prefix("/a/b")), &uri(exact("/a")), Some("uri"));
    check(&uri(exact("/a")), &uri(exact("/b")), Some("uri"));
    check(&uri(exact("/a")), &uri(prefix("/a")), Some("uri"));
    check(&uri(prefix("/")), &HttpMatchRequest::default(), None);
    check(&HttpMatchRequest::default(), &uri(regex("/.*")), None);
}

#[test]
fn regular_expressions_conflict_with_anything_on_the_same_property() {
    check(&uri(regex("/a.*")), &uri(regex("/a.*")), Some("uri"));
    check(&uri(regex("/a.*")), &uri(exact("/a")), Some("uri"));
    check(&uri(prefix("/a")), &uri(regex("/a.*")), Some("uri"));
    check(&header("x", regex("a")), &header("x", exact("a")), Some("headers[x]"));
    check(&header("x", exact("a")), &header("x", regex("a")), Some("headers[x]"));
    check(&header("x", regex("a")), &header("y", regex("a")), None);
}

#[test]
fn a_header_that_the_root_only_asks_to_be_there_conflicts_with_any_condition_on_it() {
    check(&header("x", StringMatch::Empty), &header("x", exact("a")), Some("headers[x]"));
    check(&header("x", StringMatch::Empty), &header("x", StringMatch::Empty), Some("headers[x]"));
    check(&header("x", exact("a")), &header("x", StringMatch::Empty), Some("headers[x]"));
}

#[test]
fn method_scheme_authority_and_query_conflict_like_paths() {
    let method = |text| HttpMatchRequest { method: Some(exact(text)), ..Default::default() };
    let scheme = |text| HttpMatchRequest { scheme: Some(exact(text)), ..Default::default() };
    let authority = |value| HttpMatchRequest { authority: Some(value), ..Default::default() };
    let query = |value| HttpMatchRequest {
        query_params: BTreeMap::from([("q".to_owned(), value)]),
        ..Default::default()
    };
    let without = |value| HttpMatchRequest {
        without_headers: BTreeMap::from([("x".to_owned(), value)]),
        ..Default::default()
    };
    check(&method("GET"), &method("GET"), None);
    check(&method("GET"), &method("POST"), Some("method"));
    check(&scheme("http"), &scheme("https"), Some("scheme"));
    check(&authority(prefix("a")), &authority(exact("ab")), None);
    check(&authority(exact("a")), &authority(exact("b")), Some("authority"));
    check(&query(prefix("a")), &query(exact("ab")), None);
    check(&query(exact("a")), &query(exact("b")), Some("queryParams[q]"));
    check(&without(exact("a")), &without(exact("a")), None);
    check(&without(exact("a")), &without(exact("b")), Some("withoutHeaders[x]"));
    check(&header("x", exact("a")), &without(exact("b")), None);
}

#[test]
fn letter_case_of_paths_must_be_the_same_on_both_sides() {
    let ignoring = HttpMatchRequest { ignore_uri_case: true, ..Default::default() };
    check(&ignoring, &HttpMatchRequest::default(), Some("ignoreUriCase"));
    check(&HttpMatchRequest::default(), &ignoring, Some("ignoreUriCase"));
    check(&ignoring, &ignoring, None);
}

#[test]
fn ports_conflict_only_if_both_are_written_and_differ() {
    check(&port(80), &port(80), None);
    check(&port(80), &HttpMatchRequest::default(), None);
    check(&HttpMatchRequest::default(), &port(80), None);
    check(&port(80), &port(0), None);
    check(&port(80), &port(443), Some("port"));
}

#[test]
fn a_source_namespace_of_the_root_must_be_repeated_by_the_delegate() {
    check(&namespace("a"), &namespace("a"), None);
    check(&HttpMatchRequest::default(), &namespace("a"), None);
    check(&namespace("a"), &HttpMatchRequest::default(), Some("sourceNamespace"));
    check(&namespace("a"), &namespace("b"), Some("sourceNamespace"));
}

#[test]
fn source_labels_conflict_only_on_the_same_key() {
    check(&source("app", "a"), &source("app", "a"), None);
    check(&source("app", "a"), &source("version", "b"), None);
    check(&source("app", "a"), &source("app", "b"), Some("sourceLabels"));
}

#[test]
fn gateways_of_the_delegate_must_be_among_the_roots() {
    check(&gateways(&["a", "b"]), &gateways(&["a"]), None);
    check(&gateways(&[]), &gateways(&["a"]), None);
    check(&gateways(&["a"]), &gateways(&[]), None);
    check(&gateways(&["a"]), &gateways(&["b"]), Some("gateways"));
    check(&gateways(&["a"]), &gateways(&["a", "b"]), Some("gateways"));
}

#[test]
fn matches_are_every_compatible_pair_in_the_order_of_the_delegate() {
    let root = [uri(prefix("/a")), uri(prefix("/a/b"))];
    let leaf = [uri(exact("/a/b/c")), uri(prefix("/a/x"))];
    let merged = merge_matches(&root, &leaf).unwrap();
    let sources: Vec<_> =
        merged.iter().map(|(_, it)| (it.root.unwrap(), it.leaf.unwrap())).collect();
    assert_eq!(sources, [(0, 0), (1, 0), (0, 1)]);
    assert_eq!(merged[0].0.uri, Some(exact("/a/b/c")));
}

#[test]
fn one_match_without_a_partner_makes_the_whole_rule_void() {
    let root = [uri(prefix("/a")), uri(exact("/b"))];
    let leaf = [uri(prefix("/a/1")), uri(prefix("/c"))];
    let expected = Conflict { leaf: 1, properties: vec!["uri".to_owned(), "uri".to_owned()] };
    assert_eq!(merge_matches(&root, &leaf), Err(expected));
}

#[test]
fn a_side_without_matches_takes_those_of_the_other() {
    let some = [uri(prefix("/a")), uri(prefix("/b"))];
    let merged = merge_matches(&some, &[]).unwrap();
    assert_eq!(merged.iter().map(|(it, _)| it.clone()).collect::<Vec<_>>(), some);
    assert_eq!(merged[1].1, MatchSource { root: Some(1), leaf: None });
    let merged = merge_matches(&[], &some).unwrap();
    assert_eq!(merged[1].1, MatchSource { root: None, leaf: Some(1) });
    assert_eq!(merge_matches(&[], &[]), Ok(Vec::new()));
}

#[test]
fn a_merged_match_holds_both_sides_and_the_delegate_wins_key_by_key() {
    let root = HttpMatchRequest {
        name: "root".to_owned(),
        uri: Some(prefix("/a")),
        method: Some(exact("GET")),
        port: Some(80),
        headers: BTreeMap::from([("x".to_owned(), prefix("1")), ("y".to_owned(), exact("2"))]),
        gateways: vec!["gw".to_owned()],
        stat_prefix: "root".to_owned(),
        source_labels: BTreeMap::from([("app".to_owned(), "a".to_owned())]),
        ..Default::default()
    };
    let leaf = HttpMatchRequest {
        name: "leaf".to_owned(),
        uri: Some(exact("/a/b")),
        headers: BTreeMap::from([("x".to_owned(), exact("12"))]),
        source_labels: BTreeMap::from([("version".to_owned(), "v1".to_owned())]),
        ..Default::default()
    };
    let merged = merge_match(&root, &leaf);
    assert_eq!(merged.name, "root-leaf");
    assert_eq!(merged.uri, Some(exact("/a/b")));
    assert_eq!(merged.method, Some(exact("GET")));
    assert_eq!(merged.port, Some(80));
    assert_eq!(
        merged.headers,
        BTreeMap::from([("x".to_owned(), exact("12")), ("y".to_owned(), exact("2"))])
    );
    assert_eq!(merged.gateways, ["gw"]);
    assert_eq!(merged.stat_prefix, "root");
    assert_eq!(merged.source_labels.len(), 2);
}

#[test]
fn what_the_delegate_leaves_out_it_inherits_as_a_whole() {
    let retries = |attempts| Some(HttpRetry { attempts, ..Default::default() });
    let root = HttpRoute {
        name: "root".to_owned(),
        timeout: Some(Duration::from_secs(5)),
        retries: retries(3),
        rewrite: Some(HttpRewrite { uri: "/r".to_owned(), ..Default::default() }),
        redirect: Some(Default::default()),
        route: vec![HttpRouteDestination::default(); 2],
        ..Default::default()
    };
    let leaf = HttpRoute {
        name: "leaf".to_owned(),
        retries: retries(1),
        rewrite: Some(HttpRewrite { authority: "x".to_owned(), ..Default::default() }),
        route: vec![HttpRouteDestination::default()],
        ..Default::default()
    };
    let (merged, sources) = merge_route(&root, &leaf).unwrap();
    assert_eq!(merged.name, "root-leaf");
    assert_eq!(merged.timeout, Some(Duration::from_secs(5)));
    assert_eq!(merged.retries, retries(1));
    assert_eq!(merged.rewrite.unwrap().uri, "");
    assert_eq!(merged.redirect, None);
    assert_eq!(merged.route.len(), 1);
    assert!(sources.is_empty());
}
