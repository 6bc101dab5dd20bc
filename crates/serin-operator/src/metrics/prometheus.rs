//! Prometheus: an instant query, and the value in its answer.

use std::time::Duration;

use serde_json::Value;

use super::Asked;
use super::probe::Probe;
use crate::http::{Call, Caller, query};
use crate::json;
use crate::settings::Settings;

/// Prometheus must answer within this time.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// A Prometheus that is asked about all of a mesh.
#[derive(Clone)]
pub struct Prometheus {
    caller: Caller,
    server: Server,
}

impl Prometheus {
    /// The one at an address (`http://prometheus.istio-system:9090`), reached as the settings say.
    pub fn new(address: &str, settings: &Settings) -> Self {
        let caller = Caller::new(settings.dial.clone(), settings.trust.clone());
        Self { caller, server: Server::at(address) }
    }

    /// The series of an instant query: their labels and their values. What is not a number is left out.
    ///
    /// # Errors
    /// Why there is no answer.
    pub async fn series(&self, query: &str) -> Result<Vec<(Value, f64)>, String> {
        let answer = self.server.ask(&self.caller, query).await;
        let mut answer =
            answer.map_err(|why| format!("Prometheus at {}: {why}", self.server.address))?;
        let result = answer.pointer_mut("/data/result").map(Value::take);
        let Some(Value::Array(series)) = result else {
            return Err(format!("what is at {} is no Prometheus", self.server.address));
        };
        let read = |mut it: Value| {
            let value = it["value"][1].as_str()?.parse::<f64>().ok().filter(|it| it.is_finite())?;
            Some((it["metric"].take(), value))
        };
        Ok(series.into_iter().filter_map(read).collect())
    }
}

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

    /// A question that every Prometheus can answer.
    pub(super) fn probe(&self) -> Probe {
        Probe { call: self.call("vector(1)"), is_good: |status| status == 200 }
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
