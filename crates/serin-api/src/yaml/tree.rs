//! A document as a tree whose every key and value knows where it stands.

use std::sync::Arc;

use serde_json::{Map, Value};

use crate::{FieldPath, Segment, Span};

/// A value of a document and the place it was read from.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// From the first to the last character of the value; quotes and brackets belong to it. A value left empty has
    /// an empty span where it could stand.
    pub span: Span,
    /// The value.
    pub content: Content,
}

/// What a [`Node`] holds.
#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    /// Null, a boolean, a number or a string.
    Scalar(Value),
    /// A list.
    List(Vec<Arc<Node>>),
    /// A mapping, in the order of the text; values merged with `<<` come last.
    Map(Vec<Entry>),
}

/// A key of a mapping with its value.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The key as JSON has it: numbers and booleans become text.
    pub key: String,
    /// Where the key stands.
    pub key_span: Span,
    /// The value. Several entries share a value where the text uses an alias.
    pub value: Arc<Node>,
}

impl Node {
    /// The value without its positions.
    pub fn to_json(&self) -> Value {
        match &self.content {
            Content::Scalar(value) => value.clone(),
            Content::List(items) => items.iter().map(|item| item.to_json()).collect(),
            Content::Map(entries) => {
                let mut map = Map::with_capacity(entries.len());
                for entry in entries {
                    map.insert(entry.key.clone(), entry.value.to_json());
                }
                Value::Object(map)
            }
        }
    }

    /// Where the value at `path` stands: its key (for an element of a list: the element) and the value itself. If
    /// there is no such value, the places of the nearest value above it that exists.
    pub fn find(&self, path: &FieldPath) -> (Span, Span) {
        let mut node = self;
        let mut key = self.span;
        for segment in path.segments() {
            match (segment, &node.content) {
                (Segment::Key(name), Content::Map(entries)) => {
                    let Some(entry) = entries.iter().find(|entry| entry.key == *name) else {
                        break;
                    };
                    node = &entry.value;
                    key = entry.key_span;
                }
                (Segment::Index(index), Content::List(items)) => {
                    let Some(item) = items.get(*index) else { break };
                    node = item;
                    key = item.span;
                }
                _ => break,
            }
        }
        (key, node.span)
    }

    /// The value under `key`, if this is a mapping that has it.
    pub fn get(&self, key: &str) -> Option<&Self> {
        match &self.content {
            Content::Map(entries) => {
                entries.iter().find(|entry| entry.key == key).map(|entry| &*entry.value)
            }
            _ => None,
        }
    }

    /// The elements, if this is a list.
    pub fn items(&self) -> Option<&[Arc<Self>]> {
        match &self.content {
            Content::List(items) => Some(items),
            _ => None,
        }
    }
}
