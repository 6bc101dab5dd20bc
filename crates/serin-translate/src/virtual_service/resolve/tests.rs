use serde_json::{Value, json};
use serin_api::networking::VirtualService;

use super::super::testing::{resolved, resolved_one, settings, written};
use super::*;

fn hosts(names: &[Host]) -> Vec<&str> {
    names.iter().map(Host::as_str).collect()
}

fn to(host: &str) -> Value {
    json!([{"destination": {"host": host}}])
}

/// A rule as text: where it came from and its path.
fn shown(rules: &ResolvedVirtualService) -> Vec<String> {
    let origin = |it: &Origin| {
        let at = it.match_index.map_or(String::new(), |index| format!(".{index}"));
        format!("{}/{}#{}{at}", it.namespace, it.name, it.index.unwrap())
    };
    let mut lines = Vec::new();
    for rule in &rules.http {
        for (index, from) in rule.origins.iter().enumerate() {
            let root =
                from.root.as_ref().map_or(String::new(), |root| format!(" under {}", origin(root)));
            let path = rule.route.matches.get(index).and_then(|it| it.uri.as_ref()?.text());
            lines.push(format!("{}{root} {}", origin(from), path.unwrap_or("*")));
        }
    }
    lines
}

#[test]
fn short_names_are_services_of_the_virtual_services_own_namespace() {
    let made = resolved_one(
        "ns/a",
        json!({
            "hosts": ["reviews", "Foo.com", "*", "*.bar.com", "10.0.0.1"],
            "http": [{"route": to("reviews"), "mirror": {"host": "m"}, "mirrors": [{"destination": {"host": "n"}}]}],
            "tls": [{"match": [{"sniHosts": ["x"]}], "route": to("t")}],
            "tcp": [{"route": to("u.other")}],
        }),
    );
    let expect = ["reviews.ns.svc.cluster.local", "foo.com", "*", "*.bar.com", "10.0.0.1"];
    assert_eq!(hosts(&made.hosts), expect);
    let expect =
        ["m.ns.svc.cluster.local", "n.ns.svc.cluster.local", "reviews.ns.svc.cluster.local"];
    assert_eq!(hosts(&made.destinations), expect);
    assert_eq!(made.tls[0].route[0].destination.as_ref().unwrap().host, "t.ns.svc.cluster.local");
    assert_eq!(made.tcp[0].route[0].destination.as_ref().unwrap().host, "u.other");
}

#[test]
fn without_gateways_the_rules_are_for_the_mesh() {
    let made = resolved_one("ns/a", json!({"hosts": ["a"]}));
    assert_eq!(made.gateways, [GatewayName::mesh()]);
    let made = resolved_one("ns/a", json!({"hosts": ["a"], "gateways": ["gw", "x/y"]}));
    assert_eq!(made.gateways, [GatewayName::new("ns", "gw"), GatewayName::new("x", "y")]);
}

#[test]
fn what_is_made_from_the_gateway_api_keeps_its_names() {
    let mut object =
        (*written("ns/a", json!({"hosts": ["short"], "http": [{"route": to("b")}]}))).clone();
    object
        .meta
        .annotations
        .insert(crate::virtual_service::SEMANTICS_ANNOTATION.to_owned(), "gateway".to_owned());
    let made = resolved(&[Arc::new(object)]).remove(0);
    assert_eq!(made.semantics, Semantics::Gateway);
    assert_eq!(hosts(&made.hosts), ["short"]);
    assert_eq!(hosts(&made.destinations), ["b"]);
}

fn root(rules: Value) -> Written {
    written("roots/root", json!({"hosts": ["a.com"], "gateways": ["gw"], "http": rules}))
}

fn leaf(spec: Value) -> Written {
    written("leaves/leaf", spec)
}

fn delegating(path: &str) -> Value {
    json!({"match": [{"uri": {"prefix": path}}], "delegate": {"name": "leaf", "namespace": "leaves"}})
}

#[test]
fn rules_of_a_delegate_take_the_place_of_the_rule_that_names_it() {
    let root = root(json!([
        {"match": [{"uri": {"exact": "/first"}}], "route": to("x")},
        delegating("/a"),
        {"route": to("y")},
    ]));
    let leaf = leaf(json!({"http": [
        {"match": [{"uri": {"prefix": "/a/1"}}, {"uri": {"prefix": "/a/2"}}], "route": to("short")},
        {"route": to("other")},
    ]}));
    let made = resolved(&[root, leaf]);
    assert_eq!(made.len(), 1, "a delegate is no VirtualService of its own");
    assert_eq!(
        shown(&made[0]),
        [
            "roots/root#0.0 /first",
            "leaves/leaf#0.0 under roots/root#1.0 /a/1",
            "leaves/leaf#0.1 under roots/root#1.0 /a/2",
            "leaves/leaf#1 under roots/root#1.0 /a",
            "roots/root#2 *",
        ]
    );
    assert_eq!(made[0].findings, []);
    // Short names of a delegate belong to its own namespace.
    assert!(hosts(&made[0].destinations).contains(&"short.leaves.svc.cluster.local"));
}

#[test]
fn a_missing_delegate_takes_only_its_rule_along() {
    let made = resolved(&[root(json!([delegating("/a"), {"route": to("y")}]))]).remove(0);
    assert_eq!(shown(&made), ["roots/root#1 *"]);
    assert_eq!(made.findings.len(), 1);
    assert_eq!(made.findings[0].field.to_string(), "spec.http[0].delegate");
    assert!(made.findings[0].message.contains("leaves/leaf"), "{}", made.findings[0].message);
}

