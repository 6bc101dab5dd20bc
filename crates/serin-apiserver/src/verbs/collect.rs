//! What follows when objects go: their dependents, the owners that wait for them, and the contents of namespaces.
//!
//! Each step is a task of its own that works on the store as it finds it, so that steps may overlap and be repeated. What was
//! left undone when the process ended is found at the next start by [`resume`].

use std::sync::Arc;

use serde_json::Value;
use serin_objects::{Resource, catalog};

use super::input::Deletion;
use super::remove::{self, FOREGROUND, ORPHAN};
use super::{addresses, claims, definitions, namespaces, services, shares};
use crate::server::ApiServer;
use crate::server::request::{key_of, storage_of};
use crate::store::{Draft, Expect, Object};

/// How often a change is made again because the object changed meanwhile.
const ATTEMPTS: usize = 32;

/// An object somewhere in the store.
struct Found {
    resource: Arc<Resource>,
    key: String,
    value: Value,
}

/// Continues what the last process left.
pub(crate) fn resume(server: &ApiServer) {
    let server = server.clone();
    tokio::spawn(async move {
        for found in scan(&server, |bytes| contains(bytes, "\"deletionTimestamp\":")) {
            marked(&server, &found.resource, found.value);
        }
        for found in scan(&server, |bytes| contains(bytes, "\"ownerReferences\":")) {
            release(&server, &found, None).await;
        }
        addresses::resume(&server).await;
    });
}

/// An object is gone.
pub(super) fn gone(server: &ApiServer, resource: &Arc<Resource>, object: Value) {
    if definitions::are(resource) {
        definitions::end(server, &object);
    }
    shares::changed(server, resource, &text(&object, "namespace"));
    if services::are(resource) {
        addresses::changed(server, &object, &Value::Null);
    }
    let (server, resource) = (server.clone(), Arc::clone(resource));
    tokio::spawn(async move {
        let uid = text(&object, "uid");
        for dependent in dependents(&server, &uid) {
            release(&server, &dependent, Some(&uid)).await;
        }
        for owner in owners(&object) {
            if let Some(owner) = find_owner(&server, owner, &text(&object, "namespace")) {
                settle(&server, &owner).await;
            }
        }
        namespaces::gone(&server, &resource, &object).await;
        if is_pod(&resource) {
            free_claims(&server, &object).await;
        }
        if resource.is_custom()
            && let Some(definition) = definitions::ending(&server, &resource)
            && let Some(found) = find(&server, definitions::STORAGE, &definition)
        {
            settle(&server, &found).await;
        }
        let namespace = text(&object, "namespace");
        if resource.namespaced
            && let Some(found) = find(&server, "/namespaces", &namespace)
        {
            settle(&server, &found).await;
        }
    });
}

/// An object was changed.
pub(super) fn changed(server: &ApiServer, resource: &Resource, old: &Value, new: &Value) {
    if is_pod(resource) && claims::runs(old) && !claims::runs(new) {
        let (server, pod) = (server.clone(), new.clone());
        tokio::spawn(async move { free_claims(&server, &pod).await });
    }
}

/// A pod uses its claims no more.
async fn free_claims(server: &ApiServer, pod: &Value) {
    for claim in claims::claimed(pod) {
        let key = key_of(&text(pod, "namespace"), &claim);
        if let Some(found) = find(server, "/persistentvolumeclaims", &key) {
            settle(server, &found).await;
        }
    }
}

fn is_pod(resource: &Resource) -> bool {
    resource.group.is_empty() && resource.kind == "Pod"
}

/// An object is to go.
pub(super) fn marked(server: &ApiServer, resource: &Arc<Resource>, object: Value) {
    let key = key_of(&text(&object, "namespace"), &text(&object, "name"));
    let found = Found { resource: Arc::clone(resource), key, value: object };
    let server = server.clone();
    tokio::spawn(async move {
        let uid = text(&found.value, "uid");
        if is_namespace(&found) {
            for inside in contents(&server, &found.key) {
                delete(&server, &inside).await;
            }
        }
        if definitions::are(&found.resource) {
            for defined in defined_by(&server, &found.value) {
                delete(&server, &defined).await;
            }
        }
        if has_finalizer(&found.value, FOREGROUND) {
            for dependent in dependents(&server, &uid) {
                delete(&server, &dependent).await;
            }
        }
        if has_finalizer(&found.value, ORPHAN) {
            for dependent in dependents(&server, &uid) {
                change(&server, &dependent, |object| drop_owner(object, &uid)).await;
            }
        }
        settle(&server, &found).await;
    });
}

