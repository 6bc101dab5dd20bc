//! CustomResourceDefinitions, made from the types.
//!
//! The types' own description (`schemars`) is turned into a structural schema as Kubernetes wants it: written out
//! without references, nothing nullable, numbers in the formats that OpenAPI knows. Kinds that Kubernetes has itself
//! get a schema too, which knows what is read here and is silent about the rest.

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use crate::{Kind, Printer, Scope, delivery, yaml};

mod structural;

/// The version of the Gateway API whose fields the types have.
const GATEWAY_API_VERSION: &str = "v1.5.1";

/// The CustomResourceDefinitions of all kinds that need one, in the order of the registry.
pub fn all() -> Vec<Value> {
    Kind::all().iter().filter(|kind| kind.is_custom).map(definition).collect()
}

/// All CustomResourceDefinitions as one YAML stream.
pub fn render_yaml() -> String {
    let mut out = String::new();
    for definition in all() {
        out.push_str("---\n");
        out.push_str(&yaml::write(&definition));
    }
    out
}

/// What a type's fields are, as a structural schema.
pub(crate) fn describe<T: JsonSchema>() -> Value {
    let mut settings = SchemaSettings::openapi3();
    settings.inline_subschemas = true;
    settings.meta_schema = None;
    let mut schema = settings.into_generator().into_root_schema_for::<T>().to_value();
    structural::normalise(&mut schema);
    schema
}

/// The schema of whole objects of a kind, whose own fields are `fields`.
pub(crate) fn whole(kind: &Kind, mut fields: Value) -> Value {
    if !kind.is_custom {
        structural::relax(&mut fields);
    }
    structural::settle_extensions(&mut fields, kind.group != delivery::FLAGGER);
    let mut properties = if kind.has_spec {
        // Istio's objects need a spec only if something in it is needed; the Gateway API's always have one.
        json!({ "spec": fields })
    } else {
        fields.get("properties").cloned().unwrap_or_else(|| json!({}))
    };
    let is_needed = kind.has_spec
        && kind.is_custom
        && (kind.group.ends_with("k8s.io") || properties["spec"].get("required").is_some());
    if let Some(properties) = properties.as_object_mut() {
        let status = json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true });
        properties.insert("status".to_owned(), status);
    }
    let mut schema = json!({ "type": "object", "properties": properties });
    if is_needed {
        schema["required"] = json!(["spec"]);
    }
    if !kind.is_custom {
        structural::relax(&mut schema);
    }
    schema
}

fn definition(kind: &Kind) -> Value {
    let schema = kind.describe();
    let columns = columns(kind);
    let versions: Vec<Value> = kind
        .versions
        .iter()
        .enumerate()
        .map(|(index, version)| {
            let mut entry = Map::new();
            entry.insert("name".to_owned(), json!(version));
            entry.insert("served".to_owned(), json!(true));
            entry.insert("storage".to_owned(), json!(index == 0));
            if !columns.is_empty() {
                entry.insert("additionalPrinterColumns".to_owned(), json!(columns));
            }
            entry.insert("schema".to_owned(), json!({ "openAPIV3Schema": schema }));
            entry.insert("subresources".to_owned(), json!({ "status": {} }));
            Value::Object(entry)
        })
        .collect();
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": metadata(kind),
        "spec": {
            "group": kind.group,
            "names": names(kind),
            "scope": match kind.scope { Scope::Namespaced => "Namespaced", Scope::Cluster => "Cluster" },
            "versions": versions,
        },
    })
}

fn metadata(kind: &Kind) -> Value {
    let mut metadata = json!({ "name": format!("{}.{}", kind.plural, kind.group) });
    if kind.group.ends_with("k8s.io") {
        // Groups under k8s.io are Kubernetes' own; without this its API server refuses them.
        let mut annotations = json!({
            "api-approved.kubernetes.io": "unapproved, Serin's description of an approved API",
        });
        if kind.group.starts_with("gateway.") {
            let channel = if kind.group.contains(".x-") { "experimental" } else { "standard" };
            annotations["gateway.networking.k8s.io/bundle-version"] = json!(GATEWAY_API_VERSION);
            annotations["gateway.networking.k8s.io/channel"] = json!(channel);
        }
        metadata["annotations"] = annotations;
    }
    metadata
}

fn names(kind: &Kind) -> Value {
    let mut names = json!({
        "kind": kind.kind,
        "listKind": format!("{}List", kind.kind),
        "plural": kind.plural,
        "singular": kind.kind.to_lowercase(),
        "categories": categories(kind.group),
    });
    if !kind.short_names.is_empty() {
        names["shortNames"] = json!(kind.short_names);
    }
    names
}

/// The names by which `kubectl get` shows several kinds at once.
fn categories(group: &str) -> Vec<String> {
    match (group, group.strip_suffix(".istio.io")) {
        (delivery::FLAGGER | delivery::SERIN, _) => vec!["all".to_owned()],
        (_, Some(part)) => vec!["istio-io".to_owned(), format!("{part}-istio-io")],
        (_, None) => vec!["gateway-api".to_owned()],
    }
}

fn columns(kind: &Kind) -> Vec<Value> {
    let column = |name: &str, r#type: &str, path: &str, description: &str| json!({ "name": name, "type": r#type, "jsonPath": path, "description": description });
    let of = |it: &Printer| {
        let mut shown = column(it.name, it.r#type, it.json_path, it.description);
        if it.is_wide {
            shown["priority"] = json!(1);
        }
        shown
    };
    let mut columns: Vec<Value> = kind.columns.iter().map(of).collect();
    // Flagger's kinds show none.
    if !columns.is_empty()
        && kind.group != delivery::FLAGGER
        && kind.columns.iter().all(|it| it.name != "Age")
    {
        columns.push(column("Age", "date", ".metadata.creationTimestamp", "Time since creation"));
    }
    columns
}

#[cfg(test)]
mod tests;
