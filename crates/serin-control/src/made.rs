//! The objects that the control plane makes itself: the ingress gateway's, and a Service for each Gateway of the Gateway API, as
//! istiod makes one. What is there already as it should be is left alone.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Value, json};
use serin_api::core::{EndpointSlice, Service};
use serin_api::gateway_api::Gateway;
use serin_api::{Object, Resource};
use serin_translate::Snapshot;

use crate::gateway::{self, MANAGED, MANAGER};
use crate::settings::{self, Settings};

/// The controller of the GatewayClass that the ingress gateway serves.
const CONTROLLER: &str = "istio.io/gateway-controller";
/// The name of that class.
const CLASS: &str = "istio";
/// Annotation of an Istio Gateway that was made from the Gateway API: the hosts of the Services that lead to it.
const SERVICE_HOSTS: &str = "internal.istio.io/gateway-service";
/// Annotation of a Gateway that names its Service.
const NAME: &str = "gateway.istio.io/name-override";
/// Annotation of a Gateway, or of its infrastructure, that gives its Service's type.
const SERVICE_TYPE: &str = "networking.istio.io/service-type";
/// Label that leads from an EndpointSlice to its Service.
const SERVICE_NAME: &str = "kubernetes.io/service-name";
/// Label that keeps other controllers from an EndpointSlice.
const SLICE_OWNER: &str = "endpointslice.kubernetes.io/managed-by";
/// Its value.
const OWNER: &str = "control.serin.dev";

/// The ports of the ingress gateway's Service, as Istio's chart has them: name, port, and the gateway's port.
const PORTS: [(&str, u16, u16); 3] =
    [("status-port", 15021, 15021), ("http2", 80, 8080), ("https", 443, 8443)];

/// What is there from the start.
pub(crate) fn at_start(settings: &Settings) -> Vec<Value> {
    let mut objects = Vec::new();
    if let Some(gateway) = &settings.gateway {
        let namespace = &settings.root_namespace;
        let labels = gateway::labels(gateway);
        let ports: Vec<Value> = PORTS
            .iter()
            .map(|(name, port, target)| json!({"name": name, "port": port, "protocol": "TCP", "targetPort": target}))
            .collect();
        objects.push(
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}),
        );
        objects.push(json!({
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": gateway.name, "namespace": namespace, "labels": labels},
            "spec": {"type": "LoadBalancer", "selector": labels, "ports": ports},
        }));
        let targets = PORTS.iter().map(|(name, _, target)| ((*name).to_owned(), *target));
        objects.push(slice(&gateway.name, namespace, gateway, targets, &Value::Null));
        objects.push(json!({
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "GatewayClass",
            "metadata": {"name": CLASS},
            "spec": {"controllerName": CONTROLLER, "description": "Serin's ingress gateway"},
        }));
    }
    if let Some(address) = settings.api_server {
        objects.push(json!({
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {"name": "kubernetes", "namespace": "default", "labels": {SERVICE_NAME: "kubernetes", SLICE_OWNER: OWNER}},
            "addressType": if address.is_ipv4() { "IPv4" } else { "IPv6" },
            "endpoints": [{"addresses": [address.ip()], "conditions": {"ready": true}}],
            "ports": [{"name": "https", "port": address.port(), "protocol": "TCP"}],
        }));
    }
    objects
}

/// The endpoints of a Service that leads to the gateway: its own address.
fn slice(
    service: &str,
    namespace: &str,
    gateway: &settings::Gateway,
    ports: impl Iterator<Item = (String, u16)>,
    owners: &Value,
) -> Value {
    let address = gateway.inside;
    let ports = ports.map(|(name, port)| json!({"name": name, "port": port, "protocol": "TCP"}));
    let mut object = json!({
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": format!("{service}-serin"),
            "namespace": namespace,
            "labels": {SERVICE_NAME: service, SLICE_OWNER: OWNER},
        },
        "addressType": if address.is_ipv4() { "IPv4" } else { "IPv6" },
        "endpoints": [{"addresses": [address], "conditions": {"ready": true}}],
        "ports": ports.collect::<Vec<_>>(),
    });
    if !owners.is_null() {
        object["metadata"]["ownerReferences"] = owners.clone();
    }
    object
}

