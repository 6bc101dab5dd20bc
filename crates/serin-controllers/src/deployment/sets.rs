//! The ReplicaSets of a Deployment: which of them is the one of its template, their revisions, and what they carry.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet, ReplicaSetSpec};
use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use kube::ResourceExt as _;

use super::amounts;
use crate::{hash, owner};

/// The label that tells the pods of one ReplicaSet from those of another of the same Deployment.
const HASH: &str = "pod-template-hash";
pub(super) const REVISION: &str = "deployment.kubernetes.io/revision";
const REVISION_HISTORY: &str = "deployment.kubernetes.io/revision-history";
const DESIRED: &str = "deployment.kubernetes.io/desired-replicas";
const MAX: &str = "deployment.kubernetes.io/max-replicas";
/// How long the list of the revisions may be that a ReplicaSet had, in bytes.
const HISTORY_LENGTH: usize = 2000;

/// Annotations of a Deployment that its ReplicaSets do not get.
const OWN: &[&str] = &[
    "kubectl.kubernetes.io/last-applied-configuration",
    REVISION,
    REVISION_HISTORY,
    DESIRED,
    MAX,
    "deprecated.deployment.rollback.to",
];

/// The ReplicaSets of a Deployment, the one of its template apart.
pub(super) struct Sets {
    pub(super) new: Option<Arc<ReplicaSet>>,
    /// All others, oldest first.
    pub(super) old: Vec<Arc<ReplicaSet>>,
}

