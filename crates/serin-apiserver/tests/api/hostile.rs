//! Input that nobody sends in good faith: it is refused as the client's mistake, and the server goes on.

use std::sync::LazyLock;

use http::Method;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use serde_json::{Value, json};
use serin_apiserver::Settings;
use tokio::runtime::Runtime;

use super::support::{Client, read, start};

/// One server for all cases: what one of them broke would show in the next.
static SERVER: LazyLock<(Runtime, Client)> = LazyLock::new(|| {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder.worker_threads(1).enable_all().build().unwrap();
    let client = runtime.block_on(async {
        let client = start(Settings::default()).await;
        client.pod("web", &["web"]).await;
        let map = json!({"metadata": {"name": "m", "labels": {"a": "b"}}, "data": {"k": "v"}});
        assert_eq!(client.post(MAPS, map).await.code, 201);
        client
    });
    (runtime, client)
});

const MAPS: &str = "/api/v1/namespaces/default/configmaps";
const MAP: &str = "/api/v1/namespaces/default/configmaps/m";
const PODS: &str = "/api/v1/namespaces/default/pods";

/// Sends a request; whatever is wrong with it is not the server's fault.
fn endured(method: Method, path: &str, kind: &str, body: &[u8]) -> Result<u16, TestCaseError> {
    let (runtime, client) = &*SERVER;
    let body = body.to_vec();
    let answer = runtime.block_on(async {
        read(client.bytes(method, path, &[("content-type", kind)], body).await).await
    });
    // A real server, too, takes bad directives of a strategic merge for its own mistake, and a state that is not there yet for
    // one that did not come in time.
    let known = [
        "unknown patch type found",
        "does not contain declared merge key",
        "Too large resource version",
    ];
    let is_known = known.iter().any(|text| answer.message().contains(text));
    prop_assert!(answer.code < 500 || is_known, "{} {}: {:?}", path, kind, answer);
    Ok(answer.code)
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

/// Almost any JSON.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[a-zA-Z0-9$/{}=.~-]{0,12}".prop_map(Value::from),
    ];
    let name = prop_oneof![
        prop::sample::select(vec![
            "metadata",
            "name",
            "labels",
            "spec",
            "data",
            "containers",
            "status",
            "$patch",
            "$setElementOrder/containers",
            "$retainKeys",
            "kind",
            "apiVersion",
            "finalizers",
            "managedFields",
            "ownerReferences",
            "op",
            "path",
            "value",
        ])
        .prop_map(str::to_owned),
        "[a-z/~0-9]{0,6}",
    ];
    leaf.prop_recursive(4, 40, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(name.clone(), inner, 0..5)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// Pieces of the languages that the server reads, in any order.
fn words() -> impl Strategy<Value = String> {
    let word = prop::sample::select(vec![
        "self",
        "oldSelf",
        ".spec",
        ".size",
        "[0]",
        "(",
        ")",
        "==",
        "!=",
        " in ",
        "notin",
        ",",
        "!",
        "=",
        "'x'",
        "1",
        "-",
        "&&",
        "||",
        ".all(",
        "x,",
        "has(",
        "size(",
        ".matches('",
        "'",
        "\"",
        "{",
        "}",
        "a",
        "b",
        "=b",
        "\\",
        "\u{0}",
        "é",
        " ",
        "?",
        ":",
    ]);
    prop::collection::vec(word, 0..16).prop_map(|words| words.concat())
}

const FORMS: &[&str] = &[
    "application/json",
    "application/yaml",
    "application/vnd.kubernetes.protobuf",
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn bodies_of_any_bytes_are_refused(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        form in prop::sample::select(FORMS.to_vec()),
        magic in any::<bool>(),
    ) {
        let bytes = if magic { [b"k8s\0".to_vec(), bytes].concat() } else { bytes };
        endured(Method::POST, MAPS, form, &bytes)?;
        endured(Method::PUT, MAP, form, &bytes)?;
        endured(Method::PATCH, &format!("{PODS}/web?fieldManager=f"), form, &bytes)?;
        endured(Method::DELETE, &format!("{MAPS}/nothing"), form, &bytes)?;
    }

    #[test]
    fn bodies_of_any_json_are_objects_or_mistakes(
        value in any_json(),
        form in prop::sample::select(FORMS.to_vec()),
    ) {
        let bytes = value.to_string().into_bytes();
        for path in [PODS, MAPS, "/api/v1/namespaces/default/services", "/apis/apps/v1/namespaces/default/deployments"] {
            endured(Method::POST, &format!("{path}?dryRun=All"), form, &bytes)?;
        }
        for path in [&format!("{PODS}/web"), MAP] {
            endured(Method::PATCH, &format!("{path}?dryRun=All&fieldManager=f"), form, &bytes)?;
            endured(Method::PUT, &format!("{path}?dryRun=All"), form, &bytes)?;
        }
    }

    #[test]
    fn patches_of_pods_are_carried_out_or_refused(spec in any_json(), op in "add|remove|replace|move|copy|test|fly", path in "(/[a-z~0-9]{0,8}){0,4}") {
        let merge = json!({"spec": spec}).to_string().into_bytes();
        let pod = format!("{PODS}/web?dryRun=All");
        for form in &FORMS[4..6] {
            endured(Method::PATCH, &pod, form, &merge)?;
        }
        let steps = json!([{"op": op, "path": path, "from": path, "value": spec}]).to_string();
        endured(Method::PATCH, &pod, FORMS[3], steps.as_bytes())?;
    }

    #[test]
    fn selectors_and_tokens_are_read_or_refused(text in words(), token in "[A-Za-z0-9_-]{0,40}", number in any::<i64>()) {
        let text = encoded(&text);
        for query in [
            format!("labelSelector={text}"),
            format!("fieldSelector={text}"),
            format!("continue={text}"),
            format!("continue={token}&limit=1"),
            format!("limit={number}&resourceVersion={number}&resourceVersionMatch=Exact"),
            format!("dryRun={text}&fieldValidation={text}"),
            text,
        ] {
            endured(Method::GET, &format!("{MAPS}?{query}"), "", b"")?;
        }
    }

    #[test]
    fn rules_in_cel_are_compiled_or_refused(rule in words(), size in any::<i64>()) {
        let definition = json!({
            "metadata": {"name": "fuzzed.example.com"},
            "spec": {
                "group": "example.com", "scope": "Namespaced", "names": {"plural": "fuzzed", "kind": "Fuzzed"},
                "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {
                    "type": "object",
                    "properties": {"spec": {
                        "type": "object",
                        "properties": {"size": {"type": "integer"}},
                        "x-kubernetes-validations": [{"rule": rule}],
                    }},
                }}}],
            },
        });
        let definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
        let code = endured(Method::POST, definitions, "application/json", definition.to_string().as_bytes())?;
        if code == 201 {
            let object = json!({"apiVersion": "example.com/v1", "kind": "Fuzzed", "metadata": {"name": "f"}, "spec": {"size": size}});
            let path = "/apis/example.com/v1/namespaces/default/fuzzed";
            endured(Method::POST, path, "application/json", object.to_string().as_bytes())?;
            endured(Method::DELETE, path, "", b"")?;
            endured(Method::DELETE, &format!("{definitions}/fuzzed.example.com"), "", b"")?;
        }
    }
}
