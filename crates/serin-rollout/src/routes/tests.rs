use serde_json::{Value, json};
use serin_api::Object;
use serin_api::delivery::FlaggerCanary;

use super::*;
use crate::state::Cookies;

fn plan(spec: Value) -> Plan {
    let mut whole =
        json!({"targetRef": {"kind": "Deployment", "name": "podinfo"}, "service": {"port": 80}});
    for (key, value) in spec.as_object().unwrap() {
        whole[key] = value.clone();
    }
    let object = json!({"metadata": {"name": "podinfo"}, "spec": whole});
    Plan::of_flagger(&Object::<FlaggerCanary>::from_value(&object).unwrap())
}

fn routes(canary: u32) -> Routes {
    let cookies = Cookies {
        canary: Some("abc".to_owned()),
        primary: Some("xyz".to_owned()),
        expired: Some("old".to_owned()),
    };
    Routes { canary, mirror: None, cookies }
}

fn affinity() -> Value {
    json!({"interval": "1m", "stepWeight": 10, "sessionAffinity": {
        "cookieName": "fc", "primaryCookieName": "pc", "maxAge": 600, "path": "/", "httpOnly": true, "sameSite": "Lax",
    }})
}

/// Each rule as its cookie condition, the two weights, and the cookies that it sets.
fn shown(rules: &[HttpRoute]) -> Vec<String> {
    let cookie = |headers: &Option<Headers>| {
        let response = headers.as_ref().and_then(|it| it.response.as_ref());
        response.and_then(|it| it.add.get("Set-Cookie")).cloned().unwrap_or_default()
    };
    let of = |rule: &HttpRoute| {
        let headers = rule.matches.first().map(|it| &it.headers);
        let matched =
            headers.and_then(|it| it.get("Cookie")).and_then(StringMatch::text).unwrap_or_default();
        let [primary, canary] = rule.route.as_slice() else { panic!("two destinations") };
        let sets = [cookie(&rule.headers), cookie(&primary.headers), cookie(&canary.headers)];
        format!("{matched} {}/{} {}", primary.weight, canary.weight, sets.join("|"))
    };
    rules.iter().map(of).collect()
}

#[test]
fn users_stay_where_they_came_to() {
    let rules = http_rules(&plan(json!({"analysis": affinity()})), &routes(20));
    assert_eq!(
        shown(&rules),
        [
            "(.*;[ \t]*)?fc=abc([ \t]*;.*)? 0/100 ||",
            "(.*;[ \t]*)?fc=old([ \t]*;.*)? 80/20 fc=old; Max-Age=-1; HttpOnly; Path=/; SameSite=Lax|pc=xyz; Max-Age=60; HttpOnly; Path=/; SameSite=Lax|fc=abc; \
             Max-Age=600; HttpOnly; Path=/; SameSite=Lax",
            "(.*;[ \t]*)?pc=xyz([ \t]*;.*)? 100/0 ||",
            " 80/20 |pc=xyz; Max-Age=60; HttpOnly; Path=/; SameSite=Lax|fc=abc; Max-Age=600; HttpOnly; Path=/; SameSite=Lax",
        ]
    );
}

#[test]
fn weights_of_every_rule_sum_to_100() {
    for weight in 0..=100 {
        for analysis in
            [affinity(), json!({"iterations": 2, "match": [{"headers": {"a": {"exact": "b"}}}]})]
        {
            for rule in http_rules(&plan(json!({"analysis": analysis})), &routes(weight)) {
                assert_eq!(rule.route.iter().map(|to| to.weight).sum::<i32>(), 100);
            }
        }
    }
}

#[test]
fn cookies_of_others_do_not_match() {
    let rules = http_rules(&plan(json!({"analysis": affinity()})), &routes(20));
    let pattern = rules[0].matches[0].headers["Cookie"].text().unwrap();
    let regex = serin_re2::Regex::new(pattern).unwrap();
    for (cookie, expect) in [
        ("fc=abc", true),
        ("a=b; fc=abc", true),
        ("a=b; fc=abc; c=d", true),
        ("x-fc=1; y=abc", false),
        ("x-fc=abc", false),
        ("fc=abcd", false),
        ("fc=1; y=abc", false),
    ] {
        assert_eq!(regex.is_full_match(cookie.as_bytes()), expect, "{cookie}");
    }
}

