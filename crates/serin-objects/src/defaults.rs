//! Default values of Kubernetes' own kinds, and those of structural schemas.

use serde_json::{Map, Value, json};

use crate::Resource;

mod pod;

pub(crate) use pod::template as pod_template;

/// Fills in the values of absent fields.
pub(crate) fn apply(resource: &Resource, object: &mut Value) {
    if let Some(version) = resource.definition().and_then(|it| it.version(&resource.version)) {
        version.schema().apply_defaults(object);
        return;
    }
    let Some(map) = object.as_object_mut() else { return };
    match (resource.group.as_str(), resource.kind.as_str()) {
        ("", "Pod") => pod::pod(map),
        ("", "PodTemplate") => pod_template(part(map, "template")),
        ("", "ReplicationController") => replication_controller(map),
        ("", "Service") => service(map),
        ("", "Endpoints") => endpoints(map),
        ("", "Secret") => set(map, "type", json!("Opaque")),
        ("", "Namespace") => namespace(map),
        ("", "PersistentVolumeClaim") => set(part(map, "spec"), "volumeMode", json!("Filesystem")),
        ("", "PersistentVolume") => {
            let spec = part(map, "spec");
            set(spec, "persistentVolumeReclaimPolicy", json!("Retain"));
            set(spec, "volumeMode", json!("Filesystem"));
        }
        ("", "LimitRange") => limit_range(part(map, "spec")),
        ("", "Event") => {
            set(map, "type", json!("Normal"));
        }
        ("apps", _) => workload(&resource.kind, map),
        ("batch", "Job") => job(part(map, "spec")),
        ("batch", "CronJob") => cron_job(map),
        ("autoscaling", "HorizontalPodAutoscaler") => autoscaler(&resource.version, map),
        ("networking.k8s.io", "NetworkPolicy") => network_policy(map),
        ("networking.k8s.io", "Ingress") => {}
        ("discovery.k8s.io", "EndpointSlice") => endpoint_slice(map),
        ("rbac.authorization.k8s.io", "RoleBinding" | "ClusterRoleBinding") => binding(map),
        ("storage.k8s.io", "StorageClass") => {
            set(map, "reclaimPolicy", json!("Delete"));
            set(map, "volumeBindingMode", json!("Immediate"));
        }
        ("scheduling.k8s.io", "PriorityClass") => {
            set(map, "preemptionPolicy", json!("PreemptLowerPriority"));
        }
        ("admissionregistration.k8s.io", _) => admission(&resource.kind, map),
        ("flowcontrol.apiserver.k8s.io", _) => flow_control(&resource.kind, part(map, "spec")),
        ("storage.k8s.io", "CSIDriver") => storage_driver(part(map, "spec")),
        ("apiextensions.k8s.io", _) => definition(map),
        ("apiregistration.k8s.io", _) => {
            if let Some(Value::Object(service)) = part(map, "spec").get_mut("service") {
                set(service, "port", json!(443));
            }
        }
        _ => {}
    }
}

type Object = Map<String, Value>;

/// Sets a field that is absent.
fn set(map: &mut Object, name: &str, value: Value) {
    if map.get(name).is_none_or(Value::is_null) {
        map.insert(name.to_owned(), value);
    }
}

/// A record inside of another, made if it is absent.
fn part<'m>(map: &'m mut Object, name: &str) -> &'m mut Object {
    if !map.get(name).is_some_and(Value::is_object) {
        map.insert(name.to_owned(), json!({}));
    }
    #[expect(clippy::expect_used, reason = "it was made an object just before")]
    map.get_mut(name).and_then(Value::as_object_mut).expect("the part is an object")
}

/// The records of a list; none if there is no list.
fn items<'m>(map: &'m mut Object, name: &str) -> impl Iterator<Item = &'m mut Object> {
    let list = map.get_mut(name).and_then(Value::as_array_mut);
    list.into_iter().flatten().filter_map(Value::as_object_mut)
}

fn text<'m>(map: &'m Object, name: &str) -> &'m str {
    map.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn namespace(map: &mut Object) {
    let metadata = part(map, "metadata");
    let name = text(metadata, "name").to_owned();
    if !name.is_empty() {
        part(metadata, "labels").insert("kubernetes.io/metadata.name".to_owned(), json!(name));
    }
}

