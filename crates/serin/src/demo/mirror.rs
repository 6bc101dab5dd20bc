//! The new version gets copies of requests before it gets users.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, ListParams, LogParams};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::PATIENCE;
use super::crowd::{Crowd, Question};
use super::narrator::{Event, Weights};
use super::stage::{BOOKINFO, Manifest, Stage};
use super::versions;

const RULES: [Manifest; 2] = [
    (
        "samples/mirroring/mended",
        include_str!("../../../../samples/mirroring/mended/destination-rule.yaml"),
    ),
    ("samples/mirroring/mended", include_str!("../../../../samples/mirroring/mended/gateway.yaml")),
];
const STEP: Manifest = (
    "samples/mirroring/mended/virtual-service.yaml",
    include_str!("../../../../samples/mirroring/mended/virtual-service.yaml"),
);

/// How often copies are counted.
const PACE: Duration = Duration::from_millis(200);

/// Tells the story; whether it ended as it should.
pub(super) async fn tell(stage: &mut Stage<'_>) -> anyhow::Result<bool> {
    stage.apply(&[BOOKINFO, RULES[0], RULES[1], STEP], |_| ()).await?;
    stage.ready().await?;
    stage.live("reviews").await?;
    // The Service of the gateway passes port 80 on to its 8080, as Istio's does.
    let url = format!("{}/reviews/0", stage.url());
    let question = Question { url, host: None, header: None, version: versions::of_reviews };
    let copies_before = copies(stage).await?;
    let crowd = Crowd::asking(&question, stage.rate, &stage.narrator.users).await?;
    stage.narrator.say(&format!(
        "Users ask for reviews at {}. Every request is copied to v2, whose answers nobody sees.",
        question.url
    ))?;
    sleep(pause(stage)).await;
    let until = Instant::now() + PATIENCE;
    let (mut answers, mut of_v1) = (0, 0);
    // Those under way when one was counted are missing in the other: few, unless the machine stalls.
    let (copies, is_copied) = loop {
        let shares = crowd.shares();
        answers += shares.values().sum::<u64>();
        of_v1 += shares.get("v1").copied().unwrap_or(0);
        let copies = copies(stage).await? - copies_before;
        let is_copied = answers > 0 && copies.abs_diff(answers) <= 10 + answers / 10;
        if is_copied || Instant::now() > until {
            break (copies, is_copied);
        }
        sleep(PACE).await;
    };
    stage.narrator.say(&format!(
        "{answers} answers, {of_v1} of them by v1; v2 has served {copies} copies, as its log tells."
    ))?;
    stage.narrator.add("kubectl logs -l app=reviews,version=v2")?;
    note(
        stage,
        Weights { primary: 100, canary: 0, mirror: 100 },
        format!("{of_v1} of {answers} answers by v1, {copies} copies to v2"),
    )?;
    let mut is_good = of_v1 == answers && is_copied;
    for weight in [20, 40, 60, 80, 100] {
        stage.apply(&[STEP], |object| weigh(object, weight)).await?;
        stage.live("reviews").await?;
        let shares = crowd.answers_for(pause(stage)).await;
        let answers = shares.values().sum::<u64>();
        let of_v2 = shares.get("v2").copied().unwrap_or(0);
        let percent = of_v2 * 100 / answers.max(1);
        stage.narrator.say(&format!(
            "v2 gets {weight} %: {of_v2} of {answers} answers are its ({percent} %)."
        ))?;
        note(
            stage,
            Weights { primary: 100 - weight, canary: weight, mirror: 0 },
            format!("{of_v2} of {answers} answers by v2"),
        )?;
        is_good &= versions::is_share(of_v2, answers, weight as f64 / 100.0);
    }
    let (requests, failed) = stage.narrator.users.so_far();
    stage.narrator.say(&format!("{requests} requests, {failed} failed."))?;
    Ok(is_good && failed == 0)
}

/// How long a step lasts.
fn pause(stage: &Stage<'_>) -> Duration {
    Duration::from_secs(if stage.fast { 3 } else { 8 })
}

/// Requests that v2 has served, by its own account.
async fn copies(stage: &Stage<'_>) -> anyhow::Result<u64> {
    let pods: Api<Pod> = Api::default_namespaced(stage.client.clone());
    let selector = ListParams::default().labels("app=reviews,version=v2");
    let mut count = 0;
    for pod in pods.list(&selector).await? {
        let name = pod.metadata.name.unwrap_or_default();
        let log = pods.logs(&name, &LogParams::default()).await?;
        count += log.lines().filter(|line| line.contains("/reviews/0")).count();
    }
    Ok(u64::try_from(count).unwrap_or(u64::MAX))
}

fn note(stage: &mut Stage<'_>, weights: Weights, reason: String) -> anyhow::Result<()> {
    stage.narrator.note(&Event {
        event: "step",
        release: Some("reviews v2".to_owned()),
        weights: Some(weights),
        reason: Some(reason),
        ..Event::default()
    })
}

/// Users instead of copies.
fn weigh(object: &mut Value, weight: u64) {
    object["spec"]["http"] = json!([{"route": [
        {"destination": {"host": "reviews", "subset": "v1"}, "weight": 100 - weight},
        {"destination": {"host": "reviews", "subset": "v2"}, "weight": weight},
    ]}]);
}
