//! Applies manifests to a cluster, and waits until what they ask for is there.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};
use futures_util::StreamExt as _;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, DynamicObject, ListParams, Patch, PatchParams};
use kube::core::GroupVersionKind;
use kube::discovery::{self, Scope};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Client, ResourceExt as _};
use serde_json::Value;
use serin_api::load::kind_meant;
use tokio::time::{Instant, timeout_at};

use crate::input;

/// Who owns the fields that manifests set.
const MANAGER: &str = "serin-up";

/// How long a kind may take to be served after its definition was applied, and the API to answer at all.
const DEFINED: Duration = Duration::from_secs(10);
/// How long any other kind may take.
const KNOWN: Duration = Duration::from_secs(1);

/// The objects of all manifests, each with the file it comes from.
///
/// # Errors
/// A manifest cannot be read.
pub(super) fn read(paths: &[PathBuf]) -> anyhow::Result<Vec<(String, Value)>> {
    let mut objects = Vec::new();
    for text in input::read(paths)? {
        let content = std::str::from_utf8(&text.content)
            .with_context(|| format!("{}: it is not UTF-8", text.file))?;
        objects.append(&mut read_text(&text.file, content)?);
    }
    Ok(objects)
}

/// Applies objects, each with the file it comes from: definitions and namespaces first, then in the order of the files.
///
/// # Errors
/// The API refuses one. What was applied before stays.
pub(crate) async fn apply_objects(
    client: &Client,
    mut objects: Vec<(String, Value)>,
) -> anyhow::Result<usize> {
    objects.sort_by_key(|(_, object)| match object["kind"].as_str() {
        Some("CustomResourceDefinition") => 0,
        Some("Namespace") => 1,
        _ => 2,
    });
    let defined: BTreeSet<_> = objects.iter().filter_map(|(_, object)| defined(object)).collect();
    for (file, object) in &objects {
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        let kind = object["kind"].as_str().unwrap_or_default();
        apply_one(client, object, &defined)
            .await
            .with_context(|| format!("{file}: {kind} {name}"))?;
    }
    Ok(objects.len())
}

/// The objects of a manifest, each with the file it comes from.
///
/// # Errors
/// It is not YAML.
pub(crate) fn read_text(file: &str, content: &str) -> anyhow::Result<Vec<(String, Value)>> {
    let stream = serin_api::yaml::read(content);
    if let Some(problem) = stream.problems.first() {
        bail!("{file}: {} (`serin check` shows the place)", problem.message);
    }
    let mut objects = Vec::new();
    for document in &stream.documents {
        add(&mut objects, file, document.root.to_json());
    }
    Ok(objects)
}

/// Lists are taken apart; documents without content are nothing.
fn add(objects: &mut Vec<(String, Value)>, file: &str, value: Value) {
    let is_list = value["kind"].as_str().is_some_and(|kind| kind.ends_with("List"));
    match value {
        Value::Null => {}
        Value::Object(mut fields) if is_list && fields.contains_key("items") => {
            if let Some(Value::Array(items)) = fields.remove("items") {
                items.into_iter().for_each(|item| add(objects, file, item));
            }
        }
        object => objects.push((file.to_owned(), object)),
    }
}

/// The group and kind that an object defines.
fn defined(object: &Value) -> Option<(&str, &str)> {
    let is_definition = object["kind"] == "CustomResourceDefinition";
    let spec = is_definition.then_some(&object["spec"])?;
    Some((spec["group"].as_str()?, spec["names"]["kind"].as_str()?))
}

async fn apply_one(
    client: &Client,
    object: &Value,
    defined: &BTreeSet<(&str, &str)>,
) -> anyhow::Result<()> {
    let field = |name: &str| object[name].as_str().with_context(|| format!("it has no {name}"));
    let (version, kind) = (field("apiVersion")?, field("kind")?);
    let (group, version) = version.rsplit_once('/').unwrap_or(("", version));
    let kind = GroupVersionKind::gvk(group, version, kind);
    let is_new = defined.contains(&(&*kind.group, &*kind.kind));
    let limit = if is_new { DEFINED } else { KNOWN };
    let (resource, capabilities) = resource(client, &kind, limit).await?;
    let name = object["metadata"]["name"].as_str().context("it has no metadata.name")?;
    let api: Api<DynamicObject> = match capabilities.scope {
        Scope::Cluster => Api::all_with(client.clone(), &resource),
        Scope::Namespaced => {
            let namespace = object["metadata"]["namespace"].as_str().unwrap_or("default");
            Api::namespaced_with(client.clone(), namespace, &resource)
        }
    };
    match api.patch(name, &PatchParams::apply(MANAGER).force(), &Patch::Apply(object)).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) => bail!(
            "the API refuses it: {} (`serin check` shows the place)",
            status.message.trim_end_matches([':', ' '])
        ),
        Err(error) => Err(error.into()),
    }
}

/// The resource of a kind; waits for one that was defined a moment ago, for no longer than the limit.
async fn resource(
    client: &Client,
    kind: &GroupVersionKind,
    limit: Duration,
) -> anyhow::Result<(discovery::ApiResource, discovery::ApiCapabilities)> {
    let began = Instant::now();
    loop {
        let error = match discovery::pinned_kind(client, kind).await {
            Ok(found) => return Ok(found),
            Err(error) => error,
        };
        let is_absent = is_absent(&error);
        if began.elapsed() < if is_absent { limit } else { DEFINED } {
            tokio::time::sleep(Duration::from_millis(50)).await;
        } else if is_absent {
            bail!("{}", absent(kind))
        } else {
            return Err(error).context("cannot ask the API for its kinds");
        }
    }
}

