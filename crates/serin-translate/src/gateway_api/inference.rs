//! InferencePools: pods that serve a model, reached through a service that a controller makes for each pool.

use serde_json::{Value, json};
use serin_api::Object;
use serin_api::gateway_api::InferencePool;
use sha2::{Digest, Sha256};

use super::backend::{self, Found};
use super::condition::{Condition, Refusal};
use super::route::Name;
use super::status::Outcome;
use super::world::World;
use super::{class, notice};

const EXTENSION_SERVICE: &str = "istio.io/inferencepool-extension-service";
const EXTENSION_PORT: &str = "istio.io/inferencepool-extension-port";
const MAX_NAME: usize = 63;

/// The name of the service for a pool: the pool's, cut to what fits, and a hash of it.
pub(super) fn service_name(pool: &str) -> String {
    let hash = Sha256::digest(pool.as_bytes());
    let hash: String = hash.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    let suffix = format!("-ip-{hash}");
    let kept = pool.get(..MAX_NAME - suffix.len()).unwrap_or(pool);
    format!("{kept}{suffix}")
}

/// The destination that a pool is.
///
/// # Errors
/// That the service made for the pool does not say who chooses among its pods.
pub(super) fn destination(
    world: &World<'_>,
    name: &str,
    namespace: &str,
) -> Result<Found, Refusal> {
    let invalid = |message: &str| Refusal::new("InvalidDestination", message);
    if !world.input.features.inference {
        return Err(Refusal::new("InvalidKind", "InferencePool is not enabled"));
    }
    if name.contains('.') {
        return Err(invalid(
            "InferencePool.Name invalid; the name of the InferencePool must be used, not the hostname.",
        ));
    }
    if world.pool(namespace, name).is_none() {
        return Ok(backend::not_found(format!("backend({name}) not found")));
    }
    let host = world.host_of_service(&service_name(name), namespace);
    let Some(service) = world.registered(&host, namespace) else {
        return Ok(backend::not_found(format!("backend({host}) not found")));
    };
    if !service.labels.contains_key(EXTENSION_SERVICE)
        || !service.labels.contains_key(EXTENSION_PORT)
    {
        return Err(invalid("InferencePool service invalid, extensionRef labels not found"));
    }
    let port = service.ports.first().copied().unwrap_or_default();
    Ok((backend::at(host, port), None))
}

/// Reports the status of every pool. Which Gateways it has is taken from the statuses of routes as they are written, not
/// from those of this conversion.
pub(super) fn report(world: &World<'_>, outcome: &mut Outcome) {
    if !world.input.features.inference {
        return;
    }
    for pool in &world.input.objects.inference_pools {
        notice::of_picker(&pool.reference(), outcome);
        let gateways = gateways(world, pool);
        let mut parents: Vec<Value> = Vec::new();
        for parent in pool.status["parents"].as_array().into_iter().flatten() {
            let name = name_of(&parent["parentRef"], &pool.meta.namespace);
            let placeholder =
                parent["parentRef"]["kind"] == "Status" && parent["parentRef"]["name"] == "default";
            let ours = world
                .gateway(&name.0, &name.1)
                .is_some_and(|it| class::find(world, &it.spec.gateway_class_name).is_some());
            if !placeholder && !ours && !gateways.iter().any(|(it, _)| *it == name) {
                parents.push(parent.clone());
            }
        }
        parents.extend(
            gateways.iter().map(|(gateway, accepted)| parent(world, pool, gateway, accepted)),
        );
        outcome.status(pool, |status| {
            if parents.is_empty() {
                status.remove("parents");
            } else {
                status.insert("parents".to_owned(), Value::Array(parents));
            }
        });
    }
}

fn name_of(reference: &Value, own: &str) -> Name {
    let text = |key: &str| reference[key].as_str().filter(|it| !it.is_empty());
    (text("namespace").unwrap_or(own).to_owned(), text("name").unwrap_or_default().to_owned())
}

/// The Gateways whose routes name the pool, and whether one of the routes is accepted there.
fn gateways(world: &World<'_>, pool: &Object<InferencePool>) -> Vec<(Name, Condition)> {
    let mut gateways: Vec<(Name, Condition)> = Vec::new();
    for route in &world.input.objects.http_routes {
        let backends = route
            .spec
            .rules
            .iter()
            .flatten()
            .flat_map(|it| &it.backend_refs)
            .map(backend::Backend::from);
        let mut backends = backends
            .filter(|it| it.group_kind() == backend::INFERENCE_POOL && it.name == pool.meta.name);
        if !backends.any(|it| it.namespace.unwrap_or(&route.meta.namespace) == pool.meta.namespace)
        {
            continue;
        }
        let parents = route.status["parents"].as_array().into_iter().flatten();
        for parent in parents.filter(|it| class::is_own(&it["controllerName"])) {
            let gateway = name_of(&parent["parentRef"], &route.meta.namespace);
            if gateways.iter().any(|(it, _)| *it == gateway) {
                continue;
            }
            let conditions = parent["conditions"].as_array().into_iter().flatten();
            let Some(accepted) = conditions.into_iter().find(|it| it["type"] == "Accepted") else {
                continue;
            };
            let condition = if accepted["status"] == "True" {
                let message = "Referenced by an HTTPRoute accepted by the parentRef Gateway";
                Condition::holds("Accepted", "Accepted", message)
            } else {
                let message = format!(
                    "Referenced HTTPRoute {}/{} not accepted by Gateway {}/{}: {}",
                    route.meta.namespace,
                    route.meta.name,
                    gateway.0,
                    gateway.1,
                    accepted["message"].as_str().unwrap_or_default()
                );
                Condition::fails("Accepted", "HTTPRouteNotAccepted", message)
            };
            gateways.push((gateway, condition));
        }
    }
    gateways.sort_by(|one, other| one.0.cmp(&other.0));
    gateways
}

fn parent(
    world: &World<'_>,
    pool: &Object<InferencePool>,
    gateway: &Name,
    accepted: &Condition,
) -> Value {
    let existing = pool.status["parents"].as_array().into_iter().flatten();
    let before =
        existing.into_iter().find(|it| name_of(&it["parentRef"], &pool.meta.namespace) == *gateway);
    let conditions = vec![accepted.clone(), picker(world, pool)];
    json!({
        "parentRef": {
            "group": "gateway.networking.k8s.io",
            "kind": "Gateway",
            "namespace": gateway.0,
            "name": gateway.1,
        },
        "conditions": world.report(&pool.meta).merge(before.map_or(&Value::Null, |it| &it["conditions"]), conditions),
    })
}

/// Whether the service that chooses among the pods exists.
fn picker(world: &World<'_>, pool: &Object<InferencePool>) -> Condition {
    let fails = |message: String| Condition::fails("ResolvedRefs", "InvalidExtensionRef", message);
    let Some(picker) = pool.spec.endpoint_picker_ref.as_ref().filter(|it| !it.name.is_empty())
    else {
        return fails("ExtensionRef not defined".to_owned());
    };
    let kind = picker.kind.as_deref().unwrap_or("Service");
    if kind != "Service" {
        return fails(format!("Unsupported ExtensionRef kind {kind}"));
    }
    if world.service(&pool.meta.namespace, &picker.name).is_none() {
        return fails(format!("Referenced ExtensionRef not found {}", picker.name));
    }
    Condition::holds(
        "ResolvedRefs",
        "ResolvedRefs",
        "Referenced ExtensionRef resolved successfully",
    )
}
