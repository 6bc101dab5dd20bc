//! What is read from which text, and what is said about broken ones.

use serde_json::{Value, json};

use super::*;
use crate::{Code, FieldPath};

#[track_caller]
fn reads(text: &str, expect: &[Value]) {
    let stream = read(text);
    assert_eq!(stream.problems, [], "{text}");
    let found: Vec<Value> =
        stream.documents.iter().map(|document| document.root.to_json()).collect();
    assert_eq!(found, expect, "{text}");
}

/// Each problem as `code line:column underlined text | message | help`.
fn told(text: &str) -> Vec<String> {
    let show = |problem: &Problem| {
        let Span { start, end } = problem.span;
        format!(
            "{} {}:{} {:?} | {} | {}",
            problem.code,
            start.line,
            start.column,
            &text[start.offset..end.offset],
            problem.message,
            problem.help.as_deref().unwrap_or("")
        )
    };
    read(text).problems.iter().map(show).collect()
}

#[track_caller]
fn tells(text: &str, expect: &[&str]) {
    assert_eq!(told(text), expect, "{text}");
}

#[test]
fn documents_of_a_stream_are_read_in_order() {
    reads("a: 1\n---\nb: yes\n---\n# nothing\n---\n", &[json!({"a": 1}), json!({"b": true})]);
    reads("", &[]);
    reads("# only a comment\n", &[]);
    reads("a: 1\n...\nb: 2\n", &[json!({"a": 1}), json!({"b": 2})]);
    reads(
        "\u{feff}a: 1\r\nb:\r\n  - x\r\n---\r\nc: 2\r\n",
        &[json!({"a": 1, "b": ["x"]}), json!({"c": 2})],
    );
    reads("%YAML 1.1\n---\na: 1\n", &[json!({"a": 1})]);
    reads("--- # first\na: 1\n--- {b: 2}\n", &[json!({"a": 1}), json!({"b": 2})]);
}

#[test]
fn json_is_read_also_in_rows_and_with_tabs() {
    reads(
        "{\n\t\"a\": [1, 2.5, \"x\\u00e4\\/\", null, true]\n}\n",
        &[json!({"a": [1, 2.5, "xä/", null, true]})],
    );
    reads(
        "{\"a\": 1}\n{\"b\": 2}{\"c\": 3}\n",
        &[json!({"a": 1}), json!({"b": 2}), json!({"c": 3})],
    );
}

#[test]
fn scalars_mean_what_they_mean_to_kubernetes() {
    reads(
        "a: yes\nb: 'yes'\nc: 0644\nd: 1.0\ne: ~\nf: !!str 5\ng: 2024-01-01\nh: !!binary aGk=\ni: 1e3\nj:\n",
        &[json!({
            "a": true, "b": "yes", "c": 420, "d": 1, "e": null, "f": "5", "g": "2024-01-01", "h": "hi", "i": 1000,
            "j": null
        })],
    );
    reads(
        "80: a\non: b\n1.5: c\n0x10: d\n'x y': e\n",
        &[json!({"80": "a", "true": "b", "1.5": "c", "16": "d", "x y": "e"})],
    );
    reads("a: |\n  x\n\n  y\nb: >-\n  x\n  y\n", &[json!({"a": "x\n\ny\n", "b": "x y"})]);
}

#[test]
fn anchors_and_merge_keys_are_written_out() {
    reads(
        "base: &base {a: 1, b: 2}\nx:\n  <<: *base\n  b: 3\nz:\n- <<: [*base, {c: 4, a: 5}]\n",
        &[
            json!({"base": {"a": 1, "b": 2}, "x": {"b": 3, "a": 1}, "z": [{"a": 1, "b": 2, "c": 4}]}),
        ],
    );
    tells(
        "a: *b\n",
        &[
            "SRN0014 1:4 \"*b\" | `*b` refers to an anchor `&b` that this document does not set before it | \
                       if `*b` is meant as text, put it in quotes: \"*b\"",
        ],
    );
    tells("a: &x [*x]\n", &["SRN0014 1:8 \"*x\" | `*x` stands inside the value it refers to | "]);
    // Anchors end with their document.
    assert_eq!(told("a: &x 1\n---\nb: *x\n").len(), 1);
    tells(
        "a:\n  <<: 5\n",
        &["SRN0013 2:3 \"<<\" | `<<` merges mappings, and this is none | give it an alias of a \
                             mapping, or a list of such aliases"],
    );
}

