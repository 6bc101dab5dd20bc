//! What goes wrong on purpose, and an orderly end.

use serde_json::json;
use serin_samples::{BadSample, Ended, Environment, Sample};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::running::{parse, start};

#[tokio::test]
async fn errors_come_in_their_share_and_never_to_health() {
    let echo =
        start("echo", &[("SERIN_SAMPLE_ERRORS", "100%"), ("SERIN_SAMPLE_STATUS", "503")]).await;
    let reply = echo.get("/").await;
    assert_eq!((reply.status, reply.body.as_str()), (503, r#"{"error":"misbehaving on request"}"#));
    assert_eq!(echo.get("/health").await.status, 200);
    let told = echo.ask("POST", "/misbehave", &[], r#"{"errors": "25%"}"#).await.json();
    assert_eq!((&told["errors"], &told["status"]), (&json!("25%"), &json!(503)));
    let mut failed = 0;
    for _ in 0..200 {
        failed += usize::from(echo.get("/").await.status == 503);
    }
    // More than seven standard deviations on either side.
    assert!((8..=95).contains(&failed), "{failed} of 200");
    let told = echo.ask("DELETE", "/misbehave", &[], "").await.json();
    assert_eq!((&told["errors"], &told["status"]), (&json!("0%"), &json!(500)));
    assert_eq!(echo.get("/").await.status, 200);
}

#[tokio::test]
async fn the_same_seed_draws_the_same_errors() {
    let mut draws = Vec::new();
    for _ in 0..2 {
        let seeded = [("SERIN_SAMPLE_ERRORS", "50%"), ("SERIN_SAMPLE_SEED", "7")];
        let echo = start("echo", &seeded).await;
        let mut drawn = Vec::new();
        for _ in 0..32 {
            drawn.push(echo.get("/").await.status);
        }
        draws.push(drawn);
    }
    assert_eq!(draws[0], draws[1]);
    assert!(draws[0].contains(&200) && draws[0].contains(&500));
}

#[tokio::test]
async fn a_setting_that_cannot_be_changes_nothing() {
    let echo = start("echo", &[]).await;
    let reply = echo.ask("POST", "/misbehave", &[], "delay=1ms&errors=lots").await;
    assert_eq!(reply.status, 400);
    assert_eq!(
        reply.json()["error"],
        "`errors` cannot be `lots`; an example of what it can be is 5%"
    );
    assert_eq!(echo.get("/misbehave").await.json()["delay"], "0ns");
    assert_eq!(echo.ask("POST", "/misbehave", &[], "speed=1").await.status, 400);
    assert_eq!(echo.ask("PATCH", "/misbehave", &[], "").await.status, 405);
}

#[tokio::test]
async fn what_is_not_ready_says_so_and_serves() {
    let echo = start("echo", &[("SERIN_SAMPLE_READY", "false")]).await;
    assert_eq!(echo.get("/health").await.status, 503);
    assert_eq!(echo.get("/").await.status, 200);
    echo.ask("POST", "/misbehave", &[], "ready=true").await;
    assert_eq!(echo.get("/health").await.status, 200);
}

#[tokio::test]
async fn a_crash_comes_at_its_request() {
    let echo = start("echo", &[("SERIN_SAMPLE_CRASH_AFTER", "3")]).await;
    for _ in 0..2 {
        assert_eq!(echo.get("/").await.status, 200);
    }
    let mut stream = TcpStream::connect(echo.address).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nhost: test\r\n\r\n").await.unwrap();
    assert_eq!(echo.ended().await, Ended::Crashed);
}

#[tokio::test]
async fn a_crash_comes_after_its_time_also_if_it_is_asked_for_later() {
    let echo = start("echo", &[]).await;
    echo.ask("POST", "/misbehave", &[], "crash_after=1ms").await;
    assert_eq!(echo.ended().await, Ended::Crashed);
}

#[tokio::test]
async fn leaks_grow_with_requests_and_end_when_told() {
    let echo = start("echo", &[("SERIN_SAMPLE_LEAK", "64KiB")]).await;
    for _ in 0..3 {
        echo.get("/").await;
    }
    assert_eq!(echo.get("/misbehave").await.json()["leaked"], 3 * 64 * 1024);
    let told = echo.ask("POST", "/misbehave", &[], "leak=0").await.json();
    assert_eq!(told["leaked"], 0);
}

#[tokio::test]
async fn delays_and_burns_are_in_the_settings_as_given() {
    let variables = [
        ("SERIN_SAMPLE_DELAY", "2ms"),
        ("SERIN_SAMPLE_JITTER", "1ms"),
        ("SERIN_SAMPLE_BURN", "1ms"),
    ];
    let echo = start("echo", &variables).await;
    let start = std::time::Instant::now();
    assert_eq!(echo.get("/").await.status, 200);
    assert!(
        start.elapsed() >= std::time::Duration::from_millis(2),
        "1 ms of delay and 1 ms of burning"
    );
    let told = echo.get("/misbehave").await.json();
    assert_eq!(
        (&told["delay"], &told["jitter"], &told["burn"]),
        (&json!("2ms"), &json!("1ms"), &json!("1ms"))
    );
}

#[tokio::test]
async fn a_request_that_has_begun_is_answered_after_the_stop() {
    let echo = start("echo", &[]).await;
    let address = echo.address;
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = "POST / HTTP/1.1\r\nhost: test\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut go_on = [0; 25];
    stream.read_exact(&mut go_on).await.unwrap();
    assert_eq!(&go_on[..12], b"HTTP/1.1 100");
    let ended = echo.stop();
    stream.write_all(b"hi").await.unwrap();
    let mut reply = Vec::new();
    stream.read_to_end(&mut reply).await.unwrap();
    assert_eq!(parse(&reply).json()["body"], "hi");
    assert_eq!(ended.await.unwrap(), Ended::Stopped);
    assert!(TcpStream::connect(address).await.is_err(), "nobody listens any more");
}

#[tokio::test]
async fn a_body_that_is_too_long_is_refused() {
    let echo = start("echo", &[]).await;
    let mut stream = TcpStream::connect(echo.address).await.unwrap();
    let head =
        "POST / HTTP/1.1\r\nhost: test\r\nconnection: close\r\ncontent-length: 1048577\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut reply = Vec::new();
    stream.read_to_end(&mut reply).await.unwrap();
    assert_eq!(parse(&reply).status, 413);
}

#[test]
fn samples_that_cannot_be_are_told() {
    let check = |name: &str, variables: &[(&str, &str)], expect: &str| {
        let environment: Environment = variables.iter().copied().collect();
        let error: BadSample = Sample::new(name, &environment).unwrap_err();
        assert_eq!(error.to_string(), expect);
    };
    check("shop", &[], "there is no sample `shop`");
    check(
        "chain",
        &[("upstream_url", "appb:8000")],
        "the service to call is named wrongly: `appb:8000` is no URL of the form http://HOST[:PORT][/PATH]",
    );
    check(
        "productpage",
        &[("REVIEWS_SERVICE_PORT", "tcp")],
        "the port in REVIEWS_SERVICE_PORT is `tcp`, which is none",
    );
    for value in ["soon", "0s"] {
        check(
            "greet",
            &[("SERIN_SAMPLE_TIMEOUT", value)],
            &format!(
                "the time in SERIN_SAMPLE_TIMEOUT is `{value}`, which is none: 500ms, 30s and 1m are"
            ),
        );
    }
}
