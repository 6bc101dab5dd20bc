//! Retry policies (Istio's `retry.ConvertPolicy`).

use std::time::Duration;

use serin_api::networking::HttpRetry;
use serin_routing::retry::{Condition, Policy};

/// Conditions as Envoy names them.
const CONDITIONS: [(&str, Condition); 15] = [
    ("5xx", Condition::Any5xx),
    ("gateway-error", Condition::GatewayError),
    ("reset", Condition::Reset),
    ("reset-before-request", Condition::ResetBeforeRequest),
    ("connect-failure", Condition::ConnectFailure),
    ("refused-stream", Condition::RefusedStream),
    ("retriable-4xx", Condition::Retriable4xx),
    ("retriable-status-codes", Condition::RetriableStatusCodes),
    ("envoy-ratelimited", Condition::EnvoyRatelimited),
    ("http3-post-connect-failure", Condition::Http3PostConnectFailure),
    ("cancelled", Condition::Cancelled),
    ("deadline-exceeded", Condition::DeadlineExceeded),
    ("internal", Condition::Internal),
    ("resource-exhausted", Condition::ResourceExhausted),
    ("unavailable", Condition::Unavailable),
];

const BASE_INTERVAL: Duration = Duration::from_millis(25);

/// The policy of rules that say nothing in a mesh that says nothing: two retries, and not of 503.
fn default_policy(consistent_hash: bool) -> Policy {
    Policy {
        attempts: 2,
        retry_on: vec![
            Condition::ConnectFailure,
            Condition::RefusedStream,
            Condition::Unavailable,
            Condition::Cancelled,
            Condition::RetriableStatusCodes,
        ],
        retriable_status_codes: Vec::new(),
        per_try_timeout: None,
        base_interval: BASE_INTERVAL,
        max_interval: BASE_INTERVAL * 10,
        // A hash leads to one endpoint; going elsewhere would defeat it.
        avoid_previous_hosts: !consistent_hash,
        host_selection_attempts: 5,
        remote_localities: false,
    }
}

/// The policy that `written` asks for; `None` if it asks for no retries.
pub(crate) fn policy(written: Option<&HttpRetry>, consistent_hash: bool) -> Option<Policy> {
    let mut policy = default_policy(consistent_hash);
    let Some(written) = written else {
        return Some(policy);
    };
    policy.attempts = u32::try_from(written.attempts).ok().filter(|attempts| *attempts > 0)?;
    if !written.retry_on.is_empty() {
        (policy.retry_on, policy.retriable_status_codes) = parse_retry_on(&written.retry_on);
    }
    policy.per_try_timeout =
        written.per_try_timeout.map(|it| it.to_std()).filter(|it| !it.is_zero());
    if let Some(avoid) = written.retry_ignore_previous_hosts {
        policy.avoid_previous_hosts = avoid;
    }
    policy.remote_localities = written.retry_remote_localities == Some(true);
    if let Some(backoff) = written.backoff {
        policy.base_interval = backoff.to_std();
        policy.max_interval = policy.base_interval.saturating_mul(10);
    }
    Some(policy)
}

/// The policy of a sidecar towards its own workload: a request that was not sent is sent again, twice.
pub(crate) fn inbound_policy() -> Policy {
    Policy {
        retry_on: vec![Condition::ResetBeforeRequest],
        avoid_previous_hosts: false,
        host_selection_attempts: 1,
        ..default_policy(true)
    }
}

/// Conditions and status codes of a list. Codes alone mean that they are to be retried.
fn parse_retry_on(list: &str) -> (Vec<Condition>, Vec<u16>) {
    let mut conditions = Vec::new();
    let mut codes = Vec::new();
    for part in list.split(',').map(str::trim) {
        if let Ok(code @ 100..=599) = part.parse() {
            codes.push(code);
        } else if let Some((_, condition)) = CONDITIONS.iter().find(|(name, _)| *name == part) {
            conditions.push(*condition);
        }
    }
    if !codes.is_empty() && !conditions.contains(&Condition::RetriableStatusCodes) {
        conditions.push(Condition::RetriableStatusCodes);
    }
    (conditions, codes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(attempts: i32, retry_on: &str) -> HttpRetry {
        HttpRetry { attempts, retry_on: retry_on.to_owned(), ..Default::default() }
    }

    #[track_caller]
    fn check(retry_on: &str, conditions: &[Condition], codes: &[u16]) {
        let policy = policy(Some(&written(1, retry_on)), false).unwrap();
        assert_eq!(
            (&*policy.retry_on, &*policy.retriable_status_codes),
            (conditions, codes),
            "{retry_on}"
        );
    }

    #[test]
    fn retries_are_two_and_leave_503_alone_unless_something_is_written() {
        let policy = policy(None, false).unwrap();
        assert_eq!(policy.attempts, 2);
        assert_eq!(policy.retry_on[0], Condition::ConnectFailure);
        assert!(policy.retriable_status_codes.is_empty());
        assert!(policy.avoid_previous_hosts);
        assert_eq!(policy.host_selection_attempts, 5);
        assert_eq!(policy.base_interval, Duration::from_millis(25));
    }

    #[test]
    fn no_attempts_mean_no_retries() {
        assert_eq!(policy(Some(&written(0, "")), false), None);
        assert_eq!(policy(Some(&written(-1, "5xx")), false), None);
    }

    #[test]
    fn numbers_among_the_conditions_are_status_codes() {
        use Condition::{Any5xx, ConnectFailure, GatewayError, RetriableStatusCodes};
        check("5xx, gateway-error", &[Any5xx, GatewayError], &[]);
        check("503", &[RetriableStatusCodes], &[503]);
        check("connect-failure,503,504", &[ConnectFailure, RetriableStatusCodes], &[503, 504]);
        check("retriable-status-codes,503", &[RetriableStatusCodes], &[503]);
        check("unheard-of", &[], &[]);
    }

    #[test]
    fn previous_hosts_are_avoided_unless_a_hash_or_the_rule_says_otherwise() {
        let rule = |avoid| HttpRetry {
            attempts: 1,
            retry_ignore_previous_hosts: avoid,
            ..Default::default()
        };
        assert!(!policy(None, true).unwrap().avoid_previous_hosts);
        assert!(!policy(Some(&rule(Some(false))), false).unwrap().avoid_previous_hosts);
        assert!(policy(Some(&rule(Some(true))), true).unwrap().avoid_previous_hosts);
        assert!(policy(Some(&rule(None)), false).unwrap().avoid_previous_hosts);
    }
}
