//! The canonical form of Kubernetes' own types: what is left of a value after it went through a typed server.
//!
//! Fields that the type does not have are dropped and reported; so are nulls and those empty values that mean the same
//! as none. Values of the wrong type end the reading, with the words of Go's decoder.

use base64::Engine as _;
use serde_json::{Map, Value, json};

use crate::go;
use crate::quantity::{self, Quantity};
use crate::schema::{Field, Node, Scalar, Struct};
use crate::time;

/// Whose words a value of the wrong type is refused with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Words {
    /// The decoder of JSON.
    Json,
    /// The converter of values that were merged already.
    Merged,
}

/// The canonical form of `value`, which stands below `at` in an object, and the fields that are unknown.
pub(crate) fn canonical(
    node: &Node,
    value: Value,
    at: &[&str],
    words: Words,
) -> Result<(Value, Vec<String>), String> {
    let mut walk = Walk {
        steps: at.iter().map(|name| Step::Field((*name).to_owned())).collect(),
        records: Vec::new(),
        unknown: Vec::new(),
        words,
    };
    let value = walk.value(node, value)?;
    Ok((value, walk.unknown))
}

/// What an object holds that nobody has written to yet.
pub(crate) fn zero(node: &Node) -> Value {
    canonical(node, json!({}), &[], Words::Json).map_or(Value::Null, |(value, _)| value)
}

enum Step {
    Field(String),
    Key(String),
    Index(usize),
}

struct Walk {
    steps: Vec<Step>,
    /// The type of the record around the value, for messages.
    records: Vec<String>,
    unknown: Vec<String>,
    words: Words,
}

impl Walk {
    fn value(&mut self, node: &Node, value: Value) -> Result<Value, String> {
        if value.is_null() {
            return Ok(Value::Null);
        }
        match node {
            Node::Any => Ok(value),
            Node::Scalar(scalar) => self.scalar(*scalar, value),
            Node::Struct(record) => match value {
                Value::Object(map) => self.record(record, map),
                other => Err(self.wrong(node, &other)),
            },
            Node::Map(map) => {
                let Value::Object(entries) = value else { return Err(self.wrong(node, &value)) };
                let mut out = Map::with_capacity(entries.len());
                for (key, value) in entries {
                    self.steps.push(Step::Key(key.clone()));
                    let is_null = value.is_null();
                    let value = self.value(map.values(), value)?;
                    self.steps.pop();
                    // A null in a map of scalars is the zero of its type.
                    let value = if is_null { zero_of(map.values()) } else { value };
                    out.insert(key, value);
                }
                Ok(Value::Object(out))
            }
            Node::List(list) => {
                let Value::Array(items) = value else { return Err(self.wrong(node, &value)) };
                let mut out = Vec::with_capacity(items.len());
                for (index, item) in items.into_iter().enumerate() {
                    self.steps.push(Step::Index(index));
                    let is_null = item.is_null();
                    let item = self.value(list.items(), item)?;
                    self.steps.pop();
                    out.push(if is_null { zero_of(list.items()) } else { item });
                }
                Ok(Value::Array(out))
            }
        }
    }

    fn record(&mut self, record: &Struct, map: Map<String, Value>) -> Result<Value, String> {
        let mut out = Map::with_capacity(map.len());
        self.records.push(record.name.clone());
        for (name, value) in map {
            let Some(field) = record.fields.get(&name) else {
                let path = self.path(&name);
                self.unknown.push(format!("unknown field \"{path}\""));
                continue;
            };
            self.steps.push(Step::Field(name.clone()));
            let value = self.value(field.node(), value)?;
            self.steps.pop();
            if !is_none(field, &value) {
                out.insert(name, value);
            }
        }
        self.records.pop();
        fill(record, &mut out);
        Ok(Value::Object(out))
    }

