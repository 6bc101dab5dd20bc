//! ReferenceGrant, policies for backends, experimental backends, and InferencePool.

use std::collections::BTreeMap;

use crate::gateway_api::{
    LocalObjectReference, LocalPolicyTargetReferenceWithSectionName, SecretObjectReference,
    SessionPersistence,
};
use crate::values::Duration;

resource! {
    ReferenceGrant: "gateway.networking.k8s.io", ["v1", "v1beta1", "v1alpha2"], "referencegrants"
    short ["refgrant"]
    columns [("Age", "date", ".metadata.creationTimestamp", "Time since creation")]
}

resource! {
    BackendTlsPolicy as "BackendTLSPolicy": "gateway.networking.k8s.io", ["v1", "v1alpha3"], "backendtlspolicies"
    short ["btlspolicy"]
    columns [("Age", "date", ".metadata.creationTimestamp", "Time since creation")]
}

resource! {
    XBackendTrafficPolicy: "gateway.networking.x-k8s.io", ["v1alpha1"], "xbackendtrafficpolicies"
    short ["xbtrafficpolicy"]
    columns [("Age", "date", ".metadata.creationTimestamp", "Time since creation")]
}

resource! {
    XBackend: "gateway.networking.x-k8s.io", ["v1alpha1"], "xbackends"
    columns [("Age", "date", ".metadata.creationTimestamp", "Time since creation")]
}

resource! {
    InferencePool: "inference.networking.k8s.io", ["v1"], "inferencepools"
    short ["infpool"]
    columns [("Age", "date", ".metadata.creationTimestamp", "Time since creation")]
}

