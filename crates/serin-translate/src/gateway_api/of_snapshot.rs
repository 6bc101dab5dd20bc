//! What the parts of a snapshot give a conversion, and whether two snapshots give it the same.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serin_api::Object;
use serin_api::core::{LoadBalancerStatus, Service as WrittenService, ServiceStatus};
use serin_routing::model::EndpointAddress;

use super::{Converted, Features, Input, ServiceView, Services, convert};
use crate::host::Host;
use crate::registry::{Registry, Service};
use crate::snapshot::{Objects, Settings, same};

/// Converts the Gateway API objects among `objects`, whose services are `registry`.
pub(crate) fn convert_objects(
    objects: &Objects,
    registry: &Registry,
    settings: &Settings,
) -> Converted {
    if !has_any(objects) {
        return Converted::default();
    }
    let key = |it: &'_ Object<WrittenService>| (it.meta.namespace.clone(), it.meta.name.clone());
    let written = objects.services.iter().map(|it| (key(it), it.as_ref())).collect();
    convert(&Input {
        objects,
        services: &Known { registry, written },
        domain: &settings.cluster_domain,
        features: Features::default(),
    })
}

fn has_any(objects: &Objects) -> bool {
    let lists = [
        objects.gateway_classes.len(),
        objects.kubernetes_gateways.len(),
        objects.listener_sets.len(),
        objects.x_listener_sets.len(),
        objects.http_routes.len(),
        objects.grpc_routes.len(),
        objects.tls_routes.len(),
        objects.tcp_routes.len(),
        objects.backend_tls_policies.len(),
        objects.x_backend_traffic_policies.len(),
        objects.x_backends.len(),
        objects.inference_pools.len(),
    ];
    lists.into_iter().any(|count| count > 0)
}

/// Whether two sets of objects with the same registry give the same, because those that are looked at are the same.
pub(crate) fn depends_on_same(one: &Objects, other: &Objects) -> bool {
    if !has_any(one) && !has_any(other) {
        return true;
    }
    same(&one.gateway_classes, &other.gateway_classes)
        && same(&one.kubernetes_gateways, &other.kubernetes_gateways)
        && same(&one.listener_sets, &other.listener_sets)
        && same(&one.x_listener_sets, &other.x_listener_sets)
        && same(&one.http_routes, &other.http_routes)
        && same(&one.grpc_routes, &other.grpc_routes)
        && same(&one.tls_routes, &other.tls_routes)
        && same(&one.tcp_routes, &other.tcp_routes)
        && same(&one.reference_grants, &other.reference_grants)
        && same(&one.backend_tls_policies, &other.backend_tls_policies)
        && same(&one.x_backend_traffic_policies, &other.x_backend_traffic_policies)
        && same(&one.x_backends, &other.x_backends)
        && same(&one.inference_pools, &other.inference_pools)
        && same(&one.namespaces, &other.namespaces)
        && same(&one.secrets, &other.secrets)
        && same(&one.config_maps, &other.config_maps)
}

struct Known<'a> {
    registry: &'a Registry,
    /// Services as written, by namespace and name: addresses from outside stand in their status.
    written: HashMap<(String, String), &'a Object<WrittenService>>,
}

impl Services for Known<'_> {
    fn find(&self, hostname: &str, namespace: &str) -> Option<ServiceView> {
        let service = self.registry.by_host(&Host::new(hostname))?.get(namespace)?;
        let key = (service.namespace.to_string(), service.name.to_string());
        let written = self.written.get(&key).filter(|_| service.object.kind == "Service");
        Some(ServiceView {
            hostname: hostname.to_owned(),
            namespace: namespace.to_owned(),
            labels: service.labels.clone(),
            ports: service.ports.iter().map(|it| u32::from(it.number)).collect(),
            addresses: service.addresses.iter().map(|it| it.addr().to_string()).collect(),
            external_addresses: written.map(|it| external_addresses(it)).unwrap_or_default(),
            load_balancer: written.is_some_and(|it| it.spec.service_type == "LoadBalancer"),
            endpoint_ports: self.endpoint_ports(service),
        })
    }

    fn namespaces(&self, hostname: &str) -> Vec<String> {
        let of_host = self.registry.by_host(&Host::new(hostname));
        of_host.into_iter().flat_map(|it| it.keys().map(ToString::to_string)).collect()
    }
}

impl Known<'_> {
    fn endpoint_ports(&self, service: &Service) -> BTreeMap<u32, BTreeSet<u32>> {
        let workload = |address: &EndpointAddress| match address {
            EndpointAddress::Socket(_, number) | EndpointAddress::Name(_, number) => {
                u32::from(*number)
            }
            EndpointAddress::Unix(_) => 0,
        };
        let of_port = |port: &crate::registry::ServicePort| {
            let endpoints = self.registry.endpoints_of_port(service, port);
            (u32::from(port.number), endpoints.map(|it| workload(&it.address)).collect())
        };
        service.ports.iter().map(of_port).collect()
    }
}