#[test]
fn keys_that_kubernetes_refuses_are_refused() {
    tells(
        "a: 1\nb: 2\na: 3\n",
        &[
            "SRN0012 3:1 \"a\" | the key `a` stands twice in this mapping; the first is on line 1 | ",
        ],
    );
    tells(
        "~: 1\n",
        &[
            "SRN0013 1:1 \"~\" | a key is missing: null cannot be the name of a field | write the name \
                      before the colon, or in quotes if it is meant as text",
        ],
    );
    tells(
        "? [a]\n: b\n",
        &[
            "SRN0013 1:3 \"[a]\" | a list or mapping stands where a key is expected; the keys of an \
                            object are texts | ",
        ],
    );
    tells(
        "a: .inf\n",
        &[
            "SRN0016 1:4 \".inf\" | JSON has no number `.inf` | put the value in quotes if it is meant \
                         as text",
        ],
    );
    tells("a: !!int x\n", &["SRN0015 1:10 \"x\" | `x` is tagged `!!int` but is none | "]);
}

const MISINDENTED_ROUTE: &str = "\
metadata:
  name: vs-appb
spec:
  hosts:
    - appb
  http:
    - route:
        - destination:
            host: appb
            subset: v2
      match:
        - sourceLabels:
            app: appa
            version: v2

     - route:
         - destination:
           host: appb
           subset: v1
";

#[test]
fn a_list_item_one_space_too_far_right_is_recognised() {
    tells(
        MISINDENTED_ROUTE,
        &[
            "SRN0002 16:6 \"-\" | this `-` is indented by 5 spaces; the list it seems to belong to (line 7) is indented \
         by 4 | indent it by 4 spaces",
        ],
    );
    let document = &read(MISINDENTED_ROUTE).documents[0];
    assert!(!document.sound);
    let path = FieldPath::spec().key("http").index(1).key("route").index(0);
    let (_, place) = document.root.find(&path.key("subset"));
    assert_eq!((place.start.line, place.start.column), (19, 20));
    assert_eq!(
        document.root.to_json()["spec"]["http"][1]["route"][0],
        json!({
            "destination": null, "host": "appb", "subset": "v1"
        })
    );
}

#[test]
fn keys_indented_unlike_their_siblings_are_recognised() {
    tells(
        "spec:\n  hosts: a\n    gateways: b\n",
        &[
            "SRN0002 3:5 \"gateways: b\" | this key is indented by 4 spaces; the mapping it seems to belong to (line 2) \
         is indented by 2 | indent it by 2 spaces",
        ],
    );
    tells(
        "spec:\n    hosts:\n    - a\n  http: x\n",
        &[
            "SRN0002 4:3 \"http: x\" | this key is indented by 2 spaces; the mapping it seems to belong to (line 2) is \
         indented by 4 | indent it by 4 spaces",
        ],
    );
    tells(
        "spec:\n  hosts:\n  - a\n  gateways: x\n  - c\n",
        &[
            "SRN0002 5:3 \"-\" | a list item begins here, but the lines beside it (line 4) are the keys of a mapping | \
         put the item below the key whose list it belongs to, or remove the `-`",
        ],
    );
}

#[test]
fn all_mistakes_of_a_document_are_told() {
    let codes: Vec<Code> = read(
        "metadata:\n  name:x\n  labels: {a: b\nspec:\n  hosts:\n  - *.example.com\n  - \"b\n  url: @c\n   x: 1\n  x: 2\n",
    )
    .problems
    .into_iter()
    .map(|problem| problem.code)
    .collect();
    assert_eq!(
        codes,
        [
            codes::NO_SPACE_AFTER_COLON,
            codes::UNCLOSED_BRACKET,
            codes::ANCHOR,
            codes::UNCLOSED_QUOTE,
            codes::NEEDS_QUOTES,
            codes::INDENTATION,
            codes::DUPLICATE_KEY,
        ]
    );
}

