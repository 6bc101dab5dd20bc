//! An API server and a node, and what tests ask of them.

use std::fmt::Debug;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Event, Pod};
use kube::Client;
use kube::api::{Api, DeleteParams, ListParams, PostParams};
use serde_json::{Value, json};
use serin_apiserver::{ApiServer, Listener, User, write_kubeconfig};
use serin_node::{Kubelet, Node, Settings};
use tokio::process::Command;

/// A cluster of one node.
pub(crate) struct World {
    pub(crate) client: Client,
    pub(crate) node: Node,
    pub(crate) folder: tempfile::TempDir,
    server: ApiServer,
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
        let kubelet = Kubelet::new();
        let metrics = ("metrics.k8s.io/v1beta1".to_owned(), kubelet.metrics());
        let api = serin_apiserver::Settings {
            kubelet: Some(kubelet.service()),
            aggregated: [metrics].into(),
            ..serin_apiserver::Settings::default()
        };
        let server = ApiServer::start(api).await.unwrap();
        let client = Client::new(server.client(User::administrator()), "default");
        let folder = tempfile::tempdir().unwrap();
        let program = env!("CARGO_BIN_EXE_serin-pod-init").into();
        let mut settings = Settings::new(folder.path().to_owned(), client.clone(), program);
        settings.images = vec![("sh:*".to_owned(), "sh -c".to_owned())];
        settings.kubelet = kubelet;
        change(&mut settings);
        let node = Node::start(settings).await.unwrap();
        Some(Self { client, node, folder, server })
    }

    /// The same cluster with another node, in the same folder.
    pub(crate) async fn again(self) -> Self {
        let program = env!("CARGO_BIN_EXE_serin-pod-init").into();
        let folder = self.folder.path().to_owned();
        let mut settings = Settings::new(folder, self.client.clone(), program);
        settings.images = vec![("sh:*".to_owned(), "sh -c".to_owned())];
        Self { node: Node::start(settings).await.unwrap(), ..self }
    }

    /// Lets real clients in, and gives the path of their kubeconfig.
    pub(crate) async fn listen(&self) -> PathBuf {
        let any = ([127, 0, 0, 1], 0).into();
        let listener = Listener::open(self.server.clone(), any).await.unwrap();
        let path = self.folder.path().join("kubeconfig");
        write_kubeconfig(&path, &self.server.access(listener.address())).unwrap();
        tokio::spawn(listener.serve(std::future::pending()));
        path
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
        match tokio::time::timeout(serin_testkit::PATIENCE, search).await {
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

    /// Waits until an event of a pod says so.
    pub(crate) async fn event(&self, name: &str, reason: &str, text: &str) {
        let events: Api<Event> = Api::default_namespaced(self.client.clone());
        let of_pod = ListParams::default().fields(&format!("involvedObject.name={name}"));
        let mut told = Vec::new();
        let search = async {
            loop {
                let all = events.list(&of_pod).await.unwrap().items;
                told = all.into_iter().map(|it| (it.reason, it.message)).collect();
                let is_it = |(one, message): &(Option<String>, Option<String>)| {
                    let message = message.as_deref().unwrap_or_default();
                    one.as_deref() == Some(reason) && message.contains(text)
                };
                if told.iter().any(is_it) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        if tokio::time::timeout(serin_testkit::PATIENCE, search).await.is_err() {
            panic!("{name}: no event {reason} {text:?} in {told:#?}");
        }
    }

    /// Waits until the object is gone.
    pub(crate) async fn gone(&self, name: &str) {
        let search = async {
            while self.pods().get_opt(name).await.unwrap().is_some() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(serin_testkit::PATIENCE, search).await.expect("the pod goes");
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

/// What kubectl says, on its standard output and error, and its exit code.
pub(crate) async fn kubectl(
    config: &Path,
    arguments: &[&str],
    stdin: &str,
) -> (String, String, i32) {
    use tokio::io::AsyncWriteExt as _;
    let mut child = Command::new("kubectl")
        .args(arguments)
        .env("KUBECONFIG", config)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("kubectl is installed");
    let mut input = child.stdin.take().unwrap();
    input.write_all(stdin.as_bytes()).await.unwrap();
    drop(input);
    let output = tokio::time::timeout(serin_testkit::PATIENCE, child.wait_with_output());
    let output = output.await.expect("kubectl ends").unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr), output.status.code().unwrap_or(-1))
}

/// Whether this process may make the namespaces of a pod.
fn may_make_namespaces() -> bool {
    std::process::Command::new("unshare").args(["-n", "true"]).status().is_ok_and(|it| it.success())
}
