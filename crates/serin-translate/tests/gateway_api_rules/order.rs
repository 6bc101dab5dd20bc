//! The order in which rules of one or several routes are tried.

use super::*;

fn names(rules: &[(&str, &str)]) -> Vec<String> {
    let rules: Vec<_> =
        rules.iter().map(|(name, it)| format!("{{name: {name}, matches: [{{{it}}}]}}")).collect();
    let converted =
        convert(&[gateway(OPEN), route("r", &format!("rules: [{}]", rules.join(", ")))]);
    converted.virtual_services[0].spec.http.iter().map(|it| it.name.clone()).collect()
}

#[test]
fn the_most_specific_match_comes_first() {
    let given = [
        ("any", "path: {value: /}"),
        ("regex", "path: {type: RegularExpression, value: /very/long/expression/.*}"),
        ("long", "path: {value: /prefix/longer}"),
        ("short-get-header", "path: {value: /prefix}, method: GET, headers: [{name: x, value: v}]"),
        (
            "short-two-headers",
            "path: {value: /prefix}, headers: [{name: x, value: v}, {name: z, value: v}]",
        ),
        ("short-query", "path: {value: /prefix}, queryParams: [{name: x, value: v}]"),
        ("short-get", "path: {value: /prefix}, method: GET"),
        ("short-header", "path: {value: /prefix}, headers: [{name: x, value: v}]"),
        ("short", "path: {value: /prefix}"),
        ("exact", "path: {type: Exact, value: /}"),
    ];
    let expect = [
        "exact",
        "long",
        "short-get-header",
        "short-get",
        "short-two-headers",
        "short-header",
        "short-query",
        "short",
        "any",
        "regex",
    ];
    assert_eq!(names(&given), expect);
}

#[test]
fn equal_matches_keep_the_order_of_the_rules() {
    let same = "path: {value: /same}";
    assert_eq!(names(&[("b", same), ("a", same), ("c", same)]), ["b", "a", "c"]);
}

#[test]
fn each_match_of_a_rule_finds_its_own_place() {
    let rules = "rules: [{name: two, matches: [{path: {value: /a}}, {path: {type: Exact, value: /b}}]}, \
                 {name: between, matches: [{path: {value: /middle}}]}]";
    let converted = convert(&[gateway(OPEN), route("r", rules)]);
    let http = &converted.virtual_services[0].spec.http;
    let shown: Vec<_> =
        http.iter().map(|it| (it.name.as_str(), it.matches[0].uri.clone().unwrap())).collect();
    let prefix = |it: &str| StringMatch::Prefix(it.to_owned());
    let expect = [
        ("two", StringMatch::Exact("/b".to_owned())),
        ("between", prefix("/middle")),
        ("two", prefix("/a")),
    ];
    assert_eq!(shown, expect);
}

#[test]
fn routes_for_one_host_merge_and_the_oldest_wins_among_equals() {
    let same = "hostnames: [h.example], rules: [{matches: [{path: {value: /}}], backendRefs: [{name: a, port: 80}]}]";
    let aged = |name: &str, time: &str| {
        route(name, same)
            .replace("metadata: {", &format!("metadata: {{creationTimestamp: '{time}', "))
    };
    let converted = convert(&[
        gateway(OPEN),
        aged("a-young", "2024-01-02T00:00:00Z"),
        aged("b-old", "2024-01-01T00:00:00Z"),
        aged("a-old", "2024-01-01T00:00:00Z"),
    ]);
    let [merged] = converted.virtual_services.as_slice() else { panic!("{:?}", hosts(&converted)) };
    let order: Vec<_> = merged.spec.http.iter().map(|it| it.name.as_str()).collect();
    assert_eq!(order, ["app.a-old.0", "app.b-old.0", "app.a-young.0"]);
    assert_eq!(merged.meta.creation_timestamp.as_deref(), Some("2024-01-01T00:00:00Z"));
    let parents = &merged.meta.annotations["internal.istio.io/parents"];
    assert_eq!(parents, "HTTPRoute/a-old.app,HTTPRoute/b-old.app,HTTPRoute/a-young.app");
}

#[test]
fn http_and_grpc_routes_for_one_host_are_one_list() {
    let grpc = object(
        "GRPCRoute",
        "app",
        "g",
        &format!(
            "{PARENT}, hostnames: [h.example], rules: [{{matches: [{{method: {{service: s, method: m}}}}], backendRefs: [{{name: b, port: 80}}]}}]"
        ),
    );
    let http = route("r", "hostnames: [h.example], rules: [{backendRefs: [{name: a, port: 80}]}]");
    let converted = convert(&[gateway(OPEN), http, grpc]);
    let [merged] = converted.virtual_services.as_slice() else { panic!("{:?}", hosts(&converted)) };
    let order: Vec<_> = merged.spec.http.iter().map(|it| it.name.as_str()).collect();
    assert_eq!(order, ["app.g.0", "app.r.0"]);
    assert_eq!(listener(&converted, 0)["attachedRoutes"], 2);
}
