//! Metrics: a server is asked, or, where there is none, what the proxies counted.

mod keptn;
mod probe;
mod prometheus;
mod services;

use serde_json::Value;
use serin_api::Object;
use serin_api::delivery::{
    CanaryMetric, CrossNamespaceReference, MetricProviderType, MetricTemplate, Provider,
    TargetReference,
};
use serin_rollout::metrics::{Subject, built_in, fill_in};
use serin_rollout::{Answer, Dialect, Side, Span, Time, routes};

use crate::cluster::Cluster;
use crate::http::{Call, Caller};
use crate::kind::Kind;
use crate::objects::Scene;
use crate::shared::Shared;
use crate::traffic::Window;

pub(crate) use probe::Probes;
pub use prometheus::Prometheus;
pub(crate) use prometheus::Server;
use services::Source;

/// How far a metric looks back where nothing is said.
const LOOK_BACK: &str = "1m";

/// A metric, ready to be asked for.
#[derive(Clone, Debug)]
pub(crate) enum Inquiry {
    /// The answer is known.
    Known(Answer),
    /// One question is put after the other, until one has a value.
    Questions(Vec<Asked>),
    /// Keptn is asked, through the cluster.
    Keptn(keptn::Selector),
}

/// A question to a server.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    call: Call,
    /// Finds the value in the body of the answer; `None` if there is none.
    read: fn(&[u8]) -> Result<Option<f64>, String>,
    /// What the value is multiplied with.
    scale: f64,
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
    let span = Span::parse(interval).filter(|it| it.0 > 0).unwrap_or(Span::seconds(60));
    let named = |reference: &Option<TargetReference>| {
        reference.as_ref().map_or_else(|| plan.target.clone(), |it| it.name.clone())
    };
    let (ingress, route) = (named(&scene.spec.ingress_ref), named(&scene.spec.route_ref));
    let subject = Subject {
        name: &plan.name,
        namespace: &plan.namespace,
        target: &plan.target,
        is_service: false,
        service: routes::apex(plan),
        ingress: &ingress,
        route: &route,
        interval,
    };
    if let Some(reference) = &metric.template_ref {
        let (template, secret) = template(scene, reference).await?;
        let query = fill_in(&template.query, &subject, &metric.template_variables)?;
        let provider = template.provider.unwrap_or_default();
        if provider.provider_type == MetricProviderType::Keptn {
            return keptn::Selector::parse(&query).map(Inquiry::Keptn);
        }
        let source = Source { provider: &provider, secret: secret.as_ref(), window: span, now };
        return Ok(Inquiry::Questions(vec![source.question(&query)?]));
    }
    let server = server(scene);
    let is_meshed = scene.spec.provider != Provider::Kubernetes;
    let copy = format!("{}-canary", plan.target);
    let released = if plan.releases_service() {
        Subject { target: &copy, is_service: true, ..subject.clone() }
    } else {
        subject.clone()
    };
    let built_in = built_in(&metric.name, &released, is_meshed);
    if !built_in.is_empty() {
        return Ok(match server {
            Some(server) => {
                let questions = built_in.iter().map(|it| server.question(&it.text, it.scale));
                Inquiry::Questions(questions.collect())
            }
            None => Inquiry::Known(counted(&metric.name, span, window, now)),
        });
    }
    if metric.query.is_empty() {
        return Err("no usable metrics template and query were configured".to_owned());
    }
    let query = fill_in(&metric.query, &subject, &metric.template_variables)?;
    let server = server.ok_or(
        "there is no Prometheus to ask; set spec.metricsServer, or the controller's own, or use templateRef",
    )?;
    Ok(Inquiry::Questions(vec![server.question(&query, 1.0)]))
}

/// A built-in metric from what the proxies counted.
fn counted(name: &str, span: Span, window: &Window, now: Time) -> Answer {
    let arm = window.last(Side::Canary, now, span);
    let value = match name {
        "request-success-rate" if arm.counts.total > 0 => {
            Some(100.0 * (arm.counts.total - arm.counts.bad) as f64 / arm.counts.total as f64)
        }
        "request-duration" => arm.latency.quantile(0.99),
        _ => None,
    };
    value.map_or(Answer::NoValue, Answer::Value)
}

/// The Prometheus of the built-in metrics; `None` if there is none.
fn server(scene: &Scene<'_>) -> Option<Server> {
    let own = scene.spec.metrics_server.clone();
    let address = if own.is_empty() { scene.settings.metrics_server.clone() } else { Some(own) };
    address.map(|address| Server::at(&address))
}

/// A template, and the Secret that it names.
async fn template(
    scene: &Scene<'_>,
    reference: &CrossNamespaceReference,
) -> Result<(MetricTemplate, Option<Value>), String> {
    let (cluster, plan, name) = (scene.cluster, scene.plan, &reference.name);
    let namespace =
        if reference.namespace.is_empty() { &plan.namespace } else { &reference.namespace };
    let kinds = match plan.dialect {
        Dialect::Flagger => [Kind::FlaggerMetricTemplate, Kind::MetricTemplate],
        Dialect::Serin => [Kind::MetricTemplate, Kind::FlaggerMetricTemplate],
    };
    let found = kinds.iter().find_map(|kind| cluster.get(*kind, namespace, name));
    let found = found.ok_or_else(|| format!("MetricTemplate {namespace}/{name} is not there"))?;
    let object = Object::<MetricTemplate>::from_value(&found);
    let template =
        object.map_err(|error| format!("MetricTemplate {namespace}/{name}: {error}"))?.spec;
    let secret = template.provider.as_ref().and_then(|it| it.secret_ref.as_ref());
    let secret = match secret {
        Some(secret) => Some(self::secret(cluster, namespace, &secret.name).await?),
        None => None,
    };
    Ok((template, secret))
}

async fn secret(cluster: &Cluster, namespace: &str, name: &str) -> Result<Value, String> {
    let found = cluster.read(Kind::Secret, namespace, name).await.map_err(|it| it.to_string())?;
    found.ok_or_else(|| format!("Secret {namespace}/{name} is not there"))
}

/// Asks.
pub(crate) async fn ask(shared: &Shared, inquiry: Inquiry) -> Answer {
    let questions = match inquiry {
        Inquiry::Known(answer) => return answer,
        Inquiry::Keptn(selector) => return keptn::ask(&shared.cluster, &selector).await,
        Inquiry::Questions(questions) => questions,
    };
    for asked in questions {
        match value(&shared.caller, &asked).await {
            Ok(Some(value)) => return Answer::Value(value * asked.scale),
            Ok(None) => {}
            Err(why) => return Answer::Failed(why),
        }
    }
    Answer::NoValue
}

/// The value that a server answers with; `None` for none and for what is no number.
async fn value(caller: &Caller, asked: &Asked) -> Result<Option<f64>, String> {
    let answer = caller.call(&asked.call).await?;
    if answer.status != 200 {
        return Err(answer.refusal());
    }
    let value = (asked.read)(&answer.body)?;
    Ok(value.filter(|it| it.is_finite()))
}
