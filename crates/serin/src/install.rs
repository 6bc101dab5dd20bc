//! `serin install`: the manifests that bring the controller of releases into a Kubernetes.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::ExitCode;

use serde_json::{Value, json};
use serin_api::{Kind, crd, yaml};
use serin_operator::rights;

use crate::cli::InstallArgs;
use crate::dashboard::SECRET;

/// What everything is called.
pub(crate) const NAME: &str = "serin-operator";
/// Where metrics and health are served in the pod.
const PORT: u16 = 8080;
/// Kubernetes' own kinds that the dashboard reads.
const NATIVE: [&str; 7] =
    ["pods", "services", "endpointslices", "namespaces", "nodes", "deployments", "configmaps"];

/// Prints the manifests.
pub(crate) fn run(args: &InstallArgs, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    for object in definitions(args).into_iter().chain(objects(args)) {
        write!(out, "---\n{}", yaml::write(&object))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Those of the kinds that a release is made of, and that nobody else brings.
fn definitions(args: &InstallArgs) -> Vec<Value> {
    let is_ours = |it: &Value| match it["spec"]["group"].as_str() {
        Some("serin.dev") => true,
        Some("flagger.app") => !args.leave_flagger,
        _ => false,
    };
    crd::all().into_iter().filter(is_ours).collect()
}

fn objects(args: &InstallArgs) -> Vec<Value> {
    let namespace = &args.namespace;
    let labels = json!({"app.kubernetes.io/name": NAME});
    let meta = json!({"name": NAME, "namespace": namespace, "labels": labels});
    let wide = json!({"name": NAME, "labels": labels});
    let subjects = json!([{"kind": "ServiceAccount", "name": NAME, "namespace": namespace}]);
    let rbac = "rbac.authorization.k8s.io";
    let role = |kind: &str| json!({"apiGroup": rbac, "kind": kind, "name": NAME});
    let rbac = format!("{rbac}/v1");
    vec![
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}),
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta}),
        json!({"apiVersion": rbac, "kind": "ClusterRole", "metadata": wide, "rules": everywhere(args)}),
        json!({"apiVersion": rbac, "kind": "ClusterRoleBinding", "metadata": wide,
            "roleRef": role("ClusterRole"), "subjects": subjects}),
        json!({"apiVersion": rbac, "kind": "Role", "metadata": meta, "rules": rules(&rights::AT_HOME)}),
        json!({"apiVersion": rbac, "kind": "RoleBinding", "metadata": meta,
            "roleRef": role("Role"), "subjects": subjects}),
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta, "spec": {
            "replicas": args.replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels, "annotations": scraped()}, "spec": pod(args)},
        }}),
    ]
}

fn rules(rights: &[rights::Right]) -> Vec<Value> {
    let rule = |it: &rights::Right| json!({"apiGroups": [it.group], "resources": it.resources, "verbs": it.verbs});
    rights.iter().map(rule).collect()
}

/// What the controller does, and what its dashboard shows.
fn everywhere(args: &InstallArgs) -> Vec<Value> {
    let mut rules = rules(&rights::EVERYWHERE);
    if !args.no_dashboard {
        rules.extend(seen());
    }
    rules
}

/// What the dashboard reads: the kinds that say how requests go, by their groups.
fn seen() -> impl Iterator<Item = Value> {
    let mut groups: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for kind in Kind::all().iter().filter(|it| it.is_custom || NATIVE.contains(&it.plural)) {
        groups.entry(kind.group).or_default().push(kind.plural);
    }
    let rule = |(group, kinds)| json!({"apiGroups": [group], "resources": kinds, "verbs": ["get", "list", "watch"]});
    groups.into_iter().map(rule)
}

/// For a Prometheus that finds pods by their annotations; the mesh is not needed for it.
fn scraped() -> Value {
    json!({
        "prometheus.io/scrape": "true", "prometheus.io/port": PORT.to_string(), "sidecar.istio.io/inject": "false",
    })
}

fn pod(args: &InstallArgs) -> Value {
    let mut arguments = vec![
        "operator".to_owned(),
        format!("--metrics-server={}", args.metrics_server),
        format!("--listen=0.0.0.0:{PORT}"),
        format!("--lease={}/{NAME}", args.namespace),
    ];
    if args.no_dashboard {
        arguments.push("--dashboard-address=off".to_owned());
    } else {
        arguments.push(format!("--dashboard-secret={}/{SECRET}", args.namespace));
    }
    arguments.extend(args.leave_flagger.then(|| "--leave-flagger".to_owned()));
    let probe = json!({"httpGet": {"path": "/healthz", "port": "http"}});
    json!({
        "serviceAccountName": NAME,
        "securityContext": {"runAsNonRoot": true, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [{
            "name": "operator",
            "image": args.image,
            "args": arguments,
            "ports": [{"name": "http", "containerPort": PORT}],
            "readinessProbe": probe,
            "livenessProbe": probe,
            "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"memory": "512Mi"}},
            "securityContext": {
                "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": {"drop": ["ALL"]},
            },
        }],
    })
}
