//! Lines indented unlike their siblings, and items and keys in each other's place.

use std::ops::Range;

use super::{Diagnosis, Scene};
use crate::codes;
use crate::yaml::mend::Edit;
use crate::yaml::outline::{Level, Mark, Outline, Role};
use crate::yaml::problem::Fault;

/// A list item or key at a column where no list or mapping stands, near one where one does.
pub(super) fn unlike_siblings(scene: &Scene<'_>) -> Option<Diagnosis> {
    let line = scene.line();
    let mark = *line.marks.first()?;
    let column = mark.column();
    let is_item = matches!(mark, Mark::Item { .. });
    if matches!(mark, Mark::Text { .. }) {
        return None;
    }
    let levels = scene.outline.levels_before(scene.line);
    if levels.iter().any(|level| level.column == column && (level.list == is_item || is_item)) {
        return None;
    }
    let level = nearest(&levels, is_item, column)?;
    let sibling = scene.number(level.first);
    let (what, whole) = if is_item { ("`-`", "list") } else { ("key", "mapping") };
    let spaces = plural(column);
    let message = format!(
        "this {what} is indented by {column} {spaces}; the {whole} it seems to belong to (line {sibling}) is \
         indented by {}",
        level.column
    );
    let width = if is_item { 1 } else { line.text.len() - column };
    let start = line.start + column;
    let mut fault = Fault::new(codes::INDENTATION, start..start + width, message);
    fault.help(format!("indent it by {} {}", level.column, plural(level.column)));
    Some(Diagnosis { fault, edits: shift(scene.outline, scene.line, column, level.column) })
}

fn nearest(levels: &[Level], list: bool, column: usize) -> Option<Level> {
    levels
        .iter()
        .filter(|level| level.list == list)
        .min_by_key(|level| (level.column.abs_diff(column), std::cmp::Reverse(level.column)))
        .copied()
}

/// Moves a line and what hangs on it from column `from` to column `to`.
fn shift(outline: &Outline<'_>, first: usize, from: usize, to: usize) -> Vec<Edit> {
    let mut edits = Vec::new();
    for (index, line) in outline.lines.iter().enumerate().skip(first) {
        let indent = line.text.len() - line.text.trim_start_matches(' ').len();
        // Lines at the same column follow when the whole block stands too far right; when it stands too far left
        // they may as well belong to an outer level.
        let belongs = index == first || indent > from || (indent == from && from > to);
        match line.role {
            Role::Empty => continue,
            Role::Content if !belongs => break,
            _ => {}
        }
        let edit = if to < from {
            let cut = (from - to).min(indent);
            Edit { range: line.start..line.start + cut, with: String::new() }
        } else {
            Edit { range: line.start..line.start, with: " ".repeat(to - from) }
        };
        edits.push(edit);
    }
    edits
}

/// A list item at the column of keys, after a key that has a value already.
pub(super) fn item_among_keys(scene: &Scene<'_>) -> Option<Diagnosis> {
    let Mark::Item { column } = *scene.line().marks.first()? else { return None };
    let levels = scene.outline.levels_before(scene.line);
    let level = levels.iter().find(|level| level.column == column && !level.list)?;
    let line = scene.number(level.last);
    let message = format!(
        "a list item begins here, but the lines beside it (line {line}) are the keys of a mapping"
    );
    let mut fault = Fault::new(codes::INDENTATION, place(scene, column, 1), message);
    fault.help("put the item below the key whose list it belongs to, or remove the `-`");
    Some(Diagnosis { fault, edits: Vec::new() })
}

/// A key at the column of list items.
pub(super) fn key_among_items(scene: &Scene<'_>) -> Option<Diagnosis> {
    let Mark::Key { column, .. } = *scene.line().marks.first()? else { return None };
    let levels = scene.outline.levels_before(scene.line);
    let at = levels.iter().position(|level| level.column == column && level.list)?;
    let line = scene.number(levels[at].last);
    let message =
        format!("a key begins here, but the lines beside it (line {line}) are the items of a list");
    let mut fault = Fault::new(
        codes::INDENTATION,
        place(scene, column, scene.line().text.len() - column),
        message,
    );
    match levels.get(at + 1) {
        Some(inner) => {
            fault.help(format!(
                "indent it by {} {} if it belongs to the item above, or begin it with `- `",
                inner.column,
                plural(inner.column)
            ));
            let edits = shift(scene.outline, scene.line, column, inner.column);
            Some(Diagnosis { fault, edits })
        }
        None => {
            fault.help("begin it with `- ` if it is an item, or move it left if it ends the list");
            Some(Diagnosis { fault, edits: Vec::new() })
        }
    }
}

fn place(scene: &Scene<'_>, column: usize, width: usize) -> Range<usize> {
    let start = scene.line().start + column;
    start..start + width
}

fn plural(count: usize) -> &'static str {
    if count == 1 { "space" } else { "spaces" }
}
