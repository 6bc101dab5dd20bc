//! Those who are asked and those who are told: hooks, event hooks and alerts, and what they are sent.

use futures_util::future::BoxFuture;
use serde_json::{Value, json};

use crate::receiver::Received;
use crate::world::World;

fn analysis(extra: Value) -> Value {
    let mut analysis =
        json!({"interval": "10s", "threshold": 3, "maxWeight": 50, "stepWeight": 25});
    for (key, value) in extra.as_object().unwrap() {
        analysis[key] = value.clone();
    }
    analysis
}

fn hook(kind: &str) -> Value {
    json!({"name": kind, "type": kind, "url": format!("HOOKS/{kind}"), "timeout": "200ms", "metadata": {"a": "b"}})
}

fn paths(received: &[Received]) -> Vec<&str> {
    received.iter().map(|it| it.path.as_str()).collect()
}

#[tokio::test]
async fn hooks_are_asked_at_their_time_and_told_what_it_is_about() {
    let kinds = [
        "confirm-rollout",
        "pre-rollout",
        "rollout",
        "confirm-traffic-increase",
        "confirm-promotion",
        "post-rollout",
    ];
    let mut world = World::flagger(analysis(json!({"webhooks": kinds.map(hook)}))).await;
    world.receiver.answer("/confirm-rollout", 403, "not yet");
    world.set_image("podinfo:2").await;
    world.tick().await;
    assert_eq!(world.phase().await, "Waiting");
    assert_eq!(paths(&world.receiver.take()), ["/confirm-rollout"]);
    world.receiver.answer("/confirm-rollout", 200, "");
    world.tick().await;
    assert_eq!(paths(&world.receiver.take()), ["/confirm-rollout"]);
    world.tick().await;
    let received = world.receiver.take();
    assert_eq!(paths(&received), ["/pre-rollout", "/confirm-traffic-increase"]);
    let body = &received[0].body;
    assert_eq!(
        (&body["name"], &body["namespace"], &body["phase"]),
        (&json!("podinfo"), &json!("test"), &json!("Progressing"))
    );
    assert_eq!(body["metadata"], json!({"a": "b"}));
    assert!(!body["checksum"].as_str().unwrap().is_empty());
    world.tick().await;
    assert_eq!(paths(&world.receiver.take()), ["/rollout", "/confirm-traffic-increase"]);
    assert_eq!(world.shown().await, "Progressing 50");
    world.receiver.answer("/confirm-promotion", 500, "");
    world.tick().await;
    assert_eq!(world.shown().await, "WaitingPromotion 50");
    world.receiver.answer("/confirm-promotion", 202, "");
    world.until("Succeeded").await;
    assert_eq!(world.receiver.take().last().unwrap().path, "/post-rollout");
    let events = world.events().await;
    for expect in [
        "Halt podinfo.test advancement waiting for approval confirm-rollout",
        "Confirm-rollout check confirm-rollout passed",
        "Pre-rollout check pre-rollout passed",
        "Confirm-traffic-increase check confirm-traffic-increase passed",
        "Halt podinfo.test advancement waiting for promotion approval confirm-promotion",
        "Confirm-promotion check confirm-promotion passed",
        "Post-rollout check post-rollout passed",
    ] {
        assert!(events.iter().any(|it| it == expect), "{expect} is missing in {events:#?}");
    }
}

#[tokio::test]
async fn a_hook_that_hangs_is_a_failed_check_and_one_that_asks_for_it_rolls_back() {
    let mut world =
        World::flagger(analysis(json!({"webhooks": [hook("rollout"), hook("rollback")]}))).await;
    world.receiver.answer("/rollback", 403, "");
    world.set_image("podinfo:2").await;
    world.tick().await;
    world.tick().await;
    world.receiver.answer("/rollout", 0, "");
    world.tick().await;
    assert_eq!(world.shown().await, "Progressing 25 f1");
    let events = world.events().await;
    assert_eq!(
        events.last().unwrap(),
        "Halt podinfo.test advancement external check rollout failed no answer within 200 ms"
    );
    world.receiver.answer("/rollback", 200, "");
    world.tick().await;
    assert_eq!(world.shown().await, "Failed 0 f1");
    assert!(
        world
            .events()
            .await
            .contains(&"Rolling back podinfo.test manual webhook invoked".to_owned())
    );
}

#[tokio::test]
async fn hooks_are_tried_again_and_event_hooks_hear_every_event() {
    let mut again = hook("pre-rollout");
    again["retries"] = json!(1);
    let mut world = World::flagger(analysis(json!({"webhooks": [again, hook("event")]}))).await;
    world.receiver.take();
    world.receiver.answer("/pre-rollout", 503, "");
    world.set_image("podinfo:2").await;
    world.tick().await;
    world.tick().await;
    let received = world.receiver.take();
    assert_eq!(received.iter().filter(|it| it.path == "/pre-rollout").count(), 2);
    let first = received.iter().find(|it| it.path == "/event").unwrap();
    let metadata = &first.body["metadata"];
    assert_eq!(metadata["eventMessage"], "New revision detected! Scaling up podinfo.test");
    assert_eq!((&metadata["eventType"], &metadata["a"]), (&json!("Normal"), &json!("b")));
    assert!(metadata["timestamp"].as_str().unwrap().parse::<i64>().unwrap() > 1_700_000_000_000);
}

