//! Cookies of a request.

use super::Request;

/// The value of a cookie, without the quotes around it if there are any; the first of that name.
pub(crate) fn cookie<'r, R: Request>(request: &'r R, name: &str) -> Option<&'r [u8]> {
    request
        .header_values("cookie")
        .flat_map(|header| header.split(|&byte| byte == b';'))
        .filter_map(|pair| {
            let equals = pair.iter().position(|&byte| byte == b'=')?;
            Some((pair[..equals].trim_ascii_start(), &pair[equals + 1..]))
        })
        .find(|(candidate, _)| *candidate == name.as_bytes())
        .map(|(_, value)| unquoted(value))
}

fn unquoted(value: &[u8]) -> &[u8] {
    value.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\"")).unwrap_or(value)
}
