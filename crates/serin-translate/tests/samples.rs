//! The samples of this repository, and Istio's, translated: what routes lead to is there.

#![allow(clippy::unwrap_used, reason = "tests bring what can be read")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serin_api::load::Loader;
use serin_routing::Model;
use serin_routing::model::{Action, Destination};
use serin_translate::{Objects, Proxy, ProxyKind, Settings, Snapshot, translate};

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The manifests of files and folders, as one mesh.
fn snapshot(paths: &[PathBuf]) -> Snapshot {
    let mut loader = Loader::new("default");
    let mut texts = BTreeMap::new();
    for path in paths {
        collect(path, &mut texts);
    }
    for (file, text) in &texts {
        loader.add(file, text);
    }
    let objects: Objects = loader.finish().objects.into_iter().map(|it| it.object).collect();
    Snapshot::new(objects, Settings { expects_pods: true, ..Settings::default() })
}

fn collect(path: &Path, texts: &mut BTreeMap<String, String>) {
    if path.is_dir() {
        for entry in std::fs::read_dir(path).unwrap() {
            collect(&entry.unwrap().path(), texts);
        }
    } else if path.extension().is_some_and(|it| it == "yaml") {
        texts.insert(path.display().to_string(), std::fs::read_to_string(path).unwrap());
    }
}

fn sidecar(namespace: &str, labels: &[(&str, &str)]) -> Proxy {
    let labels = labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    Proxy::new(ProxyKind::Sidecar, namespace, labels.collect())
}

/// The clusters that routes lead to.
fn destinations(model: &Model) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for host in model.route_tables.values().flat_map(|it| &it.virtual_hosts) {
        for route in &host.routes {
            if let Action::Forward(forward) = &route.action {
                let list = forward.destinations.list().iter();
                names.extend(list.map(|it: &Destination| it.cluster.to_string()));
                names.extend(forward.mirrors.iter().map(|it| it.cluster.to_string()));
            }
        }
    }
    names
}

/// The clusters that routes lead to and that do not exist or have no endpoint.
fn dead_ends(model: &Model) -> Vec<String> {
    let is_dead = |name: &String| match model.clusters.get(name.as_str()) {
        None => true,
        Some(_) => model
            .endpoints
            .get(name.as_str())
            .is_some_and(|it| it.localities.iter().all(|place| place.endpoints.is_empty())),
    };
    destinations(model).into_iter().filter(is_dead).collect()
}

#[track_caller]
fn check(paths: &[&str], labels: &[(&str, &str)], routed: &str, dead: &[&str]) {
    let paths: Vec<_> = paths.iter().map(|it| workspace().join("samples").join(it)).collect();
    let snapshot = snapshot(&paths);
    let model = translate(&snapshot, &sidecar("default", labels)).model;
    assert!(destinations(&model).contains(routed), "{:?}", destinations(&model));
    assert_eq!(dead_ends(&model), dead, "{paths:?}");
}

#[test]
fn routes_of_samples_lead_to_endpoints() {
    let reviews =
        |subset: &str| format!("outbound|9080|{subset}|reviews.default.svc.cluster.local");
    let bookinfo = "bookinfo/workloads.yaml";
    check(&[bookinfo], &[], &reviews(""), &[]);
    check(
        &[bookinfo, "versions/destination-rule.yaml", "versions/weighted"],
        &[],
        &reviews("v1"),
        &[],
    );
    check(&["greet"], &[], "outbound|8080||svc-a.default.svc.cluster.local", &[]);
    let appb = "outbound|8000|v2|appb.default.svc.cluster.local";
    check(&["chain/workloads", "chain/mended"], &[("app", "appa"), ("version", "v2")], appb, &[]);
}

#[test]
fn every_sample_of_istio_translates() {
    let folder = workspace().join("../shared/conformance/istio/samples");
    if !folder.is_dir() {
        println!("skipped: no samples of Istio at {}", folder.display());
        return;
    }
    let snapshot = snapshot(&[folder]);
    assert!(snapshot.registry().services().len() > 3);
    let proxy = sidecar("default", &[("app", "productpage"), ("version", "v1")]);
    let model = translate(&snapshot, &proxy).model;
    assert!(model.clusters.contains_key("outbound|9080||reviews.default.svc.cluster.local"));
    assert!(model.clusters.contains_key("outbound|9080|v3|reviews.default.svc.cluster.local"));
}
