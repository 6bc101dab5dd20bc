//! The other services that have metrics: how each is asked, and where its answer holds the value.

use std::time::Duration;

use bytes::Bytes;
use http::Method;
use serde_json::Value;
use serin_api::delivery::{MetricProvider, MetricProviderType};
use serin_rollout::{Span, Time};

mod cloudwatch;
mod external;
mod google;

use super::Asked;
use super::probe::Probe;
use super::prometheus::{PATIENCE, Server, collapsed};
use crate::http::{Call, query};
use crate::json;
use crate::secret;

/// Some services have a value for each of their own periods only: a window of this many intervals surely holds one.
const WIDER: i64 = 10;
/// Flux queries run longer.
const INFLUX_PATIENCE: Duration = Duration::from_secs(15);

/// Whom a template names, with its Secret.
pub(super) struct Source<'a> {
    pub(super) provider: &'a MetricProvider,
    pub(super) secret: Option<&'a Value>,
    /// How far the metric looks back.
    pub(super) window: Span,
    pub(super) now: Time,
}

impl Source<'_> {
    /// The question that a query is, put to this service.
    pub(super) fn question(&self, text: &str) -> Result<Asked, String> {
        use MetricProviderType as Type;
        let mut asked = match self.provider.provider_type {
            Type::Prometheus => self.prometheus(text),
            Type::Datadog => self.datadog(text)?,
            Type::Newrelic => self.new_relic(text)?,
            Type::Graphite => self.graphite(text),
            Type::Dynatrace => self.dynatrace(text)?,
            Type::Influxdb => self.influx(text)?,
            Type::Splunk => self.splunk(text)?,
            Type::Cloudwatch => self.cloudwatch(text)?,
            Type::Stackdriver => self.stackdriver(text)?,
            Type::Externalmetrics => self.external(text),
            Type::Keptn => return Err("keptn is asked through the cluster".to_owned()),
        };
        self.dress(&mut asked.call);
        Ok(asked)
    }

    /// A question that this service answers whatever it measures.
    pub(super) fn probe(&self) -> Result<Probe, String> {
        use MetricProviderType as Type;
        let well: fn(u16) -> bool = |status| status == 200;
        // Who may ask is told that the question is empty.
        let empty: fn(u16) -> bool = |status| matches!(status, 200 | 400);
        let (mut call, is_good) = match self.provider.provider_type {
            Type::Prometheus => (self.prometheus("vector(1)").call, well),
            Type::Datadog => (self.datadog_at("/api/v1/validate")?, well),
            Type::Newrelic => (self.new_relic("SELECT * FROM Metric")?.call, well),
            Type::Graphite => (self.graphite("target=test").call, well),
            Type::Dynatrace => (self.dynatrace_at("/api/v2/metrics?pageSize=1")?, well),
            Type::Influxdb => (Call::get(format!("{}/ready", self.address("")), PATIENCE), well),
            Type::Splunk => (self.splunk_at("/v2/metric?limit=1")?, well),
            Type::Cloudwatch => (self.cloudwatch("[]")?.call, empty),
            Type::Stackdriver => (self.stackdriver("")?.call, empty),
            // There is no question that all of them know.
            Type::Externalmetrics => {
                (self.external_at(""), (|status| status < 500) as fn(u16) -> bool)
            }
            Type::Keptn => return Err("keptn is asked through the cluster".to_owned()),
        };
        self.dress(&mut call);
        Ok(Probe { call, is_good })
    }

    /// What the template says of all calls: headers, and whether certificates count.
    fn dress(&self, call: &mut Call) {
        let headers = self.provider.headers.iter();
        let each = headers.flat_map(|(name, all)| all.iter().map(move |it| (name, it)));
        call.headers.extend(each.map(|(name, it)| (name.clone(), it.clone())));
        call.verify = !self.provider.insecure_skip_verify;
    }

    fn address(&self, otherwise: &str) -> String {
        let address = self.provider.address.trim_end_matches('/');
        if address.is_empty() { otherwise.to_owned() } else { address.to_owned() }
    }

    /// Something that the Secret must hold.
    fn key(&self, key: &str) -> Result<String, String> {
        let text = self.secret.and_then(|it| secret::text(it, key));
        text.ok_or_else(|| {
            format!(
                "{} is asked with {key}, which the Secret does not hold",
                self.provider.provider_type
            )
        })
    }

    /// Beginning and end of the wider window, in milliseconds since 1970.
    fn wide(&self) -> [i64; 2] {
        [self.now.0 - WIDER * self.window.0, self.now.0]
    }

    fn prometheus(&self, text: &str) -> Asked {
        let token = self.secret.and_then(|it| secret::text(it, "token"));
        let token = token.map(|token| ("authorization".to_owned(), format!("Bearer {token}")));
        let basic = || self.secret.and_then(secret::basic);
        let mut server = Server::at(&self.provider.address);
        server.headers.extend(token.or_else(basic));
        server.question(text, 1.0)
    }

    /// The oldest point of the first series: the newest one is not complete yet.
    fn datadog(&self, text: &str) -> Result<Asked, String> {
        let [from, to] = self.wide().map(|it| (it / 1000).to_string());
        let parameters = query(&[("query", text), ("from", &from), ("to", &to)]);
        let call = self.datadog_at(&format!("/api/v1/query?{parameters}"))?;
        let read = |body: &[u8]| {
            let body = parsed(body)?;
            let point = body.pointer("/series/0/pointlist/0/1");
            Ok(point.and_then(Value::as_f64))
        };
        Ok(Asked { call, read, scale: 1.0 })
    }

    fn datadog_at(&self, path: &str) -> Result<Call, String> {
        let address = self.address("https://api.datadoghq.com");
        let mut call = Call::get(format!("{address}{path}"), PATIENCE);
        for (header, key) in
            [("dd-api-key", "datadog_api_key"), ("dd-application-key", "datadog_application_key")]
        {
            call.headers.push((header.to_owned(), self.key(key)?));
        }
        Ok(call)
    }

    fn new_relic(&self, text: &str) -> Result<Asked, String> {
        let address = self.address("https://insights-api.newrelic.com");
        let account = self.key("newrelic_account_id")?;
        let text = format!("{} SINCE {} seconds ago", text.trim(), self.window.0 / 1000);
        let parameters = query(&[("nrql", &text)]);
        let url = format!("{address}/v1/accounts/{account}/query?{parameters}");
        let mut call = Call::get(url, PATIENCE);
        call.headers.push(("x-query-key".to_owned(), self.key("newrelic_query_key")?));
        let read = |body: &[u8]| match json::items(&parsed(body)?, "results") {
            [one] => Ok(one.get("result").and_then(Value::as_f64)),
            _ => Ok(None),
        };
        Ok(Asked { call, read, scale: 1.0 })
    }

    /// The query holds the parameters of Graphite's render API: `target=…&from=-5min`. The last point with a value counts.
    fn graphite(&self, text: &str) -> Asked {
        let text = collapsed(text);
        let given: Vec<_> = form_urlencoded::parse(text.as_bytes()).collect();
        let mut parameters: Vec<(&str, &str)> =
            given.iter().map(|(key, value)| (key.trim(), value.trim())).collect();
        parameters.retain(|(key, _)| *key != "format");
        parameters.push(("format", "json"));
        let url = format!("{}/render?{}", self.address(""), query(&parameters));
        let mut call = Call::get(url, PATIENCE);
        call.headers.extend(self.secret.and_then(secret::basic));
        let read = |body: &[u8]| {
            let body = parsed(body)?;
            let series = body.as_array().map_or(&[][..], Vec::as_slice);
            let points = series.iter().flat_map(|it| json::items(it, "datapoints"));
            Ok(points.filter_map(|it| number(it.get(0)?)).next_back())
        };
        Asked { call, read, scale: 1.0 }
    }

    fn dynatrace(&self, text: &str) -> Result<Asked, String> {
        let [from, to] = self.wide().map(|it| it.to_string());
        let parameters =
            query(&[("metricSelector", text), ("resolution", "Inf"), ("from", &from), ("to", &to)]);
        let call = self.dynatrace_at(&format!("/api/v2/metrics/query?{parameters}"))?;
        let read = |body: &[u8]| {
            let body = parsed(body)?;
            let result = json::items(&body, "result").first();
            let data = result.and_then(|it| json::items(it, "data").last());
            Ok(data.and_then(|it| json::items(it, "values").first()?.as_f64()))
        };
        Ok(Asked { call, read, scale: 1.0 })
    }

    fn dynatrace_at(&self, path: &str) -> Result<Call, String> {
        let mut call = Call::get(format!("{}{path}", self.address("")), PATIENCE);
        let token = format!("Api-Token {}", self.key("dynatrace_token")?);
        call.headers.push(("authorization".to_owned(), token));
        Ok(call)
    }

    /// A query in Flux; the first record counts.
    fn influx(&self, text: &str) -> Result<Asked, String> {
        let mut url = format!("{}/api/v2/query", self.address(""));
        let mut headers = vec![
            ("content-type".to_owned(), "application/vnd.flux".to_owned()),
            ("accept".to_owned(), "application/csv".to_owned()),
        ];
        if self.secret.is_some() {
            url = format!("{url}?{}", query(&[("org", &self.key("org")?)]));
            headers.push(("authorization".to_owned(), format!("Token {}", self.key("token")?)));
        }
        let mut call = posted(url, text, INFLUX_PATIENCE);
        call.headers = headers;
        let read = |body: &[u8]| first_record(&String::from_utf8_lossy(body));
        Ok(Asked { call, read, scale: 1.0 })
    }

    /// A program in SignalFlow; the newest value counts, of one series.
    fn splunk(&self, text: &str) -> Result<Asked, String> {
        let [from, to] = self.wide().map(|it| it.to_string());
        // Programs are run where streams are, whichever of the two addresses is given.
        let address = self.address("").replacen("ws", "http", 1).replacen("api.", "stream.", 1);
        let parameters = query(&[("start", &from), ("stop", &to), ("immediate", "true")]);
        let url = format!("{address}/v2/signalflow/execute?{parameters}");
        let mut call = posted(url, text, PATIENCE);
        call.headers = vec![
            ("content-type".to_owned(), "text/plain".to_owned()),
            ("x-sf-token".to_owned(), self.key("sf_token_key")?),
        ];
        let read = |body: &[u8]| newest_value(&String::from_utf8_lossy(body));
        Ok(Asked { call, read, scale: 1.0 })
    }

    /// What is not a stream is at the other one of the two addresses.
    fn splunk_at(&self, path: &str) -> Result<Call, String> {
        let address = self.address("").replacen("ws", "http", 1).replacen("stream.", "api.", 1);
        let mut call = Call::get(format!("{address}{path}"), PATIENCE);
        call.headers.push(("x-sf-token".to_owned(), self.key("sf_token_key")?));
        Ok(call)
    }
}

