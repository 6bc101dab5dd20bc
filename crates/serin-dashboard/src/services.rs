//! Services with their versions: which pods are behind them, and what goes to them.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::Value;

use crate::objects::{Object, Objects, items, label, name, namespace, text};
use crate::traffic::{Counts, Rates, Window};

/// A service.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Service {
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) versions: Vec<Version>,
    pub(crate) rates: Rates,
    /// Names of Services that a release made for it, which are part of it here.
    #[serde(skip)]
    parts: Vec<String>,
    #[serde(skip)]
    selectors: Vec<BTreeMap<String, String>>,
}

/// A workload behind a service.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Version {
    pub(crate) workload: String,
    /// The label `version`, or the tag of the image.
    pub(crate) version: String,
    pub(crate) pods: usize,
    pub(crate) ready: usize,
    pub(crate) rates: Rates,
}

impl Service {
    /// Whether it goes by a name, itself or what a release made for it.
    pub(crate) fn is_called(&self, namespace: &str, name: &str) -> bool {
        self.namespace == namespace && (self.name == name || self.parts.iter().any(|it| it == name))
    }

    /// Whether a workload is behind it.
    pub(crate) fn has(&self, namespace: &str, workload: &str) -> bool {
        self.namespace == namespace && self.versions.iter().any(|it| it.workload == workload)
    }

    fn selects(&self, pod: &Value) -> bool {
        namespace(pod) == self.namespace
            && self
                .selectors
                .iter()
                .any(|it| it.iter().all(|(key, value)| label(pod, key) == value))
    }
}

/// All services that have pods or traffic, with what happened lately.
pub(crate) fn all(objects: &Objects, window: &Window) -> Vec<Service> {
    let mut services = by_release(&objects.all("", "Service"));
    let pods = objects.all("", "Pod");
    let mut workloads: BTreeMap<(String, String), Vec<&Object>> = BTreeMap::new();
    let mut ready: BTreeSet<&str> = BTreeSet::new();
    for pod in pods.iter().filter(|pod| is_current(pod)) {
        workloads.entry((namespace(pod).to_owned(), workload(pod))).or_default().push(pod);
        if is_ready(pod) {
            ready.insert(text(pod, "/metadata/uid"));
        }
    }
    for service in &mut services {
        for ((_, workload), pods) in &workloads {
            let of_service: Vec<_> = pods.iter().filter(|pod| service.selects(pod)).collect();
            let Some(first) = of_service.first() else { continue };
            let version = Version {
                workload: workload.clone(),
                version: version(first),
                pods: of_service.len(),
                ready: of_service
                    .iter()
                    .filter(|it| ready.contains(text(it, "/metadata/uid")))
                    .count(),
                rates: Rates::default(),
            };
            service.versions.push(version);
        }
        count(service, window);
    }
    services.retain(|it| !it.versions.is_empty() || it.rates.requests > 0);
    services
}

/// The Services; those that a release has made belong to the one that users call.
fn by_release(objects: &[Object]) -> Vec<Service> {
    let mut services: Vec<Service> = Vec::new();
    let mut parts = Vec::new();
    for object in objects {
        let selector = object["spec"]["selector"].as_object().into_iter().flatten();
        let selector: BTreeMap<String, String> = selector
            .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
            .collect();
        let service = Service {
            namespace: namespace(object).to_owned(),
            name: name(object).to_owned(),
            selectors: if selector.is_empty() { Vec::new() } else { vec![selector] },
            ..Service::default()
        };
        let owners = items(object, "/metadata/ownerReferences").iter();
        let is_made = owners.into_iter().any(|owner| owner["kind"] == "Canary");
        let apex = ["-primary", "-canary"].iter().find_map(|end| service.name.strip_suffix(end));
        match apex {
            Some(apex) if is_made => parts.push((apex.to_owned(), service)),
            _ => services.push(service),
        }
    }
    for (apex, part) in parts {
        let whole =
            services.iter_mut().find(|it| it.namespace == part.namespace && it.name == apex);
        match whole {
            Some(whole) => {
                whole.parts.push(part.name);
                whole.selectors.extend(part.selectors);
            }
            None => services.push(part),
        }
    }
    services
}

