//! Istio's own cases of configuration analysis: the same codes about the same objects.

#![expect(clippy::unwrap_used, reason = "a helper of tests that fails fails its test")]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;
use serin_api::Finding;
use serin_api::load::{Loader, mesh};
use serin_translate::analysis::{ANALYZERS, Input};
use serin_translate::{Objects, Settings, Snapshot};

/// Cases that are not followed, each with the reason.
const NOT_FOLLOWED: &[(&str, &str)] = &[];

fn folder() -> Option<PathBuf> {
    let folder =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/conformance/istio/analysis");
    folder.is_dir().then_some(folder)
}

#[test]
fn istios_analysis_cases_give_the_same_codes_about_the_same_objects() {
    let Some(folder) = folder() else {
        println!("skipped: the folder ../shared/conformance/istio/analysis is not there");
        return;
    };
    let cases: Value = serde_json::from_str(&read(&folder.join("cases.json"))).unwrap();
    let mut wrong = Vec::new();
    let mut followed = 0;
    for case in cases["cases"].as_array().unwrap() {
        let id = case["id"].as_str().unwrap();
        if NOT_FOLLOWED.iter().any(|(name, _)| *name == id) {
            continue;
        }
        followed += 1;
        let (expected, actual) = (expected(case), actual(&folder, case));
        if expected != actual {
            wrong.push(format!("{id}\n  expected {expected:#?}\n  actual {actual:#?}"));
        }
    }
    println!("{} of {followed} cases as Istio has them", followed - wrong.len());
    assert!(wrong.is_empty(), "{} cases differ:\n{}", wrong.len(), wrong.join("\n"));
}

fn expected(case: &Value) -> Vec<String> {
    let text = |it: &Value, name: &str| it[name].as_str().unwrap().to_owned();
    let messages = case["expect"].as_array().unwrap().iter();
    let mut expected: Vec<_> =
        messages.map(|it| format!("{} {}", text(it, "code"), text(it, "origin"))).collect();
    expected.sort();
    expected
}

fn actual(folder: &Path, case: &Value) -> Vec<String> {
    let inputs = folder.join("inputs");
    let mut loader = Loader::new("");
    let files = case["inputs"].as_array().unwrap().iter().map(|it| it.as_str().unwrap());
    let defaults =
        case["defaultResources"].as_bool().unwrap_or_default().then_some("default-resources.yaml");
    for file in files.chain(defaults) {
        loader.add(file, &read(&inputs.join(file)));
    }
    let loaded = loader.finish();
    let named = |name: &str| case[name].as_str().map(|file| mesh(file, &read(&inputs.join(file))));
    let (config, networks) =
        (named("meshConfig"), named("meshNetworks").and_then(|it| it.networks));
    let mut objects = Objects::default();
    // The analyzers look at objects that admission would refuse, too.
    for object in loaded.objects.iter().chain(&loaded.refused) {
        if !is_ignored(&object.object.meta().namespace) {
            objects.insert(object.object.clone());
        }
    }
    let mut settings = Settings::default();
    if let Some(config) = config.and_then(|it| it.config) {
        settings.mesh = Arc::new(config);
    }
    let snapshot = Snapshot::new(objects, settings);
    let name = case["analyzer"].as_str().unwrap();
    let analyzer =
        ANALYZERS.iter().find(|it| it.name == name).unwrap_or_else(|| panic!("no analyzer {name}"));
    // Long after any certificate of the cases has expired, and before any other does.
    let now = Some(1_800_000_000);
    let findings = analyzer.run(Input { snapshot: &snapshot, networks: networks.as_ref(), now });
    let mut actual: Vec<_> = findings.iter().map(origin).collect();
    actual.sort();
    actual
}

fn origin(finding: &Finding) -> String {
    format!("{} {}", finding.code, finding.object.as_ref().unwrap())
}

fn is_ignored(namespace: &str) -> bool {
    matches!(namespace, "kube-system" | "kube-public" | "kube-node-lease" | "local-path-storage")
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
