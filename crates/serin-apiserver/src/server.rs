//! The server: what it is made of, how it starts, and the way of a request through it.
//!
//! A request is read (`request`), its maker is identified and checked, it is carried out by a verb, and the answer is
//! written in the form that the client takes. Sockets are no concern of this module: [`crate::listen`] brings requests from
//! outside, [`ApiServer::client`] those of the same process.

pub(crate) mod aggregate;
pub(crate) mod furniture;
mod keys;
mod other;
mod permit;
pub(crate) mod request;
mod start;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::BodyExt as _;
use serde_json::Value;
use serin_objects::{Catalog, Resource, Status};
use tokio::net::TcpStream;
use tokio::sync::watch;

use crate::access::audit::Audit;
use crate::access::authn::Authenticator;
use crate::access::jwt::TokenKeyError;
use crate::access::pki::{Authority, PkiError};
use crate::access::rbac::Rbac;
use crate::access::{Access, User};
use crate::admission::Admission;
use crate::admission::policies::Policies;
use crate::admission::webhooks::Webhooks;
use crate::documents::Documents;
use crate::http::Body;
use crate::local::LocalService;
use crate::store::{self, Store, StoreError};
use crate::verbs::services::GivenOut;

/// What a server is started with.
#[derive(Clone, Default)]
pub struct Settings {
    /// The folder of the store; without one everything is in memory and ends with the process.
    pub data_dir: Option<PathBuf>,
    /// CustomResourceDefinitions that are there from the start.
    pub definitions: Vec<Value>,
    /// The kubelet of the one node, with the paths of a real one: logs, exec, attach and port forwarding go there.
    pub kubelet: Option<LocalService>,
    /// Groups that are served elsewhere, by `group/version`: `metrics.k8s.io/v1beta1`. They answer discovery of their own.
    pub aggregated: BTreeMap<String, LocalService>,
    /// Admission plug-ins, in the order in which they are asked.
    pub admission: Vec<Arc<dyn Admission>>,
    /// How pods are reached, for webhooks behind Services; without it, over the network of this machine.
    pub network: Option<Network>,
    /// Where requests are recorded, one JSON object a line; without it they are not.
    pub audit_log: Option<PathBuf>,
}

/// Opens a connection to an address of a pod.
pub type Network = Arc<dyn Fn(SocketAddr) -> Connecting + Send + Sync>;

/// A connection that is being opened.
pub type Connecting = Pin<Box<dyn Future<Output = std::io::Result<TcpStream>> + Send>>;

