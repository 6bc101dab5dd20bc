use super::*;
use crate::testing::snapshot;

fn pod(namespace: &str, name: &str, more: &str, ip: &str) -> String {
    format!(
        "{{apiVersion: v1, kind: Pod, metadata: {{name: {name}, namespace: {namespace}, uid: u-{name}, labels: {{app: {name}}}}}, \
         spec: {{nodeName: one, {more}}}, status: {{phase: Running, podIP: '{ip}'}}}}\n---\n"
    )
}

const NAMESPACES: &str = "
{apiVersion: v1, kind: Namespace, metadata: {name: default, labels: {istio-injection: enabled}}}
---
{apiVersion: v1, kind: Namespace, metadata: {name: legacy}}
---
";

fn fleet(snapshot: &Snapshot, node: Option<&str>, last: &Fleet) -> Fleet {
    super::fleet(snapshot, &labels_asked_for(snapshot), node, last)
}

fn names(fleet: &Fleet) -> Vec<String> {
    fleet.keys().map(ToString::to_string).collect()
}

#[test]
fn pods_with_an_address_of_their_own_on_the_node_have_a_proxy() {
    let pods = [
        pod("default", "a", "", "10.244.0.1"),
        pod("default", "starting", "", ""),
        pod("default", "elsewhere", "", "10.244.1.1").replace("nodeName: one", "nodeName: two"),
        pod("default", "host", "hostNetwork: true", "192.0.2.1"),
        pod("default", "done", "", "10.244.0.2").replace("Running", "Succeeded"),
        pod("legacy", "b", "", "10.244.0.3"),
    ];
    let snapshot = snapshot(&format!("{NAMESPACES}{}", pods.concat()));
    let here = fleet(&snapshot, Some("one"), &Fleet::new());
    assert_eq!(names(&here), ["default/a", "legacy/b"]);
    let classes: Vec<bool> = here.values().map(|it| it.class == Class::Plain).collect();
    assert_eq!(classes, [false, true]);
    assert_eq!(names(&fleet(&snapshot, None, &Fleet::new())).len(), 3);
}

/// How many classes the pods `a` and `b` of one namespace are in, beside these objects.
fn check(objects: &str, expect: usize) {
    let pods = [pod("default", "a", "", "10.244.0.1"), pod("default", "b", "", "10.244.0.2")];
    let snapshot = snapshot(&format!("{NAMESPACES}{}{objects}", pods.concat()));
    let fleet = fleet(&snapshot, None, &Fleet::new());
    let classes: std::collections::HashSet<_> = fleet.values().map(|it| it.class.clone()).collect();
    assert_eq!(classes.len(), expect, "{objects}");
}

#[test]
fn workloads_are_told_apart_by_labels_that_rules_ask_for() {
    let rules = |condition: &str| {
        format!(
            "{{apiVersion: networking.istio.io/v1, kind: VirtualService, metadata: {{name: v, namespace: other}}, spec: {{hosts: [x], \
             http: [{{match: [{{{condition}}}], route: [{{destination: {{host: x}}}}]}}]}}}}"
        )
    };
    check("", 1);
    check(&rules("uri: {prefix: /}"), 1);
    check(&rules("sourceLabels: {app: z}"), 2);
    check(&rules("sourceLabels: {tier: z}"), 1);
    let sidecar = "{apiVersion: networking.istio.io/v1, kind: Sidecar, metadata: {name: s, namespace: default}, \
        spec: {workloadSelector: {labels: {app: a}}, egress: [{hosts: ['./*']}]}}";
    check(sidecar, 2);
    let rule = "{apiVersion: networking.istio.io/v1, kind: DestinationRule, metadata: {name: d, namespace: default}, \
        spec: {host: x, MORE}}";
    check(&rule.replace("MORE", "workloadSelector: {matchLabels: {app: a}}"), 2);
    check(
        &rule.replace(
            "MORE",
            "trafficPolicy: {loadBalancer: {localityLbSetting: {failoverPriority: [app]}}}",
        ),
        2,
    );
}

#[test]
fn workloads_that_keep_traffic_out_of_the_mesh_are_apart() {
    let excluding = pod("default", "c", "", "10.244.0.3").replace(
        "labels:",
        "annotations: {traffic.sidecar.istio.io/excludeOutboundPorts: '5432'}, labels:",
    );
    check(&excluding, 2);
}

#[test]
fn a_member_that_is_the_same_stays_the_same_by_address() {
    let objects = format!("{NAMESPACES}{}", pod("default", "a", "", "10.244.0.1"));
    let first = fleet(&snapshot(&objects), None, &Fleet::new());
    let second = fleet(&snapshot(&objects), None, &first);
    let workload = |fleet: &Fleet| Arc::clone(&fleet.values().next().unwrap().workload);
    assert!(Arc::ptr_eq(&workload(&first), &workload(&second)));
}

#[test]
fn a_pod_whose_proxy_is_a_router_is_a_gateway() {
    let router = "containers: [{name: istio-proxy, args: [proxy, router]}]";
    let beside = "containers: [{name: istio-proxy, args: [proxy, sidecar]}]";
    let pods = [pod("legacy", "a", router, "10.244.0.1"), pod("legacy", "b", beside, "10.244.0.2")];
    let snapshot = snapshot(&format!("{NAMESPACES}{}", pods.concat()));
    let fleet = fleet(&snapshot, None, &Fleet::new());
    let proxies: Vec<_> = fleet
        .values()
        .map(|member| {
            let Class::Mesh { view, .. } = &member.class else { panic!("it is in the mesh") };
            let proxy = view.proxy();
            (member.workload.role, proxy.kind, proxy.labels.len(), proxy.addresses.len())
        })
        .collect();
    let gateway = (Role::Gateway, ProxyKind::Gateway, 1, 1);
    assert_eq!(proxies, [gateway, (Role::Sidecar, ProxyKind::Sidecar, 0, 0)]);
}
