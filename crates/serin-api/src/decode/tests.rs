//! What the reader takes and refuses, and where it says a value is.

use serde_json::{Value, json};

use super::decode;
use crate::mesh_config::MeshConfig;
use crate::networking::{DestinationRule, LoadBalancerSettings, SimpleLb, VirtualService};
use crate::security::{MutualTlsMode, PeerAuthentication};
use crate::values::{Duration, StringMatch};
use crate::{FieldPath, Object};

fn error(value: &Value) -> (String, String) {
    let error = Object::<VirtualService>::from_value(value).expect_err("cannot be read");
    (error.field.to_string(), error.message)
}

#[test]
fn null_is_absent_in_every_place() {
    let object = json!({"metadata": {"name": "a", "labels": null}, "spec": {"hosts": null, "http": [{"route": null, "timeout": null}]}, "status": null});
    let read = Object::<VirtualService>::from_value(&object).expect("readable");
    assert_eq!(read.spec.hosts, [""; 0]);
    assert_eq!(read.spec.http.len(), 1);
    assert_eq!(
        Object::<VirtualService>::from_value(&json!({"spec": null})).expect("readable").spec,
        VirtualService::default()
    );
}

#[test]
fn absent_and_empty_comparisons_differ() {
    let read = |uri: Value| {
        let spec: VirtualService =
            decode(&json!({"http": [{"match": [{"uri": uri}]}]})).expect("readable");
        spec.http[0].matches[0].uri.clone()
    };
    assert_eq!(read(Value::Null), None);
    assert_eq!(read(json!({})), Some(StringMatch::Empty));
    assert_eq!(read(json!({"exact": ""})), Some(StringMatch::Exact(String::new())));
    assert_eq!(
        read(json!({"exact": null, "prefix": "/"})),
        Some(StringMatch::Prefix("/".to_owned()))
    );
}

#[test]
fn numbers_may_be_written_as_text_or_with_a_fraction_of_zero() {
    let read: DestinationRule = decode(&json!({
        "trafficPolicy": {"portLevelSettings": [{"port": {"number": "80"}}], "outlierDetection": {"consecutive5xxErrors": 3.0}},
    })).expect("readable");
    let policy = read.traffic_policy.expect("present");
    assert_eq!(policy.port_level_settings[0].port.as_ref().map(|port| port.number), Some(80));
    assert_eq!(policy.outlier_detection.and_then(|it| it.consecutive_5xx_errors), Some(3));
}

#[test]
fn numbers_can_be_keys() {
    let read: PeerAuthentication =
        decode(&json!({"portLevelMtls": {"8080": {"mode": "DISABLE"}}})).expect("readable");
    assert_eq!(read.port_level_mtls[&8080].mode, MutualTlsMode::Disable);
}

#[test]
fn what_cannot_be_read_is_found_by_its_path() {
    let (field, message) = error(&json!({"spec": {"http": [{}, {"timeout": "5 seconds"}]}}));
    assert_eq!(field, "spec.http[1].timeout");
    assert!(message.contains("5 seconds"), "{message}");
    let (field, _) =
        error(&json!({"spec": {"http": [{"match": [{"uri": {"exact": "/", "prefix": "/"}}]}]}}));
    assert_eq!(field, "spec.http[0].match[0].uri");
    let (field, _) = error(&json!({"metadata": {"labels": {"a": 1}}}));
    assert_eq!(field, "metadata.labels.a");
    let (field, _) = error(&json!({"spec": {"hosts": "a"}}));
    assert_eq!(field, "spec.hosts");
    let failed =
        decode::<LoadBalancerSettings>(&json!({"simple": "BEST"})).expect_err("no such value");
    assert_eq!(failed.field, FieldPath::root().key("simple"));
    assert_eq!(
        failed.message,
        "Unsupported value: \"BEST\": supported values: \"UNSPECIFIED\", \"LEAST_CONN\", \"RANDOM\", \"PASSTHROUGH\", \"ROUND_ROBIN\", \"LEAST_REQUEST\""
    );
}

#[test]
fn what_is_at_its_default_is_not_written() {
    let settings = LoadBalancerSettings {
        simple: Some(SimpleLb::Unspecified),
        ..LoadBalancerSettings::default()
    };
    assert_eq!(serde_json::to_value(settings).expect("writable"), json!({"simple": "UNSPECIFIED"}));
}

#[test]
fn a_mesh_without_settings_has_istios() {
    let mesh = MeshConfig::from_value(&json!({})).expect("readable");
    assert_eq!(mesh, MeshConfig::default());
    assert_eq!(mesh.connect_timeout, Duration::from_secs(10));
    let mesh = MeshConfig::from_value(&json!({
        "rootNamespace": "root", "extensionProviders": [{"name": "envoy", "envoyFileAccessLog": {"path": "/tmp/log"}}],
    })).expect("readable");
    assert_eq!(mesh.root_namespace, "root");
    let names: Vec<&str> = mesh.extension_providers.iter().map(|it| it.name.as_str()).collect();
    assert_eq!(names, ["envoy", "prometheus", "stackdriver"]);
}
