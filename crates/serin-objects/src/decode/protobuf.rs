//! Objects in protocol buffers, read by the shapes of their types.
//!
//! The bytes `k8s\0` stand before an envelope with the kind of the object and its message. Values are written as JSON
//! has them: 64-bit integers as numbers, bytes in base64, times as text.

use std::collections::HashMap;
use std::sync::LazyLock;

use base64::Engine as _;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::numbers::{NUMBERS, core};
use crate::schema::{Node, Scalar, Struct, builtin};
use crate::time;

const MAGIC: &[u8] = b"k8s\0";
/// How deep messages may be nested.
const DEPTH: usize = 64;

/// A field of a message.
#[derive(Clone, Copy)]
enum Field {
    Named(&'static str),
    /// A message whose fields belong to the record around it.
    Inline(&'static str),
}

type Fields = HashMap<u64, Field>;

static TYPES: LazyLock<HashMap<&'static str, Fields>> = LazyLock::new(|| {
    let read = |line: &'static str| {
        let mut words = line.split_whitespace();
        let name = words.next()?;
        let field = |word: &'static str| {
            let (name, number) = word.rsplit_once('=')?;
            Some(match number.split_once(':') {
                Some((number, of)) => (number.parse().ok()?, Field::Inline(of)),
                None => (number.parse().ok()?, Field::Named(name)),
            })
        };
        Some((name, words.filter_map(field).collect()))
    };
    [NUMBERS, core::NUMBERS].iter().flat_map(|it| it.lines()).filter_map(read).collect()
});

/// A value on the wire.
enum Wire<'w> {
    Number(u64),
    Fixed64(u64),
    Bytes(&'w [u8]),
}

/// The fields of a message in their order.
struct Reader<'w>(&'w [u8]);

const CUT: &str = "the message ends too early";

impl<'w> Reader<'w> {
    fn number(&mut self) -> Result<u64, String> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.0.split_first().ok_or(CUT)?;
            self.0 = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err("a number has too many bytes".to_owned())
    }

    fn take(&mut self, count: usize) -> Result<&'w [u8], String> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(CUT)?;
        self.0 = rest;
        Ok(taken)
    }

    fn field(&mut self) -> Result<Option<(u64, Wire<'w>)>, String> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let tag = self.number()?;
        let wire = match tag & 7 {
            0 => Wire::Number(self.number()?),
            1 => {
                let bytes = self.take(8)?.try_into().map_err(|_| CUT)?;
                Wire::Fixed64(u64::from_le_bytes(bytes))
            }
            2 => {
                let length = usize::try_from(self.number()?).map_err(|_| CUT)?;
                Wire::Bytes(self.take(length)?)
            }
            5 => {
                let bytes: [u8; 4] = self.take(4)?.try_into().map_err(|_| CUT)?;
                Wire::Number(u64::from(u32::from_le_bytes(bytes)))
            }
            other => return Err(format!("there is no wire type {other}")),
        };
        Ok(Some((tag >> 3, wire)))
    }
}

impl<'w> Wire<'w> {
    fn bytes(&self) -> Result<&'w [u8], String> {
        match self {
            Self::Bytes(bytes) => Ok(bytes),
            _ => Err("a number stands where a message should".to_owned()),
        }
    }

    fn text(&self) -> Result<String, String> {
        let text = std::str::from_utf8(self.bytes()?).map_err(|_| "a text is not UTF-8")?;
        Ok(text.to_owned())
    }

    fn number(&self) -> Result<u64, String> {
        match self {
            Self::Number(number) | Self::Fixed64(number) => Ok(*number),
            Self::Bytes(_) => Err("a message stands where a number should".to_owned()),
        }
    }
}

