//! The document of OpenAPI v2 in protocol buffers, `application/com.github.proto-openapi.spec.v2.v1.0+protobuf`.
//!
//! The messages are those of gnostic's `OpenAPIv2.proto`, as far as documents here use them: clients until kubectl 1.28 read
//! nothing else. What is written is the JSON document, so that both forms always say the same.

use serde_json::{Map, Value};

/// Encodes a document of OpenAPI v2.
pub(super) fn document(document: &Value) -> Vec<u8> {
    let mut message = Message::default();
    message.text(1, &document["swagger"]);
    message.nested(2, |info| {
        info.text(1, &document["info"]["title"]);
        info.text(2, &document["info"]["version"]);
    });
    message.nested(8, |paths| {
        for (path, item) in fields(&document["paths"]) {
            paths.named(2, path, |message| path_item(message, item));
        }
    });
    message.nested(9, |definitions| {
        for (name, value) in fields(&document["definitions"]) {
            definitions.named(1, name, |message| schema(message, value));
        }
    });
    message.0
}

/// Bytes of a message.
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value.to_le_bytes()[0] | 0x80);
            value >>= 7;
        }
        self.0.push(value.to_le_bytes()[0]);
    }

    fn key(&mut self, field: u64, wire_type: u64) {
        self.varint(field << 3 | wire_type);
    }

    fn bytes(&mut self, field: u64, bytes: &[u8]) {
        self.key(field, 2);
        self.varint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    /// A text, if the value is one.
    fn text(&mut self, field: u64, value: &Value) {
        if let Some(text) = value.as_str() {
            self.bytes(field, text.as_bytes());
        }
    }

    fn texts(&mut self, field: u64, value: &Value) {
        value.as_array().into_iter().flatten().for_each(|text| self.text(field, text));
    }

    fn boolean(&mut self, field: u64, value: &Value) {
        if value == &Value::Bool(true) {
            self.key(field, 0);
            self.varint(1);
        }
    }

    fn integer(&mut self, field: u64, value: &Value) {
        if let Some(number) = value.as_u64() {
            self.key(field, 0);
            self.varint(number);
        }
    }

    fn double(&mut self, field: u64, value: &Value) {
        if let Some(number) = value.as_f64() {
            self.key(field, 1);
            self.0.extend_from_slice(&number.to_le_bytes());
        }
    }

    fn nested(&mut self, field: u64, write: impl FnOnce(&mut Self)) {
        let mut message = Self::default();
        write(&mut message);
        self.bytes(field, &message.0);
    }

    /// A pair of a name and a message.
    fn named(&mut self, field: u64, name: &str, write: impl FnOnce(&mut Self)) {
        self.nested(field, |pair| {
            pair.bytes(1, name.as_bytes());
            pair.nested(2, write);
        });
    }

    /// Any value, as YAML; JSON is YAML.
    fn any(&mut self, field: u64, value: &Value) {
        self.nested(field, |any| any.bytes(2, value.to_string().as_bytes()));
    }

    /// The fields of an object that begin with `x-`.
    fn extensions(&mut self, field: u64, value: &Value) {
        for (name, value) in fields(value).filter(|(name, _)| name.starts_with("x-")) {
            self.named(field, name, |any| any.bytes(2, value.to_string().as_bytes()));
        }
    }
}

fn fields(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flat_map(Map::iter)
}

fn path_item(message: &mut Message, item: &Value) {
    let methods = ["get", "put", "post", "delete", "options", "head", "patch"];
    for (number, method) in (2..).zip(methods) {
        if let Some(value) = item.get(method) {
            message.nested(number, |message| operation(message, value));
        }
    }
    parameters(message, 9, &item["parameters"]);
    message.extensions(10, item);
}

fn operation(message: &mut Message, operation: &Value) {
    message.texts(1, &operation["tags"]);
    message.text(3, &operation["description"]);
    message.text(5, &operation["operationId"]);
    message.texts(6, &operation["produces"]);
    message.texts(7, &operation["consumes"]);
    parameters(message, 8, &operation["parameters"]);
    message.nested(9, |responses| {
        for (code, response) in fields(&operation["responses"]) {
            responses.nested(1, |pair| {
                pair.bytes(1, code.as_bytes());
                // A response, not a reference to one.
                pair.nested(2, |value| {
                    value.nested(1, |message| {
                        message.text(1, &response["description"]);
                        if let Some(value) = response.get("schema") {
                            message.nested(2, |item| item.nested(1, |it| schema(it, value)));
                        }
                    });
                });
            });
        }
    });
    message.extensions(13, operation);
}

