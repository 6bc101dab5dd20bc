//! Objects as rows of tables, as `kubectl get` shows them.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::{Resource, time};

mod cells;
mod cluster;
mod json_path;
mod pod;
mod workload;

pub use json_path::JsonPath;

/// A column of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its heading.
    pub name: String,
    /// Its type.
    pub r#type: String,
    /// Its format: `name` for the name of the object.
    pub format: String,
    /// What it shows.
    pub description: String,
    /// 0 for columns that are always shown.
    pub priority: i64,
}

/// The columns of Kubernetes' own kinds. Behind `|` those that only wide tables show; `#` marks numbers.
const COLUMNS: &[(&str, &str, &str)] = &[
    ("", "Pod", "Name,Ready,Status,Restarts,Age|IP,Node,Nominated Node,Readiness Gates"),
    ("", "PodTemplate", "Name,Containers,Images,Pod Labels"),
    ("", "ReplicationController", "Name,Desired#,Current#,Ready#,Age|Containers,Images,Selector"),
    ("", "Service", "Name,Type,Cluster-IP,External-IP,Port(s),Age|Selector"),
    ("", "Endpoints", "Name,Endpoints,Age"),
    (
        "",
        "Node",
        "Name,Status,Roles,Age,Version|Internal-IP,External-IP,OS-Image,Kernel-Version,Container-Runtime",
    ),
    ("", "Event", EVENT),
    ("events.k8s.io", "Event", EVENT),
    ("", "Namespace", "Name,Status,Age"),
    ("", "Secret", "Name,Type,Data#,Age"),
    ("", "ServiceAccount", "Name,Secrets#,Age"),
    ("", "ConfigMap", "Name,Data#,Age"),
    ("", "ResourceQuota", "Name,Request,Limit,Age"),
    (
        "",
        "PersistentVolume",
        "Name,Capacity,Access Modes,Reclaim Policy,Status,Claim,StorageClass,VolumeAttributesClass,Reason,Age|VolumeMode",
    ),
    (
        "",
        "PersistentVolumeClaim",
        "Name,Status,Volume,Capacity,Access Modes,StorageClass,VolumeAttributesClass,Age|VolumeMode",
    ),
    ("apps", "ControllerRevision", "Name,Controller,Revision#,Age"),
    ("apps", "Deployment", "Name,Ready,Up-to-date#,Available#,Age|Containers,Images,Selector"),
    ("apps", "ReplicaSet", "Name,Desired#,Current#,Ready#,Age|Containers,Images,Selector"),
    ("apps", "StatefulSet", "Name,Ready,Age|Containers,Images"),
    (
        "apps",
        "DaemonSet",
        "Name,Desired#,Current#,Ready#,Up-to-date#,Available#,Node Selector,Age|Containers,Images,Selector",
    ),
    ("batch", "Job", "Name,Status,Completions,Duration,Age|Containers,Images,Selector"),
    (
        "batch",
        "CronJob",
        "Name,Schedule,Timezone,Suspend,Active#,Last Schedule,Age|Containers,Images,Selector",
    ),
    (
        "autoscaling",
        "HorizontalPodAutoscaler",
        "Name,Reference,Targets,MinPods,MaxPods,Replicas,Age",
    ),
    ("networking.k8s.io", "Ingress", "Name,Class,Hosts,Address,Ports,Age"),
    ("networking.k8s.io", "IngressClass", "Name,Controller,Parameters,Age"),
    ("networking.k8s.io", "NetworkPolicy", "Name,Pod-Selector,Age"),
    (
        "policy",
        "PodDisruptionBudget",
        "Name,Min Available,Max Unavailable,Allowed Disruptions#,Age",
    ),
    ("rbac.authorization.k8s.io", "RoleBinding", BINDING),
    ("rbac.authorization.k8s.io", "ClusterRoleBinding", BINDING),
    (
        "storage.k8s.io",
        "StorageClass",
        "Name,Provisioner,ReclaimPolicy,VolumeBindingMode,AllowVolumeExpansion,Age",
    ),
    ("scheduling.k8s.io", "PriorityClass", "Name,Value,Global-Default,Age,PreemptionPolicy"),
    ("coordination.k8s.io", "Lease", "Name,Holder,Age"),
    ("discovery.k8s.io", "EndpointSlice", "Name,AddressType,Ports,Endpoints,Age"),
    ("admissionregistration.k8s.io", "MutatingWebhookConfiguration", "Name,Webhooks#,Age"),
    ("admissionregistration.k8s.io", "ValidatingWebhookConfiguration", "Name,Webhooks#,Age"),
    (
        "admissionregistration.k8s.io",
        "ValidatingAdmissionPolicy",
        "Name,Validations#,ParamKind,Age",
    ),
    (
        "admissionregistration.k8s.io",
        "ValidatingAdmissionPolicyBinding",
        "Name,PolicyName,ParamRef,Age",
    ),
    ("apiregistration.k8s.io", "APIService", "Name,Service,Available,Age"),
    ("", "ComponentStatus", "Name,Status,Message,Error"),
    (
        "certificates.k8s.io",
        "CertificateSigningRequest",
        "Name,Age,SignerName,Requestor,RequestedDuration,Condition",
    ),
    ("networking.k8s.io", "IPAddress", "Name,ParentRef"),
    ("networking.k8s.io", "ServiceCIDR", "Name,CIDRs,Age"),
    (
        "storage.k8s.io",
        "CSIDriver",
        "Name,AttachRequired,PodInfoOnMount,StorageCapacity,TokenRequests,RequiresRepublish,Modes,Age",
    ),
    ("storage.k8s.io", "CSINode", "Name,Drivers#,Age"),
    ("storage.k8s.io", "CSIStorageCapacity", "Name,StorageClassName,Capacity"),
    ("storage.k8s.io", "VolumeAttachment", "Name,Attacher,PV,Node,Attached,Age"),
    ("node.k8s.io", "RuntimeClass", "Name,Handler,Age"),
    (
        "flowcontrol.apiserver.k8s.io",
        "FlowSchema",
        "Name,PriorityLevel,MatchingPrecedence,DistinguisherMethod,Age,MissingPL",
    ),
    (
        "flowcontrol.apiserver.k8s.io",
        "PriorityLevelConfiguration",
        "Name,Type,NominalConcurrencyShares,Queues,HandSize,QueueLengthLimit,Age",
    ),
];

