//! A model made ready for decisions: virtual hosts and rules indexed, header changes compiled, clusters looked up quickly.
//!
//! What a new version of the model shares with the old one (virtual hosts and rules by pointer) is taken over as it is, so
//! that a change costs what it changes; [`Work`] tells how much that was.

mod captured;
mod host;
mod reusable;
mod rule;
mod sharing;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::AddAssign;
use std::sync::{Arc, OnceLock};

use crate::index::HostIndex;
use crate::model::{Cluster, Direction, Listener, Model, RouteTable, VirtualHost};

pub(crate) use host::CompiledHost;
pub use rule::CompiledRule;
pub(crate) use rule::HeaderChanges;
pub use sharing::Sharing;

use captured::Captured;
use host::Compiler;
use reusable::Reusable;
use sharing::ClusterIndex;

/// A model, compiled.
#[derive(Debug, Default)]
pub struct CompiledModel {
    model: Arc<Model>,
    tables: BTreeMap<Arc<str>, Arc<CompiledTable>>,
    clusters: Arc<ClusterIndex>,
    captured: OnceLock<Captured>,
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
        self.next(model, &mut Sharing::default())
    }

    /// The same, and takes over what was compiled already for others: a model that several have is compiled once.
    #[must_use]
    pub fn updated_sharing(&self, model: &Arc<Model>, sharing: &mut Sharing) -> Arc<Self> {
        sharing.model(model).unwrap_or_else(|| {
            let new = Arc::new(self.next(Arc::clone(model), sharing));
            sharing.add_model(&new);
            new
        })
    }

    fn next(&self, model: Arc<Model>, sharing: &mut Sharing) -> Self {
        let mut work = Work::default();
        let compile = |(name, table): (&Arc<str>, &Arc<RouteTable>)| {
            let old = self.tables.get(name);
            let same = old.filter(|old| Arc::ptr_eq(&old.table, table)).cloned();
            let compiled = same.or_else(|| sharing.table(table)).unwrap_or_else(|| {
                let old = old.map(|old| &**old);
                let new = Arc::new(CompiledTable::next(old, Arc::clone(table), sharing));
                work += new.work;
                sharing.add_table(&new);
                new
            });
            (Arc::clone(name), compiled)
        };
        let tables = model.route_tables.iter().map(compile).collect();
        let clusters = if self.model.clusters.is(&model.clusters) {
            Arc::clone(&self.clusters)
        } else {
            sharing.clusters(&model.clusters)
        };
        Self { model, tables, clusters, captured: OnceLock::new(), work }
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

    /// The listener that takes a captured connection, by the address and port that it was meant for: the same as
    /// [`connection::listener`](crate::connection::listener), but `None` instead of the capturing listener.
    pub fn captured(&self, direction: Direction, meant: SocketAddr) -> Option<&Arc<Listener>> {
        self.captured.get_or_init(|| Captured::of(&self.model.listeners)).find(direction, meant)
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
        Self::next(None, table, &mut Sharing::default())
    }

    /// Compiles a new version of the table: only virtual hosts that are not the very same, and of those only rules that
    /// are not; their index only as far as conditions differ.
    #[must_use]
    pub fn updated(&self, table: Arc<RouteTable>) -> Self {
        Self::next(Some(self), table, &mut Sharing::default())
    }

    fn next(last: Option<&Self>, table: Arc<RouteTable>, sharing: &mut Sharing) -> Self {
        let mut compiler = Compiler::new(sharing);
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
                old => {
                    same_domains &= old.is_some_and(|old| old.host.domains == host.domains);
                    compiler.host(old, host)
                }
            });
        }
        let domains = match last {
            Some(last) if same_domains => Arc::clone(&last.domains),
            _ => Arc::new(HostIndex::new(&hosts)),
        };
        let work = compiler.work;
        Self { table, domains, hosts, work }
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