fn parameters(message: &mut Message, field: u64, parameters: &Value) {
    for value in parameters.as_array().into_iter().flatten() {
        message.nested(field, |item| item.nested(1, |message| parameter(message, value)));
    }
}

fn parameter(message: &mut Message, parameter: &Value) {
    match parameter["in"].as_str() {
        Some("body") => message.nested(1, |body| {
            body.text(1, &parameter["description"]);
            body.text(2, &parameter["name"]);
            body.text(3, &parameter["in"]);
            body.boolean(4, &parameter["required"]);
            body.nested(5, |message| schema(message, &parameter["schema"]));
        }),
        Some("query") => message.nested(2, |other| {
            other.nested(3, |query| plain(query, parameter, [4, 6]));
        }),
        Some("path") => message.nested(2, |other| {
            other.nested(4, |path| plain(path, parameter, [4, 5]));
        }),
        _ => {}
    }
}

/// A parameter that is no body; its name and type have these numbers.
fn plain(message: &mut Message, parameter: &Value, [name, kind]: [u64; 2]) {
    message.boolean(1, &parameter["required"]);
    message.text(2, &parameter["in"]);
    message.text(3, &parameter["description"]);
    message.text(name, &parameter["name"]);
    message.text(kind, &parameter["type"]);
}

fn schema(message: &mut Message, value: &Value) {
    message.text(1, &value["$ref"]);
    message.text(2, &value["format"]);
    message.text(4, &value["description"]);
    if let Some(default) = value.get("default") {
        message.any(5, default);
    }
    message.double(7, &value["maximum"]);
    message.double(9, &value["minimum"]);
    message.integer(11, &value["maxLength"]);
    message.integer(12, &value["minLength"]);
    message.text(13, &value["pattern"]);
    message.integer(14, &value["maxItems"]);
    message.integer(15, &value["minItems"]);
    message.texts(19, &value["required"]);
    for choice in value["enum"].as_array().into_iter().flatten() {
        message.any(20, choice);
    }
    match value.get("additionalProperties") {
        Some(Value::Bool(true)) => message.nested(21, |item| item.boolean(2, &Value::Bool(true))),
        Some(of @ Value::Object(_)) => {
            message.nested(21, |item| item.nested(1, |message| schema(message, of)));
        }
        _ => {}
    }
    match &value["type"] {
        Value::Null => {}
        kind @ Value::String(_) => message.nested(22, |item| item.text(1, kind)),
        kinds => message.nested(22, |item| item.texts(1, kinds)),
    }
    if let Some(items) = value.get("items") {
        message.nested(23, |item| item.nested(1, |message| schema(message, items)));
    }
    for part in value["allOf"].as_array().into_iter().flatten() {
        message.nested(24, |message| schema(message, part));
    }
    if let Some(properties) = value.get("properties") {
        message.nested(25, |message| {
            for (name, value) in fields(properties) {
                message.named(1, name, |message| schema(message, value));
            }
        });
    }
    message.extensions(31, value);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_document_is_written_field_by_field() {
        let bytes = document(&json!({
            "swagger": "2.0",
            "info": {"title": "K", "version": "1"},
            "paths": {},
            "definitions": {"A": {"type": "string", "x-e": true}},
        }));
        let expected = [
            b"\x0a\x032.0".as_slice(),
            b"\x12\x06\x0a\x01K\x12\x011",
            b"\x42\x00",
            // Definitions, with one pair of a name and a schema of type string and an extension.
            b"\x4a\x22\x0a\x20\x0a\x01A\x12\x1b",
            b"\xb2\x01\x08\x0a\x06string",
            b"\xfa\x01\x0d\x0a\x03x-e\x12\x06\x12\x04true",
        ];
        assert_eq!(bytes, expected.concat());
    }
}
