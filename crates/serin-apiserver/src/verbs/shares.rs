//! Shares of namespaces: ResourceQuotas and LimitRanges, which the rules of `serin-objects` judge over the objects that there are.
//!
//! What is used is counted when it is asked for, so that nothing can be counted wrong for long. A write that could use up a share
//! holds the server's lock of shares until it is stored.

use std::sync::PoisonError;

use serde_json::Value;
use serin_objects::quota::{self, Quota, Usage};
use serin_objects::{Resource, Status, limit_range};
use tokio::sync::MutexGuard;

use super::answer::shown;
use super::read::prefix;
use crate::server::ApiServer;
use crate::server::request::{key_of, storage_of};
use crate::store::{Draft, Expect, Object, Store, WriteError};

const QUOTAS: &str = "/resourcequotas";
const RANGES: &str = "/limitranges";
/// How often a status is written again because the quota changed meanwhile.
const ATTEMPTS: usize = 8;

fn values(store: &Store, storage: &str, namespace: &str) -> Vec<Value> {
    let (all, _) = store.list(storage, &prefix(namespace), None);
    all.iter().map(|(_, object)| object.value()).collect()
}

/// Fills in what the ranges of its namespace give to a new pod.
pub(super) fn fill(store: &Store, namespace: &str, pod: &mut Value) {
    limit_range::fill(pod, &values(store, RANGES, namespace));
}

/// Refuses what the ranges of its namespace do not allow.
pub(super) fn within_ranges(
    store: &Store,
    (resource, namespace): (&Resource, &str),
    object: &Value,
) -> Result<(), Status> {
    if !limit_range::limits(resource) {
        return Ok(());
    }
    let ranges = values(store, RANGES, namespace);
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    limit_range::check(resource, object, &ranges)
        .map_err(|why| Status::forbidden(resource, name, &why))
}

/// Refuses what takes more than its namespace has left. The guard is held until the object is stored; there is none where no
/// share is used.
pub(super) async fn take<'s>(
    server: &'s ApiServer,
    (resource, namespace): (&Resource, &str),
    object: &Value,
    old: Option<&Value>,
) -> Result<Option<MutexGuard<'s, ()>>, Status> {
    let store = &server.inner.store;
    if !resource.namespaced || store.list(QUOTAS, &prefix(namespace), None).0.is_empty() {
        return Ok(None);
    }
    let guard = server.inner.shares.lock().await;
    for quota in values(store, QUOTAS, namespace).iter().map(Quota::read) {
        let before = old.map(|old| quota.used_by(resource, old)).unwrap_or_default();
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        quota
            .admit((resource, object), &before, || used(server, &quota, namespace))
            .map_err(|why| Status::forbidden(resource, name, &why))?;
    }
    Ok(Some(guard))
}

/// What all objects of a namespace use of a quota.
fn used(server: &ApiServer, quota: &Quota, namespace: &str) -> Usage {
    let catalog = server.inner.catalog.load();
    let mut all = Usage::new();
    for (plural, group) in quota.sources() {
        let Some(resource) = catalog.find_preferred(&group, &plural) else { continue };
        let (objects, _) = server.inner.store.list(&storage_of(resource), &prefix(namespace), None);
        if quota.only_counts(resource) {
            quota::add(&mut all, &quota.count(resource, objects.len()));
            continue;
        }
        for (_, object) in &objects {
            quota::add(&mut all, &quota.used_by(resource, &shown(resource, object)));
        }
    }
    all
}

/// Something in a namespace changed: the statuses of its quotas are brought up to date soon.
pub(super) fn changed(server: &ApiServer, resource: &Resource, namespace: &str) {
    let store = &server.inner.store;
    if !resource.namespaced || store.list(QUOTAS, &prefix(namespace), None).0.is_empty() {
        return;
    }
    let pending = || server.inner.recounted.lock().unwrap_or_else(PoisonError::into_inner);
    // Who is about to count will see this change as well.
    if !pending().insert(namespace.to_owned()) {
        return;
    }
    let (server, namespace) = (server.clone(), namespace.to_owned());
    tokio::spawn(async move {
        let pending = &server.inner.recounted;
        pending.lock().unwrap_or_else(PoisonError::into_inner).remove(&namespace);
        let (quotas, _) = server.inner.store.list(QUOTAS, &prefix(&namespace), None);
        for (_, quota) in quotas {
            tell(&server, &namespace, quota).await;
        }
    });
}

/// Writes the status of a quota, if it is not what it was.
async fn tell(server: &ApiServer, namespace: &str, mut stored: Object) {
    let store = &server.inner.store;
    for _ in 0..ATTEMPTS {
        let mut object = stored.value();
        let quota = Quota::read(&object);
        let status = quota.status(&used(server, &quota, namespace));
        if object["status"] == status {
            return;
        }
        object["status"] = status;
        let key = key_of(namespace, object["metadata"]["name"].as_str().unwrap_or_default());
        let expect = Expect::Revision(stored.revision());
        match store.put(QUOTAS, &key, expect, Draft::new(&object)).await {
            Err(WriteError::Conflict(_)) => {}
            _ => return,
        }
        match store.object(QUOTAS, &key) {
            Some(present) => stored = present,
            None => return,
        }
    }
}
