//! An answer for people: one request, readable from top to bottom.

use std::fmt::Display;
use std::io::Write;
use std::time::Duration;

use serin_routing::explain::{
    AbortReport, ClusterReport, CohortReport, Explanation, FaultReport, HeaderReport, Rejection,
    RetryReport, RuleReport,
};
use serin_routing::retry::Condition;
use serin_routing::simulate::{Call, Protocol, TlsMode, Values};
use serin_translate::{Proxy, ProxyKind};

use super::answer::Answer;
use crate::terminal::Palette;

/// So many rules that were passed over are shown; a table of thousands helps nobody.
const MAX_REJECTED: usize = 30;

/// Writes the request, the way to its rule, and what becomes of it.
pub(super) fn write(
    proxy: &Proxy,
    call: &Call,
    answer: &Answer,
    palette: Palette,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let mut page = Page { out, palette };
    page.question(proxy, call)?;
    page.way(call, &answer.way)?;
    page.rules(&answer.way)?;
    page.outcome(answer)?;
    page.destinations(answer)?;
    page.on_the_way(&answer.way)
}

struct Page<'a> {
    out: &'a mut dyn Write,
    palette: Palette,
}

impl Page<'_> {
    fn question(&mut self, proxy: &Proxy, call: &Call) -> anyhow::Result<()> {
        writeln!(self.out, "{}", self.palette.strong(request_line(call)))?;
        for (name, values) in &call.headers {
            for value in each(values) {
                writeln!(self.out, "  {name}: {value}")?;
            }
        }
        let kind = match proxy.kind {
            ProxyKind::Sidecar => "from a workload",
            ProxyKind::Gateway => "at the gateway",
        };
        let labels: Vec<String> =
            proxy.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let labels = if labels.is_empty() { "without labels".to_owned() } else { labels.join(",") };
        writeln!(self.out, "{kind} {labels} in namespace {}", proxy.namespace)?;
        Ok(())
    }

    /// Listener to virtual host: what decided which rules apply. The filter chain is worth telling where TLS chose it.
    fn way(&mut self, call: &Call, way: &Explanation) -> anyhow::Result<()> {
        let is_plain = call.tls == TlsMode::None && call.protocol != Protocol::Tls;
        let filter_chain = way.filter_chain.as_ref().filter(|_| !is_plain);
        let steps = [
            ("listener", way.listener.as_ref()),
            ("filter chain", filter_chain),
            ("virtual host", way.virtual_host.as_ref()),
        ];
        let mut separator = "\n";
        for (name, value) in steps {
            if let Some(value) = value {
                writeln!(
                    self.out,
                    "{separator}{} {value}",
                    self.palette.strong(format!("{name:13}"))
                )?;
                separator = "";
            }
        }
        Ok(())
    }

    fn rules(&mut self, way: &Explanation) -> anyhow::Result<()> {
        if way.rejected.is_empty() && way.rule.is_none() {
            return Ok(());
        }
        self.heading("rules, in order")?;
        for (number, rejected) in way.rejected.iter().take(MAX_REJECTED).enumerate() {
            self.rule(number + 1, &rejected.rule)?;
            writeln!(self.out, "     {}", why_not(rejected))?;
        }
        if let Some(more @ 1..) = way.rejected.len().checked_sub(MAX_REJECTED) {
            writeln!(self.out, "  …  {more} more that do not match; --output json lists all")?;
        }
        if let Some(rule) = &way.rule {
            self.rule(way.rejected.len() + 1, rule)?;
            writeln!(self.out, "     {}", self.palette.good("matches"))?;
        }
        Ok(())
    }

    fn rule(&mut self, number: usize, rule: &RuleReport) -> anyhow::Result<()> {
        let place = match (&rule.file, rule.line) {
            (Some(file), Some(line)) => format!("  {file}:{line}"),
            _ => String::new(),
        };
        writeln!(self.out, "  {number}  {}{}", rule_name(rule), self.palette.faint(place))?;
        Ok(())
    }

    /// What the client gets from the proxy itself.
    fn outcome(&mut self, answer: &Answer) -> anyhow::Result<()> {
        let way = &answer.way;
        let Some(line) = outcome(way) else { return Ok(()) };
        self.heading("answer")?;
        if way.error.is_some() {
            writeln!(self.out, "  {}", self.palette.error(line))?;
        } else {
            writeln!(self.out, "  {line}")?;
        }
        if let Some(reason) = &answer.reason {
            writeln!(self.out, "  {reason}")?;
        }
        Ok(())
    }

    fn destinations(&mut self, answer: &Answer) -> anyhow::Result<()> {
        let clusters: &[ClusterReport] = &answer.way.clusters;
        if clusters.is_empty() {
            return Ok(());
        }
        self.heading("destinations")?;
        let total: u32 = clusters.iter().map(|cluster| cluster.weight).sum();
        for cluster in clusters {
            let share = percent(f64::from(cluster.weight) * 100.0 / f64::from(total.max(1)));
            writeln!(self.out, "  {share:>7}  {}", cluster_name(&cluster.name))?;
            for line in of_destination(cluster) {
                writeln!(self.out, "           {line}")?;
            }
            if let Some(problem) = cluster.problem {
                let sentence = super::reason::of_cluster(problem, &cluster.name);
                writeln!(self.out, "           {}", self.palette.error(sentence))?;
            }
        }
        if let Some(reason) = answer.reason.as_ref().filter(|_| answer.way.error.is_none()) {
            writeln!(self.out, "           {reason}")?;
        }
        Ok(())
    }

    fn on_the_way(&mut self, way: &Explanation) -> anyhow::Result<()> {
        let lines = on_the_way(way);
        if lines.is_empty() {
            return Ok(());
        }
        self.heading("on the way")?;
        for line in lines {
            writeln!(self.out, "  {line}")?;
        }
        Ok(())
    }

    fn heading(&mut self, text: impl Display) -> anyhow::Result<()> {
        writeln!(self.out, "\n{}", self.palette.strong(text))?;
        Ok(())
    }
}

