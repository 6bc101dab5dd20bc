//! Objects by kind, in Istio's order.

use std::sync::Arc;

use serin_api::{
    AnyObject, Object, Resource, core, delivery, extensions, gateway_api, networking, security,
    telemetry,
};

use super::List;

/// A kind of object that a snapshot holds.
pub trait Kind: Resource {
    /// The objects of the kind.
    fn list(objects: &mut Objects) -> &mut List<Self>;
}

macro_rules! kinds {
    ($($(#[$meta:meta])* $list:ident: $kind:ty,)+) => {
        /// Objects by kind. Within a [`Snapshot`](super::Snapshot) each list is in Istio's order: by creation, then name,
        /// then namespace.
        #[derive(Clone, Debug, Default)]
        pub struct Objects {
            $($(#[$meta])* pub $list: List<$kind>,)+
        }

        impl Objects {
            /// The lists in order, without objects of namespaces that `keeps` refuses. A list that is the very one in
            /// `before.0` becomes that in `before.1`.
            pub(super) fn prepared(
                mut self,
                keeps: Option<&dyn Fn(&str) -> bool>,
                before: Option<(&Self, &Self)>,
            ) -> Self {
                $(match before {
                    Some((given, made)) if self.$list.is(&given.$list) => self.$list = made.$list.clone(),
                    _ => prepare(&mut self.$list, keeps),
                })+
                self
            }
        }

        $(impl Kind for $kind {
            fn list(objects: &mut Objects) -> &mut List<Self> {
                &mut objects.$list
            }
        })+
    };
}

kinds! {
    /// VirtualServices.
    virtual_services: networking::VirtualService,
    /// DestinationRules.
    destination_rules: networking::DestinationRule,
    /// Istio's Gateways.
    gateways: networking::Gateway,
    /// ServiceEntries.
    service_entries: networking::ServiceEntry,
    /// WorkloadEntries.
    workload_entries: networking::WorkloadEntry,
    /// WorkloadGroups.
    workload_groups: networking::WorkloadGroup,
    /// Sidecars.
    sidecars: networking::Sidecar,
    /// ProxyConfigs.
    proxy_configs: networking::ProxyConfig,
    /// EnvoyFilters.
    envoy_filters: networking::EnvoyFilter,
    /// PeerAuthentications.
    peer_authentications: security::PeerAuthentication,
    /// RequestAuthentications.
    request_authentications: security::RequestAuthentication,
    /// AuthorizationPolicies.
    authorization_policies: security::AuthorizationPolicy,
    /// Telemetries.
    telemetries: telemetry::Telemetry,
    /// WasmPlugins.
    wasm_plugins: extensions::WasmPlugin,
    /// TrafficExtensions.
    traffic_extensions: extensions::TrafficExtension,
    /// GatewayClasses.
    gateway_classes: gateway_api::GatewayClass,
    /// The Gateway API's Gateways.
    kubernetes_gateways: gateway_api::Gateway,
    /// ListenerSets.
    listener_sets: gateway_api::ListenerSet,
    /// ListenerSets of the experimental group.
    x_listener_sets: gateway_api::XListenerSet,
    /// HTTPRoutes.
    http_routes: gateway_api::HttpRoute,
    /// GRPCRoutes.
    grpc_routes: gateway_api::GrpcRoute,
    /// TLSRoutes.
    tls_routes: gateway_api::TlsRoute,
    /// TCPRoutes.
    tcp_routes: gateway_api::TcpRoute,
    /// ReferenceGrants.
    reference_grants: gateway_api::ReferenceGrant,
    /// BackendTLSPolicies.
    backend_tls_policies: gateway_api::BackendTlsPolicy,
    /// XBackendTrafficPolicies.
    x_backend_traffic_policies: gateway_api::XBackendTrafficPolicy,
    /// XBackends.
    x_backends: gateway_api::XBackend,
    /// InferencePools.
    inference_pools: gateway_api::InferencePool,
    /// Canaries of `serin.dev`.
    canaries: delivery::Canary,
    /// Canaries of `flagger.app`.
    flagger_canaries: delivery::FlaggerCanary,
    /// MetricTemplates of `serin.dev`.
    metric_templates: delivery::MetricTemplate,
    /// MetricTemplates of `flagger.app`.
    flagger_metric_templates: delivery::FlaggerMetricTemplate,
    /// AlertProviders of `serin.dev`.
    alert_providers: delivery::AlertProvider,
    /// AlertProviders of `flagger.app`.
    flagger_alert_providers: delivery::FlaggerAlertProvider,
    /// Services.
    services: core::Service,
    /// EndpointSlices.
    endpoint_slices: core::EndpointSlice,
    /// Endpoints objects.
    endpoints: core::Endpoints,
    /// Pods.
    pods: core::Pod,
    /// Namespaces.
    namespaces: core::Namespace,
    /// Nodes.
    nodes: core::Node,
    /// Secrets.
    secrets: core::Secret,
    /// ConfigMaps.
    config_maps: core::ConfigMap,
    /// ServiceAccounts.
    service_accounts: core::ServiceAccount,
    /// Deployments.
    deployments: core::Deployment,
    /// ReplicaSets.
    replica_sets: core::ReplicaSet,
    /// StatefulSets.
    stateful_sets: core::StatefulSet,
    /// DaemonSets.
    daemon_sets: core::DaemonSet,
    /// Jobs.
    jobs: core::Job,
    /// CronJobs.
    cron_jobs: core::CronJob,
    /// Ingresses.
    ingresses: core::Ingress,
    /// IngressClasses.
    ingress_classes: core::IngressClass,
    /// MutatingWebhookConfigurations.
    mutating_webhooks: core::MutatingWebhookConfiguration,
    /// ValidatingWebhookConfigurations.
    validating_webhooks: core::ValidatingWebhookConfiguration,
    /// CustomResourceDefinitions.
    custom_resource_definitions: core::CustomResourceDefinition,
}

impl Objects {
    /// Adds an object.
    pub fn add<T: Kind>(&mut self, object: Arc<Object<T>>) {
        T::list(self).push(object);
    }

    /// Takes an object out, or else the one that is called the same, and puts one in. Between snapshots this costs less than collecting all anew.
    pub fn exchange<T: Kind>(&mut self, old: Option<&Object<T>>, new: Option<Arc<Object<T>>>) {
        T::list(self).exchange(old, new);
    }
}

macro_rules! insert {
    ($($custom:ident($custom_type:ty)),+; $($native:ident($native_type:ty)),+ $(,)?) => {
        impl Objects {
            /// Adds an object of whatever kind.
            pub fn insert(&mut self, object: AnyObject) {
                match object {
                    $(AnyObject::$custom(object) => self.add(object),)+
                    $(AnyObject::$native(object) => self.add(object),)+
                }
            }
        }
    };
}

serin_api::for_each_kind!(insert);

impl FromIterator<AnyObject> for Objects {
    fn from_iter<I: IntoIterator<Item = AnyObject>>(list: I) -> Self {
        let mut objects = Self::default();
        for object in list {
            objects.insert(object);
        }
        objects
    }
}

fn prepare<T>(list: &mut List<T>, keeps: Option<&dyn Fn(&str) -> bool>) {
    if let Some(keeps) = keeps {
        let keeps = |it: &Arc<Object<T>>| it.meta.namespace.is_empty() || keeps(&it.meta.namespace);
        if !list.iter().all(keeps) {
            list.retain(keeps);
        }
    }
    list.sort();
}

/// Whether two lists hold the very same parts, by address.
pub(crate) fn same<T>(one: &[Arc<T>], other: &[Arc<T>]) -> bool {
    std::ptr::eq(one, other)
        || one.len() == other.len()
            && one.iter().zip(other).all(|(one, other)| Arc::ptr_eq(one, other))
}
