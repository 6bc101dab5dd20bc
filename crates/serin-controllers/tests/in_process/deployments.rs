//! Deployments and their ReplicaSets, from creation to deletion.

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::{Event, Pod};
use kube::ResourceExt as _;
use serde_json::{Value, json};

use crate::cluster::{Cluster, set_ready};

pub(crate) fn deployment(replicas: i32) -> Value {
    json!({
        "metadata": {"name": "web", "labels": {"app": "web"}},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": "web"}},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {"containers": [{"name": "nginx", "image": "nginx:1.14.2"}]},
            },
        },
    })
}

fn image(image: &str) -> Value {
    json!({"spec": {"template": {"spec": {"containers": [{"name": "nginx", "image": image}]}}}})
}

fn condition<'v>(object: &'v Value, kind: &str) -> &'v Value {
    let all = object["status"]["conditions"].as_array().map(Vec::as_slice).unwrap_or_default();
    all.iter().find(|it| it["type"] == kind).unwrap_or(&Value::Null)
}

fn is_rolled_out(object: &Value) -> bool {
    condition(object, "Progressing")["reason"] == "NewReplicaSetAvailable"
        && object["status"]["observedGeneration"] == object["metadata"]["generation"]
        && object["status"]["updatedReplicas"] == object["spec"]["replicas"]
        && object["status"]["replicas"] == object["spec"]["replicas"]
        && object["status"]["availableReplicas"] == object["spec"]["replicas"]
}

#[tokio::test]
async fn a_deployment_becomes_a_replica_set_and_pods_and_says_so() {
    let cluster = Cluster::start().await;
    cluster.create::<Deployment>(deployment(2)).await;
    let seen = cluster.until::<Deployment>("web", is_rolled_out).await;
    assert_eq!(seen["status"]["readyReplicas"], 2);
    assert_eq!(seen["status"]["unavailableReplicas"], Value::Null);
    assert_eq!(seen["metadata"]["annotations"]["deployment.kubernetes.io/revision"], "1");
    assert_eq!(seen["metadata"]["generation"], 1);
    let set = &cluster.list::<ReplicaSet>("app=web").await[0];
    let hash = &set.labels()["pod-template-hash"];
    assert_eq!(set.name_any(), format!("web-{hash}"));
    let available = condition(&seen, "Available");
    assert_eq!(available["reason"], "MinimumReplicasAvailable");
    assert_eq!(available["message"], "Deployment has minimum availability.");
    let message = format!("ReplicaSet \"web-{hash}\" has successfully progressed.");
    assert_eq!(condition(&seen, "Progressing")["message"], message);
    for pod in cluster.list::<Pod>("app=web").await {
        assert_eq!(&pod.labels()["pod-template-hash"], hash);
        assert!(pod.name_any().starts_with(&format!("web-{hash}-")));
    }
    let events = cluster.until_all::<Event>("", |events| events.len() >= 3).await;
    let mut told: Vec<_> = events.into_iter().filter_map(|event| event.message).collect();
    told.sort();
    assert_eq!(told.last().unwrap(), &format!("Scaled up replica set web-{hash} from 0 to 2"));
    assert!(told[0].starts_with("Created pod: web-"), "{told:?}");
}

#[tokio::test]
async fn a_deployment_that_goes_takes_everything_along() {
    let cluster = Cluster::start().await;
    cluster.create::<Deployment>(deployment(3)).await;
    cluster.until::<Deployment>("web", is_rolled_out).await;
    cluster.delete::<Deployment>("web").await;
    cluster.until_all::<Pod>("app=web", <[_]>::is_empty).await;
    cluster.until_all::<ReplicaSet>("app=web", <[_]>::is_empty).await;
}

