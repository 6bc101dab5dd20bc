//! Shapes of what users define, from their structural schemas.

use std::sync::Arc;

use indexmap::IndexMap;
use serin_api::schema::{Additional, ListType, Schema, Type};

use super::{Field, Link, List, ListKind, Map, Merge, Node, Scalar, Struct};

/// The shape of whole objects with this schema.
pub(crate) fn node(schema: &Schema) -> Node {
    let mut record = match convert(schema) {
        Node::Struct(record) => record,
        // An object without any field of its own still has the frame.
        _ => Struct::default(),
    };
    for name in ["apiVersion", "kind"] {
        record.fields.insert(name.to_owned(), field(Node::Scalar(Scalar::String), None));
    }
    record.fields.insert("metadata".to_owned(), metadata());
    Node::Struct(record)
}

fn metadata() -> Field {
    Field {
        link: Link::Metadata,
        required: false,
        always: false,
        keeps_zero: true,
        merge: Merge::default(),
        default: None,
    }
}

fn field(node: Node, default: Option<serde_json::Value>) -> Field {
    Field {
        link: Link::Own(Arc::new(node)),
        required: false,
        always: false,
        keeps_zero: true,
        merge: Merge::default(),
        default,
    }
}

fn convert(schema: &Schema) -> Node {
    match schema.r#type {
        _ if schema.int_or_string => Node::Scalar(Scalar::IntOrString),
        Some(Type::Object) => object(schema),
        Some(Type::Array) => Node::List(List {
            items: Link::Own(Arc::new(schema.items.as_deref().map_or(Node::Any, convert))),
            kind: match &schema.list {
                ListType::Atomic => ListKind::Atomic,
                ListType::Set => ListKind::Set,
                ListType::Map(keys) => ListKind::Map(keys.clone()),
            },
        }),
        Some(Type::String) => Node::Scalar(Scalar::String),
        Some(Type::Integer) => Node::Scalar(Scalar::Int64),
        Some(Type::Number) => Node::Scalar(Scalar::Double),
        Some(Type::Boolean) => Node::Scalar(Scalar::Boolean),
        None => Node::Any,
    }
}

fn object(schema: &Schema) -> Node {
    if schema.properties.is_empty() && !schema.embedded_resource {
        match &schema.additional {
            Additional::Schema(values) => {
                let values = Link::Own(Arc::new(convert(values)));
                return Node::Map(Map { values, atomic: schema.atomic_map });
            }
            Additional::Allowed(true) | Additional::Unsaid if !schema.atomic_map => {
                return Node::Any;
            }
            _ => {}
        }
    }
    let mut fields: IndexMap<String, Field> = schema
        .properties
        .iter()
        .map(|(name, schema)| (name.clone(), field(convert(schema), schema.default.clone())))
        .collect();
    if schema.embedded_resource {
        fields.insert("metadata".to_owned(), metadata());
    }
    Node::Struct(Struct { fields, atomic: schema.atomic_map, ..Struct::default() })
}
