//! Fuzz targets, which `cargo test` runs on a sample of inputs and a coverage-guided engine can run for longer.

use serin_api::yaml;

/// No bytes make the reader panic, and every place it names is inside of the text.
#[test]
fn reading_yaml_survives_any_bytes() {
    bolero::check!().for_each(|bytes: &[u8]| {
        let lossy = String::from_utf8_lossy(bytes);
        let text = yaml::decode(bytes).unwrap_or(lossy);
        let stream = yaml::read(&text);
        for problem in &stream.problems {
            assert!(text.get(problem.span.start.offset..problem.span.end.offset).is_some());
        }
        for document in &stream.documents {
            document.root.to_json();
        }
    });
}

/// No expression makes the compiler of rules or their evaluation panic.
#[test]
fn rules_survive_any_expression() {
    const WORDS: [&str; 48] = [
        "self",
        "oldSelf",
        ".a",
        ".b",
        "[0]",
        "['k']",
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        ",",
        ":",
        "?",
        " == ",
        " in ",
        " && ",
        " || ",
        "!",
        "-",
        " + ",
        " * ",
        " / ",
        " % ",
        "1",
        "-9223372036854775808",
        "18446744073709551615u",
        "1.5",
        "'x'",
        "\"\\u00e4\"",
        "true",
        "null",
        "has(self.a)",
        ".size()",
        ".all(x, ",
        ".map(x, ",
        ".exists_one(x, ",
        "x",
        "matches",
        ".matches('[')",
        "duration('1h')",
        "timestamp('x')",
        "url('x')",
        "quantity('1')",
        ".orValue(",
        "b'\\xff'",
        "\n",
    ];
    bolero::check!().with_type::<Vec<u8>>().for_each(|choice| {
        let rule: String =
            choice.iter().map(|&byte| WORDS[usize::from(byte) % WORDS.len()]).collect();
        let schema = serde_json::json!({
            "type": "object",
            "properties": {"a": {"type": "integer"}, "b": {"type": "array", "items": {"type": "string"}}},
            "x-kubernetes-validations": [{"rule": rule, "messageExpression": rule}],
        });
        if let Ok(schema) = serin_api::schema::Schema::parse(&schema) {
            let value = serde_json::json!({"a": i64::MAX, "b": ["", "ä"]});
            schema.validate(&value, Some(&value));
        }
    });
}

/// Whatever a manifest is changed into, it is read without panic, and every finding has its place in the text.
#[test]
fn loading_survives_changed_manifests() {
    const MANIFEST: &str = "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata:\n  name: v\n  labels: {a: b}\nspec:\n  \
        hosts: [a]\n  http:\n  - match:\n    - uri: {prefix: /x}\n      headers: {h: {regex: 'a+'}}\n    route:\n    - destination: {host: \
        a, port: {number: 80}}\n      weight: 100\n    timeout: 5s\n---\nkind: List\napiVersion: v1\nitems:\n- {apiVersion: v1, kind: \
        Service, metadata: {name: s}}\n";
    const PIECES: [&str; 24] = [
        "", " ", "\n", "  ", "- ", ": ", ":", "[", "]", "{", "}", "'", "\"", "null", "~", "*",
        "&a ", "1", "true", "#", "\t", "---\n", "\u{e4}", "name",
    ];
    bolero::check!().with_type::<Vec<(u16, u8, u8)>>().for_each(|changes| {
        let mut text: Vec<char> = MANIFEST.chars().collect();
        for &(at, cut, piece) in changes.iter().take(6) {
            let at = usize::from(at) % (text.len() + 1);
            let end = (at + usize::from(cut % 8)).min(text.len());
            text.splice(at..end, PIECES[usize::from(piece) % PIECES.len()].chars());
        }
        let text: String = text.into_iter().collect();
        let loaded = serin_api::load::load("a.yaml", &text, "default");
        for finding in &loaded.findings {
            let span = finding.location.as_ref().expect("a place").span;
            assert!(text.get(span.start.offset..span.end.offset).is_some(), "{finding:?}");
        }
    });
}
