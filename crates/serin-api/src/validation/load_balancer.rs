//! Rules for balancing.

use std::collections::BTreeSet;

use super::numbers;
use super::place::Place;
use crate::networking::{
    ConsistentHashLb, HttpCookie, LoadBalancerSettings, LocalityFailover, LocalityLbSetting,
    WarmupConfiguration, ZoneAwareLbSetting,
};

/// Envoy's limit.
const LARGEST_TABLE: u64 = 5_000_011;

const TOPOLOGY_LABELS: [&str; 3] =
    ["topology.kubernetes.io/region", "topology.kubernetes.io/zone", "topology.istio.io/subzone"];

pub(super) fn check(settings: &LoadBalancerSettings, has_outlier_detection: bool, at: &Place<'_>) {
    if let Some(hash) = &settings.consistent_hash {
        consistent_hash(hash, &at.key("consistentHash"));
    }
    if settings.locality_lb_setting.is_some() && settings.zone_aware_lb_setting.is_some() {
        at.error("localityLbSetting and zoneAwareLbSetting cannot be set together");
    }
    if let Some(setting) = &settings.locality_lb_setting {
        locality(setting, has_outlier_detection, &at.key("localityLbSetting"));
    }
    if let Some(setting) = &settings.zone_aware_lb_setting {
        zone_aware(setting, has_outlier_detection, &at.key("zoneAwareLbSetting"));
    }
    if let Some(warmup) = &settings.warmup {
        self::warmup(warmup, &at.key("warmup"));
    }
}

fn consistent_hash(hash: &ConsistentHashLb, at: &Place<'_>) {
    if let Some(cookie) = &hash.http_cookie {
        self::cookie(cookie, &at.key("httpCookie"));
    }
    if hash.minimum_ring_size != 0 {
        let at = at.key("minimumRingSize");
        at.warning("minimumRingSize is deprecated here: use ringHash.minimumRingSize");
        if hash.ring_hash.is_some() || hash.maglev.is_some() {
            at.error("minimumRingSize cannot be set together with ringHash or maglev");
        }
    }
    if let Some(maglev) = &hash.maglev {
        table_size(maglev.table_size, &at.key("maglev").key("tableSize"));
    }
}

fn cookie(cookie: &HttpCookie, at: &Place<'_>) {
    if cookie.name.is_empty() {
        at.key("name").error("a cookie needs a name");
    }
    let mut names = BTreeSet::new();
    at.key("attributes").each(&cookie.attributes, |attribute, at| {
        if attribute.name.is_empty() {
            at.key("name").error("an attribute of a cookie needs a name");
        } else if !names.insert(&attribute.name) {
            at.key("name")
                .error(format!("the cookie has the attribute {:?} twice", attribute.name));
        }
    });
}

fn table_size(size: u64, at: &Place<'_>) {
    if size == 0 {
        at.error("the size of a Maglev table must be set");
    } else if size >= LARGEST_TABLE {
        at.error(format!("the size of a Maglev table must be less than {LARGEST_TABLE}"));
    } else if !is_prime(size) {
        at.error("the size of a Maglev table must be a prime number");
    }
}

/// Whether a number is prime. As in Envoy, 1 counts.
fn is_prime(number: u64) -> bool {
    let mut factors = (2_u64..).take_while(|factor| factor * factor <= number);
    number != 0 && factors.all(|factor| !number.is_multiple_of(factor))
}

fn warmup(warmup: &WarmupConfiguration, at: &Place<'_>) {
    if warmup.duration.is_none() {
        at.key("duration").error("a warmup needs a duration");
    }
    numbers::duration(warmup.duration, &at.key("duration"));
    if warmup.minimum_percent.is_some_and(|percent| percent > 100.0) {
        at.key("minimumPercent").error("minimumPercent must be 100 or less");
    }
    if warmup.aggression.is_some_and(|aggression| aggression < 1.0) {
        at.key("aggression").error("aggression must be 1 or more");
    }
}

