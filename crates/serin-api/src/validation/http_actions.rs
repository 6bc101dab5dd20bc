//! Rules for what an HTTP route does with its requests: redirects, rewrites, retries, faults, CORS.

use super::place::Place;
use super::strings::{regex, string_match};
use super::{headers, numbers};
use crate::networking::{
    CorsPolicy, FaultAbort, FaultDelay, HttpDirectResponse, HttpFaultInjection, HttpMatchRequest,
    HttpRedirect, HttpRetry, HttpRewrite, RegexRewrite,
};
use crate::values::StringMatch;

const CORS_METHODS: [&str; 10] =
    ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "CONNECT", "OPTIONS", "TRACE", "*"];

/// Conditions of Envoy's `x-envoy-retry-on` and `x-envoy-retry-grpc-on`.
const RETRY_CONDITIONS: [&str; 16] = [
    "5xx",
    "gateway-error",
    "reset",
    "reset-before-request",
    "connect-failure",
    "retriable-4xx",
    "refused-stream",
    "retriable-status-codes",
    "retriable-headers",
    "envoy-ratelimited",
    "http3-post-connect-failure",
    "cancelled",
    "deadline-exceeded",
    "internal",
    "resource-exhausted",
    "unavailable",
];

const GRPC_STATUSES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// Bodies of fixed responses are part of every proxy's configuration.
const LARGE_BODY: usize = 100 * 1024;
const LARGEST_BODY: usize = 1024 * 1024;

pub(super) fn cors(policy: &CorsPolicy, at: &Place<'_>) {
    at.key("allowOrigins").each(&policy.allow_origins, |origin, at| {
        if origin.text().unwrap_or_default().is_empty() {
            at.error("an allowed origin must not be empty");
        } else {
            string_match(origin, false, at);
        }
    });
    at.key("allowMethods").each(&policy.allow_methods, |method, at| {
        if !CORS_METHODS.contains(&method.as_str()) {
            at.error(format!("{method:?} is not a supported HTTP method"));
        }
    });
    let lists =
        [("allowHeaders", &policy.allow_headers), ("exposeHeaders", &policy.expose_headers)];
    for (field, list) in lists {
        at.key(field).each(list, |name, at| {
            at.expect(headers::cors_name(name));
        });
    }
    numbers::duration(policy.max_age, &at.key("maxAge"));
    if policy.max_age.is_some_and(|age| age.nanos() % 1_000_000_000 != 0) {
        at.key("maxAge").error("maxAge must be in whole seconds");
    }
}

pub(super) fn fault(fault: &HttpFaultInjection, at: &Place<'_>) {
    if fault.abort.is_none() && fault.delay.is_none() {
        at.error("a fault needs an abort or a delay");
    }
    if let Some(abort) = &fault.abort {
        self::abort(abort, &at.key("abort"));
    }
    if let Some(delay) = &fault.delay {
        self::delay(delay, &at.key("delay"));
    }
}

fn abort(abort: &FaultAbort, at: &Place<'_>) {
    numbers::fine_percent(abort.percentage.as_ref(), &at.key("percentage"));
    match (abort.http_status, &abort.grpc_status, &abort.http2_error) {
        (None, None, None) => at.warning("the abort names no error, so that nothing is aborted"),
        (Some(status), ..) => status_code(i64::from(status), &at.key("httpStatus")),
        (_, Some(status), _) if !GRPC_STATUSES.contains(&status.as_str()) => {
            at.key("grpcStatus").error(format!(
                "{status:?} is not a gRPC status: write its name, as in UNAVAILABLE"
            ));
        }
        (_, Some(_), _) => {}
        (.., Some(_)) => at.key("http2Error").error("aborts with HTTP/2 errors are not supported"),
    }
}

fn delay(delay: &FaultDelay, at: &Place<'_>) {
    numbers::fine_percent(delay.percentage.as_ref(), &at.key("percentage"));
    numbers::duration(delay.fixed_delay, &at.key("fixedDelay"));
    if delay.exponential_delay.is_some() {
        numbers::duration(delay.exponential_delay, &at.key("exponentialDelay"));
        at.key("exponentialDelay").error("exponential delays are not supported: use fixedDelay");
    }
}

/// A status with which proxies answer. As in Istio, 600 is let through.
fn status_code(status: i64, at: &Place<'_>) {
    if !(200..=600).contains(&status) {
        at.error(format!("the HTTP status {status} is not in the range 200 to 599"));
    }
}

