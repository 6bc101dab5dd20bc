//! Who makes a request, by bearer token: the administrator's, or a ServiceAccount's. What a certificate says is known when the
//! connection begins.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use http::HeaderMap;
use http::header::AUTHORIZATION;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::jwt::{ISSUER, SECRET_ISSUER, TokenKey};
use super::user::User;
use crate::store::Store;

/// How many tokens are remembered whose signatures were found right.
const REMEMBERED: usize = 1024;
/// Seconds by which the clock of whoever made a token may be off, or this one may have been put since (Kubernetes has a minute, too).
const LEEWAY: i64 = 60;

type Sum = [u8; 32];

/// Knows the tokens.
pub(crate) struct Authenticator {
    store: Store,
    administrator: String,
    /// The digest of the administrator's token: comparing digests tells nothing about the token by its time.
    digest: Sum,
    pub(crate) keys: TokenKey,
    /// What tokens say whose signatures are right. Whether they hold still is judged at each use.
    signed: Mutex<HashMap<Sum, Arc<Value>>>,
}

/// Who a token belongs to, and for whom it is meant.
pub(crate) struct Proven {
    pub(crate) user: User,
    pub(crate) audiences: Vec<String>,
}

impl Authenticator {
    pub(crate) fn new(store: Store, administrator: String, keys: TokenKey) -> Self {
        let digest = Sha256::digest(administrator.as_bytes()).into();
        Self { store, administrator, digest, keys, signed: Mutex::default() }
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
        self.token(token.trim(), &[]).map(|proven| Some(proven.user)).ok_or(InvalidToken)
    }

    /// Who a token belongs to, where it is meant for one of `audiences`, or for the server when there are none.
    pub(crate) fn token(&self, token: &str, audiences: &[String]) -> Option<Proven> {
        let digest: Sum = Sha256::digest(token.as_bytes()).into();
        let own = [ISSUER.to_owned()];
        let wanted = if audiences.is_empty() { &own } else { audiences };
        if digest == self.digest {
            return Some(Proven { user: User::administrator(), audiences: wanted.to_vec() });
        }
        let claims = self.claims(token, digest)?;
        if claims.get("iss")?.as_str()? == SECRET_ISSUER {
            let user = self.of_secret(&claims, token)?;
            return Some(Proven { user, audiences: wanted.to_vec() });
        }
        self.of_request(&claims, wanted)
    }

    /// What a token says that this server signed.
    fn claims(&self, token: &str, digest: Sum) -> Option<Arc<Value>> {
        let known = || self.signed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(claims) = known().get(&digest) {
            return Some(Arc::clone(claims));
        }
        let claims = Arc::new(self.keys.verify(token)?);
        let mut signed = known();
        if signed.len() >= REMEMBERED {
            signed.clear();
        }
        signed.insert(digest, Arc::clone(&claims));
        Some(claims)
    }

    /// A token that was requested: bound to a time, an audience and perhaps a pod.
    fn of_request(&self, claims: &Value, wanted: &[String]) -> Option<Proven> {
        let now = jiff::Timestamp::now().as_second();
        if claims.get("iss")?.as_str()? != ISSUER || !is_of_now(claims, now) {
            return None;
        }
        let meant = claims.get("aud")?.as_array()?.iter().filter_map(Value::as_str);
        let audiences: Vec<String> =
            meant.map(str::to_owned).filter(|it| wanted.contains(it)).collect();
        if audiences.is_empty() {
            return None;
        }
        let bound = claims.get("kubernetes.io")?;
        let namespace = bound.get("namespace")?.as_str()?;
        let account = bound.get("serviceaccount")?;
        let (name, uid) = (account.get("name")?.as_str()?, account.get("uid")?.as_str()?);
        self.lives("/serviceaccounts", namespace, name, uid)?;
        let mut user = User::service_account(namespace, name, uid);
        for (field, resource) in [("pod", "/pods"), ("secret", "/secrets")] {
            let Some(object) = bound.get(field) else { continue };
            let (name, uid) = (object.get("name")?.as_str()?, object.get("uid")?.as_str()?);
            self.lives(resource, namespace, name, uid)?;
            if field == "pod" {
                let prefix = "authentication.kubernetes.io/pod";
                user.extra.insert(format!("{prefix}-name"), vec![name.to_owned()]);
                user.extra.insert(format!("{prefix}-uid"), vec![uid.to_owned()]);
            }
        }
        if let Some(id) = claims.get("jti").and_then(Value::as_str) {
            let key = "authentication.kubernetes.io/credential-id".to_owned();
            user.extra.insert(key, vec![format!("JTI={id}")]);
        }
        Some(Proven { user, audiences })
    }

