//! What becomes of a request: the whole decision, made once, before anything is sent.
//!
//! In Envoy's order: virtual host, redirect to HTTPS, first matching rule, injected faults, cross-origin requests, and
//! then what the rule says. Choosing an endpoint of the cluster is [`crate::balancer`]'s; carrying the decision out
//! (waiting, rewriting, copying) is the data plane's. A decision allocates nothing; texts that have to be made (a new
//! path, a location, changed headers) are made when they are asked for.

pub(crate) mod cors;
mod destination;
pub(crate) mod forwarding;
mod hash_key;
mod redirect;
mod rewrite;

use std::time::Duration;

use rand_core::Rng;

use crate::compiled::{CompiledModel, CompiledRule, CompiledTable, HeaderChanges};
use crate::format::Facts;
use crate::headers::{HeaderTable, Message};
use crate::index::Scratch;
use crate::model::{AbortStatus, Action, Cors, DirectResponse, Fault, PerMillion, VirtualHost};
use crate::request::{Request, View};
use crate::response::{Failure, Flag, Flags};

pub use cors::allow_origin;
pub use destination::{session, tcp_destination};
pub use forwarding::{Forwarding, Mirrors};
pub use hash_key::{SessionCookie, source_hash};
pub use redirect::Redirection;

pub(crate) use destination::place;
pub(crate) use rewrite::rewritten_target;

/// What becomes of a request.
#[derive(Debug)]
pub struct Decision<'m> {
    /// The virtual host of the authority.
    pub virtual_host: Option<&'m VirtualHost>,
    /// The rule that takes the request.
    pub rule: Option<&'m CompiledRule>,
    /// Wait for so long first: an injected fault.
    pub delay: Option<Duration>,
    /// The request is a cross-origin one that is allowed: [`allow_origin`] for the response.
    pub cors: Option<&'m Cors>,
    /// What is done.
    pub verdict: Verdict<'m>,
    /// Changes of the chosen destination.
    destination_headers: Option<&'m HeaderChanges>,
}

/// What is done with a request.
#[derive(Debug)]
pub enum Verdict<'m> {
    /// It goes upstream.
    Forward(Forwarding<'m>),
    /// It is answered by a redirect.
    Redirect(Redirection<'m>),
    /// It is answered with the rule's response.
    Direct(&'m DirectResponse),
    /// It is a cross-origin preflight, answered with 200 and nothing, except for [`allow_origin`] if [`Decision::cors`] is set.
    Preflight,
    /// It fails.
    Fail(Failure),
}

/// Decides what becomes of a request.
///
/// `request` is asked for its head only; `table` is the one of the listener's filter chain, of the same model.
pub fn decide<'m, R: Request>(
    model: &'m CompiledModel,
    table: &'m CompiledTable,
    request: &R,
    scratch: &mut Scratch,
    rng: &mut impl Rng,
) -> Decision<'m> {
    let Some(host) = table.host(request.authority()) else {
        return Decision::new(None, Verdict::Fail(Failure::RouteNotFound));
    };
    let virtual_host = Some(&*host.host);
    if host.host.require_tls && request.scheme() != b"https" {
        return Decision::new(virtual_host, Verdict::Redirect(Redirection::ToHttps));
    }
    let view = View::new(request);
    let Some(rule) = host.rule(&view, scratch) else {
        return Decision::new(virtual_host, Verdict::Fail(Failure::RouteNotFound));
    };
    let mut decision = Decision::new(virtual_host, Verdict::Preflight);
    decision.rule = Some(rule);
    if let Some(fault) = &rule.route().fault {
        let (delay, abort) = draw_fault(fault, rng);
        decision.delay = delay;
        if let Some(failure) = abort {
            decision.verdict = Verdict::Fail(failure);
            return decision;
        }
    }
    if let Some(cors) = &rule.route().cors {
        let found = cors::examine(cors, &view);
        decision.cors = found.is_allowed.then_some(cors);
        if found.is_answered {
            return decision;
        }
    }
    decision.act(model, &view, rng);
    decision
}

