use super::*;
use crate::Catalog;

fn quota(hard: Value, more: Value) -> Quota {
    let mut spec = more;
    spec["hard"] = hard;
    Quota::read(&json!({"metadata": {"name": "q"}, "spec": spec}))
}

fn usage(amounts: &[(&str, &str)]) -> Usage {
    amounts.iter().map(|(name, it)| ((*name).to_owned(), Quantity::parse(it).unwrap())).collect()
}

fn check(
    quota: &Quota,
    plural: &str,
    object: Value,
    used: &[(&str, &str)],
    expect: Result<(), &str>,
) {
    let catalog = Catalog::builtin();
    let resource = catalog.resources().find(|it| it.plural == plural).unwrap();
    let found = quota.admit((resource, &object), &Usage::new(), || usage(used));
    assert_eq!(found, expect.map_err(str::to_owned), "{object}");
}

fn pod(resources: Value) -> Value {
    json!({"spec": {"containers": [{"name": "a", "resources": resources}]}})
}

#[test]
fn what_is_more_than_is_left_is_refused() {
    let of = quota(json!({"pods": "2", "limits.cpu": "1"}), json!({}));
    let small = || pod(json!({"limits": {"cpu": "300m"}}));
    check(&of, "pods", small(), &[("pods", "1"), ("limits.cpu", "700m")], Ok(()));
    check(
        &of,
        "pods",
        small(),
        &[("pods", "2"), ("limits.cpu", "800m")],
        Err(
            "exceeded quota: q, requested: limits.cpu=300m,pods=1, used: limits.cpu=800m,pods=2, limited: limits.cpu=1,pods=2",
        ),
    );
    check(
        &quota(json!({"count/deployments.apps": "1"}), json!({})),
        "deployments",
        json!({}),
        &[("count/deployments.apps", "1")],
        Err(
            "exceeded quota: q, requested: count/deployments.apps=1, used: count/deployments.apps=1, limited: count/deployments.apps=1",
        ),
    );
    check(
        &quota(json!({"services.nodeports": "0", "services": "9"}), json!({})),
        "services",
        json!({"spec": {"type": "NodePort", "ports": [{}]}}),
        &[],
        Err(
            "exceeded quota: q, requested: services.nodeports=1, used: services.nodeports=0, limited: services.nodeports=0",
        ),
    );
}

#[test]
fn containers_ask_for_what_is_limited() {
    check(
        &quota(json!({"cpu": "2", "limits.memory": "1Gi", "pods": "3"}), json!({})),
        "pods",
        pod(json!({"requests": {"memory": "1"}})),
        &[],
        Err("failed quota: q: must specify cpu for: a; limits.memory for: a"),
    );
}

#[test]
fn scopes_choose_pods() {
    let best_effort = quota(json!({"pods": "0"}), json!({"scopes": ["BestEffort"]}));
    check(&best_effort, "pods", pod(json!({"requests": {"cpu": "1"}})), &[], Ok(()));
    check(
        &best_effort,
        "pods",
        pod(json!({})),
        &[],
        Err("exceeded quota: q, requested: pods=1, used: pods=0, limited: pods=0"),
    );
    let high = json!({"scopeSelector": {"matchExpressions": [
        {"scopeName": "PriorityClass", "operator": "In", "values": ["high"]}]}});
    let high = quota(json!({"pods": "0"}), high);
    check(&high, "pods", json!({"spec": {"priorityClassName": "low"}}), &[], Ok(()));
}

#[test]
fn a_pod_uses_what_runs_at_once_and_nothing_when_it_is_over() {
    let catalog = Catalog::builtin();
    let pods = catalog.find("", "v1", "pods").unwrap();
    let container = |cpu: &str| json!({"name": "c", "resources": {"requests": {"cpu": cpu}}});
    let mut it = json!({"spec": {
        "containers": [container("100m"), container("200m")],
        "initContainers": [container("1"), {"name": "s", "restartPolicy": "Always", "resources": {"requests": {"cpu": "50m"}}}],
        "overhead": {"cpu": "10m"},
    }});
    assert_eq!(of(pods, &it)["requests.cpu"].to_string(), "1010m");
    it["spec"]["initContainers"][0] = container("1m");
    assert_eq!(of(pods, &it)["cpu"].to_string(), "360m");
    it["status"]["phase"] = json!("Succeeded");
    assert_eq!(of(pods, &it).keys().collect::<Vec<_>>(), ["count/pods"]);
}

#[test]
fn a_status_tells_of_everything_that_is_limited() {
    let of = quota(json!({"pods": "2", "requests.memory": "1Gi"}), json!({}));
    assert_eq!(
        of.status(&usage(&[("requests.memory", "64Mi"), ("cpu", "1")])),
        json!({"hard": {"pods": "2", "requests.memory": "1Gi"}, "used": {"pods": "0", "requests.memory": "64Mi"}})
    );
    let sources = [("pods".to_owned(), String::new())];
    assert_eq!(of.sources(), sources.into());
}
