//! Flagger's documented walk-throughs.

use serde_json::{Value, json};

use crate::receiver::Receiver;
use crate::world::{World, canary, deployment};

fn weighted() -> Value {
    json!({"interval": "1m", "threshold": 2, "maxWeight": 50, "stepWeight": 10})
}

#[tokio::test]
async fn a_release_is_initialised_analysed_and_promoted() {
    let mut world = World::flagger(weighted()).await;
    assert_eq!(world.replicas("podinfo").await, 0);
    assert_eq!(world.replicas("podinfo-primary").await, 2);
    let service = world.get("v1", "Service", "podinfo").await;
    assert_eq!(service["spec"]["selector"], json!({"app": "podinfo-primary"}));
    world.set_image("podinfo:2").await;
    let seen = world.until("Succeeded").await;
    assert_eq!(
        seen,
        [
            "Progressing 0",
            "Progressing 10",
            "Progressing 20",
            "Progressing 30",
            "Progressing 40",
            "Progressing 50",
            "Promoting 50",
            "Finalising 0",
            "Succeeded 0"
        ]
    );
    assert_eq!(world.image("podinfo-primary").await, "podinfo:2");
    assert_eq!(world.replicas("podinfo").await, 0);
    assert_eq!(
        world.events().await,
        [
            "podinfo-primary.test not ready: it has no ready pod",
            "Initialization done! podinfo.test",
            "New revision detected! Scaling up podinfo.test",
            "Starting canary analysis for podinfo.test",
            "Advance podinfo.test canary weight 10",
            "Advance podinfo.test canary weight 20",
            "Advance podinfo.test canary weight 30",
            "Advance podinfo.test canary weight 40",
            "Advance podinfo.test canary weight 50",
            "Copying podinfo.test template spec to podinfo-primary.test",
            "Routing all traffic to primary",
            "Promotion completed! Scaling down podinfo.test",
        ]
    );
}

/// An answer of Prometheus with one value.
pub(crate) fn vector(value: f64) -> String {
    json!({"status": "success", "data": {"resultType": "vector", "result": [
        {"metric": {}, "value": [0, value.to_string()]},
    ]}})
    .to_string()
}

pub(crate) fn empty_vector() -> String {
    json!({"status": "success", "data": {"resultType": "vector", "result": []}}).to_string()
}

#[tokio::test]
async fn failed_checks_bring_the_rollback() {
    let receiver = Receiver::start().await;
    let analysis = json!({
        "interval": "1m", "threshold": 2, "maxWeight": 50, "stepWeight": 10,
        "metrics": [{"name": "request-success-rate", "thresholdRange": {"min": 99}, "interval": "1m"}],
    });
    let spec = json!({"metricsServer": receiver.address, "analysis": analysis});
    let mut world =
        World::new(vec![deployment("podinfo"), canary("flagger.app/v1beta1", spec)], receiver)
            .await;
    world.receiver.answer("/api/v1/query", 200, &vector(100.0));
    world.initialise().await;
    world.set_image("podinfo:2").await;
    for _ in 0..3 {
        world.tick().await;
    }
    assert_eq!(world.shown().await, "Progressing 20");
    world.events().await;
    world.receiver.answer("/api/v1/query", 200, &vector(69.17));
    assert_eq!(
        world.until("Failed").await,
        ["Progressing 20 f1", "Progressing 20 f2", "Failed 0 f2"]
    );
    assert_eq!(
        world.events().await,
        [
            "Halt podinfo.test advancement success rate 69.17% < 99%",
            "Halt podinfo.test advancement success rate 69.17% < 99%",
            "Rolling back podinfo.test failed checks threshold reached 2",
            "Canary failed! Scaling down podinfo.test",
        ]
    );
    assert_eq!(
        (world.replicas("podinfo").await, world.image("podinfo-primary").await.as_str()),
        (0, "podinfo:1")
    );
    // The same version is not tried again; another one is.
    world.tick().await;
    assert_eq!(world.phase().await, "Failed");
    world.receiver.answer("/api/v1/query", 200, &vector(100.0));
    world.set_image("podinfo:3").await;
    world.until("Succeeded").await;
    assert_eq!(world.image("podinfo-primary").await, "podinfo:3");
}
