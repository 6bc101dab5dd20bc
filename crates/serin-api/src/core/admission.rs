//! Webhook configurations and CustomResourceDefinitions.

use crate::values::LabelSelector;

resource! {
    MutatingWebhookConfiguration: "admissionregistration.k8s.io", ["v1"], "mutatingwebhookconfigurations"
    scope Cluster
    has_spec false
}

resource! {
    ValidatingWebhookConfiguration: "admissionregistration.k8s.io", ["v1"], "validatingwebhookconfigurations"
    scope Cluster
    has_spec false
}

resource! {
    CustomResourceDefinition: "apiextensions.k8s.io", ["v1"], "customresourcedefinitions"
    short ["crd", "crds"]
    scope Cluster
}

message! {
    /// Webhooks that may change objects.
    pub struct MutatingWebhookConfiguration {
        /// The webhooks.
        pub webhooks: Vec<Webhook>,
    }

    /// Webhooks that may refuse objects.
    pub struct ValidatingWebhookConfiguration {
        /// The webhooks.
        pub webhooks: Vec<Webhook>,
    }

    /// One webhook.
    pub struct Webhook {
        /// Full name.
        pub name: String,
        /// How it is called.
        pub client_config: WebhookClientConfig,
        /// `Fail` or `Ignore`.
        pub failure_policy: String,
        /// Namespaces it is called for.
        pub namespace_selector: Option<LabelSelector>,
        /// Objects it is called for.
        pub object_selector: Option<LabelSelector>,
        /// Operations and kinds it is called for.
        pub rules: Vec<RuleWithOperations>,
    }

    /// How a webhook is called.
    pub struct WebhookClientConfig {
        /// Address outside of the cluster.
        pub url: Option<String>,
        /// Service in the cluster.
        pub service: Option<WebhookService>,
        /// Authorities for the server's certificate, in base64.
        pub ca_bundle: String,
    }

    /// Service that is called.
    pub struct WebhookService {
        /// Name.
        pub name: String,
        /// Namespace.
        pub namespace: String,
        /// Path.
        pub path: Option<String>,
        /// Port; 443 when absent.
        pub port: Option<i32>,
    }

    /// Operations and kinds.
    pub struct RuleWithOperations {
        /// Operations, or `*`.
        pub operations: Vec<String>,
        /// API groups, or `*`.
        pub api_groups: Vec<String>,
        /// API versions, or `*`.
        pub api_versions: Vec<String>,
        /// Plurals, or `*`.
        pub resources: Vec<String>,
    }

    /// A kind that users define, without its schemas.
    pub struct CustomResourceDefinition {
        /// API group.
        pub group: String,
        /// Names.
        pub names: CustomResourceNames,
        /// `Namespaced` or `Cluster`.
        pub scope: String,
        /// Versions.
        pub versions: Vec<CustomResourceVersion>,
    }

    /// Names of a kind.
    pub struct CustomResourceNames {
        /// Kind.
        pub kind: String,
        /// Kind of lists.
        pub list_kind: String,
        /// Lower-case plural.
        pub plural: String,
        /// Lower-case singular.
        pub singular: String,
        /// Short names.
        pub short_names: Vec<String>,
        /// Groups such as `all`.
        pub categories: Vec<String>,
    }

    /// A version of a kind.
    pub struct CustomResourceVersion {
        /// Name.
        pub name: String,
        /// Whether it is served.
        pub served: bool,
        /// Whether it is the one stored.
        pub storage: bool,
        /// Whether its use is discouraged.
        pub deprecated: bool,
    }
}
