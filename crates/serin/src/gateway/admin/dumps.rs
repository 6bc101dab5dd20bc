//! What is in force and what happens, for people.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::SocketAddr;

use anyhow::Context;
use serde_json::{Value, json};
use serin_proxy::{ClusterStats, CoreStats, EndpointStats, InForce, Seen};
use serin_routing::model::{Direction, EndpointAddress};
use serin_routing::simulate::simulate;

use crate::explain::{from_url, with_headers};

/// `0.0.0.0_80::127.0.0.1:8080`, one a line.
pub(super) fn listeners(in_force: &InForce) -> String {
    let line = |(name, address)| format!("{name}::{address}\n");
    in_force.listening.iter().map(line).collect()
}

/// `CLUSTER::ENDPOINT::NAME::VALUE`, one a line, as Envoy has it.
pub(super) fn clusters(cores: &[CoreStats]) -> String {
    let mut text = String::new();
    let Some(first) = cores.first() else { return text };
    for (name, cluster) in &first.clusters {
        let all = || cores.iter().filter_map(|core| core.clusters.get(name));
        let sum = |value: fn(&ClusterStats) -> u64| all().map(value).sum::<u64>();
        // Writing to memory does not fail.
        let _ = writeln!(text, "{name}::cx_active::{}", sum(|it| it.connections as u64));
        let _ = writeln!(text, "{name}::rq_total::{}", sum(|it| it.requests));
        let _ = writeln!(text, "{name}::rq_pending_overflow::{}", sum(|it| it.overflows));
        for endpoint in &cluster.endpoints {
            let here =
                || all().flat_map(|it| &it.endpoints).filter(|it| it.address == endpoint.address);
            let address = shown(&endpoint.address);
            let active: u32 = here().map(|it| it.active).sum();
            let ejected = here().any(|it| it.ejected);
            let _ = writeln!(text, "{name}::{address}::rq_active::{active}");
            let _ = writeln!(text, "{name}::{address}::weight::{}", endpoint.weight);
            let _ =
                writeln!(text, "{name}::{address}::health_flags::{}", health(endpoint, ejected));
        }
    }
    text
}

const fn health(endpoint: &EndpointStats, ejected: bool) -> &'static str {
    match (endpoint.healthy, ejected) {
        (_, true) => "/failed_outlier_check",
        (false, false) => "/failed_eds_health",
        (true, false) => "healthy",
    }
}

fn shown(address: &EndpointAddress) -> String {
    match address {
        EndpointAddress::Socket(ip, port) => SocketAddr::new(*ip, *port).to_string(),
        EndpointAddress::Name(name, port) => format!("{name}:{port}"),
        EndpointAddress::Unix(path) => path.to_string(),
    }
}

/// The model.
pub(super) fn config(in_force: &InForce) -> Value {
    // A model holds names of certificates, never their keys.
    let model = serde_json::to_value(&*in_force.model);
    json!({
        "version": in_force.version,
        "listening": in_force.listening,
        "model": model.unwrap_or_else(|error| Value::from(error.to_string())),
    })
}

/// The sample.
pub(super) fn requests(sample: &[Seen]) -> Value {
    let shown = |seen: &Seen| {
        json!({
            "time": seen.started.as_secs_f64(),
            "method": seen.method,
            "authority": seen.authority,
            "path": seen.path,
            "status": seen.status,
            "flags": seen.flags,
            "details": seen.details,
            "duration_ms": seen.duration.as_secs_f64() * 1000.0,
            "attempts": seen.attempts,
            "rule": seen.rule,
            "route": seen.route,
            "cluster": seen.cluster,
            "endpoint": seen.endpoint,
        })
    };
    sample.iter().map(shown).collect()
}

/// The way of a request that a query describes.
pub(super) fn explain(in_force: &InForce, query: &str) -> anyhow::Result<Value> {
    let url = parameter(query, "url").context("which request? /explain?url=http://host/path")?;
    let mut call = from_url(&url)?;
    call.method = parameter(query, "method");
    let headers = parameters(query).filter(|(name, _)| name == "header").map(|(_, value)| value);
    let call = with_headers(call, &headers.collect::<Vec<_>>())?;
    let way = simulate(&in_force.model, Direction::Gateway, &call);
    Ok(serde_json::to_value(&way)?)
}

/// The value of a query's parameter.
pub(super) fn parameter(query: &str, name: &str) -> Option<String> {
    let all: BTreeMap<String, String> = parameters(query).collect();
    all.get(name).cloned()
}

fn parameters(query: &str) -> impl Iterator<Item = (String, String)> {
    query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decoded(name), decoded(value))
    })
}

/// Undoes percent-encoding; what is malformed stays as it is.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let hex = after.get(..2).and_then(|it| std::str::from_utf8(it).ok());
        let byte = hex.and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match (first, byte) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = after.get(2..).unwrap_or_default();
            }
            (b'+', _) => {
                bytes.push(b' ');
                rest = after;
            }
            (other, _) => {
                bytes.push(other);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_decoded() {
        let query = "url=http%3A%2F%2Fa.example%2Fx%3Fy%3D1&header=a:b+c&header=d:e&bad=%zz";
        assert_eq!(parameter(query, "url").as_deref(), Some("http://a.example/x?y=1"));
        assert_eq!(parameter(query, "bad").as_deref(), Some("%zz"));
        assert_eq!(parameter(query, "none"), None);
        assert_eq!(parameters(query).filter(|(name, _)| name == "header").count(), 2);
    }
}
