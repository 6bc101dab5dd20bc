//! One request on a connection: the way out for its body, and the answer as it comes back, in either version of HTTP.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::Poll;

use h2::client::ResponseFuture;
use serin_http1::{Error, Framing, Limits};
use serin_routing::time::Instant;

use super::http1::Http1Answer;
use super::http2::Http2Stream;
use super::pool::Lease;
use super::{Upstream, Version};
use crate::body::{Http2Source, Sink, Source};
use crate::request::{Request, Upgrade};
use crate::response::{Length, Response};

/// Why an upstream did not answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UpstreamError {
    /// Reading the response failed.
    #[error("reading the response failed")]
    Read(#[source] io::Error),
    /// The connection ended before the response began.
    #[error("the connection ended before the response")]
    Closed,
    /// The response is malformed.
    #[error("the response is malformed")]
    Malformed(#[source] Error),
    /// The stream was reset, or its connection failed.
    #[error("the stream failed")]
    Http2(#[source] h2::Error),
    /// The request cannot be said in HTTP/2.
    #[error("the request has no form in HTTP/2")]
    Request(#[source] http::Error),
    /// The endpoint does not take other protocols over HTTP/2.
    #[error("the endpoint takes no tunnels")]
    NoTunnels,
}

/// A connection, or a share of one, for one request.
pub(crate) enum Connection {
    /// HTTP/1: all of it.
    Http1(Lease),
    /// HTTP/2: a stream.
    Http2(Http2Stream),
}

impl Connection {
    /// This side's address of it.
    pub(crate) fn local_addr(&mut self) -> Option<SocketAddr> {
        match self {
            Self::Http1(lease) => lease.connection().local_addr(),
            Self::Http2(stream) => stream.local_addr(),
        }
    }

    /// The version of HTTP that is spoken on it.
    pub(crate) const fn version(&self) -> Version {
        match self {
            Self::Http1(_) => Version::Http1,
            Self::Http2(_) => Version::Http2,
        }
    }

    /// Waits until a request can be begun.
    pub(crate) async fn prepare(&self, request: &Request) {
        if let (Self::Http2(stream), Upgrade::WebSocket) = (self, request.upgrade) {
            stream.settled().await;
        }
    }

    /// Begins the request: the way out for its body, and the answer to wait for.
    pub(crate) fn call(
        &mut self,
        request: &Request,
        is_empty: bool,
    ) -> Result<(Sink<'_>, Answer<'_>), UpstreamError> {
        match self {
            Self::Http1(lease) => {
                let (sink, answer) = lease.connection().call(request, is_empty);
                Ok((Sink::Http1(sink), Answer::Http1(answer)))
            }
            Self::Http2(stream) => {
                let (sink, response) = stream.call(request, is_empty)?;
                let answer = Http2Answer { response, body: None, length: None };
                Ok((Sink::Http2(sink), Answer::Http2(Box::new(answer))))
            }
        }
    }

    /// Gives the connection back for the next request, after one that ended well.
    pub(crate) fn give_back(self, now: Instant, upstream: &Upstream) {
        match self {
            Self::Http1(lease) => lease.give_back(now, &upstream.shared.cluster.limits),
            // The stream is over; its connection was never taken.
            Self::Http2(_) => {}
        }
    }
}

/// An answer as it comes.
pub(crate) enum Answer<'c> {
    /// On an HTTP/1 connection.
    Http1(Http1Answer<'c>),
    /// On a stream.
    Http2(Box<Http2Answer>),
}

/// An answer on a stream.
pub(crate) struct Http2Answer {
    response: ResponseFuture,
    body: Option<Http2Source>,
    length: Option<u64>,
}

impl<'c> Answer<'c> {
    /// The next head: interim ones, then the final one. Can be given up and called again.
    pub(crate) async fn head(&mut self, limits: Limits) -> Result<Response, UpstreamError> {
        match self {
            Self::Http1(answer) => answer.head(limits).await,
            Self::Http2(answer) => answer.head(limits).await,
        }
    }

    /// What is known of the body's length, after the final head.
    pub(crate) fn length(&self) -> Length {
        match self {
            Self::Http1(answer) => match answer.framing() {
                Framing::None | Framing::Length(0) => Length::None,
                Framing::Length(length) => Length::Exact(length),
                Framing::Chunked | Framing::UntilClose => Length::Unknown,
            },
            Self::Http2(answer) => match (&answer.body, answer.length) {
                (Some(body), _) if body.is_empty() => Length::None,
                (_, Some(length)) => Length::Declared(length),
                (_, None) => Length::Unknown,
            },
        }
    }

    /// Whether the connection can serve another request after the body was read.
    pub(crate) const fn is_reusable(&self) -> bool {
        match self {
            Self::Http1(answer) => answer.is_reusable(),
            Self::Http2(_) => true,
        }
    }

    /// The body.
    pub(crate) fn into_body(self) -> Option<Source<'c>> {
        match self {
            Self::Http1(answer) => Some(Source::Http1(answer.into_body())),
            Self::Http2(answer) => answer.body.map(Source::Http2),
        }
    }
}

impl Http2Answer {
    async fn head(&mut self, limits: Limits) -> Result<Response, UpstreamError> {
        let mut response = Response::default();
        let mut count = 0;
        let body = poll_fn(|cx| {
            if let Poll::Ready(Some(Ok(interim))) = self.response.poll_informational(cx) {
                response.read_http2(interim.status(), interim.headers());
                return Poll::Ready(Ok(None));
            }
            let head = match Pin::new(&mut self.response).poll(cx) {
                Poll::Ready(head) => head,
                Poll::Pending => return Poll::Pending,
            };
            Poll::Ready(head.map(|head| {
                let (head, body) = head.into_parts();
                count = head.headers.len();
                response.read_http2(head.status, &head.headers);
                Some(body)
            }))
        })
        .await
        .map_err(UpstreamError::Http2)?;
        if response.status == 101 {
            // There is no such thing in HTTP/2 (RFC 9113 §8.6).
            return Err(UpstreamError::Malformed(Error::UnwantedSwitch));
        }
        if count > limits.fields {
            return Err(UpstreamError::Malformed(Error::TooManyFields));
        }
        if let Some(body) = body {
            let length = response.headers.known(serin_http1::FieldName::ContentLength);
            self.length = length.and_then(|length| std::str::from_utf8(length).ok()?.parse().ok());
            let mut body = Http2Source::new(body);
            if matches!(response.status, 204 | 304) {
                // Whatever comes has no place in a version that knows the end by the status (RFC 9112 §6.3).
                body.ignore();
            }
            self.body = Some(body);
        }
        Ok(response)
    }
}
