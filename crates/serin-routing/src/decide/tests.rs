use std::sync::Arc;

use super::*;
use crate::balancer;
use crate::cohort::{Cohort, Key};
use crate::headers::HeaderList;
use crate::model::{
    Abort, Cluster, Delay, Forward, HashKey, HashPolicy, Mirror, Model, PathMatch, PathRewrite,
    Redirect, Route, RouteMatch, RouteTable, ValueMatch,
};
use crate::request::RequestParts;
use crate::test_rng::Draws;
use crate::testing::{cluster, destination, forward, rule, set_headers};

/// A model with clusters `v1` and `v2`, `ring`, and one virtual host `reviews` with the given rules.
fn model(routes: Vec<Route>) -> CompiledModel {
    let ring =
        Cluster { balancer: balancer::Policy::Maglev { table_size: 65_537 }, ..cluster("ring") };
    let host = VirtualHost {
        name: "reviews:80".into(),
        domains: vec!["reviews".into()],
        routes: routes.into_iter().map(Arc::new).collect(),
        require_tls: false,
    };
    let secure = VirtualHost {
        name: "secure".into(),
        domains: vec!["secure".into()],
        require_tls: true,
        ..VirtualHost::default()
    };
    let table =
        RouteTable { name: "80".into(), virtual_hosts: vec![Arc::new(host), Arc::new(secure)] };
    let clusters = [cluster("v1"), cluster("v2"), ring]
        .map(|cluster| (Arc::clone(&cluster.name), Arc::new(cluster)));
    let model = Model {
        route_tables: [(Arc::from("80"), Arc::new(table))].into(),
        clusters: clusters.into(),
        ..Model::default()
    };
    CompiledModel::new(Arc::new(model))
}

fn decide_with<'m>(model: &'m CompiledModel, request: &RequestParts, draw: u64) -> Decision<'m> {
    decide(
        model,
        model.table("80").unwrap(),
        request,
        &mut Scratch::default(),
        &mut Draws::of([draw]),
    )
}

fn decide_once<'m>(model: &'m CompiledModel, request: &RequestParts) -> Decision<'m> {
    decide_with(model, request, 0)
}

fn get() -> RequestParts {
    RequestParts::get("reviews", "/")
}

fn forward_to(destinations: Vec<crate::model::Destination>) -> Route {
    rule(Action::Forward(Box::new(forward(destinations))))
}

#[track_caller]
fn forwarding<'d, 'm>(decision: &'d Decision<'m>) -> &'d Forwarding<'m> {
    match &decision.verdict {
        Verdict::Forward(forwarding) => forwarding,
        other => panic!("not forwarded: {other:?}"),
    }
}

#[track_caller]
fn failure(decision: &Decision<'_>) -> Failure {
    match decision.verdict {
        Verdict::Fail(failure) => failure,
        ref other => panic!("does not fail: {other:?}"),
    }
}

fn headers_after(decision: &Decision<'_>, message: Message) -> Vec<(String, String)> {
    struct NoFacts;
    impl Facts for NoFacts {
        fn request_header(&self, _: &str) -> Option<&[u8]> {
            None
        }
    }
    let mut table = HeaderList::default();
    match message {
        Message::Request => decision.change_request(&mut table, &NoFacts),
        Message::Response => decision.change_response(&mut table, &NoFacts),
    }
    let text = |value: Vec<u8>| String::from_utf8(value).unwrap();
    table.0.into_iter().map(|(name, value)| (name, text(value))).collect()
}

#[test]
fn no_virtual_host_and_no_rule_are_not_found() {
    let model = model(vec![Route {
        condition: RouteMatch { path: PathMatch::Exact("/x".into()), ..RouteMatch::default() },
        ..forward_to(vec![destination("v1", 1)])
    }]);
    let elsewhere = RequestParts::get("ratings", "/x");
    let decision = decide_once(&model, &elsewhere);
    assert_eq!(failure(&decision), Failure::RouteNotFound);
    assert!(decision.virtual_host.is_none());
    let decision = decide_once(&model, &get());
    assert_eq!(failure(&decision), Failure::RouteNotFound);
    assert_eq!(decision.virtual_host.map(|host| &*host.name), Some("reviews:80"));
    assert_eq!(decision.flags().to_string(), "NR");
}

#[test]
fn a_missing_cluster_fails_with_the_status_of_its_rule() {
    let decision = model(vec![forward_to(vec![destination("v3", 1)])]);
    assert_eq!(failure(&decide_once(&decision, &get())), Failure::ClusterNotFound(503));
    let gateway_api =
        Forward { cluster_not_found_status: 500, ..forward(vec![destination("v3", 1)]) };
    let decision = model(vec![rule(Action::Forward(Box::new(gateway_api)))]);
    assert_eq!(failure(&decide_once(&decision, &get())), Failure::ClusterNotFound(500));
}

