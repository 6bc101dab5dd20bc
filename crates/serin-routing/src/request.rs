//! What decisions see of a request.
//!
//! Each codec implements [`Request`] over its own buffers, so that nothing is copied to decide; [`RequestParts`] is one that
//! owns its texts, for explanations and tests. What follows from the texts (the path without its query, the value of
//! a header that is repeated, cookies) is read here and nowhere else. Normalising the path and refusing malformed
//! requests is left to the codec.

mod authority;
mod cookie;
mod parts;
mod target;

use std::net::SocketAddr;
use std::sync::Arc;

pub(crate) use authority::{host_end, without_port};
pub(crate) use cookie::cookie;
pub use parts::RequestParts;
pub(crate) use target::{first_parameter, parameters, split_target};

/// The head of a request, and the connection it came on.
pub trait Request {
    /// The method as sent; its case matters.
    fn method(&self) -> &[u8];

    /// `http` or `https`: what the client used, as far as it can be trusted (Envoy's `x-forwarded-proto`).
    fn scheme(&self) -> &[u8];

    /// `:authority`, or HTTP/1's `Host`, with its port; empty if there is none.
    fn authority(&self) -> &[u8];

    /// Path and query as they are routed, after normalisation; empty if there is none, as for `CONNECT`.
    fn target(&self) -> &[u8];

    /// Headers in order, without pseudo headers and `host`: lower-case names with values.
    fn headers(&self) -> impl Iterator<Item = (&[u8], &[u8])>;

    /// The values of a header, in order. `name` is lower-case and no pseudo header.
    fn header_values<'r>(&'r self, name: &str) -> impl Iterator<Item = &'r [u8]> {
        self.headers()
            .filter(move |(candidate, _)| *candidate == name.as_bytes())
            .map(|(_, value)| value)
    }

    /// Whether there may be headers `x-envoy-…`, of which many are asked for and few are ever there.
    fn may_steer(&self) -> bool {
        true
    }

    /// The connection the request came on.
    fn downstream(&self) -> &Downstream;

    /// Whether `accept` takes the claim at `path` of the request's validated token, or one element of it if it is a list.
    fn any_claim(&self, path: &[Arc<str>], accept: &mut dyn FnMut(&[u8]) -> bool) -> bool {
        let _ = (path, accept);
        false
    }
}

/// What is known of the connection a request came on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Downstream {
    /// The client's address as far as it is trusted: the peer's, or the one that trusted proxies report.
    pub remote: Option<SocketAddr>,
    /// The address of the connection's peer.
    pub direct_remote: Option<SocketAddr>,
    /// The address that the client meant, before it was captured.
    pub local: Option<SocketAddr>,
    /// The listener's port.
    pub listener_port: u16,
}

/// A request whose target was taken apart.
pub(crate) struct View<'r, R> {
    pub(crate) request: &'r R,
    /// Without query and fragment.
    pub(crate) path: &'r [u8],
    /// Without `?` and fragment.
    pub(crate) query: &'r [u8],
}

impl<'r, R: Request> View<'r, R> {
    pub(crate) fn new(request: &'r R) -> Self {
        let (path, query) = split_target(request.target());
        Self { request, path, query }
    }

    /// The value of a header or pseudo header; the values of a repeated one joined by commas, in `buffer`.
    ///
    /// `host` is another name for `:authority`, as in Envoy's header map.
    pub(crate) fn header<'b>(&self, name: &str, buffer: &'b mut Vec<u8>) -> Option<&'b [u8]>
    where
        'r: 'b,
    {
        let request = self.request;
        let not_empty = |value: &'r [u8]| (!value.is_empty()).then_some(value);
        match name {
            ":method" => return not_empty(request.method()),
            ":authority" | "host" => return not_empty(request.authority()),
            ":scheme" => return not_empty(request.scheme()),
            ":path" => return not_empty(request.target()),
            _ => {}
        }
        let mut values = request.header_values(name);
        let first = values.next()?;
        let Some(second) = values.next() else { return Some(first) };
        buffer.clear();
        buffer.extend_from_slice(first);
        for value in std::iter::once(second).chain(values) {
            buffer.push(b',');
            buffer.extend_from_slice(value);
        }
        Some(buffer)
    }

    /// The first value of a header that is no pseudo header.
    pub(crate) fn first_header(&self, name: &str) -> Option<&'r [u8]> {
        self.request.header_values(name).next()
    }
}

/// Whether a request speaks gRPC, by its content type (Envoy's rule).
pub(crate) fn is_grpc<R: Request>(request: &R) -> bool {
    let content_type = request.header_values("content-type").next().unwrap_or_default();
    match content_type.strip_prefix(b"application/grpc") {
        Some(rest) => matches!(rest.first(), None | Some(b'+' | b';')),
        None => false,
    }
}

#[cfg(test)]
mod tests;
