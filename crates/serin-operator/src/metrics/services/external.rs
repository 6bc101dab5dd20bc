//! The external metrics of Kubernetes, asked of the server that has them.

use serin_objects::quantity::Quantity;

use super::{Asked, Call, PATIENCE, Source, collapsed, json, parsed, secret};

/// Where a pod finds the token of its account.
const TOKEN: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";

impl Source<'_> {
    /// The query is `NAMESPACE/METRIC?labelSelector=…`; the first value counts.
    pub(super) fn external(&self, text: &str) -> Asked {
        let text = collapsed(text).replace(' ', "%20");
        let call = self.external_at(&format!("/namespaces/{}", text.trim_start_matches('/')));
        let read = |body: &[u8]| {
            let body = parsed(body)?;
            let Some(first) = json::items(&body, "items").first() else { return Ok(None) };
            let value = json::text(first, "value");
            match Quantity::parse(value) {
                Some(value) => Ok(Some(value.milli() as f64 / 1000.0)),
                None => Err(format!("the value {value:?} is no quantity")),
            }
        };
        Asked { call, read, scale: 1.0 }
    }

    pub(super) fn external_at(&self, path: &str) -> Call {
        let url = format!("{}/apis/external.metrics.k8s.io/v1beta1{path}", self.address(""));
        let mut call = Call::get(url, PATIENCE);
        let given = self.secret.and_then(|it| secret::text(it, "token"));
        let token = given.or_else(|| std::fs::read_to_string(TOKEN).ok());
        let header = token.map(|it| ("authorization".to_owned(), format!("Bearer {}", it.trim())));
        call.headers.extend(header);
        call
    }
}
