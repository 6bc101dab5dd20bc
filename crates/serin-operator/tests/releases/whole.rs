//! The controller as it runs: watches, its own clock, a Lease, and no hand of the test's in its turns.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use serin_operator::{Operator, Settings};
use serin_rollout::Time;

use crate::receiver::Receiver;
use crate::world::{World, canary, deployment};

/// A clock on which a minute passes in a second.
fn clock() -> Time {
    Time(jiff::Timestamp::now().as_millisecond() * 60)
}

#[tokio::test]
async fn two_controllers_run_and_one_promotes() {
    let canary = canary(
        "serin.dev/v1alpha1",
        json!({"analysis": {"interval": "60s", "threshold": 1, "stepWeight": 50}}),
    );
    let world = World::new(vec![deployment("podinfo"), canary], Receiver::start().await).await;
    let lease = Some(("default".to_owned(), "serin-operator".to_owned()));
    let operators = [(); 2].map(|()| {
        let settings = Settings { clock, lease: lease.clone(), ..Settings::default() };
        let operator = Arc::new(Operator::new(world.client(), settings));
        let running = Arc::clone(&operator);
        (operator, tokio::spawn(async move { running.run(std::future::pending()).await }))
    });
    let reach = async |phase: &str| {
        while world.phase().await != phase {
            world.control().await;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    reach("Initialized").await;
    world.set_image("podinfo:2").await;
    reach("Succeeded").await;
    assert_eq!(world.image("podinfo-primary").await, "podinfo:2");
    let succeeded = operators.iter().filter(|(operator, _)| {
        operator.shared().metrics().contains("flagger_canary_successes_total{name=\"podinfo\"")
    });
    assert_eq!(succeeded.count(), 1, "only the holder of the Lease acts");
    for (_, task) in operators {
        task.abort();
    }
}
