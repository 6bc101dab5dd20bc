//! What the rule that takes a request does with it.

use super::report::{
    ClusterReport, CohortReport, DirectReport, Explanation, FaultReport, HeaderReport,
    MirrorReport, Problem, RedirectReport, ResponseReport, RetryReport, RewriteReport, RuleReport,
};
use crate::decide::{Redirection, cors, forwarding, place, rewritten_target};
use crate::headers::HeaderProgram;
use crate::model::{
    Action, BLACK_HOLE_CLUSTER, Destination, Discovery, Forward, Health,
    INBOUND_PASSTHROUGH_CLUSTER, Model, PASSTHROUGH_CLUSTER, Route,
};
use crate::request::{Request, View};
use crate::response::Failure;

/// Tells what a rule does.
pub(super) fn report<R: Request>(
    report: &mut Explanation,
    model: &Model,
    route: &Route,
    view: &View<'_, R>,
) {
    report.rule = Some(RuleReport::new(&route.origin));
    report.route = Some(route.name.to_string());
    report.fault = route.fault.as_ref().map(FaultReport::new);
    if let Some(policy) = &route.cors
        && cors::examine(policy, view).is_answered
    {
        report.response =
            Some(ResponseReport { status: 200, flag: None, details: "cors_response" });
        return;
    }
    report.request_headers = HeaderReport::new(&route.request_headers);
    report.response_headers = HeaderReport::new(&route.response_headers);
    match &route.action {
        Action::Redirect(redirect) => {
            let redirection = Redirection::Rule { redirect, condition: &route.condition };
            report.redirect = Some(RedirectReport::new(&redirection, view.request));
        }
        Action::Direct(response) => report.direct_response = Some(DirectReport::new(response)),
        Action::Forward(forward) => {
            report.rewrite = rewrite(forward, route, view);
            forwarded(report, model, forward, view);
        }
    }
}

fn forwarded<R: Request>(
    report: &mut Explanation,
    model: &Model,
    forward: &Forward,
    view: &View<'_, R>,
) {
    report.retry = forward.retry.as_ref().map(RetryReport::new);
    report.timeout = forwarding::timeout(forward, view);
    report.mirrors = forward.mirrors.iter().map(MirrorReport::new).collect();
    report.cohort = forward.cohort.as_ref().map(|cohort| {
        let place = place(cohort, view.request);
        let destination = |place: crate::cohort::Place| {
            forward.destinations.at(place.ticket(forward.destinations.total_weight()))
        };
        CohortReport {
            rollout: cohort.rollout.to_string(),
            place: place.map(crate::cohort::Place::percent),
            cluster: place.and_then(destination).map(|destination| destination.cluster.to_string()),
        }
    });
    let destinations = forward.destinations.list();
    report.clusters = clusters(model, destinations);
    let failures = destinations.iter().zip(&report.clusters).map(|(destination, cluster)| {
        let failure = match cluster.problem? {
            Problem::NoHealthyEndpoint => Failure::NoHealthyUpstream,
            _ => Failure::ClusterNotFound(
                destination.invalid_status.unwrap_or(forward.cluster_not_found_status),
            ),
        };
        Some((cluster.problem?, failure))
    });
    // Only what goes wrong with every share goes wrong for certain.
    if let Some(all) = failures.collect::<Option<Vec<_>>>() {
        let not_found =
            (Problem::ClusterNotFound, Failure::ClusterNotFound(forward.cluster_not_found_status));
        let (problem, failure) = all.into_iter().next().unwrap_or(not_found);
        report.fail(problem, failure);
    }
}

fn rewrite<R: Request>(
    forward: &Forward,
    route: &Route,
    view: &View<'_, R>,
) -> Option<RewriteReport> {
    let new_target =
        |rewrite| rewritten_target(rewrite, &route.condition.path, view.request.target());
    let path = forward.path_rewrite.as_ref().map(new_target);
    let of_headers = HeaderProgram::new(&route.request_headers).authority().cloned();
    let authority = forward.host_rewrite.clone().or(of_headers);
    (path.is_some() || authority.is_some()).then(|| RewriteReport {
        path: path.map(|path| String::from_utf8_lossy(&path).into_owned()),
        authority: authority.map(|authority| authority.to_string()),
    })
}

/// Where requests or connections of some destinations go.
pub(crate) fn clusters(model: &Model, destinations: &[Destination]) -> Vec<ClusterReport> {
    let is_alone = destinations.len() == 1;
    let reports = destinations.iter().map(|destination| ClusterReport {
        name: destination.cluster.to_string(),
        weight: if is_alone { 100 } else { destination.weight },
        problem: problem(model, destination),
        request_headers: HeaderReport::new(&destination.request_headers),
        response_headers: HeaderReport::new(&destination.response_headers),
        authority: destination.host_rewrite.as_ref().map(|authority| authority.to_string()),
    });
    reports.collect()
}

fn problem(model: &Model, destination: &Destination) -> Option<Problem> {
    let name = &destination.cluster;
    if destination.invalid_status.is_some() {
        return Some(Problem::ClusterNotFound);
    }
    let Some(cluster) = model.clusters.get(name) else {
        // Every proxy has these.
        let is_built_in = [PASSTHROUGH_CLUSTER, BLACK_HOLE_CLUSTER, INBOUND_PASSTHROUGH_CLUSTER]
            .contains(&&**name);
        return (!is_built_in).then_some(Problem::ClusterNotFound);
    };
    if cluster.discovery != Discovery::Listed {
        return None;
    }
    let localities = model
        .endpoints
        .get(name)
        .map(|endpoints| endpoints.localities.as_slice())
        .unwrap_or_default();
    let mut endpoints = localities.iter().flat_map(|locality| &locality.endpoints);
    let is_served = endpoints.any(|endpoint| endpoint.health == Health::Healthy);
    (!is_served).then_some(Problem::NoHealthyEndpoint)
}
