//! Rows of the other kinds.

use serde_json::{Value, json};

use super::{View, some_of};

pub(super) fn row(kind: &str, view: &View<'_>) -> Vec<Value> {
    if kind == "Event" {
        return event(view);
    }
    let mut row = vec![view.name()];
    row.extend(match kind {
        "Service" => service(view),
        "Node" => node(view),
        "Namespace" => vec![json!(view.text("status/phase"))],
        "Secret" => vec![json!(view.text("type")), json!(view.count("data"))],
        "ConfigMap" => vec![json!(view.count("data") + view.count("binaryData"))],
        "ServiceAccount" => vec![json!(view.items("secrets").len())],
        "Endpoints" => vec![json!(endpoints(view))],
        "EndpointSlice" => slice(view),
        "ResourceQuota" => quota(view),
        "PersistentVolume" => return volume(view),
        "PersistentVolumeClaim" => return claim(view),
        "Ingress" => ingress(view),
        "IngressClass" => vec![json!(view.text("spec/controller")), json!(parameters(view))],
        "NetworkPolicy" => vec![view.selector("spec/podSelector")],
        "PodDisruptionBudget" => budget(view),
        "RoleBinding" | "ClusterRoleBinding" => return binding(view),
        "StorageClass" => return storage_class(view),
        "PriorityClass" => return priority_class(view),
        "Lease" => vec![json!(view.text("spec/holderIdentity"))],
        "MutatingWebhookConfiguration" | "ValidatingWebhookConfiguration" => {
            vec![json!(view.items("webhooks").len())]
        }
        "ValidatingAdmissionPolicy" => {
            vec![json!(view.items("spec/validations").len()), json!(param_kind(view))]
        }
        "ValidatingAdmissionPolicyBinding" => {
            vec![json!(view.text("spec/policyName")), json!(param_ref(view))]
        }
        "APIService" => api_service(view),
        _ => Vec::new(),
    });
    row.push(view.age());
    if kind == "Service" {
        row.push(json!(view.pairs("spec/selector")));
    }
    if kind == "Node" {
        row.extend(node_details(view));
    }
    row
}

fn service(view: &View<'_>) -> Vec<Value> {
    let externals: Vec<&str> =
        view.items("spec/externalIPs").iter().filter_map(Value::as_str).collect();
    let external = match view.text("spec/type") {
        "ClusterIP" | "NodePort" if externals.is_empty() => "<none>".to_owned(),
        "ClusterIP" | "NodePort" => externals.join(","),
        "LoadBalancer" => {
            let balancers = balancers(view);
            let all: Vec<&str> =
                balancers.iter().map(String::as_str).chain(externals.iter().copied()).collect();
            if all.is_empty() { "<pending>".to_owned() } else { all.join(",") }
        }
        "ExternalName" => view.text("spec/externalName").to_owned(),
        _ => "<unknown>".to_owned(),
    };
    let ports: Vec<String> = view
        .items("spec/ports")
        .iter()
        .map(|it| {
            let port = it["port"].as_i64().unwrap_or(0);
            let protocol = it["protocol"].as_str().unwrap_or("TCP");
            match it["nodePort"].as_i64() {
                Some(node) if node > 0 => format!("{port}:{node}/{protocol}"),
                _ => format!("{port}/{protocol}"),
            }
        })
        .collect();
    let ports = if ports.is_empty() { "<none>".to_owned() } else { ports.join(",") };
    let first = view.items("spec/clusterIPs").first().and_then(Value::as_str);
    let cluster = first.map_or_else(|| view.or_none("spec/clusterIP"), str::to_owned);
    vec![json!(view.text("spec/type")), json!(cluster), json!(external), json!(ports)]
}

/// The addresses of load balancers, sorted.
fn balancers(view: &View<'_>) -> Vec<String> {
    let mut out: Vec<String> = view
        .items("status/loadBalancer/ingress")
        .iter()
        .filter_map(|it| {
            let text = |name: &str| it[name].as_str().filter(|it| !it.is_empty());
            text("ip").or_else(|| text("hostname")).map(str::to_owned)
        })
        .collect();
    out.sort();
    out.dedup();
    out
}