/// That there is no such kind, and what was probably meant.
fn absent(kind: &GroupVersionKind) -> String {
    let version = kind.api_version();
    let meant = kind_meant(&version, &kind.kind).map(|it| format!("; {it}")).unwrap_or_default();
    format!("the API has no kind {} in {version}{meant}", kind.kind)
}

/// Whether the API has no such group, version or kind.
fn is_absent(error: &kube::Error) -> bool {
    match error {
        kube::Error::Discovery(_) => true,
        kube::Error::Api(status) => status.code == 404,
        _ => false,
    }
}

/// How the pods of a cluster are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pods {
    /// Pods that are there.
    pub(crate) total: usize,
    /// Those that are ready or have done their work.
    pub(crate) ready: usize,
    /// What is not yet as it was asked for, a sentence each.
    pub(crate) missing: Vec<String>,
}

/// Looks at all Deployments and pods.
pub(crate) async fn pods(client: &Client) -> anyhow::Result<Pods> {
    let pods: Api<Pod> = Api::all(client.clone());
    let deployments: Api<Deployment> = Api::all(client.clone());
    let pods = pods.list(&ListParams::default()).await?;
    let deployments = deployments.list(&ListParams::default()).await?;
    let mut seen = Pods { total: pods.items.len(), ..Pods::default() };
    for deployment in &deployments.items {
        seen.missing.extend(unfinished(deployment));
    }
    for pod in &pods.items {
        match waiting(pod) {
            None => seen.ready += 1,
            Some(reason) => seen.missing.push(reason),
        }
    }
    Ok(seen)
}

/// Waits until every Deployment has the pods that it asks for, and every pod is ready.
///
/// # Errors
/// It takes longer than `limit`: the error tells what is missing.
pub(crate) async fn wait_until_ready(client: &Client, limit: Duration) -> anyhow::Result<Pods> {
    let until = Instant::now() + limit;
    let config = watcher::Config::default;
    let changed_pods = watcher(Api::<Pod>::all(client.clone()), config()).default_backoff();
    let changed_pods = changed_pods.touched_objects();
    let changed = watcher(Api::<Deployment>::all(client.clone()), config()).default_backoff();
    let changed = changed.touched_objects();
    let mut changes = std::pin::pin!(futures_util::stream::select(
        changed_pods.map(|change| change.map(drop)),
        changed.map(|change| change.map(drop)),
    ));
    loop {
        let seen = pods(client).await?;
        if seen.missing.is_empty() {
            return Ok(seen);
        }
        if timeout_at(until, changes.next()).await.is_err() {
            bail!("not ready after {limit:?}: {}", seen.missing.join("; "));
        }
    }
}

fn unfinished(deployment: &Deployment) -> Option<String> {
    let wanted = deployment.spec.as_ref()?.replicas.unwrap_or(1);
    let status = deployment.status.clone().unwrap_or_default();
    let is_seen = status.observed_generation >= deployment.metadata.generation;
    let available = status.available_replicas.unwrap_or_default();
    let updated = status.updated_replicas.unwrap_or_default();
    if is_seen && updated >= wanted && available >= wanted {
        return None;
    }
    let (name, namespace) = (deployment.name_any(), deployment.namespace().unwrap_or_default());
    Some(format!("deployment {namespace}/{name} has {available} of {wanted} pods available"))
}

/// Why a pod is not ready; `None` if it is, or has ended well.
fn waiting(pod: &Pod) -> Option<String> {
    let status = pod.status.clone().unwrap_or_default();
    let conditions = status.conditions.unwrap_or_default();
    let is_ready = conditions.iter().any(|it| it.type_ == "Ready" && it.status == "True");
    if is_ready || status.phase.as_deref() == Some("Succeeded") {
        return None;
    }
    let containers = status.container_statuses.unwrap_or_default();
    let waiting = containers.iter().find_map(|container| {
        let waiting = container.state.as_ref()?.waiting.as_ref()?;
        let message = waiting.message.as_deref().unwrap_or_default();
        Some(format!("{}: {} {message}", container.name, waiting.reason.clone()?))
    });
    let phase = status.phase.unwrap_or_else(|| "Pending".to_owned());
    let reason = waiting.unwrap_or(phase);
    let (name, namespace) = (pod.name_any(), pod.namespace().unwrap_or_default());
    Some(format!("pod {namespace}/{name} ({})", reason.trim_end()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn definitions_tell_what_they_define() {
        let names = json!({"kind": "Thing", "plural": "things"});
        let spec = json!({"group": "example.com", "names": names});
        let object = json!({"kind": "CustomResourceDefinition", "spec": spec});
        assert_eq!(defined(&object), Some(("example.com", "Thing")));
        assert_eq!(defined(&json!({"kind": "Thing", "spec": spec})), None);
    }

    #[test]
    fn of_a_kind_that_is_not_there_is_told_what_was_meant() {
        let told = |version: &str, kind: &str| {
            let (group, version) = version.split_once('/').unwrap_or(("", version));
            absent(&GroupVersionKind::gvk(group, version, kind))
        };
        assert_eq!(
            told("apps/v1", "Deploymnet"),
            "the API has no kind Deploymnet in apps/v1; did you mean `kind: Deployment`?"
        );
        assert_eq!(told("example.com/v1", "Thing"), "the API has no kind Thing in example.com/v1");
    }
}
