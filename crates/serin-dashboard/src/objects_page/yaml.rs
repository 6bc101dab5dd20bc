//! JSON as YAML, line by line, each with the field that it is of.

use serde_json::Value;

/// A line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// The field as Kubernetes writes it: `spec.http[0].match`.
    pub(super) field: String,
    pub(super) text: String,
}

/// Texts that YAML of Kubernetes would read as something else.
const WORDS: [&str; 11] = ["", "~", "null", "true", "false", "yes", "no", "on", "off", "y", "n"];

/// An object as lines.
pub(super) fn lines(object: &Value) -> Vec<Line> {
    let mut lines = Vec::new();
    block(&mut lines, "", object, "", "");
    lines
}

/// The line below which something about a field belongs: the field's own, or that of the innermost part of it that is there.
pub(super) fn place(lines: &[Line], field: &str) -> Option<usize> {
    let is_in = |line: &Line| {
        let rest = field.strip_prefix(&line.field);
        !line.field.is_empty() && rest.is_some_and(|it| it.is_empty() || it.starts_with(['.', '[']))
    };
    let best = lines.iter().filter(|line| is_in(line)).map(|line| line.field.len()).max()?;
    lines.iter().position(|line| is_in(line) && line.field.len() == best)
}

/// Writes a value below its key. `first` stands before its first line, `rest` before the others.
fn block(lines: &mut Vec<Line>, field: &str, value: &Value, first: &str, rest: &str) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (position, (key, value)) in fields.iter().enumerate() {
                let before = if position == 0 { first } else { rest };
                entry(
                    lines,
                    &key_of(field, key),
                    &format!("{before}{}:", scalar(key)),
                    value,
                    rest,
                );
            }
        }
        Value::Array(elements) if !elements.is_empty() => {
            for (position, element) in elements.iter().enumerate() {
                let before = if position == 0 { first } else { rest };
                let (begin, indent) = (format!("{before}- "), format!("{rest}  "));
                block(lines, &format!("{field}[{position}]"), element, &begin, &indent);
            }
        }
        value => {
            lines.push(Line { field: field.to_owned(), text: format!("{first}{}", leaf(value)) })
        }
    }
}

fn entry(lines: &mut Vec<Line>, field: &str, head: &str, value: &Value, indent: &str) {
    let is_leaf = match value {
        Value::Object(fields) => fields.is_empty(),
        Value::Array(elements) => elements.is_empty(),
        _ => true,
    };
    if is_leaf {
        lines.push(Line { field: field.to_owned(), text: format!("{head} {}", leaf(value)) });
        return;
    }
    lines.push(Line { field: field.to_owned(), text: head.to_owned() });
    // Lists stand as far to the left as their keys, as kubectl writes them.
    let indent = if value.is_array() { indent.to_owned() } else { format!("{indent}  ") };
    block(lines, field, value, &indent, &indent);
}

fn key_of(field: &str, key: &str) -> String {
    let is_plain =
        !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || "_-$".contains(c));
    match (is_plain, field.is_empty()) {
        (false, _) => format!("{field}[{key}]"),
        (true, true) => key.to_owned(),
        (true, false) => format!("{field}.{key}"),
    }
}

fn leaf(value: &Value) -> String {
    match value {
        Value::String(text) => scalar(text),
        Value::Object(_) => "{}".to_owned(),
        Value::Array(_) => "[]".to_owned(),
        other => other.to_string(),
    }
}

/// A text, in quotes where it would be read as something else without.
fn scalar(text: &str) -> String {
    let is_word = WORDS.contains(&text.to_lowercase().as_str()) || text.parse::<f64>().is_ok();
    let begins_well =
        text.starts_with(|c: char| c.is_alphanumeric() || c == '/' || c == '_' || c == '.');
    let is_plain = text.chars().all(|c| c.is_alphanumeric() || " /_.:=-+@,()".contains(c));
    let is_misread = text.contains(": ") || text.ends_with([':', ' ']) || text.starts_with("0x");
    if is_word || !begins_well || !is_plain || is_misread {
        return Value::from(text).to_string();
    }
    text.to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn example() -> Vec<Line> {
        lines(&json!({
            "metadata": {"name": "reviews", "labels": {"app.kubernetes.io/name": "1"}},
            "spec": {
                "hosts": ["reviews", "*"],
                "http": [{"match": [{"uri": {"prefix": "/"}}], "route": []}, {"retries": null}],
            },
        }))
    }

    #[test]
    fn objects_are_written_as_kubectl_writes_them() {
        let text: Vec<String> = example().into_iter().map(|it| it.text).collect();
        insta::assert_snapshot!(text.join("\n"), @r#"
        metadata:
          name: reviews
          labels:
            app.kubernetes.io/name: "1"
        spec:
          hosts:
          - reviews
          - "*"
          http:
          - match:
            - uri:
                prefix: /
            route: []
          - retries: null
        "#);
    }

    #[test]
    fn what_is_written_reads_back_as_it_was() {
        let texts = [
            "yes",
            "0x10",
            "a: b",
            "- a",
            "1e3",
            "#",
            "a\nb",
            "{}",
            "plain text",
            "10.0.0.1",
            "k=v",
        ];
        let value = json!({"list": texts, "empty": {}, "nested": {"a": [[1, 2.5], [true, null]]}});
        let text: Vec<String> = lines(&value).into_iter().map(|it| it.text).collect();
        let stream = serin_api::yaml::read(&text.join("\n"));
        assert!(stream.problems.is_empty(), "{:?}", stream.problems);
        assert_eq!(stream.documents[0].root.to_json(), value);
    }

    #[test]
    fn something_about_a_field_stands_at_its_line() {
        let lines = example();
        let check = |field: &str, expect: Option<&str>| {
            let found = place(&lines, field).map(|at| lines[at].text.trim());
            assert_eq!(found, expect, "{field}");
        };
        check("spec.hosts[1]", Some("- \"*\""));
        check("spec.http[0].match[0].uri.prefix", Some("prefix: /"));
        check("spec.http[0].route[3].destination", Some("route: []"));
        check("spec.gateways[0]", Some("spec:"));
        check("metadata.labels[app.kubernetes.io/name]", Some("app.kubernetes.io/name: \"1\""));
        check("", None);
    }
}
