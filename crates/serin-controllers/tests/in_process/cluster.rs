//! A cluster for one test: the API server, the controllers, and a node that does what the test says.

use std::collections::HashSet;
use std::fmt::Debug;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::StreamExt as _;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Client, Resource, ResourceExt as _};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use serin_apiserver::{ApiServer, User};
use serin_controllers::Settings;
use tokio::sync::oneshot;

pub(crate) trait Kind:
    Resource<DynamicType = (), Scope = NamespaceResourceScope>
    + Clone
    + Debug
    + DeserializeOwned
    + Serialize
    + Send
    + 'static
{
}

impl<K> Kind for K where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + Debug
        + DeserializeOwned
        + Serialize
        + Send
        + 'static
{
}

/// What the node does by itself.
struct Habits {
    /// Which pods become ready.
    ready: Box<dyn Fn(&Pod) -> bool + Send>,
    /// How long pods take to end.
    lingering: Duration,
}

type Node = Arc<Mutex<Habits>>;

pub(crate) struct Cluster {
    pub(crate) server: ApiServer,
    pub(crate) client: Client,
    habits: Node,
    stop: Option<oneshot::Sender<()>>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl Cluster {
    /// A cluster whose pods become ready at once.
    pub(crate) async fn start() -> Self {
        Self::with(Settings::default()).await
    }

    pub(crate) async fn with(settings: Settings) -> Self {
        Self::of(serin_apiserver::Settings::default(), settings).await
    }

    pub(crate) async fn of(server: serin_apiserver::Settings, settings: Settings) -> Self {
        let server = ApiServer::start(server).await.unwrap();
        let client = Client::new(server.client(User::administrator()), "default");
        let habits = Habits { ready: Box::new(|_| true), lingering: Duration::ZERO };
        let habits: Node = Arc::new(Mutex::new(habits));
        let there = json!({"metadata": {"name": "serin"}});
        let there: k8s_openapi::api::core::v1::Node = serde_json::from_value(there).unwrap();
        Api::all(client.clone()).create(&PostParams::default(), &there).await.unwrap();
        let node = tokio::spawn(node(client.clone(), Arc::clone(&habits)));
        let mut cluster = Self { server, client, habits, stop: None, tasks: vec![node] };
        cluster.run(settings);
        cluster
    }

    /// Starts the controllers.
    pub(crate) fn run(&mut self, settings: Settings) {
        let (stop, stopped) = oneshot::channel::<()>();
        let client = self.client.clone();
        self.stop = Some(stop);
        self.tasks.push(tokio::spawn(async move {
            serin_controllers::run(client, settings, async move { drop(stopped.await) }).await;
        }));
    }

    /// Ends the controllers wherever they are.
    pub(crate) async fn halt(&mut self) {
        drop(self.stop.take());
        if let Some(task) = self.tasks.pop() {
            task.await.unwrap();
        }
    }

    /// Says which pods become ready from here on.
    pub(crate) fn ready_if(&self, ready: impl Fn(&Pod) -> bool + Send + 'static) {
        self.habits.lock().unwrap().ready = Box::new(ready);
    }

    /// Says how long pods take to end.
    pub(crate) fn linger(&self, time: Duration) {
        self.habits.lock().unwrap().lingering = time;
    }

    pub(crate) fn api<K: Kind>(&self) -> Api<K> {
        Api::default_namespaced(self.client.clone())
    }

    pub(crate) async fn create<K: Kind>(&self, object: Value) -> K {
        let object = serde_json::from_value(object).unwrap();
        self.api().create(&PostParams::default(), &object).await.unwrap()
    }

    pub(crate) async fn patch<K: Kind>(&self, name: &str, change: Value) -> K {
        let patch = Patch::Strategic(change);
        self.api().patch(name, &PatchParams::default(), &patch).await.unwrap()
    }

    pub(crate) async fn get<K: Kind>(&self, name: &str) -> Value {
        match self.api::<K>().get_opt(name).await.unwrap() {
            Some(object) => serde_json::to_value(object).unwrap(),
            None => Value::Null,
        }
    }

    pub(crate) async fn delete<K: Kind>(&self, name: &str) {
        drop(self.api::<K>().delete(name, &DeleteParams::background()).await.unwrap());
    }

    pub(crate) async fn list<K: Kind>(&self, labels: &str) -> Vec<K> {
        self.api().list(&ListParams::default().labels(labels)).await.unwrap().items
    }

    /// Waits until an object is as expected, and gives it.
    pub(crate) async fn until<K: Kind>(&self, name: &str, good: impl Fn(&Value) -> bool) -> Value {
        let end = tokio::time::Instant::now() + serin_testkit::PATIENCE;
        loop {
            let object = self.get::<K>(name).await;
            if good(&object) {
                return object;
            }
            assert!(tokio::time::Instant::now() < end, "{name} stays {object:#}");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// Waits until the objects with a label are as expected, and gives them.
    pub(crate) async fn until_all<K: Kind>(
        &self,
        labels: &str,
        good: impl Fn(&[K]) -> bool,
    ) -> Vec<K> {
        let end = tokio::time::Instant::now() + serin_testkit::PATIENCE;
        let mut pause = Duration::from_millis(2);
        loop {
            let objects = self.list::<K>(labels).await;
            if good(&objects) {
                return objects;
            }
            assert!(tokio::time::Instant::now() < end, "{labels} stay {objects:#?}");
            // Where there are many, looking at them costs more than what is waited for.
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_millis(100));
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

/// The node: pods that are to be ready become so, pods that are marked go.
async fn node(client: Client, habits: Node) {
    let api: Api<Pod> = Api::all(client.clone());
    let config = watcher::Config::default().streaming_lists();
    let mut pods = std::pin::pin!(watcher(api, config).applied_objects());
    let mut seen = HashSet::new();
    while let Some(pod) = pods.next().await {
        let pod = pod.unwrap();
        let api: Api<Pod> = Api::namespaced(client.clone(), &pod.namespace().unwrap());
        if pod.metadata.deletion_timestamp.is_some() {
            let lingering = habits.lock().unwrap().lingering;
            let end = async move {
                tokio::time::sleep(lingering).await;
                drop(api.delete(&pod.name_any(), &DeleteParams::default().grace_period(0)).await);
            };
            tokio::spawn(end);
        } else if (habits.lock().unwrap().ready)(&pod) && seen.insert(pod.uid()) {
            tokio::spawn(async move { set_ready(&api, &pod.name_any(), true).await });
        }
    }
}

static ADDRESSES: AtomicU32 = AtomicU32::new(1);

/// Makes a pod run, ready or not.
pub(crate) async fn set_ready(api: &Api<Pod>, name: &str, ready: bool) {
    let number = ADDRESSES.fetch_add(1, Ordering::Relaxed);
    let address = format!("10.244.{}.{}", number / 250, number % 250 + 1);
    let since = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let binding = json!({"metadata": {"name": name}, "target": {"kind": "Node", "name": "serin"}});

    let parameters = PostParams::default();
    // A pod that is placed already stays where it is.
    drop(api.create_subresource::<Value, Value>("binding", name, &parameters, &binding).await);
    let statuses = api.get(name).await.ok().and_then(|pod| pod.spec).into_iter();
    let containers = statuses.flat_map(|spec| spec.containers).map(|it| {
        json!({
            "name": it.name, "image": it.image, "imageID": "", "ready": ready, "restartCount": 0,
            "started": true, "state": {"running": {"startedAt": since}},
        })
    });
    let status = json!({"status": {
        "phase": "Running",
        "startTime": since,
        "containerStatuses": containers.collect::<Vec<_>>(),
        "podIP": address,
        "podIPs": [{"ip": address}],
        "conditions": [{
            "type": "Ready",
            "status": if ready { "True" } else { "False" },
            "lastTransitionTime": since,
        }],
    }});
    drop(api.patch_status(name, &PatchParams::default(), &Patch::Merge(status)).await);
}
