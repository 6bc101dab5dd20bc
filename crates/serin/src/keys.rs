//! The public keys of issuers of tokens, fetched from where the issuers publish them.
//!
//! An address is asked as soon as a policy names it, again every 20 minutes (as istiod does), and soon again after a failure. Keys that
//! are here stay until others come: an issuer that is gone for a while locks nobody out.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, anyhow};
use serde_json::Value;
use serin_operator::{Dial, fetch};
use serin_proxy::KeyStore;
use serin_routing::authentication::{KeySet, KeySource};
use tokio::runtime::Handle;
use tokio::task::AbortHandle;

/// How often keys are fetched again.
const AGAIN: Duration = Duration::from_secs(20 * 60);
/// How long a fetch may take (Istio's default).
const LIMIT: Duration = Duration::from_secs(5);
/// The pause after a failure, at first and at most.
const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(60);

/// Keeps the keys of a store as new as their issuers'.
pub(crate) struct Fetcher {
    store: KeyStore,
    dial: Arc<dyn Dial>,
    runtime: Handle,
    tasks: Mutex<HashMap<KeySource, AbortHandle>>,
}

impl Fetcher {
    /// Nothing is fetched yet. To be called on the runtime that is to do it.
    pub(crate) fn new(store: KeyStore, dial: Arc<dyn Dial>) -> Self {
        Self { store, dial, runtime: Handle::current(), tasks: Mutex::default() }
    }

    /// Fetches from these sources, and from no others any more.
    pub(crate) fn follow(&self, wanted: Vec<KeySource>) {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        if wanted.is_empty() && tasks.is_empty() {
            return;
        }
        tasks.retain(|source, task| {
            let is_wanted = wanted.contains(source);
            if !is_wanted {
                task.abort();
            }
            is_wanted
        });
        self.store.keep(|source| wanted.contains(source));
        for source in wanted {
            tasks.entry(source).or_insert_with_key(|source| {
                let (store, dial) = (self.store.clone(), Arc::clone(&self.dial));
                self.runtime.spawn(keep(store, dial, source.clone())).abort_handle()
            });
        }
    }
}

impl Drop for Fetcher {
    fn drop(&mut self) {
        self.follow(Vec::new());
    }
}

/// Fetches again and again.
async fn keep(store: KeyStore, dial: Arc<dyn Dial>, source: KeySource) {
    let mut pause = FIRST;
    loop {
        match once(&dial, &source).await {
            Ok(keys) => {
                store.put(source.clone(), keys);
                pause = FIRST;
                tokio::time::sleep(AGAIN).await;
            }
            Err(error) => {
                let error = format!("{error:#}");
                tracing::warn!(
                    error,
                    again_in = ?pause,
                    "keys of an issuer of tokens cannot be fetched: without keys its tokens are refused"
                );
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST);
            }
        }
    }
}

async fn once(dial: &Arc<dyn Dial>, source: &KeySource) -> anyhow::Result<KeySet> {
    let get = async |url: &str| {
        let answer = fetch(Arc::clone(dial), crate::up::trusted_authorities(), url, LIMIT).await;
        answer.map_err(|error| anyhow!("{url}: {error}"))
    };
    let address = match source {
        KeySource::Given(keys) => return Ok((**keys).clone()),
        KeySource::At(url) => url.to_string(),
        KeySource::Discovered(issuer) => {
            let url = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
            let told: Value = serde_json::from_slice(&get(&url).await?)
                .with_context(|| format!("{url} is no JSON"))?;
            let keys = told.get("jwks_uri").and_then(Value::as_str);
            keys.with_context(|| format!("{url} names no jwks_uri"))?.to_owned()
        }
    };
    KeySet::parse(&get(&address).await?).with_context(|| address)
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;

    use serin_operator::System;
    use serin_routing::authentication::Checks as _;

    use super::*;

    const KEYS: &str = r#"{"keys": [{"kty": "oct", "kid": "a", "k": "AQAB"}]}"#;

    /// A server that answers so many requests, each by what it asks for.
    fn serve(answers: Vec<(&'static str, u16, String)>) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let own = address.clone();
        std::thread::spawn(move || {
            for (path, status, body) in answers {
                let (mut stream, _) = listener.accept().unwrap();
                let mut head = [0; 4096];
                let length = stream.read(&mut head).unwrap();
                let asked = String::from_utf8_lossy(&head[..length]).into_owned();
                assert!(asked.starts_with(&format!("GET {path} ")), "{asked}");
                let body = body.replace("OWN", &own);
                let length = body.len();
                write!(stream, "HTTP/1.1 {status} X\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}")
                    .unwrap();
            }
        });
        address
    }

    async fn until_there(store: &KeyStore, source: &KeySource) {
        while store.fetched(source).is_none() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    #[tokio::test]
    async fn keys_come_from_their_address_also_after_a_failure_and_go_when_nobody_wants_them() {
        let address = serve(vec![
            ("/keys", 503, String::new()),
            ("/keys", 200, "{}".to_owned()),
            ("/keys", 200, KEYS.to_owned()),
        ]);
        let source = KeySource::At(format!("{address}/keys").into());
        let store = KeyStore::default();
        let fetcher = Fetcher::new(store.clone(), Arc::new(System));
        fetcher.follow(vec![source.clone()]);
        until_there(&store, &source).await;
        fetcher.follow(vec![source.clone()]);
        assert_eq!(*store.fetched(&source).unwrap(), KeySet::parse(KEYS.as_bytes()).unwrap());
        fetcher.follow(Vec::new());
        assert!(store.fetched(&source).is_none());
    }

    #[tokio::test]
    async fn an_issuer_tells_where_its_keys_are() {
        let told = r#"{"issuer": "OWN", "jwks_uri": "OWN/the/keys"}"#.to_owned();
        let address = serve(vec![
            ("/.well-known/openid-configuration", 200, told),
            ("/the/keys", 200, KEYS.to_owned()),
        ]);
        let source = KeySource::Discovered(format!("{address}/").into());
        let store = KeyStore::default();
        let fetcher = Fetcher::new(store.clone(), Arc::new(System));
        fetcher.follow(vec![source.clone()]);
        until_there(&store, &source).await;
    }
}
