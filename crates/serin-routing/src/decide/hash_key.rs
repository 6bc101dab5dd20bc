//! What consistent hashing hashes of a request, as Envoy's hash policies do.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::destination::AddressText;
use crate::hash::xxh64;
use crate::model::{HashKey, HashPolicy};
use crate::request::{Request, View, cookie, first_parameter};

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Found<'m> {
    pub(super) hash: Option<u64>,
    pub(super) cookie: Option<SessionCookie<'m>>,
}

/// A cookie that was made up because the request had none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionCookie<'m> {
    name: &'m Arc<str>,
    path: Option<&'m Arc<str>>,
    ttl: Duration,
    attributes: &'m [(Arc<str>, Arc<str>)],
    value: u64,
}

impl SessionCookie<'_> {
    /// The `set-cookie` header for the response.
    pub fn header(&self) -> String {
        let mut header = format!("{}=\"{}\"", self.name, self.value());
        // Without an age it is a session cookie.
        if !self.ttl.is_zero() {
            header.push_str(&format!("; Max-Age={}", self.ttl.as_secs()));
        }
        if let Some(path) = self.path {
            header.push_str(&format!("; Path={path}"));
        }
        for (name, value) in self.attributes {
            let equals = if value.is_empty() { "" } else { "=" };
            header.push_str(&format!("; {name}{equals}{value}"));
        }
        header.push_str("; HttpOnly");
        header
    }

    fn value(&self) -> String {
        format!("{:016x}", self.value)
    }
}

/// The hash of all policies together: each turns what was found before by one bit and is combined with it.
pub(super) fn hash_key<'m, R: Request>(
    policies: &'m [HashPolicy],
    view: &View<'_, R>,
) -> Found<'m> {
    let mut found = Found::default();
    for policy in policies {
        if let Some(hash) = hash_of(&policy.key, view, &mut found.cookie) {
            found.hash = Some(found.hash.map_or(0, |before: u64| before.rotate_left(1)) ^ hash);
        }
        if policy.terminal && found.hash.is_some() {
            break;
        }
    }
    found
}

fn hash_of<'m, R: Request>(
    key: &'m HashKey,
    view: &View<'_, R>,
    made: &mut Option<SessionCookie<'m>>,
) -> Option<u64> {
    let request = view.request;
    match key {
        HashKey::Header(name) => view.hash_header(name),
        HashKey::SourceAddress => {
            let address = request.downstream().remote?;
            Some(source_hash(address.ip()))
        }
        HashKey::Query(name) => first_parameter(view.query, name).map(|value| xxh64(value, 0)),
        HashKey::Cookie { name, path, ttl, attributes } => {
            if let Some(value) = cookie(request, name).filter(|value| !value.is_empty()) {
                return Some(xxh64(value, 0));
            }
            let ttl = (*ttl)?;
            let value = connection_hash(request);
            *made = Some(SessionCookie { name, path: path.as_ref(), ttl, attributes, value });
            Some(xxh64(&hexadecimal(value), 0))
        }
    }
}

impl<R: Request> View<'_, R> {
    /// Several values of one header are hashed one into the other, in ascending order whatever their order.
    fn hash_header(&self, name: &str) -> Option<u64> {
        match name {
            ":authority" | "host" => return non_empty_hash(self.request.authority()),
            ":method" => return non_empty_hash(self.request.method()),
            ":path" => return non_empty_hash(self.request.target()),
            ":scheme" => return non_empty_hash(self.request.scheme()),
            _ => {}
        }
        let values = || self.request.header_values(name);
        let mut least = values().min()?;
        let mut hash = 0;
        loop {
            for _ in values().filter(|value| *value == least) {
                hash = xxh64(least, hash);
            }
            match values().filter(|value| *value > least).min() {
                Some(next) => least = next,
                None => return Some(hash),
            }
        }
    }
}

fn non_empty_hash(value: &[u8]) -> Option<u64> {
    (!value.is_empty()).then(|| xxh64(value, 0))
}

/// The same for all requests of a connection, so that those on the way at the same time get the same cookie.
fn connection_hash<R: Request>(request: &R) -> u64 {
    let downstream = request.downstream();
    [downstream.remote, downstream.local].into_iter().flatten().fold(0, |hash, address| {
        let hash = AddressText::with(address.ip(), |text| xxh64(text, hash));
        xxh64(&address.port().to_be_bytes(), hash)
    })
}

/// What consistent hashing by source address hashes of a connection of which nothing else is known.
pub fn source_hash(address: IpAddr) -> u64 {
    AddressText::with(address, |text| xxh64(text, 0))
}

