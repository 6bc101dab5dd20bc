//! Where the story takes place: a cluster of its own, users who send requests, and hands to change things.

use std::ffi::OsString;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use kube::Client;
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use kube::core::GroupVersionKind;
use kube::discovery;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use super::crowd::Question;
use super::narrator::Narrator;
use super::{ANSWER, PATIENCE};
use crate::cli::{DemoArgs, DownArgs, PlaceArgs, ViewArgs, When};
use crate::down;
use crate::kubeconfig;
use crate::load::{self, Wanted};
use crate::up::{self, Place, Run};

/// How often what is waited for is looked at.
const PACE: Duration = Duration::from_millis(100);
/// Files of the repository, by name.
pub(super) const BOOKINFO: Manifest =
    ("samples/bookinfo", include_str!("../../../../samples/bookinfo/workloads.yaml"));

/// A file of the repository and what it holds.
pub(super) type Manifest = (&'static str, &'static str);

/// A cluster, and what is done to it.
pub(super) struct Stage<'a> {
    pub(super) narrator: Narrator<'a>,
    pub(super) client: Client,
    pub(super) fast: bool,
    pub(super) rate: u32,
    place: Place,
    run: Run,
    /// The address that the gateway listens on.
    pub(super) gateway: IpAddr,
    users: Option<JoinHandle<()>>,
}

impl<'a> Stage<'a> {
    /// Starts a cluster.
    pub(super) async fn open(args: &DemoArgs, narrator: Narrator<'a>) -> anyhow::Result<Self> {
        let place = place(args)?;
        let gateway = args.gateway_address.unwrap_or_else(free_address);
        let mut arguments: Vec<OsString> = vec!["up".into(), "--data-dir".into()];
        arguments.push(place.folder.clone().into());
        arguments.extend(["--kubeconfig".into(), place.join("kubeconfig").into()]);
        arguments.extend(["--gateway-address".into(), gateway.to_string().into()]);
        let (started, starter) = (place.clone(), Place::clone(&place));
        let start = tokio::task::spawn_blocking(move || {
            up::start_detached(&starter, arguments, &mut std::io::sink())
        });
        start.await??;
        let run = started.running()?.context("the cluster has ended at once")?;
        let client = kubeconfig::client(&run.kubeconfig, None).await?;
        Ok(Self {
            narrator,
            client,
            fast: args.fast,
            rate: args.rate,
            place,
            run,
            gateway,
            users: None,
        })
    }

    /// Where users reach port 80 of the gateway.
    pub(super) fn url(&self) -> &str {
        self.run.gateway.first().map_or("", String::as_str)
    }

    /// Where the gateway's port is reached that a Gateway asks for.
    pub(super) fn url_of(&self, port: u16) -> String {
        format!("http://{}", SocketAddr::new(self.gateway, port))
    }

    /// The link to the dashboard, if it has one.
    pub(super) fn dashboard(&self) -> Option<&str> {
        self.run.dashboard.as_deref()
    }

    /// The file that leads kubectl to the cluster.
    pub(super) fn kubeconfig(&self) -> &std::path::Path {
        &self.run.kubeconfig
    }

    /// The argument that leads commands of this program to the cluster.
    pub(super) fn argument(&self) -> String {
        self.place.argument()
    }

    /// Applies manifests of the repository, each object changed by `change`; those that it turns into nothing are left out.
    /// Samples are as patient with each other as this is.
    pub(super) async fn apply(
        &self,
        manifests: &[Manifest],
        change: impl Fn(&mut Value),
    ) -> anyhow::Result<()> {
        let mut objects = Vec::new();
        for (file, text) in manifests {
            objects.append(&mut up::read_text(file, text)?);
        }
        objects.iter_mut().for_each(|(_, object)| change(object));
        objects.retain(|(_, object)| !object.is_null());
        objects.iter_mut().for_each(|(_, object)| be_patient(object));
        up::apply_objects(&self.client, objects).await?;
        Ok(())
    }