impl Sets {
    pub(super) fn sort(deployment: &Deployment, sets: &[Arc<ReplicaSet>]) -> Self {
        let mut sets = sets.to_vec();
        sets.sort_by(|left, right| older_first(left, right));
        let template = template(deployment);
        let new = sets.iter().position(|set| same(set.spec.as_ref(), &template));
        let new = new.map(|index| sets.remove(index));
        Self { new, old: sets }
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Arc<ReplicaSet>> + Clone {
        self.old.iter().chain(&self.new)
    }

    /// The revision that the ReplicaSet of the template has, or is to get.
    pub(super) fn next_revision(&self) -> i64 {
        self.old.iter().map(|set| revision(set)).max().unwrap_or(0) + 1
    }
}

pub(super) fn older_first(left: &ReplicaSet, right: &ReplicaSet) -> std::cmp::Ordering {
    let created = |set: &ReplicaSet| set.metadata.creation_timestamp.clone();
    created(left).cmp(&created(right)).then_with(|| left.name_any().cmp(&right.name_any()))
}

pub(super) fn template(deployment: &Deployment) -> PodTemplateSpec {
    deployment.spec.as_ref().map(|spec| spec.template.clone()).unwrap_or_default()
}

/// Whether a ReplicaSet makes the pods that a template says.
pub(super) fn same(set: Option<&ReplicaSetSpec>, template: &PodTemplateSpec) -> bool {
    let Some(other) = set.and_then(|set| set.template.as_ref()) else { return false };
    if other.spec != template.spec {
        return false;
    }
    let mut left = other.metadata.clone().unwrap_or_default();
    let mut right = template.metadata.clone().unwrap_or_default();
    for meta in [&mut left, &mut right] {
        let labels = meta.labels.get_or_insert_default();
        labels.remove(HASH);
        meta.annotations.get_or_insert_default();
    }
    left == right
}

pub(super) fn revision(set: &ReplicaSet) -> i64 {
    set.annotations().get(REVISION).and_then(|it| it.parse().ok()).unwrap_or(0)
}

fn number(set: &ReplicaSet, annotation: &str) -> Option<i32> {
    set.annotations().get(annotation)?.parse().ok()
}

/// How many replicas the Deployment had when it last looked at the ReplicaSet.
pub(super) fn desired(set: &ReplicaSet) -> Option<i32> {
    number(set, DESIRED)
}

/// How many replicas the Deployment could have then.
pub(super) fn most(set: &ReplicaSet) -> Option<i32> {
    number(set, MAX).filter(|most| *most != 0)
}

pub(super) fn is_active(set: &ReplicaSet) -> bool {
    replicas(set) > 0
}

/// How many pods the ReplicaSet is to have.
pub(super) fn replicas(set: &ReplicaSet) -> i32 {
    set.spec.as_ref().map_or(0, |spec| spec.replicas.unwrap_or(1))
}

pub(super) fn available(set: &ReplicaSet) -> i32 {
    set.status.as_ref().and_then(|status| status.available_replicas).unwrap_or(0)
}

/// The annotations that tell a ReplicaSet how large its Deployment is.
pub(super) fn sizes(deployment: &Deployment) -> BTreeMap<String, String> {
    let replicas = amounts::replicas(deployment);
    let most = replicas + amounts::surge(deployment);
    BTreeMap::from([(DESIRED.to_owned(), replicas.to_string()), (MAX.to_owned(), most.to_string())])
}

/// The annotations that the ReplicaSet of the template has to get, of those that it does not have yet.
pub(super) fn missing_annotations(
    deployment: &Deployment,
    set: &ReplicaSet,
    next: i64,
) -> BTreeMap<String, String> {
    let mut missing = copied(deployment);
    let (had, known) = (revision(set), set.annotations().get(REVISION));
    if had < next {
        missing.insert(REVISION.to_owned(), next.to_string());
        if let Some(known) = known {
            let history = set.annotations().get(REVISION_HISTORY).map_or("", String::as_str);
            missing.insert(REVISION_HISTORY.to_owned(), lengthened(history, known));
        }
    }
    missing.retain(|name, value| set.annotations().get(name) != Some(value));
    missing
}

/// The annotations of a Deployment that its ReplicaSets get.
fn copied(deployment: &Deployment) -> BTreeMap<String, String> {
    let all = deployment.annotations().iter().filter(|(name, _)| !OWN.contains(&name.as_str()));
    all.map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// A list of revisions with one more; the oldest go where it becomes too long.
fn lengthened(history: &str, revision: &str) -> String {
    let mut revisions: Vec<&str> = history.split(',').filter(|it| !it.is_empty()).collect();
    revisions.push(revision);
    let length = |revisions: &[&str]| revisions.iter().map(|it| it.len() + 1).sum::<usize>();
    while revisions.len() > 1 && length(&revisions) > HISTORY_LENGTH {
        revisions.remove(0);
    }
    revisions.join(",")
}

/// A ReplicaSet for the template.
pub(super) fn make(deployment: &Deployment, revision: i64, replicas: i32) -> ReplicaSet {
    let spec = deployment.spec.as_ref();
    let mut template = template(deployment);
    let collisions = deployment.status.as_ref().and_then(|status| status.collision_count);
    let hash = hash::of(&template, collisions);
    let labels = template.metadata.get_or_insert_default().labels.get_or_insert_default();
    labels.insert(HASH.to_owned(), hash.clone());
    let labels = labels.clone();
    let mut selector: LabelSelector = spec.map(|spec| spec.selector.clone()).unwrap_or_default();
    selector.match_labels.get_or_insert_default().insert(HASH.to_owned(), hash.clone());
    let mut annotations = copied(deployment);
    annotations.insert(REVISION.to_owned(), revision.to_string());
    annotations.extend(sizes(deployment));
    ReplicaSet {
        metadata: ObjectMeta {
            name: Some(format!("{}-{hash}", deployment.name_any())),
            namespace: deployment.namespace(),
            labels: Some(labels),
            annotations: Some(annotations),
            owner_references: Some(vec![owner::reference(deployment)]),
            ..ObjectMeta::default()
        },
        spec: Some(ReplicaSetSpec {
            min_ready_seconds: spec.and_then(|spec| spec.min_ready_seconds),
            replicas: Some(replicas),
            selector,
            template: Some(template),
        }),
        status: None,
    }
}
