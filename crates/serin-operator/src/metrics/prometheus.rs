//! Prometheus: an instant query, and the value in its answer.

use std::time::Duration;

use serde_json::Value;

use super::Asked;
use crate::http::{Call, Caller, query};
use crate::json;

/// Prometheus must answer within this time.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// A Prometheus.
#[derive(Clone, Debug, Default)]
pub(crate) struct Server {
    pub(super) address: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) accepts_any_certificate: bool,
}

impl Server {
    /// A server without credentials.
    pub(crate) fn at(address: &str) -> Self {
        Self { address: address.to_owned(), ..Self::default() }
    }

    /// The call of an instant query.
    fn call(&self, text: &str) -> Call {
        let address = self.address.trim_end_matches('/');
        let url = format!("{address}/api/v1/query?{}", query(&[("query", &collapsed(text))]));
        let mut call = Call::get(url, PATIENCE);
        call.headers.clone_from(&self.headers);
        call.verify = !self.accepts_any_certificate;
        call
    }

    /// A question for the value of an instant query, times `scale`.
    pub(super) fn question(&self, text: &str, scale: f64) -> Asked {
        Asked { call: self.call(text), read, scale }
    }

    /// The answer to an instant query.
    pub(crate) async fn ask(&self, caller: &Caller, text: &str) -> Result<Value, String> {
        let answer = caller.call(&self.call(text)).await?;
        if answer.status != 200 {
            return Err(answer.refusal());
        }
        serde_json::from_slice(&answer.body).map_err(|_| answer.refusal())
    }
}

/// White space of any kind is one space.
pub(super) fn collapsed(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The value of the last series if there are several; `None` for none and for what is not a number.
fn read(body: &[u8]) -> Result<Option<f64>, String> {
    let body: Value = serde_json::from_slice(body).map_err(|_| "the answer is not Prometheus'")?;
    let data = json::at(&body, "data");
    let text = match json::text(data, "resultType") {
        "vector" => match json::items(data, "result").last() {
            Some(series) => json::items(series, "value").get(1),
            None => return Ok(None),
        },
        "scalar" => json::items(data, "result").get(1),
        other => {
            return Err(format!(
                "the query gives a {other:?}; it must give one value, as an instant vector or a scalar"
            ));
        }
    };
    let number = text.and_then(Value::as_str).and_then(|it| it.parse::<f64>().ok());
    let number = number.ok_or("the answer holds no number where Prometheus puts one")?;
    Ok(number.is_finite().then_some(number))
}