fn locality(setting: &LocalityLbSetting, has_outlier_detection: bool, at: &Place<'_>) {
    if !setting.distribute.is_empty() && !setting.failover.is_empty() {
        at.error("distribute and failover cannot be set together");
        return;
    }
    let topology = |label: &&String| TOPOLOGY_LABELS.contains(&label.as_str());
    if !setting.failover.is_empty()
        && let Some(label) = setting.failover_priority.iter().find(topology)
    {
        at.key("failoverPriority")
            .error(format!("failover cannot be set together with {label} in failoverPriority"));
        return;
    }
    at.key("distribute").each(&setting.distribute, |distribute, at| {
        let at = at.key("to");
        if distribute.to.values().any(|weight| !(1..=100).contains(weight)) {
            at.error("the weight of a locality must be in the range 1 to 100");
        } else if distribute.to.values().sum::<u32>() != 100 {
            at.error("the weights of localities must sum to 100");
        }
        at.expect(disjoint(distribute.to.keys()));
    });
    let sources = setting.distribute.iter().map(|distribute| &distribute.from);
    at.key("distribute").expect(disjoint(sources));
    let has_failover = !setting.failover.is_empty() || !setting.failover_priority.is_empty();
    failover(&setting.failover, has_failover && !has_outlier_detection, at);
}

fn zone_aware(setting: &ZoneAwareLbSetting, has_outlier_detection: bool, at: &Place<'_>) {
    at.key("failoverPriority").each(&setting.failover_priority, |label, at| {
        if TOPOLOGY_LABELS.contains(&label.as_str()) {
            at.error(format!(
                "regions and zones are preferred anyway: {label} cannot be a priority"
            ));
        }
    });
    let has_failover = !setting.failover.is_empty() || !setting.failover_priority.is_empty();
    failover(&setting.failover, has_failover && !has_outlier_detection, at);
}

fn failover(failover: &[LocalityFailover], never_unhealthy: bool, at: &Place<'_>) {
    if never_unhealthy {
        at.warning(
            "without outlierDetection no endpoint is found unhealthy, and there is no failover",
        );
    }
    at.key("failover").each(failover, |LocalityFailover { from, to }, at| {
        if from == to {
            at.error("a region cannot fail over to itself");
        }
        if from.contains('/') || to.contains('/') {
            at.error("failover is between regions: zones cannot be named");
        }
        if from.contains('*') || to.contains('*') {
            at.error("failover is between regions: wildcards cannot be used");
        }
    });
}

/// Localities (`region/zone/subzone`, with `*` at the end for all below) of which none includes a later one. A `*` may
/// come after what it includes: it then means the rest.
fn disjoint<'a>(localities: impl Iterator<Item = &'a String>) -> Result<(), String> {
    let mut seen: Vec<Vec<&str>> = Vec::new();
    for locality in localities {
        if locality.matches('*').count() > 1 || locality.trim_end_matches('*').contains('*') {
            return Err(format!("locality {locality}: a wildcard can only stand at the end"));
        }
        let mut parts: Vec<&str> = locality.splitn(3, '/').collect();
        if parts.contains(&"") {
            return Err(format!("locality {locality} has an empty region, zone or subzone"));
        }
        let is_rest = parts.last() == Some(&"*");
        if is_rest {
            parts.pop();
        }
        let overlaps = |earlier: &Vec<&str>| {
            parts.starts_with(earlier) || (!is_rest && earlier.starts_with(&parts))
        };
        if seen.iter().any(overlaps) {
            return Err(format!("locality {locality} overlaps with an earlier one"));
        }
        seen.push(parts);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn localities_must_not_overlap() {
        let check = |localities: &[&str]| {
            let owned: Vec<String> = localities.iter().map(|it| (*it).to_owned()).collect();
            disjoint(owned.iter()).is_ok()
        };
        assert!(check(&["a/b/c", "a/b/d", "a/c/*", "b"]));
        assert!(check(&["a/b", "a/*", "*"]));
        assert!(!check(&["a/b/c", "a/b"]));
        assert!(!check(&["a", "a/b/c"]));
        assert!(!check(&["*", "a"]));
        assert!(!check(&["a/*/c"]));
        assert!(!check(&["a//c"]));
    }

    #[test]
    fn primes() {
        let primes: Vec<u64> = (0..20).filter(|number| is_prime(*number)).collect();
        assert_eq!(primes, [1, 2, 3, 5, 7, 11, 13, 17, 19]);
        assert!(is_prime(65537));
    }
}
