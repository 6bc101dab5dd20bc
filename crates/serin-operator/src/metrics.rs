//! Metrics: Prometheus is asked, or, where there is none, what the proxies counted.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};
use serin_api::Object;
use serin_api::delivery::{CanaryMetric, MetricProviderType, MetricTemplate};
use serin_rollout::metrics::{Reporter, Subject, built_in, fill_in};
use serin_rollout::{Answer, Dialect, Plan, Side, Span, Time, routes};

use crate::cluster::Cluster;
use crate::http::{Call, Caller};
use crate::json;
use crate::kind::Kind;
use crate::objects::Scene;
use crate::traffic::Window;

/// Prometheus must answer within this time.
const PATIENCE: Duration = Duration::from_secs(5);
/// How far a metric looks back where nothing is said.
const LOOK_BACK: &str = "1m";

/// A metric, ready to be asked for.
#[derive(Clone, Debug)]
pub(crate) enum Inquiry {
    /// The answer is known.
    Known(Answer),
    /// A server is asked one query after the other, until one has a value.
    Prometheus { server: Server, queries: Vec<String> },
}

/// A Prometheus.
#[derive(Clone, Debug, Default)]
pub(crate) struct Server {
    address: String,
    headers: Vec<(String, String)>,
    accepts_any_certificate: bool,
}

/// Finds out how a metric of the plan is asked for.
pub(crate) async fn prepare(
    scene: &Scene<'_>,
    metric: &CanaryMetric,
    window: &Window,
    now: Time,
) -> Inquiry {
    match find(scene, metric, window, now).await {
        Ok(inquiry) => inquiry,
        Err(why) => Inquiry::Known(Answer::Failed(why)),
    }
}

async fn find(
    scene: &Scene<'_>,
    metric: &CanaryMetric,
    window: &Window,
    now: Time,
) -> Result<Inquiry, String> {
    let plan = scene.plan;
    let interval = if metric.interval.is_empty() { LOOK_BACK } else { &metric.interval };
    let subject = Subject {
        name: &plan.name,
        namespace: &plan.namespace,
        target: &plan.target,
        service: routes::apex(plan),
        ingress: "",
        route: "",
        interval,
    };
    if let Some(reference) = &metric.template_ref {
        let namespace =
            if reference.namespace.is_empty() { &plan.namespace } else { &reference.namespace };
        let template = template(scene.cluster, plan, namespace, &reference.name)?;
        let query = fill_in(&template.query, &subject, &metric.template_variables)?;
        let server = server(scene.cluster, namespace, &template).await?;
        return Ok(Inquiry::Prometheus { server, queries: vec![query] });
    }
    let own = scene.spec.metrics_server.clone();
    let address = if own.is_empty() { scene.settings.metrics_server.clone() } else { Some(own) };
    let server = address.map(|address| Server { address, ..Server::default() });
    // The callers know of what never reached the workload. Where they are not part of the mesh, the workload is asked.
    let built_in =
        [Reporter::Source, Reporter::Destination].map(|it| built_in(&metric.name, &subject, it));
    let queries: Vec<String> = built_in.into_iter().flatten().collect();
    if !queries.is_empty() {
        return Ok(match server {
            Some(server) => Inquiry::Prometheus { server, queries },
            None => Inquiry::Known(counted(&metric.name, interval, window, now)),
        });
    }
    if metric.query.is_empty() {
        return Err("no usable metrics template and query were configured".to_owned());
    }
    let query = fill_in(&metric.query, &subject, &metric.template_variables)?;
    let server = server.ok_or(
        "there is no Prometheus to ask; set spec.metricsServer, or the controller's own, or use templateRef",
    )?;
    Ok(Inquiry::Prometheus { server, queries: vec![query] })
}

/// A built-in metric from what the proxies counted.
fn counted(name: &str, interval: &str, window: &Window, now: Time) -> Answer {
    let span =
        interval.parse::<serin_api::values::Duration>().map_or(60_000, |it| it.nanos() / 1_000_000);
    let arm = window.last(Side::Canary, now, Span(span));
    let value = match name {
        "request-success-rate" if arm.counts.total > 0 => {
            Some(100.0 * (arm.counts.total - arm.counts.bad) as f64 / arm.counts.total as f64)
        }
        "request-duration" => arm.latency.quantile(0.99),
        _ => None,
    };
    value.map_or(Answer::NoValue, Answer::Value)
}

fn template(
    cluster: &Cluster,
    plan: &Plan,
    namespace: &str,
    name: &str,
) -> Result<MetricTemplate, String> {
    let kinds = match plan.dialect {
        Dialect::Flagger => [Kind::FlaggerMetricTemplate, Kind::MetricTemplate],
        Dialect::Serin => [Kind::MetricTemplate, Kind::FlaggerMetricTemplate],
    };
    let found = kinds.iter().find_map(|kind| cluster.get(*kind, namespace, name));
    let found = found.ok_or_else(|| format!("MetricTemplate {namespace}/{name} is not there"))?;
    let object = Object::<MetricTemplate>::from_value(&found);
    object.map(|it| it.spec).map_err(|error| format!("MetricTemplate {namespace}/{name}: {error}"))
}

