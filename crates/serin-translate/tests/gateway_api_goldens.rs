//! Istio's own Gateway API scenarios: what the objects mean, and what status they get.
//!
//! The scenarios lie beside the repository; without them there is nothing to compare with.

#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "the scenarios are known to be well-formed"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use serin_api::networking::{DestinationRule, Gateway, VirtualService};
use serin_api::{Object, Resource};
use serin_translate::gateway_api::{Converted, ServiceView};

#[path = "support/gateway_api.rs"]
mod support;

use support::{Environment, documents, run};

/// What differs from the goldens on purpose: scenario, object, reason.
const DEVIATIONS: &[(&str, &str, &str)] = &[];

/// Namespace, kind and name.
type Key = (String, String, String);

fn scenarios() -> Option<PathBuf> {
    let root =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/conformance/istio/gateway-api");
    root.is_dir().then_some(root)
}

fn environment(root: &Path) -> Environment {
    let text = std::fs::read_to_string(root.join("environment.json")).expect("environment");
    let all: Value = serde_json::from_str(&text).expect("JSON");
    let domain = all["domainSuffix"].as_str().unwrap().to_owned();
    let mut documents = all["objects"].as_array().unwrap().clone();
    let mut registry = Vec::new();
    for service in all["services"].as_array().unwrap() {
        if service["hostname"].as_str().unwrap().ends_with(&domain) {
            documents.push(json!({
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": {"name": service["name"], "namespace": service["namespace"]},
                "spec": {"ports": service["ports"].as_array().unwrap().iter()
                    .map(|it| json!({"name": it["name"], "port": it["port"], "protocol": "TCP"}))
                    .collect::<Value>()},
            }));
        }
        registry.push(view(service));
    }
    Environment { domain, registry, documents }
}

fn view(service: &Value) -> ServiceView {
    let text = |key: &str| service[key].as_str().unwrap().to_owned();
    let numbers = service["ports"].as_array().unwrap().iter();
    let ports: Vec<_> =
        numbers.map(|it| u32::try_from(it["port"].as_u64().unwrap()).unwrap()).collect();
    let workload = |position: usize| BTreeSet::from([if position == 0 { 8080 } else { 0 }]);
    let addresses = service["externalAddresses"].as_array().into_iter().flatten();
    ServiceView {
        hostname: text("hostname"),
        namespace: text("namespace"),
        labels: serde_json::from_value(service["labels"].clone()).unwrap_or_default(),
        external_addresses: addresses.map(|it| it.as_str().unwrap().to_owned()).collect(),
        endpoint_ports: ports.iter().enumerate().map(|(at, port)| (*port, workload(at))).collect(),
        ports,
        ..ServiceView::default()
    }
}

fn key(document: &Value) -> Key {
    let metadata = |key: &str| document["metadata"][key].as_str().unwrap_or_default().to_owned();
    (metadata("namespace"), document["kind"].as_str().unwrap().to_owned(), metadata("name"))
}

/// An object as the goldens show it.
fn shown<T: Resource + serde::Serialize>(object: &Object<T>) -> (Key, Value) {
    let mut metadata = json!({ "annotations": object.meta.annotations });
    if let Some(time) = &object.meta.creation_timestamp {
        metadata["creationTimestamp"] = json!(time);
    }
    let key = (object.meta.namespace.clone(), T::KIND.to_owned(), object.meta.name.clone());
    (key, json!({"metadata": metadata, "spec": object.spec}))
}

fn made(converted: &Converted) -> BTreeMap<Key, Value> {
    let gateways = converted.gateways.iter().map(|it| shown(it));
    let services = converted.virtual_services.iter().map(|it| shown(it));
    let rules = converted.destination_rules.iter().map(|it| shown(it));
    let all: Vec<_> = gateways.chain(services).chain(rules).collect();
    let count = all.len();
    let made: BTreeMap<_, _> = all.into_iter().collect();
    assert_eq!(made.len(), count, "two objects of one name");
    made
}

/// The objects of a golden, their durations written as Serin writes them.
fn expected(text: &str) -> BTreeMap<Key, Value> {
    let mut all = BTreeMap::new();
    for document in documents(text) {
        let (key, value) = match document["kind"].as_str().unwrap() {
            "Gateway" => shown(&Object::<Gateway>::from_value(&document).unwrap()),
            "VirtualService" => shown(&Object::<VirtualService>::from_value(&document).unwrap()),
            "DestinationRule" => shown(&Object::<DestinationRule>::from_value(&document).unwrap()),
            other => panic!("{other}"),
        };
        assert_eq!(
            fields(&document["spec"]),
            fields(&value["spec"]),
            "a field of {key:?} is not known"
        );
        all.insert(key, value);
    }
    all
}