    fn scalar(&self, scalar: Scalar, value: Value) -> Result<Value, String> {
        let node = Node::Scalar(scalar);
        match (scalar, &value) {
            (Scalar::Opaque, _)
            | (Scalar::String, Value::String(_))
            | (Scalar::Boolean, Value::Bool(_))
            | (Scalar::Double, Value::Number(_)) => Ok(value),
            (Scalar::Int32 | Scalar::Int64, Value::Number(number)) => {
                let whole = number.as_i64().or_else(|| {
                    let float = number.as_f64()?;
                    (self.words == Words::Merged && float.fract() == 0.0).then_some(float as i64)
                });
                match whole {
                    Some(it) if scalar == Scalar::Int64 || i32::try_from(it).is_ok() => {
                        Ok(it.into())
                    }
                    _ => Err(self.wrong(&node, &value)),
                }
            }
            (Scalar::IntOrString, Value::String(_)) => Ok(value),
            (Scalar::IntOrString, Value::Number(number)) => {
                match number.as_i64().filter(|it| i32::try_from(*it).is_ok()) {
                    Some(_) => Ok(value),
                    None => Err(self.wrong_value(&value, "int32")),
                }
            }
            (Scalar::IntOrString, _) => Err(self.wrong_value(&value, "int32")),
            (Scalar::Quantity, Value::String(text)) => quantity_of(text.trim_matches('"')),
            (Scalar::Quantity, Value::Number(number)) => quantity_of(&number.to_string()),
            (Scalar::Quantity, _) => Err(quantity::MALFORMED.to_owned()),
            (Scalar::Time | Scalar::MicroTime, Value::String(text)) => match time::parse(text) {
                Some(time) if scalar == Scalar::Time => Ok(time::seconds(time).into()),
                Some(time) => Ok(time::micros(time).into()),
                None => Err(no_time(text, scalar)),
            },
            (Scalar::Time | Scalar::MicroTime, _) => Err(self.wrong_value(&value, "string")),
            (Scalar::Bytes, Value::String(text)) => match base64::engine::general_purpose::STANDARD
                .decode(text.as_bytes())
            {
                Ok(_) => Ok(value),
                Err(error) => {
                    Err(format!("illegal base64 data at input byte {}", illegal_at(text, &error)))
                }
            },
            _ => Err(self.wrong(&node, &value)),
        }
    }

    /// Where a value of the wrong type stands, in the words of Go.
    fn wrong(&self, node: &Node, value: &Value) -> String {
        if self.words == Words::Merged {
            return match node {
                Node::Struct(_) => format!("cannot restore struct from: {}", go_kind(value)),
                Node::List(_) => format!("cannot restore slice from {}", go_kind(value)),
                Node::Map(_) => format!("cannot restore map from {}", go_kind(value)),
                other => format!("unrecognized type: {}", go_type(other)),
            };
        }
        let found = found(node, value);
        let names: Vec<&str> = self
            .steps
            .iter()
            .filter_map(|step| match step {
                Step::Field(name) => Some(name.as_str()),
                Step::Key(_) | Step::Index(_) => None,
            })
            .collect();
        match self.records.last() {
            Some(record) if !names.is_empty() => format!(
                "json: cannot unmarshal {found} into Go struct field {record}.{} of type {}",
                names.join("."),
                go_type(node)
            ),
            _ => format!("json: cannot unmarshal {found} into Go value of type {}", go_type(node)),
        }
    }

    /// The same where the type reads its values itself.
    fn wrong_value(&self, value: &Value, wanted: &str) -> String {
        if self.words == Words::Merged {
            return format!("unrecognized type: {wanted}");
        }
        let node = Node::Scalar(Scalar::Opaque);
        format!("json: cannot unmarshal {} into Go value of type {wanted}", found(&node, value))
    }

    /// The path of a field here, as strict decoding writes it.
    fn path(&self, name: &str) -> String {
        let mut text = String::new();
        for step in &self.steps {
            match step {
                Step::Field(name) | Step::Key(name) => {
                    if !text.is_empty() {
                        text.push('.');
                    }
                    text.push_str(name);
                }
                Step::Index(index) => text.push_str(&format!("[{index}]")),
            }
        }
        if !text.is_empty() {
            text.push('.');
        }
        text + name
    }
}

