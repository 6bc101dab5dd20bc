//! A few of the latest requests, for people.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use serin_routing::model::EndpointAddress;

use super::Detail;
use crate::record::Record;
use crate::request::Request;

/// Requests that a core keeps.
const KEPT: usize = 64;
/// Bytes of a path or an authority that are kept.
const TEXT: usize = 256;

/// A request that was seen.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The workload that sent it, by the key it is published under; empty for the proxy's own.
    pub workload: Arc<str>,
    /// When it began, since the Unix epoch.
    pub started: Duration,
    /// Its method.
    pub method: String,
    /// Its authority, as it went upstream.
    pub authority: String,
    /// Its path without the query, which may hold secrets.
    pub path: String,
    /// Status of the answer; 0 if there was none.
    pub status: u16,
    /// Response flags, `-` if there are none.
    pub flags: String,
    /// Where the answer came from.
    pub details: Cow<'static, str>,
    /// From its head to the end of the answer.
    pub duration: Duration,
    /// Tries upstream.
    pub attempts: u32,
    /// The rule that took it: `VirtualService default/reviews, rule 0`.
    pub rule: Option<String>,
    /// The rule's name.
    pub route: Option<String>,
    /// Where it went.
    pub cluster: Option<String>,
    /// The endpoint that answered, or was tried last.
    pub endpoint: Option<String>,
}

impl Seen {
    pub(super) fn new(
        workload: &Arc<str>,
        request: &Request,
        record: &Record,
        detail: &Detail,
        duration: Duration,
    ) -> Self {
        let path = request.target_text().split(|&byte| byte == b'?').next().unwrap_or_default();
        let rule = detail.origin.as_ref().map(|it| {
            let number = it.index.map(|index| format!(", rule {index}")).unwrap_or_default();
            format!("{} {}/{}{number}", it.kind, it.namespace, it.name)
        });
        let owned = |text: &Arc<str>| text.to_string();
        Self {
            workload: Arc::clone(workload),
            started: record.started_at,
            method: text(request.method_text()),
            authority: text(request.authority_text()),
            path: text(path),
            status: record.status,
            flags: record.flags.to_string(),
            details: record.details_in_full(),
            duration,
            attempts: record.attempts,
            rule,
            route: detail.route.as_ref().map(owned),
            cluster: detail.cluster.as_ref().map(owned),
            endpoint: detail.endpoint.as_ref().map(|it| match it {
                EndpointAddress::Socket(ip, port) => {
                    std::net::SocketAddr::new(*ip, *port).to_string()
                }
                EndpointAddress::Name(name, port) => format!("{name}:{port}"),
                EndpointAddress::Unix(path) => path.to_string(),
            }),
        }
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes.get(..TEXT).unwrap_or(bytes)).into_owned()
}

/// The latest of them.
#[derive(Debug, Default)]
pub(super) struct Sample(VecDeque<Seen>);

impl Sample {
    pub(super) fn add(&mut self, seen: Seen) {
        if self.0.len() == KEPT {
            self.0.pop_front();
        }
        self.0.push_back(seen);
    }

    pub(super) fn all(&self) -> Vec<Seen> {
        self.0.iter().cloned().collect()
    }
}
