use serde_json::json;

use super::*;
use crate::Catalog;
use crate::decode::{self, Body, FieldValidation};

mod definitions;
mod others;

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
    ] {
        assert_eq!(wrong("apps", "deployments", deployment(spec)), [expect]);
    }
    let daemons = json!({"spec": {"template": {"metadata": {"labels": {"a": "b"}},
        "spec": {"containers": [{"name": "a", "image": "a"}]}}}});
    assert_eq!(
        wrong("apps", "daemonsets", daemons),
        [
            "spec.template.metadata.labels: Invalid value: {\"a\":\"b\"}: `selector` does not match template `labels`"
        ]
    );
    // What selects nothing does not select the template either.
    assert_eq!(
        wrong("apps", "deployments", deployment(json!({"selector": null}))),
        [
            "spec.selector: Required value",
            "spec.template.metadata.labels: Invalid value: {\"app\":\"web\"}: `selector` does not match template `labels`",
        ]
    );
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
                "spec.ports[1]: Duplicate value: {\"Name\":\"\",\"Protocol\":\"TCP\",\"AppProtocol\":null,\"Port\":80,\"TargetPort\":0,\"NodePort\":0}",
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

/// Objects of one kind, and all that Kubernetes says of each.
fn check(group: &str, plural: &str, cases: &[(Value, &[&str])]) {
    for (spec, expect) in cases {
        assert_eq!(wrong(group, plural, json!({"spec": spec})), *expect, "{spec}");
    }
}

fn container(extra: Value) -> Value {
    let mut container = json!({"name": "a", "image": "b"});
    for (name, value) in extra.as_object().unwrap() {
        container[name] = value.clone();
    }
    json!({"containers": [container]})
}