/// An AlertProvider of a type with a Secret, and an alert of a severity that names it.
fn alerted<'a>(kind: &'a str, severity: &'a str) -> BoxFuture<'a, (World, Vec<Received>)> {
    // On the heap: one after the other would be too much for a stack.
    Box::pin(async move {
        let alerts = json!([{"name": "a", "severity": severity, "providerRef": {"name": "who"}}]);
        let mut world = World::flagger(analysis(json!({"alerts": alerts, "threshold": 1}))).await;
        let address = format!("{}/told", world.receiver.address);
        world
            .create(json!({
                "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "who"},
                "stringData": {"address": address, "token": "s3cret"},
            }))
            .await;
        world
        .create(json!({
            "apiVersion": "flagger.app/v1beta1", "kind": "AlertProvider", "metadata": {"name": "who"},
            "spec": {"type": kind, "channel": "releases", "username": "bird", "secretRef": {"name": "who"}},
        }))
        .await;
        world.receiver.take();
        world.set_image("podinfo:2").await;
        world.tick().await;
        world.command("abort").await;
        world.turn().await;
        let received = world.receiver.take();
        (world, received)
    })
}

#[tokio::test]
async fn alerts_have_the_form_that_each_service_takes() {
    let (_, slack) = alerted("slack", "info").await;
    assert_eq!(paths(&slack), ["/told", "/told"]);
    assert!(
        slack[0].headers.to_lowercase().contains("authorization: bearer s3cret"),
        "{}",
        slack[0].headers
    );
    let body = &slack[0].body;
    assert_eq!(
        (&body["channel"], &body["username"], &body["icon_emoji"]),
        (&json!("releases"), &json!("bird"), &json!(":rocket:"))
    );
    let attachment = &body["attachments"][0];
    assert_eq!(attachment["author_name"], "podinfo.test");
    assert_eq!(attachment["text"], "New revision detected, progressing canary analysis.");
    assert_eq!(attachment["color"], "good");
    let titles: Vec<&str> = attachment["fields"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["title"].as_str().unwrap())
        .collect();
    assert_eq!(
        titles,
        ["Target", "Failed checks threshold", "Progress deadline", "Traffic routing"]
    );
    assert_eq!(attachment["fields"][3]["value"], "Weight step: 25 max: 50");

    let (_, discord) = alerted("discord", "").await;
    assert_eq!(discord[0].path, "/told/slack");
    let (_, rocket) = alerted("rocket", "info").await;
    assert_eq!(rocket[0].body["attachments"][0]["color"], "#0076D7");
    let (_, teams) = alerted("msteams", "info").await;
    assert_eq!(teams[0].body["@type"], "MessageCard");
    assert_eq!(teams[0].body["sections"][0]["activitySubtitle"], "podinfo.test");
    let (_, chat) = alerted("gchat", "info").await;
    assert_eq!(chat[0].body["cards"][0]["header"]["subtitle"], "podinfo.test");
    let (_, alertmanager) = alerted("alertmanager", "warn").await;
    assert_eq!(paths(&alertmanager), ["/told/api/v2/alerts"]);
    assert_eq!(alertmanager[0].body[0]["labels"]["severity"], "warning");
    let (_, grafana) = alerted("grafana", "info").await;
    assert_eq!(grafana[0].path, "/told/api/annotations");
    assert!(grafana[0].body["text"].as_str().unwrap().starts_with("podinfo.test: "));
    let (_, plain) = alerted("webhook", "info").await;
    assert_eq!(
        (&plain[1].body["severity"], &plain[1].body["message"]),
        (&json!("warn"), &json!("Rolling back, as someone asked"))
    );
}

#[tokio::test]
async fn an_alert_that_cannot_be_sent_is_told() {
    let (mut world, received) = alerted("slack", "error").await;
    assert!(received.is_empty(), "nothing of that severity happened");
    world.receiver.answer("/told", 500, "full");
    world.edit(json!({"spec": {"progressDeadlineSeconds": 20}})).await;
    world.broken.push("podinfo".to_owned());
    world.set_image("podinfo:3").await;
    world.until("Failed").await;
    assert_eq!(world.receiver.take()[0].body["attachments"][0]["color"], "danger");
    let events = world.events().await;
    assert!(
        events.iter().any(|it| it == "The alert to slack could not be sent: status 500: full"),
        "{events:#?}"
    );
}