fn node(view: &View<'_>) -> Vec<Value> {
    let ready = view.items("status/conditions").iter().find(|it| it["type"] == "Ready");
    let mut status = match ready.map(|it| it["status"].as_str().unwrap_or_default()) {
        Some("True") => "Ready",
        Some(_) => "NotReady",
        None => "Unknown",
    }
    .to_owned();
    if view.at("spec/unschedulable") == &json!(true) {
        status.push_str(",SchedulingDisabled");
    }
    let mut roles: Vec<&str> = Vec::new();
    for (name, value) in view.at("metadata/labels").as_object().into_iter().flatten() {
        let value = value.as_str().unwrap_or_default();
        match name.strip_prefix("node-role.kubernetes.io/") {
            Some(role) if !role.is_empty() => roles.push(role),
            _ if name == "kubernetes.io/role" && !value.is_empty() => roles.push(value),
            _ => {}
        }
    }
    roles.sort_unstable();
    let roles = if roles.is_empty() { "<none>".to_owned() } else { roles.join(",") };
    vec![json!(status), json!(roles)]
}

/// The wide columns of a node, and the version before them.
fn node_details(view: &View<'_>) -> Vec<Value> {
    let address = |kind: &str| {
        let found = view.items("status/addresses").iter().find(|it| it["type"] == kind);
        found.and_then(|it| it["address"].as_str()).unwrap_or("<none>").to_owned()
    };
    let info = |name: &str| {
        let text = view.text(&format!("status/nodeInfo/{name}"));
        if text.is_empty() { "<unknown>".to_owned() } else { text.to_owned() }
    };
    vec![
        json!(view.text("status/nodeInfo/kubeletVersion")),
        json!(address("InternalIP")),
        json!(address("ExternalIP")),
        json!(info("osImage")),
        json!(info("kernelVersion")),
        json!(info("containerRuntimeVersion")),
    ]
}

fn event(view: &View<'_>) -> Vec<Value> {
    let time = |path: &str| view.at(path).as_str().map(|_| view.since(path));
    let first = time("firstTimestamp")
        .or_else(|| time("eventTime"))
        .unwrap_or_else(|| "<unknown>".to_owned());
    let series = view.at("series").is_object();
    let last = if series { time("series/lastObservedTime") } else { time("lastTimestamp") };
    let last = last.unwrap_or_else(|| first.clone());
    let count = if series { view.number("series/count") } else { view.number("count").max(1) };
    let kind = view.text("involvedObject/kind").to_lowercase();
    let target = match view.text("involvedObject/name") {
        "" => kind,
        name => format!("{kind}/{name}"),
    };
    let component = match view.text("source/component") {
        "" => view.text("reportingComponent"),
        component => component,
    };
    let host = match view.text("source/host") {
        "" => view.text("reportingInstance"),
        host => host,
    };
    let source: Vec<&str> = [component, host].into_iter().filter(|it| !it.is_empty()).collect();
    vec![
        json!(last),
        json!(view.text("type")),
        json!(view.text("reason")),
        json!(target),
        json!(view.text("involvedObject/fieldPath")),
        json!(source.join(", ")),
        json!(view.text("message").trim()),
        json!(first),
        json!(count),
        view.name(),
    ]
}

fn endpoints(view: &View<'_>) -> String {
    let mut list = Vec::new();
    for subset in view.items("subsets") {
        let items = |name: &str| subset[name].as_array().map(Vec::as_slice).unwrap_or_default();
        let ips = || items("addresses").iter().filter_map(|it| it["ip"].as_str());
        if items("ports").is_empty() {
            list.extend(ips().map(str::to_owned));
        }
        for port in items("ports") {
            let port = port["port"].as_i64().unwrap_or(0);
            list.extend(ips().map(|ip| {
                if ip.contains(':') { format!("[{ip}]:{port}") } else { format!("{ip}:{port}") }
            }));
        }
    }
    if view.items("subsets").is_empty() { "<none>".to_owned() } else { some_of(&list, 3) }
}

