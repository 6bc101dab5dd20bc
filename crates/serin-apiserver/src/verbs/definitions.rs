//! CustomResourceDefinitions: each decides what the server has.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};
use serin_objects::prepare::{self, Context, Identity, Ownership};
use serin_objects::{Resource, Status, crd, decode};

use crate::server::request::Call;
use crate::server::{ApiServer, aggregate};
use crate::store::{Draft, Expect, WriteError};

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

/// Makes those definitions that are not there. They are this program's own: they are right, as tests make sure, and need not go
/// through everything that those of others do.
pub(crate) async fn make(
    server: &ApiServer,
    definitions: Vec<Value>,
) -> Result<(), (String, Status)> {
    let store = &server.inner.store;
    let writes = definitions.into_iter().filter_map(|definition| {
        let name = definition["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        if store.object(STORAGE, &name).is_some() {
            return None;
        }
        Some(async move {
            let made = async {
                let object = own(server, definition)?;
                let draft = Draft::new(&object);
                match store.put(STORAGE, &name, Expect::Absent, draft).await {
                    Ok(_) => serve(server, &object),
                    Err(WriteError::Conflict(_)) => {}
                    Err(WriteError::Store(error)) => return Err(Status::internal(error)),
                }
                Ok(())
            };
            made.await.map_err(|status| (name.clone(), status))
        })
    });
    let made = futures_util::future::join_all(writes).await;
    made.into_iter().collect()
}

/// A definition of this program as it is kept.
fn own(server: &ApiServer, definition: Value) -> Result<Value, Status> {
    let resource = server
        .resource(GROUP, "v1", "customresourcedefinitions")
        .ok_or_else(Status::no_such_path)?;
    let body = decode::Body { value: definition, duplicates: Vec::new() };
    let decoded = decode::object(&resource, body, decode::FieldValidation::Strict)?;
    let uid = crate::random::uuid().to_string();
    let identity = Identity { namespace: "", uid: &uid };
    let context = Context {
        now: Timestamp::now(),
        manager: "",
        ownership: Ownership::Applied,
        subresource: None,
    };
    let mut object = prepare::create_unchecked(&resource, decoded.object, &identity, &context)?;
    settle(server, &mut object);
    Ok(object)
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