const EVENT: &str = "Last Seen,Type,Reason,Object|Subobject,Source,/Message|First Seen,Count,Name";
const BINDING: &str = "Name,Role,Age|Users,Groups,ServiceAccounts";

fn column(name: &str, r#type: &str, priority: i64) -> Column {
    Column {
        name: name.to_owned(),
        r#type: r#type.to_owned(),
        format: if name == "Name" { "name".to_owned() } else { String::new() },
        description: match name {
            "Name" => "The name of the object, unique in its namespace.".to_owned(),
            "Age" | "Created At" => "When the object was created.".to_owned(),
            _ => name.to_owned(),
        },
        priority,
    }
}

/// The columns of a resource, or of a part of its objects that is of a kind of its own.
pub fn columns(resource: &Resource, subresource: Option<&str>) -> Vec<Column> {
    if subresource == Some("scale") {
        return scale_columns(resource);
    }
    let definition = resource.definition().and_then(|it| it.version(&resource.version));
    if let Some(definition) = definition {
        let mut out = vec![column("Name", "string", 0)];
        if definition.columns.is_empty() {
            out.push(column("Age", "date", 0));
        }
        out.extend(definition.columns.iter().map(|it| Column {
            name: it.name.clone(),
            r#type: it.r#type.clone(),
            format: it.format.clone(),
            description: it.description.clone(),
            priority: it.priority,
        }));
        return out;
    }
    let line = COLUMNS.iter().find(|(group, kind, _)| resource.is(group, kind));
    let Some((.., names)) = line else {
        return vec![column("Name", "string", 0), column("Created At", "date", 0)];
    };
    if *names == EVENT {
        return event_columns();
    }
    let (always, wide) = names.split_once('|').unwrap_or((names, ""));
    let read = |names: &str, priority: i64| {
        let names = names.split(',').filter(|it| !it.is_empty());
        let columns = names.map(|it| match it.strip_suffix('#') {
            Some(name) => column(name, "integer", priority),
            None => column(it, "string", priority),
        });
        columns.collect::<Vec<_>>()
    };
    let mut out = read(always, 0);
    out.extend(read(wide, 1));
    out
}

/// Scales of custom resources are shown like anything that is not known.
fn scale_columns(resource: &Resource) -> Vec<Column> {
    if resource.is_custom() {
        return vec![column("Name", "string", 0), column("Created At", "date", 0)];
    }
    vec![
        column("Name", "string", 0),
        column("Desired", "integer", 0),
        column("Available", "integer", 0),
        column("Age", "string", 0),
    ]
}

fn scale_row(resource: &Resource, scale: &Value, now: Timestamp) -> Vec<Value> {
    let view = View { object: scale, now };
    if resource.is_custom() {
        return vec![view.name(), scale["metadata"]["creationTimestamp"].clone()];
    }
    let count = |path: &str| json!(view.number(path));
    vec![view.name(), count("spec/replicas"), count("status/replicas"), view.age()]
}

