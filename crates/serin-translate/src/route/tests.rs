use std::collections::{BTreeMap, HashMap};

use serde_json::{Value, json};
use serin_api::Object;
use serin_api::networking::VirtualService;
use serin_routing::model::{Forward, PathRedirect, PathRewrite, PerMillion, RedirectPort};

use super::*;
use crate::virtual_service::GatewayName;

/// Services that have one port each, and DestinationRules, by host.
#[derive(Default)]
struct Known {
    ports: HashMap<&'static str, u16>,
    names: HashMap<&'static str, Host>,
    rules: HashMap<&'static str, DestinationRule>,
}

impl ServiceLookup for Known {
    fn only_port(&self, host: &str) -> Option<u16> {
        self.ports.get(host).copied()
    }

    fn stands_for(&self, host: &str) -> Option<&Host> {
        self.names.get(host)
    }

    fn destination_rule(&self, host: &str) -> Option<&DestinationRule> {
        self.rules.get(host)
    }
}

fn made_with(rules: Value, known: &Known, default_retries: Option<&HttpRetry>) -> Routes {
    made_in("", rules, known, default_retries)
}

fn made_in(
    semantics: &str,
    rules: Value,
    known: &Known,
    default_retries: Option<&HttpRetry>,
) -> Routes {
    let spec = json!({"hosts": ["a.com"], "http": rules});
    let mut object = (*crate::virtual_service::testing::written("ns/vs", spec)).clone();
    if !semantics.is_empty() {
        let annotation = crate::virtual_service::SEMANTICS_ANNOTATION.to_owned();
        object.meta.annotations.insert(annotation, semantics.to_owned());
    }
    let resolved = crate::virtual_service::testing::resolved(&[Arc::new(object)]).remove(0);
    let labels = BTreeMap::from([("app".to_owned(), "client".to_owned())]);
    let gateways = [GatewayName::mesh()];
    let place = Place { labels: &labels, namespace: "ns", gateways: &gateways, port: 8080 };
    routes(
        &resolved,
        &RouteContext { place, terminates_tls: false, services: known, default_retries },
    )
}

fn made(rules: Value) -> Routes {
    made_with(rules, &Known::default(), None)
}

fn only(rules: Value) -> Route {
    let routes = made(rules);
    assert_eq!(routes.findings, []);
    assert_eq!(routes.routes.len(), 1);
    (*routes.routes[0]).clone()
}

fn forward(route: &Route) -> &Forward {
    match &route.action {
        Action::Forward(forward) => forward,
        other => panic!("{other:?}"),
    }
}

fn clusters(route: &Route) -> Vec<(&str, u32)> {
    forward(route).destinations.list().iter().map(|it| (&*it.cluster, it.weight)).collect()
}

fn to(host: &str) -> Value {
    json!([{"destination": {"host": host}}])
}

fn names(routes: &Routes) -> Vec<&str> {
    routes.routes.iter().map(|it| &*it.name).collect()
}

#[test]
fn t_order_each_match_is_a_route_in_the_order_of_rules_and_matches() {
    let routes = made(json!([
        {"name": "one", "match": [{"name": "b", "uri": {"prefix": "/b"}}, {"uri": {"prefix": "/a"}}], "route": to("x.y")},
        {"name": "two", "match": [{"uri": {"prefix": "/a/longer"}}], "route": to("x.y")},
    ]));
    assert_eq!(names(&routes), ["one.b", "one", "two"]);
    let origin = &routes.routes[1].origin;
    assert_eq!(
        (&*origin.namespace, &*origin.name, origin.index, origin.match_index),
        ("ns", "vs", Some(0), Some(1))
    );
}

