//! How a cluster chooses among its endpoints, and when it leaves some out (`applyLoadBalancer`, `applyOutlierDetection`).

use std::collections::BTreeMap;
use std::sync::Arc;

use serin_api::mesh_config::MeshConfig;
use serin_api::networking::{
    ConsistentHashLb, LoadBalancerSettings, LocalityLbSetting, OutlierDetection, SimpleLb,
};
use serin_routing::balancer::locality::{self, Distribute, Failover};
use serin_routing::balancer::{LocalityPolicy, Policy, WarmUp};
use serin_routing::model::Locality;
use serin_routing::outlier;

use crate::proxy::Proxy;
use crate::registry::{Service, TrafficDistribution, topology};

/// Points on a hash ring where the rule does not say.
const RING_SIZE: u64 = 1024;
/// Size of a Maglev table where the rule does not say.
const TABLE_SIZE: u64 = 65_537;

/// The policy and the slow start of new endpoints. A consistent hash goes before a simple policy.
pub(super) fn policy(settings: Option<&LoadBalancerSettings>) -> (Policy, Option<WarmUp>) {
    let Some(settings) = settings else { return (Policy::default(), None) };
    if let Some(hash) = &settings.consistent_hash {
        return (hash_policy(hash), None);
    }
    match settings.simple {
        Some(SimpleLb::Random) => (Policy::Random, None),
        Some(SimpleLb::Passthrough) => (Policy::Passthrough, None),
        Some(SimpleLb::RoundRobin) => (Policy::RoundRobin, warm_up(settings)),
        _ => (Policy::LeastRequest, warm_up(settings)),
    }
}

fn hash_policy(hash: &ConsistentHashLb) -> Policy {
    let or = |written: u64, default: u64| if written == 0 { default } else { written };
    match (&hash.maglev, &hash.ring_hash) {
        (Some(maglev), _) => Policy::Maglev { table_size: or(maglev.table_size, TABLE_SIZE) },
        (None, Some(ring)) => {
            Policy::RingHash { minimum_ring_size: or(ring.minimum_ring_size, RING_SIZE) }
        }
        (None, None) => {
            Policy::RingHash { minimum_ring_size: or(hash.minimum_ring_size, RING_SIZE) }
        }
    }
}

fn warm_up(settings: &LoadBalancerSettings) -> Option<WarmUp> {
    let warm_up = settings.warmup.as_ref();
    let duration = match warm_up {
        Some(warm_up) => warm_up.duration?,
        None => settings.warmup_duration_secs?,
    };
    Some(WarmUp {
        duration: duration.to_std(),
        minimum_percent: warm_up.and_then(|it| it.minimum_percent).unwrap_or(10.0),
        aggression: warm_up.and_then(|it| it.aggression).unwrap_or(1.0),
    })
}

/// When endpoints are left out. What is not written is Envoy's default.
pub(super) fn outlier(written: &OutlierDetection) -> outlier::Config {
    let default = outlier::Config::default();
    let percent = u32::try_from(written.max_ejection_percent).ok().filter(|it| *it > 0);
    let local = written.consecutive_local_origin_failures.filter(|it| *it > 0);
    let base_ejection_time =
        written.base_ejection_time.map_or(default.base_ejection_time, |it| it.to_std());
    outlier::Config {
        consecutive_5xx: written.consecutive_5xx_errors.unwrap_or(default.consecutive_5xx),
        consecutive_gateway_errors: written
            .consecutive_gateway_errors
            .unwrap_or(default.consecutive_gateway_errors),
        split_external_local_origin_errors: written.split_external_local_origin_errors,
        consecutive_local_origin_failures: local
            .unwrap_or(default.consecutive_local_origin_failures),
        interval: written.interval.map_or(default.interval, |it| it.to_std()),
        base_ejection_time,
        max_ejection_time: default.max_ejection_time.max(base_ejection_time),
        max_ejection_percent: percent.unwrap_or(default.max_ejection_percent),
    }
}

/// The share of healthy endpoints below which health is ignored, in percent. A rule with outlier detection turns that off unless it
/// says otherwise; so does a service whose endpoints count before they are ready, lest those get traffic.
fn panic_threshold(service: &Service, outlier: Option<&OutlierDetection>) -> f64 {
    if service.publish_not_ready {
        return 0.0;
    }
    match outlier.map(|it| it.min_health_percent) {
        Some(percent) if percent >= 0 => f64::from(percent),
        _ => LocalityPolicy::default().panic_threshold_percent,
    }
}

