//! Services: which pods, or which addresses given by hand, stand behind them, as EndpointSlices and as Endpoints; and the
//! address of a load balancer.

mod desired;
mod legacy;
mod mirror;
mod slices;

use std::sync::Arc;

use k8s_openapi::api::core::v1::{
    LoadBalancerIngress, LoadBalancerStatus, Pod, Service, ServiceStatus,
};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::ResourceExt as _;

use self::slices::{MANAGED_BY, Write};
use crate::error::Error;
use crate::objects::Key;
use crate::queue::Outcome;
use crate::world::World;

pub(crate) use self::slices::SERVICE_NAME;

const COMPONENT: &str = "service-controller";

/// The selector of a Service, if it chooses pods.
fn selector(service: &Service) -> Option<&std::collections::BTreeMap<String, String>> {
    let spec = service.spec.as_ref()?;
    let external = spec.type_.as_deref() == Some("ExternalName");
    spec.selector.as_ref().filter(|selector| !selector.is_empty() && !external)
}

/// The word by which a Service is found from a pod: the first pair of its selector.
pub(crate) fn service_tags(service: &Service) -> Vec<String> {
    let namespace = service.namespace().unwrap_or_default();
    let first = selector(service).and_then(|selector| selector.first_key_value());
    first.map(|(name, value)| label_tag(&namespace, name, value)).into_iter().collect()
}

pub(crate) fn label_tag(namespace: &str, name: &str, value: &str) -> String {
    format!("label/{namespace}/{name}={value}")
}

/// The word by which the slices of a Service are found.
pub(crate) fn slice_tag(namespace: &str, service: &str) -> String {
    format!("service/{namespace}/{service}")
}

/// Looks at a Service, or at Endpoints of the same name.
pub(crate) async fn reconcile(world: Arc<World>, key: Key) -> Outcome {
    let world = &*world;
    let service = world.services.get(&key).filter(|it| it.metadata.deletion_timestamp.is_none());
    let Some(service) = service else {
        // The slices belong to the Service and go with it.
        return forget(world, &key).await;
    };
    put_load_balancer(world, &service).await?;
    if service.spec.as_ref().and_then(|spec| spec.type_.as_deref()) == Some("ExternalName") {
        return forget(world, &key).await;
    }
    let Some(selector) = selector(&service) else {
        let endpoints = world.endpoints.get(&key).filter(|it| mirror::is_wanted(it));
        let groups = endpoints.as_deref().map(mirror::groups).unwrap_or_default();
        write_slices(world, &service, slices::MIRRORED, groups).await?;
        return Ok(None);
    };
    let pods = selected(world, &key.namespace, selector);
    write_slices(world, &service, slices::SELECTED, desired::groups(&service, &pods)).await?;
    world.queues.endpoints.add(key);
    Ok(None)
}

/// Looks at the Endpoints of a Service whose slices are as they are to be. Traffic goes by the slices, so the older form waits its
/// turn behind those of all Services, and what came meanwhile is written at once.
pub(crate) async fn reconcile_legacy(world: Arc<World>, key: Key) -> Outcome {
    let world = &*world;
    world.queues.services.rest().await;
    let service = world.services.get(&key).filter(|it| it.metadata.deletion_timestamp.is_none());
    let Some(service) = service else { return Ok(None) };
    let Some(selector) = selector(&service) else { return Ok(None) };
    let wanted = legacy::endpoints(&service, &selected(world, &key.namespace, selector));
    match world.endpoints.get(&key) {
        None => drop(world.endpoints.create(&key.namespace, &wanted).await?),
        Some(there) => {
            if let Some(changed) = legacy::change(&there, wanted) {
                world.endpoints.put(&changed).await?;
            }
        }
    }
    Ok(None)
}

/// The pods that a selector chooses.
fn selected(
    world: &World,
    namespace: &str,
    selector: &std::collections::BTreeMap<String, String>,
) -> Vec<Arc<Pod>> {
    let mut pods = match selector.first_key_value() {
        Some((name, value)) => world.pods.tagged(&label_tag(namespace, name, value)),
        None => Vec::new(),
    };
    pods.retain(|pod| selector.iter().all(|(name, value)| pod.labels().get(name) == Some(value)));
    pods
}

