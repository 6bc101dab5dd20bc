//! Names of endpoints become addresses (Envoy's STRICT_DNS): resolved here, and again from time to time.
//!
//! A name that cannot be resolved keeps the addresses it had. Endpoints among listed ones that have no address, such as pods
//! that only a Deployment speaks of, are nowhere on this machine and left out.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use serin_routing::Model;
use serin_routing::model::{Discovery, Endpoint, EndpointAddress, Endpoints};
use tokio::task::{JoinHandle, JoinSet};

/// Time to resolve a name.
const LIMIT: Duration = Duration::from_secs(5);

/// Addresses that were found; an error for names that have none.
pub(super) type Answers = BTreeMap<Arc<str>, Result<Vec<IpAddr>, String>>;

/// What is known of names.
#[derive(Default)]
pub(super) struct Names {
    known: BTreeMap<Arc<str>, Vec<IpAddr>>,
    /// What [`apply`](Self::apply) made last, by cluster: what is equal stays the same object.
    made: BTreeMap<Arc<str>, Arc<Endpoints>>,
}

impl Names {
    /// The names that a model needs.
    pub(super) fn wanted(model: &Model) -> BTreeSet<Arc<str>> {
        let clusters = model.clusters.values().filter(|it| it.discovery == Discovery::StrictDns);
        let endpoints = clusters.filter_map(|cluster| model.endpoints.get(&cluster.name));
        let all = endpoints.flat_map(|it| &it.localities).flat_map(|it| &it.endpoints);
        let name = |endpoint: &Endpoint| match &endpoint.address {
            EndpointAddress::Name(name, _) => Some(Arc::clone(name)),
            _ => None,
        };
        all.filter_map(name).collect()
    }

    /// Those of them that were never resolved.
    pub(super) fn unknown(&self, wanted: BTreeSet<Arc<str>>) -> BTreeSet<Arc<str>> {
        wanted.into_iter().filter(|name| !self.known.contains_key(name)).collect()
    }

    /// Takes answers over; whether they change anything.
    pub(super) fn learn(&mut self, answers: Answers) -> bool {
        let mut changed = false;
        for (name, answer) in answers {
            match answer {
                Ok(addresses) => {
                    let before = self.known.insert(name, addresses.clone());
                    changed |= before.as_ref() != Some(&addresses);
                }
                Err(error) => {
                    let kept = self.known.get(&name).map_or(0, Vec::len);
                    tracing::warn!(%name, %error, kept, "the name cannot be resolved; it keeps its addresses");
                }
            }
        }
        changed
    }

    /// Puts addresses in the place of names.
    pub(super) fn apply(&mut self, model: &mut Model) {
        let mut made = BTreeMap::new();
        let Model { clusters, endpoints, .. } = model;
        if !endpoints.values().any(|it| has_names(it)) {
            return;
        }
        for (name, endpoints) in endpoints.iter_mut() {
            let Some(cluster) = clusters.get(name) else { continue };
            let resolves = match cluster.discovery {
                Discovery::StrictDns => true,
                Discovery::Listed => false,
                _ => continue,
            };
            if !has_names(endpoints) {
                continue;
            }
            let new = Arc::new(self.resolved(endpoints, resolves));
            let new = match self.made.get(name) {
                Some(old) if **old == *new => Arc::clone(old),
                _ => new,
            };
            made.insert(Arc::clone(name), Arc::clone(&new));
            *endpoints = new;
        }
        self.made = made;
    }

    fn resolved(&self, endpoints: &Endpoints, resolves: bool) -> Endpoints {
        let mut resolved = endpoints.clone();
        for place in &mut resolved.localities {
            let list = std::mem::take(&mut place.endpoints);
            for endpoint in list {
                let EndpointAddress::Name(name, port) = &endpoint.address else {
                    place.endpoints.push(endpoint);
                    continue;
                };
                let addresses = self.known.get(name).filter(|_| resolves).into_iter().flatten();
                place.endpoints.extend(addresses.map(|address| Endpoint {
                    address: EndpointAddress::Socket(*address, *port),
                    ..endpoint.clone()
                }));
            }
        }
        resolved
    }
}

