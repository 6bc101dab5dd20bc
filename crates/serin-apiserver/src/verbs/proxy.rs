//! `proxy` of pods, Services and nodes: a request goes on to what listens there, and its answer comes back.
//!
//! Pods are reached over the server's network seam, nodes through the kubelet. Upgrades and targets that speak TLS are not
//! passed on.

use std::net::SocketAddr;

use bytes::Bytes;
use futures_util::StreamExt as _;
use http::header::{self, HOST, HeaderName};
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use serin_objects::Status;
use tokio::net::TcpStream;

use crate::admission::call::resolve;
use crate::http::Body;
use crate::local;
use crate::server::ApiServer;
use crate::server::aggregate::request_to;
use crate::server::request::{Call, key_of};

/// Headers of one connection, and what is said to this server only.
const PRIVATE: &[HeaderName] = &[
    header::AUTHORIZATION,
    header::CONNECTION,
    header::CONTENT_LENGTH,
    HOST,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// What is meant: `[SCHEME:]NAME[:PORT]`.
struct Meant<'c> {
    scheme: &'c str,
    name: &'c str,
    port: &'c str,
}

impl<'c> Meant<'c> {
    fn read(text: &'c str) -> Option<Self> {
        Some(match text.split(':').collect::<Vec<_>>().as_slice() {
            [name] => Self { scheme: "http", name, port: "" },
            [name, port] => Self { scheme: "http", name, port },
            [scheme @ ("http" | "https" | ""), name, port] => {
                Self { scheme: if scheme.is_empty() { "http" } else { scheme }, name, port }
            }
            _ => return None,
        })
    }
}

/// Passes a request on.
pub(super) async fn pass(server: &ApiServer, call: &Call) -> Result<Response<Body>, Status> {
    let meant = Meant::read(call.object_name())
        .ok_or_else(|| Status::bad_request(format!("invalid name {:?}", call.object_name())))?;
    let stored = server.inner.store.object(&call.storage(), &key_of(&call.namespace, meant.name));
    let object = stored.ok_or_else(|| Status::not_found(&call.resource, meant.name))?.value();
    if call.resource.kind == "Node" {
        return to_node(server, call).await;
    }
    if meant.scheme == "https" {
        let why = "a target that speaks TLS is not served; forward a port to it";
        return Err(Status::new(501, "NotImplemented", why));
    }
    let address = match call.resource.kind.as_str() {
        "Service" => service(server, call, &meant, &object),
        _ => pod(&meant, &object),
    }?;
    to_pod(server, call, address).await.map_err(|why| {
        let why = format!("error trying to reach service: {why}");
        Status::new(503, "ServiceUnavailable", why)
    })
}

/// Where a pod listens: at the port that is asked for, or the first that it names.
fn pod(meant: &Meant<'_>, pod: &Value) -> Result<SocketAddr, Status> {
    let ports = || {
        let all = pod["spec"]["containers"].as_array().into_iter().flatten();
        all.flat_map(|it| it["ports"].as_array().into_iter().flatten())
    };
    let port = match meant.port {
        "" => ports().next().map_or(Some(80), |it| it["containerPort"].as_u64()),
        text => text.parse().ok().or_else(|| {
            ports().find(|it| it["name"] == text).and_then(|it| it["containerPort"].as_u64())
        }),
    };
    let port = port.and_then(|port| u16::try_from(port).ok());
    let port = port.ok_or_else(|| {
        Status::bad_request(format!("invalid port {:?} of pod {:?}", meant.port, meant.name))
    })?;
    let ip = pod["status"]["podIP"].as_str().and_then(|ip| ip.parse().ok());
    let ip = ip.ok_or_else(|| Status::bad_request("address not allowed"))?;
    Ok(SocketAddr::new(ip, port))
}

/// A pod that is ready behind a Service.
fn service(
    server: &ApiServer,
    call: &Call,
    meant: &Meant<'_>,
    service: &Value,
) -> Result<SocketAddr, Status> {
    let unavailable = |why: String| Status::new(503, "ServiceUnavailable", why);
    let ports = service["spec"]["ports"].as_array().map(Vec::as_slice).unwrap_or_default();
    let number = |it: &Value| it["port"].as_u64().and_then(|port| u16::try_from(port).ok());
    let port = match (meant.port, ports) {
        ("", [only]) => number(only),
        (text, all) => all
            .iter()
            .find(|it| it["name"] == text || text.parse().is_ok_and(|port: u64| it["port"] == port))
            .and_then(number),
    };
    let port = port.ok_or_else(|| {
        let (port, name) = (meant.port, meant.name);
        unavailable(format!("no service port {port:?} found for service {name:?}"))
    })?;
    resolve(server, &call.namespace, meant.name, port).map_err(unavailable)
}

async fn to_pod(
    server: &ApiServer,
    call: &Call,
    address: SocketAddr,
) -> Result<Response<Body>, String> {
    let text = |error: hyper::Error| error.to_string();
    let stream = match &server.inner.network {
        Some(connect) => connect(address).await,
        None => TcpStream::connect(address).await,
    };
    let stream = stream.map_err(|error| format!("dial tcp {address}: {error}"))?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(text)?;
    // How it ends shows in the answer.
    tokio::spawn(async move { drop(connection.await) });
    let mut request = Request::builder().method(call.method.clone()).uri(&call.rest);
    for (name, value) in call.headers.iter().filter(|(name, _)| !PRIVATE.contains(name)) {
        request = request.header(name, value);
    }
    let request = request.header(HOST, address.to_string()).body(Full::new(call.body.clone()));
    let request = request.map_err(|error| error.to_string())?;
    let (mut head, body) = sender.send_request(request).await.map_err(text)?.into_parts();
    for name in PRIVATE {
        head.headers.remove(name);
    }
    let pieces = body.into_data_stream().take_while(|piece| std::future::ready(piece.is_ok()));
    let pieces = pieces.map(|piece: Result<Bytes, _>| piece.unwrap_or_default());
    Ok(Response::from_parts(head, Body::stream(pieces)))
}

async fn to_node(server: &ApiServer, call: &Call) -> Result<Response<Body>, Status> {
    let Some(kubelet) = &server.inner.kubelet else {
        let why = "this server has no node: it stores pods and does not run them";
        return Err(Status::new(501, "NotImplemented", why));
    };
    let (method, extensions) = (call.method.clone(), call.extensions.clone());
    let request = request_to(call.rest.clone(), method, &call.user, &call.headers, extensions);
    Ok(local::ask(kubelet, request).await.map(Body::of))
}
