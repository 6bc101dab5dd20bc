//! CustomResourceDefinitions.

use serde_json::Value;

use super::Change;
use super::names;
use super::tools::{Errors, entries, immutable, items, named, one_of, require, text};
use crate::fields::{FieldError, Path};
use crate::table::JsonPath;

mod keywords;
mod rules;

const APPROVAL: &str = "api-approved.kubernetes.io";

pub(super) fn check(change: &Change<'_>, errors: &mut Errors) {
    let path = Path::new("spec");
    let spec = &change.new["spec"];
    let wanted = format!("{}.{}", text(&spec["names"], "plural"), text(spec, "group"));
    let name = text(&change.new["metadata"], "name");
    if name != wanted {
        let why = "must be spec.names.plural+\".\"+spec.group";
        errors.push(FieldError::invalid(&Path::new("metadata.name"), name, why));
    }
    approval(errors, change.new);
    let group = text(spec, "group");
    if require(errors, &path, spec, "group") {
        named(errors, &path.child("group"), group, names::dns1123_subdomain);
        if !group.contains('.') {
            let why = "should be a domain with at least one dot";
            errors.push(FieldError::invalid(&path.child("group"), group, why));
        }
    }
    if require(errors, &path, spec, "scope") {
        one_of(errors, &path, spec, "scope", &["Cluster", "Namespaced"]);
    }
    defined_names(errors, &path.child("names"), &spec["names"]);
    versions(errors, &path, spec);
    keywords::of_spec(errors, &path, spec);
    if let Some(old) = change.old {
        let established = crate::crd::is_established(old);
        if established {
            immutable(errors, &path.child("scope"), &old["spec"]["scope"], &spec["scope"]);
            let at = path.child("names.kind");
            immutable(errors, &at, &old["spec"]["names"]["kind"], &spec["names"]["kind"]);
        }
        immutable(errors, &path.child("group"), &old["spec"]["group"], &spec["group"]);
        let at = path.child("names.plural");
        immutable(errors, &at, &old["spec"]["names"]["plural"], &spec["names"]["plural"]);
    }
}

/// Groups of Kubernetes' own need an approval.
fn approval(errors: &mut Errors, object: &Value) {
    let group = text(&object["spec"], "group");
    let protected = group == "k8s.io"
        || group == "kubernetes.io"
        || group.ends_with(".k8s.io")
        || group.ends_with(".kubernetes.io");
    if !protected {
        return;
    }
    let path = Path::new("metadata.annotations").key(APPROVAL);
    let see = "see https://github.com/kubernetes/enhancements/pull/1111";
    let given = text(&object["metadata"]["annotations"], APPROVAL);
    if given.is_empty() {
        let why = format!("protected groups must have approval annotation \"{APPROVAL}\", {see}");
        errors.push(FieldError::required(&path, &why));
    } else if !given.starts_with("unapproved") && !given.contains("://") {
        let why = format!(
            "protected groups must have approval annotation \"{APPROVAL}\" with either a URL or a reason starting with \"unapproved\", {see}"
        );
        errors.push(FieldError::invalid(&path, given, &why));
    }
}

fn defined_names(errors: &mut Errors, path: &Path, given: &Value) {
    for name in ["plural", "singular"] {
        if !text(given, name).is_empty() {
            named(errors, &path.child(name), text(given, name), names::dns1035_label);
        }
    }
    if text(given, "plural").is_empty() {
        errors.push(FieldError::required(&path.child("plural"), ""));
    }
    for name in ["kind", "listKind"] {
        let kind = text(given, name);
        if kind.is_empty() {
            errors.push(FieldError::required(&path.child(name), ""));
            continue;
        }
        for why in names::dns1035_label(&kind.to_lowercase()) {
            let why = format!("may have mixed case, but should otherwise match: {why}");
            errors.push(FieldError::invalid(&path.child(name), kind, &why));
        }
    }
    if !text(given, "kind").is_empty() && text(given, "kind") == text(given, "listKind") {
        let why = "kind and listKind may not be the same";
        errors.push(FieldError::invalid(&path.child("listKind"), text(given, "listKind"), why));
    }
    for list in ["shortNames", "categories"] {
        for (index, it) in items(&given[list]).iter().enumerate() {
            let at = path.child(list).index(index);
            named(errors, &at, it.as_str().unwrap_or_default(), names::dns1035_label);
        }
    }
}

