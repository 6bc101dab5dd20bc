//! Gateway API objects in YAML, converted.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "tests bring what can be read")]

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Value, json};
use serin_api::core::{ConfigMap, Namespace, Secret, Service};
use serin_api::gateway_api as api;
use serin_api::networking::ServiceEntry;
use serin_api::{Object, yaml};
use serin_translate::gateway_api::{Converted, Features, Input, ServiceView, Services, convert};
use serin_translate::{Kind, Objects};

/// The documents of a text.
pub(crate) fn documents(text: &str) -> Vec<Value> {
    let stream = yaml::read(text);
    assert!(stream.problems.is_empty(), "{:?}", stream.problems);
    stream.documents.iter().map(|it| it.root.to_json()).collect()
}

/// Adds the objects of one kind among `documents`.
fn add<T: Kind>(objects: &mut Objects, documents: &[Value]) {
    let group = |it: &Value| {
        let version = it["apiVersion"].as_str().unwrap_or_default();
        version.split_once('/').map_or("", |(group, _)| group).to_owned()
    };
    for document in documents.iter().filter(|it| it["kind"] == T::KIND && group(it) == T::GROUP) {
        objects.add::<T>(Arc::new(Object::from_value(document).expect("readable")));
    }
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
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {"istio.io/test-name-part": part}}})
    };
    let mut all = environment.documents.clone();
    all.extend(names.iter().map(namespace));
    all.extend(input_documents);
    let mut objects = Objects::default();
    macro_rules! add {
        ($($type:ty),* $(,)?) => { $(add::<$type>(&mut objects, &all);)* };
    }
    add! {
        api::GatewayClass, api::Gateway, api::ListenerSet, api::XListenerSet,
        api::HttpRoute, api::GrpcRoute, api::TlsRoute, api::TcpRoute, api::ReferenceGrant,
        api::BackendTlsPolicy, api::XBackendTrafficPolicy, api::XBackend, api::InferencePool,
        ServiceEntry, Service, Secret, ConfigMap, Namespace,
    }
    convert(&Input {
        objects: &objects,
        services: environment,
        domain: &environment.domain,
        features: Features::default(),
    })
}

impl Services for Environment {
    fn find(&self, hostname: &str, namespace: &str) -> Option<ServiceView> {
        let mut services = self.registry.iter();
        services.find(|it| it.hostname == hostname && it.namespace == namespace).cloned()
    }

    fn namespaces(&self, hostname: &str) -> Vec<String> {
        let services = self.registry.iter().filter(|it| it.hostname == hostname);
        services.map(|it| it.namespace.clone()).collect()
    }
}
