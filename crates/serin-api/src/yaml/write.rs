//! Writing values as YAML in block style, such that every reader (of YAML 1.1 or 1.2) reads the same values.

use serde_json::Value;

use super::scalar::{Plain, resolve};

/// Writes `value` as a document without a marker line.
pub fn write(value: &Value) -> String {
    let mut out = String::new();
    Writer { out: &mut out }.value(value, 0, Place::Document);
    out
}

/// What stands before a value.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    Document,
    Key,
    Item,
}

struct Writer<'o> {
    out: &'o mut String,
}

impl Writer<'_> {
    fn value(&mut self, value: &Value, indent: usize, place: Place) {
        match value {
            Value::Object(map) if !map.is_empty() => {
                let mut first = self.begin(place);
                for (key, value) in map {
                    self.indent(if first && place == Place::Item { 0 } else { indent });
                    first = false;
                    self.text(key);
                    self.out.push(':');
                    // A list stands at the column of its key.
                    let deeper = if value.is_array() { indent } else { indent + 2 };
                    self.value(value, deeper, Place::Key);
                }
            }
            Value::Array(items) if !items.is_empty() => {
                let mut first = self.begin(place);
                for item in items {
                    self.indent(if first && place == Place::Item { 0 } else { indent });
                    first = false;
                    self.out.push('-');
                    self.value(item, indent + 2, Place::Item);
                }
            }
            Value::String(text) if text.contains('\n') && is_block(text) => {
                self.space(place);
                self.block(text, indent);
            }
            Value::String(text) => {
                self.space(place);
                self.text(text);
                self.out.push('\n');
            }
            scalar => {
                self.space(place);
                self.out.push_str(&scalar.to_string());
                self.out.push('\n');
            }
        }
    }

    /// Begins the lines of a collection; true when its first line is under way already.
    fn begin(&mut self, place: Place) -> bool {
        match place {
            Place::Document => {}
            Place::Key => self.out.push('\n'),
            Place::Item => self.out.push(' '),
        }
        true
    }

    fn space(&mut self, place: Place) {
        if place != Place::Document {
            self.out.push(' ');
        }
    }

    fn indent(&mut self, columns: usize) {
        self.out.extend(std::iter::repeat_n(' ', columns));
    }

    fn text(&mut self, text: &str) {
        if is_plain(text) {
            self.out.push_str(text);
        } else {
            self.out.push_str(&Value::from(text).to_string());
        }
    }

    fn block(&mut self, text: &str, indent: usize) {
        self.out.push_str(if text.ends_with('\n') { "|\n" } else { "|-\n" });
        for line in text.lines() {
            if !line.is_empty() {
                self.indent(indent.max(2));
                self.out.push_str(line);
            }
            self.out.push('\n');
        }
    }
}

/// Whether a text means itself without quotes.
fn is_plain(text: &str) -> bool {
    let safe = |c: char| {
        c.is_ascii_alphanumeric()
            || " _-./()+=;<>$^~".contains(c)
            || (c > '\u{a0}' && c.is_alphabetic())
    };
    let inner = |c: char| {
        safe(c)
            || matches!(
                c,
                ',' | '\''
                    | '*'
                    | '!'
                    | '?'
                    | '['
                    | ']'
                    | '{'
                    | '}'
                    | '|'
                    | '@'
                    | '%'
                    | '&'
                    | '`'
                    | '"'
                    | '\\'
            )
    };
    let begins = text.starts_with(|c: char| {
        c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '_' | '^' | '(')
    });
    begins
        && !text.ends_with(' ')
        && text.chars().all(inner)
        && resolve(text) == Plain::Text
        && !is_dated(text)
}

/// Dates are texts to Kubernetes, but not to every reader.
fn is_dated(text: &str) -> bool {
    text.len() >= 8
        && text.as_bytes()[..4].iter().all(u8::is_ascii_digit)
        && text.as_bytes()[4] == b'-'
}

/// Whether a text of several lines can stand as it is.
fn is_block(text: &str) -> bool {
    let plain_line = |line: &str| {
        !line.starts_with([' ', '\t'])
            && !line.ends_with([' ', '\t'])
            && line.chars().all(|c| {
                c == '\t'
                    || (c >= ' '
                        && c != '\u{7f}'
                        && !('\u{80}'..='\u{a0}').contains(&c)
                        && !matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}'))
            })
    };
    !text.starts_with('\n')
        && !text.ends_with("\n\n")
        && !text.contains('\r')
        && text.lines().all(plain_line)
}
