use serde_json::json;

use super::*;
use crate::Catalog;

fn decoded(plural: (&str, &str), value: Value) -> Result<Value, String> {
    let catalog = Catalog::builtin();
    let resource = catalog.find(plural.0, "v1", plural.1).unwrap();
    let body = Body { value, duplicates: Vec::new() };
    object(resource, body, FieldValidation::Strict)
        .map(|it| it.object)
        .map_err(|status| status.message)
}

fn refused(plural: (&str, &str), value: Value, expect: &str) {
    assert_eq!(decoded(plural, value).unwrap_err(), expect);
}

#[test]
fn values_of_the_wrong_type_are_refused_as_go_does() {
    let deployment =
        |spec: Value| json!({"apiVersion": "apps/v1", "kind": "Deployment", "spec": spec});
    let deployments = ("apps", "deployments");
    let text = |rest: &str| {
        format!("Deployment in version \"v1\" cannot be handled as a Deployment: {rest}")
    };
    for (spec, expect) in [
        (
            json!({"replicas": "three"}),
            "json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32",
        ),
        (
            json!({"replicas": 1.5}),
            "json: cannot unmarshal number 1.5 into Go struct field DeploymentSpec.spec.replicas of type int32",
        ),
        (
            json!({"template": []}),
            "json: cannot unmarshal array into Go struct field DeploymentSpec.spec.template of type v1.PodTemplateSpec",
        ),
        (
            json!({"template": {"spec": {"containers": [{"image": 1}]}}}),
            "json: cannot unmarshal number into Go struct field \
             Container.spec.template.spec.containers.image of type string",
        ),
        (
            json!({"template": {"metadata": {"labels": {"a": true}}}}),
            "json: cannot unmarshal bool into Go struct field ObjectMeta.spec.template.metadata.labels of type string",
        ),
        (
            json!({"template": {"spec": {"containers": [{"resources": {"limits": {"cpu": "lots"}}}]}}}),
            quantity::MALFORMED,
        ),
    ] {
        refused(deployments, deployment(spec), &text(expect));
    }
}

use crate::quantity;

#[test]
fn unknown_fields_are_named_with_their_paths() {
    let value = json!({"spec": {"replica": 1, "template": {"spec": {"containers": [{"imagePullPolice": ""}]}}}});
    refused(
        ("apps", "deployments"),
        value,
        "Deployment in version \"v1\" cannot be handled as a Deployment: strict decoding error: \
         unknown field \"spec.replica\", unknown field \"spec.template.spec.containers[0].imagePullPolice\"",
    );
}

#[test]
fn empty_values_that_mean_none_are_dropped_and_others_kept() {
    let value = json!({
        "metadata": {"name": "x", "creationTimestamp": null, "labels": {}, "annotations": {"a": ""}},
        "spec": {"replicas": 0, "minReadySeconds": 0, "paused": false, "selector": {}, "template": {
            "spec": {"containers": [{"name": "c", "image": "", "env": [], "resources": {"limits": {"cpu": 0.5}}}],
                     "volumes": [{"name": "v", "emptyDir": {}}], "nodeSelector": {}, "hostNetwork": false}}},
    });
    let catalog = Catalog::builtin();
    let resource = catalog.find("apps", "v1", "deployments").unwrap();
    let decoded = decode(resource, value, Words::Json).unwrap();
    assert_eq!(decoded.unknown, Vec::<String>::new());
    assert_eq!(
        decoded.object,
        json!({
            "metadata": {"name": "x", "annotations": {"a": ""}},
            "spec": {"replicas": 0, "selector": {}, "strategy": {}, "template": {"metadata": {}, "spec": {
                "containers": [{"name": "c", "resources": {"limits": {"cpu": "500m"}}}],
                "volumes": [{"name": "v", "emptyDir": {}}]}}},
            "status": {},
        })
    );
}

#[test]
fn what_nobody_wrote_to_holds_only_what_is_always_there() {
    let catalog = Catalog::builtin();
    let zero = |group: &str, plural: &str| {
        canonical::zero(catalog.find(group, "v1", plural).unwrap().schema())
    };
    assert_eq!(
        zero("apps", "deployments"),
        json!({"metadata": {}, "spec": {"selector": null, "strategy": {}, "template": {"metadata": {}, "spec": {
            "containers": null}}}, "status": {}})
    );
    assert_eq!(zero("", "configmaps"), json!({"metadata": {}}));
    assert_eq!(
        zero("", "services"),
        json!({"metadata": {}, "spec": {}, "status": {"loadBalancer": {}}})
    );
}

#[test]
fn fields_that_stand_twice_are_found() {
    let body = json(br#"{"spec": {"a": 1, "l": [{"x": 1, "x": 2}], "a": 2}}"#).unwrap();
    assert_eq!(body.value, json!({"spec": {"a": 2, "l": [{"x": 2}]}}));
    assert_eq!(body.duplicates, ["spec.l[0].x", "spec.a"]);
    assert_eq!(
        json(b"{").unwrap_err(),
        "couldn't get version/kind; json parse error: unexpected end of JSON input"
    );
    assert_eq!(yaml(b"a: 1\nb: [x]\n").unwrap().value, json!({"a": 1, "b": ["x"]}));
}

#[test]
fn bodies_of_another_kind_are_refused() {
    refused(
        ("", "configmaps"),
        json!({"apiVersion": "apps/v1", "kind": "ConfigMap"}),
        "the API version in the data (apps/v1) does not match the expected API version (v1)",
    );
    refused(
        ("", "secrets"),
        json!({"apiVersion": "v1", "kind": "Secret", "data": {"a": "x y"}}),
        "Secret in version \"v1\" cannot be handled as a Secret: illegal base64 data at input byte 1",
    );
}
