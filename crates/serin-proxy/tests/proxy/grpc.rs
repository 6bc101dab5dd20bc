//! gRPC: answers of the proxy's own, deadlines and retries by status.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use serin_routing::retry::{self, Condition};

use crate::support::{
    Setup, Whole, ask, client, echo, headers, refusing, request, run, talk, upstream_http2,
};

fn call(setup: Setup, host: &'static str, extra: &[(&'static str, &'static str)]) -> Whole {
    let running = setup.start();
    run(async {
        let client = client(running.address).await;
        let mut request = http::Request::post(format!("http://{host}/pkg.Service/Method"))
            .header("content-type", "application/grpc+proto")
            .header("te", "trailers");
        for (name, value) in extra {
            request = request.header(*name, *value);
        }
        ask(&client, request, &[0, 0, 0, 0, 1, b'x'], None).await
    })
}

#[test]
fn failures_are_told_as_a_grpc_status_without_messages() {
    let answer = call(Setup::new(echo()), "nobody.example", &[]);
    assert_eq!(answer.status, 200);
    assert_eq!(answer.headers["content-type"], "application/grpc");
    assert_eq!(answer.headers["grpc-status"], "12");
    assert!(answer.body.is_empty() && answer.trailers.is_none());
    let nobody = refusing();
    let answer = call(Setup::http2(nobody), "echo.example", &[]);
    assert_eq!(answer.headers["grpc-status"], "14");
    assert_eq!(answer.headers["grpc-message"], "no connection to the upstream");
}

#[test]
fn clients_over_http1_get_their_grpc_status_too() {
    let running = Setup::new(echo()).start();
    let answer = talk(
        running.address,
        "POST /a.B/C HTTP/1.1\r\nHost: nobody\r\nContent-Type: application/grpc\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
    );
    assert!(
        answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.contains("\r\ngrpc-status: 12\r\n"),
        "{answer}"
    );
}

fn statuses(statuses: &'static [&'static str]) -> std::net::SocketAddr {
    let count = AtomicU32::new(0);
    upstream_http2(move |_, mut respond| {
        let number = count.fetch_add(1, Ordering::SeqCst) as usize;
        let status = statuses[number.min(statuses.len() - 1)];
        async move {
            let response = http::Response::builder().header("content-type", "application/grpc");
            if status == "0" {
                let mut send = respond.send_response(response.body(()).unwrap(), false).unwrap();
                send.send_data(Bytes::from_static(&[0, 0, 0, 0, 0]), false).unwrap();
                send.send_trailers(headers(&[("grpc-status", status)])).unwrap();
            } else {
                let response = response.header("grpc-status", status).body(()).unwrap();
                respond.send_response(response, true).unwrap();
            }
        }
    })
}

#[test]
fn a_status_that_the_rule_names_is_tried_again() {
    let policy =
        || retry::Policy { retry_on: vec![Condition::Unavailable], ..retry::Policy::none() };
    let mut setup = Setup::http2(statuses(&["14", "0"]));
    setup.forward().retry = Some(policy());
    let answer = call(setup, "echo.example", &[]);
    assert_eq!(answer.trailers.unwrap()["grpc-status"], "0");
    let mut setup = Setup::http2(statuses(&["13", "0"]));
    setup.forward().retry = Some(policy());
    let answer = call(setup, "echo.example", &[]);
    assert_eq!(answer.headers["grpc-status"], "13");
}

fn silent() -> std::net::SocketAddr {
    upstream_http2(|request, respond| async move {
        let _held = (request, respond);
        std::future::pending().await
    })
}

#[test]
fn the_clients_deadline_holds_within_the_rules() {
    let answer = call(Setup::http2(silent()), "echo.example", &[("grpc-timeout", "20m")]);
    assert_eq!(answer.headers["grpc-status"], "14");
    assert_eq!(answer.headers["grpc-message"], "upstream request timeout");
    let mut setup = Setup::http2(silent());
    setup.forward().timeout = Some(Duration::from_millis(20));
    let answer = call(setup, "echo.example", &[("grpc-timeout", "1H")]);
    assert_eq!(answer.headers["grpc-status"], "14");
}

#[test]
fn the_upstream_is_told_how_long_is_waited_for_it() {
    let up = upstream_http2(|request, mut respond| async move {
        let timeout = request.headers()["grpc-timeout"].clone();
        let expected = request.headers()["x-envoy-expected-rq-timeout-ms"].clone();
        let te = request.headers()["te"].clone();
        let response = http::Response::builder()
            .header("x-timeout", timeout)
            .header("x-expected", expected)
            .header("x-te", te);
        respond.send_response(response.body(()).unwrap(), true).unwrap();
    });
    let mut setup = Setup::http2(up);
    setup.forward().timeout = Some(Duration::from_secs(3));
    let answer = call(setup, "echo.example", &[("grpc-timeout", "1H")]);
    assert_eq!(answer.headers["x-timeout"], "3000m");
    assert_eq!(answer.headers["x-expected"], "3000");
    assert_eq!(answer.headers["x-te"], "trailers");
}

#[test]
fn plain_requests_get_plain_failures() {
    let running = Setup::new(echo()).start();
    let answer = run(async {
        let client = client(running.address).await;
        ask(&client, request("GET", "/").header("content-type", "application/grpc-web"), b"", None)
            .await
    });
    assert_eq!(answer.status, 200);
    assert!(!answer.headers.contains_key("grpc-status"));
}