/// The object of a body.
pub(super) fn read(bytes: &[u8]) -> Result<Value, String> {
    let message = bytes.strip_prefix(MAGIC).ok_or(
        "provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]",
    )?;
    let (mut api_version, mut kind, mut raw) = (String::new(), String::new(), &[][..]);
    let mut envelope = Reader(message);
    while let Some((number, wire)) = envelope.field()? {
        match number {
            1 => {
                let mut meta = Reader(wire.bytes()?);
                while let Some((number, wire)) = meta.field()? {
                    match number {
                        1 => api_version = wire.text()?,
                        2 => kind = wire.text()?,
                        _ => {}
                    }
                }
            }
            2 => raw = wire.bytes()?,
            _ => {}
        }
    }
    let (group, version) = crate::catalog::split_api_version(&api_version);
    let node = match kind.as_str() {
        "DeleteOptions" => builtin::named("io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions"),
        _ => builtin::of_kind(group, version, &kind),
    };
    let Node::Struct(record) = node else {
        return Err(format!("no kind \"{kind}\" is registered for version \"{api_version}\""));
    };
    let mut object = Map::new();
    object.insert("apiVersion".to_owned(), json!(api_version));
    object.insert("kind".to_owned(), json!(kind));
    self::record(record, &record.full, raw, &mut object, 0)?;
    Ok(Value::Object(object))
}

/// Reads a message of type `name` into the fields of a record.
fn record(
    record: &Struct,
    name: &str,
    bytes: &[u8],
    out: &mut Map<String, Value>,
    depth: usize,
) -> Result<(), String> {
    if depth > DEPTH {
        return Err("the message is nested too deep".to_owned());
    }
    let fields =
        TYPES.get(name).ok_or_else(|| format!("{name} has no form in protocol buffers here"))?;
    let mut reader = Reader(bytes);
    while let Some((number, wire)) = reader.field()? {
        // Newer clients may send fields that are not known here.
        let field = match fields.get(&number) {
            None => continue,
            Some(Field::Inline(of)) => {
                self::record(record, of, wire.bytes()?, out, depth + 1)?;
                continue;
            }
            Some(Field::Named(field)) => *field,
        };
        let Some(node) = record.fields.get(field).map(crate::schema::Field::node) else { continue };
        match node {
            Node::List(list) => {
                let items = out.entry(field).or_insert_with(|| json!([]));
                let Value::Array(items) = items else { continue };
                packed(list.items(), &wire, items, depth)?;
            }
            Node::Map(map) => {
                let (key, value) = entry(map.values(), wire.bytes()?, depth)?;
                out.entry(field).or_insert_with(|| json!({}))[key] = value;
            }
            node => {
                let value = value(node, &wire, depth)?;
                out.insert(field.to_owned(), value);
            }
        }
    }
    Ok(())
}

/// An element of a list, or several numbers in one.
fn packed(
    node: &Node,
    wire: &Wire<'_>,
    items: &mut Vec<Value>,
    depth: usize,
) -> Result<(), String> {
    let is_number = matches!(node, Node::Scalar(Scalar::Int32 | Scalar::Int64 | Scalar::Boolean));
    if let (true, Wire::Bytes(bytes)) = (is_number, wire) {
        let mut reader = Reader(bytes);
        while !reader.0.is_empty() {
            let number = Wire::Number(reader.number()?);
            items.push(value(node, &number, depth)?);
        }
        return Ok(());
    }
    items.push(value(node, wire, depth)?);
    Ok(())
}

/// An entry of a map.
fn entry(node: &Node, bytes: &[u8], depth: usize) -> Result<(String, Value), String> {
    let (mut key, mut found) = (String::new(), None);
    let mut reader = Reader(bytes);
    while let Some((number, wire)) = reader.field()? {
        match number {
            1 => key = wire.text()?,
            2 => found = Some(value(node, &wire, depth)?),
            _ => {}
        }
    }
    let value = match found {
        Some(value) => value,
        None => value(node, &Wire::Bytes(&[]), depth)?,
    };
    Ok((key, value))
}

