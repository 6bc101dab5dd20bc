use std::sync::Arc;

use k8s_openapi::api::core::v1::{Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use serde_json::{Value, json};

use super::slices::{self, Write};
use super::{desired, legacy};

fn service(spec: Value) -> Service {
    let object = json!({"metadata": {"name": "web", "namespace": "n", "uid": "s"}, "spec": spec});
    serde_json::from_value(object).unwrap()
}

fn plain() -> Service {
    service(json!({"selector": {"app": "web"}, "ports": [{"port": 80}]}))
}

fn pod(number: usize, change: Value) -> Arc<Pod> {
    let mut pod = json!({
        "metadata": {"name": format!("p{number}"), "namespace": "n", "uid": format!("u{number}"), "labels": {"app": "web"}},
        "spec": {"containers": [{"name": "c", "ports": [{"name": "web", "containerPort": 8080}]}]},
        "status": {
            "phase": "Running",
            "podIP": format!("10.244.{}.{}", number / 250, number % 250 + 1),
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    });
    for (path, value) in change.as_object().unwrap() {
        *pod.pointer_mut(path).unwrap() = value.clone();
    }
    Arc::new(serde_json::from_value(pod).unwrap())
}

fn ready(count: usize) -> Vec<Arc<Pod>> {
    (0..count).map(|number| pod(number, json!({}))).collect()
}

/// Applies what is planned, and gives what is there then and how many slices were written.
fn apply(
    service: &Service,
    pods: &[Arc<Pod>],
    there: &[Arc<EndpointSlice>],
) -> (Vec<Arc<EndpointSlice>>, usize) {
    let writes = slices::plan(service, slices::SELECTED, desired::groups(service, pods), there);
    let count = writes.len();
    let mut all = there.to_vec();
    for write in writes {
        match write {
            Write::Create(mut slice) => {
                slice.metadata.name = Some(format!("web-{}", all.len()));
                all.push(Arc::from(slice));
            }
            Write::Update(slice) => {
                let place = all.iter().position(|it| it.metadata.name == slice.metadata.name);
                all[place.unwrap()] = Arc::from(slice);
            }
            Write::Delete(slice) => all.retain(|it| it.metadata.name != slice.metadata.name),
        }
    }
    let again = slices::plan(service, slices::SELECTED, desired::groups(service, pods), &all);
    assert!(again.is_empty(), "what was written is what is wanted: {again:?}");
    (all, count)
}

fn sizes(slices: &[Arc<EndpointSlice>]) -> Vec<usize> {
    slices.iter().map(|slice| slice.endpoints.len()).collect()
}

#[test]
fn slices_have_a_hundred_endpoints_at_most_and_change_little() {
    let service = plain();
    let (slices, _) = apply(&service, &ready(250), &[]);
    assert_eq!(sizes(&slices), [100, 100, 50]);
    let (slices, written) = apply(&service, &ready(251), &slices);
    assert_eq!((sizes(&slices), written), (vec![100, 100, 51], 1));
    let mut fewer = ready(251);
    fewer.remove(5);
    let (slices, written) = apply(&service, &fewer, &slices);
    assert_eq!((sizes(&slices), written), (vec![99, 100, 51], 1));
    let (slices, _) = apply(&service, &ready(3), &slices);
    assert_eq!(sizes(&slices).iter().sum::<usize>(), 3);
    let (slices, _) = apply(&service, &[], &slices);
    assert_eq!(sizes(&slices), [0], "one stands for none");
}

#[test]
fn a_change_of_ports_uses_the_slice_that_is_there() {
    let (slices, _) = apply(&plain(), &ready(2), &[]);
    let named =
        service(json!({"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": "web"}]}));
    let (after, written) = apply(&named, &ready(2), &slices);
    assert_eq!((sizes(&after), written), (vec![2], 1));
    assert_eq!(after[0].metadata.name, slices[0].metadata.name);
    assert_eq!(after[0].ports.as_ref().unwrap()[0].port, Some(8080));
}

/// Checks the conditions ready, serving and terminating of the endpoint of a pod, and whether Endpoints have it as ready.
fn check(
    service: &Service,
    pod: Arc<Pod>,
    expect: Option<(bool, bool, bool)>,
    legacy: Option<bool>,
) {
    let groups = desired::groups(service, &[Arc::clone(&pod)]);
    let seen = groups[0].endpoints.first().map(|endpoint| {
        let conditions = endpoint.conditions.as_ref().unwrap();
        (conditions.ready.unwrap(), conditions.serving.unwrap(), conditions.terminating.unwrap())
    });
    assert_eq!(seen, expect);
    let subsets = legacy::endpoints(service, &[pod]).subsets.unwrap_or_default();
    assert_eq!(subsets.first().map(|subset| subset.addresses.is_some()), legacy);
}

#[test]
fn an_endpoint_is_ready_while_its_pod_is_and_stays() {
    let ready = || pod(0, json!({}));
    let unready = || pod(0, json!({"/status/conditions/0/status": "False"}));
    let leaving = |ready: &str| {
        let metadata = json!({"name": "p0", "uid": "u0", "namespace": "n", "deletionTimestamp": "2026-01-01T00:00:00Z"});
        pod(0, json!({"/metadata": metadata, "/status/conditions/0/status": ready}))
    };
    let service_all = service(json!({
        "selector": {"app": "web"}, "ports": [{"port": 80}], "publishNotReadyAddresses": true,
    }));
    check(&plain(), ready(), Some((true, true, false)), Some(true));
    check(&plain(), unready(), Some((false, false, false)), Some(false));
    check(&plain(), leaving("True"), Some((false, true, true)), None);
    check(&plain(), leaving("False"), Some((false, false, true)), None);
    check(&service_all, unready(), Some((true, false, false)), Some(true));
    check(&service_all, leaving("True"), Some((true, true, true)), Some(true));
    check(&plain(), pod(0, json!({"/status/phase": "Succeeded"})), None, None);
    check(&plain(), pod(0, json!({"/status/podIP": ""})), None, None);
}

#[test]
fn pods_without_the_named_port_do_not_serve_it() {
    let service = service(json!({"selector": {"app": "web"}, "ports": [
        {"name": "http", "port": 80, "targetPort": "web"},
        {"name": "admin", "port": 81, "targetPort": 9000},
    ]}));
    let other = pod(1, json!({"/spec/containers/0/ports/0/name": "else"}));
    let groups = desired::groups(&service, &[pod(0, json!({})), other]);
    let ports = |index: usize| {
        let ports = groups[index].ports.iter();
        ports.map(|port| port.port.unwrap()).collect::<Vec<_>>()
    };
    assert_eq!((groups.len(), ports(0), ports(1)), (2, vec![8080, 9000], vec![9000]));
}
