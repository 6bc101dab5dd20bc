use serde_json::json;

use super::*;
use crate::Catalog;
use crate::decode::{self, Body, FieldValidation};

fn canonical(group: &str, plural: &str, value: Value) -> (std::sync::Arc<Resource>, Value) {
    let catalog = Catalog::builtin();
    let resource = catalog.find_preferred(group, plural).unwrap().clone();
    let body = Body { value, duplicates: Vec::new() };
    let object = decode::object(&resource, body, FieldValidation::Strict).unwrap().object;
    (resource, object)
}

fn wrong(group: &str, plural: &str, mut value: Value) -> Vec<String> {
    if value["metadata"].is_null() {
        value["metadata"] = json!({"name": "x"});
    }
    let (resource, mut new) = canonical(group, plural, value);
    if resource.namespaced {
        new["metadata"]["namespace"] = json!("default");
    }
    object(&resource, None, &new, None).iter().map(ToString::to_string).collect()
}

fn changed(group: &str, plural: &str, old: Value, new: Value) -> Vec<String> {
    let (resource, old) = canonical(group, plural, old);
    let (_, new) = canonical(group, plural, new);
    let errors = object(&resource, Some(&old), &new, None);
    errors
        .iter()
        .map(ToString::to_string)
        .filter(|it| !it.starts_with("metadata.namespace"))
        .collect()
}

