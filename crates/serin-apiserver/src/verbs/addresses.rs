//! IPAddresses: one for each address that a Service holds, so that everyone can see what is given out.
//!
//! Addresses are given out by `services`, whatever these objects say: they follow beside the writes of Services, and what was
//! missed when the process ended is made up for by [`resume`].

use std::collections::BTreeSet;

use http::Method;
use serde_json::{Value, json};
use serin_objects::service;

use crate::User;
use crate::server::ApiServer;
use crate::server::request::key_of;

const STORAGE: &str = "networking.k8s.io/ipaddresses";
const PATH: &str = "/apis/networking.k8s.io/v1/ipaddresses";
const MANAGED: &str = "ipaddress.kubernetes.io/managed-by";
const ALLOCATOR: &str = "ipallocator.k8s.io";
/// How often an object is looked at again because it was not as it should be.
const ATTEMPTS: usize = 8;

fn held(service: &Value) -> BTreeSet<String> {
    service::held(service).cluster_ips.into_iter().collect()
}

/// What an object of an address says of its Service.
fn parent(service: &Value) -> Value {
    let metadata = &service["metadata"];
    json!({"resource": "services",
        "namespace": metadata["namespace"], "name": metadata["name"]})
}

/// A Service holds other addresses than before; null is one that is not there.
pub(super) fn changed(server: &ApiServer, old: &Value, new: &Value) {
    let (before, now) = (held(old), held(new));
    if before == now {
        return;
    }
    let (server, parent) = (server.clone(), parent(if new.is_null() { old } else { new }));
    tokio::spawn(async move {
        for address in before.symmetric_difference(&now) {
            settle(&server, address, &parent).await;
        }
    });
}

/// Makes what is missing, and takes away what nobody holds.
pub(crate) async fn resume(server: &ApiServer) {
    let (services, _) = server.inner.store.list("/services", "", None);
    let services: Vec<Value> = services.iter().map(|(_, it)| it.value()).collect();
    let (known, _) = server.inner.store.list(STORAGE, "", None);
    for (address, object) in known {
        let object = object.value();
        let is_ours = object["metadata"]["labels"][MANAGED] == ALLOCATOR;
        let of = |it: &Value| parent(it) == object["spec"]["parentRef"];
        let is_held = services.iter().any(|it| of(it) && held(it).contains(&*address));
        if is_ours && !is_held {
            delete(server, &address, &object).await;
        }
    }
    for service in &services {
        for address in held(service) {
            settle(server, &address, &parent(service)).await;
        }
    }
}

/// Has the object of an address say what the Service says now. Changes of a Service that follow each other may come here in any order, so
/// what was done is looked at again. What is still missing after so many times is made up for at the next start.
async fn settle(server: &ApiServer, address: &str, parent: &Value) {
    let text = |field: &str| parent[field].as_str().unwrap_or_default();
    let key = key_of(text("namespace"), text("name"));
    for _ in 0..ATTEMPTS {
        let service = server.inner.store.object("/services", &key);
        let is_held = service.is_some_and(|it| held(&it.value()).contains(address));
        let object = server.inner.store.object(STORAGE, address);
        match object.map(|it| it.value()) {
            None if is_held => make(server, address, parent).await,
            // What another Service left lies in the way.
            Some(object) if is_held != (object["spec"]["parentRef"] == *parent) => {
                delete(server, address, &object).await;
            }
            _ => return,
        }
    }
}

async fn make(server: &ApiServer, address: &str, parent: &Value) {
    let family = if address.contains(':') { "IPv6" } else { "IPv4" };
    let object = json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "IPAddress",
        "metadata": {"name": address, "labels": {
            "ipaddress.kubernetes.io/ip-family": family,
            MANAGED: ALLOCATOR,
        }},
        "spec": {"parentRef": parent},
    });
    // Someone else may have made it meanwhile.
    let _ = server.ask(&User::component("bootstrap"), Method::POST, PATH, Some(&object)).await;
}

/// Deletes just this object: another one of the same name may be there meanwhile.
async fn delete(server: &ApiServer, address: &str, object: &Value) {
    let path = format!("{PATH}/{address}");
    let options = json!({"preconditions": {"uid": object["metadata"]["uid"]}});
    let user = User::component("bootstrap");
    // One that is gone already is as good.
    let _ = server.ask(&user, Method::DELETE, &path, Some(&options)).await;
}
