//! HTTP requests of probes and hooks, sent from inside of the pod; over TLS where they ask for it.

mod tls;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::{Container, HTTPGetAction};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::AbortHandle;

use crate::sandbox::Sandbox;

/// How much of an answer is read, as a kubelet does.
const BODY: usize = 10 << 10;

/// A request.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    is_secure: bool,
    address: SocketAddr,
    host: String,
    path: String,
    headers: Vec<(String, String)>,
}

/// An answer.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    /// Its status.
    pub status: u16,
}

/// The number of a port that is named by number or by a container's name for it.
pub(crate) fn port(port: &IntOrString, container: Option<&Container>) -> Result<u16, String> {
    let number = match port {
        IntOrString::Int(number) => Some(*number),
        IntOrString::String(name) => match name.parse() {
            Ok(number) => Some(number),
            Err(_) => container
                .and_then(|container| container.ports.as_ref())
                .and_then(|ports| ports.iter().find(|port| port.name.as_ref() == Some(name)))
                .map(|port| port.container_port),
        },
    };
    number
        .and_then(|number| u16::try_from(number).ok())
        .ok_or_else(|| format!("couldn't resolve port {port:?} of the container"))
}

/// The address that a probe of a pod connects to.
pub(crate) fn address(host: Option<&str>, sandbox: &Sandbox) -> Result<IpAddr, String> {
    match host.filter(|host| !host.is_empty() && *host != "localhost") {
        Some(host) => host.parse().map_err(|_| format!("{host} is not an address")),
        None => Ok(sandbox.address().unwrap_or(Ipv4Addr::LOCALHOST).into()),
    }
}

/// The request that an action describes.
pub(crate) fn of_action(
    action: &HTTPGetAction,
    container: Option<&Container>,
    sandbox: &Sandbox,
) -> Result<Asked, String> {
    let is_secure = action.scheme.as_deref() == Some("HTTPS");
    let ip = address(action.host.as_deref(), sandbox)?;
    let address = SocketAddr::new(ip, port(&action.port, container)?);
    let path = action.path.as_deref().unwrap_or("/");
    let mut headers: Vec<_> = action
        .http_headers
        .iter()
        .flatten()
        .map(|header| (header.name.clone(), header.value.clone()))
        .collect();
    let given = headers.iter().position(|(name, _)| name.eq_ignore_ascii_case("host"));
    let host = given.map_or_else(|| address.to_string(), |at| headers.remove(at).1);
    let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    Ok(Asked { is_secure, address, host, path, headers })
}

/// Sends a request and reads the answer.
pub(crate) async fn get(sandbox: &Sandbox, asked: &Asked) -> Result<Answer, String> {
    let scheme = if asked.is_secure { "https" } else { "http" };
    let url = format!("{scheme}://{}{}", asked.address, asked.path);
    let failed = |error: &dyn std::fmt::Display| format!("Get \"{url}\": {error}");
    let stream = sandbox.connect(asked.address).await.map_err(|error| {
        let text = if error.kind() == std::io::ErrorKind::ConnectionRefused {
            "connect: connection refused".to_owned()
        } else {
            error.to_string()
        };
        failed(&format!("dial tcp {}: {text}", asked.address))
    })?;
    let (mut sender, driver) = if asked.is_secure {
        let stream = tls::connect(asked.address.ip(), stream).await;
        begin(stream.map_err(|error| failed(&error))?).await
    } else {
        begin(stream).await
    }
    .map_err(|error| failed(&error))?;
    let mut request = Request::get(&asked.path).header(http::header::HOST, &asked.host);
    let has =
        |wanted: &str| asked.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(wanted));
    if !has("user-agent") {
        request = request.header(http::header::USER_AGENT, "kube-probe/1.33");
    }
    if !has("accept") {
        request = request.header(http::header::ACCEPT, "*/*");
    }
    request = request.header(http::header::CONNECTION, "close");
    for (name, value) in &asked.headers {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|error| failed(&error))?;
        let value = HeaderValue::from_str(value).map_err(|error| failed(&error))?;
        request = request.header(name, value);
    }
    let request = request.body(Empty::<Bytes>::new()).map_err(|error| failed(&error))?;
    let answer = sender.send_request(request).await.map_err(|error| failed(&error))?;
    let status = answer.status().as_u16();
    // The body is taken so that the server sees a whole exchange; what is too long, or breaks off, does not change the status.
    let _ = Limited::new(answer.into_body(), BODY).collect().await;
    driver.abort();
    Ok(Answer { status })
}

/// Begins HTTP on a connection: what sends requests, and the task that carries them.
async fn begin(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
) -> hyper::Result<(SendRequest<Empty<Bytes>>, AbortHandle)> {
    let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    Ok((sender, tokio::spawn(connection).abort_handle()))
}
