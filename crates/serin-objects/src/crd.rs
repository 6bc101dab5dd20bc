//! CustomResourceDefinitions: reading, checking and accepting them.

use std::sync::{Arc, OnceLock};

use jiff::Timestamp;
use serde_json::{Value, json};
use serin_api::schema::Schema;

use crate::schema::{Node, custom_node};
use crate::{Catalog, time};

/// A CustomResourceDefinition, read.
#[derive(Debug)]
pub struct Definition {
    /// The group.
    pub group: String,
    /// The plural.
    pub plural: String,
    /// The singular.
    pub singular: String,
    /// The kind.
    pub kind: String,
    /// The kind of lists.
    pub list_kind: String,
    /// Short names.
    pub short_names: Vec<String>,
    /// Categories.
    pub categories: Vec<String>,
    /// Whether objects live in namespaces.
    pub namespaced: bool,
    /// The versions as listed.
    pub versions: Vec<DefinedVersion>,
}

/// A version of a CustomResourceDefinition.
#[derive(Debug)]
pub struct DefinedVersion {
    /// Its name.
    pub name: String,
    /// Whether it is served.
    pub served: bool,
    /// Whether objects are kept in it.
    pub storage: bool,
    /// The warning that each use of a deprecated version gives.
    pub deprecation: Option<String>,
    /// Columns of tables.
    pub columns: Vec<PrinterColumn>,
    /// Whether the status has a path of its own.
    pub status: bool,
    /// Where a scale stands, if it has a path of its own.
    pub scale: Option<ScalePaths>,
    /// Paths that field selectors may use.
    pub selectable: Vec<String>,
    shape: Arc<Shape>,
}

/// The schema of a version: read when the first object is. Versions with the same schema share it.
#[derive(Debug)]
struct Shape {
    /// As JSON, which takes a tenth of the memory that it takes when it is read.
    written: String,
    read: OnceLock<(Schema, Node)>,
}

impl Shape {
    fn read(&self) -> &(Schema, Node) {
        self.read.get_or_init(|| {
            // A definition whose schema cannot be read is refused when it is written. What was kept nevertheless
            // takes any object.
            let written: Value = serde_json::from_str(&self.written).unwrap_or_default();
            let schema = Schema::parse(&written)
                .unwrap_or_else(|_| Schema { preserve_unknown_fields: true, ..Schema::default() });
            let node = custom_node(&schema);
            (schema, node)
        })
    }
}

/// A column of a table.
#[derive(Clone, Debug)]
pub struct PrinterColumn {
    /// Its heading.
    pub name: String,
    /// Its type: `string`, `integer`, `number`, `boolean`, `date`.
    pub r#type: String,
    /// Its format.
    pub format: String,
    /// What it shows.
    pub description: String,
    /// 0 for columns that are always shown.
    pub priority: i64,
    /// Where the value stands.
    pub json_path: String,
}

/// Where the parts of a scale stand.
#[derive(Clone, Debug)]
pub struct ScalePaths {
    /// Wanted replicas, below `.spec`.
    pub spec_replicas: String,
    /// Existing replicas, below `.status`.
    pub status_replicas: String,
    /// The label selector as text, below `.status` or `.spec`.
    pub label_selector: Option<String>,
}

