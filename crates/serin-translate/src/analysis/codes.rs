//! The codes that Istio's analysis defines, and the messages of ours for them.

use serin_api::{Code, CodeInfo, FieldPath, Finding, ObjectRef, Severity};

/// A finding before it is known which object it is about.
#[derive(Clone, Debug)]
pub(super) struct Message {
    info: &'static CodeInfo,
    text: String,
    help: Option<String>,
}

/// A kind of finding.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kind(&'static CodeInfo);

impl Kind {
    pub(super) const fn new(info: &'static CodeInfo) -> Self {
        Self(info)
    }

    /// A message of this kind.
    pub(super) fn message(self, text: impl Into<String>) -> Message {
        Message { info: self.0, text: text.into(), help: None }
    }
}

impl Message {
    /// The same with advice.
    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    pub(super) const fn code(&self) -> Code {
        self.info.code
    }

    pub(super) fn about(self, object: &ObjectRef, field: FieldPath) -> Finding {
        let mut finding =
            Finding::new(self.info.code, self.info.severity, object, field, self.text);
        finding.help = self.help;
        finding
    }
}

macro_rules! codes {
    ($($constant:ident = $code:literal $severity:ident $name:literal $summary:literal;)+) => {
        /// Every code of Istio's analysis that is found here, in order.
        pub const ALL: &[CodeInfo] = &[$(CodeInfo {
            code: Code($code),
            severity: Severity::$severity,
            name: $name,
            summary: $summary,
        }),+];

        codes!(@ 0usize; $($constant)+);
    };
    (@ $at:expr; $constant:ident $($rest:ident)*) => {
        pub(super) const $constant: Kind = Kind(&ALL[$at]);
        codes!(@ $at + 1usize; $($rest)*);
    };
    (@ $at:expr;) => {};
}

