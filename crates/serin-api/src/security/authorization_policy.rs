//! AuthorizationPolicy: which requests are allowed.

use crate::values::{PolicySelector, TargetRef};

resource! {
    AuthorizationPolicy: "security.istio.io", ["v1", "v1beta1"], "authorizationpolicies"
    short ["ap"]
    columns [
        ("Action", "string", ".spec.action", "What happens to requests that match"),
        ("Age", "date", ".metadata.creationTimestamp", "Time since creation"),
    ]
}

message! {
    /// Which requests to some workloads are allowed, denied, audited or decided elsewhere.
    #[schemars(extend("x-kubernetes-validations" = [
        {"rule": "(has(self.targetRef) ? 1 : 0) + (has(self.targetRefs) ? 1 : 0) + (has(self.selector) ? 1 : 0) <= 1", "message": "only one of targetRefs or selector can be set"},
    ]))]
    pub struct AuthorizationPolicy {
        /// Workloads of the namespace. Absent is all of them; in the root namespace, all of the mesh.
        pub selector: Option<PolicySelector>,
        /// Deprecated: use `targetRefs`.
        pub target_ref: Option<TargetRef>,
        /// Gateways and services that the policy is attached to.
        #[schemars(length(max = 16))]
        pub target_refs: Vec<TargetRef>,
        /// Rules, one of which must match. None at all never matches, so that `ALLOW` allows nothing.
        #[schemars(length(max = 512))]
        pub rules: Vec<AuthorizationRule>,
        /// What happens to requests that match.
        pub action: AuthorizationAction,
        /// Who decides, for `CUSTOM`.
        pub provider: Option<ExtensionProviderRef>,
    }

    /// A rule: source, operation and conditions must match. `{}` matches every request.
    pub struct AuthorizationRule {
        /// Sources, one of which must match. None at all matches any.
        #[schemars(length(min = 1, max = 512))]
        pub from: Vec<RuleFrom>,
        /// Operations, one of which must match. None at all matches any.
        #[schemars(length(min = 1, max = 512))]
        pub to: Vec<RuleTo>,
        /// Conditions, all of which must hold.
        pub when: Vec<Condition>,
    }

    /// A source.
    pub struct RuleFrom {
        /// The source.
        pub source: Option<Source>,
    }

    /// An operation.
    pub struct RuleTo {
        /// The operation.
        pub operation: Option<Operation>,
    }

    /// Where a request comes from. All fields must match; within a field, one value. Values may begin or end with `*`.
    #[schemars(extend("x-kubernetes-validations" = [
        {"rule": "(has(self.serviceAccounts) || has(self.notServiceAccounts)) ? !(has(self.principals) || has(self.notPrincipals) || has(self.namespaces) || has(self.notNamespaces)) : true", "message": "Cannot set serviceAccounts with namespaces or principals"},
    ]))]
    pub struct Source {
        /// Identities of the client's certificate: `trust-domain/ns/namespace/sa/account`.
        pub principals: Vec<String>,
        /// Identities that must not match.
        pub not_principals: Vec<String>,
        /// Identities of the request's token: `issuer/subject`.
        pub request_principals: Vec<String>,
        /// Token identities that must not match.
        pub not_request_principals: Vec<String>,
        /// Namespaces of the client.
        pub namespaces: Vec<String>,
        /// Namespaces that must not match.
        pub not_namespaces: Vec<String>,
        /// Service accounts of the client, `namespace/account` or an account of this namespace.
        #[schemars(length(max = 16), inner(length(max = 320)))]
        pub service_accounts: Vec<String>,
        /// Service accounts that must not match.
        #[schemars(length(max = 16), inner(length(max = 320)))]
        pub not_service_accounts: Vec<String>,
        /// Trust domains of the client.
        pub trust_domains: Vec<String>,
        /// Trust domains that must not match.
        pub not_trust_domains: Vec<String>,
        /// Addresses or CIDR blocks of the connection.
        pub ip_blocks: Vec<String>,
        /// Addresses that must not match.
        pub not_ip_blocks: Vec<String>,
        /// Addresses or CIDR blocks of the original client, by X-Forwarded-For or the PROXY protocol.
        pub remote_ip_blocks: Vec<String>,
        /// Original addresses that must not match.
        pub not_remote_ip_blocks: Vec<String>,
    }

    /// What a request asks for. All fields must match; within a field, one value. Values may begin or end with `*`.
    pub struct Operation {
        /// Hosts, without regard to letter case.
        pub hosts: Vec<String>,
        /// Hosts that must not match.
        pub not_hosts: Vec<String>,
        /// Ports of the workload.
        pub ports: Vec<String>,
        /// Ports that must not match.
        pub not_ports: Vec<String>,
        /// Methods.
        pub methods: Vec<String>,
        /// Methods that must not match.
        pub not_methods: Vec<String>,
        /// Paths without the query; also templates with `{*}` and `{**}`.
        pub paths: Vec<String>,
        /// Paths that must not match.
        pub not_paths: Vec<String>,
    }

    /// A condition on an attribute of the request.
    pub struct Condition {
        /// The attribute: `request.headers[name]`, `source.ip`, `request.auth.claims[name]`…
        #[schemars(extend("x-required" = true))]
        pub key: String,
        /// Values, one of which must match.
        pub values: Vec<String>,
        /// Values none of which may match.
        pub not_values: Vec<String>,
    }

    /// A provider that the mesh configuration defines.
    pub struct ExtensionProviderRef {
        /// Name of the provider.
        pub name: String,
    }
}

choice! {
    /// What happens to requests that match.
    pub enum AuthorizationAction {
        /// They are allowed; what matches no `ALLOW` policy of a workload that has one is denied.
        Allow = "ALLOW",
        /// They are denied.
        Deny = "DENY",
        /// They are marked for auditing.
        Audit = "AUDIT",
        /// A provider decides.
        Custom = "CUSTOM",
    }
}
