//! Parts of pods that have paths of their own: containers to look into them, resources, and what listens in them.

use http::Method;
use serde_json::{Value, json};
use serin_apiserver::Settings;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::support::{Client, read, start};

const POD: &str = "/api/v1/namespaces/default/pods/web";

async fn strategic(client: &Client, path: &str, patch: Value) -> super::support::Answer {
    let headers = [("content-type", "application/strategic-merge-patch+json")];
    read(client.raw(Method::PATCH, path, &headers, patch.to_string()).await).await
}

#[tokio::test]
async fn containers_are_added_to_a_pod_and_stay() {
    let client = start(Settings::default()).await;
    client.pod("web", &["web"]).await;
    let path = format!("{POD}/ephemeralcontainers");
    let adding = |container: Value| json!({"spec": {"ephemeralContainers": [container]}});
    let debug =
        json!({"name": "debug", "image": "shell", "targetContainerName": "web", "stdin": true});
    let added = strategic(&client, &path, adding(debug)).await;
    assert_eq!(added.code, 200, "{added:?}");
    let pod = client.get(POD).await.body;
    let container = &pod["spec"]["ephemeralContainers"][0];
    assert_eq!(
        (&container["name"], &container["imagePullPolicy"]),
        (&json!("debug"), &json!("Always"))
    );
    assert_eq!(pod["spec"]["containers"][0]["image"], "x");
    for (container, why) in [
        (
            json!({"name": "debug", "image": "other"}),
            "spec.ephemeralContainers: Forbidden: existing ephemeral containers \"debug\" may not be changed\n",
        ),
        (
            json!({"name": "web", "image": "x"}),
            "spec.ephemeralContainers[0].name: Duplicate value: \"web\"",
        ),
        (
            json!({"name": "second", "image": "x", "targetContainerName": "nobody"}),
            "spec.ephemeralContainers[0].targetContainerName: Not found: \"nobody\"",
        ),
        (
            json!({"name": "second", "image": "x", "ports": [{"containerPort": 80}]}),
            "spec.ephemeralContainers[0].ports: Forbidden: cannot be set for an Ephemeral Container",
        ),
    ] {
        let refused = strategic(&client, &path, adding(container)).await;
        assert_eq!(refused.code, 422, "{refused:?}");
        assert!(refused.message().ends_with(why), "{}", refused.message());
    }
    // Nothing else of the pod is written this way, and this not in the other.
    let other = json!({"spec": {"containers": [{"name": "web", "image": "new"}]}});
    assert_eq!(strategic(&client, &path, other).await.code, 200);
    assert_eq!(client.get(POD).await.body["spec"]["containers"][0]["image"], "x");
    let plain = adding(json!({"name": "third", "image": "x"}));
    assert_eq!(strategic(&client, POD, plain).await.code, 422);
}

#[tokio::test]
async fn resources_of_a_running_pod_are_changed_by_their_own_path() {
    let client = start(Settings::default()).await;
    let resources = |cpu: &str| json!({"requests": {"cpu": cpu}});
    let small = json!({"name": "web", "image": "web", "resources": resources("50m")});
    let pod = json!({"metadata": {"name": "web"}, "spec": {"containers": [small]}});
    assert_eq!(client.post("/api/v1/namespaces/default/pods", pod).await.code, 201);
    let wanted = json!({"spec": {"containers": [{"name": "web", "resources": resources("100m")}]}});
    assert_eq!(strategic(&client, POD, wanted.clone()).await.code, 422);
    let none = json!({"spec": {"containers": [{"name": "web", "resources": {"requests": null}}]}});
    assert_eq!(strategic(&client, &format!("{POD}/resize"), none).await.code, 422);
    let resized = strategic(&client, &format!("{POD}/resize"), wanted).await;
    assert_eq!(resized.code, 200, "{resized:?}");
    let pod = client.get(POD).await.body;
    assert_eq!(pod["spec"]["containers"][0]["resources"]["requests"]["cpu"], "100m");
    assert_eq!(pod["metadata"]["generation"], 2);
}

