//! The endpoints of a cluster as balancing needs them: numbered, grouped, with what can be computed before any request.

use std::collections::HashMap;
use std::sync::Arc;

use super::table::{Candidate, Table};
use super::{LocalityPolicy, Policy, WarmUp};
use crate::model::{Cluster, Endpoint, EndpointAddress, Endpoints, Health, Locality};
use crate::outlier;

/// The endpoints of a cluster and how one of them is chosen. Immutable, made once for all cores.
#[derive(Debug, Default)]
pub struct EndpointSet {
    pub(super) policy: Policy,
    pub(super) warm_up: Option<WarmUp>,
    pub(super) locality: LocalityPolicy,
    pub(super) outlier: Option<outlier::Config>,
    endpoints: Arc<Endpoints>,
    /// By number, in the order of the list.
    pub(super) members: Vec<Member>,
    /// By priority.
    pub(super) levels: Vec<LevelMembers>,
}

/// An endpoint.
#[derive(Debug)]
pub(super) struct Member {
    group: u32,
    position: u32,
    pub(super) level: u32,
    pub(super) weight: u32,
    pub(super) healthy: bool,
    /// What consistent hashing hashes: the address.
    key: Box<str>,
}

/// The endpoints of a priority.
#[derive(Debug, Default)]
pub(super) struct LevelMembers {
    pub(super) members: Vec<u32>,
    pub(super) groups: Vec<Group>,
    /// The table of the healthy endpoints, for policies that hash.
    pub(super) table: Option<Arc<Table>>,
}

/// The endpoints of a priority that are in one place.
#[derive(Debug)]
pub(super) struct Group {
    /// The share of the place; 0 if it has none.
    pub(super) weight: u32,
    pub(super) members: Vec<u32>,
}

impl EndpointSet {
    /// Prepares the endpoints of a cluster.
    pub fn new(cluster: &Cluster, endpoints: Arc<Endpoints>) -> Self {
        let mut set = Self {
            policy: cluster.balancer.clone(),
            warm_up: cluster.warm_up.clone(),
            locality: cluster.locality.clone(),
            outlier: cluster.outlier.clone(),
            members: Vec::new(),
            levels: vec![LevelMembers::default()],
            endpoints,
        };
        for (group, place) in set.endpoints.localities.iter().enumerate() {
            let level = place.priority as usize;
            if set.levels.len() <= level {
                set.levels.resize_with(level + 1, LevelMembers::default);
            }
            let first = set.members.len() as u32;
            set.members.extend(place.endpoints.iter().enumerate().map(|(position, endpoint)| {
                Member {
                    group: group as u32,
                    position: position as u32,
                    level: place.priority,
                    weight: endpoint.weight.max(1),
                    healthy: endpoint.health == Health::Healthy,
                    key: address_text(&endpoint.address).into(),
                }
            }));
            let members: Vec<u32> = (first..set.members.len() as u32).collect();
            set.levels[level].members.extend(&members);
            set.levels[level].groups.push(Group { weight: place.weight.unwrap_or(0), members });
        }
        for level in 0..set.levels.len() {
            let table = set.table(level, |index| set.members[index as usize].healthy);
            set.levels[level].table = table.map(Arc::new);
        }
        set
    }

    /// How many endpoints there are.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether there is no endpoint.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// The endpoint of a number.
    pub fn endpoint(&self, index: usize) -> Option<&Endpoint> {
        let member = self.members.get(index)?;
        self.endpoints
            .localities
            .get(member.group as usize)?
            .endpoints
            .get(member.position as usize)
    }

    /// The numbers that the endpoints have in another set, by address; several of one address in their order.
    pub(super) fn numbers_in(&self, other: &Self) -> Vec<Option<usize>> {
        let mut known: HashMap<&EndpointAddress, Vec<usize>> = HashMap::new();
        // Reversed, since the last is taken first.
        for number in (0..other.len()).rev() {
            if let Some(endpoint) = other.endpoint(number) {
                known.entry(&endpoint.address).or_default().push(number);
            }
        }
        let number = |own| known.get_mut(&self.endpoint(own)?.address)?.pop();
        (0..self.len()).map(number).collect()
    }

    /// Where the endpoint of a number is.
    pub fn locality_of(&self, index: usize) -> Option<&Locality> {
        let member = self.members.get(index)?;
        self.endpoints.localities.get(member.group as usize).map(|place| &place.locality)
    }

    /// Builds the table of a priority's endpoints that `takes_part` says take part; `None` if the policy does not hash.
    pub(super) fn table(&self, level: usize, takes_part: impl Fn(u32) -> bool) -> Option<Table> {
        let candidates = || self.candidates(&self.levels[level], takes_part);
        match self.policy {
            Policy::RingHash { minimum_ring_size } => {
                Some(Table::ring(&candidates(), minimum_ring_size))
            }
            Policy::Maglev { table_size } => Some(Table::maglev(&candidates(), table_size)),
            Policy::RoundRobin | Policy::LeastRequest | Policy::Random | Policy::Passthrough => {
                None
            }
        }
    }

    /// Endpoints with weights that add up to 1: within their place, and places by theirs where those count.
    fn candidates(
        &self,
        level: &LevelMembers,
        takes_part: impl Fn(u32) -> bool,
    ) -> Vec<Candidate<'_>> {
        let mut candidates = Vec::new();
        let mut add = |members: &[u32], share: f64| {
            let taking: Vec<u32> =
                members.iter().copied().filter(|&index| takes_part(index)).collect();
            let total: u64 =
                taking.iter().map(|&index| u64::from(self.members[index as usize].weight)).sum();
            candidates.extend(taking.into_iter().map(|index| {
                let member = &self.members[index as usize];
                Candidate {
                    index,
                    key: &member.key,
                    weight: f64::from(member.weight) * share / total as f64,
                }
            }));
        };
        if !self.locality.weighted {
            add(&level.members, 1.0);
            return candidates;
        }
        let total: u64 = level.groups.iter().map(|group| u64::from(group.weight)).sum();
        for group in level.groups.iter().filter(|group| group.weight > 0) {
            add(&group.members, f64::from(group.weight) / total as f64);
        }
        candidates
    }
}

/// An address as Envoy writes it, which is what it hashes.
fn address_text(address: &EndpointAddress) -> String {
    match address {
        EndpointAddress::Socket(ip, port) => std::net::SocketAddr::new(*ip, *port).to_string(),
        EndpointAddress::Name(name, port) => format!("{name}:{port}"),
        EndpointAddress::Unix(path) => path.to_string(),
    }
}
