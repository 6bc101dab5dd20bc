use super::*;
use crate::testing::{service, snapshot, value};

fn rules(name: &str, host: &str, destination: &str) -> String {
    format!(
        "{{apiVersion: networking.istio.io/v1, kind: VirtualService, metadata: {{name: {name}, namespace: default}}, \
         spec: {{hosts: [{host}], http: [{{route: [{{destination: {destination}}}]}}]}}}}\n---\n"
    )
}

fn mesh() -> String {
    let reviews = service(
        "reviews",
        "clusterIP: 10.96.0.1, ports: [{name: http, port: 80}]",
        &["10.244.0.1"],
    );
    let subsets = "
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: reviews, namespace: default}
spec: {host: reviews, subsets: [{name: v1, labels: {version: v1}}]}
---
";
    format!("{reviews}{subsets}{}", rules("reviews", "reviews", "{host: reviews, subset: v1}"))
}

/// The codes of refusals and warnings for an object that is made.
fn check(object: &str, refused: &[&str], warnings: &[&str]) {
    let snapshot = snapshot(&mesh());
    let review = review(&value(object), None, Operation::Create, Some(&snapshot));
    let codes = |list: &[Finding]| list.iter().map(|it| it.code.0).collect::<Vec<_>>();
    assert_eq!(codes(&review.refused), refused, "{object}: {review:?}");
    assert_eq!(codes(&review.warnings), warnings, "{object}: {review:?}");
}

#[test]
fn what_istio_refuses_is_refused() {
    let without_route = "{apiVersion: networking.istio.io/v1, kind: VirtualService, metadata: {name: v, namespace: default}, \
        spec: {hosts: [a], http: [{match: [{uri: {prefix: /}}]}]}}";
    check(without_route, &["IST0106"], &[]);
    let unreadable = "{apiVersion: networking.istio.io/v1, kind: VirtualService, metadata: {name: v, namespace: default}, spec: {hosts: a}}";
    let review = review(&value(unreadable), None, Operation::Create, None);
    assert_eq!(review.refused.len(), 1);
}

#[test]
fn what_only_envoy_could_carry_out_is_refused_loudly() {
    let filter = "{apiVersion: networking.istio.io/v1alpha3, kind: EnvoyFilter, metadata: {name: f, namespace: default}, spec: {}}";
    check(filter, &["SRN0025"], &[]);
    let refusal = review(&value(filter), None, Operation::Create, None).refusal().unwrap();
    assert!(
        refusal.starts_with("configuration is invalid: kind: EnvoyFilter changes"),
        "{refusal}"
    );
    let plugin = "{apiVersion: extensions.istio.io/v1alpha1, kind: WasmPlugin, metadata: {name: f, namespace: default}, spec: {url: 'oci://a'}}";
    check(plugin, &["SRN0025"], &[]);
}

#[test]
fn what_is_missing_or_in_conflict_is_a_warning() {
    check(&rules("other", "ratings", "{host: reviews}"), &[], &[]);
    check(&rules("other", "ratings", "{host: nowhere}"), &[], &["IST0101"]);
    check(&rules("other", "ratings", "{host: reviews, subset: v9}"), &[], &["IST0101"]);
    check(&rules("twin", "reviews", "{host: reviews}"), &[], &["IST0109"]);
    // In the place of the one that is there it conflicts with nothing.
    check(&rules("reviews", "reviews", "{host: reviews}"), &[], &[]);
}

#[test]
fn a_gateway_that_rules_will_be_bound_to_later_is_no_mistake() {
    let gateway = "{apiVersion: networking.istio.io/v1, kind: Gateway, metadata: {name: g, namespace: default}, spec: {selector: {istio: ingressgateway}, \
        servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ['*']}]}}";
    let snapshot = snapshot(&mesh());
    let review = review(&value(gateway), None, Operation::Create, Some(&snapshot));
    assert!(
        review.refused.is_empty() && review.warnings.iter().all(|it| it.code.0 != "SRN0402"),
        "{review:?}"
    );
}

#[test]
fn what_was_wrong_before_does_not_hold_up_other_changes() {
    let bad = value(
        "{apiVersion: networking.istio.io/v1, kind: VirtualService, metadata: {name: v}, spec: {hosts: [a], http: [{}]}}",
    );
    let mut labelled = bad.clone();
    labelled["metadata"]["labels"]["a"] = "b".into();
    assert!(!review(&labelled, None, Operation::Create, None).refused.is_empty());
    assert!(review(&labelled, Some(&bad), Operation::Update, None).refused.is_empty());
    assert!(review(&bad, Some(&bad), Operation::Delete, None).refused.is_empty());
}
