use serin_routing::model::{EndpointAddress, EndpointTls, Health};

use super::*;
use crate::Snapshot;
use crate::testing::{cluster, cluster_with, manifests, sidecar};

fn service<'a>(snapshot: &'a Snapshot, host: &str) -> &'a Arc<Service> {
    let host = Host::resolve(host, "default", "cluster.local");
    snapshot.registry().by_host(&host).unwrap().values().next().unwrap()
}

/// Endpoints as `port name=address`, with what is out of the ordinary: weight, health, mesh TLS.
fn endpoints(snapshot: &Snapshot, host: &str) -> String {
    let of = |it: &Arc<ServiceEndpoint>| {
        let address = match &it.address {
            EndpointAddress::Socket(ip, port) => format!("{ip}:{port}"),
            EndpointAddress::Name(name, port) => format!("{name}:{port}"),
            EndpointAddress::Unix(path) => format!("unix:{path}"),
        };
        let weight = if it.weight == 1 { String::new() } else { format!("*{}", it.weight) };
        let health =
            if it.health == Health::Healthy { String::new() } else { format!("({:?})", it.health) };
        let tls = if it.workload.tls == EndpointTls::Mesh { "+mesh" } else { "" };
        format!("{}={address}{weight}{health}{tls}", it.port_name)
    };
    let list = snapshot.registry().endpoints(service(snapshot, host));
    list.iter().map(of).collect::<Vec<_>>().join(" ")
}

const SVC: &str = "
kind: Service
metadata: {name: svc}
spec:
  clusterIP: 10.0.0.1
  selector: {app: svc}
  ports: [{name: http, port: 80, targetPort: 8080}, {name: named, port: 81, targetPort: web}, {name: same, port: 82}]
";
const SLICE: &str = "
---
kind: EndpointSlice
metadata: {name: svc-1, labels: {kubernetes.io/service-name: svc}}
addressType: IPv4
ports: [{name: http, port: 8080}]
endpoints:
- {addresses: [10.1.0.1], conditions: {ready: true}, targetRef: {kind: Pod, name: p1}}
- {addresses: [10.1.0.2], conditions: {ready: false}}
- {addresses: [10.1.0.3], conditions: {ready: false, serving: true, terminating: true}}
- {addresses: [10.1.0.4]}
";
const POD: &str = "
---
kind: Pod
metadata: {name: p1, labels: {app: svc, version: v1, security.istio.io/tlsMode: istio}}
spec: {containers: [{name: c, ports: [{name: web, containerPort: 9090}]}]}
status: {podIP: 10.1.0.1, conditions: [{type: Ready, status: 'True'}]}
";
const DEPLOYMENT: &str = "
---
kind: Deployment
metadata: {name: svc-v2}
spec:
  replicas: 3
  template:
    metadata: {labels: {app: svc, version: v2}}
    spec: {containers: [{name: c, ports: [{name: web, containerPort: 9091}]}]}
";

#[test]
fn endpoints_come_from_slices() {
    let snapshot = cluster(&[SVC, SLICE, POD, DEPLOYMENT].concat());
    assert_eq!(
        endpoints(&snapshot, "svc"),
        "http=10.1.0.1:8080+mesh http=10.1.0.2:8080(Unhealthy) http=10.1.0.3:8080(Draining) http=10.1.0.4:8080"
    );
    let first = &snapshot.registry().endpoints(service(&snapshot, "svc"))[0];
    assert_eq!(first.workload.label("version"), Some("v1"));
    assert_eq!(&*first.workload.identity.service_account, "default");
}