fn versions(errors: &mut Errors, path: &Path, spec: &Value) {
    let at = path.child("versions");
    let versions = items(&spec["versions"]);
    let mut seen: Vec<&str> = Vec::new();
    let mut stored = 0;
    for (index, version) in versions.iter().enumerate() {
        let at = at.index(index);
        let name = text(version, "name");
        if seen.contains(&name) {
            let why = "must contain unique version names";
            errors.push(FieldError::invalid(&path.child("versions"), versions.to_vec(), why));
        }
        seen.push(name);
        stored += usize::from(version["storage"] == true);
        named(errors, &at.child("name"), name, names::dns1035_label);
        keywords::of_version(errors, &at, version);
        columns(
            errors,
            &at.child("additionalPrinterColumns"),
            &version["additionalPrinterColumns"],
        );
        scale(errors, &at.child("subresources.scale"), &version["subresources"]["scale"]);
        let schema = &version["schema"]["openAPIV3Schema"];
        let at = at.child("schema.openAPIV3Schema");
        if !schema.is_object() {
            errors.push(FieldError::required(&at, "schemas are required"));
            continue;
        }
        structure(errors, &at, schema);
    }
    if stored != 1 {
        let why = "must have exactly one version marked as storage version";
        errors.push(FieldError::invalid(&at, versions.to_vec(), why));
    }
}

fn columns(errors: &mut Errors, path: &Path, columns: &Value) {
    for (index, it) in items(columns).iter().enumerate() {
        let at = path.index(index);
        require(errors, &at, it, "name");
        let allowed = ["boolean", "date", "integer", "number", "string"];
        if require(errors, &at, it, "type") {
            one_of(errors, &at, it, "type", &allowed);
        }
        if require(errors, &at, it, "jsonPath")
            && let Err(why) = JsonPath::parse(text(it, "jsonPath"))
        {
            errors.push(FieldError::invalid(&at.child("jsonPath"), text(it, "jsonPath"), &why));
        }
    }
}

fn scale(errors: &mut Errors, path: &Path, scale: &Value) {
    if !scale.is_object() {
        return;
    }
    for (name, root) in [("specReplicasPath", ".spec."), ("statusReplicasPath", ".status.")] {
        if require(errors, path, scale, name) && !text(scale, name).starts_with(root) {
            let why = format!("should be a json path under {}", root.trim_end_matches('.'));
            errors.push(FieldError::invalid(&path.child(name), text(scale, name), &why));
        }
    }
}

/// The rules of structural schemas.
fn structure(errors: &mut Errors, path: &Path, schema: &Value) {
    match text(schema, "type") {
        "object" => {}
        "" => {
            errors.push(FieldError::required(&path.child("type"), "must not be empty at the root"))
        }
        other => {
            errors.push(FieldError::invalid(
                &path.child("type"),
                other,
                "must be object at the root",
            ));
        }
    }
    if schema["properties"]["metadata"].is_object() {
        let only = ["name", "generateName"];
        let at = path.child("properties[metadata]");
        for (name, _) in entries(&schema["properties"]["metadata"]["properties"]) {
            if !only.contains(&name.as_str()) {
                let why = "must not specify anything other than name and generateName, but metadata is implicitly specified";
                errors.push(FieldError::forbidden(&at, why));
                break;
            }
        }
    }
    let before = errors.len();
    part(errors, path, schema, false);
    if errors.len() > before {
        return;
    }
    if let Err(defect) = serin_api::schema::Schema::parse(schema) {
        let at = written(path, &defect.field);
        errors.push(FieldError {
            kind: crate::FieldErrorKind::Invalid,
            field: at,
            message: format!("Invalid value: \"\": {}", defect.message),
        });
    }
}

/// A path in a schema, with the names of properties in brackets.
fn written(path: &Path, field: &serin_api::FieldPath) -> String {
    let mut out = path.to_string();
    let mut named = false;
    for segment in field.segments() {
        match segment {
            serin_api::Segment::Key(key) if named => {
                out.push_str(&format!("[{key}]"));
                named = false;
            }
            serin_api::Segment::Key(key) => {
                out.push_str(&format!(".{key}"));
                named = key == "properties";
            }
            serin_api::Segment::Index(index) => out.push_str(&format!("[{index}]")),
        }
    }
    out
}

