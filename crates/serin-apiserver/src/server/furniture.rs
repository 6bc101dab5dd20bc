//! Objects of Kubernetes' own that every cluster has, beside roles and namespaces: priority classes, the range of Service
//! addresses, and levels of flow control.
//!
//! Flow control is there to be read: this server answers every request as it comes.

use serde_json::{Value, json};

/// The path of each kind, and its objects.
pub(super) fn all() -> Vec<(&'static str, Vec<Value>)> {
    const FLOW: &str = "flowcontrol.apiserver.k8s.io/v1";
    let levels = LEVELS.iter().map(|it| level(FLOW, it)).collect();
    let flows = FLOWS.iter().map(|it| flow(FLOW, it)).collect();
    vec![
        ("/apis/scheduling.k8s.io/v1/priorityclasses", priority_classes()),
        ("/apis/networking.k8s.io/v1/servicecidrs", vec![service_range()]),
        ("/apis/flowcontrol.apiserver.k8s.io/v1/prioritylevelconfigurations", levels),
        ("/apis/flowcontrol.apiserver.k8s.io/v1/flowschemas", flows),
    ]
}

/// The classes of what a cluster cannot do without.
fn priority_classes() -> Vec<Value> {
    let class = |name: &str, value: i64, description: &str| {
        json!({"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass",
            "metadata": {"name": name}, "value": value, "description": description})
    };
    let (node, cluster) = ("system-node-critical", "system-cluster-critical");
    vec![
        class(
            node,
            2_000_001_000,
            "Used for system critical pods that must not be moved from their current node.",
        ),
        class(
            cluster,
            2_000_000_000,
            "Used for system critical pods that must run in the cluster, but can be moved to another node if necessary.",
        ),
    ]
}

fn service_range() -> Value {
    json!({"apiVersion": "networking.k8s.io/v1", "kind": "ServiceCIDR",
        "metadata": {"name": "kubernetes"}, "spec": {"cidrs": ["10.96.0.0/12"]}})
}

