//! ConfigMaps, Secrets, Namespaces and other kinds that hold things.

use base64::Engine as _;
use serde_json::Value;

use super::tools::{Errors, entries, immutable, items, named, one_of, require, selector, text};
use super::{Change, limits, names, placement, pod, resources};
use crate::fields::{FieldError, FieldErrorKind, Path};
use crate::quantity::Quantity;
use crate::{go, pod_security};

/// How many bytes a ConfigMap or a Secret may have.
const MAX_SIZE: usize = 1 << 20;

pub(super) fn check(kind: &str, change: &Change<'_>, errors: &mut Errors) {
    match kind {
        "ConfigMap" => config_map(change, errors),
        "Secret" => secret(change, errors),
        "Namespace" => errors.extend(pod_security::namespace_errors(change.old, change.new)),
        "Node" => node(change, errors),
        "Event" => event(change, errors),
        "PersistentVolumeClaim" => claim(change, errors),
        "PodTemplate" => pod::template(errors, &Path::new("template"), &change.new["template"]),
        "PersistentVolume" => volume(change, errors),
        "ResourceQuota" => quota(change, errors),
        "LimitRange" => limits::check(errors, &change.new["spec"]["limits"]),
        _ => {}
    }
}

fn too_big(errors: &mut Errors, path: &str, size: usize) {
    if size > MAX_SIZE {
        errors.push(FieldError::too_long(&Path::new(path), MAX_SIZE));
    }
}

fn config_map(change: &Change<'_>, errors: &mut Errors) {
    let mut size = 0;
    let new = change.new;
    for part in ["data", "binaryData"] {
        for (key, value) in entries(&new[part]) {
            let at = Path::new(part).key(key);
            for why in names::config_key_errors(key) {
                errors.push(FieldError::invalid(&at, key.as_str(), &why));
            }
            if part == "data" && new["binaryData"].get(key).is_some() {
                let why = "duplicate of key present in binaryData";
                errors.push(FieldError::invalid(&at, key.as_str(), why));
            }
            size += value.as_str().map_or(0, str::len);
        }
    }
    // The whole object, which Kubernetes writes as an index without a name.
    too_big(errors, "[]", size);
    sealed(change, errors, &["data", "binaryData"]);
}

/// What is marked as immutable does not change any more.
fn sealed(change: &Change<'_>, errors: &mut Errors, parts: &[&str]) {
    let Some(old) = change.old.filter(|old| old["immutable"] == true) else { return };
    let why = "field is immutable when `immutable` is set";
    if change.new["immutable"] != true {
        errors.push(FieldError::forbidden(&Path::new("immutable"), why));
    }
    for part in parts {
        if old[*part] != change.new[*part] {
            errors.push(FieldError::forbidden(&Path::new(part), why));
        }
    }
}

fn secret(change: &Change<'_>, errors: &mut Errors) {
    let new = change.new;
    let mut size = 0;
    for (key, value) in entries(&new["data"]) {
        for why in names::config_key_errors(key) {
            errors.push(FieldError::invalid(&Path::new("data").key(key), key.as_str(), &why));
        }
        size += value.as_str().map_or(0, str::len) / 4 * 3;
    }
    too_big(errors, "data", size);
    let mut require_key = |key: &str| {
        if new["data"].get(key).is_none() {
            errors.push(FieldError::required(&Path::new("data").key(key), ""));
        }
    };
    match text(new, "type") {
        "kubernetes.io/tls" => {
            require_key("tls.crt");
            require_key("tls.key");
        }
        "kubernetes.io/dockerconfigjson" => registries(errors, new, ".dockerconfigjson"),
        "kubernetes.io/dockercfg" => registries(errors, new, ".dockercfg"),
        "kubernetes.io/ssh-auth" => require_key("ssh-privatekey"),
        "kubernetes.io/basic-auth"
            if new["data"].get("username").is_none() && new["data"].get("password").is_none() =>
        {
            require_key("username");
            require_key("password");
        }
        "kubernetes.io/service-account-token" => {
            let name = "kubernetes.io/service-account.name";
            if text(&new["metadata"]["annotations"], name).is_empty() {
                let path = Path::new("metadata.annotations").key(name);
                errors.push(FieldError::required(&path, ""));
            }
        }
        _ => {}
    }
    if let Some(old) = change.old {
        immutable(errors, &Path::new("type"), &old["type"], &new["type"]);
    }
    sealed(change, errors, &["data"]);
}

/// Who may pull images from where is a record in JSON.
fn registries(errors: &mut Errors, secret: &Value, key: &str) {
    let at = Path::new("data").key(key);
    let Some(data) = secret["data"][key].as_str() else {
        errors.push(FieldError::required(&at, ""));
        return;
    };
    let data = base64::engine::general_purpose::STANDARD.decode(data).unwrap_or_default();
    let why = match (go::json::error(&data), serde_json::from_slice::<Value>(&data)) {
        (Some(why), _) => why,
        (None, Ok(it)) if !it.is_object() && !it.is_null() => {
            let found = go::json_kind(&it);
            format!(
                "json: cannot unmarshal {found} into Go value of type map[string]interface {{}}"
            )
        }
        _ => return,
    };
    errors.push(FieldError::invalid(&at, "<secret contents redacted>", &why));
}

