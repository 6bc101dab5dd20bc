//! `cargo xtask bench routing`, second part: what it costs when one VirtualService of 10,000 changes, from objects to a compiled
//! model: the next snapshot, its translation for one proxy, and what is compiled of it.
//!
//! Prints one JSON object per sample.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "samples are printed")]

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use serin_api::networking::VirtualService;
use serin_api::{AnyObject, Kind, Object};
use serin_routing::compiled::CompiledModel;
use serin_translate::{Objects, Proxy, ProxyKind, Settings, SnapshotBuilder, Translator};

/// How many of each kind of object there are.
const COUNT: usize = 10_000;
/// Namespaces that they are spread over.
const NAMESPACES: usize = 100;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let rounds = match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["--bench"] => 51,
        ["--quick", "--bench"] | ["--bench", "--quick"] => 15,
        // As a test, all there is to find out is that it builds.
        [] => return ExitCode::SUCCESS,
        other => {
            eprintln!("unknown arguments: {other:?}");
            return ExitCode::FAILURE;
        }
    };
    for (case, gateways, kind) in [
        ("sidecar", "mesh", ProxyKind::Sidecar),
        ("gateway", "istio-system/edge", ProxyKind::Gateway),
    ] {
        eprintln!("one VirtualService of {COUNT}, for a {case}");
        measure(case, &mesh(gateways), gateways, kind, rounds);
    }
    ExitCode::SUCCESS
}

/// Every stage of the first version and then of versions that differ in one VirtualService.
fn measure(case: &str, objects: &Objects, gateways: &str, kind: ProxyKind, rounds: usize) {
    let labels = [("istio".to_owned(), "ingressgateway".to_owned())].into();
    let proxy = Proxy::new(kind, "istio-system", labels);
    let mut stages = Stages {
        objects: objects.clone(),
        builder: SnapshotBuilder::default(),
        translator: Translator::new(proxy),
        compiled: CompiledModel::default(),
    };
    let whole = format!("{case}, {COUNT} VirtualServices from nothing");
    stages.run(&whole, Instant::now());
    let one = format!("{case}, change one VirtualService of {COUNT}");
    for round in 0..rounds {
        let number = round * 7919 % COUNT;
        let changed = virtual_service(number, gateways, &format!("/changed/{round}"));
        let AnyObject::VirtualService(new) = read(&changed) else { continue };
        let called = (&new.meta.name, &new.meta.namespace);
        let list = &stages.objects.virtual_services;
        let old = list.iter().find(|it| (&it.meta.name, &it.meta.namespace) == called).cloned();
        stages.change(&one, old, new);
    }
}

struct Stages {
    objects: Objects,
    builder: SnapshotBuilder,
    translator: Translator,
    compiled: CompiledModel,
}

impl Stages {
    fn change(
        &mut self,
        case: &str,
        old: Option<Arc<Object<VirtualService>>>,
        new: Arc<Object<VirtualService>>,
    ) {
        let start = Instant::now();
        self.objects.exchange(old.as_deref(), Some(new));
        self.run(case, start);
    }

    fn run(&mut self, case: &str, start: Instant) {
        let snapshot = self.builder.build(self.objects.clone(), Settings::default());
        let built = Instant::now();
        let translation = self.translator.translate(&snapshot);
        let translated = Instant::now();
        self.compiled = self.compiled.updated(Arc::new(translation.model));
        drop(snapshot);
        let end = Instant::now();
        print_sample(case, "snapshot", built - start);
        print_sample(case, "translation", translated - built);
        print_sample(case, "compilation", end - translated);
        print_sample(case, "from objects to compiled model", end - start);
    }
}

/// As many services, each with endpoints, subsets and rules; a gateway that the rules may be bound to.
fn mesh(gateways: &str) -> Objects {
    let mut objects = Objects::default();
    objects.insert(read(&json!({
        "apiVersion": "networking.istio.io/v1",
        "kind": "Gateway",
        "metadata": {"name": "edge", "namespace": "istio-system"},
        "spec": {
            "selector": {"istio": "ingressgateway"},
            "servers": [{"port": {"number": 80, "name": "http", "protocol": "HTTP"}, "hosts": ["*"]}],
        },
    })));
    for number in 0..COUNT {
        objects.insert(read(&service(number)));
        objects.insert(read(&endpoints(number)));
        objects.insert(read(&destination_rule(number)));
        objects.insert(read(&virtual_service(number, gateways, "/api/")));
    }
    objects
}

fn meta(number: usize) -> Value {
    let (name, namespace) = (format!("service-{number}"), format!("team-{}", number % NAMESPACES));
    json!({"name": name, "namespace": namespace, "creationTimestamp": "2026-01-01T00:00:00Z"})
}

fn service(number: usize) -> Value {
    let address = format!("10.{}.{}.{}", 16 + number / 65_536, number / 256 % 256, number % 256);
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": meta(number),
        "spec": {
            "clusterIP": address,
            "ports": [{"name": "http", "port": 80, "targetPort": 8080}],
            "selector": {"app": format!("service-{number}")},
        },
    })
}

fn endpoints(number: usize) -> Value {
    let address = |side: usize| format!("10.{}.{}.{}", 64 + side, number / 256 % 256, number % 256);
    let mut meta = meta(number);
    meta["labels"] = json!({"kubernetes.io/service-name": format!("service-{number}")});
    json!({
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": meta,
        "addressType": "IPv4",
        "endpoints": [{"addresses": [address(0)]}, {"addresses": [address(1)]}],
        "ports": [{"name": "http", "port": 8080}],
    })
}

fn destination_rule(number: usize) -> Value {
    let subset = |name: &str| json!({"name": name, "labels": {"version": name}});
    json!({
        "apiVersion": "networking.istio.io/v1",
        "kind": "DestinationRule",
        "metadata": meta(number),
        "spec": {"host": format!("service-{number}"), "subsets": [subset("v1"), subset("v2")]},
    })
}

fn virtual_service(number: usize, gateways: &str, prefix: &str) -> Value {
    let host = format!("service-{number}");
    let to = |subset: &str| json!([{"destination": {"host": host, "subset": subset}}]);
    let public = if gateways == "mesh" { host.clone() } else { format!("{host}.example.com") };
    json!({
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": meta(number),
        "spec": {
            "hosts": [public],
            "gateways": [gateways],
            "http": [
                {"match": [{"headers": {"end-user": {"exact": "jason"}}}], "route": to("v2")},
                {"match": [{"uri": {"prefix": prefix}}], "route": to("v1")},
            ],
        },
    })
}

#[expect(clippy::expect_used, reason = "the objects are written here")]
fn read(value: &Value) -> AnyObject {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (api_version, kind) = (text(&value["apiVersion"]), text(&value["kind"]));
    let group = api_version.split_once('/').map_or("", |(group, _)| group);
    let kind = Kind::find(group, &kind).expect("the kind is known");
    kind.read(value).expect("the object is correct")
}

fn print_sample(case: &str, subject: &str, time: Duration) {
    let milliseconds = time.as_secs_f64() * 1000.0;
    println!(
        "{}",
        json!({"case": case, "subject": subject, "metric": "time", "unit": "ms", "value": milliseconds})
    );
}
