//! A model made ready for decisions: virtual hosts and rules indexed, header changes compiled, clusters looked up quickly.
//!
//! What a new version of the model shares with the old one (virtual hosts and rules by pointer) is taken over as it is, so
//! that a change costs what it changes; [`Work`] tells how much that was.

mod host;
mod reusable;
mod rule;

use std::collections::{BTreeMap, HashMap};
use std::ops::AddAssign;
use std::sync::Arc;

use crate::hash::TextHash;
use crate::index::HostIndex;
use crate::model::{Cluster, Model, RouteTable, VirtualHost};

pub(crate) use host::CompiledHost;
pub use rule::CompiledRule;
pub(crate) use rule::HeaderChanges;

use host::Compiler;
use reusable::Reusable;

/// A model, compiled.
#[derive(Debug, Default)]
pub struct CompiledModel {
    model: Arc<Model>,
    tables: BTreeMap<Arc<str>, Arc<CompiledTable>>,
    clusters: Arc<HashMap<Arc<str>, Arc<Cluster>, TextHash>>,
    work: Work,
}

/// What was compiled for a version rather than taken over from the one before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// Virtual hosts.
    pub virtual_hosts: usize,
    /// Rules.
    pub rules: usize,
}

impl AddAssign for Work {
    fn add_assign(&mut self, other: Self) {
        self.virtual_hosts += other.virtual_hosts;
        self.rules += other.rules;
    }
}

impl CompiledModel {
    /// Compiles a model.
    pub fn new(model: Arc<Model>) -> Self {
        Self::default().updated(model)
    }

    /// Compiles a new version of the model with what this one has already.
    #[must_use]
    pub fn updated(&self, model: Arc<Model>) -> Self {
        let mut work = Work::default();
        let compile = |(name, table): (&Arc<str>, &Arc<RouteTable>)| {
            let compiled = match self.tables.get(name) {
                Some(old) if Arc::ptr_eq(&old.table, table) => Arc::clone(old),
                old => {
                    let new = CompiledTable::next(old.map(|old| &**old), Arc::clone(table));
                    work += new.work;
                    Arc::new(new)
                }
            };
            (Arc::clone(name), compiled)
        };
        let tables = model.route_tables.iter().map(compile).collect();
        let clusters = if self.model.clusters.is(&model.clusters) {
            Arc::clone(&self.clusters)
        } else {
            let clusters = model.clusters.iter();
            Arc::new(clusters.map(|(name, it)| (Arc::clone(name), Arc::clone(it))).collect())
        };
        Self { model, tables, clusters, work }
    }

    /// The model it was compiled from.
    pub const fn model(&self) -> &Arc<Model> {
        &self.model
    }

    /// A route table, by name.
    pub fn table(&self, name: &str) -> Option<&Arc<CompiledTable>> {
        self.tables.get(name)
    }

    /// A cluster, by name.
    pub fn cluster(&self, name: &str) -> Option<&Arc<Cluster>> {
        self.clusters.get(name)
    }

    /// What was compiled for this version.
    pub const fn work(&self) -> Work {
        self.work
    }
}

/// A route table, compiled.
#[derive(Debug)]
pub struct CompiledTable {
    table: Arc<RouteTable>,
    domains: Arc<HostIndex>,
    /// In the order of the table.
    hosts: Vec<Arc<CompiledHost>>,
    work: Work,
}

impl CompiledTable {
    /// Compiles a table.
    pub fn new(table: Arc<RouteTable>) -> Self {
        Self::next(None, table)
    }

    /// Compiles a new version of the table: only virtual hosts that are not the very same, and of those only rules that
    /// are not; their index only as far as conditions differ.
    #[must_use]
    pub fn updated(&self, table: Arc<RouteTable>) -> Self {
        Self::next(Some(self), table)
    }

    fn next(last: Option<&Self>, table: Arc<RouteTable>) -> Self {
        let mut compiler = Compiler::default();
        let (known, known_compiled) =
            last.map_or_else(Default::default, |it| (&*it.table.virtual_hosts, &*it.hosts));
        let mut reusable = Reusable::new(known, |host: &Arc<VirtualHost>| Arc::clone(&host.name));
        let mut same_domains = known.len() == table.virtual_hosts.len();
        let mut hosts = Vec::with_capacity(table.virtual_hosts.len());
        for (position, host) in table.virtual_hosts.iter().enumerate() {
            let place = reusable.find(host);
            same_domains &= place == Some(position);
            let old = place.and_then(|place| known_compiled.get(place));
            hosts.push(match old {
                Some(old) if Arc::ptr_eq(&old.host, host) => Arc::clone(old),
                Some(old) => {
                    same_domains &= old.host.domains == host.domains;
                    Arc::new(compiler.next_host(old, Arc::clone(host)))
                }
                None => Arc::new(compiler.host(Arc::clone(host))),
            });
        }
        let domains = match last {
            Some(last) if same_domains => Arc::clone(&last.domains),
            _ => Arc::new(HostIndex::new(&hosts)),
        };
        Self { table, domains, hosts, work: compiler.work }
    }

    /// The table it was compiled from.
    pub const fn table(&self) -> &Arc<RouteTable> {
        &self.table
    }

    /// What was compiled for this version of the table.
    pub const fn work(&self) -> Work {
        self.work
    }

    /// The virtual host for an authority.
    pub(crate) fn host(&self, authority: &[u8]) -> Option<&CompiledHost> {
        let number = self.domains.find(&self.hosts, authority)?;
        self.hosts.get(number).map(|host| &**host)
    }
}

#[cfg(test)]
mod tests;
