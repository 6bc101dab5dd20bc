//! What a gateway tells of itself: metrics, logs, dumps, explanations, and what can be switched.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::support::{
    Client, Folder, GATEWAY, Gateway, all_to, backend, get, routes, serve, service,
};

/// `/ok` to `one`, `/none` to a service without endpoints, `/answer` by itself.
fn folder() -> Folder {
    let rules = routes(
        "  - match: [{uri: {prefix: /ok}}]\n    name: good\n    route: [{destination: {host: one.test}}]\n\
         \x20 - match: [{uri: {prefix: /none}}]\n    name: nobody\n    route: [{destination: {host: none.test}}]\n\
         \x20 - match: [{uri: {prefix: /answer}}]\n    name: own\n    directResponse: {status: 418}\n",
    );
    let none = service("none", ([127, 0, 0, 1], 1).into());
    let none =
        none.lines().filter(|line| !line.contains("endpoints:")).collect::<Vec<_>>().join("\n");
    let services = format!("{}{none}\n", service("one", backend("one")));
    Folder::with(&[
        ("gateway.yaml", GATEWAY),
        ("services.yaml", &services),
        ("routes.yaml", &rules),
    ])
}

/// The value of the only series of a metric that has all these labels.
#[track_caller]
fn value(text: &str, metric: &str, labels: &[&str]) -> u64 {
    let start = format!("{metric}{{");
    let found: Vec<&str> = text
        .lines()
        .filter(|line| line.starts_with(&start) && labels.iter().all(|label| line.contains(label)))
        .collect();
    assert_eq!(found.len(), 1, "{metric} {labels:?} in {text}");
    found[0].rsplit(' ').next().unwrap().parse().unwrap()
}

#[test]
fn every_request_is_counted_once_under_its_labels() {
    let folder = folder();
    let gateway = Gateway::start(&folder, &[]);
    for path in ["/ok/1", "/ok/2", "/ok/3", "/none", "/answer", "/nowhere", "/nowhere"] {
        get(gateway.address(), "a.example", path);
    }
    let text = gateway.ask_admin("/stats/prometheus").body;
    let requests = |labels: &[&str]| value(&text, "istio_requests_total", labels);
    assert_eq!(requests(&["response_code=\"200\""]), 3);
    assert_eq!(requests(&["response_code=\"503\"", "response_flags=\"UH\""]), 1);
    assert_eq!(requests(&["response_code=\"418\"", "destination_service=\"unknown\""]), 1);
    assert_eq!(requests(&["response_code=\"404\"", "response_flags=\"NR\""]), 2);
    let all = [
        "reporter=\"source\"",
        "source_workload=\"serin-gateway\"",
        "source_workload_namespace=\"default\"",
        "destination_service=\"one.test\"",
        "destination_service_name=\"one.test\"",
        "destination_service_namespace=\"default\"",
        "destination_app=\"one\"",
        "destination_version=\"v1\"",
        "destination_canonical_service=\"one\"",
        "destination_canonical_revision=\"v1\"",
        "request_protocol=\"http\"",
        "response_code=\"200\"",
        "response_flags=\"-\"",
        "connection_security_policy=\"unknown\"",
    ];
    assert_eq!(requests(&all), 3);
    assert_eq!(value(&text, "istio_request_duration_milliseconds_count", &all), 3);
    assert_eq!(
        value(
            &text,
            "istio_request_duration_milliseconds_bucket",
            &[&all[..], &["le=\"+Inf\""]].concat()
        ),
        3
    );
    let bodies = "one GET /ok/1 HTTP/1.1".len() as u64 * 3;
    assert_eq!(value(&text, "istio_response_bytes_sum", &all), bodies);
    let cluster = "cluster_name=\"outbound|80||one.test\"";
    assert_eq!(value(&text, "envoy_cluster_upstream_rq_total", &[cluster]), 3);
    assert!(text.contains("\nenvoy_server_live 1\n") && text.contains("\nistio_build{"));
}

