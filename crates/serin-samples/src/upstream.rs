//! How one service calls another: a connection for each call, a limit of time and a limit of length.
//!
//! A connection for each call, because where nothing but a Service stands between, connections are what is balanced: calls over one
//! that is kept would all reach the same pod.

use std::io::Write;
use std::time::Duration;

use bytes::Bytes;
use http::header::HOST;
use http::{HeaderMap, HeaderValue, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// The longest body that is read.
const MAX_BODY: usize = 1 << 20;

/// A service that is called: `http://HOST[:PORT][/PATH]`.
#[derive(Clone, Debug)]
pub(crate) struct Upstream {
    host: String,
    port: u16,
    path: String,
    timeout: Duration,
}

/// A URL that no service can be called by.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is no URL of the form http://HOST[:PORT][/PATH]")]
pub struct BadUrl(String);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    #[error("cannot connect to {0}: {1}")]
    Connect(String, std::io::Error),
    #[error("{0} does not speak HTTP/1.1, or hung up: {1}")]
    Exchange(String, hyper::Error),
    #[error("the body of {0} broke off, or is too long: {1}")]
    Body(String, Box<dyn std::error::Error + Send + Sync>),
    #[error("{0} did not answer within {1:?}")]
    TimedOut(String, Duration),
}

/// What a service answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) body: Bytes,
}

impl Upstream {
    pub(crate) fn new(host: impl Into<String>, port: u16, timeout: Duration) -> Self {
        Self { host: host.into(), port, path: "/".to_owned(), timeout }
    }

    pub(crate) fn parse(url: &str, timeout: Duration) -> Result<Self, BadUrl> {
        let bad = || BadUrl(url.to_owned());
        let uri: Uri = url.parse().map_err(|_| bad())?;
        let host = uri.host().filter(|_| uri.scheme_str() == Some("http")).ok_or_else(bad)?;
        let mut upstream = Self::new(host, uri.port_u16().unwrap_or(80), timeout);
        upstream.path = uri.path_and_query().map_or("/", |it| it.as_str()).to_owned();
        Ok(upstream)
    }

    /// The path of its URL.
    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// `HOST` or `HOST:PORT`, as in a Host header.
    pub(crate) fn authority(&self) -> String {
        if self.port == 80 { self.host.clone() } else { format!("{}:{}", self.host, self.port) }
    }

    /// Asks for a path with these headers.
    pub(crate) async fn get(&self, path: &str, headers: HeaderMap) -> Result<Answer, CallError> {
        let call = self.exchange(path, headers);
        let late = |_| CallError::TimedOut(self.authority(), self.timeout);
        let answer = tokio::time::timeout(self.timeout, call).await.map_err(late).flatten();
        if let Err(error) = &answer {
            // What a client is told is less. Nobody may be reading the log.
            let _ = writeln!(std::io::stderr(), "{error}");
        }
        answer
    }

    async fn exchange(&self, path: &str, headers: HeaderMap) -> Result<Answer, CallError> {
        let name = || self.authority();
        // Brackets belong to URLs; the resolver does not know them.
        let host = self.host.trim_matches(['[', ']']);
        let stream = TcpStream::connect((host, self.port)).await;
        let stream = stream.map_err(|error| CallError::Connect(name(), error))?;
        let broken = |error| CallError::Exchange(name(), error);
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
        // Ends by itself: with its sender, or with the peer.
        tokio::spawn(connection);
        let mut request = Request::new(Empty::<Bytes>::new());
        *request.uri_mut() = path.parse().unwrap_or_default();
        *request.headers_mut() = headers;
        let host = HeaderValue::from_str(&name());
        request.headers_mut().insert(HOST, host.unwrap_or_else(|_| HeaderValue::from_static("")));
        let answer = sender.send_request(request).await.map_err(broken)?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), MAX_BODY).collect().await;
        let body = body.map_err(|error| CallError::Body(name(), error))?;
        Ok(Answer { status, body: body.to_bytes() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_named_by_a_plain_http_url() {
        let check = |url: &str, expect: Option<(&str, &str)>| {
            let upstream = Upstream::parse(url, Duration::from_secs(1)).ok();
            let got = upstream.map(|it| (it.authority(), it.path().to_owned()));
            assert_eq!(got, expect.map(|(a, p)| (a.to_owned(), p.to_owned())), "{url}");
        };
        check("http://appb:8000/", Some(("appb:8000", "/")));
        check("http://appb:8000", Some(("appb:8000", "/")));
        check("http://appb/a?b=c", Some(("appb", "/a?b=c")));
        check("https://appb:8000/", None);
        check("appb:8000", None);
        check("", None);
    }
}
