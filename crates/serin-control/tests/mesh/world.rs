//! A cluster in this process, and what its control plane publishes.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kube::api::{Api, DeleteParams, DynamicObject, Patch, PatchParams};
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::{Value, json};
use serin_api::{Kind, ObjectRef};
use serin_apiserver::{ApiServer, User};
use serin_control::{Ack, Control, Problem, ProxyId, PublishError, Publisher, Settings, Workload};
use serin_routing::Model;
use serin_routing::connection;
use serin_routing::explain::explain;
use serin_routing::model::{Direction, NetworkFilter};
use serin_routing::request::RequestParts;
use tokio::sync::{Notify, watch};

/// Longer than anything takes; what waits so long has failed.
pub(crate) const LIMIT: Duration = Duration::from_secs(300);

/// A model, and the workload that it is for.
type Published = (Arc<Model>, Arc<Workload>);

/// What was published last to each proxy.
#[derive(Default)]
pub(crate) struct Recorder {
    proxies: Mutex<BTreeMap<ProxyId, Published>>,
    pub(crate) publications: Mutex<Vec<ProxyId>>,
    /// Proxies that do not answer while they are in here.
    held: Mutex<Vec<String>>,
    released: Notify,
    /// What proxies tell that they could not take.
    problems: Mutex<Vec<Problem>>,
    moved: watch::Sender<u64>,
}

#[derive(Clone)]
pub(crate) struct Recording(pub(crate) Arc<Recorder>);

impl Publisher for Recording {
    async fn publish(
        &self,
        proxy: &ProxyId,
        model: Arc<Model>,
        workload: Arc<Workload>,
    ) -> Result<Ack, PublishError> {
        loop {
            let released = self.0.released.notified();
            if !self.0.held.lock().unwrap().contains(&proxy.to_string()) {
                break;
            }
            released.await;
        }
        self.0.proxies.lock().unwrap().insert(proxy.clone(), (model, workload));
        self.0.publications.lock().unwrap().push(proxy.clone());
        self.0.moved.send_modify(|count| *count += 1);
        let problems = match proxy {
            ProxyId::Gateway { .. } => self.0.problems.lock().unwrap().clone(),
            _ => Vec::new(),
        };
        Ok(Ack { problems })
    }

    async fn retire(&self, proxy: &ProxyId) {
        self.0.proxies.lock().unwrap().remove(proxy);
        self.0.moved.send_modify(|count| *count += 1);
    }
}

impl Recorder {
    /// The proxy does not answer until it is released.
    pub(crate) fn hold(&self, proxy: &str) {
        self.held.lock().unwrap().push(proxy.to_owned());
    }

    pub(crate) fn release(&self) {
        self.held.lock().unwrap().clear();
        self.released.notify_waiters();
    }

    /// Gateways cannot take these parts of their models.
    pub(crate) fn lack(&self, problems: Vec<Problem>) {
        *self.problems.lock().unwrap() = problems;
    }

    /// What a proxy has, by the name that it is shown under.
    pub(crate) fn of(&self, name: &str) -> Option<Published> {
        let proxies = self.proxies.lock().unwrap();
        proxies.iter().find(|(id, _)| id.to_string() == name).map(|(_, it)| it.clone())
    }

    /// Waits until something holds of what was published.
    pub(crate) async fn until<T>(&self, ask: impl Fn(&Self) -> Option<T>) -> T {
        let mut moved = self.moved.subscribe();
        let wait = async {
            loop {
                moved.mark_unchanged();
                if let Some(answer) = ask(self) {
                    return answer;
                }
                moved.changed().await.unwrap();
            }
        };
        tokio::time::timeout(LIMIT, wait).await.expect("it is published")
    }
}

/// A cluster.
pub(crate) struct World {
    pub(crate) client: kube::Client,
    pub(crate) recorder: Arc<Recorder>,
    pub(crate) control: Control,
}

impl World {
    /// A cluster with these objects.
    pub(crate) async fn new(manifests: &str) -> Self {
        Self::with(manifests, Settings::default()).await
    }

    pub(crate) async fn with(manifests: &str, settings: Settings) -> Self {
        let client = client().await;
        for object in objects(manifests) {
            apply(&client, &object).await;
        }
        let recorder = Arc::new(Recorder::default());
        let control = Control::start(client.clone(), Recording(Arc::clone(&recorder)), settings);
        Self { client, recorder, control }
    }