#[test]
fn t_catchall_a_rule_that_takes_everything_cuts_off_the_rules_after_it() {
    let rest =
        json!({"name": "rest", "match": [{"uri": {"prefix": "/never"}}], "route": to("x.y")});
    let check = |first: Value, kept: &[&str]| {
        let routes = made(json!([first, rest]));
        assert_eq!(names(&routes), kept, "{first}");
        assert_eq!(routes.cut_at, (!kept.contains(&"rest")).then_some(1), "{first}");
    };
    let with = |matches: Value| json!({"name": "all", "match": matches, "route": to("x.y")});
    check(json!({"name": "all", "route": to("x.y")}), &["all"]);
    check(with(json!([{}])), &["all"]);
    check(with(json!([{"uri": {"prefix": "/"}}])), &["all"]);
    check(with(json!([{"uri": {"regex": ".*"}}])), &["all"]);
    check(with(json!([{"uri": {"regex": ".*"}}, {"uri": {"exact": "/x"}}])), &["all"]);
    check(with(json!([{"uri": {"prefix": "/"}, "method": {"exact": "GET"}}])), &["all", "rest"]);
    check(with(json!([{"authority": {"exact": "a"}}])), &["all", "rest"]);
    check(with(json!([{"queryParams": {"q": {"exact": "a"}}}])), &["all", "rest"]);
    check(with(json!([{"headers": {"@request.auth.claims.x": {"exact": "a"}}}])), &["all", "rest"]);
    check(with(json!([{"uri": {"regex": "/.*"}}])), &["all", "rest"]);
}

#[test]
fn t_catchall_only_a_rule_that_holds_here_cuts_off() {
    let elsewhere = |matches: Value| {
        let rules = json!([
            {"name": "first", "match": [matches], "route": to("x.y")},
            {"name": "second", "match": [{"uri": {"prefix": "/a"}}], "route": to("x.y")},
        ]);
        names(&made(rules)).join(" ")
    };
    assert_eq!(elsewhere(json!({"sourceLabels": {"app": "other"}})), "second");
    assert_eq!(elsewhere(json!({"port": 80})), "second");
    assert_eq!(elsewhere(json!({"gateways": ["gw"]})), "second");
    assert_eq!(elsewhere(json!({"sourceLabels": {"app": "client"}})), "first");
}

#[test]
fn weights_of_zero_are_left_out_unless_the_destination_is_alone() {
    let weighted = |weights: &[i32]| {
        let list: Vec<_> = weights
            .iter()
            .enumerate()
            .map(|(n, w)| json!({"destination": {"host": format!("h{n}.x")}, "weight": w}))
            .collect();
        let route = only(json!([{"route": list}]));
        clusters(&route)
            .iter()
            .map(|(cluster, weight)| format!("{cluster} {weight}"))
            .collect::<Vec<_>>()
    };
    assert_eq!(weighted(&[0]), ["outbound|8080||h0.x 1"]);
    assert_eq!(weighted(&[100, 0]), ["outbound|8080||h0.x 100"]);
    assert_eq!(weighted(&[1, 2]), ["outbound|8080||h0.x 1", "outbound|8080||h1.x 2"]);
}

#[test]
fn sessions_keep_their_destination_where_the_author_asks_for_it_and_there_is_a_choice() {
    let spec = json!({"hosts": ["a.com"], "http": [
        {"match": [{"uri": {"prefix": "/one"}}], "route": [{"destination": {"host": "a.com"}}]},
        {"route": [{"destination": {"host": "a.com"}, "weight": 90}, {"destination": {"host": "b.com"}, "weight": 10}]},
    ]});
    let mut object = (*crate::virtual_service::testing::written("ns/vs", spec)).clone();
    let cohorts = |object: &Object<VirtualService>| -> Vec<Option<String>> {
        let resolved =
            crate::virtual_service::testing::resolved(&[Arc::new(object.clone())]).remove(0);
        let (labels, gateways) = (BTreeMap::new(), [GatewayName::mesh()]);
        let place = Place { labels: &labels, namespace: "ns", gateways: &gateways, port: 8080 };
        let known = Known::default();
        let context =
            RouteContext { place, terminates_tls: false, services: &known, default_retries: None };
        let routes = routes(&resolved, &context).routes;
        let rollout = |route: &Arc<Route>| {
            forward(route).cohort.as_ref().map(|cohort| cohort.rollout.to_string())
        };
        routes.iter().map(rollout).collect()
    };
    assert_eq!(cohorts(&object), [None, None]);
    object.meta.annotations.insert("serin.dev/cohort".to_owned(), "cookie:session".to_owned());
    assert_eq!(cohorts(&object), [None, Some("ns/vs".to_owned())]);
    object.meta.annotations.insert("serin.dev/cohort".to_owned(), "nonsense".to_owned());
    assert_eq!(cohorts(&object), [None, None]);
}