/// The paths of all fields.
fn fields(value: &Value) -> BTreeSet<String> {
    fn walk(value: &Value, path: &str, all: &mut BTreeSet<String>) {
        match value {
            Value::Object(map) => {
                map.iter().for_each(|(key, it)| walk(it, &format!("{path}.{key}"), all))
            }
            Value::Array(items) => {
                items.iter().enumerate().for_each(|(at, it)| walk(it, &format!("{path}.{at}"), all))
            }
            _ => {}
        }
        all.insert(path.to_owned());
    }
    let mut all = BTreeSet::new();
    walk(value, "", &mut all);
    all
}

fn statuses(converted: &Converted) -> BTreeMap<Key, Value> {
    let key = |it: serin_api::ObjectRef| (it.namespace, it.kind, it.name);
    converted
        .statuses("fake")
        .into_iter()
        .map(|(object, mut it)| {
            forget_times(&mut it);
            (key(object), it)
        })
        .collect()
}

/// Times that were there before are not told apart.
fn forget_times(value: &mut Value) {
    match value {
        Value::Object(map) => {
            if let Some(time) = map.get_mut("lastTransitionTime") {
                *time = json!("fake");
            }
            map.values_mut().for_each(forget_times);
        }
        Value::Array(items) => items.iter_mut().for_each(forget_times),
        _ => {}
    }
}

/// What of two sets differs, and how many are equal.
fn compare(
    scenario: &str,
    expected: &BTreeMap<Key, Value>,
    found: &BTreeMap<Key, Value>,
) -> (usize, Vec<String>) {
    let keys: BTreeSet<_> = expected.keys().chain(found.keys()).collect();
    let (mut equal, mut problems) = (0, Vec::new());
    for key in keys {
        let (one, other) = (expected.get(key), found.get(key));
        let name = format!("{} {}/{}", key.1, key.0, key.2);
        if one == other {
            equal += 1;
        } else if !DEVIATIONS.iter().any(|it| it.0 == scenario && it.1 == name) {
            let pretty =
                |it: Option<&Value>| it.map_or("nothing".to_owned(), |it| format!("{it:#}"));
            problems.push(format!(
                "{scenario}: {name}\nexpected {}\nfound {}",
                pretty(one),
                pretty(other)
            ));
        }
    }
    (equal, problems)
}

#[test]
fn scenarios_of_istio_give_the_same_objects_and_statuses() {
    let Some(root) = scenarios() else {
        println!("skipped: the scenarios are not there");
        return;
    };
    let environment = environment(&root);
    let mut names: Vec<_> = std::fs::read_dir(&root)
        .expect("scenarios")
        .filter_map(|it| {
            it.unwrap().file_name().to_str().unwrap().strip_suffix(".yaml").map(str::to_owned)
        })
        .collect();
    names.sort();
    let (mut objects, mut all_statuses, mut problems) = ((0, 0), (0, 0), Vec::new());
    for name in &names {
        let text = |suffix: &str| {
            std::fs::read_to_string(root.join(format!("{name}{suffix}"))).expect("scenario")
        };
        let converted = run(&environment, &text(".yaml"));
        let golden = expected(&text(".yaml.golden"));
        let (equal, differences) = compare(name, &golden, &made(&converted));
        objects = (objects.0 + equal, objects.1 + golden.len());
        problems.extend(differences);
        let golden: BTreeMap<_, _> = documents(&text(".status.yaml.golden"))
            .iter()
            .map(|it| (key(it), it["status"].clone()))
            .collect();
        let (equal, differences) = compare(name, &golden, &statuses(&converted));
        all_statuses = (all_statuses.0 + equal, all_statuses.1 + golden.len());
        problems.extend(differences);
    }
    println!(
        "{} scenarios: {} of {} objects and {} of {} statuses are equal",
        names.len(),
        objects.0,
        objects.1,
        all_statuses.0,
        all_statuses.1
    );
    assert!(problems.is_empty(), "{} differences\n{}", problems.len(), problems.join("\n\n"));
}
