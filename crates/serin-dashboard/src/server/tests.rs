use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use http::header::{LOCATION, SET_COOKIE};
use http_body_util::Full;
use serin_api::{Finding, ObjectRef};
use serin_routing::Model;
use serin_telemetry::Traffic;

use super::*;
use crate::mesh::{Explained, Live, Mesh, Question, Request as Seen, Rule, Sender};

/// A mesh in which nothing happens.
struct Quiet;

impl Mesh for Quiet {
    fn traffic(&self) -> BoxFuture<'_, Result<Vec<Traffic>, String>> {
        Box::pin(std::future::ready(Err("the counters are on holiday".to_owned())))
    }
    fn requests(&self) -> BoxFuture<'_, Option<Vec<Seen>>> {
        Box::pin(std::future::ready(None))
    }
    fn hits(&self) -> BoxFuture<'_, Option<BTreeMap<Rule, u64>>> {
        Box::pin(std::future::ready(None))
    }
    fn live(&self, _: &ObjectRef) -> Option<Live> {
        None
    }
    fn findings(&self) -> Arc<Vec<Finding>> {
        Arc::default()
    }
    fn senders(&self) -> Vec<Sender> {
        Vec::new()
    }
    fn model(&self, _: &str) -> Option<Arc<Model>> {
        None
    }
    fn explain(&self, _: &Question) -> Result<Explained, String> {
        Err("nobody is there".to_owned())
    }
}

/// A dashboard with one release, and an API that takes what it is told.
fn world() -> Arc<World> {
    let api = tower::service_fn(|_: Request<kube::client::Body>| async {
        let body = r#"{"metadata": {"name": "reviews"}}"#;
        Ok::<_, std::io::Error>(Response::new(Full::new(Bytes::from(body))))
    });
    let access = Access::new("secret", 15080);
    let world = World::new(kube::Client::new(api, "default"), Arc::new(Quiet), access, 1);
    world.objects.put(json!({
        "apiVersion": "serin.dev/v1alpha1", "kind": "Canary",
        "metadata": {"name": "reviews", "namespace": "shop"},
        "spec": {"targetRef": {"kind": "Deployment", "name": "reviews"}, "service": {"port": 9080}, "analysis": {"stepWeights": [20, 100]}},
        "status": {"phase": "Progressing", "canaryWeight": 20},
    }));
    Arc::new(world)
}