#[test]
fn the_port_of_a_destination_is_written_or_the_services_only_one_or_the_listeners() {
    let known = Known { ports: HashMap::from([("one.x", 9000)]), ..Known::default() };
    let cluster = |destination: Value| {
        let routes = made_with(json!([{"route": [{"destination": destination}]}]), &known, None);
        clusters(&routes.routes[0])[0].0.to_owned()
    };
    assert_eq!(cluster(json!({"host": "one.x", "port": {"number": 80}})), "outbound|80||one.x");
    assert_eq!(cluster(json!({"host": "one.x", "subset": "v1"})), "outbound|9000|v1|one.x");
    assert_eq!(cluster(json!({"host": "two.x"})), "outbound|8080||two.x");
    assert_eq!(cluster(json!({"host": "short"})), "outbound|8080||short.ns.svc.cluster.local");
}

#[test]
fn another_name_of_a_service_leads_to_the_service() {
    let known =
        Known { names: HashMap::from([("alias.x", Host::new("real.x"))]), ..Known::default() };
    let routes = made_with(json!([{"route": to("alias.x")}]), &known, None);
    assert_eq!(clusters(&routes.routes[0]), [("outbound|8080||real.x", 1)]);
}

#[test]
fn t_hdr_a_lone_destinations_changes_join_the_rules_and_win() {
    let headers =
        |value: &str| json!({"request": {"set": {"x": value}}, "response": {"add": {"y": value}}});
    let route = only(json!([{
        "headers": headers("rule"),
        "route": [{"destination": {"host": "a.x"}, "headers": headers("destination")}],
    }]));
    let set: Vec<_> = route.request_headers.set.iter().map(|(_, value)| &*value.format).collect();
    assert_eq!(set, ["destination"]);
    assert_eq!(route.response_headers.add.len(), 2);
    assert!(forward(&route).destinations.list()[0].request_headers.is_empty());
}

#[test]
fn t_hdr_of_several_destinations_each_keeps_its_changes_even_if_one_alone_has_weight() {
    let headers = |value: &str| json!({"request": {"set": {"x": value, "host": value}}});
    let route = only(json!([{
        "headers": headers("rule"),
        "route": [
            {"destination": {"host": "a.x"}, "weight": 100, "headers": headers("destination")},
            {"destination": {"host": "b.x"}, "weight": 0},
        ],
    }]));
    let [destination] = forward(&route).destinations.list() else { panic!("one has weight") };
    assert_eq!(&*route.request_headers.set[0].1.format, "rule");
    assert_eq!(&*destination.request_headers.set[0].1.format, "destination");
    assert_eq!(forward(&route).host_rewrite.as_deref(), Some("rule"));
    assert_eq!(destination.host_rewrite.as_deref(), Some("destination"));
}

#[test]
fn t_hdr_the_authority_is_the_rewrites_then_the_rules_then_a_lone_destinations() {
    let host = |rewrite: Option<&str>, rule: Option<&str>, destination: Option<&str>| {
        let set = |value: Option<&str>| value.map(|it| json!({"request": {"set": {"Host": it}}}));
        let route = only(json!([{
            "rewrite": rewrite.map(|it| json!({"authority": it})),
            "headers": set(rule),
            "route": [{"destination": {"host": "a.x"}, "headers": set(destination)}],
        }]));
        forward(&route).host_rewrite.as_deref().unwrap_or("-").to_owned()
    };
    assert_eq!(host(Some("a"), Some("b"), Some("c")), "a");
    assert_eq!(host(None, Some("b"), Some("c")), "b");
    assert_eq!(host(None, None, Some("c")), "c");
    assert_eq!(host(None, None, None), "-");
}

#[test]
fn timeouts_are_off_unless_written() {
    let timeout =
        |written: Value| forward(&only(json!([{"timeout": written, "route": to("a.x")}]))).timeout;
    assert_eq!(timeout(json!(null)), None);
    assert_eq!(timeout(json!("0s")), None);
    assert_eq!(timeout(json!("1.5s")), Some(std::time::Duration::from_millis(1_500)));
}

#[test]
fn retries_are_the_rules_then_the_meshs_then_istios() {
    let mesh = HttpRetry { attempts: 7, ..Default::default() };
    let attempts = |written: Value, mesh| {
        let routes =
            made_with(json!([{"retries": written, "route": to("a.x")}]), &Known::default(), mesh);
        forward(&routes.routes[0]).retry.as_ref().map(|it| it.attempts)
    };
    assert_eq!(attempts(json!(null), None), Some(2));
    assert_eq!(attempts(json!(null), Some(&mesh)), Some(7));
    assert_eq!(attempts(json!({"attempts": 1}), Some(&mesh)), Some(1));
    assert_eq!(attempts(json!({"attempts": 0}), Some(&mesh)), None);
}

