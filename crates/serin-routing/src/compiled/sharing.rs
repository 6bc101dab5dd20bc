//! What the models of several workloads have in common is compiled once: found by the address of what it was compiled from.
//!
//! A compiled part holds on to its source, so that an address is its source's for as long as the part lives. Parts that nobody
//! uses any more are not kept.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use super::{CompiledHost, CompiledModel, CompiledTable};
use crate::Model;
use crate::hash::TextHash;
use crate::model::{ByName, Cluster, RouteTable, VirtualHost};

/// What was compiled for any of the models that a process has in force.
#[derive(Debug, Default)]
pub struct Sharing {
    models: ByAddress<CompiledModel>,
    tables: ByAddress<CompiledTable>,
    hosts: ByAddress<CompiledHost>,
    clusters: ByAddress<ClusterIndex>,
}

impl Sharing {
    pub(super) fn model(&self, model: &Arc<Model>) -> Option<Arc<CompiledModel>> {
        self.models.get(Arc::as_ptr(model).addr())
    }

    pub(super) fn add_model(&mut self, model: &Arc<CompiledModel>) {
        self.models.add(Arc::as_ptr(&model.model).addr(), model);
    }

    pub(super) fn table(&self, table: &Arc<RouteTable>) -> Option<Arc<CompiledTable>> {
        self.tables.get(Arc::as_ptr(table).addr())
    }

    pub(super) fn add_table(&mut self, table: &Arc<CompiledTable>) {
        self.tables.add(Arc::as_ptr(&table.table).addr(), table);
    }

    pub(super) fn host(&self, host: &Arc<VirtualHost>) -> Option<Arc<CompiledHost>> {
        self.hosts.get(Arc::as_ptr(host).addr())
    }

    pub(super) fn add_host(&mut self, host: &Arc<CompiledHost>) {
        self.hosts.add(Arc::as_ptr(&host.host).addr(), host);
    }

    pub(super) fn clusters(&mut self, clusters: &ByName<Cluster>) -> Arc<ClusterIndex> {
        let address = clusters.address();
        self.clusters.get(address).unwrap_or_else(|| {
            let new = Arc::new(ClusterIndex::new(clusters.clone()));
            self.clusters.add(address, &new);
            new
        })
    }
}

/// Clusters by name, found faster than in the model.
#[derive(Debug, Default)]
pub(super) struct ClusterIndex {
    by_name: HashMap<Arc<str>, Arc<Cluster>, TextHash>,
    /// Keeps the address of the map.
    _source: ByName<Cluster>,
}

impl ClusterIndex {
    fn new(source: ByName<Cluster>) -> Self {
        let by_name = source.iter().map(|(name, it)| (Arc::clone(name), Arc::clone(it))).collect();
        Self { by_name, _source: source }
    }

    pub(super) fn get(&self, name: &str) -> Option<&Arc<Cluster>> {
        self.by_name.get(name)
    }
}

/// Parts by the address of their source, for as long as somebody uses them.
#[derive(Debug)]
struct ByAddress<T> {
    parts: HashMap<usize, Weak<T>>,
    /// Parts that are gone are taken out when there are so many.
    tidy_at: usize,
}

impl<T> Default for ByAddress<T> {
    fn default() -> Self {
        Self { parts: HashMap::new(), tidy_at: 64 }
    }
}

impl<T> ByAddress<T> {
    fn get(&self, address: usize) -> Option<Arc<T>> {
        self.parts.get(&address)?.upgrade()
    }

    fn add(&mut self, address: usize, part: &Arc<T>) {
        if self.parts.len() >= self.tidy_at {
            self.parts.retain(|_, part| part.strong_count() > 0);
            self.tidy_at = (2 * self.parts.len()).max(64);
        }
        self.parts.insert(address, Arc::downgrade(part));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(name: &str, hosts: &[&Arc<VirtualHost>]) -> Arc<RouteTable> {
        let virtual_hosts = hosts.iter().map(|host| Arc::clone(host)).collect();
        Arc::new(RouteTable { name: name.into(), virtual_hosts })
    }

    fn host(name: &str) -> Arc<VirtualHost> {
        let domains = vec![name.into()];
        Arc::new(VirtualHost { name: name.into(), domains, ..VirtualHost::default() })
    }

    fn model(tables: &[&Arc<RouteTable>]) -> Arc<Model> {
        let tables = tables.iter().map(|table| (Arc::clone(&table.name), Arc::clone(table)));
        Arc::new(Model { route_tables: tables.collect(), ..Model::default() })
    }

    #[test]
    fn what_models_have_in_common_is_compiled_once() {
        let (a, b) = (host("a"), host("b"));
        let (shared, own) = (table("80", &[&a]), table("90", &[&a, &b]));
        let mut sharing = Sharing::default();
        let none = CompiledModel::default();
        let one = none.updated_sharing(&model(&[&shared]), &mut sharing);
        let two = none.updated_sharing(&model(&[&shared, &own]), &mut sharing);
        assert!(Arc::ptr_eq(one.table("80").unwrap(), two.table("80").unwrap()));
        assert_eq!((one.work().virtual_hosts, two.work().virtual_hosts), (1, 1));
        let first = |model: &CompiledModel, name| Arc::clone(&model.table(name).unwrap().hosts[0]);
        assert!(Arc::ptr_eq(&first(&one, "80"), &first(&two, "90")));
    }

    #[test]
    fn a_model_that_several_have_is_compiled_once() {
        let mut sharing = Sharing::default();
        let model = model(&[&table("80", &[&host("a")])]);
        let none = CompiledModel::default();
        let one = none.updated_sharing(&model, &mut sharing);
        assert!(Arc::ptr_eq(&one, &none.updated_sharing(&model, &mut sharing)));
    }

    #[test]
    fn what_nobody_uses_is_not_kept() {
        let mut sharing = Sharing::default();
        for number in 0..1000 {
            let table = table(&number.to_string(), &[&host("a")]);
            let compiled =
                CompiledModel::default().updated_sharing(&model(&[&table]), &mut sharing);
            assert!(sharing.table(&table).is_some());
            drop(compiled);
            assert!(sharing.table(&table).is_none());
        }
        assert!(sharing.tables.parts.len() <= 64 && sharing.hosts.parts.len() <= 64);
    }

    #[test]
    fn one_map_of_clusters_is_indexed_once() {
        let mut sharing = Sharing::default();
        let model = Arc::new(Model::default());
        let index = sharing.clusters(&model.clusters);
        assert!(Arc::ptr_eq(&index, &sharing.clusters(&model.clusters.clone())));
        assert!(index.get("missing").is_none());
    }
}
