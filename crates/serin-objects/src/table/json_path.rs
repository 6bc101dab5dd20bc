//! Columns that users define: a simple JSONPath leads to the value.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::since;
use crate::crd::PrinterColumn;

/// A path such as `.status.conditions[?(@.type=="Ready")].status`, as columns and scales use it.
#[derive(Clone, Debug, PartialEq)]
pub struct JsonPath {
    steps: Vec<Step>,
}

#[derive(Clone, Debug, PartialEq)]
enum Step {
    Field(String),
    Index(i64),
    Every,
    /// Elements in which a path leads to something, or to (or not to) a value.
    Filter(JsonPath, Option<(bool, Value)>),
}

impl JsonPath {
    /// Reads a path.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut rest =
            text.trim().trim_start_matches('{').trim_end_matches('}').trim_start_matches('$');
        let mut steps = Vec::new();
        while !rest.is_empty() {
            if let Some(inner) = rest.strip_prefix('[') {
                let end = closing(inner).ok_or_else(|| format!("unterminated array in {text}"))?;
                steps.push(subscript(&inner[..end])?);
                rest = &inner[end + 1..];
            } else {
                rest = rest.strip_prefix('.').unwrap_or(rest);
                let (name, left) = field(rest);
                if name == "*" {
                    steps.push(Step::Every);
                } else if !name.is_empty() {
                    steps.push(Step::Field(name));
                } else if !left.starts_with('[') && !left.is_empty() {
                    return Err(format!("unexpected path {text}"));
                }
                rest = left;
            }
        }
        Ok(Self { steps })
    }

    /// The values that it leads to.
    pub fn find<'v>(&self, value: &'v Value) -> Vec<&'v Value> {
        let mut found = vec![value];
        for step in &self.steps {
            found = found.into_iter().flat_map(|value| step.of(value)).collect();
        }
        found
    }

    /// The fields of a path that has nothing but fields.
    pub fn fields(&self) -> Option<Vec<&str>> {
        self.steps
            .iter()
            .map(|step| match step {
                Step::Field(name) => Some(name.as_str()),
                _ => None,
            })
            .collect()
    }
}

/// The place of the bracket that closes.
fn closing(text: &str) -> Option<usize> {
    let mut quote = None;
    let mut depth = 0;
    for (at, c) in text.char_indices() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"') => quote = Some(c),
            (None, '[') => depth += 1,
            (None, ']') if depth == 0 => return Some(at),
            (None, ']') => depth -= 1,
            _ => {}
        }
    }
    None
}

/// A name up to the next dot or bracket that no backslash precedes.
fn field(text: &str) -> (String, &str) {
    let mut name = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => name.extend(chars.next().map(|(_, c)| c)),
            '.' | '[' => return (name, &text[at..]),
            c => name.push(c),
        }
    }
    (name, "")
}

fn subscript(text: &str) -> Result<Step, String> {
    let text = text.trim();
    if text == "*" {
        return Ok(Step::Every);
    }
    for quote in ['\'', '"'] {
        if let Some(name) = text.strip_prefix(quote).and_then(|it| it.strip_suffix(quote)) {
            return Ok(Step::Field(name.replace("\\.", ".")));
        }
    }
    if let Some(filter) = text.strip_prefix("?(").and_then(|it| it.strip_suffix(')')) {
        for (operator, equal) in [("==", true), ("!=", false)] {
            if let Some((path, wanted)) = filter.split_once(operator) {
                let wanted = wanted.trim();
                let unquoted = wanted.trim_matches(['\'', '"']);
                let value = if unquoted.len() < wanted.len() {
                    json!(unquoted)
                } else {
                    serde_json::from_str(wanted).unwrap_or_else(|_| json!(wanted))
                };
                return Ok(Step::Filter(inner(path)?, Some((equal, value))));
            }
        }
        return Ok(Step::Filter(inner(filter)?, None));
    }
    text.parse().map(Step::Index).map_err(|_| format!("invalid array index {text}"))
}

fn inner(path: &str) -> Result<JsonPath, String> {
    JsonPath::parse(path.trim().trim_start_matches('@'))
}

impl Step {
    fn of<'v>(&self, value: &'v Value) -> Vec<&'v Value> {
        match (self, value) {
            (Self::Field(name), Value::Object(map)) => map.get(name).into_iter().collect(),
            (Self::Index(index), Value::Array(items)) => {
                let length = i64::try_from(items.len()).unwrap_or(i64::MAX);
                let place = if *index < 0 { index + length } else { *index };
                usize::try_from(place).ok().and_then(|it| items.get(it)).into_iter().collect()
            }
            (Self::Every, Value::Array(items)) => items.iter().collect(),
            (Self::Every, Value::Object(map)) => map.values().collect(),
            (Self::Filter(path, wanted), Value::Array(items)) => {
                items.iter().filter(|item| passes(path, wanted.as_ref(), item)).collect()
            }
            _ => Vec::new(),
        }
    }
}

fn passes(path: &JsonPath, wanted: Option<&(bool, Value)>, item: &Value) -> bool {
    let found = path.find(item);
    match wanted {
        None => !found.is_empty(),
        Some((equal, value)) => found.first().is_some_and(|it| (*it == value) == *equal),
    }
}

/// The cell of a column.
pub(super) fn cell(column: &PrinterColumn, object: &Value, now: Timestamp) -> Value {
    let found = JsonPath::parse(&column.json_path)
        .ok()
        .and_then(|path| path.find(object).first().map(|it| (*it).clone()));
    let Some(value) = found.filter(|it| !it.is_null()) else { return Value::Null };
    match (column.r#type.as_str(), &value) {
        ("date", Value::String(_)) => match since(&value, now).as_str() {
            "<unknown>" => json!("<invalid>"),
            age => json!(age),
        },
        ("string", Value::String(_))
        | ("boolean", Value::Bool(_))
        | ("number", Value::Number(_)) => value,
        ("integer", Value::Number(number)) => number
            .as_i64()
            .or_else(|| number.as_f64().map(|it| it as i64))
            .map_or(Value::Null, Value::from),
        ("string", other) => json!(other.to_string()),
        _ => Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_lead_to_values() {
        let value = json!({
            "spec": {"replicas": 3, "hosts": ["a", "b"], "a.b": 1},
            "status": {"conditions": [{"type": "A", "status": "False"}, {"type": "Ready", "status": "True"}]},
        });
        for (path, expect) in [
            (".spec.replicas", vec![json!(3)]),
            ("{.spec.replicas}", vec![json!(3)]),
            (".spec.hosts[*]", vec![json!("a"), json!("b")]),
            (".spec.hosts[-1]", vec![json!("b")]),
            (r".spec.a\.b", vec![json!(1)]),
            (".spec['a.b']", vec![json!(1)]),
            (".status.conditions[?(@.type==\"Ready\")].status", vec![json!("True")]),
            (".status.conditions[?(@.type!='Ready')].status", vec![json!("False")]),
            (".status.conditions[?(@.reason)].status", vec![]),
            (".nothing.here", vec![]),
        ] {
            let found = JsonPath::parse(path).unwrap();
            let found: Vec<Value> = found.find(&value).into_iter().cloned().collect();
            assert_eq!(found, expect, "{path}");
        }
        assert!(JsonPath::parse(".a[b").is_err());
    }
}
