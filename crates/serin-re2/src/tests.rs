//! What RE2 accepts and matches, and what must hold of any pattern and text.

use std::fmt::Write as _;

use proptest::prelude::*;

use super::*;

fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).unwrap_or_else(|error| panic!("{pattern:?}: {error}"))
}

fn check(pattern: &str, matches: &[&str], others: &[&str]) {
    let regex = regex(pattern);
    for (texts, expect) in [(matches, true), (others, false)] {
        for text in texts {
            assert_eq!(regex.is_full_match(text.as_bytes()), expect, "{pattern:?} on {text:?}");
        }
    }
}

fn refused(pattern: &str, kind: ErrorKind, offset: usize, text: &str) {
    let error = Regex::new(pattern).expect_err(pattern);
    assert_eq!((error.kind(), error.offset(), error.text()), (kind, offset, text), "{pattern:?}");
}

#[test]
fn a_full_match_takes_the_whole_text() {
    check("a|ab", &["a", "ab"], &["", "abc", "b"]);
    check(
        "/api/v[0-9]+/users/[^/]+",
        &["/api/v1/users/x", "/api/v22/users/ä"],
        &["/api/v/users/x", "/api/v1/users/x/y"],
    );
    check("^/a$", &["/a"], &["/a\n", "//a"]);
    check("^a|b$", &["a", "b"], &["ab", "xb"]);
    check("(a+|b)*c{2,3}", &["cc", "aabacc", "ccc"], &["c", "cccc", "abab"]);
    check("", &[""], &["a"]);
    check("(?:ab){2,}x?", &["abab", "abababx"], &["ab", "ababxx"]);
    check("a{0}b", &["b"], &["ab"]);
    check("(a|b|)", &["a", "b", ""], &["ab"]);
    check("x*?y", &["y", "xxy"], &["x"]);
    check("(a*)*", &["", "aaaa"], &["b"]);
    check("(a*)+", &["", "aaaa"], &["b"]);
    check("(?:){5}a", &["a"], &["aa"]);
}

#[test]
fn the_cookie_pattern_of_istios_tasks_matches_one_cookie_among_others() {
    check(
        "^(.*?;)?(user=jason)(;.*)?$",
        &["user=jason", "a=b;user=jason", "user=jason;c=d", "a=b; x=y;user=jason;c=d"],
        &["user=jason2", "a=b; user=jason", "xuser=jason", "a=b"],
    );
    check(
        ".*reviews-cookie.*REVIRES-V2.*",
        &[
            "reviews-cookie=REVIRES-V2",
            "session=0123456789abcdef0123456789; reviews-cookie=REVIRES-V2; x=y",
        ],
        &[
            "reviews-cookie=REVIRES-V1",
            "session=0123456789abcdef0123456789; reviews-cook=REVIRES-V2; x=y",
        ],
    );
}

#[test]
fn classes_are_ascii_unless_they_name_unicode() {
    check(r"\d", &["5"], &["٣"]);
    check(r"\w+", &["aZ_9"], &["é"]);
    check(r"\s", &[" ", "\t", "\n", "\x0C", "\r"], &["\u{A0}", "\x0B"]);
    check(r"[[:space:]]", &["\x0B"], &["\u{A0}"]);
    check(r"\D\S\W", &["é.é", "---"], &["1.é"]);
    check(r"\pN", &["5", "٣"], &["a"]);
    check(r"\p{Greek}+", &["αβγ"], &["abc"]);
    check(r"\p{^Greek}|\PN", &["a", "α"], &[""]);
    check(r"[\p{Lu}\d]+", &["AÉ1"], &["é"]);
    check(r"\p{Any}", &["a", "😀", "\n"], &[""]);
    check(r"\p{Zl}", &["\u{2028}"], &["\u{2029}"]);
    check(r"[[:alpha:][:^ascii:]]+", &["abcé"], &["1"]);
    check(r"[^\d\s]", &["a", "é"], &["1", " "]);
    check(r"\bfoo\b.*", &["foo bar", "fooé"], &["foobar", "foo_"]);
    check(r"a\Bb", &["ab"], &["a b"]);
}

