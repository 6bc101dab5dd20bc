//! HTTPRoute.

use crate::gateway_api::{BackendObjectReference, LocalObjectReference, ParentReference};
use crate::values::Duration;

resource! {
    HttpRoute as "HTTPRoute": "gateway.networking.k8s.io", ["v1", "v1beta1"], "httproutes"
    columns [
        ("Hostnames", "string", ".spec.hostnames", "Hosts of the route"),
        ("Age", "date", ".metadata.creationTimestamp", "Time since creation"),
    ]
}

message! {
    /// Where HTTP requests go.
    pub struct HttpRoute {
        /// What the route is attached to.
        #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "atomic"))]
        pub parent_refs: Vec<ParentReference>,
        /// Whether the route is attached to default gateways: `All` or `None`.
        pub use_default_gateways: Option<String>,
        /// Hosts, `*.`-wildcards allowed. None at all is those of the listener.
        #[schemars(
            length(max = 16),
            inner(length(min = 1, max = 253), regex(pattern = r"^(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$")),
            extend("x-kubernetes-list-type" = "atomic")
        )]
        pub hostnames: Vec<String>,
        /// Rules. None at all is one that takes every request and has no backend.
        #[schemars(length(min = 1, max = 16), extend(
            "default" = [{"matches": [{"path": {"type": "PathPrefix", "value": "/"}}]}],
            "x-kubernetes-list-type" = "atomic",
            "x-kubernetes-validations" = [
                {"rule": "(self.size() > 0 ? self[0].matches.size() : 0) + (self.size() > 1 ? self[1].matches.size() : 0) + (self.size() > 2 ? self[2].matches.size() : 0) + (self.size() > 3 ? self[3].matches.size() : 0) + (self.size() > 4 ? self[4].matches.size() : 0) + (self.size() > 5 ? self[5].matches.size() : 0) + (self.size() > 6 ? self[6].matches.size() : 0) + (self.size() > 7 ? self[7].matches.size() : 0) + (self.size() > 8 ? self[8].matches.size() : 0) + (self.size() > 9 ? self[9].matches.size() : 0) + (self.size() > 10 ? self[10].matches.size() : 0) + (self.size() > 11 ? self[11].matches.size() : 0) + (self.size() > 12 ? self[12].matches.size() : 0) + (self.size() > 13 ? self[13].matches.size() : 0) + (self.size() > 14 ? self[14].matches.size() : 0) + (self.size() > 15 ? self[15].matches.size() : 0) <= 128", "message": "While 16 rules and 64 matches per rule are allowed, the total number of matches across all rules in a route must be less than 128"},
            ]
        ))]
        pub rules: Option<Vec<HttpRouteRule>>,
    }

    /// Conditions, changes and destinations.
    #[schemars(extend("x-kubernetes-validations" = [
        {"rule": "(has(self.backendRefs) && size(self.backendRefs) > 0) ? (!has(self.filters) || self.filters.all(f, !has(f.requestRedirect))): true", "message": "RequestRedirect filter must not be used together with backendRefs"},
        {"rule": "(has(self.filters) && self.filters.exists_one(f, has(f.requestRedirect) && has(f.requestRedirect.path) && f.requestRedirect.path.type == 'ReplacePrefixMatch' && has(f.requestRedirect.path.replacePrefixMatch))) ? ((size(self.matches) != 1 || !has(self.matches[0].path) || self.matches[0].path.type != 'PathPrefix') ? false : true) : true", "message": "When using RequestRedirect filter with path.replacePrefixMatch, exactly one PathPrefix match must be specified"},
        {"rule": "(has(self.filters) && self.filters.exists_one(f, has(f.urlRewrite) && has(f.urlRewrite.path) && f.urlRewrite.path.type == 'ReplacePrefixMatch' && has(f.urlRewrite.path.replacePrefixMatch))) ? ((size(self.matches) != 1 || !has(self.matches[0].path) || self.matches[0].path.type != 'PathPrefix') ? false : true) : true", "message": "When using URLRewrite filter with path.replacePrefixMatch, exactly one PathPrefix match must be specified"},
    ]))]
    pub struct HttpRouteRule {
        /// Name, unique in the route.
        #[schemars(length(min = 1, max = 253), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"))]
        pub name: Option<String>,
        /// Conditions, one of which must hold. None at all always holds.
        #[schemars(length(max = 64), extend("default" = [{"path": {"type": "PathPrefix", "value": "/"}}], "x-kubernetes-list-type" = "atomic"))]
        pub matches: Vec<HttpRouteMatch>,
        /// Changes of every request of the rule.
        #[schemars(length(max = 16), extend(
            "x-kubernetes-list-type" = "atomic",
            "x-kubernetes-validations" = [
                {"rule": "!(self.exists(f, f.type == 'RequestRedirect') && self.exists(f, f.type == 'URLRewrite'))", "message": "May specify either httpRouteFilterRequestRedirect or httpRouteFilterRequestRewrite, but not both"},
                {"rule": "self.filter(f, f.type == 'RequestHeaderModifier').size() <= 1", "message": "RequestHeaderModifier filter cannot be repeated"},
                {"rule": "self.filter(f, f.type == 'ResponseHeaderModifier').size() <= 1", "message": "ResponseHeaderModifier filter cannot be repeated"},
                {"rule": "self.filter(f, f.type == 'RequestRedirect').size() <= 1", "message": "RequestRedirect filter cannot be repeated"},
                {"rule": "self.filter(f, f.type == 'URLRewrite').size() <= 1", "message": "URLRewrite filter cannot be repeated"},
                {"rule": "self.filter(f, f.type == 'CORS').size() <= 1", "message": "CORS filter cannot be repeated"},
            ]
        ))]
        pub filters: Vec<HttpRouteFilter>,
        /// Destinations that share the requests by weight.
        #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "atomic"))]
        pub backend_refs: Vec<HttpBackendRef>,
        /// How long a request may take.
        pub timeouts: Option<HttpRouteTimeouts>,
        /// When and how often to try again.
        pub retry: Option<HttpRouteRetry>,
        /// Requests of a session go to the same endpoint.
        pub session_persistence: Option<SessionPersistence>,
    }

    /// Conditions on a request; all of them must hold.
    pub struct HttpRouteMatch {
        /// The path.
        #[schemars(extend("default" = {"type": "PathPrefix", "value": "/"}))]
        pub path: Option<HttpPathMatch>,
        /// Headers.
        #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
        pub headers: Vec<HttpValueMatch>,
        /// Query parameters.
        #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
        pub query_params: Vec<HttpValueMatch>,
        /// The method.
        pub method: Option<HttpMethod>,
    }

    /// A condition on the path.
    #[schemars(extend("x-kubernetes-validations" = [
        {"rule": "(self.type in ['Exact','PathPrefix']) ? self.value.startsWith('/') : true", "message": "value must be an absolute path and start with '/' when type one of ['Exact', 'PathPrefix']"},
        {"rule": "(self.type in ['Exact','PathPrefix']) ? !self.value.contains('//') : true", "message": "must not contain '//' when type one of ['Exact', 'PathPrefix']"},
        {"rule": "(self.type in ['Exact','PathPrefix']) ? !self.value.contains('/./') : true", "message": "must not contain '/./' when type one of ['Exact', 'PathPrefix']"},
        {"rule": "(self.type in ['Exact','PathPrefix']) ? !self.value.contains('/../') : true", "message": "must not contain '/../' when type one of ['Exact', 'PathPrefix']"},
        {"rule": "(self.type in ['Exact','PathPrefix']) ? !self.value.contains('%2f') : true", "message": "must not contain '%2f' when type one of ['Exact', 'PathPrefix']"},
        {"rule": "(self.type in ['Exact','PathPrefix']) ? !self.value.contains('%2F') : true", "message": "must not contain '%2F' when type one of ['Exact', 'PathPrefix']"},
        {"rule": "(self.type in ['Exact','PathPrefix']) ? !self.value.contains('#') : true", "message": "must not contain '#' when type one of ['Exact', 'PathPrefix']"},
        {"rule": "(self.type in ['Exact','PathPrefix']) ? !self.value.endsWith('/..') : true", "message": "must not end with '/..' when type one of ['Exact', 'PathPrefix']"},
        {"rule": "(self.type in ['Exact','PathPrefix']) ? !self.value.endsWith('/.') : true", "message": "must not end with '/.' when type one of ['Exact', 'PathPrefix']"},
        {"rule": "self.type in ['Exact','PathPrefix'] || self.type == 'RegularExpression'", "message": "type must be one of ['Exact', 'PathPrefix', 'RegularExpression']"},
        {"rule": "(self.type in ['Exact','PathPrefix']) ? self.value.matches(r\"\"\"^(?:[-A-Za-z0-9/._~!$&'()*+,;=:@]|[%][0-9a-fA-F]{2})+$\"\"\") : true", "message": "must only contain valid characters (matching ^(?:[-A-Za-z0-9/._~!$&'()*+,;=:@]|[%][0-9a-fA-F]{2})+$) for types ['Exact', 'PathPrefix']"},
    ]))]
    pub struct HttpPathMatch {
        /// How it is compared.
        #[serde(rename = "type")]
        #[schemars(extend("default" = "PathPrefix"))]
        pub match_type: PathMatchType,
        /// What it is compared with; `/` when absent.
        #[schemars(length(max = 1024), extend("default" = "/"))]
        pub value: Option<String>,
    }

    /// A condition on a header or a query parameter.
    pub struct HttpValueMatch {
        /// How it is compared.
        #[serde(rename = "type")]
        #[schemars(extend("default" = "Exact"))]
        pub match_type: ValueMatchType,
        /// Name.
        #[schemars(extend("x-required" = true), length(min = 1, max = 256), regex(pattern = r"^[A-Za-z0-9!#$%&'*+\-.^_\x60|~]+$"))]
        pub name: String,
        /// What it is compared with.
        #[schemars(extend("x-required" = true), length(min = 1, max = 4096))]
        pub value: String,
    }

    /// A change of a request or its response, or another answer.
    #[schemars(extend("x-kubernetes-validations" = [
        {"rule": "!(has(self.requestHeaderModifier) && self.type != 'RequestHeaderModifier')", "message": "filter.requestHeaderModifier must be nil if the filter.type is not RequestHeaderModifier"},
        {"rule": "!(!has(self.requestHeaderModifier) && self.type == 'RequestHeaderModifier')", "message": "filter.requestHeaderModifier must be specified for RequestHeaderModifier filter.type"},
        {"rule": "!(has(self.responseHeaderModifier) && self.type != 'ResponseHeaderModifier')", "message": "filter.responseHeaderModifier must be nil if the filter.type is not ResponseHeaderModifier"},
        {"rule": "!(!has(self.responseHeaderModifier) && self.type == 'ResponseHeaderModifier')", "message": "filter.responseHeaderModifier must be specified for ResponseHeaderModifier filter.type"},
        {"rule": "!(has(self.requestMirror) && self.type != 'RequestMirror')", "message": "filter.requestMirror must be nil if the filter.type is not RequestMirror"},
        {"rule": "!(!has(self.requestMirror) && self.type == 'RequestMirror')", "message": "filter.requestMirror must be specified for RequestMirror filter.type"},
        {"rule": "!(has(self.requestRedirect) && self.type != 'RequestRedirect')", "message": "filter.requestRedirect must be nil if the filter.type is not RequestRedirect"},
        {"rule": "!(!has(self.requestRedirect) && self.type == 'RequestRedirect')", "message": "filter.requestRedirect must be specified for RequestRedirect filter.type"},
        {"rule": "!(has(self.urlRewrite) && self.type != 'URLRewrite')", "message": "filter.urlRewrite must be nil if the filter.type is not URLRewrite"},
        {"rule": "!(!has(self.urlRewrite) && self.type == 'URLRewrite')", "message": "filter.urlRewrite must be specified for URLRewrite filter.type"},
        {"rule": "!(has(self.cors) && self.type != 'CORS')", "message": "filter.cors must be nil if the filter.type is not CORS"},
        {"rule": "!(!has(self.cors) && self.type == 'CORS')", "message": "filter.cors must be specified for CORS filter.type"},
        {"rule": "!(has(self.externalAuth) && self.type != 'ExternalAuth')", "message": "filter.externalAuth must be nil if the filter.type is not ExternalAuth"},
        {"rule": "!(!has(self.externalAuth) && self.type == 'ExternalAuth')", "message": "filter.externalAuth must be specified for ExternalAuth filter.type"},
        {"rule": "!(has(self.extensionRef) && self.type != 'ExtensionRef')", "message": "filter.extensionRef must be nil if the filter.type is not ExtensionRef"},
        {"rule": "!(!has(self.extensionRef) && self.type == 'ExtensionRef')", "message": "filter.extensionRef must be specified for ExtensionRef filter.type"},
    ]))]
    pub struct HttpRouteFilter {
        /// Which of the following it is.
        #[serde(rename = "type")]
        #[schemars(extend("x-required" = true))]
        pub filter_type: Option<HttpRouteFilterType>,
        /// Changes of request headers.
        pub request_header_modifier: Option<HttpHeaderFilter>,
        /// Changes of response headers.
        pub response_header_modifier: Option<HttpHeaderFilter>,
        /// A copy of the request.
        pub request_mirror: Option<HttpRequestMirrorFilter>,
        /// A redirect.
        pub request_redirect: Option<HttpRequestRedirectFilter>,
        /// Changes of path and host.
        pub url_rewrite: Option<HttpUrlRewriteFilter>,
        /// Cross-origin rules.
        pub cors: Option<HttpCorsFilter>,
        /// A question of authorization.
        pub external_auth: Option<HttpExternalAuthFilter>,
        /// A filter of the implementation's.
        pub extension_ref: Option<LocalObjectReference>,
    }

    /// Changes of headers.
    pub struct HttpHeaderFilter {
        /// Headers to overwrite.
        #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
        pub set: Vec<HttpHeader>,
        /// Headers to append a value to.
        #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
        pub add: Vec<HttpHeader>,
        /// Headers to remove.
        #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "set"))]
        pub remove: Vec<String>,
    }

    /// A header and its value.
    pub struct HttpHeader {
        /// Name.
        #[schemars(extend("x-required" = true), length(min = 1, max = 256), regex(pattern = r"^[A-Za-z0-9!#$%&'*+\-.^_\x60|~]+$"))]
        pub name: String,
        /// Value.
        #[schemars(extend("x-required" = true), length(min = 1, max = 4096))]
        pub value: String,
    }

    /// A copy of the request; its answer is dropped.
    #[schemars(extend("x-kubernetes-validations" = [
        {"rule": "!(has(self.percent) && has(self.fraction))", "message": "Only one of percent or fraction may be specified in HTTPRequestMirrorFilter"},
    ]))]
    pub struct HttpRequestMirrorFilter {
        /// Where it goes.
        #[schemars(extend("x-required" = true))]
        pub backend_ref: Option<BackendObjectReference>,
        /// Share of the requests in percent. Absent, with `fraction`, is all.
        #[schemars(range(min = 0, max = 100))]
        pub percent: Option<i32>,
        /// Share of the requests.
        pub fraction: Option<Fraction>,
    }

    /// A share.
    #[schemars(extend("x-kubernetes-validations" = [
        {"rule": "self.numerator <= self.denominator", "message": "numerator must be less than or equal to denominator"},
    ]))]
    pub struct Fraction {
        /// The part.
        #[schemars(extend("x-required" = true), range(min = 0))]
        pub numerator: i32,
        /// The whole; 100 when absent.
        #[schemars(range(min = 1), extend("default" = 100))]
        pub denominator: Option<i32>,
    }

    /// A redirect.
    pub struct HttpRequestRedirectFilter {
        /// Scheme: `http` or `https`. Absent keeps it.
        #[schemars(extend("enum" = ["http", "https"]))]
        pub scheme: Option<String>,
        /// Host. Absent keeps it.
        #[schemars(length(min = 1, max = 253), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"))]
        pub hostname: Option<String>,
        /// Change of the path.
        pub path: Option<HttpPathModifier>,
        /// Port. Absent is that of the scheme, or of the listener.
        #[schemars(range(min = 1, max = 65535))]
        pub port: Option<i32>,
        /// Status code; 302 when absent.
        #[schemars(extend("default" = 302, "enum" = [301, 302, 303, 307, 308]))]
        pub status_code: Option<i32>,
    }

    /// Changes of path and host.
    pub struct HttpUrlRewriteFilter {
        /// Host.
        #[schemars(length(min = 1, max = 253), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"))]
        pub hostname: Option<String>,
        /// Path.
        pub path: Option<HttpPathModifier>,
    }

    /// A change of the path.
    #[schemars(extend("x-kubernetes-validations" = [
        {"rule": "self.type == 'ReplaceFullPath' ? has(self.replaceFullPath) : true", "message": "replaceFullPath must be specified when type is set to 'ReplaceFullPath'"},
        {"rule": "has(self.replaceFullPath) ? self.type == 'ReplaceFullPath' : true", "message": "type must be 'ReplaceFullPath' when replaceFullPath is set"},
        {"rule": "self.type == 'ReplacePrefixMatch' ? has(self.replacePrefixMatch) : true", "message": "replacePrefixMatch must be specified when type is set to 'ReplacePrefixMatch'"},
        {"rule": "has(self.replacePrefixMatch) ? self.type == 'ReplacePrefixMatch' : true", "message": "type must be 'ReplacePrefixMatch' when replacePrefixMatch is set"},
    ]))]
    pub struct HttpPathModifier {
        /// Which of the following it is.
        #[serde(rename = "type")]
        #[schemars(extend("x-required" = true))]
        pub modifier_type: Option<PathModifierType>,
        /// Takes the place of the whole path.
        #[schemars(length(max = 1024))]
        pub replace_full_path: Option<String>,
        /// Takes the place of the matched prefix.
        #[schemars(length(max = 1024))]
        pub replace_prefix_match: Option<String>,
    }

    /// Cross-origin rules.
    pub struct HttpCorsFilter {
        /// Origins that are allowed: scheme and host, a `*` for either part of the host or for all.
        #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "set"))]
        pub allow_origins: Vec<String>,
        /// Whether requests may carry credentials.
        pub allow_credentials: Option<bool>,
        /// Methods that are allowed, or `*`.
        #[schemars(length(max = 9), extend("x-kubernetes-list-type" = "set"))]
        pub allow_methods: Vec<String>,
        /// Request headers that are allowed, or `*`.
        #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "set"))]
        pub allow_headers: Vec<String>,
        /// Response headers that scripts may read, or `*`.
        #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "set"))]
        pub expose_headers: Vec<String>,
        /// Seconds a preflight answer may be kept; 5 when absent.
        #[schemars(range(min = 1), extend("default" = 5))]
        pub max_age: Option<i32>,
    }

    /// A question of authorization.
    pub struct HttpExternalAuthFilter {
        /// `HTTP` or `GRPC`.
        #[schemars(extend("x-required" = true), extend("enum" = ["HTTP", "GRPC"]))]
        pub protocol: String,
        /// Who is asked.
        #[schemars(extend("x-required" = true))]
        pub backend_ref: Option<BackendObjectReference>,
        /// Settings for gRPC.
        pub grpc: Option<GrpcAuthConfig>,
        /// Settings for HTTP.
        pub http: Option<HttpAuthConfig>,
        /// Whether the body is sent along.
        pub forward_body: Option<ForwardBodyConfig>,
    }

    /// How authorization is asked by gRPC.
    pub struct GrpcAuthConfig {
        /// Request headers that are sent. None at all is every one.
        #[schemars(length(max = 64))]
        pub allowed_headers: Vec<String>,
    }

    /// How authorization is asked by HTTP.
    pub struct HttpAuthConfig {
        /// Prefix of the path.
        pub path: String,
        /// Further request headers that are sent.
        #[schemars(length(max = 64))]
        pub allowed_headers: Vec<String>,
        /// Headers of the answer that are taken over.
        #[schemars(length(max = 64))]
        pub allowed_response_headers: Vec<String>,
    }

    /// Whether the body is sent along.
    pub struct ForwardBodyConfig {
        /// How many bytes at most. 0 is none.
        pub max_size: i32,
    }

    /// A destination, its share, and changes for it alone.
    #[schemars(extend("x-kubernetes-validations" = [
        {"rule": "(size(self.group) == 0 && self.kind == 'Service') ? has(self.port) : true", "message": "Must have port for Service reference"},
    ]))]
    pub struct HttpBackendRef {
        /// API group; the core group when absent.
        #[schemars(length(max = 253), extend("default" = ""))]
        pub group: Option<String>,
        /// Kind; `Service` when absent.
        #[schemars(length(min = 1, max = 63), extend("default" = "Service"))]
        pub kind: Option<String>,
        /// Name.
        #[schemars(extend("x-required" = true), length(min = 1, max = 253))]
        pub name: String,
        /// Namespace; that of the route when absent. Another namespace must grant it.
        #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
        pub namespace: Option<String>,
        /// Port of the service.
        #[schemars(range(min = 1, max = 65535))]
        pub port: Option<i32>,
        /// Share relative to the sum of all weights; 1 when absent.
        #[schemars(range(min = 0, max = 1_000_000), extend("default" = 1))]
        pub weight: Option<i32>,
        /// Changes of the requests that go there.
        #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "atomic"))]
        pub filters: Vec<HttpRouteFilter>,
    }

    /// How long a request may take.
    #[schemars(extend("x-kubernetes-validations" = [
        {"rule": "!(has(self.request) && has(self.backendRequest) && duration(self.request) != duration('0s') && duration(self.backendRequest) > duration(self.request))", "message": "backendRequest timeout cannot be longer than request timeout"},
    ]))]
    pub struct HttpRouteTimeouts {
        /// In all. Zero is unlimited.
        #[schemars(regex(pattern = r"^([0-9]{1,5}(h|m|s|ms)){1,4}$"))]
        pub request: Option<Duration>,
        /// For each try.
        #[schemars(regex(pattern = r"^([0-9]{1,5}(h|m|s|ms)){1,4}$"))]
        pub backend_request: Option<Duration>,
    }

    /// When and how often to try again.
    pub struct HttpRouteRetry {
        /// Status codes on which to try again.
        #[schemars(inner(range(min = 400, max = 599)), extend("x-kubernetes-list-type" = "atomic"))]
        pub codes: Vec<i32>,
        /// How many times at most.
        pub attempts: Option<i32>,
        /// Shortest wait before a retry.
        #[schemars(regex(pattern = r"^([0-9]{1,5}(h|m|s|ms)){1,4}$"))]
        pub backoff: Option<Duration>,
    }

    /// Requests of a session go to the same endpoint.
    pub struct SessionPersistence {
        /// Name of the cookie or header.
        #[schemars(length(max = 128))]
        pub session_name: Option<String>,
        /// How long a session lasts.
        #[schemars(regex(pattern = r"^([0-9]{1,5}(h|m|s|ms)){1,4}$"))]
        pub absolute_timeout: Option<Duration>,
        /// How long a session lasts without requests.
        #[schemars(regex(pattern = r"^([0-9]{1,5}(h|m|s|ms)){1,4}$"))]
        pub idle_timeout: Option<Duration>,
        /// By cookie or by header.
        #[serde(rename = "type")]
        #[schemars(extend("default" = "Cookie"))]
        pub persistence_type: SessionPersistenceType,
        /// The cookie.
        pub cookie_config: Option<CookieConfig>,
    }

    /// The cookie of a session.
    pub struct CookieConfig {
        /// Whether it outlives the browser's session.
        #[schemars(extend("default" = "Session"))]
        pub lifetime_type: CookieLifetimeType,
    }
}