/// Which localities a cluster prefers.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Preference {
    settings: Option<locality::Settings>,
    /// Whether priorities hold also without outlier detection.
    forced: bool,
}

impl Preference {
    /// The rule's setting, else the service's preference, else the mesh's setting (`GetLocalityLbSetting`).
    pub(super) fn new(
        rule: Option<&LoadBalancerSettings>,
        service: &Service,
        mesh: &MeshConfig,
    ) -> Self {
        if let Some(setting) = rule.and_then(|it| it.locality_lb_setting.as_ref()) {
            return Self { settings: enabled(setting), forced: false };
        }
        let near: &[&str] = match service.traffic_distribution {
            TrafficDistribution::Any => {
                let settings = mesh.locality_lb_setting.as_ref().and_then(enabled);
                return Self { settings, forced: false };
            }
            TrafficDistribution::PreferSameZone => &topology::LABELS[..4],
            TrafficDistribution::PreferSameNode => &topology::LABELS,
        };
        let failover_priority = near.iter().map(|label| Arc::from(*label)).collect();
        let settings = locality::Settings { failover_priority, ..locality::Settings::default() };
        Self { settings: Some(settings), forced: true }
    }

    /// How priorities and localities share, beside what the endpoints themselves say.
    pub(super) fn policy(
        &self,
        service: &Service,
        outlier: Option<&OutlierDetection>,
    ) -> LocalityPolicy {
        let fails_over = self.forced || outlier.is_some();
        let weighted = self.settings.as_ref().is_some_and(|it| {
            let prefers = !it.failover.is_empty() || !it.failover_priority.is_empty();
            !it.distribute.is_empty() || (fails_over && prefers)
        });
        LocalityPolicy {
            weighted,
            panic_threshold_percent: panic_threshold(service, outlier),
            ..LocalityPolicy::default()
        }
    }

    /// Sets priorities and weights of endpoints. Names to be resolved are not told apart by labels.
    pub(super) fn apply(
        &self,
        endpoints: &mut serin_routing::model::Endpoints,
        client: &Client,
        outlier: Option<&outlier::Config>,
        by_labels: bool,
    ) {
        let Some(settings) = &self.settings else { return };
        // Failing over is asked for by a service that prefers near endpoints, whatever its rule says of outliers.
        let forced = self.forced.then(outlier::Config::default);
        let outlier = outlier.or(forced.as_ref());
        if by_labels || settings.failover_priority.is_empty() {
            settings.apply(endpoints, client.view(), outlier);
        } else if !settings.failover.is_empty() || !settings.distribute.is_empty() {
            let by_place = locality::Settings { failover_priority: Vec::new(), ..settings.clone() };
            by_place.apply(endpoints, client.view(), outlier);
        }
    }
}

fn enabled(written: &LocalityLbSetting) -> Option<locality::Settings> {
    if written.enabled == Some(false) {
        return None;
    }
    let text = |text: &String| Arc::from(text.as_str());
    let share = |(place, share): (&String, &u32)| (text(place), *share);
    Some(locality::Settings {
        distribute: written
            .distribute
            .iter()
            .map(|it| Distribute { from: text(&it.from), to: it.to.iter().map(share).collect() })
            .collect(),
        failover: written
            .failover
            .iter()
            .map(|it| Failover { from: text(&it.from), to: text(&it.to) })
            .collect(),
        failover_priority: written.failover_priority.iter().map(text).collect(),
    })
}

/// The proxy, as far as nearness is concerned.
#[derive(Clone, Debug)]
pub(super) struct Client {
    locality: Locality,
    labels: BTreeMap<Arc<str>, Arc<str>>,
}

impl Client {
    pub(super) fn new(proxy: &Proxy) -> Self {
        let labels = topology::with_place(&proxy.labels, &proxy.locality, "", &proxy.node);
        Self { locality: proxy.locality.clone(), labels }
    }

    const fn view(&self) -> locality::Client<'_> {
        locality::Client { locality: &self.locality, labels: &self.labels }
    }
}
