//! Reading requests, and how answers look.

use std::time::Duration;

use clap::Parser;
use serin_routing::explain::{
    ClusterReport, DelayReport, Explanation, FaultReport, HeaderReport, MirrorReport, Problem,
    Rejection, ResponseReport, RetryReport, RewriteReport, RuleReport,
};
use serin_routing::retry::Condition;
use serin_routing::simulate::{Call, Values};
use serin_translate::{Proxy, ProxyKind};

use super::answer::Answer;
use super::request::{self, ProxyType, Question};
use super::text;
use crate::cli::{Cli, Command};
use crate::terminal::Palette;

/// Reads a command line as the binary does.
fn ask(line: &[&str]) -> Result<(Vec<String>, Question), String> {
    let cli = Cli::try_parse_from(["serin", "explain"].iter().chain(line))
        .map_err(|error| error.to_string())?;
    let Command::Explain(args) = cli.command else { return Err("another command".into()) };
    let (files, request) = request::untangle(&args);
    let question = request::from_args(&args, &request).map_err(|error| format!("{error:#}"))?;
    Ok((files.iter().map(|file| file.display().to_string()).collect(), question))
}

fn authority(call: &Call) -> &str {
    call.authority.as_deref().unwrap_or_default()
}

fn path(call: &Call) -> &str {
    call.path.as_deref().unwrap_or_default()
}

fn call(line: &[&str]) -> Call {
    ask(line).unwrap().1.calls.remove(0)
}

#[test]
fn a_url_gives_authority_port_path_and_server_name() {
    let check = |url: &str, expect: (&str, u16, &str, Option<&str>)| {
        let call = call(&[url]);
        assert_eq!(
            (authority(&call), call.port, path(&call), call.sni.as_deref()),
            expect,
            "{url}"
        );
    };
    check("http://reviews:9080/reviews/1?a=b", ("reviews:9080", 9080, "/reviews/1?a=b", None));
    check("http://reviews", ("reviews", 80, "/", None));
    check("http://reviews?a", ("reviews", 80, "/?a", None));
    check("reviews:9080/x", ("reviews:9080", 9080, "/x", None));
    check("https://shop.example/", ("shop.example", 443, "/", Some("shop.example")));
    check("https://10.0.0.1/", ("10.0.0.1", 443, "/", None));
    check("http://[::1]:8080/x#frag", ("[::1]:8080", 8080, "/x", None));
}

#[test]
fn an_address_in_the_url_is_where_the_client_connects_to() {
    assert_eq!(call(&["http://192.168.1.106:86/"]).address, Some("192.168.1.106".parse().unwrap()));
    assert_eq!(call(&["http://[::1]:8080/"]).address, Some("::1".parse().unwrap()));
    assert_eq!(call(&["http://reviews:9080/"]).address, None);
}

#[test]
fn a_url_that_cannot_be_asked_about_is_refused_with_the_reason() {
    let check = |url: &str, expect: &str| {
        let error = ask(&[url]).unwrap_err();
        assert!(error.contains(expect), "{url}: {error}");
    };
    check("ftp://a/", "the scheme is http or https, not ftp");
    check("http:///x", "the host is missing");
    check("http://a:0/", "1 to 65535");
    check("http://a:b/", "1 to 65535");
    check("http://me@a/", "a user name");
}

#[test]
fn files_and_request_may_stand_in_any_order() {
    let check = |line: &[&str]| {
        let (files, question) = ask(line).unwrap();
        assert_eq!(files, ["a", "b"], "{line:?}");
        let call = &question.calls[0];
        assert_eq!((call.method.as_deref(), authority(call)), (Some("POST"), "c"), "{line:?}");
    };
    check(&["POST", "http://c/", "-f", "a", "b"]);
    check(&["-f", "a", "-f", "b", "POST", "http://c/"]);
    check(&["-f", "a", "b", "POST", "http://c/"]);
    check(&["-f", "a", "b", "--", "POST", "http://c/"]);
    check(&["-f", "a", "-f", "b", "-H", "x: y", "POST", "http://c/"]);
}

