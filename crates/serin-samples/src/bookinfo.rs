//! The bookshop: a page, and behind it details, reviews in three versions, and ratings.
//!
//! Paths, variables, JSON and the headers that are passed on are those of Istio's Bookinfo, so that manifests written for it fit. Words
//! and looks are our own. Left out: ratings from a database, details from a book service on the internet, flooding.

mod details;
mod page;
mod productpage;
mod ratings;
mod reviews;
mod session;

use std::time::Duration;

use crate::environment::Environment;
use crate::sample::BadSample;
use crate::upstream::Upstream;

pub(crate) use details::Details;
pub(crate) use productpage::Productpage;
pub(crate) use ratings::Ratings;
pub(crate) use reviews::Reviews;

/// Headers that a service passes on to those it asks: without them no trace and no rule on a user goes deeper than one service.
pub(crate) const PASSED_ON: &[&str] = &[
    "x-request-id",
    "traceparent",
    "tracestate",
    "baggage",
    "b3",
    "x-b3-traceid",
    "x-b3-spanid",
    "x-b3-parentspanid",
    "x-b3-sampled",
    "x-b3-flags",
    "x-ot-span-context",
    "x-datadog-trace-id",
    "x-datadog-parent-id",
    "x-datadog-sampling-priority",
    "x-cloud-trace-context",
    "grpc-trace-bin",
    "sw8",
    "end-user",
    "user-agent",
    "cookie",
    "authorization",
    "jwt",
];

/// One of the shop's services, where the variables say that it is: `NAME_HOSTNAME`, `NAME_SERVICE_PORT`, `SERVICES_DOMAIN`.
fn service(
    environment: &Environment,
    name: &str,
    timeout: Duration,
) -> Result<Upstream, BadSample> {
    let timeout = environment.timeout(timeout)?;
    let capitals = name.to_uppercase();
    let mut host = environment.get(&format!("{capitals}_HOSTNAME")).unwrap_or(name).to_owned();
    if let Some(domain) = environment.get("SERVICES_DOMAIN") {
        host = format!("{host}.{domain}");
    }
    let variable = format!("{capitals}_SERVICE_PORT");
    let port = match environment.get(&variable) {
        None => 9080,
        Some(value) => match value.parse() {
            Ok(port) => port,
            Err(_) => return Err(BadSample::Port { value: value.to_owned(), variable }),
        },
    };
    Ok(Upstream::new(host, port, timeout))
}

/// The number that is the last part of a path.
fn id_of(path: &str) -> Option<i64> {
    path.rsplit('/').next().and_then(|id| id.parse().ok())
}
