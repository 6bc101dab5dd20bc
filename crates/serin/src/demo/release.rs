//! A good version is promoted, a bad one is rolled back.

use std::pin::pin;

use anyhow::{Context, bail};
use futures_util::StreamExt as _;
use serde_json::{Value, json};
use serin_rollout::Phase;
use serin_rollout::facts::{self, Facts};
use tokio::time::timeout;

use super::PATIENCE;
use super::narrator::{Event, Weights};
use super::stage::{BOOKINFO, Manifest, Stage};
use crate::canary;

const SHOPFRONT: Manifest =
    ("samples/shopfront", include_str!("../../../../samples/shopfront/gateway.yaml"));
const REVIEWS: Manifest =
    ("samples/release/reviews.yaml", include_str!("../../../../samples/release/reviews.yaml"));
const CANARY: Manifest =
    ("samples/release/canary.yaml", include_str!("../../../../samples/release/canary.yaml"));

/// The page's way to its reviews: what users ask for.
const PATH: &str = "/api/v1/products/0/reviews";
const DEPLOYMENT: (&str, &str, &str) = ("apps/v1", "Deployment", "reviews");
/// A bad version may be seen by so many of 1,000 requests of the time of its release.
const BEARABLE: u64 = 20;

/// Tells the story; whether it ended as it should.
pub(super) async fn tell(stage: &mut Stage<'_>) -> anyhow::Result<bool> {
    open_the_shop(stage).await?;
    stage.narrator.heading("A good version")?;
    let before = stage.narrator.users.so_far();
    let good = Version { name: "v3", image: image("v3:1.20.3"), errors: "0%" };
    let first = release(stage, "v2", &good).await?;
    let between = stage.narrator.users.so_far();
    if first != Phase::Succeeded {
        return Ok(false);
    }
    let failed = between.1 - before.1;
    let requests = between.0 - before.0;
    stage
        .narrator
        .say(&format!("{requests} requests of users in this time, {failed} of them failed."))?;

    stage.narrator.heading("A bad version")?;
    let bad = Version { name: "v3.1", image: image("v3:1.20.4"), errors: "10%" };
    let second = release(stage, "v3", &bad).await?;
    let after = stage.narrator.users.so_far();
    let (requests, suffered) = (after.0 - between.0, after.1 - between.1);
    stage
        .narrator
        .say(&format!("{requests} requests of users in this time, {suffered} of them failed."))?;
    let is_bearable = suffered <= 3.max(requests * BEARABLE / 1000);
    Ok(failed == 0 && second == Phase::Failed && is_bearable)
}

struct Version {
    name: &'static str,
    image: String,
    /// The share of requests that it fails.
    errors: &'static str,
}

fn image(version: &str) -> String {
    format!("docker.io/istio/examples-bookinfo-reviews-{version}")
}

async fn open_the_shop(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    stage.inject().await?;
    // The Deployments of the sample are a version each; a release changes one.
    let without_reviews = |object: &mut Value| {
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        if object["kind"] == "Deployment" && name.starts_with("reviews-") {
            *object = Value::Null;
        }
    };
    stage.apply(&[BOOKINFO, SHOPFRONT, REVIEWS], without_reviews).await?;
    stage.ready().await?;
    stage.live("bookinfo").await?;
    let url = stage.url().to_owned();
    stage.narrator.say(&format!("The bookshop is open: {url}/productpage"))?;
    stage.send(&format!("{url}{PATH}")).await?;
    let rate = stage.rate;
    stage
        .narrator
        .say(&format!("Users ask for its reviews, {rate} times a second, until the end."))?;
    stage.narrator.note(&Event { event: "users", ..Event::default() })?;
    let interval = if stage.fast { "2s" } else { "5s" };
    let paced = |object: &mut Value| {
        if object["kind"] == "Canary" {
            object["spec"]["analysis"]["interval"] = interval.into();
        }
    };
    stage.apply(&[CANARY], paced).await?;
    stage.narrator.say("A Canary watches over reviews from now on.")?;
    stage.narrator.add("kubectl apply -f samples/release/canary.yaml")?;
    initialised(stage).await?;
    stage.narrator.say(
        "What users have is kept apart as reviews-primary; reviews is where new versions come in.",
    )?;
    Ok(())
}

/// Releases a version, and tells what becomes of it.
async fn release(stage: &mut Stage<'_>, old: &str, new: &Version) -> anyhow::Result<Phase> {
    let Version { name, image, errors } = new;
    let container = json!({"name": "reviews", "image": image,
        "env": [{"name": "SERIN_SAMPLE_ERRORS", "value": errors}]});
    let template = json!({"spec": {"template": {"spec": {"containers": [container]}}}});
    let mut changes = pin!(canary::changes(&stage.client, "default", "reviews").await?);
    let before = changes.next().await.context("the Canary of reviews is gone")?;
    stage.patch(DEPLOYMENT, &template).await?;
    stage.narrator.say(&format!("{name} is released."))?;
    stage.narrator.add(&format!("kubectl set image deployment/reviews reviews={image}"))?;
    if *errors != "0%" {
        stage.narrator.add(&format!(
            "kubectl set env deployment/reviews SERIN_SAMPLE_ERRORS={errors}    # it fails one request in ten"
        ))?;
    }
    stage.narrator.note(&Event {
        event: "release",
        release: Some(format!("reviews {name}")),
        ..Event::default()
    })?;
    let mut teller =
        Teller { old: old.to_owned(), new: (*name).to_owned(), last: before, told: None };
    let mut has_begun = false;
    let told = timeout(PATIENCE, async {
        while let Some(facts) = changes.next().await {
            teller.tell(stage, &facts)?;
            has_begun |= facts.is_running();
            if has_begun && matches!(facts.phase, Phase::Succeeded | Phase::Failed) {
                return Ok(facts.phase);
            }
        }
        bail!("the Canary of reviews is gone")
    });
    let told = told.await;
    told.unwrap_or_else(|_| {
        bail!("the release of {name} does not end: {}", standstill(&teller.last))
    })
}

