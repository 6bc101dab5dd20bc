use serde_json::json;

use super::*;
use crate::Catalog;

fn namespace(labels: &[(&str, &str)]) -> Value {
    let labels: serde_json::Map<String, Value> =
        labels.iter().map(|(name, value)| (format!("{PREFIX}{name}"), json!(value))).collect();
    json!({"metadata": {"name": "n", "labels": labels}})
}

/// What a level says of a pod's spec.
fn check(level: &str, version: &str, spec: Value, expect: &str) {
    let policy = Policy::of(&namespace(&[("enforce", level), ("enforce-version", version)]));
    let catalog = Catalog::builtin();
    let pods = catalog.find("", "v1", "pods").unwrap();
    let found = policy.judge(pods, &json!({"metadata": {}, "spec": spec}), None).refusal;
    let head = format!("violates PodSecurity \"{level}:{version}\": ");
    let found = found.unwrap_or_default();
    assert_eq!(found.strip_prefix(head.as_str()).unwrap_or(&found), expect);
}

fn hard() -> Value {
    json!({"allowPrivilegeEscalation": false, "runAsNonRoot": true,
        "capabilities": {"drop": ["ALL"]}, "seccompProfile": {"type": "RuntimeDefault"}})
}

#[test]
fn a_plain_pod_is_within_the_baseline_and_not_restricted() {
    let plain = json!({"containers": [{"name": "a"}]});
    check("baseline", "latest", plain.clone(), "");
    check("privileged", "latest", json!({"hostNetwork": true}), "");
    check(
        "restricted",
        "latest",
        plain,
        "allowPrivilegeEscalation != false (container \"a\" must set securityContext.allowPrivilegeEscalation=false), \
         unrestricted capabilities (container \"a\" must set securityContext.capabilities.drop=[\"ALL\"]), \
         runAsNonRoot != true (pod or container \"a\" must set securityContext.runAsNonRoot=true), \
         seccompProfile (pod or container \"a\" must set securityContext.seccompProfile.type to \"RuntimeDefault\" or \"Localhost\")",
    );
    check(
        "restricted",
        "latest",
        json!({"containers": [{"name": "a", "securityContext": hard()}],
            "volumes": [{"name": "v", "emptyDir": {}}]}),
        "",
    );
}

#[test]
fn what_leads_out_of_a_container_is_against_the_baseline() {
    let bad = json!({
        "hostNetwork": true, "hostPID": true,
        "securityContext": {"sysctls": [{"name": "kernel.msgmax"}, {"name": "net.ipv4.tcp_rmem"}],
            "seLinuxOptions": {"type": "spc_t", "user": "u"}},
        "volumes": [{"name": "b", "hostPath": {"path": "/"}}, {"name": "a", "hostPath": {"path": "/"}}],
        "initContainers": [{"name": "i", "securityContext": {"privileged": true, "procMount": "Unmasked"}}],
        "containers": [{"name": "c", "ports": [{"hostPort": 80, "containerPort": 80}],
            "livenessProbe": {"httpGet": {"host": "h"}},
            "securityContext": {"capabilities": {"add": ["SYS_ADMIN", "CHOWN", "NET_ADMIN"]},
                "appArmorProfile": {"type": "Unconfined"}, "seccompProfile": {"type": "Unconfined"}}}],
    });
    check(
        "baseline",
        "latest",
        bad,
        "forbidden AppArmor profile (container \"c\" must not set AppArmor profile type to \"Unconfined\"), \
         non-default capabilities (container \"c\" must not include \"NET_ADMIN\", \"SYS_ADMIN\" in securityContext.capabilities.add), \
         host namespaces (hostNetwork=true, hostPID=true), \
         hostPath volumes (volumes \"b\", \"a\"), \
         hostPort (container \"c\" uses hostPort 80), \
         probe or lifecycle host (container \"c\" uses probe or lifecycle host \"h\"), \
         privileged (container \"i\" must not set securityContext.privileged=true), \
         procMount (container \"i\" must not set securityContext.procMount to \"Unmasked\"), \
         seLinuxOptions (pod set forbidden securityContext.seLinuxOptions: type \"spc_t\"; user may not be set), \
         seccompProfile (container \"c\" must not set securityContext.seccompProfile.type to \"Unconfined\"), \
         forbidden sysctl (kernel.msgmax)",
    );
}

