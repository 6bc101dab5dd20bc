//! What the built-in admission plug-ins add to objects.

use serde_json::{Value, json};

/// Where a pod finds the token of its service account.
const TOKEN_PATH: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// What the plug-in `ServiceAccount` adds to a new pod: the account's name, its secrets for pulling images, and a volume
/// with a token, unless account or pod do without. `suffix` is five random letters (see [`crate::names::letters`]).
pub fn service_account(pod: &mut Value, account: &Value, suffix: &str) {
    let spec = &mut pod["spec"];
    let name = account["metadata"]["name"].as_str().unwrap_or("default").to_owned();
    spec["serviceAccountName"] = json!(name);
    spec["serviceAccount"] = json!(name);
    let none = spec["imagePullSecrets"].as_array().is_none_or(Vec::is_empty);
    let secrets = account["imagePullSecrets"].as_array().filter(|it| !it.is_empty());
    if let Some(secrets) = secrets.filter(|_| none) {
        spec["imagePullSecrets"] = json!(secrets);
    }
    let wanted = spec["automountServiceAccountToken"]
        .as_bool()
        .or_else(|| account["automountServiceAccountToken"].as_bool())
        .unwrap_or(true);
    if !wanted {
        return;
    }
    let existing = spec["volumes"].as_array().into_iter().flatten();
    let existing =
        existing.filter_map(|it| it["name"].as_str()).find(|it| it.starts_with("kube-api-access-"));
    let (volume, is_new) = match existing {
        Some(name) => (name.to_owned(), false),
        None => (format!("kube-api-access-{suffix}"), true),
    };
    let mut mounted = false;
    for list in ["initContainers", "containers"] {
        // A missing list stays missing: indexing would put a null there.
        let containers = spec.get_mut(list).and_then(Value::as_array_mut);
        for container in containers.into_iter().flatten() {
            let mounts = container["volumeMounts"].as_array().into_iter().flatten();
            if mounts.clone().any(|it| it["mountPath"] == TOKEN_PATH) {
                continue;
            }
            let mut mounts: Vec<Value> = mounts.cloned().collect();
            mounts.push(json!({"name": volume, "readOnly": true, "mountPath": TOKEN_PATH}));
            container["volumeMounts"] = json!(mounts);
            mounted = true;
        }
    }
    if mounted && is_new {
        let mut volumes = spec["volumes"].as_array().cloned().unwrap_or_default();
        volumes.push(token_volume(&volume));
        spec["volumes"] = json!(volumes);
    }
}

fn token_volume(name: &str) -> Value {
    json!({"name": name, "projected": {"defaultMode": 0o644, "sources": [
        {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
        {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
        {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}]}},
    ]}})
}

