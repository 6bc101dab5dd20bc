//! kube-rs in the same process: its client over the server's own service, without a socket.

#![expect(clippy::unwrap_used, reason = "a helper of tests that fails fails its test")]

use futures_util::StreamExt as _;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, ListParams, Patch, PatchParams, PostParams};
use kube::runtime::{WatchStreamExt as _, watcher};
use serde_json::json;
use serin_apiserver::{ApiServer, Settings, User};

async fn client() -> kube::Client {
    let server = ApiServer::start(Settings::default()).await.unwrap();
    kube::Client::new(server.client(User::administrator()), "default")
}

fn config_map(name: &str) -> ConfigMap {
    serde_json::from_value(json!({"metadata": {"name": name}, "data": {"key": "value"}})).unwrap()
}

#[tokio::test]
async fn objects_are_made_read_applied_and_listed() {
    let maps: Api<ConfigMap> = Api::default_namespaced(client().await);
    maps.create(&PostParams::default(), &config_map("first")).await.unwrap();
    let change = json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"other": "1"}});
    let applied =
        maps.patch("first", &PatchParams::apply("test"), &Patch::Apply(change)).await.unwrap();
    assert_eq!(applied.data.unwrap().len(), 2);
    let all = maps.list(&ListParams::default()).await.unwrap();
    let names: Vec<_> = all.items.into_iter().filter_map(|map| map.metadata.name).collect();
    assert!(names.contains(&"first".to_owned()), "{names:?}");
}

#[tokio::test]
async fn a_watcher_sees_what_is_there_and_what_comes() {
    let maps: Api<ConfigMap> = Api::default_namespaced(client().await);
    maps.create(&PostParams::default(), &config_map("before")).await.unwrap();
    let config = watcher::Config::default().streaming_lists();
    let mut seen = std::pin::pin!(watcher(maps.clone(), config).applied_objects());
    let mut next = async || seen.next().await.unwrap().unwrap().metadata.name.unwrap();
    let mut first = next().await;
    if first == "kube-root-ca.crt" {
        first = next().await;
    }
    assert_eq!(first, "before");
    maps.create(&PostParams::default(), &config_map("after")).await.unwrap();
    let mut second = next().await;
    if second == "kube-root-ca.crt" {
        second = next().await;
    }
    assert_eq!(second, "after");
}
