//! Shapes of Kubernetes' own types, from their descriptions in `k8s-openapi` and the tables beside this file.
//!
//! Made when the first is asked for, which takes a few milliseconds. Descriptions are not kept: they are made again
//! for OpenAPI.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use k8s_openapi::api::{
    admissionregistration::v1 as admission, apps::v1 as apps, authentication::v1 as authentication,
    authorization::v1 as authorization, autoscaling, batch::v1 as batch,
    certificates::v1 as certificates, coordination::v1 as leases, core::v1 as core,
    discovery::v1 as discovery, events::v1 as events, flowcontrol::v1 as flow,
    networking::v1 as networking, node::v1 as node, policy::v1 as policy, rbac::v1 as rbac,
    scheduling::v1 as scheduling, storage::v1 as storage,
};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1 as extensions;
use k8s_openapi::apimachinery::pkg::apis::meta::v1 as meta;
use k8s_openapi::kube_aggregator::pkg::apis::apiregistration::v1 as registration;
use schemars::generate::SchemaSettings;
use serde_json::Value;

use super::{ANY, Field, Link, List, ListKind, Map, Node, Scalar, Struct, tables};

macro_rules! describe {
    ($generator:ident; $($type:ty),+ $(,)?) => { $($generator.subschema_for::<$type>();)+ };
}

/// The descriptions of all types by their full names, with references to one another.
pub(crate) fn definitions() -> serde_json::Map<String, Value> {
    let mut settings = SchemaSettings::draft07();
    settings.meta_schema = None;
    let mut generator = settings.into_generator();
    describe!(generator;
        core::Binding, core::ConfigMap, core::Endpoints, core::Event, core::LimitRange, core::Namespace, core::Node,
        core::PersistentVolume, core::PersistentVolumeClaim, core::Pod, core::PodTemplate,
        core::ReplicationController, core::ResourceQuota, core::Secret, core::Service, core::ServiceAccount,
        apps::ControllerRevision, apps::DaemonSet, apps::Deployment, apps::ReplicaSet, apps::StatefulSet,
        events::Event, authentication::SelfSubjectReview, authentication::TokenReview, authentication::TokenRequest,
        authorization::LocalSubjectAccessReview, authorization::SelfSubjectAccessReview,
        authorization::SelfSubjectRulesReview, authorization::SubjectAccessReview,
        autoscaling::v1::HorizontalPodAutoscaler, autoscaling::v2::HorizontalPodAutoscaler, autoscaling::v1::Scale,
        batch::CronJob, batch::Job, networking::Ingress, networking::IngressClass, networking::NetworkPolicy,
        policy::Eviction, policy::PodDisruptionBudget, rbac::ClusterRole, rbac::ClusterRoleBinding, rbac::Role,
        rbac::RoleBinding, storage::StorageClass, admission::MutatingWebhookConfiguration,
        admission::ValidatingAdmissionPolicy, admission::ValidatingAdmissionPolicyBinding,
        admission::ValidatingWebhookConfiguration, extensions::CustomResourceDefinition, scheduling::PriorityClass,
        core::ComponentStatus, certificates::CertificateSigningRequest, networking::IPAddress,
        networking::ServiceCIDR, storage::CSIDriver, storage::CSINode, storage::CSIStorageCapacity,
        storage::VolumeAttachment, node::RuntimeClass, flow::FlowSchema, flow::PriorityLevelConfiguration,
        leases::Lease, discovery::EndpointSlice, registration::APIService, meta::DeleteOptions, meta::Status,
        meta::ListMeta,
    );
    let mut definitions = generator.take_definitions(true);
    for (name, definition) in &mut definitions {
        optional_metadata(name, definition);
    }
    definitions
}

/// The types of `k8s-openapi` hold metadata by value and so require it; Kubernetes does of two kinds only.
fn optional_metadata(name: &str, definition: &mut Value) {
    if matches!(name, "io.k8s.api.core.v1.Event" | "io.k8s.api.core.v1.Binding") {
        return;
    }
    let Some(map) = definition.as_object_mut() else { return };
    let Some(Value::Array(required)) = map.get_mut("required") else { return };
    required.retain(|it| it != "metadata");
    if required.is_empty() {
        map.remove("required");
    }
}

/// The full name of the type of a kind.
pub(crate) fn type_name(group: &str, version: &str, kind: &str) -> String {
    let package = match group {
        "" => "api.core",
        "apiextensions.k8s.io" => "apiextensions-apiserver.pkg.apis.apiextensions",
        "apiregistration.k8s.io" => "kube-aggregator.pkg.apis.apiregistration",
        group => {
            let short = group.split('.').next().unwrap_or(group);
            return format!("io.k8s.api.{short}.{version}.{kind}");
        }
    };
    format!("io.k8s.{package}.{version}.{kind}")
}

/// All types, each at its place.
struct Registry {
    places: HashMap<String, usize>,
    nodes: Vec<Node>,
}

static REGISTRY: LazyLock<Registry> = LazyLock::new(Registry::new);

/// The type at a place.
pub(super) fn at(place: usize) -> &'static Node {
    REGISTRY.nodes.get(place).unwrap_or(&ANY)
}

