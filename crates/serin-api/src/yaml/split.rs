//! Cutting a stream into its documents before parsing, so that an error in one never hides another.
//!
//! A line that begins with `---` ends a document wherever it stands (YAML 1.2.2, section 9.1.1: document markers
//! are recognised even inside scalars), so cutting there first gives what a parser would find. JSON values that
//! follow each other without a marker are cut too, as `kubectl` reads them.

use std::ops::Range;

/// The byte ranges of the documents of `text`, in order. Ranges begin at the marker line, if there is one.
pub(super) fn documents(text: &str) -> Vec<Range<usize>> {
    let start = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
    let mut ranges = Vec::new();
    let mut begin = start;
    // Directives (`%YAML 1.1`) stand before the marker of the document they belong to.
    let mut prelude_only = true;
    let mut directives = false;
    for line in lines(text, start) {
        let content = &text[line.clone()];
        if is_marker(content) {
            let belongs_to_next = prelude_only && directives;
            if !belongs_to_next && line.start > begin {
                ranges.push(begin..line.start);
                begin = line.start;
            }
            prelude_only = false;
            directives = false;
            if line.start == begin {
                prelude_only = content.trim_start_matches('-').trim().is_empty();
            }
            continue;
        }
        let trimmed = content.trim();
        if ["%YAML 1.", "%TAG !"].iter().any(|name| content.starts_with(name)) {
            directives = true;
        } else if !trimmed.is_empty() && !trimmed.starts_with('#') {
            prelude_only = false;
        }
    }
    ranges.push(begin..text.len());
    ranges.into_iter().flat_map(|range| json_values(text, range)).collect()
}

/// The lines of `text` from `start` on, with their line ends.
fn lines(text: &str, start: usize) -> impl Iterator<Item = Range<usize>> {
    let mut at = start;
    text[start..].split_inclusive('\n').map(move |line| {
        let range = at..at + line.len();
        at = range.end;
        range
    })
}

fn is_marker(line: &str) -> bool {
    line.strip_prefix("---")
        .is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\n', '\r']))
}

/// Cuts a document that is a row of JSON values into one range for each value.
fn json_values(text: &str, range: Range<usize>) -> Vec<Range<usize>> {
    let mut ranges = Vec::new();
    let mut begin = range.start;
    loop {
        let rest = &text[begin..range.end];
        let cut = json_end(rest).filter(|&end| rest[end..].trim_start().starts_with(['{', '[']));
        let Some(end) = cut else {
            ranges.push(begin..range.end);
            return ranges;
        };
        ranges.push(begin..begin + end);
        begin += end;
    }
}

/// Where the JSON object or list that `text` begins with ends; `None` when it begins otherwise or does not end.
fn json_end(text: &str) -> Option<usize> {
    let first = text.len() - text.trim_start().len();
    if !text[first..].starts_with(['{', '[']) {
        return None;
    }
    let mut depth = 0_usize;
    let mut in_string = false;
    let mut escaped = false;
    for (offset, byte) in text.bytes().enumerate().skip(first) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'{' | b'[' => depth += 1,
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return Some(offset + 1);
                }
            }
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expect: &[&str]) {
        let found: Vec<&str> = documents(text).into_iter().map(|range| &text[range]).collect();
        assert_eq!(found, expect);
    }

    #[test]
    fn a_marker_line_begins_a_document() {
        check("a: 1\n---\nb: 2\n", &["a: 1\n", "---\nb: 2\n"]);
        check("---\na: 1\n--- # two\nb: 2", &["---\na: 1\n", "--- # two\nb: 2"]);
        check("a: '\n---\nb: 2", &["a: '\n", "---\nb: 2"]);
        check("a: ---\n ---\n", &["a: ---\n ---\n"]);
        check("", &[""]);
    }

    #[test]
    fn directives_stay_with_their_document() {
        check("%YAML 1.1\n---\na: 1\n", &["%YAML 1.1\n---\na: 1\n"]);
        check(
            "a: 1\n---\n# c\n%YAML 1.1\n---\nb: 2\n",
            &["a: 1\n", "---\n# c\n%YAML 1.1\n---\nb: 2\n"],
        );
        check("# only a comment\n---\na: 1\n", &["# only a comment\n", "---\na: 1\n"]);
    }

    #[test]
    fn json_values_in_a_row_are_documents() {
        check(
            "{\"a\": \"}{\"}{\"b\": [1]}\n[2]\n",
            &["{\"a\": \"}{\"}", "{\"b\": [1]}", "\n[2]\n"],
        );
        check("{a: {{ b }}\n", &["{a: {{ b }}\n"]);
        check("{}\n", &["{}\n"]);
    }

    #[test]
    fn a_byte_order_mark_is_not_part_of_a_document() {
        check("\u{feff}a: 1\n", &["a: 1\n"]);
    }
}
