//! Calls over HTTP to hooks, metrics and those who are told: one connection each, with a limit of time and size. Redirects are
//! followed, and credentials stay with the host that they were given for.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::future::BoxFuture;
use http::{Method, Uri, header};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};

mod credentials;
mod proxy;
mod redirect;
mod trust;

pub use trust::Trust;

/// An answer may be this large.
const LARGEST: usize = 4 << 20;

/// A connection.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// How a host is reached. In a cluster its name resolver knows Services; elsewhere someone else must.
pub trait Dial: Send + Sync {
    /// Connects to a port of a host.
    fn dial<'a>(&'a self, host: &'a str, port: u16) -> BoxFuture<'a, io::Result<Box<dyn Stream>>>;
}

/// Hosts as the system resolves and reaches them.
#[derive(Clone, Copy, Debug, Default)]
pub struct System;

impl Dial for System {
    fn dial<'a>(&'a self, host: &'a str, port: u16) -> BoxFuture<'a, io::Result<Box<dyn Stream>>> {
        Box::pin(async move {
            let stream = tokio::net::TcpStream::connect((host, port)).await?;
            Ok(Box::new(stream) as Box<dyn Stream>)
        })
    }
}

/// A request.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) method: Method,
    pub(crate) url: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Bytes,
    pub(crate) timeout: Duration,
    /// Whether the server's certificate must be in order.
    pub(crate) verify: bool,
    /// The address of a proxy that leads there; empty is none.
    pub(crate) proxy: String,
}

impl Call {
    /// A question without a body.
    pub(crate) fn get(url: String, timeout: Duration) -> Self {
        Self {
            method: Method::GET,
            url,
            headers: Vec::new(),
            body: Bytes::new(),
            timeout,
            verify: true,
            proxy: String::new(),
        }
    }

    /// JSON that is sent.
    pub(crate) fn post(url: String, body: &Value, timeout: Duration) -> Self {
        let mut call = Self::get(url, timeout);
        call.method = Method::POST;
        call.headers = vec![("content-type".to_owned(), "application/json".to_owned())];
        call.body = Bytes::from(body.to_string());
        call
    }
}

/// An answer.
#[derive(Clone, Debug)]
pub(crate) struct Answered {
    pub(crate) status: u16,
    pub(crate) body: Bytes,
    /// Where to ask instead.
    location: Option<String>,
}

impl Answered {
    /// The beginning of the body as text, for messages; of JSON, the message in it.
    fn excerpt(&self) -> String {
        let json: Option<Value> = serde_json::from_slice(&self.body).ok();
        let said = json.as_ref().and_then(|it| it.get("error").or_else(|| it.get("message")));
        let text = match said.and_then(Value::as_str) {
            Some(said) => said.into(),
            None => String::from_utf8_lossy(&self.body),
        };
        text.trim().chars().take(200).collect()
    }

    /// What a server says that does not do what it is asked for.
    pub(crate) fn refusal(&self) -> String {
        match self.excerpt() {
            text if text.is_empty() => format!("status {}", self.status),
            text => format!("status {}: {text}", self.status),
        }
    }
}

/// The parameters of a URL. Everything but letters, digits and the unreserved signs is written as `%XX`.
pub(crate) fn query(parameters: &[(&str, &str)]) -> String {
    let parameters = parameters.iter().map(|(key, value)| format!("{key}={}", escaped(value)));
    parameters.collect::<Vec<_>>().join("&")
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len() * 2);
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    escaped
}

/// Fetches a document; what went wrong in plain words.
///
/// # Errors
/// It is not there, too large, or took too long.
pub async fn fetch(
    dial: Arc<dyn Dial>,
    trust: Trust,
    url: &str,
    limit: Duration,
) -> Result<Bytes, String> {
    let answered = Caller::new(dial, trust).call(&Call::get(url.to_owned(), limit)).await?;
    if answered.status == 200 { Ok(answered.body) } else { Err(answered.refusal()) }
}

/// Makes calls.
#[derive(Clone)]
pub(crate) struct Caller {
    dial: Arc<dyn Dial>,
    trust: Trust,
}

impl Caller {
    pub(crate) fn new(dial: Arc<dyn Dial>, trust: Trust) -> Self {
        Self { dial, trust }
    }

    /// Makes a call; what went wrong in plain words.
    pub(crate) async fn call(&self, call: &Call) -> Result<Answered, String> {
        // On the heap: it is part of everything that makes calls, and large.
        match tokio::time::timeout(call.timeout, Box::pin(self.follow(call))).await {
            Ok(answer) => answer,
            Err(_) => Err(format!("no answer within {} ms", call.timeout.as_millis())),
        }
    }

    /// The answer at the end of all redirects.
    async fn follow(&self, call: &Call) -> Result<Answered, String> {
        let mut answer = self.exchange(call).await?;
        let mut call = call.clone();
        for _ in 0..redirect::MOST {
            let Some(next) = redirect::next(&call, answer.status, answer.location.as_deref())?
            else {
                return Ok(answer);
            };
            call = next;
            answer = self.exchange(&call).await?;
        }
        Err(format!("more than {} redirects", redirect::MOST))
    }