#[test]
fn headers_of_the_user_are_not_mixed_with_cookies() {
    let headers = json!({"response": {"add": {"x-served-by": "mesh"}}});
    let plan = plan(json!({"service": {"port": 80, "headers": headers}, "analysis": affinity()}));
    let rules = http_rules(&plan, &routes(0));
    let of = |rule: &HttpRoute| rule.headers.clone().unwrap().response.unwrap().add;
    assert_eq!(of(&rules[1]).len(), 2, "the rule that takes an old cookie away");
    assert_eq!(of(&rules[3]).len(), 1, "the rule for all others");
}

#[test]
fn every_rule_that_leads_to_the_primary_is_mirrored() {
    let mirrored = Routes { mirror: Some(100), ..routes(0) };
    let rules = http_rules(&plan(json!({"analysis": affinity()})), &mirrored);
    let shown: Vec<bool> = rules.iter().map(|rule| rule.mirror.is_some()).collect();
    assert_eq!(shown, [false, true, true, true]);
}

#[test]
fn conditions_of_a_b_testing_keep_all_they_say_and_the_cookies() {
    let analysis = json!({"iterations": 5, "sessionAffinity": {"cookieName": "fc"}, "match": [
        {"queryParams": {"user": {"exact": "test"}}, "uri": {"prefix": "/beta"}},
    ]});
    let service = json!({"port": 80, "match": [{"headers": {"x-a": {"exact": "1"}}}]});
    let rules = http_rules(&plan(json!({"service": service, "analysis": analysis})), &routes(100));
    assert_eq!(rules.len(), 4, "sticky, freed, chosen, all others");
    let chosen = &rules[2];
    let condition = &chosen.matches[0];
    assert!(condition.headers.contains_key("x-a") && condition.query_params.contains_key("user"));
    assert!(condition.uri.is_some());
    assert_eq!((chosen.route[0].weight, chosen.route[1].weight), (0, 100));
    assert_eq!((rules[3].route[0].weight, rules[3].route.len()), (100, 1));
    let names: Vec<&str> = rules.iter().map(|rule| rule.name.as_str()).collect();
    assert_eq!(names, ["sticky-route", "sticky-route", "", ""]);
}

#[test]
fn weights_with_conditions_are_for_those_who_match() {
    let analysis =
        json!({"stepWeight": 10, "match": [{"headers": {"x-group": {"exact": "beta"}}}]});
    let rules = http_rules(
        &plan(json!({"analysis": analysis})),
        &Routes { canary: 30, ..Routes::default() },
    );
    let [chosen, others] = rules.as_slice() else { panic!("{rules:?}") };
    assert!(chosen.matches[0].headers.contains_key("x-group"));
    assert_eq!((chosen.route[0].weight, chosen.route[1].weight), (70, 30));
    assert!(others.matches.is_empty() && others.route.len() == 1, "{others:?}");
}

#[test]
fn a_condition_of_the_users_own_on_cookies_stays_beside_that_of_affinity() {
    let service = json!({"port": 80, "match": [{"headers": {"cookie": {"regex": ".*beta.*"}}}]});
    let rules = http_rules(&plan(json!({"service": service, "analysis": affinity()})), &routes(20));
    let names: Vec<&String> = rules[0].matches[0].headers.keys().collect();
    assert_eq!(names, ["Cookie", "cookie"]);
}

#[test]
fn all_requests_are_mirrored_where_no_share_is_said() {
    let mirrored = |share| {
        let rules =
            http_rules(&plan(json!({})), &Routes { mirror: Some(share), ..Routes::default() });
        rules[0].mirror_percentage.as_ref().map(|it| it.value)
    };
    assert_eq!((mirrored(100), mirrored(50)), (None, Some(50.0)));
}