fn deployment(spec: Value) -> Value {
    let mut object = json!({"metadata": {"name": "web"}, "spec": {
        "selector": {"matchLabels": {"app": "web"}},
        "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "a", "image": "a"}]}}}});
    for (name, value) in spec.as_object().unwrap() {
        object["spec"][name] = value.clone();
    }
    object
}

#[test]
fn sound_objects_have_no_errors() {
    let none: Vec<String> = Vec::new();
    assert_eq!(wrong("apps", "deployments", deployment(json!({}))), none);
    assert_eq!(wrong("", "services", json!({"spec": {"ports": [{"port": 80}]}})), none);
    assert_eq!(
        wrong("", "pods", json!({"spec": {"containers": [{"name": "a", "image": "b"}]}})),
        none
    );
    assert_eq!(wrong("", "secrets", json!({"data": {"a": "aGk="}})), none);
}

#[test]
fn deployments_are_refused_as_kubernetes_does() {
    for (spec, expect) in [
        (
            json!({"replicas": -1}),
            "spec.replicas: Invalid value: -1: must be greater than or equal to 0",
        ),
        (
            json!({"template": {"metadata": {"labels": {"app": "two"}}, "spec": {"containers": [{"name": "a", "image": "a"}]}}}),
            "spec.template.metadata.labels: Invalid value: {\"app\":\"two\"}: `selector` does not match template `labels`",
        ),
        (
            json!({"template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": []}}}),
            "spec.template.spec.containers: Required value",
        ),
        (
            json!({"template": {"metadata": {"labels": {"app": "web"}}, "spec": {"restartPolicy": "Never", "containers": [{"name": "a", "image": "a"}]}}}),
            "spec.template.spec.restartPolicy: Unsupported value: \"Never\": supported values: \"Always\"",
        ),
        (
            json!({"strategy": {"type": "Recreate", "rollingUpdate": {"maxSurge": 1}}}),
            "spec.strategy.rollingUpdate: Forbidden: may not be specified when strategy `type` is 'Recreate'",
        ),
        (
            json!({"strategy": {"rollingUpdate": {"maxSurge": 0, "maxUnavailable": "0%"}}}),
            "spec.strategy.rollingUpdate.maxUnavailable: Invalid value: \"0%\": may not be 0 when `maxSurge` is 0",
        ),
        (json!({"selector": null}), "spec.selector: Required value"),
    ] {
        assert_eq!(wrong("apps", "deployments", deployment(spec)), [expect]);
    }
    let other = deployment(json!({"selector": {"matchLabels": {"app": "other"}}}));
    assert_eq!(
        changed("apps", "deployments", deployment(json!({})), other),
        [
            "spec.template.metadata.labels: Invalid value: {\"app\":\"web\"}: `selector` does not match template `labels`",
            "spec.selector: Invalid value: {\"matchLabels\":{\"app\":\"other\"}}: field is immutable",
        ]
    );
}

#[test]
fn what_a_stateful_set_claims_can_be_mounted() {
    let set = |claim: &str| {
        json!({"spec": {
            "serviceName": "db", "selector": {"matchLabels": {"app": "db"}},
            "template": {"metadata": {"labels": {"app": "db"}}, "spec": {"containers": [
                {"name": "db", "image": "db", "volumeMounts": [{"name": "data", "mountPath": "/data"}]}]}},
            "volumeClaimTemplates": [{"metadata": {"name": claim}, "spec": {
                "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}],
        }})
    };
    assert_eq!(wrong("apps", "statefulsets", set("data")), Vec::<String>::new());
    let missing = "spec.template.spec.containers[0].volumeMounts[0].name: Not found: \"data\"";
    assert_eq!(wrong("apps", "statefulsets", set("other")), [missing]);
}

#[test]
fn pods_are_refused_as_kubernetes_does() {
    let container = |extra: Value| {
        let mut container = json!({"name": "a", "image": "b"});
        for (name, value) in extra.as_object().unwrap() {
            container[name] = value.clone();
        }
        json!({"spec": {"containers": [container]}})
    };
    for (extra, expect) in [
        (json!({"image": ""}), vec!["spec.containers[0].image: Required value"]),
        (
            json!({"ports": [{"containerPort": 70000}]}),
            vec![
                "spec.containers[0].ports[0].containerPort: Invalid value: 70000: must be between 1 and 65535, inclusive",
            ],
        ),
        (
            json!({"imagePullPolicy": "Sometimes"}),
            vec![
                "spec.containers[0].imagePullPolicy: Unsupported value: \"Sometimes\": supported values: \"Always\", \"IfNotPresent\", \"Never\"",
            ],
        ),
        (
            json!({"volumeMounts": [{"name": "v", "mountPath": "/x"}]}),
            vec!["spec.containers[0].volumeMounts[0].name: Not found: \"v\""],
        ),
        (
            json!({"resources": {"requests": {"cpu": "2"}, "limits": {"cpu": "1"}}}),
            vec![
                "spec.containers[0].resources.requests: Invalid value: \"2\": must be less than or equal to cpu limit of 1",
            ],
        ),
        (
            json!({"livenessProbe": {}}),
            vec!["spec.containers[0].livenessProbe: Required value: must specify a handler type"],
        ),
    ] {
        assert_eq!(wrong("", "pods", container(extra)), expect);
    }
    let twice =
        json!({"spec": {"containers": [{"name": "a", "image": "b"}, {"name": "a", "image": "b"}]}});
    assert_eq!(wrong("", "pods", twice), ["spec.containers[1].name: Duplicate value: \"a\""]);
    let pod = |image: &str, node: &str| json!({"metadata": {"name": "x"}, "spec": {"nodeName": node, "containers": [{"name": "a", "image": image}]}});
    assert_eq!(changed("", "pods", pod("a:1", "n"), pod("a:2", "n")), Vec::<String>::new());
    let errors = changed("", "pods", pod("a:1", "n"), pod("a:1", "m"));
    assert!(
        errors[0].starts_with("spec: Forbidden: pod updates may not change fields other than"),
        "{errors:?}"
    );
}

#[test]
fn other_kinds_are_refused_as_kubernetes_does() {
    for (kind, object, expect) in [
        (("", "services"), json!({"spec": {}}), vec!["spec.ports: Required value"]),
        (
            ("", "services"),
            json!({"spec": {"type": "Odd", "ports": [{"port": 80}]}}),
            vec![
                "spec.type: Unsupported value: \"Odd\": supported values: \"ClusterIP\", \"ExternalName\", \"LoadBalancer\", \"NodePort\"",
            ],
        ),
        (
            ("", "services"),
            json!({"spec": {"ports": [{"port": 80}, {"port": 80, "name": "b"}]}}),
            vec![
                "spec.ports[0].name: Required value",
                "spec.ports[1]: Duplicate value: {\"protocol\":\"TCP\",\"port\":80}",
            ],
        ),
        (
            ("", "configmaps"),
            json!({"data": {"bad key": "x"}}),
            vec![
                "data[bad key]: Invalid value: \"bad key\": a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')",
            ],
        ),
        (
            ("autoscaling", "horizontalpodautoscalers"),
            json!({"spec": {"scaleTargetRef": {"kind": "Deployment", "name": "web"}, "minReplicas": 5, "maxReplicas": 2}}),
            vec![
                "spec.maxReplicas: Invalid value: 2: must be greater than or equal to `minReplicas`",
            ],
        ),
        (
            ("batch", "jobs"),
            json!({"spec": {"template": {"spec": {"containers": [{"name": "a", "image": "b"}]}}}}),
            vec![
                "spec.template.spec.restartPolicy: Required value: valid values: \"OnFailure\", \"Never\"",
            ],
        ),
        (
            ("rbac.authorization.k8s.io", "roles"),
            json!({"rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": []}]}),
            vec!["rules[0].verbs: Required value: verbs must contain at least one value"],
        ),
        (
            ("", "secrets"),
            json!({"type": "kubernetes.io/tls", "data": {"tls.crt": "aGk="}}),
            vec!["data[tls.key]: Required value"],
        ),
    ] {
        assert_eq!(wrong(kind.0, kind.1, object), expect);
    }
    let map =
        |value: &str| json!({"metadata": {"name": "c"}, "immutable": true, "data": {"a": value}});
    assert_eq!(
        changed("", "configmaps", map("1"), map("2")),
        ["data: Forbidden: field is immutable when `immutable` is set"]
    );
    let secret = |kind: &str| json!({"metadata": {"name": "s"}, "type": kind});
    assert_eq!(
        changed("", "secrets", secret("a"), secret("b")),
        ["type: Invalid value: \"b\": field is immutable"]
    );
    let service = |ip: &str| json!({"metadata": {"name": "s"}, "spec": {"clusterIP": ip, "ports": [{"port": 1}]}});
    assert_eq!(
        changed("", "services", service("10.0.0.1"), service("10.0.0.2")),
        ["spec.clusterIPs[0]: Invalid value: [\"10.0.0.2\"]: may not change once set"]
    );
}

#[test]
fn definitions_are_refused_as_kubernetes_does() {
    let definition = |schema: Value| {
        json!({"metadata": {"name": "widgets.example.com"}, "spec": {
            "group": "example.com", "scope": "Namespaced", "names": {"plural": "widgets", "kind": "Widget"},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema}}]}})
    };
    let check = |object: Value| wrong("apiextensions.k8s.io", "customresourcedefinitions", object);
    assert_eq!(check(definition(json!({"type": "object"}))), Vec::<String>::new());
    let at = "spec.versions[0].schema.openAPIV3Schema";
    assert_eq!(
        check(definition(json!({"type": "object", "properties": {"spec": {"properties": {}}}}))),
        [format!(
            "{at}.properties[spec].type: Required value: must not be empty for specified object fields"
        )]
    );
    assert_eq!(
        check(definition(json!({"type": "string"}))),
        [format!("{at}.type: Invalid value: \"string\": must be object at the root")]
    );
    let mut object = definition(json!({"type": "object"}));
    object["metadata"]["name"] = json!("other.example.com");
    object["spec"]["scope"] = json!("Odd");
    object["spec"]["versions"][0]["storage"] = json!(false);
    let errors = check(object);
    assert_eq!(
        errors[0],
        "metadata.name: Invalid value: \"other.example.com\": must be spec.names.plural+\".\"+spec.group"
    );
    assert_eq!(
        errors[1],
        "spec.scope: Unsupported value: \"Odd\": supported values: \"Cluster\", \"Namespaced\""
    );
    assert!(errors[2].ends_with("must have exactly one version marked as storage version"));
}
