//! Tells what it was asked, as JSON: for tests, and to see what a rule did to a request on its way.
//!
//! `/status/CODE` answers with that status, `/delay/SECONDS` answers late, `/bytes/N` answers with so many bytes; every other path, and
//! those two in their bodies, tells the request.

use std::time::Duration;

use http::{HeaderMap, StatusCode};
use serde_json::{Map, Value, json};

use crate::environment::Environment;
use crate::message::{Call, Reply, error, json as json_reply, of_type};

/// The longest delay and the most bytes that can be asked for.
const MAX_DELAY: f64 = 60.0;
const MAX_BYTES: usize = 16 << 20;

/// The service.
#[derive(Debug)]
pub(crate) struct Echo {
    instance: String,
    version: Option<String>,
}

impl Echo {
    pub(crate) fn new(environment: &Environment) -> Self {
        let version = environment.version("SERVICE_VERSION").map(str::to_owned);
        Self { instance: environment.instance(), version }
    }

    pub(crate) async fn answer(&self, call: &Call) -> Reply {
        let mut parts = call.path().trim_start_matches('/').splitn(2, '/');
        let (first, rest) = (parts.next().unwrap_or_default(), parts.next());
        match (first, rest) {
            ("status", Some(code)) => match code.parse() {
                Ok(status) => self.tell(status, call),
                Err(_) => error(StatusCode::BAD_REQUEST, "the status must be from 100 to 999"),
            },
            ("delay", Some(seconds)) => match seconds.parse::<f64>() {
                Ok(seconds) if (0.0..=MAX_DELAY).contains(&seconds) => {
                    tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
                    self.tell(StatusCode::OK, call)
                }
                _ => error(StatusCode::BAD_REQUEST, "the delay must be from 0 to 60 seconds"),
            },
            ("bytes", Some(count)) => match count.parse::<usize>() {
                Ok(count) if count <= MAX_BYTES => {
                    of_type(StatusCode::OK, "application/octet-stream", vec![b'.'; count])
                }
                _ => error(StatusCode::BAD_REQUEST, "there can be at most 16 MiB"),
            },
            _ => self.tell(StatusCode::OK, call),
        }
    }

    fn tell(&self, status: StatusCode, call: &Call) -> Reply {
        // A status below 200 is no answer to a request.
        let status = if status.is_informational() { StatusCode::BAD_REQUEST } else { status };
        let query = form_urlencoded::parse(call.uri.query().unwrap_or_default().as_bytes());
        let query: Map<String, Value> =
            query.map(|(name, value)| (name.into_owned(), value.into_owned().into())).collect();
        let told = json!({
            "method": call.method.as_str(),
            "host": call.host(),
            "path": call.path(),
            "query": query,
            "protocol": format!("{:?}", call.version),
            "headers": headers(&call.headers),
            "body": String::from_utf8_lossy(&call.body),
            "client": call.peer.to_string(),
            "server": call.local.to_string(),
            "instance": self.instance,
            "version": self.version,
        });
        json_reply(status, &told)
    }
}

/// A value for each name, or a list where a name comes more than once.
fn headers(headers: &HeaderMap) -> Map<String, Value> {
    let text = |value: &http::HeaderValue| Value::from(String::from_utf8_lossy(value.as_bytes()));
    let told = headers.keys().map(|name| {
        let mut values: Vec<Value> = headers.get_all(name).iter().map(text).collect();
        let value = if values.len() == 1 { values.remove(0) } else { values.into() };
        (name.as_str().to_owned(), value)
    });
    told.collect()
}
