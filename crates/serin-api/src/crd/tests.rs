//! The definitions as a whole: what Kubernetes demands of each.

use std::collections::BTreeSet;

use serde_json::Value;

use super::*;
use crate::schema::Schema;

fn walk(schema: &Value, path: &str, visit: &mut impl FnMut(&Value, &str)) {
    visit(schema, path);
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        walk(field, &format!("{path}.{name}"), visit);
    }
    for name in ["items", "additionalProperties"] {
        if let Some(part) = schema.get(name).filter(|part| part.is_object()) {
            walk(part, &format!("{path}.{name}"), visit);
        }
    }
}

#[test]
fn every_kind_has_a_schema_that_can_be_read() {
    for kind in Kind::all() {
        let described = kind.describe();
        assert!(
            Schema::parse(&described).is_ok(),
            "{}: {:?}",
            kind.kind,
            Schema::parse(&described).err()
        );
        let text = described.to_string();
        for foreign in [
            "$ref",
            "$defs",
            "\"title\"",
            "x-alias",
            "x-nullable",
            "x-positive",
            "x-internal",
            "x-extension",
            "x-required",
            "patternProperties",
            "\"const\"",
            "uint",
        ] {
            assert!(!text.contains(foreign), "{} contains {foreign}", kind.kind);
        }
    }
}

#[test]
fn schemas_of_custom_kinds_are_structural() {
    for kind in Kind::all().iter().filter(|kind| kind.is_custom) {
        walk(&kind.describe(), kind.kind, &mut |schema, path| {
            let any = schema
                .get("x-kubernetes-int-or-string")
                .or(schema.get("x-kubernetes-preserve-unknown-fields"));
            assert!(schema.get("type").is_some() || any.is_some(), "{path} has no type");
            if schema["type"] == "array" {
                assert!(schema.get("items").is_some(), "{path} has no items");
            }
            let both =
                schema.get("properties").is_some() && schema.get("additionalProperties").is_some();
            assert!(!both, "{path} is an object and a map");
            for name in ["allOf", "anyOf", "oneOf"] {
                for part in schema[name].as_array().into_iter().flatten() {
                    let own = ["type", "description", "default", "nullable"];
                    assert!(
                        own.iter().all(|it| part.get(it).is_none()),
                        "{path}.{name} has a type of its own"
                    );
                }
            }
            for key in schema["x-kubernetes-list-map-keys"].as_array().into_iter().flatten() {
                let items = &schema["items"];
                let required = items["required"].as_array().is_some_and(|it| it.contains(key));
                let default = items["properties"][key.as_str().unwrap()].get("default").is_some();
                assert!(
                    required || default,
                    "{path}: key {key} is neither required nor has a default"
                );
            }
        });
    }
}

#[test]
fn every_field_of_custom_kinds_is_described() {
    let mut bare = Vec::new();
    for kind in Kind::all().iter().filter(|kind| kind.is_custom) {
        for (name, field) in
            kind.describe()["properties"]["spec"]["properties"].as_object().into_iter().flatten()
        {
            if field.get("description").is_none() {
                bare.push(format!("{}.spec.{name}", kind.kind));
            }
        }
    }
    assert_eq!(bare, Vec::<String>::new());
}

#[test]
fn defaults_fit_their_schemas() {
    for kind in Kind::all() {
        walk(&kind.describe(), kind.kind, &mut |schema, path| {
            if let Some(default) = schema.get("default") {
                let mut value = default.clone();
                let schema = Schema::parse(schema).unwrap();
                schema.apply_defaults(&mut value);
                assert_eq!(schema.validate(&value, None), [], "{path}");
                assert_eq!(schema.unknown_fields(&value), [], "{path}");
            }
        });
    }
}

#[test]
fn definitions_name_their_kind_once() {
    let definitions = all();
    let names: BTreeSet<&str> = definitions
        .iter()
        .map(|definition| definition["metadata"]["name"].as_str().unwrap())
        .collect();
    assert_eq!(names.len(), definitions.len());
    let of = |name: &str| definitions.iter().find(|it| it["metadata"]["name"] == name).unwrap();
    let services = of("virtualservices.networking.istio.io");
    assert_eq!(
        services["spec"]["names"],
        json!({
            "kind": "VirtualService",
            "listKind": "VirtualServiceList",
            "plural": "virtualservices",
            "singular": "virtualservice",
            "shortNames": ["vs"],
            "categories": ["istio-io", "networking-istio-io"],
        })
    );
    let storage: Vec<(&str, bool)> = services["spec"]["versions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|version| (version["name"].as_str().unwrap(), version["storage"].as_bool().unwrap()))
        .collect();
    assert_eq!(storage, [("v1", true), ("v1beta1", false), ("v1alpha3", false)]);
    assert_eq!(of("gatewayclasses.gateway.networking.k8s.io")["spec"]["scope"], "Cluster");
}

#[test]
fn the_stream_of_definitions_is_read_again() {
    let stream = yaml::read(&render_yaml());
    assert_eq!(stream.problems, []);
    let read: Vec<Value> =
        stream.documents.iter().map(|document| document.root.to_json()).collect();
    assert_eq!(read, all());
}

#[test]
fn what_types_say_of_their_fields_reaches_the_schema() {
    let spec = Kind::find("networking.istio.io", "VirtualService").unwrap().describe();
    let rule = &spec["properties"]["spec"]["properties"]["http"]["items"]["properties"];
    assert_eq!(rule["mirrorPercent"]["nullable"], true);
    assert_eq!(rule["mirror_percent"], rule["mirrorPercent"]);
    assert_eq!(
        rule["timeout"]["x-kubernetes-validations"][0]["rule"],
        "duration(self) >= duration('1ms')"
    );
    assert_eq!(rule["redirect"]["properties"].get("prefixRewrite"), None);
    assert_eq!(rule["route"]["items"]["required"], json!(["destination"]));
}

#[test]
fn fields_of_ours_are_in_our_group_only() {
    let fields = |group: &str, kind: &str| {
        Kind::find(group, kind).unwrap().describe()["properties"]["spec"]["properties"].clone()
    };
    let (ours, theirs) = (fields("serin.dev", "Canary"), fields("flagger.app", "Canary"));
    for field in ["hold", "versions", "group", "quietHours", "warmUp"] {
        assert!(ours.get(field).is_some() && theirs.get(field).is_none(), "{field}");
    }
    let analysis = |of: &Value| of["analysis"]["properties"]["sequential"].is_object();
    assert!(analysis(&ours) && !analysis(&theirs));
    assert_eq!(ours["targetRef"], theirs["targetRef"]);
}
