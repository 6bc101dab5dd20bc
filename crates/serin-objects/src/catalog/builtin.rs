//! The table of Kubernetes' own resources.

use super::{ALL_VERBS, Resource, Source, Storage, Subresource};

/// A line of the table.
struct Line {
    group: &'static str,
    version: &'static str,
    kind: &'static str,
    plural: &'static str,
    short: &'static str,
    categories: &'static str,
    flags: &'static str,
    subresources: &'static [Sub],
}

/// A subresource: name, kind as `group/version/Kind` (empty: the resource's own), verbs.
type Sub = (&'static str, &'static str, &'static str);

const STATUS: Sub = ("status", "", "get patch update");
const SCALE: Sub = ("scale", "autoscaling/v1/Scale", "get patch update");
const PROXY: &str = "create delete get patch update";

const POD: &[Sub] = &[
    ("attach", "v1/PodAttachOptions", "create get"),
    ("binding", "v1/Binding", "create"),
    ("ephemeralcontainers", "v1/Pod", "get patch update"),
    ("eviction", "policy/v1/Eviction", "create"),
    ("exec", "v1/PodExecOptions", "create get"),
    ("log", "", "get"),
    ("portforward", "v1/PodPortForwardOptions", "create get"),
    ("proxy", "v1/PodProxyOptions", PROXY),
    ("resize", "", "get patch update"),
    STATUS,
];

const NONE: &[Sub] = &[];
const WITH_STATUS: &[Sub] = &[STATUS];
const WORKLOAD: &[Sub] = &[SCALE, STATUS];

const fn line(
    api: (&'static str, &'static str),
    kind: &'static str,
    names: (&'static str, &'static str, &'static str),
    flags: &'static str,
    subresources: &'static [Sub],
) -> Line {
    let (group, version) = api;
    let (plural, short, categories) = names;
    Line { group, version, kind, plural, short, categories, flags, subresources }
}

const CORE: (&str, &str) = ("", "v1");
const APIREG: (&str, &str) = ("apiregistration.k8s.io", "v1");
const APPS: (&str, &str) = ("apps", "v1");
const EVENTS: (&str, &str) = ("events.k8s.io", "v1");
const AUTHN: (&str, &str) = ("authentication.k8s.io", "v1");
const AUTHZ: (&str, &str) = ("authorization.k8s.io", "v1");
const HPA2: (&str, &str) = ("autoscaling", "v2");
const HPA1: (&str, &str) = ("autoscaling", "v1");
const BATCH: (&str, &str) = ("batch", "v1");
const NET: (&str, &str) = ("networking.k8s.io", "v1");
const POLICY: (&str, &str) = ("policy", "v1");
const RBAC: (&str, &str) = ("rbac.authorization.k8s.io", "v1");
const STORAGE: (&str, &str) = ("storage.k8s.io", "v1");
const ADMISSION: (&str, &str) = ("admissionregistration.k8s.io", "v1");
const APIEXT: (&str, &str) = ("apiextensions.k8s.io", "v1");
const SCHEDULING: (&str, &str) = ("scheduling.k8s.io", "v1");
const LEASES: (&str, &str) = ("coordination.k8s.io", "v1");
const DISCOVERY: (&str, &str) = ("discovery.k8s.io", "v1");
const CERTIFICATES: (&str, &str) = ("certificates.k8s.io", "v1");
const NODE: (&str, &str) = ("node.k8s.io", "v1");
const FLOW: (&str, &str) = ("flowcontrol.apiserver.k8s.io", "v1");

/// Flags: `n` namespaced, `r` a review that is only answered, `b` no deletion of collections, `g` only read.
const LINES: &[Line] = &[
    line(CORE, "Binding", ("bindings", "", ""), "nr", NONE),
    line(CORE, "ComponentStatus", ("componentstatuses", "cs", ""), "g", NONE),
    line(CORE, "ConfigMap", ("configmaps", "cm", ""), "n", NONE),
    line(CORE, "Endpoints", ("endpoints", "ep", ""), "n", NONE),
    line(CORE, "Event", ("events", "ev", ""), "n", NONE),
    line(CORE, "LimitRange", ("limitranges", "limits", ""), "n", NONE),
    line(CORE, "Namespace", ("namespaces", "ns", ""), "b", &[("finalize", "", "update"), STATUS]),
    line(CORE, "Node", ("nodes", "no", ""), "", &[("proxy", "v1/NodeProxyOptions", PROXY), STATUS]),
    line(CORE, "PersistentVolume", ("persistentvolumes", "pv", ""), "", WITH_STATUS),
    line(CORE, "PersistentVolumeClaim", ("persistentvolumeclaims", "pvc", ""), "n", WITH_STATUS),
    line(CORE, "Pod", ("pods", "po", "all"), "n", POD),
    line(CORE, "PodTemplate", ("podtemplates", "", ""), "n", NONE),
    line(CORE, "ReplicationController", ("replicationcontrollers", "rc", "all"), "n", WORKLOAD),
    line(CORE, "ResourceQuota", ("resourcequotas", "quota", ""), "n", WITH_STATUS),
    line(CORE, "Secret", ("secrets", "", ""), "n", NONE),
    line(
        CORE,
        "ServiceAccount",
        ("serviceaccounts", "sa", ""),
        "n",
        &[("token", "authentication.k8s.io/v1/TokenRequest", "create")],
    ),
    line(
        CORE,
        "Service",
        ("services", "svc", "all"),
        "n",
        &[("proxy", "v1/ServiceProxyOptions", PROXY), STATUS],
    ),
    line(APIREG, "APIService", ("apiservices", "", "api-extensions"), "", WITH_STATUS),
    line(APPS, "ControllerRevision", ("controllerrevisions", "", ""), "n", NONE),
    line(APPS, "DaemonSet", ("daemonsets", "ds", "all"), "n", WITH_STATUS),
    line(APPS, "Deployment", ("deployments", "deploy", "all"), "n", WORKLOAD),
    line(APPS, "ReplicaSet", ("replicasets", "rs", "all"), "n", WORKLOAD),
    line(APPS, "StatefulSet", ("statefulsets", "sts", "all"), "n", WORKLOAD),
    line(EVENTS, "Event", ("events", "ev", ""), "n", NONE),
    line(AUTHN, "SelfSubjectReview", ("selfsubjectreviews", "", ""), "r", NONE),
    line(AUTHN, "TokenReview", ("tokenreviews", "", ""), "r", NONE),
    line(AUTHZ, "LocalSubjectAccessReview", ("localsubjectaccessreviews", "", ""), "nr", NONE),
    line(AUTHZ, "SelfSubjectAccessReview", ("selfsubjectaccessreviews", "", ""), "r", NONE),
    line(AUTHZ, "SelfSubjectRulesReview", ("selfsubjectrulesreviews", "", ""), "r", NONE),
    line(AUTHZ, "SubjectAccessReview", ("subjectaccessreviews", "", ""), "r", NONE),
    line(
        HPA2,
        "HorizontalPodAutoscaler",
        ("horizontalpodautoscalers", "hpa", "all"),
        "n",
        WITH_STATUS,
    ),
    line(
        HPA1,
        "HorizontalPodAutoscaler",
        ("horizontalpodautoscalers", "hpa", "all"),
        "n",
        WITH_STATUS,
    ),
    line(BATCH, "CronJob", ("cronjobs", "cj", "all"), "n", WITH_STATUS),
    line(BATCH, "Job", ("jobs", "", "all"), "n", WITH_STATUS),
    line(
        CERTIFICATES,
        "CertificateSigningRequest",
        ("certificatesigningrequests", "csr", ""),
        "",
        &[("approval", "", "get patch update"), STATUS],
    ),
    line(NET, "IngressClass", ("ingressclasses", "", ""), "", NONE),
    line(NET, "Ingress", ("ingresses", "ing", ""), "n", WITH_STATUS),
    line(NET, "IPAddress", ("ipaddresses", "ip", ""), "", NONE),
    line(NET, "NetworkPolicy", ("networkpolicies", "netpol", ""), "n", NONE),
    line(NET, "ServiceCIDR", ("servicecidrs", "", ""), "", WITH_STATUS),
    line(POLICY, "PodDisruptionBudget", ("poddisruptionbudgets", "pdb", ""), "n", WITH_STATUS),
    line(RBAC, "ClusterRoleBinding", ("clusterrolebindings", "", ""), "", NONE),
    line(RBAC, "ClusterRole", ("clusterroles", "", ""), "", NONE),
    line(RBAC, "RoleBinding", ("rolebindings", "", ""), "n", NONE),
    line(RBAC, "Role", ("roles", "", ""), "n", NONE),
    line(STORAGE, "CSIDriver", ("csidrivers", "", ""), "", NONE),
    line(STORAGE, "CSINode", ("csinodes", "", ""), "", NONE),
    line(STORAGE, "CSIStorageCapacity", ("csistoragecapacities", "", ""), "n", NONE),
    line(STORAGE, "StorageClass", ("storageclasses", "sc", ""), "", NONE),
    line(STORAGE, "VolumeAttachment", ("volumeattachments", "", ""), "", WITH_STATUS),
    line(
        ADMISSION,
        "MutatingWebhookConfiguration",
        ("mutatingwebhookconfigurations", "", "api-extensions"),
        "",
        NONE,
    ),
    line(
        ADMISSION,
        "ValidatingAdmissionPolicy",
        ("validatingadmissionpolicies", "", "api-extensions"),
        "",
        WITH_STATUS,
    ),
    line(
        ADMISSION,
        "ValidatingAdmissionPolicyBinding",
        ("validatingadmissionpolicybindings", "", "api-extensions"),
        "",
        NONE,
    ),
    line(
        ADMISSION,
        "ValidatingWebhookConfiguration",
        ("validatingwebhookconfigurations", "", "api-extensions"),
        "",
        NONE,
    ),
    line(
        APIEXT,
        "CustomResourceDefinition",
        ("customresourcedefinitions", "crd crds", "api-extensions"),
        "",
        WITH_STATUS,
    ),
    line(SCHEDULING, "PriorityClass", ("priorityclasses", "pc", ""), "", NONE),
    line(LEASES, "Lease", ("leases", "", ""), "n", NONE),
    line(NODE, "RuntimeClass", ("runtimeclasses", "", ""), "", NONE),
    line(DISCOVERY, "EndpointSlice", ("endpointslices", "", ""), "n", NONE),
    line(FLOW, "FlowSchema", ("flowschemas", "", ""), "", WITH_STATUS),
    line(
        FLOW,
        "PriorityLevelConfiguration",
        ("prioritylevelconfigurations", "", ""),
        "",
        WITH_STATUS,
    ),
];

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

impl Line {
    fn resource(&self) -> Resource {
        let is_review = self.flags.contains('r');
        let verbs = if is_review {
            texts!["create"]
        } else if self.flags.contains('g') {
            texts!["get", "list"]
        } else if self.flags.contains('b') {
            let some = ALL_VERBS.iter().filter(|verb| **verb != "deletecollection");
            some.map(|it| (*it).to_owned()).collect()
        } else {
            ALL_VERBS.iter().map(|it| (*it).to_owned()).collect()
        };
        Resource {
            group: self.group.to_owned(),
            version: self.version.to_owned(),
            plural: self.plural.to_owned(),
            singular: self.kind.to_lowercase(),
            kind: self.kind.to_owned(),
            list_kind: format!("{}List", self.kind),
            short_names: words(self.short),
            categories: words(self.categories),
            namespaced: self.flags.contains('n'),
            verbs,
            subresources: self.subresources.iter().map(|it| self.subresource(it)).collect(),
            storage: self.storage(),
            source: Source::Builtin,
        }
    }

    fn subresource(&self, (name, kind, verbs): &Sub) -> Subresource {
        let parts: Vec<&str> = kind.split('/').collect();
        let (group, version, kind) = match parts.as_slice() {
            [group, version, kind] => (*group, *version, *kind),
            [version, kind] => ("", *version, *kind),
            _ => ("", "", self.kind),
        };
        Subresource {
            name: (*name).to_owned(),
            group: group.to_owned(),
            version: version.to_owned(),
            kind: kind.to_owned(),
            verbs: words(verbs),
        }
    }

    /// Events are one set of objects under two groups, and autoscalers under two versions.
    fn storage(&self) -> Storage {
        let (group, version) = match (self.kind, self.group) {
            ("Event", _) => ("", "v1"),
            ("HorizontalPodAutoscaler", _) => ("autoscaling", "v2"),
            _ => (self.group, self.version),
        };
        Storage {
            group: group.to_owned(),
            plural: self.plural.to_owned(),
            version: version.to_owned(),
        }
    }
}

pub(super) fn resources() -> impl Iterator<Item = Resource> {
    LINES.iter().map(Line::resource)
}
