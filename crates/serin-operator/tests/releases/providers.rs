//! Metrics that are asked of real servers: each kind of service, and what goes wrong on the way.

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use base64::Engine as _;
use serde_json::{Value, json};

use crate::receiver::Receiver;
use crate::walkthroughs::vector;
use crate::world::{World, canary, deployment};

/// A kind of service, and how it is spoken to.
struct Service {
    kind: &'static str,
    query: &'static str,
    keys: Value,
    /// The beginning of the path at which it is asked whether it is there.
    probed: &'static str,
    /// The same of the question.
    asked: &'static str,
    /// What both have among their headers.
    header: &'static str,
    /// An answer with a value.
    answer: fn(f64) -> String,
}

/// A key of a service account.
fn account() -> String {
    let pair = KeyPair::generate(KeySize::Rsa2048).unwrap();
    let der: Pkcs8V1Der<'_> = pair.as_der().unwrap();
    let key = base64::engine::general_purpose::STANDARD.encode(der.as_ref());
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{key}\n-----END PRIVATE KEY-----\n");
    json!({"client_email": "a@b", "private_key_id": "1", "private_key": pem}).to_string()
}

#[expect(clippy::too_many_lines, reason = "a table")]
fn services() -> Vec<Service> {
    vec![
        Service {
            kind: "prometheus",
            query: "sum(rate(errors{ns=\"{{ namespace }}\"}[{{ interval }}]))",
            keys: json!({"token": "t0ken"}),
            probed: "/api/v1/query?query=vector%281%29",
            asked: "/api/v1/query?query=sum%28rate%28errors%7Bns%3D%22test%22%7D%5B1m%5D%29%29",
            header: "authorization: bearer t0ken",
            answer: vector,
        },
        Service {
            kind: "datadog",
            query: "avg:errors{app:{{ target }}}",
            keys: json!({"datadog_api_key": "k", "datadog_application_key": "a"}),
            probed: "/api/v1/validate",
            asked: "/api/v1/query?query=avg%3Aerrors%7Bapp%3Apodinfo%7D&from=",
            header: "dd-api-key: k",
            answer: |it| json!({"series": [{"pointlist": [[1, it], [2, 0]]}]}).to_string(),
        },
        Service {
            kind: "newrelic",
            query: "SELECT count(*) FROM X",
            keys: json!({"newrelic_account_id": "7", "newrelic_query_key": "k"}),
            probed: "/v1/accounts/7/query?nrql=SELECT%20%2A%20FROM%20Metric",
            asked: "/v1/accounts/7/query?nrql=SELECT%20count%28%2A%29%20FROM%20X",
            header: "x-query-key: k",
            answer: |it| json!({"results": [{"result": it}]}).to_string(),
        },
        Service {
            kind: "graphite",
            query: "target=errors({{target}})",
            keys: json!({"username": "me", "password": "secret"}),
            probed: "/render?target=test",
            asked: "/render?target=errors%28podinfo%29&format=json",
            header: "authorization: basic bwu6c2vjcmv0",
            answer: |it| json!([{"target": "a", "datapoints": [[it, 1]]}]).to_string(),
        },
        Service {
            kind: "dynatrace",
            query: "service:errors",
            keys: json!({"dynatrace_token": "t"}),
            probed: "/api/v2/metrics?pageSize=1",
            asked: "/api/v2/metrics/query?metricSelector=service%3Aerrors",
            header: "authorization: api-token t",
            answer: |it| json!({"result": [{"data": [{"values": [it]}]}]}).to_string(),
        },
        Service {
            kind: "influxdb",
            query: "from(bucket: \"b\")",
            keys: json!({"token": "t", "org": "o"}),
            probed: "/ready",
            asked: "/api/v2/query?org=o",
            header: "",
            answer: |it| format!(",result,table,_value\r\n,,0,{it}\r\n"),
        },
        Service {
            kind: "splunk",
            query: "data('errors').publish()",
            keys: json!({"sf_token_key": "t"}),
            probed: "/v2/metric?limit=1",
            asked: "/v2/signalflow/execute",
            header: "x-sf-token: t",
            answer: |it| {
                format!(
                    "event: data\ndata: {{\"data\": [{{\"tsId\": \"A\", \"value\": {it}}}]}}\n\n"
                )
            },
        },
        Service {
            kind: "cloudwatch",
            query: "[{\"Id\": \"e1\", \"Expression\": \"m1 / m2\", \"Label\": \"{{ name }}\"}]",
            keys: json!({"aws_access_key_id": "AKID", "aws_secret_access_key": "s"}),
            probed: "/",
            asked: "/",
            header: "authorization: aws4-hmac-sha256 credential=akid/",
            answer: |it| {
                json!({"MetricDataResults": [{"Id": "e1", "Values": [it, 0.0]}]}).to_string()
            },
        },
        Service {
            kind: "stackdriver",
            query: "fetch k8s_container",
            keys: json!({"project": "p", "serviceAccountKey": account()}),
            probed: "/v3/projects/p/timeSeries:query",
            asked: "/v3/projects/p/timeSeries:query",
            header: "authorization: bearer ey",
            answer: |it| {
                json!({"timeSeriesData": [{"pointData": [{"values": [{"doubleValue": it}]}]}]})
                    .to_string()
            },
        },
        Service {
            kind: "externalmetrics",
            query: "{{ namespace }}/errors?labelSelector=app%3D{{ target }}",
            keys: json!({"token": "t"}),
            probed: "/apis/external.metrics.k8s.io/v1beta1",
            asked: "/apis/external.metrics.k8s.io/v1beta1/namespaces/test/errors?labelSelector=app%3Dpodinfo",
            header: "authorization: bearer t",
            answer: |it| {
                json!({"items": [{"metricName": "errors", "value": format!("{}m", it * 1000.0)}]})
                    .to_string()
            },
        },
    ]
}

