//! A request that owns its texts.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Downstream, Request};

/// A request that owns its texts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestParts {
    /// The method.
    pub method: String,
    /// `http` or `https`.
    pub scheme: String,
    /// Host, with a port if there is one.
    pub authority: String,
    /// Path and query.
    pub target: String,
    /// Lower-case names with values, in order.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The connection.
    pub downstream: Downstream,
    /// Claims of the validated token, by path.
    pub claims: BTreeMap<Vec<String>, Vec<String>>,
}

impl RequestParts {
    /// A `GET` over plain HTTP.
    pub fn get(authority: &str, target: &str) -> Self {
        Self {
            method: "GET".to_owned(),
            scheme: "http".to_owned(),
            authority: authority.to_owned(),
            target: target.to_owned(),
            ..Self::default()
        }
    }

    /// The same request with one more header; the name becomes lower-case.
    #[must_use]
    pub fn with_header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers.push((name.to_ascii_lowercase(), value.as_ref().to_vec()));
        self
    }

    /// The same request with another method.
    #[must_use]
    pub fn with_method(mut self, method: &str) -> Self {
        method.clone_into(&mut self.method);
        self
    }
}

impl Request for RequestParts {
    fn method(&self) -> &[u8] {
        self.method.as_bytes()
    }

    fn scheme(&self) -> &[u8] {
        self.scheme.as_bytes()
    }

    fn authority(&self) -> &[u8] {
        self.authority.as_bytes()
    }

    fn target(&self) -> &[u8] {
        self.target.as_bytes()
    }

    fn headers(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.headers.iter().map(|(name, value)| (name.as_bytes(), value.as_slice()))
    }

    fn downstream(&self) -> &Downstream {
        &self.downstream
    }

    fn any_claim(&self, path: &[Arc<str>], accept: &mut dyn FnMut(&[u8]) -> bool) -> bool {
        let same_path = |candidate: &[String]| {
            candidate.iter().map(String::as_str).eq(path.iter().map(|part| &**part))
        };
        self.claims
            .iter()
            .filter(|(candidate, _)| same_path(candidate))
            .flat_map(|(_, values)| values)
            .any(|value| accept(value.as_bytes()))
    }
}