#[test]
fn an_invalid_share_fails_and_the_others_do_not() {
    let invalid =
        crate::model::Destination { invalid_status: Some(500), ..destination("invalid", 1) };
    let model = model(vec![forward_to(vec![destination("v1", 1), invalid])]);
    let with_ticket = |next: u64| decide_with(&model, &get(), next);
    assert_eq!(&*forwarding(&with_ticket(0)).cluster.name, "v1");
    assert_eq!(failure(&with_ticket(1)), Failure::ClusterNotFound(500));
}

#[test]
fn weights_divide_the_random_numbers_in_proportion() {
    let model = model(vec![forward_to(vec![
        destination("v1", 90),
        destination("v2", 10),
        destination("ring", 0),
    ])]);
    let mut counts = std::collections::BTreeMap::new();
    for next in 0..1000 {
        let decision = decide_with(&model, &get(), next);
        *counts.entry(forwarding(&decision).cluster.name.to_string()).or_insert(0) += 1;
    }
    assert_eq!(counts, [("v1".to_owned(), 900), ("v2".to_owned(), 100)].into());
}

#[test]
fn a_session_of_a_cohort_keeps_its_destination_and_others_are_drawn() {
    let cohort = Cohort {
        rollout: "r".into(),
        keys: vec![Key::Cookie("sid".into()), Key::Header("x-user".into())],
    };
    let weighted = Forward {
        cohort: Some(cohort),
        ..forward(vec![destination("v1", 50), destination("v2", 50)])
    };
    let model = model(vec![rule(Action::Forward(Box::new(weighted)))]);
    let cluster = |request: &RequestParts, next: u64| {
        let decision = decide_with(&model, request, next);
        forwarding(&decision).cluster.name.to_string()
    };
    for user in 0..20 {
        let by_cookie = get().with_header("cookie", format!("sid={user}"));
        assert_eq!(cluster(&by_cookie, 0), cluster(&by_cookie, 99), "{user}");
        assert_eq!(
            cluster(&by_cookie, 0),
            cluster(&get().with_header("x-user", user.to_string()), 99),
            "{user}"
        );
    }
    assert_ne!(cluster(&get(), 0), cluster(&get(), 99));
}

#[test]
fn t_hdr_the_routes_set_wins_over_the_destinations() {
    let mut route = forward_to(vec![
        crate::model::Destination {
            request_headers: set_headers(&[("x", "destination"), ("y", "destination")]),
            response_headers: set_headers(&[("x", "destination")]),
            ..destination("v1", 1)
        },
        destination("v2", 1),
    ]);
    route.request_headers = set_headers(&[("x", "route")]);
    route.response_headers = set_headers(&[("x", "route"), ("z", "route")]);
    let model = model(vec![route]);
    let decision = decide_once(&model, &get());
    let list = |headers: &[(&str, &str)]| -> Vec<(String, String)> {
        headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    };
    assert_eq!(
        headers_after(&decision, Message::Request),
        list(&[("x", "route"), ("y", "destination")])
    );
    assert_eq!(
        headers_after(&decision, Message::Response),
        list(&[("x", "route"), ("z", "route")])
    );
}

#[test]
fn t_hdr_the_routes_authority_wins_over_the_destinations() {
    let check = |of_route: Option<&str>,
                 ops: &[(&str, &str)],
                 of_destination: Option<&str>,
                 expected: Option<&str>| {
        let to = crate::model::Destination {
            host_rewrite: of_destination.map(Arc::from),
            ..destination("v1", 1)
        };
        let forward = Forward { host_rewrite: of_route.map(Arc::from), ..forward(vec![to]) };
        let mut route = rule(Action::Forward(Box::new(forward)));
        route.request_headers = set_headers(ops);
        let model = model(vec![route]);
        let decision = decide_once(&model, &get());
        assert_eq!(forwarding(&decision).authority.map(|authority| &**authority), expected);
    };
    check(None, &[], None, None);
    check(None, &[], Some("destination"), Some("destination"));
    check(Some("route"), &[("host", "header")], Some("destination"), Some("route"));
    check(None, &[("host", "header")], Some("destination"), Some("header"));
}

#[test]
fn responses_of_failures_are_changed_but_not_those_of_filters() {
    let mut route = forward_to(vec![destination("v3", 1)]);
    route.response_headers = set_headers(&[("x", "route")]);
    let not_found = model(vec![route.clone()]);
    assert_eq!(headers_after(&decide_once(&not_found, &get()), Message::Response).len(), 1);
    route.fault = Some(abort(AbortStatus::Http(418), 100.0));
    let aborted = model(vec![route]);
    assert!(headers_after(&decide_once(&aborted, &get()), Message::Response).is_empty());
}

