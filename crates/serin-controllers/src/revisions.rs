//! The history of workloads that keep one as ControllerRevisions: DaemonSets and StatefulSets.

use std::collections::BTreeSet;
use std::sync::Arc;

use k8s_openapi::api::apps::v1::ControllerRevision;
use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use k8s_openapi::apimachinery::pkg::runtime::RawExtension;
use kube::core::NamespaceResourceScope;
use kube::{Resource, ResourceExt as _};
use serde_json::{Value, json};

use crate::error::Error;
use crate::objects::{Key, Object, Objects};
use crate::world::World;
use crate::{hash, owner};

/// The label of pods that tells of which revision they are.
pub(crate) const REVISION: &str = "controller-revision-hash";
const HASH: &str = "controller.kubernetes.io/hash";

/// A workload's revisions.
pub(crate) struct History {
    /// The one of its template.
    pub(crate) current: Arc<ControllerRevision>,
    /// All others.
    pub(crate) others: Vec<Arc<ControllerRevision>>,
}

/// What a workload says of its history.
pub(crate) struct Subject<'s> {
    pub(crate) selector: &'s LabelSelector,
    pub(crate) template: &'s PodTemplateSpec,
    pub(crate) collisions: Option<i32>,
}

/// The patch that brings a workload back to a template.
fn data(template: &PodTemplateSpec) -> Value {
    let mut template = json!(template);
    template["$patch"] = json!("replace");
    json!({"spec": {"template": template}})
}

/// The template that a revision stands for.
pub(crate) fn template(revision: &ControllerRevision) -> Option<PodTemplateSpec> {
    let mut template = revision.data.as_ref()?.0.pointer("/spec/template")?.clone();
    template.as_object_mut()?.remove("$patch");
    serde_json::from_value(template).ok()
}

pub(crate) fn hash_of(revision: &ControllerRevision) -> String {
    revision.labels().get(HASH).cloned().unwrap_or_default()
}

/// Finds the revision of the template, or makes it. One that is used again becomes the latest.
pub(crate) async fn sync<O>(
    world: &World,
    owners: &Objects<O>,
    workload: &O,
    subject: Subject<'_>,
) -> Result<History, Error>
where
    O: Object + Resource<Scope = NamespaceResourceScope>,
{
    let namespace = workload.namespace().unwrap_or_default();
    let uid = workload.uid().unwrap_or_default();
    let mut candidates = world.revisions.tagged(&owner::owned_by(&uid));
    candidates.extend(world.revisions.tagged(&owner::orphan_in(&namespace)));
    let claim = owner::claim(workload.meta(), subject.selector, candidates);
    let mut all = owner::take(owners, workload, &world.revisions, claim).await?;
    all.sort_by_key(|revision| (revision.revision, revision.name_any()));
    let wanted = data(subject.template);
    let latest = all.last().map_or(0, |revision| revision.revision);
    let found = all.iter().rposition(|it| it.data.as_ref().is_some_and(|it| it.0 == wanted));
    let current = match found.map(|index| all.remove(index)) {
        Some(found) if found.revision == latest => found,
        Some(found) => world.revisions.merge(&found, json!({"revision": latest + 1})).await?,
        None => {
            let hash = hash::of(subject.template, subject.collisions.filter(|it| *it != 0));
            let labels = subject.template.metadata.as_ref().and_then(|meta| meta.labels.clone());
            let mut labels = labels.unwrap_or_default();
            labels.insert(HASH.to_owned(), hash.clone());
            labels.insert(REVISION.to_owned(), hash.clone());
            let revision = ControllerRevision {
                metadata: ObjectMeta {
                    name: Some(format!("{}-{hash}", workload.name_any())),
                    namespace: Some(namespace.clone()),
                    labels: Some(labels),
                    annotations: workload.meta().annotations.clone(),
                    owner_references: Some(vec![owner::reference(workload)]),
                    ..ObjectMeta::default()
                },
                data: Some(RawExtension(wanted)),
                revision: latest + 1,
            };
            match world.revisions.create(&namespace, &revision).await {
                // Made by an earlier process that ended before it could be seen.
                Err(problem) if problem.is("AlreadyExists") => {
                    let key = Key::of(&revision);
                    world.revisions.fetch(&key).await?.ok_or(problem)?
                }
                other => other?,
            }
        }
    };
    Ok(History { current, others: all })
}

/// Removes the oldest revisions beyond those that are kept and those in use.
pub(crate) async fn clean(
    world: &World,
    history: &History,
    in_use: &BTreeSet<String>,
    limit: Option<i32>,
) -> Result<(), Error> {
    let unused = |it: &&Arc<ControllerRevision>| {
        !in_use.contains(&it.name_any()) && !in_use.contains(&hash_of(it))
    };
    let old: Vec<_> = history.others.iter().filter(unused).collect();
    let kept = usize::try_from(limit.unwrap_or(10)).unwrap_or(0);
    for revision in &old[..old.len().saturating_sub(kept)] {
        world.revisions.delete(revision).await?;
    }
    Ok(())
}
