use super::*;

fn every_reference(value: &Value, out: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            if let Some(Value::String(to)) = map.get("$ref") {
                out.push(to.clone());
            }
            map.values().for_each(|it| every_reference(it, out));
        }
        Value::Array(items) => items.iter().for_each(|it| every_reference(it, out)),
        _ => {}
    }
}

/// References lead somewhere.
fn check(document: &Value) {
    let mut references = Vec::new();
    every_reference(document, &mut references);
    for it in references.iter().filter(|it| it.starts_with("#/")) {
        let escaped = it.trim_start_matches('#');
        assert!(document.pointer(escaped).is_some(), "{it}");
    }
    assert!(!references.is_empty());
}

fn with_widgets() -> Catalog {
    let definition = json!({
        "metadata": {"name": "widgets.example.com"},
        "spec": {
            "group": "example.com", "scope": "Namespaced",
            "names": {"plural": "widgets", "kind": "Widget"},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {
                "type": "object", "required": ["spec"], "properties": {"spec": {"type": "object", "properties": {
                    "colour": {"type": "string", "enum": ["red", "green"]}}}}}}}],
        },
    });
    Catalog::builtin().with_definition(&definition).unwrap()
}

#[test]
fn documents_refer_to_what_they_hold() {
    let catalog = with_widgets();
    for group in catalog.groups() {
        for version in &group.versions {
            check(&v3(&catalog, &group.name, &version.name).unwrap());
        }
    }
    check(&v2(&catalog));
    assert!(v3(&catalog, "nothing", "v1").is_none());
}

#[test]
fn metadata_of_kinds_may_be_left_out() {
    let document = v2(&Catalog::builtin());
    let required =
        |name: &str| document["definitions"][format!("io.k8s.api.{name}")]["required"].clone();
    for (name, expect) in [
        ("apps.v1.Deployment", Value::Null),
        ("core.v1.Pod", Value::Null),
        ("core.v1.Event", json!(["involvedObject", "metadata"])),
        ("rbac.v1.RoleBinding", json!(["roleRef"])),
    ] {
        assert_eq!(required(name), expect, "{name}");
    }
}

#[test]
fn defaults_of_custom_resources_may_be_any_value() {
    let document = v2(&Catalog::builtin());
    let of = |name: &str| {
        &document["definitions"]
            [format!("io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.{name}")]
    };
    assert_eq!(of("JSONSchemaProps")["type"], "object");
    for name in ["JSON", "JSONSchemaPropsOrArray", "JSONSchemaPropsOrBool"] {
        assert!(of(name)["description"].is_string() && of(name).get("type").is_none(), "{name}");
    }
}

#[test]
fn fields_say_how_they_are_merged_and_kinds_what_they_are() {
    let apps = v3(&Catalog::builtin(), "apps", "v1").unwrap();
    let schemas = &apps["components"]["schemas"];
    let containers = &schemas["io.k8s.api.core.v1.PodSpec"]["properties"]["containers"];
    assert_eq!(containers["x-kubernetes-patch-merge-key"], "name");
    assert_eq!(containers["x-kubernetes-list-type"], "map");
    let deployment = &schemas["io.k8s.api.apps.v1.Deployment"];
    assert_eq!(deployment["x-kubernetes-group-version-kind"][0]["kind"], "Deployment");
    let update = &schemas["io.k8s.api.apps.v1.DeploymentStrategy"]["properties"]["rollingUpdate"];
    assert_eq!(
        update["allOf"][0]["$ref"],
        "#/components/schemas/io.k8s.api.apps.v1.RollingUpdateDeployment"
    );
    let patch = &apps["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"]["patch"];
    let names: Vec<&str> = patch["parameters"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["name"].as_str().unwrap())
        .collect();
    assert!(names.contains(&"fieldValidation"));
}

#[test]
fn the_index_changes_with_definitions_alone() {
    let builtin = v3_index(&Catalog::builtin());
    let with = v3_index(&with_widgets());
    assert_eq!(builtin["paths"]["apis/apps/v1"], with["paths"]["apis/apps/v1"]);
    assert!(builtin["paths"].get("apis/example.com/v1").is_none());
    let url = with["paths"]["apis/example.com/v1"]["serverRelativeURL"].as_str().unwrap();
    assert!(url.starts_with("/openapi/v3/apis/example.com/v1?hash="));
    let document = v3(&with_widgets(), "example.com", "v1").unwrap();
    let widget = &document["components"]["schemas"]["com.example.v1.Widget"];
    assert_eq!(
        widget["properties"]["spec"]["properties"]["colour"]["enum"],
        json!(["red", "green"])
    );
}
