//! What is asked: one request from the command line, or many from a file.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;

use anyhow::{Context, bail, ensure};
use serde::Deserialize;
use serin_routing::model::Direction;
use serin_routing::simulate::{Call, TlsMode, Values};
use serin_translate::{Proxy, ProxyKind};

use crate::cli::ExplainArgs;

/// Requests, and the proxy that they are put to.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(crate) struct Question {
    /// Whose proxy.
    pub(crate) proxy: ProxyQuestion,
    /// The requests, in order.
    pub(crate) calls: Vec<Call>,
}

/// A proxy as a user describes it.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct ProxyQuestion {
    /// What it does.
    #[serde(rename = "type")]
    pub(crate) kind: ProxyType,
    /// Namespace of its workload; the default one if left out.
    pub(crate) namespace: Option<String>,
    /// Labels of its workload.
    pub(crate) labels: BTreeMap<String, String>,
    /// Its addresses.
    pub(crate) ip_addresses: Vec<IpAddr>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ProxyType {
    /// Beside a workload.
    #[default]
    Sidecar,
    /// At the edge.
    #[serde(alias = "router")]
    Gateway,
}

impl ProxyQuestion {
    /// The proxy as translation knows it.
    pub(crate) fn proxy(&self, default_namespace: &str) -> Proxy {
        let kind = match self.kind {
            ProxyType::Sidecar => ProxyKind::Sidecar,
            ProxyType::Gateway => ProxyKind::Gateway,
        };
        let named = self.namespace.as_deref().filter(|namespace| !namespace.is_empty());
        let namespace = named.unwrap_or(default_namespace);
        let mut proxy = Proxy::new(kind, namespace, self.labels.clone());
        proxy.addresses.clone_from(&self.ip_addresses);
        proxy
    }

    /// The side of the proxy that calls come to when they do not say it.
    pub(crate) const fn direction(&self) -> Direction {
        match self.kind {
            ProxyType::Sidecar => Direction::Outbound,
            ProxyType::Gateway => Direction::Gateway,
        }
    }
}

/// The question that the arguments ask; `files` may have swallowed the request, see [`untangle`].
pub(crate) fn from_args(args: &ExplainArgs, request: &[String]) -> anyhow::Result<Question> {
    if let Some(file) = &args.calls {
        return from_file(file);
    }
    let call = match request {
        [url] => from_url(url)?,
        [method, url] => {
            ensure!(
                is_method(method),
                "{method:?} is no HTTP method; write METHOD URL, like GET http://reviews:9080/"
            );
            Call { method: Some(method.clone()), ..from_url(url)? }
        }
        _ => bail!(
            "which request? Give a URL, like http://reviews:9080/, or --calls FILE; see `serin explain --help`"
        ),
    };
    let (kind, chosen) = match &args.from_gateway {
        Some(selector) => (ProxyType::Gateway, labels(selector).context("--from-gateway")?),
        None => (
            ProxyType::Sidecar,
            labels(args.from.as_deref().unwrap_or_default()).context("--from")?,
        ),
    };
    let proxy = ProxyQuestion { kind, labels: chosen, ..ProxyQuestion::default() };
    Ok(Question { proxy, calls: vec![with_headers(call, &args.header)?] })
}

/// Reads a file of calls.
fn from_file(file: &Path) -> anyhow::Result<Question> {
    let text =
        std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    serde_json::from_str(&text)
        .with_context(|| format!("{} is not a file of calls", file.display()))
}

/// `-f a b GET http://…` hands the request to `-f`: takes it back. Answers the files and the request.
pub(crate) fn untangle(args: &ExplainArgs) -> (Vec<std::path::PathBuf>, Vec<String>) {
    let mut files = args.files.clone();
    let mut request = args.request.clone();
    if request.is_empty() && args.calls.is_none() {
        let text = |file: &std::path::PathBuf| file.to_str().map(str::to_owned);
        if let Some(url) = files.last().and_then(text).filter(|text| text.contains("://")) {
            files.pop();
            request.push(url);
            if let Some(method) = files
                .last()
                .and_then(text)
                .filter(|text| is_method(text) && !Path::new(text).exists())
            {
                files.pop();
                request.insert(0, method);
            }
        }
    }
    (files, request)
}

fn is_method(word: &str) -> bool {
    !word.is_empty() && word.chars().all(|c| c.is_ascii_uppercase() || c == '-')
}

/// Reads `scheme://host[:port][/path][?query]`.
pub(crate) fn from_url(url: &str) -> anyhow::Result<Call> {
    let (scheme, rest) = url.split_once("://").unwrap_or(("http", url));
    let (tls, default_port) = match scheme {
        "http" => (TlsMode::None, 80),
        "https" => (TlsMode::Tls, 443),
        other => bail!("{url}: the scheme is http or https, not {other}"),
    };
    let rest = rest.split('#').next().unwrap_or_default();
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    ensure!(!authority.contains('@'), "{url}: a user name is no part of a request; leave it out");
    let (host, port) = host_and_port(authority).with_context(|| url.to_owned())?;
    ensure!(!host.is_empty(), "{url}: the host is missing");
    let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    let sni = (tls == TlsMode::Tls && host.parse::<IpAddr>().is_err()).then(|| host.to_owned());
    Ok(Call {
        address: host.trim_matches(['[', ']']).parse().ok(),
        port: port.unwrap_or(default_port),
        tls,
        sni,
        path: Some(path),
        authority: Some(authority.to_owned()),
        ..Call::default()
    })
}

/// Splits `host:port`, where the host may be an IPv6 address in brackets.
fn host_and_port(authority: &str) -> anyhow::Result<(&str, Option<u16>)> {
    let after_brackets = authority.rfind(']').map_or(0, |at| at + 1);
    let Some(colon) = authority[after_brackets..].rfind(':').map(|at| after_brackets + at) else {
        return Ok((authority, None));
    };
    let (host, port) = (&authority[..colon], &authority[colon + 1..]);
    let port = port.parse().ok().filter(|port| *port > 0);
    ensure!(port.is_some(), "the port is a number from 1 to 65535");
    Ok((host, port))
}

/// Adds headers written as `name: value`. A `Host` takes the place of the URL's host, as curl has it.
pub(crate) fn with_headers(mut call: Call, written: &[String]) -> anyhow::Result<Call> {
    let mut headers: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for text in written {
        let (name, value) = text
            .split_once(':')
            .with_context(|| format!("-H {text:?}: write a header as 'name: value'"))?;
        let (name, value) = (name.trim(), value.trim());
        ensure!(!name.is_empty(), "-H {text:?}: the name is missing");
        if name.eq_ignore_ascii_case("host") {
            call.authority = Some(value.to_owned());
        } else {
            headers.entry(name.to_ascii_lowercase()).or_default().push(value.to_owned());
        }
    }
    call.headers =
        headers.into_iter().map(|(name, values)| (name, Values::Several(values))).collect();
    Ok(call)
}

/// Reads `app=web,version=v1`.
pub(crate) fn labels(written: &str) -> anyhow::Result<BTreeMap<String, String>> {
    let pair = |text: &str| {
        let (key, value) = text
            .split_once('=')
            .with_context(|| format!("{text:?}: write labels as key=value,key=value"))?;
        ensure!(!key.trim().is_empty(), "{text:?}: the key is missing");
        Ok((key.trim().to_owned(), value.trim().to_owned()))
    };
    written.split(',').filter(|text| !text.trim().is_empty()).map(pair).collect()
}
