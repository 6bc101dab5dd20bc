//! What an autoscaler scales: any object with a `scale`.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscalerSpec;
use kube::Api;
use kube::api::{DynamicObject, Patch};
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::json;

use crate::objects::patching;
use crate::world::World;

/// How large a target is.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Scale {
    /// How many replicas it is to have.
    pub(super) wanted: i32,
    /// How many it has.
    pub(super) has: i32,
    /// The selector of its pods, as text.
    pub(super) selector: String,
}

/// Kinds whose place in the API is known.
#[derive(Default)]
pub(crate) struct Kinds(Mutex<HashMap<(String, String), ApiResource>>);

impl Kinds {
    fn get(&self, key: &(String, String)) -> Option<ApiResource> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
    }

    fn put(&self, key: (String, String), resource: ApiResource) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(key, resource);
    }
}

async fn api(
    world: &World,
    namespace: &str,
    spec: &HorizontalPodAutoscalerSpec,
) -> Result<Api<DynamicObject>, String> {
    let target = &spec.scale_target_ref;
    let version = target.api_version.clone().unwrap_or_default();
    let key = (version, target.kind.clone());
    if let Some(resource) = world.kinds.get(&key) {
        return Ok(Api::namespaced_with(world.client.clone(), namespace, &resource));
    }
    let (group, version) = key.0.split_once('/').unwrap_or(("", &key.0));
    let kind = GroupVersionKind::gvk(group, version, &target.kind);
    let found = kube::discovery::pinned_kind(&world.client, &kind).await;
    let (resource, _) = found.map_err(|_| {
        let asked =
            if group.is_empty() { target.kind.clone() } else { format!("{}.{group}", target.kind) };
        format!("no matches for kind {:?} in group {asked:?}", target.kind)
    })?;
    let api = Api::namespaced_with(world.client.clone(), namespace, &resource);
    world.kinds.put(key, resource);
    Ok(api)
}

pub(super) async fn get(
    world: &World,
    namespace: &str,
    spec: &HorizontalPodAutoscalerSpec,
) -> Result<Scale, String> {
    let api = api(world, namespace, spec).await?;
    let scale = api.get_scale(&spec.scale_target_ref.name).await.map_err(text)?;
    let status = scale.status.unwrap_or_default();
    Ok(Scale {
        wanted: scale.spec.and_then(|spec| spec.replicas).unwrap_or(0),
        has: status.replicas,
        selector: status.selector.unwrap_or_default(),
    })
}

pub(super) async fn set(
    world: &World,
    namespace: &str,
    spec: &HorizontalPodAutoscalerSpec,
    replicas: i32,
) -> Result<(), String> {
    let api = api(world, namespace, spec).await?;
    let patch = Patch::Merge(json!({"spec": {"replicas": replicas}}));
    let patched = api.patch_scale(&spec.scale_target_ref.name, &patching(), &patch).await;
    patched.map(drop).map_err(text)
}

fn text(problem: kube::Error) -> String {
    match problem {
        kube::Error::Api(status) => status.message,
        other => other.to_string(),
    }
}
