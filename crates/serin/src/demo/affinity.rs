//! Users who met the new version stay with it, by a cookie, while its share grows.

use std::time::Duration;

use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::PATIENCE;
use super::crowd::{Crowd, Question, USERS};
use super::narrator::{Event, Weights};
use super::stage::{BOOKINFO, Manifest, Stage};
use super::versions;

const RULES: [Manifest; 2] = [
    (
        "samples/session-affinity/mended",
        include_str!("../../../../samples/session-affinity/mended/destination-rule.yaml"),
    ),
    (
        "samples/session-affinity/mended",
        include_str!("../../../../samples/session-affinity/mended/gateway.yaml"),
    ),
];
const STEP: Manifest = (
    "samples/session-affinity/mended/virtual-service.yaml",
    include_str!("../../../../samples/session-affinity/mended/virtual-service.yaml"),
);
const FINISH: Manifest = (
    "samples/session-affinity/finish/virtual-service.yaml",
    include_str!("../../../../samples/session-affinity/finish/virtual-service.yaml"),
);

/// How often is looked whether they have.
const PACE: Duration = Duration::from_millis(100);

/// Tells the story; whether it ended as it should.
pub(super) async fn tell(stage: &mut Stage<'_>) -> anyhow::Result<bool> {
    let before_users = |object: &mut Value| weigh(object, 0);
    stage.apply(&[BOOKINFO, RULES[0], RULES[1], STEP], before_users).await?;
    stage.ready().await?;
    stage.live("reviews").await?;
    // The Service of the gateway passes port 80 on to its 8080, as Istio's does.
    let url = format!("{}/reviews/0", stage.url());
    let question = Question { url, host: None, header: None, version: versions::of_reviews };
    let crowd = Crowd::asking(&question, stage.rate, &stage.narrator.users).await?;
    stage
        .narrator
        .say(&format!("{USERS} users ask for reviews at {}; all get v1.", question.url))?;
    let mut was_kept = true;
    for weight in [10, 20, 40, 60, 80] {
        stage.apply(&[STEP], |object| weigh(object, weight)).await?;
        stage.live("reviews").await?;
        sleep(pause(stage)).await;
        let (met, cookies, back) = (crowd.users_of("v2"), crowd.with_cookie(), crowd.went_back());
        stage.narrator.say(&format!(
            "v2 gets {weight} % of those who have no cookie. {met} of {USERS} users have met it and keep it; {back} fell back."
        ))?;
        note(
            stage,
            weight,
            format!("{met} users are on v2, {cookies} have its cookie, {back} fell back"),
        )?;
        was_kept &= back == 0;
    }
    stage.apply(&[FINISH], |_| ()).await?;
    stage.live("reviews").await?;
    // Until everybody has asked once more.
    let until = Instant::now() + PATIENCE;
    while (crowd.users_of("v2") < USERS || crowd.with_cookie() > 0) && Instant::now() < until {
        sleep(PACE).await;
    }
    let (met, cookies, back) = (crowd.users_of("v2"), crowd.with_cookie(), crowd.went_back());
    stage.narrator.say(&format!(
        "v2 gets everybody and takes the cookie back: {met} of {USERS} users are on it, {cookies} still have the cookie, {back} fell back."
    ))?;
    note(
        stage,
        100,
        format!("{met} users are on v2, {cookies} have its cookie, {back} fell back"),
    )?;
    stage.narrator.add(
        "Without a cookie each request is drawn anew: who asks often meets v2 sooner than the weight says.",
    )?;
    let (requests, failed) = stage.narrator.users.so_far();
    stage.narrator.say(&format!("{requests} requests, {failed} failed."))?;
    Ok(was_kept && met == USERS && cookies == 0 && back == 0 && failed == 0)
}

/// How long a step lasts.
fn pause(stage: &Stage<'_>) -> Duration {
    Duration::from_secs(if stage.fast { 3 } else { 10 })
}

fn note(stage: &mut Stage<'_>, canary: u64, reason: String) -> anyhow::Result<()> {
    stage.narrator.note(&Event {
        event: "step",
        release: Some("reviews v2".to_owned()),
        weights: Some(Weights { primary: 100 - canary, canary, mirror: 0 }),
        reason: Some(reason),
        ..Event::default()
    })
}

/// The share of v2 among those who have no cookie.
fn weigh(object: &mut Value, weight: u64) {
    if object["kind"] == "VirtualService" {
        let route = &mut object["spec"]["http"][1]["route"];
        route[0]["weight"] = (100 - weight).into();
        route[1]["weight"] = weight.into();
    }
}
