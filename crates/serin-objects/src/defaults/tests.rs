use super::*;
use crate::Catalog;

fn defaulted(group: &str, plural: &str, mut object: Value) -> Value {
    let catalog = Catalog::builtin();
    let resource = catalog.find_preferred(group, plural).unwrap();
    apply(resource, &mut object);
    object
}

#[test]
fn a_deployment_gets_the_defaults_of_kubernetes() {
    let object = defaulted(
        "apps",
        "deployments",
        json!({"spec": {"selector": {}, "template": {"spec": {"containers": [
            {"name": "nginx", "image": "nginx:1.14.2", "resources": {}, "ports": [{"containerPort": 80}]}]}}}}),
    );
    assert_eq!(
        object["spec"],
        json!({
            "selector": {}, "replicas": 1, "progressDeadlineSeconds": 600, "revisionHistoryLimit": 10,
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "25%", "maxSurge": "25%"}},
            "template": {"spec": {
                "containers": [{
                    "name": "nginx", "image": "nginx:1.14.2", "resources": {},
                    "ports": [{"containerPort": 80, "protocol": "TCP"}],
                    "imagePullPolicy": "IfNotPresent",
                    "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File"}],
                "dnsPolicy": "ClusterFirst", "restartPolicy": "Always", "schedulerName": "default-scheduler",
                "securityContext": {}, "terminationGracePeriodSeconds": 30}},
        })
    );
}

#[test]
fn images_without_a_version_are_always_pulled() {
    for (image, expect) in [
        ("nginx", "Always"),
        ("nginx:latest", "Always"),
        ("reg:5000/nginx", "Always"),
        ("reg:5000/nginx:1", "IfNotPresent"),
        ("nginx@sha256:00", "IfNotPresent"),
    ] {
        let pod = defaulted("", "pods", json!({"spec": {"containers": [{"image": image}]}}));
        assert_eq!(pod["spec"]["containers"][0]["imagePullPolicy"], expect, "{image}");
    }
}

#[test]
fn services_and_autoscalers_get_theirs() {
    let service = defaulted("", "services", json!({"spec": {"ports": [{"port": 80}]}}));
    assert_eq!(
        service["spec"],
        json!({"ports": [{"port": 80, "protocol": "TCP", "targetPort": 80}], "sessionAffinity": "None",
               "type": "ClusterIP", "internalTrafficPolicy": "Cluster"})
    );
    let scaler =
        defaulted("autoscaling", "horizontalpodautoscalers", json!({"spec": {"maxReplicas": 3}}));
    assert_eq!(scaler["spec"]["metrics"][0]["resource"]["target"]["averageUtilization"], 80);
}

#[test]
fn defaults_are_complete_at_once() {
    let catalog = Catalog::builtin();
    for resource in catalog.resources() {
        let mut once = crate::decode::canonical::zero(resource.schema());
        apply(resource, &mut once);
        let mut twice = once.clone();
        apply(resource, &mut twice);
        assert_eq!(once, twice, "{}", resource.kind);
    }
}
