//! Just enough of URLs to say whether Go would take them.

/// The scheme of a URL, in lower case and empty when there is none.
///
/// # Errors
/// Why it is not a URL.
pub(super) fn scheme(url: &str) -> Result<String, String> {
    if url.bytes().any(|byte| byte < 0x20 || byte == 0x7f) {
        return Err(format!("{url:?} is not a URL: it has control characters"));
    }
    let (scheme, rest) = split_scheme(url)?;
    if let Some(authority) = rest.strip_prefix("//") {
        let end = authority.find(['/', '?', '#']).unwrap_or(authority.len());
        check_authority(&authority[..end])
            .map_err(|reason| format!("{url:?} is not a URL: {reason}"))?;
    }
    Ok(scheme)
}

/// The scheme of the address of a module: a URL, or one that only lacks its scheme (`example.com/image`).
///
/// # Errors
/// Why it is not a URL.
pub(super) fn module_scheme(url: &str) -> Result<String, String> {
    match split_scheme(url) {
        Ok((scheme, rest)) if !scheme.is_empty() || rest.starts_with('/') => self::scheme(url),
        _ => scheme(&format!("http://{url}")),
    }
}

fn split_scheme(url: &str) -> Result<(String, &str), String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
    let end = url.find(|c| !allowed(c)).unwrap_or(url.len());
    if !url[end..].starts_with(':') || !url.starts_with(|c: char| c.is_ascii_alphabetic()) {
        return if url.starts_with(':') {
            Err(format!("{url:?} is not a URL: its scheme is missing"))
        } else {
            Ok((String::new(), url))
        };
    }
    Ok((url[..end].to_ascii_lowercase(), &url[end + 1..]))
}

fn check_authority(authority: &str) -> Result<(), &'static str> {
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let port = match host.strip_prefix('[') {
        Some(address) => {
            let (_, rest) =
                address.split_once(']').ok_or("the address in brackets is not closed")?;
            rest.strip_prefix(':').or((!rest.is_empty()).then_some("x"))
        }
        None => host.split_once(':').map(|(_, port)| port),
    };
    if !port.unwrap_or_default().bytes().all(|byte| byte.is_ascii_digit()) {
        return Err("its port is not a number");
    }
    if host.contains([' ', '<', '>', '"', '\\', '^', '`', '{', '|', '}']) {
        return Err("its host has characters that are not allowed");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schemes_are_found() {
        let check = |url: &str, expect: Option<&str>| {
            assert_eq!(scheme(url).ok().as_deref(), expect, "{url}")
        };
        check("https://foo.com/a", Some("https"));
        check("HTTP://foo.com:80", Some("http"));
        check("foo.com", Some(""));
        check("http://[::1]:80/x", Some("http"));
        check("http://foo.com:x", None);
        check("http://foo bar", None);
        check("://foo", None);
    }

    #[test]
    fn modules_may_lack_their_scheme() {
        let check = |url: &str, expect: Option<&str>| {
            assert_eq!(module_scheme(url).ok().as_deref(), expect, "{url}");
        };
        check("oci://a/b", Some("oci"));
        check("test.com/test", Some("http"));
        check("file:///a.wasm", Some("file"));
        check("localhost:5000/a", Some("localhost"));
        check("/a/b", Some(""));
    }
}
