use proptest::prelude::*;

use super::*;
use crate::{Catalog, decode};

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap()
}

/// Applies a YAML body to an object, as a manager.
fn run(
    plural: (&str, &str),
    old: Option<&Value>,
    manager: &str,
    force: bool,
    body: &str,
) -> Result<Value, Status> {
    let catalog = Catalog::builtin();
    let resource = catalog.find(plural.0, "v1", plural.1).unwrap();
    let options = Options {
        now: at(100),
        manager,
        force,
        subresource: None,
        validation: FieldValidation::Strict,
    };
    let body = decode::yaml(body.as_bytes()).unwrap();
    apply(resource, old, body, &options).map(|it| it.object)
}

const MAPS: (&str, &str) = ("", "configmaps");

fn map(data: &str) -> String {
    format!("{{apiVersion: v1, kind: ConfigMap, metadata: {{name: ssa}}, data: {data}}}")
}

fn owned(object: &Value) -> Vec<String> {
    let owners = managed::read(object).unwrap();
    owners.iter().map(|it| format!("{} {}", it.manager, it.set.to_value())).collect()
}

#[test]
fn what_is_applied_is_owned_shared_taken_and_given_up() {
    let first = run(MAPS, None, "one", false, &map("{a: '1', b: '2'}")).unwrap();
    let conflict = run(MAPS, Some(&first), "two", false, &map("{a: '9'}")).unwrap_err();
    assert_eq!(conflict.message, "Apply failed with 1 conflict: conflict with \"one\": .data.a");
    assert_eq!((conflict.code, conflict.reason.as_str()), (409, "Conflict"));
    let cause = &conflict.details.as_ref().unwrap().causes[0];
    assert_eq!((cause.reason.as_str(), cause.field.as_str()), ("FieldManagerConflict", ".data.a"));

    let forced = run(MAPS, Some(&first), "two", true, &map("{a: '9'}")).unwrap();
    let shared = run(MAPS, Some(&forced), "one", false, &map("{b: '2'}")).unwrap();
    assert_eq!(shared["data"], json!({"a": "9", "b": "2"}));
    assert_eq!(owned(&shared), ["one {\"f:data\":{\"f:b\":{}}}", "two {\"f:data\":{\"f:a\":{}}}"]);
    let given_up = run(MAPS, Some(&shared), "one", false, &map("{}")).unwrap();
    assert_eq!(given_up["data"], json!({"a": "9"}));
}

#[test]
fn several_conflicts_are_listed_by_owner() {
    let first = run(MAPS, None, "one", false, &map("{a: '1', b: '2'}")).unwrap();
    let conflict = run(MAPS, Some(&first), "two", false, &map("{a: '9', b: '8'}")).unwrap_err();
    assert_eq!(
        conflict.message,
        "Apply failed with 2 conflicts: conflicts with \"one\":\n- .data.a\n- .data.b"
    );
}

#[test]
fn two_may_own_a_field_with_the_same_value_until_both_give_it_up() {
    let first = run(MAPS, None, "one", false, &map("{a: '1'}")).unwrap();
    let both = run(MAPS, Some(&first), "two", false, &map("{a: '1', c: '3'}")).unwrap();
    let one_left = run(MAPS, Some(&both), "one", false, &map("{x: 'y'}")).unwrap();
    assert_eq!(one_left["data"], json!({"a": "1", "c": "3", "x": "y"}));
    let none_left = run(MAPS, Some(&one_left), "two", false, &map("{c: '3'}")).unwrap();
    assert_eq!(none_left["data"], json!({"c": "3", "x": "y"}));
}

const DEPLOYMENTS: (&str, &str) = ("apps", "deployments");

fn deployment(replicas: &str, containers: &str) -> String {
    format!(
        "{{apiVersion: apps/v1, kind: Deployment, metadata: {{name: web}}, spec: {{{replicas} selector: {{matchLabels: \
         {{app: web}}}}, template: {{metadata: {{labels: {{app: web}}}}, spec: {{containers: [{containers}]}}}}}}}}"
    )
}

