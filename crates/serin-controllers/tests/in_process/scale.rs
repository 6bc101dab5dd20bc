//! Many pods and many Services: what the controllers do stays proportional to what there is to do.

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::{Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use serde_json::json;

use crate::cluster::Cluster;
use crate::deployments::deployment;

fn revision(object: &serde_json::Value) -> u64 {
    object["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_pods_cost_a_few_writes_each() {
    let cluster = Cluster::start().await;
    let begin = std::time::Instant::now();
    let service = json!({"metadata": {"name": "web"}, "spec": {"selector": {"app": "web"}, "ports": [{"port": 80}]}});
    let created = cluster.create::<Service>(service).await;
    let first = revision(&serde_json::to_value(created).unwrap());
    cluster.create::<Deployment>(deployment(200)).await;
    cluster.until_all::<Pod>("app=web", |pods| pods.len() == 200).await;
    let made = begin.elapsed();
    cluster.until::<Deployment>("web", |it| it["status"]["availableReplicas"] == 200).await;
    let slices = cluster
        .until_all::<EndpointSlice>("kubernetes.io/service-name=web", |slices| {
            let all = slices.iter().flat_map(|slice| &slice.endpoints);
            all.filter(|it| it.conditions.as_ref().and_then(|it| it.ready) == Some(true)).count()
                == 200
        })
        .await;
    println!("200 pods made in {made:?}, ready and in slices in {:?}", begin.elapsed());
    assert!(slices.iter().all(|slice| slice.endpoints.len() <= 100));
    let last = revision(&cluster.get::<Deployment>("web").await);
    // Each pod is made, placed and becomes ready: three writes. The rest are counts, slices and events, which are fewer.
    let writes = last - first;
    println!("{writes} writes");
    assert!(writes < 2_000, "{writes} writes");
    let sets = cluster.list::<ReplicaSet>("app=web").await;
    assert_eq!(sets.len(), 1);
    let uids: std::collections::BTreeSet<_> =
        cluster.list::<Pod>("app=web").await.into_iter().map(|pod| pod.metadata.uid).collect();
    assert_eq!(uids.len(), 200, "none was made twice");
    let begin = std::time::Instant::now();
    cluster.patch::<Deployment>("web", json!({"spec": {"replicas": 0}})).await;
    cluster.until_all::<Pod>("app=web", <[_]>::is_empty).await;
    println!("200 pods gone in {:?}", begin.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_services_are_not_touched_by_a_pod_that_is_not_theirs() {
    let cluster = Cluster::start().await;
    let begin = std::time::Instant::now();
    for number in 0..1000 {
        let name = format!("s{number}");
        let spec = json!({"selector": {"app": name}, "ports": [{"port": 80}]});
        cluster.create::<Service>(json!({"metadata": {"name": name}, "spec": spec})).await;
    }
    let managed = "endpointslice.kubernetes.io/managed-by";
    cluster.until_all::<EndpointSlice>(managed, |slices| slices.len() == 1000).await;
    println!("1000 Services in slices in {:?}", begin.elapsed());
    let before = revision(&cluster.get::<Service>("s0").await);
    let begin = std::time::Instant::now();
    cluster
        .create::<Pod>(json!({
            "metadata": {"name": "p", "labels": {"app": "s7"}},
            "spec": {"containers": [{"name": "c", "image": "i"}]},
        }))
        .await;
    let slices = cluster
        .until_all::<EndpointSlice>("kubernetes.io/service-name=s7", |slices| {
            slices.iter().map(|slice| slice.endpoints.len()).sum::<usize>() == 1
        })
        .await;
    println!("a pod in its slice in {:?}", begin.elapsed());
    assert_eq!(slices.len(), 1);
    let all = cluster.list::<EndpointSlice>(managed).await;
    let newest = |slice: &EndpointSlice| -> u64 {
        slice.metadata.resource_version.as_deref().unwrap().parse().unwrap()
    };
    let touched = all.iter().filter(|slice| slice.endpoints.len() == 1).count();
    assert_eq!(touched, 1);
    assert!(before < all.iter().map(newest).max().unwrap());
}
