//! A rule, compiled.

use std::sync::Arc;

use crate::headers::HeaderProgram;
use crate::model::{Action, Destination, HeaderOps, Route};

/// A rule, compiled.
#[derive(Debug)]
pub struct CompiledRule {
    route: Arc<Route>,
    /// `None` for the many rules that change no header.
    headers: Option<Box<RuleHeaders>>,
}

#[derive(Debug)]
struct RuleHeaders {
    of_rule: HeaderChanges,
    /// In the order of [`crate::model::Destinations::list`].
    of_destinations: Box<[HeaderChanges]>,
}

/// Compiled changes to both messages.
#[derive(Debug, Default)]
pub(crate) struct HeaderChanges {
    pub(crate) request: HeaderProgram,
    pub(crate) response: HeaderProgram,
}

impl HeaderChanges {
    fn new(request: &HeaderOps, response: &HeaderOps) -> Self {
        Self { request: HeaderProgram::new(request), response: HeaderProgram::new(response) }
    }

    const fn is_empty(&self) -> bool {
        self.request.is_empty() && self.response.is_empty()
    }
}

impl CompiledRule {
    /// Compiles a rule. Each regular expression that it builds ahead takes one off `budget`.
    pub(super) fn new(route: Arc<Route>, budget: &mut usize) -> Self {
        route.condition.warm(budget);
        let destinations = match &route.action {
            Action::Forward(forward) => forward.destinations.list(),
            Action::Redirect(_) | Action::Direct(_) => &[],
        };
        let of_destination = |destination: &Destination| {
            HeaderChanges::new(&destination.request_headers, &destination.response_headers)
        };
        let headers = RuleHeaders {
            of_rule: HeaderChanges::new(&route.request_headers, &route.response_headers),
            of_destinations: destinations.iter().map(of_destination).collect(),
        };
        let is_empty = headers.of_rule.is_empty()
            && headers.of_destinations.iter().all(HeaderChanges::is_empty);
        Self { headers: (!is_empty).then(|| Box::new(headers)), route }
    }

    /// The rule it was compiled from.
    pub const fn route(&self) -> &Arc<Route> {
        &self.route
    }

    /// The changes of the rule.
    pub(crate) fn headers(&self) -> Option<&HeaderChanges> {
        self.headers.as_ref().map(|headers| &headers.of_rule)
    }

    /// The changes of one of its destinations.
    pub(crate) fn destination_headers(&self, number: usize) -> Option<&HeaderChanges> {
        self.headers.as_ref().and_then(|headers| headers.of_destinations.get(number))
    }
}