/// What the plug-in `DefaultTolerationSeconds` adds to a new pod: it stays five minutes on a node that is lost.
pub fn default_tolerations(pod: &mut Value) {
    let mut tolerations = pod["spec"]["tolerations"].as_array().cloned().unwrap_or_default();
    for key in ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"] {
        let tolerated = tolerations.iter().any(|it| {
            let text = |name: &str| it[name].as_str().unwrap_or_default();
            (text("key") == key || text("key").is_empty())
                && (text("effect") == "NoExecute" || text("effect").is_empty())
        });
        if !tolerated {
            tolerations.push(
                json!({"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}),
            );
        }
    }
    pod["spec"]["tolerations"] = json!(tolerations);
}

/// What the plug-in `Priority` adds to a new pod: the priority that its class stands for. `class` is that class, or none
/// where the pod names none and no class is the default.
pub fn priority(pod: &mut Value, class: Option<&Value>) {
    let spec = &mut pod["spec"];
    if let Some(class) = class {
        spec["priorityClassName"] = class["metadata"]["name"].clone();
    }
    spec["priority"] = class.map_or(json!(0), |class| class["value"].clone());
    let policy =
        class.and_then(|it| it["preemptionPolicy"].as_str()).unwrap_or("PreemptLowerPriority");
    spec["preemptionPolicy"] = json!(policy);
}

/// What the plug-in `DefaultIngressClass` adds to a new Ingress that names no class.
pub fn default_ingress_class(ingress: &mut Value, classes: &[Value]) {
    let annotation =
        |it: &Value, name: &str| it["metadata"]["annotations"][name].as_str().map(str::to_owned);
    let has_old = annotation(ingress, "kubernetes.io/ingress.class").is_some();
    if has_old || ingress["spec"]["ingressClassName"].is_string() {
        return;
    }
    let is_default = |it: &&Value| {
        annotation(it, "ingressclass.kubernetes.io/is-default-class").as_deref() == Some("true")
    };
    if let Some(class) = classes.iter().find(is_default) {
        ingress["spec"]["ingressClassName"] = class["metadata"]["name"].clone();
    }
}

/// What the plug-in `DefaultStorageClass` adds to a new claim that names no class: of several defaults the newest.
pub fn default_storage_class(claim: &mut Value, classes: &[Value]) {
    let annotations = |it: &Value| it["metadata"]["annotations"].clone();
    let has_old = annotations(claim)["volume.beta.kubernetes.io/storage-class"].is_string();
    if has_old || claim["spec"]["storageClassName"].is_string() {
        return;
    }
    let is_default = |it: &&Value| {
        ["", ".beta"].iter().any(|form| {
            annotations(it)[format!("storageclass{form}.kubernetes.io/is-default-class")] == "true"
        })
    };
    let text =
        |it: &Value, name: &str| it["metadata"][name].as_str().unwrap_or_default().to_owned();
    let newest = classes
        .iter()
        .filter(is_default)
        .max_by_key(|it| (text(it, "creationTimestamp"), std::cmp::Reverse(text(it, "name"))));
    if let Some(class) = newest {
        claim["spec"]["storageClassName"] = class["metadata"]["name"].clone();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claims_without_a_class_get_the_newest_default() {
        let class = |name: &str, made: &str, default: &str| {
            json!({"metadata": {"name": name, "creationTimestamp": made,
                "annotations": {"storageclass.kubernetes.io/is-default-class": default}}})
        };
        let classes = [
            class("a", "2024-01-01T00:00:00Z", "true"),
            class("c", "2024-01-02T00:00:00Z", "true"),
            class("b", "2024-01-02T00:00:00Z", "true"),
            class("z", "2024-01-03T00:00:00Z", "false"),
        ];
        let mut claim = json!({"spec": {}});
        default_storage_class(&mut claim, &classes);
        assert_eq!(claim["spec"]["storageClassName"], "b");
        let mut none = json!({"spec": {"storageClassName": ""}});
        default_storage_class(&mut none, &classes);
        assert_eq!(none["spec"]["storageClassName"], "");
    }

    #[test]
    fn pods_get_a_token_unless_they_do_without() {
        let account = json!({"metadata": {"name": "runner"}, "imagePullSecrets": [{"name": "s"}]});
        let mut pod = json!({"spec": {"containers": [{"name": "a"}]}});
        service_account(&mut pod, &account, "abcde");
        assert_eq!(pod["spec"].get("initContainers"), None);
        assert_eq!(pod["spec"]["serviceAccountName"], "runner");
        assert_eq!(pod["spec"]["imagePullSecrets"], json!([{"name": "s"}]));
        assert_eq!(pod["spec"]["volumes"][0]["name"], "kube-api-access-abcde");
        assert_eq!(pod["spec"]["containers"][0]["volumeMounts"][0]["mountPath"], TOKEN_PATH);
        let before = pod.clone();
        service_account(&mut pod, &account, "fghij");
        assert_eq!(pod, before);
        let mut without =
            json!({"spec": {"automountServiceAccountToken": false, "containers": [{"name": "a"}]}});
        service_account(&mut without, &account, "abcde");
        assert!(without["spec"]["volumes"].is_null());
    }

    #[test]
    fn pods_stay_on_lost_nodes_for_a_while() {
        let mut pod = json!({"spec": {"tolerations": [{"key": "node.kubernetes.io/not-ready", "operator": "Exists"}]}});
        default_tolerations(&mut pod);
        let keys: Vec<&str> = pod["spec"]["tolerations"]
            .as_array()
            .unwrap()
            .iter()
            .map(|it| it["key"].as_str().unwrap())
            .collect();
        assert_eq!(keys, ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"]);
    }
}