/// A release that is decided by a metric of a template.
async fn released(kind: &str, query: &str, keys: Value, receiver: Receiver) -> World {
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "keys"}, "stringData": keys});
    let provider = json!({
        "type": kind, "address": receiver.address, "region": "eu-west-1", "secretRef": {"name": "keys"},
        "headers": {"x-tenant": ["a"]},
    });
    let template = json!({
        "apiVersion": "flagger.app/v1beta1", "kind": "MetricTemplate", "metadata": {"name": "errors"},
        "spec": {"provider": provider, "query": query},
    });
    let metric = json!({"name": "errors", "templateRef": {"name": "errors"}, "thresholdRange": {"max": 5}, "interval": "1m"});
    let analysis = json!({"interval": "1m", "threshold": 5, "stepWeight": 10, "metrics": [metric]});
    let canary = canary("flagger.app/v1beta1", json!({"analysis": analysis}));
    World::new(vec![secret, template, deployment("podinfo"), canary], receiver).await
}

#[tokio::test]
async fn every_kind_of_service_is_asked_as_it_wants_to_be_and_decides() {
    for service in services() {
        let kind = service.kind;
        let receiver = Receiver::start().await;
        receiver.answer(service.asked, 200, &(service.answer)(4.5));
        if service.probed != service.asked {
            receiver.answer(service.probed, 200, "[]");
        }
        let mut world = released(kind, service.query, service.keys, receiver).await;
        world.initialise().await;
        let received = world.receiver.take();
        assert_eq!(received.len(), 1, "{kind}: {received:#?}");
        assert!(received[0].path.starts_with(service.probed), "{kind}: {received:#?}");
        let events = world.events().await;
        let expect = "all the metrics providers are available!";
        assert!(events.iter().any(|it| it == expect), "{kind}: {events:?}");

        world.set_image("podinfo:2").await;
        for _ in 0..3 {
            world.tick().await;
        }
        let received = world.receiver.take();
        assert_eq!(world.shown().await, "Progressing 20", "{kind}: {received:#?}");
        let asked = received.iter().find(|it| it.path.starts_with(service.asked)).unwrap();
        let headers = asked.headers.to_lowercase();
        assert!(headers.contains(service.header), "{kind}: {headers}");
        assert!(headers.contains("x-tenant: a"), "{kind}: {headers}");

        world.events().await;
        world.receiver.answer(service.asked, 200, &(service.answer)(7.25));
        world.tick().await;
        assert_eq!(
            world.events().await,
            ["Halt podinfo.test advancement errors 7.25 > 5"],
            "{kind}: {:#?}",
            world.receiver.take()
        );
    }
}

