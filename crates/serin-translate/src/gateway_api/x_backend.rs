//! XBackends: hosts outside of the cluster that routes can name, with their own port and TLS.

use serde_json::Value;
use serin_api::gateway_api::{ParentReference, XBackend};
use serin_api::networking::{ClientTlsMode, ClientTlsSettings, DestinationRule, TrafficPolicy};
use serin_api::{Object, Resource};

use super::backend::{self, Backend, Found, X_BACKEND};
use super::backend_policy::{self, Ancestors, authority};
use super::class::{GATEWAY_CONTROLLER, MESH_CONTROLLER};
use super::condition::Refusal;
use super::parent::GATEWAY_GROUP;
use super::route::{BackendKey, Routes};
use super::status::Outcome;
use super::world::World;
use super::{names, notice};

/// The destination that an XBackend of `namespace` is. The port of the reference may be left out; it must not be another.
pub(super) fn destination(world: &World<'_>, reference: Backend<'_>, namespace: &str) -> Found {
    let name = reference.name;
    let Some(object) = world.backend(namespace, name) else {
        return backend::not_found(format!("backend({name}) not found"));
    };
    if let Some(refusal) = refusal(&object.spec) {
        return backend::not_found(format!("backend({name}) is not usable: {}", refusal.message));
    }
    let port = port(&object.spec);
    if let Some(asked) = reference.port.filter(|it| *it != port) {
        return backend::not_found(format!(
            "backend({name}) does not expose port {asked}, expected {port}"
        ));
    }
    let host = host(&object.spec);
    if world.registered(host, namespace).is_none() {
        return backend::not_found(format!("backend({host}) not found"));
    }
    (backend::at(host.to_owned(), port), None)
}

fn host(backend: &XBackend) -> &str {
    backend.external_hostname.as_ref().map(|it| it.hostname.as_str()).unwrap_or_default()
}

fn port(backend: &XBackend) -> u32 {
    backend.port.as_ref().and_then(|it| u32::try_from(it.port).ok()).unwrap_or_default()
}

/// What keeps an XBackend from being used at all.
fn refusal(backend: &XBackend) -> Option<Refusal> {
    if backend.backend_type != "ExternalHostname" || backend.external_hostname.is_none() {
        return Some(Refusal::new(
            "Invalid",
            format!("unsupported backend type {:?}", backend.backend_type),
        ));
    }
    let mode = backend.tls.as_ref().and_then(|it| it.mode.as_deref());
    (mode == Some("ClientAndServer")).then(|| {
        let message = "unsupported ClientAndServer TLS mode: Istio does not support client certificates on backend";
        Refusal::new("Invalid", message)
    })
}

/// The rules for the TLS of all XBackends; reports their status.
pub(super) fn rules(
    world: &World<'_>,
    routes: &Routes,
    outcome: &mut Outcome,
) -> Vec<Object<DestinationRule>> {
    let mut rules = Vec::new();
    for object in &world.input.objects.x_backends {
        let namespace = object.meta.namespace.as_str();
        let validation = object.spec.tls.as_ref().and_then(|it| it.validation.as_ref());
        let authority =
            validation.map(|it| authority::of(world, namespace, it)).unwrap_or_default();
        let refusal = refusal(&object.spec);
        if refusal.is_none() {
            rules.extend(rule(object, authority.credential_name.clone()));
        }
        let conditions = authority.conditions(refusal.as_ref());
        notice::of_conditions(&object.reference(), &conditions, outcome);
        let mut parents = Ancestors::default();
        for (reference, controller) in references(object, routes) {
            parents.push(reference, controller, conditions.clone());
        }
        let parents = parents.entries(world, &object.meta, &object.status["parents"], "parentRef");
        outcome.status(object, |status| {
            status.insert("parents".to_owned(), Value::Array(parents));
        });
    }
    rules
}

/// The XBackend itself, for the mesh, and each Gateway whose routes name it.
fn references(object: &Object<XBackend>, routes: &Routes) -> Vec<(ParentReference, &'static str)> {
    let (group, kind) = X_BACKEND;
    let own = ParentReference {
        group: Some(group.to_owned()),
        kind: Some(kind.to_owned()),
        name: object.meta.name.clone(),
        ..ParentReference::default()
    };
    let key = BackendKey {
        group: group.to_owned(),
        kind: kind.to_owned(),
        namespace: object.meta.namespace.clone(),
        name: object.meta.name.clone(),
    };
    let gateway = |(namespace, name): &(String, String)| ParentReference {
        group: Some(GATEWAY_GROUP.to_owned()),
        kind: Some("Gateway".to_owned()),
        namespace: Some(namespace.clone()),
        name: name.clone(),
        ..ParentReference::default()
    };
    let gateways = routes
        .ancestors
        .get(&key)
        .into_iter()
        .flatten()
        .map(|it| (gateway(it), GATEWAY_CONTROLLER));
    std::iter::once((own, MESH_CONTROLLER)).chain(gateways).collect()
}

fn rule(object: &Object<XBackend>, credential_name: String) -> Option<Object<DestinationRule>> {
    let backend = &object.spec;
    let tls = backend.tls.as_ref().filter(|it| it.mode.as_deref() == Some("ServerOnly"))?;
    let host = host(backend);
    let validation = tls.validation.as_ref();
    let sni = validation.map(|it| it.hostname.as_str()).filter(|it| !it.is_empty()).unwrap_or(host);
    let settings = ClientTlsSettings {
        mode: ClientTlsMode::Simple,
        sni: sni.to_owned(),
        subject_alt_names: validation.map(authority::subject_alt_names).unwrap_or_default(),
        credential_name,
        ..ClientTlsSettings::default()
    };
    let port_level_settings = vec![backend_policy::port_policy(port(backend), settings)];
    let policy = TrafficPolicy { port_level_settings, ..TrafficPolicy::default() };
    let parents = format!("{}/{}.{}", XBackend::KIND, object.meta.namespace, object.meta.name);
    let name = names::policy_of_host(&object.meta.name, host);
    Some(backend_policy::rule(name, &object.meta.namespace, host.to_owned(), policy, &parents))
}
