//! Quotes and brackets that are not closed, and what stands after them.

use granit_parser::ErrorKind;

use super::{Diagnosis, Scene};
use crate::codes;
use crate::yaml::mend::Edit;
use crate::yaml::outline::{Line, key_end};
use crate::yaml::problem::Fault;

/// A quote whose text runs over the keys of later lines.
pub(super) fn unclosed_quote(scene: &Scene<'_>) -> Option<Diagnosis> {
    let fits = matches!(
        scene.kind,
        ErrorKind::UnclosedQuotedScalar
            | ErrorKind::DocumentIndicatorInQuotedScalar
            | ErrorKind::InvalidQuotedScalarIndent
            | ErrorKind::InvalidTrailingDoubleQuotedScalar
            | ErrorKind::InvalidTrailingSingleQuotedScalar
            | ErrorKind::TabInIndentation
            | ErrorKind::InvalidSimpleKey
            | ErrorKind::SimpleKeyExpected
            | ErrorKind::MappingValueNotAllowed
            | ErrorKind::UnknownQuotedScalarEscape
    );
    if !fits {
        return None;
    }
    // The first line that leaves a quote open, although the next line looks like a line of its own.
    let (line, open) = (0..=scene.line).find_map(|index| {
        let open = scene.outline.open_after(index).pop()?;
        let here = &scene.outline.lines[index];
        let opened_here = open.offset >= here.start && matches!(open.character, '"' | '\'');
        let next = scene.outline.lines.get(index + 1).is_none_or(|next| stands_alone(next));
        (opened_here && next).then_some((index, open))
    })?;
    let line = &scene.outline.lines[line];
    let end = line.start + value_end(line.text);
    let quote = open.character;
    let message = format!("the text that begins with `{quote}` here is not closed on this line");
    let mut fault =
        Fault::new(codes::UNCLOSED_QUOTE, open.offset..end.max(open.offset + 1), message);
    fault.help(format!("close it with `{quote}` after its last character"));
    let edits = vec![Edit { range: end..end, with: quote.to_string() }];
    Some(Diagnosis { fault, edits })
}

/// Whether a line reads like a key, an item or a comment although a quote or bracket is open before it.
fn stands_alone(line: &Line<'_>) -> bool {
    let text = line.text.trim_start();
    text.is_empty() || text.starts_with("- ") || text.starts_with('#') || key_end(text).is_some()
}

/// Where a line's last value ends: before the spaces and the comment at its end.
fn value_end(text: &str) -> usize {
    let end = text.rfind(" #").unwrap_or(text.len());
    text[..end].trim_end().len()
}

/// Something after a closed quote.
pub(super) fn after_quote(scene: &Scene<'_>) -> Option<Diagnosis> {
    let quote = match scene.kind {
        ErrorKind::InvalidTrailingDoubleQuotedScalar => '"',
        ErrorKind::InvalidTrailingSingleQuotedScalar => '\'',
        _ => return None,
    };
    let line = scene.line();
    let rest = scene.text.get(scene.offset..line.start + value_end(line.text))?;
    let message = format!("`{rest}` follows a text that `{quote}` has closed already");
    let start = scene.offset;
    let mut fault = Fault::new(codes::SYNTAX, start..start + rest.len(), message);
    let (escaped, other) = if quote == '"' { ("\\\"", '\'') } else { ("''", '"') };
    fault.help(format!(
        "put the whole value in quotes; a `{quote}` inside it is written `{escaped}`, or use `{other}` around it"
    ));
    Some(Diagnosis { fault, edits: Vec::new() })
}

