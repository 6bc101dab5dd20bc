//! Who may see the dashboard and steer releases.
//!
//! A link with the token is exchanged for a cookie; scripts send the token itself. The name in the `Host` header must be an address
//! or `localhost`, so that no page of another site can reach the dashboard by a name of its own (DNS rebinding). What changes something
//! is taken only from a form of the dashboard: it carries a word that other sites cannot know, and says where it comes from.

use std::net::IpAddr;

use http::header::{AUTHORIZATION, COOKIE, HOST, ORIGIN};
use http::request::Parts;
use sha2::{Digest as _, Sha256};

/// What the cookie is called, before the port: cookies are shared by all ports of an address.
const COOKIE_NAME: &str = "serin-dashboard";

/// The secret of a dashboard, and what follows from it.
#[derive(Clone, Debug)]
pub(crate) struct Access {
    token: String,
    session: String,
    form: String,
    cookie: String,
}

/// What may not be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The name in the `Host` header is not one of this machine.
    Host,
    /// Neither cookie nor token.
    Unknown,
    /// A form that is not from here.
    Foreign,
}

impl Access {
    /// The access by a token, to a dashboard on a port.
    pub(crate) fn new(token: &str, port: u16) -> Self {
        Self {
            token: token.to_owned(),
            session: derived("session", token),
            form: derived("form", token),
            cookie: format!("{COOKIE_NAME}-{port}"),
        }
    }

    /// The word that forms carry.
    pub(crate) fn form_word(&self) -> &str {
        &self.form
    }

    /// Whether a token is the right one.
    pub(crate) fn is_token(&self, token: &str) -> bool {
        is_same(token, &self.token)
    }

    /// The cookie for whoever brought the token.
    pub(crate) fn set_cookie(&self) -> String {
        format!("{}={}; Path=/; HttpOnly; SameSite=Strict", self.cookie, self.session)
    }

    /// Whether a request may be answered at all.
    pub(crate) fn check_host(head: &Parts) -> Result<(), Refusal> {
        let host = head.headers.get(HOST).and_then(|it| it.to_str().ok());
        match host {
            Some(host) if is_address(host) => Ok(()),
            _ => Err(Refusal::Host),
        }
    }

    /// Whether whoever asks may see.
    pub(crate) fn check(&self, head: &Parts) -> Result<(), Refusal> {
        if self.has_bearer(head) || self.has_cookie(head) { Ok(()) } else { Err(Refusal::Unknown) }
    }

    /// Whether whoever sends a form may do what it asks for.
    pub(crate) fn check_form(&self, head: &Parts, word: Option<&str>) -> Result<(), Refusal> {
        if self.has_bearer(head) {
            return Ok(());
        }
        self.check(head)?;
        let header = |name| head.headers.get(name).and_then(|it| it.to_str().ok());
        let is_from_here = match (header(ORIGIN), header(HOST)) {
            (Some(origin), Some(host)) => origin.strip_prefix("http://") == Some(host),
            _ => false,
        };
        let knows = word.is_some_and(|word| is_same(word, &self.form));
        if is_from_here && knows { Ok(()) } else { Err(Refusal::Foreign) }
    }

    fn has_bearer(&self, head: &Parts) -> bool {
        let text = head.headers.get(AUTHORIZATION).and_then(|it| it.to_str().ok());
        text.and_then(|it| it.strip_prefix("Bearer ")).is_some_and(|token| self.is_token(token))
    }

    fn has_cookie(&self, head: &Parts) -> bool {
        let all = head.headers.get_all(COOKIE).into_iter();
        let mut pairs = all.filter_map(|it| it.to_str().ok()).flat_map(|it| it.split(';'));
        pairs.any(|pair| {
            pair.trim()
                .split_once('=')
                .is_some_and(|(name, value)| name == self.cookie && is_same(value, &self.session))
        })
    }
}

/// A token that nobody can guess.
pub fn token() -> String {
    hex(&rand::random::<[u8; 24]>())
}

fn derived(purpose: &str, token: &str) -> String {
    hex(&Sha256::digest(format!("serin dashboard {purpose} {token}")))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Compares digests: how long that takes tells nothing of the texts.
fn is_same(one: &str, other: &str) -> bool {
    Sha256::digest(one) == Sha256::digest(other)
}

/// Whether a host is an address or `localhost`, with or without a port.
fn is_address(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn head(headers: &[(&str, &str)]) -> Parts {
        let mut request = Request::builder();
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn only_addresses_and_localhost_are_hosts() {
        let check = |host: &str, expect: bool| {
            assert_eq!(Access::check_host(&head(&[("host", host)])).is_ok(), expect, "{host}");
        };
        check("127.0.0.1:15080", true);
        check("localhost:15080", true);
        check("LOCALHOST", true);
        check("[::1]:15080", true);
        check("192.168.1.7:80", true);
        check("rebound.example:15080", false);
        check("127.0.0.1.rebound.example", false);
        check("", false);
        assert_eq!(Access::check_host(&head(&[])), Err(Refusal::Host));
    }

    #[test]
    fn the_cookie_or_the_token_lets_in() {
        let access = Access::new("secret", 15080);
        let cookie = access.set_cookie();
        assert!(cookie.ends_with("; Path=/; HttpOnly; SameSite=Strict"), "{cookie}");
        assert!(!cookie.contains("secret"));
        let pair = cookie.split(';').next().unwrap();
        let check = |headers: &[(&str, &str)], expect: bool| {
            assert_eq!(access.check(&head(headers)).is_ok(), expect, "{headers:?}");
        };
        check(&[], false);
        check(&[("cookie", pair)], true);
        check(&[("cookie", &format!("other=1; {pair}"))], true);
        check(&[("cookie", &pair.replace("15080", "15081"))], false);
        check(&[("cookie", "serin-dashboard-15080=secret")], false);
        check(&[("authorization", "Bearer secret")], true);
        check(&[("authorization", "Bearer other")], false);
        check(&[("authorization", "secret")], false);
    }

    #[test]
    fn forms_of_other_sites_are_refused() {
        let access = Access::new("secret", 15080);
        let cookie = access.set_cookie();
        let pair = cookie.split(';').next().unwrap().to_owned();
        let check = |origin: &str, word: Option<&str>, expect: Result<(), Refusal>| {
            let head = head(&[("host", "127.0.0.1:1"), ("cookie", &pair), ("origin", origin)]);
            assert_eq!(access.check_form(&head, word), expect, "{origin} {word:?}");
        };
        let word = Some(access.form_word());
        check("http://127.0.0.1:1", word, Ok(()));
        check("http://127.0.0.1:1", None, Err(Refusal::Foreign));
        check("http://127.0.0.1:1", Some("guess"), Err(Refusal::Foreign));
        check("http://127.0.0.1:2", word, Err(Refusal::Foreign));
        check("https://127.0.0.1:1", word, Err(Refusal::Foreign));
        check("null", word, Err(Refusal::Foreign));
        let without_cookie = head(&[("host", "127.0.0.1:1"), ("origin", "http://127.0.0.1:1")]);
        assert_eq!(access.check_form(&without_cookie, word), Err(Refusal::Unknown));
        let script = head(&[("authorization", "Bearer secret")]);
        assert_eq!(access.check_form(&script, None), Ok(()));
    }
}