fn replication_controller(map: &mut Object) {
    let labels = map
        .get("spec")
        .and_then(|spec| spec.pointer("/template/metadata/labels"))
        .filter(|it| it.is_object())
        .cloned();
    let spec = part(map, "spec");
    set(spec, "replicas", json!(1));
    if let Some(labels) = labels {
        set(spec, "selector", labels.clone());
        set(part(map, "metadata"), "labels", labels);
    }
    let spec = part(map, "spec");
    if spec.get("template").is_some_and(Value::is_object) {
        pod_template(part(spec, "template"));
    }
}

fn service(map: &mut Object) {
    let spec = part(map, "spec");
    set(spec, "sessionAffinity", json!("None"));
    set(spec, "type", json!("ClusterIP"));
    let r#type = text(spec, "type").to_owned();
    if text(spec, "sessionAffinity") == "ClientIP" {
        let config = part(part(spec, "sessionAffinityConfig"), "clientIP");
        set(config, "timeoutSeconds", json!(10800));
    } else {
        spec.remove("sessionAffinityConfig");
    }
    for port in items(spec, "ports") {
        set(port, "protocol", json!("TCP"));
        let number = port.get("port").cloned().unwrap_or(json!(0));
        let target = port.get("targetPort");
        if target.is_none_or(|it| it == &json!(0) || it == &json!("")) {
            port.insert("targetPort".to_owned(), number);
        }
    }
    let from_outside = spec.get("externalIPs").and_then(Value::as_array);
    let from_outside = from_outside.is_some_and(|it| !it.is_empty());
    if matches!(r#type.as_str(), "NodePort" | "LoadBalancer")
        || r#type == "ClusterIP" && from_outside
    {
        set(spec, "externalTrafficPolicy", json!("Cluster"));
    }
    if r#type != "ExternalName" {
        set(spec, "internalTrafficPolicy", json!("Cluster"));
    }
    if r#type == "LoadBalancer" {
        set(spec, "allocateLoadBalancerNodePorts", json!(true));
    }
}

fn endpoints(map: &mut Object) {
    for subset in items(map, "subsets") {
        for port in items(subset, "ports") {
            set(port, "protocol", json!("TCP"));
        }
    }
}

fn endpoint_slice(map: &mut Object) {
    for port in items(map, "ports") {
        set(port, "name", json!(""));
        set(port, "protocol", json!("TCP"));
    }
}

fn workload(kind: &str, map: &mut Object) {
    let spec = part(map, "spec");
    match kind {
        "Deployment" => {
            set(spec, "replicas", json!(1));
            set(spec, "progressDeadlineSeconds", json!(600));
            set(spec, "revisionHistoryLimit", json!(10));
            let strategy = part(spec, "strategy");
            set(strategy, "type", json!("RollingUpdate"));
            if text(strategy, "type") == "RollingUpdate" {
                let rolling = part(strategy, "rollingUpdate");
                set(rolling, "maxUnavailable", json!("25%"));
                set(rolling, "maxSurge", json!("25%"));
            }
        }
        "ReplicaSet" => set(spec, "replicas", json!(1)),
        "StatefulSet" => {
            set(spec, "podManagementPolicy", json!("OrderedReady"));
            set(spec, "replicas", json!(1));
            set(spec, "revisionHistoryLimit", json!(10));
            let strategy = part(spec, "updateStrategy");
            set(strategy, "type", json!("RollingUpdate"));
            if text(strategy, "type") == "RollingUpdate" {
                set(part(strategy, "rollingUpdate"), "partition", json!(0));
            }
            let retention = part(spec, "persistentVolumeClaimRetentionPolicy");
            set(retention, "whenDeleted", json!("Retain"));
            set(retention, "whenScaled", json!("Retain"));
            for claim in items(spec, "volumeClaimTemplates") {
                set(claim, "apiVersion", json!("v1"));
                set(claim, "kind", json!("PersistentVolumeClaim"));
                set(part(claim, "spec"), "volumeMode", json!("Filesystem"));
                set(part(claim, "status"), "phase", json!("Pending"));
            }
        }
        "DaemonSet" => {
            set(spec, "revisionHistoryLimit", json!(10));
            let strategy = part(spec, "updateStrategy");
            set(strategy, "type", json!("RollingUpdate"));
            if text(strategy, "type") == "RollingUpdate" {
                let rolling = part(strategy, "rollingUpdate");
                set(rolling, "maxUnavailable", json!(1));
                set(rolling, "maxSurge", json!(0));
            }
        }
        _ => return,
    }
    pod_template(part(spec, "template"));
}

