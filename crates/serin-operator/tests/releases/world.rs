//! A cluster with one release in it.

use std::sync::{Arc, Mutex};

use futures_util::future::BoxFuture;
use kube::api::{Api, DynamicObject, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use serde_json::{Value, json};
use serin_apiserver::{ApiServer, User};
use serin_operator::{
    Kind, Name, Release, Sample, Settings, Shared, Subject, Traffic, Trust, Turn,
};
use serin_rollout::facts::COMMAND;
use serin_rollout::{Span, Time};

use crate::fuse::Fuse;
use crate::receiver::Receiver;

pub(crate) const NAMESPACE: &str = "test";

/// Traffic of the test's making.
#[derive(Default)]
pub(crate) struct Script {
    pub(crate) sample: Mutex<Option<Sample>>,
    /// Who was asked about last.
    pub(crate) asked: Mutex<Option<Subject>>,
}

impl Traffic for Script {
    fn take<'a>(&'a self, subject: &'a Subject) -> BoxFuture<'a, Result<Sample, String>> {
        *self.asked.lock().unwrap() = Some(subject.clone());
        let sample = self.sample.lock().unwrap().clone().unwrap_or_default();
        Box::pin(std::future::ready(Ok(sample)))
    }

    fn forget(&self, namespace: &str, release: &str) {
        let mut asked = self.asked.lock().unwrap();
        asked.take_if(|it| it.is_of(namespace, release));
    }
}

pub(crate) struct World {
    pub(crate) server: ApiServer,
    /// The test's own client.
    client: kube::Client,
    pub(crate) shared: Arc<Shared>,
    pub(crate) release: Release,
    pub(crate) receiver: Receiver,
    pub(crate) traffic: Arc<Script>,
    pub(crate) fuse: Fuse,
    pub(crate) now: Time,
    pub(crate) interval: i64,
    name: Name,
    /// Workloads that do not become ready.
    pub(crate) broken: Vec<String>,
    seen_events: usize,
    /// What stood in the way last.
    obstacle: String,
    /// Told what is there after each turn.
    pub(crate) settings: Settings,
}

fn resource(api_version: &str, kind: &str, plural: &str) -> ApiResource {
    let (group, version) = api_version.rsplit_once('/').unwrap_or(("", api_version));
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), plural)
}

/// The resource of an object, as far as tests have objects.
pub(crate) fn resource_of(api_version: &str, kind: &str) -> ApiResource {
    let plural = match kind {
        "Canary" => "canaries".to_owned(),
        "NetworkPolicy" => "networkpolicies".to_owned(),
        "Analysis" => "analyses".to_owned(),
        "ValidatingAdmissionPolicy" => "validatingadmissionpolicies".to_owned(),
        kind => format!("{}s", kind.to_lowercase()),
    };
    resource(api_version, kind, &plural)
}

/// KEDA's autoscaler, as far as releases know it.
fn keda() -> Value {
    let schema = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "scaledobjects.keda.sh"},
        "spec": {
            "group": "keda.sh", "scope": "Namespaced",
            "names": {"kind": "ScaledObject", "listKind": "ScaledObjectList", "plural": "scaledobjects", "singular": "scaledobject"},
            "versions": [{"name": "v1alpha1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema}}],
        },
    })
}

pub(crate) fn deployment(name: &str) -> Value {
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "labels": {"team": "a"}},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"containers": [{"name": "main", "image": "podinfo:1", "ports": [{"containerPort": 9898}]}]},
            },
        },
    })
}

/// A Canary of `podinfo` in a group with these parts of its spec.
pub(crate) fn canary(api_version: &str, spec: Value) -> Value {
    let mut whole = json!({
        "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "podinfo"},
        "service": {"port": 9898},
    });
    for (key, value) in spec.as_object().unwrap() {
        whole[key] = value.clone();
    }
    json!({"apiVersion": api_version, "kind": "Canary", "metadata": {"name": "podinfo"}, "spec": whole})
}

impl World {
    /// A Canary of Flagger's with this analysis, initialised.
    pub(crate) async fn flagger(analysis: Value) -> Self {
        let receiver = Receiver::start().await;
        let analysis = json!(analysis.to_string().replace("HOOKS", &receiver.address));
        let analysis: Value = serde_json::from_str(analysis.as_str().unwrap()).unwrap();
        let canary = canary("flagger.app/v1beta1", json!({"analysis": analysis}));
        let mut world = Self::new(vec![deployment("podinfo"), canary], receiver).await;
        world.initialise().await;
        world
    }