#[test]
fn a_cluster_without_slices_has_no_endpoints_but_manifests_have_their_pods() {
    let check = |objects: &[&str], in_cluster: &str, in_manifests: &str| {
        assert_eq!(endpoints(&cluster(&objects.concat()), "svc"), in_cluster, "{objects:?}");
        assert_eq!(endpoints(&manifests(&objects.concat()), "svc"), in_manifests, "{objects:?}");
    };
    let pod = "http=10.1.0.1:8080+mesh named=10.1.0.1:9090+mesh same=10.1.0.1:82+mesh";
    check(&[SVC], "", "http=svc:8080 named=svc:81 same=svc:82");
    check(&[SVC, POD], "", pod);
    check(&[SVC, POD, DEPLOYMENT], "", pod);
    check(&[SVC, DEPLOYMENT], "", "http=svc-v2:8080*3 named=svc-v2:9091*3 same=svc-v2:82*3");
    check(&[SVC, &DEPLOYMENT.replace("replicas: 3", "replicas: 0")], "", "");
    let of = |objects: &str| {
        manifests(objects).registry().endpoints(service(&manifests(SVC), "svc"))[0].source
    };
    assert_eq!(of(SVC), EndpointSource::Assumed);
    assert_eq!(of(&[SVC, DEPLOYMENT].concat()), EndpointSource::Template);
    assert_eq!(of(&[SVC, POD].concat()), EndpointSource::Pod);
    assert_eq!(of(&[SVC, SLICE].concat()), EndpointSource::Slice);
}

#[test]
fn endpoints_objects_count_where_there_are_no_slices() {
    let list = "
---
kind: Endpoints
metadata: {name: svc}
subsets:
- {addresses: [{ip: 10.2.0.1}], notReadyAddresses: [{ip: 10.2.0.2}], ports: [{name: http, port: 8080}]}
";
    assert_eq!(
        endpoints(&cluster(&[SVC, list].concat()), "svc"),
        "http=10.2.0.1:8080 http=10.2.0.2:8080(Unhealthy)"
    );
    assert!(!endpoints(&cluster(&[SVC, list, SLICE].concat()), "svc").contains("10.2"));
}

#[test]
fn a_service_selects_workload_entries() {
    let entry = "
---
kind: WorkloadEntry
metadata: {name: vm}
spec: {address: 10.3.0.1, labels: {app: svc}, ports: {named: 7070, web: 7071}, serviceAccount: vm, weight: 5}
";
    assert_eq!(
        endpoints(&cluster(&[SVC, entry].concat()), "svc"),
        "http=10.3.0.1:8080*5+mesh named=10.3.0.1:7071*5+mesh same=10.3.0.1:82*5+mesh"
    );
    let mapped = entry.replace("named: 7070", "http: 7070");
    assert!(
        endpoints(&cluster(&[SVC, &mapped].concat()), "svc")
            .starts_with("http=10.3.0.1:7070*5+mesh ")
    );
    // An entry that does not have the port that the Service names is no endpoint of it.
    let without = entry.replace(", web: 7071", "");
    assert_eq!(
        endpoints(&cluster(&[SVC, &without].concat()), "svc"),
        "http=10.3.0.1:8080*5+mesh same=10.3.0.1:82*5+mesh"
    );
}

#[test]
fn kinds_of_services_find_their_endpoints_in_different_ways() {
    let check = |spec: &str, resolution: Resolution, addresses: &str| {
        let snapshot = cluster(&format!(
            "kind: Service\nmetadata: {{name: svc}}\nspec: {{{spec}, ports: [{{port: 80}}]}}"
        ));
        let service = service(&snapshot, "svc");
        assert_eq!(service.resolution, resolution, "{spec}");
        let list: Vec<_> = service.addresses.iter().map(ToString::to_string).collect();
        assert_eq!(list.join(" "), addresses, "{spec}");
    };
    check("clusterIP: 10.0.0.1", Resolution::Listed, "10.0.0.1/32");
    check(
        "clusterIP: 10.0.0.1, clusterIPs: [10.0.0.1, 'fd00::1']",
        Resolution::Listed,
        "10.0.0.1/32 fd00::1/128",
    );
    check("type: NodePort", Resolution::Listed, "");
    check("clusterIP: None", Resolution::Passthrough, "");
    check("type: ExternalName, externalName: example.com", Resolution::Alias, "");
}

