//! Alerts: who is told, and in which form each kind of service wants to be told.

mod payload;

use std::time::Duration;

use serde_json::Value;
use serin_api::Object;
use serin_api::delivery::{AlertProvider, AlertProviderType};
use serin_rollout::{Dialect, Severity, Time, alerts};

use crate::http::{Call, Caller};
use crate::json;
use crate::kind::Kind;
use crate::objects::Scene;
use crate::secret;

/// Whoever is told must take it within this time.
const PATIENCE: Duration = Duration::from_secs(5);

/// Something to tell.
#[derive(Clone, Debug)]
pub(crate) struct Alert {
    pub(crate) severity: Severity,
    pub(crate) text: String,
    pub(crate) name: String,
    pub(crate) namespace: String,
    /// Facts about the release, as title and value.
    pub(crate) facts: Vec<(String, String)>,
    pub(crate) at: Time,
}

/// Where to tell it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Receiver {
    pub(crate) kind: AlertProviderType,
    pub(crate) address: String,
    pub(crate) channel: String,
    pub(crate) username: String,
    pub(crate) token: Option<String>,
    /// The address of a proxy that leads there; empty is none.
    pub(crate) proxy: String,
}

/// Those who are told of something this grave, and those who cannot be, with why.
pub(crate) async fn receivers(
    scene: &Scene<'_>,
    severity: Severity,
) -> (Vec<Receiver>, Vec<String>) {
    let (mut found, mut missing) = (Vec::new(), Vec::new());
    let plan = scene.plan;
    if plan.alerts.is_empty() {
        if let Some(provider) = &scene.settings.alerts {
            found.push(receiver(provider, None));
        }
        return (found, missing);
    }
    for alert in alerts::told(&plan.alerts, severity) {
        let reference = alert.provider_ref.clone().unwrap_or_default();
        let namespace =
            if reference.namespace.is_empty() { &plan.namespace } else { &reference.namespace };
        match provider(scene, namespace, &reference.name).await {
            Ok(receiver) => found.push(receiver),
            Err(why) => missing.push(format!("alert {}: {why}", alert.name)),
        }
    }
    (found, missing)
}

async fn provider(scene: &Scene<'_>, namespace: &str, name: &str) -> Result<Receiver, String> {
    let kinds = match scene.plan.dialect {
        Dialect::Flagger => [Kind::FlaggerAlertProvider, Kind::AlertProvider],
        Dialect::Serin => [Kind::AlertProvider, Kind::FlaggerAlertProvider],
    };
    let found = kinds.iter().find_map(|kind| scene.cluster.get(*kind, namespace, name));
    let found = found.ok_or_else(|| format!("AlertProvider {namespace}/{name} is not there"))?;
    let provider =
        Object::<AlertProvider>::from_value(&found).map_err(|error| error.to_string())?.spec;
    let secret = match &provider.secret_ref {
        None => None,
        Some(secret) => {
            let read = scene.cluster.read(Kind::Secret, namespace, &secret.name).await;
            let read = read.map_err(|error| error.to_string())?;
            Some(read.ok_or_else(|| format!("Secret {namespace}/{} is not there", secret.name))?)
        }
    };
    let receiver = receiver(&provider, secret.as_ref());
    if receiver.address.is_empty() {
        return Err(format!("AlertProvider {namespace}/{name} has no address, nor has its Secret"));
    }
    Ok(receiver)
}

fn receiver(provider: &AlertProvider, secret: Option<&Value>) -> Receiver {
    let or = |text: &str, otherwise: &str| {
        if text.is_empty() { otherwise.to_owned() } else { text.to_owned() }
    };
    let address = secret.and_then(|it| secret::text(it, "address"));
    Receiver {
        kind: provider.provider_type,
        address: address.unwrap_or_else(|| provider.address.clone()),
        channel: or(&provider.channel, "general"),
        username: or(&provider.username, "flagger"),
        token: secret.and_then(|it| secret::text(it, "token")),
        proxy: provider.proxy.clone(),
    }
}

/// Facts about a release that some alerts carry.
pub(crate) fn facts(scene: &Scene<'_>) -> Vec<(String, String)> {
    let plan = scene.plan;
    let deadline = json::at(scene.canary, "spec/progressDeadlineSeconds").as_i64().unwrap_or(600);
    let mut facts = vec![
        ("Target".to_owned(), format!("{}/{}.{}", plan.kind, plan.target, plan.namespace)),
        ("Failed checks threshold".to_owned(), plan.threshold.to_string()),
        ("Progress deadline".to_owned(), format!("{deadline}s")),
        ("Traffic routing".to_owned(), routing(scene)),
    ];
    if !scene.settings.cluster_name.is_empty() {
        facts.insert(0, ("Cluster".to_owned(), scene.settings.cluster_name.clone()));
    }
    facts
}

fn routing(scene: &Scene<'_>) -> String {
    use serin_rollout::plan::Strategy;
    let plan = scene.plan;
    match plan.strategy {
        Strategy::AbTesting => "A/B Testing".to_owned(),
        Strategy::BlueGreen => "Blue/Green".to_owned(),
        Strategy::Weighted { .. } if plan.step_weight > 0 => {
            format!("Weight step: {} max: {}", plan.step_weight, plan.max_weight)
        }
        Strategy::Weighted { .. } => {
            let steps: Vec<String> = plan.step_weights.iter().map(u32::to_string).collect();
            format!("Weight steps: {} max: {}", steps.join(","), plan.max_weight)
        }
    }
}

/// Tells.
pub(crate) async fn send(
    caller: &Caller,
    receiver: &Receiver,
    alert: &Alert,
) -> Result<(), String> {
    let body = payload::of(receiver, alert);
    let mut address = receiver.address.clone();
    let is_discord = receiver.kind == AlertProviderType::Discord;
    if is_discord && !address.trim_end_matches('/').ends_with("/slack") {
        // Discord takes what Slack takes, at an address of its own.
        address = format!("{}/slack", address.trim_end_matches('/'));
    }
    let path = match receiver.kind {
        AlertProviderType::Alertmanager => "/api/v2/alerts",
        AlertProviderType::Grafana => "/api/annotations",
        _ => "",
    };
    if !address.trim_end_matches('/').ends_with(path) {
        address = format!("{}{path}", address.trim_end_matches('/'));
    }
    let mut call = Call::post(address, &body, PATIENCE);
    call.proxy.clone_from(&receiver.proxy);
    if let Some(token) = &receiver.token {
        call.headers.push(("authorization".to_owned(), format!("Bearer {token}")));
    }
    let answer = caller.call(&call).await?;
    if (200..300).contains(&answer.status) {
        return Ok(());
    }
    Err(answer.refusal())
}
