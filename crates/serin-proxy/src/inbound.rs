//! What workloads take: the rules that their own proxies would keep, kept by the proxy of whoever calls.
//!
//! Pods on this machine have no proxies of their own: what comes to one comes through this process, from a caller that is known by
//! construction. So who may do what at a pod is asked where a try is about to go there, whichever rule or address led to it, and at a
//! gateway's own listeners before a request is looked at.

use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;

use serin_routing::authentication::Checked;
use serin_routing::authorization::{Authorization, Caller, Inbound, Rule, Verdict};
use serin_routing::model::EndpointAddress;
use serin_routing::response::Failure;

use crate::connection::Ends;
use crate::request::Request;
use crate::snapshot::Snapshot;
use crate::upstream::{Target, Upstream};
use crate::worker::Worker;

/// Why a request is not let in.
pub(crate) struct Rejection {
    pub(crate) failure: Failure,
    /// The rule that denies it, as Istio names it, if that is why; `none` if no rule allows it.
    pub(crate) denied_by: Option<Arc<str>>,
}

impl Rejection {
    #[cold]
    fn denied(rule: Option<&Rule>) -> Box<Self> {
        let denied_by = rule.map_or_else(|| "none".into(), |rule| Arc::clone(&rule.name));
        Box::new(Self { failure: Failure::AccessDenied, denied_by: Some(denied_by) })
    }
}

impl From<Failure> for Box<Rejection> {
    fn from(failure: Failure) -> Self {
        Self::new(Rejection { failure, denied_by: None })
    }
}

/// What a try comes in as at the workload that it goes to: with other headers, where the workload's own proxy would change them, or as
/// it is. The error is what it meets there otherwise.
pub(crate) fn of_request(
    worker: &Worker,
    snapshot: &Snapshot,
    (upstream, target): (&Upstream, &Target),
    request: &Request,
) -> Result<Option<Box<Request>>, Box<Rejection>> {
    let Some((inbound, destination)) = inbound(snapshot, target) else { return Ok(None) };
    let downstream = &request.downstream;
    let source = source(snapshot, downstream.direct_remote, downstream.local);
    let caller = Caller {
        principal: principal(snapshot, upstream, target),
        source,
        remote: forwarded_for(request).or(source),
        destination: Some(destination),
        ..Caller::default()
    };
    if !inbound.connects(&caller) {
        return Err(Failure::ConnectionTermination.into());
    }
    let checked = checked(worker, inbound.authorization.as_deref(), request)?;
    let changed = (!checked.changes_nothing()).then(|| {
        let mut changed = Box::new(request.copy_head());
        changed.change(&checked);
        changed
    });
    let caller = Caller { token: checked.token.as_ref(), ..caller };
    match inbound.admits(&caller, Some(changed.as_deref().unwrap_or(request))) {
        Verdict::Allowed => Ok(changed),
        Verdict::Denied(rule) => Err(Rejection::denied(rule)),
        Verdict::NotMutual => Err(Failure::ConnectionTermination.into()),
    }
}

/// What becomes of the tokens of a request.
fn checked(
    worker: &Worker,
    policies: Option<&Authorization>,
    request: &Request,
) -> Result<Checked, Failure> {
    let Some(tokens) = policies.and_then(|it| it.tokens.as_deref()) else {
        return Ok(Checked::default());
    };
    tokens.check(request, &worker.settings.keys).map_err(Failure::Unauthenticated)
}

/// Whether a connection comes in at the workload that it goes to.
pub(crate) fn of_connection(
    snapshot: &Snapshot,
    (upstream, target): (&Upstream, &Target),
    ends: &Ends,
) -> bool {
    let Some((inbound, destination)) = inbound(snapshot, target) else { return true };
    let source = source(snapshot, Some(ends.peer), ends.local);
    let caller = Caller {
        principal: principal(snapshot, upstream, target),
        source,
        remote: source,
        destination: Some(destination),
        server_name: ends.server_name.as_deref(),
        token: None,
    };
    inbound.admits_bytes(&caller) == Verdict::Allowed
}