    /// The pods of a namespace that are made from now on get the mesh's rules.
    pub(super) async fn inject(&self) -> anyhow::Result<()> {
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace",
            "metadata": {"name": "default", "labels": {"istio-injection": "enabled"}}});
        up::apply_objects(&self.client, vec![("demo".to_owned(), namespace)]).await?;
        Ok(())
    }

    /// Waits until all pods are ready.
    pub(super) async fn ready(&self) -> anyhow::Result<()> {
        up::wait_until_ready(&self.client, PATIENCE).await?;
        Ok(())
    }

    /// A resource of the default namespace.
    pub(super) async fn api(
        &self,
        version: &str,
        kind: &str,
    ) -> anyhow::Result<Api<DynamicObject>> {
        let (group, version) = version.rsplit_once('/').unwrap_or(("", version));
        let kind = GroupVersionKind::gvk(group, version, kind);
        let (resource, _) = discovery::pinned_kind(&self.client, &kind).await?;
        Ok(Api::namespaced_with(self.client.clone(), "default", &resource))
    }

    /// Changes fields of an object of the default namespace.
    pub(super) async fn patch(
        &self,
        (version, kind, name): (&str, &str, &str),
        patch: &Value,
    ) -> anyhow::Result<()> {
        let api = self.api(version, kind).await?;
        let parameters =
            PatchParams { field_manager: Some("serin-demo".to_owned()), ..PatchParams::default() };
        api.patch(name, &parameters, &Patch::Strategic(patch)).await?;
        Ok(())
    }

    /// Waits until every proxy decides by the present form of a VirtualService.
    pub(super) async fn live(&self, name: &str) -> anyhow::Result<()> {
        let api = self.api("networking.istio.io/v1", "VirtualService").await?;
        let until = Instant::now() + PATIENCE;
        loop {
            let object = api.get(name).await?;
            let generation = object.metadata.generation;
            let conditions = object.data["status"]["conditions"].as_array();
            let is_live = conditions.into_iter().flatten().any(|it| {
                it["type"] == "Live"
                    && it["status"] == "True"
                    && it["observedGeneration"].as_i64() == generation
            });
            if is_live {
                return Ok(());
            }
            if Instant::now() > until {
                bail!(
                    "VirtualService {name} is not live after {PATIENCE:?}: {}",
                    object.data["status"]
                );
            }
            sleep(PACE).await;
        }
    }

    /// Where users reach port 80 of a Service of type LoadBalancer.
    pub(super) async fn balanced(&self, name: &str) -> anyhow::Result<String> {
        let api = self.api("v1", "Service").await?;
        let until = Instant::now() + PATIENCE;
        loop {
            let object = api.get(name).await?;
            let address = object.data.pointer("/status/loadBalancer/ingress/0/ip");
            if let Some(address) = address.and_then(Value::as_str) {
                // Users other than root are served on the same port as the gateway's.
                let gateway = self.gateway.to_string();
                return Ok(self.url().replacen(&gateway, address, 1));
            }
            if Instant::now() > until {
                bail!("Service {name} has no address after {PATIENCE:?}");
            }
            sleep(PACE).await;
        }
    }

    /// Lets users ask for an address from its first answer on, at the rate of the demo.
    pub(super) async fn send(&mut self, url: &str) -> anyhow::Result<()> {
        let question =
            Question { url: url.to_owned(), host: None, header: None, version: |_| None };
        question.until_answered().await?;
        // Longer than anybody watches.
        let mut wanted = Wanted::of(url, f64::from(self.rate), Duration::from_secs(24 * 3600))?;
        wanted.timeout = ANSWER;
        wanted.progress = Arc::clone(&self.narrator.users);
        self.users = Some(tokio::spawn(async move {
            load::generate(&wanted, std::future::pending()).await;
        }));
        Ok(())
    }

    /// Waits until the cluster has ended by another hand.
    pub(super) fn gone(&self) -> impl Future<Output = ()> + use<> {
        let place = self.place.clone();
        async move {
            while !matches!(place.running(), Ok(None)) {
                sleep(PACE).await;
            }
        }
    }

    /// Ends the users' requests and the cluster, and deletes its folder.
    pub(super) async fn close(mut self) -> anyhow::Result<()> {
        if let Some(users) = self.users.take() {
            users.abort();
        }
        end(self.place).await
    }
}

/// Lets the samples of a Deployment wait as long for each other, and probes for them, as users do.
fn be_patient(object: &mut Value) {
    if object["kind"] != "Deployment" {
        return;
    }
    let containers = object.pointer_mut("/spec/template/spec/containers");
    for container in containers.and_then(Value::as_array_mut).into_iter().flatten() {
        let variable =
            json!({"name": "SERIN_SAMPLE_TIMEOUT", "value": format!("{}s", ANSWER.as_secs())});
        if let Some(probe) = container.get_mut("readinessProbe") {
            probe["timeoutSeconds"] = ANSWER.as_secs().into();
        }
        match container["env"].as_array_mut() {
            Some(variables) => variables.push(variable),
            None => container["env"] = json!([variable]),
        }
    }
}

/// Ends the cluster of a folder and deletes the folder.
pub(super) async fn end(place: Place) -> anyhow::Result<()> {
    let args = DownArgs {
        place: PlaceArgs { data_dir: Some(place.folder) },
        delete_data: true,
        timeout: serin_api::values::Duration::from_secs(60),
        view: ViewArgs { color: When::Never },
    };
    tokio::task::spawn_blocking(move || down::run(&args, &mut std::io::sink())).await??;
    Ok(())
}

/// The folder of the demo. What an earlier one has left there is deleted; anything else is left alone.
fn place(args: &DemoArgs) -> anyhow::Result<Place> {
    let place = match args.data_dir.clone() {
        Some(folder) => Place::of(&PlaceArgs { data_dir: Some(folder) })?,
        None => Place::beside_the_default("demo")?,
    };
    let shown = place.folder.display().to_string();
    if let Some(run) = place.running()? {
        bail!(
            "a demo runs already (process {}): `serin down --data-dir {shown} --delete-data` ends it",
            run.pid
        );
    }
    let is_empty = fs::read_dir(&place.folder).map_or(true, |mut entries| entries.next().is_none());
    if !is_empty {
        if !place.join("run.json").exists() {
            bail!(
                "{shown} is not empty, and no demo has made it: name another folder with --data-dir"
            );
        }
        fs::remove_dir_all(&place.folder).with_context(|| format!("cannot delete {shown}"))?;
    }
    Ok(place)
}

/// An address of this machine on which the gateway's port is free.
fn free_address() -> IpAddr {
    let addresses = (1..=9).map(|last| IpAddr::from([127, 0, 0, last]));
    let is_free = |address: &IpAddr| {
        let port = if up::may_bind_low_ports(*address) { 80 } else { 8080 };
        TcpListener::bind((*address, port)).is_ok()
    };
    addresses.into_iter().find(is_free).unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST))
}
