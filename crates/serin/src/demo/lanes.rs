//! A request that enters a version meets the same version of the next service.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use super::crowd::{Answer, Crowd, Question};
use super::narrator::Event;
use super::stage::{Manifest, Stage};
use super::versions;

const WORKLOADS: [Manifest; 2] = [
    (
        "samples/chain/workloads/v1.yaml",
        include_str!("../../../../samples/chain/workloads/v1.yaml"),
    ),
    (
        "samples/chain/workloads/v2.yaml",
        include_str!("../../../../samples/chain/workloads/v2.yaml"),
    ),
];
const RULES: [Manifest; 2] = [
    (
        "samples/chain/mended/gateway.yaml",
        include_str!("../../../../samples/chain/mended/gateway.yaml"),
    ),
    (
        "samples/chain/mended/routing.yaml",
        include_str!("../../../../samples/chain/mended/routing.yaml"),
    ),
];
const BY_HEADER: Manifest =
    ("samples/chain/by-header", include_str!("../../../../samples/chain/by-header/vs-appa.yaml"));

/// A port that users other than root may listen on, in the place of the sample's 86.
const PORT: u16 = 8086;
/// The host that the rules are for.
const HOST: &str = "192.168.1.106";

/// Tells the story; whether it ended as it should.
pub(super) async fn tell(stage: &mut Stage<'_>) -> anyhow::Result<bool> {
    stage.inject().await?;
    stage.apply(&WORKLOADS, |_| ()).await?;
    stage.apply(&RULES, move_port).await?;
    stage.ready().await?;
    stage.live("vs-appb").await?;
    stage.live("vs-appa").await?;
    stage.narrator.say("appa calls appb, each in two versions. The gateway sends nine requests in ten to appa v2;\nappb is called in the version of its caller.")?;
    let mut is_good = true;
    let seen = watch(stage, None).await?;
    let all: u64 = seen.values().sum();
    is_good &= is_unmixed(&seen) && versions::is_share(of(&seen, "appa-v2"), all, 0.9);
    stage.apply(&[BY_HEADER], |_| ()).await?;
    stage.live("vs-appa").await?;
    stage.narrator.say("Now a header chooses the version.")?;
    for version in ["v1", "v2"] {
        let seen = watch(stage, Some(("version", version))).await?;
        let all: u64 = seen.values().sum();
        is_good &= is_unmixed(&seen) && all > 0 && of(&seen, &format!("appa-{version}")) == all;
    }
    let (requests, failed) = stage.narrator.users.so_far();
    stage
        .narrator
        .say(&format!("{requests} requests, {failed} failed; none has left its version."))?;
    Ok(is_good && failed == 0)
}

/// Lets users ask for a while; the ways that their requests took.
async fn watch(
    stage: &mut Stage<'_>,
    header: Option<(&'static str, &'static str)>,
) -> anyhow::Result<BTreeMap<String, u64>> {
    let question = Question { url: stage.url_of(PORT), host: Some(HOST), header, version: way };
    let crowd = Crowd::asking(&question, stage.rate, &stage.narrator.users).await?;
    let seen = crowd.answers_for(Duration::from_secs(if stage.fast { 4 } else { 10 })).await;
    let with = header.map_or_else(String::new, |(name, value)| format!(" with {name}: {value}"));
    let ways: Vec<String> = seen.iter().map(|(way, count)| format!("{count} took {way}")).collect();
    let ways = ways.join(", ");
    stage.narrator.say(&format!("Requests{with}: {ways}."))?;
    stage.narrator.note(&Event { event: "step", reason: Some(ways), ..Event::default() })?;
    Ok(seen)
}

/// The way that a request took is its answer.
fn way(answer: &Answer) -> Option<String> {
    (answer.status == 200).then(|| answer.body.trim().to_owned())
}

fn of(seen: &BTreeMap<String, u64>, first: &str) -> u64 {
    seen.iter().filter(|(way, _)| way.contains(first)).map(|(_, count)| count).sum()
}

/// Whether every request met one version only.
fn is_unmixed(seen: &BTreeMap<String, u64>) -> bool {
    !seen.is_empty() && seen.keys().all(|way| way.contains("-v1") != way.contains("-v2"))
}

fn move_port(object: &mut Value) {
    if object["kind"] == "Gateway" {
        object["spec"]["servers"][0]["port"]["number"] = PORT.into();
    }
}
