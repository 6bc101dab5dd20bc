//! The settings of a DestinationRule for one port and subset.

use serin_api::networking::{
    ClientTlsSettings, ConnectionPoolSettings, LoadBalancerSettings, OutlierDetection,
    PortTrafficPolicy, ProxyProtocolSettings, RetryBudget, TrafficPolicy,
};

/// The parts of a traffic policy that hold for one cluster; `None` where the default does.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Policy<'a> {
    /// Balancing.
    pub(crate) load_balancer: Option<&'a LoadBalancerSettings>,
    /// Limits.
    pub(crate) connection_pool: Option<&'a ConnectionPoolSettings>,
    /// Ejection.
    pub(crate) outlier_detection: Option<&'a OutlierDetection>,
    /// TLS.
    pub(crate) tls: Option<&'a ClientTlsSettings>,
    /// PROXY protocol.
    pub(crate) proxy_protocol: Option<&'a ProxyProtocolSettings>,
    /// Limit of retries.
    pub(crate) retry_budget: Option<&'a RetryBudget>,
}

impl<'a> Policy<'a> {
    /// What `rule`, the rule's policy, and `subset`, that of a subset, mean for a port.
    ///
    /// A part that the subset has replaces the rule's as a whole. Settings of the port replace their level's balancing,
    /// limits, ejection and TLS, also by absence; the rest is inherited (`MergeSubsetTrafficPolicy`).
    pub(super) fn new(
        rule: Option<&'a TrafficPolicy>,
        subset: Option<&'a TrafficPolicy>,
        port: u16,
    ) -> Self {
        let (below, _) = Self::of_level(rule, port);
        let (above, has_port) = Self::of_level(subset, port);
        let inherited = if has_port { Self::default() } else { below };
        Self {
            load_balancer: above.load_balancer.or(inherited.load_balancer),
            connection_pool: above.connection_pool.or(inherited.connection_pool),
            outlier_detection: above.outlier_detection.or(inherited.outlier_detection),
            tls: above.tls.or(inherited.tls),
            proxy_protocol: above.proxy_protocol.or(below.proxy_protocol),
            retry_budget: above.retry_budget.or(below.retry_budget),
        }
    }

    /// One level's settings for a port, and whether it has settings of the port's own.
    fn of_level(policy: Option<&'a TrafficPolicy>, port: u16) -> (Self, bool) {
        let Some(policy) = policy else { return (Self::default(), false) };
        let whole = Self {
            load_balancer: policy.load_balancer.as_ref(),
            connection_pool: policy.connection_pool.as_ref(),
            outlier_detection: policy.outlier_detection.as_ref(),
            tls: policy.tls.as_ref(),
            proxy_protocol: policy.proxy_protocol.as_ref(),
            retry_budget: policy.retry_budget.as_ref(),
        };
        let is_for = |it: &&PortTrafficPolicy| {
            it.port.as_ref().is_some_and(|it| it.number == u32::from(port))
        };
        match policy.port_level_settings.iter().find(is_for) {
            None => (whole, false),
            Some(own) => (
                Self {
                    load_balancer: own.load_balancer.as_ref(),
                    connection_pool: own.connection_pool.as_ref(),
                    outlier_detection: own.outlier_detection.as_ref(),
                    tls: own.tls.as_ref(),
                    ..whole
                },
                true,
            ),
        }
    }
}
