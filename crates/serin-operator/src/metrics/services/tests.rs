use serde_json::json;

use super::*;

const NOW: Time = Time(1_800_000_000_000);

/// The question of a kind of service, asked with these keys.
fn asked(kind: MetricProviderType, query: &str, keys: &[(&str, &str)]) -> Result<Asked, String> {
    use base64::Engine as _;
    let encoded = |text: &str| base64::engine::general_purpose::STANDARD.encode(text);
    let data: serde_json::Map<String, Value> =
        keys.iter().map(|(key, text)| ((*key).to_owned(), json!(encoded(text)))).collect();
    let secret = json!({"data": data});
    let provider = MetricProvider {
        provider_type: kind,
        address: "http://metrics:80/".to_owned(),
        ..MetricProvider::default()
    };
    let secret = (!keys.is_empty()).then_some(&secret);
    Source { provider: &provider, secret, window: Span::seconds(60), now: NOW }.question(query)
}

fn check(
    kind: MetricProviderType,
    query: &str,
    keys: &[(&str, &str)],
    expect: (&str, &[(&str, &str)], &str),
    answers: &[(&str, Option<f64>)],
) {
    let asked = asked(kind, query, keys).unwrap();
    let (url, headers, body) = expect;
    assert_eq!(asked.call.url, url);
    for (name, value) in headers {
        let header = ((*name).to_owned(), (*value).to_owned());
        assert!(asked.call.headers.contains(&header), "{name}: {:?}", asked.call.headers);
    }
    assert_eq!(asked.call.body, body);
    for (answer, value) in answers {
        assert_eq!((asked.read)(answer.as_bytes()), Ok(*value), "{answer}");
    }
}

#[test]
fn datadog_tells_the_oldest_point_of_its_first_series() {
    check(
        MetricProviderType::Datadog,
        "avg:latency{app:podinfo}",
        &[("datadog_api_key", "a"), ("datadog_application_key", "b\n")],
        (
            "http://metrics:80/api/v1/query?query=avg%3Alatency%7Bapp%3Apodinfo%7D&from=1799999400&to=1800000000",
            &[("dd-api-key", "a"), ("dd-application-key", "b")],
            "",
        ),
        &[
            (
                r#"{"series": [{"pointlist": [[1.0, 1.5], [2.0, 9.0]]}, {"pointlist": [[1.0, 7.0]]}]}"#,
                Some(1.5),
            ),
            (r#"{"series": [{"pointlist": []}]}"#, None),
            (r#"{"series": []}"#, None),
        ],
    );
}

#[test]
fn new_relic_tells_the_one_result_of_the_window() {
    check(
        MetricProviderType::Newrelic,
        "SELECT count(*) FROM X ",
        &[("newrelic_account_id", "51312"), ("newrelic_query_key", "k")],
        (
            "http://metrics:80/v1/accounts/51312/query?nrql=SELECT%20count%28%2A%29%20FROM%20X%20SINCE%2060%20seconds%20ago",
            &[("x-query-key", "k")],
            "",
        ),
        &[
            (r#"{"results": [{"result": 1.5}]}"#, Some(1.5)),
            (r#"{"results": [{}]}"#, None),
            (r#"{"results": [{"result": 1}, {"result": 2}]}"#, None),
        ],
    );
}

#[test]
fn graphite_tells_the_last_point_that_has_a_value() {
    check(
        MetricProviderType::Graphite,
        "target=sum(a.b)&\n  from=-5min&format=raw",
        &[("username", "me"), ("password", "secret")],
        (
            "http://metrics:80/render?target=sum%28a.b%29&from=-5min&format=json",
            &[("authorization", "Basic bWU6c2VjcmV0")],
            "",
        ),
        &[
            (r#"[{"target": "a", "datapoints": [[1, 10], [2.5, 20], [null, 30]]}]"#, Some(2.5)),
            (r#"[{"target": "a", "datapoints": [["4", "10"]]}]"#, Some(4.0)),
            (r#"[{"target": "a", "datapoints": [[null, 10]]}]"#, None),
            ("[]", None),
        ],
    );
}

#[test]
fn dynatrace_tells_the_value_of_the_whole_window() {
    check(
        MetricProviderType::Dynatrace,
        "service:errors",
        &[("dynatrace_token", "t")],
        (
            "http://metrics:80/api/v2/metrics/query?metricSelector=service%3Aerrors&resolution=Inf&from=1799999400000&to=1800000000000",
            &[("authorization", "Api-Token t")],
            "",
        ),
        &[
            (r#"{"result": [{"data": [{"values": [1.0]}, {"values": [2.0, 3.0]}]}]}"#, Some(2.0)),
            (r#"{"result": [{"data": []}]}"#, None),
            (r#"{"result": []}"#, None),
        ],
    );
}

#[test]
fn influx_tells_the_first_record() {
    let table = ",result,table,_start,_value,host\r\n,,0,2026-11-21T00:00:00Z,21.5,\"a,\"\"b\"\"\"\r\n,,0,2026-11-21T00:00:00Z,3,c\r\n";
    let annotated =
        "#datatype,string,long,double,string\n,result,table,host,_value\n,_result,0,\"a,b\",7\n";
    check(
        MetricProviderType::Influxdb,
        "from(bucket: \"b\")\n  |> range(start: -1m)",
        &[("token", "t"), ("org", "a team")],
        (
            "http://metrics:80/api/v2/query?org=a%20team",
            &[("authorization", "Token t"), ("content-type", "application/vnd.flux")],
            "from(bucket: \"b\")\n  |> range(start: -1m)",
        ),
        &[(table, Some(21.5)), (annotated, Some(7.0)), ("\r\n", None), (",result,_value\n", None)],
    );
}

#[test]
fn splunk_tells_the_newest_value_of_one_series() {
    let data = |series: &str, value: &str| {
        format!(
            "event: data\ndata: {{\"data\": [{{\"tsId\": \"{series}\",\ndata: \"value\": {value}}}]}}\n\n"
        )
    };
    let stream = format!("event: metadata\ndata: {{}}\n\n{}{}", data("A", "1"), data("A", "2.5"));
    check(
        MetricProviderType::Splunk,
        "data('errors').publish()",
        &[("sf_token_key", "t")],
        (
            "http://metrics:80/v2/signalflow/execute?start=1799999400000&stop=1800000000000&immediate=true",
            &[("x-sf-token", "t")],
            "data('errors').publish()",
        ),
        &[(&stream, Some(2.5)), (&data("A", "null"), None), ("", None)],
    );
    let two = format!("{}{}", data("A", "1"), data("B", "2"));
    let why = newest_value(&two).unwrap_err();
    assert_eq!(why, "the program gives several series; it must give one");
    let failed = newest_value("event: error\r\ndata: {\"message\": \"no such metric\"}\r\n\r\n");
    assert_eq!(failed.unwrap_err(), "the program fails: no such metric");
}

#[test]
fn what_is_missing_or_not_asked_is_told() {
    let why = asked(MetricProviderType::Datadog, "q", &[("datadog_api_key", "a")]).unwrap_err();
    assert_eq!(
        why,
        "datadog is asked with datadog_application_key, which the Secret does not hold"
    );
    let why = asked(MetricProviderType::Cloudwatch, "[]", &[]).unwrap_err();
    assert_eq!(why, "cloudwatch is asked in a region: set spec.provider.region");
}
