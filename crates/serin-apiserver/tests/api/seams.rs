//! What the server takes from others: the kubelet, groups served elsewhere, admission plug-ins; and the parts of pods.

use std::sync::Arc;

use http::{Method, Response, StatusCode};
use http_body_util::{BodyExt as _, Empty};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use serin_apiserver::{
    Admission, Admitted, Listener, LocalService, Operation, Review, Settings, User,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::support::{Client, service, start, text};

const POD: &str = "/api/v1/namespaces/default/pods/web";

/// A kubelet that says what it was asked, and echoes streams.
fn kubelet() -> LocalService {
    service(|mut request| {
        if let Some(upgrade) = request.extensions_mut().remove::<hyper::upgrade::OnUpgrade>() {
            tokio::spawn(async move {
                let mut stream = TokioIo::new(upgrade.await.unwrap());
                let mut bytes = [0; 4];
                stream.read_exact(&mut bytes).await.unwrap();
                stream.write_all(&bytes).await.unwrap();
            });
            let body = Empty::new().boxed_unsync();
            let response = Response::builder().status(StatusCode::SWITCHING_PROTOCOLS);
            return response
                .header("connection", "Upgrade")
                .header("upgrade", "websocket")
                .header("x-asked", request.uri().to_string())
                .body(body)
                .unwrap();
        }
        match request.uri().path() {
            "/containerLogs/default/web/broken" => text(400, "container is waiting to start"),
            _ => text(200, format!("{} {}", request.method(), request.uri())),
        }
    })
}

async fn with_kubelet(containers: &[&str]) -> Client {
    let client = start(Settings { kubelet: Some(kubelet()), ..Settings::default() }).await;
    client.pod("web", containers).await;
    client
}

#[tokio::test]
async fn logs_come_from_the_kubelet_of_the_container_that_is_meant() {
    let client = with_kubelet(&["app", "side", "broken"]).await;
    let log = async |query: &str| client.get(&format!("{POD}/log?{query}")).await;
    assert_eq!(log("container=app").await.code, 204);
    client.bind("web").await;
    let asked = log("container=side&follow=true&tailLines=3").await;
    assert_eq!(asked.code, 200);
    assert_eq!(asked.body, "GET /containerLogs/default/web/side?follow=true&tailLines=3");
    let none = log("").await;
    assert_eq!(none.code, 400);
    assert_eq!(
        none.message(),
        "a container name must be specified for pod web, choose one of: [app side broken]"
    );
    assert_eq!(log("container=x").await.message(), "container x is not valid for pod web");
    assert_eq!(log("container=broken").await.message(), "container is waiting to start");
    assert_eq!(log("container=app&tailLines=-1").await.code, 422);
}

#[tokio::test]
async fn without_a_node_it_is_said_that_nothing_runs() {
    let client = start(Settings::default()).await;
    client.pod("web", &["app"]).await;
    client.bind("web").await;
    let refused = client.get(&format!("{POD}/log")).await;
    assert_eq!(refused.code, 501);
    assert!(refused.message().contains("has no node"), "{}", refused.message());
    assert_eq!(client.get(&format!("{POD}/nothing")).await.code, 404);
    assert_eq!(client.delete(&format!("{POD}/log")).await.code, 405);
}

#[tokio::test]
async fn a_stream_is_upgraded_through_the_socket_to_the_kubelet() {
    let client = with_kubelet(&["app"]).await;
    client.bind("web").await;
    let listener =
        Listener::open(client.server.clone(), "127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = listener.address();
    let access = client.server.access(address);
    tokio::spawn(listener.serve(std::future::pending()));
    let mut roots = rustls::RootCertStore::empty();
    let authority: rustls::pki_types::CertificateDer<'static> =
        rustls::pki_types::pem::PemObject::from_pem_slice(access.authority.as_bytes()).unwrap();
    roots.add(authority).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let socket = tokio::net::TcpStream::connect(address).await.unwrap();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let stream = connector.connect("localhost".try_into().unwrap(), socket).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection.with_upgrades());
    let request = http::Request::builder()
        .uri(format!("{POD}/exec?command=ls&command=-l&stdin=true&stdout=true&tty=false"))
        .header("host", "localhost")
        .header("connection", "Upgrade")
        .header("upgrade", "websocket")
        .header("authorization", format!("Bearer {}", access.token))
        .body(Empty::<bytes::Bytes>::new())
        .unwrap();
    let response = sender.send_request(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
    assert_eq!(
        response.headers()["x-asked"],
        "/exec/default/web/app?command=ls&command=-l&input=1&output=1"
    );
    let mut stream = TokioIo::new(hyper::upgrade::on(response).await.unwrap());
    stream.write_all(b"ping").await.unwrap();
    let mut bytes = [0; 4];
    stream.read_exact(&mut bytes).await.unwrap();
    assert_eq!(&bytes, b"ping");
}

fn metrics() -> LocalService {
    let list = json!({
        "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": "metrics.k8s.io/v1beta1",
        "resources": [
            {"name": "nodes", "singularName": "", "namespaced": false, "kind": "NodeMetrics", "verbs": ["get", "list"]},
            {"name": "pods", "singularName": "", "namespaced": true, "kind": "PodMetrics", "verbs": ["get", "list"]},
        ],
    });
    service(move |request| match request.uri().path() {
        "/apis/metrics.k8s.io/v1beta1" => text(200, list.to_string()),
        _ => {
            let user = request.headers()["x-remote-user"].to_str().unwrap();
            text(200, json!({"asked": request.uri().to_string(), "by": user}).to_string())
        }
    })
}

#[tokio::test]
async fn a_group_that_is_served_elsewhere_is_discovered_and_asked() {
    let aggregated = [("metrics.k8s.io/v1beta1".to_owned(), metrics())].into();
    let client = start(Settings { aggregated, ..Settings::default() }).await;
    let groups = client.get("/apis").await.body;
    let found =
        |groups: &Value| groups["groups"].as_array().unwrap().last().unwrap()["name"].clone();
    assert_eq!(found(&groups), "metrics.k8s.io");
    let group = client.get("/apis/metrics.k8s.io").await.body;
    assert_eq!(group["preferredVersion"]["groupVersion"], "metrics.k8s.io/v1beta1");
    let list = client.get("/apis/metrics.k8s.io/v1beta1").await.body;
    assert_eq!(list["resources"][0]["name"], "nodes");
    let accept = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
    let response = client.raw(Method::GET, "/apis", &[("accept", accept)], String::new()).await;
    let all = super::support::read(response).await.body;
    let last = all["items"].as_array().unwrap().last().unwrap();
    assert_eq!(last["metadata"]["name"], "metrics.k8s.io");
    assert_eq!(last["versions"][0]["resources"][1]["responseKind"]["kind"], "PodMetrics");
    let asked =
        client.get("/apis/metrics.k8s.io/v1beta1/namespaces/a/pods?labelSelector=x%3Dy").await;
    assert_eq!(
        asked.body,
        json!({"asked": "/apis/metrics.k8s.io/v1beta1/namespaces/a/pods?labelSelector=x%3Dy", "by": "kubernetes-admin"})
    );
    let service =
        client.get("/apis/apiregistration.k8s.io/v1/apiservices/v1beta1.metrics.k8s.io").await;
    assert_eq!(service.body["spec"]["service"]["name"], "metrics");
    let local = client.get("/apis/apiregistration.k8s.io/v1/apiservices/v1.apps").await;
    assert_eq!(local.body["status"]["conditions"][0]["reason"], "Local");
}

/// Labels new ConfigMaps, warns about them, and refuses some.
struct Plugin;

impl Admission for Plugin {
    fn name(&self) -> &str {
        "maps.example.com"
    }

    fn mutate(&self, review: &Review<'_>) -> Result<Admitted, String> {
        if review.resource.kind != "ConfigMap" || review.operation != Operation::Create {
            return Ok(Admitted::default());
        }
        let mut object = review.object.clone();
        object["metadata"]["labels"]["by"] = review.user.name.as_str().into();
        Ok(Admitted { object: Some(object), warnings: vec!["a label was added".into()] })
    }

    fn validate(&self, review: &Review<'_>) -> Result<Vec<String>, String> {
        match (review.operation, review.name) {
            (Operation::Create, "bad") => Err("it is bad".into()),
            (Operation::Update, "kept") if review.object["data"] != review.old["data"] => {
                Err("it stays as it is".into())
            }
            (Operation::Delete, "kept") => Err("it stays".into()),
            _ => Ok(Vec::new()),
        }
    }
}

#[tokio::test]
async fn a_plug_in_changes_refuses_and_warns() {
    let admission: Vec<Arc<dyn Admission>> = vec![Arc::new(Plugin)];
    let client = start(Settings { admission, ..Settings::default() }).await;
    let user = client.acting_as(User::new("ann", &["system:masters"]));
    let path = "/api/v1/namespaces/default/configmaps";
    let map = |name: &str| json!({"metadata": {"name": name}, "data": {"a": "1"}});
    let made = user.post(path, map("kept")).await;
    assert_eq!((made.code, &made.body["metadata"]["labels"]["by"]), (201, &json!("ann")));
    assert_eq!(made.warnings, ["299 - \"a label was added\""]);
    let refused = user.post(path, map("bad")).await;
    assert_eq!(refused.code, 400);
    let text = "admission webhook \"maps.example.com\" denied the request: it is bad";
    assert_eq!(refused.message(), text);
    let kept = format!("{path}/kept");
    let patched = user.patch(&kept, json!({"data": {"a": "2"}})).await;
    assert!(patched.message().ends_with("it stays as it is"), "{patched:?}");
    assert!(user.delete(&kept).await.message().ends_with("it stays"));
    assert_eq!(user.get(&kept).await.body["data"]["a"], "1");
}

#[tokio::test]
async fn a_pod_gets_its_node_once() {
    let client = start(Settings::default()).await;
    client.pod("web", &["app"]).await;
    client.bind("web").await;
    let pod = client.get(POD).await.body;
    assert_eq!(pod["spec"]["nodeName"], "serin");
    assert_eq!(pod["status"]["conditions"][0]["type"], "PodScheduled");
    let binding = json!({"metadata": {"name": "web"}, "target": {"name": "other"}});
    let again = client.post("/api/v1/namespaces/default/bindings", binding).await;
    assert_eq!(again.code, 409);
    assert_eq!(
        again.message(),
        "Operation cannot be fulfilled on pods/binding \"web\": pod web is already assigned to node \"serin\""
    );
}

#[tokio::test]
async fn a_pod_that_runs_has_time_to_go() {
    let client = start(Settings::default()).await;
    client.pod("web", &["app"]).await;
    client.pod("idle", &["app"]).await;
    client.bind("web").await;
    assert_eq!(client.delete("/api/v1/namespaces/default/pods/idle").await.code, 200);
    assert_eq!(client.get("/api/v1/namespaces/default/pods/idle").await.code, 404);
    let marked = client.delete(POD).await.body;
    assert_eq!(marked["metadata"]["deletionGracePeriodSeconds"], 30);
    // The kubelet writes the status meanwhile, which does not end the pod.
    let status = json!({"status": {"phase": "Running"}});
    assert_eq!(client.patch(&format!("{POD}/status"), status).await.code, 200);
    let shorter = client.delete(&format!("{POD}?gracePeriodSeconds=5")).await.body;
    assert_eq!(shorter["metadata"]["deletionGracePeriodSeconds"], 5);
    let longer = client.delete(&format!("{POD}?gracePeriodSeconds=60")).await.body;
    assert_eq!(longer["metadata"]["deletionGracePeriodSeconds"], 5);
    assert_eq!(client.delete(&format!("{POD}?gracePeriodSeconds=0")).await.code, 200);
    assert_eq!(client.get(POD).await.code, 404);
}

#[tokio::test]
async fn an_eviction_respects_the_budget() {
    let client = start(Settings::default()).await;
    client.pod("web", &["app"]).await;
    client.bind("web").await;
    let ready = json!({"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}});
    client.patch(&format!("{POD}/status"), ready).await;
    let budgets = "/apis/policy/v1/namespaces/default/poddisruptionbudgets";
    let budget = json!({
        "metadata": {"name": "b"},
        "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "web"}}},
    });
    assert_eq!(client.post(budgets, budget).await.code, 201);
    let evict = async || {
        client.post(&format!("{POD}/eviction"), json!({"metadata": {"name": "web"}})).await
    };
    let early = evict().await;
    assert_eq!((early.code, early.body["details"]["retryAfterSeconds"].as_i64()), (429, Some(10)));
    let counted = |left: i64| {
        json!({"status": {"observedGeneration": 1, "disruptionsAllowed": left, "currentHealthy": 1,
        "desiredHealthy": 1, "expectedPods": 1}})
    };
    let status = format!("{budgets}/b/status");
    client.patch(&status, counted(0)).await;
    let refused = evict().await;
    assert_eq!(refused.code, 429);
    assert_eq!(
        refused.message(),
        "Cannot evict pod as it would violate the pod's disruption budget."
    );
    assert_eq!(
        refused.body["details"]["causes"][0]["message"],
        "The disruption budget b needs 1 healthy pods and has 1 currently"
    );
    client.patch(&status, counted(1)).await;
    assert_eq!(evict().await.code, 201);
    let budget = client.get(&format!("{budgets}/b")).await.body;
    assert_eq!(budget["status"]["disruptionsAllowed"], 0);
    assert!(budget["status"]["disruptedPods"]["web"].is_string());
    assert!(client.get(POD).await.body["metadata"]["deletionTimestamp"].is_string());
}

#[tokio::test]
async fn a_namespace_is_finalized_by_hand() {
    let client = start(Settings::default()).await;
    let path = "/api/v1/namespaces/extra";
    let namespace = json!({"metadata": {"name": "extra"}, "spec": {"finalizers": ["kubernetes", "example.com/mine"]}});
    assert_eq!(client.post("/api/v1/namespaces", namespace).await.code, 201);
    let mut namespace = client.delete(path).await.body;
    assert_eq!(namespace["status"]["phase"], "Terminating");
    namespace["spec"]["finalizers"] = json!([]);
    if let Some(metadata) = namespace["metadata"].as_object_mut() {
        metadata.remove("resourceVersion");
    }
    assert_eq!(client.put(&format!("{path}/finalize"), namespace).await.code, 200);
    assert_eq!(client.get(path).await.code, 404);
}
