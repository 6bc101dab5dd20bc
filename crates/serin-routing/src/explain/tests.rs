use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Value, json};
use serin_re2::Regex;

use super::*;
use crate::cohort::{Cohort, Key};
use crate::compiled::CompiledTable;
use crate::model::{
    Abort, AbortStatus, Action, Claim, Delay, Destination, Fault, Forward, HeaderMatch, Health,
    Mirror, PathMatch, PathRewrite, PerMillion, QueryMatch, Redirect, RouteMatch, ValueMatch,
};
use crate::request::RequestParts;
use crate::testing::{self, cluster, destination, endpoints, forward, rule, set_headers};
use crate::{Scratch, matching, retry};

fn table(routes: Vec<Arc<Route>>) -> RouteTable {
    let host = VirtualHost {
        name: "reviews:80".into(),
        domains: vec!["reviews".into(), "a".into()],
        routes,
        require_tls: false,
    };
    RouteTable { name: "80".into(), virtual_hosts: vec![Arc::new(host)] }
}

/// A model whose clusters `v1` and `v2` have an endpoint, `empty` has none, and `ill` only one that is not ready.
fn model() -> Model {
    let mut model = Model::default();
    for name in ["v1", "v2", "empty", "ill"] {
        model.clusters.insert(name.into(), Arc::new(cluster(name)));
    }
    for (name, health) in
        [("v1", Health::Healthy), ("v2", Health::Healthy), ("ill", Health::Unhealthy)]
    {
        model.endpoints.insert(name.into(), Arc::new(endpoints(health)));
    }
    model
}

fn explain_rule(route: Route, request: &RequestParts) -> Explanation {
    explain(&model(), &table(vec![Arc::new(route)]), request)
}

fn explain_forward(forward: Forward, request: &RequestParts) -> Value {
    serde_json::to_value(explain_rule(rule(Action::Forward(Box::new(forward))), request)).unwrap()
}

fn get() -> RequestParts {
    RequestParts::get("reviews", "/")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn explanations_and_decisions_choose_the_first_rule_that_a_scan_finds(
        routes in testing::routes(),
        request in testing::request(),
    ) {
        let table = Arc::new(table(routes));
        let request = RequestParts { authority: "a".to_owned(), ..request };
        let explanation = explain(&Model::default(), &table, &request);
        let view = View::new(&request);
        let first = table.virtual_hosts[0].routes.iter().position(|route| matching::holds(&route.condition, &view, &mut Vec::new()));
        let name = first.map(|number| format!("rule-{number}"));
        prop_assert_eq!(&explanation.route, &name);
        prop_assert_eq!(explanation.rejected.len(), first.unwrap_or(table.virtual_hosts[0].routes.len()));

        let compiled = CompiledTable::new(Arc::clone(&table));
        let host = compiled.host(b"a").unwrap();
        let decided = host.rule(&view, &mut Scratch::default()).map(|rule| rule.route().name.to_string());
        prop_assert_eq!(decided, name);
    }

    #[test]
    fn virtual_hosts_are_those_that_the_index_finds(
        domains in prop::collection::vec("(\\*|\\*?[ab.]{1,4}|[ab.]{1,4}\\*)", 1..12),
        authority in "[abA.]{0,6}(:80)?",
    ) {
        let hosts = domains.iter().map(|domain| {
            Arc::new(VirtualHost { name: domain.as_str().into(), domains: vec![domain.as_str().into()], ..VirtualHost::default() })
        });
        let table = Arc::new(RouteTable { name: "80".into(), virtual_hosts: hosts.collect() });
        let explained = virtual_host(&table, authority.as_bytes()).map(|host| &*host.name);
        let compiled = CompiledTable::new(Arc::clone(&table));
        prop_assert_eq!(explained, compiled.host(authority.as_bytes()).map(|host| &*host.host.name));
    }
}

