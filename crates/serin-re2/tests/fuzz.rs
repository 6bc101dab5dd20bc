//! Any bytes: run with `cargo test --test fuzz`, or longer with the environment variable `BOLERO_RANDOM_ITERATIONS`.

use serin_re2::{Regex, Rewrite};

/// The first line is a pattern, the second a rewrite string, the rest a text.
#[test]
fn any_pattern_is_compiled_or_refused_and_any_text_matched_or_not() {
    bolero::check!().for_each(|bytes: &[u8]| {
        let mut parts = bytes.splitn(3, |byte| *byte == b'\n');
        let mut part = || parts.next().unwrap_or_default();
        let pattern = String::from_utf8_lossy(part());
        let rewrite = String::from_utf8_lossy(part());
        let text = part();
        let regex = match Regex::new(&pattern) {
            Ok(regex) => regex,
            Err(error) => {
                return assert!(pattern[error.offset()..].starts_with(error.text()), "{error}");
            }
        };
        if regex.is_full_match(text) {
            assert!(regex.is_match(text), "a full match is a match");
            assert!(text.starts_with(&regex.literal_prefix()));
        }
        if let Ok(rewrite) = Rewrite::parse(&rewrite, regex.groups()) {
            regex.replace_all(text, &rewrite);
        }
        assert_ne!(regex.covers(&regex), Some(false), "a pattern covers itself");
    });
}
