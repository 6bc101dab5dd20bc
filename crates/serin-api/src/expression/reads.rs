//! Which fields of its names an expression reads, as far as its text alone tells.

/// A field that is read of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Read {
    /// Where the dot before the field stands, in characters.
    at: usize,
    /// The fields from the name on, this one last.
    pub path: Vec<String>,
}

/// The fields that an expression reads of `name`. What comes after a call or an index is not told.
pub fn reads(expression: &str, name: &str) -> Vec<Read> {
    let chars: Vec<char> = expression.chars().collect();
    let is_word = |at: usize| chars.get(at).is_some_and(|it| it.is_alphanumeric() || *it == '_');
    let mut out = Vec::new();
    let mut at = 0;
    while at < chars.len() {
        if let Some(end) = literal(&chars, at) {
            at = end;
            continue;
        }
        if !is_word(at) {
            at += 1;
            continue;
        }
        let end = (at..).find(|it| !is_word(*it)).unwrap_or(chars.len());
        let word: String = chars[at..end].iter().collect();
        let is_field =
            at > 0 && chars[..at].iter().rev().find(|it| !it.is_whitespace()) == Some(&'.');
        at = end;
        if word == name && !is_field {
            at = chain(&chars, end, &mut out);
        }
    }
    out
}

/// The end of a text that begins at a place.
fn literal(chars: &[char], at: usize) -> Option<usize> {
    let quote = *chars.get(at).filter(|it| matches!(it, '"' | '\''))?;
    let mut end = at + 1;
    while let Some(it) = chars.get(end) {
        match it {
            '\\' => end += 2,
            it if *it == quote => return Some(end + 1),
            _ => end += 1,
        }
    }
    Some(chars.len())
}

/// Reads `.a.b` after a name; the place where that ends.
fn chain(chars: &[char], start: usize, out: &mut Vec<Read>) -> usize {
    let is_word = |at: usize| chars.get(at).is_some_and(|it| it.is_alphanumeric() || *it == '_');
    let (mut at, mut path) = (start, Vec::new());
    while chars.get(at) == Some(&'.') && is_word(at + 1) {
        let end = (at + 1..).find(|it| !is_word(*it)).unwrap_or(chars.len());
        if chars.get(end) == Some(&'(') {
            return end;
        }
        path.push(chars[at + 1..end].iter().collect::<String>());
        out.push(Read { at, path: path.clone() });
        at = end;
    }
    at
}

impl Read {
    /// What a compiler says of a field that is not there, with the place.
    pub fn undefined(&self, expression: &str) -> String {
        let field = self.path.last().map(String::as_str).unwrap_or_default();
        mark(expression, self.at, &format!("undefined field '{field}'"))
    }
}

/// What a compiler says of a place in an expression, counted in characters.
pub(super) fn mark(expression: &str, at: usize, what: &str) -> String {
    let before: String = expression.chars().take(at).collect();
    let line = before.matches('\n').count();
    let column = before.chars().rev().take_while(|it| *it != '\n').count();
    let text = expression.lines().nth(line).unwrap_or_default();
    format!(
        "ERROR: <input>:{}:{}: {what}\n | {text}\n | {}^",
        line + 1,
        column + 1,
        ".".repeat(column)
    )
}

/// Where the sign of an operator stands, in characters, if it stands in one place only. Signs in texts do not count.
pub(super) fn plain(expression: &str, sign: &str) -> Option<usize> {
    let chars: Vec<char> = expression.chars().collect();
    let sign: Vec<char> = sign.chars().collect();
    let (mut found, mut at) = (None, 0);
    while at < chars.len() {
        if let Some(end) = literal(&chars, at) {
            at = end;
            continue;
        }
        // The longest sign is meant: `<=` is no `<`.
        let whole = chars[at..].starts_with(&sign) && {
            let next = chars.get(at + sign.len());
            let before = at.checked_sub(1).map(|it| chars[it]);
            !(sign.len() == 1 && (next == Some(&'=') || before == Some('=')))
        };
        if whole && found.replace(at).is_some() {
            return None;
        }
        at += if whole { sign.len() } else { 1 };
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(expression: &str, expect: &[&str]) {
        let found = reads(expression, "object");
        let found: Vec<String> = found.iter().map(|it| it.path.join(".")).collect();
        assert_eq!(found, expect, "{expression}");
    }

    #[test]
    fn fields_of_a_name_are_found() {
        check("object.spec.replicas > 1", &["spec", "spec.replicas"]);
        check("has(object.a) && x.object.b", &["a"]);
        check("object.items.all(i, i.x == object['y'].z)", &["items"]);
        check("'object.a' + \"\\\"object.b\" + objects.c + object", &[]);
        check("object.?a.b", &[]);
    }

    #[test]
    fn a_place_is_shown() {
        let text = "1 == 1 &&\nobject.replicas > 1";
        assert_eq!(
            reads(text, "object")[0].undefined(text),
            "ERROR: <input>:2:7: undefined field 'replicas'\n | object.replicas > 1\n | ......^"
        );
    }
}