#[test]
fn set_operators_are_plain_characters() {
    check("[a-z&&[^b]]", &["a]", "&]", "[]", "^]", "b]"], &["a", "b"]);
    check("[[a]]", &["[]", "a]"], &["a"]);
    check("[a~~b]", &["~", "a"], &[]);
    check("[]a]", &["]", "a"], &[]);
    check("[^]a]", &["b"], &["]", "a"]);
    check("[a-]", &["a", "-"], &["b"]);
    check("[-a]", &["a", "-"], &["b"]);
    check(r"[\d-z]", &["5", "-", "z"], &["a"]);
    check("[[:foo]", &["[", ":", "f"], &["]"]);
    check(r"[\.\]\\]", &[".", "]", "\\"], &[]);
    refused("[a--b]", ErrorKind::InvalidRange, 1, "a--");
    refused(r"[a-\d]", ErrorKind::InvalidEscape, 3, r"\d");
}

#[test]
fn case_is_folded_by_simple_folding() {
    check("(?i)straße", &["STRAßE", "STRAẞE"], &["STRASSE"]);
    check("(?i)k", &["k", "K", "\u{212A}"], &[]);
    check("(?i)[s]", &["s", "S", "ſ"], &[]);
    check(r"(?i)\w", &["ſ", "\u{212A}"], &["é"]);
    check("(?i)[^k]", &["a"], &["k", "K", "\u{212A}"]);
    check("(?i)σ", &["Σ", "ς", "σ"], &[]);
    check(r"(?i)\p{Lu}", &["a", "A"], &["1"]);
    check("a(?i)b|c(?-i)d", &["ab", "aB", "Cd"], &["Ab", "cD"]);
    check("(?i:a)b", &["Ab"], &["aB"]);
    check(r"(?i)\Qa.b\E", &["A.B"], &["aab"]);
}

#[test]
fn dot_takes_one_character_and_no_line_feed() {
    check(".", &["a", "é", "😀"], &["\n", "", "ab"]);
    check("(?s).", &["\n"], &[]);
    check("[^a]", &["\n"], &["a"]);
    check("a.c(?s:.)", &["abc\n"], &["a\ncx"]);
    assert!(!regex(".*").is_full_match(b"\xFF"), "a byte that is not UTF-8");
    assert!(!regex("[^a]").is_full_match(b"a\xFF"));
    assert!(regex(r"\C*").is_full_match(b"\xFF\n\x80"));
    assert!(regex(".").is_full_match(b"\xED\xA0\x80"), "RE2 takes an encoded surrogate");
    assert!(regex(r"\x{D800}").is_full_match(b"\xED\xA0\x80"));
    assert!(regex(r"[\x{D000}-\x{E000}]").is_full_match(b"\xED\xA0\x80"));
}

#[test]
fn anchors_hold_at_text_ends_and_with_m_at_lines() {
    check(r"\Aab\z", &["ab"], &["ab\n"]);
    check("a$\nb", &[], &["a\nb"]);
    check("(?m)a$\n^b", &["a\nb"], &["ab"]);
    check("(?m)^a$", &["a"], &["a\n"]);
    check("(^.*$){2}", &[""], &["ab"]);
    check("a^b", &[], &["ab", "a^b"]);
}