/// Takes the finalizers away whose work is done.
async fn settle(server: &ApiServer, found: &Found) {
    // One that is to stay waits for nothing; what it has need not be looked through. When it is marked, it is looked at again.
    if !found.value["metadata"]["deletionTimestamp"].is_string() {
        return;
    }
    let left = if is_namespace(found) { contents(server, &found.key) } else { Vec::new() };
    let empty = is_namespace(found) && left.is_empty();
    let unused = definitions::are(&found.resource) && defined_by(server, &found.value).is_empty();
    let alone = dependents(server, &text(&found.value, "uid")).is_empty();
    let spare = claims::unused(&server.inner.store, &found.resource, &found.value);
    change(server, found, |object| {
        if !object["metadata"]["deletionTimestamp"].is_string() {
            return;
        }
        if is_namespace(found) {
            namespaces::tell(object, left.iter().map(|it| (it.resource.as_ref(), &it.value)));
        }
        if empty {
            // Other finalizers of a namespace are others' business.
            if let Some(all) = object["spec"]["finalizers"].as_array_mut() {
                all.retain(|it| it != "kubernetes");
            }
        }
        let mut finalizers =
            object["metadata"]["finalizers"].as_array().cloned().unwrap_or_default();
        finalizers.retain(|it| !(alone && (it == FOREGROUND || it == ORPHAN)));
        finalizers.retain(|it| !(unused && it == definitions::CLEANUP));
        finalizers.retain(|it| spare.is_none_or(|spare| it != spare));
        remove::put_finalizers(object, finalizers);
    })
    .await;
}

/// Deletes a dependent that no owner keeps; of one that others keep, only the reference goes. `gone` is an owner that is
/// known to be gone.
async fn release(server: &ApiServer, dependent: &Found, gone: Option<&str>) {
    let namespace = text(&dependent.value, "namespace");
    let (mut kept, mut lost) = (false, Vec::new());
    for owner in owners(&dependent.value) {
        let uid = owner["uid"].as_str().unwrap_or_default();
        if gone != Some(uid) && find_owner(server, owner, &namespace).is_some() {
            kept = true;
        } else {
            lost.push(uid.to_owned());
        }
    }
    if lost.is_empty() {
        return;
    }
    if kept {
        change(server, dependent, |object| lost.iter().for_each(|uid| drop_owner(object, uid)))
            .await;
    } else {
        delete(server, dependent).await;
    }
}

async fn delete(server: &ApiServer, found: &Found) {
    let deletion = Deletion { uid: Some(text(&found.value, "uid")), ..Deletion::default() };
    if let Err(status) = remove::remove(server, &found.resource, &found.key, &deletion).await
        && !matches!(status.code, 404 | 409)
    {
        tracing::error!(object = found.key, problem = %status.message, "an object could not be deleted");
    }
}

/// Changes an object that is still the one that was found; it goes if nothing holds it any more.
async fn change(server: &ApiServer, found: &Found, make: impl Fn(&mut Value)) {
    let storage = storage_of(&found.resource);
    let store = &server.inner.store;
    for _ in 0..ATTEMPTS {
        let Some(stored) = store.object(&storage, &found.key) else { return };
        let old = stored.value();
        if old["metadata"]["uid"] != found.value["metadata"]["uid"] {
            return;
        }
        let mut object = old.clone();
        make(&mut object);
        let goes = object["metadata"]["deletionTimestamp"].is_string() && !remove::is_held(&object);
        if goes {
            if let Ok(last) = store.delete(&storage, &found.key, stored.revision()).await {
                gone(server, &found.resource, last.value());
                return;
            }
            continue;
        }
        if object == old {
            return;
        }
        let draft = Draft::new(&object);
        if store.put(&storage, &found.key, Expect::Revision(stored.revision()), draft).await.is_ok()
        {
            return;
        }
    }
}

fn drop_owner(object: &mut Value, uid: &str) {
    let Some(metadata) = object["metadata"].as_object_mut() else { return };
    let Some(owners) = metadata.get_mut("ownerReferences").and_then(Value::as_array_mut) else {
        return;
    };
    owners.retain(|owner| owner["uid"] != uid);
    if owners.is_empty() {
        metadata.remove("ownerReferences");
    }
}

