//! What is wrong with a text, before it is known which object it belongs to.

use std::ops::Range;

use crate::{Code, Severity, Span};

/// Something wrong with a text.
#[derive(Clone, Debug, PartialEq)]
pub struct Problem {
    /// What kind of problem it is: one of [`crate::codes`].
    pub code: Code,
    /// How much it matters.
    pub severity: Severity,
    /// The place at fault.
    pub span: Span,
    /// What is wrong, in one or two sentences.
    pub message: String,
    /// What to do about it, if that is known.
    pub help: Option<String>,
}

/// A problem while its place is still an offset into a part of the text.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Fault {
    pub(super) code: Code,
    pub(super) range: Range<usize>,
    pub(super) message: String,
    pub(super) help: Option<String>,
    /// An earlier place that the message gains when the lines are known: `(first on line 3)`.
    pub(super) earlier: Option<Range<usize>>,
}

impl Fault {
    pub(super) fn new(code: Code, range: Range<usize>, message: String) -> Self {
        Self { code, range, message, help: None, earlier: None }
    }

    pub(super) fn help(&mut self, help: impl Into<String>) -> &mut Self {
        self.help = Some(help.into());
        self
    }

    pub(super) fn earlier(&mut self, range: Range<usize>) {
        self.earlier = Some(range);
    }
}