/// What the client gets from the proxy itself, if it does.
pub(super) fn outcome(way: &Explanation) -> Option<String> {
    Some(match (&way.response, &way.redirect, &way.direct_response) {
        (Some(response), ..) => match response.flag {
            Some(flag) => {
                format!("{} with response flag {flag} ({})", response.status, response.details)
            }
            None => format!("{} ({})", response.status, response.details),
        },
        (_, Some(redirect), _) => {
            format!("{} redirect to {}", redirect.status, redirect.location)
        }
        (.., Some(direct)) => format!("{} {:?}", direct.status, direct.body),
        _ if way.error.is_some() => "none, the connection is refused".to_owned(),
        _ => return None,
    })
}

/// What a destination does to requests, a line each.
pub(super) fn of_destination(cluster: &ClusterReport) -> Vec<String> {
    let mut lines = changes("request", &cluster.request_headers);
    lines.extend(changes("response", &cluster.response_headers));
    let authority = cluster.authority.iter();
    lines.extend(authority.map(|authority| format!("the authority becomes {authority}")));
    lines
}

/// What happens to a request on its way, a line each.
pub(super) fn on_the_way(way: &Explanation) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(fault) = &way.fault {
        lines.extend(faults(fault));
    }
    if let Some(rewrite) = &way.rewrite {
        lines.extend(rewrite.path.iter().map(|path| format!("the path becomes {path}")));
        lines.extend(rewrite.authority.iter().map(|host| format!("the authority becomes {host}")));
    }
    lines.extend(changes("request", &way.request_headers));
    lines.extend(changes("response", &way.response_headers));
    lines.extend(way.mirrors.iter().map(|mirror| {
        format!(
            "{} of requests are copied to {}",
            percent(mirror.percentage),
            cluster_name(&mirror.name)
        )
    }));
    lines.extend(way.cohort.as_ref().map(cohort));
    if way.route.is_some() && !way.clusters.is_empty() {
        lines.push(way.retry.as_ref().map_or_else(|| "no retries".to_owned(), retries));
        lines.push(way.timeout.map_or_else(
            || "no timeout".to_owned(),
            |timeout| format!("the answer must come within {}", duration(timeout)),
        ));
    }
    lines
}

pub(super) fn request_line(call: &Call) -> String {
    let host = call.authority.clone().or_else(|| call.sni.clone());
    let host = host.or_else(|| call.address.map(|address| address.to_string())).unwrap_or_default();
    let has_port = host.rsplit(']').next().is_some_and(|end| end.contains(':'));
    let (scheme, own_port) = match (call.protocol, call.tls) {
        (Protocol::Tcp, TlsMode::None) => {
            return format!("a TCP connection to {host}:{}", call.port);
        }
        (Protocol::Tcp | Protocol::Tls, _) => {
            return format!("a TLS connection to {host}:{}", call.port);
        }
        (_, TlsMode::None) => ("http", 80),
        (_, TlsMode::Tls | TlsMode::Mtls) => ("https", 443),
    };
    let port =
        if has_port || call.port == own_port { String::new() } else { format!(":{}", call.port) };
    let method = call.method.as_deref().unwrap_or("GET");
    format!("{method} {scheme}://{host}{port}{}", call.path.as_deref().unwrap_or("/"))
}

fn each(values: &Values) -> &[String] {
    match values {
        Values::One(value) => std::slice::from_ref(value),
        Values::Several(values) => values,
    }
}

/// `VirtualService default/reviews, http[0].match[1]`.
pub(super) fn rule_name(rule: &RuleReport) -> String {
    if rule.kind == "builtin" {
        return format!("the proxy's own rule {}", rule.name);
    }
    let (rules, matches) = match rule.kind.as_str() {
        "HTTPRoute" | "GRPCRoute" => ("rules", "matches"),
        _ => ("http", "match"),
    };
    let index = rule.index.map(|index| format!(", {rules}[{index}]")).unwrap_or_default();
    let entry = rule.match_index.map(|index| format!(".{matches}[{index}]")).unwrap_or_default();
    format!("{} {}/{}{index}{entry}", rule.kind, rule.namespace, rule.name)
}