#[tokio::test]
async fn revisions_count_up_and_an_undo_is_a_new_one() {
    let cluster = Cluster::start().await;
    cluster.create::<Deployment>(deployment(2)).await;
    cluster.until::<Deployment>("web", is_rolled_out).await;
    let revision = |object: &Value, number: &str| {
        object["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == number
    };
    for (number, version) in [("2", "nginx:1.16.1"), ("3", "nginx:1.14.2")] {
        cluster.patch::<Deployment>("web", image(version)).await;
        let good = |object: &Value| is_rolled_out(object) && revision(object, number);
        let seen = cluster.until::<Deployment>("web", good).await;
        assert_eq!(seen["metadata"]["generation"].to_string(), number);
    }
    let mut sets: Vec<_> = cluster
        .list::<ReplicaSet>("app=web")
        .await
        .into_iter()
        .map(|set| {
            let annotation = |name: &str| {
                set.annotations().get(&format!("deployment.kubernetes.io/{name}")).cloned()
            };
            (
                set.spec.as_ref().unwrap().replicas,
                annotation("revision"),
                annotation("revision-history"),
            )
        })
        .collect();
    sets.sort();
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(sets, [(Some(0), text("2"), None), (Some(2), text("3"), text("1"))]);
}

#[tokio::test]
async fn a_rolling_update_keeps_within_surge_and_unavailability() {
    let cluster = Cluster::start().await;
    cluster.create::<Deployment>(deployment(4)).await;
    cluster.until::<Deployment>("web", is_rolled_out).await;
    cluster.ready_if(|_| false);
    cluster.patch::<Deployment>("web", image("nginx:1.16.1")).await;
    // 25 %: one above, one below.
    let good = |pods: &[Pod]| {
        let new = pods.iter().filter(|pod| is_new(pod)).count();
        (pods.len(), new) == (5, 2)
    };
    let mut pods = cluster.until_all::<Pod>("app=web", good).await;
    let seen =
        cluster.until::<Deployment>("web", |it| it["status"]["unavailableReplicas"] == 2).await;
    assert_eq!(condition(&seen, "Progressing")["reason"], "ReplicaSetUpdated");
    pods.retain(is_new);
    set_ready(&cluster.api(), &pods[0].name_any(), true).await;
    cluster
        .until_all::<Pod>("app=web", |pods| {
            let new = pods.iter().filter(|pod| is_new(pod)).count();
            (pods.len(), new) == (5, 3)
        })
        .await;
    cluster.ready_if(|_| true);
    set_ready(&cluster.api(), &pods[1].name_any(), true).await;
    for pod in cluster.list::<Pod>("app=web").await {
        set_ready(&cluster.api(), &pod.name_any(), true).await;
    }
    cluster.until::<Deployment>("web", is_rolled_out).await;
}

fn is_new(pod: &Pod) -> bool {
    pod.spec.as_ref().unwrap().containers[0].image.as_deref() == Some("nginx:1.16.1")
}

#[tokio::test]
async fn a_paused_deployment_waits_and_is_scaled_all_the_same() {
    let cluster = Cluster::start().await;
    cluster.create::<Deployment>(deployment(2)).await;
    cluster.until::<Deployment>("web", is_rolled_out).await;
    cluster.patch::<Deployment>("web", json!({"spec": {"paused": true}})).await;
    cluster.patch::<Deployment>("web", image("nginx:1.16.1")).await;
    cluster.patch::<Deployment>("web", json!({"spec": {"replicas": 3}})).await;
    let seen = cluster
        .until::<Deployment>("web", |it| {
            it["status"]["replicas"] == 3
                && it["status"]["observedGeneration"] == it["metadata"]["generation"]
        })
        .await;
    assert_eq!(condition(&seen, "Progressing")["reason"], "DeploymentPaused");
    assert_eq!(seen["status"]["updatedReplicas"], Value::Null);
    assert!(!cluster.list::<Pod>("app=web").await.iter().any(is_new));
    cluster.patch::<Deployment>("web", json!({"spec": {"paused": false}})).await;
    cluster.until::<Deployment>("web", is_rolled_out).await;
    cluster.until_all::<Pod>("app=web", |pods| pods.iter().all(is_new)).await;
}

#[tokio::test]
async fn recreate_removes_all_pods_before_the_first_new_one() {
    let cluster = Cluster::start().await;
    let mut object = deployment(3);
    object["spec"]["strategy"] = json!({"type": "Recreate"});
    cluster.create::<Deployment>(object).await;
    cluster.until::<Deployment>("web", is_rolled_out).await;
    cluster.patch::<Deployment>("web", image("nginx:1.16.1")).await;
    cluster
        .until_all::<Pod>("app=web", |pods| {
            let new = pods.iter().filter(|pod| is_new(pod)).count();
            assert!(new == 0 || new == pods.len(), "old and new at once");
            new == 3
        })
        .await;
    cluster.until::<Deployment>("web", is_rolled_out).await;
}

#[tokio::test]
async fn the_history_is_as_long_as_wanted() {
    let cluster = Cluster::start().await;
    let mut object = deployment(1);
    object["spec"]["revisionHistoryLimit"] = json!(1);
    cluster.create::<Deployment>(object).await;
    cluster.until::<Deployment>("web", is_rolled_out).await;
    for version in 1..4 {
        cluster.patch::<Deployment>("web", image(&format!("nginx:{version}"))).await;
        cluster.until::<Deployment>("web", is_rolled_out).await;
    }
    cluster.until_all::<ReplicaSet>("app=web", |sets| sets.len() == 2).await;
}

#[tokio::test]
async fn pods_that_are_deleted_or_fail_are_replaced_and_fitting_orphans_are_taken_in() {
    let cluster = Cluster::start().await;
    let set = json!({
        "metadata": {"name": "web"},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": {"app": "web"}},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {"containers": [{"name": "nginx", "image": "nginx"}]},
            },
        },
    });
    let orphan = json!({
        "metadata": {"name": "orphan", "labels": {"app": "web"}},
        "spec": {"containers": [{"name": "nginx", "image": "nginx"}]},
    });
    cluster.create::<Pod>(orphan).await;
    cluster.create::<ReplicaSet>(set).await;
    cluster.until::<ReplicaSet>("web", |it| it["status"]["readyReplicas"] == 2).await;
    let pods = cluster.list::<Pod>("app=web").await;
    assert_eq!(pods.len(), 2);
    assert!(pods.iter().all(|pod| pod.owner_references()[0].name == "web"));
    // One that is not chosen any more is let go and replaced.
    cluster.patch::<Pod>("orphan", json!({"metadata": {"labels": {"app": "other"}}})).await;
    cluster.until::<Pod>("orphan", |it| it["metadata"]["ownerReferences"].is_null()).await;
    let pods = cluster.until_all::<Pod>("app=web", |pods| pods.len() == 2).await;
    cluster.delete::<Pod>(&pods[0].name_any()).await;
    let gone = pods[0].uid();
    cluster
        .until_all::<Pod>("app=web", |pods| {
            pods.len() == 2 && pods.iter().all(|pod| pod.uid() != gone)
        })
        .await;
}

