//! Label and field selectors of lists and watches.

use serde_json::Value;

use crate::Resource;
use crate::go::quote;

/// A label selector.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Labels {
    requirements: Vec<Requirement>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Requirement {
    key: String,
    operator: Operator,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Operator {
    In(Vec<String>),
    NotIn(Vec<String>),
    Exists,
    Absent,
    Greater(i64),
    Less(i64),
}

mod parse;

impl Labels {
    /// Reads a selector such as `app=web,track notin (canary),!legacy`.
    ///
    /// # Errors
    /// What is wrong, as Kubernetes words it.
    pub fn parse(text: &str) -> Result<Self, String> {
        parse::labels(text)
    }

    /// The selector of a `LabelSelector` object, which selects nothing when it is absent and all when it is empty.
    ///
    /// # Errors
    /// What is wrong, as Kubernetes words it.
    pub fn from_object(selector: &Value) -> Result<Self, String> {
        parse::object(selector)
    }

    /// The selector that asks for exactly these labels.
    pub fn from_map(labels: &Value) -> Self {
        let entries = labels.as_object().into_iter().flatten();
        let requirement = |(key, value): (&String, &Value)| Requirement {
            key: key.clone(),
            operator: Operator::In(vec![value.as_str().unwrap_or_default().to_owned()]),
        };
        Self { requirements: entries.map(requirement).collect() }
    }

    /// Whether it asks for nothing.
    pub fn is_empty(&self) -> bool {
        self.requirements.is_empty()
    }

    /// Whether these labels (`metadata.labels`, or null) fit.
    pub fn matches(&self, labels: &Value) -> bool {
        self.requirements.iter().all(|it| it.matches(labels))
    }

    /// Whether the labels of an object fit.
    pub fn matches_object(&self, object: &Value) -> bool {
        self.matches(object.pointer("/metadata/labels").unwrap_or(&Value::Null))
    }
}

impl std::fmt::Display for Labels {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (index, it) in self.requirements.iter().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            match &it.operator {
                Operator::In(values) if values.len() == 1 => write!(f, "{}={}", it.key, values[0])?,
                Operator::In(values) => write!(f, "{} in ({})", it.key, values.join(","))?,
                Operator::NotIn(values) if values.len() == 1 => {
                    write!(f, "{}!={}", it.key, values[0])?
                }
                Operator::NotIn(values) => write!(f, "{} notin ({})", it.key, values.join(","))?,
                Operator::Exists => f.write_str(&it.key)?,
                Operator::Absent => write!(f, "!{}", it.key)?,
                Operator::Greater(than) => write!(f, "{}>{than}", it.key)?,
                Operator::Less(than) => write!(f, "{}<{than}", it.key)?,
            }
        }
        Ok(())
    }
}

impl Requirement {
    fn matches(&self, labels: &Value) -> bool {
        let value = labels.get(&self.key).and_then(Value::as_str);
        match &self.operator {
            Operator::In(values) => value.is_some_and(|it| values.iter().any(|value| value == it)),
            Operator::NotIn(values) => {
                !value.is_some_and(|it| values.iter().any(|value| value == it))
            }
            Operator::Exists => value.is_some(),
            Operator::Absent => value.is_none(),
            Operator::Greater(than) => number(value).is_some_and(|it| it > *than),
            Operator::Less(than) => number(value).is_some_and(|it| it < *than),
        }
    }
}

fn number(value: Option<&str>) -> Option<i64> {
    value?.parse().ok()
}

/// A field selector.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fields {
    terms: Vec<Term>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Term {
    field: String,
    value: String,
    equal: bool,
}

/// Fields that selectors may use beside name and namespace, by resource.
const FIELDS: &[(&str, &str, &[&str])] = &[
    (
        "",
        "Pod",
        &[
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "spec.hostNetwork",
            "status.phase",
            "status.podIP",
            "status.podIPs",
            "status.nominatedNodeName",
        ],
    ),
    ("", "Node", &["spec.unschedulable"]),
    ("", "Namespace", &["status.phase"]),
    ("", "Secret", &["type"]),
    ("", "Service", &["spec.clusterIP", "spec.type"]),
    ("", "ReplicationController", &["status.replicas"]),
    ("apps", "ReplicaSet", &["status.replicas"]),
    ("batch", "Job", &["status.successful"]),
    ("certificates.k8s.io", "CertificateSigningRequest", &["spec.signerName"]),
    (
        "",
        "Event",
        &[
            "involvedObject.kind",
            "involvedObject.namespace",
            "involvedObject.name",
            "involvedObject.uid",
            "involvedObject.apiVersion",
            "involvedObject.resourceVersion",
            "involvedObject.fieldPath",
            "reason",
            "reportingComponent",
            "source",
            "type",
        ],
    ),
    (
        "events.k8s.io",
        "Event",
        &[
            "regarding.kind",
            "regarding.namespace",
            "regarding.name",
            "regarding.uid",
            "regarding.apiVersion",
            "regarding.resourceVersion",
            "regarding.fieldPath",
            "reason",
            "reportingController",
            "type",
        ],
    ),
];