/// Something that answers every request with what was asked.
async fn echo() -> u16 {
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = socket.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = socket.accept().await {
            let mut head = vec![0; 4096];
            let length = stream.read(&mut head).await.unwrap();
            let line = String::from_utf8_lossy(&head[..length]);
            let line = line.lines().next().unwrap_or_default();
            let answer = format!(
                "HTTP/1.1 418 Teapot\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{line}",
                line.len()
            );
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    port
}

#[tokio::test]
async fn what_listens_in_a_pod_is_asked_through_the_api() {
    let client = start(Settings::default()).await;
    let port = echo().await;
    client.pod("web", &["web"]).await;
    let ip = json!({"status": {"podIP": "127.0.0.1", "podIPs": [{"ip": "127.0.0.1"}]}});
    assert_eq!(client.patch(&format!("{POD}/status"), ip).await.code, 200);
    let asked = client.get(&format!("{POD}:{port}/proxy/a/b%20c/?d=e")).await;
    assert_eq!((asked.code, asked.body), (418, json!("GET /a/b%20c/?d=e HTTP/1.1")));

    let service = json!({
        "metadata": {"name": "front"}, "spec": {"ports": [{"name": "http", "port": 80}]},
    });
    assert_eq!(client.post("/api/v1/namespaces/default/services", service).await.code, 201);
    let front = "/api/v1/namespaces/default/services/front";
    let nobody = client.get(&format!("{front}/proxy/")).await;
    let text = "no endpoints available for service \"front\"";
    assert_eq!((nobody.code, nobody.message()), (503, text));
    let slice = json!({
        "metadata": {"name": "front-1", "labels": {"kubernetes.io/service-name": "front"}},
        "addressType": "IPv4", "ports": [{"name": "http", "port": port}],
        "endpoints": [{"addresses": ["127.0.0.1"]}],
    });
    let slices = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices";
    assert_eq!(client.post(slices, slice).await.code, 201);
    for name in ["front", "front:http", "front:80", "http:front:http"] {
        let path = format!("/api/v1/namespaces/default/services/{name}/proxy/x");
        assert_eq!(client.get(&path).await.body, json!("GET /x HTTP/1.1"), "{name}");
    }
    let missing = client.get("/api/v1/namespaces/default/services/front:odd/proxy/").await;
    let text = "no service port \"odd\" found for service \"front\"";
    assert_eq!((missing.code, missing.message()), (503, text));
}

#[tokio::test]
async fn pods_name_runtime_classes_that_exist_and_pay_for_them() {
    let client = start(Settings::default()).await;
    let pods = "/api/v1/namespaces/default/pods";
    let pod = |name: &str, more: Value| {
        let mut spec =
            json!({"containers": [{"name": "a", "image": "x"}], "runtimeClassName": "kata"});
        for (field, value) in more.as_object().unwrap() {
            spec[field] = value.clone();
        }
        json!({"metadata": {"name": name}, "spec": spec})
    };
    let missing = client.post(pods, pod("web", json!({}))).await;
    let text = "pods \"web\" is forbidden: pod rejected: RuntimeClass \"kata\" not found";
    assert_eq!((missing.code, missing.message()), (403, text));
    let class = json!({"metadata": {"name": "kata"}, "handler": "kata",
        "overhead": {"podFixed": {"cpu": "250m"}},
        "scheduling": {"nodeSelector": {"vm": "yes"}, "tolerations": [{"key": "vm", "operator": "Exists"}]}});
    assert_eq!(client.post("/apis/node.k8s.io/v1/runtimeclasses", class).await.code, 201);
    let made = client.post(pods, pod("web", json!({"nodeSelector": {"disk": "ssd"}}))).await;
    assert_eq!(made.code, 201, "{made:?}");
    let spec = &made.body["spec"];
    assert_eq!(spec["overhead"], json!({"cpu": "250m"}));
    assert_eq!(spec["nodeSelector"], json!({"disk": "ssd", "vm": "yes"}));
    let tolerations = spec["tolerations"].as_array().unwrap();
    assert!(tolerations.contains(&json!({"key": "vm", "operator": "Exists"})), "{tolerations:?}");
    for (more, why) in [
        (
            json!({"overhead": {"cpu": "1"}}),
            "Pod's Overhead doesn't match RuntimeClass's defined Overhead",
        ),
        (
            json!({"nodeSelector": {"vm": "no"}}),
            "conflict: runtimeClass.scheduling.nodeSelector[vm] = yes; pod.spec.nodeSelector[vm] = no",
        ),
    ] {
        let refused = client.post(pods, pod("other", more)).await;
        assert_eq!(refused.code, 403, "{refused:?}");
        assert!(refused.message().ends_with(why), "{}", refused.message());
    }
}