#[test]
fn t_mirror_an_absent_share_is_all_and_an_explicit_zero_is_none() {
    let mirrors = |mut rule: Value| {
        rule["route"] = to("a.x");
        let route = only(json!([rule]));
        forward(&route)
            .mirrors
            .iter()
            .map(|it| (it.cluster.to_string(), it.fraction.parts()))
            .collect::<Vec<_>>()
    };
    let b = || "outbound|8080|v2|b.x".to_owned();
    let mirror = json!({"host": "b.x", "subset": "v2"});
    assert_eq!(mirrors(json!({"mirror": mirror})), [(b(), 1_000_000)]);
    assert_eq!(mirrors(json!({"mirror": mirror, "mirrorPercentage": {"value": 0}})), []);
    assert_eq!(
        mirrors(json!({"mirror": mirror, "mirrorPercentage": {"value": 0.5}})),
        [(b(), 5_000)]
    );
    assert_eq!(mirrors(json!({"mirror": mirror, "mirrorPercent": 20})), [(b(), 200_000)]);
    assert_eq!(mirrors(json!({"mirror": mirror, "mirrorPercent": 0})), []);
    let both = json!({"mirror": mirror, "mirrorPercent": 20, "mirrorPercentage": {"value": 40}});
    assert_eq!(mirrors(both), [(b(), 400_000)]);
    let several = json!({"mirrors": [
        {"destination": mirror},
        {"destination": {"host": "c.x"}, "percentage": {"value": 10}},
        {"destination": {"host": "d.x"}, "percentage": {"value": 0}},
    ]});
    assert_eq!(mirrors(several), [(b(), 1_000_000), ("outbound|8080||c.x".to_owned(), 100_000)]);
    assert_eq!(PerMillion::ALL.parts(), 1_000_000);
}

#[test]
fn hash_policies_of_all_destinations_with_weight_are_on_the_route() {
    let by = |name: &str| -> DestinationRule {
        let policy = json!({"loadBalancer": {"consistentHash": {"httpHeaderName": name}}});
        serde_json::from_value(json!({"host": "x", "trafficPolicy": policy})).unwrap()
    };
    let known = Known {
        rules: HashMap::from([("a.x", by("a")), ("b.x", by("b")), ("c.x", by("c"))]),
        ..Known::default()
    };
    let made = |route: Value| made_with(json!([{"route": route}]), &known, None).routes.remove(0);
    let weighted =
        |host: &str, weight: i32| json!({"destination": {"host": host}, "weight": weight});
    let route = made(json!([
        weighted("a.x", 1),
        weighted("b.x", 0),
        weighted("c.x", 1),
        weighted("d.x", 1)
    ]));
    assert_eq!(forward(&route).hash.len(), 2);
    assert!(forward(&route).retry.as_ref().unwrap().avoid_previous_hosts);
    let route = made(to("a.x"));
    assert_eq!(forward(&route).hash.len(), 1);
    assert!(!forward(&route).retry.as_ref().unwrap().avoid_previous_hosts);
}

#[test]
fn redirects_leave_out_the_ports_that_go_without_saying() {
    let port = |written: Value| {
        let route = only(json!([{"redirect": written}]));
        let Action::Redirect(redirect) = route.action else { panic!("{:?}", route.action) };
        redirect.port.map(|port| match port {
            RedirectPort::Port(port) => port,
            other => panic!("{other:?}"),
        })
    };
    assert_eq!(port(json!({"authority": "b"})), None);
    assert_eq!(port(json!({"port": 80})), None);
    assert_eq!(port(json!({"port": 80, "scheme": "https"})), Some(80));
    assert_eq!(port(json!({"port": 443, "scheme": "https"})), None);
    assert_eq!(port(json!({"port": 443})), Some(443));
    assert_eq!(port(json!({"derivePort": "FROM_REQUEST_PORT"})), Some(8080));
    assert_eq!(port(json!({"derivePort": "FROM_PROTOCOL_DEFAULT"})), None);
}

