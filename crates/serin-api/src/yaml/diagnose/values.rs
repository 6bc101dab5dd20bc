//! Values and keys that YAML reads as something else, and text that is no YAML at all.

use std::ops::Range;

use granit_parser::ErrorKind;

use super::{Diagnosis, Scene};
use crate::codes;
use crate::yaml::mend::Edit;
use crate::yaml::outline::{Mark, key_end};
use crate::yaml::problem::Fault;

/// `<<<<<<<`, `=======` and `>>>>>>>` as version control leaves them.
pub(super) fn conflict_marker(scene: &Scene<'_>) -> Option<Diagnosis> {
    let index = scene.outline.lines.iter().position(|line| {
        line.text.starts_with("<<<<<<< ")
            || line.text.starts_with(">>>>>>> ")
            || line.text.trim_end() == "======="
    })?;
    let line = &scene.outline.lines[index];
    let message = "the text holds both sides of a merge conflict".to_owned();
    let mut fault = Fault::new(
        codes::CONFLICT_MARKER,
        line.start..line.start + line.text.trim_end().len(),
        message,
    );
    fault.help("decide for one side and remove the markers");
    Some(Diagnosis { fault, edits: Vec::new() })
}

/// `{{ … }}` of a template.
pub(super) fn template(scene: &Scene<'_>) -> Option<Diagnosis> {
    let before = scene.outline.content_before(scene.line);
    let (start, text) = [Some(scene.line), before].into_iter().flatten().find_map(|index| {
        let line = &scene.outline.lines[index];
        let at = line.text.find("{{")?;
        let end = line.text[at..].find("}}").map_or(line.text.len(), |end| at + end + 2);
        Some((line.start + at, &line.text[at..end]))
    })?;
    let message =
        format!("`{text}` looks like a template, which is not YAML before it is rendered");
    let mut fault = Fault::new(codes::TEMPLATE, start..start + text.len(), message);
    fault.help("render it first (`helm template`) and check the result; put it in quotes if it is meant as text");
    Some(Diagnosis { fault, edits: Vec::new() })
}

/// The fence of a code block in Markdown.
pub(super) fn code_fence(scene: &Scene<'_>) -> Option<Diagnosis> {
    let line = scene.outline.lines[..=scene.line]
        .iter()
        .find(|line| line.text.trim().starts_with("```"))?;
    let message = "this line is the fence of a Markdown code block, not YAML".to_owned();
    let start = line.start + line.text.len() - line.text.trim_start().len();
    let mut fault =
        Fault::new(codes::SYNTAX, start..line.start + line.text.trim_end().len(), message);
    fault.help("copy only the lines between the fences");
    Some(Diagnosis { fault, edits: Vec::new() })
}

/// A value that begins with a character YAML keeps for itself.
pub(super) fn starts_with_indicator(scene: &Scene<'_>) -> Option<Diagnosis> {
    let line = scene.line();
    let value = match *line.marks.last()? {
        Mark::Key { value, .. } => value?,
        Mark::Text { column } => column,
        Mark::Item { .. } => return None,
    };
    let text = &line.text[value..];
    let first = text.chars().next()?;
    let means = match (first, scene.kind) {
        ('@' | '`', _) => "is reserved",
        ('%', ErrorKind::UnexpectedCharacter { .. }) => "begins a directive",
        ('*', ErrorKind::MissingAnchorOrAliasName | ErrorKind::UnknownAnchor) => "begins an alias",
        ('*', _) if text.starts_with("*.") || text.starts_with("*/") || text.starts_with("**") => {
            "begins an alias"
        }
        ('&', ErrorKind::MissingAnchorOrAliasName) => "begins an anchor",
        ('!', _) if !matches!(scene.kind, ErrorKind::MappingValueNotAllowed) => "begins a tag",
        ('>' | '|', ErrorKind::InvalidBlockScalarHeader) => "begins a text on the next lines",
        (',' | ']' | '}', _) => "belongs to a list or mapping in brackets",
        _ => return None,
    };
    let range = value_range(line.start, line.text, value);
    let shown = &scene.text[range.clone()];
    let message = format!("a value cannot begin with `{first}`, which {means} in YAML");
    let mut fault = Fault::new(codes::NEEDS_QUOTES, range.clone(), message);
    fault.help(format!("put it in quotes: {}", quoted(shown)));
    Some(Diagnosis { fault, edits: vec![quote_edit(range, shown)] })
}

