use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::Catalog;

fn patched(plural: (&str, &str), old: &Value, kind: Kind, body: &str) -> Result<Value, Status> {
    let catalog = Catalog::builtin();
    let resource = catalog.find(plural.0, "v1", plural.1).unwrap();
    patch(resource, old, kind, body.as_bytes(), FieldValidation::Strict).map(|it| it.object)
}

fn map(data: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": data})
}

const MAPS: (&str, &str) = ("", "configmaps");

#[test]
fn merge_patches_merge() {
    let old = map(json!({"a": "1", "b": "2"}));
    let new = patched(MAPS, &old, Kind::Merge, r#"{"data":{"a":null,"c":"3"}}"#).unwrap();
    assert_eq!(new["data"], json!({"b": "2", "c": "3"}));
    let status = patched(MAPS, &old, Kind::Merge, r#"{"data":{"a":1}}"#).unwrap_err();
    assert_eq!(status.code, 422);
    assert!(
        status.message.ends_with(
            "json: cannot unmarshal number into Go struct field ConfigMap.data of type string"
        ),
        "{}",
        status.message
    );
}

#[test]
fn json_patches_are_carried_out_or_refused() {
    let old = map(json!({"b": "2"}));
    let new = patched(
        MAPS,
        &old,
        Kind::Json,
        r#"[{"op":"test","path":"/data/b","value":"2"},{"op":"replace","path":"/data/b","value":"two"}]"#,
    );
    assert_eq!(new.unwrap()["data"], json!({"b": "two"}));
    for body in [
        r#"[{"op":"test","path":"/data/b","value":"no"}]"#,
        r#"[{"op":"remove","path":"/data/zzz"}]"#,
    ] {
        let status = patched(MAPS, &old, Kind::Json, body).unwrap_err();
        assert_eq!((status.code, status.reason.as_str()), (422, "Invalid"));
        assert_eq!(
            status.message,
            "the server rejected our request due to an error in our request"
        );
    }
    assert_eq!(patched(MAPS, &old, Kind::Json, "{}").unwrap_err().code, 400);
}

fn pod_spec(old: Value, patch: Value) -> Result<Value, Status> {
    let node = crate::schema::builtin::named("io.k8s.api.core.v1.PodSpec");
    strategic::merge(node, old, patch)
}

fn check(old: Value, patch: Value, expect: Value) {
    assert_eq!(pod_spec(old, patch.clone()).unwrap(), expect, "{patch}");
}

#[test]
fn strategic_patches_merge_lists_by_their_keys() {
    let old = json!({"containers": [{"name": "a", "image": "1", "args": ["x"]}, {"name": "b"}]});
    check(
        old.clone(),
        json!({"containers": [{"name": "a", "image": "2", "args": ["y"]}]}),
        json!({"containers": [{"name": "a", "image": "2", "args": ["y"]}, {"name": "b"}]}),
    );
    check(
        old.clone(),
        json!({"containers": [{"name": "c"}]}),
        json!({"containers": [{"name": "c"}, {"name": "a", "image": "1", "args": ["x"]}, {"name": "b"}]}),
    );
    check(
        old.clone(),
        json!({"containers": [{"name": "a", "$patch": "delete"}]}),
        json!({"containers": [{"name": "b"}]}),
    );
    check(
        old.clone(),
        json!({"containers": [{"name": "z"}, {"$patch": "replace"}]}),
        json!({"containers": [{"name": "z"}]}),
    );
    check(
        old.clone(),
        json!({"$setElementOrder/containers": [{"name": "b"}, {"name": "n"}, {"name": "a"}], "containers": [{"name": "n"}]}),
        json!({"containers": [{"name": "b"}, {"name": "n"}, {"name": "a", "image": "1", "args": ["x"]}]}),
    );
    check(
        json!({"tolerations": [{"key": "a"}], "nodeSelector": {"a": "1"}}),
        json!({"tolerations": [{"key": "b"}], "nodeSelector": {"b": "2"}}),
        json!({"tolerations": [{"key": "b"}], "nodeSelector": {"a": "1", "b": "2"}}),
    );
    let status = pod_spec(old, json!({"containers": [{"image": "x"}]})).unwrap_err();
    assert_eq!(status.message, "map: map[image:x] does not contain declared merge key: name");
}

#[test]
fn directives_replace_delete_and_retain() {
    let old = json!({"securityContext": {"runAsUser": 1, "fsGroup": 2}, "dnsPolicy": "x"});
    check(
        old.clone(),
        json!({"securityContext": {"$patch": "replace", "runAsUser": 3}}),
        json!({"securityContext": {"runAsUser": 3}, "dnsPolicy": "x"}),
    );
    check(
        old,
        json!({"securityContext": {"$patch": "delete"}, "dnsPolicy": null}),
        json!({"securityContext": {}}),
    );
    check(
        json!({"volumes": [{"name": "v", "emptyDir": {}}]}),
        json!({"volumes": [{"name": "v", "$retainKeys": ["name", "configMap"], "configMap": {"name": "c"}}]}),
        json!({"volumes": [{"name": "v", "configMap": {"name": "c"}}]}),
    );
    let node = crate::schema::builtin::of_kind("", "v1", "ConfigMap");
    let old = json!({"metadata": {"finalizers": ["a/x", "b/x", "c/x"]}});
    let patch = json!({"metadata": {"$deleteFromPrimitiveList/finalizers": ["b/x"],
        "$setElementOrder/finalizers": ["c/x", "a/x"], "finalizers": ["d/x"]}});
    assert!(strategic::merge(node, old.clone(), patch).is_err());
    let patch = json!({"metadata": {"$deleteFromPrimitiveList/finalizers": ["b/x"],
        "$setElementOrder/finalizers": ["c/x", "d/x", "a/x"], "finalizers": ["d/x"]}});
    assert_eq!(
        strategic::merge(node, old, patch).unwrap(),
        json!({"metadata": {"finalizers": ["c/x", "d/x", "a/x"]}})
    );
}

#[test]
fn a_merged_value_of_the_wrong_type_is_refused() {
    let old = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": {}});
    let patch = r#"{"spec":{"replicas":"x"}}"#;
    let status = patched(("apps", "deployments"), &old, Kind::Strategic, patch).unwrap_err();
    let details = status.details.unwrap();
    assert_eq!(details.causes[0].field, "patch");
    assert_eq!(
        details.causes[0].message,
        "Invalid value: \"map[spec:map[replicas:x]]\": unrecognized type: int32"
    );
}

/// What a merge patch means, written as its definition.
fn naive(target: &Value, patch: &Value) -> Value {
    let (Value::Object(target), Value::Object(patch)) = (target, patch) else {
        return match patch {
            Value::Object(_) => naive(&json!({}), patch),
            other => other.clone(),
        };
    };
    let mut names: Vec<&String> = target.keys().chain(patch.keys()).collect();
    names.sort();
    names.dedup();
    let entry = |name: &String| match (target.get(name), patch.get(name)) {
        (_, Some(Value::Null)) => None,
        (Some(old), None) => Some((name.clone(), old.clone())),
        (old, Some(new)) => Some((name.clone(), naive(old.unwrap_or(&Value::Null), new))),
        (None, None) => None,
    };
    names.into_iter().filter_map(entry).collect()
}

fn value() -> impl Strategy<Value = Value> {
    let leaf =
        prop_oneof![Just(Value::Null), (0..3).prop_map(Value::from), "[xy]".prop_map(Value::from)];
    leaf.prop_recursive(3, 16, 3, |inner| {
        prop::collection::btree_map("[a-c]", inner, 0..3).prop_map(|map| map.into_iter().collect())
    })
}

proptest! {
    #[test]
    fn merge_patches_do_what_their_definition_says(old in value(), new in value()) {
        let mut target = old.clone();
        merge::merge(&mut target, &new);
        prop_assert_eq!(&target, &naive(&old, &new));
        let mut oracle = old;
        json_patch::merge(&mut oracle, &new);
        prop_assert_eq!(target, oracle);
    }

    /// Without lists and directives a strategic patch is a merge patch, where nothing is null already.
    #[test]
    fn strategic_patches_of_plain_maps_are_merge_patches(
        old in prop::collection::btree_map("[a-d]", "[xy]", 0..4),
        new in prop::collection::btree_map("[a-d]", prop::option::of("[xy]"), 0..4),
    ) {
        let (old, new) = (json!({"nodeSelector": old}), json!({"nodeSelector": new}));
        let mut merged = old.clone();
        merge::merge(&mut merged, &new);
        prop_assert_eq!(pod_spec(old, new).unwrap(), merged);
    }
}