#[test]
fn tabs_and_spaces_from_web_pages_are_recognised() {
    tells(
        "a:\n\tb: 1\n\tc: 2\n",
        &[
            "SRN0003 2:1 \"\\t\" | the line is indented with a tab; YAML allows only spaces | replace the tabs by spaces, \
         here and in 1 more line",
        ],
    );
    tells(
        "metadata:\n\u{a0} name: x\n  labels:\u{a0}y\n",
        &[
            "SRN0004 2:1 \"\\u{a0}\" | a no-break space (U+00A0) stands where YAML needs an ordinary space | replace it by \
         an ordinary space; text copied from web pages often has them; 1 more line has such spaces",
        ],
    );
    tells(
        "metadata:\n&nbsp; &nbsp;name: x\n",
        &[
            "SRN0004 2:1 \"&nbsp;\" | the HTML entity `&nbsp;` stands where YAML needs an ordinary space | replace it by \
         an ordinary space; text copied from web pages often has them",
        ],
    );
    // Inside of a text they are the author's business.
    reads(
        "a: x\u{a0}y\nb: |\n  \u{a0}z\nc: '\u{a0}'\n",
        &[json!({"a": "x\u{a0}y", "b": "\u{a0}z\n", "c": "\u{a0}"})],
    );
}

#[test]
fn missing_spaces_colons_quotes_and_brackets_are_recognised() {
    tells(
        "metadata:\n  name:foo\n  x: y\n",
        &[
            "SRN0005 2:3 \"name:foo\" | the colon after `name` needs a space before `foo` | write `name: foo`",
        ],
    );
    tells(
        "spec\n  hosts: a\n",
        &["SRN0009 1:1 \"spec\" | `spec` is no value here; a key needs a colon | write `spec:`"],
    );
    tells(
        "a: \"b # note\nc: d\n",
        &[
            "SRN0006 1:4 \"\\\"b\" | the text that begins with `\"` here is not closed on this line | close it with `\"` \
         after its last character",
        ],
    );
    tells(
        "a: [1, {b: 2\nc: 3\n",
        &["SRN0007 1:8 \"{b: 2\" | the `{` here is not closed | write `}]` at the end of the line"],
    );
    tells("a: {x: [1}}\n", &["SRN0007 1:10 \"}\" | `}` cannot close what `[` opened | write `]`"]);
    tells(
        "{\"a\": 1 \"b\": 2}",
        &[
            "SRN0001 1:9 \"\\\"b\\\": 2}\" | `\"b\": 2}` follows a value inside of `{}` without a comma | write `,` before \
         it, or `}` if the values end there",
        ],
    );
}

#[test]
fn values_that_need_quotes_are_recognised() {
    tells(
        "a: @b # c\n",
        &[
            "SRN0008 1:4 \"@b\" | a value cannot begin with `@`, which is reserved in YAML | put it in \
                          quotes: \"@b\"",
        ],
    );
    tells(
        "- *\n",
        &[
            "SRN0008 1:3 \"*\" | a value cannot begin with `*`, which begins an alias in YAML | put it in \
                     quotes: \"*\"",
        ],
    );
    tells(
        "a: b: c\n",
        &[
            "SRN0008 1:4 \"b: c\" | the value holds a colon followed by a space, which makes `b` a key of its own | put \
         the value in quotes if it is one text: \"b: c\"; or begin the inner key on a line of its own",
        ],
    );
    tells(
        "a: \"b\" c\n",
        &[
            "SRN0001 1:8 \"c\" | `c` follows a text that `\"` has closed already | put the whole value in quotes; a `\"` \
         inside it is written `\\\"`, or use `'` around it",
        ],
    );
    tells(
        "a: \"\\d\"\n",
        &[
            "SRN0001 1:4 \"\\\"\\\\d\\\"\" | `\"\\d\"` cannot stand here: a `\\` in double quotes begins an escape, and \
         this is none | write `\\\\` for a backslash, or put the text in single quotes, which know no escapes",
        ],
    );
}