#[test]
fn copies_are_counted_apart() {
    let (arrived, is_there) = std::sync::mpsc::channel();
    let shadow = serve(move |head| {
        arrived.send(head.to_owned()).unwrap();
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_owned()
    });
    let services = format!("{}{}", service("one", backend("one")), service("shadow", shadow));
    let rules =
        routes("  - route: [{destination: {host: one.test}}]\n    mirror: {host: shadow.test}\n");
    let folder = Folder::with(&[
        ("gateway.yaml", GATEWAY),
        ("services.yaml", &services),
        ("routes.yaml", &rules),
    ]);
    let gateway = Gateway::start(&folder, &[]);
    let mut client = Client::connect(gateway.address());
    assert_eq!(client.get("a.example", "/").status, 200);
    is_there.recv().unwrap();
    // The copy's answer is read some time after the primary's.
    let text = loop {
        let text = gateway.ask_admin("/stats/prometheus").body;
        if text.contains("istio_mirrored_requests_total{") {
            break text;
        }
    };
    let to = |host: &str| format!("destination_service=\"{host}\"");
    assert_eq!(value(&text, "istio_mirrored_requests_total", &[&to("shadow.test")]), 1);
    assert_eq!(value(&text, "istio_requests_total", &[]), 1);
}

#[test]
fn an_access_log_has_a_line_for_each_request() {
    let folder = folder();
    let log = folder.0.join("access.log");
    let format = "%REQ(:METHOD)% %REQ(:PATH)% %RESPONSE_CODE% %RESPONSE_FLAGS% %ROUTE_NAME% %UPSTREAM_CLUSTER% %BYTES_SENT%";
    let arguments = ["--access-log", log.to_str().unwrap(), "--access-log-format", format];
    let mut gateway = Gateway::start(&folder, &[&arguments[..], &["--drain-time", "0s"]].concat());
    get(gateway.address(), "a.example", "/ok/1");
    get(gateway.address(), "a.example", "/none");
    get(gateway.address(), "a.example", "/nowhere");
    gateway.signal("-TERM");
    gateway.wait();
    let mut lines: Vec<String> =
        std::fs::read_to_string(log).unwrap().lines().map(str::to_owned).collect();
    lines.sort();
    assert_eq!(
        lines,
        [
            "GET /none 503 UH nobody outbound|80||none.test 19",
            "GET /nowhere 404 NR - - 0",
            "GET /ok/1 200 - good outbound|80||one.test 22",
        ]
    );
}

#[test]
fn who_is_denied_by_which_rule_is_told() {
    let policies = "\
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: private}
spec:
  selector: {matchLabels: {istio: ingressgateway}}
  action: DENY
  rules:
  - to: [{operation: {methods: [DELETE]}}]
  - to: [{operation: {paths: [/answer]}}]
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: public}
spec:
  selector: {matchLabels: {istio: ingressgateway}}
  rules: [{to: [{operation: {paths: [/ok, /answer]}}]}]
";
    let folder = folder();
    folder.write("policies.yaml", policies);
    let log = folder.0.join("access.log");
    let format = "%RESPONSE_CODE% %RESPONSE_CODE_DETAILS%";
    let arguments = ["--access-log", log.to_str().unwrap(), "--access-log-format", format];
    let labels = ["--labels", "istio=ingressgateway", "--drain-time", "0s"];
    let mut gateway = Gateway::start(&folder, &[&arguments[..], &labels].concat());
    let statuses = ["/ok", "/answer", "/none"].map(|path| get(gateway.address(), "a", path).status);
    assert_eq!(statuses, [200, 403, 403]);
    gateway.signal("-TERM");
    assert!(gateway.wait().success());
    let by_rule = "rbac_access_denied_matched_policy[ns[default]-policy[private]-rule[1]]";
    let by_none = "rbac_access_denied_matched_policy[none]";
    let text = std::fs::read_to_string(&log).unwrap();
    let lines: BTreeSet<&str> = text.lines().collect();
    let denied = [by_none, by_rule].map(|details| format!("403 {details}"));
    assert_eq!(lines, BTreeSet::from(["200 via_upstream", &denied[0], &denied[1]]));
}

