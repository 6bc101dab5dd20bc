//! Envoy's format strings: text with `%OPERATOR(argument):length%` in it, for header values and access logs.
//!
//! `%%` is a percent sign. An operator that is not known is kept as it was written, and listed by [`Format::unknown`] so that
//! validation can report it. Where the values come from is up to the [`Facts`] handed in.

mod operator;
mod time;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

pub use operator::{Address, GrpcStatusForm, Property};

use operator::{AddressPart, Operator};

/// A compiled format string.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Format {
    pieces: Vec<Piece>,
    unknown: Vec<Box<str>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Operator { operator: Operator, max_length: Option<usize> },
}

/// Where the values of operators come from.
pub trait Facts {
    /// The first value of a request header or pseudo header, by lower-case name.
    fn request_header(&self, name: &str) -> Option<&[u8]>;

    /// The first value of a response header, by lower-case name.
    fn response_header(&self, name: &str) -> Option<&[u8]> {
        let _ = name;
        None
    }

    /// The first value of a trailer of the response, by lower-case name.
    fn response_trailer(&self, name: &str) -> Option<&[u8]> {
        let _ = name;
        None
    }

    /// When the request came, since the Unix epoch.
    fn start_time(&self) -> Option<Duration> {
        None
    }

    /// An end of the connections that the request uses.
    fn address(&self, address: Address) -> Option<SocketAddr> {
        let _ = address;
        None
    }

    /// Appends a property to `out`; false, with nothing appended, if it is not known or does not apply.
    fn append(&self, property: Property, out: &mut Vec<u8>) -> bool {
        let _ = (property, out);
        false
    }

    /// The workload at an end of the request, if the mesh knows it.
    fn peer(&self, end: Peer) -> Option<PeerFacts> {
        let _ = end;
        None
    }
}

/// An end of a request that is not the proxy's own workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// The client.
    Downstream,
    /// The endpoint.
    Upstream,
}

/// A workload as its peers know it. Empty texts are not known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is what labels of Istio's metrics call so")]
pub struct PeerFacts {
    pub workload: Arc<str>,
    pub pod: Arc<str>,
    pub namespace: Arc<str>,
    pub cluster: Arc<str>,
    pub service: Arc<str>,
    pub revision: Arc<str>,
    pub app: Arc<str>,
    pub version: Arc<str>,
    pub principal: Arc<str>,
    pub service_account: Arc<str>,
    pub labels: BTreeMap<Arc<str>, Arc<str>>,
}

impl Format {
    /// Compiles a format string. There is none that is refused.
    pub fn parse(text: &str) -> Self {
        let mut format = Self::default();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('%') {
            format.push_text(before);
            rest = match after.strip_prefix('%') {
                Some(after) => {
                    format.push_text("%");
                    after
                }
                None => format.push_operator(after),
            };
        }
        format.push_text(rest);
        format
    }

    fn push_text(&mut self, text: &str) {
        match self.pieces.last_mut() {
            _ if text.is_empty() => {}
            Some(Piece::Text(last)) => last.push_str(text),
            _ => self.pieces.push(Piece::Text(text.to_owned())),
        }
    }

    /// Takes an operator off `rest`, which follows a percent sign; returns what follows.
    fn push_operator<'t>(&mut self, rest: &'t str) -> &'t str {
        let Some(call) = operator::Call::split(rest) else {
            self.unknown.push("%".into());
            self.push_text("%");
            return rest;
        };
        match Operator::new(call.name, call.argument) {
            Some(operator) => {
                self.pieces.push(Piece::Operator { operator, max_length: call.max_length })
            }
            None => {
                let written = format!("%{}", &rest[..rest.len() - call.rest.len()]);
                self.push_text(&written);
                self.unknown.push(written.into());
            }
        }
        call.rest
    }

    /// Operators that are not known, and percent signs that begin none, as written.
    pub fn unknown(&self) -> impl Iterator<Item = &str> {
        self.unknown.iter().map(|operator| &**operator)
    }

    /// The text, if there is no operator in it.
    pub fn as_text(&self) -> Option<&str> {
        match self.pieces.as_slice() {
            [] => Some(""),
            [Piece::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// Appends the text with all operators filled in to `out`; `missing` stands for values that are not there.
    pub fn render(&self, facts: &impl Facts, missing: &str, out: &mut Vec<u8>) {
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => out.extend_from_slice(text.as_bytes()),
                Piece::Operator { operator, max_length } => {
                    let start = out.len();
                    if !operator.append(facts, out) {
                        out.truncate(start);
                        out.extend_from_slice(missing.as_bytes());
                    }
                    if let Some(max_length) = max_length {
                        out.truncate(start.saturating_add(*max_length));
                    }
                }
            }
        }
    }
}

impl Operator {
    /// Appends the value; false if there is none.
    fn append(&self, facts: &impl Facts, out: &mut Vec<u8>) -> bool {
        let header = |value: Option<&[u8]>, out: &mut Vec<u8>| {
            value.map(|value| out.extend_from_slice(value)).is_some()
        };
        match self {
            Self::RequestHeader(names) => {
                header(names.iter().find_map(|name| facts.request_header(name)), out)
            }
            Self::ResponseHeader(names) => {
                header(names.iter().find_map(|name| facts.response_header(name)), out)
            }
            Self::ResponseTrailer(names) => {
                header(names.iter().find_map(|name| facts.response_trailer(name)), out)
            }
            Self::StartTime(format) => {
                let time = facts.start_time();
                time.map(|time| time::append(time, format, out)).is_some()
            }
            Self::Address(address, part) => {
                let Some(address) = facts.address(*address) else { return false };
                let text = match part {
                    AddressPart::All => address.to_string(),
                    AddressPart::Host => address.ip().to_string(),
                    AddressPart::Port => address.port().to_string(),
                };
                out.extend_from_slice(text.as_bytes());
                true
            }
            Self::QueryParameter(name) => {
                let path = facts.request_header(":path").unwrap_or_default();
                header(query_parameter(path, name.as_bytes()), out)
            }
            Self::Property(property) => facts.append(*property, out),
            Self::Absent => false,
        }
    }
}

/// The first value of a parameter of a target's query.
fn query_parameter<'t>(target: &'t [u8], name: &[u8]) -> Option<&'t [u8]> {
    let query = target.splitn(2, |&byte| byte == b'?').nth(1)?;
    query.split(|&byte| byte == b'&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix(b"="))
}

#[cfg(test)]
mod tests;