/// Lets a request in at the listener of a gateway, with other headers where its policies change them.
pub(crate) fn at_gateway(
    worker: &Worker,
    snapshot: &Snapshot,
    request: &mut Request,
) -> Result<(), Box<Rejection>> {
    let model = snapshot.compiled.model();
    let Some(own) = model.authorization.get(&request.downstream.listener_port) else {
        return Ok(());
    };
    let checked = checked(worker, Some(own), request)?;
    request.change(&checked);
    request.token = checked.token.map(Rc::new);
    let downstream = &request.downstream;
    let tls = request.tls.as_deref();
    let caller = Caller {
        principal: None,
        source: downstream.direct_remote.map(ip),
        remote: downstream.remote.or(downstream.direct_remote).map(ip),
        destination: downstream.local.map(|it| SocketAddr::new(ip(it), downstream.listener_port)),
        server_name: tls.map(|it| &*it.server_name).filter(|it| !it.is_empty()),
        token: request.token.as_deref(),
    };
    match own.judge(&caller, Some(&*request)) {
        Verdict::Denied(rule) => Err(Rejection::denied(rule)),
        Verdict::Allowed => Ok(()),
        // At its listeners the handshake has seen to that.
        Verdict::NotMutual => Err(Failure::ConnectionTermination.into()),
    }
}

/// The same for a connection that is no HTTP.
pub(crate) fn connection_at_gateway(snapshot: &Snapshot, ends: &Ends) -> bool {
    let own = snapshot.compiled.model().authorization.get(&ends.listener_port);
    let Some(own) = own else { return true };
    let tls = ends.tls.as_deref().map(|it| &*it.server_name);
    let caller = Caller {
        principal: None,
        source: Some(ip(ends.peer)),
        remote: Some(ip(ends.peer)),
        destination: ends.local.map(|it| SocketAddr::new(ip(it), ends.listener_port)),
        server_name: tls.filter(|it| !it.is_empty()).or(ends.server_name.as_deref()),
        token: None,
    };
    own.judge_bytes(&caller) == Verdict::Allowed
}

/// The rules of the workload that a try goes to, and its address; `None` if it has none.
fn inbound<'s>(snapshot: &'s Snapshot, target: &Target) -> Option<(&'s Inbound, SocketAddr)> {
    let inbounds = &snapshot.compiled.model().inbounds;
    if inbounds.is_empty() {
        return None;
    }
    let EndpointAddress::Socket(address, port) = target.address else { return None };
    let inbound = inbounds.get(&address)?;
    Some((inbound, SocketAddr::new(address, port)))
}

/// The caller's identity, where it would be proven by mutual TLS.
fn principal<'s>(snapshot: &'s Snapshot, upstream: &Upstream, target: &Target) -> Option<&'s str> {
    let principal = snapshot.workload.principal.strip_prefix("spiffe://")?;
    target.is_mutual(&upstream.shared.cluster).then_some(principal)
}

/// The address that the connection to the workload comes from: a pod's own; a gateway's is where it was reached.
fn source(
    snapshot: &Snapshot,
    peer: Option<SocketAddr>,
    local: Option<SocketAddr>,
) -> Option<IpAddr> {
    if snapshot.is_of_pod { peer.map(ip) } else { local.map(ip) }
}

/// The client's address, as the proxy that sends the request tells it: the last one in `x-forwarded-for`.
fn forwarded_for(request: &Request) -> Option<IpAddr> {
    let values = request.headers.find(b"x-forwarded-for")?;
    let last = values.rsplit(|byte| *byte == b',').next()?;
    std::str::from_utf8(last).ok()?.trim().parse().ok()
}

fn ip(address: SocketAddr) -> IpAddr {
    address.ip().to_canonical()
}