/// Waits until there is a primary.
async fn initialised(stage: &Stage<'_>) -> anyhow::Result<()> {
    let mut changes = pin!(canary::changes(&stage.client, "default", "reviews").await?);
    let mut last = None;
    let made = timeout(PATIENCE, async {
        while let Some(facts) = changes.next().await {
            if facts.phase == Phase::Initialized {
                return;
            }
            last = Some(facts);
        }
    });
    if made.await.is_err() {
        bail!("reviews-primary is not made: {}", last.as_ref().map(standstill).unwrap_or_default());
    }
    Ok(())
}

fn standstill(facts: &Facts) -> String {
    let waits = facts.waits_for.clone().unwrap_or_default();
    let last = facts.decisions.last().map(|it| it.event.clone()).unwrap_or_default();
    format!("{} {waits} {last}", facts.phase)
}

/// Tells what changes of a release.
struct Teller {
    old: String,
    new: String,
    last: Facts,
    /// The last warning's reason.
    told: Option<String>,
}

impl Teller {
    fn tell(&mut self, stage: &mut Stage<'_>, facts: &Facts) -> anyhow::Result<()> {
        let (old, new) = (&self.old, &self.new);
        let event = |event| Event {
            event,
            release: Some(format!("reviews {new}")),
            phase: Some(facts.phase.to_string()),
            weights: Some(weights(facts)),
            verdict: facts.verdict.clone(),
            ..Event::default()
        };
        let known = self.last.decisions.last();
        let from = facts.decisions.iter().rposition(|it| Some(it) == known).map_or(0, |at| at + 1);
        for decision in &facts.decisions[from..] {
            let reason = format!("{}: {}", decision.event, decision.reason);
            stage.narrator.note(&Event { reason: Some(reason), ..event("decision") })?;
            // The same reason is told of the verdict and of what follows from it.
            let is_told = self.told.as_ref() == Some(&decision.reason);
            if decision.warning && !is_told {
                self.told = Some(decision.reason.clone());
                let text = stage.narrator.palette.warning(&decision.reason).to_string();
                stage.narrator.say(&text)?;
            }
        }
        if weights(&self.last) != weights(facts) {
            stage.narrator.note(&event("weights"))?;
            let now = weights(facts);
            if now.canary > 0 || now.mirror > 0 {
                let text = if now.canary == 0 {
                    format!(
                        "Every request is copied to {new}. Users get {old}'s answers; {new}'s are compared with them and thrown away."
                    )
                } else if now.canary == 100 {
                    format!("{new} gets all users.")
                } else {
                    format!("{new} gets {} % of the users, {old} {} %.", now.canary, now.primary)
                };
                stage.narrator.say(&text)?;
            }
            if let Some(figures) = figures(facts, old, new) {
                stage.narrator.add(&figures)?;
            }
        }
        if self.last.phase != facts.phase {
            stage.narrator.note(&event("phase"))?;
            self.tell_phase(stage, facts, &event)?;
        }
        self.last = facts.clone();
        Ok(())
    }

    fn tell_phase(
        &self,
        stage: &mut Stage<'_>,
        facts: &Facts,
        event: &impl Fn(&'static str) -> Event,
    ) -> anyhow::Result<()> {
        let (old, new) = (&self.old, &self.new);
        let palette = stage.narrator.palette;
        let text = match facts.phase {
            Phase::Progressing => format!("{new} starts beside {old}; no user sees it."),
            Phase::Promoting => {
                format!("Nothing speaks against {new}: reviews-primary becomes {new}.")
            }
            Phase::Finalising => "reviews-primary has all users again.".to_owned(),
            Phase::Succeeded => palette.good(format!("{new} is promoted.")).to_string(),
            Phase::Failed => {
                palette.error(format!("{new} is rolled back; all users have {old}.")).to_string()
            }
            _ => return Ok(()),
        };
        stage.narrator.say(&text)?;
        match facts.phase {
            Phase::Succeeded => stage.narrator.note(&event("promoted"))?,
            Phase::Failed => {
                let reason = facts.decisions.iter().rev().find(|it| it.warning);
                let reason = reason.map(|it| it.reason.clone());
                stage.narrator.note(&Event { reason, ..event("rolled_back") })?;
            }
            _ => {}
        }
        Ok(())
    }
}

fn weights(facts: &Facts) -> Weights {
    Weights {
        primary: facts.weights.primary,
        canary: facts.weights.canary,
        mirror: facts.weights.mirror.unwrap_or(0),
    }
}

/// What both versions did lately, if both had requests.
fn figures(facts: &Facts, old: &str, new: &str) -> Option<String> {
    let lately = facts.lately.as_ref()?;
    let arm = |name: &str, it: &facts::Arm| {
        let p99 = it.p99.map_or_else(String::new, |p99| format!(", 99 % within {p99:.0} ms"));
        format!("{name} {} requests, {} failed{p99}", it.requests, it.failures)
    };
    (lately.canary.requests > 0)
        .then(|| format!("so far: {}; {}", arm(old, &lately.primary), arm(new, &lately.canary)))
}
