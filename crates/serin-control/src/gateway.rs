//! The built-in ingress gateway: a workload of this process rather than a pod.
//!
//! Objects find it as they find any gateway: by the labels of a pod, which stands among the objects though the API does not have it,
//! and by the Services that lead to its address.

pub(crate) mod health;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use serin_api::core::{self, Container, Pod};
use serin_api::{Meta, Object};
use serin_routing::Model;
use serin_routing::model::{Bind, WorkloadIdentity};
use serin_translate::registry::ServiceTarget;
use serin_translate::{Proxy, ProxyKind, Snapshot};

use crate::cache::Key;
use crate::proxy::{ProxyId, Role, Socket, Workload};
use crate::publisher::Problem;
use crate::settings::{Gateway, Settings};

/// Label of a Service that was made for a Gateway of the Gateway API, as istiod labels it.
pub(crate) const MANAGED: &str = "gateway.istio.io/managed";
/// Its value.
pub(crate) const MANAGER: &str = "istio.io-gateway-controller";
/// The port of the gateway that a Service's port leads to, where it is another: privileged ports are left to Services.
const TARGETS: [(u16, u16); 2] = [(80, 8080), (443, 8443)];

/// The gateway's port behind a Service's port.
pub(crate) fn target(port: u16) -> u16 {
    TARGETS.iter().find(|(of_service, _)| *of_service == port).map_or(port, |(_, target)| *target)
}

/// The labels of the gateway's workload, as Istio's chart sets them.
pub(crate) fn labels(gateway: &Gateway) -> BTreeMap<String, String> {
    let short = gateway.name.strip_prefix("istio-").unwrap_or(&gateway.name);
    let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    [pair("app", &gateway.name), pair("istio", short)].into()
}

/// What the gateway is called.
pub(crate) fn id(gateway: &Gateway, settings: &Settings) -> ProxyId {
    ProxyId::Gateway {
        namespace: Arc::from(settings.root_namespace.as_str()),
        name: Arc::from(gateway.name.as_str()),
    }
}

/// The gateway's proxy as translation sees it.
pub(crate) fn proxy(gateway: &Gateway, settings: &Settings) -> Proxy {
    Proxy {
        addresses: vec![gateway.inside],
        service_account: account(gateway),
        node: settings.node.clone().unwrap_or_default(),
        ..Proxy::new(ProxyKind::Gateway, &settings.root_namespace, labels(gateway))
    }
}

fn account(gateway: &Gateway) -> String {
    format!("{}-service-account", gateway.name)
}

/// The pod that stands for the gateway among the objects. It has no address, so that no Service gets it as an endpoint by itself.
pub(crate) fn pod(gateway: &Gateway, settings: &Settings) -> Object<Pod> {
    let container = Container { name: "istio-proxy".to_owned(), ..Container::default() };
    Object {
        api_version: "v1".to_owned(),
        meta: Meta {
            name: gateway.name.clone(),
            namespace: settings.root_namespace.clone(),
            labels: labels(gateway),
            ..Meta::default()
        },
        spec: Pod {
            containers: vec![container],
            service_account_name: account(gateway),
            ..Pod::default()
        },
        status: serde_json::json!({"phase": "Running"}),
    }
}

/// Whether a Service leads to the gateway: it selects its workload, or it was made for a Gateway that the gateway serves.
pub(crate) fn is_behind(service: &Object<core::Service>, settings: &Settings) -> bool {
    let Some(gateway) = &settings.gateway else { return false };
    let (meta, selector) = (&service.meta, &service.spec.selector);
    let labels = labels(gateway);
    let selects = meta.namespace == settings.root_namespace
        && !selector.is_empty()
        && selector.iter().all(|(key, value)| labels.get(key) == Some(value));
    selects || meta.labels.get(MANAGED).is_some_and(|it| it == MANAGER)
}

/// The gateway as publishers see it, with this model.
pub(crate) fn workload(
    gateway: &Gateway,
    settings: &Settings,
    snapshot: &Snapshot,
    model: &Model,
) -> Workload {
    let text = |text: &str| Arc::from(text);
    let labels = labels(gateway);
    let identity = WorkloadIdentity {
        workload: text(&gateway.name),
        pod: text(&gateway.name),
        namespace: text(&settings.root_namespace),
        service_account: text(&account(gateway)),
        labels: labels.iter().map(|(key, value)| (text(key), text(value))).collect(),
    };
    Workload {
        role: Role::Gateway,
        identity: Arc::new(identity),
        addresses: vec![gateway.inside],
        sockets: sockets(gateway, settings, snapshot, model),
    }
}

/// Where the listeners of the gateway are reached: by pods at its inner address, by users at the ports of its Services, and where no
/// Service leads to a listener, at the listener's own port.
fn sockets(
    gateway: &Gateway,
    settings: &Settings,
    snapshot: &Snapshot,
    model: &Model,
) -> Vec<Socket> {
    let targets = snapshot.registry().targets(&proxy(gateway, settings));
    let node_ports = node_ports(settings, snapshot, &targets);
    let mut sockets = BTreeSet::new();
    let listeners = model.listeners.values();
    for it in listeners.filter(|it| it.bind == Bind::Socket && it.address.is_unspecified()) {
        let listener = SocketAddr::new(it.address, it.port);
        let mut add = |address: IpAddr, port: u16| {
            sockets.insert(Socket { listener, address: SocketAddr::new(address, port) });
        };
        add(gateway.inside, it.port);
        let own: Vec<u16> = targets
            .iter()
            .filter(|target| target.target_port == it.port)
            .map(|target| target.port.number)
            .collect();
        own.iter().for_each(|port| add(gateway.address, *port));
        if own.is_empty() {
            add(gateway.address, it.port);
        }
        for (target, address) in node_ports.iter().filter(|(target, _)| *target == it.port) {
            debug_assert_eq!(*target, it.port);
            add(address.ip(), address.port());
        }
    }
    sockets.into_iter().collect()
}

/// The Gateways with servers on ports of the gateway that could not be opened, and what is to be said of each.
pub(crate) fn unserved(
    gateway: &Gateway,
    settings: &Settings,
    snapshot: &Snapshot,
    problems: &[Problem],
) -> BTreeMap<Key, String> {
    let proxy = proxy(gateway, settings);
    let mut unserved: BTreeMap<Key, String> = BTreeMap::new();
    for problem in problems {
        let Some(listener) = problem.listener else { continue };
        let served = serin_translate::served_at(snapshot, &proxy, listener.port());
        for key in served.iter().filter_map(Key::of) {
            let text = unserved.entry(key).or_default();
            if !text.is_empty() {
                text.push_str("; ");
            }
            text.push_str(&problem.message);
        }
    }
    unserved
}

/// The machine's ports for the gateway's Services, each with the gateway's port.
fn node_ports(
    settings: &Settings,
    snapshot: &Snapshot,
    targets: &[ServiceTarget],
) -> Vec<(u16, SocketAddr)> {
    let Some(address) = settings.node_port_address else { return Vec::new() };
    let services = &snapshot.objects().services;
    let of_target = |target: &ServiceTarget| {
        let (namespace, name) = (&*target.service.namespace, &*target.service.name);
        let found =
            services.iter().find(|it| it.meta.namespace == namespace && it.meta.name == name);
        let port = found?.spec.ports.iter().find(|it| it.port == i32::from(target.port.number))?;
        let number = u16::try_from(port.node_port).ok().filter(|it| *it > 0)?;
        Some((target.target_port, SocketAddr::new(address, number)))
    };
    targets.iter().filter_map(of_target).collect()
}