#[test]
fn environments_are_refused_as_kubernetes_does() {
    let env = |it: Value| container(json!({"env": [it]}));
    check(
        "",
        "pods",
        &[
            (
                env(json!({"name": "a", "valueFrom": {"fieldRef": {"fieldPath": "spec.foo"}}})),
                &[
                    "spec.containers[0].env[0].valueFrom.fieldRef.fieldPath: Invalid value: \"spec.foo\": error converting fieldPath: field label not supported: spec.foo",
                ],
            ),
            (
                env(json!({"name": "a", "valueFrom": {"fieldRef": {"fieldPath": "status.phase"}}})),
                &[
                    "spec.containers[0].env[0].valueFrom.fieldRef.fieldPath: Unsupported value: \"status.phase\": supported values: \"metadata.name\", \"metadata.namespace\", \"metadata.uid\", \"spec.nodeName\", \"spec.serviceAccountName\", \"status.hostIP\", \"status.hostIPs\", \"status.podIP\", \"status.podIPs\"",
                ],
            ),
            (
                env(
                    json!({"name": "a", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['a/b']"}}}),
                ),
                &[],
            ),
            (
                env(
                    json!({"name": "a", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu", "divisor": "2"}}}),
                ),
                &[
                    "spec.containers[0].env[0].valueFrom.resourceFieldRef.divisor: Invalid value: \"limits.cpu\": only divisor's values 1m and 1 are supported with the cpu resource",
                ],
            ),
            (
                container(json!({"envFrom": [{}]})),
                &[
                    "spec.containers[0].envFrom: Invalid value: \"\": must specify one of: `configMapRef` or `secretRef`",
                ],
            ),
        ],
    );
}

#[test]
fn what_processes_may_do_is_checked_as_kubernetes_does() {
    check(
        "",
        "pods",
        &[
            (
                json!({"containers": [{"name": "a", "image": "b"}], "securityContext": {"fsGroup": -1, "sysctls": [{"name": "A b"}]}}),
                &[
                    "spec.securityContext.fsGroup: Invalid value: -1: must be between 0 and 2147483647, inclusive",
                    "spec.securityContext.sysctls[0].name: Invalid value: \"A b\": must have at most 253 characters and match regex ^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$",
                ],
            ),
            (
                container(
                    json!({"securityContext": {"privileged": true, "allowPrivilegeEscalation": false}}),
                ),
                &[
                    "spec.containers[0].securityContext: Invalid value: {\"Capabilities\":null,\"Privileged\":true,\"SELinuxOptions\":null,\"WindowsOptions\":null,\"RunAsUser\":null,\"RunAsGroup\":null,\"RunAsNonRoot\":null,\"ReadOnlyRootFilesystem\":null,\"AllowPrivilegeEscalation\":false,\"ProcMount\":null,\"SeccompProfile\":null,\"AppArmorProfile\":null}: cannot set `allowPrivilegeEscalation` to false and `privileged` to true",
                ],
            ),
            (
                container(json!({"securityContext": {"seccompProfile": {"type": "Localhost"}}})),
                &[
                    "spec.containers[0].securityContext.seccompProfile.localhostProfile: Required value: must be set when seccomp type is Localhost",
                ],
            ),
        ],
    );
}

#[test]
fn where_pods_run_is_checked_as_kubernetes_does() {
    let pod = |name: &str, value: Value| {
        let mut spec = container(json!({}));
        spec[name] = value;
        spec
    };
    check(
        "",
        "pods",
        &[
            (
                pod(
                    "affinity",
                    json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": []}}}),
                ),
                &[
                    "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms: Required value: must have at least one node selector term",
                ],
            ),
            (
                pod(
                    "affinity",
                    json!({"podAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 101, "podAffinityTerm": {"topologyKey": "zone"}}]}}),
                ),
                &[
                    "spec.affinity.podAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].weight: Invalid value: 101: must be in the range 1-100",
                ],
            ),
            (
                pod(
                    "topologySpreadConstraints",
                    json!([
                        {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"},
                        {"maxSkew": 2, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"},
                    ]),
                ),
                &[
                    "spec.topologySpreadConstraints[0].{topologyKey, whenUnsatisfiable}: Duplicate value: \"{zone, DoNotSchedule}\"",
                ],
            ),
            (
                pod("dnsPolicy", json!("None")),
                &[
                    "spec.dnsConfig: Required value: must provide `dnsConfig` when `dnsPolicy` is None",
                ],
            ),
            (pod("terminationGracePeriodSeconds", json!(-1)), &[]),
        ],
    );
}

#[test]
fn services_are_refused_as_kubernetes_does() {
    check(
        "",
        "services",
        &[
            (
                json!({"ports": [{"port": 80, "name": "a"}, {"port": 80, "name": "b"}]}),
                &[
                    "spec.ports[1]: Duplicate value: {\"Name\":\"\",\"Protocol\":\"TCP\",\"AppProtocol\":null,\"Port\":80,\"TargetPort\":0,\"NodePort\":0}",
                ],
            ),
            // What is wrong with addresses is told alone.
            (
                json!({"ports": [], "ipFamilies": ["IPv5"]}),
                &[
                    "spec.ipFamilies[0]: Unsupported value: \"IPv5\": supported values: \"IPv4\", \"IPv6\"",
                ],
            ),
            (
                json!({"ports": [{"port": 80}], "loadBalancerSourceRanges": ["x"], "externalIPs": ["127.0.0.1"], "healthCheckNodePort": 3}),
                &[
                    "spec.externalIPs[0]: Invalid value: \"127.0.0.1\": may not be in the loopback range (127.0.0.0/8, ::1/128)",
                    "spec.LoadBalancerSourceRanges: Forbidden: may only be used when `type` is 'LoadBalancer'",
                    "spec.LoadBalancerSourceRanges[0]: Invalid value: \"x\": must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)",
                    "spec.healthCheckNodePort: Invalid value: 3: may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'",
                ],
            ),
        ],
    );
}

#[test]
fn a_service_may_lead_to_the_machine_itself_but_not_to_a_link() {
    let slice = |address: &str| {
        wrong(
            "discovery.k8s.io",
            "endpointslices",
            json!({"addressType": "IPv4", "endpoints": [{"addresses": [address]}]}),
        )
    };
    assert_eq!(slice("127.128.0.44"), Vec::<String>::new());
    assert_eq!(
        slice("169.254.0.1"),
        [
            "endpoints[0].addresses[0]: Invalid value: \"169.254.0.1\": may not be in the link-local range (169.254.0.0/16, fe80::/10)"
        ]
    );
}

#[test]
fn rules_for_traffic_are_refused_as_kubernetes_does() {
    let path = |it: Value| json!({"rules": [{"http": {"paths": [it]}}]});
    check(
        "networking.k8s.io",
        "ingresses",
        &[
            (
                json!({}),
                &[
                    "spec: Invalid value: null: either `defaultBackend` or `rules` must be specified",
                ],
            ),
            (
                path(json!({"path": "/a//b", "pathType": "Exact", "backend": {}})),
                &[
                    "spec.rules[0].http.paths[0].path: Invalid value: \"/a//b\": must not contain '//'",
                    "spec.rules[0].http.paths[0].backend: Invalid value: \"\": resource or service backend is required",
                ],
            ),
            (
                path(
                    json!({"path": "/", "pathType": "Prefix", "backend": {"service": {"name": "a"}}}),
                ),
                &[
                    "spec.rules[0].http.paths[0].backend: Required value: port name or number is required",
                ],
            ),
        ],
    );
    let block = |except: &str| json!({"podSelector": {}, "ingress": [{"from": [{"ipBlock": {"cidr": "10.0.0.0/8", "except": [except]}}]}]});
    check(
        "networking.k8s.io",
        "networkpolicies",
        &[
            (block("10.1.0.0/16"), &[]),
            (
                block("11.0.0.0/16"),
                &[
                    "spec.ingress[0].from[0].ipBlock.except[0]: Invalid value: \"11.0.0.0/16\": must be a strict subset of `cidr`",
                ],
            ),
        ],
    );
}

#[test]
fn amounts_are_refused_as_kubernetes_does() {
    check(
        "",
        "resourcequotas",
        &[
            (
                json!({"hard": {"foo": "1", "services": "1500m"}}),
                &[
                    "spec.hard[foo]: Invalid value: \"foo\": must be a standard resource type or fully qualified",
                    "spec.hard[foo]: Invalid value: \"foo\": must be a standard resource for quota",
                    "spec.hard[services]: Invalid value: \"1500m\": must be an integer",
                ],
            ),
            (
                json!({"hard": {"cpu": "1"}, "scopes": ["BestEffort"]}),
                &[
                    "spec.scopes: Invalid value: [\"BestEffort\"]: unsupported scope applied to resource",
                ],
            ),
        ],
    );
    check(
        "",
        "limitranges",
        &[(
            json!({"limits": [{"type": "Container", "min": {"cpu": "2"}, "max": {"cpu": "1"}}]}),
            &[
                "spec.limits[0].min[cpu]: Invalid value: \"2\": min value 2 is greater than max value 1",
                // What is not said follows from the greatest amount.
                "spec.limits[0].defaultRequest[cpu]: Invalid value: \"1\": min value 2 is greater than default request value 1",
                "spec.limits[0].default[cpu]: Invalid value: \"2\": min value 2 is greater than default value 1",
            ],
        )],
    );
}

#[test]
fn schedules_are_read_as_kubernetes_does() {
    let errors = |schedule: &str| {
        let mut errors = Vec::new();
        schedule::check(&mut errors, &crate::fields::Path::new("s"), schedule, false);
        errors.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    for schedule in ["*/5 * * * *", "@daily", "0 0 1,15 * mon-fri", "0-30/10 8-18 ? jan 0"] {
        assert_eq!(errors(schedule), Vec::<String>::new(), "{schedule}");
    }
    for (schedule, why) in [
        ("nonsense", "expected exactly 5 fields, found 1: [nonsense]"),
        ("60 * * * *", "end of range (60) above maximum (59): 60"),
        ("* * 0 * *", "beginning of range (0) below minimum (1): 0"),
        ("x * * * *", "failed to parse int from x: strconv.Atoi: parsing \"x\": invalid syntax"),
        ("5-2 * * * *", "beginning of range (5) beyond end of range (2): 5-2"),
        ("*/0 * * * *", "step of range should be a positive number: */0"),
        ("@often", "unrecognized descriptor: @often"),
    ] {
        assert_eq!(errors(schedule), [format!("s: Invalid value: \"{schedule}\": {why}")]);
    }
}

#[test]
fn time_zones_are_those_of_the_list() {
    let at = |zone: &str| {
        let pod = json!({"containers": [{"name": "c", "image": "i"}], "restartPolicy": "Never"});
        json!({
            "schedule": "@daily", "timeZone": zone, "jobTemplate": {"spec": {"template": {"spec": pod}}},
        })
    };
    let refused = |zone: &str, why: &str| format!("spec.timeZone: Invalid value: {zone:?}: {why}");
    for zone in ["UTC", "Etc/UTC", "Europe/Berlin", "America/Argentina/Ushuaia"] {
        check("batch", "cronjobs", &[(at(zone), &[])]);
    }
    let listed =
        "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones";
    for (zone, why) in [
        ("", "timeZone must be nil or non-empty string"),
        ("local", listed),
        ("Europe/Atlantis", "unknown time zone Europe/Atlantis"),
        ("europe/berlin", "unknown time zone europe/berlin"),
        ("../etc/passwd", "unknown time zone ../etc/passwd"),
    ] {
        check("batch", "cronjobs", &[(at(zone), &[&refused(zone, why)])]);
    }
}
