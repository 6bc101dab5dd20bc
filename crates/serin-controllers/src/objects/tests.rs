use std::sync::{Arc, Mutex};

use k8s_openapi::api::core::v1::Pod;
use kube::runtime::watcher::Event;
use serde_json::json;

use super::{Key, Objects};

fn pod(name: &str, uid: &str, version: u64) -> Pod {
    let version = version.to_string();
    let metadata = json!({"name": name, "namespace": "n", "uid": uid, "resourceVersion": version});
    serde_json::from_value(json!({"metadata": metadata})).unwrap()
}

/// A client that answers nothing: these tests make no requests.
fn objects() -> (Objects<Pod>, Arc<Mutex<Vec<String>>>) {
    let service = tower::service_fn(|_request: http::Request<kube::client::Body>| {
        std::future::pending::<Result<http::Response<kube::client::Body>, std::io::Error>>()
    });
    let client = kube::Client::new(service, "n");
    let objects =
        Objects::new(&client, |pod: &Pod| vec![pod.metadata.uid.clone().unwrap_or_default()]);
    let told: Arc<Mutex<Vec<String>>> = Arc::default();
    let teller = Arc::clone(&told);
    objects.route(move |old: Option<&Pod>, new: Option<&Pod>| {
        let text = |pod: Option<&Pod>| pod.and_then(|pod| pod.metadata.resource_version.clone());
        let text = |pod| text(pod).unwrap_or_else(|| "-".to_owned());
        teller.lock().unwrap().push(format!("{} to {}", text(old), text(new)));
    });
    (objects, told)
}

fn key() -> Key {
    Key::new("n", "a")
}

#[tokio::test]
async fn each_change_is_told_once_whether_the_watch_or_the_answer_comes_first() {
    let (objects, told) = objects();
    objects.written(pod("a", "u", 5));
    objects.event(Event::Apply(pod("a", "u", 5)));
    objects.event(Event::Apply(pod("a", "u", 7)));
    objects.written(pod("a", "u", 7));
    // An answer that is late changes nothing.
    objects.written(pod("a", "u", 6));
    objects.event(Event::Delete(pod("a", "u", 8)));
    assert_eq!(*told.lock().unwrap(), ["- to 5", "5 to 7", "7 to -"]);
}

#[tokio::test]
async fn what_ended_does_not_come_back_by_an_answer_that_was_under_way() {
    let (objects, _) = objects();
    objects.event(Event::Apply(pod("a", "u", 5)));
    objects.event(Event::Delete(pod("a", "u", 8)));
    objects.written(pod("a", "u", 6));
    assert!(objects.get(&key()).is_none());
    objects.written(pod("a", "v", 9));
    assert!(objects.get(&key()).is_some(), "another one of that name may come");
    assert_eq!((objects.tagged("u").len(), objects.tagged("v").len()), (0, 1));
}

#[tokio::test]
async fn what_a_new_list_does_not_have_is_gone_but_not_what_was_just_written() {
    let (objects, told) = objects();
    objects.event(Event::Apply(pod("a", "u", 5)));
    objects.event(Event::Init);
    objects.written(pod("b", "w", 6));
    objects.event(Event::InitDone);
    assert!(objects.get(&key()).is_none());
    assert!(objects.get(&Key::new("n", "b")).is_some());
    assert_eq!(*told.lock().unwrap(), ["- to 5", "- to 6", "5 to -"]);
}