#[test]
fn a_delegate_counts_only_where_it_is_exported_to_the_roots_namespace() {
    let check = |export_to: Value, taken: bool| {
        let spec = json!({"exportTo": export_to, "http": [{"route": to("x")}]});
        let made = resolved(&[root(json!([delegating("/a")])), leaf(spec)]).remove(0);
        assert_eq!(made.http.len(), usize::from(taken), "{export_to}");
        assert_eq!(made.findings.is_empty(), taken, "{export_to}");
    };
    check(json!([]), true);
    check(json!(["*"]), true);
    check(json!(["roots"]), true);
    check(json!(["."]), false);
    check(json!(["leaves"]), false);
    check(json!(["~"]), false);
}

#[test]
fn a_conflicting_rule_is_left_out_and_both_authors_are_told() {
    let leaf = leaf(json!({"http": [
        {"match": [{"uri": {"prefix": "/b"}}], "route": to("x")},
        {"match": [{"uri": {"prefix": "/a/1"}}], "route": to("y")},
    ]}));
    let made = resolved(&[root(json!([delegating("/a")])), leaf]).remove(0);
    assert_eq!(shown(&made), ["leaves/leaf#1.0 under roots/root#0.0 /a/1"]);
    let told: Vec<_> = made
        .findings
        .iter()
        .map(|it| format!("{} {}", it.object.as_ref().unwrap(), it.field))
        .collect();
    assert_eq!(
        told,
        [
            "VirtualService leaves/leaf spec.http[0].match[0]",
            "VirtualService roots/root spec.http[0]"
        ]
    );
}

#[test]
fn a_delegate_cannot_delegate() {
    let leaf = leaf(json!({"http": [{"delegate": {"name": "more"}}, {"route": to("y")}]}));
    let made = resolved(&[root(json!([delegating("/a")])), leaf]).remove(0);
    assert_eq!(shown(&made), ["leaves/leaf#1 under roots/root#0.0 /a"]);
    assert_eq!(made.findings[0].field.to_string(), "spec.http[0].delegate");
}

#[test]
fn without_a_namespace_the_delegate_is_a_neighbour_of_the_root() {
    let root = root(json!([{"delegate": {"name": "leaf"}}]));
    let leaf = written("roots/leaf", json!({"http": [{"route": to("x")}]}));
    assert_eq!(shown(&resolved(&[root, leaf])[0]), ["roots/leaf#0 under roots/root#0 *"]);
}

#[test]
fn what_has_not_changed_is_the_same_as_before() {
    let plain = written("ns/a", json!({"hosts": ["a"], "http": [{"route": to("x")}]}));
    let root = root(json!([delegating("/a")]));
    let before = leaf(json!({"http": [{"route": to("x")}]}));
    let after = leaf(json!({"http": [{"route": to("y")}]}));
    let mut resolver = Resolver::default();
    let mut resolve = |objects: &[&Written]| {
        resolver.resolve(&objects.iter().map(|it| Arc::clone(it)).collect(), &settings())
    };
    let first = resolve(&[&plain, &before, &root]);
    let second = resolve(&[&plain, &after, &root]);
    assert!(Arc::ptr_eq(&first[0], &second[0]));
    assert!(!Arc::ptr_eq(&first[1], &second[1]), "the root changes with its delegate");
    let third = resolve(&[&plain, &after, &root]);
    assert!(Arc::ptr_eq(&second, &third));
    let other = written("ns/a", json!({"hosts": ["a"], "http": [{"route": to("y")}]}));
    let fourth = resolve(&[&other, &after, &root]);
    assert!(!Arc::ptr_eq(&third[0], &fourth[0]) && Arc::ptr_eq(&third[1], &fourth[1]));
    let more = written("ns/b", json!({"hosts": ["b"], "http": [{"route": to("y")}]}));
    let fifth = resolve(&[&other, &more, &after, &root]);
    assert!(Arc::ptr_eq(&fourth[0], &fifth[0]) && Arc::ptr_eq(&fourth[1], &fifth[2]));
    assert_eq!(hosts(&fifth[1].hosts), ["b.ns.svc.cluster.local"]);
    let sixth = resolve(&[&other, &root]);
    assert!(Arc::ptr_eq(&fifth[0], &sixth[0]) && sixth[1].http.is_empty());
    assert_eq!(resolver.known.len(), 2);
}

#[test]
fn rules_make_services_known_to_the_callers_they_are_for() {
    let made = resolved_one(
        "ns/a",
        json!({"hosts": ["a"], "http": [
            {"match": [{"sourceNamespace": "x"}], "route": [{"destination": {"host": "b", "port": {"number": 80}}}]},
            {"route": to("c"), "mirror": {"host": "d"}},
        ]}),
    );
    let known = |namespace: &str| -> Vec<_> {
        let ports = made.destinations_from(namespace);
        ports.iter().map(|(host, ports)| format!("{}{ports:?}", &host[..1])).collect()
    };
    assert_eq!(known("x"), ["b{80}", "c{0}", "d{0}"]);
    assert_eq!(known("y"), ["c{0}", "d{0}"]);
}

#[test]
fn an_untouched_spec_is_not_changed_by_resolving() {
    let spec: VirtualService = serde_json::from_value(json!({
        "hosts": ["a.b"],
        "gateways": ["ns/gw"],
        "http": [{"match": [{"gateways": ["mesh"]}], "route": to("x.y"), "timeout": "5s"}],
    }))
    .unwrap();
    let object = Object { spec: spec.clone(), ..Object::default() };
    assert_eq!(resolve_names(&object, Some(&settings())), spec);
}