fn posted(url: String, body: &str, timeout: Duration) -> Call {
    let mut call = Call::get(url, timeout);
    call.method = Method::POST;
    call.body = Bytes::from(body.to_owned());
    call
}

fn parsed(body: &[u8]) -> Result<Value, String> {
    serde_json::from_slice(body).map_err(|error| format!("the answer is no JSON: {error}"))
}

/// A number, or a text that is one.
fn number(value: &Value) -> Option<f64> {
    value.as_f64().or_else(|| value.as_str()?.parse().ok())
}

/// The field `_value` of the first record of a table in CSV.
fn first_record(text: &str) -> Result<Option<f64>, String> {
    let mut lines = text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#'));
    let Some(head) = lines.next() else { return Ok(None) };
    let place = fields(head).iter().position(|name| name == "_value");
    let place = place.ok_or("the answer has no column _value")?;
    let Some(record) = lines.next() else { return Ok(None) };
    match fields(record).get(place).map(String::as_str) {
        None | Some("") => Ok(None),
        Some(value) => {
            value.parse().map(Some).map_err(|_| format!("the value {value:?} is no number"))
        }
    }
}

/// The fields of a line of CSV; in quotes, commas are text and two quotes are one.
fn fields(line: &str) -> Vec<String> {
    let (mut all, mut is_quoted) = (vec![String::new()], false);
    let mut signs = line.chars().peekable();
    while let Some(sign) = signs.next() {
        let Some(field) = all.last_mut() else { break };
        match sign {
            '"' if is_quoted && signs.peek() == Some(&'"') => {
                signs.next();
                field.push('"');
            }
            '"' => is_quoted = !is_quoted,
            ',' if !is_quoted => all.push(String::new()),
            other => field.push(other),
        }
    }
    all
}

/// The newest value in a stream of events, in which there may be one series only.
fn newest_value(stream: &str) -> Result<Option<f64>, String> {
    let stream = stream.replace("\r\n", "\n");
    let (mut series, mut newest) = (None, None);
    for event in stream.split("\n\n") {
        let lines = |name: &'static str| event.lines().filter_map(move |it| it.strip_prefix(name));
        let kind = lines("event:").next().unwrap_or_default().trim();
        let data: String = lines("data:").collect();
        let Ok(data) = serde_json::from_str::<Value>(&data) else { continue };
        if kind == "error" {
            return Err(format!("the program fails: {}", json::text(&data, "message")));
        }
        for point in json::items(&data, "data").iter().filter(|_| kind == "data") {
            let Some(value) = point.get("value").and_then(Value::as_f64) else { continue };
            let name = json::text(point, "tsId").to_owned();
            if series.get_or_insert_with(|| name.clone()) != &name {
                return Err("the program gives several series; it must give one".to_owned());
            }
            newest = Some(value);
        }
    }
    Ok(newest)
}

#[cfg(test)]
mod tests;
