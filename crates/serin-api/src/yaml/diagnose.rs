//! From a syntax error to what the author probably meant.
//!
//! The parser says where it could not go on; people err earlier and in a handful of ways. Each detector here knows
//! one way, looks at the lines around the error and, when it recognises its case, names the place, says what to
//! write instead, and gives the edits that let the rest of the document be read.

use granit_parser::{ErrorKind, ScanError};

use super::mend::Edit;
use super::outline::{Line, Outline};
use super::problem::Fault;
use crate::codes;

mod brackets;
mod indentation;
mod spaces;
mod values;

pub(crate) use spaces::glued;
pub(super) use spaces::odd_spaces;

/// A fault and how to take it out of the text.
pub(super) struct Diagnosis {
    pub(super) fault: Fault,
    /// Edits that let the parser go on; none where that would be guessing.
    pub(super) edits: Vec<Edit>,
}

/// What a detector looks at.
struct Scene<'t> {
    text: &'t str,
    outline: &'t Outline<'t>,
    kind: &'t ErrorKind,
    /// Where the parser stopped.
    offset: usize,
    /// Index of the line where it stopped, or of the last one with content before the end of the text.
    line: usize,
    /// The number of the document's first line in the whole text.
    first_line: usize,
}

impl<'t> Scene<'t> {
    /// The number in the whole text of the line with this index.
    const fn number(&self, index: usize) -> usize {
        self.first_line + index
    }

    fn line(&self) -> &Line<'t> {
        &self.outline.lines[self.line]
    }
}

type Detector = fn(&Scene<'_>) -> Option<Diagnosis>;

/// In the order in which they are asked; the first to recognise its case answers.
const DETECTORS: &[Detector] = &[
    values::conflict_marker,
    values::template,
    values::code_fence,
    spaces::tab,
    brackets::unclosed_quote,
    brackets::after_quote,
    values::starts_with_indicator,
    spaces::no_space_after_colon,
    values::no_colon,
    indentation::unlike_siblings,
    values::colon_in_value,
    values::list_on_line_of_key,
    brackets::unclosed_bracket,
    brackets::no_comma,
    indentation::item_among_keys,
    indentation::key_among_items,
];

/// Explains why the parser stopped in `text`, whose first line is line `first_line` of the whole text.
pub(super) fn syntax_error(text: &str, stop: &ScanError, first_line: usize) -> Diagnosis {
    let offset = stop.marker().byte_offset().unwrap_or(text.len()).min(text.len());
    if matches!(stop.kind(), ErrorKind::RecursionLimitExceeded) {
        let message = "the values are nested too deeply".to_owned();
        return Diagnosis {
            fault: Fault::new(codes::LIMIT, offset..offset, message),
            edits: Vec::new(),
        };
    }
    let outline = Outline::new(text);
    if outline.lines.is_empty() {
        return plain(text, offset, stop.kind());
    }
    let at = outline.line_at(offset);
    let at_end = text[offset..].trim().is_empty();
    let line = if at_end { outline.content_before(at + 1).unwrap_or(at) } else { at };
    let scene = Scene { text, outline: &outline, kind: stop.kind(), offset, line, first_line };
    DETECTORS
        .iter()
        .find_map(|detect| detect(&scene))
        .unwrap_or_else(|| plain(text, offset, stop.kind()))
}

/// What to say when no detector recognises the case.
fn plain(text: &str, offset: usize, kind: &ErrorKind) -> Diagnosis {
    let rest = text.get(offset..).unwrap_or("");
    let word = rest.lines().next().unwrap_or("").trim_end();
    let shown: String = word.chars().take(40).collect();
    let reason = reason(kind);
    let message = if shown.is_empty() {
        format!("the YAML ends too early: {reason}")
    } else {
        format!("`{shown}` cannot stand here: {reason}")
    };
    let mut fault = Fault::new(codes::SYNTAX, offset..offset + word.len(), message);
    if reason == BAD_ESCAPE {
        fault.help(
            "write `\\\\` for a backslash, or put the text in single quotes, which know no escapes",
        );
    }
    Diagnosis { fault, edits: Vec::new() }
}

const BAD_ESCAPE: &str = "a `\\` in double quotes begins an escape, and this is none";

fn reason(kind: &ErrorKind) -> &'static str {
    use ErrorKind as E;
    match kind {
        E::ExpectedBlockMappingKey | E::SimpleKeyExpected | E::InvalidSimpleKey => {
            "a key followed by a colon is expected"
        }
        E::ExpectedBlockSequenceEntry => "a list item beginning with `-` is expected",
        E::ExpectedNodeContent => "a value is expected",
        E::MappingValueNotAllowed | E::MappingKeyNotAllowed | E::InvalidColonPlacement => {
            "no key can begin at this place"
        }
        E::BlockSequenceEntryNotAllowed | E::BlockEntryInFlowCollection => {
            "no list item can begin at this place"
        }
        E::ExpectedFlowMappingSeparator => "`,` or `}` is expected",
        E::ExpectedFlowSequenceSeparator => "`,` or `]` is expected",
        E::MisplacedFlowCollectionEnd => "no bracket is open",
        E::InvalidIndentation | E::InvalidQuotedScalarIndent | E::InvalidFlowScalarIndent => {
            "the line is indented less than the value it continues"
        }
        E::InvalidBlockScalarHeader => "after `|` or `>` the text begins on the next line",
        E::InvalidBlockScalarIndent => {
            "the first lines of the text are indented more than the others"
        }
        E::UnknownQuotedScalarEscape
        | E::InvalidQuotedScalarHexEscape
        | E::InvalidLowSurrogateHexEscape
        | E::InvalidLowSurrogate
        | E::MissingLowSurrogate
        | E::UnpairedLowSurrogate
        | E::InvalidUnicodeEscape => BAD_ESCAPE,
        E::CommentInterceptedScalar => "a comment interrupts the value",
        E::CommentNotSeparated => "a comment needs a space before its `#`",
        E::InvalidDocumentEnd => "nothing may follow `...` on its line",
        E::ExpectedDocumentStart | E::MissingDocumentEndBeforeDirective => {
            "the document has ended; another one begins with a line `---`"
        }
        E::DuplicateVersionDirective
        | E::UnsupportedYamlMajorVersion
        | E::DuplicateTagDirective
        | E::InvalidDirectiveTerminator
        | E::MissingDirectiveName
        | E::InvalidDirectiveName
        | E::MissingYamlVersion
        | E::MissingYamlVersionSeparator => "the directive cannot be read",
        E::UndeclaredTagHandle
        | E::InvalidTagTerminator
        | E::MissingTagUri
        | E::InvalidTagEscape
        | E::InvalidGlobalTagCharacter => {
            "the tag cannot be read; put the value in quotes if it is text"
        }
        E::MissingAnchorOrAliasName => {
            "`&` or `*` needs a name; put the value in quotes if it is text"
        }
        E::UnexpectedEof
        | E::UnexpectedEofBlockMapping
        | E::UnexpectedEofBlockSequence
        | E::UnexpectedEofFlowMapping
        | E::UnexpectedEofFlowSequence => "something that was begun is not finished",
        _ => "it does not follow the grammar of YAML",
    }
}
