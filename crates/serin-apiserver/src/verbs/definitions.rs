//! CustomResourceDefinitions: each decides what the server has.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;
use serin_objects::{Resource, Status, crd};

use crate::server::request::Call;
use crate::server::{ApiServer, aggregate};
use crate::store::WriteError;

const GROUP: &str = "apiextensions.k8s.io";
const STORAGE: &str = "apiextensions.k8s.io/customresourcedefinitions";

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
        Ok(catalog) => server.inner.catalog.store(Arc::new(catalog)),
        Err(problem) => {
            let name = definition["metadata"]["name"].as_str().unwrap_or_default();
            tracing::error!(definition = name, %problem, "a definition cannot be served");
        }
    }
}

/// Ends a resource: its objects go with it.
pub(super) async fn remove(server: &ApiServer, definition: &Value) -> Result<(), Status> {
    let text = |at: &str| definition.pointer(at).and_then(Value::as_str).unwrap_or_default();
    let (group, plural) = (text("/spec/group"), text("/spec/names/plural"));
    let storage = format!("{group}/{plural}");
    let catalog = server.inner.catalog.load().without_definition(group, plural);
    // First nothing can be created any more. Definitions change one at a time: their writes hold the server's lock.
    server.inner.catalog.store(Arc::new(catalog));
    aggregate::register_soon(server);
    let store = &server.inner.store;
    let (objects, _) = store.list(&storage, "", None);
    for (key, object) in objects {
        let deleted = store.delete(&storage, &key, object.revision()).await;
        // A conflict means that it is gone already.
        if let Err(WriteError::Store(error)) = deleted {
            return Err(Status::internal(error));
        }
    }
    Ok(())
}