/// The Services of the Gateway API's Gateways, with their endpoints, as far as they are not there as they should be.
pub(crate) fn missing(snapshot: &Snapshot, settings: &Settings) -> Vec<Value> {
    let Some(built_in) = &settings.gateway else { return Vec::new() };
    let mut missing = Vec::new();
    for gateway in &snapshot.objects().kubernetes_gateways {
        if !is_managed(gateway, snapshot) {
            continue;
        }
        let wanted = Wanted::new(gateway, snapshot);
        let is_there = wanted.find(&snapshot.objects().services, &wanted.name);
        if is_there.is_some_and(|it| !it.meta.labels.contains_key(MANAGED)) {
            // Somebody's own Service is not ours to change.
            continue;
        }
        if wanted.ports.is_empty() {
            continue;
        }
        if !is_there.is_some_and(|it| wanted.is_as(it)) {
            missing.push(wanted.service());
        }
        let slices = &snapshot.objects().endpoint_slices;
        let slice = wanted.find(slices, &format!("{}-serin", wanted.name));
        if !slice.is_some_and(|it| wanted.is_slice_as(it, built_in)) {
            missing.push(wanted.slice(built_in));
        }
    }
    missing
}

/// Whether a Gateway is of a class that the built-in gateway serves, and asks for a Service of its own.
fn is_managed(gateway: &Object<Gateway>, snapshot: &Snapshot) -> bool {
    let class = &gateway.spec.gateway_class_name;
    let known = snapshot.objects().gateway_classes.iter().find(|it| it.meta.name == *class);
    let is_ours = known.map_or(class == CLASS, |it| it.spec.controller_name == CONTROLLER);
    let asks = match gateway.spec.addresses.as_slice() {
        [] => true,
        [only] => only.address_type.as_deref().is_none_or(|it| it == "IPAddress"),
        _ => false,
    };
    is_ours && asks && gateway.meta.deletion_timestamp.is_none()
}

/// The Service of a Gateway.
struct Wanted<'g> {
    gateway: &'g Object<Gateway>,
    name: String,
    /// By number, with their names.
    ports: BTreeMap<u16, String>,
    service_type: String,
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
}

impl<'g> Wanted<'g> {
    fn new(gateway: &'g Object<Gateway>, snapshot: &Snapshot) -> Self {
        let (meta, spec) = (&gateway.meta, &gateway.spec);
        let default = || format!("{}-{}", meta.name, spec.gateway_class_name);
        let named = meta.annotations.get(NAME).filter(|it| !it.is_empty());
        let name = named.cloned().unwrap_or_else(default);
        let domain = &snapshot.settings().cluster_domain;
        let host = format!("{name}.{}.svc.{domain}", meta.namespace);
        let infrastructure = spec.infrastructure.clone().unwrap_or_default();
        let types = infrastructure.annotations.get(SERVICE_TYPE);
        let service_type = types.or_else(|| meta.annotations.get(SERVICE_TYPE)).cloned();
        let mut labels = infrastructure.labels;
        for (key, value) in [
            (MANAGED, MANAGER),
            ("gateway.networking.k8s.io/gateway-name", &meta.name),
            ("gateway.networking.k8s.io/gateway-class-name", &spec.gateway_class_name),
        ] {
            labels.insert(key.to_owned(), value.to_owned());
        }
        Self {
            gateway,
            ports: ports(snapshot, &host),
            name,
            service_type: service_type.unwrap_or_else(|| "LoadBalancer".to_owned()),
            labels,
            annotations: infrastructure.annotations,
        }
    }

