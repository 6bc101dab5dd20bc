//! Names and values of HTTP headers.

use super::place::Place;
use crate::networking::{HeaderOperations, Headers, HttpRewrite};

const PSEUDO_HEADERS: [&str; 5] = [":method", ":scheme", ":authority", ":path", ":status"];
const CLAIM: &str = "@request.auth.claims";

/// A token of RFC 9110: what a header name consists of.
fn is_token(name: &str) -> bool {
    !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

fn invalid(name: &str) -> Result<(), String> {
    if name.is_empty() {
        Err("a header name must not be empty".to_owned())
    } else {
        Err(format!("{name:?} is not a valid header name"))
    }
}

/// A header name of letters, digits, `-` and `_`.
pub(super) fn strict_name(name: &str) -> Result<(), String> {
    let ok = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if !name.is_empty() && name.bytes().all(ok) { Ok(()) } else { invalid(name) }
}

/// A header name in a list of CORS: a token, or `*` for all.
pub(super) fn cors_name(name: &str) -> Result<(), String> {
    if is_token(name) { Ok(()) } else { invalid(name) }
}

/// What a route compares: a header, a pseudo header or a claim of the request's token.
pub(super) fn match_name(name: &str) -> Result<(), String> {
    if is_claim(name) || PSEUDO_HEADERS.contains(&name) || is_token(name) {
        Ok(())
    } else {
        invalid(name)
    }
}

/// Whether a route compares a claim of the request's token: `@request.auth.claims.name` or `@request.auth.claims[name]`.
pub(super) fn is_claim(name: &str) -> bool {
    let Some(prefix) = name.get(..CLAIM.len()) else { return false };
    let rest = &name[CLAIM.len()..];
    prefix.eq_ignore_ascii_case(CLAIM)
        && ((rest.len() > 1 && rest.starts_with('.'))
            || (rest.len() > 2 && rest.starts_with('[') && rest.ends_with(']')))
}

pub(super) fn is_authority(name: &str) -> bool {
    name.eq_ignore_ascii_case(":authority") || name.eq_ignore_ascii_case("host")
}

/// A header that may be changed. The authority may be, but only in requests and only by setting it.
fn changed_name(name: &str, authority: bool) -> Result<(), String> {
    if name.is_empty() {
        invalid(name)
    } else if is_authority(name) && authority {
        Ok(())
    } else if name.eq_ignore_ascii_case("host") {
        Err(format!("{name:?} cannot be changed here: only requests can have it set"))
    } else if name.starts_with(':') {
        Err(format!("{name:?} cannot be changed: it is a pseudo header"))
    } else {
        Ok(())
    }
}

/// Changes of headers in both directions.
pub(super) fn headers(headers: Option<&Headers>, at: &Place<'_>) {
    let Some(headers) = headers else { return };
    if let Some(request) = &headers.request {
        operations(request, true, &at.key("request"));
    }
    if let Some(response) = &headers.response {
        operations(response, false, &at.key("response"));
    }
}

fn operations(operations: &HeaderOperations, authority: bool, at: &Place<'_>) {
    for (list, headers) in [("set", &operations.set), ("add", &operations.add)] {
        for (name, value) in headers {
            let (list, name_) = (at.key(list), name.as_str());
            let at = list.key(name_);
            at.expect(changed_name(name, authority));
            at.expect(self::value(value));
        }
    }
    at.key("remove").each(&operations.remove, |name, at| {
        at.expect(changed_name(name, false));
    });
}

/// The authority may be rewritten in one place only.
pub(super) fn one_authority(
    rewrite: Option<&HttpRewrite>,
    headers: Option<&Headers>,
    at: &Place<'_>,
) {
    let Some(request) = headers.and_then(|it| it.request.as_ref()) else { return };
    let mut current = rewrite.map_or("", |it| it.authority.as_str());
    for (name, value) in request.set.iter().chain(&request.add) {
        if !is_authority(name) {
            continue;
        }
        if !current.is_empty() {
            at.key("headers").key("request").error(format!(
                "the authority cannot be set twice: it is {current:?} and is to become {value:?}"
            ));
            return;
        }
        current = value;
    }
}

/// A value as Envoy's header parser takes it: `%VARIABLE%` and `%VARIABLE(arguments)%` are replaced, a percent sign
/// that stands for itself is `%%`.
pub(super) fn value(value: &str) -> Result<(), String> {
    if value.bytes().any(|byte| byte == 0x7f || (byte < 0x20 && byte != b'\t')) {
        return Err(format!("the header value {value:?} has control characters"));
    }
    let mut rest = value;
    while let Some((_, after)) = rest.split_once('%') {
        rest = match after.strip_prefix('%') {
            Some(after) => after,
            None => variable(after).ok_or_else(|| {
                format!("the header value {value:?} has an unescaped %: write %% for the character")
            })?,
        };
    }
    Ok(())
}

/// What follows a variable whose opening percent sign was read.
fn variable(text: &str) -> Option<&str> {
    let end = text.find(['%', '('])?;
    if text[end..].starts_with('%') {
        return Some(&text[end + 1..]);
    }
    let arguments = text[end + 1..].trim_start_matches(' ');
    let after = match arguments.strip_prefix('[') {
        Some(list) => list_arguments(list)?,
        None => {
            // Envoy takes the first character for part of the argument, whatever it is.
            let first = arguments.chars().next()?;
            plain_arguments(&arguments[first.len_utf8()..])?
        }
    };
    after.trim_start_matches(' ').strip_prefix('%')
}

/// What follows `text)`; a backslash keeps the next character from ending it.
fn plain_arguments(text: &str) -> Option<&str> {
    let mut characters = text.char_indices();
    while let Some((position, character)) = characters.next() {
        match character {
            '\\' => drop(characters.next()?),
            ')' => return Some(&text[position + 1..]),
            // As in Envoy's parser, a quote leads into the end of a list.
            '"' => return list_end(&text[position + 1..]),
            _ => {}
        }
    }
    None
}

/// What follows `"text", "text"])`.
fn list_arguments(text: &str) -> Option<&str> {
    plain_arguments(text.trim_start_matches(' ').strip_prefix('"')?)
}

fn list_end(text: &str) -> Option<&str> {
    let text = text.trim_start_matches(' ');
    match text.strip_prefix(',') {
        Some(next) => list_arguments(next),
        None => text.strip_prefix(']')?.trim_start_matches(' ').strip_prefix(')'),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_may_hold_variables_and_escaped_percent_signs() {
        for good in [
            "",
            "foo",
            "%HOSTNAME%",
            "100%%",
            "prefix %HOSTNAME% suffix",
            "%REQ(x-a?y:z)%",
            r#"%UPSTREAM_METADATA(["a", "b"])%"#,
            "%START_TIME(%s)%",
            "%A%%B%",
            "a\tb",
        ] {
            assert_eq!(value(good), Ok(()), "{good}");
        }
        for bad in [
            "abc%123",
            "%START_TIME%%",
            "%",
            "100%",
            "%A(b",
            "%A(b)",
            "%A()%",
            r#"%A(["a" "b"])%"#,
            "a\nb",
        ] {
            assert!(value(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn claims_of_tokens_can_be_compared_like_headers() {
        for good in ["@request.auth.claims.a", "@request.auth.claims[a][b]", "x-a", ":path"] {
            assert_eq!(match_name(good), Ok(()), "{good}");
        }
        for bad in ["@request.auth.claims", "@request.auth.claims[]", "", "a b", ":other"] {
            assert!(match_name(bad).is_err(), "{bad}");
        }
    }
}