#[test]
fn editing_the_service_leaves_the_weights() {
    let edited = json!({"port": 80, "timeout": "5s", "retries": {"attempts": 3}});
    let before = http_rules(&plan(json!({"analysis": affinity()})), &routes(40));
    let after = http_rules(&plan(json!({"service": edited, "analysis": affinity()})), &routes(40));
    assert_eq!(shown(&before), shown(&after));
    assert!(after.iter().all(|rule| rule.timeout.is_some() && rule.retries.is_some()));
}

/// The plan of a release through the Gateway API.
fn through_gateway(more: Value) -> Plan {
    let service = json!({
        "port": 80, "hosts": ["www.example.com"], "gatewayRefs": [{"name": "gateway"}],
        "timeout": "5s", "headers": {"request": {"add": {"x-a": "b"}}},
    });
    let mut spec = json!({"provider": "gatewayapi:v1", "service": service});
    for (key, value) in more.as_object().unwrap() {
        spec[key] = value.clone();
    }
    plan(spec)
}

#[test]
fn rules_of_the_gateway_api_say_the_same() {
    let plan = through_gateway(json!({"analysis": affinity()}));
    let set = Routes { canary: 20, mirror: Some(50), cookies: routes(20).cookies };
    let rules = gateway_rules(&plan, &set).unwrap();
    let weights = |rule: &serin_api::gateway_api::HttpRouteRule| {
        let of = |index: usize| rule.backend_refs[index].weight.unwrap();
        [of(0), of(1)]
    };
    let all: Vec<[i32; 2]> = rules.iter().map(weights).collect();
    assert_eq!(all, [[0, 100], [80, 20], [100, 0], [80, 20]]);
    let weighted = json!(rules[3]);
    assert_eq!(weighted["matches"][0]["path"]["value"], "/");
    assert_eq!(weighted["timeouts"], json!({"request": "5s"}));
    let canary = &weighted["backendRefs"][1];
    assert_eq!((&canary["name"], &canary["port"]), (&json!("podinfo-canary"), &json!(80)));
    let sets = &canary["filters"][0]["responseHeaderModifier"]["add"][0];
    assert_eq!(sets["name"], "Set-Cookie");
    let changes = &weighted["filters"][0]["requestHeaderModifier"];
    assert_eq!(changes["add"], json!([{"name": "x-a", "value": "b"}]));
    let mirror = &weighted["filters"][1]["requestMirror"];
    assert_eq!(mirror["backendRef"]["name"], "podinfo-canary");
    assert_eq!(mirror["percent"], 50);
    let sticky = json!(rules[0]);
    assert_eq!(sticky["matches"][0]["headers"][0]["type"], "RegularExpression");
    assert!(!sticky.to_string().contains("requestMirror"), "they are at the canary: {sticky}");
    // What someone else wrote is read for its weights.
    let read = read_gateway_rules(&plan, &rules);
    assert_eq!((read.canary, read.mirror), (20, Some(50)));
}

#[test]
fn conditions_without_words_in_the_gateway_api_are_told() {
    let refused = |condition: Value| {
        let service =
            json!({"port": 80, "gatewayRefs": [{"name": "gateway"}], "match": [condition]});
        let plan = through_gateway(json!({"service": service}));
        gateway_rules(&plan, &Routes::default()).err()
    };
    assert_eq!(refused(json!({"uri": {"prefix": "/a"}, "method": {"exact": "GET"}})), None);
    assert!(refused(json!({"sourceLabels": {"app": "a"}})).unwrap().contains("sourceLabels"));
    assert!(refused(json!({"headers": {"a": {"prefix": "b"}}})).unwrap().contains("prefix of a"));
}

#[test]
fn a_canary_that_names_gateways_and_no_provider_is_released_through_the_gateway_api() {
    use crate::plan::Router;
    let service = json!({"port": 80, "gatewayRefs": [{"name": "gateway"}]});
    assert_eq!(plan(json!({"service": service})).router, Router::HttpRoute);
    assert_eq!(plan(json!({})).router, Router::VirtualService);
    assert_eq!(plan(json!({"provider": "kubernetes"})).router, Router::Service);
}
