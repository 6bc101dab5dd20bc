//! What Kubernetes' types say about their fields beside names and types: how elements of lists are told apart in
//! server-side apply and in strategic merge patches, which records are owned as a whole, and which empty values are
//! written. Facts of Kubernetes 1.33's API.

use serde_json::{Value, json};

use super::{ListKind, Merge, Node};

/// Lists whose elements are told apart. Type (with its package where the name alone is not enough), field, keys of
/// server-side apply (`*` a set, `-` the list is one value), key of strategic merge patches (`*` a set of scalars, `-`
/// replaced, `!` behind a key: keys of elements are retained).
const LISTS: &[(&str, &str, &str, &str)] = &[
    ("ObjectMeta", "finalizers", "*", "*"),
    ("ObjectMeta", "ownerReferences", "uid", "uid"),
    ("PodSpec", "containers", "name", "name"),
    ("PodSpec", "initContainers", "name", "name"),
    ("PodSpec", "ephemeralContainers", "name", "name"),
    ("PodSpec", "volumes", "name", "name!"),
    ("PodSpec", "imagePullSecrets", "name", "name"),
    ("PodSpec", "hostAliases", "ip", "ip"),
    ("PodSpec", "topologySpreadConstraints", "topologyKey whenUnsatisfiable", "topologyKey"),
    ("PodSpec", "resourceClaims", "name", "name!"),
    ("PodSpec", "schedulingGates", "name", "name"),
    ("Container", "ports", "containerPort protocol", "containerPort"),
    ("Container", "env", "name", "name"),
    ("Container", "volumeMounts", "mountPath", "mountPath"),
    ("Container", "volumeDevices", "devicePath", "devicePath"),
    ("EphemeralContainer", "ports", "containerPort protocol", "containerPort"),
    ("EphemeralContainer", "env", "name", "name"),
    ("EphemeralContainer", "volumeMounts", "mountPath", "mountPath"),
    ("EphemeralContainer", "volumeDevices", "devicePath", "devicePath"),
    ("ResourceRequirements", "claims", "name", "-"),
    ("PodStatus", "conditions", "type", "type"),
    ("PodStatus", "podIPs", "ip", "ip"),
    ("PodStatus", "hostIPs", "-", "ip"),
    ("PodStatus", "resourceClaimStatuses", "name", "name!"),
    ("ContainerStatus", "volumeMounts", "mountPath", "mountPath"),
    ("ContainerStatus", "allocatedResourcesStatus", "name", "name"),
    ("ResourceStatus", "resources", "resourceID", "-"),
    ("ServiceSpec", "ports", "port protocol", "port"),
    ("ServiceStatus", "conditions", "type", "type"),
    ("ServiceAccount", "secrets", "name", "name"),
    ("NamespaceStatus", "conditions", "type", "type"),
    ("NodeSpec", "podCIDRs", "*", "*"),
    ("NodeStatus", "addresses", "type", "type"),
    ("NodeStatus", "conditions", "type", "type"),
    ("PersistentVolumeClaimStatus", "conditions", "type", "type"),
    ("ReplicationControllerStatus", "conditions", "type", "type"),
    ("DaemonSetStatus", "conditions", "type", "type"),
    ("DeploymentStatus", "conditions", "type", "type"),
    ("ReplicaSetStatus", "conditions", "type", "type"),
    ("StatefulSetStatus", "conditions", "type", "type"),
    ("JobStatus", "conditions", "-", "type"),
    ("UncountedTerminatedPods", "failed", "*", "-"),
    ("UncountedTerminatedPods", "succeeded", "*", "-"),
    ("PodFailurePolicyOnExitCodesRequirement", "values", "*", "-"),
    ("HorizontalPodAutoscalerStatus", "conditions", "type", "type"),
    ("PodDisruptionBudgetStatus", "conditions", "type", "type"),
    ("discovery.v1.Endpoint", "addresses", "*", "-"),
    ("MutatingWebhookConfiguration", "webhooks", "name", "name"),
    ("ValidatingWebhookConfiguration", "webhooks", "name", "name"),
    ("MutatingWebhook", "matchConditions", "name", "name"),
    ("ValidatingWebhook", "matchConditions", "name", "name"),
    ("ValidatingAdmissionPolicySpec", "matchConditions", "name", "name"),
    ("ValidatingAdmissionPolicySpec", "variables", "name", "name"),
    ("ValidatingAdmissionPolicyStatus", "conditions", "type", "-"),
    ("ValidatingAdmissionPolicyBindingSpec", "validationActions", "*", "-"),
    ("CustomResourceDefinitionStatus", "conditions", "type", "-"),
    ("JSONSchemaProps", "x-kubernetes-validations", "rule", "rule"),
    ("APIServiceStatus", "conditions", "type", "type"),
    ("ComponentStatus", "conditions", "type", "type"),
    ("CertificateSigningRequestStatus", "conditions", "type", "-"),
    ("FlowSchemaStatus", "conditions", "type", "type"),
    ("PriorityLevelConfigurationStatus", "conditions", "type", "type"),
    ("ServiceCIDRStatus", "conditions", "type", "type"),
    ("CSINodeSpec", "drivers", "name", "name"),
    ("CSIDriverSpec", "volumeLifecycleModes", "*", "-"),
];

