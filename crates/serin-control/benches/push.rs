//! What a change of one weight costs in a large mesh: from the answer of the API server to the last proxy that has the model, and to
//! the condition that says so. Proxies answer at once: what they make of a model is measured elsewhere.
//!
//! Prints one JSON object per sample.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "samples are printed")]
#![expect(clippy::expect_used, reason = "what cannot go on has failed")]

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::{StreamExt as _, stream};
use kube::api::{Api, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::{Value, json};
use serin_api::{Kind, ObjectRef, Scope};
use serin_apiserver::{ApiServer, User};
use serin_control::{
    Ack, Control, Operation, ProxyId, PublishError, Publisher, Settings, Workload, review,
};
use serin_routing::Model;

const SERVICES: usize = 1_000;
const NAMESPACES: usize = 10;
const PODS: usize = 200;
/// Longer than anything takes.
const LIMIT: Duration = Duration::from_secs(300);

struct AtOnce;

impl Publisher for AtOnce {
    async fn publish(
        &self,
        _: &ProxyId,
        _: Arc<Model>,
        _: Arc<Workload>,
    ) -> Result<Ack, PublishError> {
        Ok(Ack::default())
    }

    async fn retire(&self, _: &ProxyId) {}
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (rules, rounds) = match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice()
    {
        ["--bench"] => (vec![10, 5_000], 101),
        ["--quick", "--bench"] | ["--bench", "--quick"] => (vec![10, 5_000], 15),
        // As a test, all there is to find out is that it builds.
        [] => return ExitCode::SUCCESS,
        other => {
            eprintln!("unknown arguments: {other:?}");
            return ExitCode::FAILURE;
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime starts");
    for count in rules {
        runtime.block_on(measure(count, rounds));
    }
    ExitCode::SUCCESS
}

async fn measure(rules: usize, rounds: usize) {
    let settings = serin_apiserver::Settings {
        definitions: serin_api::crd::all(),
        ..serin_apiserver::Settings::default()
    };
    let server = ApiServer::start(settings).await.expect("the server starts");
    let client = kube::Client::new(server.client(User::administrator()), "default");
    let case = format!("{rules} rules, {PODS} pods");
    eprintln!("{case}");
    let start = Instant::now();
    for kind in [namespaces(), objects(rules)] {
        stream::iter(kind).for_each_concurrent(64, |it| create(&client, it)).await;
    }
    sample(&case, "objects are made", start);
    let start = Instant::now();
    let control = Control::start(client.clone(), AtOnce, Settings::default());
    let first = reference(&rule(0, 50));
    control.await_live(&first, 1, LIMIT).await.expect("the first push");
    sample(&case, "first push", start);
    settle(&client).await;
    sample(&case, "all statuses are written", start);
    for round in 0..rounds {
        let number = round * 7 % rules.min(SERVICES);
        let changed = rule(number, 1 + round % 50);
        let start = Instant::now();
        let snapshot = control.snapshot();
        let _ = review(&changed, None, Operation::Create, snapshot.as_ref());
        sample(&case, "admission", start);
        let start = Instant::now();
        let generation = apply(&client, &changed).await;
        let stored = Instant::now();
        control.await_live(&reference(&changed), generation, LIMIT).await.expect("it is live");
        sample(&case, "from apply to the last proxy", start);
        sample(&case, "from the answer to the last proxy", stored);
    }
}

/// Waits until every rule has a status: what is written after a start is not what is measured.
async fn settle(client: &kube::Client) {
    let kind = GroupVersionKind::gvk("networking.istio.io", "v1", "VirtualService");
    let resource = ApiResource::from_gvk_with_plural(&kind, "virtualservices");
    let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
    loop {
        let list = api.list(&ListParams::default()).await.expect("rules are listed");
        if list.items.iter().all(|it| !it.data["status"]["conditions"].is_null()) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

fn namespaces() -> Vec<Value> {
    let namespace = |number| json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name_of(number), "labels": {"istio-injection": "enabled"}}});
    (0..NAMESPACES).map(namespace).collect()
}

fn name_of(number: usize) -> String {
    format!("team-{}", number % NAMESPACES)
}

fn objects(rules: usize) -> Vec<Value> {
    let services = rules.min(SERVICES);
    let of_service = |number: usize| [service(number), slice(number), destination_rule(number)];
    let rules = (0..rules).map(|number| rule(number, 50));
    (0..services).flat_map(of_service).chain(rules).chain((0..PODS).map(pod)).collect()
}

fn meta(number: usize) -> Value {
    json!({"name": format!("service-{number}"), "namespace": name_of(number)})
}

fn service(number: usize) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service", "metadata": meta(number),
        "spec": {"selector": {"app": format!("service-{number}")}, "ports": [{"name": "http", "port": 80, "targetPort": 8080}]},
    })
}