/// The objects that name this one as their owner.
fn dependents(server: &ApiServer, uid: &str) -> Vec<Found> {
    if uid.is_empty() {
        return Vec::new();
    }
    let catalog = server.inner.catalog.load();
    let all = server.inner.store.owned_by(uid);
    all.iter()
        .filter_map(|(storage, key, object)| Some(found(kept_at(&catalog, storage)?, key, object)))
        .collect()
}

/// Everything in a namespace.
fn contents(server: &ApiServer, namespace: &str) -> Vec<Found> {
    let prefix = format!("{namespace}/");
    let catalog = server.inner.catalog.load();
    let mut all = Vec::new();
    for (storage, _) in server.inner.store.resources() {
        let Some(resource) = kept_at(&catalog, &storage) else { continue };
        let (objects, _) = server.inner.store.list(&storage, &prefix, None);
        all.extend(objects.into_iter().map(|(key, object)| found(resource, &key, &object)));
    }
    all
}

/// The objects of the kind that a definition defines.
fn defined_by(server: &ApiServer, definition: &Value) -> Vec<Found> {
    let catalog = server.inner.catalog.load();
    let storage = definitions::storage(definition);
    let Some(resource) = kept_at(&catalog, &storage) else { return Vec::new() };
    let (objects, _) = server.inner.store.list(&storage, "", None);
    objects.into_iter().map(|(key, object)| found(resource, &key, &object)).collect()
}

/// All objects whose bytes look right.
fn scan(server: &ApiServer, looks: impl Fn(&[u8]) -> bool) -> Vec<Found> {
    let catalog = server.inner.catalog.load();
    let mut all = Vec::new();
    for (storage, _) in server.inner.store.resources() {
        let Some(resource) = kept_at(&catalog, &storage) else { continue };
        let (objects, _) = server.inner.store.list(&storage, "", None);
        let chosen = objects.into_iter().filter(|(_, object)| looks(object.bytes()));
        all.extend(chosen.map(|(key, object)| found(resource, &key, &object)));
    }
    all
}

fn found(resource: &Arc<Resource>, key: &str, object: &Object) -> Found {
    Found { resource: Arc::clone(resource), key: key.to_owned(), value: object.value() }
}

/// The resource whose objects are kept at a place.
fn kept_at<'c>(catalog: &'c serin_objects::Catalog, storage: &str) -> Option<&'c Arc<Resource>> {
    catalog.resources().find(|resource| resource.is_stored() && storage_of(resource) == storage)
}

fn find(server: &ApiServer, storage: &str, key: &str) -> Option<Found> {
    let catalog = server.inner.catalog.load();
    let object = server.inner.store.object(storage, key)?;
    Some(found(kept_at(&catalog, storage)?, key, &object))
}

/// The owner that a reference names, if it is still the same object. One of a kind that is not served counts as gone.
fn find_owner(server: &ApiServer, owner: &Value, namespace: &str) -> Option<Found> {
    let (group, version) = catalog::split_api_version(owner["apiVersion"].as_str()?);
    let catalog = server.inner.catalog.load();
    let resource = catalog.find_kind(group, version, owner["kind"].as_str()?)?;
    let name = owner["name"].as_str()?;
    let key = key_of(if resource.namespaced { namespace } else { "" }, name);
    let found = find(server, &storage_of(resource), &key)?;
    (found.value["metadata"]["uid"] == owner["uid"]).then_some(found)
}

fn owners(object: &Value) -> impl Iterator<Item = &Value> {
    object["metadata"]["ownerReferences"].as_array().into_iter().flatten()
}

fn has_finalizer(object: &Value, name: &str) -> bool {
    object["metadata"]["finalizers"].as_array().is_some_and(|all| all.iter().any(|it| it == name))
}

fn is_namespace(found: &Found) -> bool {
    found.resource.group.is_empty() && found.resource.kind == "Namespace"
}

fn text(object: &Value, field: &str) -> String {
    object["metadata"][field].as_str().unwrap_or_default().to_owned()
}

fn contains(bytes: &[u8], what: &str) -> bool {
    memchr::memmem::find(bytes, what.as_bytes()).is_some()
}