fn value(node: &Node, wire: &Wire<'_>, depth: usize) -> Result<Value, String> {
    match node {
        Node::Struct(it) => {
            let mut out = Map::new();
            record(it, &it.full, wire.bytes()?, &mut out, depth + 1)?;
            Ok(Value::Object(out))
        }
        // A list in a map: the only ones are lists of texts in a message of their own.
        Node::List(list) => {
            let mut items = Vec::new();
            let mut reader = Reader(wire.bytes()?);
            while let Some((_, wire)) = reader.field()? {
                items.push(value(list.items(), &wire, depth + 1)?);
            }
            Ok(Value::Array(items))
        }
        Node::Map(map) => {
            let (key, value) = entry(map.values(), wire.bytes()?, depth + 1)?;
            Ok(json!({ key: value }))
        }
        // Anything travels as JSON in a message of its own.
        Node::Any | Node::Scalar(Scalar::Opaque) => match first(wire.bytes()?)? {
            Some(wire) => serde_json::from_slice(wire.bytes()?).map_err(|error| error.to_string()),
            None => Ok(Value::Null),
        },
        Node::Scalar(scalar) => self::scalar(*scalar, wire),
    }
}

/// The first field of a message.
fn first(bytes: &[u8]) -> Result<Option<Wire<'_>>, String> {
    Ok(Reader(bytes).field()?.map(|(_, wire)| wire))
}

#[expect(clippy::cast_possible_wrap, reason = "negative numbers are written in two's complement")]
fn scalar(scalar: Scalar, wire: &Wire<'_>) -> Result<Value, String> {
    Ok(match scalar {
        Scalar::String => json!(wire.text()?),
        Scalar::Int32 => json!(wire.number()? as i32),
        Scalar::Int64 => json!(wire.number()? as i64),
        Scalar::Double => json!(f64::from_bits(wire.number()?)),
        Scalar::Boolean => json!(wire.number()? != 0),
        Scalar::Bytes => json!(base64::engine::general_purpose::STANDARD.encode(wire.bytes()?)),
        Scalar::Quantity => match first(wire.bytes()?)? {
            Some(wire) => json!(wire.text()?),
            None => json!("0"),
        },
        Scalar::IntOrString => {
            let (mut is_text, mut number, mut text) = (false, 0, String::new());
            let mut reader = Reader(wire.bytes()?);
            while let Some((field, wire)) = reader.field()? {
                match field {
                    1 => is_text = wire.number()? == 1,
                    2 => number = wire.number()? as i32,
                    _ => text = wire.text()?,
                }
            }
            if is_text { json!(text) } else { json!(number) }
        }
        Scalar::Time | Scalar::MicroTime => instant(scalar, wire.bytes()?)?,
        Scalar::Opaque => Value::Null,
    })
}