codes! {
    DEPRECATED = "IST0002" Warning "Deprecated" "A field or kind is deprecated.";
    NOT_FOUND = "IST0101" Error "ReferencedResourceNotFound" "An object refers to another that is not there.";
    NAMESPACE_NOT_INJECTED = "IST0102" Info "NamespaceNotInjected" "A namespace does not say whether its pods get a sidecar.";
    POD_MISSING_PROXY = "IST0103" Warning "PodMissingProxy" "A pod of an injected namespace has no sidecar.";
    MISPLACED_ANNOTATION = "IST0107" Warning "MisplacedAnnotation" "An annotation has no meaning on this kind of object.";
    UNKNOWN_ANNOTATION = "IST0108" Warning "UnknownAnnotation" "An annotation of Istio's domain is not known.";
    MESH_HOST_TWICE = "IST0109" Error "ConflictingMeshGatewayVirtualServiceHosts"
        "Several VirtualServices define rules for one host in the mesh; only the oldest one's are used.";
    SIDECARS_SAME_WORKLOAD = "IST0110" Error "ConflictingSidecarWorkloadSelectors" "Several Sidecars select one pod.";
    SIDECARS_WITHOUT_SELECTOR = "IST0111" Error "MultipleSidecarsWithoutWorkloadSelectors"
        "A namespace has several Sidecars without workload selector.";
    PORT_NEEDED = "IST0112" Error "VirtualServiceDestinationPortSelectorRequired"
        "A destination has several ports and the rule does not say which.";
    DEPLOYMENT_PROTOCOLS = "IST0116" Warning "DeploymentAssociatedToMultipleServices"
        "Services of one Deployment use a port with different protocols.";
    PORT_NAME = "IST0118" Info "PortNameIsNotUnderNamingConvention" "A port's name does not tell its protocol.";
    SEVERAL_INJECTION_LABELS = "IST0123" Warning "NamespaceMultipleInjectionLabels" "A namespace has two labels that ask for injection.";
    INVALID_ANNOTATION = "IST0125" Warning "InvalidAnnotation" "An annotation's value is not valid.";
    UNKNOWN_REGISTRY = "IST0126" Error "UnknownMeshNetworksServiceRegistry" "A network names a service registry that is not known.";
    NO_WORKLOADS = "IST0127" Warning "NoMatchingWorkloadsFound" "A policy selects no workload.";
    UNVERIFIED_SERVER = "IST0128" Warning "NoServerCertificateVerificationDestinationLevel"
        "A DestinationRule originates TLS without checking who answers.";
    UNVERIFIED_SERVER_PORT = "IST0129" Warning "NoServerCertificateVerificationPortLevel"
        "A port of a DestinationRule originates TLS without checking who answers.";
    UNREACHABLE_RULE = "IST0130" Warning "VirtualServiceUnreachableRule" "A rule can never be used.";
    INEFFECTIVE_MATCH = "IST0131" Info "VirtualServiceIneffectiveMatch" "A match repeats an earlier one.";
    HOST_NOT_IN_GATEWAY = "IST0132" Warning "VirtualServiceHostNotFoundInGateway"
        "No host of a VirtualService is among those of its Gateway.";
    ADDRESSES_REQUIRED = "IST0134" Warning "ServiceEntryAddressesRequired" "A ServiceEntry for TCP has no addresses.";
    DEPRECATED_ANNOTATION = "IST0135" Info "DeprecatedAnnotation" "An annotation is deprecated.";
    ALPHA_ANNOTATION = "IST0136" Info "AlphaAnnotation" "An annotation belongs to an unfinished feature.";
    DEPLOYMENT_PORTS = "IST0137" Warning "DeploymentConflictingPorts" "Services of one Deployment reach a port under different numbers.";
    SAME_CERTIFICATE = "IST0138" Warning "GatewayDuplicateCertificate" "Several Gateways serve the same certificate.";
    INVALID_WEBHOOK = "IST0139" Error "InvalidWebhook" "An admission webhook leads nowhere or overlaps another.";
    INGRESS_UNAFFECTED = "IST0140" Warning "IngressRouteRulesNotAffected"
        "Rules for a host in the mesh do not apply to what comes through a gateway.";
    RESERVED_UID = "IST0144" Warning "InvalidApplicationUID" "A workload runs as the user that is reserved for the sidecar.";
    GATEWAY_CONFLICT = "IST0145" Error "ConflictingGateways" "Two Gateways claim the same hosts on one port of the same pods.";
    IMAGE_AUTO_TEMPLATE = "IST0146" Warning "ImageAutoWithoutInjectionWarning"
        "A workload's image is to be set by injection, which does not apply to it.";
    IMAGE_AUTO_POD = "IST0147" Error "ImageAutoWithoutInjectionError" "A pod's image was to be set by injection, which did not happen.";
    CLAIMS_WITHOUT_AUTHENTICATION = "IST0149" Error "JwtClaimBasedRoutingWithoutRequestAuthN"
        "Rules look at token claims, but nothing validates tokens there.";
    EXTERNAL_NAME_PORT = "IST0150" Warning "ExternalNameServiceTypeInvalidPortName"
        "A port name of an ExternalName Service makes the port catch all TCP traffic.";
    RELATIVE_OPERATION = "IST0151" Warning "EnvoyFilterUsesRelativeOperation"
        "A patch relative to another filter has no priority and may not be applied.";
    WRONG_REPLACE = "IST0152" Error "EnvoyFilterUsesReplaceOperationIncorrectly" "REPLACE works on filters only.";
    WRONG_ADD = "IST0153" Error "EnvoyFilterUsesAddOperationIncorrectly" "ADD has no effect on this part of the configuration.";
    WRONG_REMOVE = "IST0154" Error "EnvoyFilterUsesRemoveOperationIncorrectly" "REMOVE has no effect on this part of the configuration.";
    RELATIVE_OPERATION_VERSION = "IST0155" Warning "EnvoyFilterUsesRelativeOperationWithProxyVersion"
        "A relative patch for one proxy version may not be applied during an upgrade.";
    TELEMETRY_PROVIDER = "IST0157" Warning "InvalidTelemetryProvider" "A Telemetry names no provider and there is no default one.";
    PROXY_IMAGE = "IST0158" Warning "PodsIstioProxyImageMismatchInNamespace" "Pods run another proxy image than injection would give them.";
    TELEMETRIES_SAME_WORKLOAD = "IST0159" Error "ConflictingTelemetryWorkloadSelectors" "Several Telemetries select one pod.";
    TELEMETRIES_WITHOUT_SELECTOR = "IST0160" Error "MultipleTelemetriesWithoutWorkloadSelectors"
        "A namespace has several Telemetries without workload selector.";
    INVALID_CREDENTIAL = "IST0161" Error "InvalidGatewayCredential" "A Gateway's certificate is incomplete, unreadable or expired.";
    GATEWAY_PORT = "IST0162" Warning "GatewayPortNotDefinedOnService" "A Gateway listens on a port that its Service does not lead to.";
    EXTERNAL_CONTROL_PLANE = "IST0163" Warning "InvalidExternalControlPlaneConfig" "The address of an external control plane does not resolve.";
    EXTERNAL_CONTROL_PLANE_ADDRESS = "IST0164" Info "ExternalControlPlaneAddressIsNotAHostname"
        "An external control plane is named by an IP address.";
    INTERNAL_GATEWAY = "IST0165" Warning "ReferencedInternalGateway" "A VirtualService refers to a Gateway that is made from another object.";
    INEFFECTIVE_SELECTOR = "IST0166" Warning "IneffectiveSelector" "A selector has no effect on pods of a Kubernetes Gateway.";
    INEFFECTIVE_POLICY = "IST0167" Warning "IneffectivePolicy" "A policy has no effect where it is.";
    NEGATIVE_CONDITION = "IST0171" Warning "NegativeConditionStatus" "A status condition says that something is wrong.";
    EMPTY_SUBSET = "IST0173" Error "DestinationRuleSubsetNotSelectPods" "A subset selects no pod.";
    UNKNOWN_RULE_HOST = "IST0174" Warning "UnknownDestinationRuleHost" "A DestinationRule is for a host that no service has.";
    KEY_FETCH = "IST0175" Warning "JwksUriFetchUnrestricted" "Keys are fetched from any address.";
    OLD_GATEWAY_API = "IST0176" Warning "GatewayAPICRDVersionBelowMinimum" "A Gateway API CRD is older than needed.";
    PROTOCOLS_DIFFER = "IST0177" Warning "ConflictingServiceEntryProtocol" "ServiceEntries give one host and port different protocols.";
}