#[test]
fn text_that_is_no_manifest_is_recognised() {
    tells(
        "a: 1\n<<<<<<< mine\nb: 1\n=======\nb: 2\n>>>>>>> theirs\n",
        &[
            "SRN0011 2:1 \"<<<<<<< mine\" | the text holds both sides of a merge conflict | decide for one side and remove \
         the markers",
        ],
    );
    tells(
        "a: {{ .x }}-y\n",
        &[
            "SRN0010 1:4 \"{{ .x }}\" | `{{ .x }}` looks like a template, which is not YAML before it is rendered | render \
         it first (`helm template`) and check the result; put it in quotes if it is meant as text",
        ],
    );
    tells(
        "```yaml\na: 1\n```\n",
        &[
            "SRN0001 1:1 \"```yaml\" | this line is the fence of a Markdown code block, not YAML | copy only the lines \
         between the fences",
        ],
    );
}

#[test]
fn an_error_in_one_document_hides_no_other() {
    let stream = read("a: 1\n---\nb: [\n---\nc: 'x\n---\nd: 4\n");
    let lines: Vec<usize> = stream.problems.iter().map(|problem| problem.span.start.line).collect();
    assert_eq!(lines, [3, 5]);
    let sound: Vec<Value> = stream
        .documents
        .iter()
        .filter(|document| document.sound)
        .map(|it| it.root.to_json())
        .collect();
    assert_eq!(sound, [json!({"a": 1}), json!({"d": 4})]);
}

#[test]
fn limits_are_told_and_kept() {
    let codes = |text: &str, limits: Limits| -> Vec<Code> {
        read_within(text, &limits).problems.into_iter().map(|problem| problem.code).collect()
    };
    let deep = format!("{}{}", "[".repeat(5000), "]".repeat(5000));
    assert_eq!(codes(&deep, Limits::default()), [codes::LIMIT]);
    let mixed = "- ".repeat(100) + &"[".repeat(100) + &"]".repeat(100);
    assert!(codes(&mixed, Limits::default()).contains(&codes::LIMIT));
    assert_eq!(codes("[1, 2, 3]", Limits { nodes: 3, ..Limits::default() }), [codes::LIMIT]);
    assert_eq!(codes("abc", Limits { bytes: 2, ..Limits::default() }), [codes::LIMIT]);
    let mut laughs = "a0: &a0 [x, x]\n".to_owned();
    for level in 1..40 {
        laughs.push_str(&format!("a{level}: &a{level} [*a{0}, *a{0}]\n", level - 1));
    }
    assert_eq!(codes(&laughs, Limits::default()), [codes::LIMIT]);
}

#[test]
fn paths_lead_to_keys_and_values() {
    let text =
        "spec:\n  http:\n  - name: \"x\"\n    match: &m\n    - uri: {prefix: /a}\n  - match: *m\n";
    let root = &read(text).documents[0].root;
    let find = |path: &FieldPath| {
        let (key, value) = root.find(path);
        (&text[key.start.offset..key.end.offset], &text[value.start.offset..value.end.offset])
    };
    let http = FieldPath::spec().key("http");
    assert_eq!(find(&http.index(0).key("name")), ("name", "\"x\""));
    assert_eq!(
        find(&http.index(0).key("match").index(0)),
        ("uri: {prefix: /a}", "uri: {prefix: /a}")
    );
    assert_eq!(find(&http.index(1).keys("match").index(0).keys("uri.prefix")), ("prefix", "/a"));
    // What is absent is reported where it should have been.
    assert_eq!(find(&http.index(0).key("name").key("missing")), ("name", "\"x\""));
    assert_eq!(find(&http.index(7)).0, "http");
}

#[test]
fn bytes_are_decoded_or_refused_with_their_place() {
    assert_eq!(decode(b"a: 1").as_deref(), Ok("a: 1"));
    assert_eq!(decode(&[0xFF, 0xFE, b'a', 0, 0xE4, 0]).as_deref(), Ok("aä"));
    assert_eq!(decode(&[0xFE, 0xFF, 0, b'a']).as_deref(), Ok("a"));
    let problem =
        decode(b"a: 1\nb: \xFF").map_err(|problem| (problem.code, problem.span.start.line));
    assert_eq!(problem, Err((codes::ENCODING, 2)));
}
