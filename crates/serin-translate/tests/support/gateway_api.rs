//! Gateway API objects in YAML, converted.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "tests bring what can be read")]

use std::collections::BTreeSet;

use serde_json::{Value, json};
use serin_api::core::{ConfigMap, Namespace, Secret, Service};
use serin_api::gateway_api as api;
use serin_api::networking::ServiceEntry;
use serin_api::{Object, Resource, yaml};
use serin_translate::gateway_api::{Converted, Features, Input, ServiceView, convert};

/// The documents of a text.
pub(crate) fn documents(text: &str) -> Vec<Value> {
    let stream = yaml::read(text);
    assert!(stream.problems.is_empty(), "{:?}", stream.problems);
    stream.documents.iter().map(|it| it.root.to_json()).collect()
}

fn of_kind<T: Resource>(documents: &[Value]) -> Vec<Object<T>> {
    let group = |it: &Value| {
        let version = it["apiVersion"].as_str().unwrap_or_default();
        version.split_once('/').map_or("", |(group, _)| group).to_owned()
    };
    let wanted = documents.iter().filter(|it| it["kind"] == T::KIND && group(it) == T::GROUP);
    wanted.map(|it| Object::from_value(it).expect("readable")).collect()
}

/// What there is beside the objects of a text.
#[derive(Default)]
pub(crate) struct Environment {
    /// The cluster's domain.
    pub(crate) domain: String,
    /// Services of the registry.
    pub(crate) registry: Vec<ServiceView>,
    /// Further objects.
    pub(crate) documents: Vec<Value>,
}

/// Converts the objects of `text`. Namespaces exist as far as objects stand in them, labelled with the first part of
/// their name.
pub(crate) fn run(environment: &Environment, text: &str) -> Converted {
    let input_documents = documents(text);
    let names = input_documents.iter().filter_map(|it| it["metadata"]["namespace"].as_str());
    let names: BTreeSet<_> = names.collect();
    let namespace = |name: &&str| {
        let part = name.split('-').next().unwrap();
        json!({"metadata": {"name": name, "labels": {"istio.io/test-name-part": part}}})
    };
    let namespaces: Vec<Object<Namespace>> =
        names.iter().map(|it| Object::from_value(&namespace(it)).unwrap()).collect();
    let mut all = environment.documents.clone();
    all.extend(input_documents);
    macro_rules! input {
        ($($field:ident: $type:ty),* $(,)?) => {{
            $(let $field = of_kind::<$type>(&all);)*
            convert(&Input {
                $($field: $field.iter().collect(),)*
                namespaces: namespaces.iter().collect(),
                registry: environment.registry.clone(),
                domain: &environment.domain,
                now: "fake",
                features: Features::default(),
            })
        }};
    }
    input! {
        gateway_classes: api::GatewayClass,
        gateways: api::Gateway,
        listener_sets: api::ListenerSet,
        x_listener_sets: api::XListenerSet,
        http_routes: api::HttpRoute,
        grpc_routes: api::GrpcRoute,
        tls_routes: api::TlsRoute,
        tcp_routes: api::TcpRoute,
        reference_grants: api::ReferenceGrant,
        backend_tls_policies: api::BackendTlsPolicy,
        backend_traffic_policies: api::XBackendTrafficPolicy,
        backends: api::XBackend,
        inference_pools: api::InferencePool,
        service_entries: ServiceEntry,
        services: Service,
        secrets: Secret,
        config_maps: ConfigMap,
    }
}
