//! What an explanation tells, in the form in which scripts read it.

use std::time::Duration;

use serde::{Serialize, Serializer};

use super::Rejection;
use crate::decide::Redirection;
use crate::model::{
    Abort, AbortStatus, Delay, DirectResponse, Fault, HeaderOps, HeaderValue, Mirror, Origin,
};
use crate::request::Request;
use crate::response::Failure;
use crate::retry;

/// What becomes of a request or connection, and why.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Explanation {
    /// What goes wrong, if anything does for certain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Problem>,
    /// The listener that takes the connection.
    pub listener: Option<String>,
    /// The listener's filter chain.
    pub filter_chain: Option<String>,
    /// The filter chain's route table.
    pub route_table: Option<String>,
    /// The virtual host of the authority.
    pub virtual_host: Option<String>,
    /// The rule that takes the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<RuleReport>,
    /// Its name in logs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub route: Option<String>,
    /// Where the request may go.
    pub clusters: Vec<ClusterReport>,
    /// Where copies may go.
    pub mirrors: Vec<MirrorReport>,
    /// Changes to the request's headers that the rule makes.
    pub request_headers: HeaderReport,
    /// Changes to the response's headers that the rule makes.
    pub response_headers: HeaderReport,
    /// What is rewritten.
    pub rewrite: Option<RewriteReport>,
    /// The redirect that the client gets.
    pub redirect: Option<RedirectReport>,
    /// The response of the rule that the client gets.
    pub direct_response: Option<DirectReport>,
    /// Faults that may be injected.
    pub fault: Option<FaultReport>,
    /// How often and when the request is tried again.
    pub retry: Option<RetryReport>,
    /// Time for the whole request.
    #[serde(serialize_with = "serialize_duration")]
    pub timeout: Option<Duration>,
    /// The session's part in a gradual release.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cohort: Option<CohortReport>,
    /// What the proxy answers by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response: Option<ResponseReport>,
    /// Earlier rules, and why they do not take the request.
    pub rejected: Vec<Rejection>,
}

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Problem {
    /// Nobody listens there.
    NoListener,
    /// The listener takes no such connection.
    NoFilterChain,
    /// No virtual host for the authority.
    NoVirtualHost,
    /// No rule for the request.
    NoRoute,
    /// Plain HTTP is redirected to HTTPS.
    TlsRedirect,
    /// Several filter chains fit equally well.
    AmbiguousFilterChain,
    /// The bytes are not what the listener expects.
    ProtocolError,
    /// The listener terminates TLS and the client does not speak it.
    TlsError,
    /// One side wants mutual TLS and the other does not.
    MtlsError,
    /// The cluster does not exist.
    ClusterNotFound,
    /// The cluster has no endpoint that can be used.
    NoHealthyEndpoint,
}

/// Which rule of which object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RuleReport {
    /// Kind of the object.
    pub kind: String,
    /// Namespace of the object.
    pub namespace: String,
    /// Name of the object.
    pub name: String,
    /// Which rule of the object, from 0.
    pub index: Option<u32>,
    /// Which match of the rule, from 0.
    pub match_index: Option<u32>,
    /// The file that the object was read from; known to the caller.
    pub file: Option<String>,
    /// The line of the rule, from 1; known to the caller.
    pub line: Option<usize>,
    /// The rule that delegated to this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub root: Option<Box<Self>>,
}

impl RuleReport {
    /// The rule of an origin, without its place in a file.
    pub fn new(origin: &Origin) -> Self {
        Self {
            kind: origin.kind.to_string(),
            namespace: origin.namespace.to_string(),
            name: origin.name.to_string(),
            index: origin.index,
            match_index: origin.match_index,
            file: None,
            line: None,
            root: origin.root.as_ref().map(|root| Box::new(Self::new(root))),
        }
    }
}

/// A cluster that a request may go to.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ClusterReport {
    /// Its name.
    pub name: String,
    /// Its share, relative to the others'; 100 for one alone.
    pub weight: u32,
    /// What goes wrong with this share.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<Problem>,
    /// Changes to request headers, before the rule's.
    #[serde(skip_serializing_if = "HeaderReport::is_empty")]
    pub request_headers: HeaderReport,
    /// Changes to response headers, before the rule's.
    #[serde(skip_serializing_if = "HeaderReport::is_empty")]
    pub response_headers: HeaderReport,
    /// New authority, unless the rule has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authority: Option<String>,
}

/// A cluster that copies may go to.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MirrorReport {
    /// Its name.
    pub name: String,
    /// Share of requests that are copied.
    pub percentage: f64,
}

impl MirrorReport {
    pub(super) fn new(mirror: &Mirror) -> Self {
        Self { name: mirror.cluster.to_string(), percentage: mirror.fraction.percent() }
    }
}

/// Changes to headers, in the order in which they are made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct HeaderReport {
    /// Headers that are removed.
    pub remove: Vec<String>,
    /// Headers that are replaced, with Envoy's format strings.
    #[serde(serialize_with = "serialize_map")]
    pub set: Vec<(String, String)>,
    /// Headers that are added.
    #[serde(serialize_with = "serialize_map")]
    pub add: Vec<(String, String)>,
}