/// Whether a value means the same as none.
fn is_none(field: &Field, value: &Value) -> bool {
    match value {
        Value::Null => true,
        _ if field.required => false,
        Value::Object(map) => map.is_empty() && matches!(field.node(), Node::Map(_)),
        Value::Array(list) => list.is_empty(),
        _ if field.keeps_zero => false,
        Value::String(text) => {
            text.is_empty() && matches!(field.node(), Node::Scalar(Scalar::String | Scalar::Bytes))
        }
        Value::Bool(flag) => !flag,
        Value::Number(number) => {
            number.as_i64() == Some(0)
                && matches!(field.node(), Node::Scalar(Scalar::Int32 | Scalar::Int64))
        }
    }
}

/// Adds what is written even where it is empty.
fn fill(record: &Struct, map: &mut Map<String, Value>) {
    for (name, field) in &record.fields {
        if (field.always || field.required) && !map.contains_key(name) {
            let value = if field.always { zero(field.node()) } else { zero_of(field.node()) };
            map.insert(name.clone(), value);
        }
    }
}

/// The empty value of a type.
fn zero_of(node: &Node) -> Value {
    match node {
        Node::Scalar(Scalar::String | Scalar::Bytes) => json!(""),
        Node::Scalar(Scalar::Int32 | Scalar::Int64 | Scalar::Double | Scalar::IntOrString) => {
            json!(0)
        }
        Node::Scalar(Scalar::Boolean) => json!(false),
        Node::Scalar(Scalar::Quantity) => json!("0"),
        Node::Scalar(Scalar::Time | Scalar::MicroTime | Scalar::Opaque) | Node::Any => Value::Null,
        Node::Map(_) | Node::List(_) => Value::Null,
        Node::Struct(_) => Value::Null,
    }
}

fn quantity_of(text: &str) -> Result<Value, String> {
    let quantity = Quantity::parse(text).ok_or_else(|| quantity::MALFORMED.to_owned())?;
    Ok(quantity.to_string().into())
}

fn no_time(text: &str, scalar: Scalar) -> String {
    let layout = if scalar == Scalar::Time {
        "2006-01-02T15:04:05Z07:00"
    } else {
        "2006-01-02T15:04:05.000000Z07:00"
    };
    let quoted = go::quote(text);
    format!("parsing time {quoted} as \"{layout}\": cannot parse {quoted} as \"2006\"")
}

fn illegal_at(text: &str, error: &base64::DecodeError) -> usize {
    match error {
        base64::DecodeError::InvalidByte(at, _) | base64::DecodeError::InvalidLastSymbol(at, _) => {
            *at
        }
        _ => text.len() / 4 * 4,
    }
}

/// What stands there, as Go's decoder calls it: numbers with their text where they do not fit.
fn found(node: &Node, value: &Value) -> String {
    match value {
        Value::Number(number) if matches!(node, Node::Scalar(Scalar::Int32 | Scalar::Int64)) => {
            format!("number {number}")
        }
        other => go::json_kind(other).to_owned(),
    }
}

fn go_kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "nil",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float64",
        Value::Number(_) => "int64",
        Value::String(_) => "string",
        Value::Array(_) => "slice",
        Value::Object(_) => "map",
    }
}

/// The name of a type in Go.
fn go_type(node: &Node) -> String {
    match node {
        Node::Struct(record) => record.qualified.clone(),
        Node::Map(map) => format!("map[string]{}", go_type(map.values())),
        Node::List(list) => format!("[]{}", go_type(list.items())),
        Node::Any => "interface {}".to_owned(),
        Node::Scalar(scalar) => match scalar {
            Scalar::String => "string",
            Scalar::Int32 => "int32",
            Scalar::Int64 => "int64",
            Scalar::Double => "float64",
            Scalar::Boolean => "bool",
            Scalar::Time => "v1.Time",
            Scalar::MicroTime => "v1.MicroTime",
            Scalar::Quantity => "resource.Quantity",
            Scalar::IntOrString => "intstr.IntOrString",
            Scalar::Bytes => "[]uint8",
            Scalar::Opaque => "v1.FieldsV1",
        }
        .to_owned(),
    }
}

/// What a new object of a resource is compared with: of Kubernetes' own kinds what is always there, of others nothing.
pub(crate) fn zero_of_resource(resource: &crate::Resource) -> Value {
    if resource.is_custom() { json!({ "metadata": {} }) } else { zero(resource.schema()) }
}
