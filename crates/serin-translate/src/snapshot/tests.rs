use super::*;
use crate::testing::objects;

const OBJECTS: &str = "
kind: Service
metadata: {name: a}
spec: {ports: [{port: 80, name: http}]}
---
kind: VirtualService
metadata: {name: young, creationTimestamp: '2024-02-01T00:00:00Z'}
spec: {hosts: [a], http: [{route: [{destination: {host: a}}]}]}
---
kind: VirtualService
metadata: {name: old, creationTimestamp: '2024-01-01T00:00:00Z'}
spec: {hosts: [a], http: [{route: [{destination: {host: a}}]}]}
---
kind: VirtualService
metadata: {name: manifest-b}
spec: {hosts: [a], http: [{route: [{destination: {host: a}}]}]}
---
kind: VirtualService
metadata: {name: manifest-a, namespace: other}
spec: {hosts: [a.com], http: [{route: [{destination: {host: a}}]}]}
---
kind: VirtualService
metadata: {name: manifest-a}
spec: {hosts: [a.com], http: [{route: [{destination: {host: a}}]}]}
---
kind: DestinationRule
metadata: {name: a}
spec: {host: a}
";

#[test]
fn objects_come_by_creation_then_name_then_namespace() {
    let snapshot = Snapshot::new(objects(OBJECTS), Settings::default());
    let names: Vec<_> = snapshot
        .objects()
        .virtual_services
        .iter()
        .map(|it| format!("{}/{}", it.meta.namespace, it.meta.name))
        .collect();
    assert_eq!(
        names,
        [
            "default/manifest-a",
            "other/manifest-a",
            "default/manifest-b",
            "default/old",
            "default/young"
        ]
    );
}

#[test]
fn what_depends_on_the_same_objects_is_taken_over() {
    let all = objects(OBJECTS);
    let mut builder = SnapshotBuilder::default();
    let first = builder.build(all.clone(), Settings::default());
    let again = builder.build(all.clone(), Settings::default());
    assert!(std::ptr::eq(first.registry(), again.registry()));
    assert!(std::ptr::eq(first.virtual_services(), again.virtual_services()));
    assert!(Arc::ptr_eq(first.destination_rules(), again.destination_rules()));

    let mut changed = all.clone();
    let mut rules = (*changed.virtual_services[0]).clone();
    rules.spec.http.clear();
    changed.virtual_services[0] = Arc::new(rules);
    let after = builder.build(changed, Settings::default());
    assert!(std::ptr::eq(first.registry(), after.registry()));
    assert!(!std::ptr::eq(first.virtual_services(), after.virtual_services()));
    let kept = first
        .virtual_services()
        .all()
        .iter()
        .filter(|it| after.virtual_services().all().iter().any(|other| Arc::ptr_eq(it, other)));
    assert_eq!(kept.count(), 4);

    let settings = Settings { cluster_domain: Arc::from("other.local"), ..Settings::default() };
    let elsewhere = builder.build(all, settings);
    assert!(!std::ptr::eq(first.registry(), elsewhere.registry()));
}

const GATEWAY_API: &str = "
kind: Service
metadata: {name: gateway, labels: {gateway.networking.k8s.io/gateway-name: gateway}}
spec: {ports: [{port: 80, name: http}], clusterIP: 10.0.0.9}
---
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: istio}
spec: {controllerName: istio.io/gateway-controller}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: gateway}
spec: {gatewayClassName: istio, listeners: [{name: http, port: 80, protocol: HTTP}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: route}
spec:
  parentRefs: [{name: gateway}]
  hostnames: [example.com]
  rules: [{backendRefs: [{name: a, port: 80}]}]
";

#[test]
fn objects_of_the_gateway_api_join_those_of_istio() {
    let text = format!("{OBJECTS}\n---\n{GATEWAY_API}");
    let mut builder = SnapshotBuilder::default();
    let first = builder.build(objects(&text), Settings::default());
    assert_eq!(first.written_virtual_services().len(), 5);
    assert_eq!(first.objects().virtual_services.len(), 6);
    assert_eq!((first.written_gateways().len(), first.objects().gateways.len()), (0, 1));
    assert!(first.written_destination_rules().len() == first.objects().destination_rules.len());
    // Made again from equal objects, they are the same.
    let mut again = objects(&text);
    again.virtual_services = first.written_virtual_services().iter().cloned().collect();
    let again = builder.build(again, Settings::default());
    assert!(std::ptr::eq(first.virtual_services(), again.virtual_services()));
}

#[test]
fn objects_of_namespaces_that_the_mesh_does_not_select_do_not_exist_for_it() {
    let namespaces = "
kind: Namespace
metadata: {name: default, labels: {mesh: 'yes'}}
---
kind: Namespace
metadata: {name: other}
";
    let text = format!("{OBJECTS}\n---\n{namespaces}");
    let count = |key: &str, value: &str| {
        let mut mesh = MeshConfig::default();
        let match_labels = std::collections::BTreeMap::from([(key.to_owned(), value.to_owned())]);
        mesh.discovery_selectors = vec![LabelSelector { match_labels, ..LabelSelector::default() }];
        let settings = Settings { mesh: Arc::new(mesh), ..Settings::default() };
        Snapshot::new(objects(&text), settings).objects().virtual_services.len()
    };
    assert_eq!(count("mesh", "yes"), 4);
    assert_eq!(count("kubernetes.io/metadata.name", "other"), 1);
    assert_eq!(count("mesh", "no"), 0);
}
