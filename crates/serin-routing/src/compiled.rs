//! A model made ready for decisions: virtual hosts and rules indexed, header changes compiled, clusters looked up quickly.
//!
//! What a new version of the model shares with the old one (virtual hosts and rules by pointer) is taken over as it is, so
//! that a change costs what it changes.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::hash::TextHash;
use crate::headers::HeaderProgram;
use crate::index::{HostIndex, RuleIndex, Scratch};
use crate::model::{Action, Cluster, Model, Route, RouteTable, VirtualHost};
use crate::request::{Request, View};

/// A model, compiled.
#[derive(Debug, Default)]
pub struct CompiledModel {
    model: Arc<Model>,
    tables: BTreeMap<Arc<str>, Arc<CompiledTable>>,
    clusters: Arc<HashMap<Arc<str>, Arc<Cluster>, TextHash>>,
}

impl CompiledModel {
    /// Compiles a model.
    pub fn new(model: Arc<Model>) -> Self {
        Self::default().updated(model)
    }

    /// Compiles a new version of the model with what this one has already.
    #[must_use]
    pub fn updated(&self, model: Arc<Model>) -> Self {
        let compile = |(name, table): (&Arc<str>, &Arc<RouteTable>)| {
            let compiled = match self.tables.get(name) {
                Some(old) if Arc::ptr_eq(&old.table, table) => Arc::clone(old),
                Some(old) => Arc::new(old.updated(Arc::clone(table))),
                None => Arc::new(CompiledTable::new(Arc::clone(table))),
            };
            (Arc::clone(name), compiled)
        };
        let tables = model.route_tables.iter().map(compile).collect();
        let same_clusters = self.model.clusters.len() == model.clusters.len()
            && self
                .model
                .clusters
                .values()
                .zip(model.clusters.values())
                .all(|(old, new)| Arc::ptr_eq(old, new));
        let clusters = if same_clusters {
            Arc::clone(&self.clusters)
        } else {
            Arc::new(
                model
                    .clusters
                    .iter()
                    .map(|(name, cluster)| (Arc::clone(name), Arc::clone(cluster)))
                    .collect(),
            )
        };
        Self { model, tables, clusters }
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
}

/// A route table, compiled.
#[derive(Debug)]
pub struct CompiledTable {
    table: Arc<RouteTable>,
    domains: Arc<HostIndex>,
    hosts: Vec<Arc<CompiledHost>>,
}

impl CompiledTable {
    /// Compiles a table.
    pub fn new(table: Arc<RouteTable>) -> Self {
        let domains = Arc::new(HostIndex::new(&table.virtual_hosts));
        let hosts = table
            .virtual_hosts
            .iter()
            .map(|host| Arc::new(CompiledHost::new(Arc::clone(host), None)));
        Self { hosts: hosts.collect(), table, domains }
    }

    /// Compiles a new version of the table: only virtual hosts that are not the very same, and of those only rules that
    /// are not.
    #[must_use]
    pub fn updated(&self, table: Arc<RouteTable>) -> Self {
        let old_hosts = OldHosts::new(&self.hosts);
        let compile = |(position, host): (usize, &Arc<VirtualHost>)| {
            let old = old_hosts.find(position, host);
            match old {
                Some(old) if Arc::ptr_eq(&old.host, host) => Arc::clone(old),
                _ => Arc::new(CompiledHost::new(Arc::clone(host), old.map(|old| &**old))),
            }
        };
        let hosts = table.virtual_hosts.iter().enumerate().map(compile).collect();
        let same_domains = self.table.virtual_hosts.len() == table.virtual_hosts.len()
            && self
                .table
                .virtual_hosts
                .iter()
                .zip(&table.virtual_hosts)
                .all(|(old, new)| Arc::ptr_eq(old, new) || old.domains == new.domains);
        let domains = if same_domains {
            Arc::clone(&self.domains)
        } else {
            Arc::new(HostIndex::new(&table.virtual_hosts))
        };
        Self { table, domains, hosts }
    }

    /// The table it was compiled from.
    pub const fn table(&self) -> &Arc<RouteTable> {
        &self.table
    }

    /// The virtual host for an authority.
    pub(crate) fn host(&self, authority: &[u8]) -> Option<&CompiledHost> {
        let number = self.domains.find(authority)?;
        self.hosts.get(number).map(|host| &**host)
    }
}

/// The virtual hosts of the version before, found by their place or, where hosts came or went, by name.
struct OldHosts<'h> {
    hosts: &'h [Arc<CompiledHost>],
    by_name: std::cell::OnceCell<HashMap<&'h str, usize, TextHash>>,
}

impl<'h> OldHosts<'h> {
    const fn new(hosts: &'h [Arc<CompiledHost>]) -> Self {
        Self { hosts, by_name: std::cell::OnceCell::new() }
    }

    fn find(&self, position: usize, host: &VirtualHost) -> Option<&'h Arc<CompiledHost>> {
        let in_place = self.hosts.get(position).filter(|old| old.host.name == host.name);
        in_place.or_else(|| {
            let number_hosts =
                || (0..).zip(self.hosts).map(|(number, host)| (&*host.host.name, number)).collect();
            let number: usize = *self.by_name.get_or_init(number_hosts).get(&*host.name)?;
            self.hosts.get(number)
        })
    }
}

/// A virtual host, compiled.
#[derive(Debug)]
pub(crate) struct CompiledHost {
    pub(crate) host: Arc<VirtualHost>,
    index: RuleIndex,
    rules: Vec<Arc<CompiledRule>>,
}

