//! What follows when objects go, what replaces what, and what is recorded.

use futures_util::StreamExt as _;
use http::Method;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use serin_apiserver::{Settings, User};

use super::support::{Client, start};

const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
const WIDGETS: &str = "/apis/example.com/v1/namespaces/default/widgets";

async fn with_widgets() -> Client {
    let client = start(Settings::default()).await;
    let definition = json!({
        "metadata": {"name": "widgets.example.com"},
        "spec": {
            "group": "example.com", "scope": "Namespaced",
            "names": {"plural": "widgets", "kind": "Widget"},
            "versions": [{
                "name": "v1", "served": true, "storage": true,
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}},
            }],
        },
    });
    assert_eq!(client.post(DEFINITIONS, definition).await.code, 201);
    client
}

fn widget(name: &str, more: Value) -> Value {
    let mut metadata = json!({"name": name});
    for (field, value) in more.as_object().unwrap() {
        metadata[field] = value.clone();
    }
    json!({"apiVersion": "example.com/v1", "kind": "Widget", "metadata": metadata})
}

/// Waits, by a watch, until an object is gone.
async fn gone(client: &Client, path: &str, name: &str) {
    let query = format!("{path}?watch=true&fieldSelector=metadata.name%3D{name}");
    let response = client.raw(Method::GET, &query, &[], String::new()).await;
    let mut body = response.into_body().into_data_stream();
    if client.get(&format!("{path}/{name}")).await.code == 404 {
        return;
    }
    while let Some(piece) = body.next().await {
        if String::from_utf8_lossy(&piece.unwrap()).contains("\"DELETED\"") {
            return;
        }
    }
}

