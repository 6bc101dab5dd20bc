//! Who asks, where an address says it: `http://user:password@host`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::Uri;
use percent_encoding::percent_decode_str;

/// What a server is told of who asks (RFC 7617). In an address signs may be written as `%XX`.
pub(super) fn of(uri: &Uri) -> Option<String> {
    let (user, _) = uri.authority()?.as_str().rsplit_once('@')?;
    let user: Vec<u8> = percent_decode_str(user).collect();
    Some(format!("Basic {}", BASE64.encode(user)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_may_say_who_asks() {
        let check = |url: &str, expect: Option<&str>| {
            let told = of(&url.parse().unwrap());
            let told = told.map(|it| BASE64.decode(it.strip_prefix("Basic ").unwrap()).unwrap());
            assert_eq!(told.as_deref(), expect.map(str::as_bytes), "{url}");
        };
        check("http://proxy:3128/", None);
        check("http://bird:s3cret@proxy:3128/", Some("bird:s3cret"));
        check("https://bird:p%40ss+%zz%@proxy/", Some("bird:p@ss+%zz%"));
        check("http://token@proxy/", Some("token"));
    }
}