#[test]
fn headers_and_labels_are_read_and_host_is_the_authority() {
    let (_, question) = ask(&[
        "http://a/",
        "-H",
        "End-User: jason",
        "-H",
        "end-user:anna",
        "-H",
        "Host: b",
        "--from",
        "app=web, version=v1",
    ])
    .unwrap();
    let headers = &question.calls[0].headers;
    assert_eq!(
        headers.get("end-user"),
        Some(&Values::Several(vec!["jason".into(), "anna".into()]))
    );
    assert_eq!(headers.len(), 1);
    assert_eq!(authority(&question.calls[0]), "b");
    assert_eq!(question.proxy.labels.len(), 2);
    assert_eq!(question.proxy.kind, ProxyType::Sidecar);
    assert_eq!(
        ask(&["http://a/", "--from-gateway", "istio=ig"]).unwrap().1.proxy.kind,
        ProxyType::Gateway
    );
    assert!(ask(&["http://a/", "-H", "x"]).unwrap_err().contains("'name: value'"));
    assert!(ask(&["http://a/", "--from", "app"]).unwrap_err().contains("key=value"));
    assert!(ask(&["get", "http://a/"]).unwrap_err().contains("no HTTP method"));
    assert!(ask(&["-f", "a"]).unwrap_err().contains("which request?"));
}

#[test]
fn a_file_of_calls_needs_only_what_differs_from_a_plain_get() {
    let text = r#"{
        "proxy": {"type": "gateway", "labels": {"istio": "ingressgateway"}},
        "calls": [
            {"port": 80, "authority": "a"},
            {"name": "two", "port": 443, "protocol": "http2", "tls": "mtls", "sni": "b", "direction": "gateway",
             "headers": {"x": ["1", "2"], "y": "3"}, "source": {"namespace": "n", "labels": {}}}
        ]
    }"#;
    let question: Question = serde_json::from_str(text).unwrap();
    assert_eq!(question.proxy.kind, ProxyType::Gateway);
    assert_eq!(question.proxy.proxy("shop").namespace, "shop");
    assert_eq!(question.calls[0].port, 80);
    assert_eq!(question.calls[1].headers.get("y"), Some(&Values::One("3".into())));
}

fn rule(name: &str, index: u32, match_index: Option<u32>, line: usize) -> RuleReport {
    RuleReport {
        kind: "VirtualService".into(),
        namespace: "default".into(),
        name: name.into(),
        index: Some(index),
        match_index,
        file: Some("routes.yaml".into()),
        line: Some(line),
        root: None,
    }
}

fn rejection(rule: RuleReport, condition: &str, expected: &str, actual: Option<&str>) -> Rejection {
    Rejection {
        rule,
        condition: condition.into(),
        expected: expected.into(),
        actual: actual.map(str::to_owned),
    }
}

fn cluster(name: &str, weight: u32) -> ClusterReport {
    ClusterReport {
        name: name.into(),
        weight,
        problem: None,
        request_headers: HeaderReport::default(),
        response_headers: HeaderReport::default(),
        authority: None,
    }
}