#[test]
fn redirects_change_what_is_written_and_keep_the_rest() {
    let redirect = |written: Value| match only(json!([{"redirect": written}])).action {
        Action::Redirect(redirect) => *redirect,
        other => panic!("{other:?}"),
    };
    let made = redirect(json!({"uri": "/new", "authority": "b.com", "redirectCode": 308}));
    assert_eq!(made.status, 308);
    assert_eq!(made.authority.as_deref(), Some("b.com"));
    assert_eq!(made.path, Some(PathRedirect::Full("/new".into())));
    assert_eq!(made.scheme, None);
    assert_eq!(
        redirect(json!({"prefixRewrite": "/p"})).path,
        Some(PathRedirect::Prefix("/p".into()))
    );
    assert_eq!(redirect(json!({})).status, 301);
}

#[test]
fn direct_responses_have_a_text_or_bytes() {
    let body =
        |written: Value| match only(json!([{"directResponse": {"status": 418, "body": written}}]))
            .action
        {
            Action::Direct(response) => (response.status, response.body.to_vec()),
            other => panic!("{other:?}"),
        };
    assert_eq!(body(json!({"string": "tea"})), (418, b"tea".to_vec()));
    assert_eq!(body(json!({"bytes": "AP8="})), (418, vec![0, 255]));
    assert_eq!(body(json!(null)), (418, vec![]));
}

#[test]
fn rewrites_replace_the_matched_part_or_what_an_expression_finds() {
    let rewrite = |written: Value| {
        forward(&only(json!([{"rewrite": written, "route": to("a.x")}]))).path_rewrite.clone()
    };
    assert_eq!(rewrite(json!({"uri": "/new"})), Some(PathRewrite::Prefix("/new".into())));
    assert_eq!(rewrite(json!({"authority": "b"})), None);
    let made = rewrite(json!({"uriRegexRewrite": {"match": "/(a)", "rewrite": "/\\1\\1"}}));
    let Some(PathRewrite::Regex { pattern, substitution }) = made else { panic!("{made:?}") };
    assert_eq!((pattern.as_str(), substitution.as_str()), ("/(a)", "/\\1\\1"));
}

#[test]
fn rules_of_the_gateway_api_answer_500_and_take_the_slash_along_with_a_removed_prefix() {
    let rules = json!([{"match": [{"uri": {"prefix": "/a.b"}}], "rewrite": {"uri": "/"}, "route": to("a.x")}]);
    let routes = made_in("gateway", rules.clone(), &Known::default(), None);
    let made = forward(&routes.routes[0]);
    assert_eq!(made.cluster_not_found_status, 500);
    let Some(PathRewrite::Regex { pattern, substitution }) = &made.path_rewrite else {
        panic!("{:?}", made.path_rewrite)
    };
    assert_eq!((pattern.as_str(), substitution.as_str()), (r"^/a\.b(/?)(.*)", r"/\2"));
    let routes = made_in("", rules, &Known::default(), None);
    assert_eq!(forward(&routes.routes[0]).cluster_not_found_status, 503);
    assert_eq!(forward(&routes.routes[0]).path_rewrite, Some(PathRewrite::Prefix("/".into())));
}

#[test]
fn a_destination_that_is_none_leads_nowhere() {
    let routes = made_in(
        "gateway",
        json!([{"route": [{"destination": {"host": ""}}]}]),
        &Known::default(),
        None,
    );
    assert_eq!(clusters(&routes.routes[0]), [("UnknownService", 1)]);
}

#[test]
fn a_broken_rule_is_reported_and_leaves_the_others_alone() {
    let routes = made(json!([
        {"name": "bad", "match": [{"uri": {"prefix": "/x"}}, {"uri": {"regex": "("}}], "route": to("a.x")},
        {"name": "good", "route": to("a.x")},
    ]));
    assert_eq!(names(&routes), ["bad", "good"]);
    assert_eq!(routes.findings[0].field.to_string(), "spec.http[0].match[1].uri");
    let routes = made(json!([
        {"match": [{"uri": {"prefix": "/x"}}], "redirect": {"redirectCode": 200}},
        {"name": "good", "route": to("a.x")},
    ]));
    assert_eq!(names(&routes), ["good"]);
    assert_eq!(routes.findings[0].field.to_string(), "spec.http[0].redirect.redirectCode");
}

#[test]
fn t_src_rules_for_other_callers_make_no_routes_at_all() {
    let routes = made(json!([{"match": [{"sourceLabels": {"app": "other"}}], "route": to("a.x")}]));
    assert_eq!(routes, Routes::default());
}