#[tokio::test]
async fn a_definition_waits_for_objects_that_are_held() {
    let client = with_widgets().await;
    let held = widget("held", json!({"finalizers": ["example.com/mine"]}));
    for object in [held, widget("free", json!({}))] {
        assert_eq!(client.post(WIDGETS, object).await.code, 201);
    }
    let path = format!("{DEFINITIONS}/widgets.example.com");
    assert_eq!(client.delete(&path).await.code, 200);
    gone(&client, WIDGETS, "free").await;
    let definition = client.get(&path).await.body;
    assert_eq!(
        definition["metadata"]["finalizers"],
        json!(["customresourcecleanup.apiextensions.k8s.io"])
    );
    let late = client.post(WIDGETS, widget("late", json!({}))).await;
    let text = "create not allowed while custom resource definition is terminating";
    assert_eq!((late.code, late.message()), (405, text));
    let released = json!({"metadata": {"finalizers": null}});
    client.patch(&format!("{WIDGETS}/held"), released).await;
    gone(&client, DEFINITIONS, "widgets.example.com").await;
    // Whoever watches may learn of it a moment before the paths are gone.
    while client.get(WIDGETS).await.code != 404 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_custom_resource_is_replaced_only_in_a_state_that_is_known() {
    let client = with_widgets().await;
    let made = client.post(WIDGETS, widget("w", json!({}))).await.body;
    let path = format!("{WIDGETS}/w");
    let blind = client.put(&path, widget("w", json!({}))).await;
    assert_eq!(blind.code, 422);
    assert_eq!(
        blind.message(),
        "widgets.example.com \"w\" is invalid: metadata.resourceVersion: Invalid value: 0x0: must be specified for an update"
    );
    let revision = made["metadata"]["resourceVersion"].clone();
    let known = widget("w", json!({"resourceVersion": revision, "labels": {"a": "b"}}));
    assert_eq!(client.put(&path, known).await.code, 200);
    let maps = "/api/v1/namespaces/default/configmaps";
    let map = json!({"metadata": {"name": "m"}});
    client.post(maps, map.clone()).await;
    assert_eq!(client.put(&format!("{maps}/m"), map).await.code, 200);
}

#[tokio::test]
async fn dependents_go_with_their_owner_and_only_with_it() {
    let client = start(Settings::default()).await;
    let maps = "/api/v1/namespaces/default/configmaps";
    let make = async |name: &str, owners: Value| {
        let object = json!({"metadata": {"name": name, "ownerReferences": owners}});
        let made = client.post(maps, object).await;
        assert_eq!(made.code, 201, "{made:?}");
        json!({"apiVersion": "v1", "kind": "ConfigMap", "name": name, "uid": made.body["metadata"]["uid"]})
    };
    let first = make("first", json!([])).await;
    let second = make("second", json!([])).await;
    make("of-first", json!([first])).await;
    make("of-both", json!([first, second])).await;
    make("of-second", json!([second])).await;
    client.delete(&format!("{maps}/first")).await;
    gone(&client, maps, "of-first").await;
    // The reference to the owner that is gone goes, the object stays.
    let mut left = client.get(&format!("{maps}/of-both")).await.body;
    while left["metadata"]["ownerReferences"].as_array().map(Vec::len) == Some(2) {
        tokio::task::yield_now().await;
        left = client.get(&format!("{maps}/of-both")).await.body;
    }
    assert_eq!(left["metadata"]["ownerReferences"][0]["name"], "second");
    assert_eq!(client.get(&format!("{maps}/of-second")).await.code, 200);
}

#[tokio::test]
async fn an_address_is_free_again_when_its_service_is_gone() {
    let client = start(Settings::default()).await;
    let services = "/api/v1/namespaces/default/services";
    let service = |name: &str, address: &str| {
        let spec = json!({"clusterIP": address, "type": "NodePort", "ports": [{"port": 80, "nodePort": 30080}]});
        json!({"metadata": {"name": name}, "spec": spec})
    };
    assert_eq!(client.post(services, service("a", "10.96.7.7")).await.code, 201);
    let taken = client.post(services, service("b", "10.96.7.7")).await;
    assert!(taken.message().contains("provided IP is already allocated"), "{taken:?}");
    let taken = client.post(services, service("b", "10.96.7.8")).await;
    assert!(taken.message().contains("provided port is already allocated"), "{taken:?}");
    client.delete(&format!("{services}/a")).await;
    assert_eq!(client.post(services, service("b", "10.96.7.7")).await.code, 201);
}

#[tokio::test]
async fn requests_are_recorded_without_what_they_carry() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("audit.log");
    let client = start(Settings { audit_log: Some(log.clone()), ..Settings::default() }).await;
    let ann = client.acting_as(User::new("ann", &[]));
    ann.get("/api/v1/namespaces/default/secrets/s?pretty=true").await;
    client.stranger(Some("wrong-token")).get("/api/v1/pods").await;
    let secret = json!({"metadata": {"name": "s"}, "stringData": {"k": "hidden"}});
    client.post("/api/v1/namespaces/default/secrets", secret).await;
    drop(ann);
    client.end().await;
    let text = std::fs::read_to_string(log).unwrap();
    assert!(
        !text.contains("hidden") && !text.contains("wrong-token") && !text.contains("aGlkZGVu")
    );
    let events: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |user: &str| events.iter().find(|it| it["user"]["username"] == user).unwrap();
    let event = of("ann");
    assert_eq!(event["verb"], "get");
    assert_eq!(event["requestURI"], "/api/v1/namespaces/default/secrets/s?pretty=true");
    assert_eq!(
        event["objectRef"],
        json!({"resource": "secrets", "namespace": "default", "name": "s", "apiVersion": "v1"})
    );
    assert_eq!(event["responseStatus"]["code"], 403);
    assert_eq!(event["annotations"]["authorization.k8s.io/decision"], "forbid");
    let made = events.iter().rev().find(|it| it["user"]["username"] == "kubernetes-admin").unwrap();
    assert_eq!((&made["verb"], &made["responseStatus"]["code"]), (&json!("create"), &json!(201)));
    assert_eq!(
        made["objectRef"],
        json!({"resource": "secrets", "namespace": "default", "name": "s", "apiVersion": "v1"}),
        "the path does not say the name"
    );
    assert!(events.iter().any(|it| it["responseStatus"]["code"] == 401));
}

#[tokio::test]
async fn a_place_without_a_namespace_is_for_lists() {
    let client = start(Settings::default()).await;
    let refused = client.post("/api/v1/pods", json!({"metadata": {"name": "p"}})).await;
    assert_eq!(refused.code, 405);
    assert_eq!(
        refused.message(),
        "the server does not allow this method on the requested resource"
    );
    assert_eq!(client.delete("/api/v1/pods").await.code, 405);
    assert_eq!(client.get("/api/v1/pods/p").await.code, 404, "no object is there");
    assert_eq!(client.get("/api/v1/namespaces/default/nodes").await.code, 404);
}

#[tokio::test]
async fn numbers_of_a_list_are_numbers() {
    let client = start(Settings::default()).await;
    for name in ["limit", "timeoutSeconds"] {
        let refused = client.get(&format!("/api/v1/pods?{name}=x")).await;
        let why = "strconv.ParseInt: parsing \"x\": invalid syntax";
        assert_eq!((refused.code, refused.message()), (400, why), "{name}");
        assert_eq!(client.get(&format!("/api/v1/pods?{name}=7")).await.code, 200);
    }
}

