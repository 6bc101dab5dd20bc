//! Outlier detection: endpoints that fail are left out for a while.

use std::time::Duration;

use serde::Serialize;

/// When an endpoint is ejected and for how long (DestinationRule `outlierDetection`, Envoy's outlier detection).
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Config {
    /// Consecutive 5xx answers (or local failures, unless split) that eject; 0 turns the rule off (default 5).
    pub consecutive_5xx: u32,
    /// Consecutive 502, 503, 504 that eject; 0 turns the rule off (default off).
    pub consecutive_gateway_errors: u32,
    /// Count failures to connect and the like apart from the upstream's own answers.
    pub split_external_local_origin_errors: bool,
    /// Consecutive local failures that eject, when split (default 5).
    pub consecutive_local_origin_failures: u32,
    /// Time between sweeps that return endpoints (default 10 s).
    pub interval: Duration,
    /// Ejection lasts this long times the number of ejections so far (default 30 s).
    pub base_ejection_time: Duration,
    /// Longest ejection (Envoy's default 300 s).
    pub max_ejection_time: Duration,
    /// Largest share of the endpoints that may be ejected at a time, in percent (default 10).
    pub max_ejection_percent: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            consecutive_5xx: 5,
            consecutive_gateway_errors: 0,
            split_external_local_origin_errors: false,
            consecutive_local_origin_failures: 5,
            interval: Duration::from_secs(10),
            base_ejection_time: Duration::from_secs(30),
            max_ejection_time: Duration::from_secs(300),
            max_ejection_percent: 10,
        }
    }
}
