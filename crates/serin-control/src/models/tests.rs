use super::*;
use crate::testing::{cache, service};

fn pod(namespace: &str, name: &str, number: usize) -> String {
    format!(
        "{{apiVersion: v1, kind: Pod, metadata: {{name: {name}, namespace: {namespace}, uid: u-{name}, labels: {{app: {name}}}}}, \
         spec: {{nodeName: one}}, status: {{phase: Running, podIP: 10.244.0.{number}}}}}\n---\n"
    )
}

fn rules(prefix: &str) -> String {
    format!(
        "{{apiVersion: networking.istio.io/v1, kind: VirtualService, metadata: {{name: v, namespace: one}}, spec: {{hosts: [a.default.svc.cluster.local], \
         http: [{{match: [{{uri: {{prefix: {prefix}}}}}], route: [{{destination: {{host: a.default.svc.cluster.local}}}}]}}]}}}}\n---\n"
    )
}

fn mesh(prefix: &str) -> String {
    let namespaces = ["one", "two"].map(|name| {
        format!("{{apiVersion: v1, kind: Namespace, metadata: {{name: {name}, labels: {{istio-injection: enabled}}}}}}\n---\n")
    });
    let pods = (1..=9).map(|number| {
        let namespace = ["one", "two", "plain"][number % 3];
        pod(namespace, &format!("p{number}"), number)
    });
    let a = service("a", "clusterIP: 10.96.0.1, ports: [{name: http, port: 80}]", &["10.244.1.1"]);
    format!("{}{}{a}{}", namespaces.concat(), pods.collect::<String>(), rules(prefix))
}

fn next(models: &mut Models, number: u64, objects: &str) -> Push {
    let cache = cache(objects);
    models.next(number, cache.objects().clone(), cache.mesh())
}

/// How many models there are, and how many proxies get one that is not as before.
fn check(before: &Push, now: &Push, expect: (usize, usize)) {
    let models: std::collections::HashSet<_> =
        now.proxies.values().map(|it| Arc::as_ptr(&it.model)).collect();
    let is_new = |(id, it): &(&ProxyId, &Publication)| {
        before.proxies.get(*id).is_none_or(|before| !it.is(before))
    };
    assert_eq!((models.len(), now.proxies.iter().filter(is_new).count()), expect);
}

#[test]
fn proxies_of_a_class_share_a_model_and_get_it_again_only_if_it_is_another() {
    let mut models = Models::new(Arc::new(Settings::default()));
    let first = next(&mut models, 1, &mesh("/a"));
    // One for each namespace of the mesh, one outside of it, the gateway's and the machine's.
    check(&first, &first, (5, 0));
    assert_eq!(first.proxies.len(), 11);
    let same = next(&mut models, 2, &mesh("/a"));
    check(&first, &same, (5, 0));
    let changed = next(&mut models, 3, &mesh("/b"));
    check(&same, &changed, (5, 6));
    let told_apart =
        mesh("/b").replace("uri: {prefix: /b}", "sourceLabels: {app: p1}, uri: {prefix: /b}");
    let apart = next(&mut models, 4, &told_apart);
    // Each of the three pods of a namespace has a value of its own.
    check(&changed, &apart, (9, 6));
}

#[test]
fn a_workload_that_keeps_a_port_out_of_the_mesh_has_a_model_of_its_own() {
    let excluding = mesh("/a").replace(
        "metadata: {name: p1,",
        "metadata: {annotations: {traffic.sidecar.istio.io/excludeOutboundPorts: '80'}, name: p1,",
    );
    let mut models = Models::new(Arc::new(Settings::default()));
    let push = next(&mut models, 1, &excluding);
    check(&push, &push, (6, 0));
    let of = |name: &str| {
        let found = push.proxies.iter().find(|(id, _)| id.to_string().ends_with(name));
        Arc::clone(&found.unwrap().1.model)
    };
    assert!(of("/p1").listeners.contains_key("10.96.0.1_80"));
    assert!(!of("/p4").listeners.contains_key("10.96.0.1_80"));
    assert!(of("/p4").listeners.contains_key("0.0.0.0_80"));
}