fn has_names(endpoints: &Endpoints) -> bool {
    let mut all = endpoints.localities.iter().flat_map(|it| &it.endpoints);
    all.any(|endpoint| matches!(endpoint.address, EndpointAddress::Name(..)))
}

/// Begins to resolve names, all at a time.
pub(super) fn resolve(names: BTreeSet<Arc<str>>) -> JoinHandle<Answers> {
    tokio::spawn(async move {
        let mut under_way = JoinSet::new();
        for name in names {
            under_way.spawn(async move {
                let answer = addresses_of(&name).await;
                (name, answer)
            });
        }
        under_way.join_all().await.into_iter().collect()
    })
}

async fn addresses_of(name: &str) -> Result<Vec<IpAddr>, String> {
    let lookup = tokio::net::lookup_host((name, 0));
    let found = tokio::time::timeout(LIMIT, lookup).await;
    let found = found.map_err(|_| format!("no answer within {LIMIT:?}"))?;
    let found = found.map_err(|error| error.to_string())?;
    let addresses: BTreeSet<IpAddr> = found.map(|address| address.ip()).collect();
    Ok(addresses.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use serin_routing::model::{Cluster, EndpointTls, Health, LocalityEndpoints, WorkloadIdentity};

    use super::*;

    fn model(discovery: Discovery, addresses: &[EndpointAddress]) -> Model {
        let name: Arc<str> = "c".into();
        let endpoint = |address: &EndpointAddress| Endpoint {
            address: address.clone(),
            weight: 1,
            health: Health::Healthy,
            tls: EndpointTls::Plain,
            identity: Arc::new(WorkloadIdentity::default()),
        };
        let endpoints = addresses.iter().map(endpoint).collect();
        let place = LocalityEndpoints { endpoints, ..LocalityEndpoints::default() };
        let mut model = Model::default();
        model.clusters.insert(name.clone(), Arc::new(Cluster::new(name.clone(), discovery)));
        model.endpoints.insert(name, Arc::new(Endpoints { localities: vec![place] }));
        model
    }

    fn shown(model: &Model) -> Vec<String> {
        let all = model.endpoints["c"].localities.iter().flat_map(|it| &it.endpoints);
        all.map(|it| format!("{:?}", it.address)).collect()
    }

    fn answer(name: &str, addresses: &[&str]) -> Answers {
        let addresses = addresses.iter().map(|it| it.parse().unwrap()).collect();
        BTreeMap::from([(name.into(), Ok(addresses))])
    }

    #[test]
    fn each_address_of_a_name_is_an_endpoint() {
        let source = model(
            Discovery::StrictDns,
            &[EndpointAddress::Name("a.example".into(), 80), EndpointAddress::Unix("/s".into())],
        );
        assert_eq!(Names::wanted(&source), BTreeSet::from(["a.example".into()]));
        let mut names = Names::default();
        assert!(names.learn(answer("a.example", &["10.0.0.1", "10.0.0.2"])));
        assert!(!names.learn(answer("a.example", &["10.0.0.1", "10.0.0.2"])));
        let mut first = source.clone();
        names.apply(&mut first);
        assert_eq!(shown(&first), ["Socket(10.0.0.1, 80)", "Socket(10.0.0.2, 80)", "Unix(\"/s\")"]);
        let mut second = source;
        names.apply(&mut second);
        assert!(Arc::ptr_eq(&first.endpoints["c"], &second.endpoints["c"]));
    }

    #[test]
    fn a_name_that_cannot_be_resolved_any_more_keeps_its_addresses() {
        let mut names = Names::default();
        names.learn(answer("a.example", &["10.0.0.1"]));
        assert!(!names.learn(BTreeMap::from([("a.example".into(), Err("no".to_owned()))])));
        let mut model =
            model(Discovery::StrictDns, &[EndpointAddress::Name("a.example".into(), 80)]);
        names.apply(&mut model);
        assert_eq!(shown(&model), ["Socket(10.0.0.1, 80)"]);
    }

    #[test]
    fn pods_that_are_only_expected_are_no_endpoints() {
        let mut model = model(Discovery::Listed, &[EndpointAddress::Name("web".into(), 80)]);
        assert!(Names::wanted(&model).is_empty());
        Names::default().apply(&mut model);
        assert!(shown(&model).is_empty());
    }
}
