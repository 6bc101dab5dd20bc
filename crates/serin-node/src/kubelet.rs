//! What a kubelet serves: logs, exec, attach and port forwarding, on the paths of a real one.
//!
//! The API server passes requests on after it has checked them. Streams are WebSockets with channels
//! (`v5.channel.k8s.io` and its forerunners) or SPDY, plain or in a WebSocket, as kubectl speaks them.

mod channels;
mod logs;
mod metrics;
mod port_forward;
mod remote;
mod spdy;
mod upgrade;

use std::convert::Infallible;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full};
use k8s_openapi::api::core::v1::Pod;
use kube::api::Api;
use tower::util::BoxCloneSyncService;

use crate::node::Shared;

/// A service in this process, as the API server takes it.
pub type Service =
    BoxCloneSyncService<Request<()>, Response<UnsyncBoxBody<Bytes, Infallible>>, Infallible>;

type Answer = Response<UnsyncBoxBody<Bytes, Infallible>>;

/// The services of a node. They can be had before the node is started, as the API server wants them before there can be a node; until
/// then they say that they are not there yet. Clones are the same.
#[derive(Clone, Default)]
pub struct Kubelet {
    shared: Arc<OnceLock<Arc<Shared>>>,
}

impl std::fmt::Debug for Kubelet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kubelet").field("started", &self.shared.get().is_some()).finish()
    }
}

impl Kubelet {
    /// Services of a node that is not started yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Logs, exec, attach and port forwarding.
    pub fn service(&self) -> Service {
        let own = self.clone();
        BoxCloneSyncService::new(tower::service_fn(move |request| {
            let own = own.clone();
            async move { Ok(own.answer(request).await) }
        }))
    }

    /// The group `metrics.k8s.io/v1beta1`: what pods and the node use.
    pub fn metrics(&self) -> Service {
        let own = self.clone();
        BoxCloneSyncService::new(tower::service_fn(move |request: Request<()>| {
            let own = own.clone();
            async move { Ok(metrics::answer(own.shared.get(), &request).await) }
        }))
    }

    pub(crate) fn begin(&self, shared: &Arc<Shared>) {
        // A second node would answer for the first one's pods: the first one stays.
        let _ = self.shared.set(Arc::clone(shared));
    }

    async fn answer(&self, request: Request<()>) -> Answer {
        let Some(shared) = self.shared.get() else { return not_started() };
        let path = request.uri().path().to_owned();
        let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
        match parts.as_slice() {
            ["healthz"] => text(StatusCode::OK, "ok"),
            ["containerLogs", namespace, pod, container] => {
                match find(shared, namespace, pod).await {
                    Ok(pod) => logs::answer(shared, &pod, container, &Query::of(&request)),
                    Err(answer) => *answer,
                }
            }
            [what @ ("exec" | "attach"), namespace, pod, container] => {
                match find(shared, namespace, pod).await {
                    Ok(pod) => remote::answer(shared, &pod, container, *what == "exec", request),
                    Err(answer) => *answer,
                }
            }
            ["portForward", namespace, pod] => match find(shared, namespace, pod).await {
                Ok(pod) => port_forward::answer(shared, &pod, request),
                Err(answer) => *answer,
            },
            _ => text(StatusCode::NOT_FOUND, "404 page not found\n"),
        }
    }
}

fn not_started() -> Answer {
    text(StatusCode::SERVICE_UNAVAILABLE, "the node is not started yet")
}

async fn find(shared: &Shared, namespace: &str, name: &str) -> Result<Pod, Box<Answer>> {
    let api: Api<Pod> = Api::namespaced(shared.settings.client.clone(), namespace);
    match api.get_opt(name).await {
        Ok(Some(pod)) => Ok(pod),
        Ok(None) => {
            let message = format!("pod \"{name}\" not found\n");
            Err(Box::new(text(StatusCode::NOT_FOUND, &message)))
        }
        Err(error) => Err(Box::new(text(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()))),
    }
}

fn text(status: StatusCode, message: &str) -> Answer {
    let body = Full::new(Bytes::copy_from_slice(message.as_bytes()));
    let mut answer = Response::new(body.boxed_unsync());
    *answer.status_mut() = status;
    let plain = http::HeaderValue::from_static("text/plain; charset=utf-8");
    answer.headers_mut().insert(http::header::CONTENT_TYPE, plain);
    answer
}

/// The parameters of a request.
struct Query(Vec<(String, String)>);

impl Query {
    fn of<T>(request: &Request<T>) -> Self {
        let query = request.uri().query().unwrap_or_default();
        let decode = |text: &str| {
            let text = text.replace('+', " ");
            percent_encoding::percent_decode_str(&text).decode_utf8_lossy().into_owned()
        };
        let pair = |pair: &str| match pair.split_once('=') {
            Some((name, value)) => (decode(name), decode(value)),
            None => (decode(pair), String::new()),
        };
        Self(query.split('&').filter(|part| !part.is_empty()).map(pair).collect())
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    fn flag(&self, name: &str) -> bool {
        matches!(self.text(name), Some("1" | "true"))
    }

    fn all(&self, name: &str) -> Vec<String> {
        self.0.iter().filter(|(key, _)| key == name).map(|(_, value)| value.clone()).collect()
    }
}
