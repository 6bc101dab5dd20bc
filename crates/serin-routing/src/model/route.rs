//! Route tables: virtual hosts, their ordered rules, and what a rule does.

use std::sync::Arc;
use std::time::Duration;

use serde::{Serialize, Serializer};
use serin_re2::{Regex, Rewrite};

use super::PerMillion;
use crate::{cohort, retry};

/// The rules for HTTP on a listener.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct RouteTable {
    /// Istio's name: `9080`, `http.8080`, `https.443.https.gw.default`, `inbound|8080||`.
    pub name: Arc<str>,
    /// Virtual hosts; their domains do not repeat.
    pub virtual_hosts: Vec<Arc<VirtualHost>>,
}

/// The rules for a set of domains. The port of the authority is not looked at.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct VirtualHost {
    /// Istio's name: `reviews.default.svc.cluster.local:9080`, `allow_any`, `block_all`, `blackhole:80`.
    pub name: Arc<str>,
    /// Lower-case names, `*.suffix`, `prefix.*`, or `*`. An exact name wins, then the longest suffix wildcard, then the longest
    /// prefix wildcard, then `*` (Envoy's order).
    pub domains: Vec<Arc<str>>,
    /// Rules in order; the first that matches is taken.
    pub routes: Vec<Arc<Route>>,
    /// Plain HTTP is answered by a redirect to HTTPS.
    pub require_tls: bool,
}

/// Which object a rule came from, for people.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Origin {
    /// `VirtualService`, `HTTPRoute`, `Service`…
    pub kind: Arc<str>,
    /// Namespace.
    pub namespace: Arc<str>,
    /// Name.
    pub name: Arc<str>,
    /// Which rule of the object, from 0.
    pub index: Option<u32>,
    /// Which match of the rule, from 0; `None` for a rule without matches.
    pub match_index: Option<u32>,
    /// The root, when the rule is a delegate's.
    pub root: Option<Arc<Self>>,
}

/// One rule: a condition and what to do.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Route {
    /// Name for logs (`%ROUTE_NAME%`).
    pub name: Arc<str>,
    /// Where it came from.
    pub origin: Origin,
    /// Which requests it takes.
    pub condition: RouteMatch,
    /// What is done with them.
    pub action: Action,
    /// Changes to request headers, before those of the destination; see [`Destination::request_headers`] for the order.
    pub request_headers: HeaderOps,
    /// Changes to response headers.
    pub response_headers: HeaderOps,
    /// Faults to inject.
    pub fault: Option<Fault>,
    /// Cross-origin policy.
    pub cors: Option<Cors>,
}

/// Conditions of a rule; all must hold.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct RouteMatch {
    /// On the path without its query.
    pub path: PathMatch,
    /// The path is compared without regard to case (not for regular expressions).
    pub ignore_case: bool,
    /// On headers, among them `:method`, `:scheme` and `:authority`.
    pub headers: Vec<HeaderMatch>,
    /// On query parameters.
    pub query: Vec<QueryMatch>,
    /// On claims of the request's token.
    pub claims: Vec<Claim>,
}

/// A condition on the path. Paths are compared as they are after normalisation, without the query string.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub enum PathMatch {
    /// Every path.
    #[default]
    Any,
    /// This path.
    Exact(Arc<str>),
    /// Paths that begin with this text, wherever a segment ends (Istio's `prefix`).
    Prefix(Arc<str>),
    /// This path and those below it (the Gateway API's `PathPrefix`). Without a slash at the end.
    Segments(Arc<str>),
    /// Paths that match as a whole.
    Regex(Regex),
}

/// A condition on a header. The values of a repeated header are joined by commas first.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct HeaderMatch {
    /// Lower-case name.
    pub name: Arc<str>,
    /// On the value.
    pub value: ValueMatch,
    /// The condition is turned round (`withoutHeaders`).
    pub invert: bool,
    /// A missing header counts as an empty one instead of failing the condition.
    pub missing_is_empty: bool,
}

/// A condition on a query parameter, on its first occurrence, not decoded.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct QueryMatch {
    /// Name as it stands in the query.
    pub name: Arc<str>,
    /// On the value.
    pub value: ValueMatch,
}

/// A condition on a claim of a validated token (`@request.auth.claims…`).
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Claim {
    /// Path to the claim.
    pub path: Vec<Arc<str>>,
    /// On the value, or any element of a list.
    pub value: ValueMatch,
    /// The condition is turned round.
    pub invert: bool,
}

/// A condition on a text.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub enum ValueMatch {
    /// It is there.
    Present,
    /// It is this text.
    Exact(Arc<str>),
    /// It begins with this text.
    Prefix(Arc<str>),
    /// It ends with this text.
    Suffix(Arc<str>),
    /// It matches as a whole.
    Regex(Regex),
}

