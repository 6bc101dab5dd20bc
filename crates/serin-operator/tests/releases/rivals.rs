//! Two Canaries that want the same: the older one has it, and the other says so where its author looks.

use serde_json::{Value, json};
use serin_operator::{Kind, Name, Release};

use crate::receiver::Receiver;
use crate::world::{NAMESPACE, World, canary, deployment};

fn analysis() -> Value {
    json!({"analysis": {"interval": "10s", "threshold": 1, "stepWeight": 50}})
}

/// A turn of a release beside that of the test's world.
async fn turn(world: &World, release: &mut Release) -> Result<(), String> {
    world.shared.cluster().refresh().await.unwrap();
    let turn = release.turn(world.now).await;
    release.settle().await;
    turn.map(|_| ()).map_err(|it| it.to_string())
}

fn release(world: &World, kind: Kind, name: &str) -> Release {
    let name = Name { kind, namespace: NAMESPACE.to_owned(), name: name.to_owned() };
    Release::new(world.shared.clone(), name)
}

#[tokio::test]
async fn of_two_groups_one_canary_has_the_workload_and_the_other_says_so() {
    let receiver = Receiver::start().await;
    let mut world =
        World::new(vec![deployment("podinfo"), canary("serin.dev/v1alpha1", analysis())], receiver)
            .await;
    // Of the same second or later: Serin's comes first.
    world.create(canary("flagger.app/v1beta1", analysis())).await;
    let mut other = release(&world, Kind::FlaggerCanary, "podinfo");
    let why = "Deployment podinfo is released by the Canary podinfo of serin.dev/v1alpha1 already, which is older; delete one of \
               the two";
    for _ in 0..3 {
        assert_eq!(turn(&world, &mut other).await, Err(why.to_owned()));
    }
    world.initialise().await;
    let told = world.get("flagger.app/v1beta1", "Canary", "podinfo").await["status"].clone();
    assert_eq!(told["release"]["waitsFor"], why);
    let condition = &told["conditions"][0];
    assert_eq!(
        (&condition["type"], &condition["reason"], &condition["message"]),
        (&json!("Promoted"), &json!("Blocked"), &json!(why))
    );
    let events = world.events().await;
    assert_eq!(events.iter().filter(|it| *it == why).count(), 1, "{events:#?}");

    // When the first is gone the other goes on, and its status says nothing of it any more.
    world.delete("serin.dev/v1alpha1", "Canary", "podinfo").await;
    assert_eq!(turn(&world, &mut other).await, Ok(()));
    let told = world.get("flagger.app/v1beta1", "Canary", "podinfo").await["status"].clone();
    assert_ne!(told["conditions"][0]["reason"], "Blocked", "{told:#}");
    assert_ne!(told["release"]["waitsFor"], why);
}

#[tokio::test]
async fn two_canaries_of_one_service_do_not_write_the_same_routes() {
    let receiver = Receiver::start().await;
    let mut world =
        World::new(vec![deployment("podinfo"), canary("serin.dev/v1alpha1", analysis())], receiver)
            .await;
    world.initialise().await;
    world.create(deployment("other")).await;
    let mut second = canary("serin.dev/v1alpha1", analysis());
    second["metadata"]["name"] = json!("second");
    second["spec"]["targetRef"]["name"] = json!("other");
    second["spec"]["service"]["name"] = json!("podinfo");
    world.create(second).await;
    let why = turn(&world, &mut release(&world, Kind::Canary, "second")).await.unwrap_err();
    assert!(why.starts_with("the routes of podinfo are released"), "{why}");
    world.tick().await;
    assert_eq!(world.shown().await, "Initialized 0", "the first goes on");
}
