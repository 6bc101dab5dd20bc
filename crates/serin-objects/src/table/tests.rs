use super::*;
use crate::Catalog;

const NOW: &str = "2024-01-01T01:00:00Z";

fn printed(group: &str, plural: &str, object: Value) -> String {
    let catalog = Catalog::builtin();
    let resource = catalog.find_preferred(group, plural).unwrap();
    let cells = row(resource, None, &object, time::parse(NOW).unwrap());
    assert_eq!(cells.len(), columns(resource, None).len(), "{plural}");
    let text = |cell: &Value| cell.as_str().map_or_else(|| cell.to_string(), str::to_owned);
    cells.iter().map(text).collect::<Vec<_>>().join("  ")
}

fn meta(name: &str) -> Value {
    json!({"name": name, "creationTimestamp": "2024-01-01T00:00:00Z"})
}

#[test]
fn every_resource_has_a_cell_for_each_column() {
    let catalog = Catalog::builtin();
    for resource in catalog.resources() {
        let object = json!({"metadata": {"name": "x"}});
        let cells = row(resource, None, &object, Timestamp::UNIX_EPOCH);
        assert_eq!(cells.len(), columns(resource, None).len(), "{}", resource.kind);
    }
}

#[test]
fn pods_are_summed_up() {
    let pod = |status: Value| {
        let object = json!({"metadata": meta("web"), "spec": {"nodeName": "n1", "containers": [{}, {}]}, "status": status});
        printed("", "pods", object)
    };
    let running = json!({"ready": true, "restartCount": 0, "state": {"running": {}}});
    assert_eq!(
        pod(
            json!({"phase": "Running", "podIP": "10.0.0.1", "containerStatuses": [running, running]})
        ),
        "web  2/2  Running  0  60m  10.0.0.1  n1  <none>  <none>"
    );
    let crashed = json!({"ready": false, "restartCount": 3, "state": {"waiting": {"reason": "CrashLoopBackOff"}},
        "lastState": {"terminated": {"finishedAt": "2024-01-01T00:59:00Z"}}});
    assert_eq!(
        pod(json!({"phase": "Running", "containerStatuses": [running, crashed]})),
        "web  1/2  CrashLoopBackOff  3 (60s ago)  60m  <none>  n1  <none>  <none>"
    );
    assert_eq!(
        pod(
            json!({"phase": "Pending", "initContainerStatuses": [{"name": "i", "state": {"waiting": {"reason": "PodInitializing"}}}]})
        ),
        "web  0/2  Init:0/0  0  60m  <none>  n1  <none>  <none>"
    );
    assert_eq!(
        pod(json!({"phase": "Failed", "reason": "Evicted"})),
        "web  0/2  Evicted  0  60m  <none>  n1  <none>  <none>"
    );
}

#[test]
fn workloads_services_and_others_are_shown_as_kubectl_does() {
    let template = json!({"spec": {"containers": [{"name": "nginx", "image": "nginx:1.14.2"}]}});
    let selector = json!({"matchLabels": {"app": "web"}});
    assert_eq!(
        printed(
            "apps",
            "deployments",
            json!({"metadata": meta("web"),
            "spec": {"replicas": 2, "selector": selector, "template": template},
            "status": {"readyReplicas": 1, "updatedReplicas": 2}})
        ),
        "web  1/2  2  0  60m  nginx  nginx:1.14.2  app=web"
    );
    assert_eq!(
        printed(
            "",
            "services",
            json!({"metadata": meta("web"), "spec": {"type": "NodePort", "clusterIP": "10.96.0.1",
            "clusterIPs": ["10.96.0.1"], "ports": [{"port": 80, "nodePort": 30080, "protocol": "TCP"}], "selector": {"app": "web"}}})
        ),
        "web  NodePort  10.96.0.1  <none>  80:30080/TCP  60m  app=web"
    );
    assert_eq!(
        printed(
            "autoscaling",
            "horizontalpodautoscalers",
            json!({"metadata": meta("web"), "apiVersion": "autoscaling/v2",
            "spec": {"scaleTargetRef": {"kind": "Deployment", "name": "web"}, "minReplicas": 1, "maxReplicas": 10, "metrics": [
                {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}}]}})
        ),
        "web  Deployment/web  cpu: <unknown>/50%  1  10  0  60m"
    );
    assert_eq!(
        printed(
            "",
            "nodes",
            json!({"metadata": {"name": "n", "creationTimestamp": "2024-01-01T00:00:00Z",
            "labels": {"node-role.kubernetes.io/control-plane": ""}},
            "status": {"conditions": [{"type": "Ready", "status": "True"}], "nodeInfo": {"kubeletVersion": "v1.33.0"},
                       "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}]}})
        ),
        "n  Ready  control-plane  60m  v1.33.0  127.0.0.1  <none>  <unknown>  <unknown>  <unknown>"
    );
    assert_eq!(
        printed("rbac.authorization.k8s.io", "roles", json!({"metadata": meta("r")})),
        "r  2024-01-01T00:00:00Z"
    );
    assert_eq!(
        printed(
            "",
            "events",
            json!({"metadata": meta("e"), "type": "Normal", "reason": "Started", "message": " hi ",
            "involvedObject": {"kind": "Pod", "name": "web"}, "source": {"component": "kubelet"},
            "firstTimestamp": "2024-01-01T00:50:00Z", "lastTimestamp": "2024-01-01T00:59:30Z", "count": 2})
        ),
        "30s  Normal  Started  pod/web    kubelet  hi  10m  2  e"
    );
}