#[test]
fn elements_of_lists_are_owned_by_their_keys_and_defaults_by_nobody() {
    let body = deployment("replicas: 2,", "{name: nginx, image: a, ports: [{containerPort: 80}]}");
    let first = run(DEPLOYMENTS, None, "ops", false, &body).unwrap();
    assert_eq!(
        managed::read(&first).unwrap()[0].set.to_value(),
        json!({"f:spec": {"f:replicas": {}, "f:selector": {}, "f:template": {
            "f:metadata": {"f:labels": {"f:app": {}}},
            "f:spec": {"f:containers": {"k:{\"name\":\"nginx\"}": {
                ".": {}, "f:image": {}, "f:name": {},
                "f:ports": {"k:{\"containerPort\":80,\"protocol\":\"TCP\"}": {".": {}, "f:containerPort": {}}}}}}}}})
    );
    let again = run(DEPLOYMENTS, Some(&first), "ops", false, &body).unwrap();
    assert_eq!(again, first);
    let side = deployment("", "{name: side, image: b}, {name: nginx}");
    let both = run(DEPLOYMENTS, Some(&first), "mesh", false, &side).unwrap();
    let names = |object: &Value| -> Vec<String> {
        let containers = object["spec"]["template"]["spec"]["containers"].as_array().unwrap();
        containers.iter().map(|it| it["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(&both), ["side", "nginx"]);
    assert_eq!(both["spec"]["template"]["spec"]["containers"][1]["image"], "a");
    let without = deployment("", "{name: nginx}");
    let left = run(DEPLOYMENTS, Some(&both), "mesh", false, &without).unwrap();
    assert_eq!(names(&left), ["nginx"]);
    let conflict = run(
        DEPLOYMENTS,
        Some(&first),
        "other",
        false,
        &deployment("replicas: 1,", "{name: nginx}"),
    );
    assert_eq!(
        conflict.unwrap_err().message,
        "Apply failed with 1 conflict: conflict with \"ops\": .spec.replicas"
    );
}

#[test]
fn what_does_not_fit_its_type_is_refused() {
    let message = |body: &str| run(DEPLOYMENTS, None, "ops", false, body).unwrap_err().message;
    let prefix = "failed to create typed patch object (/web; apps/v1, Kind=Deployment): ";
    assert_eq!(
        message(&deployment("replica: 1,", "{name: a}")),
        format!("{prefix}.spec.replica: field not declared in schema")
    );
    assert_eq!(
        message(&deployment("", "{name: a}, {name: a}")),
        format!("{prefix}.spec.template.spec.containers: duplicate entries for key [name=\"a\"]")
    );
}

#[test]
fn ordinary_writers_lose_what_others_apply() {
    let first = run(MAPS, None, "one", false, &map("{a: '1'}")).unwrap();
    let catalog = Catalog::builtin();
    let resource = catalog.find("", "v1", "configmaps").unwrap();
    let mut edited = first.clone();
    edited["data"]["a"] = json!("2");
    managed::update(resource, Some(&first), &mut edited, ("kubectl-edit", None), at(200));
    assert_eq!(owned(&edited), ["kubectl-edit {\"f:data\":{\"f:a\":{}}}"]);
    let conflict = run(MAPS, Some(&edited), "one", false, &map("{a: '1'}")).unwrap_err();
    assert_eq!(
        conflict.message,
        "Apply failed with 1 conflict: conflict with \"kubectl-edit\" using v1: .data.a"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Applying the same twice changes nothing, and what was applied is there.
    #[test]
    fn apply_is_idempotent(
        steps in prop::collection::vec(
            (0..3_usize, prop::collection::btree_map("[a-d]", "[0-2]", 0..4)), 1..8),
    ) {
        let mut object: Option<Value> = None;
        for (manager, data) in steps {
            let manager = ["one", "two", "three"][manager];
            let body = map(&serde_json::to_string(&data).unwrap());
            let once = run(MAPS, object.as_ref(), manager, true, &body).unwrap();
            let twice = run(MAPS, Some(&once), manager, false, &body).unwrap();
            prop_assert_eq!(&once, &twice);
            for (key, value) in &data {
                prop_assert_eq!(once["data"][key].as_str(), Some(value.as_str()));
            }
            // Every field is owned by someone who applied it.
            for (key, _) in once["data"].as_object().into_iter().flatten() {
                let field = format!("f:{key}");
                let is_owned = managed::read(&once).unwrap().iter()
                    .any(|it| it.set.to_value()["f:data"].get(&field).is_some());
                prop_assert!(is_owned, "{} of {}", key, once);
            }
            object = Some(once);
        }
    }
}
