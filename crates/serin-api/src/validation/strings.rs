//! Comparisons of texts and regular expressions.

use super::place::Place;
use crate::values::StringMatch;

/// Envoy limits the size of a compiled expression, which is never less than its length.
const LONGEST_REGEX: usize = 1024;

/// A comparison with an expression that can be compiled. An empty prefix is allowed only where `empty_prefix` says so.
pub(super) fn string_match(comparison: &StringMatch, empty_prefix: bool, at: &Place<'_>) {
    match comparison {
        StringMatch::Prefix(prefix) if prefix.is_empty() && !empty_prefix => {
            at.key("prefix").error("an empty prefix matches everything; it must not be empty");
        }
        StringMatch::Regex(pattern) => regex(pattern, &at.key("regex")),
        _ => {}
    }
}

/// An RE2 expression.
pub(super) fn regex(pattern: &str, at: &Place<'_>) {
    if pattern.is_empty() {
        at.error("the regular expression must not be empty");
    } else if pattern.len() > LONGEST_REGEX {
        let length = pattern.len();
        at.error(format!(
            "the regular expression is too long: {length} characters, {LONGEST_REGEX} are allowed"
        ));
    } else if let Err(error) = serin_re2::Regex::new(pattern) {
        at.error(format!("the regular expression is not valid RE2: {error}"));
    }
}
