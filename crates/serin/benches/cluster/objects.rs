//! The objects that the benchmark makes.

use serde_json::{Value, json};

use crate::part::PORT;

/// The namespace of all: a part of the mesh.
pub(crate) const NAMESPACE: &str = "bench";
/// The name of the Service that has two versions, and of the rule about it.
pub(crate) const TARGET: &str = "target";
/// Its name at the gateway.
pub(crate) const OUTSIDE: &str = "target.example.com";

pub(crate) fn namespace() -> Value {
    json!({
        "apiVersion": "v1", "kind": "Namespace",
        "metadata": {"name": NAMESPACE, "labels": {"istio-injection": "enabled"}},
    })
}

/// Pods that serve a version; their label `app` is the name.
pub(crate) fn deployment(name: &str, version: &str, replicas: usize) -> Value {
    let mut object = deployment_of(name, &format!("{name}-{version}"), "serve", &[version]);
    object["spec"]["replicas"] = replicas.into();
    object["spec"]["template"]["metadata"]["labels"]["version"] = version.into();
    object["spec"]["selector"]["matchLabels"]["version"] = version.into();
    let ready = json!({"tcpSocket": {"port": PORT}, "periodSeconds": 1});
    object["spec"]["template"]["spec"]["containers"][0]["readinessProbe"] = ready;
    object
}

/// One pod that runs a part of this program.
pub(crate) fn deployment_of(app: &str, name: &str, part: &str, arguments: &[&str]) -> Value {
    let container = json!({"name": "part", "image": format!("{part}:1"), "args": arguments});
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": {"app": app}},
            "template": {
                "metadata": {"labels": {"app": app}},
                "spec": {"containers": [container], "terminationGracePeriodSeconds": 5},
            },
        },
    })
}

/// The same with a folder of the machine, whose sockets it reaches: those that it sees through the layers of its own files it does not.
pub(crate) fn telling(mut object: Value, folder: &str) -> Value {
    let spec = &mut object["spec"]["template"]["spec"];
    spec["volumes"] = json!([{"name": "told", "hostPath": {"path": folder}}]);
    spec["containers"][0]["volumeMounts"] = json!([{"name": "told", "mountPath": folder}]);
    object
}

pub(crate) fn service(name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {
            "selector": {"app": name},
            "ports": [{"name": "http", "port": 80, "targetPort": PORT}],
        },
    })
}

pub(crate) fn gateway() -> Value {
    json!({
        "apiVersion": "networking.istio.io/v1", "kind": "Gateway",
        "metadata": {"name": "gateway", "namespace": NAMESPACE},
        "spec": {
            "selector": {"istio": "ingressgateway"},
            "servers": [{"port": {"number": 80, "name": "http", "protocol": "HTTP"}, "hosts": ["*"]}],
        },
    })
}

pub(crate) fn subsets() -> Value {
    let subset = |name: &str| json!({"name": name, "labels": {"version": name}});
    json!({
        "apiVersion": "networking.istio.io/v1", "kind": "DestinationRule",
        "metadata": {"name": TARGET, "namespace": NAMESPACE},
        "spec": {"host": TARGET, "subsets": [subset("v1"), subset("v2")]},
    })
}

/// The rule whose weight changes.
pub(crate) fn split(weight_of_v2: u32) -> Value {
    json!({
        "apiVersion": "networking.istio.io/v1", "kind": "VirtualService",
        "metadata": {"name": TARGET, "namespace": NAMESPACE},
        "spec": {
            "hosts": [TARGET, OUTSIDE],
            "gateways": ["mesh", "gateway"],
            "http": routes(weight_of_v2),
        },
    })
}

pub(crate) fn routes(weight_of_v2: u32) -> Value {
    json!([{"route": [
        {"destination": {"host": TARGET, "subset": "v1"}, "weight": 100 - weight_of_v2},
        {"destination": {"host": TARGET, "subset": "v2"}, "weight": weight_of_v2},
    ]}])
}

/// A rule that leads everything for a host of the gateway to a Service.
pub(crate) fn rule_to(service: &str, host: &str) -> Value {
    json!({
        "apiVersion": "networking.istio.io/v1", "kind": "VirtualService",
        "metadata": {"name": service, "namespace": NAMESPACE},
        "spec": {
            "hosts": [host],
            "gateways": ["gateway"],
            "http": [{"route": [{"destination": {"host": service}}]}],
        },
    })
}

/// One of many rules: some paths of a host of its own.
pub(crate) fn rule(number: usize, services: usize) -> Value {
    let name = format!("rule-{number}");
    let destination = json!({"destination": {"host": other(number % services)}});
    json!({
        "apiVersion": "networking.istio.io/v1", "kind": "VirtualService",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {
            "hosts": [format!("{name}.example.com")],
            "gateways": ["mesh", "gateway"],
            "http": [
                {"match": [{"uri": {"prefix": "/one"}}], "route": [destination]},
                {"match": [{"headers": {"x-user": {"exact": name}}}], "route": [destination]},
                {"route": [destination]},
            ],
        },
    })
}

/// The name of one of many Services.
pub(crate) fn other(number: usize) -> String {
    format!("other-{number}")
}
