//! What a change of one VirtualService among many makes anew, from objects to the compiled model: counted, not timed.

use std::sync::Arc;

use serde_json::{Value, json};
use serin_api::{AnyObject, Kind};
use serin_routing::compiled::{CompiledModel, Work};
use serin_routing::model::{Model, VirtualHost};
use serin_translate::{Objects, Proxy, ProxyKind, Settings, SnapshotBuilder, Translator};

const COUNT: usize = 100;

#[expect(clippy::unwrap_used, reason = "the objects are written here")]
fn read(value: &Value) -> AnyObject {
    let api_version = value["apiVersion"].as_str().unwrap();
    let group = api_version.split_once('/').map_or("", |(group, _)| group);
    Kind::find(group, value["kind"].as_str().unwrap()).unwrap().read(value).unwrap()
}

fn gateway() -> Value {
    json!({
        "apiVersion": "networking.istio.io/v1",
        "kind": "Gateway",
        "metadata": {"name": "edge", "namespace": "shop"},
        "spec": {"selector": {"istio": "edge"}, "servers": [
            {"port": {"number": 80, "name": "http", "protocol": "HTTP"}, "hosts": ["*"]},
        ]},
    })
}

fn service(number: usize) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": format!("service-{number}"), "namespace": "shop"},
        "spec": {"clusterIP": format!("10.0.0.{number}"), "ports": [{"name": "http", "port": 80}]},
    })
}

/// Rules for a service in the mesh and for a host at the gateway; the last of three has this prefix.
fn virtual_service(number: usize, prefix: &str) -> Value {
    let to = json!([{"destination": {"host": format!("service-{number}")}}]);
    json!({
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": format!("service-{number}"), "namespace": "shop"},
        "spec": {
            "hosts": [format!("service-{number}"), format!("www-{number}.example.com")],
            "gateways": ["mesh", "edge"],
            "http": [
                {"match": [{"headers": {"end-user": {"exact": "jason"}}}], "route": to},
                {"match": [{"uri": {"regex": "/v[0-9]+/.*"}}], "route": to},
                {"match": [{"uri": {"prefix": prefix}}], "route": to},
            ],
        },
    })
}

fn mesh() -> Objects {
    let each = |number: usize| [read(&service(number)), read(&virtual_service(number, "/a"))];
    [read(&gateway())].into_iter().chain((0..COUNT).flat_map(each)).collect()
}

/// The steps from objects to a compiled model, for one proxy.
struct Steps {
    objects: Objects,
    builder: SnapshotBuilder,
    translator: Translator,
    compiled: CompiledModel,
}

impl Steps {
    fn new(kind: ProxyKind) -> Self {
        let labels = [("istio".to_owned(), "edge".to_owned())].into();
        let mut steps = Self {
            objects: mesh(),
            builder: SnapshotBuilder::default(),
            translator: Translator::new(Proxy::new(kind, "shop", labels)),
            compiled: CompiledModel::default(),
        };
        steps.take();
        steps
    }

    /// Makes the next version; the answer is what was compiled for it.
    fn take(&mut self) -> Work {
        let snapshot = self.builder.build(self.objects.clone(), Settings::default());
        let model = self.translator.translate(&snapshot).model;
        self.compiled = self.compiled.updated(Arc::new(model));
        self.compiled.work()
    }

    fn change(&mut self, number: usize, prefix: &str) {
        let AnyObject::VirtualService(new) = read(&virtual_service(number, prefix)) else {
            unreachable!()
        };
        let mut list = self.objects.virtual_services.iter();
        let old = list.find(|it| it.meta.name == new.meta.name).cloned();
        self.objects.exchange(old.as_deref(), Some(new));
    }
}

fn hosts(model: &Model) -> Vec<&Arc<VirtualHost>> {
    model.route_tables.values().flat_map(|it| &it.virtual_hosts).collect()
}

/// One VirtualService changes in its last rule; these virtual hosts have it.
fn check(kind: ProxyKind, expect: impl Fn(usize) -> Vec<String>) {
    let mut steps = Steps::new(kind);
    assert_eq!(steps.take(), Work::default(), "nothing has changed");
    for number in [0, COUNT / 2, COUNT - 1] {
        let before = Arc::clone(steps.compiled.model());
        steps.change(number, "/b");
        let count = expect(number).len();
        assert_eq!(steps.take(), Work { virtual_hosts: count, rules: count });
        let after = steps.compiled.model();
        assert!(before.listeners.is(&after.listeners) && before.clusters.is(&after.clusters));
        assert!(before.endpoints.is(&after.endpoints));
        let (before, after) = (hosts(&before), hosts(after));
        let changed = before.iter().zip(&after).filter(|(one, other)| !Arc::ptr_eq(one, other));
        let changed: Vec<_> = changed.map(|(_, host)| &*host.name).collect();
        assert_eq!(changed, expect(number));
    }
}

#[test]
fn a_sidecar_compiles_only_the_hosts_of_a_changed_virtual_service() {
    let service = |number: usize| format!("service-{number}.shop.svc.cluster.local:80");
    let site = |number: usize| format!("www-{number}.example.com:80");
    check(ProxyKind::Sidecar, |number| vec![service(number), site(number)]);
}

/// There, hosts with the same rules are one virtual host.
#[test]
fn a_gateway_compiles_only_the_hosts_of_a_changed_virtual_service() {
    let service = |number: usize| format!("service-{number}.shop.svc.cluster.local:80");
    check(ProxyKind::Gateway, |number| vec![service(number)]);
}