/// A level: its name, shares, and the number of queues with the size of a hand; without queues, requests are refused. The
/// exempt one has no shares.
type Level = (&'static str, i64, Option<(i64, i64)>);

const LEVELS: &[Level] = &[
    ("catch-all", 5, None),
    ("exempt", 0, None),
    ("global-default", 20, Some((128, 6))),
    ("leader-election", 10, Some((16, 4))),
    ("node-high", 40, Some((64, 6))),
    ("system", 30, Some((64, 6))),
    ("workload-high", 40, Some((128, 6))),
    ("workload-low", 100, Some((128, 6))),
];

const AUTOUPDATE: &str = "apf.kubernetes.io/autoupdate-spec";

fn level(api_version: &str, (name, shares, queues): &Level) -> Value {
    let lendable = match *name {
        "node-high" => 25,
        "system" => 33,
        "workload-high" => 50,
        "workload-low" => 90,
        "global-default" => 50,
        _ => 0,
    };
    let spec = match (name, queues) {
        (&"exempt", _) => {
            json!({"type": "Exempt", "exempt": {"nominalConcurrencyShares": 0, "lendablePercent": 0}})
        }
        (_, None) => json!({"type": "Limited", "limited": {
            "nominalConcurrencyShares": shares, "lendablePercent": lendable, "limitResponse": {"type": "Reject"}}}),
        (_, Some((queues, hand))) => json!({"type": "Limited", "limited": {
            "nominalConcurrencyShares": shares, "lendablePercent": lendable,
            "limitResponse": {"type": "Queue", "queuing":
                {"queues": queues, "handSize": hand, "queueLengthLimit": 50}}}}),
    };
    json!({"apiVersion": api_version, "kind": "PriorityLevelConfiguration",
        "metadata": {"name": name, "annotations": {AUTOUPDATE: "true"}}, "spec": spec})
}

/// A flow: its name, level, precedence, what tells flows apart, and whose requests are in it: `u:` a user, `g:` a group, `s:`
/// a service account of the system. All their requests are, except where resources or paths are named.
type Flow = (&'static str, &'static str, i64, &'static str, &'static [&'static str], Part);

/// Which requests.
#[derive(Clone, Copy)]
enum Part {
    All,
    /// Resources of a group, in a namespace.
    Resources(&'static str, &'static [&'static str], &'static str),
    Paths(&'static [&'static str]),
}

const LEASES: Part = Part::Resources("coordination.k8s.io", &["leases"], "kube-system");

const FLOWS: &[Flow] = &[
    ("catch-all", "catch-all", 10000, "ByUser", EVERYONE, Part::All),
    (
        "endpoint-controller",
        "workload-high",
        150,
        "ByUser",
        &[
            "u:system:kube-controller-manager",
            "s:endpoint-controller",
            "s:endpointslice-controller",
        ],
        Part::Resources("", &["endpoints"], "*"),
    ),
    ("exempt", "exempt", 1, "", &["g:system:masters"], Part::All),
    ("global-default", "global-default", 9900, "ByUser", EVERYONE, Part::All),
    (
        "kube-controller-manager",
        "workload-high",
        800,
        "ByNamespace",
        &["u:system:kube-controller-manager"],
        Part::All,
    ),
    (
        "kube-scheduler",
        "workload-high",
        800,
        "ByNamespace",
        &["u:system:kube-scheduler"],
        Part::All,
    ),
    ("kube-system-service-accounts", "workload-high", 900, "ByNamespace", &["s:*"], Part::All),
    ("probes", "exempt", 2, "", &["g:system:unauthenticated", "g:system:authenticated"], PROBES),
    ("service-accounts", "workload-low", 9000, "ByUser", &["g:system:serviceaccounts"], Part::All),
    (
        "system-leader-election",
        "leader-election",
        100,
        "ByUser",
        &["u:system:kube-controller-manager", "u:system:kube-scheduler", "s:*"],
        LEASES,
    ),
    (
        "system-node-high",
        "node-high",
        400,
        "ByUser",
        &["g:system:nodes"],
        Part::Resources("", &["nodes", "nodes/status"], "*"),
    ),
    ("system-nodes", "system", 500, "ByUser", &["g:system:nodes"], Part::All),
    ("workload-leader-election", "leader-election", 200, "ByUser", &["s:*"], LEASES),
];

const EVERYONE: &[&str] = &["g:system:unauthenticated", "g:system:authenticated"];
const PROBES: Part = Part::Paths(&["/healthz", "/readyz", "/livez"]);

fn flow(api_version: &str, (name, level, precedence, method, subjects, part): &Flow) -> Value {
    let subjects: Vec<Value> = subjects.iter().map(|it| subject(it)).collect();
    let everything = json!({"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"],
        "clusterScope": true, "namespaces": ["*"]});
    let rule = match part {
        Part::All => json!({"subjects": subjects, "resourceRules": [everything],
            "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}]}),
        Part::Resources(group, resources, namespace) => {
            json!({"subjects": subjects, "resourceRules": [
            {"verbs": ["*"], "apiGroups": [group], "resources": resources,
             "clusterScope": *namespace == "*", "namespaces": [namespace]}]})
        }
        Part::Paths(paths) => json!({"subjects": subjects,
            "nonResourceRules": [{"verbs": ["get"], "nonResourceURLs": paths}]}),
    };
    let mut spec = json!({
        "priorityLevelConfiguration": {"name": level},
        "matchingPrecedence": precedence,
        "rules": [rule],
    });
    if !method.is_empty() {
        spec["distinguisherMethod"] = json!({"type": method});
    }
    json!({"apiVersion": api_version, "kind": "FlowSchema",
        "metadata": {"name": name, "annotations": {AUTOUPDATE: "true"}}, "spec": spec})
}

fn subject(text: &str) -> Value {
    match text.split_once(':') {
        Some(("u", name)) => json!({"kind": "User", "user": {"name": name}}),
        Some(("s", name)) => json!({"kind": "ServiceAccount",
            "serviceAccount": {"namespace": "kube-system", "name": name}}),
        Some((_, name)) => json!({"kind": "Group", "group": {"name": name}}),
        None => Value::Null,
    }
}

/// What servers that others register at this one need to know whom they hear: the authority of client certificates.
pub(super) fn client_authority(authority: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "extension-apiserver-authentication", "namespace": "kube-system"},
        "data": {"client-ca-file": authority}})
}

/// The status that an object of these kinds has from the start.
pub(crate) fn status(kind: &str, now: &str) -> Option<Value> {
    match kind {
        "FlowSchema" => Some(json!({"conditions": [{
            "type": "Dangling", "status": "False", "reason": "Found", "lastTransitionTime": now,
            "message": "the level that requests of this flow have is there",
        }]})),
        "ServiceCIDR" => Some(json!({"conditions": [{
            "type": "Ready", "status": "True", "reason": "", "lastTransitionTime": now,
            "message": "addresses are given out from this range",
        }]})),
        _ => None,
    }
}