fn abort(status: AbortStatus, percent: f64) -> Fault {
    Fault {
        delay: None,
        abort: Some(Abort { status, fraction: PerMillion::from_percent(percent) }),
    }
}

#[test]
fn t_fault_shares_are_parts_of_a_million_and_nothing_is_injected_at_zero() {
    let check = |percent: f64, ticket: u64, expected: bool| {
        let mut route = forward_to(vec![destination("v1", 1)]);
        route.fault = Some(abort(AbortStatus::Http(503), percent));
        let model = model(vec![route]);
        let decision = decide_with(&model, &get(), ticket);
        assert_eq!(
            matches!(decision.verdict, Verdict::Fail(_)),
            expected,
            "{percent} % at {ticket}"
        );
    };
    check(0.0, 0, false);
    check(100.0, 999_999, true);
    check(0.0001, 0, true);
    check(0.0001, 1, false);
    check(0.00019, 1, false);
    check(12.5, 124_999, true);
    check(12.5, 125_000, false);
    check(12.5, 1_000_000, true);
}

#[test]
fn delays_come_before_aborts_and_both_are_flagged() {
    let mut route = forward_to(vec![destination("v1", 1)]);
    let delay = Delay { duration: Duration::from_secs(7), fraction: PerMillion::ALL };
    route.fault = Some(Fault { delay: Some(delay), ..abort(AbortStatus::Grpc(14), 100.0) });
    let model = model(vec![route]);
    let decision = decide_once(&model, &get());
    assert_eq!(decision.delay, Some(Duration::from_secs(7)));
    assert_eq!(failure(&decision), Failure::FaultAbort { status: 200, grpc_status: Some(14) });
    assert_eq!(decision.flags().to_string(), "DI,FI");
}

#[test]
fn plain_requests_for_a_virtual_host_with_tls_are_redirected() {
    let model = model(Vec::new());
    let plain = decide_once(&model, &RequestParts::get("secure", "/x"));
    assert!(matches!(plain.verdict, Verdict::Redirect(Redirection::ToHttps)));
    let request = RequestParts { scheme: "https".to_owned(), ..RequestParts::get("secure", "/x") };
    let secure = decide_once(&model, &request);
    assert_eq!(failure(&secure), Failure::RouteNotFound);
}

#[test]
fn redirects_and_direct_responses_are_answered_here() {
    let redirect =
        Redirect { status: 302, scheme: None, authority: Some("b".into()), port: None, path: None };
    let mut route = rule(Action::Redirect(Box::new(redirect)));
    route.response_headers = set_headers(&[("x", "1")]);
    let model_of_redirect = model(vec![route]);
    let decision = decide_once(&model_of_redirect, &get());
    let Verdict::Redirect(redirection) = &decision.verdict else { panic!("{decision:?}") };
    assert_eq!((redirection.status(), redirection.location(&get())), (302, b"http://b/".to_vec()));
    assert_eq!(headers_after(&decision, Message::Response).len(), 1);

    let response = DirectResponse { status: 418, body: Arc::from(*b"teapot") };
    let model_of_response = model(vec![rule(Action::Direct(response))]);
    let decision = decide_once(&model_of_response, &get());
    assert!(matches!(decision.verdict, Verdict::Direct(DirectResponse { status: 418, .. })));
}

#[test]
fn t_mirror_copies_are_drawn_once_and_never_of_connect() {
    let mirror = |cluster: &str, percent: f64| Mirror {
        cluster: cluster.into(),
        fraction: PerMillion::from_percent(percent),
    };
    let mirrored = Forward {
        mirrors: vec![mirror("v1", 0.0), mirror("v2", 50.0), mirror("v3", 100.0)],
        ..forward(vec![destination("v1", 1)])
    };
    let model = model(vec![rule(Action::Forward(Box::new(mirrored)))]);
    let copies = |request: &RequestParts, next: u64| {
        let decision = decide_with(&model, request, next);
        forwarding(&decision)
            .mirrors
            .iter()
            .map(|mirror| mirror.cluster.to_string())
            .collect::<Vec<_>>()
    };
    assert_eq!(copies(&get(), 0), ["v2", "v3"]);
    assert_eq!(copies(&get(), 499_999), ["v2", "v3"]);
    assert_eq!(copies(&get(), 500_000), ["v3"]);
    assert!(copies(&get().with_method("CONNECT"), 0).is_empty());
}