    /// Applies manifests; gives the last object as it was stored.
    pub(crate) async fn apply(&self, manifests: &str) -> Value {
        let mut last = Value::Null;
        for object in objects(manifests) {
            last = apply(&self.client, &object).await;
        }
        last
    }

    /// Applies manifests and waits until the last object is live everywhere.
    pub(crate) async fn live(&self, manifests: &str) -> serin_control::Live {
        let object = self.apply(manifests).await;
        let generation = object["metadata"]["generation"].as_i64().unwrap_or_default();
        let reference = reference(&object);
        self.control.await_live(&reference, generation, LIMIT).await.unwrap()
    }

    pub(crate) async fn delete(&self, object: &ObjectRef) {
        api(&self.client, &object.api_version, &object.kind, &object.namespace)
            .delete(&object.name, &DeleteParams::default().grace_period(0))
            .await
            .unwrap();
    }

    pub(crate) async fn get(&self, object: &ObjectRef) -> Value {
        let api = api(&self.client, &object.api_version, &object.kind, &object.namespace);
        serde_json::to_value(api.get(&object.name).await.unwrap()).unwrap()
    }

    /// Waits until a status has a condition with this status for the object's present generation; gives the condition.
    pub(crate) async fn condition(&self, object: &Value, name: &str, status: &str) -> Value {
        let reference = reference(object);
        let api = api(&self.client, &reference.api_version, &reference.kind, &reference.namespace);
        let generation = &object["metadata"]["generation"];
        let wait = kube::runtime::wait::await_condition(
            api,
            &reference.name,
            |it: Option<&DynamicObject>| {
                find(it, name).is_some_and(|it| {
                    it["status"] == status && it["observedGeneration"] == *generation
                })
            },
        );
        let found = tokio::time::timeout(LIMIT, wait).await.unwrap_or_else(|_| panic!("no {name}"));
        find(found.unwrap().as_ref(), name).unwrap().clone()
    }

    /// Waits for a proxy to have something.
    pub(crate) async fn proxy(&self, name: &str) -> Published {
        self.recorder.until(|it| it.of(name)).await
    }

    /// Where a proxy sends a request for `http://authority/path` that it captures.
    pub(crate) async fn way(&self, proxy: &str, authority: &str, path: &str) -> Vec<(String, u32)> {
        let (model, _) = self.proxy(proxy).await;
        way(&model, Direction::Outbound, authority, path)
    }
}

fn find<'o>(object: Option<&'o DynamicObject>, name: &str) -> Option<&'o Value> {
    let conditions = object?.data["status"]["conditions"].as_array()?;
    conditions.iter().find(|it| it["type"] == name)
}

/// The clusters that a request to `authority` goes to, with their weights.
pub(crate) fn way(
    model: &Model,
    direction: Direction,
    authority: &str,
    path: &str,
) -> Vec<(String, u32)> {
    let port = authority.rsplit_once(':').map_or(80, |(_, port)| port.parse().unwrap());
    let address = "192.0.2.1".parse().unwrap();
    let listener = connection::listener(model, direction, address, port).unwrap();
    let chains = listener.filter_chains.iter();
    let table = chains.filter_map(|chain| match &chain.filter {
        NetworkFilter::Http(http) => Some(&http.routes),
        NetworkFilter::Tcp(_) => None,
    });
    let Some(table) = table.take(1).next() else { return Vec::new() };
    let table = model.route_tables.get(table).unwrap();
    let request = RequestParts::get(authority, path);
    let explained = serde_json::to_value(explain(model, table, &request)).unwrap();
    let clusters = explained["clusters"].as_array().cloned().unwrap_or_default();
    let share = |it: &Value| {
        (
            it["name"].as_str().unwrap().to_owned(),
            u32::try_from(it["weight"].as_u64().unwrap()).unwrap(),
        )
    };
    clusters.iter().map(share).collect()
}

async fn client() -> kube::Client {
    let settings = serin_apiserver::Settings {
        definitions: serin_api::crd::all(),
        ..serin_apiserver::Settings::default()
    };
    let server = ApiServer::start(settings).await.unwrap();
    kube::Client::new(server.client(User::administrator()), "default")
}