pub(super) fn why_not(rejected: &Rejection) -> String {
    let Rejection { condition, expected, actual, .. } = rejected;
    let who = match condition.as_str() {
        condition if condition.starts_with("source") => "the caller",
        "port" | "gateways" => "the listener",
        _ => "the request",
    };
    let has = match actual {
        Some(actual) => format!("{actual:?}"),
        None => "none".to_owned(),
    };
    format!("no match: {condition} wants {expected:?}, {who} has {has}")
}

/// A cluster's name in words: `outbound|9080|v2|reviews.default.svc.cluster.local` is a host, a port and a subset.
pub(super) fn cluster_name(name: &str) -> String {
    match name.split('|').collect::<Vec<_>>()[..] {
        ["outbound" | "outbound_", port, "", host] => format!("{host}:{port}"),
        ["outbound" | "outbound_", port, subset, host] => format!("{host}:{port}, subset {subset}"),
        ["inbound", port, ..] => format!("the workload's own port {port}"),
        _ => match name {
            "PassthroughCluster" => {
                "where the client meant it to go (PassthroughCluster)".to_owned()
            }
            "BlackHoleCluster" => "nowhere (BlackHoleCluster)".to_owned(),
            _ => name.to_owned(),
        },
    }
}

fn changes(which: &str, headers: &HeaderReport) -> Vec<String> {
    let removed = headers.remove.iter().map(|name| format!("{which} header {name} is removed"));
    let set =
        headers.set.iter().map(|(name, value)| format!("{which} header {name} is set to {value}"));
    let added =
        headers.add.iter().map(|(name, value)| format!("{which} header {name} is added: {value}"));
    removed.chain(set).chain(added).collect()
}

fn faults(fault: &FaultReport) -> Vec<String> {
    let delay = fault.delay.iter().map(|delay| {
        let time = duration(delay.duration.unwrap_or_default());
        format!("{} of requests wait {time} (injected fault)", percent(delay.percentage))
    });
    let abort = fault.abort.iter().map(|AbortReport { http_status, grpc_status, percentage }| {
        let status = match (http_status, grpc_status) {
            (_, Some(status)) => format!("gRPC status {status}"),
            (Some(status), None) => status.to_string(),
            (None, None) => "an error".to_owned(),
        };
        format!("{} of requests are answered with {status} (injected fault)", percent(*percentage))
    });
    delay.chain(abort).collect()
}

fn cohort(cohort: &CohortReport) -> String {
    match (cohort.place, &cohort.cluster) {
        (Some(place), Some(cluster)) => {
            format!(
                "the session's place in {} is {}: {}",
                cohort.rollout,
                percent(place),
                cluster_name(cluster)
            )
        }
        _ => format!("the request belongs to no session of {}", cohort.rollout),
    }
}

fn retries(retry: &RetryReport) -> String {
    let times = if retry.attempts == 1 {
        "1 retry".to_owned()
    } else {
        format!("{} retries", retry.attempts)
    };
    // The condition says no more than the codes that follow.
    let conditions =
        retry.retry_on.iter().filter(|cause| **cause != Condition::RetriableStatusCodes);
    let mut causes: Vec<String> = conditions.map(|condition| condition.name().to_owned()).collect();
    causes.extend(retry.retriable_status_codes.iter().map(u16::to_string));
    let each = retry
        .per_try_timeout
        .map(|time| format!("; {} for each try", duration(time)))
        .unwrap_or_default();
    format!("{times} on {}{each}", causes.join(", "))
}

/// `1.5s`, `250ms`.
fn duration(duration: Duration) -> String {
    if duration < Duration::from_secs(1) {
        format!("{}ms", duration.as_secs_f64() * 1000.0)
    } else {
        format!("{}s", duration.as_secs_f64())
    }
}

/// A share without needless digits: `90 %`, `33.3 %`, `0.01 %`.
fn percent(value: f64) -> String {
    let digits = if value == 0.0 || value >= 10.0 { 1 } else { 4 };
    let text = format!("{value:.digits$}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    format!("{text} %")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_have_no_needless_digits() {
        let check = |value: f64, expect: &str| assert_eq!(percent(value), expect);
        check(100.0, "100 %");
        check(90.0, "90 %");
        check(100.0 / 3.0, "33.3 %");
        check(0.01, "0.01 %");
        check(0.0, "0 %");
    }

    #[test]
    fn clusters_are_told_in_words() {
        let check = |name: &str, expect: &str| assert_eq!(cluster_name(name), expect);
        check(
            "outbound|9080|v2|reviews.default.svc.cluster.local",
            "reviews.default.svc.cluster.local:9080, subset v2",
        );
        check(
            "outbound|9080||reviews.default.svc.cluster.local",
            "reviews.default.svc.cluster.local:9080",
        );
        check("inbound|8080||", "the workload's own port 8080");
        check("BlackHoleCluster", "nowhere (BlackHoleCluster)");
    }
}
