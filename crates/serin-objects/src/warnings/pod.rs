//! Pods and templates of pods.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{claim, fraction, old_volumes};
use crate::fields::Path;
use crate::go::quote;

/// Labels of nodes that have other names now.
const OLD_LABELS: &[(&str, &str)] = &[
    ("beta.kubernetes.io/arch", "deprecated since v1.14; use \"kubernetes.io/arch\" instead"),
    ("beta.kubernetes.io/os", "deprecated since v1.14; use \"kubernetes.io/os\" instead"),
    (
        "failure-domain.beta.kubernetes.io/region",
        "deprecated since v1.17; use \"topology.kubernetes.io/region\" instead",
    ),
    (
        "failure-domain.beta.kubernetes.io/zone",
        "deprecated since v1.17; use \"topology.kubernetes.io/zone\" instead",
    ),
    (
        "beta.kubernetes.io/instance-type",
        "deprecated since v1.17; use \"node.kubernetes.io/instance-type\" instead",
    ),
];

/// Annotations that do nothing any more.
const OLD_ANNOTATIONS: &[(&str, &str)] = &[
    (
        "scheduler.alpha.kubernetes.io/critical-pod",
        "non-functional in v1.16+; use the \"priorityClassName\" field instead",
    ),
    (
        "security.alpha.kubernetes.io/sysctls",
        "non-functional in v1.11+; use the \"sysctls\" field instead",
    ),
    (
        "security.alpha.kubernetes.io/unsafe-sysctls",
        "non-functional in v1.11+; use the \"sysctls\" field instead",
    ),
];

const NO_SELECTOR: &str = "a null labelSelector results in matching no pod";
const SECCOMP: &str = "non-functional in v1.27+; use the \"seccompProfile\" field instead";

fn old_label(name: &str) -> Option<&'static str> {
    OLD_LABELS.iter().find(|(it, _)| *it == name).map(|(_, what)| *what)
}

fn items(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value[name].as_str().unwrap_or_default()
}

/// The warnings for a pod, or for a template at `path`.
pub(super) fn check(out: &mut Vec<String>, path: &Path, pod: &Value) {
    let (metadata, spec) = (&pod["metadata"], &pod["spec"]);
    let at = path.child("spec");
    nodes(out, &at, spec);
    let annotations = path.child("metadata.annotations");
    for (name, what) in OLD_ANNOTATIONS {
        if metadata["annotations"][*name].is_string() {
            out.push(format!("{}: {what}", annotations.key(name)));
        }
    }
    for (index, it) in items(&spec["volumes"]).iter().enumerate() {
        let at = at.child("volumes").index(index);
        old_volumes(out, &at, it);
        let template = &it["ephemeral"]["volumeClaimTemplate"];
        claim(out, &at.child("ephemeral.volumeClaimTemplate.spec"), &template["spec"]);
    }
    twice(out, &at.child("hostAliases"), &spec["hostAliases"], "ip");
    twice(out, &at.child("imagePullSecrets"), &spec["imagePullSecrets"], "name");
    for (index, it) in items(&spec["imagePullSecrets"]).iter().enumerate() {
        if text(it, "name").is_empty() {
            let at = at.child("imagePullSecrets").index(index).child("name");
            out.push(format!("{at}: invalid empty name \"\""));
        }
    }
    for name in ["memory", "ephemeral-storage"] {
        fraction(out, &at.child("overhead"), &spec["overhead"], name);
    }
    let name = "seccomp.security.alpha.kubernetes.io/pod";
    if !spec["securityContext"]["seccompProfile"].is_object()
        && metadata["annotations"][name].is_string()
    {
        out.push(format!("{}: {SECCOMP}", annotations.key(name)));
    }
    let all = containers(&at, spec);
    for (at, it) in &all {
        container(out, at, it, (path, pod));
    }
    ports(out, &all);
    if spec["terminationGracePeriodSeconds"].as_i64().is_some_and(|it| it < 0) {
        let at = at.child("terminationGracePeriodSeconds");
        out.push(format!(
            "{at}: must be >= 0; negative values are invalid and will be treated as 1"
        ));
    }
    for kind in ["podAffinity", "podAntiAffinity"] {
        others(out, &at.child("affinity").child(kind), &spec["affinity"][kind]);
    }
}

/// The containers of a pod with their paths, in the order in which they start.
fn containers<'p>(path: &Path, spec: &'p Value) -> Vec<(Path, &'p Value)> {
    let lists = ["initContainers", "containers", "ephemeralContainers"].into_iter();
    let all = lists.flat_map(|list| {
        let path = path.child(list);
        items(&spec[list]).iter().enumerate().map(move |(index, it)| (path.index(index), it))
    });
    all.collect()
}

/// What is said of nodes.
fn nodes(out: &mut Vec<String>, path: &Path, spec: &Value) {
    for (name, _) in spec["nodeSelector"].as_object().into_iter().flatten() {
        if let Some(what) = old_label(name) {
            out.push(format!("{}: {what}", path.child("nodeSelector").key(name)));
        }
    }
    let affinity = &spec["affinity"]["nodeAffinity"];
    let (required, preferred) = (
        "requiredDuringSchedulingIgnoredDuringExecution",
        "preferredDuringSchedulingIgnoredDuringExecution",
    );
    let at = path.child("affinity.nodeAffinity");
    for (index, it) in items(&affinity[required]["nodeSelectorTerms"]).iter().enumerate() {
        node_term(out, &at.child(required).child("nodeSelectorTerms").index(index), it);
    }
    for (index, it) in items(&affinity[preferred]).iter().enumerate() {
        node_term(out, &at.child(preferred).index(index).child("preference"), &it["preference"]);
    }
    for (index, it) in items(&spec["topologySpreadConstraints"]).iter().enumerate() {
        let at = path.child("topologySpreadConstraints").index(index);
        let key = text(it, "topologyKey");
        if let Some(what) = old_label(key) {
            out.push(format!("{}: {key} is {what}", at.child("topologyKey")));
        }
        if it["labelSelector"].is_null() {
            out.push(format!("{}: {NO_SELECTOR}", at.child("labelSelector")));
        }
    }
}

