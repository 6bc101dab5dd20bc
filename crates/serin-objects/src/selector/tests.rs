use serde_json::json;

use super::*;
use crate::Catalog;

fn check(selector: &str, labels: Value, expect: bool) {
    let parsed = Labels::parse(selector).unwrap();
    assert_eq!(parsed.matches(&labels), expect, "{selector} against {labels}");
}

#[test]
fn label_selectors_select() {
    let web = json!({"app": "web", "track": "canary", "n": "5"});
    for (selector, expect) in [
        ("", true),
        ("app=web", true),
        ("app==web", true),
        ("app!=web", false),
        ("other!=x", true),
        ("app in (web, api)", true),
        ("track notin (canary)", false),
        ("track notin (stable),app=web", true),
        ("app", true),
        ("!app", false),
        ("!other", true),
        ("n>4", true),
        ("n<5", false),
        ("other notin (x)", true),
        ("in in (x)", false),
    ] {
        check(selector, web.clone(), expect);
    }
}

#[test]
fn what_is_wrong_with_a_label_selector_is_said_as_kubernetes_says_it() {
    for (selector, expect) in [
        ("a=(", "unable to parse requirement: found '(', expected: identifier"),
        ("a=b,", "found '', expected: identifier after ','"),
        (",a", "found ',', expected: !, identifier, or 'end of string'"),
        ("a in b", "unable to parse requirement: found 'b' expected: '('"),
        ("a b", "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt"),
        ("a=b c", "found 'c', expected: ',' or 'end of string'"),
    ] {
        assert_eq!(Labels::parse(selector).unwrap_err(), expect, "{selector}");
    }
    let why = Labels::parse("a/b/c=x").unwrap_err();
    assert!(
        why.starts_with(
            "unable to parse requirement: <nil>: Invalid value: \"a/b/c\": a qualified name"
        ),
        "{why}"
    );
}

#[test]
fn selectors_of_objects_are_selectors() {
    let object = json!({"matchLabels": {"a": "1"}, "matchExpressions": [
        {"key": "b", "operator": "In", "values": ["x", "y"]}, {"key": "c", "operator": "DoesNotExist"}]});
    let selector = Labels::from_object(&object).unwrap();
    assert_eq!(selector.to_string(), "a=1,b in (x,y),!c");
    assert!(selector.matches(&json!({"a": "1", "b": "y"})));
    assert!(!selector.matches(&json!({"a": "1", "b": "y", "c": ""})));
}

#[test]
fn field_selectors_select_known_fields() {
    let catalog = Catalog::builtin();
    let pods = catalog.find("", "v1", "pods").unwrap();
    let pod = json!({"metadata": {"name": "a"}, "status": {"phase": "Running"}});
    for (text, expect) in [
        ("metadata.name=a", true),
        ("metadata.name!=a", false),
        ("status.phase=Running,spec.nodeName=", true),
        ("status.phase==Pending", false),
    ] {
        let selector = Fields::parse(text).unwrap();
        assert_eq!(selector.check(pods), Ok(()));
        assert_eq!(selector.matches(&pod), expect, "{text}");
    }
    let wrong = Fields::parse("spec.colour=red").unwrap();
    assert_eq!(wrong.check(pods).unwrap_err(), "field label not supported: spec.colour");
    let maps = catalog.find("", "v1", "configmaps").unwrap();
    assert_eq!(
        wrong.check(maps).unwrap_err(),
        "\"spec.colour\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\""
    );
    let widgets = json!({"metadata": {"name": "widgets.example.com"}, "spec": {
        "group": "example.com", "scope": "Namespaced", "names": {"plural": "widgets", "kind": "Widget"},
        "versions": [{"name": "v1", "served": true, "storage": true}]}});
    let catalog = catalog.with_definition(&widgets).unwrap();
    let widgets = catalog.find("example.com", "v1", "widgets").unwrap();
    assert_eq!(wrong.check(widgets).unwrap_err(), "field label not supported: spec.colour");
    assert_eq!(
        Fields::parse("abc").unwrap_err(),
        "invalid selector: 'abc'; can't understand 'abc'"
    );
}