/// Removes what was made for a Service that has no endpoints of ours any more.
async fn forget(world: &World, key: &Key) -> Outcome {
    for slice in world.slices.tagged(&slice_tag(&key.namespace, &key.name)) {
        let by = slice.labels().get(MANAGED_BY).map(String::as_str);
        if matches!(by, Some(slices::SELECTED | slices::MIRRORED)) {
            world.slices.delete(&slice).await?;
        }
    }
    if let Some(there) = world.endpoints.get(key).filter(|it| legacy::is_ours(it)) {
        world.endpoints.delete(&there).await?;
    }
    Ok(None)
}

/// Brings the slices of a Service that a manager of ours has to what they are to be. Those of the other manager go.
async fn write_slices(
    world: &World,
    service: &Service,
    manager: &'static str,
    groups: Vec<desired::Group>,
) -> Result<(), Error> {
    let namespace = service.namespace().unwrap_or_default();
    let (mut own, mut others): (Vec<_>, Vec<_>) = world
        .slices
        .tagged(&slice_tag(&namespace, &service.name_any()))
        .into_iter()
        .partition(|slice| slice.labels().get(MANAGED_BY).is_some_and(|by| by == manager));
    own.retain(|slice| slice.metadata.deletion_timestamp.is_none());
    others.retain(|slice| {
        let by = slice.labels().get(MANAGED_BY).map(String::as_str);
        matches!(by, Some(slices::SELECTED | slices::MIRRORED))
    });
    for write in slices::plan(service, manager, groups, &own) {
        match write {
            Write::Create(slice) => drop(world.slices.create(&namespace, &slice).await?),
            Write::Update(slice) => drop(world.slices.put(&slice).await?),
            Write::Delete(slice) => world.slices.delete(&slice).await?,
        }
    }
    for slice in others {
        world.slices.delete(&slice).await?;
    }
    Ok(())
}

/// Says where a Service of type LoadBalancer is reached from outside.
async fn put_load_balancer(world: &World, service: &Service) -> Result<(), Error> {
    let Some(addresses) = &world.settings.load_balancer_address else { return Ok(()) };
    let is_one =
        service.spec.as_ref().and_then(|spec| spec.type_.as_deref()) == Some("LoadBalancer");
    let before = service.status.as_ref().and_then(|status| status.load_balancer.clone());
    let before = before.and_then(|it| it.ingress).unwrap_or_default();
    let after: Vec<LoadBalancerIngress> = if is_one {
        let addresses = addresses(service).into_iter();
        let entry = |address: std::net::IpAddr| LoadBalancerIngress {
            ip: Some(address.to_string()),
            ip_mode: Some("VIP".to_owned()),
            ..LoadBalancerIngress::default()
        };
        addresses.map(entry).collect()
    } else {
        Vec::new()
    };
    if before == after {
        return Ok(());
    }
    let mut changed = service.clone();
    let conditions = service.status.as_ref().and_then(|status| status.conditions.clone());
    let ingress = (!after.is_empty()).then_some(after);
    let some = ingress.is_some();
    let load_balancer = Some(LoadBalancerStatus { ingress });
    changed.status = Some(ServiceStatus { conditions, load_balancer });
    world.services.put_status(&changed).await?;
    if some {
        let text = "Ensured load balancer".to_owned();
        world.events.normal(COMPONENT, service, "EnsuredLoadBalancer", text);
    } else {
        let text = "Deleted load balancer".to_owned();
        world.events.normal(COMPONENT, service, "DeletedLoadBalancer", text);
    }
    Ok(())
}

/// The Service that a slice belongs to.
pub(crate) fn service_of(slice: &EndpointSlice) -> Option<Key> {
    let service = slice.labels().get(SERVICE_NAME)?;
    Some(Key::new(slice.namespace().unwrap_or_default(), service.clone()))
}

#[cfg(test)]
mod tests;