#[test]
fn the_restricted_level_has_its_own_words_and_those_of_the_baseline() {
    let mut context = hard();
    context["capabilities"]["add"] = json!(["NET_BIND_SERVICE", "NET_RAW"]);
    context["runAsNonRoot"] = json!(false);
    context["seccompProfile"]["type"] = json!("Unconfined");
    check(
        "restricted",
        "latest",
        json!({"hostIPC": true, "securityContext": {"runAsUser": 0},
            "volumes": [{"name": "n", "nfs": {}}, {"name": "h", "hostPath": {}}],
            "containers": [{"name": "a", "securityContext": context}]}),
        "host namespaces (hostIPC=true), \
         unrestricted capabilities (container \"a\" must not include \"NET_RAW\" in securityContext.capabilities.add), \
         restricted volume types (volumes \"h\", \"n\" use restricted volume types \"hostPath\", \"nfs\"), \
         runAsNonRoot != true (container \"a\" must not set securityContext.runAsNonRoot=false), \
         runAsUser=0 (pod must not set runAsUser=0), \
         seccompProfile (container \"a\" must not set securityContext.seccompProfile.type to \"Unconfined\")",
    );
}

#[test]
fn an_older_version_has_the_rules_of_its_time() {
    let plain = json!({"containers": [{"name": "a", "securityContext": {"allowPrivilegeEscalation": false}}]});
    check(
        "restricted",
        "v1.18",
        plain,
        "runAsNonRoot != true (pod or container \"a\" must set securityContext.runAsNonRoot=true)",
    );
    let keepalive =
        json!({"securityContext": {"sysctls": [{"name": "net.ipv4.tcp_keepalive_time"}]}});
    check("baseline", "v1.28", keepalive.clone(), "forbidden sysctl (net.ipv4.tcp_keepalive_time)");
    check("baseline", "v1.29", keepalive, "");
}

#[test]
fn templates_are_warned_of_and_not_refused() {
    let policy = Policy::of(&namespace(&[
        ("enforce", "baseline"),
        ("warn", "restricted"),
        ("audit", "baseline"),
    ]));
    let catalog = Catalog::builtin();
    let deployments = catalog.find("apps", "v1", "deployments").unwrap();
    let spec = json!({"hostNetwork": true, "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "Localhost"}}});
    let object = json!({"spec": {"template": {"spec": spec}}});
    let found = policy.judge(deployments, &object, None);
    assert_eq!(found.refusal, None);
    assert_eq!(
        found.warnings,
        ["would violate PodSecurity \"restricted:latest\": host namespaces (hostNetwork=true)"]
    );
    assert_eq!(found.notes[0].0, "pod-security.kubernetes.io/audit-violations");
    let pods = catalog.find("", "v1", "pods").unwrap();
    let pod = json!({"metadata": {}, "spec": object["spec"]["template"]["spec"]});
    let found = policy.judge(pods, &pod, None);
    assert!(found.refusal.is_some() && found.warnings.is_empty());
    // What does not matter is not judged again.
    let mut tolerated = pod.clone();
    tolerated["spec"]["tolerations"] = json!([{"operator": "Exists"}]);
    assert_eq!(policy.judge(pods, &tolerated, Some(&pod)), Judgement::default());
}

#[test]
fn stricter_labels_tell_of_the_pods_that_are_there() {
    let (open, closed) = (namespace(&[]), namespace(&[("enforce", "restricted")]));
    assert_eq!(tightened(&closed, &open), None);
    assert_eq!(tightened(&closed, &namespace(&[("enforce", "baseline")])), None);
    let standard = tightened(&open, &closed).unwrap();
    let pod = |name: &str, spec: Value| json!({"metadata": {"name": name}, "spec": spec});
    let context = json!({"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}});
    let pods = [
        pod("b", json!({"hostPID": true, "securityContext": context})),
        pod("c", json!({"securityContext": {"runAsUser": 0}})),
        pod("a", json!({"hostPID": true})),
        pod("d", json!({})),
    ];
    assert_eq!(
        existing(standard, "n", pods.iter()),
        [
            "existing pods in namespace \"n\" violate the new PodSecurity enforce level \"restricted:latest\"",
            "a (and 1 other pod): host namespaces",
            "c: runAsUser=0",
        ]
    );
    assert!(existing(standard, "n", pods[3..].iter()).is_empty());
}

#[test]
fn labels_are_levels_and_versions() {
    let found = |labels: &[(&str, &str)]| -> Vec<String> {
        let errors = namespace_errors(None, &namespace(labels));
        errors.iter().map(ToString::to_string).collect()
    };
    assert!(
        found(&[("enforce", "baseline"), ("warn-version", "v1.30"), ("other", "x")]).is_empty()
    );
    assert_eq!(
        found(&[("enforce", "strict"), ("warn-version", "1.30")]),
        [
            "metadata.labels[pod-security.kubernetes.io/enforce]: Invalid value: \"strict\": must be one of privileged, baseline, restricted",
            "metadata.labels[pod-security.kubernetes.io/warn-version]: Invalid value: \"1.30\": must be \"latest\" or \"v1.x\"",
        ]
    );
    let old = namespace(&[("enforce", "strict")]);
    assert!(namespace_errors(Some(&old), &old).is_empty());
}