#[test]
fn an_external_name_is_another_name_for_a_service() {
    let alias = |name: &str, target: &str| {
        format!(
            "\n---\nkind: Service\nmetadata: {{name: {name}}}\nspec: {{type: ExternalName, externalName: {target}}}\n"
        )
    };
    let full = |name: &str| format!("{name}.default.svc.cluster.local");
    let objects = [
        SVC.to_owned(),
        alias("one", &full("svc")),
        alias("two", &full("one")),
        alias("loop-a", &full("loop-b")),
        alias("loop-b", &full("loop-a")),
    ];
    let snapshot = cluster(&objects.concat());
    let of = |name: &str| -> Vec<_> {
        service(&snapshot, name).aliases.iter().map(|it| it.host.to_string()).collect()
    };
    assert_eq!(of("svc"), [full("one"), full("two")]);
    assert!(of("one").is_empty() && of("loop-a").is_empty() && of("loop-b").is_empty());
}

fn entry(spec: &str) -> String {
    format!(
        "---\nkind: ServiceEntry\nmetadata: {{name: se}}\n\
         spec: {{ports: [{{number: 80, name: http, protocol: HTTP, targetPort: 8080}}, {{number: 90, name: tcp, protocol: TCP}}], {spec}}}\n"
    )
}

#[test]
fn endpoints_of_a_service_entry() {
    let check = |spec: &str, expect: &str| {
        assert_eq!(endpoints(&cluster(&entry(spec)), "example.com"), expect, "{spec}");
    };
    check("hosts: [example.com]", "");
    check("hosts: [example.com], resolution: DNS", "http=example.com:8080 tcp=example.com:90");
    check(
        "hosts: [example.com], resolution: DNS_ROUND_ROBIN",
        "http=example.com:8080 tcp=example.com:90",
    );
    check("hosts: [example.com], resolution: STATIC", "");
    check(
        "hosts: [example.com], resolution: STATIC, endpoints: [{address: 1.1.1.1, ports: {http: 7070}}]",
        "http=1.1.1.1:7070 tcp=1.1.1.1:90",
    );
    check(
        "hosts: [example.com], resolution: DNS, endpoints: [{address: a.com, weight: 3, serviceAccount: x}]",
        "http=a.com:8080*3+mesh tcp=a.com:90*3+mesh",
    );
    check(
        "hosts: [example.com], resolution: STATIC, endpoints: [{address: 'unix:///run/x'}]",
        "http=unix:/run/x tcp=unix:/run/x",
    );
    check("hosts: [example.com], resolution: DNS, workloadSelector: {labels: {app: x}}", "");
}

#[test]
fn a_service_entry_selects_workload_entries_and_pods() {
    let selecting =
        entry("hosts: [example.com], resolution: STATIC, workloadSelector: {labels: {app: svc}}");
    let vm = "\n---\nkind: WorkloadEntry\nmetadata: {name: vm}\nspec: {address: 10.3.0.1, labels: {app: svc}, ports: {tcp: 91}}\n";
    let elsewhere = vm.replace("name: vm", "name: vm2, namespace: other");
    let snapshot = cluster(&[&selecting, vm, POD, &elsewhere].concat());
    assert_eq!(
        endpoints(&snapshot, "example.com"),
        "http=10.3.0.1:8080 tcp=10.3.0.1:91 http=10.1.0.1:8080+mesh tcp=10.1.0.1:90+mesh"
    );
    let expected = manifests(&[&selecting, DEPLOYMENT].concat());
    assert_eq!(endpoints(&expected, "example.com"), "http=svc-v2:8080*3 tcp=svc-v2:90*3");
}

#[test]
fn hosts_without_an_address_get_one_that_follows_from_their_name() {
    let address = |text: &str, host: &str| service(&cluster(text), host).auto_address;
    let dns = |hosts: &str| entry(&format!("hosts: [{hosts}], resolution: DNS"));
    let alone = address(&dns("example.com"), "example.com").unwrap();
    assert_eq!(alone.octets()[..2], [240, 240]);
    assert_eq!(address(&dns("a.com, example.com"), "example.com"), Some(alone));
    assert_ne!(address(&dns("a.com, example.com"), "a.com"), Some(alone));
    assert_eq!(address(&entry("hosts: [example.com]"), "example.com"), None);
    assert_eq!(address(&dns("example.com, '*.example.com'"), "*.example.com"), None);
    assert_eq!(
        address(
            &entry("hosts: [example.com], resolution: DNS, addresses: [1.2.3.4]"),
            "example.com"
        ),
        None
    );
    let off = dns("example.com").replace(
        "name: se",
        "name: se, labels: {networking.istio.io/enable-autoallocate-ip: 'false'}",
    );
    assert_eq!(address(&off, "example.com"), None);
    let given =
        dns("example.com") + "status: {addresses: [{value: 240.240.7.7, host: example.com}]}\n";
    assert_eq!(address(&given, "example.com").unwrap().to_string(), "240.240.7.7");
}

