//! Request targets (RFC 9112 §3.2) and the normal form of paths.

use memchr::{memchr, memchr2};

use crate::Error;

/// A request target in one of its four forms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target<'b> {
    /// `/path?query`.
    Origin(&'b [u8]),
    /// `http://authority/path?query`: the authority takes the place of the `host` header.
    Absolute {
        /// `http` or `https`, in whatever case.
        scheme: &'b [u8],
        /// Host and port.
        authority: &'b [u8],
        /// Path and query; empty stands for `/`.
        path: &'b [u8],
    },
    /// `host:port`, for `CONNECT` only.
    Authority(&'b [u8]),
    /// `*`, for `OPTIONS` only.
    Asterisk,
}

impl<'b> Target<'b> {
    /// Takes a target apart.
    ///
    /// # Errors
    /// The target is in none of the four forms, its form does not fit the method, or it has a fragment.
    pub fn parse(method: &[u8], target: &'b [u8]) -> Result<Self, Error> {
        if memchr(b'#', target).is_some() {
            return Err(Error::Target);
        }
        match target {
            _ if method == b"CONNECT" => Self::authority(target),
            b"*" if method == b"OPTIONS" => Ok(Self::Asterisk),
            [b'/', ..] => Ok(Self::Origin(target)),
            _ => Self::absolute(target),
        }
    }

    fn authority(target: &'b [u8]) -> Result<Self, Error> {
        let has_port = matches!(target.iter().rposition(|&byte| byte == b':'), Some(colon) if colon + 1 < target.len());
        if has_port && is_authority(target) {
            Ok(Self::Authority(target))
        } else {
            Err(Error::Target)
        }
    }

    fn absolute(target: &'b [u8]) -> Result<Self, Error> {
        let colon = memchr(b':', target).ok_or(Error::Target)?;
        let (scheme, rest) = target.split_at(colon);
        let rest = rest.strip_prefix(b"://").ok_or(Error::Target)?;
        let end = memchr2(b'/', b'?', rest).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        let is_http = scheme.eq_ignore_ascii_case(b"http") || scheme.eq_ignore_ascii_case(b"https");
        if is_http && !authority.is_empty() && is_authority(authority) {
            Ok(Self::Absolute { scheme, authority, path })
        } else {
            Err(Error::Target)
        }
    }
}

/// Whether a `host` header or `:authority` has only characters of a host and port: no user information, no white space, no
/// delimiters (RFC 3986 §3.2.2, §3.2.3). Empty is valid.
pub fn is_authority(text: &[u8]) -> bool {
    let is_host = |byte: u8| {
        byte.is_ascii_alphanumeric()
            || matches!(
                byte,
                b'-' | b'.'
                    | b'_'
                    | b'~'
                    | b'%'
                    | b'!'
                    | b'$'
                    | b'&'
                    | b'\''
                    | b'('
                    | b')'
                    | b'*'
                    | b'+'
                    | b','
                    | b';'
                    | b'='
                    | b':'
                    | b'['
                    | b']'
            )
    };
    text.iter().all(|&byte| is_host(byte))
}

/// The normal form of a path and query as Istio's `BASE` has it: `.` and `..` segments (also as `%2e`) resolved, `\` made `/`,
/// escapes of letters, digits and `-._~` undone, characters escaped that may not stand in a path (RFC 3986 §6.2.2, as Envoy does
/// with `normalize_path`). Repeated slashes and other escapes stay, and `..` at the root stays there. `None` if it is in
/// normal form already; the query is left alone.
///
/// # Errors
/// The path has an escaped NUL or a byte beyond ASCII.
pub fn normalize(path_and_query: &[u8]) -> Result<Option<Vec<u8>>, Error> {
    let end = memchr(b'?', path_and_query).unwrap_or(path_and_query.len());
    let (path, query) = path_and_query.split_at(end);
    if !needs_change(path) {
        return Ok(None);
    }
    let path = canonical(path)?;
    let mut segments: Vec<&[u8]> = Vec::new();
    let mut ends_with_slash = false;
    for segment in path.split(|&byte| byte == b'/').skip(1) {
        let is_dots = matches!(segment, b"." | b"..");
        ends_with_slash = is_dots || segment.is_empty();
        match segment {
            b"." => {}
            b".." => {
                segments.pop();
            }
            _ => segments.push(segment),
        }
    }
    // The split leaves an empty segment behind a final slash, which is written by the slash itself.
    if segments.last().is_some_and(|segment| segment.is_empty()) {
        segments.pop();
    }
    let mut normal = Vec::with_capacity(path_and_query.len());
    for segment in &segments {
        normal.push(b'/');
        normal.extend_from_slice(segment);
    }
    if ends_with_slash || normal.is_empty() {
        normal.push(b'/');
    }
    normal.extend_from_slice(query);
    Ok(Some(normal))
}

/// Whether a path has a byte that does not stand for itself, or a segment that begins with a dot: rare enough to look closer
/// only then.
fn needs_change(path: &[u8]) -> bool {
    let begins_with_dot = |at: usize| path.get(at + 1) == Some(&b'.');
    !path.iter().all(|&byte| stands_for_itself(byte))
        || memchr::memchr_iter(b'/', path).any(begins_with_dot)
}

/// Characters of a path but `%` (RFC 3986 §3.3; square brackets as browsers have them).
const fn stands_for_itself(byte: u8) -> bool {
    is_unreserved(byte)
        || matches!(
            byte,
            b'!' | b'$' | b'&'..=b',' | b'/' | b':' | b';' | b'=' | b'@' | b'[' | b']'
        )
}

/// RFC 3986 §2.3.
const fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// A path with each character in its one form.
fn canonical(path: &[u8]) -> Result<Vec<u8>, Error> {
    let mut canonical = Vec::with_capacity(path.len() + 16);
    let mut rest = path;
    while let [byte, after @ ..] = rest {
        rest = after;
        match (byte, escaped(after)) {
            (b'%', Some(0)) | (0x80.., _) => return Err(Error::Target),
            (b'%', Some(plain)) if is_unreserved(plain) => {
                canonical.push(plain);
                rest = after.get(2..).unwrap_or_default();
            }
            (b'%', _) => canonical.push(b'%'),
            (b'\\', _) => canonical.push(b'/'),
            (&byte, _) if stands_for_itself(byte) => canonical.push(byte),
            (byte, _) => {
                const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
                let digit = |four: u8| DIGITS[usize::from(four & 0xf)];
                canonical.extend_from_slice(&[b'%', digit(byte >> 4), digit(*byte)]);
            }
        }
    }
    Ok(canonical)
}

/// The byte that two hexadecimal digits stand for.
fn escaped(digits: &[u8]) -> Option<u8> {
    let digit = |at: usize| char::from(*digits.get(at)?).to_digit(16);
    u8::try_from(digit(0)? << 4 | digit(1)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_fits_its_method() {
        let parse = |method: &str, target: &'static str| {
            Target::parse(method.as_bytes(), target.as_bytes())
        };
        assert_eq!(parse("GET", "/a?b"), Ok(Target::Origin(b"/a?b")));
        assert_eq!(parse("OPTIONS", "*"), Ok(Target::Asterisk));
        assert_eq!(parse("CONNECT", "a.example:443"), Ok(Target::Authority(b"a.example:443")));
        let absolute =
            Target::Absolute { scheme: b"HTTP", authority: b"a.example:80", path: b"?q" };
        assert_eq!(parse("GET", "HTTP://a.example:80?q"), Ok(absolute));
        for (method, target) in [
            ("GET", "*"),
            ("GET", "a"),
            ("GET", "/a#b"),
            ("CONNECT", "/"),
            ("CONNECT", "a.example"),
            ("CONNECT", "a.example:"),
            ("GET", "http://"),
            ("GET", "ftp://a/"),
            ("GET", "http://user@host/"),
            ("GET", "http:/a"),
        ] {
            assert_eq!(parse(method, target), Err(Error::Target), "{method} {target}");
        }
    }

    #[test]
    fn paths_are_normalised_as_istios_base_does() {
        let check = |path: &str, expected: &str| {
            let normal = normalize(path.as_bytes()).unwrap();
            let normal =
                normal.map_or_else(|| path.to_owned(), |normal| String::from_utf8(normal).unwrap());
            assert_eq!(normal, expected, "{path}");
        };
        check("/a/b?c=/../d", "/a/b?c=/../d");
        check("/a/./b", "/a/b");
        check("/a/../b", "/b");
        check("/a/b/..", "/a/");
        check("/a/b/.", "/a/b/");
        check("/a/%2e%2E/b?x", "/b?x");
        check("/../../a", "/a");
        check("/..", "/");
        check("/.hidden", "/.hidden");
        check("/a/...", "/a/...");
        check("/a\\b", "/a/b");
        check("//a//b", "//a//b");
        check("/a%2Fb", "/a%2Fb");
        check("/a/./", "/a/");
        check("/%61%2D%7eb/%2e%2E/%41?%41", "/A?%41");
        check("/a\"<b>`{c}|^d e", "/a%22%3Cb%3E%60%7Bc%7D%7C%5Ed%20e");
        check("/a/%zz%4/%25/%c3%A9/!$&'()*+,;=:@[]", "/a/%zz%4/%25/%c3%A9/!$&'()*+,;=:@[]");
        assert_eq!(normalize(b"/a%00"), Err(Error::Target));
        assert_eq!(normalize("/\u{e9}".as_bytes()), Err(Error::Target));
    }

    proptest::proptest! {
        #[test]
        fn a_normal_path_is_its_own_normal_form(path in "/[a./%2eE{ \\\\]{0,24}") {
            let once = normalize(path.as_bytes()).unwrap().unwrap_or_else(|| path.clone().into_bytes());
            let twice = normalize(&once).unwrap().unwrap_or_else(|| once.clone());
            assert_eq!(String::from_utf8(once).unwrap(), String::from_utf8(twice).unwrap());
        }
    }
}