/// The server of a template, with what its Secret says.
async fn server(
    cluster: &Cluster,
    namespace: &str,
    template: &MetricTemplate,
) -> Result<Server, String> {
    let provider = template.provider.clone().unwrap_or_default();
    if provider.provider_type != MetricProviderType::Prometheus {
        return Err(format!(
            "metrics of {} cannot be asked for; releases ask Prometheus (spec.provider.type: prometheus)",
            provider.provider_type
        ));
    }
    let mut headers: Vec<(String, String)> = Vec::new();
    for header in &provider.headers {
        let value = header.value.as_ref().map_or_else(String::new, |it| match json!(it) {
            Value::String(text) => text,
            other => other.to_string(),
        });
        headers.push((header.name.clone(), value));
    }
    if let Some(secret) = &provider.secret_ref {
        let found = cluster
            .read(Kind::Secret, namespace, &secret.name)
            .await
            .map_err(|it| it.to_string())?;
        let found =
            found.ok_or_else(|| format!("Secret {namespace}/{} is not there", secret.name))?;
        headers.extend(credentials(&found));
    }
    let accepts_any_certificate = provider.insecure_skip_verify;
    Ok(Server { address: provider.address, headers, accepts_any_certificate })
}

/// An Authorization header from `token`, or from `username` and `password`.
fn credentials(secret: &Value) -> Option<(String, String)> {
    let of = |key: &str| secret_text(secret, key);
    let value = match (of("token"), of("username"), of("password")) {
        (Some(token), ..) => format!("Bearer {token}"),
        (None, Some(user), Some(password)) => {
            format!("Basic {}", BASE64.encode(format!("{user}:{password}")))
        }
        _ => return None,
    };
    Some(("authorization".to_owned(), value))
}

/// A text in a Secret.
pub(crate) fn secret_text(secret: &Value, key: &str) -> Option<String> {
    let bytes = BASE64.decode(json::at(secret, "data").get(key)?.as_str()?).ok()?;
    String::from_utf8(bytes).ok().map(|it| it.trim_end_matches('\n').to_owned())
}

/// Asks.
pub(crate) async fn ask(caller: &Caller, inquiry: Inquiry) -> Answer {
    let (server, queries) = match inquiry {
        Inquiry::Known(answer) => return answer,
        Inquiry::Prometheus { server, queries } => (server, queries),
    };
    for query in queries {
        match instant(caller, &server, &query).await {
            Ok(Some(value)) => return Answer::Value(value),
            Ok(None) => {}
            Err(why) => return Answer::Failed(why),
        }
    }
    Answer::NoValue
}

/// The value of an instant query, of the last series if there are several; `None` for none and for what is not a number.
async fn instant(caller: &Caller, server: &Server, query: &str) -> Result<Option<f64>, String> {
    let answer = get(caller, server, query).await?;
    let data = json::at(&answer, "data");
    let text = match json::text(data, "resultType") {
        "vector" => match json::items(data, "result").last() {
            Some(series) => json::items(series, "value").get(1),
            None => return Ok(None),
        },
        "scalar" => json::items(data, "result").get(1),
        other => {
            return Err(format!(
                "the query gives a {other}; it must give one value, as an instant vector or a scalar"
            ));
        }
    };
    let number = text.and_then(Value::as_str).and_then(|it| it.parse::<f64>().ok());
    let number = number.ok_or("the answer holds no number where Prometheus puts one")?;
    Ok(number.is_finite().then_some(number))
}

/// The answer to an instant query.
pub(crate) async fn get(caller: &Caller, server: &Server, query: &str) -> Result<Value, String> {
    let address = server.address.trim_end_matches('/');
    let mut call = Call::get(format!("{address}/api/v1/query?query={}", escaped(query)), PATIENCE);
    call.headers.clone_from(&server.headers);
    call.verify = !server.accepts_any_certificate;
    let answer = caller.call(&call).await?;
    let body: Option<Value> = serde_json::from_slice(&answer.body).ok();
    match body {
        Some(body) if answer.status == 200 => Ok(body),
        Some(body) if !json::text(&body, "error").is_empty() => {
            Err(format!("Prometheus refuses: {}", json::text(&body, "error")))
        }
        _ => Err(format!(
            "{address} is no Prometheus: status {}: {}",
            answer.status,
            answer.excerpt()
        )),
    }
}

impl Server {
    /// A server without credentials.
    pub(crate) fn at(address: &str) -> Self {
        Self { address: address.to_owned(), ..Self::default() }
    }
}

/// Everything but letters, digits and the unreserved signs as `%XX`.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len() * 2);
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    escaped
}
