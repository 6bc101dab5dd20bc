//! Rows of what keeps a cluster running: certificates, addresses, storage drivers, runtimes and flow control.

use serde_json::{Value, json};

use super::View;
use crate::{status, time};

/// Whether rows of a kind are made here.
pub(super) fn shows(group: &str, kind: &str) -> bool {
    matches!(group, "certificates.k8s.io" | "node.k8s.io" | "flowcontrol.apiserver.k8s.io")
        || kind == "ComponentStatus"
        || matches!(kind, "IPAddress" | "ServiceCIDR")
        || group == "storage.k8s.io" && kind != "StorageClass"
}

pub(super) fn row(kind: &str, view: &View<'_>) -> Vec<Value> {
    let mut row = vec![view.name()];
    match kind {
        "ComponentStatus" => row.extend(component(view)),
        "CertificateSigningRequest" => row.extend(request(view)),
        "IPAddress" => row.push(json!(parent(view))),
        "ServiceCIDR" => row.extend([json!(texts(view, "spec/cidrs")), view.age()]),
        "CSIDriver" => row.extend(driver(view)),
        "CSINode" => row.extend([json!(view.items("spec/drivers").len()), view.age()]),
        "CSIStorageCapacity" => {
            let capacity = view.at("capacity").as_str().unwrap_or("<unset>");
            row.extend([json!(view.text("storageClassName")), json!(capacity)]);
        }
        "VolumeAttachment" => row.extend(attachment(view)),
        "RuntimeClass" => row.extend([json!(view.text("handler")), view.age()]),
        "FlowSchema" => row.extend(flow(view)),
        _ => row.extend(level(view)),
    }
    row
}

fn texts(view: &View<'_>, path: &str) -> String {
    view.items(path).iter().filter_map(Value::as_str).collect::<Vec<_>>().join(",")
}

fn component(view: &View<'_>) -> [Value; 3] {
    let healthy = view.items("conditions").iter().find(|it| it["type"] == "Healthy");
    let text = |name: &str| healthy.and_then(|it| it[name].as_str()).unwrap_or_default();
    let state = match text("status") {
        "True" => "Healthy",
        "False" => "Unhealthy",
        _ => "Unknown",
    };
    [json!(state), json!(text("message")), json!(text("error"))]
}

fn request(view: &View<'_>) -> [Value; 5] {
    let has = |kind: &str| view.items("status/conditions").iter().any(|it| it["type"] == kind);
    let mut state = match (has("Denied"), has("Approved")) {
        (true, _) => "Denied",
        (false, true) => "Approved",
        (false, false) => "Pending",
    }
    .to_owned();
    if has("Failed") {
        state.push_str(",Failed");
    }
    if !view.text("status/certificate").is_empty() {
        state.push_str(",Issued");
    }
    let duration = view.at("spec/expirationSeconds").as_i64();
    let duration = duration.map_or_else(|| "<none>".to_owned(), time::human);
    let (signer, user) = (view.or_none("spec/signerName"), view.text("spec/username"));
    [view.age(), json!(signer), json!(user), json!(duration), json!(state)]
}

/// What an address belongs to: `services/default/kubernetes`.
fn parent(view: &View<'_>) -> String {
    let text = |name: &str| view.text(&format!("spec/parentRef/{name}"));
    let resource = status::qualified(text("resource"), text("group"));
    match text("namespace") {
        "" => format!("{resource}/{}", text("name")),
        namespace => format!("{resource}/{namespace}/{}", text("name")),
    }
}

fn driver(view: &View<'_>) -> [Value; 7] {
    let flag = |name: &str, absent: bool| {
        json!(view.at(&format!("spec/{name}")).as_bool().unwrap_or(absent))
    };
    let modes = match texts(view, "spec/volumeLifecycleModes") {
        modes if modes.is_empty() => "<none>".to_owned(),
        modes => modes,
    };
    let requests = view.items("spec/tokenRequests");
    let audiences: Vec<&str> = requests.iter().filter_map(|it| it["audience"].as_str()).collect();
    let audiences = if requests.is_empty() { "<unset>".to_owned() } else { audiences.join(",") };
    [
        flag("attachRequired", true),
        flag("podInfoOnMount", false),
        flag("storageCapacity", false),
        json!(audiences),
        flag("requiresRepublish", false),
        json!(modes),
        view.age(),
    ]
}

fn attachment(view: &View<'_>) -> [Value; 5] {
    [
        json!(view.text("spec/attacher")),
        json!(view.text("spec/source/persistentVolumeName")),
        json!(view.text("spec/nodeName")),
        json!(view.at("status/attached").as_bool().unwrap_or_default()),
        view.age(),
    ]
}

fn flow(view: &View<'_>) -> [Value; 5] {
    let dangling = view.items("status/conditions").iter().find(|it| it["type"] == "Dangling");
    let missing = dangling.and_then(|it| it["status"].as_str()).unwrap_or("?");
    [
        json!(view.text("spec/priorityLevelConfiguration/name")),
        json!(view.number("spec/matchingPrecedence")),
        json!(view.or_none("spec/distinguisherMethod/type")),
        view.age(),
        json!(missing),
    ]
}

fn level(view: &View<'_>) -> [Value; 6] {
    let number = |path: &str| match view.at(path).as_i64() {
        Some(number) => json!(number),
        None => json!("<none>"),
    };
    const QUEUING: &str = "spec/limited/limitResponse/queuing";
    [
        json!(view.text("spec/type")),
        number("spec/limited/nominalConcurrencyShares"),
        number(&format!("{QUEUING}/queues")),
        number(&format!("{QUEUING}/handSize")),
        number(&format!("{QUEUING}/queueLengthLimit")),
        view.age(),
    ]
}