#[tokio::test]
async fn pages_show_one_state_whatever_happens_between_them() {
    let client = start(Settings::default()).await;
    let maps = "/api/v1/namespaces/default/configmaps";
    for name in ["a", "b", "c", "d"] {
        client.post(maps, json!({"metadata": {"name": name}})).await;
    }
    for changes in [false, true] {
        let first = client.get(&format!("{maps}?limit=2")).await.body;
        let more = first["metadata"]["continue"].as_str().unwrap().to_owned();
        assert_eq!(first["metadata"]["remainingItemCount"], 3);
        if changes {
            client.delete(&format!("{maps}/d")).await;
            client.post(maps, json!({"metadata": {"name": "e"}})).await;
        }
        let rest = client.get(&format!("{maps}?limit=9&continue={more}")).await.body;
        let names: Vec<&str> = [&first, &rest]
            .into_iter()
            .flat_map(|list| list["items"].as_array().unwrap())
            .map(|it| it["metadata"]["name"].as_str().unwrap())
            .collect();
        assert_eq!(names, ["a", "b", "c", "d", "kube-root-ca.crt"], "changes: {changes}");
        assert_eq!(rest["metadata"]["resourceVersion"], first["metadata"]["resourceVersion"]);
    }
}

#[tokio::test]
async fn a_namespace_that_is_to_go_says_what_it_waits_for() {
    let client = start(Settings::default()).await;
    let made = client.post("/api/v1/namespaces", json!({"metadata": {"name": "busy"}})).await;
    assert_eq!(made.code, 201);
    let maps = "/api/v1/namespaces/busy/configmaps";
    let held = json!({"metadata": {"name": "held", "finalizers": ["example.com/hold"]}});
    assert_eq!(client.post(maps, held).await.code, 201);
    let namespace = "/api/v1/namespaces/busy";
    assert_eq!(client.delete(namespace).await.code, 200);
    let query = "/api/v1/namespaces?watch=true&fieldSelector=metadata.name%3Dbusy";
    let response = client.raw(Method::GET, query, &[], String::new()).await;
    let mut body = response.into_body().into_data_stream();
    let mut seen = String::new();
    while !seen.contains("remaining: configmaps. has 1 resource instances\"") {
        seen.push_str(&String::from_utf8_lossy(&body.next().await.unwrap().unwrap()));
    }
    let conditions = client.get(namespace).await.body["status"]["conditions"].clone();
    let told = |name: &str| {
        let all = conditions.as_array().unwrap();
        let it = all.iter().find(|it| it["type"] == name).unwrap();
        format!("{} {} {}", it["status"], it["reason"], it["message"]).replace('"', "")
    };
    assert_eq!(
        told("NamespaceContentRemaining"),
        "True SomeResourcesRemain Some resources are remaining: configmaps. has 1 resource instances"
    );
    assert_eq!(
        told("NamespaceFinalizersRemaining"),
        "True SomeFinalizersRemain Some content in the namespace has finalizers remaining: example.com/hold in 1 resource instances"
    );
    let released = json!({"metadata": {"finalizers": null}});
    client.patch(&format!("{maps}/held"), released).await;
    gone(&client, "/api/v1/namespaces", "busy").await;
}

#[tokio::test]
async fn some_namespaces_are_there_for_ever() {
    let client = start(Settings::default()).await;
    for name in ["default", "kube-system", "kube-public"] {
        let refused = client.delete(&format!("/api/v1/namespaces/{name}")).await;
        let text = format!("namespaces {name:?} is forbidden: this namespace may not be deleted");
        assert_eq!((refused.code, refused.message()), (403, text.as_str()));
    }
}

#[tokio::test]
async fn a_scale_has_a_table_of_its_own() {
    let client = start(Settings::default()).await;
    let deployment = json!({
        "metadata": {"name": "web"},
        "spec": {
            "replicas": 3,
            "selector": {"matchLabels": {"app": "web"}},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {"containers": [{"name": "web", "image": "web:1"}]},
            },
        },
    });
    let path = "/apis/apps/v1/namespaces/default/deployments";
    assert_eq!(client.post(path, deployment).await.code, 201);
    let headers = [("accept", "application/json;as=Table;v=v1;g=meta.k8s.io")];
    let path = format!("{path}/web/scale");
    let table = super::support::read(client.raw(Method::GET, &path, &headers, String::new()).await);
    let table = table.await.body;
    let names = table["columnDefinitions"].as_array().unwrap().iter().map(|it| &it["name"]);
    assert_eq!(names.collect::<Vec<_>>(), ["Name", "Desired", "Available", "Age"]);
    assert_eq!(table["rows"][0]["cells"][1], 3);
}