fn node(change: &Change<'_>, errors: &mut Errors) {
    // Kubernetes tells taints of the metadata.
    placement::taints(errors, &Path::new("metadata.taints"), &change.new["spec"]["taints"]);
    let Some(old) = change.old.map(|it| &it["spec"]) else { return };
    let new = &change.new["spec"];
    for (name, shown) in [("podCIDRs", "podCIDR"), ("providerID", "providerID")] {
        let set = !old[name].is_null() && old[name] != "" && !items_are_none(&old[name]);
        if set && old[name] != new[name] {
            let why = format!("node updates may not change {shown} except from \"\" to valid");
            errors.push(FieldError::forbidden(&Path::new("spec").child(name), &why));
        }
    }
}

fn items_are_none(value: &Value) -> bool {
    value.as_array().is_some_and(Vec::is_empty)
}

fn event(change: &Change<'_>, errors: &mut Errors) {
    if change.old.is_some() {
        return;
    }
    // Which event is whose is told by namespaces.
    let is_new = change.new.get("regarding").is_some();
    let involved = if is_new { "regarding" } else { "involvedObject" };
    let (own, of) =
        (text(&change.new["metadata"], "namespace"), text(&change.new[involved], "namespace"));
    let fits =
        if of.is_empty() { matches!(own, "" | "default" | "kube-system") } else { own == of };
    if !fits {
        let path = Path::new("involvedObject.namespace");
        errors.push(FieldError {
            kind: FieldErrorKind::Invalid,
            field: path.to_string(),
            message: format!("Invalid value: {of:?}: does not match event.namespace"),
        });
    }
    let new = change.new;
    if !is_new && !new["eventTime"].is_string() {
        return;
    }
    // Events of the newer kind say who tells what, and when.
    if !new["eventTime"].is_string() {
        errors.push(FieldError::required(&Path::new("eventTime"), ""));
    }
    let reporter = if is_new { "reportingController" } else { "reportingComponent" };
    let (root, most) = (Path::root(), 128);
    if require(errors, &root, new, reporter) {
        named(errors, &root.child(reporter), text(new, reporter), names::label_key_errors);
    }
    for name in ["reportingInstance", "action", "reason"] {
        if require(errors, &root, new, name) && text(new, name).len() > most {
            let why = format!("can have at most {most} characters");
            errors.push(FieldError::invalid(&root.child(name), text(new, name), &why));
        }
    }
    let kind = text(new, "type");
    if is_new && !matches!(kind, "Normal" | "Warning") {
        let why = format!("has invalid value: {kind}");
        errors.push(FieldError::invalid(&root.child("type"), "", &why));
    }
}

fn claim(change: &Change<'_>, errors: &mut Errors) {
    let (path, new) = (Path::new("spec"), &change.new["spec"]);
    claim_spec(errors, &path, new);
    let Some(old) = change.old.map(|it| &it["spec"]) else { return };
    let bound = change.new["status"]["phase"] == "Bound";
    let mut masked = new.clone();
    if text(old, "volumeName").is_empty() {
        masked["volumeName"] = old["volumeName"].clone();
    }
    if bound {
        masked["resources"]["requests"] = old["resources"]["requests"].clone();
    }
    let without_nulls = |it: &Value| -> Vec<(String, Value)> {
        entries(it).filter(|it| !it.1.is_null()).map(|(k, v)| (k.clone(), v.clone())).collect()
    };
    let (mut was, mut is) = (without_nulls(old), without_nulls(&masked));
    was.sort_by(|a, b| a.0.cmp(&b.0));
    is.sort_by(|a, b| a.0.cmp(&b.0));
    if was != is {
        let why = "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims\n";
        errors.push(FieldError::forbidden(&path, why));
    }
    let size = |spec: &Value| Quantity::parse(text(&spec["resources"]["requests"], "storage"));
    if let (Some(was), Some(is)) = (size(old), size(new))
        && is < was
    {
        let why = "field can not be less than status.capacity";
        errors.push(FieldError::forbidden(&path.child("resources.requests.storage"), why));
    }
}

const ACCESS_MODES: &[&str] =
    &["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"];

/// What is claimed.
pub(super) fn claim_spec(errors: &mut Errors, path: &Path, spec: &Value) {
    let at = path.child("accessModes");
    let modes = items(&spec["accessModes"]);
    if modes.is_empty() {
        errors.push(FieldError::required(&at, "at least 1 access mode is required"));
    }
    selector(errors, &path.child("selector"), &spec["selector"]);
    access_modes(errors, &at, modes);
    let at = path.child("resources").key("storage");
    match text(&spec["resources"]["requests"], "storage") {
        "" => errors.push(FieldError::required(&at, "")),
        size => positive(errors, &at, size),
    }
    let class = text(spec, "storageClassName");
    if !class.is_empty() {
        named(errors, &path.child("storageClassName"), class, names::dns1123_subdomain);
    }
    one_of(errors, path, spec, "volumeMode", &["Block", "Filesystem"]);
}