    /// A token that stands in a Secret, and holds as long as it does.
    fn of_secret(&self, claims: &Value, token: &str) -> Option<User> {
        use base64::Engine as _;
        let text =
            |name: &str| claims.get(format!("kubernetes.io/serviceaccount/{name}"))?.as_str();
        let namespace = text("namespace")?;
        let (name, uid) = (text("service-account.name")?, text("service-account.uid")?);
        self.lives("/serviceaccounts", namespace, name, uid)?;
        let key = format!("{namespace}/{}", text("secret.name")?);
        let secret = self.store.object("/secrets", &key)?.value();
        let stored = base64::engine::general_purpose::STANDARD.encode(token);
        (secret.pointer("/data/token")?.as_str()? == stored)
            .then(|| User::service_account(namespace, name, uid))
    }

    /// The object a token is bound to is still the one it was.
    fn lives(&self, resource: &str, namespace: &str, name: &str, uid: &str) -> Option<()> {
        let object = self.store.object(resource, &format!("{namespace}/{name}"))?.value();
        (object.pointer("/metadata/uid")?.as_str()? == uid).then_some(())
    }
}

/// A token that is not valid: the request is refused, whatever else it has.
#[derive(Debug)]
pub(crate) struct InvalidToken;

/// Whether a token's time has come and is not over, in seconds since the Unix epoch.
fn is_of_now(claims: &Value, now: i64) -> bool {
    let second = |name: &str| claims.get(name).and_then(Value::as_i64);
    second("exp").is_some_and(|end| now < end.saturating_add(LEEWAY))
        && second("nbf").is_some_and(|begin| begin.saturating_sub(LEEWAY) <= now)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use serde_json::json;

    use super::*;

    fn check(header: &'static str, expect: Option<Option<&str>>) {
        let store = Store::open(crate::store::Settings::in_memory()).unwrap();
        let keys = TokenKey::load(&TokenKey::make().unwrap()).unwrap();
        let mut headers = HeaderMap::new();
        if !header.is_empty() {
            headers.insert(AUTHORIZATION, HeaderValue::from_static(header));
        }
        let found = Authenticator::new(store, "secret".into(), keys).authenticate(&headers).ok();
        let found = found.map(|user| user.map(|user| user.name));
        assert_eq!(found.as_ref().map(Option::as_deref), expect, "{header}");
    }

    #[test]
    fn a_wrong_token_is_refused_and_no_token_is_no_one() {
        check("", Some(None));
        check("Bearer secret", Some(Some("kubernetes-admin")));
        check("bearer secret", Some(Some("kubernetes-admin")));
        check("Bearer secrets", None);
        check("Bearer a.b.c", None);
        check("Basic c2VjcmV0", Some(None));
    }

    #[test]
    fn a_clock_that_was_put_a_little_leaves_tokens_good() {
        let check = |claims: Value, expect: bool| {
            assert_eq!(is_of_now(&claims, 10_000), expect, "{claims}");
        };
        check(json!({"nbf": 10_000, "exp": 10_600}), true);
        check(json!({"nbf": 10_060, "exp": 10_660}), true);
        check(json!({"nbf": 10_061, "exp": 10_661}), false);
        check(json!({"nbf": 9_000, "exp": 9_941}), true);
        check(json!({"nbf": 9_000, "exp": 9_940}), false);
        check(json!({"nbf": 9_000}), false);
        check(json!({"exp": 20_000}), false);
    }
}
