//! The input of a conversion, indexed: everything is found by namespace and name.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serin_api::core::{ConfigMap, Namespace, Secret, Service};
use serin_api::gateway_api::{Gateway, GatewayClass, InferencePool, XBackend};
use serin_api::networking::ServiceEntry;
use serin_api::{Meta, Object};

use super::condition::Report;
use super::grants::Grants;
use super::{Input, ServiceView};

const NAMESPACE_NAME: &str = "kubernetes.io/metadata.name";

type ByName<'a, T> = HashMap<(&'a str, &'a str), &'a Object<T>>;

fn by_name<T>(objects: &[Arc<Object<T>>]) -> ByName<'_, T> {
    objects
        .iter()
        .map(|it| ((it.meta.namespace.as_str(), it.meta.name.as_str()), it.as_ref()))
        .collect()
}

/// The indexed input.
pub(super) struct World<'a> {
    pub input: &'a Input<'a>,
    pub grants: Grants<'a>,
    classes: ByName<'a, GatewayClass>,
    gateways: ByName<'a, Gateway>,
    services: ByName<'a, Service>,
    service_entries: ByName<'a, ServiceEntry>,
    secrets: ByName<'a, Secret>,
    config_maps: ByName<'a, ConfigMap>,
    backends: ByName<'a, XBackend>,
    pools: ByName<'a, InferencePool>,
    namespaces: BTreeMap<&'a str, BTreeMap<String, String>>,
}

impl<'a> World<'a> {
    pub(super) fn new(input: &'a Input<'a>) -> Self {
        let objects = input.objects;
        let namespace = |object: &'a Arc<Object<Namespace>>| {
            let mut labels = object.meta.labels.clone();
            // Clusters older than 1.21 do not set the label by themselves.
            labels.insert(NAMESPACE_NAME.to_owned(), object.meta.name.clone());
            (object.meta.name.as_str(), labels)
        };
        Self {
            input,
            grants: Grants::new(&objects.reference_grants),
            classes: by_name(&objects.gateway_classes),
            gateways: by_name(&objects.kubernetes_gateways),
            services: by_name(&objects.services),
            service_entries: by_name(&objects.service_entries),
            secrets: by_name(&objects.secrets),
            config_maps: by_name(&objects.config_maps),
            backends: by_name(&objects.x_backends),
            pools: by_name(&objects.inference_pools),
            namespaces: objects.namespaces.iter().map(namespace).collect(),
        }
    }

    pub(super) fn class(&self, name: &str) -> Option<&'a Object<GatewayClass>> {
        self.classes.get(&("", name)).copied()
    }

    pub(super) fn gateway(&self, namespace: &str, name: &str) -> Option<&'a Object<Gateway>> {
        self.gateways.get(&(namespace, name)).copied()
    }

    pub(super) fn service(&self, namespace: &str, name: &str) -> Option<&'a Object<Service>> {
        self.services.get(&(namespace, name)).copied()
    }

    pub(super) fn service_entry(
        &self,
        namespace: &str,
        name: &str,
    ) -> Option<&'a Object<ServiceEntry>> {
        self.service_entries.get(&(namespace, name)).copied()
    }

    pub(super) fn secret(&self, namespace: &str, name: &str) -> Option<&'a Object<Secret>> {
        self.secrets.get(&(namespace, name)).copied()
    }

    pub(super) fn config_map(&self, namespace: &str, name: &str) -> Option<&'a Object<ConfigMap>> {
        self.config_maps.get(&(namespace, name)).copied()
    }

    pub(super) fn backend(&self, namespace: &str, name: &str) -> Option<&'a Object<XBackend>> {
        self.backends.get(&(namespace, name)).copied()
    }

    pub(super) fn pool(&self, namespace: &str, name: &str) -> Option<&'a Object<InferencePool>> {
        self.pools.get(&(namespace, name)).copied()
    }

    /// The service of the registry with this host name that belongs to `namespace`.
    pub(super) fn registered(&self, hostname: &str, namespace: &str) -> Option<ServiceView> {
        self.input.services.find(hostname, namespace)
    }

    /// The namespaces that have a service with this host name.
    pub(super) fn namespaces_of(&self, hostname: &str) -> Vec<String> {
        self.input.services.namespaces(hostname)
    }

    /// Namespaces by name, with their labels.
    pub(super) fn namespaces(&self) -> impl Iterator<Item = (&'a str, &BTreeMap<String, String>)> {
        self.namespaces.iter().map(|(name, labels)| (*name, labels))
    }

    /// The labels of a namespace.
    pub(super) fn namespace(&self, name: &str) -> Option<&BTreeMap<String, String>> {
        self.namespaces.get(name)
    }

    /// The host name of a Kubernetes service.
    pub(super) fn host_of_service(&self, name: &str, namespace: &str) -> String {
        format!("{name}.{namespace}.svc.{}", self.input.domain)
    }

    /// How to report conditions of the object with this metadata.
    pub(super) fn report(&self, meta: &Meta) -> Report {
        Report { generation: meta.generation }
    }
}