    /// A cluster with these objects, of which the last is the Canary.
    pub(crate) async fn new(objects: Vec<Value>, receiver: Receiver) -> Self {
        let mut definitions = serin_api::crd::all();
        definitions.retain(|it| {
            let name = it["metadata"]["name"].as_str().unwrap();
            [
                "flagger.app",
                "serin.dev",
                "virtualservices.networking.istio.io",
                "destinationrules.networking.istio.io",
                "httproutes.gateway.networking.k8s.io",
            ]
            .iter()
            .any(|needed| name.ends_with(needed))
        });
        definitions.push(keda());
        let settings = serin_apiserver::Settings { definitions, ..Default::default() };
        let server = ApiServer::start(settings).await.unwrap();
        let client = kube::Client::new(server.client(User::administrator()), "default");
        let fuse = Fuse::default();
        let traffic = Arc::new(Script::default());
        let settings = Settings { traffic: traffic.clone(), ..Settings::default() };
        let shared = Arc::new(Shared::new(fuse.client(&server), settings.clone()));
        let last = objects.last().unwrap().clone();
        let kind = if last["apiVersion"] == "flagger.app/v1beta1" {
            Kind::FlaggerCanary
        } else {
            Kind::Canary
        };
        let name = Name {
            kind,
            namespace: NAMESPACE.to_owned(),
            name: last["metadata"]["name"].as_str().unwrap().to_owned(),
        };
        let interval = last["spec"]["analysis"]["interval"].as_str().unwrap_or("60s").to_owned();
        let interval: serin_api::values::Duration = interval.parse().unwrap();
        let world = Self {
            release: Release::new(Arc::clone(&shared), name.clone()),
            client,
            shared,
            server,
            receiver,
            traffic,
            fuse,
            now: Time(1_795_000_000_000),
            interval: interval.nanos() / 1_000_000,
            name,
            broken: Vec::new(),
            seen_events: 0,
            obstacle: String::new(),
            settings,
        };
        let namespace =
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}});
        world.create_in("", namespace).await;
        for object in objects {
            world.create_in(NAMESPACE, object).await;
        }
        world
    }

    /// A client of an administrator.
    pub(crate) fn client(&self) -> kube::Client {
        self.client.clone()
    }

    /// The controller believes these certificates, and is another one.
    pub(crate) fn trust(&mut self, certificate: CertificateDer<'static>) {
        let mut roots = RootCertStore::empty();
        roots.add(certificate).unwrap();
        self.settings.trust = Trust::new(roots);
        self.restart();
    }

    /// The controller dies and another one takes over.
    pub(crate) fn restart(&mut self) {
        self.fuse.cut_after(i64::MAX);
        self.shared = Arc::new(Shared::new(self.fuse.client(&self.server), self.settings.clone()));
        self.release = Release::new(Arc::clone(&self.shared), self.name.clone());
    }

    fn api(&self, namespace: &str, resource: &ApiResource) -> Api<DynamicObject> {
        if namespace.is_empty() {
            Api::all_with(self.client.clone(), resource)
        } else {
            Api::namespaced_with(self.client.clone(), namespace, resource)
        }
    }

    pub(crate) async fn create_in(&self, namespace: &str, object: Value) {
        let kind = (object["apiVersion"].as_str().unwrap(), object["kind"].as_str().unwrap());
        let api = self.api(namespace, &resource_of(kind.0, kind.1));
        let object: DynamicObject = serde_json::from_value(object).unwrap();
        api.create(&PostParams::default(), &object).await.unwrap();
    }

    pub(crate) async fn create(&self, object: Value) {
        self.create_in(NAMESPACE, object).await;
    }

    /// An object; `null` if it is not there.
    pub(crate) async fn get(&self, api_version: &str, kind: &str, name: &str) -> Value {
        let object =
            self.api(NAMESPACE, &resource_of(api_version, kind)).get_opt(name).await.unwrap();
        object.map_or(Value::Null, |it| serde_json::to_value(it).unwrap())
    }

    pub(crate) async fn list(&self, api_version: &str, kind: &str) -> Vec<Value> {
        let list = self
            .api(NAMESPACE, &resource_of(api_version, kind))
            .list(&Default::default())
            .await
            .unwrap();
        list.items.into_iter().map(|it| serde_json::to_value(it).unwrap()).collect()
    }

    pub(crate) async fn merge(&self, api_version: &str, kind: &str, name: &str, patch: Value) {
        let api = self.api(NAMESPACE, &resource_of(api_version, kind));
        api.patch(name, &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
    }

    pub(crate) async fn merge_status(
        &self,
        api_version: &str,
        kind: &str,
        name: &str,
        patch: Value,
    ) {
        let api = self.api(NAMESPACE, &resource_of(api_version, kind));
        api.patch_status(name, &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
    }

    pub(crate) async fn delete(&self, api_version: &str, kind: &str, name: &str) {
        self.delete_in(NAMESPACE, api_version, kind, name).await;
    }

    /// Deletes an object of a namespace, or, with an empty one, one that has none.
    pub(crate) async fn delete_in(
        &self,
        namespace: &str,
        api_version: &str,
        kind: &str,
        name: &str,
    ) {
        let api = self.api(namespace, &resource_of(api_version, kind));
        api.delete(name, &Default::default()).await.unwrap();
    }

    /// The Canary.
    pub(crate) async fn canary(&self) -> Value {
        let (group, name) = match self.name.kind {
            Kind::FlaggerCanary => ("flagger.app/v1beta1", &self.name.name),
            _ => ("serin.dev/v1alpha1", &self.name.name),
        };
        self.get(group, "Canary", name).await
    }

    /// Changes the Canary's metadata or spec.
    pub(crate) async fn edit(&self, patch: Value) {
        let group = if self.name.kind == Kind::FlaggerCanary {
            "flagger.app/v1beta1"
        } else {
            "serin.dev/v1alpha1"
        };
        self.merge(group, "Canary", &self.name.name, patch).await;
    }

    pub(crate) async fn command(&self, command: &str) {
        self.edit(json!({"metadata": {"annotations": {COMMAND: command}}})).await;
    }

    /// `kubectl set image deployment/podinfo main=…`.
    pub(crate) async fn set_image(&self, image: &str) {
        let containers =
            json!([{"name": "main", "image": image, "ports": [{"containerPort": 9898}]}]);
        let patch = json!({"spec": {"template": {"spec": {"containers": containers}}}});
        self.merge("apps/v1", "Deployment", "podinfo", patch).await;
    }

    /// The workload controller's part: pods become what the specifications say, unless they are broken.
    pub(crate) async fn control(&self) {
        for object in self.list("apps/v1", "Deployment").await {
            let name = object["metadata"]["name"].as_str().unwrap();
            let wanted = object["spec"]["replicas"].as_u64().unwrap_or(1);
            let ready = if self.broken.iter().any(|it| it == name) { 0 } else { wanted };
            let mut status = json!({
                "observedGeneration": object["metadata"]["generation"],
                "replicas": wanted, "updatedReplicas": wanted, "readyReplicas": ready, "availableReplicas": ready,
            });
            if ready < wanted {
                let since = jiff::Timestamp::from_millisecond(self.now.0).unwrap().to_string();
                let old =
                    object["status"]["conditions"][1]["lastUpdateTime"].as_str().map(str::to_owned);
                status["conditions"] = json!([
                    {"type": "Progressing", "status": "True", "reason": "ReplicaSetUpdated"},
                    {"type": "Available", "status": "False", "reason": "MinimumReplicasUnavailable",
                     "lastUpdateTime": old.unwrap_or(since)},
                ]);
            } else {
                status["conditions"] = json!([{"type": "Available", "status": "True"}]);
            }
            if status
                .as_object()
                .unwrap()
                .iter()
                .all(|(key, value)| object["status"].get(key) == Some(value))
            {
                continue;
            }
            let api = self.api(NAMESPACE, &resource_of("apps/v1", "Deployment"));
            let patch = Patch::Merge(json!({"status": status}));
            api.patch_status(name, &PatchParams::default(), &patch).await.unwrap();
        }
    }

    /// The same for DaemonSets, on two nodes.
    async fn control_daemon_sets(&self) {
        for object in self.list("apps/v1", "DaemonSet").await {
            let selector = &object["spec"]["template"]["spec"]["nodeSelector"];
            let wanted = if selector.get("flagger.app/scale-to-zero").is_some() { 0 } else { 2 };
            let status = json!({
                "observedGeneration": object["metadata"]["generation"],
                "desiredNumberScheduled": wanted, "currentNumberScheduled": wanted, "numberMisscheduled": 0,
                "updatedNumberScheduled": wanted, "numberReady": wanted, "numberAvailable": wanted,
            });
            let name = object["metadata"]["name"].as_str().unwrap();
            self.merge_status("apps/v1", "DaemonSet", name, json!({"status": status})).await;
        }
    }

    /// Turns at this moment until nothing is asked any more.
    pub(crate) async fn turn(&mut self) -> Option<Turn> {
        loop {
            self.control().await;
            self.control_daemon_sets().await;
            let turn = match self.shared.cluster().refresh().await {
                Ok(()) => match self.release.turn(self.now).await {
                    Ok(turn) => Some(turn),
                    Err(obstacle) => {
                        self.obstacle = obstacle.to_string();
                        None
                    }
                },
                Err(_) => None,
            };
            self.release.settle().await;
            if turn.is_none() || !self.release.has_questions() {
                return turn;
            }
        }
    }

    /// Lets an interval pass: the tick, and what is due in the seconds after it.
    pub(crate) async fn tick(&mut self) {
        self.now = self.now + Span(self.interval);
        self.turn().await;
        for _ in 0..2 {
            self.now = self.now + Span::seconds(1);
            self.turn().await;
        }
        self.now = self.now + Span::seconds(-2);
    }

    pub(crate) async fn initialise(&mut self) {
        for _ in 0..6 {
            self.tick().await;
            if self.phase().await == "Initialized" {
                return;
            }
        }
        panic!("not initialised: {:#}\n{}", self.canary().await, self.obstacle);
    }

    pub(crate) async fn phase(&self) -> String {
        self.canary().await["status"]["phase"].as_str().unwrap_or_default().to_owned()
    }

    /// Ticks until a phase, each shown as phase, weight and number of pods of the canary.
    pub(crate) async fn until(&mut self, end: &str) -> Vec<String> {
        let mut shown = Vec::new();
        while shown.len() < 40 {
            self.tick().await;
            shown.push(self.shown().await);
            if self.phase().await == end {
                break;
            }
        }
        shown
    }

    /// Phase, weight, `m` while mirroring, failed checks if there are any.
    pub(crate) async fn shown(&self) -> String {
        let status = self.canary().await["status"].clone();
        let (weight, mirror) = self.weights().await;
        let failed = match status["failedChecks"].as_i64().unwrap_or(0) {
            0 => String::new(),
            failed => format!(" f{failed}"),
        };
        let mirror = if mirror { " m" } else { "" };
        format!("{} {weight}{mirror}{failed}", status["phase"].as_str().unwrap_or_default())
    }

    /// The canary's weight in the last rule of the VirtualService, and whether requests are mirrored.
    pub(crate) async fn weights(&self) -> (i64, bool) {
        let route = self.get("networking.istio.io/v1beta1", "VirtualService", "podinfo").await;
        let rules = route["spec"]["http"].as_array().cloned().unwrap_or_default();
        let Some(rule) = rules.last() else { return (-1, false) };
        let of = |index: usize| rule["route"][index]["weight"].as_i64().unwrap_or(0);
        assert_eq!(of(0) + of(1), 100, "weights sum to 100: {rule}");
        (of(1), rule.get("mirror").is_some())
    }

    pub(crate) async fn replicas(&self, name: &str) -> i64 {
        self.get("apps/v1", "Deployment", name).await["spec"]["replicas"].as_i64().unwrap_or(-1)
    }

    pub(crate) async fn image(&self, name: &str) -> String {
        let object = self.get("apps/v1", "Deployment", name).await;
        object["spec"]["template"]["spec"]["containers"][0]["image"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }

    /// Messages of events since this was last asked.
    pub(crate) async fn events(&mut self) -> Vec<String> {
        let mut events = self.list("v1", "Event").await;
        events.sort_by_key(|it| {
            it["metadata"]["resourceVersion"].as_str().unwrap().parse::<u64>().unwrap()
        });
        let messages: Vec<String> =
            events.iter().map(|it| it["message"].as_str().unwrap().to_owned()).collect();
        let new = messages[self.seen_events..].to_vec();
        self.seen_events = messages.len();
        new
    }
}
