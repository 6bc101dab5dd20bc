//! Whether first bytes are HTTP in the clear, and of which version.

use super::Look;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Methods that make a line a request's. Other protocols' first words are none of them.
const METHODS: [&str; 34] = [
    "ACL",
    "BIND",
    "CHECKOUT",
    "CONNECT",
    "COPY",
    "DELETE",
    "GET",
    "HEAD",
    "LINK",
    "LOCK",
    "MERGE",
    "MKACTIVITY",
    "MKCALENDAR",
    "MKCOL",
    "MOVE",
    "MSEARCH",
    "M-SEARCH",
    "NOTIFY",
    "OPTIONS",
    "PATCH",
    "POST",
    "PROPFIND",
    "PROPPATCH",
    "PURGE",
    "PUT",
    "REBIND",
    "REPORT",
    "SEARCH",
    "SOURCE",
    "SUBSCRIBE",
    "TRACE",
    "UNBIND",
    "UNLINK",
    "UNLOCK",
];

/// The version as filter chains name it.
pub(super) fn version(bytes: &[u8]) -> Look<&'static str> {
    if bytes.starts_with(PREFACE) {
        return Look::Found("h2c");
    }
    if PREFACE.starts_with(bytes) {
        return Look::More;
    }
    // Empty lines before a request are passed over (RFC 9112 §2.2).
    let line = bytes.trim_ascii_start();
    let Some(end) = line.iter().position(|&byte| byte == b' ') else {
        let may_become = METHODS.iter().any(|method| method.as_bytes().starts_with(line));
        return if may_become { Look::More } else { Look::Not };
    };
    let (method, rest) = line.split_at(end);
    if !METHODS.iter().any(|it| it.as_bytes() == method) {
        return Look::Not;
    }
    let Some(end) = rest.iter().position(|&byte| byte == b'\n') else { return Look::More };
    let line = rest.get(..end).unwrap_or_default();
    match line.strip_suffix(b"\r").unwrap_or(line) {
        line if line.ends_with(b" HTTP/1.1") => Look::Found("http/1.1"),
        line if line.ends_with(b" HTTP/1.0") => Look::Found("http/1.0"),
        _ => Look::Not,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(bytes: &str, expect: Look<&'static str>) {
        assert_eq!(version(bytes.as_bytes()), expect, "{bytes:?}");
    }

    #[test]
    fn http_is_told_by_its_first_line() {
        check("GET / HTTP/1.1\r\nHost", Look::Found("http/1.1"));
        check("\r\nPOST /a?b HTTP/1.0\n", Look::Found("http/1.0"));
        check("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0", Look::Found("h2c"));
    }

    #[test]
    fn what_may_still_become_http_is_waited_for() {
        for begin in
            ["", "P", "PR", "PRI * HTTP/2.0\r\n\r\n", "PRO", "GET", "GET /", "GET / HTTP/1.1\r"]
        {
            check(begin, Look::More);
        }
    }

    #[test]
    fn other_protocols_are_told_at_the_first_byte_that_differs() {
        for other in [
            "\x16\x03",
            "*1\r\n",
            "EHLO a\r\n",
            "PING",
            "get / HTTP/1.1",
            "GET / SIP/2.0\r\n",
            "GET /\r\n",
        ] {
            check(other, Look::Not);
        }
    }
}
