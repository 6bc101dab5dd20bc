//! Tabs, spaces that are none, and spaces that are missing.

use granit_parser::ErrorKind;

use super::{Diagnosis, Scene};
use crate::codes;
use crate::yaml::mend::Edit;
use crate::yaml::outline::{Outline, Role};
use crate::yaml::problem::Fault;

/// A character that looks like a space and is none to YAML, with its length in the text.
fn odd_space(text: &str) -> Option<(usize, String)> {
    const ENTITY: &str = "&nbsp;";
    if text.starts_with(ENTITY) {
        return Some((ENTITY.len(), "the HTML entity `&nbsp;`".to_owned()));
    }
    let first = text.chars().next()?;
    let name = match first {
        '\u{a0}' => "a no-break space",
        '\u{2002}'..='\u{200a}' | '\u{202f}' | '\u{205f}' | '\u{1680}' => "a typographic space",
        '\u{3000}' => "an ideographic space",
        '\u{200b}' | '\u{200c}' | '\u{200d}' | '\u{2060}' | '\u{feff}' => "an invisible character",
        _ => return None,
    };
    Some((first.len_utf8(), format!("{name} (U+{:04X})", u32::from(first))))
}

/// Odd spaces where spaces matter: in the indentation, after `-` and after the colon of a key. YAML takes them for
/// letters, so that they seldom are syntax errors: they silently make other keys and other values.
pub(in crate::yaml) fn odd_spaces(text: &str) -> Vec<Diagnosis> {
    let suspicious = |c: char| !c.is_ascii() && odd_space(c.encode_utf8(&mut [0; 4])).is_some();
    if !text.contains("&nbsp;") && !text.contains(suspicious) {
        return Vec::new();
    }
    let mut found: Option<Diagnosis> = None;
    let mut lines = 0;
    for line in &Outline::new(text).lines {
        if line.role == Role::Inside {
            continue;
        }
        let edits = odd_places(line.text, line.start);
        let Some(first) = edits.first() else { continue };
        lines += 1;
        let diagnosis = found.get_or_insert_with(|| {
            let name =
                odd_space(&text[first.range.start..]).map_or_else(String::new, |(_, name)| name);
            let message = format!("{name} stands where YAML needs an ordinary space");
            let range = first.range.clone();
            Diagnosis { fault: Fault::new(codes::ODD_SPACE, range, message), edits: Vec::new() }
        });
        diagnosis.edits.extend(edits);
    }
    if let Some(diagnosis) = &mut found {
        let more = match lines - 1 {
            0 => String::new(),
            1 => "; 1 more line has such spaces".to_owned(),
            more => format!("; {more} more lines have such spaces"),
        };
        diagnosis.fault.help(format!(
            "replace it by an ordinary space; text copied from web pages often has them{more}"
        ));
    }
    found.into_iter().collect()
}

/// The edits that make the odd spaces of a line ordinary.
fn odd_places(line: &str, start: usize) -> Vec<Edit> {
    let mut edits = Vec::new();
    let mut at = 0;
    let mut key_seen = false;
    while at < line.len() {
        let rest = &line[at..];
        if let Some((length, _)) = odd_space(rest) {
            edits.push(Edit { range: start + at..start + at + length, with: " ".to_owned() });
            at += length;
        } else if rest.starts_with(' ')
            || (rest.starts_with('-') && !key_seen && dash_ends(&rest[1..]))
        {
            at += 1;
        } else {
            // A key before an odd space: the value begins after it.
            let colon = rest.find(':').filter(|&colon| !key_seen && is_key(&rest[..colon]));
            let Some(colon) = colon else { break };
            key_seen = true;
            at += colon + 1;
        }
    }
    edits
}

fn is_key(word: &str) -> bool {
    let unquoted =
        ['"', '\''].iter().find_map(|&quote| word.strip_prefix(quote)?.strip_suffix(quote));
    let word = unquoted.unwrap_or(word);
    !word.is_empty() && word.chars().all(|c| c.is_ascii_alphanumeric() || "-_./".contains(c))
}

fn dash_ends(rest: &str) -> bool {
    rest.is_empty() || rest.starts_with(' ') || odd_space(rest).is_some()
}

/// A tab in the indentation.
pub(super) fn tab(scene: &Scene<'_>) -> Option<Diagnosis> {
    let indentation = |text: &str| text.len() - text.trim_start_matches([' ', '\t']).len();
    let indented_by_tab = |index: &usize| {
        let line = &scene.outline.lines[*index];
        line.text[..indentation(line.text)].contains('\t') && !line.text.trim().is_empty()
    };
    let candidates = [Some(scene.line), scene.outline.content_before(scene.line)];
    let first = candidates.into_iter().flatten().find(indented_by_tab)?;
    let first = (0..=first).rev().take_while(indented_by_tab).last()?;
    let mut edits = Vec::new();
    for line in &scene.outline.lines[first..] {
        let width = indentation(line.text);
        for (at, _) in line.text[..width].match_indices('\t') {
            edits.push(Edit { range: line.start + at..line.start + at + 1, with: "  ".to_owned() });
        }
    }
    let place = edits.first()?.range.clone();
    let message = "the line is indented with a tab; YAML allows only spaces".to_owned();
    let mut fault = Fault::new(codes::TAB, place, message);
    let lines = (first..scene.outline.lines.len()).filter(indented_by_tab).count();
    fault.help(match lines {
        1 => "replace the tab by spaces".to_owned(),
        2 => "replace the tabs by spaces, here and in 1 more line".to_owned(),
        _ => format!("replace the tabs by spaces, here and in {} more lines", lines - 1),
    });
    Some(Diagnosis { fault, edits })
}

/// `key:value`, which YAML takes for one word.
pub(super) fn no_space_after_colon(scene: &Scene<'_>) -> Option<Diagnosis> {
    if !matches!(
        scene.kind,
        ErrorKind::MappingValueNotAllowed
            | ErrorKind::ExpectedBlockMappingKey
            | ErrorKind::SimpleKeyExpected
            | ErrorKind::InvalidSimpleKey
            | ErrorKind::ExpectedBlockSequenceEntry
    ) {
        return None;
    }
    let before = scene.outline.content_before(scene.line);
    [Some(scene.line), before].into_iter().flatten().find_map(|index| {
        let line = &scene.outline.lines[index];
        let column = line.marks.last()?.column();
        let (name, value) = glued(&line.text[column..])?;
        let colon = line.start + column + name.len();
        let message = format!("the colon after `{name}` needs a space before `{value}`");
        let start = line.start + column;
        let end = line.start + line.text.trim_end().len();
        let mut fault = Fault::new(codes::NO_SPACE_AFTER_COLON, start..end, message);
        fault.help(format!("write `{name}: {value}`"));
        let edits = vec![Edit { range: colon + 1..colon + 1, with: " ".to_owned() }];
        Some(Diagnosis { fault, edits })
    })
}

/// The two parts of `name:value`, unless it is a URL, an address or a time.
pub(crate) fn glued(text: &str) -> Option<(&str, &str)> {
    let (name, value) = text.trim_end().split_once(':')?;
    let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/'));
    let is_value = !value.is_empty() && !value.starts_with([' ', '/', ':']);
    (is_name && is_value).then_some((name, value))
}
