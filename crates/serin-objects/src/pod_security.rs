//! Pod Security: what the labels of a namespace let its pods do, by the standards `privileged`, `baseline` and `restricted`.
//!
//! A namespace has three levels: pods that break `enforce` are refused, those that break `warn` and templates of such pods are
//! stored with a warning, and those that break `audit` are noted in the audit log. What each level asks for is in `checks`.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;

use crate::Resource;
use crate::fields::{FieldError, Path};
use crate::go::quote;

mod checks;

/// What the labels begin with.
const PREFIX: &str = "pod-security.kubernetes.io/";
/// What the name of an entry of the audit log begins with.
const MODES: [&str; 3] = ["enforce", "audit", "warn"];

/// How much pods may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    /// Anything.
    Privileged,
    /// Nothing that is known to lead out of a container.
    Baseline,
    /// What is needed by programs that were hardened.
    Restricted,
}

impl Level {
    fn parse(text: &str) -> Option<Self> {
        match text {
            "privileged" => Some(Self::Privileged),
            "baseline" => Some(Self::Baseline),
            "restricted" => Some(Self::Restricted),
            _ => None,
        }
    }
}

/// A level as a version of Kubernetes defines it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standard {
    level: Level,
    /// The minor version; none for the latest one.
    minor: Option<u32>,
}

impl fmt::Display for Standard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let level = match self.level {
            Level::Privileged => "privileged",
            Level::Baseline => "baseline",
            Level::Restricted => "restricted",
        };
        match self.minor {
            Some(minor) => write!(f, "{level}:v1.{minor}"),
            None => write!(f, "{level}:latest"),
        }
    }
}

/// The minor version of `v1.30`; none inside for `latest`, and none at all for what is no version.
fn minor(text: &str) -> Option<Option<u32>> {
    if text == "latest" {
        return Some(None);
    }
    let digits = text.strip_prefix("v1.")?;
    let plain =
        digits.bytes().all(|it| it.is_ascii_digit()) && (digits == "0" || !digits.starts_with('0'));
    if plain { digits.parse().ok().map(Some) } else { None }
}

impl Standard {
    /// What a namespace says of a mode.
    fn of(namespace: &Value, mode: &str) -> Self {
        let labels = &namespace["metadata"]["labels"];
        let label = |name: &str| labels[format!("{PREFIX}{name}")].as_str();
        // A label that cannot be read cannot be stored either. If it was, nothing is let in by mistake.
        let unreadable = if mode == "enforce" { Level::Restricted } else { Level::Privileged };
        let level = label(mode).map(|text| Level::parse(text).unwrap_or(unreadable));
        let minor = label(&format!("{mode}-version")).and_then(minor).flatten();
        Self { level: level.unwrap_or(Level::Privileged), minor }
    }

    /// What of a pod is against it: reasons, and reasons with details.
    fn broken_by(self, metadata: &Value, spec: &Value) -> Option<Broken> {
        if self.level == Level::Privileged {
            return None;
        }
        let pod = checks::Pod { metadata, spec };
        let minor = self.minor.unwrap_or(u32::MAX);
        let found = checks::run(&pod, self.level == Level::Restricted, minor);
        if found.is_empty() {
            return None;
        }
        let reasons: Vec<&str> = found.iter().map(|it| it.reason.as_str()).collect();
        let details: Vec<String> =
            found.iter().map(|it| format!("{} ({})", it.reason, it.detail)).collect();
        Some(Broken { reasons: reasons.join(", "), details: details.join(", ") })
    }
}

/// How a pod breaks a standard.
struct Broken {
    reasons: String,
    details: String,
}

/// What the labels of a namespace say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    enforce: Standard,
    audit: Standard,
    warn: Standard,
}

/// What a policy makes of a write.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Judgement {
    /// Why it is refused.
    pub refusal: Option<String>,
    /// What its author should hear.
    pub warnings: Vec<String>,
    /// What is told in the audit log.
    pub notes: Vec<(String, String)>,
}

impl Policy {
    /// The policy of a namespace.
    pub fn of(namespace: &Value) -> Self {
        let [enforce, audit, warn] = MODES.map(|mode| Standard::of(namespace, mode));
        Self { enforce, audit, warn }
    }

    /// Whether pods may do anything, and nobody wants to know.
    fn is_open(self) -> bool {
        [self.enforce, self.audit, self.warn].iter().all(|it| it.level == Level::Privileged)
    }

    /// Judges a pod, or an object with a template of pods; `old` is the one that it replaces.
    pub fn judge(self, resource: &Resource, object: &Value, old: Option<&Value>) -> Judgement {
        let mut out = Judgement::default();
        if self.is_open() {
            return out;
        }
        let is_pod = resource.is("", "Pod");
        if is_pod && old.is_some_and(|old| !is_significant(old, object)) {
            return out;
        }
        let Some((metadata, spec)) = template(resource, object) else { return out };
        if is_pod {
            out.note("enforce-policy", self.enforce.to_string());
            if let Some(broken) = self.enforce.broken_by(metadata, spec) {
                out.refusal = Some(self.enforce.violated(&broken));
            }
        }
        if let Some(broken) = self.audit.broken_by(metadata, spec) {
            out.note("audit-violations", format!("would {}", self.audit.violate(&broken)));
        }
        // Who is refused hears why once.
        let broken = self.warn.broken_by(metadata, spec).filter(|_| out.refusal.is_none());
        if let Some(broken) = broken {
            out.warnings.push(format!("would {}", self.warn.violate(&broken)));
        }
        out
    }
}