fn slice(view: &View<'_>) -> Vec<Value> {
    let ports: Vec<String> = view
        .items("ports")
        .iter()
        .map(|it| it["port"].as_i64().map_or_else(|| "*".to_owned(), |port| port.to_string()))
        .collect();
    let addresses: Vec<String> = view
        .items("endpoints")
        .iter()
        .flat_map(|it| it["addresses"].as_array().into_iter().flatten())
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect();
    let or_unset =
        |list: &[String]| if list.is_empty() { "<unset>".to_owned() } else { some_of(list, 3) };
    vec![json!(view.text("addressType")), json!(or_unset(&ports)), json!(or_unset(&addresses))]
}

fn quota(view: &View<'_>) -> Vec<Value> {
    let (mut requests, mut limits) = (Vec::new(), Vec::new());
    let mut names: Vec<&String> =
        view.at("status/hard").as_object().into_iter().flatten().map(|(name, _)| name).collect();
    names.sort();
    for name in names {
        let of = |part: &str| {
            let value = view.at("status")[part][name].as_str();
            value.unwrap_or("0").to_owned()
        };
        let text = format!("{name}: {}/{}", of("used"), of("hard"));
        if name.starts_with("limits.") { limits.push(text) } else { requests.push(text) }
    }
    vec![json!(requests.join(", ")), json!(limits.join(", "))]
}

/// Access modes in their short form.
fn modes(view: &View<'_>, path: &str) -> String {
    let short = |mode: &Value| match mode.as_str().unwrap_or_default() {
        "ReadWriteOnce" => "RWO",
        "ReadOnlyMany" => "ROX",
        "ReadWriteMany" => "RWX",
        "ReadWriteOncePod" => "RWOP",
        _ => "",
    };
    let modes: Vec<&str> = view.items(path).iter().map(short).filter(|it| !it.is_empty()).collect();
    modes.join(",")
}

fn unset(text: &str) -> Value {
    json!(if text.is_empty() { "<unset>" } else { text })
}

fn volume(view: &View<'_>) -> Vec<Value> {
    let claim = match (view.text("spec/claimRef/namespace"), view.text("spec/claimRef/name")) {
        (_, "") => String::new(),
        (namespace, name) => format!("{namespace}/{name}"),
    };
    let phase = if view.at("metadata/deletionTimestamp").is_string() {
        "Terminating"
    } else {
        view.text("status/phase")
    };
    vec![
        view.name(),
        json!(view.text("spec/capacity/storage")),
        json!(modes(view, "spec/accessModes")),
        json!(view.text("spec/persistentVolumeReclaimPolicy")),
        json!(phase),
        json!(claim),
        json!(view.text("spec/storageClassName")),
        unset(view.text("spec/volumeAttributesClassName")),
        json!(view.text("status/reason")),
        view.age(),
        unset(view.text("spec/volumeMode")),
    ]
}

fn claim(view: &View<'_>) -> Vec<Value> {
    let phase = if view.at("metadata/deletionTimestamp").is_string() {
        "Terminating"
    } else {
        view.text("status/phase")
    };
    let bound = !view.text("spec/volumeName").is_empty();
    let capacity = if bound { view.text("status/capacity/storage") } else { "" };
    let access = if bound { modes(view, "status/accessModes") } else { String::new() };
    vec![
        view.name(),
        json!(phase),
        json!(view.text("spec/volumeName")),
        json!(capacity),
        json!(access),
        json!(view.text("spec/storageClassName")),
        unset(view.text("spec/volumeAttributesClassName")),
        view.age(),
        unset(view.text("spec/volumeMode")),
    ]
}

fn ingress(view: &View<'_>) -> Vec<Value> {
    let hosts: Vec<String> = view
        .items("spec/rules")
        .iter()
        .filter_map(|it| it["host"].as_str())
        .filter(|it| !it.is_empty())
        .map(str::to_owned)
        .collect();
    let hosts = if hosts.is_empty() { "*".to_owned() } else { some_of(&hosts, 3) };
    let ports = if view.items("spec/tls").is_empty() { "80" } else { "80, 443" };
    vec![
        json!(view.or_none("spec/ingressClassName")),
        json!(hosts),
        json!(balancers(view).join(",")),
        json!(ports),
    ]
}

