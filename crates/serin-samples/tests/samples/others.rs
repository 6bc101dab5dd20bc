//! greet, chain, web, hello and echo.

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::{TcpListener, TcpStream};

use crate::running::start;

#[tokio::test]
async fn greet_takes_its_query_two_services_deep() {
    let variables =
        [("SERIN_SAMPLE_VERSION", "v2"), ("HOSTNAME", "demo-b-v2-x"), ("POD_IP", "10.1.0.88")];
    let back = start("greet", &variables).await;
    let front = start("greet", &[("UPSTREAM_URL", &format!("{}/greet", back.url()))]).await;
    let reply = front.get("/greet?name=xx").await;
    assert_eq!(
        reply.body,
        "response from [svc-b] [v2] HostName: demo-b-v2-x HostAddress: 10.1.0.88 name is: xx-v2"
    );
    back.stop().await.unwrap();
    let reply = front.get("/greet?name=xx").await;
    assert_eq!(reply.status, 502);
    assert!(reply.body.starts_with("no answer: cannot connect to"), "{}", reply.body);
}

#[tokio::test]
async fn a_chain_tells_its_links_in_order() {
    let last = start("chain", &[("app", "appb"), ("version", "v2")]).await;
    let url = format!("{}/", last.url());
    let variables = [("app", "appa"), ("version", "v2"), ("upstream_url", url.as_str())];
    let first = start("chain", &variables).await;
    assert_eq!(first.get("/").await.body, "appa-v2 ==> appb-v2");
    last.ask("POST", "/misbehave", &[], "errors=100%&status=503").await;
    let reply = first.get("/").await;
    assert_eq!(reply.status, 503);
    assert!(reply.body.contains("said 503 Service Unavailable"), "{}", reply.body);
}

#[tokio::test]
async fn a_chain_waits_as_long_as_it_is_told_to() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", silent.local_addr().unwrap());
    let variables = [("upstream_url", url.as_str()), ("SERIN_SAMPLE_TIMEOUT", "10ms")];
    let reply = start("chain", &variables).await.get("/").await;
    assert!(reply.body.ends_with("did not answer within 10ms"), "{}", reply.body);
}

#[tokio::test]
async fn a_chain_passes_on_the_version_that_is_asked_for() {
    let echo = start("echo", &[]).await;
    let chain = start("chain", &[("upstream_url", &format!("{}/", echo.url()))]).await;
    let reply = chain.ask("GET", "/", &["version: v2"], "").await.body;
    assert!(reply.contains(r#""version":"v2""#), "{reply}");
}

#[tokio::test]
async fn web_answers_with_the_headers_of_its_version() {
    let web = start("web", &[("SERIN_SAMPLE_VERSION", "1.14.2")]).await;
    let page = web.get("/").await;
    assert_eq!(page.header("server"), Some("nginx/1.14.2"));
    assert_eq!(page.header("content-type"), Some("text/html"));
    assert_eq!(page.header("content-length"), Some("612"));
    assert_eq!(page.header("last-modified"), Some("Tue, 04 Dec 2018 14:44:49 GMT"));
    assert_eq!(page.header("etag"), Some("\"5c0692e1-264\""));
    assert!(page.header("date").is_some());
    assert!(page.body.contains("<h1>Welcome to nginx!</h1>"));
    let head = web.ask("HEAD", "/index.html", &[], "").await;
    assert_eq!((head.header("content-length"), head.body.as_str()), (Some("612"), ""));
    let again = web.ask("GET", "/", &["if-none-match: \"5c0692e1-264\""], "").await;
    assert_eq!((again.status, again.body.as_str()), (304, ""));
    let missing = web.get("/nowhere").await;
    assert_eq!((missing.status, missing.header("server")), (404, Some("nginx/1.14.2")));
    assert_eq!(web.ask("POST", "/", &[], "").await.header("allow"), Some("GET, HEAD"));
}

#[tokio::test]
async fn hello_says_its_version_and_instance() {
    let hello = start("hello", &[("SERVICE_VERSION", "v2"), ("HOSTNAME", "helloworld-v2-x")]).await;
    assert_eq!(hello.get("/hello").await.body, "Hello version: v2, instance: helloworld-v2-x\n");
    assert_eq!(hello.get("/").await.status, 404);
}

#[tokio::test]
async fn echo_tells_what_it_was_asked_and_does_as_its_path_says() {
    let echo = start("echo", &[]).await;
    let told = echo.ask("PUT", "/a?b=c%20d", &["x-a: 1", "x-a: 2"], "body").await.json();
    assert_eq!(told["method"], "PUT");
    assert_eq!(told["path"], "/a");
    assert_eq!(told["query"]["b"], "c d");
    assert_eq!(told["headers"]["x-a"], serde_json::json!(["1", "2"]));
    assert_eq!(told["host"], "test");
    assert_eq!(told["body"], "body");
    assert_eq!(echo.get("/status/418").await.status, 418);
    assert_eq!(echo.get("/status/100").await.status, 400);
    assert_eq!(echo.get("/status/x").await.status, 400);
    assert_eq!(echo.get("/delay/0").await.status, 200);
    assert_eq!(echo.get("/delay/-1").await.status, 400);
    assert_eq!(echo.get("/bytes/1000").await.body.len(), 1000);
}

#[tokio::test]
async fn http2_is_spoken_without_being_asked_for() {
    let echo = start("echo", &[]).await;
    let stream = TokioIo::new(TcpStream::connect(echo.address).await.unwrap());
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), stream).await.unwrap();
    tokio::spawn(connection);
    let request = |method: &str| {
        let request = Request::builder().method(method).uri("http://shop.example/x");
        request.body(Full::new(Bytes::from_static(b"hi"))).unwrap()
    };
    let reply = sender.send_request(request("POST")).await.unwrap();
    let body = reply.into_body().collect().await.unwrap().to_bytes();
    let told: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(told["protocol"], "HTTP/2.0");
    assert_eq!(told["host"], "shop.example");
    let reply = sender.send_request(request("HEAD")).await.unwrap();
    assert!(reply.headers().contains_key("content-length"));
    assert!(reply.into_body().collect().await.unwrap().to_bytes().is_empty());
}
