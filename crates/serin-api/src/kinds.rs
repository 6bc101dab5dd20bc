//! Every kind of object that Serin knows, in one list, from which the registry of kinds and [`AnyObject`] are made.

use std::sync::{Arc, OnceLock};

use schemars::JsonSchema;
use serde_json::Value;

use crate::schema::Schema;
use crate::{
    DecodeError, Meta, Object, ObjectRef, Printer, Resource, Scope, core, crd, delivery,
    extensions, gateway_api, networking, security, telemetry,
};

/// Calls the macro `$with` with every kind: `Variant(type)`, the kinds that CustomResourceDefinitions define first,
/// then after a semicolon those that Kubernetes has itself.
#[macro_export]
macro_rules! for_each_kind {
    ($with:path) => {
        $with! {
            VirtualService(networking::VirtualService),
            DestinationRule(networking::DestinationRule),
            Gateway(networking::Gateway),
            ServiceEntry(networking::ServiceEntry),
            WorkloadEntry(networking::WorkloadEntry),
            WorkloadGroup(networking::WorkloadGroup),
            Sidecar(networking::Sidecar),
            ProxyConfig(networking::ProxyConfig),
            EnvoyFilter(networking::EnvoyFilter),
            PeerAuthentication(security::PeerAuthentication),
            RequestAuthentication(security::RequestAuthentication),
            AuthorizationPolicy(security::AuthorizationPolicy),
            Telemetry(telemetry::Telemetry),
            WasmPlugin(extensions::WasmPlugin),
            TrafficExtension(extensions::TrafficExtension),
            GatewayClass(gateway_api::GatewayClass),
            KubernetesGateway(gateway_api::Gateway),
            ListenerSet(gateway_api::ListenerSet),
            XListenerSet(gateway_api::XListenerSet),
            HttpRoute(gateway_api::HttpRoute),
            GrpcRoute(gateway_api::GrpcRoute),
            TlsRoute(gateway_api::TlsRoute),
            TcpRoute(gateway_api::TcpRoute),
            ReferenceGrant(gateway_api::ReferenceGrant),
            BackendTlsPolicy(gateway_api::BackendTlsPolicy),
            XBackendTrafficPolicy(gateway_api::XBackendTrafficPolicy),
            XBackend(gateway_api::XBackend),
            InferencePool(gateway_api::InferencePool),
            Canary(delivery::Canary),
            FlaggerCanary(delivery::FlaggerCanary),
            MetricTemplate(delivery::MetricTemplate),
            FlaggerMetricTemplate(delivery::FlaggerMetricTemplate),
            AlertProvider(delivery::AlertProvider),
            FlaggerAlertProvider(delivery::FlaggerAlertProvider);
            Service(core::Service),
            EndpointSlice(core::EndpointSlice),
            Endpoints(core::Endpoints),
            Pod(core::Pod),
            Namespace(core::Namespace),
            Node(core::Node),
            Secret(core::Secret),
            ConfigMap(core::ConfigMap),
            ServiceAccount(core::ServiceAccount),
            Deployment(core::Deployment),
            ReplicaSet(core::ReplicaSet),
            StatefulSet(core::StatefulSet),
            DaemonSet(core::DaemonSet),
            Job(core::Job),
            CronJob(core::CronJob),
            Ingress(core::Ingress),
            IngressClass(core::IngressClass),
            MutatingWebhookConfiguration(core::MutatingWebhookConfiguration),
            ValidatingWebhookConfiguration(core::ValidatingWebhookConfiguration),
            CustomResourceDefinition(core::CustomResourceDefinition),
        }
    };
}

/// A kind of object: its names and its schema.
#[derive(Debug)]
pub struct Kind {
    /// API group; empty for the core group.
    pub group: &'static str,
    /// Served versions, preferred first.
    pub versions: &'static [&'static str],
    /// The kind.
    pub kind: &'static str,
    /// Lower-case plural, as in URLs.
    pub plural: &'static str,
    /// Short names for kubectl.
    pub short_names: &'static [&'static str],
    /// Whether objects live in namespaces.
    pub scope: Scope,
    /// Whether the fields of the kind stand under `spec`.
    pub has_spec: bool,
    /// Columns of `kubectl get`.
    pub columns: &'static [Printer],
    /// Whether a CustomResourceDefinition of ours defines the kind; otherwise Kubernetes has it, and the schema knows
    /// the fields that are read here and passes over the others.
    pub is_custom: bool,
    describe: fn() -> Value,
    read: fn(&Value) -> Result<AnyObject, DecodeError>,
    schema: OnceLock<Schema>,
}

