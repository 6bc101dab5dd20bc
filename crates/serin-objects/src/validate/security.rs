//! What the processes of a pod may do, and as whom.

use serde_json::{Map, Value};

use super::names;
use super::tools::{Errors, descending, items, named, one_of, text};
use crate::fields::{FieldError, Path};

/// The context of a pod.
pub(super) fn pod(errors: &mut Errors, path: &Path, spec: &Value) {
    let context = &spec["securityContext"];
    for name in ["fsGroup", "runAsUser", "runAsGroup"] {
        id(errors, &path.child(name), &context[name]);
    }
    for (index, it) in items(&context["supplementalGroups"]).iter().enumerate() {
        id(errors, &path.child("supplementalGroups").index(index), it);
    }
    if spec["shareProcessNamespace"] == true && spec["hostPID"] == true {
        let why = "ShareProcessNamespace and HostPID cannot both be enabled";
        errors.push(FieldError::invalid(&path.child("shareProcessNamespace"), true, why));
    }
    sysctls(errors, &path.child("sysctls"), spec);
    one_of(errors, path, context, "fsGroupChangePolicy", &["Always", "OnRootMismatch"]);
    profiles(errors, path, context);
    one_of(errors, path, context, "supplementalGroupsPolicy", &["Merge", "Strict"]);
    one_of(errors, path, context, "seLinuxChangePolicy", &["MountOption", "Recursive"]);
}

/// The context of a container of a pod.
pub(super) fn container(errors: &mut Errors, path: &Path, context: &Value, pod: &Value) {
    if !context.is_object() {
        return;
    }
    for name in ["runAsUser", "runAsGroup"] {
        id(errors, &path.child(name), &context[name]);
    }
    one_of(errors, path, context, "procMount", &["Default", "Unmasked"]);
    if text(context, "procMount") == "Unmasked" && pod["hostUsers"] != false {
        let why = "`hostUsers` must be false to use `Unmasked`";
        errors.push(FieldError::invalid(&path.child("procMount"), "Unmasked", why));
    }
    seccomp(errors, &path.child("seccompProfile"), &context["seccompProfile"]);
    if context["allowPrivilegeEscalation"] == false {
        if context["privileged"] == true {
            let why = "cannot set `allowPrivilegeEscalation` to false and `privileged` to true";
            errors.push(FieldError::invalid(path, shown(context), why));
        }
        let added = items(&context["capabilities"]["add"]);
        if added.iter().any(|it| it == "CAP_SYS_ADMIN") {
            let why = "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN";
            errors.push(FieldError::invalid(path, shown(context), why));
        }
    }
    app_armor(errors, &path.child("appArmorProfile"), &context["appArmorProfile"]);
}

/// A context in the form in which Kubernetes holds it, which is the one that its messages show.
fn shown(context: &Value) -> Value {
    let mut out = Map::new();
    for (shown, name) in [
        ("Capabilities", "capabilities"),
        ("Privileged", "privileged"),
        ("SELinuxOptions", "seLinuxOptions"),
        ("WindowsOptions", "windowsOptions"),
        ("RunAsUser", "runAsUser"),
        ("RunAsGroup", "runAsGroup"),
        ("RunAsNonRoot", "runAsNonRoot"),
        ("ReadOnlyRootFilesystem", "readOnlyRootFilesystem"),
        ("AllowPrivilegeEscalation", "allowPrivilegeEscalation"),
        ("ProcMount", "procMount"),
        ("SeccompProfile", "seccompProfile"),
        ("AppArmorProfile", "appArmorProfile"),
    ] {
        let value = match (&context[name], name) {
            (Value::Object(map), "capabilities") => {
                let part = |name: &str| map.get(name).cloned().unwrap_or_default();
                serde_json::json!({"Add": part("add"), "Drop": part("drop")})
            }
            (value, _) => value.clone(),
        };
        out.insert(shown.to_owned(), value);
    }
    Value::Object(out)
}

/// A user or group by number.
fn id(errors: &mut Errors, path: &Path, value: &Value) {
    if let Some(number) = value.as_i64().filter(|it| !(0..=i64::from(i32::MAX)).contains(it)) {
        let why = "must be between 0 and 2147483647, inclusive";
        errors.push(FieldError::invalid(path, number, why));
    }
}

fn sysctls(errors: &mut Errors, path: &Path, spec: &Value) {
    let mut seen: Vec<&str> = Vec::new();
    for (index, it) in items(&spec["securityContext"]["sysctls"]).iter().enumerate() {
        let (at, name) = (path.index(index).child("name"), text(it, "name"));
        if name.is_empty() {
            errors.push(FieldError::required(&at, ""));
        } else if !names::sysctl_errors(name).is_empty() {
            named(errors, &at, name, names::sysctl_errors);
        } else if seen.contains(&name) {
            errors.push(FieldError::duplicate(&at, name));
        }
        seen.push(name);
        if spec["hostNetwork"] == true && name.starts_with("net.") {
            let why = "may not be specified when 'hostNetwork' is true";
            errors.push(FieldError::invalid(&at, name, why));
        }
    }
}

fn profiles(errors: &mut Errors, path: &Path, context: &Value) {
    seccomp(errors, &path.child("seccompProfile"), &context["seccompProfile"]);
    app_armor(errors, &path.child("appArmorProfile"), &context["appArmorProfile"]);
}

const PROFILES: &[&str] = &["Localhost", "RuntimeDefault", "Unconfined"];

fn seccomp(errors: &mut Errors, path: &Path, profile: &Value) {
    if !profile.is_object() {
        return;
    }
    let (kind, file) = (text(profile, "type"), &profile["localhostProfile"]);
    let at = path.child("localhostProfile");
    if kind.is_empty() {
        let why = "type is required when seccompProfile is set";
        errors.push(FieldError::required(&path.child("type"), why));
    }
    one_of(errors, path, profile, "type", PROFILES);
    match (kind, file.as_str()) {
        ("Localhost", None) => {
            let why = "must be set when seccomp type is Localhost";
            errors.push(FieldError::required(&at, why));
        }
        ("Localhost", Some(file)) => descending(errors, &at, file),
        (_, Some(file)) => {
            let why = "can only be set when seccomp type is Localhost";
            let shown = serde_json::json!({"Type": kind, "LocalhostProfile": file});
            errors.push(FieldError::invalid(&at, shown, why));
        }
        (_, None) => {}
    }
}

fn app_armor(errors: &mut Errors, path: &Path, profile: &Value) {
    if !profile.is_object() {
        return;
    }
    let at = path.child("localhostProfile");
    match (text(profile, "type"), profile["localhostProfile"].as_str()) {
        ("", _) => {
            let why = "type is required when appArmorProfile is set";
            errors.push(FieldError::required(&path.child("type"), why));
        }
        ("Localhost", file) => match file.map(|it| (it, it.trim())) {
            None | Some(("", _)) => {
                let why = "must be set when AppArmor type is Localhost";
                errors.push(FieldError::required(&at, why));
            }
            Some((file, trimmed)) if file != trimmed => {
                let why = "must not be padded with whitespace";
                errors.push(FieldError::invalid(&at, file, why));
            }
            Some(_) => {}
        },
        ("RuntimeDefault" | "Unconfined", Some(file)) => {
            let why = "can only be set when AppArmor type is Localhost";
            errors.push(FieldError::invalid(&at, file, why));
        }
        ("RuntimeDefault" | "Unconfined", None) => {}
        _ => one_of(errors, path, profile, "type", PROFILES),
    }
}