fn shown(call: &Call, answer: &Answer) -> String {
    let labels =
        [("app".to_owned(), "web".to_owned()), ("version".to_owned(), "v1".to_owned())].into();
    let proxy = Proxy::new(ProxyKind::Sidecar, "default", labels);
    let mut out = Vec::new();
    text::write(&proxy, call, answer, Palette { colors: false }, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

/// A forwarded request with everything that can happen to one.
fn forwarded() -> Explanation {
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let with_cookie = HeaderReport {
        add: vec![pair("set-cookie", "v=2; Max-Age=60")],
        ..HeaderReport::default()
    };
    Explanation {
        listener: Some("0.0.0.0_9080".into()),
        virtual_host: Some("reviews.default.svc.cluster.local:9080".into()),
        rejected: vec![
            rejection(
                rule("reviews", 0, Some(0), 8),
                "headers[end-user].exact",
                "jason",
                Some("anna"),
            ),
            rejection(rule("reviews", 0, Some(1), 11), "headers[cookie].regex", "user=jason", None),
        ],
        rule: Some(rule("reviews", 1, None, 20)),
        route: Some("default".into()),
        clusters: vec![
            cluster("outbound|9080|v1|reviews.default.svc.cluster.local", 90),
            ClusterReport {
                response_headers: with_cookie,
                problem: Some(Problem::NoHealthyEndpoint),
                ..cluster("outbound|9080|v2|reviews.default.svc.cluster.local", 10)
            },
        ],
        mirrors: vec![MirrorReport {
            name: "outbound|9080|v3|reviews.default.svc.cluster.local".into(),
            percentage: 50.0,
        }],
        request_headers: HeaderReport {
            remove: vec!["x-debug".into()],
            set: vec![pair("x-a", "b")],
            add: vec![],
        },
        rewrite: Some(RewriteReport { path: Some("/v2/1".into()), authority: None }),
        fault: Some(FaultReport {
            delay: Some(DelayReport { duration: Some(Duration::from_secs(5)), percentage: 0.1 }),
            abort: None,
        }),
        retry: Some(RetryReport {
            attempts: 2,
            retry_on: vec![Condition::ConnectFailure, Condition::RetriableStatusCodes],
            retriable_status_codes: vec![503],
            per_try_timeout: Some(Duration::from_millis(250)),
        }),
        timeout: Some(Duration::from_secs(10)),
        ..Explanation::default()
    }
}

#[test]
fn the_way_of_a_request_reads_from_top_to_bottom() {
    let answer = Answer { way: forwarded(), ..Answer::default() };
    let call = call(&["http://reviews:9080/1", "-H", "end-user: anna"]);
    insta::assert_snapshot!(shown(&call, &answer), @r#"
    GET http://reviews:9080/1
      end-user: anna
    from a workload app=web,version=v1 in namespace default

    listener      0.0.0.0_9080
    virtual host  reviews.default.svc.cluster.local:9080

    rules, in order
      1  VirtualService default/reviews, http[0].match[0]  routes.yaml:8
         no match: headers[end-user].exact wants "jason", the request has "anna"
      2  VirtualService default/reviews, http[0].match[1]  routes.yaml:11
         no match: headers[cookie].regex wants "user=jason", the request has none
      3  VirtualService default/reviews, http[1]  routes.yaml:20
         matches

    destinations
         90 %  reviews.default.svc.cluster.local:9080, subset v1
         10 %  reviews.default.svc.cluster.local:9080, subset v2
               response header set-cookie is added: v=2; Max-Age=60
               no ready pod of reviews.default.svc.cluster.local has the labels of subset v2

    on the way
      0.1 % of requests wait 5s (injected fault)
      the path becomes /v2/1
      request header x-debug is removed
      request header x-a is set to b
      50 % of requests are copied to reviews.default.svc.cluster.local:9080, subset v3
      2 retries on connect-failure, 503; 250ms for each try
      the answer must come within 10s
    "#);
}

#[test]
fn an_error_is_told_with_its_reason() {
    let way = Explanation {
        error: Some(Problem::NoRoute),
        response: Some(ResponseReport {
            status: 404,
            flag: Some("NR"),
            details: "route_not_found",
        }),
        listener: Some("0.0.0.0_80".into()),
        virtual_host: Some("*:80".into()),
        rejected: vec![rejection(rule("demo", 0, Some(0), 8), "uri.exact", "/greet", Some("/"))],
        ..Explanation::default()
    };
    let answer = Answer { reason: Some("no rule takes the request".into()), way, name: None };
    insta::assert_snapshot!(shown(&call(&["http://localhost/"]), &answer), @r#"
    GET http://localhost/
    from a workload app=web,version=v1 in namespace default

    listener      0.0.0.0_80
    virtual host  *:80

    rules, in order
      1  VirtualService default/demo, http[0].match[0]  routes.yaml:8
         no match: uri.exact wants "/greet", the request has "/"

    answer
      404 with response flag NR (route_not_found)
      no rule takes the request
    "#);
}

#[test]
fn scripts_get_the_way_and_the_reason_in_one_object() {
    let answer = Answer { name: Some("one".into()), way: forwarded(), ..Answer::default() };
    let value = serde_json::to_value(&answer).unwrap();
    assert_eq!(value["name"], "one");
    assert_eq!(value["rule"]["line"], 20);
    assert_eq!(value["clusters"][1]["weight"], 10);
    assert_eq!(value["rejected"][0]["actual"], "anna");
    assert_eq!(value["timeout"], "10s");
    assert!(value.get("error").is_none() && value["redirect"].is_null());
}
