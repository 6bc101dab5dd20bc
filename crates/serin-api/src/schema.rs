//! Structural schemas: what the values of a kind may look like.
//!
//! One model serves every kind, ours and those that users define: it is read from the `openAPIV3Schema` of a
//! CustomResourceDefinition and validates, names unknown fields, prunes, fills in defaults and evaluates rules with the
//! meaning and in the words of Kubernetes, so that what people know to search for is what they read.
//!
//! Works on plain JSON values. Positions, findings and typed objects belong to [`crate::load`].

use indexmap::IndexMap;
use serde_json::Value;

use crate::FieldPath;

mod defaults;
mod error;
mod fields;
mod format;
mod go_text;
mod lists;
mod metadata;
mod parse;
pub(crate) mod rules;
mod validate;

pub use error::{Cause, ErrorKind, SchemaError};
pub use fields::UnknownField;
pub(crate) use fields::nearest;
pub(crate) use go_text::float_g;
pub use metadata::metadata;
pub use parse::SchemaDefect;
pub use rules::Rule;
pub(crate) use rules::compile as compile_cel;

/// What a value may be. Absent limits do not limit.
#[derive(Clone, Debug, Default)]
pub struct Schema {
    /// The type; absent allows any, and is how `x-kubernetes-int-or-string` is written.
    pub r#type: Option<Type>,
    /// The form of a text (`date-time`) or the width of a number (`int32`).
    pub format: Option<String>,
    /// What the value is for.
    pub description: Option<String>,
    /// Whether null is a value.
    pub nullable: bool,
    /// The value of an absent field.
    pub default: Option<Value>,
    /// The fields of an object by name.
    pub properties: IndexMap<String, Self>,
    /// What other fields of an object may be.
    pub additional: Additional,
    /// Fields that an object must have.
    pub required: Vec<String>,
    /// The elements of a list.
    pub items: Option<Box<Self>>,
    /// The allowed values; empty allows all.
    pub enumeration: Vec<Value>,
    /// Limits of numbers, lengths and counts.
    pub limits: Limits,
    /// What a text must match somewhere.
    pub pattern: Option<Pattern>,
    /// Schemas that must all fit as well.
    pub all_of: Vec<Self>,
    /// Schemas of which at least one must fit as well.
    pub any_of: Vec<Self>,
    /// Schemas of which exactly one must fit as well.
    pub one_of: Vec<Self>,
    /// A schema that must not fit.
    pub not: Option<Box<Self>>,
    /// Keep fields that are not listed.
    pub preserve_unknown_fields: bool,
    /// The value is a number or a text.
    pub int_or_string: bool,
    /// The value is an object with `apiVersion`, `kind` and `metadata`.
    pub embedded_resource: bool,
    /// How the elements of a list are told apart.
    pub list: ListType,
    /// Whether the fields of an object are owned together, not one by one.
    pub atomic_map: bool,
    /// Rules in CEL.
    pub rules: Vec<Rule>,
}

/// The type of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Type {
    /// Named fields.
    Object,
    /// A list.
    Array,
    /// A text.
    String,
    /// A whole number.
    Integer,
    /// Any number.
    Number,
    /// True or false.
    Boolean,
}

impl Type {
    /// The name of the type in OpenAPI.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Object => "object",
            Self::Array => "array",
            Self::String => "string",
            Self::Integer => "integer",
            Self::Number => "number",
            Self::Boolean => "boolean",
        }
    }
}

/// What the fields of an object may be that `properties` does not list.
#[derive(Clone, Debug, Default)]
pub enum Additional {
    /// Nothing is said: such fields are unknown.
    #[default]
    Unsaid,
    /// Anything, or nothing at all.
    Allowed(bool),
    /// Values of a schema: the object is a map.
    Schema(Box<Schema>),
}

/// Limits of numbers, lengths and counts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Limits {
    /// Least number.
    pub minimum: Option<f64>,
    /// Whether the least number itself is too small.
    pub exclusive_minimum: bool,
    /// Greatest number.
    pub maximum: Option<f64>,
    /// Whether the greatest number itself is too great.
    pub exclusive_maximum: bool,
    /// Number that must divide the value.
    pub multiple_of: Option<f64>,
    /// Least number of characters.
    pub min_length: Option<u64>,
    /// Greatest number of characters.
    pub max_length: Option<u64>,
    /// Least number of elements.
    pub min_items: Option<u64>,
    /// Greatest number of elements.
    pub max_items: Option<u64>,
    /// Whether no element may stand twice.
    pub unique_items: bool,
    /// Least number of fields.
    pub min_properties: Option<u64>,
    /// Greatest number of fields.
    pub max_properties: Option<u64>,
}

/// How the elements of a list are told apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ListType {
    /// Not at all: the list is one value.
    #[default]
    Atomic,
    /// By their value, which is a scalar.
    Set,
    /// By the values of these fields.
    Map(Vec<String>),
}

/// A regular expression of a schema.
#[derive(Clone, Debug)]
pub struct Pattern {
    /// The expression as written.
    pub text: String,
    regex: serin_re2::Regex,
}

impl Schema {
    /// Reads a schema from the JSON form that CustomResourceDefinitions use.
    ///
    /// # Errors
    /// The first part that is no schema: a type that does not exist, an expression that cannot be compiled.
    pub fn parse(schema: &Value) -> Result<Self, SchemaDefect> {
        parse::schema(schema)
    }

    /// Everything about `value` that a Kubernetes API server would refuse: types, limits and duplicates, and if those
    /// leave the value sound, the rules, which may compare it with `old`.
    pub fn validate(&self, value: &Value, old: Option<&Value>) -> Vec<SchemaError> {
        let root = FieldPath::root();
        let mut errors = validate::structure(self, value, &root);
        errors.extend(lists::duplicates(self, value, &root));
        if errors.iter().any(SchemaError::is_blocking) {
            errors.push(SchemaError::rules_not_checked());
        } else {
            errors.extend(rules::evaluate(self, value, old, &root, &[]));
        }
        errors
    }

    /// Like [`Schema::validate`] for a value that stands at `path` of an object, but evaluates also with errors
    /// elsewhere every rule whose own value is sound.
    pub fn validate_thoroughly(&self, value: &Value, path: &FieldPath) -> Vec<SchemaError> {
        let mut errors = validate::structure(self, value, path);
        errors.extend(lists::duplicates(self, value, path));
        let unsound: Vec<FieldPath> = errors
            .iter()
            .filter(|error| error.is_blocking())
            .map(|error| error.field.clone())
            .collect();
        errors.extend(rules::evaluate(self, value, None, path, &unsound));
        errors
    }

    /// The fields of `value` that the schema does not have, in the order of the value.
    pub fn unknown_fields(&self, value: &Value) -> Vec<UnknownField> {
        fields::unknown(self, value)
    }

    /// Takes the fields out of `value` that the schema does not have.
    pub fn prune(&self, value: &mut Value) {
        fields::prune(self, value);
    }

    /// Fills in the defaults of absent fields.
    pub fn apply_defaults(&self, value: &mut Value) {
        defaults::apply(self, value);
    }

    /// The schema of field `name` of an object.
    pub fn field(&self, name: &str) -> Option<&Self> {
        self.properties.get(name).or(match &self.additional {
            Additional::Schema(schema) => Some(schema),
            _ => None,
        })
    }

    /// Whether fields that are not listed are kept.
    fn keeps_unknown_fields(&self) -> bool {
        self.preserve_unknown_fields || matches!(self.additional, Additional::Allowed(true))
    }
}

#[cfg(test)]
mod tests;