fn count(service: &mut Service, window: &Window) {
    let mut total = Counts::default();
    for version in &mut service.versions {
        let here = |edge: &crate::traffic::Edge| {
            *edge.destination.namespace == *service.namespace
                && *edge.destination.workload == *version.workload
        };
        let counts = window.sum(here);
        version.rates = window.rates(&counts);
        total.add(&counts);
    }
    // What reached no pod.
    let lost = window.sum(|edge| {
        edge.destination.workload.is_empty()
            && (*edge.service_namespace == *service.namespace)
            && (*edge.service == *service.name
                || service.parts.iter().any(|it| **it == *edge.service))
    });
    total.add(&lost);
    service.rates = window.rates(&total);
}

/// Whether a pod counts: it is neither done nor about to go.
pub(crate) fn is_current(pod: &Value) -> bool {
    let phase = text(pod, "/status/phase");
    text(pod, "/metadata/deletionTimestamp").is_empty() && phase != "Succeeded" && phase != "Failed"
}

/// Whether a pod takes requests.
pub(crate) fn is_ready(pod: &Value) -> bool {
    let mut conditions = items(pod, "/status/conditions").iter();
    conditions.any(|it| it["type"] == "Ready" && it["status"] == "True")
}

/// The workload that a pod belongs to: the Deployment of its ReplicaSet, or whoever owns it.
pub(crate) fn workload(pod: &Value) -> String {
    let owner = items(pod, "/metadata/ownerReferences").first();
    let Some(owner) = owner else { return name(pod).to_owned() };
    let owner_name = owner["name"].as_str().unwrap_or_default();
    let hash = label(pod, "pod-template-hash");
    let deployment = owner_name.strip_suffix(hash).and_then(|it| it.strip_suffix('-'));
    deployment.filter(|_| !hash.is_empty()).unwrap_or(owner_name).to_owned()
}

/// What tells a version from others.
fn version(pod: &Value) -> String {
    let labelled = label(pod, "version");
    if !labelled.is_empty() {
        return labelled.to_owned();
    }
    let image = text(pod, "/spec/containers/0/image");
    let tag = image.rsplit('/').next().and_then(|it| it.split_once(':'));
    tag.map_or_else(String::new, |(_, tag)| tag.to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(name: &str, app: &str, version: &str, is_ready: bool) -> Value {
        json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {
                "name": name, "namespace": "default", "uid": name,
                "labels": {"app": app, "version": version, "pod-template-hash": "abc"},
                "ownerReferences": [{"kind": "ReplicaSet", "name": format!("{app}-{version}-abc")}],
            },
            "spec": {"containers": [{"image": "example/reviews:3"}]},
            "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": if is_ready { "True" } else { "False" }}]},
        })
    }

    fn service(name: &str, app: &str, owner: &str) -> Value {
        json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": {"name": name, "namespace": "default", "ownerReferences": [{"kind": owner, "name": "reviews"}]},
            "spec": {"selector": {"app": app}},
        })
    }

    #[test]
    fn a_service_has_the_workloads_that_it_selects() {
        let objects = Objects::default();
        objects.put(service("reviews", "reviews", ""));
        objects.put(service("lonely", "lonely", ""));
        objects.put(pod("a", "reviews", "v1", true));
        objects.put(pod("b", "reviews", "v1", false));
        objects.put(pod("c", "reviews", "v2", true));
        let all = all(&objects, &Window::default());
        let versions: Vec<_> = all
            .iter()
            .flat_map(|it| &it.versions)
            .map(|it| (it.workload.as_str(), it.version.as_str(), it.ready, it.pods))
            .collect();
        assert_eq!(versions, [("reviews-v1", "v1", 1, 2), ("reviews-v2", "v2", 1, 1)]);
        assert_eq!(all.len(), 1, "a Service without pods and traffic is not shown");
    }

    #[test]
    fn services_of_a_release_are_part_of_the_one_that_users_call() {
        let objects = Objects::default();
        objects.put(service("reviews", "reviews-primary", ""));
        objects.put(service("reviews-primary", "reviews-primary", "Canary"));
        objects.put(service("reviews-canary", "reviews", "Canary"));
        objects.put(pod("a", "reviews", "v2", true));
        objects.put(pod("b", "reviews-primary", "v1", true));
        let all = all(&objects, &Window::default());
        assert_eq!(all.len(), 1);
        assert_eq!(all[0].versions.len(), 2);
        assert!(all[0].is_called("default", "reviews-canary"));
    }
}
