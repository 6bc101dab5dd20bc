use serde_json::json;

use super::*;
use crate::Catalog;

/// The warnings for a new object.
fn check((group, version, plural): (&str, &str, &str), new: Value, expect: &[&str]) {
    let catalog = Catalog::builtin();
    let found = object(catalog.find(group, version, plural).unwrap(), None, &new);
    assert_eq!(found, expect, "{new}");
}

const PODS: (&str, &str, &str) = ("", "v1", "pods");

#[test]
fn variables_and_ports_that_stand_twice_are_told() {
    let env = json!([{"name": "A", "value": "1"}, {"name": "A", "value": "$(A)2"}, {"name": "A", "value": "3"},
        {"name": "B"}, {"name": "B", "valueFrom": {"fieldRef": {}}}]);
    let spec = json!({"containers": [
        {"name": "a", "env": env, "ports": [{"containerPort": 80, "protocol": "TCP", "name": "http"}]},
        {"name": "b", "ports": [{"containerPort": 80, "protocol": "TCP", "name": "http"},
            {"containerPort": 80, "protocol": "TCP", "hostPort": 1}]},
    ]});
    check(
        PODS,
        json!({"metadata": {"name": "p"}, "spec": spec}),
        &[
            "spec.containers[0].env[2]: hides previous definition of \"A\", which may be dropped when using apply",
            "spec.containers[0].env[4]: hides previous definition of \"B\", which may be dropped when using apply",
            "spec.containers[1].ports[0]: duplicate port definition with spec.containers[0].ports[0]",
            "spec.containers[1].ports[1]: overlapping port definition with spec.containers[0].ports[0]",
            "spec.containers[1].ports[1]: overlapping port definition with spec.containers[1].ports[0]",
            "spec.containers[1].ports[0]: duplicate port name \"http\" with spec.containers[0].ports[0], services and probes that select ports by name will use spec.containers[0].ports[0]",
        ],
    );
}

#[test]
fn what_is_old_in_a_template_is_told_with_its_place() {
    let template = json!({
        "metadata": {"annotations": {"container.apparmor.security.beta.kubernetes.io/c": "x",
            "scheduler.alpha.kubernetes.io/critical-pod": ""}},
        "spec": {"nodeSelector": {"beta.kubernetes.io/os": "linux", "a": "b"},
            "containers": [{"name": "c", "resources": {"limits": {"memory": "100m"}}}],
            "volumes": [{"name": "v", "gitRepo": {}}],
            "imagePullSecrets": [{"name": "s"}, {"name": "s"}],
            "topologySpreadConstraints": [{"topologyKey": "failure-domain.beta.kubernetes.io/zone"}],
            "terminationGracePeriodSeconds": -1}});
    let at = "spec.template";
    check(
        ("apps", "v1", "deployments"),
        json!({"metadata": {"name": "d.e"}, "spec": {"template": template}}),
        &[
            "metadata.name: this is used in Pod names and hostnames, which can result in surprising behavior; a DNS label is recommended: [must not contain dots]",
            &format!(
                "{at}.spec.nodeSelector[beta.kubernetes.io/os]: deprecated since v1.14; use \"kubernetes.io/os\" instead"
            ),
            &format!(
                "{at}.spec.topologySpreadConstraints[0].topologyKey: failure-domain.beta.kubernetes.io/zone is deprecated since v1.17; use \"topology.kubernetes.io/zone\" instead"
            ),
            &format!(
                "{at}.spec.topologySpreadConstraints[0].labelSelector: a null labelSelector results in matching no pod"
            ),
            &format!(
                "{at}.metadata.annotations[scheduler.alpha.kubernetes.io/critical-pod]: non-functional in v1.16+; use the \"priorityClassName\" field instead"
            ),
            &format!(
                "{at}.spec.volumes[0].gitRepo: deprecated in v1.11, and disabled by default in v1.33+"
            ),
            &format!("{at}.spec.imagePullSecrets[1].name: duplicate name \"s\""),
            &format!(
                "{at}.metadata.annotations[container.apparmor.security.beta.kubernetes.io/c]: deprecated since v1.30; use the \"appArmorProfile\" field instead"
            ),
            &format!(
                "{at}.spec.containers[0].resources.limits[memory]: fractional byte value \"100m\" is invalid, must be an integer"
            ),
            &format!(
                "{at}.spec.terminationGracePeriodSeconds: must be >= 0; negative values are invalid and will be treated as 1"
            ),
        ],
    );
}

#[test]
fn what_a_service_does_not_use_is_told() {
    check(
        ("", "v1", "services"),
        json!({"spec": {"clusterIP": "None", "sessionAffinity": "ClientIP", "externalName": "a"}}),
        &[
            "spec.SessionAffinity is ignored for headless services",
            "spec.externalName is ignored when spec.type is not \"ExternalName\"",
        ],
    );
    check(
        ("", "v1", "services"),
        json!({"spec": {"type": "ExternalName", "externalName": "a"}}),
        &[],
    );
}

#[test]
fn the_class_of_an_ingress_is_a_field() {
    let ingress =
        json!({"metadata": {"annotations": {"kubernetes.io/ingress.class": "x"}}, "spec": {}});
    check(
        ("networking.k8s.io", "v1", "ingresses"),
        ingress,
        &[
            "annotation \"kubernetes.io/ingress.class\" is deprecated, please use 'spec.ingressClassName' instead",
        ],
    );
}

#[test]
fn finalizers_of_custom_resources_should_have_a_domain() {
    let of = |names: &[&str]| json!({"metadata": {"finalizers": names}});
    let text = "metadata.finalizers: \"b\": prefer a domain-qualified finalizer name including a path (/) to avoid accidental conflicts with other finalizer writers";
    assert_eq!(finalizers(Some(&of(&["a"])), &of(&["a", "b", "x.io/c", "orphan"])), [text]);
}
