//! Schemas of kinds, their lists, and everything these refer to.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::Resource;
use crate::schema::builtin::{definitions, reference, type_name};
use crate::schema::{ListKind, Node, builtin};

const META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";
const LIST_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ListMeta";
const DELETE_OPTIONS: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions";
const STATUS: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.Status";
const SCALE: &str = "io.k8s.api.autoscaling.v1.Scale";

/// Values that fields of Kubernetes' own types may have, in addition to what the descriptions say.
const ENUMS: &[(&str, &str, &[&str])] = &[
    ("ServiceSpec", "type", &["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"]),
    ("ServiceSpec", "sessionAffinity", &["ClientIP", "None"]),
    ("ServiceSpec", "externalTrafficPolicy", &["Cluster", "Local"]),
    ("ServiceSpec", "internalTrafficPolicy", &["Cluster", "Local"]),
    ("ServiceSpec", "ipFamilyPolicy", &["PreferDualStack", "RequireDualStack", "SingleStack"]),
    ("ServicePort", "protocol", &["SCTP", "TCP", "UDP"]),
    ("ContainerPort", "protocol", &["SCTP", "TCP", "UDP"]),
    ("Container", "imagePullPolicy", &["Always", "IfNotPresent", "Never"]),
    ("Container", "terminationMessagePolicy", &["FallbackToLogsOnError", "File"]),
    ("PodSpec", "dnsPolicy", &["ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"]),
    ("PodSpec", "restartPolicy", &["Always", "Never", "OnFailure"]),
    ("PodSpec", "preemptionPolicy", &["Never", "PreemptLowerPriority"]),
    ("PodStatus", "phase", &["Failed", "Pending", "Running", "Succeeded", "Unknown"]),
    ("PodStatus", "qosClass", &["BestEffort", "Burstable", "Guaranteed"]),
    ("DeploymentStrategy", "type", &["Recreate", "RollingUpdate"]),
    ("DaemonSetUpdateStrategy", "type", &["OnDelete", "RollingUpdate"]),
    ("StatefulSetUpdateStrategy", "type", &["OnDelete", "RollingUpdate"]),
    ("StatefulSetSpec", "podManagementPolicy", &["OrderedReady", "Parallel"]),
    ("JobSpec", "completionMode", &["Indexed", "NonIndexed"]),
    ("CronJobSpec", "concurrencyPolicy", &["Allow", "Forbid", "Replace"]),
    ("HTTPIngressPath", "pathType", &["Exact", "ImplementationSpecific", "Prefix"]),
    ("NamespaceStatus", "phase", &["Active", "Terminating"]),
    ("Toleration", "operator", &["Equal", "Exists"]),
    ("Toleration", "effect", &["NoExecute", "NoSchedule", "PreferNoSchedule"]),
    ("Taint", "effect", &["NoExecute", "NoSchedule", "PreferNoSchedule"]),
    ("HTTPGetAction", "scheme", &["HTTP", "HTTPS"]),
    ("PersistentVolumeClaimSpec", "volumeMode", &["Block", "Filesystem"]),
    ("HPAScalingRules", "selectPolicy", &["Disabled", "Max", "Min"]),
];

/// Types of which any value is one, in schemas of custom resources. Clients that check before they send take an `object` for a map.
const ANY_VALUE: [&str; 4] =
    ["JSON", "JSONSchemaPropsOrArray", "JSONSchemaPropsOrBool", "JSONSchemaPropsOrStringArray"];

/// The name of a kind's schema.
pub(super) fn name_of(resource: &Resource) -> String {
    if !resource.is_custom() {
        return type_name(&resource.group, &resource.version, &resource.kind);
    }
    let reversed: Vec<&str> = resource.group.rsplit('.').collect();
    format!("{}.{}.{}", reversed.join("."), resource.version, resource.kind)
}