/// A bracket that is never closed, or closed by one of the other kind.
pub(super) fn unclosed_bracket(scene: &Scene<'_>) -> Option<Diagnosis> {
    if let ErrorKind::MismatchedFlowCollectionEnd { open, close } = scene.kind {
        let wanted = closing(*open);
        let message = format!("`{close}` cannot close what `{open}` opened");
        let range = bracket_at(scene, *close)?;
        let mut fault = Fault::new(codes::UNCLOSED_BRACKET, range.clone(), message);
        fault.help(format!("write `{wanted}`"));
        return Some(Diagnosis { fault, edits: vec![Edit { range, with: wanted.to_string() }] });
    }
    let fits = matches!(
        scene.kind,
        ErrorKind::UnclosedFlowCollection { .. }
            | ErrorKind::UnexpectedEof
            | ErrorKind::UnexpectedEofFlowMapping
            | ErrorKind::UnexpectedEofFlowSequence
            | ErrorKind::UnexpectedEofImplicitFlowMapping
            | ErrorKind::ExpectedFlowMappingSeparator
            | ErrorKind::ExpectedFlowSequenceSeparator
            | ErrorKind::BlockEntryInFlowCollection
            | ErrorKind::InvalidSimpleKey
            | ErrorKind::SimpleKeyExpected
            | ErrorKind::InvalidColonPlacement
            | ErrorKind::InvalidIndentation
            | ErrorKind::MappingValueNotAllowed
            | ErrorKind::ExpectedNodeContent
    );
    if !fits {
        return None;
    }
    // The first line that leaves more brackets open than it found, before a line that is not inside of any.
    let (line, mut open) = (0..=scene.line).find_map(|index| {
        let open = scene.outline.open_after(index);
        let here = &scene.outline.lines[index];
        let last = open.last()?;
        let opened_here = last.offset >= here.start && matches!(last.character, '[' | '{');
        let next = scene.outline.lines.get(index + 1);
        let outside = next.is_none_or(|next| {
            let indent = next.text.len() - next.text.trim_start().len();
            let column = here.marks.last().map_or(0, |mark| mark.column());
            let first = next.text.trim_start();
            indent <= column && !first.starts_with([']', '}', ',']) && stands_alone(next)
        });
        (opened_here && outside).then_some((index, open))
    })?;
    let line = &scene.outline.lines[line];
    open.retain(|opening| opening.offset >= line.start);
    let last = *open.last()?;
    let end = line.start + value_end(line.text);
    let message = format!("the `{}` here is not closed", last.character);
    let closers: String = open.iter().rev().map(|opening| closing(opening.character)).collect();
    let mut fault =
        Fault::new(codes::UNCLOSED_BRACKET, last.offset..end.max(last.offset + 1), message);
    fault.help(format!("write `{closers}` at the end of the line"));
    Some(Diagnosis { fault, edits: vec![Edit { range: end..end, with: closers }] })
}

/// The bracket nearest to where the parser stopped: at it, later on the line, or before.
fn bracket_at(scene: &Scene<'_>, bracket: char) -> Option<std::ops::Range<usize>> {
    let line = scene.line();
    let end = line.start + line.text.len();
    let from = scene.offset.clamp(line.start, end);
    let after = scene.text.get(from..end)?.find(bracket).map(|at| from + at);
    let start = after.or_else(|| scene.text.get(..from)?.rfind(bracket))?;
    Some(start..start + bracket.len_utf8())
}

/// Two values in brackets without a comma between them.
pub(super) fn no_comma(scene: &Scene<'_>) -> Option<Diagnosis> {
    let (open, close) = match scene.kind {
        ErrorKind::ExpectedFlowMappingSeparator => ('{', '}'),
        ErrorKind::ExpectedFlowSequenceSeparator => ('[', ']'),
        _ => return None,
    };
    let mut start = scene.offset;
    if scene.text[start..].starts_with(':') {
        // The parser took the next key for a part of the value before it.
        let separates = |c: char| c.is_whitespace() || matches!(c, ',' | '[' | '{');
        start = scene.text[..start].trim_end_matches(|c| !separates(c)).len();
    }
    let rest = scene.text[start..].lines().next().unwrap_or("").trim_end();
    let message = format!("`{rest}` follows a value inside of `{open}{close}` without a comma");
    let mut fault = Fault::new(codes::SYNTAX, start..start + rest.len(), message);
    fault.help(format!("write `,` before it, or `{close}` if the values end there"));
    Some(Diagnosis { fault, edits: Vec::new() })
}

const fn closing(open: char) -> char {
    if open == '[' { ']' } else { '}' }
}
