//! Manifests that people use: Istio's samples, and those of the documents that Serin's users follow. Every one that is
//! YAML at all can be read as its kind, is written out and read again as the same, and Istio's admission takes it.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test says how it fails and what it skips"
)]

use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::Value;
use serin_api::{Object, Resource, Severity, core, gateway_api, networking, security, telemetry};
use serin_api::{decode, validation, yaml};

/// Objects of the documents that Istio's admission refuses, and why that is right.
const REFUSED: [&str; 0] = [];

fn shared(path: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared").join(path);
    if !path.exists() {
        println!("skipped: {} is not there", path.display());
        return None;
    }
    Some(path)
}

fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path, extension));
        } else if path.extension().is_some_and(|it| it == extension) {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// Reads `object` as a `T`, writes it, and reads it again.
fn round_trip<T: Resource + Serialize + PartialEq>(object: &Value) -> Result<(), String> {
    let read = Object::<T>::from_value(object).map_err(|error| error.to_string())?;
    let written = serde_json::to_value(&read.spec).unwrap();
    let again: T = decode(&written).map_err(|error| error.to_string())?;
    if again == read.spec { Ok(()) } else { Err(format!("changed when written: {written}")) }
}

fn check(object: &Value) -> Result<(), String> {
    let text = |name: &str| object[name].as_str().unwrap_or_default();
    let group = text("apiVersion").split_once('/').map_or("", |(group, _)| group);
    match (group, text("kind")) {
        ("", "Service") => round_trip::<core::Service>(object),
        ("", "ServiceAccount") => round_trip::<core::ServiceAccount>(object),
        ("", "Namespace") => round_trip::<core::Namespace>(object),
        ("", "ConfigMap") => round_trip::<core::ConfigMap>(object),
        ("", "Secret") => round_trip::<core::Secret>(object),
        ("", "Pod") => round_trip::<core::Pod>(object),
        ("apps", "Deployment") => round_trip::<core::Deployment>(object),
        ("networking.k8s.io", "Ingress") => round_trip::<core::Ingress>(object),
        (gateway_api::GROUP, "Gateway") => round_trip::<gateway_api::Gateway>(object),
        (gateway_api::GROUP, "HTTPRoute") => round_trip::<gateway_api::HttpRoute>(object),
        (gateway_api::GROUP, "GRPCRoute") => round_trip::<gateway_api::GrpcRoute>(object),
        (gateway_api::GROUP, "TCPRoute") => round_trip::<gateway_api::TcpRoute>(object),
        (gateway_api::GROUP, "TLSRoute") => round_trip::<gateway_api::TlsRoute>(object),
        (gateway_api::GROUP, "ReferenceGrant") => round_trip::<gateway_api::ReferenceGrant>(object),
        (gateway_api::GROUP, "BackendTLSPolicy") => {
            round_trip::<gateway_api::BackendTlsPolicy>(object)
        }
        (gateway_api::GROUP, "ListenerSet") => round_trip::<gateway_api::ListenerSet>(object),
        ("inference.networking.k8s.io", "InferencePool") => {
            round_trip::<gateway_api::InferencePool>(object)
        }
        ("networking.istio.io", "VirtualService") => {
            round_trip::<networking::VirtualService>(object)
        }
        ("networking.istio.io", "DestinationRule") => {
            round_trip::<networking::DestinationRule>(object)
        }
        ("networking.istio.io", "Gateway") => round_trip::<networking::Gateway>(object),
        ("networking.istio.io", "ServiceEntry") => round_trip::<networking::ServiceEntry>(object),
        ("networking.istio.io", "Sidecar") => round_trip::<networking::Sidecar>(object),
        ("networking.istio.io", "EnvoyFilter") => round_trip::<networking::EnvoyFilter>(object),
        ("networking.istio.io", "ProxyConfig") => round_trip::<networking::ProxyConfig>(object),
        ("security.istio.io", "AuthorizationPolicy") => {
            round_trip::<security::AuthorizationPolicy>(object)
        }
        ("security.istio.io", "PeerAuthentication") => {
            round_trip::<security::PeerAuthentication>(object)
        }
        ("telemetry.istio.io", "Telemetry") => round_trip::<telemetry::Telemetry>(object),
        _ => Err("no type".to_owned()),
    }
}

/// The blocks of code of a document, in Markdown or HTML.
fn code_blocks(text: &str) -> Vec<String> {
    let fenced = text.split("```").skip(1).step_by(2);
    let markdown = fenced.map(|block| block.split_once('\n').unwrap_or_default().1.to_owned());
    let html = text.split("<pre").skip(1).map(|block| {
        let block = block.split("</pre>").next().unwrap_or_default();
        let tags_gone: String = block
            .split('<')
            .map(|part| part.split_once('>').map_or(part, |(_, text)| text))
            .collect();
        tags_gone
            .replace("&nbsp;", " ")
            .replace("&gt;", ">")
            .replace("&lt;", "<")
            .replace("&amp;", "&")
    });
    markdown.chain(html).collect()
}

fn objects(text: &str) -> impl Iterator<Item = Value> {
    let documents = yaml::read(text).documents.into_iter();
    let values =
        documents.filter(|document| document.sound).map(|document| document.root.to_json());
    values.filter(|value| value.get("kind").is_some())
}

#[test]
fn istios_samples_are_read_as_their_kinds_and_taken() {
    let Some(folder) = shared("conformance/istio/samples") else { return };
    let (mut count, mut failures) = (0, Vec::new());
    for file in files(&folder, "yaml") {
        for object in objects(&std::fs::read_to_string(&file).unwrap()) {
            count += 1;
            failures.extend(failure(&object).map(|it| format!("{}: {it}", file.display())));
        }
    }
    println!("{count} objects");
    assert!(count > 50);
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn the_manifests_of_the_documents_are_read_as_their_kinds_and_taken() {
    let Some(folder) = shared("documents") else { return };
    let (mut count, mut failures) = (0, Vec::new());
    for file in files(&folder, "txt") {
        for block in code_blocks(&std::fs::read_to_string(&file).unwrap()) {
            for object in objects(&block) {
                count += 1;
                failures.extend(failure(&object).map(|it| format!("{}: {it}", file.display())));
            }
        }
    }
    println!("{count} objects");
    assert!(count >= 38);
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

fn failure(object: &Value) -> Option<String> {
    let name = format!("{} {}", object["kind"], object["metadata"]["name"]);
    if let Err(message) = check(object) {
        return Some(format!("{name}: {message}"));
    }
    let problems = validation::validate(object)?.unwrap();
    let error = problems.into_iter().find(|problem| problem.severity == Severity::Error)?;
    let refused = REFUSED.iter().any(|it| name.contains(it));
    (!refused).then(|| format!("{name}: {}: {}", error.field, error.message))
}
