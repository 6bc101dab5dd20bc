//! Who owns what: controller references, and the taking in and letting go of objects by their labels.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta, OwnerReference};
use kube::core::{NamespaceResourceScope, Selector, SelectorExt as _};
use kube::{Resource, ResourceExt as _};
use serde_json::json;

use crate::error::Error;
use crate::objects::{Key, Object, Objects};

/// The reference to whoever controls the object.
pub(crate) fn controller(meta: &ObjectMeta) -> Option<&OwnerReference> {
    meta.owner_references.iter().flatten().find(|owner| owner.controller == Some(true))
}

/// The reference that says `owner` controls an object.
pub(crate) fn reference(owner: &impl Resource<DynamicType = ()>) -> OwnerReference {
    OwnerReference {
        block_owner_deletion: Some(true),
        ..owner.controller_owner_ref(&()).unwrap_or_default()
    }
}

/// The words by which objects are found that belong to an owner, or to nobody.
pub(crate) fn tags(meta: &ObjectMeta) -> Vec<String> {
    vec![match controller(meta) {
        Some(owner) => owned_by(&owner.uid),
        None => orphan_in(meta.namespace.as_deref().unwrap_or_default()),
    }]
}

pub(crate) fn owned_by(uid: &str) -> String {
    format!("owner/{uid}")
}

pub(crate) fn orphan_in(namespace: &str) -> String {
    format!("orphan/{namespace}")
}

/// Whether a selector chooses an object with these labels. One that is missing or wrong chooses nothing.
pub(crate) fn selects(selector: &LabelSelector, labels: &BTreeMap<String, String>) -> bool {
    Selector::try_from(selector.clone()).is_ok_and(|selector| selector.matches(labels))
}

/// Whether a selector says nothing, and so would choose everything.
pub(crate) fn selects_all(selector: &LabelSelector) -> bool {
    selector.match_labels.as_ref().is_none_or(BTreeMap::is_empty)
        && selector.match_expressions.as_ref().is_none_or(Vec::is_empty)
}

/// What is to happen to the objects that an owner may have.
pub(crate) struct Claim<K> {
    /// Stay.
    pub(crate) own: Vec<Arc<K>>,
    /// Belong to nobody and are chosen.
    pub(crate) adopt: Vec<Arc<K>>,
    /// Are not chosen any more.
    pub(crate) release: Vec<Arc<K>>,
}

/// Sorts candidates by what is to happen to them.
pub(crate) fn claim<K: Object>(
    owner: &ObjectMeta,
    selector: &LabelSelector,
    candidates: impl IntoIterator<Item = Arc<K>>,
) -> Claim<K> {
    let uid = owner.uid.as_deref().unwrap_or_default();
    let leaving = owner.deletion_timestamp.is_some();
    let mut claim = Claim { own: Vec::new(), adopt: Vec::new(), release: Vec::new() };
    // Reading the selector once matters where there are many candidates.
    let Ok(selector) = Selector::try_from(selector.clone()) else { return claim };
    for candidate in candidates {
        let chosen = selector.matches(candidate.labels());
        let ends = candidate.meta().deletion_timestamp.is_some();
        match controller(candidate.meta()) {
            Some(by) if by.uid != uid => {}
            Some(_) if chosen => claim.own.push(candidate),
            Some(_) if !leaving => claim.release.push(candidate),
            None if chosen && !leaving && !ends => claim.adopt.push(candidate),
            Some(_) | None => {}
        }
    }
    claim
}

/// Takes in and lets go what is to be, and gives what the owner has then.
pub(crate) async fn take<K, O>(
    owners: &Objects<O>,
    owner: &O,
    objects: &Objects<K>,
    claim: Claim<K>,
) -> Result<Vec<Arc<K>>, Error>
where
    K: Object + Resource<Scope = NamespaceResourceScope>,
    O: Object + Resource<Scope = NamespaceResourceScope>,
{
    let Claim { mut own, adopt, release } = claim;
    for object in release {
        let uid = owner.meta().uid.as_deref().unwrap_or_default();
        let mut left = object.owner_references().to_vec();
        left.retain(|it| it.uid != uid);
        let left = if left.is_empty() { json!(null) } else { json!(left) };
        objects.merge(&object, json!({"metadata": {"ownerReferences": left}})).await?;
    }
    if adopt.is_empty() {
        return Ok(own);
    }
    // The owner as it is at this moment: one that is deleted and leaves its objects behind must not take them back.
    let fresh = owners.fetch(&Key::of(owner)).await?;
    let stays = fresh.is_some_and(|fresh| {
        fresh.meta().uid == owner.meta().uid && fresh.meta().deletion_timestamp.is_none()
    });
    if stays {
        for object in adopt {
            let mut owners = object.owner_references().to_vec();
            owners.push(reference(owner));
            let change = json!({"metadata": {"ownerReferences": owners}});
            own.push(objects.merge(&object, change).await?);
        }
    }
    Ok(own)
}