/// Wide columns of events stand between the others.
fn event_columns() -> Vec<Column> {
    let names = EVENT.split(['|', ',', '/']).filter(|it| !it.is_empty());
    names
        .map(|name| {
            let wide = matches!(name, "Subobject" | "Source" | "First Seen" | "Count" | "Name");
            let r#type = if name == "Count" { "integer" } else { "string" };
            column(name, r#type, i64::from(wide))
        })
        .collect()
}

/// The cells of an object, one for each column.
pub fn row(
    resource: &Resource,
    subresource: Option<&str>,
    object: &Value,
    now: Timestamp,
) -> Vec<Value> {
    if subresource == Some("scale") {
        return scale_row(resource, object, now);
    }
    let name = object["metadata"]["name"].clone();
    if let Some(version) = resource.definition().and_then(|it| it.version(&resource.version)) {
        let mut out = vec![name];
        if version.columns.is_empty() {
            out.push(age(object, now).into());
        }
        out.extend(version.columns.iter().map(|it| json_path::cell(it, object, now)));
        return out;
    }
    if !COLUMNS.iter().any(|(group, kind, _)| resource.is(group, kind)) {
        return vec![name, object["metadata"]["creationTimestamp"].clone()];
    }
    let view = View { object, now };
    match (resource.group.as_str(), resource.kind.as_str()) {
        ("", "Pod") => pod::row(&view),
        ("apps" | "batch", _) | ("", "ReplicationController" | "PodTemplate") => {
            workload::row(&resource.kind, &view)
        }
        ("autoscaling", _) => {
            let object = crate::convert::to_storage(resource, object.clone());
            workload::row("HorizontalPodAutoscaler", &View { object: &object, now })
        }
        ("events.k8s.io", _) => {
            let object = crate::convert::to_storage(resource, object.clone());
            cells::row("Event", &View { object: &object, now })
        }
        (group, kind) if cluster::shows(group, kind) => cluster::row(kind, &view),
        _ => cells::row(&resource.kind, &view),
    }
}

/// How old an object is.
fn age(object: &Value, now: Timestamp) -> String {
    since(&object["metadata"]["creationTimestamp"], now)
}

/// How long ago a time was.
fn since(value: &Value, now: Timestamp) -> String {
    match value.as_str().and_then(time::parse) {
        Some(then) => time::ago(then, now),
        None => "<unknown>".to_owned(),
    }
}

/// An object, with short ways to what cells show.
struct View<'v> {
    object: &'v Value,
    now: Timestamp,
}

impl View<'_> {
    /// A part of the object by a path of JSON pointers without the first slash.
    fn at(&self, path: &str) -> &Value {
        static NULL: Value = Value::Null;
        self.object.pointer(&format!("/{path}")).unwrap_or(&NULL)
    }

    fn text(&self, path: &str) -> &str {
        self.at(path).as_str().unwrap_or_default()
    }

    /// A text, or `<none>`.
    fn or_none(&self, path: &str) -> String {
        match self.text(path) {
            "" => "<none>".to_owned(),
            text => text.to_owned(),
        }
    }

    fn number(&self, path: &str) -> i64 {
        self.at(path).as_i64().unwrap_or(0)
    }

    fn items(&self, path: &str) -> &[Value] {
        self.at(path).as_array().map(Vec::as_slice).unwrap_or_default()
    }

    /// How many entries a map has.
    fn count(&self, path: &str) -> usize {
        self.at(path).as_object().map_or(0, serde_json::Map::len)
    }

    fn name(&self) -> Value {
        self.at("metadata/name").clone()
    }

    fn age(&self) -> Value {
        age(self.object, self.now).into()
    }

    fn since(&self, path: &str) -> String {
        since(self.at(path), self.now)
    }

    /// Names and images of containers below a pod's spec.
    fn containers(&self, spec: &str) -> [Value; 2] {
        let joined = |field: &str| {
            let list = self.items(&format!("{spec}/containers"));
            let texts: Vec<&str> =
                list.iter().map(|it| it[field].as_str().unwrap_or_default()).collect();
            json!(texts.join(","))
        };
        [joined("name"), joined("image")]
    }

    /// A label selector as text.
    fn selector(&self, path: &str) -> Value {
        let selector = self.at(path);
        if selector.is_null() {
            return json!("<none>");
        }
        json!(match crate::selector::Labels::from_object(selector) {
            Ok(labels) if labels.is_empty() => "<none>".to_owned(),
            Ok(labels) => labels.to_string(),
            Err(_) => "<error>".to_owned(),
        })
    }

    /// A map as `a=1,b=2`.
    fn pairs(&self, path: &str) -> String {
        let mut pairs: Vec<String> = self
            .at(path)
            .as_object()
            .into_iter()
            .flatten()
            .map(|(name, value)| format!("{name}={}", value.as_str().unwrap_or_default()))
            .collect();
        pairs.sort();
        if pairs.is_empty() { "<none>".to_owned() } else { pairs.join(",") }
    }
}

/// The first entries of a list, and how many more there are.
fn some_of(list: &[String], most: usize) -> String {
    let shown = list.iter().take(most).cloned().collect::<Vec<_>>().join(",");
    match list.len().checked_sub(most) {
        Some(more) if more > 0 => format!("{shown} + {more} more..."),
        _ => shown,
    }
}

#[cfg(test)]
mod tests;
