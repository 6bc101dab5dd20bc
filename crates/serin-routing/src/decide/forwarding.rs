//! A request that goes upstream: to which cluster, how changed, copied and timed.

use std::sync::Arc;
use std::time::Duration;

use rand_core::Rng;

use super::{hash_key, rewrite};
use crate::balancer::{self, Attempts, Choice, ClusterState};
use crate::compiled::{CompiledModel, CompiledRule};
use crate::decide::hash_key::SessionCookie;
use crate::model::{Cluster, Destination, Forward, Mirror, PerMillion, RouteMatch};
use crate::request::{Request, View, is_grpc};
use crate::response::Failure;
use crate::retry;
use crate::time::Instant;

/// Overrides the timeout of one request, in milliseconds (Envoy's router). Gateways remove it from requests of strangers.
const TIMEOUT_HEADER: &str = "x-envoy-upstream-rq-timeout-ms";

/// How a request goes upstream.
#[derive(Debug)]
pub struct Forwarding<'m> {
    /// What the rule says.
    pub forward: &'m Forward,
    /// The destination that was chosen.
    pub destination: &'m Destination,
    /// Its cluster.
    pub cluster: &'m Arc<Cluster>,
    /// The new authority, if it changes.
    pub authority: Option<&'m Arc<str>>,
    /// Time for the whole request with its retries, without injected delays; `None` for no limit.
    pub timeout: Option<Duration>,
    /// Copies to be sent, made after all changes to the request, once, and only if the cluster has a healthy endpoint.
    pub mirrors: Mirrors<'m>,
    /// What consistent hashing goes by; `None` lets the balancer choose at random.
    pub hash: Option<u64>,
    /// A cookie to be set on the response, so that the session stays where its hash leads.
    pub cookie: Option<SessionCookie<'m>>,
    condition: &'m RouteMatch,
}

impl<'m> Forwarding<'m> {
    /// # Errors
    /// If there is no cluster to forward to, or the request asks for an upgrade that the rule does not pass on.
    pub(super) fn new<R: Request>(
        model: &'m CompiledModel,
        rule: &'m CompiledRule,
        (forward, number): (&'m Forward, usize),
        view: &View<'_, R>,
        rng: &mut impl Rng,
    ) -> Result<Self, Failure> {
        let not_found = Failure::ClusterNotFound(forward.cluster_not_found_status);
        let destination = forward.destinations.list().get(number).ok_or(not_found)?;
        if let Some(status) = destination.invalid_status {
            return Err(Failure::ClusterNotFound(status));
        }
        if !forward.allow_upgrade && view.first_header("upgrade").is_some() {
            return Err(Failure::UpgradeFailed);
        }
        let cluster = model.cluster(&destination.cluster).ok_or(not_found)?;
        let hash = match cluster.balancer {
            balancer::Policy::RingHash { .. } | balancer::Policy::Maglev { .. } => {
                hash_key::hash_key(&forward.hash, view)
            }
            _ => hash_key::Found::default(),
        };
        let programs = [rule.headers(), rule.destination_headers(number)];
        let [of_rule, of_destination] =
            programs.map(|changes| changes.and_then(|changes| changes.request.authority()));
        let authority = forward
            .host_rewrite
            .as_ref()
            .or(of_rule)
            .or(destination.host_rewrite.as_ref())
            .or(of_destination);
        Ok(Self {
            forward,
            destination,
            cluster,
            authority,
            timeout: timeout(forward, view),
            mirrors: Mirrors::draw(&forward.mirrors, view.request, rng),
            hash: hash.hash,
            cookie: hash.cookie,
            condition: &rule.route().condition,
        })
    }

    /// The retries of the request; `None` if it is not to be tried again.
    pub fn retries<R: Request>(&self, request: &R) -> Option<retry::State> {
        let policy = self.forward.retry.as_ref()?;
        if !request.may_steer() {
            return retry::State::without_headers(policy);
        }
        let header = |name: &str| std::str::from_utf8(request.header_values(name).next()?).ok();
        let headers = retry::Headers {
            retry_on: header("x-envoy-retry-on"),
            retry_grpc_on: header("x-envoy-retry-grpc-on"),
            max_retries: header("x-envoy-max-retries"),
            retriable_status_codes: header("x-envoy-retriable-status-codes"),
            retriable_header_names: header("x-envoy-retriable-header-names"),
        };
        retry::State::new(policy, &headers)
    }

    /// Chooses where the next try goes; `attempts` is that of the rule's retry policy, `state` that of the cluster.
    ///
    /// # Errors
    /// If the cluster has no endpoint that can be used.
    pub fn choose_endpoint(
        &self,
        state: &mut ClusterState,
        attempts: &mut Attempts,
        now: Instant,
        rng: &mut impl Rng,
    ) -> Result<Choice, Failure> {
        match state.choose(self.hash, attempts, now, rng) {
            Choice::NoHealthyEndpoint => Err(Failure::NoHealthyUpstream),
            choice => Ok(choice),
        }
    }

    /// The new path and query, if the rule rewrites the path; `x-envoy-original-path` tells the upstream the old ones.
    pub fn rewritten_target<R: Request>(&self, request: &R) -> Option<Vec<u8>> {
        let rewrite = self.forward.path_rewrite.as_ref()?;
        Some(rewrite::rewritten_target(rewrite, &self.condition.path, request.target()))
    }
}

/// The copies of one request.
#[derive(Clone, Copy, Debug, Default)]
pub struct Mirrors<'m> {
    list: &'m [Mirror],
    /// In [0, 1,000,000): drawn once for all of a rule's mirrors, as in Envoy.
    ticket: u32,
}