#[test]
fn an_access_log_can_be_standard_output() {
    let folder = folder();
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_serin"));
    command.args(["gateway", "--address", "127.0.0.1", "--port-map", "80=0"]);
    command.args(["--admin", "127.0.0.1:0", "--access-log", "-", "-f", folder.path()]);
    let process = serin_testkit::Process::start(&mut command);
    let ready = process.wait_for(|line| line.starts_with("ready"));
    let address = ready.split([' ', ',', ';']).find_map(|word| word.parse().ok());
    get(address.unwrap(), "a.example", "/ok/1");
    process.wait_for(|line| line.contains("\"GET /ok/1 HTTP/1.1\" 200"));
}

#[test]
fn a_telemetry_says_what_is_logged() {
    let folder = folder();
    let log = folder.0.join("access.log");
    let mesh = folder.0.join("mesh/config");
    folder.write(
        "mesh/config",
        &format!(
            "extensionProviders:\n- name: errors\n  envoyFileAccessLog:\n    path: {}\n    logFormat: {{labels: {{code: '%RESPONSE_CODE%', path: '%REQ(:PATH)%', route: '%ROUTE_NAME%'}}}}\n",
            log.display()
        ),
    );
    folder.write(
        "telemetry.yaml",
        "apiVersion: telemetry.istio.io/v1\nkind: Telemetry\nmetadata: {name: log}\nspec:\n  accessLogging:\n  - providers: [{name: errors}]\n    filter: {expression: 'response.code >= 400'}\n",
    );
    let arguments = ["--mesh-config", mesh.to_str().unwrap(), "--drain-time", "0s"];
    let mut gateway = Gateway::start(&folder, &arguments);
    get(gateway.address(), "a.example", "/ok");
    get(gateway.address(), "a.example", "/answer");
    gateway.signal("-TERM");
    gateway.wait();
    let text = std::fs::read_to_string(log).unwrap();
    assert_eq!(text, "{\"code\":418,\"path\":\"/answer\",\"route\":\"own\"}\n");
}