    async fn exchange(&self, call: &Call) -> Result<Answered, String> {
        let place = Place::of(&call.url)?;
        let (mut stream, through) = if call.proxy.is_empty() {
            (self.connect(&place).await?, false)
        } else {
            let proxy = Place::of(&call.proxy)?;
            let mut stream = self.connect(&proxy).await?;
            if proxy.is_secure {
                stream = self.secure(stream, &proxy, call.verify).await?;
            }
            if place.is_secure {
                proxy::tunnel(&mut stream, &proxy, &place).await?;
            }
            (stream, !place.is_secure)
        };
        if place.is_secure {
            stream = self.secure(stream, &place, call.verify).await?;
        }
        send(stream, &place, call, through).await
    }

    async fn connect(&self, place: &Place) -> Result<Box<dyn Stream>, String> {
        let Place { host, port, .. } = place;
        let stream = self.dial.dial(host, *port).await;
        stream.map_err(|error| format!("{host}:{port} cannot be reached: {error}"))
    }

    async fn secure(
        &self,
        stream: Box<dyn Stream>,
        place: &Place,
        verify: bool,
    ) -> Result<Box<dyn Stream>, String> {
        let Place { host, port, .. } = place;
        let name =
            ServerName::try_from(host.clone()).map_err(|error| format!("{host}: {error}"))?;
        let connector = tokio_rustls::TlsConnector::from(self.trust.client(verify)?);
        let secured = connector.connect(name, stream).await;
        Ok(Box::new(secured.map_err(|error| format!("TLS with {host}:{port}: {error}"))?))
    }
}

/// Where an address leads.
struct Place {
    uri: Uri,
    host: String,
    port: u16,
    is_secure: bool,
}

impl Place {
    fn of(url: &str) -> Result<Self, String> {
        let uri: Uri = url.parse().map_err(|error| format!("{url:?} is no address: {error}"))?;
        let host = uri.host().ok_or_else(|| format!("{url:?} names no host"))?;
        let host = host.trim_matches(['[', ']']).to_owned();
        let is_secure = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(format!("{url:?} is neither http:// nor https://")),
        };
        let port = uri.port_u16().unwrap_or(if is_secure { 443 } else { 80 });
        Ok(Self { uri, host, port, is_secure })
    }
}

/// Sends a call; to a proxy, which passes it on, with the whole of its address.
async fn send(
    stream: Box<dyn Stream>,
    place: &Place,
    call: &Call,
    through: bool,
) -> Result<Answered, String> {
    let uri = &place.uri;
    let failed = |error: hyper::Error| format!("{}:{}: {error}", place.host, place.port);
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(failed)?;
    let path = uri.path_and_query().map_or("/", |it| it.as_str());
    let host = uri.authority().map_or("", |it| it.as_str().rsplit('@').next().unwrap_or_default());
    let mut request = http::Request::builder()
        .method(call.method.clone())
        .uri(if through { format!("http://{host}{path}") } else { path.to_owned() })
        .header(header::HOST, host)
        .header(header::USER_AGENT, concat!("serin/", env!("CARGO_PKG_VERSION")));
    let proxy = call.proxy.parse::<Uri>().ok().filter(|_| through);
    if let Some(credentials) = proxy.as_ref().and_then(credentials::of) {
        request = request.header(header::PROXY_AUTHORIZATION, credentials);
    }
    let is_said = call.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("authorization"));
    if let Some(credentials) = credentials::of(uri).filter(|_| !is_said) {
        request = request.header(header::AUTHORIZATION, credentials);
    }
    for (name, value) in &call.headers {
        request = request.header(name, value);
    }
    let request = request.body(Full::new(call.body.clone())).map_err(|error| error.to_string())?;
    let answer = async {
        let answer = sender.send_request(request).await.map_err(failed)?;
        let (head, mut body) = answer.into_parts();
        let mut bytes = BytesMut::new();
        while let Some(frame) = body.frame().await {
            if let Ok(data) = frame.map_err(failed)?.into_data() {
                bytes.extend_from_slice(&data);
            }
            if bytes.len() > LARGEST {
                return Err(format!("the answer is larger than {} MiB", LARGEST >> 20));
            }
        }
        let location = head.headers.get(header::LOCATION).and_then(|it| it.to_str().ok());
        let location = location.map(str::to_owned);
        Ok(Answered { status: head.status.as_u16(), body: bytes.freeze(), location })
    };
    // The connection ends with the exchange, whichever is over first.
    let mut connection = std::pin::pin!(connection);
    let mut answer = std::pin::pin!(answer);
    tokio::select! {
        biased;
        answer = &mut answer => answer,
        ended = &mut connection => {
            if let Err(error) = ended {
                return Err(failed(error));
            }
            answer.await
        }
    }
}
