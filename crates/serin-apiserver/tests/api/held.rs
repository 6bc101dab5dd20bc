//! What an object holds: addresses of Services, and claims of storage that pods use.

use std::time::Duration;

use serde_json::{Value, json};
use serin_apiserver::Settings;

use super::support::{Client, start};

const SERVICES: &str = "/api/v1/namespaces/default/services";
const ADDRESSES: &str = "/apis/networking.k8s.io/v1/ipaddresses";
const CLAIMS: &str = "/api/v1/namespaces/default/persistentvolumeclaims";

fn service(name: &str, address: &str) -> Value {
    let spec = json!({"ports": [{"port": 80}], "selector": {"app": "x"}, "clusterIP": address});
    json!({"metadata": {"name": name}, "spec": spec})
}

/// Asks until the answer is like that.
async fn until(client: &Client, path: &str, is_so: impl Fn(u16, &Value) -> bool) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
    loop {
        let answer = client.get(path).await;
        if is_so(answer.code, &answer.body) {
            return;
        }
        assert!(tokio::time::Instant::now() < deadline, "it stays so: {answer:?}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn an_address_tells_whose_it_is_however_fast_services_change() {
    let client = start(Settings::default()).await;
    let address = "10.96.0.77";
    let path = format!("{ADDRESSES}/{address}");
    for name in ["a", "b", "c", "d"] {
        let made = client.post(SERVICES, service(name, address)).await;
        assert_eq!(made.code, 201, "{made:?}");
        // Before or after the object is there.
        if name == "c" {
            until(&client, &path, |code, body| {
                code == 200 && body["spec"]["parentRef"]["name"] == "c"
            })
            .await;
        }
        assert_eq!(client.delete(&format!("{SERVICES}/{name}")).await.code, 200);
    }
    until(&client, &path, |code, _| code == 404).await;
    assert_eq!(client.post(SERVICES, service("e", address)).await.code, 201);
    until(&client, &path, |code, body| code == 200 && body["spec"]["parentRef"]["name"] == "e")
        .await;
    // Nothing of what was under way takes it away again.
    for _ in 0..1000 {
        tokio::task::yield_now().await;
    }
    assert_eq!(client.get(&path).await.body["spec"]["parentRef"]["name"], "e");
}

#[tokio::test]
async fn a_claim_is_kept_until_the_pod_that_uses_it_has_ended() {
    let client = start(Settings::default()).await;
    let claim = json!({
        "metadata": {"name": "data"},
        "spec": {
            "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}},
        },
    });
    assert_eq!(client.post(CLAIMS, claim).await.code, 201);
    let volume = json!({"name": "data", "persistentVolumeClaim": {"claimName": "data"}});
    let pod = json!({
        "metadata": {"name": "job"},
        "spec": {"containers": [{"name": "c", "image": "x"}], "volumes": [volume]},
    });
    let made = client.post("/api/v1/namespaces/default/pods", pod).await;
    assert_eq!(made.code, 201, "{made:?}");
    client.bind("job").await;
    let path = format!("{CLAIMS}/data");
    assert_eq!(client.delete(&path).await.code, 200);
    for _ in 0..1000 {
        tokio::task::yield_now().await;
    }
    let kept = client.get(&path).await.body;
    assert!(kept["metadata"]["deletionTimestamp"].is_string(), "{kept}");
    let status = "/api/v1/namespaces/default/pods/job/status";
    let ended = json!({"status": {"phase": "Succeeded"}});
    assert_eq!(client.patch(status, ended).await.code, 200);
    until(&client, &path, |code, _| code == 404).await;
}