/// `key: one: two`
pub(super) fn colon_in_value(scene: &Scene<'_>) -> Option<Diagnosis> {
    if !matches!(scene.kind, ErrorKind::MappingValueNotAllowed | ErrorKind::InvalidSimpleKey) {
        return None;
    }
    let line = scene.line();
    let Mark::Key { value: Some(value), .. } = *line.marks.last()? else { return None };
    let inner = key_end(&line.text[value..])?;
    let range = value_range(line.start, line.text, value);
    let shown = &scene.text[range.clone()];
    let key = &shown[..inner.min(shown.len())];
    let message = format!(
        "the value holds a colon followed by a space, which makes `{key}` a key of its own"
    );
    let mut fault = Fault::new(codes::NEEDS_QUOTES, range.clone(), message);
    fault.help(format!(
        "put the value in quotes if it is one text: {}; or begin the inner key on a line of its own",
        quoted(shown)
    ));
    Some(Diagnosis { fault, edits: vec![quote_edit(range, shown)] })
}

/// `key: - item`
pub(super) fn list_on_line_of_key(scene: &Scene<'_>) -> Option<Diagnosis> {
    if !matches!(scene.kind, ErrorKind::BlockSequenceEntryNotAllowed) {
        return None;
    }
    let line = scene.line();
    let Mark::Key { column, value: Some(value) } = *line.marks.last()? else { return None };
    if !line.text[value..].starts_with("- ") {
        return None;
    }
    let range = value_range(line.start, line.text, value);
    let key = line.text[column..].split(':').next().unwrap_or("");
    let message = format!("the list of `{key}` begins on the line of its key");
    let mut fault = Fault::new(codes::SYNTAX, range, message);
    fault.help("begin the first item on the next line, or write the list in brackets: `[a, b]`");
    Some(Diagnosis { fault, edits: Vec::new() })
}

/// A line that is one word, followed by lines that read like its children.
pub(super) fn no_colon(scene: &Scene<'_>) -> Option<Diagnosis> {
    let here = scene.line;
    let candidates = [Some(here), scene.outline.content_before(here)];
    let index = candidates.into_iter().flatten().find(|&index| {
        let line = &scene.outline.lines[index];
        let Some(Mark::Text { column }) = line.marks.last() else { return false };
        is_word(line.text[*column..].trim_end())
    })?;
    let line = &scene.outline.lines[index];
    let column = line.marks.last()?.column();
    let is_item = line.marks.len() > 1;
    let next =
        scene.outline.lines.get(index + 1..here + 1)?.iter().find_map(|next| next.marks.first());
    if is_item && next.is_none_or(|next| next.column() < column) {
        return None;
    }
    let word = line.text[column..].trim_end();
    let start = line.start + column;
    let message = format!("`{word}` is no value here; a key needs a colon");
    let mut fault = Fault::new(codes::NO_COLON, start..start + word.len(), message);
    fault.help(format!("write `{word}:`"));
    let end = start + word.len();
    Some(Diagnosis { fault, edits: vec![Edit { range: end..end, with: ":".to_owned() }] })
}

fn is_word(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/'))
}

/// The bytes of the value that begins at `value` in a line: up to a comment or the end.
fn value_range(start: usize, line: &str, value: usize) -> Range<usize> {
    let end = line[value..].find(" #").map_or(line.len(), |at| value + at);
    start + value..start + value + line[value..end].trim_end().len()
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

fn quote_edit(range: Range<usize>, text: &str) -> Edit {
    Edit { range, with: quoted(text) }
}