#[test]
fn a_connect_without_a_path_finds_no_rule() {
    let model = model(vec![forward_to(vec![destination("v1", 1)])]);
    let connect = RequestParts::get("reviews", "").with_method("CONNECT");
    assert_eq!(failure(&decide_once(&model, &connect)), Failure::RouteNotFound);
}

#[test]
fn upgrades_are_refused_where_the_rule_does_not_pass_them_on() {
    let check = |allow_upgrade: bool, header: &str, expected: bool| {
        let forward = Forward { allow_upgrade, ..forward(vec![destination("v1", 1)]) };
        let model = model(vec![rule(Action::Forward(Box::new(forward)))]);
        let decision = decide_once(&model, &get().with_header(header, "websocket"));
        assert_eq!(matches!(decision.verdict, Verdict::Fail(Failure::UpgradeFailed)), expected);
    };
    check(true, "upgrade", false);
    check(false, "upgrade", true);
    check(false, "x", false);
}

#[test]
fn only_hashing_balancers_get_a_hash() {
    let hashed = |cluster: &str| Forward {
        hash: vec![HashPolicy { key: HashKey::Header("x-user".into()), terminal: false }],
        ..forward(vec![destination(cluster, 1)])
    };
    let hash = |cluster: &str| {
        let model = model(vec![rule(Action::Forward(Box::new(hashed(cluster))))]);
        let decision = decide_once(&model, &get().with_header("x-user", "jason"));
        forwarding(&decision).hash
    };
    assert!(hash("v1").is_none());
    assert!(hash("ring").is_some());
}

#[test]
fn the_path_is_rewritten_after_the_rules_condition() {
    let forward = Forward {
        path_rewrite: Some(PathRewrite::Prefix("/v1/".into())),
        ..forward(vec![destination("v1", 1)])
    };
    let mut route = rule(Action::Forward(Box::new(forward)));
    route.condition.path = PathMatch::Prefix("/api/".into());
    let model = model(vec![route]);
    let request = RequestParts::get("reviews", "/api/x?y");
    let decision = decide_once(&model, &request);
    assert_eq!(
        forwarding(&decision).rewritten_target(&request).as_deref(),
        Some(b"/v1/x?y".as_slice())
    );
}

#[test]
fn the_timeout_is_the_rules_unless_the_request_asks_for_another() {
    let seconds = Duration::from_secs;
    let check = |timeout: Option<u64>, headers: &[(&str, &str)], expected: Option<Duration>| {
        let forward =
            Forward { timeout: timeout.map(seconds), ..forward(vec![destination("v1", 1)]) };
        let model = model(vec![rule(Action::Forward(Box::new(forward)))]);
        let request =
            headers.iter().fold(get(), |request, (name, value)| request.with_header(name, value));
        let decision = decide_once(&model, &request);
        assert_eq!(forwarding(&decision).timeout, expected, "{timeout:?} {headers:?}");
    };
    let grpc = ("content-type", "application/grpc");
    check(None, &[], None);
    check(Some(5), &[], Some(seconds(5)));
    check(Some(5), &[("grpc-timeout", "1S")], Some(seconds(5)));
    check(Some(5), &[grpc, ("grpc-timeout", "1S")], Some(seconds(1)));
    check(Some(5), &[grpc, ("grpc-timeout", "9S")], Some(seconds(5)));
    check(Some(5), &[grpc], Some(seconds(5)));
    check(None, &[grpc, ("grpc-timeout", "9S")], Some(seconds(9)));
    check(Some(5), &[("x-envoy-upstream-rq-timeout-ms", "250")], Some(Duration::from_millis(250)));
    check(Some(5), &[("x-envoy-upstream-rq-timeout-ms", "0")], None);
    check(Some(5), &[("x-envoy-upstream-rq-timeout-ms", "x")], Some(seconds(5)));
}

#[test]
fn preflights_are_answered_before_the_rule_acts() {
    let mut route = forward_to(vec![destination("v1", 1)]);
    route.cors = Some(Cors {
        allow_origins: vec![ValueMatch::Prefix("https://".into())],
        forward_unmatched_preflights: true,
        ..Cors::default()
    });
    let model = model(vec![route]);
    let from = |origin: &str| {
        get()
            .with_method("OPTIONS")
            .with_header("origin", origin)
            .with_header("access-control-request-method", "PUT")
    };
    let allowed = decide_once(&model, &from("https://a"));
    assert!(matches!(allowed.verdict, Verdict::Preflight) && allowed.cors.is_some());
    let other = decide_once(&model, &from("http://a"));
    assert!(matches!(other.verdict, Verdict::Forward(_)) && other.cors.is_none());
}