fn external_addresses(service: &Object<WrittenService>) -> Vec<String> {
    let status: ServiceStatus = serin_api::decode(&service.status).unwrap_or_default();
    let LoadBalancerStatus { ingress } = status.load_balancer;
    let given = ingress.into_iter().map(|it| if it.ip.is_empty() { it.hostname } else { it.ip });
    given.chain(service.spec.external_ips.iter().cloned()).filter(|it| !it.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::testing::{cluster, objects};
    use crate::{Settings, SnapshotBuilder};

    const GATEWAY: &str = "
{apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, metadata: {name: gw}, spec: {gatewayClassName: istio,
 listeners: [{name: http, port: 80, protocol: HTTP}]}}
---
{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {name: r}, spec: {parentRefs: [{name: gw}],
 rules: [{backendRefs: [{name: a, port: 80}]}]}}
---
{kind: Service, metadata: {name: a}, spec: {ports: [{name: http, port: 80}]}}
---
";

    #[test]
    fn what_is_made_joins_the_snapshot_but_not_what_users_wrote() {
        let snapshot = cluster(GATEWAY);
        let gateways: Vec<_> =
            snapshot.objects().gateways.iter().map(|it| it.meta.name.as_str()).collect();
        assert_eq!(gateways, ["gw~istio-autogenerated-k8s-gateway~http"]);
        assert_eq!(snapshot.objects().virtual_services.len(), 1);
        assert!(snapshot.written_virtual_services().is_empty());
    }

    #[test]
    fn what_is_made_stays_the_same_while_what_it_is_made_of_does() {
        let mut builder = SnapshotBuilder::default();
        let first = objects(GATEWAY);
        let one = builder.build(first.clone(), Settings::default());
        let mut second = first;
        let more = "{kind: VirtualService, metadata: {name: v}, spec: {hosts: [a]}}";
        second.virtual_services.extend(objects(more).virtual_services);
        let two = builder.build(second.clone(), Settings::default());
        assert!(Arc::ptr_eq(&one.gateway_api, &two.gateway_api));
        assert_eq!(two.objects().virtual_services.len(), 2);
        // A new Secret is looked at, but changes nothing of what is made.
        second.secrets.extend(objects("{kind: Secret, metadata: {name: s}}").secrets);
        let three = builder.build(second, Settings::default());
        let made = |it: &crate::Snapshot| Arc::clone(&it.gateway_api().virtual_services[0]);
        assert!(Arc::ptr_eq(&made(&two), &made(&three)));
    }

    #[test]
    fn the_address_of_a_gateway_is_that_of_its_load_balancer() {
        let service = "
{kind: Service, metadata: {name: gw-istio}, spec: {type: LoadBalancer, clusterIP: 10.0.0.1, ports: [{name: http, port: 80}]}, STATUS}
---
{kind: EndpointSlice, metadata: {name: gw-istio, labels: {kubernetes.io/service-name: gw-istio}}, addressType: IPv4,
 endpoints: [{addresses: [10.1.0.1]}], ports: [{name: http, port: 8080}]}
";
        let addresses = |status: &str| {
            let snapshot = cluster(&format!("{GATEWAY}{}", service.replace("STATUS", status)));
            let statuses = snapshot.gateway_api().statuses("now");
            let gateway = statuses.into_iter().find(|(it, _)| it.kind == "Gateway");
            let status = gateway.map(|(_, status)| status).unwrap();
            let programmed = status["conditions"]
                .as_array()
                .unwrap()
                .iter()
                .find(|it| it["type"] == "Programmed");
            (status["addresses"].clone(), programmed.unwrap()["reason"].clone())
        };
        let address = |kind: &str, value: &str| serde_json::json!([{"type": kind, "value": value}]);
        let given = "status: {loadBalancer: {ingress: [{ip: 203.0.113.1}]}}";
        assert_eq!(addresses(given), (address("IPAddress", "203.0.113.1"), "Programmed".into()));
        let host = "status: {loadBalancer: {ingress: [{hostname: lb.example}]}}";
        assert_eq!(addresses(host), (address("Hostname", "lb.example"), "Programmed".into()));
        assert_eq!(addresses("status: {}"), (serde_json::Value::Null, "AddressNotAssigned".into()));
    }

    #[test]
    fn a_service_that_a_controller_will_make_is_not_missed() {
        let findings: Vec<_> = cluster(GATEWAY).findings().cloned().collect();
        assert!(findings.is_empty(), "{findings:?}");
    }
}
