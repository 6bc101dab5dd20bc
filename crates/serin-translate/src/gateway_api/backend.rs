//! What a route names as a backend becomes a destination.
//!
//! A backend that does not exist or may not be used becomes an empty destination: its share of the requests is answered
//! with 500, as the Gateway API demands, and the status says why.

use serin_api::gateway_api::{BackendObjectReference, BackendRef, GrpcBackendRef, HttpBackendRef};
use serin_api::networking::Destination;
use serin_api::values::PortSelector;

use super::condition::Refusal;
use super::grants::GroupKind;
use super::route::RouteView;
use super::world::World;
use super::{inference, x_backend};

const SERVICE: GroupKind<'static> = ("", "Service");
const HOSTNAME: GroupKind<'static> = ("networking.istio.io", "Hostname");
const SERVICE_IMPORT: GroupKind<'static> = ("multicluster.x-k8s.io", "ServiceImport");
/// The kind of backends outside of the cluster.
pub(super) const X_BACKEND: GroupKind<'static> = ("gateway.networking.x-k8s.io", "XBackend");
/// The kind of backends that serve models.
pub(super) const INFERENCE_POOL: GroupKind<'static> =
    ("inference.networking.k8s.io", "InferencePool");

const INVALID: &str = "InvalidDestination";
const NOT_FOUND: &str = "BackendNotFound";

/// A reference to a backend, whichever kind of route it stands in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Backend<'a> {
    pub group: Option<&'a str>,
    pub kind: Option<&'a str>,
    pub name: &'a str,
    pub namespace: Option<&'a str>,
    pub port: Option<u32>,
    /// Share; 1 if not written.
    pub weight: i32,
}

macro_rules! from_reference {
    ($($type:ident $(with $weight:ident)?),*) => {$(
        impl<'a> From<&'a $type> for Backend<'a> {
            fn from(reference: &'a $type) -> Self {
                Self {
                    group: reference.group.as_deref(),
                    kind: reference.kind.as_deref(),
                    name: &reference.name,
                    namespace: reference.namespace.as_deref(),
                    port: reference.port.and_then(|port| u32::try_from(port).ok()),
                    weight: None$(.or(reference.$weight))?.unwrap_or(1),
                }
            }
        }
    )*};
}

from_reference!(BackendRef with weight, HttpBackendRef with weight, GrpcBackendRef with weight, BackendObjectReference);

impl<'a> Backend<'a> {
    pub(super) fn group_kind(&self) -> GroupKind<'a> {
        (self.group.unwrap_or(SERVICE.0), self.kind.unwrap_or(SERVICE.1))
    }
}

/// The weights of a VirtualService for backends with these weights: no entry for 0, and 0 for an only one, which takes all.
pub(super) fn weights<T>(backends: impl Iterator<Item = (T, i32)>) -> Vec<(T, i32)> {
    let mut shares: Vec<_> = backends.filter(|(_, weight)| *weight != 0).collect();
    if let [(_, weight)] = shares.as_mut_slice() {
        *weight = 0;
    }
    shares
}

/// A destination, and what is wrong with its backend if it serves none.
pub(super) type Found = (Destination, Option<Refusal>);

fn refused(reason: &'static str, message: impl Into<String>) -> Found {
    (Destination::default(), Some(Refusal::new(reason, message)))
}

/// The destination that `backend` of `route` means, as gateways see it or the mesh.
///
/// # Errors
/// What is wrong with the reference itself; the whole route is of no use then.
pub(super) fn destination(
    world: &World<'_>,
    route: &RouteView<'_>,
    backend: Backend<'_>,
    mesh: bool,
) -> Result<Found, Refusal> {
    let own = route.meta.namespace.as_str();
    let namespace = backend.namespace.unwrap_or(own);
    let (kind, name) = (backend.group_kind(), backend.name);
    if !mesh && !world.grants.allow((route.kind.group_kind(), own), (kind, namespace), name) {
        let route = route.kind.name();
        let message = format!(
            "backendRef {name}/{namespace} not accessible to a {route} in namespace {own:?} (missing a ReferenceGrant?)"
        );
        return Ok(refused("RefNotPermitted", message));
    }
    let (host, exists) = match kind {
        SERVICE if name.contains('.') => {
            let message =
                "service name invalid; the name of the Service must be used, not the hostname.";
            return Err(Refusal::new(INVALID, message));
        }
        SERVICE => service(world, name, namespace),
        SERVICE_IMPORT => {
            let (host, exists) = service(world, name, namespace);
            let shared = world.input.features.multicluster_hosts;
            (if shared { format!("{name}.{namespace}.svc.clusterset.local") } else { host }, exists)
        }
        HOSTNAME if backend.namespace.is_some() => {
            return Err(Refusal::new(INVALID, "namespace may not be set with Hostname type"));
        }
        HOSTNAME => (name.to_owned(), world.registered(name, namespace).is_some()),
        INFERENCE_POOL => return inference::destination(world, name, namespace),
        X_BACKEND => return Ok(x_backend::destination(world, backend, namespace)),
        _ => {
            let (group, kind) =
                (backend.group.unwrap_or_default(), backend.kind.unwrap_or_default());
            let message =
                format!("referencing unsupported backendRef: group {group:?} kind {kind:?}");
            return Ok(refused("InvalidKind", message));
        }
    };
    let Some(port) = backend.port else {
        return Err(Refusal::new(INVALID, "port is required in backendRef"));
    };
    let refusal = (!exists).then(|| Refusal::new(NOT_FOUND, format!("backend({host}) not found")));
    Ok((at(host, port), refusal))
}

fn service(world: &World<'_>, name: &str, namespace: &str) -> (String, bool) {
    (world.host_of_service(name, namespace), world.service(namespace, name).is_some())
}

/// A port of a host.
pub(super) fn at(host: String, port: u32) -> Destination {
    Destination { host, port: Some(PortSelector { number: port }), ..Destination::default() }
}

/// A backend that does not exist.
pub(super) fn not_found(message: String) -> Found {
    refused(NOT_FOUND, message)
}