/// The schemas of resources and what these refer to, by name. References are `$ref: NAME`.
pub(super) fn of(resources: &[&Resource]) -> BTreeMap<String, Value> {
    let all = definitions();
    let mut wanted: Vec<String> =
        [META, LIST_META, DELETE_OPTIONS, STATUS].map(str::to_owned).to_vec();
    let mut out: BTreeMap<String, Value> = BTreeMap::new();
    for resource in resources {
        let name = name_of(resource);
        if resource.is_custom() {
            out.insert(name.clone(), custom(resource));
        } else {
            wanted.push(name.clone());
        }
        for it in &resource.subresources {
            if !it.version.is_empty() {
                wanted.push(type_name(&it.group, &it.version, &it.kind));
            }
        }
        if resource.subresource("scale").is_some() {
            wanted.push(SCALE.to_owned());
        }
        if resource.has_verb("list") {
            out.insert(format!("{name}List"), list(resource, &name));
        }
    }
    while let Some(name) = wanted.pop() {
        let Some(definition) = all.get(&name) else { continue };
        if out.contains_key(&name) {
            continue;
        }
        let mut definition = definition.clone();
        references(&mut definition, &mut |found| wanted.push(found.to_owned()));
        annotate(&name, &mut definition);
        out.insert(name, definition);
    }
    for resource in resources.iter().filter(|it| !it.is_custom()) {
        if let Some(definition) = out.get_mut(&name_of(resource)) {
            definition["x-kubernetes-group-version-kind"] = kinds(resource, &resource.kind);
        }
    }
    out
}

fn kinds(resource: &Resource, kind: &str) -> Value {
    json!([{ "group": resource.group, "kind": kind, "version": resource.version }])
}

fn list(resource: &Resource, name: &str) -> Value {
    json!({
        "description": format!("{} is a list of {}", resource.list_kind, resource.kind),
        "type": "object",
        "required": ["items"],
        "properties": {
            "apiVersion": {"type": "string", "description": API_VERSION},
            "items": {
                "description": format!("List of {}.", resource.plural),
                "type": "array",
                "items": {"$ref": name},
            },
            "kind": {"type": "string", "description": KIND},
            "metadata": {"$ref": LIST_META, "description": "Standard list metadata."},
        },
        "x-kubernetes-group-version-kind": kinds(resource, &resource.list_kind),
    })
}

const API_VERSION: &str = "The version of the schema that this representation of an object has.";
const KIND: &str = "The REST resource that this object represents, in CamelCase.";

/// The schema of a kind that users define, with the frame that all objects have.
fn custom(resource: &Resource) -> Value {
    let version = resource.definition().and_then(|it| it.version(&resource.version));
    let written = version.and_then(|it| serde_json::from_str(it.written_schema()).ok());
    let mut schema: Value = written.unwrap_or_else(|| json!({ "type": "object" }));
    if !schema.get("properties").is_some_and(Value::is_object) {
        schema["properties"] = json!({});
    }
    schema["properties"]["apiVersion"] = json!({"type": "string", "description": API_VERSION});
    schema["properties"]["kind"] = json!({"type": "string", "description": KIND});
    schema["properties"]["metadata"] =
        json!({"$ref": META, "description": "Standard object's metadata."});
    schema["x-kubernetes-group-version-kind"] = kinds(resource, &resource.kind);
    schema
}

/// Makes references short, and tells which there are.
fn references(schema: &mut Value, found: &mut impl FnMut(&str)) {
    if let Some(name) = reference(schema).map(str::to_owned) {
        found(&name);
        if let Some(map) = schema.as_object_mut() {
            map.remove("allOf");
            map.insert("$ref".to_owned(), Value::from(name));
        }
        return;
    }
    for_each_part(schema, &mut |part| references(part, found));
}

fn for_each_part(schema: &mut Value, change: &mut dyn FnMut(&mut Value)) {
    let Some(map) = schema.as_object_mut() else { return };
    if let Some(Value::Object(fields)) = map.get_mut("properties") {
        fields.values_mut().for_each(&mut *change);
    }
    for name in ["items", "additionalProperties", "not"] {
        if let Some(part) = map.get_mut(name).filter(|part| part.is_object()) {
            change(part);
        }
    }
    for name in ["allOf", "anyOf", "oneOf"] {
        if let Some(Value::Array(parts)) = map.get_mut(name) {
            parts.iter_mut().for_each(&mut *change);
        }
    }
}

