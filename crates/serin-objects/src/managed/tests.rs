use super::*;
use crate::Catalog;
use crate::decode::{Body, FieldValidation};

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap()
}

fn made(resource: &Resource, value: Value) -> Value {
    let body = Body { value, duplicates: Vec::new() };
    decode::object(resource, body, FieldValidation::Strict).unwrap().object
}

fn owned(object: &Value) -> Vec<(String, String, Value)> {
    let owners = read(object).unwrap_or_default();
    owners
        .into_iter()
        .map(|it| (it.manager, it.operation.as_str().to_owned(), it.set.to_value()))
        .collect()
}

#[test]
fn a_new_object_belongs_to_who_made_it() {
    let catalog = Catalog::builtin();
    let resource = catalog.find("apps", "v1", "deployments").unwrap();
    let mut object = made(
        resource,
        json!({"metadata": {"name": "web", "labels": {"app": "web"}}, "spec": {
            "selector": {"matchLabels": {"app": "web"}},
            "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [
                {"name": "nginx", "image": "nginx", "ports": [{"containerPort": 80, "protocol": "TCP"}]}]}}}}),
    );
    // Without defaults, so that the table stays short.
    object["spec"]["strategy"] =
        json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%"}});
    object["spec"]["template"]["spec"] = json!({
        "containers": [{"name": "nginx", "image": "nginx", "resources": {}, "ports": [{"containerPort": 80, "protocol": "TCP"}]}],
        "securityContext": {}});
    object["spec"]
        .as_object_mut()
        .unwrap()
        .retain(|name, _| ["selector", "strategy", "template"].contains(&name.as_str()));
    update(resource, None, &mut object, ("kubectl-create", None), at(0));
    assert_eq!(
        owned(&object),
        [(
            "kubectl-create".to_owned(),
            "Update".to_owned(),
            json!({
                "f:metadata": {"f:labels": {".": {}, "f:app": {}}},
                "f:spec": {
                    "f:selector": {},
                    "f:strategy": {"f:rollingUpdate": {".": {}, "f:maxSurge": {}}, "f:type": {}},
                    "f:template": {
                        "f:metadata": {"f:labels": {".": {}, "f:app": {}}},
                        "f:spec": {
                            "f:containers": {"k:{\"name\":\"nginx\"}": {
                                ".": {}, "f:image": {}, "f:name": {},
                                "f:ports": {".": {}, "k:{\"containerPort\":80,\"protocol\":\"TCP\"}": {
                                    ".": {}, "f:containerPort": {}, "f:protocol": {}}},
                                "f:resources": {}}},
                            "f:securityContext": {},
                        },
                    },
                },
            })
        )]
    );
}

#[test]
fn who_changes_a_field_takes_it_and_time_moves_only_then() {
    let catalog = Catalog::builtin();
    let resource = catalog.find("", "v1", "configmaps").unwrap();
    let mut first =
        made(resource, json!({"metadata": {"name": "c"}, "data": {"a": "1", "b": "2"}}));
    update(resource, None, &mut first, ("one", None), at(0));
    let mut second = first.clone();
    second["data"]["a"] = json!("9");
    update(resource, Some(&first), &mut second, ("two", None), at(10));
    assert_eq!(
        owned(&second),
        [
            ("one".to_owned(), "Update".to_owned(), json!({"f:data": {".": {}, "f:b": {}}})),
            ("two".to_owned(), "Update".to_owned(), json!({"f:data": {"f:a": {}}})),
        ]
    );
    let mut same = second.clone();
    update(resource, Some(&second), &mut same, ("three", None), at(20));
    assert_eq!(same, second);
    let mut gone = second.clone();
    gone["data"] = json!({"b": "2"});
    update(resource, Some(&second), &mut gone, ("one", None), at(30));
    assert_eq!(
        owned(&gone),
        [("one".to_owned(), "Update".to_owned(), json!({"f:data": {".": {}, "f:b": {}}}))]
    );
}

#[test]
fn old_owners_are_put_together() {
    let catalog = Catalog::builtin();
    let resource = catalog.find("", "v1", "configmaps").unwrap();
    let mut object = made(resource, json!({"metadata": {"name": "c"}, "data": {"k": "0"}}));
    update(resource, None, &mut object, ("m-00", None), at(0));
    for index in 1..15 {
        let mut next = object.clone();
        next["data"][format!("k{index}")] = json!("x");
        update(resource, Some(&object), &mut next, (&format!("m-{index:02}"), None), at(index));
        object = next;
    }
    let names: Vec<String> = owned(&object).into_iter().map(|it| it.0).collect();
    assert_eq!(names.len(), 10);
    assert!(names.contains(&ANCIENT.to_owned()) && names.contains(&"m-14".to_owned()), "{names:?}");
}
