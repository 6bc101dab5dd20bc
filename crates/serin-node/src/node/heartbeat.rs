//! The Node object and its Lease: that this machine is here, what it has, and that it lives.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Node;
use kube::api::{Api, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use super::Shared;

/// As a kubelet renews its lease.
const BEAT: Duration = Duration::from_secs(10);
/// As a kubelet reports a status that has not changed.
const REPORT: u32 = 30;
const LEASES: &str = "kube-node-lease";
/// How many pods fit.
const PODS: u32 = 1000;

/// Starts the task that keeps both.
pub(super) fn start(shared: Arc<Shared>) {
    tokio::spawn(async move {
        let started = Timestamp::now();
        let mut beat = 0_u32;
        loop {
            if beat.is_multiple_of(REPORT)
                && let Err(error) = register(&shared, started).await
            {
                tracing::debug!(%error, "the node was not reported");
                tokio::time::sleep(Duration::from_millis(300)).await;
                continue;
            }
            if let Err(error) = renew(&shared).await {
                tracing::debug!(%error, "the node's lease was not renewed");
            }
            beat = beat.wrapping_add(1);
            tokio::time::sleep(BEAT).await;
        }
    });
}

/// Thousandths of processors, and bytes of memory.
pub(crate) fn machine() -> (i128, i128) {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let total = text.lines().find_map(|line| {
        line.strip_prefix("MemTotal:")?.split_whitespace().next()?.parse::<i128>().ok()
    });
    (i128::try_from(cores).unwrap_or(1) * 1000, total.unwrap_or(0) * 1024)
}

async fn register(shared: &Shared, started: Timestamp) -> kube::Result<()> {
    let api: Api<Node> = Api::all(shared.settings.client.clone());
    let name = &shared.settings.name;
    let version = "v1.33.0+serin";
    let labels = json!({
        "beta.kubernetes.io/arch": arch(),
        "beta.kubernetes.io/os": "linux",
        "kubernetes.io/arch": arch(),
        "kubernetes.io/hostname": name,
        "kubernetes.io/os": "linux",
        "node-role.kubernetes.io/control-plane": "",
    });
    if api.get_opt(name).await?.is_none() {
        let (network, prefix) = shared.settings.pods;
        let cidr = format!("{network}/{prefix}");
        let node = json!({
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": name, "labels": labels},
            "spec": {"podCIDR": cidr, "podCIDRs": [cidr]},
        });
        let node: Node = serde_json::from_value(node).map_err(kube::Error::SerdeError)?;
        match api.create(&PostParams::default(), &node).await {
            Err(kube::Error::Api(status)) if status.code == 409 => {}
            made => {
                made?;
            }
        }
    }
    let status = json!({"status": status(shared, version, started)});
    api.patch_status(name, &PatchParams::default(), &Patch::Merge(status)).await?;
    Ok(())
}

fn arch() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn status(shared: &Shared, version: &str, started: Timestamp) -> Value {
    let (cpu, memory) = machine();
    let resources = json!({
        "cpu": (cpu / 1000).to_string(),
        "memory": format!("{}Ki", memory / 1024),
        "pods": PODS.to_string(),
        "ephemeral-storage": "0",
    });
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default().trim().to_owned();
    let release = read("/etc/os-release");
    let pretty = release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    let now = format!("{:.0}", Timestamp::now());
    let condition = |kind: &str, status: &str, reason: &str, message: &str| {
        json!({
            "type": kind, "status": status, "reason": reason, "message": message,
            "lastHeartbeatTime": now, "lastTransitionTime": format!("{started:.0}"),
        })
    };
    let ready = if shared.groups.can_limit() {
        "kubelet is posting ready status"
    } else {
        "kubelet is posting ready status; containers are not limited: this user may not make control groups"
    };
    json!({
        "capacity": resources,
        "allocatable": resources,
        "addresses": [
            {"type": "InternalIP", "address": shared.settings.address.to_string()},
            {"type": "Hostname", "address": shared.settings.name},
        ],
        "conditions": [
            condition("MemoryPressure", "False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
            condition("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
            condition("PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
            condition("Ready", "True", "KubeletReady", ready),
        ],
        "nodeInfo": {
            "architecture": arch(),
            "bootID": read("/proc/sys/kernel/random/boot_id"),
            "containerRuntimeVersion": concat!("serin://", env!("CARGO_PKG_VERSION")),
            "kernelVersion": read("/proc/sys/kernel/osrelease"),
            "kubeProxyVersion": version,
            "kubeletVersion": version,
            "machineID": read("/etc/machine-id"),
            "operatingSystem": "linux",
            "osImage": pretty.map_or("Linux", |name| name.trim_matches('"')),
            "systemUUID": "",
        },
    })
}

async fn renew(shared: &Shared) -> kube::Result<()> {
    let api: Api<Lease> = Api::namespaced(shared.settings.client.clone(), LEASES);
    let name = &shared.settings.name;
    let now = format!("{:.6}", Timestamp::now());
    let spec = json!({"holderIdentity": name, "leaseDurationSeconds": 40, "renewTime": now});
    let patch = Patch::Merge(json!({"spec": spec}));
    match api.patch(name, &PatchParams::default(), &patch).await {
        Err(kube::Error::Api(status)) if status.code == 404 => {
            let lease = json!({"metadata": {"name": name}, "spec": spec});
            let lease: Lease = serde_json::from_value(lease).map_err(kube::Error::SerdeError)?;
            api.create(&PostParams::default(), &lease).await?;
            Ok(())
        }
        done => done.map(drop),
    }
}
