//! Webhooks and policies of admission.

use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use serin_apiserver::{Network, Settings, User};

use super::support::{Client, start};

const CONFIGURATIONS: &str = "/apis/admissionregistration.k8s.io/v1";
const MAPS: &str = "/api/v1/namespaces/default/configmaps";

/// A webhook on a socket of its own, which remembers what it was asked.
struct Webhook {
    url: String,
    port: u16,
    authority: String,
    asked: Arc<Mutex<Vec<Value>>>,
}

impl Webhook {
    async fn start(answer: impl Fn(&Value) -> Value + Send + Sync + 'static) -> Self {
        let names = vec!["127.0.0.1".to_owned(), "hook.default.svc".to_owned()];
        let pair = rcgen::generate_simple_self_signed(names).unwrap();
        let authority = STANDARD.encode(pair.cert.pem());
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let key = rustls::pki_types::PrivatePkcs8KeyDer::from(pair.signing_key.serialize_der());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![pair.cert.der().clone()], key.into())
            .unwrap();
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
        let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = socket.local_addr().unwrap().port();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (answer, seen) = (Arc::new(answer), Arc::clone(&asked));
        tokio::spawn(async move {
            loop {
                let (stream, _) = socket.accept().await.unwrap();
                let (acceptor, answer, seen) =
                    (acceptor.clone(), Arc::clone(&answer), Arc::clone(&seen));
                tokio::spawn(async move {
                    let Ok(stream) = acceptor.accept(stream).await else { return };
                    let service = hyper::service::service_fn(
                        move |request: http::Request<hyper::body::Incoming>| {
                            let (answer, seen) = (Arc::clone(&answer), Arc::clone(&seen));
                            async move {
                                let bytes = request.into_body().collect().await.unwrap().to_bytes();
                                let review: Value = serde_json::from_slice(&bytes).unwrap();
                                let mut response = answer(&review["request"]);
                                if response["uid"].is_null() {
                                    response["uid"] = review["request"]["uid"].clone();
                                }
                                seen.lock().unwrap().push(review["request"].clone());
                                let body = json!({
                                    "kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "response": response,
                                });
                                let body = Full::new(Bytes::from(body.to_string()));
                                Ok::<_, std::convert::Infallible>(http::Response::new(body))
                            }
                        },
                    );
                    // The caller may go as soon as it has its answer.
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        Self { url: format!("https://127.0.0.1:{port}/review"), port, authority, asked }
    }

    fn asked(&self) -> Vec<Value> {
        self.asked.lock().unwrap().clone()
    }

    /// The part of a configuration that names it.
    fn client(&self) -> Value {
        json!({"url": self.url, "caBundle": self.authority})
    }
}

fn allow() -> Value {
    json!({"allowed": true})
}

fn patch(operations: Value) -> Value {
    let patch = STANDARD.encode(operations.to_string());
    json!({"allowed": true, "patchType": "JSONPatch", "patch": patch})
}

fn webhook(name: &str, client: Value, more: Value) -> Value {
    let mut out = json!({
        "name": name, "clientConfig": client, "admissionReviewVersions": ["v1"], "sideEffects": "None",
        "rules": [{"operations": ["*"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"]}],
    });
    for (field, value) in more.as_object().unwrap() {
        out[field] = value.clone();
    }
    out
}

async fn configure(client: &Client, mutating: bool, webhooks: Vec<Value>) {
    let kind = if mutating { "mutating" } else { "validating" };
    let path = format!("{CONFIGURATIONS}/{kind}webhookconfigurations");
    let made = client.post(&path, json!({"metadata": {"name": "c"}, "webhooks": webhooks})).await;
    assert_eq!(made.code, 201, "{made:?}");
}

fn map(name: &str) -> Value {
    json!({"metadata": {"name": name, "labels": {"a": "b"}}, "data": {"k": "v"}})
}

#[tokio::test]
async fn a_validating_webhook_is_told_and_decides() {
    let client = start(Settings::default()).await;
    let hook = Webhook::start(|request| match request["name"].as_str() {
        Some("bad") => json!({
            "allowed": false, "status": {"message": "no", "code": 418, "reason": "Teapot"},
        }),
        Some("silent") => json!({"allowed": false}),
        _ => json!({"allowed": true, "warnings": ["careful"]}),
    })
    .await;
    configure(&client, false, vec![webhook("a.example.com", hook.client(), json!({}))]).await;
    let ann = client.acting_as(User::new("ann", &["system:masters"]));
    let made = ann.post(MAPS, map("good")).await;
    assert_eq!((made.code, made.warnings), (201, vec!["299 - \"careful\"".to_owned()]));
    let bad = ann.post(MAPS, map("bad")).await;
    let text = "admission webhook \"a.example.com\" denied the request: no";
    assert_eq!((bad.code, bad.message(), &bad.body["reason"]), (418, text, &json!("Teapot")));
    let silent = ann.post(MAPS, map("silent")).await;
    let text = "admission webhook \"a.example.com\" denied the request without explanation";
    assert_eq!((silent.code, silent.message()), (400, text));
    ann.delete(&format!("{MAPS}/good?dryRun=All")).await;
    let asked = hook.asked();
    assert_eq!(asked.len(), 4);
    assert_eq!(asked[0]["operation"], "CREATE");
    assert_eq!(asked[0]["kind"], json!({"group": "", "version": "v1", "kind": "ConfigMap"}));
    assert_eq!(asked[0]["userInfo"]["username"], "ann");
    assert_eq!(asked[0]["object"]["data"]["k"], "v");
    assert_eq!(asked[0]["oldObject"], Value::Null);
    assert_eq!((&asked[3]["operation"], &asked[3]["dryRun"]), (&json!("DELETE"), &json!(true)));
    assert_eq!(asked[3]["oldObject"]["data"]["k"], "v");
}

#[tokio::test]
async fn mutating_webhooks_change_and_see_again_what_others_changed() {
    let client = start(Settings::default()).await;
    let first = Webhook::start(|request| {
        let seen = request["object"]["data"].as_object().map_or(0, |data| data.len());
        patch(json!([{"op": "add", "path": "/data/seen", "value": seen.to_string()}]))
    })
    .await;
    let second =
        Webhook::start(|_| patch(json!([{"op": "add", "path": "/data/second", "value": "x"}])))
            .await;
    let again = json!({"reinvocationPolicy": "IfNeeded"});
    let all = vec![
        webhook("a.example.com", first.client(), again),
        webhook("b.example.com", second.client(), json!({})),
    ];
    configure(&client, true, all).await;
    let made = client.post(MAPS, map("m")).await;
    assert_eq!(made.body["data"], json!({"k": "v", "second": "x", "seen": "3"}), "{made:?}");
    assert_eq!((first.asked().len(), second.asked().len()), (2, 1));
}

#[tokio::test]
async fn a_webhook_that_does_not_answer_stands_in_the_way_or_not() {
    let client = start(Settings::default()).await;
    let lost = json!({"url": "https://127.0.0.1:1/", "caBundle": Webhook::start(|_| allow()).await.authority});
    configure(&client, false, vec![webhook("a.example.com", lost.clone(), json!({}))]).await;
    let refused = client.post(MAPS, map("m")).await;
    assert_eq!(refused.code, 500);
    let begin = "Internal error occurred: failed calling webhook \"a.example.com\": failed to call webhook: Post \
                 \"https://127.0.0.1:1/?timeout=10s\": ";
    assert!(refused.message().starts_with(begin), "{}", refused.message());
    let path = format!("{CONFIGURATIONS}/validatingwebhookconfigurations/c");
    let ignored = webhook("a.example.com", lost, json!({"failurePolicy": "Ignore"}));
    assert_eq!(client.patch(&path, json!({"webhooks": [ignored]})).await.code, 200);
    assert_eq!(client.post(MAPS, map("m")).await.code, 201);
    // Another authority than the one of its certificate.
    let (hook, other) = (Webhook::start(|_| allow()).await, Webhook::start(|_| allow()).await);
    let wrong = json!({"url": hook.url, "caBundle": other.authority});
    client.patch(&path, json!({"webhooks": [webhook("a.example.com", wrong, json!({}))]})).await;
    let refused = client.post(MAPS, map("n")).await;
    assert!(refused.message().contains("tls:") && hook.asked().is_empty(), "{refused:?}");
    // One that answers for another request.
    let confused = Webhook::start(|_| json!({"allowed": true, "uid": "x"})).await;
    let configured = webhook("a.example.com", confused.client(), json!({}));
    client.patch(&path, json!({"webhooks": [configured]})).await;
    assert!(client.post(MAPS, map("n")).await.message().contains("expected response.uid="));
}

#[tokio::test]
async fn a_webhook_is_asked_about_what_it_selects() {
    let client = start(Settings::default()).await;
    let namespace =
        |name: &str, on: &str| json!({"metadata": {"name": name, "labels": {"hooks": on}}});
    for (name, on) in [("with", "on"), ("without", "off")] {
        client.post("/api/v1/namespaces", namespace(name, on)).await;
    }
    let hook = Webhook::start(|_| allow()).await;
    let more = json!({
        "namespaceSelector": {"matchLabels": {"hooks": "on"}},
        "objectSelector": {"matchLabels": {"a": "b"}},
        "matchConditions": [{"name": "c", "expression": "!has(object.data) || object.data.k != 'skip'"}],
    });
    configure(&client, false, vec![webhook("a.example.com", hook.client(), more)]).await;
    let maps = |namespace: &str| format!("/api/v1/namespaces/{namespace}/configmaps");
    let mut other = map("other");
    other["metadata"]["labels"] = json!({});
    let mut skipped = map("skipped");
    skipped["data"]["k"] = "skip".into();
    for (namespace, object) in
        [("with", map("one")), ("without", map("two")), ("with", other), ("with", skipped)]
    {
        assert_eq!(client.post(&maps(namespace), object).await.code, 201);
    }
    let names: Vec<Value> = hook.asked().iter().map(|it| it["name"].clone()).collect();
    assert_eq!(names, ["one"]);
}

#[tokio::test]
async fn a_webhook_for_one_version_sees_objects_of_others_in_it() {
    let client = start(Settings::default()).await;
    let hook = Webhook::start(|_| allow()).await;
    let rules = json!({"rules": [{
        "operations": ["CREATE"], "apiGroups": ["autoscaling"], "apiVersions": ["v1"], "resources": ["horizontalpodautoscalers"],
    }]});
    configure(&client, false, vec![webhook("a.example.com", hook.client(), rules)]).await;
    let scaler = json!({
        "metadata": {"name": "h"},
        "spec": {
            "maxReplicas": 3, "scaleTargetRef": {"kind": "Deployment", "name": "d", "apiVersion": "apps/v1"},
            "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}}],
        },
    });
    let path = "/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers";
    assert_eq!(client.post(path, scaler).await.code, 201);
    let asked = hook.asked();
    assert_eq!(asked[0]["kind"]["version"], "v1");
    assert_eq!(asked[0]["requestKind"]["version"], "v2");
    assert_eq!(asked[0]["object"]["spec"]["targetCPUUtilizationPercentage"], 50);
}

#[tokio::test]
async fn a_webhook_behind_a_service_is_found_through_its_endpoints() {
    let hook = Webhook::start(|_| allow()).await;
    let port = hook.port;
    let reached = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&reached);
    let network: Network = Arc::new(move |address| {
        seen.lock().unwrap().push(address.to_string());
        Box::pin(tokio::net::TcpStream::connect(("127.0.0.1", port)))
    });
    let client = start(Settings { network: Some(network), ..Settings::default() }).await;
    let service = json!({"service": {"namespace": "default", "name": "hook", "path": "/r"}, "caBundle": hook.authority});
    configure(&client, false, vec![webhook("a.example.com", service, json!({}))]).await;
    let early = client.post(MAPS, map("m")).await;
    assert_eq!(
        early.message(),
        "Internal error occurred: failed calling webhook \"a.example.com\": failed to call webhook: Post \
         \"https://hook.default.svc:443/r?timeout=10s\": service \"hook\" not found"
    );
    let spec = json!({"selector": {"app": "hook"}, "ports": [{"name": "https", "port": 443, "targetPort": 8443}]});
    client
        .post(
            "/api/v1/namespaces/default/services",
            json!({"metadata": {"name": "hook"}, "spec": spec}),
        )
        .await;
    assert!(
        client
            .post(MAPS, map("m"))
            .await
            .message()
            .ends_with("no endpoints available for service \"hook\"")
    );
    let slice = json!({
        "metadata": {"name": "hook-x", "labels": {"kubernetes.io/service-name": "hook"}},
        "addressType": "IPv4", "endpoints": [{"addresses": ["10.244.0.7"]}],
        "ports": [{"name": "https", "port": 8443}],
    });
    let slices = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices";
    assert_eq!(client.post(slices, slice).await.code, 201);
    assert_eq!(client.post(MAPS, map("m")).await.code, 201);
    assert_eq!(*reached.lock().unwrap(), ["10.244.0.7:8443"]);
}

/// A policy on ConfigMaps with its binding.
async fn policy(client: &Client, spec: Value, binding: Value) {
    let mut whole = json!({
        "matchConstraints": {"resourceRules": [{
            "operations": ["CREATE", "UPDATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"],
        }]},
    });
    for (field, value) in spec.as_object().unwrap() {
        whole[field] = value.clone();
    }
    let path = format!("{CONFIGURATIONS}/validatingadmissionpolicies");
    let made = client.post(&path, json!({"metadata": {"name": "p"}, "spec": whole})).await;
    assert_eq!(made.code, 201, "{made:?}");
    let mut whole = json!({"policyName": "p", "validationActions": ["Deny"]});
    for (field, value) in binding.as_object().unwrap() {
        whole[field] = value.clone();
    }
    let path = format!("{CONFIGURATIONS}/validatingadmissionpolicybindings");
    let made = client.post(&path, json!({"metadata": {"name": "b"}, "spec": whole})).await;
    assert_eq!(made.code, 201, "{made:?}");
}

#[tokio::test]
async fn a_policy_refuses_with_its_message_and_reason() {
    let client = start(Settings::default()).await;
    let spec = json!({
        "variables": [{"name": "size", "expression": "object.data.size()"}],
        "validations": [
            {"expression": "variables.size < 3"},
            {"expression": "!('secret' in object.data)", "message": "no secrets", "reason": "Forbidden"},
            {"expression": "oldObject == null || object.data == oldObject.data",
             "messageExpression": "'from ' + string(oldObject.data.size()) + ' to ' + string(object.data.size()) + ' by ' + request.userInfo.username"},
        ],
    });
    policy(&client, spec, json!({})).await;
    let check = async |name: &str, data: Value, expect: (u16, &str)| {
        let object = json!({"metadata": {"name": name}, "data": data});
        let found = client.post(MAPS, object).await;
        assert_eq!((found.code, found.message()), expect);
    };
    check("a", json!({"k": "v"}), (201, "")).await;
    check(
        "b",
        json!({"k": "1", "l": "2", "m": "3"}),
        (422, "configmaps \"b\" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: failed expression: variables.size < 3"),
    )
    .await;
    check(
        "c",
        json!({"secret": "1"}),
        (403, "configmaps \"c\" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no secrets"),
    )
    .await;
    let changed = client.patch(&format!("{MAPS}/a"), json!({"data": {"l": "w"}})).await;
    assert!(changed.message().ends_with("from 1 to 2 by kubernetes-admin"), "{changed:?}");
    // An expression that cannot be evaluated refuses, too.
    let none = client.post(MAPS, json!({"metadata": {"name": "d"}})).await;
    assert!(none.message().contains("resulted in error"), "{none:?}");
}

#[tokio::test]
async fn a_binding_warns_selects_and_brings_parameters() {
    let client = start(Settings::default()).await;
    let limits =
        json!({"metadata": {"name": "limits", "labels": {"x": "y"}}, "data": {"most": "1"}});
    assert_eq!(client.post("/api/v1/namespaces/kube-system/configmaps", limits).await.code, 201);
    let spec = json!({
        "paramKind": {"apiVersion": "v1", "kind": "ConfigMap"},
        "matchConditions": [{"name": "c", "expression": "request.namespace == 'default' && namespaceObject.metadata.name == 'default'"}],
        "validations": [{"expression": "object.data.size() <= int(params.data.most)"}],
    });
    let binding = json!({
        "paramRef": {"name": "limits", "namespace": "kube-system", "parameterNotFoundAction": "Deny"},
        "validationActions": ["Warn"],
        "matchResources": {"objectSelector": {"matchLabels": {"a": "b"}}},
    });
    policy(&client, spec, binding).await;
    let mut two = map("two");
    two["data"]["l"] = "2".into();
    let warned = client.post(MAPS, two.clone()).await;
    assert_eq!(warned.code, 201);
    assert_eq!(
        warned.warnings,
        [
            "299 - \"Validation failed for ValidatingAdmissionPolicy 'p' with binding 'b': failed expression: object.data.size() <= \
          int(params.data.most)\""
        ]
    );
    two["metadata"] = json!({"name": "free"});
    assert!(client.post(MAPS, two.clone()).await.warnings.is_empty(), "it has not the label");
    two["metadata"] = json!({"name": "there", "labels": {"a": "b"}});
    let elsewhere = client.post("/api/v1/namespaces/kube-public/configmaps", two).await;
    assert!(elsewhere.warnings.is_empty(), "its namespace is another");
    let path = format!("{CONFIGURATIONS}/validatingadmissionpolicybindings/b");
    let gone = json!({"spec": {"validationActions": ["Deny"], "paramRef": {"name": "gone"}}});
    assert_eq!(client.patch(&path, gone).await.code, 200);
    let refused = client.post(MAPS, map("last")).await;
    assert!(refused.message().contains("no params found for policy binding"), "{refused:?}");
}

#[tokio::test]
async fn the_audit_log_has_what_a_policy_says_of_a_write() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("audit.log");
    let client = start(Settings { audit_log: Some(log.clone()), ..Settings::default() }).await;
    let spec = json!({
        "validations": [{"expression": "object.data.size() < 1", "message": "too much"}],
        "auditAnnotations": [
            {"key": "size", "valueExpression": "'has ' + string(object.data.size())"},
            {"key": "none", "valueExpression": "null"},
        ],
    });
    policy(&client, spec, json!({"validationActions": ["Audit"]})).await;
    assert_eq!(client.post(MAPS, map("m")).await.code, 201);
    client.end().await;
    let text = std::fs::read_to_string(log).unwrap();
    let mut events = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let event = events.find(|it| it["objectRef"]["name"] == "m").unwrap();
    let annotations = event["annotations"].as_object().unwrap();
    let keys: Vec<&String> = annotations.keys().collect();
    let failures = "validation.policy.admission.k8s.io/validation_failure";
    assert_eq!(keys, ["authorization.k8s.io/decision", "p/size", failures]);
    assert_eq!(annotations["p/size"], "has 1");
    let failed: Value = serde_json::from_str(annotations[failures].as_str().unwrap()).unwrap();
    let expected = json!([{
        "message": "too much", "policy": "p", "binding": "b", "expressionIndex": 0, "validationActions": ["Audit"],
    }]);
    assert_eq!(failed, expected);
}
