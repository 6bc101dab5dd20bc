//! Pods from their beginning to their end.

use serde_json::json;

use crate::world::World;

#[tokio::test]
async fn a_pod_runs_is_ready_has_an_address_and_logs() {
    let Some(world) = World::start().await else { return };
    let script = "echo hello from $(NAME) on `hostname`; sleep 1000";
    let env = json!([{"name": "NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]);
    let pod = world.run("first", script, json!({"env": env})).await;
    let address = world.ready("first").await;
    assert!(address.starts_with("10.244."), "{address}");
    assert!(world.node.network_of(address.parse().unwrap()).is_some());
    world
        .until("first", |_| {
            (world.log(&pod, "main", 0) == "hello from first on first").then_some(())
        })
        .await;
    world.delete("first").await;
    world.gone("first").await;
    assert!(world.node.network_of(address.parse().unwrap()).is_none());
}

#[tokio::test]
async fn a_job_like_pod_ends_as_its_container_does() {
    let Some(world) = World::start().await else { return };
    let never = json!({"spec": {"restartPolicy": "Never"}});
    world.run("good", "exit 0", never.clone()).await;
    world.run("bad", "echo why > /dev/termination-log; exit 3", never).await;
    assert_eq!(world.over("good").await, "Succeeded");
    assert_eq!(world.over("bad").await, "Failed");
    let ended = world
        .until("bad", |pod| {
            Some(pod["status"]["containerStatuses"][0]["state"]["terminated"].clone())
        })
        .await;
    assert_eq!(ended["exitCode"], 3);
    assert_eq!(ended["reason"], "Error");
    assert_eq!(ended["message"], "why\n");
}