/// Adds to the description of a type what the shapes know: how lists are merged, and allowed values; takes away what is too narrow.
fn annotate(name: &str, definition: &mut Value) {
    let short = name.rsplit('.').next().unwrap_or_default();
    if let Some(map) = definition.as_object_mut().filter(|_| ANY_VALUE.contains(&short)) {
        map.remove("type");
    }
    let Node::Struct(record) = builtin::named(name) else { return };
    if record.atomic {
        definition["x-kubernetes-map-type"] = json!("atomic");
    }
    let Some(Value::Object(fields)) = definition.get_mut("properties") else { return };
    for (field, schema) in fields.iter_mut() {
        let Some(known) = record.fields.get(field) else { continue };
        match known.node() {
            Node::List(list) => {
                let kind = match &list.kind {
                    ListKind::Atomic => "atomic",
                    ListKind::Set => "set",
                    ListKind::Map(keys) => {
                        schema["x-kubernetes-list-map-keys"] = json!(keys);
                        "map"
                    }
                };
                schema["x-kubernetes-list-type"] = json!(kind);
            }
            Node::Map(map) if map.atomic => schema["x-kubernetes-map-type"] = json!("atomic"),
            _ => {}
        }
        let merge = known.merge;
        let strategy = match (merge.list_key.is_some(), merge.retain_keys) {
            (true, true) => "merge,retainKeys",
            (true, false) => "merge",
            (false, true) => "retainKeys",
            (false, false) => "",
        };
        if !strategy.is_empty() {
            schema["x-kubernetes-patch-strategy"] = json!(strategy);
        }
        if let Some(key) = merge.list_key.filter(|key| !key.is_empty()) {
            schema["x-kubernetes-patch-merge-key"] = json!(key);
        }
        if let Some(default) = &known.default {
            schema["default"] = default.clone();
        }
        let allowed = ENUMS.iter().find(|(of, name, _)| *of == record.name && name == field);
        if let Some((.., allowed)) = allowed {
            schema["enum"] = json!(allowed);
        }
    }
}

/// Numbers and texts that may stand for each other.
fn is_int_or_string(schema: &Value) -> bool {
    schema.get("x-kubernetes-int-or-string").and_then(Value::as_bool) == Some(true)
        && schema.get("description").and_then(Value::as_str).is_some_and(|it| {
            it.starts_with("IntOrString is a type") || it.starts_with("Quantity is a")
        })
}

fn is_quantity(schema: &Value) -> bool {
    let description = schema.get("description").and_then(Value::as_str);
    description.is_some_and(|it| it.starts_with("Quantity is a"))
}

/// A schema as OpenAPI v3 has it: references stand alone, beside nothing.
pub(super) fn to_v3(schema: &mut Value) {
    if is_int_or_string(schema) {
        let quantity = is_quantity(schema);
        let Some(map) = schema.as_object_mut() else { return };
        map.remove("x-kubernetes-int-or-string");
        if quantity {
            map.insert("oneOf".to_owned(), json!([{"type": "string"}, {"type": "number"}]));
        } else {
            map.insert("format".to_owned(), json!("int-or-string"));
            map.insert("oneOf".to_owned(), json!([{"type": "integer"}, {"type": "string"}]));
        }
        return;
    }
    if let Some(Value::String(name)) = schema.as_object_mut().and_then(|it| it.remove("$ref")) {
        let reference = json!({ "$ref": format!("#/components/schemas/{name}") });
        let Some(map) = schema.as_object_mut() else { return };
        if map.is_empty() {
            *schema = reference;
        } else {
            map.insert("allOf".to_owned(), json!([reference]));
        }
        return;
    }
    for_each_part(schema, &mut to_v3);
}

/// A schema as OpenAPI v2 has it, which knows no alternatives.
pub(super) fn to_v2(schema: &mut Value) {
    if is_int_or_string(schema) {
        let quantity = is_quantity(schema);
        let Some(map) = schema.as_object_mut() else { return };
        map.remove("x-kubernetes-int-or-string");
        map.insert("type".to_owned(), json!("string"));
        if !quantity {
            map.insert("format".to_owned(), json!("int-or-string"));
        }
        return;
    }
    let Some(map) = schema.as_object_mut() else { return };
    if let Some(Value::String(name)) = map.get("$ref") {
        let name = format!("#/definitions/{name}");
        map.insert("$ref".to_owned(), json!(name));
        return;
    }
    for name in ["oneOf", "anyOf", "allOf", "not", "nullable"] {
        map.remove(name);
    }
    // What may be of several types has none here.
    if map.get("x-kubernetes-int-or-string") == Some(&json!(true)) {
        map.remove("type");
    }
    prune_unknown(map);
    for_each_part(schema, &mut to_v2);
}

/// Older clients take a record for closed; one that is open must not list its fields.
fn prune_unknown(map: &mut Map<String, Value>) {
    let open = map.get("x-kubernetes-preserve-unknown-fields") == Some(&json!(true));
    let is_root = map.contains_key("x-kubernetes-group-version-kind");
    if open && !is_root {
        for name in ["properties", "required", "items", "type"] {
            map.remove(name);
        }
    }
}