async fn ask(
    world: &Arc<World>,
    line: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Response<Body> {
    let (method, path) = line.split_once(' ').unwrap();
    let mut request = Request::builder().method(method).uri(path);
    let has_host = headers.iter().any(|(name, _)| *name == "host");
    if !has_host {
        request = request.header("host", "127.0.0.1:15080");
    }
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let body = Full::new(Bytes::from(body.to_owned()));
    respond(world, request.body(body).unwrap()).await
}

async fn text(response: Response<Body>) -> String {
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn header(response: &Response<Body>, name: impl http::header::AsHeaderName) -> String {
    response.headers().get(name).map_or("", |it| it.to_str().unwrap()).to_owned()
}

fn cookie() -> String {
    let cookie = Access::new("secret", 15080).set_cookie();
    cookie.split(';').next().unwrap().to_owned()
}

const BEARER: (&str, &str) = ("authorization", "Bearer secret");

#[tokio::test]
async fn the_token_is_exchanged_for_a_cookie_and_leaves_the_address() {
    let world = world();
    let answer = ask(&world, "GET /requests?token=secret&status=5xx", &[], "").await;
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    assert_eq!(header(&answer, LOCATION), "/requests?status=5xx");
    let given = header(&answer, SET_COOKIE);
    assert!(given.contains("HttpOnly") && given.contains("SameSite=Strict"), "{given}");
    let answer = ask(&world, "GET /requests", &[("cookie", &cookie())], "").await;
    assert_eq!(answer.status(), StatusCode::OK);
    let answer = ask(&world, "GET //evil.example/?token=secret", &[], "").await;
    assert_eq!(header(&answer, LOCATION), "/evil.example/");
    let answer = ask(&world, "GET /?token=guess", &[], "").await;
    assert_eq!(
        (answer.status(), header(&answer, SET_COOKIE)),
        (StatusCode::UNAUTHORIZED, String::new())
    );
}

#[tokio::test]
async fn nothing_is_told_to_those_who_are_not_known() {
    let world = world();
    for path in ["/", "/index.json", "/releases/shop/reviews", "/events?page=/", "/nowhere"] {
        let answer = ask(&world, &format!("GET {path}"), &[], "").await;
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{path}");
        assert!(!text(answer).await.contains("reviews"), "{path}");
    }
    let named = [BEARER, ("host", "rebound.example")];
    let answer = ask(&world, "GET /", &named, "").await;
    assert_eq!(answer.status(), StatusCode::MISDIRECTED_REQUEST);
}

#[tokio::test]
async fn every_answer_has_the_headers_that_keep_it_safe() {
    let world = world();
    for path in ["/", "/ui/dashboard.js", "/nowhere", "/releases.json", "/?token=secret"] {
        let answer = ask(&world, &format!("GET {path}"), &[BEARER], "").await;
        let policy = header(&answer, "content-security-policy");
        assert!(policy.starts_with("default-src 'none'; script-src 'self'"), "{path}: {policy}");
        assert_eq!(header(&answer, "x-content-type-options"), "nosniff", "{path}");
        let cached = if path.starts_with("/ui") { "no-cache" } else { "no-store" };
        assert_eq!(header(&answer, "cache-control"), cached, "{path}");
    }
    let page = text(ask(&world, "GET /releases/shop/reviews", &[BEARER], "").await).await;
    assert!(!page.contains(" style=") && !page.contains("<style") && !page.contains(" onclick"));
}

#[tokio::test]
async fn a_command_is_taken_from_our_own_form_only() {
    let world = world();
    let (cookie, origin) = (cookie(), ("origin", "http://127.0.0.1:15080"));
    let word = format!("word={}", world.access.form_word());
    let line = "POST /releases/shop/reviews/abort";
    let known = ("cookie", cookie.as_str());
    let answer = ask(&world, line, &[known, origin], &word).await;
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    assert_eq!(header(&answer, LOCATION), "/releases/shop/reviews");
    let refused = async |headers: &[(&str, &str)], body: &str| {
        ask(&world, line, headers, body).await.status()
    };
    assert_eq!(refused(&[known, origin], "").await, StatusCode::FORBIDDEN);
    assert_eq!(refused(&[known], &word).await, StatusCode::FORBIDDEN);
    assert_eq!(
        refused(&[known, ("origin", "http://evil.example")], &word).await,
        StatusCode::FORBIDDEN
    );
    assert_eq!(refused(&[origin], &word).await, StatusCode::UNAUTHORIZED);
    let large = format!("{word}&more={}", "x".repeat(FORM));
    assert_eq!(refused(&[known, origin], &large).await, StatusCode::PAYLOAD_TOO_LARGE);
    let answer = ask(&world, "POST /releases/shop/reviews/explode", &[BEARER], "").await;
    assert_eq!(answer.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn pages_are_json_too() {
    let world = world();
    for path in [
        "/index",
        "/releases",
        "/releases/shop/reviews",
        "/routing",
        "/routing/explain",
        "/objects",
        "/objects/canaries.serin.dev/shop/reviews",
        "/requests",
    ] {
        let answer = ask(&world, &format!("GET {path}.json"), &[BEARER], "").await;
        assert_eq!(
            (answer.status(), header(&answer, "content-type")),
            (StatusCode::OK, "application/json".into()),
            "{path}"
        );
        let value: serde_json::Value = serde_json::from_str(&text(answer).await).unwrap();
        assert!(value.is_object(), "{path}");
    }
    let accept = ("accept", "application/json");
    let answer = ask(&world, "GET /releases/shop/reviews", &[BEARER, accept], "").await;
    let value: serde_json::Value = serde_json::from_str(&text(answer).await).unwrap();
    assert_eq!(value["release"]["weights"]["canary"], 20);
    assert_eq!(
        ask(&world, "GET /releases/shop/other.json", &[BEARER], "").await.status(),
        StatusCode::NOT_FOUND
    );
}

#[tokio::test]
async fn so_many_may_follow_and_no_more() {
    let world = world();
    let line = "GET /events?page=%2Freleases%2Fshop%2Freviews";
    let mut first = ask(&world, line, &[BEARER], "").await;
    assert_eq!(header(&first, "content-type"), "text/event-stream");
    let frame = first.body_mut().frame().await.unwrap().unwrap().into_data().unwrap();
    let sent = String::from_utf8(frame.to_vec()).unwrap();
    assert!(sent.starts_with("event: main\ndata: ") && sent.ends_with("\n\n"), "{sent}");
    assert_eq!(ask(&world, line, &[BEARER], "").await.status(), StatusCode::SERVICE_UNAVAILABLE);
    drop(first);
    assert_eq!(ask(&world, line, &[BEARER], "").await.status(), StatusCode::OK);
}
