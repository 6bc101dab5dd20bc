use proptest::prelude::*;
use serin_re2::Regex;

use super::*;
use crate::model::{HeaderMatch, QueryMatch, ValueMatch};
use crate::request::RequestParts;
use crate::testing::{self, numbered_route};

fn find(routes: &[Arc<Route>], request: &RequestParts) -> Option<usize> {
    RuleIndex::new(routes).find(routes, &View::new(request), &mut Scratch::default())
}

fn scan(routes: &[Arc<Route>], request: &RequestParts) -> Option<usize> {
    let first = matching::first_match(routes, request)?;
    routes.iter().position(|route| std::ptr::eq(&raw const **route, first))
}

fn table(conditions: impl IntoIterator<Item = RouteMatch>) -> Vec<Arc<Route>> {
    conditions
        .into_iter()
        .enumerate()
        .map(|(number, condition)| numbered_route(number, condition))
        .collect()
}

fn path(path: PathMatch) -> RouteMatch {
    RouteMatch { path, ..RouteMatch::default() }
}

fn header(name: &str, value: ValueMatch) -> RouteMatch {
    let header = HeaderMatch { name: name.into(), value, invert: false, missing_is_empty: false };
    RouteMatch { headers: vec![header], ..RouteMatch::default() }
}

fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn the_index_finds_the_rule_that_a_scan_finds(
        routes in testing::routes(),
        requests in prop::collection::vec(testing::request(), 1..6),
    ) {
        let index = RuleIndex::new(&routes);
        let mut scratch = Scratch::default();
        for request in &requests {
            let found = index.find(&routes, &View::new(request), &mut scratch);
            prop_assert_eq!(found, scan(&routes, request), "{:?}", request);
        }
    }
}

/// Versions of a table: in each, conditions of the one before have changed in some places.
fn versions() -> impl Strategy<Value = Vec<Vec<Arc<Route>>>> {
    let change = (any::<prop::sample::Index>(), testing::routes());
    let changes = prop::collection::vec(prop::collection::vec(change, 1..4), 1..4);
    (testing::routes(), changes).prop_map(|(first, changes)| {
        let mut versions = vec![first];
        for changed in changes {
            let mut next = versions[versions.len() - 1].clone();
            for (place, routes) in changed {
                if let (Some(route), false) = (routes.into_iter().next(), next.is_empty()) {
                    let place = place.index(next.len());
                    next[place] = route;
                }
            }
            versions.push(next);
        }
        versions
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn the_index_of_the_next_version_finds_the_rule_that_a_scan_finds(
        versions in versions(),
        requests in prop::collection::vec(testing::request(), 1..6),
    ) {
        let mut index = Arc::new(RuleIndex::new(&versions[0]));
        let mut scratch = Scratch::default();
        for pair in versions.windows(2) {
            let [before, routes] = pair else { unreachable!() };
            index = RuleIndex::next(&index, before, routes);
            for request in &requests {
                let found = index.find(routes, &View::new(request), &mut scratch);
                prop_assert_eq!(found, scan(routes, request), "{:?}", request);
            }
        }
    }
}

#[test]
fn rules_that_change_are_filed_apart_until_they_are_many() {
    let exact = |number: usize| path(PathMatch::Exact(format!("/{number}").into()));
    let mut routes = table((0..1000).map(exact));
    let mut index = Arc::new(RuleIndex::new(&routes));
    let first = Arc::clone(&index.filed);
    for number in 0..=MOST_CHANGED {
        assert!(Arc::ptr_eq(&index.filed, &first));
        let before = routes.clone();
        routes[number] = numbered_route(number, exact(2000 + number));
        index = RuleIndex::next(&index, &before, &routes);
        let find = |target: &str| {
            let request = RequestParts::get("a", target);
            index.find(&routes, &View::new(&request), &mut Scratch::default())
        };
        assert_eq!(find(&format!("/{}", 2000 + number)), Some(number));
        assert_eq!(find(&format!("/{number}")), None);
        assert_eq!(find("/999"), Some(999));
    }
    assert!(!Arc::ptr_eq(&index.filed, &first) && index.changed.is_none());
}

#[test]
fn rules_behind_one_that_took_every_request_are_found_when_it_does_no_more() {
    let exact = |text: &str| path(PathMatch::Exact(text.into()));
    let mut routes = table([exact("/a"), RouteMatch::default(), exact("/b")]);
    let before = routes.clone();
    let index = Arc::new(RuleIndex::new(&before));
    routes[1] = numbered_route(1, exact("/c"));
    let index = RuleIndex::next(&index, &before, &routes);
    let request = RequestParts::get("a", "/b");
    assert_eq!(index.find(&routes, &View::new(&request), &mut Scratch::default()), Some(2));
}

#[test]
fn the_first_of_overlapping_rules_is_found_whatever_it_is_filed_under() {
    let routes = table([
        header("x", ValueMatch::Exact("1".into())),
        path(PathMatch::Prefix("/api".into())),
        path(PathMatch::Exact("/api/v1".into())),
        path(PathMatch::Regex(regex(".*/v2/.*"))),
        RouteMatch {
            query: vec![QueryMatch { name: "k".into(), value: ValueMatch::Present }],
            ..RouteMatch::default()
        },
        RouteMatch::default(),
        path(PathMatch::Exact("/never".into())),
    ]);
    let check = |target: &str, header: &str, expected: usize| {
        let request = RequestParts::get("a", target).with_header("x", header);
        assert_eq!(find(&routes, &request), Some(expected), "{target} {header}");
    };
    check("/api/v1", "1", 0);
    check("/api/v1", "2", 1);
    check("/x/v2/y", "2", 3);
    check("/x?k", "2", 4);
    check("/never", "2", 5);
}

#[test]
fn thousands_of_header_names_are_told_apart() {
    let routes = table(
        (0..2000).map(|number| header(&format!("x-{number}"), ValueMatch::Exact("1".into()))),
    );
    let request = RequestParts::get("a", "/")
        .with_header("x-1999", "1")
        .with_header("x-77", "0")
        .with_header("x-700", "1");
    assert_eq!(find(&routes, &request), Some(700));
}

#[test]
fn many_texts_contained_in_one_path_are_merged_in_order() {
    let patterns =
        (0..50).map(|number| path(PathMatch::Regex(regex(&format!(".*/s{}/.*", 99 - number)))));
    let routes = table(patterns);
    let all: String = (50..100).map(|number| format!("/s{number}/s{number}/s{number}")).collect();
    assert_eq!(find(&routes, &RequestParts::get("a", &format!("{all}/"))), Some(0));
    assert_eq!(find(&routes, &RequestParts::get("a", "/s60/s60/s61/")), Some(38));
}

#[test]
fn a_rule_is_filed_under_the_condition_that_few_share() {
    let many = |number: usize| RouteMatch {
        path: PathMatch::Exact("/same".into()),
        ..header("x", ValueMatch::Exact(number.to_string().into()))
    };
    let routes = table((0..1000).map(many));
    let index = RuleIndex::new(&routes);
    let mut scratch = Scratch::default();
    let request = RequestParts::get("a", "/same").with_header("x", "999");
    assert_eq!(index.find(&routes, &View::new(&request), &mut scratch), Some(999));
    assert_eq!(scratch.lists.len(), 1, "only the rule's own list is looked at");
}
