//! A server and requests to it.

use std::convert::Infallible;

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full};
use serde_json::{Value, json};
use serin_apiserver::{ApiServer, Body, LocalService, Settings, User};
use tower::ServiceExt as _;

/// A client of a server, as one user.
#[derive(Clone)]
pub(crate) struct Client {
    pub(crate) server: ApiServer,
    user: Option<User>,
    token: Option<String>,
}

/// An answer: its code and its body, as JSON where it is JSON.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) code: u16,
    pub(crate) body: Value,
    pub(crate) warnings: Vec<String>,
}

impl Answer {
    /// The message of a failure.
    pub(crate) fn message(&self) -> &str {
        self.body["message"].as_str().unwrap_or_default()
    }
}

/// A new server in memory.
pub(crate) async fn start(settings: Settings) -> Client {
    let server = ApiServer::start(settings).await.unwrap();
    Client { server, user: Some(User::administrator()), token: None }
}

impl Client {
    /// Waits until the server is gone and its store closed.
    pub(crate) async fn end(self) {
        self.server.stop();
        let server = self.server;
        // Tasks of the server that are under way hold it a little longer.
        while server.is_shared() {
            tokio::task::yield_now().await;
        }
    }

    /// The same server for another user.
    pub(crate) fn acting_as(&self, user: User) -> Self {
        Self { server: self.server.clone(), user: Some(user), token: None }
    }

    /// The same server for someone who has nothing but a token, or not even that.
    pub(crate) fn stranger(&self, token: Option<&str>) -> Self {
        Self { server: self.server.clone(), user: None, token: token.map(str::to_owned) }
    }

    /// One request with its answer, not read yet.
    pub(crate) async fn raw(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: String,
    ) -> Response<Body> {
        self.bytes(method, path, headers, body.into_bytes()).await
    }

    /// The same with a body that need not be text.
    pub(crate) async fn bytes(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> Response<Body> {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let request = request.body(Full::new(Bytes::from(body))).unwrap();
        let connection = match &self.user {
            Some(user) => self.server.client(user.clone()),
            None => self.server.stranger(),
        };
        connection.oneshot(request).await.unwrap()
    }

    pub(crate) async fn send(&self, method: Method, path: &str, body: Option<Value>) -> Answer {
        let kind = match method {
            Method::PATCH => "application/merge-patch+json",
            _ => "application/json",
        };
        let body = body.map(|body| body.to_string()).unwrap_or_default();
        read(self.raw(method, path, &[("content-type", kind)], body).await).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, None).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.send(Method::POST, path, Some(body)).await
    }

    pub(crate) async fn put(&self, path: &str, body: Value) -> Answer {
        self.send(Method::PUT, path, Some(body)).await
    }

    pub(crate) async fn patch(&self, path: &str, body: Value) -> Answer {
        self.send(Method::PATCH, path, Some(body)).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.send(Method::DELETE, path, None).await
    }

    /// A pod with containers of these names, in the namespace `default`.
    pub(crate) async fn pod(&self, name: &str, containers: &[&str]) {
        let containers: Vec<Value> =
            containers.iter().map(|name| json!({"name": name, "image": "x"})).collect();
        let pod = json!({
            "metadata": {"name": name, "labels": {"app": name}}, "spec": {"containers": containers},
        });
        let made = self.post("/api/v1/namespaces/default/pods", pod).await;
        assert_eq!(made.code, 201, "{made:?}");
    }

    /// Gives a pod its node.
    pub(crate) async fn bind(&self, name: &str) {
        let binding =
            json!({"metadata": {"name": name}, "target": {"kind": "Node", "name": "serin"}});
        let path = format!("/api/v1/namespaces/default/pods/{name}/binding");
        assert_eq!(self.post(&path, binding).await.code, 201);
    }
}

/// Reads an answer.
pub(crate) async fn read(response: Response<Body>) -> Answer {
    let code = response.status().as_u16();
    let warnings = response.headers().get_all("warning").iter();
    let warnings = warnings.map(|it| it.to_str().unwrap().to_owned()).collect();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    let text = || Value::from(String::from_utf8_lossy(&bytes).into_owned());
    Answer { code, body: serde_json::from_slice(&bytes).unwrap_or_else(|_| text()), warnings }
}

/// A service of this process that answers as `answer` says.
pub(crate) fn service(
    answer: impl Fn(Request<()>) -> Response<UnsyncBoxBody<Bytes, Infallible>>
    + Clone
    + Send
    + Sync
    + 'static,
) -> LocalService {
    let service = tower::service_fn(move |request: Request<()>| {
        let answer = answer.clone();
        async move { Ok::<_, Infallible>(answer(request)) }
    });
    LocalService::new(service)
}

/// A text as the answer of such a service.
pub(crate) fn text(
    code: u16,
    text: impl Into<Bytes>,
) -> Response<UnsyncBoxBody<Bytes, Infallible>> {
    let body = Full::new(text.into()).boxed_unsync();
    Response::builder().status(code).header("content-type", "text/plain").body(body).unwrap()
}
