//! An API server and a node, and what tests ask of them.

use std::fmt::Debug;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::Client;
use kube::api::{Api, DeleteParams, PostParams};
use serde_json::{Value, json};
use serin_apiserver::{ApiServer, User};
use serin_node::{Node, Settings};

/// How long anything may take before a test fails.
const PATIENCE: Duration = Duration::from_secs(30);

/// A cluster of one node.
pub(crate) struct World {
    pub(crate) client: Client,
    pub(crate) node: Node,
    pub(crate) folder: tempfile::TempDir,
}

impl World {
    /// Starts one, or says why it cannot.
    pub(crate) async fn start() -> Option<Self> {
        Self::with(|_| {}).await
    }

    /// Starts one with other settings.
    pub(crate) async fn with(change: impl FnOnce(&mut Settings)) -> Option<Self> {
        if !may_make_namespaces() {
            println!("skipped: namespaces need root or a user namespace");
            return None;
        }
        // Shown where a test fails; another test of the process may have set it.
        let _ = tracing_subscriber::fmt()
            .with_env_filter("warn,serin_node=debug")
            .with_test_writer()
            .try_init();
        let server = ApiServer::start(serin_apiserver::Settings::default()).await.unwrap();
        let client = Client::new(server.client(User::administrator()), "default");
        let folder = tempfile::tempdir().unwrap();
        let program = env!("CARGO_BIN_EXE_serin-pod-init").into();
        let mut settings = Settings::new(folder.path().to_owned(), client.clone(), program);
        settings.images = vec![("sh:*".to_owned(), "sh -c".to_owned())];
        change(&mut settings);
        let node = Node::start(settings).await.unwrap();
        Some(Self { client, node, folder })
    }

    pub(crate) fn pods(&self) -> Api<Pod> {
        Api::default_namespaced(self.client.clone())
    }

    /// A pod whose only container `main` runs a script.
    pub(crate) async fn run(&self, name: &str, script: &str, more: Value) -> Pod {
        let mut container = json!({"name": "main", "image": "sh:1", "args": [script]});
        let mut spec = json!({});
        for (key, value) in more.as_object().cloned().unwrap_or_default() {
            match key.as_str() {
                "spec" => spec = value,
                _ => container[key] = value,
            }
        }
        spec["containers"] = json!([container]);
        self.create(json!({"metadata": {"name": name}, "spec": spec})).await
    }

    pub(crate) async fn create(&self, pod: Value) -> Pod {
        let pod = serde_json::from_value(pod).unwrap();
        self.pods().create(&PostParams::default(), &pod).await.unwrap()
    }

    pub(crate) async fn delete(&self, name: &str) {
        self.pods().delete(name, &DeleteParams::default()).await.unwrap();
    }

    /// Waits until the pod's JSON is as wanted, and gives what was found.
    pub(crate) async fn until<T: Debug>(
        &self,
        name: &str,
        find: impl Fn(&Value) -> Option<T>,
    ) -> T {
        let mut last = Value::Null;
        let search = async {
            loop {
                if let Some(pod) = self.pods().get_opt(name).await.unwrap() {
                    last = serde_json::to_value(&pod).unwrap();
                    if let Some(found) = find(&last) {
                        return found;
                    }
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        match tokio::time::timeout(PATIENCE, search).await {
            Ok(found) => found,
            Err(_) => panic!("{name} did not become as wanted: {:#}", last["status"]),
        }
    }

    /// Waits until the pod is ready, and gives its address.
    pub(crate) async fn ready(&self, name: &str) -> String {
        self.until(name, |pod| {
            let ready = pod["status"]["conditions"]
                .as_array()?
                .iter()
                .any(|one| one["type"] == "Ready" && one["status"] == "True");
            ready.then(|| pod["status"]["podIP"].as_str().unwrap_or_default().to_owned())
        })
        .await
    }

    /// Waits until the pod has ended for good, and gives its phase.
    pub(crate) async fn over(&self, name: &str) -> String {
        self.until(name, |pod| {
            let phase = pod["status"]["phase"].as_str()?;
            matches!(phase, "Succeeded" | "Failed").then(|| phase.to_owned())
        })
        .await
    }

    /// Waits until the object is gone.
    pub(crate) async fn gone(&self, name: &str) {
        let search = async {
            while self.pods().get_opt(name).await.unwrap().is_some() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(PATIENCE, search).await.expect("the pod goes");
    }

    /// What the first run of a container has printed.
    pub(crate) fn log(&self, pod: &Pod, container: &str, run: u32) -> String {
        let meta = &pod.metadata;
        let name = format!(
            "{}_{}_{}",
            meta.namespace.as_deref().unwrap(),
            meta.name.as_deref().unwrap(),
            meta.uid.as_deref().unwrap()
        );
        let path = self.folder.path().join("logs").join(name).join(container);
        let text = std::fs::read_to_string(path.join(format!("{run}.log"))).unwrap_or_default();
        let lines = text.lines().filter_map(|line| line.splitn(4, ' ').nth(3));
        lines.collect::<Vec<_>>().join("\n")
    }
}

/// Whether this process may make the namespaces of a pod.
fn may_make_namespaces() -> bool {
    std::process::Command::new("unshare").args(["-n", "true"]).status().is_ok_and(|it| it.success())
}