#[test]
fn each_kind_of_condition_is_told_by_its_field_with_both_values() {
    let header = |name: &str, value: ValueMatch, invert: bool| RouteMatch {
        headers: vec![HeaderMatch { name: name.into(), value, invert, missing_is_empty: invert }],
        ..RouteMatch::default()
    };
    let path = |path: PathMatch| RouteMatch { path, ..RouteMatch::default() };
    let regex = |pattern: &str| Regex::new(pattern).unwrap();
    let query = |value: ValueMatch| RouteMatch {
        query: vec![QueryMatch { name: "k".into(), value }],
        ..RouteMatch::default()
    };
    let claim = RouteMatch {
        claims: vec![Claim {
            path: vec!["a".into(), "b".into()],
            value: ValueMatch::Exact("x".into()),
            invert: false,
        }],
        ..RouteMatch::default()
    };
    let request = RequestParts::get("reviews:80", "/x?k=1")
        .with_header("end-user", "anna")
        .with_header("end-user", "bob");
    let check = |condition: RouteMatch, name: &str, expected: &str, actual: Option<&str>| {
        let explanation = explain_rule(
            Route { condition, ..rule(Action::Forward(Box::new(forward(vec![])))) },
            &request,
        );
        let [rejection] = explanation.rejected.as_slice() else { panic!("{explanation:?}") };
        let found = (&*rejection.condition, &*rejection.expected, rejection.actual.as_deref());
        assert_eq!(found, (name, expected, actual));
    };
    check(path(PathMatch::Exact("/y".into())), "uri.exact", "/y", Some("/x"));
    check(path(PathMatch::Prefix("/y".into())), "uri.prefix", "/y", Some("/x"));
    check(path(PathMatch::Segments("/y".into())), "uri.pathPrefix", "/y", Some("/x"));
    check(path(PathMatch::Regex(regex("/y.*"))), "uri.regex", "/y.*", Some("/x"));
    check(
        header("end-user", ValueMatch::Exact("jason".into()), false),
        "headers[end-user].exact",
        "jason",
        Some("anna,bob"),
    );
    check(header("x-none", ValueMatch::Present, false), "headers[x-none]", "present", None);
    check(
        header("end-user", ValueMatch::Present, true),
        "withoutHeaders[end-user]",
        "absent",
        Some("anna,bob"),
    );
    check(
        header("end-user", ValueMatch::Regex(regex(".*")), true),
        "withoutHeaders[end-user].regex",
        ".*",
        Some("anna,bob"),
    );
    check(
        header(":method", ValueMatch::Exact("PUT".into()), false),
        "method.exact",
        "PUT",
        Some("GET"),
    );
    check(
        header(":scheme", ValueMatch::Exact("https".into()), false),
        "scheme.exact",
        "https",
        Some("http"),
    );
    check(
        header(":authority", ValueMatch::Prefix("a".into()), false),
        "authority.prefix",
        "a",
        Some("reviews:80"),
    );
    check(query(ValueMatch::Exact("2".into())), "queryParams[k].exact", "2", Some("1"));
    check(claim, "headers[@request.auth.claims.a.b].exact", "x", None);
}

#[test]
fn what_fails_for_all_destinations_is_an_error_and_what_fails_for_some_is_told_with_them() {
    let check = |destinations: &[&str], error: Option<&str>, problems: &[Option<&str>]| {
        let destinations = destinations.iter().map(|name| destination(name, 1)).collect();
        let explanation = explain_forward(forward(destinations), &get());
        assert_eq!(explanation.get("error").and_then(Value::as_str), error, "{explanation}");
        let clusters = explanation["clusters"].as_array().unwrap();
        let found: Vec<_> =
            clusters.iter().map(|cluster| cluster.get("problem").and_then(Value::as_str)).collect();
        assert_eq!(found, problems);
    };
    check(&["v1"], None, &[None]);
    check(&["v3"], Some("cluster_not_found"), &[Some("cluster_not_found")]);
    check(&["empty"], Some("no_healthy_endpoint"), &[Some("no_healthy_endpoint")]);
    check(&["ill"], Some("no_healthy_endpoint"), &[Some("no_healthy_endpoint")]);
    check(&["v1", "v3"], None, &[None, Some("cluster_not_found")]);
    check(
        &["v3", "empty"],
        Some("cluster_not_found"),
        &[Some("cluster_not_found"), Some("no_healthy_endpoint")],
    );
    check(&["PassthroughCluster"], None, &[None]);
    check(&[], Some("cluster_not_found"), &[]);
}

#[test]
fn the_answer_of_a_failure_is_told() {
    let missing = explain_forward(forward(vec![destination("v3", 1)]), &get());
    assert_eq!(
        missing["response"],
        json!({"status": 503, "flag": "NC", "details": "cluster_not_found"})
    );
    let empty = explain_forward(forward(vec![destination("empty", 1)]), &get());
    assert_eq!(
        empty["response"],
        json!({"status": 503, "flag": "UH", "details": "no_healthy_upstream"})
    );
    let invalid = Destination { invalid_status: Some(500), ..destination("v1", 1) };
    let invalid = explain_forward(forward(vec![invalid]), &get());
    assert_eq!(invalid["response"]["status"], json!(500));
    let elsewhere = explain(&model(), &table(vec![]), &RequestParts::get("ratings", "/"));
    assert_eq!(elsewhere.error, Some(Problem::NoVirtualHost));
    assert_eq!(elsewhere.response.map(|response| response.status), Some(404));
}