#[test]
fn colliding_names_get_different_addresses() {
    let hosts: Vec<_> = (0..2000).map(|it| format!("h{it}.com")).collect();
    let snapshot = cluster(&entry(&format!("hosts: [{}], resolution: DNS", hosts.join(", "))));
    let mut seen = std::collections::BTreeSet::new();
    for service in snapshot.registry().services() {
        assert!(seen.insert(service.auto_address.unwrap()));
    }
    assert_eq!(seen.len(), 2000);
}

#[test]
fn an_address_is_used_only_by_proxies_that_answer_dns() {
    let snapshot = cluster(&entry("hosts: [example.com], resolution: DNS"));
    let service = service(&snapshot, "example.com");
    assert!(service.addresses_for(false).is_empty());
    assert_eq!(service.addresses_for(true).len(), 1);
}

#[test]
fn the_annotation_and_the_mesh_say_who_sees_a_service() {
    let seen = |annotation: &str, default: &str| {
        let text = format!(
            "kind: Service\nmetadata: {{name: svc{annotation}}}\nspec: {{ports: [{{port: 80}}]}}"
        );
        let snapshot =
            cluster_with(&text, |mesh| mesh.default_service_export_to = vec![default.to_owned()]);
        ["default", "a", "b"].map(|namespace| snapshot.registry().visible_to(namespace).count())
    };
    let annotation =
        |value: &str| format!(", annotations: {{networking.istio.io/exportTo: '{value}'}}");
    assert_eq!(seen("", "*"), [1, 1, 1]);
    assert_eq!(seen("", "."), [1, 0, 0]);
    assert_eq!(seen(&annotation("*"), "."), [1, 1, 1]);
    assert_eq!(seen(&annotation("a, b"), "*"), [0, 1, 1]);
    assert_eq!(seen(&annotation(".,b"), "*"), [1, 0, 1]);
    assert_eq!(seen(&annotation("~"), "*"), [0, 0, 0]);
}

#[test]
fn a_proxys_services_are_those_with_its_address_else_those_that_select_it() {
    let other = SVC.replace("name: svc", "name: other").replace("app: svc", "app: other");
    let slice = SLICE
        .replace("{name: http, port: 8080}", "{name: http, port: 8080}, {name: named, port: 9090}");
    let snapshot = cluster(&[SVC, &slice, POD, "\n---", &other].concat());
    let targets = |addresses: &[&str], labels: &str| {
        let mut proxy = sidecar("default", labels);
        proxy.addresses = addresses.iter().map(|it| it.parse().unwrap()).collect();
        let list = snapshot.registry().targets(&proxy);
        let of = |it: &ServiceTarget| {
            format!("{}:{}->{}", it.service.name, it.port.number, it.target_port)
        };
        list.iter().map(of).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(targets(&["10.1.0.1"], ""), "svc:80->8080 svc:81->9090");
    assert_eq!(targets(&["10.1.0.1"], "app=other"), "svc:80->8080 svc:81->9090");
    assert_eq!(targets(&[], "app=svc"), "svc:80->8080 svc:81->9090 svc:82->82");
    assert_eq!(targets(&["10.9.0.9"], "app=svc"), "svc:80->8080 svc:81->9090 svc:82->82");
    assert_eq!(targets(&[], "app=other"), "other:80->8080 other:82->82");
    assert_eq!(targets(&[], "app=none"), "");
    assert_eq!(targets(&[], ""), "");
}

#[test]
fn expected_pods_have_a_proxy_where_they_will_be_injected() {
    let namespace =
        "\n---\nkind: Namespace\nmetadata: {name: default, labels: {istio-injection: enabled}}\n";
    let objects = [SVC, DEPLOYMENT, namespace].concat();
    assert!(endpoints(&manifests(&objects), "svc").starts_with("http=svc-v2:8080*3+mesh"));
}