/// A part of a structural schema. `logical` parts stand in `allOf` and its like, and only restrict.
fn part(errors: &mut Errors, path: &Path, schema: &Value, logical: bool) {
    let has = |name: &str| schema.get(name).is_some_and(|it| !it.is_null());
    let allowed = ["array", "boolean", "integer", "number", "object", "string"];
    one_of(errors, path, schema, "type", &allowed);
    if logical {
        for name in ["type", "additionalProperties", "nullable", "description", "default"] {
            let is_pattern = name == "type" && schema["x-kubernetes-int-or-string"] == true;
            if has(name) && !is_pattern && name != "type" {
                let why = "must be undefined to be structural";
                errors.push(FieldError::forbidden(&path.child(name), why));
            }
        }
    }
    keywords::check(errors, path, schema);
    if schema["uniqueItems"] == true {
        let why =
            "uniqueItems cannot be set to true since the runtime complexity becomes quadratic";
        errors.push(FieldError::forbidden(&path.child("uniqueItems"), why));
    }
    if text(schema, "type") == "array" && !has("items") && !logical {
        errors.push(FieldError::required(&path.child("items"), "must be specified"));
    }
    let typed = |errors: &mut Errors, at: &Path, it: &Value, what: &str| {
        let free = it["x-kubernetes-int-or-string"] == true
            || it["x-kubernetes-preserve-unknown-fields"] == true;
        if text(it, "type").is_empty() && !free && !logical {
            let why = format!("must not be empty for {what}");
            errors.push(FieldError::required(&at.child("type"), &why));
        }
    };
    for (name, it) in entries(&schema["properties"]) {
        let at = path.child("properties").key(name);
        typed(errors, &at, it, "specified object fields");
        part(errors, &at, it, logical);
    }
    if schema["additionalProperties"].is_object() {
        let at = path.child("additionalProperties");
        typed(errors, &at, &schema["additionalProperties"], "specified object fields");
        part(errors, &at, &schema["additionalProperties"], logical);
    }
    if schema["items"].is_object() {
        let at = path.child("items");
        typed(errors, &at, &schema["items"], "specified array items");
        part(errors, &at, &schema["items"], logical);
    }
    lists(errors, path, schema);
    rules::check(errors, path, schema);
    for name in ["allOf", "anyOf", "oneOf"] {
        for (index, it) in items(&schema[name]).iter().enumerate() {
            part(errors, &path.child(name).index(index), it, true);
        }
    }
    if schema["not"].is_object() {
        part(errors, &path.child("not"), &schema["not"], true);
    }
}

fn lists(errors: &mut Errors, path: &Path, schema: &Value) {
    let kind = text(schema, "x-kubernetes-list-type");
    let keys = items(&schema["x-kubernetes-list-map-keys"]);
    one_of(errors, path, schema, "x-kubernetes-list-type", &["atomic", "map", "set"]);
    one_of(errors, path, schema, "x-kubernetes-map-type", &["atomic", "granular"]);
    if !kind.is_empty() && text(schema, "type") != "array" {
        let why = "must be array if x-kubernetes-list-type is specified";
        errors.push(FieldError::invalid(&path.child("type"), text(schema, "type"), why));
    }
    if kind == "map" && keys.is_empty() {
        let why = "must not be empty if x-kubernetes-list-type is map";
        errors.push(FieldError::required(&path.child("x-kubernetes-list-map-keys"), why));
    }
    if kind != "map" && !keys.is_empty() {
        let at = path.child("x-kubernetes-list-type");
        if kind.is_empty() {
            let why = "must be map if x-kubernetes-list-map-keys is non-empty";
            errors.push(FieldError::required(&at, why));
        } else {
            let why = "must be map if x-kubernetes-list-map-keys is non-empty";
            errors.push(FieldError::invalid(&at, kind, why));
        }
    }
    if kind == "map" && text(&schema["items"], "type") != "object" {
        let why = "must be object if parent array's x-kubernetes-list-type is map";
        let at = path.child("items.type");
        errors.push(FieldError::invalid(&at, text(&schema["items"], "type"), why));
    }
    for (index, key) in keys.iter().enumerate() {
        let key = key.as_str().unwrap_or_default();
        if schema["items"]["properties"].get(key).is_none() && kind == "map" {
            let at = path.child("x-kubernetes-list-map-keys").index(index);
            let why = "entries must all be names of item properties";
            errors.push(FieldError::invalid(&at, key, why));
            continue;
        }
        let required = items(&schema["items"]["required"]).iter().any(|it| it == key);
        let default = schema["items"]["properties"][key].get("default").is_some();
        if kind == "map" && !required && !default {
            let at = path.child("items.properties").key(key).child("default");
            let why = "this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property";
            errors.push(FieldError::required(&at, why));
        }
    }
}
