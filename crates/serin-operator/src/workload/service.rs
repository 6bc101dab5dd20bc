//! Services that are released: a change of where one leads to is a new version, and the pods are whoever's.

use serde_json::{Value, json};
use serin_rollout::{Readiness, Time, Workload};

use super::{COPIED, Patience, count};
use crate::cluster::{ApiError, Cluster};
use crate::json;
use crate::kind::Kind;

/// Fields by which a Service is reached. Copies have their own, and are not reached from outside of the cluster.
const OWN: [&str; 11] = [
    "allocateLoadBalancerNodePorts",
    "clusterIP",
    "clusterIPs",
    "externalIPs",
    "externalTrafficPolicy",
    "healthCheckNodePort",
    "loadBalancerClass",
    "loadBalancerIP",
    "loadBalancerSourceRanges",
    "status",
    "type",
];

/// What of a Service's spec says where it leads to.
pub(crate) fn essence(service: &Value) -> Value {
    let mut spec = json::at(service, "spec").clone();
    let is_external = json::text(&spec, "type") == "ExternalName";
    let is_headless = json::text(&spec, "clusterIP") == "None";
    if let Some(fields) = spec.as_object_mut() {
        fields.retain(|name, _| !OWN.contains(&name.as_str()));
        if let Some(Value::Array(ports)) = fields.get_mut("ports") {
            ports.iter_mut().for_each(|port| json::remove(port, "nodePort"));
        }
        if is_external {
            fields.insert("type".to_owned(), json!("ExternalName"));
        } else if is_headless {
            fields.insert("clusterIP".to_owned(), json!("None"));
        }
    }
    spec
}

/// The revision of a Service.
pub(super) fn revision(service: &Value) -> String {
    json::hash(&essence(service))
}

/// A Service as its pods are. Of a copy the revision is the one that it says; `unknown` is that of one that says nothing.
pub(crate) async fn observe_service(
    cluster: &Cluster,
    service: &Value,
    unknown: Option<&str>,
    patience: &Patience,
    now: Time,
) -> Result<Workload, ApiError> {
    let copied = || json::texts(service, "metadata/annotations").remove(COPIED);
    let revision = match unknown {
        None => revision(service),
        Some(unknown) => copied().unwrap_or_else(|| unknown.to_owned()),
    };
    let workload = Workload { revision, replicas: 1, ready_pods: 1, ..Workload::default() };
    let selector = json::texts(service, "spec/selector");
    if selector.is_empty() {
        // It leads to a name, or to endpoints that someone keeps.
        return Ok(workload);
    }
    let labels: Vec<String> = selector.iter().map(|(key, it)| format!("{key}={it}")).collect();
    let pods = cluster.list(Kind::Pod, json::namespace(service), &labels.join(",")).await?;
    let (replicas, ready_pods) = count(&pods);
    let why = format!("{ready_pods} of {replicas} pods that it leads to are ready");
    let readiness = match ready_pods {
        1.. => Readiness::Ready,
        0 if patience.since + patience.deadline < now => {
            Readiness::Stuck(format!("{why}, for longer than {}", patience.deadline))
        }
        0 => Readiness::Pending(why),
    };
    Ok(Workload { replicas, ready_pods, readiness, ..workload })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_where_it_leads_to_and_not_how_it_is_reached() {
        let service = |spec: Value| json!({"spec": spec});
        let whole = service(json!({
            "type": "NodePort", "clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1"], "externalTrafficPolicy": "Cluster",
            "selector": {"app": "a"}, "ports": [{"port": 80, "nodePort": 30080}], "sessionAffinity": "None",
        }));
        let bare =
            json!({"selector": {"app": "a"}, "ports": [{"port": 80}], "sessionAffinity": "None"});
        assert_eq!(essence(&whole), bare);
        assert_eq!(revision(&whole), revision(&service(bare)));
        let external = json!({"type": "ExternalName", "externalName": "a.example"});
        assert_eq!(essence(&service(external.clone())), external);
        let headless = json!({"clusterIP": "None", "selector": {"app": "a"}});
        assert_eq!(essence(&service(headless.clone())), headless);
    }
}