/// Why a server could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Certificates.
    #[error(transparent)]
    Pki(#[from] PkiError),
    /// The audit log.
    #[error("cannot write the audit log {path}: {source}")]
    Audit {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The key of tokens.
    #[error(transparent)]
    Tokens(#[from] TokenKeyError),
    /// An object that has to be there could not be made.
    #[error("cannot make {what}: {}", .status.message)]
    Bootstrap {
        /// Which.
        what: String,
        /// What the API said.
        status: Box<Status>,
    },
}

/// The API server. Clones are the same server.
#[derive(Clone)]
pub struct ApiServer {
    pub(crate) inner: Arc<Inner>,
}

/// The parts of the server.
pub(crate) struct Inner {
    pub(crate) store: Store,
    pub(crate) catalog: ArcSwap<Catalog>,
    pub(crate) authn: Authenticator,
    pub(crate) rbac: Rbac,
    pub(crate) authority: Authority,
    pub(crate) documents: Documents,
    pub(crate) kubelet: Option<LocalService>,
    pub(crate) aggregated: BTreeMap<String, LocalService>,
    pub(crate) admission: Vec<Arc<dyn Admission>>,
    pub(crate) webhooks: Webhooks,
    pub(crate) policies: Policies,
    pub(crate) network: Option<Network>,
    /// Whether the APIServices are about to be brought up to date.
    pub(crate) registering: AtomicBool,
    /// Held while what is given out, or what exists, is read and then written: Services and definitions.
    pub(crate) exclusive: tokio::sync::Mutex<()>,
    pub(crate) given_out: Mutex<GivenOut>,
    /// Held while it is looked whether a share is left, and until it is used.
    pub(crate) shares: tokio::sync::Mutex<()>,
    /// Namespaces whose shares are about to be counted.
    pub(crate) recounted: Mutex<std::collections::BTreeSet<String>>,
    pub(crate) audit: Option<Audit>,
    /// Turns true when the server stops: watches end then.
    pub(crate) stopping: watch::Sender<bool>,
}

impl ApiServer {
    /// Opens the store, makes what has to be there, and starts the controllers inside. Needs a tokio runtime.
    ///
    /// # Errors
    /// Fails where the store cannot be used or holds something that cannot be read.
    pub async fn start(settings: Settings) -> Result<Self, StartError> {
        start::start(settings).await
    }

    /// A client in this process: a service that takes requests as `user`, without a socket.
    pub fn client(&self, user: User) -> Connection {
        Connection { server: self.clone(), user: Some(user), peer: None }
    }

    /// A client in this process whose requests have to prove who makes them, as if they came from outside.
    pub fn stranger(&self) -> Connection {
        Connection { server: self.clone(), user: None, peer: None }
    }

    /// How a user's tools reach the server as its administrator when it listens at `address`.
    pub fn access(&self, address: SocketAddr) -> Access {
        Access {
            url: format!("https://{address}"),
            authority: self.inner.authority.pem().to_owned(),
            token: self.inner.authn.administrator().to_owned(),
        }
    }

    /// A certificate and key, as PEM, that say a client is `user` in `groups`.
    ///
    /// # Errors
    /// Fails where none can be made.
    pub fn client_certificate(
        &self,
        user: &str,
        groups: &[&str],
    ) -> Result<(String, String), PkiError> {
        let pair = self.inner.authority.client(user, groups)?;
        Ok((pair.certificate, pair.key))
    }

    /// Ends all watches; requests that are under way are finished.
    pub fn stop(&self) {
        self.inner.stopping.send_replace(true);
    }

    /// Whether anything else uses the server: another handle, a request, or work that goes on beside them.
    pub fn is_shared(&self) -> bool {
        Arc::strong_count(&self.inner) > 1
    }

    /// One request of a part of the server itself, through the same door as all others.
    pub(crate) async fn ask(
        &self,
        user: &User,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, Status> {
        // Who owns the fields that the server itself writes, by the names that users know.
        let agent = if user.name.ends_with(":bootstrap") {
            "kube-apiserver"
        } else {
            "kube-controller-manager"
        };
        let mut request =
            Request::builder().method(method).uri(path).header(http::header::USER_AGENT, agent);
        if body.is_some() {
            request = request.header(http::header::CONTENT_TYPE, "application/json");
        }
        let bytes = body.map(|body| Bytes::from(body.to_string())).unwrap_or_default();
        let request = request.body(Body::from(bytes)).map_err(Status::internal)?;
        let response = self.handle(Some(user.clone()), None, request).await;
        let code = response.status();
        let bytes = match response.into_body().collect().await {
            Ok(body) => body.to_bytes(),
            Err(never) => match never {},
        };
        let value: Value = serde_json::from_slice(&bytes).map_err(Status::internal)?;
        if code.is_success() { Ok(value) } else { Err(status_of(&value)) }
    }

    /// The resource at a path, if it is served.
    pub(crate) fn resource(
        &self,
        group: &str,
        version: &str,
        plural: &str,
    ) -> Option<Arc<Resource>> {
        self.inner.catalog.load().find(group, version, plural).cloned()
    }
}

/// A failure that came back as an object.
fn status_of(value: &Value) -> Status {
    let text = |name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default();
    let code = value.get("code").and_then(Value::as_u64).and_then(|code| u16::try_from(code).ok());
    Status::new(code.unwrap_or(500), text("reason"), text("message"))
}

/// Requests of one client whose certificate, or whose place in this process, may have told who it is.
#[derive(Clone)]
pub struct Connection {
    server: ApiServer,
    user: Option<User>,
    /// Where it comes from; nowhere, in this process.
    peer: Option<IpAddr>,
}

impl Connection {
    pub(crate) const fn new(server: ApiServer, user: Option<User>, peer: IpAddr) -> Self {
        Self { server, user, peer: Some(peer) }
    }
}

impl<B> tower::Service<Request<B>> for Connection
where
    B: http_body::Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let server = self.server.clone();
        let (user, peer) = (self.user.clone(), self.peer);
        Box::pin(async move { Ok(server.handle(user, peer, request).await) })
    }
}

/// Settings of the store.
fn store_settings(settings: &Settings) -> store::Settings {
    match &settings.data_dir {
        Some(folder) => store::Settings::folder(folder),
        None => store::Settings::in_memory(),
    }
}
