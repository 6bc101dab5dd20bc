//! Writing objects, whatever their kind.

use kube::api::{Api, DynamicObject, Patch, PatchParams};
use serde_json::{Value, json};
use serin_api::{Kind, Scope};

use crate::cache::Key;
use crate::watch;

/// What writes are known by (`metadata.managedFields`).
const MANAGER: &str = "serin-control";
/// How often a status is tried to be written while others write the object, too.
const TRIES: u32 = 5;

/// Why an object was not written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WriteError {
    /// Its kind is none that is known.
    #[error("{0} is no kind that is known")]
    UnknownKind(String),
    /// The API refused, or was not reached.
    #[error(transparent)]
    Api(#[from] kube::Error),
}

impl WriteError {
    /// Whether there is nothing to write: the object, or its whole kind, is not there.
    pub(crate) fn is_missing(&self) -> bool {
        matches!(self, Self::Api(kube::Error::Api(status)) if status.code == 404)
    }

    /// Whether somebody else has written the object in between.
    fn is_conflict(&self) -> bool {
        matches!(self, Self::Api(kube::Error::Api(status)) if status.code == 409)
    }
}

/// Applies an object: our fields become as they are here, those of others stay.
pub(crate) async fn apply(client: &kube::Client, object: &Value) -> Result<(), WriteError> {
    let text = |at: &str| object.pointer(at).and_then(Value::as_str).unwrap_or_default();
    let group = text("/apiVersion").split_once('/').map_or("", |(group, _)| group);
    let kind = Kind::find(group, text("/kind"))
        .ok_or_else(|| WriteError::UnknownKind(text("/kind").to_owned()))?;
    let parameters = PatchParams::apply(MANAGER).force();
    let api = api(client, kind, text("/metadata/namespace"));
    api.patch(text("/metadata/name"), &parameters, &Patch::Apply(object)).await?;
    Ok(())
}

/// Replaces the fields of an object's status that are given.
pub(crate) async fn merge_status(
    client: &kube::Client,
    key: &Key,
    status: &Value,
) -> Result<(), WriteError> {
    let kind = Kind::find(key.group, key.kind)
        .ok_or_else(|| WriteError::UnknownKind(key.kind.to_owned()))?;
    let parameters =
        PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
    let patch = Patch::Merge(json!({ "status": status }));
    api(client, kind, &key.namespace).patch_status(&key.name, &parameters, &patch).await?;
    Ok(())
}

/// Replaces the status of an object that has `version`. Where somebody has written it in between, what `merge` makes of the status that
/// it has now is written, so that nothing of theirs is lost. Gives the status that was written and the version with it.
pub(crate) async fn replace_status(
    client: &kube::Client,
    key: &Key,
    version: &str,
    merge: impl Fn(&Value) -> Value,
    status: Value,
) -> Result<(Value, String), WriteError> {
    let kind = Kind::find(key.group, key.kind)
        .ok_or_else(|| WriteError::UnknownKind(key.kind.to_owned()))?;
    let api = api(client, kind, &key.namespace);
    let parameters =
        PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
    let (mut status, mut version) = (status, version.to_owned());
    let mut tries = TRIES;
    loop {
        let body = json!({ "metadata": { "resourceVersion": version }, "status": status });
        let written = api.patch_status(&key.name, &parameters, &Patch::Merge(body)).await;
        let error = match written {
            Ok(object) => {
                return Ok((status, object.metadata.resource_version.unwrap_or_default()));
            }
            Err(error) => WriteError::from(error),
        };
        tries -= 1;
        if !error.is_conflict() || tries == 0 {
            return Err(error);
        }
        let present = api.get(&key.name).await?;
        status = merge(present.data.get("status").unwrap_or(&Value::Null));
        version = present.metadata.resource_version.unwrap_or_default();
    }
}

fn api(client: &kube::Client, kind: &'static Kind, namespace: &str) -> Api<DynamicObject> {
    let resource = watch::resource(kind);
    match kind.scope {
        Scope::Namespaced => Api::namespaced_with(client.clone(), namespace, &resource),
        Scope::Cluster => Api::all_with(client.clone(), &resource),
    }
}