/// Records that are owned as a whole.
const ATOMIC: &[&str] = &[
    "ConfigMapKeySelector",
    "autoscaling.v1.CrossVersionObjectReference",
    "core.v1.EndpointAddress",
    "core.v1.EndpointPort",
    "discovery.v1.EndpointPort",
    "LabelSelector",
    "LocalObjectReference",
    "NamedRuleWithOperations",
    "NodeSelector",
    "NodeSelectorTerm",
    "ObjectFieldSelector",
    "ObjectReference",
    "ParamKind",
    "ParamRef",
    "ResourceFieldSelector",
    "RoleRef",
    "ScopeSelector",
    "SecretKeySelector",
    "SecretReference",
    "ServiceBackendPort",
    "rbac.v1.Subject",
    "TopologySelectorTerm",
    "TypedLocalObjectReference",
];

/// Maps that are owned as a whole.
const ATOMIC_MAPS: &[(&str, &str)] = &[
    ("PodSpec", "nodeSelector"),
    ("ReplicationControllerSpec", "selector"),
    ("ServiceSpec", "selector"),
    ("Scheduling", "nodeSelector"),
];

/// Records whose unnamed fields a strategic merge patch removes.
const RETAIN: &[(&str, &str)] = &[("DeploymentSpec", "strategy")];

/// Records that are always written, beside those that every kind has and those that are required.
const ALWAYS: &[(&str, &str)] = &[
    ("Container", "resources"),
    ("EphemeralContainer", "resources"),
    ("DeploymentSpec", "strategy"),
    ("StatefulSetSpec", "updateStrategy"),
    ("DaemonSetSpec", "updateStrategy"),
    ("ReplicaSetSpec", "template"),
    ("PodTemplateSpec", "metadata"),
    ("PodTemplateSpec", "spec"),
    ("PodTemplate", "template"),
    ("PersistentVolumeClaimTemplate", "metadata"),
    ("PersistentVolumeClaimSpec", "resources"),
    ("JobTemplateSpec", "metadata"),
    ("JobTemplateSpec", "spec"),
    ("ServiceStatus", "loadBalancer"),
    ("IngressStatus", "loadBalancer"),
    ("NodeStatus", "daemonEndpoints"),
    ("NodeStatus", "nodeInfo"),
    ("NodeDaemonEndpoints", "kubeletEndpoint"),
    ("ContainerStatus", "state"),
    ("ContainerStatus", "lastState"),
    ("core.v1.Event", "source"),
    ("events.v1.Event", "regarding"),
    ("events.v1.Event", "deprecatedSource"),
    ("discovery.v1.Endpoint", "conditions"),
    ("NetworkPolicySpec", "podSelector"),
    ("TokenReviewStatus", "user"),
];

/// Values that are written even where they are empty, though they are not required.
const WRITTEN: &[(&str, &str)] = &[
    ("autoscaling.v2.HorizontalPodAutoscalerStatus", "currentMetrics"),
    ("core.v1.Event", "eventTime"),
    ("core.v1.Event", "firstTimestamp"),
    ("core.v1.Event", "lastTimestamp"),
    ("core.v1.Event", "reportingComponent"),
    ("core.v1.Event", "reportingInstance"),
    ("CustomResourceDefinitionStatus", "conditions"),
    ("CustomResourceDefinitionStatus", "storedVersions"),
    ("PodCondition", "lastProbeTime"),
    ("EndpointSlice", "ports"),
    ("ClusterRole", "rules"),
    ("Role", "rules"),
];

/// Optional numbers and flags whose zero is the same as none.
const ZERO_IS_NONE: &[&str] = &[
    "active",
    "allowed",
    "authenticated",
    "availableReplicas",
    "count",
    "currentNumberScheduled",
    "currentReplicas",
    "denied",
    "deprecated",
    "deprecatedCount",
    "exclusiveMaximum",
    "exclusiveMinimum",
    "failed",
    "failureThreshold",
    "fullyLabeledReplicas",
    "generation",
    "globalDefault",
    "groupPriorityMinimum",
    "healthCheckNodePort",
    "hostIPC",
    "hostNetwork",
    "hostPID",
    "hostPort",
    "initialDelaySeconds",
    "insecureSkipTLSVerify",
    "minReadySeconds",
    "nodePort",
    "nullable",
    "numberAvailable",
    "numberUnavailable",
    "observedGeneration",
    "paused",
    "periodSeconds",
    "preserveUnknownFields",
    "priorityLevel",
    "publishNotReadyAddresses",
    "readOnly",
    "readyReplicas",
    "signal",
    "stdin",
    "stdinOnce",
    "succeeded",
    "successThreshold",
    "tty",
    "unavailableReplicas",
    "uniqueItems",
    "unschedulable",
    "updatedNumberScheduled",
    "updatedReplicas",
    "versionPriority",
    "x-kubernetes-embedded-resource",
    "x-kubernetes-int-or-string",
];