/// What a rule does with a request.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub enum Action {
    /// Sends it upstream.
    Forward(Box<Forward>),
    /// Answers with a redirect.
    Redirect(Box<Redirect>),
    /// Answers at once.
    Direct(DirectResponse),
}

/// Sending a request upstream.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Forward {
    /// Where to.
    pub destinations: Destinations,
    /// Answer when the chosen cluster does not exist: 503, or 500 for rules of the Gateway API.
    pub cluster_not_found_status: u16,
    /// Change of the path.
    pub path_rewrite: Option<PathRewrite>,
    /// New authority; wins over a destination's.
    pub host_rewrite: Option<Arc<str>>,
    /// The authority becomes the endpoint's own host name (Envoy's `auto_host_rewrite`).
    pub auto_host_rewrite: bool,
    /// Time for the whole request with its retries; `None` for no limit (Istio's default).
    pub timeout: Option<Duration>,
    /// Retries; `None` for none.
    pub retry: Option<retry::Policy>,
    /// Copies sent elsewhere, whose answers are thrown away.
    pub mirrors: Vec<Mirror>,
    /// What consistent hashing hashes, in order.
    pub hash: Vec<HashPolicy>,
    /// Sessions keep their destination while weights grow; `None` draws for each request.
    pub cohort: Option<cohort::Cohort>,
    /// Upgrades (`websocket`) are passed on.
    pub allow_upgrade: bool,
}

impl Forward {
    /// Sends requests on as they are, without limits.
    pub const fn new(destinations: Destinations) -> Self {
        Self {
            destinations,
            cluster_not_found_status: 503,
            path_rewrite: None,
            host_rewrite: None,
            auto_host_rewrite: false,
            timeout: None,
            retry: None,
            mirrors: Vec::new(),
            hash: Vec::new(),
            cohort: None,
            allow_upgrade: true,
        }
    }
}

/// One or more weighted clusters.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Destinations {
    list: Vec<Destination>,
    total: u64,
}

impl Destinations {
    /// Destinations as listed in a rule. One alone gets everything whatever its weight; of several those with weight 0 are
    /// left out, as Istio does (`applyHTTPRouteDestination`).
    pub fn new(mut list: Vec<Destination>) -> Self {
        if let [only] = list.as_mut_slice() {
            only.weight = only.weight.max(1);
        } else {
            list.retain(|destination| destination.weight > 0);
        }
        let total = list.iter().map(|destination| u64::from(destination.weight)).sum();
        Self { list, total }
    }

    /// Those that can be chosen, in the order of the rule.
    pub fn list(&self) -> &[Destination] {
        &self.list
    }

    /// Sum of the weights.
    pub const fn total_weight(&self) -> u64 {
        self.total
    }

    /// The destination that a number in `[0, total_weight)` falls on; `None` if there is none.
    pub fn at(&self, ticket: u64) -> Option<&Destination> {
        self.list.get(self.position(ticket)?)
    }

    /// Its place in the [list](Self::list).
    pub fn position(&self, ticket: u64) -> Option<usize> {
        let mut rest = ticket;
        self.list.iter().position(|destination| {
            let weight = u64::from(destination.weight);
            let here = rest < weight;
            rest = rest.saturating_sub(weight);
            here
        })
    }
}

/// A weighted cluster.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Destination {
    /// Name of the cluster, which may not exist.
    pub cluster: Arc<str>,
    /// Share of the total.
    pub weight: u32,
    /// Changes to request headers. Applied *before* the route's, so that the route's `set` wins; with a single listed destination
    /// the translator appends them to the route's instead, so that the destination's wins (Istio's behaviour).
    pub request_headers: HeaderOps,
    /// Changes to response headers, in the same order.
    pub response_headers: HeaderOps,
    /// New authority, unless the route has one.
    pub host_rewrite: Option<Arc<str>>,
    /// The answer for this share instead of a cluster: 500 for a backend reference of the Gateway API that is not valid.
    pub invalid_status: Option<u16>,
}

impl Destination {
    /// A destination that changes nothing.
    pub fn new(cluster: Arc<str>, weight: u32) -> Self {
        Self {
            cluster,
            weight,
            request_headers: HeaderOps::default(),
            response_headers: HeaderOps::default(),
            host_rewrite: None,
            invalid_status: None,
        }
    }
}

/// Changes to headers: removals first, then `set`, then `add`, each in the order given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct HeaderOps {
    /// Lower-case names to remove.
    pub remove: Vec<Arc<str>>,
    /// Headers that replace those of the same name.
    pub set: Vec<(Arc<str>, HeaderValue)>,
    /// Headers that are added beside those of the same name.
    pub add: Vec<(Arc<str>, HeaderValue)>,
}

