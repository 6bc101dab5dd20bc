use serde_json::json;

use super::*;
use crate::decode::{self, Body, FieldValidation};
use crate::{Catalog, Resource};

fn context() -> Context<'static> {
    Context {
        now: Timestamp::from_second(0).unwrap(),
        manager: "test",
        ownership: Ownership::Update,
        subresource: None,
    }
}

pub(super) fn resource(group: &str, plural: &str) -> std::sync::Arc<Resource> {
    Catalog::builtin().find_preferred(group, plural).unwrap().clone()
}

pub(super) fn created(resource: &Resource, value: Value) -> Result<Value, Status> {
    let body = Body { value, duplicates: Vec::new() };
    let object = decode::object(resource, body, FieldValidation::Strict)?.object;
    let namespace = if resource.namespaced { "default" } else { "" };
    create(resource, object, &Identity { namespace, uid: "u" }, &context()).map(|it| it.object)
}

#[test]
fn the_server_sets_what_is_its_own() {
    let maps = resource("", "configmaps");
    let object =
        created(&maps, json!({"metadata": {"name": "a", "uid": "mine", "generation": 7}})).unwrap();
    assert_eq!(
        object["metadata"],
        json!({"name": "a", "uid": "u", "namespace": "default", "creationTimestamp": "1970-01-01T00:00:00Z"})
    );
    let status =
        created(&maps, json!({"metadata": {"name": "a", "namespace": "other"}})).unwrap_err();
    assert_eq!(
        status.message,
        "the namespace of the provided object does not match the namespace sent on the request"
    );
}

#[test]
fn bad_names_are_refused_as_kubernetes_does() {
    let status = created(&resource("", "namespaces"), json!({"metadata": {"name": "Bad_Name"}}))
        .unwrap_err();
    assert_eq!(status.code, 422);
    assert!(
        status.message.starts_with("Namespace \"Bad_Name\" is invalid: metadata.name: Invalid value: \"Bad_Name\": a lowercase RFC 1123 label must"),
        "{}",
        status.message
    );
    let maps = resource("", "configmaps");
    let status = created(&maps, json!({"metadata": {"name": "c", "labels": {"bad key!": "x"}}}))
        .unwrap_err();
    assert!(
        status.message.starts_with("ConfigMap \"c\" is invalid: metadata.labels: Invalid value: \"bad key!\": name part must consist of"),
        "{}",
        status.message
    );
}
