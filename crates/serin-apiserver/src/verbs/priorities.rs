//! Priorities of pods, by the classes that pods name, and the class of those that name none.

use serde_json::Value;
use serin_objects::{Status, admission};

use crate::server::ApiServer;
use crate::server::request::Call;
use crate::store::Store;

const CLASSES: &str = "scheduling.k8s.io/priorityclasses";

/// The class of pods that name none.
fn general(store: &Store) -> Option<Value> {
    let (classes, _) = store.list(CLASSES, "", None);
    let all = classes.iter().map(|(_, it)| it.value()).filter(|it| it["globalDefault"] == true);
    // Where several claim it, the smallest one is meant.
    all.min_by_key(|it| it["value"].as_i64())
}

/// Gives a new pod the priority of its class.
pub(super) fn give(server: &ApiServer, call: &Call, pod: &mut Value) -> Result<(), Status> {
    let store = &server.inner.store;
    let wanted = pod["spec"]["priorityClassName"].as_str().unwrap_or_default();
    let class = match wanted {
        "" => general(store),
        name => Some(store.object(CLASSES, name).map(|it| it.value()).ok_or_else(|| {
            let why = format!("no PriorityClass with name {name} was found");
            refused(call, pod, &why)
        })?),
    };
    let computed = class.as_ref().map_or(0, |it| it["value"].as_i64().unwrap_or(0));
    if let Some(given) = pod["spec"]["priority"].as_i64().filter(|it| *it != computed) {
        let why = format!(
            "the integer value of priority ({given}) must not be provided in pod spec; priority admission controller computed {computed} from the given PriorityClass name"
        );
        return Err(refused(call, pod, &why));
    }
    admission::priority(pod, class.as_ref());
    Ok(())
}

/// There is one class of pods that name none.
pub(super) fn check(server: &ApiServer, call: &Call, class: &Value) -> Result<(), Status> {
    let name = class["metadata"]["name"].as_str().unwrap_or_default();
    let other = general(&server.inner.store);
    let other = other.as_ref().and_then(|it| it["metadata"]["name"].as_str());
    match other.filter(|other| *other != name && class["globalDefault"] == true) {
        Some(other) => {
            let why = format!(
                "PriorityClass {other} is already marked as default. Only one default can exist"
            );
            Err(refused(call, class, &why))
        }
        None => Ok(()),
    }
}

fn refused(call: &Call, object: &Value, why: &str) -> Status {
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    Status::forbidden(&call.resource, name, why)
}