choice! {
    /// How a path is compared.
    pub enum PathMatchType {
        /// By whole segments from its beginning.
        PathPrefix = "PathPrefix",
        /// As a whole.
        Exact = "Exact",
        /// By a regular expression.
        RegularExpression = "RegularExpression",
    }

    /// How a value is compared.
    pub enum ValueMatchType {
        /// As a whole.
        Exact = "Exact",
        /// By a regular expression.
        RegularExpression = "RegularExpression",
    }

    /// A method of HTTP.
    pub enum HttpMethod {
        /// GET.
        Get = "GET",
        /// HEAD.
        Head = "HEAD",
        /// POST.
        Post = "POST",
        /// PUT.
        Put = "PUT",
        /// DELETE.
        Delete = "DELETE",
        /// CONNECT.
        Connect = "CONNECT",
        /// OPTIONS.
        Options = "OPTIONS",
        /// TRACE.
        Trace = "TRACE",
        /// PATCH.
        Patch = "PATCH",
    }

    /// What a filter does.
    pub enum HttpRouteFilterType {
        /// Change request headers.
        RequestHeaderModifier = "RequestHeaderModifier",
        /// Change response headers.
        ResponseHeaderModifier = "ResponseHeaderModifier",
        /// Send a copy.
        RequestMirror = "RequestMirror",
        /// Redirect.
        RequestRedirect = "RequestRedirect",
        /// Change path and host.
        UrlRewrite = "URLRewrite",
        /// Cross-origin rules.
        Cors = "CORS",
        /// Ask for authorization.
        ExternalAuth = "ExternalAuth",
        /// What the implementation defines.
        ExtensionRef = "ExtensionRef",
    }

    /// What takes the place of a path.
    pub enum PathModifierType {
        /// The whole path is replaced.
        ReplaceFullPath = "ReplaceFullPath",
        /// The matched prefix is replaced.
        ReplacePrefixMatch = "ReplacePrefixMatch",
    }

    /// What marks a session.
    pub enum SessionPersistenceType {
        /// A cookie.
        Cookie = "Cookie",
        /// A header.
        Header = "Header",
    }

    /// How long a cookie lives.
    pub enum CookieLifetimeType {
        /// As long as the browser's session.
        Session = "Session",
        /// As long as the absolute timeout.
        Permanent = "Permanent",
    }
}