impl Fields {
    /// Reads a selector such as `metadata.name=web,status.phase!=Running`.
    ///
    /// # Errors
    /// What is wrong, as Kubernetes words it.
    pub fn parse(text: &str) -> Result<Self, String> {
        parse::fields(text)
    }

    /// Whether the resource can be selected by these fields.
    ///
    /// # Errors
    /// What is wrong, as Kubernetes words it.
    pub fn check(&self, resource: &Resource) -> Result<(), String> {
        for term in &self.terms {
            if !is_known(resource, &term.field) {
                return Err(if !resource.is_custom() && is_plain(resource) {
                    format!(
                        "{} is not a known field selector: only \"metadata.name\", \"metadata.namespace\"",
                        quote(&term.field)
                    )
                } else {
                    format!("field label not supported: {}", term.field)
                });
            }
        }
        Ok(())
    }

    /// Whether it asks for nothing.
    pub fn is_empty(&self) -> bool {
        self.terms.is_empty()
    }

    /// The name that all selected objects have, if the selector asks for one.
    pub fn name(&self) -> Option<&str> {
        let term = self.terms.iter().find(|it| it.equal && it.field == "metadata.name");
        term.map(|it| it.value.as_str())
    }

    /// Whether the object of this name fits, where nothing but name and namespace is asked for.
    pub fn matches_name(&self, namespace: &str, name: &str) -> Option<bool> {
        let mut all = true;
        for term in &self.terms {
            let have = match term.field.as_str() {
                "metadata.name" => name,
                "metadata.namespace" => namespace,
                _ => return None,
            };
            all &= (have == term.value) == term.equal;
        }
        Some(all)
    }

    /// Whether an object fits.
    pub fn matches(&self, object: &Value) -> bool {
        self.terms.iter().all(|term| (value_of(object, &term.field) == term.value) == term.equal)
    }
}

impl std::fmt::Display for Fields {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (index, it) in self.terms.iter().enumerate() {
            let comma = if index > 0 { "," } else { "" };
            let operator = if it.equal { "=" } else { "!=" };
            write!(f, "{comma}{}{operator}{}", it.field, it.value)?;
        }
        Ok(())
    }
}

/// Whether the resource has no fields of its own in the table.
fn is_plain(resource: &Resource) -> bool {
    !FIELDS.iter().any(|(group, kind, _)| resource.is(group, kind))
}

fn is_known(resource: &Resource, field: &str) -> bool {
    if field == "metadata.name" || (field == "metadata.namespace" && resource.namespaced) {
        return true;
    }
    if let Some(definition) = resource.definition() {
        let version = definition.version(&resource.version);
        return version.is_some_and(|it| {
            it.selectable.iter().any(|path| path.strip_prefix('.') == Some(field))
        });
    }
    let line = FIELDS.iter().find(|(group, kind, _)| resource.is(group, kind));
    line.is_some_and(|(.., fields)| fields.contains(&field))
}

/// The value of a field as selectors compare it: absent ones are empty, or false where they are flags.
fn value_of(object: &Value, field: &str) -> String {
    match field {
        "source" => {
            let source = object.pointer("/source/component").and_then(Value::as_str);
            let reporting = || object.get("reportingComponent").and_then(Value::as_str);
            return source
                .filter(|it| !it.is_empty())
                .or_else(reporting)
                .unwrap_or_default()
                .to_owned();
        }
        "status.podIPs" => {
            let ips = object.pointer("/status/podIPs").and_then(Value::as_array);
            let ips = ips.into_iter().flatten().filter_map(|it| it["ip"].as_str());
            return ips.collect::<Vec<_>>().join(",");
        }
        "status.successful" => {
            let count = object.pointer("/status/succeeded").and_then(Value::as_i64);
            return count.unwrap_or(0).to_string();
        }
        _ => {}
    }
    let value = field.split('.').try_fold(object, |value, name| value.get(name));
    match value {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Null) | None if matches!(field, "spec.unschedulable" | "spec.hostNetwork") => {
            "false".to_owned()
        }
        Some(Value::Null) | None if field == "status.replicas" => "0".to_owned(),
        Some(Value::Null) | None => String::new(),
        Some(other) => other.to_string(),
    }
}

#[cfg(test)]
mod tests;