impl Judgement {
    fn note(&mut self, name: &str, text: String) {
        self.notes.push((format!("{PREFIX}{name}"), text));
    }
}

impl Standard {
    fn violated(self, broken: &Broken) -> String {
        format!("violates PodSecurity {}: {}", quote(&self.to_string()), broken.details)
    }

    fn violate(self, broken: &Broken) -> String {
        format!("violate PodSecurity {}: {}", quote(&self.to_string()), broken.details)
    }
}

/// The metadata and the spec of the pods of an object.
fn template<'o>(resource: &Resource, object: &'o Value) -> Option<(&'o Value, &'o Value)> {
    if resource.is_custom() {
        return None;
    }
    let holder = match (resource.group.as_str(), resource.kind.as_str()) {
        ("", "Pod") => object,
        ("", "PodTemplate") => &object["template"],
        ("apps", "Deployment" | "ReplicaSet" | "StatefulSet" | "DaemonSet")
        | ("", "ReplicationController")
        | ("batch", "Job") => &object["spec"]["template"],
        ("batch", "CronJob") => &object["spec"]["jobTemplate"]["spec"]["template"],
        _ => return None,
    };
    holder["spec"].is_object().then(|| (&holder["metadata"], &holder["spec"]))
}

/// Whether pods are made from objects of a resource, or are those objects.
pub fn concerns(resource: &Resource) -> bool {
    // A template is looked for in an object that has one everywhere.
    static ANY: std::sync::LazyLock<Value> = std::sync::LazyLock::new(|| {
        let pod = serde_json::json!({"spec": {}});
        let spec = serde_json::json!({"template": pod, "jobTemplate": {"spec": {"template": pod}}});
        serde_json::json!({"spec": spec, "template": pod})
    });
    template(resource, &ANY).is_some()
}

/// Whether a change of a pod can matter: its deadline, tolerations and gates cannot.
fn is_significant(old: &Value, new: &Value) -> bool {
    let judged = |pod: &Value| {
        let mut spec = pod["spec"].clone();
        if let Some(map) = spec.as_object_mut() {
            for name in ["activeDeadlineSeconds", "tolerations", "schedulingGates"] {
                map.remove(name);
            }
        }
        (spec, pod["metadata"]["annotations"].clone())
    };
    judged(old) != judged(new)
}

/// What is wrong with the labels of a namespace; those that it had already are not looked at.
pub(crate) fn namespace_errors(old: Option<&Value>, namespace: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let path = Path::new("metadata.labels");
    let labels = &namespace["metadata"]["labels"];
    for mode in MODES {
        for (name, is_level) in [(mode.to_owned(), true), (format!("{mode}-version"), false)] {
            let name = format!("{PREFIX}{name}");
            let Some(text) = labels[&name].as_str() else { continue };
            if old.is_some_and(|old| old["metadata"]["labels"][&name] == text) {
                continue;
            }
            let why = match is_level {
                true if Level::parse(text).is_none() => {
                    "must be one of privileged, baseline, restricted"
                }
                false if minor(text).is_none() => "must be \"latest\" or \"v1.x\"",
                _ => continue,
            };
            errors.push(FieldError::invalid(&path.key(&name), text, why));
        }
    }
    errors
}

/// The standard that the pods of a namespace have to meet from now on, where that is more than before.
pub fn tightened(old: &Value, namespace: &Value) -> Option<Standard> {
    let (was, is) = (Policy::of(old).enforce, Policy::of(namespace).enforce);
    let eased = is.level == Level::Privileged || was.minor == is.minor && is.level <= was.level;
    (!eased).then_some(is)
}

/// What the author of stricter labels should hear of the pods that are there.
pub fn existing<'p>(
    standard: Standard,
    namespace: &str,
    pods: impl Iterator<Item = &'p Value>,
) -> Vec<String> {
    let mut all: BTreeMap<String, (String, usize)> = BTreeMap::new();
    for pod in pods {
        let Some(broken) = standard.broken_by(&pod["metadata"], &pod["spec"]) else { continue };
        let name = pod["metadata"]["name"].as_str().unwrap_or_default();
        let (first, count) = all.entry(broken.reasons).or_insert_with(|| (name.to_owned(), 0));
        if name < first.as_str() {
            name.clone_into(first);
        }
        *count += 1;
    }
    if all.is_empty() {
        return Vec::new();
    }
    let mut lines: Vec<String> = all
        .iter()
        .map(|(reasons, (name, count))| match count {
            1 => format!("{name}: {reasons}"),
            2 => format!("{name} (and 1 other pod): {reasons}"),
            more => format!("{name} (and {} other pods): {reasons}", more - 1),
        })
        .collect();
    lines.sort();
    let head = format!(
        "existing pods in namespace {} violate the new PodSecurity enforce level {}",
        quote(namespace),
        quote(&standard.to_string())
    );
    lines.insert(0, head);
    lines
}

#[cfg(test)]
mod tests;
