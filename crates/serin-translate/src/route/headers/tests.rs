use serde_json::{Value, json};

use super::*;

fn read(written: Value) -> RouteHeaders {
    RouteHeaders::new(Some(&serde_json::from_value(written).unwrap()))
}

fn shown(changes: &[(Arc<str>, HeaderValue)]) -> Vec<String> {
    changes.iter().map(|(name, value)| format!("{name}={}", value.format)).collect()
}

#[test]
fn t_hdr_changes_are_sorted_by_name_and_names_are_lower_case() {
    let made = read(json!({"request": {
        "set": {"x-b": "2", "X-A": "1"},
        "add": {"z": "4", "y": "3"},
        "remove": ["Second", "First"],
    }}));
    assert_eq!(shown(&made.request.set), ["x-a=1", "x-b=2"]);
    assert_eq!(shown(&made.request.add), ["y=3", "z=4"]);
    assert_eq!(made.request.remove, [Arc::from("second"), Arc::from("first")]);
}

#[test]
fn t_hdr_setting_the_host_is_a_new_authority_and_removing_it_is_nothing() {
    let made = read(json!({"request": {
        "set": {"Host": "set.example.com"},
        "add": {":authority": "added.example.com", "x": "1"},
        "remove": ["host", ":path", "y"],
    }}));
    assert_eq!(made.authority.as_deref(), Some("set.example.com"));
    assert_eq!(shown(&made.request.add), ["x=1"]);
    assert!(made.request.set.is_empty());
    assert_eq!(made.request.remove, [Arc::from("y")]);
    assert_eq!(read(json!({"request": {"add": {"host": "a"}}})).authority.as_deref(), Some("a"));
    assert_eq!(read(json!({"response": {"set": {"host": "a"}}})), RouteHeaders::default());
}

#[test]
fn t_hdr_what_is_appended_wins_over_what_was_there() {
    let mut rule = read(
        json!({"request": {"set": {"x": "rule", "y": "rule"}, "add": {"x": "more", "z": "rule"}}}),
    );
    rule.append(read(json!({"request": {"set": {"x": "destination"}, "add": {"z": "destination"}, "remove": ["y"]}})));
    assert_eq!(shown(&rule.request.set), ["y=rule", "x=destination"]);
    assert_eq!(shown(&rule.request.add), ["z=rule", "z=destination"]);
    assert_eq!(rule.request.remove, [Arc::from("y")]);
}
