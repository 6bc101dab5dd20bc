//! Kubernetes' own rolling update under load, forward and back.

use std::time::Duration;

use anyhow::bail;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::PATIENCE;
use super::crowd::{Answer, Crowd, Question};
use super::narrator::Event;
use super::stage::{Manifest, Stage};

const DEPLOYMENT: Manifest = (
    "samples/versions/as-written/1-rolling.yaml",
    include_str!("../../../../samples/versions/as-written/1-rolling.yaml"),
);
const SERVICE: Manifest = (
    "samples/versions/as-written/2-service.yaml",
    include_str!("../../../../samples/versions/as-written/2-service.yaml"),
);
const OLD: &str = "1.14.2";
const NEW: &str = "1.16.1";

/// Tells the story; whether it ended as it should.
pub(super) async fn tell(stage: &mut Stage<'_>) -> anyhow::Result<bool> {
    let replicas = |object: &mut Value| object["spec"]["replicas"] = 5.into();
    stage.apply(&[DEPLOYMENT], replicas).await?;
    // The Deployment beside it is for another day.
    let only_service = |object: &mut Value| {
        if object["kind"] != "Service" {
            *object = Value::Null;
        }
    };
    stage.apply(&[SERVICE], only_service).await?;
    stage.ready().await?;
    let url = stage.balanced("my-nginx-svc").await?;
    let question = Question { url, host: None, header: None, version: server };
    let crowd = Crowd::asking(&question, stage.rate, &stage.narrator.users).await?;
    stage.narrator.say(&format!("Five pods of nginx {OLD} serve {}.", question.url))?;
    let mut is_good = true;
    for (image, command) in [
        (NEW, "kubectl set image deployment/nginx-deployment nginx=nginx:1.16.1"),
        (OLD, "kubectl rollout undo deployment/nginx-deployment"),
    ] {
        sleep(Duration::from_secs(if stage.fast { 1 } else { 4 })).await;
        stage.narrator.heading(command)?;
        update(stage, image, &crowd).await?;
        let after = crowd.answers_for(Duration::from_secs(1)).await;
        is_good &= after.keys().eq([image]);
    }
    let (requests, failed) = stage.narrator.users.so_far();
    stage.narrator.say(&format!("{requests} requests during both updates, {failed} failed."))?;
    Ok(is_good && failed == 0)
}

/// Updates pod by pod, and tells who answers meanwhile.
async fn update(stage: &mut Stage<'_>, image: &str, crowd: &Crowd) -> anyhow::Result<()> {
    let container = json!({"name": "nginx", "image": format!("nginx:{image}")});
    let patch = json!({"spec": {"template": {"spec": {"containers": [container]}}}});
    stage.patch(("apps/v1", "Deployment", "nginx-deployment"), &patch).await?;
    let api = stage.api("apps/v1", "Deployment").await?;
    let until = Instant::now() + PATIENCE;
    let mut last = None;
    loop {
        let object = api.get("nginx-deployment").await?;
        let count = |at: &str| object.data["status"][at].as_i64().unwrap_or(0);
        let is_seen =
            object.data["status"]["observedGeneration"].as_i64() >= object.metadata.generation;
        let now = (count("updatedReplicas"), count("readyReplicas"), count("replicas"));
        if is_seen && last != Some(now) {
            last = Some(now);
            let shares = crowd.shares();
            let answers: Vec<String> =
                shares.iter().map(|(version, count)| format!("{count} by {version}")).collect();
            let answers = if answers.is_empty() { "none".to_owned() } else { answers.join(", ") };
            let (updated, ready, all) = now;
            let text = format!(
                "{all} pods, {ready} ready, {updated} of them new; answers meanwhile: {answers}"
            );
            stage.narrator.say(&text)?;
            stage.narrator.note(&Event {
                event: "step",
                reason: Some(text),
                ..Event::default()
            })?;
        }
        if is_seen && now == (5, 5, 5) {
            return Ok(());
        }
        if Instant::now() > until {
            bail!("the update to {image} does not end: {}", object.data["status"]);
        }
        sleep(Duration::from_millis(100)).await;
    }
}

/// The version that the server tells.
fn server(answer: &Answer) -> Option<String> {
    let server = answer.headers.get(http::header::SERVER)?.to_str().ok()?;
    Some(server.strip_prefix("nginx/").unwrap_or(server).to_owned())
}
