//! Localities: turns Istio's settings into the priorities and weights that balancing works with.
//!
//! Used when a cluster's endpoints are made for one proxy, since what is near depends on where the proxy is.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use crate::model::{Endpoint, Endpoints, Locality, LocalityEndpoints};
use crate::outlier;

/// How traffic is shared among localities (DestinationRule or mesh `localityLbSetting`, where it is enabled).
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Settings {
    /// Fixed shares by the client's place; takes the place of failover.
    pub distribute: Vec<Distribute>,
    /// Where to fail over to by region.
    pub failover: Vec<Failover>,
    /// Labels, or `label=value`: endpoints that agree with the client (or the value) on the first n come before those that
    /// agree on fewer.
    pub failover_priority: Vec<Arc<str>>,
}

/// Shares for clients of a place.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Distribute {
    /// The client's place: `region/zone/sub-zone`, shortened at the end or with `*` for any.
    pub from: Arc<str>,
    /// The share of each place, in percent. Places not named get nothing.
    pub to: Vec<(Arc<str>, u32)>,
}

/// The region to turn to when the client's own has failed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Failover {
    /// The client's region.
    pub from: Arc<str>,
    /// The region preferred to other ones.
    pub to: Arc<str>,
}

/// Who the endpoints are for.
#[derive(Clone, Copy, Debug)]
pub struct Client<'c> {
    /// Where it is.
    pub locality: &'c Locality,
    /// Its labels, those of its place in the topology included.
    pub labels: &'c BTreeMap<Arc<str>, Arc<str>>,
}

impl Settings {
    /// Sets the priorities and weights of endpoints for a client.
    ///
    /// Failing over needs outlier detection: without it nothing would ever be found unhealthy, and Istio leaves
    /// priorities alone. Shares do not need it.
    pub fn apply(
        &self,
        endpoints: &mut Endpoints,
        client: Client<'_>,
        outlier: Option<&outlier::Config>,
    ) {
        if !self.distribute.is_empty() {
            let rule = self.distribute.iter().find(|rule| matches(&rule.from, client.locality));
            if let Some(rule) = rule {
                rule.apply(endpoints);
            }
            return;
        }
        if outlier.is_none() {
            return;
        }
        if !self.failover_priority.is_empty() {
            self.prioritise_by_labels(endpoints, client);
        }
        if self.failover_priority.is_empty() || !self.failover.is_empty() {
            self.prioritise_by_place(endpoints, client);
        }
    }

    /// Splits each place by how many of the labels its endpoints have in common with the client, in order.
    fn prioritise_by_labels(&self, endpoints: &mut Endpoints, client: Client<'_>) {
        if client.labels.is_empty() {
            return;
        }
        let mut places = Vec::new();
        for place in &endpoints.localities {
            let mut by_priority: BTreeMap<u32, Vec<Endpoint>> = BTreeMap::new();
            for endpoint in &place.endpoints {
                by_priority
                    .entry(self.label_priority(endpoint, client))
                    .or_default()
                    .push(endpoint.clone());
            }
            places.extend(by_priority.into_iter().map(|(priority, endpoints)| LocalityEndpoints {
                locality: place.locality.clone(),
                priority,
                weight: Some(endpoints.iter().map(|endpoint| endpoint.weight).sum()),
                endpoints,
            }));
        }
        endpoints.localities = places;
        close_gaps(endpoints);
    }

    fn label_priority(&self, endpoint: &Endpoint, client: Client<'_>) -> u32 {
        let of_endpoint =
            |label: &str| endpoint.identity.labels.get(label).map_or("", |value| value);
        let agrees = |wanted: &Arc<str>| match wanted.split_once('=') {
            Some((label, value)) => value == of_endpoint(label),
            None => client.labels.get(wanted).map_or("", |value| value) == of_endpoint(wanted),
        };
        let first_difference = self.failover_priority.iter().position(|wanted| !agrees(wanted));
        first_difference.map_or(0, |index| (self.failover_priority.len() - index) as u32)
    }

    /// Puts the places nearest to the client first: same sub-zone, zone, region, the region to fail over to, others.
    fn prioritise_by_place(&self, endpoints: &mut Endpoints, client: Client<'_>) {
        const STEPS: u32 = 5;
        let failover =
            self.failover.iter().find(|failover| failover.from == client.locality.region);
        for place in &mut endpoints.localities {
            let (theirs, ours) = (&place.locality, client.locality);
            let step = match () {
                () if theirs == ours => 0,
                () if theirs.region == ours.region && theirs.zone == ours.zone => 1,
                () if theirs.region == ours.region => 2,
                () if failover.is_none_or(|failover| failover.to == theirs.region) => 3,
                () => 4,
            };
            // Within what labels have decided.
            place.priority = place.priority * STEPS + step;
        }
        close_gaps(endpoints);
    }
}

impl Distribute {
    fn apply(&self, endpoints: &mut Endpoints) {
        // The most precise first, so that a wildcard only takes what nothing else names.
        let mut shares: Vec<_> = self.to.iter().collect();
        shares.sort_by_key(|(place, _)| {
            let named = place.split('/').filter(|part| *part != "*").count();
            (std::cmp::Reverse(named), place.clone())
        });
        let mut left: Vec<&mut LocalityEndpoints> = endpoints.localities.iter_mut().collect();
        for (place, share) in shares {
            let (mut named, others): (Vec<_>, Vec<_>) =
                left.into_iter().partition(|candidate| matches(place, &candidate.locality));
            left = others;
            let total: u64 = named.iter().map(|place| u64::from(place.weight.unwrap_or(1))).sum();
            for place in &mut named {
                let weight = u64::from(place.weight.unwrap_or(1)) * u64::from(*share);
                if weight > 0 {
                    place.weight = u32::try_from(weight.div_ceil(total)).ok();
                }
            }
        }
        for place in left {
            place.endpoints.clear();
        }
    }
}

/// Whether a place is of those that `region/zone/sub-zone` names.
fn matches(pattern: &str, place: &Locality) -> bool {
    let mut parts = pattern.splitn(3, '/');
    let region = parts.next().unwrap_or("");
    let part_matches = |part: Option<&str>, actual: &str| {
        part.is_none_or(|part| part == "*" || part.is_empty() || part == actual)
    };
    (region == "*" || region == &*place.region)
        && part_matches(parts.next(), &place.zone)
        && part_matches(parts.next(), &place.sub_zone)
}

/// Numbers the priorities from 0 without gaps.
fn close_gaps(endpoints: &mut Endpoints) {
    let mut priorities: Vec<u32> =
        endpoints.localities.iter().map(|place| place.priority).collect();
    priorities.sort_unstable();
    priorities.dedup();
    for place in &mut endpoints.localities {
        place.priority = priorities.partition_point(|priority| *priority < place.priority) as u32;
    }
}

#[cfg(test)]
mod tests;
