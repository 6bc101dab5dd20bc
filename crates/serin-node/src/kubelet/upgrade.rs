//! From a request to a stream in both directions: WebSocket or SPDY.

use bytes::Bytes;
use http::header::{
    CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, UPGRADE,
};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Empty};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::{Answer, text};

/// The header by which SPDY clients name protocols, and are told which was chosen.
const STREAM_PROTOCOL: &str = "x-stream-protocol-version";
/// What clients put before a protocol that they speak by SPDY inside of a WebSocket.
pub(super) const TUNNEL: &str = "SPDY/3.1+";

/// A raw stream.
pub(super) type Raw = TokioIo<Upgraded>;
/// A WebSocket.
pub(super) type Socket = WebSocketStream<Raw>;

/// A stream, as the client wants it, with the protocol that was agreed on.
pub(super) enum Stream {
    /// WebSocket messages.
    Messages(Box<Socket>, String),
    /// SPDY.
    Spdy(Raw),
    /// SPDY, carried in the messages of a WebSocket.
    Tunnel(Box<Socket>),
}

/// Which protocols a request can be served with, best first.
pub(super) struct Protocols {
    /// For WebSockets.
    pub messages: &'static [&'static str],
    /// For SPDY.
    pub spdy: &'static [&'static str],
}

/// The answer that begins a stream, and the stream once it has begun; or an answer that says why there is none.
pub(super) fn upgrade(
    request: &mut Request<()>,
    protocols: &Protocols,
) -> Result<(Answer, impl Future<Output = Option<Stream>> + Send + use<>), Box<Answer>> {
    let headers = request.headers().clone();
    let wanted = headers.get(UPGRADE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let wanted = wanted.to_ascii_lowercase();
    let refuse = |message: &str| Box::new(text(StatusCode::BAD_REQUEST, message));
    let mut answer = Response::new(Empty::<Bytes>::new().boxed_unsync());
    *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let out = answer.headers_mut();
    out.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    let chosen = if wanted == "websocket" {
        let key =
            headers.get(SEC_WEBSOCKET_KEY).ok_or_else(|| refuse("a WebSocket needs a key"))?;
        let accept = derive_accept_key(key.as_bytes());
        out.insert(UPGRADE, HeaderValue::from_static("websocket"));
        set(out, SEC_WEBSOCKET_ACCEPT, &accept);
        let offered = list(&headers, &SEC_WEBSOCKET_PROTOCOL);
        let chosen = choose_message_protocol(&offered, protocols);
        let chosen = chosen.ok_or_else(|| refuse("no protocol that is served was offered"))?;
        if !offered.is_empty() {
            set(out, SEC_WEBSOCKET_PROTOCOL, &chosen);
        }
        Some(chosen)
    } else if wanted == "spdy/3.1" {
        let header = HeaderName::from_static(STREAM_PROTOCOL);
        let offered = list(&headers, &header);
        let chosen = protocols.spdy.iter().find(|one| offered.iter().any(|it| it == *one));
        let chosen = chosen.ok_or_else(|| refuse("no protocol that is served was offered"))?;
        out.insert(UPGRADE, HeaderValue::from_static("SPDY/3.1"));
        set(out, header, chosen);
        None
    } else {
        return Err(refuse("unable to upgrade: a WebSocket or SPDY/3.1 is needed"));
    };
    let on_upgrade = request
        .extensions_mut()
        .remove::<OnUpgrade>()
        .ok_or_else(|| refuse("this connection cannot be upgraded"))?;
    let begun = async move {
        let raw = match on_upgrade.await {
            Ok(raw) => TokioIo::new(raw),
            Err(error) => {
                tracing::debug!(%error, "a connection was not upgraded");
                return None;
            }
        };
        let Some(chosen) = chosen else { return Some(Stream::Spdy(raw)) };
        let socket = Box::new(WebSocketStream::from_raw_socket(raw, Role::Server, None).await);
        Some(if chosen.starts_with(TUNNEL) {
            Stream::Tunnel(socket)
        } else {
            Stream::Messages(socket, chosen)
        })
    };
    Ok((answer, begun))
}

fn choose_message_protocol(offered: &[String], protocols: &Protocols) -> Option<String> {
    if offered.is_empty() {
        return protocols.messages.last().map(|&one| one.to_owned());
    }
    let plain = protocols.messages.iter().find(|one| offered.iter().any(|it| it == *one));
    let tunnel = || {
        offered
            .iter()
            .find(|it| it.strip_prefix(TUNNEL).is_some_and(|inner| protocols.spdy.contains(&inner)))
    };
    plain.map(|&one| one.to_owned()).or_else(|| tunnel().cloned())
}

fn list(headers: &HeaderMap, name: &HeaderName) -> Vec<String> {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(|one| one.trim().to_owned()).collect()
}

fn set(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}
