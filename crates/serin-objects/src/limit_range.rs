//! LimitRanges: what containers get that say nothing of their resources, and what pods, containers and claims may ask for.

use serde_json::{Value, json};

use crate::Resource;
use crate::quantity::Quantity;
use crate::resources::{Amounts, amounts, pod_amounts};

/// Where it is noted what a pod got.
const ANNOTATION: &str = "kubernetes.io/limit-ranger";

/// Gives containers of a new pod the requests and limits that the ranges of its namespace have for those without.
pub fn fill(pod: &mut Value, ranges: &[Value]) {
    let mut notes = Vec::new();
    for range in ranges {
        let items = range["spec"]["limits"].as_array().into_iter().flatten();
        let (mut requests, mut limits) = (Vec::new(), Vec::new());
        for item in items.filter(|it| it["type"] == "Container") {
            let pairs = |part: &str| item[part].as_object().cloned().unwrap_or_default();
            requests.extend(pairs("defaultRequest"));
            limits.extend(pairs("default"));
        }
        for (list, what) in [("containers", "container"), ("initContainers", "init container")] {
            let containers = pod["spec"].get_mut(list).and_then(Value::as_array_mut);
            for container in containers.into_iter().flatten() {
                let name = container["name"].as_str().unwrap_or_default().to_owned();
                let both = [("requests", &requests), ("limits", &limits)];
                for (part, defaults) in both.into_iter().filter(|(_, them)| !them.is_empty()) {
                    let given = give(&mut container["resources"], part, defaults);
                    if !given.is_empty() {
                        let part = part.trim_end_matches('s');
                        notes.push(format!("{} {part} for {what} {name}", given.join(", ")));
                    }
                }
            }
        }
    }
    if !notes.is_empty() {
        pod["metadata"]["annotations"][ANNOTATION] =
            json!(format!("LimitRanger plugin set: {}", notes.join("; ")));
    }
}

/// Sets amounts that are not there; the names of those that were set.
fn give(resources: &mut Value, part: &str, defaults: &[(String, Value)]) -> Vec<String> {
    let mut given = Vec::new();
    for (name, amount) in defaults {
        if resources[part][name].is_null() {
            resources[part][name] = amount.clone();
            given.push(name.clone());
        }
    }
    given.sort();
    given
}

/// Whether ranges are about the objects of a resource.
pub fn limits(resource: &Resource) -> bool {
    resource.is("", "Pod") || resource.is("", "PersistentVolumeClaim")
}

/// Refuses an object that asks for less or more than the ranges of its namespace allow.
///
/// # Errors
/// What is out of range, as Kubernetes words it.
pub fn check(resource: &Resource, object: &Value, ranges: &[Value]) -> Result<(), String> {
    let mut errors = Vec::new();
    for range in ranges {
        let mut found = Vec::new();
        for item in range["spec"]["limits"].as_array().into_iter().flatten() {
            let kind = item["type"].as_str().unwrap_or_default();
            match kind {
                "Container" | "Pod" if !resource.is("", "Pod") => {}
                "Container" => {
                    for list in ["containers", "initContainers"] {
                        for it in object["spec"][list].as_array().into_iter().flatten() {
                            let of = |part: &str| amounts(&it["resources"][part]);
                            found.extend(within(item, kind, &of("requests"), &of("limits")));
                        }
                    }
                }
                "Pod" => {
                    let of = |part: &str| pod_amounts(object, part);
                    found.extend(within(item, kind, &of("requests"), &of("limits")));
                }
                "PersistentVolumeClaim" if resource.is("", "PersistentVolumeClaim") => {
                    let requests = amounts(&object["spec"]["resources"]["requests"]);
                    let none = Amounts::new();
                    let least = each(&item["min"]);
                    found.extend(least.filter_map(|it| minimum(it, kind, &requests, &none)));
                    let most = each(&item["max"]);
                    found.extend(most.filter_map(|it| maximum_request(it, kind, &requests)));
                }
                _ => {}
            }
        }
        // The first range that is broken is told of.
        if errors.is_empty() {
            errors = found;
        }
    }
    match errors.as_slice() {
        [] => Ok(()),
        [one] => Err(one.clone()),
        many => Err(format!("[{}]", many.join(", "))),
    }
}

/// A bound: the resource, the amount as it is written, and the amount.
type Bound<'b> = (&'b str, &'b str, Quantity);

fn each(bounds: &Value) -> impl Iterator<Item = Bound<'_>> {
    let mut all: Vec<Bound<'_>> = bounds
        .as_object()
        .into_iter()
        .flatten()
        .filter_map(|(name, it)| {
            Some((name.as_str(), it.as_str()?, Quantity::parse(it.as_str()?)?))
        })
        .collect();
    all.sort_by_key(|(name, ..)| *name);
    all.into_iter()
}

fn within(item: &Value, kind: &str, requests: &Amounts, limits: &Amounts) -> Vec<String> {
    let mut out: Vec<String> =
        each(&item["min"]).filter_map(|it| minimum(it, kind, requests, limits)).collect();
    out.extend(each(&item["max"]).filter_map(|it| maximum(it, kind, requests, limits)));
    out.extend(
        each(&item["maxLimitRequestRatio"]).filter_map(|it| ratio(it, kind, requests, limits)),
    );
    out
}

