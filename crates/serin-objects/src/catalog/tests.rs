use serde_json::json;

use super::*;

#[test]
fn resources_are_found_by_path_and_by_kind() {
    let catalog = Catalog::builtin();
    let deployments = catalog.find("apps", "v1", "deployments").unwrap();
    assert_eq!(deployments.group_resource(), "deployments.apps");
    assert_eq!(catalog.find_kind("", "v1", "Pod").unwrap().plural, "pods");
    assert_eq!(
        catalog.find_preferred("autoscaling", "horizontalpodautoscalers").unwrap().version,
        "v2"
    );
    assert!(catalog.find("apps", "v1", "pods").is_none());
}

#[test]
fn versions_are_ordered_as_kubernetes_does() {
    let mut versions =
        ["v1alpha3", "foo", "v10", "v1", "v2beta1", "v1beta1", "v11alpha1", "v1beta2", "bar"];
    versions.sort_by_key(|version| version_order(version));
    assert_eq!(
        versions,
        ["v10", "v1", "v2beta1", "v1beta2", "v1beta1", "v11alpha1", "v1alpha3", "bar", "foo"]
    );
}

#[test]
fn custom_resources_come_and_go() {
    let definition = json!({
        "metadata": {"name": "widgets.example.com"},
        "spec": {
            "group": "example.com", "scope": "Namespaced",
            "names": {"plural": "widgets", "singular": "widget", "kind": "Widget", "shortNames": ["wd"]},
            "versions": [
                {"name": "v1beta1", "served": true, "storage": false, "schema": {"openAPIV3Schema": {"type": "object"}}},
                {"name": "v1", "served": true, "storage": true, "subresources": {"status": {}},
                 "schema": {"openAPIV3Schema": {"type": "object"}}},
                {"name": "v0", "served": false, "storage": false, "schema": {"openAPIV3Schema": {"type": "object"}}},
            ],
        },
    });
    let before = Catalog::builtin();
    let with = before.with_definition(&definition).unwrap();
    let names: Vec<&str> =
        with.group("example.com").unwrap().versions.iter().map(|it| it.name.as_str()).collect();
    assert_eq!(names, ["v1", "v1beta1"]);
    let widgets = with.find("example.com", "v1beta1", "widgets").unwrap();
    assert_eq!((widgets.storage.version.as_str(), widgets.has_status()), ("v1", false));
    assert!(before.group("example.com").is_none());
    assert!(with.without_definition("example.com", "widgets").group("example.com").is_none());
}