fn hexadecimal(value: u64) -> [u8; 16] {
    std::array::from_fn(|position| {
        let digit = (value >> (60 - 4 * position)) & 0xF;
        b"0123456789abcdef"[digit as usize]
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::RequestParts;

    fn policies(keys: &[(HashKey, bool)]) -> Vec<HashPolicy> {
        keys.iter()
            .map(|(key, terminal)| HashPolicy { key: key.clone(), terminal: *terminal })
            .collect()
    }

    fn hash(keys: &[(HashKey, bool)], request: &RequestParts) -> Option<u64> {
        hash_key(&policies(keys), &View::new(request)).hash
    }

    fn header(name: &str) -> HashKey {
        HashKey::Header(name.into())
    }

    fn cookie_key(ttl: Option<u64>) -> HashKey {
        let attributes = vec![("SameSite".into(), "Strict".into()), ("Secure".into(), "".into())];
        HashKey::Cookie {
            name: "sid".into(),
            path: Some("/app".into()),
            ttl: ttl.map(Duration::from_secs),
            attributes,
        }
    }

    fn request() -> RequestParts {
        let mut request = RequestParts::get("a", "/?user=jason")
            .with_header("x-user", "jason")
            .with_header("cookie", "sid=42");
        request.downstream.remote = Some("10.0.0.1:4711".parse().unwrap());
        request
    }

    #[test]
    fn each_key_is_hashed_by_itself() {
        let expected = Some(xxh64(b"jason", 0));
        assert_eq!(hash(&[(header("x-user"), false)], &request()), expected);
        assert_eq!(hash(&[(HashKey::Query("user".into()), false)], &request()), expected);
        assert_eq!(
            hash(&[(HashKey::SourceAddress, false)], &request()),
            Some(xxh64(b"10.0.0.1", 0))
        );
        assert_eq!(hash(&[(cookie_key(None), false)], &request()), Some(xxh64(b"42", 0)));
        assert_eq!(hash(&[(header("none"), false)], &request()), None);
        assert_eq!(hash(&[(header(":authority"), false)], &request()), Some(xxh64(b"a", 0)));
        assert_eq!(hash(&[], &request()), None);
    }

    #[test]
    fn several_keys_are_combined_after_a_turn_by_one_bit() {
        let both = [(header("x-user"), false), (HashKey::SourceAddress, false)];
        let expected = xxh64(b"jason", 0).rotate_left(1) ^ xxh64(b"10.0.0.1", 0);
        assert_eq!(hash(&both, &request()), Some(expected));
        let twice = [(header("x-user"), false), (header("x-user"), false)];
        assert_ne!(hash(&twice, &request()), Some(0));
    }

    #[test]
    fn a_terminal_key_ends_the_search_if_anything_was_found() {
        let found = [(header("x-user"), true), (HashKey::SourceAddress, false)];
        assert_eq!(hash(&found, &request()), Some(xxh64(b"jason", 0)));
        let not_found = [(header("none"), true), (HashKey::SourceAddress, false)];
        assert_eq!(hash(&not_found, &request()), Some(xxh64(b"10.0.0.1", 0)));
    }

    #[test]
    fn the_order_of_repeated_headers_does_not_matter() {
        let with = |values: &[&str]| {
            values
                .iter()
                .fold(RequestParts::get("a", "/"), |request, value| request.with_header("x", value))
        };
        let key = [(header("x"), false)];
        let sorted = xxh64(b"c", xxh64(b"b", xxh64(b"b", xxh64(b"a", 0))));
        assert_eq!(hash(&key, &with(&["b", "c", "a", "b"])), Some(sorted));
        assert_eq!(hash(&key, &with(&["a", "b", "b", "c"])), Some(sorted));
    }

    #[test]
    fn a_missing_cookie_is_made_if_it_has_a_time_to_live() {
        let mut request = request();
        request.headers.retain(|(name, _)| name != "cookie");
        let without = policies(&[(cookie_key(None), false)]);
        assert!(hash_key(&without, &View::new(&request)).hash.is_none());

        let with = policies(&[(cookie_key(Some(60)), false)]);
        let found = hash_key(&with, &View::new(&request));
        let made = found.cookie.unwrap();
        let value = made.value();
        assert_eq!(
            made.header(),
            format!("sid=\"{value}\"; Max-Age=60; Path=/app; SameSite=Strict; Secure; HttpOnly")
        );
        // With its cookie, the session goes where its first request went.
        let again = hash(
            &[(cookie_key(Some(60)), false)],
            &request.with_header("cookie", format!("sid=\"{value}\"")),
        );
        assert_eq!(found.hash, again);
    }

    #[test]
    fn a_time_to_live_of_zero_makes_a_session_cookie() {
        let request = RequestParts::get("a", "/");
        let policies = policies(&[(cookie_key(Some(0)), false)]);
        let made = hash_key(&policies, &View::new(&request)).cookie.unwrap();
        assert!(!made.header().contains("Max-Age"));
    }
}