/// The same for fields that other types have as well, with another meaning.
const ZERO_IS_NONE_IN: &[(&str, &str)] = &[
    ("ScaleSpec", "replicas"),
    ("DeploymentStatus", "replicas"),
    ("Probe", "timeoutSeconds"),
    ("PodDisruptionBudgetStatus", "observedGeneration"),
];

/// Optional texts whose empty value differs from none.
const EMPTY_IS_VALUE: &[(&str, &str)] = &[
    ("CronJobSpec", "timeZone"),
    ("PodDNSConfigOption", "value"),
    ("PersistentVolumeClaimSpec", "storageClassName"),
    ("IngressSpec", "ingressClassName"),
    ("ServiceSpec", "loadBalancerClass"),
    ("discovery.v1.Endpoint", "nodeName"),
    ("discovery.v1.Endpoint", "hostname"),
    ("discovery.v1.Endpoint", "zone"),
    ("discovery.v1.EndpointPort", "name"),
    ("discovery.v1.EndpointPort", "appProtocol"),
    ("LeaseSpec", "holderIdentity"),
    ("TypedLocalObjectReference", "apiGroup"),
    ("JSONSchemaProps", "$ref"),
    ("ParamRef", "name"),
];

/// What tells elements of a list apart that nobody set.
const DEFAULT_KEYS: &[(&str, &str, &str)] =
    &[("ContainerPort", "protocol", "TCP"), ("ServicePort", "protocol", "TCP")];

/// What the tables say of a field.
#[derive(Debug, Default)]
pub(super) struct Facts {
    pub(super) merge: Merge,
    pub(super) always: bool,
    pub(super) written: bool,
    pub(super) default: Option<Value>,
    list: Option<ListKind>,
    atomic_map: bool,
    zero_is_none: bool,
    empty_is_value: bool,
}

impl Facts {
    /// Writes into the shape of the field's value what is said of it here.
    pub(super) fn mark(&self, node: &mut Node) {
        match node {
            Node::List(list) => {
                if let Some(kind) = &self.list {
                    list.kind = kind.clone();
                }
            }
            Node::Map(map) => map.atomic = self.atomic_map,
            _ => {}
        }
    }

    pub(super) fn keeps_zero(&self, is_text: bool) -> bool {
        if is_text { self.empty_is_value } else { !self.zero_is_none }
    }
}

fn has(table: &[(&str, &str)], kind: &str, package: &str, field: &str) -> bool {
    table.iter().any(|(of, name)| *name == field && (*of == kind || *of == package))
}

/// Whether a record is owned as a whole.
pub(super) fn is_atomic(kind: &str, package: &str) -> bool {
    ATOMIC.iter().any(|of| *of == kind || *of == package)
}

/// What is known of field `field` of type `kind`, whose name with package and version is `package`.
pub(super) fn facts(kind: &str, package: &str, field: &str) -> Facts {
    let mut facts = Facts {
        always: has(ALWAYS, kind, package, field),
        written: has(WRITTEN, kind, package, field),
        atomic_map: has(ATOMIC_MAPS, kind, package, field),
        zero_is_none: ZERO_IS_NONE.contains(&field) || has(ZERO_IS_NONE_IN, kind, package, field),
        empty_is_value: has(EMPTY_IS_VALUE, kind, package, field),
        ..Facts::default()
    };
    facts.merge.retain_keys = has(RETAIN, kind, package, field);
    let line =
        LISTS.iter().find(|(of, name, ..)| *name == field && (*of == kind || *of == package));
    if let Some((_, _, apply, merge)) = line {
        facts.list = Some(match *apply {
            "-" => ListKind::Atomic,
            "*" => ListKind::Set,
            keys => ListKind::Map(keys.split(' ').map(str::to_owned).collect()),
        });
        facts.merge = Merge {
            list_key: match *merge {
                "-" => None,
                "*" => Some(""),
                key => Some(key.trim_end_matches('!')),
            },
            retain_keys: merge.ends_with('!'),
        };
    }
    let default = DEFAULT_KEYS.iter().find(|(of, name, _)| *of == kind && *name == field);
    facts.default = default.map(|(_, _, value)| json!(value));
    facts
}

/// Every type and field that the tables name.
#[cfg(test)]
pub(super) fn names() -> impl Iterator<Item = (&'static str, &'static str)> {
    let lists = LISTS.iter().map(|(kind, field, ..)| (*kind, *field));
    let keys = DEFAULT_KEYS.iter().map(|(kind, field, _)| (*kind, *field));
    let pairs = [ATOMIC_MAPS, RETAIN, ALWAYS, WRITTEN, ZERO_IS_NONE_IN, EMPTY_IS_VALUE];
    lists.chain(keys).chain(pairs.into_iter().flatten().copied())
}
