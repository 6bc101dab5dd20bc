//! What is wrong (or worth knowing) about an object: one shape for every check, shown by the command line, by
//! admission, in status conditions and in editors.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;

use crate::{FieldPath, ObjectRef};

/// The stable identifier of a kind of finding: `IST0101` for those that Istio's analysis defines, `SRN…` for ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct Code(pub &'static str);

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// How much a finding matters, least first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing; nothing needs to be done.
    Info,
    /// Works, but probably not as its author meant.
    Warning,
    /// Refused by the API server, or does not do what it says.
    Error,
}

/// What a code means apart from any one finding: a row of the reference in docs/check.md, and a rule in SARIF.
///
/// Each crate that makes findings lists its codes once; a finding's own severity may be lower than the listed one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CodeInfo {
    /// The code.
    pub code: Code,
    /// The severity of most of its findings.
    pub severity: Severity,
    /// A short name in camel case: `ReferencedResourceNotFound`.
    pub name: &'static str,
    /// What it tells, in one sentence.
    pub summary: &'static str,
}

/// A place in a text. Lines and columns count from 1, columns in characters; offsets count bytes from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct Position {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// Byte offset in the whole text, from 0.
    pub offset: usize,
}

/// A stretch of a text, from its first character up to but excluding `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct Span {
    /// The first character.
    pub start: Position,
    /// The position after the last character.
    pub end: Position,
}

/// A stretch of a named text.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Location {
    /// The file as the user named it; `-` for standard input.
    pub file: Arc<str>,
    /// Where in the file.
    pub span: Span,
}

/// Another place that a finding speaks of, for example the earlier rule that covers a later one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Related {
    /// The object the place belongs to.
    pub object: ObjectRef,
    /// The field of that object.
    pub field: FieldPath,
    /// What the place has to do with the finding: `this rule already takes every such request`.
    pub label: String,
}

/// One thing to tell the author of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What kind of finding it is.
    pub code: Code,
    /// How much it matters.
    pub severity: Severity,
    /// The object it is about; `None` when the text could not be read as an object.
    pub object: Option<ObjectRef>,
    /// The field it is about; the root when it is about the whole object.
    pub field: FieldPath,
    /// The place in a text, where the text itself is at fault or the place is known already. Otherwise the reader
    /// finds it from `object` and `field`.
    pub location: Option<Location>,
    /// What is wrong and why, in one or two sentences.
    pub message: String,
    /// What to do about it, if that is known.
    pub help: Option<String>,
    /// Other places that the message speaks of.
    pub related: Vec<Related>,
}

impl Finding {
    /// A finding about `field` of `object`.
    pub fn new(
        code: Code,
        severity: Severity,
        object: &ObjectRef,
        field: FieldPath,
        message: impl Into<String>,
    ) -> Self {
        Self {
            code,
            severity,
            object: Some(object.clone()),
            field,
            location: None,
            message: message.into(),
            help: None,
            related: Vec::new(),
        }
    }

    /// The same finding with advice on what to do.
    #[must_use]
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// The same finding pointing at one more place.
    #[must_use]
    pub fn with_related(
        mut self,
        object: &ObjectRef,
        field: FieldPath,
        label: impl Into<String>,
    ) -> Self {
        self.related.push(Related { object: object.clone(), field, label: label.into() });
        self
    }
}