/// A choice of nodes.
pub(super) fn node_term(out: &mut Vec<String>, path: &Path, term: &Value) {
    for (index, it) in items(&term["matchExpressions"]).iter().enumerate() {
        let key = text(it, "key");
        if let Some(what) = old_label(key) {
            let at = path.child("matchExpressions").index(index).child("key");
            out.push(format!("{at}: {key} is {what}"));
        }
    }
}

/// A field that two elements of a list share.
fn twice(out: &mut Vec<String>, path: &Path, list: &Value, field: &str) {
    let mut seen = BTreeSet::new();
    for (index, it) in items(list).iter().enumerate() {
        let value = text(it, field);
        if !seen.insert(value) {
            let at = path.index(index).child(field);
            out.push(format!("{at}: duplicate {field} {}", quote(value)));
        }
    }
}

fn container(out: &mut Vec<String>, path: &Path, it: &Value, (root, pod): (&Path, &Value)) {
    let annotations = &pod["metadata"]["annotations"];
    let at = root.child("metadata.annotations");
    let (name, context) = (text(it, "name"), &it["securityContext"]);
    let key = format!("container.seccomp.security.alpha.kubernetes.io/{name}");
    if !context["seccompProfile"].is_object() && annotations[&key].is_string() {
        out.push(format!("{}: {SECCOMP}", at.key(&key)));
    }
    let key = format!("container.apparmor.security.beta.kubernetes.io/{name}");
    let has_field = context["appArmorProfile"].is_object()
        || pod["spec"]["securityContext"]["appArmorProfile"].is_object();
    if !root.as_str().is_empty() && !has_field && annotations[&key].is_string() {
        let what = "deprecated since v1.30; use the \"appArmorProfile\" field instead";
        out.push(format!("{}: {what}", at.key(&key)));
    }
    for resource in ["memory", "ephemeral-storage"] {
        for part in ["limits", "requests"] {
            let at = path.child("resources").child(part);
            fraction(out, &at, &it["resources"][part], resource);
        }
    }
    let mut seen = BTreeSet::new();
    for (index, it) in items(&it["env"]).iter().enumerate() {
        let (name, value) = (text(it, "name"), text(it, "value"));
        let reference = format!("$({name})");
        let lost = it["valueFrom"].is_object() || value == reference || !value.contains(&reference);
        if !seen.insert(name) && lost {
            let at = path.child("env").index(index);
            let name = quote(name);
            out.push(format!(
                "{at}: hides previous definition of {name}, which may be dropped when using apply"
            ));
        }
    }
}

/// Ports that several containers have.
fn ports(out: &mut Vec<String>, containers: &[(Path, &Value)]) {
    let all = || {
        containers.iter().flat_map(|(path, it)| {
            let each = items(&it["ports"]).iter().enumerate();
            each.map(move |(index, port)| (path.child("ports").index(index), port))
        })
    };
    let number = |port: &Value, name: &str| port[name].as_i64().unwrap_or(0);
    let mut seen: BTreeMap<String, Vec<(Path, &Value)>> = BTreeMap::new();
    for (at, port) in all() {
        let key = format!("{}/{}", number(port, "containerPort"), text(port, "protocol"));
        let others = seen.entry(key).or_default();
        for (other_at, other) in others.iter() {
            let same_ip = text(port, "hostIP") == text(other, "hostIP");
            let (host, other_host) = (number(port, "hostPort"), number(other, "hostPort"));
            let one_open = text(port, "hostIP").is_empty() != text(other, "hostIP").is_empty();
            let what = if same_ip && host == other_host {
                "duplicate"
            } else if host == 0 || other_host == 0 {
                "overlapping"
            } else if host == other_host && one_open {
                "dangerously ambiguous"
            } else {
                continue;
            };
            out.push(format!("{at}: {what} port definition with {other_at}"));
        }
        others.push((at, port));
    }
    let mut names: BTreeMap<&str, Path> = BTreeMap::new();
    for (at, port) in all() {
        let name = text(port, "name");
        if name.is_empty() {
            continue;
        }
        match names.get(name) {
            Some(first) => out.push(format!(
                "{at}: duplicate port name {} with {first}, services and probes that select ports by name will use {first}",
                quote(name)
            )),
            None => {
                names.insert(name, at);
            }
        }
    }
}

/// What is said of other pods.
fn others(out: &mut Vec<String>, path: &Path, affinity: &Value) {
    let required = "requiredDuringSchedulingIgnoredDuringExecution";
    for (index, it) in items(&affinity[required]).iter().enumerate() {
        if it["labelSelector"].is_null() {
            let at = path.child(required).index(index).child("labelSelector");
            out.push(format!("{at}: {NO_SELECTOR}"));
        }
    }
    let preferred = "preferredDuringSchedulingIgnoredDuringExecution";
    for (index, it) in items(&affinity[preferred]).iter().enumerate() {
        if it["podAffinityTerm"]["labelSelector"].is_null() {
            let at = path.child(preferred).index(index).child("podAffinityTerm.labelSelector");
            out.push(format!("{at}: {NO_SELECTOR}"));
        }
    }
}
