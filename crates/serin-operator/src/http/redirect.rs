//! Redirects (RFC 9110 §15.4): where to ask instead, and what of the request goes there.

use bytes::Bytes;
use http::{Method, Uri};

use super::Call;

/// So many redirects are followed.
pub(super) const MOST: usize = 10;

/// The call that an answer redirects to; `None` if it is no redirect.
///
/// # Errors
/// It leads nowhere.
pub(super) fn next(
    call: &Call,
    status: u16,
    location: Option<&str>,
) -> Result<Option<Call>, String> {
    let (301..=303 | 307 | 308, Some(location)) = (status, location) else { return Ok(None) };
    let mut next = call.clone();
    next.url = joined(&call.url, location)?;
    // Everybody asks anew without the body after these; the others mean the request as it was.
    if status <= 303 && call.method != Method::GET && call.method != Method::HEAD {
        next.method = Method::GET;
        next.body = Bytes::new();
        next.headers.retain(|(name, _)| !name.eq_ignore_ascii_case("content-type"));
    }
    if origin(&call.url) != origin(&next.url) {
        // Whatever else there is may be a secret of the first host.
        let is_plain = |name: &str| {
            ["accept", "content-type"].iter().any(|plain| name.eq_ignore_ascii_case(plain))
        };
        next.headers.retain(|(name, _)| is_plain(name));
    }
    Ok(Some(next))
}

fn origin(url: &str) -> Option<(String, String)> {
    let uri: Uri = url.parse().ok()?;
    Some((uri.scheme_str()?.to_owned(), uri.authority()?.as_str().to_ascii_lowercase()))
}

/// An address as one of the page `base` names it.
fn joined(base: &str, location: &str) -> Result<String, String> {
    let wrong = || format!("redirected to {location:?}, which is no address");
    let location = location.split('#').next().unwrap_or_default();
    let base: Uri = base.parse().map_err(|_| wrong())?;
    let (scheme, authority) =
        (base.scheme_str().unwrap_or("http"), base.authority().map_or("", |it| it.as_str()));
    let url = match location {
        text if text.starts_with("http://") || text.starts_with("https://") => text.to_owned(),
        text if text.starts_with("//") => format!("{scheme}:{text}"),
        text if text.starts_with('/') => format!("{scheme}://{authority}{text}"),
        text if text.contains("://") => return Err(wrong()),
        text => {
            let folder = base.path().rsplit_once('/').map_or("", |(folder, _)| folder);
            format!("{scheme}://{authority}{folder}/{text}")
        }
    };
    url.parse::<Uri>().map_err(|_| wrong())?;
    Ok(url)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;

    #[test]
    fn a_place_is_named_whole_by_its_path_or_beside_the_page() {
        let check = |location: &str, expect: &str| {
            assert_eq!(joined("https://a:1/b/c?d", location).unwrap(), expect);
        };
        check("http://e/f", "http://e/f");
        check("//e/f", "https://e/f");
        check("/f?g#h", "https://a:1/f?g");
        check("f", "https://a:1/b/f");
        assert!(joined("http://a/", "ftp://b/").is_err());
    }

    #[test]
    fn secrets_stay_with_their_host_and_bodies_with_their_method() {
        let mut call = Call::post("http://a/x".to_owned(), &json!(1), Duration::ZERO);
        call.headers.push(("dd-api-key".to_owned(), "s".to_owned()));
        let followed = |status, location| next(&call, status, Some(location)).unwrap().unwrap();
        assert_eq!(followed(308, "/y").headers.len(), 2);
        assert_eq!(
            (followed(308, "/y").method, followed(308, "/y").body),
            (Method::POST, "1".into())
        );
        let elsewhere = followed(307, "http://b/y");
        assert_eq!(elsewhere.headers, [("content-type".to_owned(), "application/json".to_owned())]);
        assert_eq!(
            (followed(302, "/y").method, followed(302, "/y").body),
            (Method::GET, Bytes::new())
        );
        assert!(next(&call, 200, Some("/y")).unwrap().is_none());
        assert!(next(&call, 304, Some("/y")).unwrap().is_none());
        assert!(next(&call, 302, None).unwrap().is_none());
    }
}