fn minimum(
    (name, shown, bound): Bound<'_>,
    kind: &str,
    requests: &Amounts,
    limits: &Amounts,
) -> Option<String> {
    let rule = format!("minimum {name} usage per {kind} is {shown}");
    let Some(request) = requests.get(name) else {
        return Some(format!("{rule}.  No request is specified"));
    };
    if *request < bound {
        return Some(format!("{rule}, but request is {request}"));
    }
    let limit = limits.get(name).filter(|limit| **limit < bound)?;
    Some(format!("{rule}, but limit is {limit}"))
}

fn maximum(
    (name, shown, bound): Bound<'_>,
    kind: &str,
    requests: &Amounts,
    limits: &Amounts,
) -> Option<String> {
    let rule = format!("maximum {name} usage per {kind} is {shown}");
    let Some(limit) = limits.get(name) else {
        return Some(format!("{rule}.  No limit is specified"));
    };
    if *limit > bound {
        return Some(format!("{rule}, but limit is {limit}"));
    }
    let request = requests.get(name).filter(|request| **request > bound)?;
    Some(format!("{rule}, but request is {request}"))
}

fn maximum_request(
    (name, shown, bound): Bound<'_>,
    kind: &str,
    requests: &Amounts,
) -> Option<String> {
    let rule = format!("maximum {name} usage per {kind} is {shown}");
    let Some(request) = requests.get(name) else {
        return Some(format!("{rule}.  No request is specified"));
    };
    (*request > bound).then(|| format!("{rule}, but request is {request}"))
}

fn ratio(
    (name, shown, bound): Bound<'_>,
    kind: &str,
    requests: &Amounts,
    limits: &Amounts,
) -> Option<String> {
    let rule = format!("{name} max limit to request ratio per {kind} is {shown}");
    let of = |amounts: &Amounts| amounts.get(name).copied().filter(|it| !it.is_zero());
    let Some(request) = of(requests) else {
        return Some(format!("{rule}, but no request is specified or request is 0"));
    };
    let Some(limit) = of(limits) else {
        return Some(format!("{rule}, but no limit is specified or limit is 0"));
    };
    let found = limit.over(request);
    (found > bound.over(Quantity::from_whole(1)))
        .then(|| format!("{rule}, but provided ratio is {found:.6}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Catalog;

    fn range(limits: Value) -> Value {
        json!({"metadata": {"name": "r"}, "spec": {"limits": [limits]}})
    }

    fn pod(resources: Value) -> Value {
        json!({"spec": {"containers": [{"name": "a", "resources": resources}]}})
    }

    fn check_pod(limits: Value, resources: Value, expect: Result<(), &str>) {
        let catalog = Catalog::builtin();
        let pods = catalog.find("", "v1", "pods").unwrap();
        let found = check(pods, &pod(resources), &[range(limits)]);
        assert_eq!(found, expect.map_err(str::to_owned));
    }

    #[test]
    fn containers_get_what_they_do_not_say() {
        let ranges = [range(json!({
            "type": "Container", "default": {"cpu": "1", "memory": "2Gi"}, "defaultRequest": {"cpu": "500m"},
        }))];
        let mut it = pod(json!({"limits": {"memory": "1Gi"}}));
        it["spec"]["initContainers"] = json!([{"name": "i"}]);
        fill(&mut it, &ranges);
        assert_eq!(
            it["spec"]["containers"][0]["resources"],
            json!({"limits": {"memory": "1Gi", "cpu": "1"}, "requests": {"cpu": "500m"}})
        );
        assert_eq!(
            it["metadata"]["annotations"][ANNOTATION],
            "LimitRanger plugin set: cpu request for container a; cpu limit for container a; cpu request for init container i; cpu, memory limit for init container i"
        );
        let mut other = pod(json!({"limits": {"cpu": "2"}}));
        let before = other.clone();
        fill(&mut other, &[range(json!({"type": "Pod", "max": {"cpu": "1"}}))]);
        assert_eq!(other, before);
    }

    #[test]
    fn what_is_out_of_range_is_refused() {
        let most = || json!({"type": "Container", "max": {"cpu": "1", "memory": "1Gi"}});
        check_pod(most(), json!({"limits": {"cpu": "1", "memory": "1Gi"}}), Ok(()));
        check_pod(
            most(),
            json!({"limits": {"cpu": "1500m"}}),
            Err(
                "[maximum cpu usage per Container is 1, but limit is 1500m, maximum memory usage per Container is 1Gi.  No limit is specified]",
            ),
        );
        check_pod(
            json!({"type": "Pod", "min": {"cpu": "200m"}}),
            json!({"requests": {"cpu": "100m"}}),
            Err("minimum cpu usage per Pod is 200m, but request is 100m"),
        );
        check_pod(
            json!({"type": "Container", "maxLimitRequestRatio": {"cpu": "2"}}),
            json!({"requests": {"cpu": "100m"}, "limits": {"cpu": "300m"}}),
            Err(
                "cpu max limit to request ratio per Container is 2, but provided ratio is 3.000000",
            ),
        );
    }
}