#[test]
fn escapes_are_those_of_re2() {
    check(r"\x41\x{1F600}\101\0\07", &["A😀A\0\x07"], &[]);
    check(r"\a\f\t\n\r\v", &["\x07\x0C\t\n\r\x0B"], &[]);
    check(r"\Qa.b*\E+", &["a.b*", "a.b**"], &["aab*"]);
    check(r"\Q\d", &[r"\d"], &["1"]);
    check(r"\.\-\_\ \/\<", &[".-_ /<"], &[]);
    check(r"\123", &["S"], &[]);
    for (pattern, kind, offset, text) in [
        (r"a\", ErrorKind::TrailingBackslash, 1, r"\"),
        (r"(a)\1", ErrorKind::BackReference, 3, r"\1"),
        (r"\8", ErrorKind::BackReference, 0, r"\8"),
        (r"a\Z", ErrorKind::InvalidEscape, 1, r"\Z"),
        (r"\E", ErrorKind::InvalidEscape, 0, r"\E"),
        (r"\x{110000}", ErrorKind::InvalidEscape, 0, r"\x{110000"),
        (r"\x{}", ErrorKind::InvalidEscape, 0, r"\x{}"),
        (r"\xg", ErrorKind::InvalidEscape, 0, r"\xg"),
        (r"\p{Klingon}", ErrorKind::UnknownClass, 0, r"\p{Klingon}"),
        (r"\p{greek}", ErrorKind::UnknownClass, 0, r"\p{greek}"),
        (r"\p{Grek}", ErrorKind::UnknownClass, 0, r"\p{Grek}"),
        (r"\p{Letter}", ErrorKind::UnknownClass, 0, r"\p{Letter}"),
        (r"\p{L", ErrorKind::UnknownClass, 0, r"\p{L"),
        ("[[:foo:]]", ErrorKind::UnknownClass, 1, "[:foo:]"),
    ] {
        refused(pattern, kind, offset, text);
    }
}

#[test]
fn what_re2_lacks_is_refused_with_its_place() {
    for (pattern, kind, offset, text) in [
        ("a(?=b)", ErrorKind::LookAround, 1, "(?="),
        ("a(?!b)", ErrorKind::LookAround, 1, "(?!"),
        ("(?<=a)", ErrorKind::LookAround, 0, "(?<="),
        ("(?<!a)", ErrorKind::LookAround, 0, "(?<!"),
        ("(?x)a", ErrorKind::InvalidGroup, 0, "(?x"),
        ("(?R)", ErrorKind::InvalidGroup, 0, "(?R"),
        ("(?i-)", ErrorKind::InvalidGroup, 0, "(?i-)"),
        ("(?--i)", ErrorKind::InvalidGroup, 0, "(?--"),
        ("(?#c)", ErrorKind::InvalidGroup, 0, "(?#"),
        ("(?>a)", ErrorKind::InvalidGroup, 0, "(?>"),
        ("(?P=a)", ErrorKind::InvalidGroup, 0, "(?P"),
        ("(?P<>a)", ErrorKind::InvalidGroupName, 0, "(?P<"),
        ("(?P<a-b>c)", ErrorKind::InvalidGroupName, 0, "(?P<a-b"),
        ("(?P<a", ErrorKind::InvalidGroupName, 0, "(?P<a"),
        ("(?P<a>x)(?<a>y)", ErrorKind::DuplicateGroupName, 8, "(?<a>"),
        ("a(b", ErrorKind::MissingParenthesis, 1, "(b"),
        ("a(?i", ErrorKind::MissingParenthesis, 1, "(?i"),
        ("ab)", ErrorKind::UnexpectedParenthesis, 2, ")"),
        ("a[b", ErrorKind::MissingBracket, 1, "[b"),
        ("a[]", ErrorKind::MissingBracket, 1, "[]"),
        ("[b-a]", ErrorKind::InvalidRange, 1, "b-a"),
        ("*a", ErrorKind::NothingToRepeat, 0, "*"),
        ("a|+", ErrorKind::NothingToRepeat, 2, "+"),
        ("(?i)?", ErrorKind::NothingToRepeat, 4, "?"),
        ("({2})", ErrorKind::NothingToRepeat, 1, "{2}"),
        ("a**", ErrorKind::StackedRepetition, 1, "**"),
        ("a++", ErrorKind::StackedRepetition, 1, "++"),
        ("a??*", ErrorKind::StackedRepetition, 1, "??*"),
        ("a{2}{3}", ErrorKind::StackedRepetition, 1, "{2}{3}"),
        ("a{1001}", ErrorKind::RepetitionSize, 1, "{1001}"),
        ("a{3,2}", ErrorKind::RepetitionSize, 1, "{3,2}"),
        ("a{99999999999}", ErrorKind::RepetitionSize, 1, "{99999999999}"),
        ("((a{100}){11})", ErrorKind::RepetitionSize, 9, "{11}"),
    ] {
        refused(pattern, kind, offset, text);
    }
}

#[test]
fn braces_that_are_no_repetition_stand_for_themselves() {
    check("a{,2}", &["a{,2}"], &["aa"]);
    check("a{", &["a{"], &[]);
    check("a{01}", &["a{01}"], &["a"]);
    check("{a}", &["{a}"], &[]);
    check("a{2}?", &["aa"], &["a"]);
    check("a{2,}b{1000}", &[&format!("aaa{}", "b".repeat(1000))], &["aaa"]);
    check("((a{10}){100})", &[&"a".repeat(1000)], &["a"]);
    check("(?P<a>x)(?<b>y)(?:z)()", &["xyz"], &[]);
    check("(?)a(?i-s:b)", &["aB"], &[]);
    check("a(?i)*", &["", "aa"], &["A", "a("]);
    check(r"^*\b+a$?", &["a"], &["aa"]);
}

#[test]
fn limits_hold_and_deep_nesting_is_refused_without_overflow() {
    let nested = |depth: usize| format!("{}a{}", "(".repeat(depth), ")".repeat(depth));
    let deep = regex(&nested(249));
    assert!(deep.is_full_match(b"a") && deep.is_match(b"bab"));
    refused(&nested(250), ErrorKind::TooDeep, 0, "(");
    assert_eq!(Regex::new(&nested(8000)).expect_err("deep").kind(), ErrorKind::TooDeep);
    assert_eq!(Regex::new(&"a".repeat(20_000)).expect_err("long").kind(), ErrorKind::TooLarge);
    assert_eq!(Regex::new(r"\pL{1000}").expect_err("large").kind(), ErrorKind::TooLarge);
    assert!(regex(r"(?i:[a-zé]{20})").is_full_match("É".repeat(20).as_bytes()));
}

#[test]
fn an_error_says_what_where_and_what_to_do() {
    assert_eq!(
        Regex::new(r"/v1/(?!admin).*").expect_err("look-ahead").to_string(),
        "`(?!` at offset 4: RE2 has no look-ahead and no look-behind; match the whole text, and express what must not \
         be there in a rule before this one or with `withoutHeaders`"
    );
}

#[test]
fn rewrites_insert_groups_by_number() {
    let cases = [
        (r"/consumer-([a-z]*)/(.*)", r"/\1/provider/\2", "/consumer-a/x?y", "/a/provider/x?y"),
        (r"a", r"[\0]", "banana", "b[a]n[a]n[a]"),
        (r"x*", r"-", "abc", "-a-b-c-"),
        (r"x*", r"-", "axb", "-a-b-"),
        (r"b*", r"-", "é", "-é-"),
        (r"(a)|(b)", r"<\1\2>", "abc", "<a><b>c"),
        (r"\\", r"\\\\", r"a\b", r"a\\b"),
        (r"z", r"y", "abc", "abc"),
        (r"^", r"x", "ab", "xab"),
    ];
    for (pattern, rewrite, text, expect) in cases {
        let regex = regex(pattern);
        let rewrite = Rewrite::parse(rewrite, regex.groups()).expect(pattern);
        let result = regex.replace_all(text.as_bytes(), &rewrite).into_owned();
        assert_eq!(String::from_utf8(result).unwrap(), expect, "{pattern:?} on {text:?}");
    }
    let rewrite = Rewrite::parse("y", 0).unwrap();
    assert!(matches!(regex("z").replace_all(b"abc", &rewrite), Cow::Borrowed(b"abc")));
}

#[test]
fn a_wrong_rewrite_is_refused() {
    assert_eq!(
        Rewrite::parse(r"\2", 1),
        Err(RewriteError::NoSuchGroup { offset: 0, group: 2, groups: 1 })
    );
    assert_eq!(Rewrite::parse(r"a\", 1), Err(RewriteError::TrailingBackslash { offset: 1 }));
    assert_eq!(Rewrite::parse(r"a\n", 1), Err(RewriteError::InvalidEscape { offset: 1 }));
    assert_eq!(Rewrite::parse(r"$1\\", 1).unwrap().as_str(), r"$1\\");
}

#[test]
fn literals_are_found_in_a_pattern() {
    let cases = [
        ("/api/v[0-9]+", "/api/v", "/api/v", None),
        ("^/foo$", "/foo", "/foo", Some("/foo")),
        ("(/a/(b|bc))x", "/a/b", "/a/", None),
        ("(?:ab){2}c", "ababc", "ab", None),
        ("a+b", "a", "a", None),
        ("a?b", "", "b", None),
        ("(?i)ab", "", "", None),
        (r"/a\.b[/]", "/a.b/", "/a.b/", Some("/a.b/")),
        (".*needle.*", "", "needle", None),
        ("(^abc$)", "abc", "abc", Some("abc")),
    ];
    for (pattern, prefix, required, literal) in cases {
        let regex = regex(pattern);
        assert_eq!(regex.literal_prefix(), prefix.as_bytes(), "prefix of {pattern:?}");
        assert_eq!(regex.required_literal(), required.as_bytes(), "literal in {pattern:?}");
        assert_eq!(
            regex.as_literal().as_deref(),
            literal.map(str::as_bytes),
            "{pattern:?} as a literal"
        );
    }
}

#[test]
fn patterns_that_take_everything_are_recognised() {
    for pattern in [
        ".*", ".*?", "(.*)", "^.*$", r"[\s\S]*", "(?s).*", ".*.*", "(.*|a)", "(?:.*)+", "(a|.)*",
        "^(.*)$",
    ] {
        assert!(regex(pattern).matches_everything(), "{pattern:?}");
        check(pattern, &["", "a", "some/path", "é"], &[]);
    }
    for pattern in ["", ".+", ".", "[^/]*", ".*a", "(^.*$){2}", ".{0,5}", ".*{0}", r"\w*", "a|b"] {
        if let Ok(regex) = Regex::new(pattern) {
            assert!(!regex.matches_everything(), "{pattern:?}");
        }
    }
    assert_eq!(regex("/api/.*").as_prefix().as_deref(), Some(&b"/api/"[..]));
    assert_eq!(regex(".*").as_prefix().as_deref(), Some(&b""[..]));
    assert_eq!(regex("/api/.+").as_prefix(), None);
    assert_eq!(regex("/api").as_prefix(), None);
}

#[test]
fn one_pattern_covers_another_if_it_takes_all_its_texts() {
    for (wide, narrow, expect) in [
        ("/api/.*", "/api/v1/[a-z]+", Some(true)),
        (".*", "^(.*?;)?(user=jason)(;.*)?$", Some(true)),
        ("^(.*?;)?(user=jason)(;.*)?$", ".*", Some(false)),
        ("/api/v[0-9]+", "/api/v1", Some(true)),
        ("/api/v[0-9]+", "/api/v1/", Some(false)),
        ("(a|b)*", "(ab|ba)+", Some(true)),
        ("(ab|ba)+", "(a|b)*", Some(false)),
        ("a*", "", Some(true)),
        ("a+", "a*", Some(false)),
        ("a{2,5}", "a{3}", Some(true)),
        ("a{2,5}", "a{3,6}", Some(false)),
        ("(?i)abc", "aBc", Some(true)),
        (".*", r"[^/]*", Some(false)),
        (r"[\s\S]*", "[^/]*", Some(true)),
        (r"[\x00-\x7F]*", ".*", Some(false)),
        ("a", "é", None),
        (".*", "é.*", None),
        (r"a\b", "a", None),
    ] {
        assert_eq!(regex(wide).covers(&regex(narrow)), expect, "{wide:?} covers {narrow:?}");
    }
}

/// The general engine's answer, from the tree alone.
fn by_engine(pattern: &str, text: &[u8]) -> bool {
    let (node, _) = parse::parse(pattern).unwrap();
    Matcher::new(&node).engine(&node).is_some_and(|engine| engine.is_match(text))
}

/// Patterns over a small alphabet, so that texts over it often match.
fn simple_pattern() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        4 => "[abc/]{1,4}",
        1 => Just(".".to_owned()),
        1 => Just("[^/]".to_owned()),
        1 => Just("[a-b]".to_owned()),
        1 => Just(r"\w".to_owned()),
        1 => Just("é".to_owned()),
        1 => Just("(?i:A)".to_owned()),
        1 => Just("^".to_owned()),
        1 => Just("$".to_owned()),
        1 => Just("(?m:^)".to_owned()),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            4 => prop::collection::vec(inner.clone(), 1..4).prop_map(|parts| parts.concat()),
            2 => prop::collection::vec(inner.clone(), 1..4).prop_map(|parts| format!("({})", parts.join("|"))),
            2 => (inner, prop::sample::select(&["*", "+", "?", "*?", "{2}", "{1,2}", "{0,2}", "{2,}", "{0}"][..]))
                .prop_map(|(part, times)| format!("(?:{part}){times}")),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn own_matcher_agrees_with_the_general_engine(pattern in simple_pattern(), texts in prop::collection::vec("[abcA/\n_é]{0,8}", 8)) {
        let regex = Regex::new(&pattern).unwrap();
        for text in texts {
            prop_assert_eq!(regex.is_full_match(text.as_bytes()), by_engine(&pattern, text.as_bytes()), "{:?} on {:?}", pattern, text);
        }
    }

    #[test]
    fn what_is_known_of_a_pattern_holds_for_its_matches(pattern in simple_pattern(), texts in prop::collection::vec("[abcA/]{0,6}", 16)) {
        let regex = Regex::new(&pattern).unwrap();
        for text in texts {
            let text = text.as_bytes();
            if regex.is_full_match(text) {
                prop_assert!(text.starts_with(&regex.literal_prefix()));
                prop_assert!(memchr::memmem::find(text, &regex.required_literal()).is_some());
                prop_assert!(regex.as_literal().is_none_or(|literal| literal == text));
            } else {
                prop_assert!(!regex.matches_everything());
                prop_assert!(regex.as_prefix().is_none_or(|prefix| !text.starts_with(&prefix)));
            }
        }
    }

    #[test]
    fn texts_agree_with_what_is_said_of_patterns_that_cover_others(wide in simple_pattern(), narrow in simple_pattern(), texts in prop::collection::vec("[abcA/\n]{0,5}", 16)) {
        let (wide, narrow) = (Regex::new(&wide).unwrap(), Regex::new(&narrow).unwrap());
        let exception = texts.iter().find(|text| narrow.is_full_match(text.as_bytes()) && !wide.is_full_match(text.as_bytes()));
        prop_assert!(exception.is_none() || wide.covers(&narrow) != Some(true), "{:?}", exception);
        let both = Regex::new(&format!("(?:{wide})|(?:{narrow})")).unwrap();
        prop_assert_ne!(both.covers(&narrow), Some(false));
    }

    #[test]
    fn any_pattern_is_compiled_or_refused_inside_itself(pattern in r"([a-z]|[(){}\[\]|*+?^$.\\:<>=!PQEpdwsbi0-9-]|\PC){0,24}", text in any::<Vec<u8>>()) {
        match Regex::new(&pattern) {
            Ok(regex) => {
                let rewrite = Rewrite::parse(r"\0", 0).unwrap();
                regex.is_full_match(&text);
                prop_assert_eq!(&*regex.replace_all(&text, &rewrite), &text[..]);
            }
            Err(error) => prop_assert!(pattern[error.offset()..].starts_with(error.text())),
        }
    }

    #[test]
    fn agrees_with_the_regex_crates_syntax_where_both_mean_the_same(pattern in simple_pattern(), text in "[abcA/\n]{0,8}") {
        // Everything that `simple_pattern` makes has one meaning in both syntaxes on such texts.
        let theirs = meta::Regex::new(&format!(r"\A(?:{pattern})\z")).unwrap();
        prop_assert_eq!(regex(&pattern).is_full_match(text.as_bytes()), theirs.is_match(&text));
        let theirs = meta::Regex::new(&pattern).unwrap();
        prop_assert_eq!(regex(&pattern).is_match(text.as_bytes()), theirs.is_match(&text));
    }
}

#[test]
fn wide_automata_agree_with_the_general_engine() {
    for copies in [10, 30, 60, 100, 300] {
        let mut pattern = String::from("(x|");
        for index in 0..copies {
            write!(pattern, "[a{}]b?", index % 10).unwrap();
        }
        pattern.push(')');
        for text in [
            "x".to_owned(),
            "a".repeat(copies),
            "ab".repeat(copies),
            "0123456789".repeat(copies / 10),
            "a".repeat(copies + 1),
        ] {
            let text = text.as_bytes();
            assert_eq!(
                regex(&pattern).is_full_match(text),
                by_engine(&pattern, text),
                "{copies} copies"
            );
        }
    }
}