#[tokio::test]
async fn what_keeps_pods_from_being_made_is_told() {
    let cluster = Cluster::start().await;
    let mut object = deployment(2);
    object["spec"]["template"]["spec"]["serviceAccountName"] = json!("nobody");
    cluster.create::<Deployment>(object).await;
    let seen =
        cluster.until::<Deployment>("web", |it| !condition(it, "ReplicaFailure").is_null()).await;
    let failure = condition(&seen, "ReplicaFailure");
    assert_eq!(failure["reason"], "FailedCreate");
    let message = failure["message"].as_str().unwrap();
    assert!(message.contains("serviceaccount \"nobody\" not found"), "{message}");
    cluster
        .create::<k8s_openapi::api::core::v1::ServiceAccount>(
            json!({"metadata": {"name": "nobody"}}),
        )
        .await;
    cluster.until::<Deployment>("web", is_rolled_out).await;
}

#[tokio::test]
async fn controllers_that_end_anywhere_in_an_update_are_continued_by_the_next() {
    let mut cluster = Cluster::start().await;
    cluster.create::<Deployment>(deployment(6)).await;
    for step in 0..12 {
        cluster.halt().await;
        cluster.run(serin_controllers::Settings::default());
        cluster.patch::<Deployment>("web", image(&format!("nginx:{}", step / 4))).await;
        for _ in 0..step * 3 {
            tokio::task::yield_now().await;
        }
    }
    let seen = cluster.until::<Deployment>("web", is_rolled_out).await;
    assert_eq!(seen["status"]["replicas"], 6);
    let pods = cluster.until_all::<Pod>("app=web", |pods| pods.len() == 6).await;
    assert_eq!(pods.len(), 6);
}
