//! What a mesh tells beside its traffic: whether its gateway can serve, and what passes through its proxies.

use std::net::TcpListener;

use crate::machine::Cluster;

const GATEWAY: &str = r#"{"apiVersion": "networking.istio.io/v1", "kind": "Gateway", "metadata": {"name": "taken"},
    "spec": {"selector": {"istio": "ingressgateway"},
             "servers": [{"port": {"number": 8081, "name": "http", "protocol": "HTTP"}, "hosts": ["*"]}]}}"#;

#[test]
fn a_gateway_whose_port_is_taken_says_so_and_is_served_when_it_is_free() {
    let Some(cluster) = Cluster::start(&[]) else { return };
    let other = TcpListener::bind((cluster.gateway, 8081)).unwrap();
    let file = cluster.folder.path().join("gateway.json");
    std::fs::write(&file, GATEWAY).unwrap();
    cluster.kubectl(&["apply", "-f", file.to_str().unwrap()]);
    let wait = |condition: &str| {
        cluster.kubectl(&["wait", "gateway.networking.istio.io/taken", condition]);
    };
    wait("--for=condition=Live=False");
    let reason = "jsonpath={.status.conditions[?(@.type==\"Live\")].reason}";
    let found = cluster.kubectl(&["get", "gateway.networking.istio.io/taken", "-o", reason]);
    assert_eq!(found, "PortUnavailable");
    drop(other);
    wait("--for=condition=Live");
    // Nobody has rules for it, which is told by the gateway that listens.
    cluster.get_until(&[], ":8081/", |answer| answer.starts_with("HTTP/1.1 404"));
}

#[test]
fn a_port_of_the_gateway_that_is_taken_is_told_at_the_start() {
    let Some(cluster) = Cluster::start(&[]) else { return };
    let told = "no Gateway on port";
    assert!(!cluster.process.output().contains(told));
    // Who may not listen on port 80 has the gateway on 8080.
    let bind = |port: u16| TcpListener::bind((cluster.gateway, port)).ok();
    let _others: Vec<TcpListener> = [80, 8080].into_iter().filter_map(bind).collect();
    let cluster = cluster.start_again(&[]);
    assert!(cluster.process.output().contains(told), "{}", cluster.process.output());
}

#[test]
fn the_gateway_tells_that_it_is_ready() {
    let Some(cluster) = Cluster::start(&[]) else { return };
    cluster.get_until(&[], ":15021/healthz/ready", |answer| answer.starts_with("HTTP/1.1 200"));
    let answer = cluster.get(&[], ":15021/");
    assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
}

#[test]
fn each_proxy_has_an_access_log_when_the_mesh_asks_for_them() {
    let Some(cluster) = Cluster::start(&[]) else { return };
    cluster.kubectl(&["label", "namespace", "default", "istio-injection=enabled"]);
    cluster.apply(&["samples/greet/workloads.yaml", "samples/greet/gateway.yaml"]);
    cluster.wait_available();
    let mesh = "--from-literal=mesh=accessLogFile: /dev/stdout";
    cluster.kubectl(&["create", "configmap", "istio", "-n", "istio-system", mesh]);
    let folder = cluster.data.join("access-logs");
    let log_of = |wanted: &dyn Fn(&str) -> bool| -> String {
        let files = std::fs::read_dir(&folder).into_iter().flatten().flatten();
        let names = files.filter(|it| wanted(&it.file_name().to_string_lossy()));
        names.filter_map(|it| std::fs::read_to_string(it.path()).ok()).collect()
    };
    let of_gateway = |name: &str| name == "istio-system_istio-ingressgateway.log";
    let of_caller = |name: &str| name.starts_with("default_demo-a-");
    cluster.get_until(&[], "/greet?name=xx", |_| {
        log_of(&of_gateway).contains("\"GET /greet?name=xx HTTP/1.1\" 200")
            && log_of(&of_caller).contains(" 200 - via_upstream ")
    });
    cluster.kubectl(&["delete", "configmap", "istio", "-n", "istio-system"]);
    cluster.kubectl(&["delete", "deployment", "--all"]);
    cluster.kubectl(&["wait", "pod", "--all", "--for=delete"]);
}