#[test]
fn a_telemetry_says_what_metrics_are_like() {
    let folder = folder();
    let telemetry = "apiVersion: telemetry.istio.io/v1
kind: Telemetry
metadata: {name: metrics}
spec:
  metrics:
  - overrides:
    - match: {metric: REQUEST_COUNT, mode: CLIENT}
      tagOverrides:
        source_app: {operation: REMOVE}
        request_host: {value: request.host}
        destination_port: {value: string(destination.port)}
        class: {value: \"response.code >= 400 ? 'bad' : 'good'\"}
        team: {value: \"request.headers['x-team']\"}
        way: {value: \"node.metadata.WORKLOAD_NAME + ' ' + filter_state.upstream_peer.labels['app']\"}
    - match: {metric: REQUEST_SIZE}
      disabled: true
";
    folder.write("telemetry.yaml", telemetry);
    let gateway = Gateway::start(&folder, &[]);
    get(gateway.address(), "a.example", "/ok");
    get(gateway.address(), "b.example", "/ok");
    get(gateway.address(), "a.example", "/answer");
    let text = gateway.ask_admin("/stats/prometheus").body;
    let requests = |labels: &[&str]| value(&text, "istio_requests_total", labels);
    let port = format!("destination_port=\"{}\"", gateway.address().port());
    let a = "request_host=\"a.example\"";
    let way = "way=\"serin-gateway one\"";
    assert_eq!(requests(&[a, "class=\"good\"", "team=\"unknown\"", way, &port]), 1);
    assert_eq!(requests(&[a, "class=\"bad\"", "response_code=\"418\"", "way=\"unknown\""]), 1);
    assert_eq!(requests(&["request_host=\"b.example\""]), 1);
    let counts = text.lines().filter(|line| line.starts_with("istio_requests_total{"));
    assert!(counts.clone().all(|line| !line.contains("source_app=")), "{text}");
    assert!(!text.contains("istio_request_bytes"), "{text}");
    // Of what was not changed there is one series for both hosts.
    let all = ["response_code=\"200\"", "source_app=\"unknown\""];
    assert_eq!(value(&text, "istio_response_bytes_count", &all), 2);
}

#[test]
fn the_admin_interface_shows_what_is_in_force() {
    let folder = folder();
    let gateway = Gateway::start(&folder, &[]);
    get(gateway.address(), "a.example", "/ok?secret=1");
    assert_eq!(gateway.ask_admin("/ready").body, "LIVE\n");
    assert_eq!(gateway.ask_admin("/healthz/ready").status, 200);
    let listeners = gateway.ask_admin("/listeners").body;
    assert_eq!(listeners, format!("0.0.0.0_80::{}\n", gateway.address()));
    let clusters = gateway.ask_admin("/clusters").body;
    assert!(clusters.contains("outbound|80||one.test::rq_total::1\n"), "{clusters}");
    let dump: Value = serde_json::from_str(&gateway.ask_admin("/config_dump").body).unwrap();
    assert_eq!(dump["version"], 1);
    assert!(dump["model"]["clusters"]["outbound|80||one.test"].is_object());
    let requests: Value = serde_json::from_str(&gateway.ask_admin("/requests").body).unwrap();
    let request = &requests[0];
    assert_eq!(request["path"], "/ok");
    assert_eq!(request["rule"], "VirtualService default/routes, rule 0");
    assert_eq!(request["cluster"], "outbound|80||one.test");
    let explained = gateway.ask_admin("/explain?url=http%3A%2F%2Fa.example%2Fanswer").body;
    let explained: Value = serde_json::from_str(&explained).unwrap();
    assert_eq!(explained["route"], "own", "{explained}");
    assert_eq!(gateway.ask_admin("/nothing").status, 404);
    assert_eq!(get(gateway.admin.unwrap(), "evil.example", "/config_dump").status, 403);
}

#[test]
fn secrets_are_in_no_dump() {
    let folder = folder();
    let gateway = GATEWAY.replace(
        "number: 80, name: http, protocol: HTTP}",
        "number: 80, name: https, protocol: HTTPS}\n    tls: {mode: SIMPLE, credentialName: cert}",
    );
    folder.write("gateway.yaml", &gateway);
    folder.write("secret.yaml", "apiVersion: v1\nkind: Secret\nmetadata: {name: cert}\nstringData: {tls.crt: certificate-text, tls.key: private-text}\n");
    let mut gateway = Gateway::start(&folder, &[]);
    gateway.wait_for("TLS is not as the manifests want it");
    let dump = gateway.ask_admin("/config_dump").body;
    assert!(dump.contains("\"cert\"") && !dump.contains("private-text"), "{dump}");
    assert!(!gateway.said.iter().any(|line| line.contains("private-text")));
}

#[test]
fn a_request_may_ask_why_it_goes_where_it_goes() {
    let token = "only-for-tests";
    let folder = folder();
    let gateway = Gateway::start(&folder, &["--explain-token", token]);
    let ask = |token: &str| {
        let request =
            format!("GET /answer HTTP/1.1\r\nHost: a.example\r\nX-Serin-Explain: {token}\r\n\r\n");
        Client::connect(gateway.address()).ask(&request)
    };
    let answer = ask(token);
    assert_eq!(answer.status, 418);
    let explained: Value = serde_json::from_str(answer.header("x-serin-explain").unwrap()).unwrap();
    assert_eq!(explained["route"], "own", "{explained}");
    assert_eq!(explained["rejected"].as_array().unwrap().len(), 2);
    assert_eq!(ask("another").header("x-serin-explain"), None);
}

#[test]
fn the_level_of_logs_changes_while_it_runs() {
    let folder = folder();
    let mut gateway = Gateway::start(&folder, &["--log-level", "warn"]);
    assert_eq!(gateway.ask_admin("/logging").body, "warn\n");
    assert_eq!(gateway.tell_admin("/logging?level=nonsense=x").status, 400);
    assert_eq!(gateway.tell_admin("/logging?level=info").status, 200);
    gateway.signal("-HUP");
    gateway.wait_for_version(2);
}

#[test]
fn listeners_can_be_drained_and_the_gateway_ended_from_the_admin_interface() {
    let folder = folder();
    let mut gateway = Gateway::start(&folder, &["--drain-time", "1s"]);
    let mut client = Client::connect(gateway.address());
    assert_eq!(client.get("a.example", "/ok").status, 200);
    assert_eq!(gateway.ask_admin("/drain_listeners").status, 405);
    assert_eq!(gateway.tell_admin("/drain_listeners").status, 200);
    gateway.wait_for("no more connections");
    assert_eq!(gateway.ask_admin("/ready").status, 503);
    assert!(std::net::TcpStream::connect(gateway.address()).is_err());
    assert_eq!(client.get("a.example", "/ok").header("connection"), Some("close"));
    assert_eq!(gateway.tell_admin("/quitquitquit").status, 200);
    assert!(gateway.wait().success());
}

#[test]
fn a_status_port_answers_health_checks_and_nothing_else() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap();
    drop(taken);
    let folder = folder();
    let _gateway = Gateway::start(&folder, &["--status-port", &port.port().to_string()]);
    assert_eq!(get(port, "any.example", "/healthz/ready").status, 200);
    assert_eq!(get(port, "any.example", "/config_dump").status, 404);
}

#[test]
fn the_admin_interface_is_for_this_machine() {
    let folder = Folder::with(&[("gateway.yaml", GATEWAY), ("routes.yaml", &all_to("one"))]);
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_serin"))
        .args(["gateway", "-f", folder.path(), "--port-map", "80=0", "--admin", "0.0.0.0:0"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("loopback"));
}

#[test]
fn spans_reach_a_collector_and_contexts_the_upstream() {
    let (arrived, is_there) = std::sync::mpsc::channel();
    let upstream = serve(move |head| {
        arrived.send(head.to_ascii_lowercase()).unwrap();
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_owned()
    });
    let (sent, spans) = std::sync::mpsc::channel();
    let collector = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/v1/traces", collector.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in collector.incoming() {
            let (head, body) = Client::over(stream.unwrap()).request();
            sent.send((head, body)).unwrap();
        }
    });
    let folder = Folder::with(&[
        ("gateway.yaml", GATEWAY),
        ("services.yaml", &service("one", upstream)),
        ("routes.yaml", &all_to("one")),
    ]);
    let gateway = Gateway::start(&folder, &["--traces", &url]);
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let parent = format!("00-{trace}-00f067aa0ba902b7-01");
    let request =
        format!("GET /x?secret=1 HTTP/1.1\r\nHost: a.example\r\ntraceparent: {parent}\r\n\r\n");
    assert_eq!(Client::connect(gateway.address()).ask(&request).status, 200);
    let head = is_there.recv().unwrap();
    let context = head.split("traceparent: ").nth(1).unwrap().lines().next().unwrap();
    assert!(context.starts_with(&format!("00-{trace}-")) && context != parent, "{context}");
    let (head, body) = spans.recv().unwrap();
    assert!(head.starts_with("POST /v1/traces "), "{head}");
    let body: Value = serde_json::from_str(&body).unwrap();
    let span = &body["resourceSpans"][0]["scopeSpans"][0]["spans"][0];
    assert_eq!(span["traceId"], trace);
    assert_eq!(span["parentSpanId"], "00f067aa0ba902b7");
    assert_eq!(span["spanId"].as_str(), context.split('-').nth(2));
    assert!(!body.to_string().contains("secret"), "{body}");
}