impl CompiledHost {
    fn new(host: Arc<VirtualHost>, old: Option<&Self>) -> Self {
        let old_rules: HashMap<*const Route, &Arc<CompiledRule>> = match old {
            Some(old) => old.rules.iter().map(|rule| (Arc::as_ptr(&rule.route), rule)).collect(),
            None => HashMap::new(),
        };
        let compile = |route: &Arc<Route>| match old_rules.get(&Arc::as_ptr(route)) {
            Some(old) => Arc::clone(old),
            None => Arc::new(CompiledRule::new(Arc::clone(route))),
        };
        let rules = host.routes.iter().map(compile).collect();
        Self { index: RuleIndex::new(&host.routes), rules, host }
    }

    /// The first rule that a request meets.
    pub(crate) fn rule<R: Request>(
        &self,
        view: &View<'_, R>,
        scratch: &mut Scratch,
    ) -> Option<&CompiledRule> {
        let number = self.index.find(&self.host.routes, view, scratch)?;
        self.rules.get(number).map(|rule| &**rule)
    }
}

/// A rule, compiled.
#[derive(Debug)]
pub struct CompiledRule {
    route: Arc<Route>,
    headers: HeaderChanges,
    /// In the order of [`crate::model::Destinations::list`].
    destinations: Box<[HeaderChanges]>,
}

/// Compiled changes to both messages.
#[derive(Debug, Default)]
pub struct HeaderChanges {
    /// To the request.
    pub request: HeaderProgram,
    /// To the response.
    pub response: HeaderProgram,
}

impl CompiledRule {
    fn new(route: Arc<Route>) -> Self {
        let headers = HeaderChanges {
            request: HeaderProgram::new(&route.request_headers),
            response: HeaderProgram::new(&route.response_headers),
        };
        let destinations = match &route.action {
            Action::Forward(forward) => forward.destinations.list(),
            Action::Redirect(_) | Action::Direct(_) => &[],
        };
        let destinations = destinations.iter().map(|destination| HeaderChanges {
            request: HeaderProgram::new(&destination.request_headers),
            response: HeaderProgram::new(&destination.response_headers),
        });
        Self { destinations: destinations.collect(), headers, route }
    }

    /// The rule it was compiled from.
    pub const fn route(&self) -> &Arc<Route> {
        &self.route
    }

    /// The changes of the rule.
    pub(crate) const fn headers(&self) -> &HeaderChanges {
        &self.headers
    }

    /// The changes of one of its destinations.
    pub(crate) fn destination_headers(&self, number: usize) -> Option<&HeaderChanges> {
        self.destinations.get(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::RouteMatch;
    use crate::testing::numbered_route;

    fn host(name: &str, routes: usize) -> Arc<VirtualHost> {
        let routes =
            (0..routes).map(|number| numbered_route(number, RouteMatch::default())).collect();
        Arc::new(VirtualHost {
            name: name.into(),
            domains: vec![name.into()],
            routes,
            require_tls: false,
        })
    }

    fn table(virtual_hosts: &[&Arc<VirtualHost>]) -> Arc<RouteTable> {
        let virtual_hosts = virtual_hosts.iter().map(|host| Arc::clone(host)).collect();
        Arc::new(RouteTable { name: "80".into(), virtual_hosts })
    }

    fn same(old: &CompiledTable, new: &CompiledTable, name: &str) -> bool {
        let find = |table: &CompiledTable| std::ptr::from_ref(table.host(name.as_bytes()).unwrap());
        find(old) == find(new)
    }

    #[test]
    fn only_changed_virtual_hosts_are_compiled_again() {
        let (a, b, c) = (host("a", 1), host("b", 1), host("c", 1));
        let old = CompiledTable::new(table(&[&a, &b, &c]));
        let new = old.updated(table(&[&a, &host("b", 2), &c]));
        assert!(same(&old, &new, "a") && !same(&old, &new, "b") && same(&old, &new, "c"));
        assert!(Arc::ptr_eq(&old.domains, &new.domains));
        let less = new.updated(table(&[&c, &a]));
        assert!(same(&old, &less, "a") && same(&old, &less, "c"));
        assert!(less.host(b"b").is_none());
    }

    #[test]
    fn unchanged_rules_of_a_changed_virtual_host_are_taken_over() {
        let a = host("a", 2);
        let old = CompiledTable::new(table(&[&a]));
        let mut changed = VirtualHost::clone(&a);
        changed.routes[0] = numbered_route(0, RouteMatch::default());
        let new = old.updated(table(&[&Arc::new(changed)]));
        let rule = |table: &CompiledTable, number: usize| Arc::clone(&table.hosts[0].rules[number]);
        assert!(!Arc::ptr_eq(&rule(&old, 0), &rule(&new, 0)));
        assert!(Arc::ptr_eq(&rule(&old, 1), &rule(&new, 1)));
    }

    #[test]
    fn unchanged_tables_and_clusters_are_taken_over() {
        let mut model = Model::default();
        model.route_tables.insert("80".into(), table(&[&host("a", 1)]));
        let old = CompiledModel::new(Arc::new(model.clone()));
        model.route_tables.insert("81".into(), table(&[]));
        let new = old.updated(Arc::new(model));
        assert!(Arc::ptr_eq(old.table("80").unwrap(), new.table("80").unwrap()));
        assert!(new.table("81").is_some() && old.table("81").is_none());
        assert!(Arc::ptr_eq(&old.clusters, &new.clusters));
    }
}
