//! Properties of reading YAML: what was written is read, positions point at what they claim, nothing panics.

use proptest::prelude::*;
use serde_json::{Map, Value};
use serin_api::yaml::{Content, Document, Node, read, write};
use serin_api::{FieldPath, Span};

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[a-zA-Z0-9_./-]{0,12}",
        2 => "[ -~]{0,20}",
        1 => "[\\n\\t\"'\\\\:#äß€\u{1F426}\u{a0} a-c]{0,10}",
        1 => prop::sample::select(vec!["yes", "null", "~", "0644", "1e3", "", "- a", "a: b", "{", "&a", "*a", "<<", "---"])
            .prop_map(str::to_owned),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        (-1e6..1e6f64).prop_map(Value::from),
        text().prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::Array),
            prop::collection::vec((text(), inner), 0..6)
                .prop_map(|entries| Value::Object(entries.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

/// What Kubernetes makes of a number: whole ones lose their fraction.
fn normal(value: &Value) -> Value {
    match value {
        Value::Number(number) => match number.as_f64() {
            Some(float) if number.is_f64() && float.fract() == 0.0 => Value::from(float as i64),
            _ => value.clone(),
        },
        Value::Array(items) => items.iter().map(normal).collect(),
        Value::Object(map) => {
            Value::Object(map.iter().map(|(key, value)| (key.clone(), normal(value))).collect())
        }
        _ => value.clone(),
    }
}

/// Writes a value in block style, with texts in JSON's quotes where they need any.
fn block(value: &Value, indent: usize, out: &mut String) {
    let pad = " ".repeat(indent);
    match value {
        Value::Array(items) if !items.is_empty() => {
            for item in items {
                out.push_str(&format!("\n{pad}-"));
                child(item, indent + 2, out);
            }
        }
        Value::Object(map) if !map.is_empty() => {
            for (key, value) in map {
                out.push_str(&format!("\n{pad}{}:", scalar(key)));
                child(value, indent + 3, out);
            }
        }
        Value::String(text) => out.push_str(&scalar(text)),
        other => out.push_str(&other.to_string()),
    }
}

fn child(value: &Value, indent: usize, out: &mut String) {
    let nested = matches!(value, Value::Array(items) if !items.is_empty())
        || matches!(value, Value::Object(map) if !map.is_empty());
    if !nested {
        out.push(' ');
    }
    block(value, indent, out);
}

fn scalar(text: &str) -> String {
    let plain = text.len() > 3
        && text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "_./-".contains(c))
        && !matches!(text.to_ascii_lowercase().as_str(), "true" | "false" | "null");
    if plain { text.to_owned() } else { Value::from(text).to_string() }
}

fn slice(text: &str, span: Span) -> &str {
    &text[span.start.offset..span.end.offset]
}

/// What a piece of a text means on its own.
fn alone(piece: &str) -> Option<Value> {
    match read(piece).documents.as_slice() {
        [] => Some(Value::Null),
        [Document { root, .. }] => Some(root.to_json()),
        _ => None,
    }
}

fn check_places(text: &str, root: &Node, node: &Node, path: &FieldPath) {
    let (_, found) = root.find(path);
    assert_eq!(found, node.span);
    let lines: Vec<&str> = text.split('\n').collect();
    let line = lines[node.span.start.line - 1];
    let before: String = line.chars().take(node.span.start.column - 1).collect();
    assert!(slice(text, node.span).is_empty() || text[..node.span.start.offset].ends_with(&before));
    match &node.content {
        Content::Scalar(value) => {
            // The line end after a block text belongs to its value, but not to its span.
            let piece = slice(text, node.span);
            let end = if piece.starts_with('|') { "\n" } else { "" };
            assert_eq!(
                alone(&format!("{piece}{end}")).as_ref(),
                Some(value),
                "{piece:?} of {text}"
            );
        }
        Content::List(items) => {
            for (index, item) in items.iter().enumerate() {
                check_places(text, root, item, &path.index(index));
            }
        }
        Content::Map(entries) => {
            for entry in entries {
                let key = alone(slice(text, entry.key_span));
                assert_eq!(key, Some(Value::from(entry.key.clone())));
                check_places(text, root, &entry.value, &path.key(entry.key.clone()));
            }
        }
    }
}

fn check_read(text: &str, expect: &Value) {
    let stream = read(text);
    assert_eq!(stream.problems, [], "{text}");
    if expect.is_null() {
        assert!(stream.documents.is_empty());
        return;
    }
    let root = &stream.documents[0].root;
    assert_eq!(&root.to_json(), expect, "{text}");
    check_places(text, root, root, &FieldPath::root());
}

fn within(text: &str, span: Span) {
    assert!(
        span.start.offset <= span.end.offset
            && text.get(span.start.offset..span.end.offset).is_some()
    );
}

fn all_within(text: &str, node: &Node) {
    within(text, node.span);
    match &node.content {
        Content::Scalar(_) => {}
        Content::List(items) => items.iter().for_each(|item| all_within(text, item)),
        Content::Map(entries) => entries.iter().for_each(|entry| {
            within(text, entry.key_span);
            all_within(text, &entry.value);
        }),
    }
}

/// Reads anything and looks at every position.
fn survives(text: &str) {
    let stream = read(text);
    for problem in &stream.problems {
        within(text, problem.span);
    }
    for document in &stream.documents {
        all_within(text, &document.root);
        document.root.to_json();
    }
}

fn fragments() -> impl Strategy<Value = String> {
    let pieces = vec![
        "a",
        "key",
        ": ",
        ":",
        "\n",
        "\n  ",
        "\n    ",
        "- ",
        "\n- ",
        "---\n",
        "\n...\n",
        "[",
        "]",
        "{",
        "}",
        ", ",
        "\"",
        "'",
        "\t",
        "#",
        " # c",
        "&x ",
        "*x",
        "<<: ",
        "|\n",
        ">-\n  ",
        "!!str ",
        "%YAML 1.1\n",
        "{{ x }}",
        "\u{a0}",
        "&nbsp;",
        "\r\n",
        "\\",
        "@",
        "`",
        "~",
        "0644",
        "? ",
        "\u{feff}",
        "\u{2028}",
        "ä",
        "```",
        "<<<<<<< ",
    ];
    prop::collection::vec(prop::sample::select(pieces), 0..30).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn json_is_read_as_written(value in value()) {
        check_read(&value.to_string(), &normal(&value));
        let pretty = serde_json::to_string_pretty(&value).unwrap();
        check_read(&pretty, &normal(&value));
    }

    #[test]
    fn block_style_is_read_as_written(value in value()) {
        let mut text = String::new();
        block(&value, 0, &mut text);
        text.push('\n');
        check_read(&text, &normal(&value));
    }

    #[test]
    fn what_is_written_is_read_again(value in value()) {
        let text = write(&normal(&value));
        check_read(&text, &normal(&value));
    }

    #[test]
    fn no_text_makes_it_panic(text in fragments()) {
        survives(&text);
    }

    #[test]
    fn one_mistake_in_a_manifest_is_survived(value in value(), at in any::<prop::sample::Index>(), with in fragments(), cut in 0usize..4) {
        let mut text = String::new();
        block(&value, 0, &mut text);
        text.push('\n');
        let boundaries: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
        let position = at.index(boundaries.len());
        let end = boundaries.get(position + cut).copied().unwrap_or(text.len());
        let with: String = with.chars().take(6).collect();
        text.replace_range(boundaries[position]..end, &with);
        text.push_str("\n---\nafter: 1\n");
        survives(&text);
        let last = read(&text).documents.pop().unwrap();
        prop_assert_eq!(last.root.to_json(), serde_json::json!({"after": 1}));
    }
}