fn parameters(view: &View<'_>) -> String {
    if !view.at("spec/parameters").is_object() {
        return "<none>".to_owned();
    }
    let kind = crate::status::qualified(
        view.text("spec/parameters/kind"),
        view.text("spec/parameters/apiGroup"),
    );
    format!("{kind}/{}", view.text("spec/parameters/name"))
}

fn budget(view: &View<'_>) -> Vec<Value> {
    let shown = |path: &str| match view.at(path) {
        Value::Null => json!("N/A"),
        Value::String(text) => json!(text),
        other => json!(other.to_string()),
    };
    vec![
        shown("spec/minAvailable"),
        shown("spec/maxUnavailable"),
        json!(view.number("status/disruptionsAllowed")),
    ]
}

fn binding(view: &View<'_>) -> Vec<Value> {
    let role = format!("{}/{}", view.text("roleRef/kind"), view.text("roleRef/name"));
    let subjects = |kind: &str| {
        let some = view.items("subjects").iter().filter(|it| it["kind"] == kind);
        let names: Vec<String> = some
            .map(|it| {
                let text = |name: &str| it[name].as_str().unwrap_or_default();
                if kind == "ServiceAccount" {
                    format!("{}/{}", text("namespace"), text("name"))
                } else {
                    text("name").to_owned()
                }
            })
            .collect();
        json!(names.join(", "))
    };
    vec![
        view.name(),
        json!(role),
        view.age(),
        subjects("User"),
        subjects("Group"),
        subjects("ServiceAccount"),
    ]
}

fn storage_class(view: &View<'_>) -> Vec<Value> {
    let mut name = view.text("metadata/name").to_owned();
    let is_default =
        view.at("metadata/annotations")["storageclass.kubernetes.io/is-default-class"] == "true";
    if is_default {
        name.push_str(" (default)");
    }
    vec![
        json!(name),
        json!(view.text("provisioner")),
        json!(view.text("reclaimPolicy")),
        json!(view.text("volumeBindingMode")),
        json!(view.at("allowVolumeExpansion").as_bool().unwrap_or(false)),
        view.age(),
    ]
}

fn priority_class(view: &View<'_>) -> Vec<Value> {
    vec![
        view.name(),
        json!(view.number("value")),
        json!(view.at("globalDefault").as_bool().unwrap_or(false)),
        view.age(),
        json!(view.text("preemptionPolicy")),
    ]
}

fn param_kind(view: &View<'_>) -> String {
    match view.text("spec/paramKind/kind") {
        "" => "<unset>".to_owned(),
        kind => format!("{}/{kind}", view.text("spec/paramKind/apiVersion")),
    }
}

fn param_ref(view: &View<'_>) -> String {
    if !view.at("spec/paramRef").is_object() {
        return "<unset>".to_owned();
    }
    match (view.text("spec/paramRef/namespace"), view.text("spec/paramRef/name")) {
        ("", "") => "*/*".to_owned(),
        ("", name) => format!("*/{name}"),
        (namespace, name) => format!("{namespace}/{name}"),
    }
}

fn api_service(view: &View<'_>) -> Vec<Value> {
    let service = if view.at("spec/service").is_object() {
        format!("{}/{}", view.text("spec/service/namespace"), view.text("spec/service/name"))
    } else {
        "Local".to_owned()
    };
    let available = view.items("status/conditions").iter().find(|it| it["type"] == "Available");
    let available = match available {
        Some(it) if it["status"] == "True" => "True".to_owned(),
        Some(it) => {
            let text = |name: &str| it[name].as_str().unwrap_or_default().to_owned();
            format!("{} ({})", text("status"), text("reason"))
        }
        None => "Unknown".to_owned(),
    };
    vec![json!(service), json!(available)]
}
