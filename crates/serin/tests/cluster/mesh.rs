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

/// Rules by which greet's caller knows no other Service, and names that stand for the Service or its address.
const BESIDE_THE_MESH: &str = r#"
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: nobody}
spec:
  workloadSelector: {labels: {app: demo-a}}
  egress: [{hosts: ["./by-name.example.com", "./by-address.example.com"]}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: by-name}
spec:
  hosts: [by-name.example.com]
  addresses: [192.0.2.1]
  ports: [{number: 80, name: http, protocol: HTTP, targetPort: 8080}]
  resolution: DNS
  endpoints: [{address: svc-b.default.svc.cluster.local}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: by-address}
spec:
  hosts: [by-address.example.com]
  addresses: [192.0.2.2]
  ports: [{number: 80, name: http, protocol: HTTP, targetPort: 8080}]
  resolution: STATIC
  endpoints: [{address: ADDRESS}]
"#;

const NOBODY_MAY: &str = r#"{"apiVersion": "security.istio.io/v1", "kind": "AuthorizationPolicy",
    "metadata": {"name": "nobody"}, "spec": {"selector": {"matchLabels": {"app": "demo-b"}}}}"#;

#[test]
fn the_address_of_a_service_leads_to_its_pods_for_those_whose_rules_do_not_know_it() {
    let Some(cluster) = Cluster::start(&[]) else { return };
    cluster.kubectl(&["label", "namespace", "default", "istio-injection=enabled"]);
    cluster.apply(&["samples/greet/workloads.yaml"]);
    cluster.wait_available();
    let address = cluster.kubectl(&["get", "service", "svc-b", "-o", "jsonpath={.spec.clusterIP}"]);
    let add = |name: &str, objects: &str| {
        let file = cluster.folder.path().join(name);
        std::fs::write(&file, objects).unwrap();
        cluster.kubectl(&["apply", "-f", file.to_str().unwrap()]);
    };
    add("beside.yaml", &BESIDE_THE_MESH.replace("ADDRESS", &address));
    for name in ["sidecar/nobody", "serviceentry/by-name", "serviceentry/by-address"] {
        cluster.wait_live(name);
    }
    let ask = |to: &str| {
        let told = "%{http_code}";
        cluster.exec("app=demo-a", &["curl", "-so", "/dev/null", "-m", "60", "-w", told, to])
    };
    let by_address = "http://192.0.2.2/";
    assert_eq!(ask("http://svc-b:8080/"), "200");
    assert_eq!(ask("http://192.0.2.1/"), "200");
    assert_eq!(ask(by_address), "200");
    // It is no way around what the pods allow.
    add("nobody.json", NOBODY_MAY);
    cluster.wait_live("authorizationpolicy/nobody");
    assert_eq!(ask(by_address), "403");
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