fn access_modes(errors: &mut Errors, path: &Path, modes: &[Value]) {
    for mode in modes.iter().filter_map(Value::as_str) {
        if !ACCESS_MODES.contains(&mode) {
            errors.push(FieldError::not_supported(path, mode, ACCESS_MODES));
        }
    }
    if modes.len() > 1 && modes.iter().any(|it| it == "ReadWriteOncePod") {
        let why = "may not use ReadWriteOncePod with other access modes";
        errors.push(FieldError::forbidden(path, why));
    }
}

fn positive(errors: &mut Errors, path: &Path, amount: &str) {
    let quantity = Quantity::parse(amount);
    if quantity.is_some_and(|it| it.is_negative() || it.is_zero()) {
        errors.push(FieldError::invalid(path, amount, "must be greater than zero"));
    }
}

fn volume(change: &Change<'_>, errors: &mut Errors) {
    let (path, spec) = (Path::new("spec"), &change.new["spec"]);
    let modes = items(&spec["accessModes"]);
    if modes.is_empty() {
        errors.push(FieldError::required(&path.child("accessModes"), ""));
    }
    access_modes(errors, &path.child("accessModes"), modes);
    let (at, capacity) = (path.child("capacity"), &spec["capacity"]);
    if entries(capacity).next().is_none() {
        errors.push(FieldError::required(&at, ""));
    }
    if capacity["storage"].is_null() || entries(capacity).count() > 1 {
        errors.push(FieldError::not_supported(&at, capacity.clone(), &["storage"]));
    }
    for (name, amount) in entries(capacity) {
        positive(errors, &at.key(name), amount.as_str().unwrap_or_default());
    }
    let policies = ["Delete", "Recycle", "Retain"];
    one_of(errors, &path, spec, "persistentVolumeReclaimPolicy", &policies);
    let plain = [
        "accessModes",
        "capacity",
        "claimRef",
        "mountOptions",
        "nodeAffinity",
        "persistentVolumeReclaimPolicy",
        "storageClassName",
        "volumeAttributesClassName",
        "volumeMode",
    ];
    let mut sources = entries(spec).filter(|(name, _)| !plain.contains(&name.as_str()));
    if sources.next().is_none() {
        errors.push(FieldError::required(&path, "must specify a volume type"));
    }
    one_of(errors, &path, spec, "volumeMode", &["Block", "Filesystem"]);
}

/// What of which there may not be more in a namespace.
fn quota(change: &Change<'_>, errors: &mut Errors) {
    let (path, spec) = (Path::new("spec"), &change.new["spec"]);
    for (name, value) in entries(&spec["hard"]) {
        let at = path.child("hard").key(name);
        resources::name(errors, &at, name);
        if !name.contains('/') && !resources::is_of_quotas(name) {
            let why = "must be a standard resource for quota";
            errors.push(FieldError::invalid(&at, name.as_str(), why));
        }
        resources::amount(errors, &at, name, value);
    }
    let (at, scopes) = (path.child("scopes"), &spec["scopes"]);
    for scope in items(scopes).iter().filter_map(Value::as_str) {
        if !SCOPES.contains(&scope) {
            errors.push(FieldError::invalid(&at, scopes.clone(), "unsupported scope"));
        }
        for (name, _) in entries(&spec["hard"]) {
            if resources::is_of_quotas(name) && !is_in_scope(scope, name) {
                let why = "unsupported scope applied to resource";
                errors.push(FieldError::invalid(&at, scopes.clone(), why));
            }
        }
    }
    let has = |name: &str| items(scopes).iter().any(|it| it == name);
    for (one, other) in [("BestEffort", "NotBestEffort"), ("Terminating", "NotTerminating")] {
        if has(one) && has(other) {
            errors.push(FieldError::invalid(&at, scopes.clone(), "conflicting scopes"));
        }
    }
    if let Some(old) = change.old
        && old["spec"]["scopes"] != *scopes
    {
        errors.push(FieldError::invalid(&at, scopes.clone(), "field is immutable"));
    }
}

const SCOPES: &[&str] = &[
    "BestEffort",
    "CrossNamespacePodAffinity",
    "NotBestEffort",
    "NotTerminating",
    "PriorityClass",
    "Terminating",
];

/// Whether a scope says something about a resource.
fn is_in_scope(scope: &str, resource: &str) -> bool {
    let plain = resource.strip_prefix("requests.").or_else(|| resource.strip_prefix("limits."));
    match scope {
        "BestEffort" => resource == "pods",
        _ if SCOPES.contains(&scope) => {
            resource == "pods" || matches!(plain.unwrap_or(resource), "cpu" | "memory")
        }
        _ => true,
    }
}