impl HeaderReport {
    pub(super) fn new(ops: &HeaderOps) -> Self {
        let pair = |(name, value): &(std::sync::Arc<str>, HeaderValue)| {
            (name.to_string(), value.format.to_string())
        };
        Self {
            remove: ops.remove.iter().map(|name| name.to_string()).collect(),
            set: ops.set.iter().map(pair).collect(),
            add: ops.add.iter().map(pair).collect(),
        }
    }

    const fn is_empty(&self) -> bool {
        self.remove.is_empty() && self.set.is_empty() && self.add.is_empty()
    }
}

fn serialize_map<S: Serializer>(
    pairs: &[(String, String)],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_map(pairs.iter().map(|(name, value)| (name, value)))
}

/// What is rewritten before a request goes upstream.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RewriteReport {
    /// The new path and query.
    pub path: Option<String>,
    /// The new authority.
    pub authority: Option<String>,
}

/// A redirect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RedirectReport {
    /// Status.
    pub status: u16,
    /// The `location` header.
    pub location: String,
}

impl RedirectReport {
    pub(super) fn new<R: Request>(redirection: &Redirection<'_>, request: &R) -> Self {
        let location = String::from_utf8_lossy(&redirection.location(request)).into_owned();
        Self { status: redirection.status(), location }
    }
}

/// A rule's own response.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DirectReport {
    /// Status.
    pub status: u16,
    /// Body; what is not UTF-8 is replaced.
    pub body: String,
}

impl DirectReport {
    pub(super) fn new(response: &DirectResponse) -> Self {
        Self { status: response.status, body: String::from_utf8_lossy(&response.body).into_owned() }
    }
}

/// Faults that may be injected.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct FaultReport {
    /// Waiting.
    pub delay: Option<DelayReport>,
    /// Answering.
    pub abort: Option<AbortReport>,
}

impl FaultReport {
    pub(super) fn new(fault: &Fault) -> Self {
        let delay = |delay: &Delay| DelayReport {
            duration: Some(delay.duration),
            percentage: delay.fraction.percent(),
        };
        let abort = |abort: &Abort| {
            let (http_status, grpc_status) = match abort.status {
                AbortStatus::Http(status) => (Some(status), None),
                AbortStatus::Grpc(status) => (None, Some(status)),
            };
            AbortReport { http_status, grpc_status, percentage: abort.fraction.percent() }
        };
        Self { delay: fault.delay.as_ref().map(delay), abort: fault.abort.as_ref().map(abort) }
    }
}

/// An injected delay.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DelayReport {
    /// How long.
    #[serde(serialize_with = "serialize_duration")]
    pub duration: Option<Duration>,
    /// For which share of requests.
    pub percentage: f64,
}

/// An injected abort.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AbortReport {
    /// HTTP status.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http_status: Option<u16>,
    /// gRPC status.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grpc_status: Option<u8>,
    /// For which share of requests.
    pub percentage: f64,
}

/// How often and when a request is tried again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RetryReport {
    /// Retries after the first try.
    pub attempts: u32,
    /// Conditions, by Envoy's names.
    pub retry_on: Vec<retry::Condition>,
    /// Status codes that are tried again.
    pub retriable_status_codes: Vec<u16>,
    /// Time for one try.
    #[serde(serialize_with = "serialize_duration")]
    pub per_try_timeout: Option<Duration>,
}

impl RetryReport {
    pub(super) fn new(policy: &retry::Policy) -> Self {
        Self {
            attempts: policy.attempts,
            retry_on: policy.retry_on.clone(),
            retriable_status_codes: policy.retriable_status_codes.clone(),
            per_try_timeout: policy.per_try_timeout,
        }
    }
}

/// A session's part in a gradual release.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CohortReport {
    /// The release.
    pub rollout: String,
    /// The session's place, in percent; none if the request belongs to no session.
    pub place: Option<f64>,
    /// The cluster that the place leads to.
    pub cluster: Option<String>,
}

/// What the proxy answers by itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ResponseReport {
    /// Status.
    pub status: u16,
    /// Response flag, as the access log shows it.
    pub flag: Option<&'static str>,
    /// Response code details, as the access log shows them.
    pub details: &'static str,
}

impl Explanation {
    /// Nothing can come of it.
    pub(crate) fn fail(&mut self, problem: Problem, failure: Failure) {
        self.error = Some(problem);
        self.answer(failure);
    }

    pub(super) fn answer(&mut self, failure: Failure) {
        let reply = failure.reply();
        let flag = reply.flag.map(crate::response::Flag::code);
        self.response = Some(ResponseReport { status: reply.status, flag, details: reply.details });
    }
}

/// Writes durations as Istio's resources have them: `1.5s`, `250ms`.
fn serialize_duration<S: Serializer>(
    duration: &Option<Duration>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match duration {
        None => serializer.serialize_none(),
        Some(duration) if *duration < Duration::from_secs(1) && !duration.is_zero() => {
            serializer.serialize_str(&format!("{}ms", duration.as_secs_f64() * 1000.0))
        }
        Some(duration) => serializer.serialize_str(&format!("{}s", duration.as_secs_f64())),
    }
}
