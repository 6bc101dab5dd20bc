//! Paths of resources: which operations there are, and the parameters that clients look for.

use serde_json::{Map, Value, json};

use super::schemas::name_of;
use crate::Resource;

/// The version of OpenAPI.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    V2,
    V3,
}

/// HTTP methods by verb: the verb, the method, whether it is one of an object, and its parameters.
const OPERATIONS: &[(&str, &str, bool, &[&str])] = &[
    (
        "list",
        "get",
        false,
        &["continue", "fieldSelector", "labelSelector", "limit", "resourceVersion", "watch"],
    ),
    ("create", "post", false, &["dryRun", "fieldManager", "fieldValidation"]),
    ("deletecollection", "delete", false, &["dryRun", "fieldSelector", "labelSelector"]),
    ("get", "get", true, &[]),
    ("update", "put", true, &["dryRun", "fieldManager", "fieldValidation"]),
    ("patch", "patch", true, &["dryRun", "fieldManager", "fieldValidation", "force"]),
    ("delete", "delete", true, &["dryRun", "gracePeriodSeconds", "propagationPolicy"]),
];

/// The paths of resources.
pub(super) fn of(resources: &[&Resource], dialect: Dialect) -> Map<String, Value> {
    let mut out = Map::new();
    for resource in resources {
        let root = format!("/{}", super::path_of(&resource.group, &resource.version));
        let all = if resource.namespaced {
            format!("{root}/namespaces/{{namespace}}/{}", resource.plural)
        } else {
            format!("{root}/{}", resource.plural)
        };
        let writer = Writer { resource, dialect };
        if resource.namespaced && resource.has_verb("list") {
            let everywhere = format!("{root}/{}", resource.plural);
            out.insert(everywhere, writer.item("", &["list".to_owned()], false));
        }
        out.insert(all.clone(), writer.item(&resource.kind, &resource.verbs, false));
        if resource.has_verb("get") {
            let one = format!("{all}/{{name}}");
            out.insert(one.clone(), writer.item(&resource.kind, &resource.verbs, true));
            for it in &resource.subresources {
                let path = format!("{one}/{}", it.name);
                out.insert(path, writer.item(&it.kind, &it.verbs, true));
            }
        }
    }
    out
}

struct Writer<'w> {
    resource: &'w Resource,
    dialect: Dialect,
}

impl Writer<'_> {
    fn item(&self, kind: &str, verbs: &[String], of_object: bool) -> Value {
        let mut out = Map::new();
        for (verb, method, object, parameters) in OPERATIONS {
            if *object == of_object && verbs.iter().any(|it| it == verb) {
                out.insert((*method).to_owned(), self.operation(verb, kind, parameters));
            }
        }
        let in_path: Vec<Value> = ["name", "namespace"]
            .into_iter()
            .filter(|name| {
                (*name == "name" && of_object) || (*name == "namespace" && self.resource.namespaced)
            })
            .map(|name| self.parameter(name, "path"))
            .collect();
        if !in_path.is_empty() {
            out.insert("parameters".to_owned(), Value::Array(in_path));
        }
        Value::Object(out)
    }

    fn parameter(&self, name: &str, place: &str) -> Value {
        let r#type = match name {
            "limit" | "gracePeriodSeconds" => "integer",
            "watch" | "force" => "boolean",
            _ => "string",
        };
        let mut out = json!({ "name": name, "in": place, "uniqueItems": true });
        if place == "path" {
            out["required"] = json!(true);
        }
        match self.dialect {
            Dialect::V2 => out["type"] = json!(r#type),
            Dialect::V3 => {
                out["schema"] = json!({ "type": r#type, "uniqueItems": true });
                out.as_object_mut().map(|it| it.remove("uniqueItems"));
            }
        }
        out
    }

    fn operation(&self, verb: &str, kind: &str, parameters: &[&str]) -> Value {
        let Resource { group, version, .. } = self.resource;
        let kind = if kind.is_empty() { &self.resource.kind } else { kind };
        let action = match verb {
            "create" => "post",
            "update" => "put",
            other => other,
        };
        let name = name_of(self.resource);
        let listed = if verb == "list" { format!("{name}List") } else { name };
        let mut query: Vec<Value> =
            parameters.iter().map(|it| self.parameter(it, "query")).collect();
        let mut out = json!({
            "tags": [super::path_of(group, version).replace(['/', '.'], "_")],
            "x-kubernetes-action": action,
            "x-kubernetes-group-version-kind": {"group": group, "version": version, "kind": kind},
        });
        match self.dialect {
            Dialect::V2 => {
                if matches!(verb, "create" | "update" | "patch") {
                    let schema = json!({ "$ref": format!("#/definitions/{listed}") });
                    query.insert(
                        0,
                        json!({"name": "body", "in": "body", "required": true, "schema": schema}),
                    );
                }
                let schema = json!({ "$ref": format!("#/definitions/{listed}") });
                out["responses"] = json!({"200": {"description": "OK", "schema": schema}});
            }
            Dialect::V3 => {
                let schema = json!({ "$ref": format!("#/components/schemas/{listed}") });
                let content = json!({"application/json": {"schema": schema}});
                out["responses"] = json!({"200": {"description": "OK", "content": content}});
                if matches!(verb, "create" | "update" | "patch") {
                    out["requestBody"] = json!({"content": content, "required": true});
                }
            }
        }
        out["parameters"] = Value::Array(query);
        out
    }
}