impl<'m> Mirrors<'m> {
    fn draw<R: Request>(list: &'m [Mirror], request: &R, rng: &mut impl Rng) -> Self {
        if list.is_empty() || request.method() == b"CONNECT" {
            return Self::default();
        }
        let ticket = rng.next_u64() % u64::from(PerMillion::ALL.parts());
        Self { list, ticket: u32::try_from(ticket).unwrap_or_default() }
    }

    /// The mirrors that get a copy, in the order of the rule.
    pub fn iter(self) -> impl Iterator<Item = &'m Mirror> {
        self.list.iter().filter(move |mirror| self.ticket < mirror.fraction.parts())
    }
}

/// The timeout of a request: the client's own, where it asks for one in Envoy's header; for gRPC the client's deadline
/// capped by the rule's timeout (Envoy's `max_grpc_timeout`, which Istio sets to the timeout); else the rule's.
pub(crate) fn timeout<R: Request>(forward: &Forward, view: &View<'_, R>) -> Option<Duration> {
    let number = |value: &[u8]| std::str::from_utf8(value).ok()?.parse().ok();
    let asked = || view.first_header(TIMEOUT_HEADER).and_then(number);
    if let Some(milliseconds) = view.request.may_steer().then(asked).flatten() {
        return (milliseconds > 0).then(|| Duration::from_millis(milliseconds));
    }
    if !is_grpc(view.request) {
        return forward.timeout;
    }
    let deadline = view
        .first_header("grpc-timeout")
        .and_then(grpc_timeout)
        .filter(|deadline| !deadline.is_zero());
    match (forward.timeout, deadline) {
        (Some(limit), Some(deadline)) => Some(limit.min(deadline)),
        (limit, deadline) => limit.or(deadline),
    }
}

/// Reads gRPC's `grpc-timeout`: up to eight digits and a unit.
fn grpc_timeout(value: &[u8]) -> Option<Duration> {
    let (unit, digits) = value.split_last()?;
    if digits.is_empty() || digits.len() > 8 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let amount: u64 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    match unit {
        b'H' => Some(Duration::from_secs(amount * 3600)),
        b'M' => Some(Duration::from_secs(amount * 60)),
        b'S' => Some(Duration::from_secs(amount)),
        b'm' => Some(Duration::from_millis(amount)),
        b'u' => Some(Duration::from_micros(amount)),
        b'n' => Some(Duration::from_nanos(amount)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grpc_timeouts_are_read_in_all_units() {
        let check = |value: &str, expected: Option<Duration>| {
            assert_eq!(grpc_timeout(value.as_bytes()), expected, "{value}")
        };
        check("1H", Some(Duration::from_secs(3600)));
        check("2M", Some(Duration::from_secs(120)));
        check("3S", Some(Duration::from_secs(3)));
        check("4m", Some(Duration::from_millis(4)));
        check("5u", Some(Duration::from_micros(5)));
        check("6n", Some(Duration::from_nanos(6)));
        check("99999999H", Some(Duration::from_secs(99_999_999 * 3600)));
        check("123456789S", None);
        check("S", None);
        check("", None);
        check("-1S", None);
        check("1s", None);
    }
}