message! {
    /// Allows objects of other namespaces to refer to objects of this one.
    pub struct ReferenceGrant {
        /// Who may refer.
        #[schemars(extend("x-required" = true), length(min = 1, max = 16), extend("x-kubernetes-list-type" = "atomic"))]
        pub from: Vec<ReferenceGrantFrom>,
        /// To what.
        #[schemars(extend("x-required" = true), length(min = 1, max = 16), extend("x-kubernetes-list-type" = "atomic"))]
        pub to: Vec<ReferenceGrantTo>,
    }

    /// Who may refer.
    pub struct ReferenceGrantFrom {
        /// API group.
        #[schemars(extend("x-required" = true), length(max = 253))]
        pub group: String,
        /// Kind.
        #[schemars(extend("x-required" = true), length(min = 1, max = 63))]
        pub kind: String,
        /// Namespace.
        #[schemars(extend("x-required" = true), length(min = 1, max = 63))]
        pub namespace: String,
    }

    /// To what may be referred.
    pub struct ReferenceGrantTo {
        /// API group.
        #[schemars(extend("x-required" = true), length(max = 253))]
        pub group: String,
        /// Kind.
        #[schemars(extend("x-required" = true), length(min = 1, max = 63))]
        pub kind: String,
        /// Name. Absent is every object.
        #[schemars(length(min = 1, max = 253))]
        pub name: Option<String>,
    }

    /// TLS from gateways to a backend.
    pub struct BackendTlsPolicy {
        /// The backends.
        #[schemars(extend("x-required" = true), length(min = 1, max = 16), extend("x-kubernetes-list-type" = "atomic"))]
        pub target_refs: Vec<LocalPolicyTargetReferenceWithSectionName>,
        /// How certificates of the backend are checked.
        #[schemars(extend("x-required" = true))]
        pub validation: BackendTlsPolicyValidation,
        /// Settings of the implementation.
        #[schemars(extend("maxProperties" = 16))]
        pub options: BTreeMap<String, String>,
    }

    /// How certificates of a backend are checked.
    #[schemars(extend("x-kubernetes-validations" = [
        {"rule": "!(has(self.caCertificateRefs) && size(self.caCertificateRefs) > 0 && has(self.wellKnownCACertificates) && self.wellKnownCACertificates != \"\")", "message": "must not contain both caCertificateRefs and wellKnownCACertificates"},
        {"rule": "(has(self.caCertificateRefs) && size(self.caCertificateRefs) > 0 || has(self.wellKnownCACertificates) && self.wellKnownCACertificates != \"\")", "message": "must specify either caCertificateRefs or wellKnownCACertificates"},
    ]))]
    pub struct BackendTlsPolicyValidation {
        /// Objects with the authorities that may have issued them.
        #[schemars(length(max = 8), extend("x-kubernetes-list-type" = "atomic"))]
        pub ca_certificate_refs: Vec<LocalObjectReference>,
        /// `System` for the authorities that the gateway's system trusts.
        #[serde(rename = "wellKnownCACertificates")]
        #[schemars(extend("enum" = ["System"]))]
        pub well_known_ca_certificates: Option<String>,
        /// Server name that is sent, and that the certificate must have when `subjectAltNames` has none.
        #[schemars(extend("x-required" = true), length(min = 1, max = 253), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"))]
        pub hostname: String,
        /// Names one of which the certificate must have.
        #[schemars(length(max = 5), extend("x-kubernetes-list-type" = "atomic"))]
        pub subject_alt_names: Vec<SubjectAltName>,
    }

    /// A name in a certificate.
    pub struct SubjectAltName {
        /// `Hostname` or `URI`.
        #[serde(rename = "type")]
        #[schemars(extend("x-required" = true), extend("enum" = ["Hostname", "URI"]))]
        pub name_type: String,
        /// Host name, a `*.`-wildcard allowed.
        #[schemars(length(min = 1, max = 253))]
        pub hostname: Option<String>,
        /// URI.
        #[schemars(length(min = 1, max = 253))]
        pub uri: Option<String>,
    }

    /// Retries and sessions towards a backend.
    pub struct XBackendTrafficPolicy {
        /// The backends.
        #[schemars(extend("x-required" = true), length(min = 1, max = 16))]
        pub target_refs: Vec<LocalObjectReference>,
        /// Limit of retries.
        pub retry_constraint: Option<RetryConstraint>,
        /// Requests of a session go to the same endpoint.
        pub session_persistence: Option<SessionPersistence>,
    }

    /// Limit of retries.
    pub struct RetryConstraint {
        /// As a share of requests.
        pub budget: Option<BudgetDetails>,
        /// Retries that are always allowed.
        pub min_retry_rate: Option<RequestRate>,
    }

    /// A share of requests over a time.
    pub struct BudgetDetails {
        /// Percent; 20 when absent.
        #[schemars(range(min = 0, max = 100), extend("default" = 20))]
        pub percent: Option<i32>,
        /// Time; 10 s when absent.
        #[schemars(extend("default" = "10s"))]
        pub interval: Option<Duration>,
    }

    /// A number of requests over a time.
    pub struct RequestRate {
        /// Number.
        #[schemars(range(min = 1, max = 1_000_000))]
        pub count: Option<i32>,
        /// Time.
        pub interval: Option<Duration>,
    }

    /// A backend outside of the cluster.
    pub struct XBackend {
        /// What kind of backend it is: `ExternalHostname`.
        #[serde(rename = "type")]
        #[schemars(extend("x-required" = true))]
        pub backend_type: String,
        /// The host.
        pub external_hostname: Option<ExternalHostnameBackend>,
        /// The port.
        pub port: Option<XBackendPort>,
        /// Application protocol.
        pub protocol: Option<String>,
        /// TLS towards it.
        pub tls: Option<XBackendTls>,
    }

    /// A host outside of the cluster.
    pub struct ExternalHostnameBackend {
        /// Its name.
        #[schemars(extend("x-required" = true), length(min = 1, max = 253))]
        pub hostname: String,
    }

    /// A port.
    pub struct XBackendPort {
        /// Number.
        #[schemars(extend("x-required" = true), range(min = 1, max = 65535))]
        pub port: i32,
    }

    /// TLS towards a backend.
    pub struct XBackendTls {
        /// `Simple`, `Mutual` or `None`.
        pub mode: Option<String>,
        /// Certificate that the gateway shows.
        pub client_certificate_ref: Option<SecretObjectReference>,
        /// How the backend's certificate is checked.
        pub validation: Option<BackendTlsPolicyValidation>,
    }

    /// Pods that serve a model, and who chooses among them.
    pub struct InferencePool {
        /// The pods.
        #[schemars(extend("x-required" = true))]
        pub selector: InferencePoolSelector,
        /// Their ports.
        #[schemars(extend("x-required" = true), length(min = 1, max = 8))]
        pub target_ports: Vec<InferencePoolPort>,
        /// Who chooses.
        #[schemars(extend("x-required" = true))]
        pub endpoint_picker_ref: Option<EndpointPickerRef>,
    }

    /// Labels of pods.
    pub struct InferencePoolSelector {
        /// Labels that a pod must carry, all of them.
        #[schemars(extend("maxProperties" = 64))]
        pub match_labels: BTreeMap<String, String>,
    }

    /// A port.
    pub struct InferencePoolPort {
        /// Number.
        #[schemars(extend("x-required" = true), range(min = 1, max = 65535))]
        pub number: i32,
    }

    /// Who chooses among the pods.
    pub struct EndpointPickerRef {
        /// API group; the core group when absent.
        #[schemars(length(max = 253), extend("default" = ""))]
        pub group: Option<String>,
        /// Kind; `Service` when absent.
        #[schemars(length(min = 1, max = 63), extend("default" = "Service"))]
        pub kind: Option<String>,
        /// Name.
        #[schemars(extend("x-required" = true), length(min = 1, max = 253))]
        pub name: String,
        /// Port.
        pub port: Option<InferencePoolPort>,
        /// What happens when it cannot be asked: `FailOpen` or `FailClose`.
        #[schemars(extend("default" = "FailClose", "enum" = ["FailOpen", "FailClose"]))]
        pub failure_mode: Option<String>,
    }
}