impl Kind {
    const fn new<T: Resource + JsonSchema>(
        is_custom: bool,
        read: fn(&Value) -> Result<AnyObject, DecodeError>,
    ) -> Self {
        Self {
            group: T::GROUP,
            versions: T::VERSIONS,
            kind: T::KIND,
            plural: T::PLURAL,
            short_names: T::SHORT_NAMES,
            scope: T::SCOPE,
            has_spec: T::HAS_SPEC,
            columns: T::PRINTER_COLUMNS,
            is_custom,
            describe: crd::describe::<T>,
            read,
            schema: OnceLock::new(),
        }
    }

    /// Every kind.
    pub fn all() -> &'static [Self] {
        &KINDS
    }

    /// The kind of this name in a group.
    pub fn find(group: &str, kind: &str) -> Option<&'static Self> {
        KINDS.iter().find(|it| it.group == group && it.kind == kind)
    }

    /// The schema of whole objects of the kind.
    pub fn schema(&self) -> &Schema {
        self.schema.get_or_init(|| {
            #[expect(clippy::expect_used, reason = "a test parses the schema of every kind")]
            Schema::parse(&self.describe()).expect("the schema of a kind is well-formed")
        })
    }

    /// The schema in the JSON form of CustomResourceDefinitions.
    pub fn describe(&self) -> Value {
        crd::whole(self, (self.describe)())
    }

    /// Reads an object of this kind.
    ///
    /// # Errors
    /// The first value that does not fit its field.
    pub fn read(&self, value: &Value) -> Result<AnyObject, DecodeError> {
        (self.read)(value)
    }

    /// `group/version` of the preferred version; the version alone for the core group.
    pub fn api_version(&self) -> String {
        let version = self.versions.first().copied().unwrap_or_default();
        if self.group.is_empty() { version.to_owned() } else { format!("{}/{version}", self.group) }
    }
}

macro_rules! make {
    ($($custom:ident($custom_type:ty)),+; $($native:ident($native_type:ty)),+ $(,)?) => {
        /// An object of any kind that Serin knows.
        #[derive(Clone, Debug)]
        pub enum AnyObject {
            $(#[doc = concat!("`", stringify!($custom_type), "`")] $custom(Arc<Object<$custom_type>>),)+
            $(#[doc = concat!("`", stringify!($native_type), "`")] $native(Arc<Object<$native_type>>),)+
        }

        impl AnyObject {
            /// The metadata.
            pub fn meta(&self) -> &Meta {
                match self {
                    $(Self::$custom(object) => &object.meta,)+
                    $(Self::$native(object) => &object.meta,)+
                }
            }

            /// What the object is called.
            pub fn reference(&self) -> ObjectRef {
                match self {
                    $(Self::$custom(object) => object.reference(),)+
                    $(Self::$native(object) => object.reference(),)+
                }
            }

            /// Changes the metadata of an object that nothing else shares yet.
            pub(crate) fn edit_meta(&mut self, edit: impl FnOnce(&mut Meta)) {
                match self {
                    $(Self::$custom(object) => if let Some(it) = Arc::get_mut(object) { edit(&mut it.meta) },)+
                    $(Self::$native(object) => if let Some(it) = Arc::get_mut(object) { edit(&mut it.meta) },)+
                }
            }
        }

        static KINDS: [Kind; { [$(stringify!($custom),)+ $(stringify!($native),)+].len() }] = [
            $(Kind::new::<$custom_type>(true, |value| {
                Ok(AnyObject::$custom(Arc::new(Object::from_value(value)?)))
            }),)+
            $(Kind::new::<$native_type>(false, |value| {
                Ok(AnyObject::$native(Arc::new(Object::from_value(value)?)))
            }),)+
        ];
    };
}

for_each_kind!(make);