fn job(spec: &mut Object) {
    let either = spec.contains_key("completions") || spec.contains_key("parallelism");
    if !either {
        set(spec, "completions", json!(1));
    }
    set(spec, "parallelism", json!(1));
    // An index has its own limit, if any.
    let limit = if spec.contains_key("backoffLimitPerIndex") { i32::MAX } else { 6 };
    set(spec, "backoffLimit", json!(limit));
    set(spec, "completionMode", json!("NonIndexed"));
    set(spec, "suspend", json!(false));
    set(spec, "manualSelector", json!(false));
    let by_failure = spec.contains_key("podFailurePolicy");
    let replacement = if by_failure { "Failed" } else { "TerminatingOrFailed" };
    set(spec, "podReplacementPolicy", json!(replacement));
    pod_template(part(spec, "template"));
}

fn cron_job(map: &mut Object) {
    let spec = part(map, "spec");
    set(spec, "concurrencyPolicy", json!("Allow"));
    set(spec, "suspend", json!(false));
    set(spec, "successfulJobsHistoryLimit", json!(3));
    set(spec, "failedJobsHistoryLimit", json!(1));
    let job = part(part(spec, "jobTemplate"), "spec");
    pod_template(part(job, "template"));
}

fn autoscaler(version: &str, map: &mut Object) {
    let spec = part(map, "spec");
    set(spec, "minReplicas", json!(1));
    if version == "v1" {
        return;
    }
    if spec.get("metrics").and_then(Value::as_array).is_none_or(Vec::is_empty) {
        let cpu = json!([{"type": "Resource", "resource": {
            "name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}}]);
        spec.insert("metrics".to_owned(), cpu);
    }
    let Some(Value::Object(behavior)) = spec.get_mut("behavior") else { return };
    let percent = json!({"type": "Percent", "value": 100, "periodSeconds": 15});
    let pods = json!({"type": "Pods", "value": 4, "periodSeconds": 15});
    for (name, policies) in [("scaleUp", json!([pods, percent])), ("scaleDown", json!([percent]))] {
        let rules = part(behavior, name);
        set(rules, "selectPolicy", json!("Max"));
        if name == "scaleUp" {
            set(rules, "stabilizationWindowSeconds", json!(0));
        }
        set(rules, "policies", policies);
    }
}

fn network_policy(map: &mut Object) {
    let spec = part(map, "spec");
    for list in ["ingress", "egress"] {
        for rule in items(spec, list) {
            for port in items(rule, "ports") {
                set(port, "protocol", json!("TCP"));
            }
        }
    }
    if !spec.contains_key("policyTypes") {
        let has_egress =
            spec.get("egress").is_some_and(|it| it.as_array().is_some_and(|it| !it.is_empty()));
        let types = if has_egress { json!(["Ingress", "Egress"]) } else { json!(["Ingress"]) };
        spec.insert("policyTypes".to_owned(), types);
    }
}

fn binding(map: &mut Object) {
    const GROUP: &str = "rbac.authorization.k8s.io";
    let role = part(map, "roleRef");
    if text(role, "apiGroup").is_empty() {
        role.insert("apiGroup".to_owned(), json!(GROUP));
    }
    for subject in items(map, "subjects") {
        if matches!(text(subject, "kind"), "User" | "Group") {
            set(subject, "apiGroup", json!(GROUP));
        }
    }
}

fn admission(kind: &str, map: &mut Object) {
    match kind {
        "MutatingWebhookConfiguration" | "ValidatingWebhookConfiguration" => {
            for webhook in items(map, "webhooks") {
                set(webhook, "failurePolicy", json!("Fail"));
                set(webhook, "matchPolicy", json!("Equivalent"));
                set(webhook, "namespaceSelector", json!({}));
                set(webhook, "objectSelector", json!({}));
                set(webhook, "timeoutSeconds", json!(10));
                if kind == "MutatingWebhookConfiguration" {
                    set(webhook, "reinvocationPolicy", json!("Never"));
                }
                if let Some(Value::Object(service)) =
                    part(webhook, "clientConfig").get_mut("service")
                {
                    set(service, "port", json!(443));
                }
                for rule in items(webhook, "rules") {
                    set(rule, "scope", json!("*"));
                }
            }
        }
        "ValidatingAdmissionPolicy" => {
            let spec = part(map, "spec");
            set(spec, "failurePolicy", json!("Fail"));
            if let Some(Value::Object(it)) = spec.get_mut("matchConstraints") {
                match_resources(it);
            }
        }
        "ValidatingAdmissionPolicyBinding" => {
            if let Some(Value::Object(it)) = part(map, "spec").get_mut("matchResources") {
                match_resources(it);
            }
        }
        _ => {}
    }
}

fn flow_control(kind: &str, spec: &mut Object) {
    if kind == "FlowSchema" {
        return set(spec, "matchingPrecedence", json!(1000));
    }
    for (name, shares) in [("exempt", 0), ("limited", 30)] {
        let Some(Value::Object(level)) = spec.get_mut(name) else { continue };
        set(level, "nominalConcurrencyShares", json!(shares));
        set(level, "lendablePercent", json!(0));
        let Some(Value::Object(response)) = level.get_mut("limitResponse") else { continue };
        if text(response, "type") == "Queue" {
            let queuing = part(response, "queuing");
            for (name, value) in [("queues", 64), ("handSize", 8), ("queueLengthLimit", 50)] {
                set(queuing, name, json!(value));
            }
        }
    }
}

fn storage_driver(spec: &mut Object) {
    for (name, value) in [
        ("attachRequired", json!(true)),
        ("podInfoOnMount", json!(false)),
        ("storageCapacity", json!(false)),
        ("fsGroupPolicy", json!("ReadWriteOnceWithFSType")),
        ("volumeLifecycleModes", json!(["Persistent"])),
        ("requiresRepublish", json!(false)),
        ("seLinuxMount", json!(false)),
    ] {
        set(spec, name, value);
    }
}

fn match_resources(it: &mut Object) {
    set(it, "matchPolicy", json!("Equivalent"));
    set(it, "namespaceSelector", json!({}));
    set(it, "objectSelector", json!({}));
    for list in ["resourceRules", "excludeResourceRules"] {
        for rule in items(it, list) {
            set(rule, "scope", json!("*"));
        }
    }
}

fn definition(map: &mut Object) {
    let spec = part(map, "spec");
    let names = part(spec, "names");
    let kind = text(names, "kind").to_owned();
    if text(names, "singular").is_empty() {
        names.insert("singular".to_owned(), json!(kind.to_lowercase()));
    }
    if text(names, "listKind").is_empty() && !kind.is_empty() {
        names.insert("listKind".to_owned(), json!(format!("{kind}List")));
    }
    if let Some(Value::Object(conversion)) = spec.get_mut("conversion") {
        if let Some(Value::Object(service)) =
            conversion.get_mut("webhook").and_then(|it| it.pointer_mut("/clientConfig/service"))
        {
            set(service, "port", json!(443));
        }
    } else {
        spec.insert("conversion".to_owned(), json!({"strategy": "None"}));
    }
}

/// Ranges of containers: what is not said follows from what is.
fn limit_range(spec: &mut Map<String, Value>) {
    let ranges = spec.get_mut("limits").and_then(Value::as_array_mut);
    for range in ranges.into_iter().flatten().filter(|it| it["type"] == "Container") {
        for (from, to) in
            [("max", "default"), ("default", "defaultRequest"), ("min", "defaultRequest")]
        {
            let known = range[from].as_object().cloned().unwrap_or_default();
            let Some(range) = range.as_object_mut() else { continue };
            for (name, amount) in known {
                set(part(range, to), &name, amount);
            }
        }
    }
}

#[cfg(test)]
mod tests;