/// The type of a kind.
pub(crate) fn of_kind(group: &str, version: &str, kind: &str) -> &'static Node {
    named(&type_name(group, version, kind))
}

/// The type of a full name.
pub(crate) fn named(name: &str) -> &'static Node {
    REGISTRY.places.get(name).map_or(&ANY, |place| at(*place))
}

impl Registry {
    fn new() -> Self {
        let definitions = definitions();
        let places: HashMap<String, usize> =
            definitions.keys().enumerate().map(|(place, name)| (name.clone(), place)).collect();
        let nodes = definitions
            .iter()
            .map(|(name, it)| Reader { places: &places }.named(name, it))
            .collect();
        Self { places, nodes }
    }
}

/// The part of a full name that says in which package and version a type is: `core.v1.Container`.
fn short_package(name: &str) -> (String, String) {
    let parts: Vec<&str> = name.rsplit('.').take(3).collect();
    let (kind, version, package) = match parts.as_slice() {
        [kind, version, package] => (*kind, *version, *package),
        _ => (name, "", ""),
    };
    (format!("{version}.{kind}"), format!("{package}.{version}.{kind}"))
}

struct Reader<'r> {
    places: &'r HashMap<String, usize>,
}

impl Reader<'_> {
    fn named(&self, name: &str, definition: &Value) -> Node {
        match name.rsplit('.').next().unwrap_or_default() {
            "Time" => return Node::Scalar(Scalar::Time),
            "MicroTime" => return Node::Scalar(Scalar::MicroTime),
            "Quantity" => return Node::Scalar(Scalar::Quantity),
            "IntOrString" => return Node::Scalar(Scalar::IntOrString),
            "FieldsV1" => return Node::Scalar(Scalar::Opaque),
            _ => {}
        }
        self.node(definition, name)
    }

    fn node(&self, schema: &Value, name: &str) -> Node {
        let text = |key: &str| schema.get(key).and_then(Value::as_str);
        match (text("type"), text("format")) {
            (Some("object"), _) if schema.get("properties").is_some() => self.record(schema, name),
            (Some("object"), _) => match schema.get("additionalProperties") {
                Some(values) if values.is_object() => {
                    Node::Map(Map { values: self.link(values), atomic: false })
                }
                _ => Node::Any,
            },
            (Some("array"), _) => Node::List(List {
                items: schema
                    .get("items")
                    .map_or_else(|| Link::Own(Arc::new(Node::Any)), |items| self.link(items)),
                kind: ListKind::Atomic,
            }),
            (Some("string"), Some("byte")) => Node::Scalar(Scalar::Bytes),
            (Some("string"), _) => Node::Scalar(Scalar::String),
            (Some("integer"), Some("int32")) => Node::Scalar(Scalar::Int32),
            (Some("integer"), _) => Node::Scalar(Scalar::Int64),
            (Some("number"), _) => Node::Scalar(Scalar::Double),
            (Some("boolean"), _) => Node::Scalar(Scalar::Boolean),
            _ => Node::Any,
        }
    }

    fn link(&self, schema: &Value) -> Link {
        if let Some(place) = reference(schema).and_then(|name| self.places.get(name)) {
            return Link::Named(*place);
        }
        Link::Own(Arc::new(self.node(schema, "")))
    }

    fn record(&self, schema: &Value, name: &str) -> Node {
        let (qualified, package) = short_package(name);
        let kind = qualified.rsplit('.').next().unwrap_or_default().to_owned();
        let required = |field: &str| {
            let list = schema.get("required").and_then(Value::as_array);
            list.is_some_and(|list| list.iter().any(|it| it == field))
        };
        let properties = schema.get("properties").and_then(Value::as_object);
        let is_kind =
            properties.is_some_and(|it| it.contains_key("kind") && it.contains_key("apiVersion"));
        let mut fields = indexmap::IndexMap::new();
        for (field, schema) in properties.into_iter().flatten() {
            let facts = tables::facts(&kind, &package, field);
            let frame = is_kind && matches!(field.as_str(), "metadata" | "spec" | "status");
            let mut link = self.link(schema);
            if let Link::Own(node) = &mut link
                && let Some(node) = Arc::get_mut(node)
            {
                facts.mark(node);
            }
            let is_record = reference(schema)
                .is_some_and(|name| facts.always || !name.ends_with(".LabelSelector"));
            let required = required(field);
            let field_facts = Field {
                link,
                required: required || facts.written,
                always: is_record && (frame || facts.always || required),
                keeps_zero: facts
                    .keeps_zero(schema.get("type").and_then(Value::as_str) == Some("string")),
                merge: facts.merge,
                default: facts.default.clone(),
            };
            fields.insert(field.clone(), field_facts);
        }
        let atomic = tables::is_atomic(&kind, &package);
        let full = name.strip_prefix("io.k8s.").unwrap_or(name).to_owned();
        Node::Struct(Struct { name: kind, qualified, full, fields, atomic })
    }
}

/// The full name that a schema refers to.
pub(crate) fn reference(schema: &Value) -> Option<&str> {
    let direct = schema.get("$ref").and_then(Value::as_str);
    let inner = || schema.get("allOf")?.get(0)?.get("$ref")?.as_str();
    direct.or_else(inner)?.rsplit('/').next()
}
