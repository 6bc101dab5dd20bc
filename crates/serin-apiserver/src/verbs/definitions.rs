//! CustomResourceDefinitions: each decides what the server has.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};
use serin_objects::{Resource, crd};

use crate::server::request::Call;
use crate::server::{ApiServer, aggregate};

const GROUP: &str = "apiextensions.k8s.io";
/// Where definitions are kept.
pub(super) const STORAGE: &str = "apiextensions.k8s.io/customresourcedefinitions";

/// What holds a definition until its objects are gone.
pub(super) const CLEANUP: &str = "customresourcecleanup.apiextensions.k8s.io";

/// Whether a resource is the one of definitions.
pub(super) fn are(resource: &Resource) -> bool {
    resource.group == GROUP && resource.kind == "CustomResourceDefinition"
}

/// Serves what the stored definitions define.
pub(crate) fn load(server: &ApiServer) {
    let (objects, _) = server.inner.store.list(STORAGE, "", None);
    for (_, object) in objects {
        serve(server, &object.value());
    }
}

/// Sets the status of a definition that is about to be stored.
pub(super) fn settle(server: &ApiServer, definition: &mut Value) {
    let catalog = server.inner.catalog.load();
    definition["status"] = crd::status(&catalog, definition, Timestamp::now());
}

/// Something was stored; if it is a definition, it counts from now on.
pub(super) fn changed(server: &ApiServer, call: &Call, object: &Value) {
    if are(&call.resource) {
        serve(server, object);
        aggregate::register_soon(server);
    }
}

fn serve(server: &ApiServer, definition: &Value) {
    if !crd::is_established(definition) {
        return;
    }
    match server.inner.catalog.load().with_definition(definition) {
        // Definitions are written one at a time, but one may end at any moment.
        Ok(_) => {
            server.inner.catalog.rcu(|catalog| match catalog.with_definition(definition) {
                Ok(catalog) => Arc::new(catalog),
                Err(_) => Arc::clone(catalog),
            });
        }
        Err(problem) => {
            let name = definition["metadata"]["name"].as_str().unwrap_or_default();
            tracing::error!(definition = name, %problem, "a definition cannot be served");
        }
    }
}

/// Where the objects of a definition's kind are kept.
pub(super) fn storage(definition: &Value) -> String {
    let text = |at: &str| definition.pointer(at).and_then(Value::as_str).unwrap_or_default();
    format!("{}/{}", text("/spec/group"), text("/spec/names/plural"))
}

/// Makes a definition that is to go wait until its objects are gone; without any it goes at once.
pub(super) fn hold(server: &ApiServer, definition: &mut Value) {
    if server.inner.store.list(&storage(definition), "", None).0.is_empty()
        || definition["metadata"]["deletionTimestamp"].is_string()
    {
        return;
    }
    let mut finalizers =
        definition["metadata"]["finalizers"].as_array().cloned().unwrap_or_default();
    finalizers.push(CLEANUP.into());
    definition["metadata"]["finalizers"] = finalizers.into();
    let mut conditions = definition["status"]["conditions"].as_array().cloned().unwrap_or_default();
    conditions.retain(|it| it["type"] != "Terminating");
    conditions.push(json!({
        "lastTransitionTime": Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        "message": "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon",
        "reason": "InstanceDeletionPending",
        "status": "True",
        "type": "Terminating",
    }));
    definition["status"]["conditions"] = conditions.into();
}

/// The name of a custom resource's definition, if it is about to go.
pub(super) fn ending(server: &ApiServer, resource: &Resource) -> Option<String> {
    let name = resource.group_resource();
    let stored = server.inner.store.object(STORAGE, &name)?;
    // Definitions are long, and nearly all of them stay.
    memchr::memmem::find(stored.bytes(), b"\"deletionTimestamp\":")?;
    stored.value()["metadata"]["deletionTimestamp"].is_string().then_some(name)
}

/// A definition is gone, and what it defined with it.
pub(super) fn end(server: &ApiServer, definition: &Value) {
    let text = |at: &str| definition.pointer(at).and_then(Value::as_str).unwrap_or_default();
    let (group, plural) = (text("/spec/group"), text("/spec/names/plural"));
    server.inner.catalog.rcu(|catalog| Arc::new(catalog.without_definition(group, plural)));
    aggregate::register_soon(server);
    let (store, storage) = (server.inner.store.clone(), storage(definition));
    tokio::spawn(async move {
        // Objects that were made while their definition went. Those that fail are left, and hurt nobody.
        for (key, object) in store.list(&storage, "", None).0 {
            let _ = store.delete(&storage, &key, object.revision()).await;
        }
    });
}
