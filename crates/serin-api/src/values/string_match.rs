//! How a text is compared with a header, a path or another text of a request.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A comparison with a text. At most one of `exact`, `prefix` and `regex` may be written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum StringMatch {
    /// `{}`: none of the three was written. What it means depends on where it stands.
    #[default]
    Empty,
    /// The whole text must be equal.
    Exact(String),
    /// The text must begin so.
    Prefix(String),
    /// The whole text must match this RE2 expression.
    Regex(String),
}

#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct Written {
    #[serde(skip_serializing_if = "Option::is_none")]
    exact: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prefix: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    regex: Option<String>,
}

impl StringMatch {
    /// The text compared with; `None` for `{}`.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Empty => None,
            Self::Exact(text) | Self::Prefix(text) | Self::Regex(text) => Some(text),
        }
    }
}

impl Serialize for StringMatch {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut written = Written::default();
        match self {
            Self::Empty => {}
            Self::Exact(text) => written.exact = Some(text.clone()),
            Self::Prefix(text) => written.prefix = Some(text.clone()),
            Self::Regex(text) => written.regex = Some(text.clone()),
        }
        written.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for StringMatch {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let written = Written::deserialize(deserializer)?;
        match (written.exact, written.prefix, written.regex) {
            (None, None, None) => Ok(Self::Empty),
            (Some(text), None, None) => Ok(Self::Exact(text)),
            (None, Some(text), None) => Ok(Self::Prefix(text)),
            (None, None, Some(text)) => Ok(Self::Regex(text)),
            _ => Err(de::Error::custom("only one of exact, prefix and regex may be set")),
        }
    }
}

impl JsonSchema for StringMatch {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "StringMatch".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "object",
            "properties": {
                "exact": { "type": "string", "description": "The whole text must be equal." },
                "prefix": { "type": "string", "description": "The text must begin so." },
                "regex": { "type": "string", "description": "The whole text must match this RE2 expression." },
            },
            "oneOf": [
                { "not": { "anyOf": [
                    { "required": ["exact"] },
                    { "required": ["prefix"] },
                    { "required": ["regex"] },
                ] } },
                { "required": ["exact"] },
                { "required": ["prefix"] },
                { "required": ["regex"] },
            ],
        })
    }
}
