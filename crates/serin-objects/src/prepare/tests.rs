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

/// Any JSON, with names that fields of many kinds have, so that much of it fits somewhere.
fn any_value() -> impl proptest::strategy::Strategy<Value = Value> {
    use proptest::prelude::*;
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-2..70_000_i64).prop_map(Value::from),
        "[a-z]{0,3}".prop_map(Value::from),
        prop_oneof![
            Just("25%"),
            Just("1Gi"),
            Just("None"),
            Just("Always"),
            Just("LoadBalancer"),
            Just("v1")
        ]
        .prop_map(Value::from),
    ];
    let name = prop::sample::select(vec![
        "metadata",
        "labels",
        "annotations",
        "ownerReferences",
        "finalizers",
        "managedFields",
        "name",
        "spec",
        "status",
        "template",
        "containers",
        "ports",
        "containerPort",
        "port",
        "selector",
        "matchLabels",
        "strategy",
        "rollingUpdate",
        "maxSurge",
        "type",
        "replicas",
        "data",
        "stringData",
        "clusterIP",
        "rules",
        "metrics",
        "behavior",
        "resources",
        "limits",
        "cpu",
        "env",
        "valueFrom",
        "volumes",
        "emptyDir",
        "versions",
        "schema",
        "openAPIV3Schema",
        "names",
        "plural",
        "group",
        "http",
        "paths",
        "backend",
        "webhooks",
        "livenessProbe",
        "httpGet",
        "tolerations",
        "conditions",
        "subsets",
        "addresses",
        "jobTemplate",
    ]);
    leaf.prop_recursive(6, 60, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::btree_map(name.clone().prop_map(str::to_owned), inner, 0..6)
                .prop_map(|map| map.into_iter().collect()),
        ]
    })
}

/// Kubernetes' own resources and those of our definitions.
static ALL: std::sync::LazyLock<Vec<std::sync::Arc<Resource>>> = std::sync::LazyLock::new(|| {
    let definitions = serin_api::crd::all();
    let with = |catalog: Catalog, it: &Value| catalog.with_definition(it).unwrap();
    definitions.iter().fold(Catalog::builtin(), with).resources().cloned().collect()
});

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(400))]

    /// Whatever a client sends is refused or becomes an object whose canonical form it is already.
    #[test]
    fn no_body_is_too_odd(value in any_value(), patch in any_value(), at in 0..1000_usize) {
        use crate::{apply, patch as patches, table};
        let resource = &ALL[at % ALL.len()];
        let body = Body { value, duplicates: Vec::new() };
        if let Ok(decoded) = decode::object(resource, body, FieldValidation::Ignore) {
            let again = decode::again(resource, decoded.object.clone()).unwrap();
            proptest::prop_assert_eq!(&again, &decoded.object);
            let namespace = if resource.namespaced { "default" } else { "" };
            let _ = create(resource, decoded.object.clone(), &Identity { namespace, uid: "u" }, &context());
            let _ = update(resource, &decoded.object, again, &context());
            let _ = table::row(resource, None, &decoded.object, context().now);
            let text = patch.to_string();
            for kind in [patches::Kind::Json, patches::Kind::Merge, patches::Kind::Strategic] {
                let _ = patches::patch(resource, &decoded.object, kind, text.as_bytes(), FieldValidation::Warn);
            }
            let mut config = patch;
            if config.is_object() {
                config["apiVersion"] = resource.api_version().into();
                config["kind"] = resource.kind.as_str().into();
            }
            let options = apply::Options {
                now: context().now, manager: "m", force: true, subresource: None, validation: FieldValidation::Warn,
            };
            let body = Body { value: config, duplicates: Vec::new() };
            let _ = apply::apply(resource, Some(&decoded.object), body, &options);
        }
    }
}
