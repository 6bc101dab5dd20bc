//! Defaults of pods and of templates of pods.

use serde_json::{Value, json};

use super::{Object, items, part, set, text};

/// Defaults of a pod.
pub(super) fn pod(map: &mut Object) {
    let spec = part(map, "spec");
    for list in ["containers", "initContainers"] {
        for container in items(spec, list) {
            requests_from_limits(container);
        }
    }
    set(spec, "enableServiceLinks", json!(true));
    self::spec(spec);
}

/// Defaults of a template of pods.
pub(crate) fn template(map: &mut Object) {
    spec(part(map, "spec"));
}

/// What is limited and not requested is requested as it is limited.
fn requests_from_limits(container: &mut Object) {
    let Some(limits) = container.get("resources").and_then(|it| it["limits"].as_object()).cloned()
    else {
        return;
    };
    let requests = part(part(container, "resources"), "requests");
    for (name, limit) in limits {
        set(requests, &name, limit);
    }
}

fn spec(spec: &mut Object) {
    set(spec, "dnsPolicy", json!("ClusterFirst"));
    set(spec, "restartPolicy", json!("Always"));
    set(spec, "schedulerName", json!("default-scheduler"));
    set(spec, "securityContext", json!({}));
    set(spec, "terminationGracePeriodSeconds", json!(30));
    let host_network = spec.get("hostNetwork") == Some(&json!(true));
    for list in ["containers", "initContainers", "ephemeralContainers"] {
        for it in items(spec, list) {
            container(it, host_network);
        }
    }
    for it in items(spec, "volumes") {
        volume(it);
    }
    // The old name of the service account's field goes with the new one.
    let name = [text(spec, "serviceAccountName"), text(spec, "serviceAccount")]
        .into_iter()
        .find(|it| !it.is_empty())
        .map(str::to_owned);
    if let Some(name) = name {
        set(spec, "serviceAccountName", json!(name));
        spec.insert("serviceAccount".to_owned(), json!(name));
    }
}

fn container(container: &mut Object, host_network: bool) {
    let image = text(container, "image").to_owned();
    if !image.is_empty() {
        let policy = if is_latest(&image) { "Always" } else { "IfNotPresent" };
        set(container, "imagePullPolicy", json!(policy));
    } else {
        set(container, "imagePullPolicy", json!("IfNotPresent"));
    }
    set(container, "terminationMessagePath", json!("/dev/termination-log"));
    set(container, "terminationMessagePolicy", json!("File"));
    for port in items(container, "ports") {
        set(port, "protocol", json!("TCP"));
        if host_network && let Some(number) = port.get("containerPort").cloned() {
            set(port, "hostPort", number);
        }
    }
    for name in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if let Some(Value::Object(probe)) = container.get_mut(name) {
            set(probe, "timeoutSeconds", json!(1));
            set(probe, "periodSeconds", json!(10));
            set(probe, "successThreshold", json!(1));
            set(probe, "failureThreshold", json!(3));
            action(probe);
            if let Some(Value::Object(grpc)) = probe.get_mut("grpc") {
                set(grpc, "service", json!(""));
            }
        }
    }
    if let Some(Value::Object(lifecycle)) = container.get_mut("lifecycle") {
        for name in ["postStart", "preStop"] {
            if let Some(Value::Object(handler)) = lifecycle.get_mut(name) {
                action(handler);
            }
        }
    }
    for variable in items(container, "env") {
        if let Some(Value::Object(reference)) =
            variable.get_mut("valueFrom").and_then(|it| it.get_mut("fieldRef"))
        {
            set(reference, "apiVersion", json!("v1"));
        }
    }
}

fn action(handler: &mut Object) {
    if let Some(Value::Object(get)) = handler.get_mut("httpGet") {
        set(get, "path", json!("/"));
        set(get, "scheme", json!("HTTP"));
    }
}

/// Whether an image names no version, or the latest.
fn is_latest(image: &str) -> bool {
    if image.contains('@') {
        return false;
    }
    let last = image.rsplit('/').next().unwrap_or(image);
    last.rsplit_once(':').is_none_or(|(_, tag)| tag == "latest")
}

fn volume(volume: &mut Object) {
    let sources: Vec<&String> = volume.keys().filter(|name| *name != "name").collect();
    if sources.is_empty() {
        volume.insert("emptyDir".to_owned(), json!({}));
        return;
    }
    for name in ["secret", "configMap", "downwardAPI", "projected"] {
        if let Some(Value::Object(source)) = volume.get_mut(name) {
            set(source, "defaultMode", json!(0o644));
            field_references(source);
            for projection in items(source, "sources") {
                if let Some(Value::Object(token)) = projection.get_mut("serviceAccountToken") {
                    set(token, "expirationSeconds", json!(3600));
                }
                if let Some(Value::Object(api)) = projection.get_mut("downwardAPI") {
                    field_references(api);
                }
            }
        }
    }
    if let Some(Value::Object(path)) = volume.get_mut("hostPath") {
        set(path, "type", json!(""));
    }
}

fn field_references(source: &mut Object) {
    for item in items(source, "items") {
        if let Some(Value::Object(reference)) = item.get_mut("fieldRef") {
            set(reference, "apiVersion", json!("v1"));
        }
    }
}