fn api(
    client: &kube::Client,
    api_version: &str,
    kind: &str,
    namespace: &str,
) -> Api<DynamicObject> {
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    let known = Kind::find(group, kind).unwrap();
    let kind = GroupVersionKind::gvk(group, version, kind);
    let resource = ApiResource::from_gvk_with_plural(&kind, known.plural);
    match known.scope {
        serin_api::Scope::Namespaced => Api::namespaced_with(client.clone(), namespace, &resource),
        serin_api::Scope::Cluster => Api::all_with(client.clone(), &resource),
    }
}

/// Applies an object, and its status if it has one.
pub(crate) async fn apply(client: &kube::Client, object: &Value) -> Value {
    let reference = reference(object);
    let api = api(client, &reference.api_version, &reference.kind, &reference.namespace);
    let parameters = PatchParams::apply("test").force();
    let mut body = object.clone();
    let status = body.as_object_mut().unwrap().shift_remove("status");
    let mut applied = api.patch(&reference.name, &parameters, &Patch::Apply(&body)).await.unwrap();
    if let Some(status) = status {
        let patch = json!({ "status": status });
        let merge = Patch::Merge(&patch);
        applied = api.patch_status(&reference.name, &PatchParams::default(), &merge).await.unwrap();
    }
    serde_json::to_value(applied).unwrap()
}

pub(crate) fn reference(object: &Value) -> ObjectRef {
    let text = |at: &str| object.pointer(at).and_then(Value::as_str).unwrap_or_default().to_owned();
    let kind = text("/kind");
    let is_namespaced = kind != "Namespace" && kind != "Node" && kind != "GatewayClass";
    let namespace = Some(text("/metadata/namespace")).filter(|it| !it.is_empty());
    let namespace = namespace.unwrap_or_else(|| "default".to_owned());
    ObjectRef {
        api_version: text("/apiVersion"),
        kind,
        namespace: if is_namespaced { namespace } else { String::new() },
        name: text("/metadata/name"),
    }
}

/// The objects of a YAML text.
pub(crate) fn objects(text: &str) -> Vec<Value> {
    let stream = serin_api::yaml::read(text);
    assert!(stream.problems.is_empty(), "{:?}", stream.problems);
    stream.documents.iter().map(|it| it.root.to_json()).filter(|it| it.is_object()).collect()
}

/// A namespace whose pods are part of the mesh.
pub(crate) const INJECTED: &str = "
apiVersion: v1
kind: Namespace
metadata: {name: default, labels: {istio-injection: enabled}}
---
";

/// A pod that runs.
pub(crate) fn pod(namespace: &str, name: &str, app: &str, version: &str, ip: &str) -> String {
    format!(
        "
apiVersion: v1
kind: Pod
metadata: {{name: {name}, namespace: {namespace}, labels: {{app: {app}, version: {version}}}}}
spec: {{nodeName: serin, containers: [{{name: app, image: app}}]}}
status: {{phase: Running, podIP: {ip}, podIPs: [{{ip: {ip}}}], conditions: [{{type: Ready, status: 'True'}}]}}
---
"
    )
}

/// A Service with an EndpointSlice of these addresses.
pub(crate) fn service(name: &str, port: u16, addresses: &[&str]) -> String {
    let endpoints: Vec<String> = addresses
        .iter()
        .map(|it| format!("{{addresses: [{it}], conditions: {{ready: true}}}}"))
        .collect();
    format!(
        "
apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: default}}
spec: {{selector: {{app: {name}}}, ports: [{{name: http, port: {port}, targetPort: 8080}}]}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: {name}-1, namespace: default, labels: {{kubernetes.io/service-name: {name}}}}}
addressType: IPv4
endpoints: [{}]
ports: [{{name: http, port: 8080, protocol: TCP}}]
---
",
        endpoints.join(", ")
    )
}

/// Two versions of `reviews`, and a rule that shares requests between them.
pub(crate) fn reviews(weight: u32) -> String {
    format!(
        "
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: reviews, namespace: default}}
spec: {{host: reviews, subsets: [{{name: v1, labels: {{version: v1}}}}, {{name: v2, labels: {{version: v2}}}}]}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: reviews, namespace: default}}
spec:
  hosts: [reviews]
  http:
  - route:
    - {{destination: {{host: reviews, subset: v1}}, weight: {}}}
    - {{destination: {{host: reviews, subset: v2}}, weight: {weight}}}
---
",
        100 - weight
    )
}