#[tokio::test]
async fn what_goes_wrong_on_the_way_is_a_failed_check_that_says_what() {
    let receiver = Receiver::start().await;
    receiver.answer("/api", 200, &vector(1.0));
    let mut world = released("prometheus", "up", json!({"token": "t"}), receiver).await;
    world.edit(json!({"spec": {"analysis": {"threshold": 50}}})).await;
    world.initialise().await;
    world.set_image("podinfo:2").await;
    for _ in 0..4 {
        world.tick().await;
    }
    let huge = "x".repeat(5 << 20);
    for (status, answer, expect) in [
        (429, "slow down", "status 429: slow down"),
        (500, "{\"error\": \"no memory\"}", "status 500: no memory"),
        (401, "", "status 401"),
        (200, "<html>", "the answer is not Prometheus'"),
        (
            200,
            "{\"data\": {\"resultType\": \"matrix\", \"result\": []}}",
            "the query gives a \"matrix\"; it must give one value, as an instant vector or a scalar",
        ),
        (200, huge.as_str(), "the answer is larger than 4 MiB"),
        (302, "/api/v1/query", "more than 10 redirects"),
        (302, "ftp://elsewhere/", "redirected to \"ftp://elsewhere/\", which is no address"),
        (0, "", "no answer within 5000 ms"),
    ] {
        world.events().await;
        world.receiver.answer("/api", status, answer);
        world.tick().await;
        let expect = format!("Metric query failed for errors: {expect}");
        assert_eq!(world.events().await, [expect]);
    }
    // One that has moved is asked where it is now, without what it was not meant to know.
    let elsewhere = Receiver::start().await;
    elsewhere.answer("/moved", 200, &vector(1.0));
    world.receiver.answer("/api", 307, &format!("{}/moved", elsewhere.address));
    let before = world.weights().await.0;
    world.tick().await;
    assert!(world.weights().await.0 > before, "{:?}", world.events().await);
    let received = elsewhere.take();
    assert!(!received[0].headers.to_lowercase().contains("authorization"), "{received:?}");
}

#[tokio::test]
async fn who_cannot_be_asked_is_told_before_the_first_release() {
    let told = async |kind: &str, keys: Value, status: u16| {
        let receiver = Receiver::start().await;
        receiver.answer("/", status, "who are you");
        let mut world = released(kind, "up", keys, receiver).await;
        world.initialise().await;
        let events = world.events().await;
        events.into_iter().find(|it| it.starts_with("Error checking metric providers")).unwrap()
    };
    assert_eq!(
        told("prometheus", json!({}), 403).await,
        "Error checking metric providers: prometheus of MetricTemplate errors: status 403: who are you"
    );
    assert_eq!(
        told("dynatrace", json!({"token": "x"}), 200).await,
        "Error checking metric providers: dynatrace of MetricTemplate errors: dynatrace is asked with dynatrace_token, which the \
         Secret does not hold"
    );
    let mut world = World::flagger(json!({
        "interval": "1m", "threshold": 1, "stepWeight": 50,
        "metrics": [{"name": "errors", "templateRef": {"name": "none"}}],
    }))
    .await;
    let events = world.events().await;
    let expect = "Error checking metric providers: MetricTemplate test/none is not there";
    assert!(events.iter().any(|it| it == expect), "{events:?}");
}

#[tokio::test]
async fn keptn_is_asked_through_the_cluster() {
    let receiver = Receiver::start().await;
    let mut world =
        released("keptn", "keptnmetric/{{ namespace }}/errors", json!({}), receiver).await;
    for (kind, plural) in [("KeptnMetric", "keptnmetrics"), ("Analysis", "analyses")] {
        world.create_in("", definition(kind, plural)).await;
    }
    world.initialise().await;
    let api = "metrics.keptn.sh/v1beta1";
    world.create(json!({"apiVersion": api, "kind": "KeptnMetric", "metadata": {"name": "errors"}, "status": {"value": "1.5"}})).await;
    world.set_image("podinfo:2").await;
    for _ in 0..3 {
        world.tick().await;
    }
    assert_eq!(world.shown().await, "Progressing 20");
    world.merge(api, "KeptnMetric", "errors", json!({"status": {"value": "9"}})).await;
    world.events().await;
    world.tick().await;
    assert_eq!(world.events().await, ["Halt podinfo.test advancement errors 9.00 > 5"]);
}

/// A kind whose objects may hold anything.
fn definition(kind: &str, plural: &str) -> Value {
    let schema = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{plural}.metrics.keptn.sh")},
        "spec": {
            "group": "metrics.keptn.sh", "scope": "Namespaced",
            "names": {"kind": kind, "listKind": format!("{kind}List"), "plural": plural, "singular": kind.to_lowercase()},
            "versions": [{"name": "v1beta1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema}}],
        },
    })
}