#[test]
fn a_forwarded_request_is_told_in_full() {
    let forward = Forward {
        path_rewrite: Some(PathRewrite::Prefix("/v2".into())),
        host_rewrite: Some("ratings".into()),
        timeout: Some(Duration::from_millis(1500)),
        retry: Some(retry::Policy {
            attempts: 2,
            retry_on: vec![retry::Condition::ConnectFailure, retry::Condition::Any5xx],
            retriable_status_codes: vec![503],
            per_try_timeout: Some(Duration::from_millis(250)),
            base_interval: Duration::from_millis(25),
            max_interval: Duration::from_millis(250),
            avoid_previous_hosts: true,
            host_selection_attempts: 5,
            remote_localities: false,
        }),
        mirrors: vec![Mirror { cluster: "v2".into(), fraction: PerMillion::from_percent(12.5) }],
        ..forward(vec![
            Destination {
                request_headers: set_headers(&[("x-version", "v1")]),
                ..destination("v1", 90)
            },
            destination("v2", 10),
        ])
    };
    let mut route = rule(Action::Forward(Box::new(forward)));
    route.condition.path = PathMatch::Prefix("/api".into());
    route.request_headers = set_headers(&[("x-b", "2"), ("x-a", "%REQ(x)%")]);
    route.fault = Some(Fault {
        delay: Some(Delay {
            duration: Duration::from_secs(7),
            fraction: PerMillion::from_percent(0.1),
        }),
        abort: Some(Abort { status: AbortStatus::Grpc(14), fraction: PerMillion::ALL }),
    });
    let request = RequestParts::get("reviews", "/api/x?y");
    let explanation = serde_json::to_value(explain_rule(route, &request)).unwrap();
    let rule = json!({
        "kind": "builtin", "namespace": "", "name": "test", "index": 0, "match_index": null, "file": null, "line": null,
    });
    assert_eq!(
        explanation,
        json!({
            "listener": null,
            "filter_chain": null,
            "route_table": "80",
            "virtual_host": "reviews:80",
            "rule": rule,
            "route": "rule-0",
            "clusters": [
                {
                    "name": "v1",
                    "weight": 90,
                    "request_headers": {"remove": [], "set": {"x-version": "v1"}, "add": {}},
                },
                {"name": "v2", "weight": 10},
            ],
            "mirrors": [{"name": "v2", "percentage": 12.5}],
            "request_headers": {"remove": [], "set": {"x-b": "2", "x-a": "%REQ(x)%"}, "add": {}},
            "response_headers": {"remove": [], "set": {}, "add": {}},
            "rewrite": {"path": "/v2/x?y", "authority": "ratings"},
            "redirect": null,
            "direct_response": null,
            "fault": {
                "delay": {"duration": "7s", "percentage": 0.1},
                "abort": {"grpc_status": 14, "percentage": 100.0},
            },
            "retry": {
                "attempts": 2,
                "retry_on": ["connect-failure", "5xx"],
                "retriable_status_codes": [503],
                "per_try_timeout": "250ms",
            },
            "timeout": "1.5s",
            "rejected": [],
        })
    );
}

#[test]
fn redirects_direct_responses_and_preflights_are_told_as_answers() {
    let redirect = Redirect {
        status: 308,
        scheme: Some("https".into()),
        authority: None,
        port: None,
        path: None,
    };
    let explanation = explain_rule(rule(Action::Redirect(Box::new(redirect))), &get());
    assert_eq!(
        explanation.redirect.map(|redirect| redirect.location).as_deref(),
        Some("https://reviews/")
    );
    assert!(explanation.error.is_none());

    let mut route = rule(Action::Forward(Box::new(forward(vec![destination("v1", 1)]))));
    route.cors = Some(crate::model::Cors {
        allow_origins: vec![ValueMatch::Exact("*".into())],
        ..Default::default()
    });
    let preflight = get()
        .with_method("OPTIONS")
        .with_header("origin", "b")
        .with_header("access-control-request-method", "PUT");
    let explanation = explain_rule(route, &preflight);
    assert_eq!(explanation.response.map(|response| response.details), Some("cors_response"));
    assert!(explanation.clusters.is_empty());
}

#[test]
fn a_sessions_part_in_a_release_is_told() {
    let cohort = Cohort { rollout: "r".into(), keys: vec![Key::Header("x-user".into())] };
    let weighted = Forward {
        cohort: Some(cohort),
        ..forward(vec![destination("v1", 50), destination("v2", 50)])
    };
    let of_session = explain_forward(weighted.clone(), &get().with_header("x-user", "jason"));
    assert!(of_session["cohort"]["place"].is_number());
    assert!(of_session["cohort"]["cluster"].is_string());
    let of_nobody = explain_forward(weighted, &get());
    assert_eq!(of_nobody["cohort"], json!({"rollout": "r", "place": null, "cluster": null}));
}