pub(super) fn redirect(redirect: &HttpRedirect, matches: &[HttpMatchRequest], at: &Place<'_>) {
    let has_port = redirect.port.is_some() || redirect.derive_port.is_some();
    let texts = [&redirect.uri, &redirect.prefix_rewrite, &redirect.authority, &redirect.scheme];
    if texts.iter().all(|text| text.is_empty()) && !has_port {
        at.error("a redirect needs a uri, prefixRewrite, authority, scheme or port");
    }
    if !redirect.prefix_rewrite.is_empty() {
        prefix_rewrite(redirect, matches, &at.key("prefixRewrite"));
    }
    let code = redirect.redirect_code;
    if code != 0 && !(300..=399).contains(&code) {
        at.key("redirectCode").error(format!("{code} is not a redirect code: it must be 3xx"));
    }
    if !matches!(redirect.scheme.as_str(), "" | "http" | "https") {
        at.key("scheme").error("the scheme of a redirect must be http or https");
    }
    if let Some(port) = redirect.port.filter(|port| *port > 0) {
        at.key("port").expect(numbers::port(port));
    }
}

/// There must be a prefix to replace: a condition on the path that is not one has none; no condition is the prefix `/`.
fn prefix_rewrite(redirect: &HttpRedirect, matches: &[HttpMatchRequest], at: &Place<'_>) {
    if !redirect.uri.is_empty() {
        at.error("a redirect cannot have both uri and prefixRewrite");
    }
    let mut paths = matches.iter().filter_map(|it| it.uri.as_ref());
    if paths.any(|path| !matches!(path, StringMatch::Prefix(_))) {
        at.error("prefixRewrite needs every condition on the path to be a prefix");
    }
}

pub(super) fn direct_response(response: &HttpDirectResponse, at: &Place<'_>) {
    if let Some(body) = &response.body {
        let bytes = body.bytes.as_deref().map_or(0, decoded_length);
        let size = body.string.as_deref().map_or(bytes, str::len);
        if size > LARGEST_BODY {
            at.key("body").error("the body of a direct response must be less than 1 MiB");
        } else if size > LARGE_BODY {
            at.key("body")
                .warning("a large direct response is part of every proxy's configuration");
        }
    }
    status_code(i64::from(response.status), &at.key("status"));
}

/// How many bytes a text in base64 stands for.
fn decoded_length(base64: &str) -> usize {
    base64.trim_end_matches('=').len() * 3 / 4
}

pub(super) fn retries(retries: &HttpRetry, at: &Place<'_>) {
    let HttpRetry { attempts, per_try_timeout, retry_on, .. } = retries;
    numbers::not_negative(*attempts, &at.key("attempts"));
    let has_policy = per_try_timeout.is_some()
        || !retry_on.is_empty()
        || retries.retry_remote_localities.is_some();
    if *attempts == 0 && has_policy {
        at.key("attempts").error("0 attempts turn retries off, but a policy for them is set");
    }
    numbers::duration(*per_try_timeout, &at.key("perTryTimeout"));
    numbers::duration(retries.backoff, &at.key("backoff"));
    if !retry_on.is_empty() {
        for condition in retry_on.split(',') {
            let is_status = condition.parse().is_ok_and(is_known_status);
            if !is_status && !RETRY_CONDITIONS.contains(&condition) {
                at.key("retryOn").error(format!("{condition:?} is not a valid retryOn policy"));
            }
        }
    }
}

/// Whether a status code has a name in Go's `net/http`.
fn is_known_status(status: u16) -> bool {
    matches!(status, 100..=103 | 200..=208 | 226 | 300..=305 | 307 | 308 | 400..=418 | 421..=426
        | 428 | 429 | 431 | 451 | 500..=508 | 510 | 511)
}

pub(super) fn rewrite(rewrite: &HttpRewrite, at: &Place<'_>) {
    let by_regex = rewrite.uri_regex_rewrite.as_ref();
    if !rewrite.uri.is_empty() && by_regex.is_some() {
        at.error("a rewrite cannot have both uri and uriRegexRewrite");
    }
    if rewrite.uri.is_empty() && by_regex.is_none() && rewrite.authority.is_empty() {
        at.error("a rewrite needs a uri, a uriRegexRewrite or an authority");
    }
    if let Some(RegexRewrite { pattern, rewrite }) = by_regex {
        let at = at.key("uriRegexRewrite");
        if pattern.is_empty() || rewrite.is_empty() {
            at.error("uriRegexRewrite needs both match and rewrite");
        } else {
            regex(pattern, &at.key("match"));
        }
    }
}
