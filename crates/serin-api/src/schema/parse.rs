//! From the JSON form of a schema to the model.

use indexmap::IndexMap;
use serde_json::{Map, Value};

use super::{Additional, Limits, ListType, Pattern, Rule, Schema, Type};
use crate::FieldPath;

/// Why a schema cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {message}")]
pub struct SchemaDefect {
    /// Where in the schema.
    pub field: FieldPath,
    /// What is wrong there.
    pub message: String,
}

pub(super) fn schema(value: &Value) -> Result<Schema, SchemaDefect> {
    read(value, &FieldPath::root())
}

/// The parts of one schema, looked up by their names.
struct Parts<'v> {
    map: &'v Map<String, Value>,
    path: &'v FieldPath,
}

impl<'v> Parts<'v> {
    fn get(&self, name: &str) -> Option<&'v Value> {
        self.map.get(name).filter(|value| !value.is_null())
    }

    fn defect(&self, name: &str, message: impl Into<String>) -> SchemaDefect {
        SchemaDefect { field: self.path.key(name), message: message.into() }
    }

    fn text(&self, name: &str) -> Result<Option<&'v str>, SchemaDefect> {
        self.get(name)
            .map(|value| value.as_str().ok_or_else(|| self.defect(name, "must be a text")))
            .transpose()
    }

    fn flag(&self, name: &str) -> Result<bool, SchemaDefect> {
        match self.get(name) {
            None => Ok(false),
            Some(value) => {
                value.as_bool().ok_or_else(|| self.defect(name, "must be true or false"))
            }
        }
    }

    fn number(&self, name: &str) -> Result<Option<f64>, SchemaDefect> {
        self.get(name)
            .map(|value| value.as_f64().ok_or_else(|| self.defect(name, "must be a number")))
            .transpose()
    }

    fn count(&self, name: &str) -> Result<Option<u64>, SchemaDefect> {
        self.get(name)
            .map(|value| {
                value.as_u64().ok_or_else(|| self.defect(name, "must be a whole number, 0 or more"))
            })
            .transpose()
    }

    fn list(&self, name: &str) -> Result<&'v [Value], SchemaDefect> {
        match self.get(name) {
            None => Ok(&[]),
            Some(value) => value
                .as_array()
                .map(Vec::as_slice)
                .ok_or_else(|| self.defect(name, "must be a list")),
        }
    }

    fn texts(&self, name: &str) -> Result<Vec<String>, SchemaDefect> {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        self.list(name)?
            .iter()
            .map(|value| text(value).ok_or_else(|| self.defect(name, "must be a list of texts")))
            .collect()
    }

    fn schemas(&self, name: &str) -> Result<Vec<Schema>, SchemaDefect> {
        let path = self.path.key(name);
        let read_at = |(index, value)| read(value, &path.index(index));
        self.list(name)?.iter().enumerate().map(read_at).collect()
    }

    fn schema(&self, name: &str) -> Result<Option<Box<Schema>>, SchemaDefect> {
        self.get(name).map(|value| read(value, &self.path.key(name)).map(Box::new)).transpose()
    }

    fn properties(&self) -> Result<IndexMap<String, Schema>, SchemaDefect> {
        let Some(value) = self.get("properties") else { return Ok(IndexMap::new()) };
        let fields =
            value.as_object().ok_or_else(|| self.defect("properties", "must be an object"))?;
        let path = self.path.key("properties");
        fields
            .iter()
            .map(|(name, value)| Ok((name.clone(), read(value, &path.key(name.clone()))?)))
            .collect()
    }

    fn additional(&self) -> Result<Additional, SchemaDefect> {
        Ok(match self.get("additionalProperties") {
            None => Additional::Unsaid,
            Some(Value::Bool(allowed)) => Additional::Allowed(*allowed),
            Some(value) => {
                Additional::Schema(Box::new(read(value, &self.path.key("additionalProperties"))?))
            }
        })
    }

    fn r#type(&self) -> Result<Option<Type>, SchemaDefect> {
        Ok(match self.text("type")? {
            None => None,
            Some("object") => Some(Type::Object),
            Some("array") => Some(Type::Array),
            Some("string") => Some(Type::String),
            Some("integer") => Some(Type::Integer),
            Some("number") => Some(Type::Number),
            Some("boolean") => Some(Type::Boolean),
            Some(other) => return Err(self.defect("type", format!("there is no type {other:?}"))),
        })
    }

    fn pattern(&self) -> Result<Option<Pattern>, SchemaDefect> {
        let compile = |text: &str| match serin_re2::Regex::new(text) {
            Ok(regex) => Ok(Pattern { text: text.to_owned(), regex }),
            Err(error) => Err(self.defect("pattern", error.to_string())),
        };
        self.text("pattern")?.map(compile).transpose()
    }

    fn limits(&self) -> Result<Limits, SchemaDefect> {
        Ok(Limits {
            minimum: self.number("minimum")?,
            exclusive_minimum: self.flag("exclusiveMinimum")?,
            maximum: self.number("maximum")?,
            exclusive_maximum: self.flag("exclusiveMaximum")?,
            multiple_of: self.number("multipleOf")?,
            min_length: self.count("minLength")?,
            max_length: self.count("maxLength")?,
            min_items: self.count("minItems")?,
            max_items: self.count("maxItems")?,
            unique_items: self.flag("uniqueItems")?,
            min_properties: self.count("minProperties")?,
            max_properties: self.count("maxProperties")?,
        })
    }

    fn list_type(&self) -> Result<ListType, SchemaDefect> {
        const NAME: &str = "x-kubernetes-list-type";
        Ok(match self.text(NAME)? {
            None | Some("atomic") => ListType::Atomic,
            Some("set") => ListType::Set,
            Some("map") => ListType::Map(self.texts("x-kubernetes-list-map-keys")?),
            Some(other) => {
                return Err(self.defect(NAME, format!("must be atomic, set or map, not {other:?}")));
            }
        })
    }

    fn rules(&self) -> Result<Vec<Rule>, SchemaDefect> {
        const NAME: &str = "x-kubernetes-validations";
        let path = self.path.key(NAME);
        let rule = |(index, value): (usize, &Value)| {
            Rule::parse(value).map_err(|message| SchemaDefect { field: path.index(index), message })
        };
        self.list(NAME)?.iter().enumerate().map(rule).collect()
    }
}

