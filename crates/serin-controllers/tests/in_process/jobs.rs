//! Jobs: pods that run to their end.

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use kube::api::{Api, Patch, PatchParams};
use serde_json::{Value, json};

use crate::cluster::Cluster;

fn job(spec: Value) -> Value {
    let mut job = json!({
        "metadata": {"name": "sum"},
        "spec": {"template": {"spec": {
            "restartPolicy": "Never",
            "containers": [{"name": "main", "image": "sum"}],
        }}},
    });
    for (name, value) in spec.as_object().unwrap() {
        job["spec"][name] = value.clone();
    }
    job
}

const OF_JOB: &str = "job-name=sum";

async fn end(cluster: &Cluster, pod: &Pod, phase: &str) {
    let api: Api<Pod> = cluster.api();
    let status = json!({"status": {"phase": phase}});
    api.patch_status(&pod.name_any(), &PatchParams::default(), &Patch::Merge(status))
        .await
        .unwrap();
}

fn is(object: &Value, kind: &str) -> bool {
    let all = object["status"]["conditions"].as_array().map(Vec::as_slice).unwrap_or_default();
    all.iter().any(|it| it["type"] == kind && it["status"] == "True")
}

fn active(pods: &[Pod]) -> Vec<Pod> {
    let running = |pod: &&Pod| {
        let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
        phase == Some("Running") && pod.metadata.deletion_timestamp.is_none()
    };
    pods.iter().filter(running).cloned().collect()
}

#[tokio::test]
async fn a_job_is_complete_when_as_many_pods_as_wanted_ended_well() {
    let cluster = Cluster::start().await;
    cluster.create::<Job>(job(json!({"completions": 3, "parallelism": 2}))).await;
    let pods = cluster.until_all::<Pod>(OF_JOB, |pods| active(pods).len() == 2).await;
    end(&cluster, &pods[0], "Succeeded").await;
    let pods =
        cluster.until_all::<Pod>(OF_JOB, |pods| pods.len() == 3 && active(pods).len() == 2).await;
    for pod in active(&pods) {
        end(&cluster, &pod, "Succeeded").await;
    }
    let seen = cluster.until::<Job>("sum", |it| is(it, "Complete")).await;
    assert!(is(&seen, "SuccessCriteriaMet"));
    assert_eq!(seen["status"]["succeeded"], 3);
    assert_eq!(seen["status"]["active"], Value::Null);
    assert_eq!(seen["status"]["uncountedTerminatedPods"], json!({}));
    assert!(seen["status"]["completionTime"].is_string());
    let pods = cluster.list::<Pod>(OF_JOB).await;
    assert!(pods.iter().all(|pod| pod.finalizers().is_empty()), "nothing holds them any more");
}

#[tokio::test]
async fn a_job_fails_when_more_pods_failed_than_may() {
    let cluster = Cluster::start().await;
    cluster
        .create::<Job>(job(json!({"backoffLimit": 0, "parallelism": 2, "completions": 2})))
        .await;
    let pods = cluster.until_all::<Pod>(OF_JOB, |pods| active(pods).len() == 2).await;
    end(&cluster, &pods[0], "Failed").await;
    let seen = cluster.until::<Job>("sum", |it| is(it, "Failed")).await;
    let failed = &seen["status"]["conditions"].as_array().unwrap().last().unwrap()["reason"];
    assert_eq!(failed, "BackoffLimitExceeded");
    assert_eq!(seen["status"]["failed"], 2, "the one that was stopped counts, too");
    cluster.until_all::<Pod>(OF_JOB, |pods| active(pods).is_empty()).await;
}

#[tokio::test]
async fn each_index_is_done_once() {
    let cluster = Cluster::start().await;
    let spec = json!({"completions": 3, "parallelism": 3, "completionMode": "Indexed"});
    cluster.create::<Job>(job(spec)).await;
    let pods = cluster.until_all::<Pod>(OF_JOB, |pods| active(pods).len() == 3).await;
    let mut names: Vec<_> =
        pods.iter().map(|pod| pod.spec.as_ref().unwrap().hostname.clone().unwrap()).collect();
    names.sort();
    assert_eq!(names, ["sum-0", "sum-1", "sum-2"]);
    for pod in &pods {
        end(&cluster, pod, "Succeeded").await;
    }
    let seen = cluster.until::<Job>("sum", |it| is(it, "Complete")).await;
    assert_eq!(seen["status"]["completedIndexes"], "0-2");
    assert_eq!(seen["status"]["succeeded"], 3);
}

#[tokio::test]
async fn a_suspended_job_runs_when_it_is_resumed_and_goes_when_its_time_is_over() {
    let cluster = Cluster::start().await;
    cluster.create::<Job>(job(json!({"suspend": true, "ttlSecondsAfterFinished": 0}))).await;
    cluster.until::<Job>("sum", |it| is(it, "Suspended")).await;
    assert!(cluster.list::<Pod>(OF_JOB).await.is_empty());
    cluster.patch::<Job>("sum", json!({"spec": {"suspend": false}})).await;
    let pods = cluster.until_all::<Pod>(OF_JOB, |pods| active(pods).len() == 1).await;
    end(&cluster, &pods[0], "Succeeded").await;
    cluster.until::<Job>("sum", Value::is_null).await;
    cluster.until_all::<Pod>(OF_JOB, <[_]>::is_empty).await;
}

#[tokio::test]
async fn a_job_that_goes_lets_its_pods_go() {
    let cluster = Cluster::start().await;
    cluster.create::<Job>(job(json!({}))).await;
    cluster.until_all::<Pod>(OF_JOB, |pods| active(pods).len() == 1).await;
    cluster.delete::<Job>("sum").await;
    cluster.until_all::<Pod>(OF_JOB, <[_]>::is_empty).await;
}
