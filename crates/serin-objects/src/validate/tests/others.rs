//! Kinds that have few rules each: classes, services of APIs, events, credentials, and objects inside others.

use super::*;

#[test]
fn storage_classes_know_their_policies() {
    assert_eq!(
        wrong(
            "storage.k8s.io",
            "storageclasses",
            json!({"provisioner": "a b", "reclaimPolicy": "x", "volumeBindingMode": "y"})
        ),
        [
            "provisioner: Invalid value: \"a b\": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')",
            "reclaimPolicy: Unsupported value: \"x\": supported values: \"Delete\", \"Retain\"",
            "volumeBindingMode: Unsupported value: \"y\": supported values: \"Immediate\", \"WaitForFirstConsumer\"",
        ]
    );
    let none: Vec<String> = Vec::new();
    assert_eq!(wrong("storage.k8s.io", "storageclasses", json!({"provisioner": "x.io/y"})), none);
}

#[test]
fn events_of_the_newer_group_say_who_tells_what_and_when() {
    assert_eq!(
        wrong(
            "events.k8s.io",
            "events",
            json!({"eventTime": null, "regarding": {"namespace": "default"}})
        ),
        [
            "eventTime: Required value",
            "reportingController: Required value",
            "reportingInstance: Required value",
            "action: Required value",
            "reason: Required value",
            "type: Invalid value: \"\": has invalid value: ",
        ]
    );
}

#[test]
fn api_services_are_named_after_what_they_serve() {
    let service = |name: &str, spec: Value| {
        wrong(
            "apiregistration.k8s.io",
            "apiservices",
            json!({"metadata": {"name": name}, "spec": spec}),
        )
    };
    let sound =
        json!({"group": "a.io", "version": "v1", "groupPriorityMinimum": 1, "versionPriority": 1});
    assert_eq!(service("v1.a.io", sound), Vec::<String>::new());
    let spec = json!({"group": "a", "version": "1", "groupPriorityMinimum": 20001, "service": {}});
    assert_eq!(
        service("x", spec),
        [
            "metadata.name: Invalid value: \"x\": must be `spec.version+\".\"+spec.group`: \"1.a\"",
            "spec.version: Invalid value: \"1\": a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')",
            "spec.groupPriorityMinimum: Invalid value: 20001: must be positive and less than 20000",
            "spec.versionPriority: Invalid value: 0: must be positive and less than 1000",
            "spec.service.namespace: Required value",
            "spec.service.name: Required value",
        ]
    );
}

#[test]
fn maps_may_have_a_mebibyte() {
    let size = |bytes: usize| wrong("", "configmaps", json!({"data": {"a": "x".repeat(bytes)}}));
    assert_eq!(size(1 << 20), Vec::<String>::new());
    assert_eq!(size((1 << 20) + 1), ["[]: Too long: may not be more than 1048576 bytes"]);
}

#[test]
fn who_may_pull_images_is_told_in_json() {
    let secret = |text: &str| {
        use base64::Engine as _;
        let data = base64::engine::general_purpose::STANDARD.encode(text);
        let kind = "kubernetes.io/dockerconfigjson";
        wrong("", "secrets", json!({"type": kind, "data": {".dockerconfigjson": data}}))
    };
    let refused = |why: &str| {
        vec![format!(
            "data[.dockerconfigjson]: Invalid value: \"<secret contents redacted>\": {why}"
        )]
    };
    assert_eq!(secret("{\"auths\": {}}"), Vec::<String>::new());
    assert_eq!(secret("xx"), refused("invalid character 'x' looking for beginning of value"));
    assert_eq!(
        secret("[]"),
        refused("json: cannot unmarshal array into Go value of type map[string]interface {}")
    );
    assert_eq!(
        wrong("", "secrets", json!({"type": "kubernetes.io/dockercfg"})),
        ["data[.dockercfg]: Required value"]
    );
}

/// Kinds whose objects hold others.
fn with_boxes() -> Catalog {
    let inner = json!({"type": "object", "x-kubernetes-embedded-resource": true,
        "x-kubernetes-preserve-unknown-fields": true});
    let definition = json!({
        "metadata": {"name": "boxes.example.com"},
        "spec": {"group": "example.com", "scope": "Namespaced", "names": {"plural": "boxes", "kind": "Box"},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {
                "type": "object", "properties": {"spec": {"type": "object", "properties": {
                    "one": inner, "many": {"type": "array", "items": inner}}}}}}}]},
    });
    Catalog::builtin().with_definition(&definition).unwrap()
}

#[test]
fn objects_inside_custom_resources_have_a_type_and_metadata() {
    let catalog = with_boxes();
    let resource = catalog.find("example.com", "v1", "boxes").unwrap();
    let read = |spec: Value, validation: FieldValidation| {
        let value = json!({"apiVersion": "example.com/v1", "kind": "Box",
            "metadata": {"name": "x", "namespace": "default"}, "spec": spec});
        decode::object(resource, Body { value, duplicates: Vec::new() }, validation)
    };
    let wrong = |spec: Value| -> Vec<String> {
        let new = read(spec, FieldValidation::Strict).unwrap().object;
        object(resource, None, &new, None).iter().map(ToString::to_string).collect()
    };
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "q"}, "more": 1});
    assert_eq!(wrong(json!({"one": pod, "many": [pod]})), Vec::<String>::new());
    assert_eq!(
        wrong(
            json!({"one": {}, "many": [{"apiVersion": "a/b/c", "kind": "", "metadata": {"labels": {"a": "-"}}}]})
        ),
        [
            "spec.one.apiVersion: Required value",
            "spec.one.kind: Required value",
            "spec.many[0].kind: Required value",
            "spec.many[0].apiVersion: Invalid value: \"a/b/c\": unexpected GroupVersion string: a/b/c",
            "spec.many[0].metadata.labels: Invalid value: \"-\": a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')",
        ]
    );
    let odd = json!({"many": [{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "q", "bad": 1}, "more": 1}]});
    let refused = read(odd.clone(), FieldValidation::Strict).unwrap_err().to_string();
    assert!(refused.contains("unknown field \"spec.many[0].metadata.bad\""), "{refused}");
    let kept = read(odd, FieldValidation::Warn).unwrap().object;
    assert_eq!(kept["spec"]["many"][0]["metadata"], json!({"name": "q"}));
    assert_eq!(kept["spec"]["many"][0]["more"], 1);
}