fn draw_fault(fault: &Fault, rng: &mut impl Rng) -> (Option<Duration>, Option<Failure>) {
    let delay = fault.delay.as_ref().filter(|delay| happens(delay.fraction, rng));
    let abort = fault.abort.as_ref().filter(|abort| happens(abort.fraction, rng));
    (delay.map(|delay| delay.duration), abort.map(|abort| abort_failure(abort.status)))
}

/// How an injected abort is answered.
pub(crate) const fn abort_failure(status: AbortStatus) -> Failure {
    match status {
        AbortStatus::Http(status) => Failure::FaultAbort { status, grpc_status: None },
        AbortStatus::Grpc(grpc_status) => {
            Failure::FaultAbort { status: 200, grpc_status: Some(grpc_status) }
        }
    }
}

/// Whether something happens that does in a share of all cases.
fn happens(share: PerMillion, rng: &mut impl Rng) -> bool {
    match share {
        PerMillion::NONE => false,
        PerMillion::ALL => true,
        share => rng.next_u64() % u64::from(PerMillion::ALL.parts()) < u64::from(share.parts()),
    }
}

impl<'m> Decision<'m> {
    const fn new(virtual_host: Option<&'m VirtualHost>, verdict: Verdict<'m>) -> Self {
        Self {
            virtual_host,
            rule: None,
            delay: None,
            cors: None,
            verdict,
            destination_headers: None,
        }
    }

    /// What the rule's action means for the request.
    fn act<R: Request>(
        &mut self,
        model: &'m CompiledModel,
        view: &View<'_, R>,
        rng: &mut impl Rng,
    ) {
        let Some(rule) = self.rule else { return };
        self.verdict = match &rule.route().action {
            Action::Redirect(redirect) => Verdict::Redirect(Redirection::Rule {
                redirect,
                condition: &rule.route().condition,
            }),
            Action::Direct(response) => Verdict::Direct(response),
            Action::Forward(forward) => {
                let Some(number) = destination::choose(forward, view.request, rng) else {
                    self.verdict =
                        Verdict::Fail(Failure::ClusterNotFound(forward.cluster_not_found_status));
                    return;
                };
                self.destination_headers = rule.destination_headers(number);
                match Forwarding::new(model, rule, (forward, number), view, rng) {
                    Ok(forwarding) => Verdict::Forward(forwarding),
                    Err(failure) => Verdict::Fail(failure),
                }
            }
        };
    }

    /// The flags for the access log, as far as they are known.
    pub fn flags(&self) -> Flags {
        let delayed =
            if self.delay.is_some() { Flags::NONE.with(Flag::DelayInjected) } else { Flags::NONE };
        match self.verdict {
            Verdict::Fail(failure) => {
                failure.reply().flag.map_or(delayed, |flag| delayed.with(flag))
            }
            _ => delayed,
        }
    }

    /// Changes the request's headers as the destination and then the rule say.
    pub fn change_request(&self, table: &mut impl HeaderTable, facts: &impl Facts) {
        for changes in self.levels() {
            changes.request.apply(Message::Request, table, facts);
        }
    }

    /// Changes the response's headers as the destination and then the rule say: those of the upstream's response, of the
    /// rule's own, and of failures on the way to the upstream. Answers of filters (injected aborts, preflights) stay
    /// as they are.
    pub fn change_response(&self, table: &mut impl HeaderTable, facts: &impl Facts) {
        if matches!(self.verdict, Verdict::Preflight | Verdict::Fail(Failure::FaultAbort { .. })) {
            return;
        }
        for changes in self.levels() {
            changes.response.apply(Message::Response, table, facts);
        }
    }

    /// Whether there is nothing for [`change_request`](Self::change_request) to do.
    pub fn leaves_request_headers(&self) -> bool {
        self.levels().all(|changes| changes.request.is_empty())
    }

    /// Whether there is nothing for [`change_response`](Self::change_response) to do.
    pub fn leaves_response_headers(&self) -> bool {
        self.levels().all(|changes| changes.response.is_empty())
    }

    /// The changes in the order in which they are made: the destination's, then the rule's.
    fn levels(&self) -> impl Iterator<Item = &'m HeaderChanges> {
        self.destination_headers.into_iter().chain(self.rule.and_then(CompiledRule::headers))
    }
}

#[cfg(test)]
mod tests;
