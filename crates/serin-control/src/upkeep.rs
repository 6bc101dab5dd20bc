//! Keeping up the objects that the control plane makes: Services of Gateways, addresses of load balancers.

use std::sync::Arc;

use serde_json::{Value, json};
use serin_api::core::Service;
use serin_api::{Object, ObjectRef};

use crate::cache::Key;
use crate::control::Shared;
use crate::models::Push;
use crate::settings::Settings;
use crate::{api, made, plain};

/// Follows pushes until the task is ended.
pub(crate) async fn run(client: kube::Client, settings: Arc<Settings>, shared: Arc<Shared>) {
    let mut moved = shared.follow();
    let mut last: Option<Arc<Push>> = None;
    loop {
        let push = shared.last_push().filter(|push| {
            last.as_ref().is_none_or(|last| !Arc::ptr_eq(&last.snapshot, &push.snapshot))
        });
        if let Some(push) = push {
            keep_up(&client, &settings, &push).await;
            last = Some(push);
        }
        if moved.changed().await.is_err() {
            return;
        }
    }
}

async fn keep_up(client: &kube::Client, settings: &Settings, push: &Push) {
    for object in made::missing(&push.snapshot, settings) {
        if let Err(error) = api::apply(client, &object).await {
            let text = |at: &str| object.pointer(at).and_then(Value::as_str).unwrap_or_default();
            let (kind, name) = (text("/kind"), text("/metadata/name"));
            tracing::warn!(kind, name, %error, "an object of a Gateway could not be made");
        }
    }
    for service in &push.snapshot.objects().services {
        let Some(status) = balanced(service, push) else { continue };
        let reference = ObjectRef { api_version: "v1".to_owned(), ..service.reference() };
        let Some(key) = Key::of(&reference) else { continue };
        match api::merge_status(client, &key, &status).await {
            Err(error) if !error.is_missing() => {
                tracing::warn!(service = %reference, %error, "the address of a Service could not be written");
            }
            _ => {}
        }
    }
}

/// The part of a Service's status that tells its addresses outside, if it is to change.
fn balanced(service: &Object<Service>, push: &Push) -> Option<Value> {
    let key = (service.meta.namespace.clone(), service.meta.name.clone());
    let present = plain::balanced_at(service);
    let wanted = push.assigned.get(&key).copied().flatten();
    let is_right = present.iter().eq(&wanted);
    let ingress: Vec<Value> = wanted.iter().map(|ip| json!({"ip": ip, "ipMode": "VIP"})).collect();
    (!is_right).then(|| json!({"loadBalancer": {"ingress": ingress}}))
}