fn text(value: &Value, name: &str) -> String {
    value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn texts(value: &Value, name: &str) -> Vec<String> {
    let list = value.get(name).and_then(Value::as_array);
    list.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

fn flag(value: &Value, name: &str) -> bool {
    value.get(name).and_then(Value::as_bool).unwrap_or(false)
}

impl Definition {
    /// Reads the object.
    ///
    /// # Errors
    /// What is missing.
    pub fn parse(object: &Value) -> Result<Self, String> {
        let spec = &object["spec"];
        let names = &spec["names"];
        let kind = text(names, "kind");
        let or = |given: String, other: String| if given.is_empty() { other } else { given };
        let versions = spec["versions"].as_array().map(Vec::as_slice).unwrap_or_default();
        let mut shapes: Vec<Arc<Shape>> = Vec::new();
        let versions =
            versions.iter().map(|version| DefinedVersion::parse(object, version, &mut shapes));
        let versions = versions.collect();
        let (group, plural) = (text(spec, "group"), text(names, "plural"));
        if group.is_empty() || plural.is_empty() || kind.is_empty() {
            return Err(
                "a definition needs spec.group, spec.names.plural and spec.names.kind".to_owned()
            );
        }
        Ok(Self {
            group,
            plural,
            singular: or(text(names, "singular"), kind.to_lowercase()),
            list_kind: or(text(names, "listKind"), format!("{kind}List")),
            kind,
            short_names: texts(names, "shortNames"),
            categories: texts(names, "categories"),
            namespaced: spec["scope"] != "Cluster",
            versions,
        })
    }

    /// A version.
    pub fn version(&self, name: &str) -> Option<&DefinedVersion> {
        self.versions.iter().find(|version| version.name == name)
    }

    /// The version in which objects are kept.
    pub fn storage_version(&self) -> &str {
        let kept = self.versions.iter().find(|version| version.storage);
        kept.or(self.versions.first()).map_or("", |version| version.name.as_str())
    }

    pub(crate) fn node(&self, version: &str) -> &Node {
        static ANY: Node = Node::Any;
        self.version(version).map_or(&ANY, |version| &version.shape.read().1)
    }
}

impl DefinedVersion {
    /// The schema of whole objects.
    pub fn schema(&self) -> &Schema {
        &self.shape.read().0
    }

    /// The schema as it was written, as JSON.
    pub fn written_schema(&self) -> &str {
        &self.shape.written
    }

    /// Whether the schema has objects inside objects.
    pub(crate) fn has_embedded(&self) -> bool {
        self.shape.written.contains("x-kubernetes-embedded-resource")
    }

    /// Whether the schema has rules in CEL.
    pub(crate) fn has_rules(&self) -> bool {
        self.shape.written.contains("\"x-kubernetes-validations\":")
    }

    fn parse(object: &Value, version: &Value, shapes: &mut Vec<Arc<Shape>>) -> Self {
        let written = match version.pointer("/schema/openAPIV3Schema") {
            Some(schema) => schema.to_string(),
            None => r#"{"type":"object","x-kubernetes-preserve-unknown-fields":true}"#.to_owned(),
        };
        let shape = match shapes.iter().find(|shape| shape.written == written) {
            Some(shape) => Arc::clone(shape),
            None => {
                let shape = Arc::new(Shape { written, read: OnceLock::new() });
                shapes.push(Arc::clone(&shape));
                shape
            }
        };
        let name = text(version, "name");
        let columns = version.get("additionalPrinterColumns").and_then(Value::as_array);
        let scale = version.pointer("/subresources/scale").filter(|it| it.is_object());
        let selectable = version.get("selectableFields").and_then(Value::as_array);
        Self {
            served: flag(version, "served"),
            storage: flag(version, "storage"),
            deprecation: flag(version, "deprecated").then(|| {
                let given = text(version, "deprecationWarning");
                if given.is_empty() {
                    let group = text(&object["spec"], "group");
                    let kind = text(&object["spec"]["names"], "kind");
                    format!("{group}/{name} {kind} is deprecated")
                } else {
                    given
                }
            }),
            columns: columns.into_iter().flatten().map(PrinterColumn::parse).collect(),
            status: version.pointer("/subresources/status").is_some_and(Value::is_object),
            scale: scale.map(|scale| ScalePaths {
                spec_replicas: text(scale, "specReplicasPath"),
                status_replicas: text(scale, "statusReplicasPath"),
                label_selector: scale
                    .get("labelSelectorPath")
                    .and_then(Value::as_str)
                    .map(str::to_owned),
            }),
            selectable: selectable.into_iter().flatten().map(|it| text(it, "jsonPath")).collect(),
            shape,
            name,
        }
    }
}

impl PrinterColumn {
    fn parse(column: &Value) -> Self {
        Self {
            name: text(column, "name"),
            r#type: text(column, "type"),
            format: text(column, "format"),
            description: text(column, "description"),
            priority: column.get("priority").and_then(Value::as_i64).unwrap_or(0),
            json_path: text(column, "jsonPath"),
        }
    }
}

/// What of a definition's names another resource of its group has already.
fn taken(catalog: &Catalog, definition: &Value) -> Option<(&'static str, String)> {
    let spec = &definition["spec"];
    let names = &spec["names"];
    let group = catalog.group(&text(spec, "group"))?;
    let plural = text(names, "plural");
    let others = || {
        let all = group.versions.iter().flat_map(|version| version.resources.values());
        all.filter(|it| it.plural != plural || !it.is_custom())
    };
    let has = |name: &str| {
        others().any(|it| {
            it.plural == name || it.singular == name || it.short_names.iter().any(|it| it == name)
        })
    };
    let kinds = |name: &str| others().any(|it| it.kind == name || it.list_kind == name);
    let checks = [
        ("PluralConflict", vec![plural.clone()], false),
        ("SingularConflict", vec![text(names, "singular")], false),
        ("ShortNamesConflict", texts(names, "shortNames"), false),
        ("KindConflict", vec![text(names, "kind")], true),
        ("ListKindConflict", vec![text(names, "listKind")], true),
    ];
    checks.into_iter().find_map(|(reason, names, is_kind)| {
        let found = names
            .into_iter()
            .find(|it| !it.is_empty() && if is_kind { kinds(it) } else { has(it) })?;
        Some((reason, found))
    })
}

fn condition(status: &Value, name: &str, to: (bool, &str, &str), now: Timestamp) -> Value {
    let (holds, reason, message) = to;
    let value = if holds { "True" } else { "False" };
    let old = status["conditions"].as_array().into_iter().flatten().find(|it| it["type"] == name);
    let since = old
        .filter(|it| it["status"] == value)
        .and_then(|it| it["lastTransitionTime"].as_str().map(str::to_owned))
        .unwrap_or_else(|| time::seconds(now));
    json!({"type": name, "status": value, "lastTransitionTime": since, "reason": reason, "message": message})
}

/// The status of a CustomResourceDefinition: whether its names are free in the catalog, and whether it is served.
/// The catalog may have the definition itself already.
pub fn status(catalog: &Catalog, definition: &Value, now: Timestamp) -> Value {
    let old = &definition["status"];
    let spec = &definition["spec"];
    let conflict = taken(catalog, definition);
    let (names, established) = match &conflict {
        None => (
            condition(old, "NamesAccepted", (true, "NoConflicts", "no conflicts found"), now),
            condition(
                old,
                "Established",
                (true, "InitialNamesAccepted", "the initial names have been accepted"),
                now,
            ),
        ),
        Some((reason, name)) => {
            let message = format!("{name:?} is already in use");
            (
                condition(old, "NamesAccepted", (false, reason, &message), now),
                condition(
                    old,
                    "Established",
                    (false, "NotAccepted", "not all names are accepted"),
                    now,
                ),
            )
        }
    };
    let mut stored = texts(old, "storedVersions");
    let versions = spec["versions"].as_array().into_iter().flatten();
    for version in versions.filter(|it| it["storage"] == true) {
        let name = text(version, "name");
        if !stored.contains(&name) {
            stored.push(name);
        }
    }
    let accepted = if conflict.is_none() {
        spec["names"].clone()
    } else {
        old.get("acceptedNames").cloned().unwrap_or_else(|| json!({"kind": "", "plural": ""}))
    };
    let mut conditions = vec![names, established];
    let others = old["conditions"].as_array().into_iter().flatten();
    conditions.extend(
        others.filter(|it| it["type"] != "NamesAccepted" && it["type"] != "Established").cloned(),
    );
    json!({ "acceptedNames": accepted, "conditions": conditions, "storedVersions": stored })
}

/// Whether a definition's names are accepted and its resources are to be served.
pub fn is_established(definition: &Value) -> bool {
    let conditions = definition["status"]["conditions"].as_array().into_iter().flatten();
    conditions.into_iter().any(|it| it["type"] == "Established" && it["status"] == "True")
}