fn read(value: &Value, path: &FieldPath) -> Result<Schema, SchemaDefect> {
    let Some(map) = value.as_object() else {
        let message = "a schema is an object".to_owned();
        return Err(SchemaDefect { field: path.clone(), message });
    };
    let parts = Parts { map, path };
    Ok(Schema {
        r#type: parts.r#type()?,
        format: parts.text("format")?.map(str::to_owned),
        description: parts.text("description")?.map(str::to_owned),
        nullable: parts.flag("nullable")?,
        default: map.get("default").cloned(),
        properties: parts.properties()?,
        additional: parts.additional()?,
        required: parts.texts("required")?,
        items: parts.schema("items")?,
        enumeration: parts.list("enum")?.to_vec(),
        limits: parts.limits()?,
        pattern: parts.pattern()?,
        all_of: parts.schemas("allOf")?,
        any_of: parts.schemas("anyOf")?,
        one_of: parts.schemas("oneOf")?,
        not: parts.schema("not")?,
        preserve_unknown_fields: parts.flag("x-kubernetes-preserve-unknown-fields")?,
        int_or_string: parts.flag("x-kubernetes-int-or-string")?,
        embedded_resource: parts.flag("x-kubernetes-embedded-resource")?,
        list: parts.list_type()?,
        atomic_map: parts.text("x-kubernetes-map-type")? == Some("atomic"),
        rules: parts.rules()?,
    })
}