    fn find<'o, T: Resource>(
        &self,
        list: &'o [Arc<Object<T>>],
        name: &str,
    ) -> Option<&'o Arc<Object<T>>> {
        let namespace = &self.gateway.meta.namespace;
        list.iter().find(|it| it.meta.name == name && it.meta.namespace == *namespace)
    }

    /// Whether a Service is as it should be, as far as it is ours.
    fn is_as(&self, service: &Object<Service>) -> bool {
        let has = |own: &BTreeMap<String, String>, wanted: &BTreeMap<String, String>| {
            wanted.iter().all(|(key, value)| own.get(key) == Some(value))
        };
        let ports = service.spec.ports.iter().map(|it| (it.port, it.name.as_str()));
        ports.eq(self.ports.iter().map(|(port, name)| (i32::from(*port), name.as_str())))
            && service.spec.service_type == self.service_type
            && has(&service.meta.labels, &self.labels)
            && has(&service.meta.annotations, &self.annotations)
            && service.meta.owner_references.iter().any(|it| it.uid == self.gateway.meta.uid)
    }

    fn is_slice_as(&self, slice: &Object<EndpointSlice>, gateway: &settings::Gateway) -> bool {
        let ports = slice.spec.ports.iter().map(|it| (it.name.clone(), it.port));
        let address = gateway.inside.to_string();
        let mut addresses = slice.spec.endpoints.iter().flat_map(|it| &it.addresses);
        addresses.next() == Some(&address)
            && ports
                .eq(self.ports.iter().map(|(port, name)| {
                    (Some(name.clone()), Some(i32::from(gateway::target(*port))))
                }))
    }

    fn owners(&self) -> Value {
        json!([{
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "Gateway",
            "name": self.gateway.meta.name,
            "uid": self.gateway.meta.uid,
        }])
    }

    fn service(&self) -> Value {
        let port = |(port, name): (&u16, &String)| json!({"name": name, "port": port, "protocol": "TCP", "targetPort": gateway::target(*port)});
        json!({
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {
                "name": self.name,
                "namespace": self.gateway.meta.namespace,
                "labels": self.labels,
                "annotations": self.annotations,
                "ownerReferences": self.owners(),
            },
            "spec": {
                "type": self.service_type,
                "ports": self.ports.iter().map(port).collect::<Vec<_>>(),
                "selector": {"gateway.networking.k8s.io/gateway-name": self.gateway.meta.name},
            },
        })
    }

    fn slice(&self, gateway: &settings::Gateway) -> Value {
        let ports = self.ports.iter().map(|(port, name)| (name.clone(), gateway::target(*port)));
        slice(&self.name, &self.gateway.meta.namespace, gateway, ports, &self.owners())
    }
}

/// The ports of the listeners that the Service with this host leads to, those of ListenerSets among them. Names are unique.
fn ports(snapshot: &Snapshot, host: &str) -> BTreeMap<u16, String> {
    let mut ports = BTreeMap::new();
    let mut names = BTreeSet::new();
    for made in &snapshot.gateway_api().gateways {
        let hosts = made.meta.annotations.get(SERVICE_HOSTS);
        if !hosts.is_some_and(|hosts| hosts.split(',').any(|it| it == host)) {
            continue;
        }
        let listener = made.meta.name.rsplit('~').next().unwrap_or_default();
        for port in made.spec.servers.iter().filter_map(|it| it.port.as_ref()) {
            let Ok(number) = u16::try_from(port.number) else { continue };
            ports.entry(number).or_insert_with(|| {
                let named = Some(listener.to_owned());
                let named = named.filter(|it| is_port_name(it) && !names.contains(it));
                let name = named.unwrap_or_else(|| format!("port-{number}"));
                names.insert(name.clone());
                name
            });
        }
    }
    ports
}

/// Whether a listener's name can be a port's (RFC 6335's service names, as Kubernetes asks for them).
fn is_port_name(name: &str) -> bool {
    let is_allowed = |it: char| it.is_ascii_lowercase() || it.is_ascii_digit() || it == '-';
    !name.is_empty() && name.len() <= 63 && name.chars().all(is_allowed) && !name.ends_with('-')
}
