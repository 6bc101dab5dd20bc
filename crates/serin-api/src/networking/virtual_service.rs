//! VirtualService: which requests and connections for a host go where.

use std::collections::BTreeMap;

use crate::values::{Duration, Percent, PortSelector, StringMatch};

resource! {
    VirtualService: "networking.istio.io", ["v1", "v1beta1", "v1alpha3"], "virtualservices"
    short ["vs"]
    columns [
        ("Gateways", "string", ".spec.gateways", "Gateways and sidecars that apply these routes"),
        ("Hosts", "string", ".spec.hosts", "Hosts that the routes are for"),
        ("Age", "date", ".metadata.creationTimestamp", "Time since creation"),
    ]
}

message! {
    /// Routes for the traffic to one or several hosts.
    pub struct VirtualService {
        /// Hosts the routes are for: DNS names, `*.`-wildcards, short Service names or IP addresses. A delegate has none.
        pub hosts: Vec<String>,
        /// Gateways that apply the routes, `namespace/name` or a name of this namespace; the word `mesh` stands for all
        /// sidecars. Absent means `mesh`.
        pub gateways: Vec<String>,
        /// Routes for HTTP, gRPC and terminated TLS traffic; the first that matches applies.
        pub http: Vec<HttpRoute>,
        /// Routes for TLS connections that are passed through, by server name; the first that matches applies.
        pub tls: Vec<TlsRoute>,
        /// Routes for other TCP connections; the first that matches applies.
        pub tcp: Vec<TcpRoute>,
        /// Namespaces that see these routes: `.` this one, `*` all, or names. Absent means the mesh default.
        pub export_to: Vec<String>,
    }

    /// What to do with the HTTP requests that match.
    pub struct HttpRoute {
        /// A name for access logs; appended to the name of the match.
        pub name: String,
        /// Conditions, one of which must hold; none at all always holds.
        #[serde(rename = "match")]
        pub matches: Vec<HttpMatchRequest>,
        /// Destinations that share the requests by weight.
        pub route: Vec<HttpRouteDestination>,
        /// Answer with a redirect instead of forwarding.
        pub redirect: Option<HttpRedirect>,
        /// Answer with a fixed response instead of forwarding.
        pub direct_response: Option<HttpDirectResponse>,
        /// Another VirtualService whose routes apply to these requests.
        pub delegate: Option<Delegate>,
        /// Change path or authority before forwarding. Not together with `redirect`.
        pub rewrite: Option<HttpRewrite>,
        /// How long a request may take in all. Absent or zero is unlimited.
        #[schemars(extend("x-positive-duration" = true))]
        pub timeout: Option<Duration>,
        /// When and how often to try again. Absent is the mesh default; zero attempts never tries again.
        pub retries: Option<HttpRetry>,
        /// Faults to inject, for tests of resilience.
        pub fault: Option<HttpFaultInjection>,
        /// Where to send a copy of the requests; answers to copies are dropped.
        pub mirror: Option<Destination>,
        /// Where to send copies, each destination with its own share. Not together with `mirror`.
        pub mirrors: Vec<HttpMirrorPolicy>,
        /// Deprecated spelling of `mirrorPercentage` in whole percent.
        #[serde(rename = "mirrorPercent", alias = "mirror_percent")]
        #[schemars(extend("x-alias" = "mirror_percent"))]
        #[schemars(extend("x-nullable" = true))]
        pub mirror_percent: Option<u32>,
        /// Share of requests to copy to `mirror`. Absent is all.
        pub mirror_percentage: Option<Percent>,
        /// Cross-origin rules that the proxy answers and enforces.
        pub cors_policy: Option<CorsPolicy>,
        /// Header changes for all destinations of the route.
        pub headers: Option<Headers>,
    }

    /// Conditions on an HTTP request; all of them must hold.
    pub struct HttpMatchRequest {
        /// A name for access logs.
        pub name: String,
        /// The path without the query.
        pub uri: Option<StringMatch>,
        /// The scheme, `http` or `https`.
        pub scheme: Option<StringMatch>,
        /// The method.
        pub method: Option<StringMatch>,
        /// The authority (the Host header).
        pub authority: Option<StringMatch>,
        /// Headers by lower-case name; `{}` asks only that the header is there. Of no effect on the pseudo headers
        /// that have conditions of their own.
        pub headers: BTreeMap<String, StringMatch>,
        /// Port that the client addressed.
        pub port: Option<u32>,
        /// Labels of the client's workload. Of no effect on gateways.
        pub source_labels: BTreeMap<String, String>,
        /// Gateways this condition is for; overrides the gateways of the VirtualService.
        pub gateways: Vec<String>,
        /// Query parameters by name; `{}` asks only that the parameter is there.
        pub query_params: BTreeMap<String, StringMatch>,
        /// Compare the path without regard to letter case. Exact and prefix only.
        pub ignore_uri_case: bool,
        /// Headers that must not match; `{}` asks that the header is not there.
        pub without_headers: BTreeMap<String, StringMatch>,
        /// Namespace of the client's workload. Of no effect on gateways.
        pub source_namespace: String,
        /// Prefix of the route's own statistics; none are kept when empty.
        pub stat_prefix: String,
    }

    /// A destination of requests, its share, and header changes on the way there and back.
    pub struct HttpRouteDestination {
        /// Where the requests go.
        #[schemars(extend("x-required" = true))]
        pub destination: Option<Destination>,
        /// Share of the requests relative to the sum of all weights of the route. A single destination may leave it out.
        pub weight: i32,
        /// Header changes for this destination.
        pub headers: Option<Headers>,
    }

    /// A destination of connections and its share.
    pub struct RouteDestination {
        /// Where the connections go.
        #[schemars(extend("x-required" = true))]
        pub destination: Option<Destination>,
        /// Share of the connections relative to the sum of all weights of the route.
        pub weight: i32,
    }

    /// A service, or a subset of its endpoints.
    pub struct Destination {
        /// Name of a service in the registry. A short name is completed with the namespace of the rule.
        #[schemars(extend("x-required" = true))]
        pub host: String,
        /// Subset that a DestinationRule of the host defines.
        pub subset: String,
        /// Port of the service; may be left out when it has only one.
        pub port: Option<PortSelector>,
    }

    /// The VirtualService whose routes are used in place of a route.
    pub struct Delegate {
        /// Name.
        pub name: String,
        /// Namespace; that of the delegating VirtualService when empty.
        pub namespace: String,
    }

    /// Header changes in both directions.
    pub struct Headers {
        /// Changes before a request is forwarded.
        pub request: Option<HeaderOperations>,
        /// Changes before a response is returned.
        pub response: Option<HeaderOperations>,
    }

    /// Changes of a list of headers.
    pub struct HeaderOperations {
        /// Headers to overwrite.
        pub set: BTreeMap<String, String>,
        /// Headers to append a value to.
        pub add: BTreeMap<String, String>,
        /// Headers to remove.
        pub remove: Vec<String>,
    }

    /// What to do with TLS connections that match by server name.
    pub struct TlsRoute {
        /// Conditions, one of which must hold.
        #[serde(rename = "match")]
        #[schemars(extend("x-required" = true))]
        pub matches: Vec<TlsMatchAttributes>,
        /// Destinations that share the connections by weight.
        pub route: Vec<RouteDestination>,
    }

    /// Conditions on a TLS connection; all of them must hold.
    pub struct TlsMatchAttributes {
        /// Server names, `*.`-wildcards allowed, each covered by a host of the VirtualService.
        #[schemars(extend("x-required" = true))]
        pub sni_hosts: Vec<String>,
        /// Destination addresses or CIDR blocks.
        pub destination_subnets: Vec<String>,
        /// Port that the client addressed.
        pub port: Option<u32>,
        /// Labels of the client's workload. Of no effect on gateways.
        pub source_labels: BTreeMap<String, String>,
        /// Gateways this condition is for; overrides the gateways of the VirtualService.
        pub gateways: Vec<String>,
        /// Namespace of the client's workload. Of no effect on gateways.
        pub source_namespace: String,
    }

    /// What to do with TCP connections that match.
    pub struct TcpRoute {
        /// Conditions, one of which must hold; none at all always holds.
        #[serde(rename = "match")]
        pub matches: Vec<L4MatchAttributes>,
        /// Destinations that share the connections by weight.
        pub route: Vec<RouteDestination>,
    }

    /// Conditions on a TCP connection; all of them must hold.
    pub struct L4MatchAttributes {
        /// Destination addresses or CIDR blocks.
        pub destination_subnets: Vec<String>,
        /// Port that the client addressed.
        pub port: Option<u32>,
        /// Of no effect; kept so that old objects can be read.
        pub source_subnet: String,
        /// Labels of the client's workload. Of no effect on gateways.
        pub source_labels: BTreeMap<String, String>,
        /// Gateways this condition is for; overrides the gateways of the VirtualService.
        pub gateways: Vec<String>,
        /// Namespace of the client's workload. Of no effect on gateways.
        pub source_namespace: String,
    }

    /// A redirect answered by the proxy.
    #[schemars(extend("oneOf" = [
        {"not": {"anyOf": [{"required": ["port"]}, {"required": ["derivePort"]}]}},
        {"required": ["port"]},
        {"required": ["derivePort"]},
    ]))]
    pub struct HttpRedirect {
        /// Path of the new address; the query stays. Absent keeps the path.
        pub uri: String,
        /// Replaces the prefix of the path that was matched; the rest of the path and the query stay. Not together with
        /// `uri`.
        #[schemars(extend("x-internal" = true))]
        pub prefix_rewrite: String,
        /// Authority of the new address. Absent keeps it.
        pub authority: String,
        /// Port of the new address.
        pub port: Option<u32>,
        /// Where the port of the new address comes from.
        pub derive_port: Option<RedirectPortSelection>,
        /// Scheme of the new address. Absent keeps it.
        pub scheme: String,
        /// Status code: 301 (also when absent), 302, 303, 307 or 308.
        pub redirect_code: u32,
    }

    /// A fixed response answered by the proxy.
    pub struct HttpDirectResponse {
        /// Status code.
        #[schemars(extend("x-required" = true))]
        pub status: u32,
        /// Body; none when absent.
        pub body: Option<HttpBody>,
    }

    /// The body of a fixed response, up to one mebibyte.
    #[schemars(extend("oneOf" = [
        {"not": {"anyOf": [{"required": ["string"]}, {"required": ["bytes"]}]}},
        {"required": ["string"]},
        {"required": ["bytes"]},
    ]))]
    pub struct HttpBody {
        /// Body as text.
        pub string: Option<String>,
        /// Body as bytes in base64.
        #[schemars(extend("format" = "byte"))]
        pub bytes: Option<String>,
    }

    /// Changes of path and authority before a request is forwarded.
    pub struct HttpRewrite {
        /// Replaces the matched prefix, or the whole path where it was matched exactly or by a regular expression.
        pub uri: String,
        /// Replaces the authority.
        pub authority: String,
        /// Rewrites the path by a regular expression. Not together with `uri`.
        pub uri_regex_rewrite: Option<RegexRewrite>,
    }

    /// A rewrite of the path by a regular expression.
    pub struct RegexRewrite {
        /// RE2 expression; every place of the path that matches is replaced.
        #[serde(rename = "match")]
        pub pattern: String,
        /// Replacement, with `\1` to `\9` for the groups.
        pub rewrite: String,
    }

    /// When and how often a failed request is tried again.
    pub struct HttpRetry {
        /// How many times to try again at most; 0 never does.
        pub attempts: i32,
        /// How long each try may take. Absent or zero is the whole request's time.
        #[schemars(extend("x-positive-duration" = true))]
        pub per_try_timeout: Option<Duration>,
        /// Comma-separated conditions and status codes. Empty is the mesh default.
        pub retry_on: String,
        /// Whether a retry may go to another locality.
        #[schemars(extend("x-nullable" = true))]
        pub retry_remote_localities: Option<bool>,
        /// Whether retries avoid the endpoints tried before. Absent is yes.
        #[schemars(extend("x-nullable" = true))]
        pub retry_ignore_previous_hosts: Option<bool>,
        /// Shortest wait before a retry. Absent is 25 ms.
        #[schemars(extend("x-positive-duration" = true))]
        pub backoff: Option<Duration>,
    }

    /// Cross-origin rules.
    pub struct CorsPolicy {
        /// Deprecated: exact origins. Use `allowOrigins`.
        pub allow_origin: Vec<String>,
        /// Origins that are allowed.
        pub allow_origins: Vec<StringMatch>,
        /// Methods that are allowed.
        pub allow_methods: Vec<String>,
        /// Request headers that are allowed.
        pub allow_headers: Vec<String>,
        /// Response headers that scripts may read.
        pub expose_headers: Vec<String>,
        /// How long a preflight answer may be kept.
        #[schemars(extend("x-positive-duration" = true))]
        pub max_age: Option<Duration>,
        /// Whether requests may carry credentials.
        #[schemars(extend("x-nullable" = true))]
        pub allow_credentials: Option<bool>,
        /// Whether preflights of other origins are forwarded.
        pub unmatched_preflights: UnmatchedPreflights,
    }

    /// A copy of requests to one destination.
    pub struct HttpMirrorPolicy {
        /// Where the copies go.
        #[schemars(extend("x-required" = true))]
        pub destination: Option<Destination>,
        /// Share of the requests to copy. Absent is all.
        pub percentage: Option<Percent>,
    }

    /// Faults that the proxy injects.
    pub struct HttpFaultInjection {
        /// Wait before forwarding.
        pub delay: Option<FaultDelay>,
        /// Answer with an error instead of forwarding.
        pub abort: Option<FaultAbort>,
    }

    /// An injected wait.
    #[schemars(extend("oneOf" = [
        {"not": {"anyOf": [{"required": ["fixedDelay"]}, {"required": ["exponentialDelay"]}]}},
        {"required": ["fixedDelay"]},
        {"required": ["exponentialDelay"]},
    ]))]
    pub struct FaultDelay {
        /// Deprecated spelling of `percentage` in whole percent.
        pub percent: i32,
        /// How long to wait.
        #[schemars(extend("x-positive-duration" = true))]
        pub fixed_delay: Option<Duration>,
        /// Accepted and of no effect, as in Istio.
        #[schemars(extend("x-positive-duration" = true))]
        pub exponential_delay: Option<Duration>,
        /// Share of the requests to delay. Absent is none.
        pub percentage: Option<Percent>,
    }

    /// An injected error.
    #[schemars(extend("oneOf" = [
        {"not": {"anyOf": [{"required": ["httpStatus"]}, {"required": ["grpcStatus"]}, {"required": ["http2Error"]}]}},
        {"required": ["httpStatus"]},
        {"required": ["grpcStatus"]},
        {"required": ["http2Error"]},
    ]))]
    pub struct FaultAbort {
        /// Status code to answer with.
        pub http_status: Option<i32>,
        /// gRPC status to answer with, by name: `UNAVAILABLE`.
        pub grpc_status: Option<String>,
        /// Not supported.
        pub http2_error: Option<String>,
        /// Share of the requests to fail. Absent is none.
        pub percentage: Option<Percent>,
    }
}

choice! {
    /// Where the port of a redirect comes from.
    pub enum RedirectPortSelection {
        /// The usual port of the scheme.
        FromProtocolDefault = "FROM_PROTOCOL_DEFAULT",
        /// The port of the request.
        FromRequestPort = "FROM_REQUEST_PORT",
    }

    /// What happens to a preflight request of an origin that is not allowed.
    pub enum UnmatchedPreflights {
        /// The default, which is to forward.
        Unspecified = "UNSPECIFIED",
        /// Forward to the service.
        Forward = "FORWARD",
        /// Answer with 200 and no CORS headers.
        Ignore = "IGNORE",
    }
}
