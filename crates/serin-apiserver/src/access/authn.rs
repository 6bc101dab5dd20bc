//! Who makes a request, by bearer token. What a certificate says is known when the connection begins.

use http::HeaderMap;
use http::header::AUTHORIZATION;
use sha2::{Digest as _, Sha256};

use super::user::User;

/// Knows the tokens.
pub(crate) struct Authenticator {
    administrator: String,
    /// The digest of the administrator's token: comparing digests tells nothing about the token by its time.
    digest: [u8; 32],
}

impl Authenticator {
    pub(crate) fn new(administrator: String) -> Self {
        let digest = Sha256::digest(administrator.as_bytes()).into();
        Self { administrator, digest }
    }

    /// The administrator's token.
    pub(crate) fn administrator(&self) -> &str {
        &self.administrator
    }

    /// Who the headers say it is: `Ok(None)` where they say nothing.
    ///
    /// # Errors
    /// Fails where there is a token that is not valid.
    pub(crate) fn authenticate(&self, headers: &HeaderMap) -> Result<Option<User>, InvalidToken> {
        let Some(header) = headers.get(AUTHORIZATION) else { return Ok(None) };
        let text = header.to_str().map_err(|_| InvalidToken)?;
        let Some((scheme, token)) = text.split_once(' ') else { return Ok(None) };
        if !scheme.eq_ignore_ascii_case("bearer") || token.trim().is_empty() {
            return Ok(None);
        }
        let digest: [u8; 32] = Sha256::digest(token.trim().as_bytes()).into();
        if digest == self.digest { Ok(Some(User::administrator())) } else { Err(InvalidToken) }
    }
}

/// A token that is not valid: the request is refused, whatever else it has.
#[derive(Debug)]
pub(crate) struct InvalidToken;

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn check(header: &'static str, expect: Option<Option<&str>>) {
        let mut headers = HeaderMap::new();
        if !header.is_empty() {
            headers.insert(AUTHORIZATION, HeaderValue::from_static(header));
        }
        let found = Authenticator::new("secret".into()).authenticate(&headers).ok();
        let found = found.map(|user| user.map(|user| user.name));
        assert_eq!(found.as_ref().map(Option::as_deref), expect, "{header}");
    }

    #[test]
    fn a_wrong_token_is_refused_and_no_token_is_no_one() {
        check("", Some(None));
        check("Bearer secret", Some(Some("kubernetes-admin")));
        check("bearer secret", Some(Some("kubernetes-admin")));
        check("Bearer secrets", None);
        check("Basic c2VjcmV0", Some(None));
    }
}
