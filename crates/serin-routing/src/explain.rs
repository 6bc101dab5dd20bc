//! Why a request goes where it goes: the slow twin of [`crate::decide`].
//!
//! Rules are asked one after the other, each that is passed over with the first condition that failed. What a decision
//! would draw at random is told with its share. The result is for people and scripts; it is made from the model as it
//! stands, without any index, and chooses the same rule as a decision does.

mod action;
mod rejection;
mod report;

use crate::matching::first_failure;
use crate::model::{Model, Route, RouteTable, VirtualHost};
use crate::request::{Request, View, without_port};

pub(crate) use action::clusters;
pub use rejection::Rejection;
pub use report::{
    AbortReport, ClusterReport, CohortReport, DelayReport, DirectReport, Explanation, FaultReport,
    HeaderReport, MirrorReport, Problem, RedirectReport, ResponseReport, RetryReport,
    RewriteReport, RuleReport,
};

use crate::decide::Redirection;
use crate::response::Failure;

/// Explains what becomes of a request that the given route table is for.
pub fn explain<R: Request>(model: &Model, table: &RouteTable, request: &R) -> Explanation {
    let mut report =
        Explanation { route_table: Some(table.name.to_string()), ..Explanation::default() };
    let Some(host) = virtual_host(table, request.authority()) else {
        report.fail(Problem::NoVirtualHost, Failure::RouteNotFound);
        return report;
    };
    report.virtual_host = Some(host.name.to_string());
    if host.require_tls && request.scheme() != b"https" {
        report.error = Some(Problem::TlsRedirect);
        report.redirect = Some(RedirectReport::new(&Redirection::ToHttps, request));
        return report;
    }
    let view = View::new(request);
    let Some(route) = first_route(host, &view, &mut report.rejected) else {
        report.fail(Problem::NoRoute, Failure::RouteNotFound);
        return report;
    };
    action::report(&mut report, model, route, &view);
    report
}

/// The first rule that a request meets, and why it does not meet those before.
fn first_route<'m, R: Request>(
    host: &'m VirtualHost,
    view: &View<'_, R>,
    rejected: &mut Vec<Rejection>,
) -> Option<&'m Route> {
    let mut buffer = Vec::new();
    host.routes.iter().map(|route| &**route).find(|route| {
        let failed = first_failure(&route.condition, view, &mut buffer);
        rejected.extend(failed.map(|failed| Rejection::new(route, failed, view)));
        failed.is_none()
    })
}

/// The virtual host for an authority, by asking every domain of each.
fn virtual_host<'m>(table: &'m RouteTable, authority: &[u8]) -> Option<&'m VirtualHost> {
    let host = without_port(authority).to_ascii_lowercase();
    let hosts = table.virtual_hosts.iter();
    let ranked = hosts.filter_map(|candidate| {
        let rank = candidate
            .domains
            .iter()
            .filter_map(|domain| rank(&domain.to_ascii_lowercase(), &host))
            .max()?;
        Some((rank, &**candidate))
    });
    // Of several equal ones the first.
    ranked.rev().max_by_key(|(rank, _)| *rank).map(|(_, candidate)| candidate)
}

/// How well a domain fits: its kind and the length of what is fixed; the larger wins.
fn rank(domain: &str, host: &[u8]) -> Option<(u8, usize)> {
    let (kind, fixed, fits) = if domain == "*" {
        (0, 0, true)
    } else if let Some(suffix) = domain.strip_prefix('*') {
        (2, suffix.len(), host.len() > suffix.len() && host.ends_with(suffix.as_bytes()))
    } else if let Some(prefix) = domain.strip_suffix('*') {
        (1, prefix.len(), host.len() > prefix.len() && host.starts_with(prefix.as_bytes()))
    } else {
        (3, 0, host == domain.as_bytes())
    };
    fits.then_some((kind, fixed))
}

#[cfg(test)]
mod tests;