#[expect(clippy::cast_possible_wrap, reason = "negative numbers are written in two's complement")]
fn instant(scalar: Scalar, bytes: &[u8]) -> Result<Value, String> {
    let (mut seconds, mut nanos) = (0_i64, 0_i32);
    let mut reader = Reader(bytes);
    let mut is_set = false;
    while let Some((field, wire)) = reader.field()? {
        is_set = true;
        match field {
            1 => seconds = wire.number()? as i64,
            _ => nanos = wire.number()? as i32,
        }
    }
    if !is_set {
        return Ok(Value::Null);
    }
    let time = Timestamp::new(seconds, nanos).map_err(|error| error.to_string())?;
    Ok(if scalar == Scalar::Time { time::seconds(time) } else { time::micros(time) }.into())
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    /// A field with bytes.
    fn bytes(number: u8, inner: &[u8]) -> Vec<u8> {
        let mut out = vec![number << 3 | 2, u8::try_from(inner.len()).unwrap()];
        out.extend(inner);
        out
    }

    fn enveloped(api_version: &str, kind: &str, raw: &[u8]) -> Vec<u8> {
        let meta = [bytes(1, api_version.as_bytes()), bytes(2, kind.as_bytes())].concat();
        [MAGIC.to_vec(), bytes(1, &meta), bytes(2, raw)].concat()
    }

    #[test]
    fn objects_are_read_from_protocol_buffers() {
        let labels = [bytes(1, b"a"), bytes(2, b"b")].concat();
        let metadata = [bytes(1, b"c"), bytes(11, &labels)].concat();
        let entry = [bytes(1, b"k"), bytes(2, b"v")].concat();
        let binary = [bytes(1, b"z"), bytes(2, b"hi")].concat();
        let raw =
            [bytes(1, &metadata), bytes(2, &entry), bytes(3, &binary), vec![4 << 3, 1]].concat();
        assert_eq!(
            read(&enveloped("v1", "ConfigMap", &raw)).unwrap(),
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "labels": {"a": "b"}},
                   "data": {"k": "v"}, "binaryData": {"z": "aGk="}, "immutable": true})
        );
        assert!(read(b"{}").is_err());
        assert!(read(&enveloped("v1", "ConfigMap", &[10, 200])).is_err());
        assert!(read(&enveloped("v1", "Nothing", &[])).is_err());
    }

    #[test]
    fn records_inside_of_records_quantities_and_ports_are_read() {
        let secret = [bytes(1, &bytes(1, b"s")), bytes(2, b"key")].concat();
        let env = [bytes(1, b"E"), bytes(3, &bytes(4, &secret))].concat();
        let cpu = [bytes(1, b"cpu"), bytes(2, &bytes(1, b"10m"))].concat();
        let get = [bytes(2, &[8, 1, 26, 4, b'h', b't', b't', b'p'])].concat();
        let probe = [bytes(1, &bytes(2, &get)), vec![2 << 3, 5]].concat();
        let container =
            [bytes(1, b"a"), bytes(7, &env), bytes(8, &bytes(1, &cpu)), bytes(10, &probe)].concat();
        let raw = bytes(2, &bytes(2, &container));
        let pod = read(&enveloped("v1", "Pod", &raw)).unwrap();
        assert_eq!(
            pod["spec"]["containers"][0],
            json!({"name": "a", "env": [{"name": "E", "valueFrom": {"secretKeyRef": {"name": "s", "key": "key"}}}],
                   "resources": {"limits": {"cpu": "10m"}},
                   "livenessProbe": {"httpGet": {"port": "http"}, "initialDelaySeconds": 5}})
        );
    }

    fn has_number(name: &str, field: &str) -> bool {
        let Some(fields) = TYPES.get(name) else { return false };
        fields.values().any(|it| match it {
            Field::Named(named) => *named == field,
            Field::Inline(of) => has_number(of, field),
        })
    }

    /// What has none would be lost from every body in protocol buffers.
    fn every_field_has_a_number(node: &Node, seen: &mut HashSet<String>) {
        match node {
            // Schemas of definitions hold themselves, and always come as JSON.
            Node::Struct(it) if !it.full.starts_with("apiextensions") => {
                if !seen.insert(it.full.clone()) {
                    return;
                }
                for (field, of) in &it.fields {
                    let is_frame = matches!(field.as_str(), "apiVersion" | "kind")
                        && it.fields.contains_key("metadata");
                    assert!(is_frame || has_number(&it.full, field), "{}.{field}", it.full);
                    every_field_has_a_number(of.node(), seen);
                }
            }
            Node::List(it) => every_field_has_a_number(it.items(), seen),
            Node::Map(it) => every_field_has_a_number(it.values(), seen),
            _ => {}
        }
    }

    #[test]
    fn every_field_of_the_table_is_a_field_of_its_type() {
        for (name, fields) in TYPES.iter() {
            let Node::Struct(record) = builtin::named(&format!("io.k8s.{name}")) else { continue };
            for field in fields.values() {
                match field {
                    Field::Named(field) => {
                        assert!(record.fields.contains_key(*field), "{name}.{field}")
                    }
                    Field::Inline(of) => assert!(TYPES.contains_key(of), "{name}: {of}"),
                }
            }
        }
        for resource in crate::Catalog::builtin().resources() {
            every_field_has_a_number(resource.schema(), &mut HashSet::new());
            let Node::Struct(record) = resource.schema() else { panic!() };
            if resource.kind != "CustomResourceDefinition" {
                assert!(TYPES.contains_key(record.full.as_str()), "{}", record.full);
            }
        }
    }
}