fn slice(number: usize) -> Value {
    let mut meta = meta(number);
    meta["labels"] = json!({"kubernetes.io/service-name": format!("service-{number}")});
    json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": meta, "addressType": "IPv4",
        "endpoints": [{"addresses": [address(number)], "conditions": {"ready": true}}],
        "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
    })
}

fn address(number: usize) -> String {
    format!("10.244.{}.{}", number / 250, number % 250 + 1)
}

fn destination_rule(number: usize) -> Value {
    let subset = |name: &str| json!({"name": name, "labels": {"version": name}});
    json!({
        "apiVersion": "networking.istio.io/v1", "kind": "DestinationRule", "metadata": meta(number),
        "spec": {"host": format!("service-{number}"), "subsets": [subset("v1"), subset("v2")]},
    })
}

/// Rules for a service; those beyond are for hosts that are none.
fn rule(number: usize, weight: usize) -> Value {
    let service = format!("service-{}.{}.svc.cluster.local", number % SERVICES, name_of(number));
    let host =
        if number < SERVICES { service.clone() } else { format!("site-{number}.example.com") };
    let to = |subset: &str, weight: usize| json!({"destination": {"host": service, "subset": subset}, "weight": weight});
    json!({
        "apiVersion": "networking.istio.io/v1", "kind": "VirtualService", "metadata": meta(number),
        "spec": {"hosts": [host], "http": [
            {"match": [{"headers": {"end-user": {"exact": "jason"}}}], "route": [to("v2", 100)]},
            {"route": [to("v1", 100 - weight), to("v2", weight)]},
        ]},
    })
}

fn pod(number: usize) -> Value {
    let name = format!("service-{number}");
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": name_of(number), "labels": {"app": name, "version": "v1"}},
        "spec": {"nodeName": "serin", "containers": [{"name": "app", "image": "app"}]},
        "status": {"phase": "Running", "podIP": address(number), "conditions": [{"type": "Ready", "status": "True"}]},
    })
}

async fn create(client: &kube::Client, mut object: Value) {
    let status = object.as_object_mut().and_then(|it| it.shift_remove("status"));
    let api = api(client, &object);
    let typed = serde_json::from_value(object.clone()).expect("an object");
    api.create(&PostParams::default(), &typed).await.expect("it is made");
    if let Some(status) = status {
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        let patch = Patch::Merge(json!({ "status": status }));
        api.patch_status(name, &PatchParams::default(), &patch)
            .await
            .expect("its status is written");
    }
}

async fn apply(client: &kube::Client, object: &Value) -> i64 {
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    let parameters = PatchParams::apply("bench").force();
    let applied = api(client, object).patch(name, &parameters, &Patch::Apply(object)).await;
    applied.expect("it is applied").metadata.generation.unwrap_or_default()
}

fn reference(object: &Value) -> ObjectRef {
    let text = |at: &str| object.pointer(at).and_then(Value::as_str).unwrap_or_default().to_owned();
    ObjectRef {
        api_version: text("/apiVersion"),
        kind: text("/kind"),
        namespace: text("/metadata/namespace"),
        name: text("/metadata/name"),
    }
}

fn api(client: &kube::Client, object: &Value) -> Api<DynamicObject> {
    let ObjectRef { api_version, kind, namespace, .. } = reference(object);
    let (group, version) = api_version.split_once('/').unwrap_or(("", &api_version));
    let known = Kind::find(group, &kind).expect("a kind");
    let kind = GroupVersionKind::gvk(group, version, &kind);
    let resource = ApiResource::from_gvk_with_plural(&kind, known.plural);
    match known.scope {
        Scope::Namespaced => Api::namespaced_with(client.clone(), &namespace, &resource),
        Scope::Cluster => Api::all_with(client.clone(), &resource),
    }
}

fn sample(case: &str, subject: &str, start: Instant) {
    let milliseconds = start.elapsed().as_secs_f64() * 1000.0;
    println!(
        "{}",
        json!({"case": case, "subject": subject, "metric": "time", "unit": "ms", "value": milliseconds})
    );
}