impl HeaderOps {
    /// Whether nothing is changed.
    pub const fn is_empty(&self) -> bool {
        self.remove.is_empty() && self.set.is_empty() && self.add.is_empty()
    }
}

/// The value of a header to write: Envoy's format strings (`%REQ(x-id)%`, `%%` for a percent sign).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HeaderValue {
    /// As written.
    pub format: Arc<str>,
}

/// Change of the path of a forwarded request; the query is kept.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub enum PathRewrite {
    /// The part that the rule's path condition matched is replaced: the prefix, or the whole path for an exact match.
    Prefix(Arc<str>),
    /// The whole path is replaced.
    Full(Arc<str>),
    /// Every match of the expression is replaced.
    Regex {
        /// What to look for.
        pattern: Regex,
        /// RE2 replacement with `\1`.
        substitution: Rewrite,
    },
}

/// A copy of requests.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Mirror {
    /// Cluster that gets the copy.
    pub cluster: Arc<str>,
    /// Share of requests that are copied.
    pub fraction: PerMillion,
}

/// One input of consistent hashing (DestinationRule `consistentHash`).
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct HashPolicy {
    /// What is hashed.
    pub key: HashKey,
    /// Later policies are not looked at if this one found something.
    pub terminal: bool,
}

/// What consistent hashing hashes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum HashKey {
    /// A header, lower-case name.
    Header(Arc<str>),
    /// A cookie; made and set if it is missing and has a time to live.
    Cookie {
        /// Name.
        name: Arc<str>,
        /// Path attribute of a made cookie.
        path: Option<Arc<str>>,
        /// Time to live; zero makes a session cookie, `None` makes none.
        ttl: Option<Duration>,
        /// Further attributes of a made cookie, name and value (empty for none).
        attributes: Vec<(Arc<str>, Arc<str>)>,
    },
    /// The client's address.
    SourceAddress,
    /// A query parameter.
    Query(Arc<str>),
}

/// Answering with a redirect; the query is kept.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Redirect {
    /// 301, 302, 303, 307 or 308.
    pub status: u16,
    /// New scheme.
    pub scheme: Option<Arc<str>>,
    /// New host.
    pub authority: Option<Arc<str>>,
    /// New port: a number, or what `derive_port` says.
    pub port: Option<RedirectPort>,
    /// New path.
    pub path: Option<PathRedirect>,
}

/// The port of a redirect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum RedirectPort {
    /// This port; left out if it is the scheme's own.
    Port(u16),
    /// The scheme's own port (`FROM_PROTOCOL_DEFAULT`).
    ProtocolDefault,
    /// The port of the request (`FROM_REQUEST_PORT`).
    RequestPort,
}

/// The path of a redirect.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub enum PathRedirect {
    /// This path.
    Full(Arc<str>),
    /// The matched prefix is replaced.
    Prefix(Arc<str>),
}

/// Answering at once.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DirectResponse {
    /// Status code.
    pub status: u16,
    /// Body.
    #[serde(serialize_with = "serialize_body")]
    pub body: Arc<[u8]>,
}

fn serialize_body<S: Serializer>(body: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&String::from_utf8_lossy(body))
}

/// Faults to inject, before the request goes upstream.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Fault {
    /// Waiting.
    pub delay: Option<Delay>,
    /// Answering instead of forwarding.
    pub abort: Option<Abort>,
}

/// Waiting before a request is sent on.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Delay {
    /// How long.
    pub duration: Duration,
    /// For which share of requests.
    pub fraction: PerMillion,
}

/// Answering instead of forwarding.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Abort {
    /// With what.
    pub status: AbortStatus,
    /// For which share of requests.
    pub fraction: PerMillion,
}

/// The answer of an injected abort.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum AbortStatus {
    /// An HTTP status.
    Http(u16),
    /// A gRPC status code.
    Grpc(u8),
}

/// Cross-origin resource sharing (the Fetch standard's CORS protocol).
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Cors {
    /// Origins that are allowed.
    pub allow_origins: Vec<ValueMatch>,
    /// Value of `access-control-allow-methods`.
    pub allow_methods: Arc<str>,
    /// Value of `access-control-allow-headers`.
    pub allow_headers: Arc<str>,
    /// Value of `access-control-expose-headers`.
    pub expose_headers: Arc<str>,
    /// How long a preflight's answer may be kept.
    pub max_age: Option<Duration>,
    /// Value of `access-control-allow-credentials`, if it is sent.
    pub allow_credentials: Option<bool>,
    /// Preflights of other origins are sent upstream (`FORWARD`, the default) rather than answered here.
    pub forward_unmatched_preflights: bool,
}

impl Origin {
    /// An origin that is no object: rules that the proxy has by itself.
    pub fn built_in(name: &str) -> Self {
        Self { kind: Arc::from("builtin"), name: Arc::from(name), ..Self::default() }
    }
}
