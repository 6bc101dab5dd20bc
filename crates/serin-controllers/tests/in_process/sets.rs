//! StatefulSets, DaemonSets and the budgets for disruptions.

use k8s_openapi::api::apps::v1::{ControllerRevision, DaemonSet, Deployment, StatefulSet};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::ResourceExt as _;
use serde_json::{Value, json};

use crate::cluster::{Cluster, set_ready};

fn set(kind_spec: Value) -> Value {
    let mut object = json!({
        "metadata": {"name": "db"},
        "spec": {
            "selector": {"matchLabels": {"app": "db"}},
            "template": {
                "metadata": {"labels": {"app": "db"}},
                "spec": {"containers": [{"name": "main", "image": "db:1"}]},
            },
        },
    });
    for (name, value) in kind_spec.as_object().unwrap() {
        object["spec"][name] = value.clone();
    }
    object
}

fn image(image: &str) -> Value {
    json!({"spec": {"template": {"spec": {"containers": [{"name": "main", "image": image}]}}}})
}

fn image_of(pod: &Pod) -> &str {
    pod.spec.as_ref().unwrap().containers[0].image.as_deref().unwrap()
}

#[tokio::test]
async fn a_stateful_set_goes_up_and_down_in_order() {
    let cluster = Cluster::start().await;
    cluster.ready_if(|_| false);
    let volume = json!([{"metadata": {"name": "data"}, "spec": {
        "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}},
    }}]);
    let spec = json!({"replicas": 3, "serviceName": "db", "volumeClaimTemplates": volume});
    cluster.create::<StatefulSet>(set(spec)).await;
    for place in 0..3 {
        let pods = cluster.until_all::<Pod>("app=db", |pods| pods.len() == place + 1).await;
        let names: Vec<_> = pods.iter().map(|pod| pod.name_any()).collect();
        assert_eq!(names[place], format!("db-{place}"));
        set_ready(&cluster.api(), &names[place], true).await;
    }
    let seen = cluster.until::<StatefulSet>("db", |it| it["status"]["readyReplicas"] == 3).await;
    assert_eq!(seen["status"]["currentReplicas"], 3);
    assert_eq!(seen["status"]["currentRevision"], seen["status"]["updateRevision"]);
    let claims = cluster.list::<PersistentVolumeClaim>("app=db").await;
    assert_eq!(claims[1].name_any(), "data-db-1");
    let pod = cluster.get::<Pod>("db-1").await;
    assert_eq!(pod["spec"]["hostname"], "db-1");
    assert_eq!(pod["spec"]["subdomain"], "db");
    assert_eq!(pod["metadata"]["labels"]["apps.kubernetes.io/pod-index"], "1");
    cluster.patch::<StatefulSet>("db", json!({"spec": {"replicas": 1}})).await;
    let pods = cluster.until_all::<Pod>("app=db", |pods| pods.len() == 1).await;
    assert_eq!(pods[0].name_any(), "db-0");
}

#[tokio::test]
async fn a_stateful_set_is_updated_from_its_end_down_to_its_partition() {
    let cluster = Cluster::start().await;
    let strategy = json!({"type": "RollingUpdate", "rollingUpdate": {"partition": 1}});
    let spec = json!({"replicas": 3, "serviceName": "db", "updateStrategy": strategy});
    cluster.create::<StatefulSet>(set(spec)).await;
    cluster.until::<StatefulSet>("db", |it| it["status"]["readyReplicas"] == 3).await;
    cluster.patch::<StatefulSet>("db", image("db:2")).await;
    let updated = |pods: &[Pod], count: usize| {
        pods.len() == 3 && pods.iter().filter(|pod| image_of(pod) == "db:2").count() == count
    };
    let pods = cluster.until_all::<Pod>("app=db", |pods| updated(pods, 2)).await;
    assert_eq!(image_of(&pods[0]), "db:1");
    let seen = cluster
        .until::<StatefulSet>("db", |it| {
            it["status"]["updatedReplicas"] == 2 && it["status"]["readyReplicas"] == 3
        })
        .await;
    assert_ne!(seen["status"]["currentRevision"], seen["status"]["updateRevision"]);
    // One that is lost below the partition comes back as it was.
    cluster.delete::<Pod>("db-0").await;
    let uid = pods[0].uid();
    let pods =
        cluster.until_all::<Pod>("app=db", |pods| pods.len() == 3 && pods[0].uid() != uid).await;
    assert_eq!(image_of(&pods[0]), "db:1");
    let whole = json!({"spec": {"updateStrategy": {"rollingUpdate": {"partition": 0}}}});
    cluster.patch::<StatefulSet>("db", whole).await;
    cluster.until_all::<Pod>("app=db", |pods| updated(pods, 3)).await;
    cluster
        .until::<StatefulSet>("db", |it| {
            it["status"]["currentRevision"] == it["status"]["updateRevision"]
                && it["status"]["currentReplicas"] == 3
        })
        .await;
    let mut revisions: Vec<_> = cluster.list::<ControllerRevision>("app=db").await;
    revisions.sort_by_key(|it| it.revision);
    let numbers: Vec<_> = revisions.iter().map(|it| it.revision).collect();
    assert_eq!(numbers, [1, 2]);
    assert_eq!(revisions[0].data.as_ref().unwrap().0["spec"]["template"]["$patch"], "replace");
}

#[tokio::test]
async fn a_daemon_set_has_one_pod_on_the_node_and_replaces_it() {
    let cluster = Cluster::start().await;
    cluster.create::<DaemonSet>(set(json!({}))).await;
    let seen = cluster.until::<DaemonSet>("db", |it| it["status"]["numberAvailable"] == 1).await;
    assert_eq!(seen["status"]["desiredNumberScheduled"], 1);
    assert_eq!(seen["status"]["updatedNumberScheduled"], 1);
    cluster.patch::<DaemonSet>("db", image("db:2")).await;
    cluster
        .until_all::<Pod>("app=db", |pods| pods.len() == 1 && image_of(&pods[0]) == "db:2")
        .await;
    cluster
        .until::<DaemonSet>("db", |it| {
            it["status"]["observedGeneration"] == 2 && it["status"]["numberAvailable"] == 1
        })
        .await;
    let other = json!({"spec": {"template": {"spec": {"nodeSelector": {"disk": "fast"}}}}});
    cluster.patch::<DaemonSet>("db", other).await;
    cluster.until_all::<Pod>("app=db", <[_]>::is_empty).await;
}

#[tokio::test]
async fn a_budget_says_how_many_pods_may_go() {
    let cluster = Cluster::start().await;
    cluster.create::<Deployment>(crate::deployments::deployment(4)).await;
    let budget = json!({
        "metadata": {"name": "web"},
        "spec": {"maxUnavailable": "25%", "selector": {"matchLabels": {"app": "web"}}},
    });
    cluster.create::<PodDisruptionBudget>(budget).await;
    let allowed = |number: i32| {
        move |it: &Value| {
            it["status"]["disruptionsAllowed"] == number && it["status"]["expectedPods"] == 4
        }
    };
    let seen = cluster.until::<PodDisruptionBudget>("web", allowed(1)).await;
    assert_eq!(seen["status"]["desiredHealthy"], 3);
    assert_eq!(seen["status"]["conditions"][0]["reason"], "SufficientPods");
    let pods = cluster.list::<Pod>("app=web").await;
    set_ready(&cluster.api(), &pods[0].name_any(), false).await;
    let seen = cluster.until::<PodDisruptionBudget>("web", allowed(0)).await;
    assert_eq!(seen["status"]["conditions"][0]["reason"], "InsufficientPods");
}
