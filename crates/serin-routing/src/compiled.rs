//! A model made ready for decisions: virtual hosts and rules indexed, header changes compiled, clusters looked up quickly.
//!
//! What a new version of the model shares with the old one (virtual hosts and rules by pointer) is taken over as it is, so
//! that a change costs what it changes.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::sync::Arc;

use crate::hash::TextHash;
use crate::headers::HeaderProgram;
use crate::index::{Domain, HasDomains, HostIndex, RuleIndex, Scratch};
use crate::model::{
    Action, Cluster, Destination, HeaderOps, Model, Route, RouteTable, VirtualHost,
};
use crate::request::{Request, View};

/// So many regular expressions of a table are built when it is compiled, which takes some 20 µs each. The rest are built at
/// their first use: with thousands, the index sees to it that few are ever asked.
const BUILT_AHEAD: usize = 1000;

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
        let mut budget = BUILT_AHEAD;
        let compile =
            |host: &Arc<VirtualHost>| Arc::new(CompiledHost::new(Arc::clone(host), &mut budget));
        let hosts: Vec<_> = table.virtual_hosts.iter().map(compile).collect();
        Self { domains: Arc::new(HostIndex::new(&hosts)), hosts, table }
    }

    /// Compiles a new version of the table: only virtual hosts that are not the very same, and of those only rules that
    /// are not; their index only if a condition differs.
    #[must_use]
    pub fn updated(&self, table: Arc<RouteTable>) -> Self {
        let mut budget = BUILT_AHEAD;
        let mut old_hosts = Reusable::new(&self.hosts, |host| &*host.host.name);
        let mut hosts = Vec::with_capacity(table.virtual_hosts.len());
        for (position, host) in table.virtual_hosts.iter().enumerate() {
            hosts.push(match old_hosts.find(position, &*host.name) {
                Some(old) if Arc::ptr_eq(&old.host, host) => Arc::clone(old),
                Some(old) => Arc::new(old.updated(Arc::clone(host), &mut budget)),
                None => Arc::new(CompiledHost::new(Arc::clone(host), &mut budget)),
            });
        }
        let same_domains =
            self.hosts.len() == hosts.len()
                && self.hosts.iter().zip(&hosts).all(|(old, new)| {
                    Arc::ptr_eq(old, new) || old.host.domains == new.host.domains
                });
        let domains =
            if same_domains { Arc::clone(&self.domains) } else { Arc::new(HostIndex::new(&hosts)) };
        Self { table, domains, hosts }
    }

    /// The table it was compiled from.
    pub const fn table(&self) -> &Arc<RouteTable> {
        &self.table
    }

    /// The virtual host for an authority.
    pub(crate) fn host(&self, authority: &[u8]) -> Option<&CompiledHost> {
        let number = self.domains.find(&self.hosts, authority)?;
        self.hosts.get(number).map(|host| &**host)
    }
}

/// Parts of the version before, found by their place or, where others came or went before them, by what identifies them.
struct Reusable<'o, T, I, F> {
    old: &'o [Arc<T>],
    identity: F,
    places: Option<HashMap<I, usize, TextHash>>,
}

impl<'o, T, I: Eq + Hash, F: Fn(&'o T) -> I> Reusable<'o, T, I, F> {
    const fn new(old: &'o [Arc<T>], identity: F) -> Self {
        Self { old, identity, places: None }
    }

    fn find(&mut self, position: usize, identity: I) -> Option<&'o Arc<T>> {
        let in_place = self.old.get(position).filter(|old| (self.identity)(old) == identity);
        if in_place.is_some() {
            return in_place;
        }
        let places = self.places.get_or_insert_with(|| {
            self.old.iter().enumerate().map(|(place, old)| ((self.identity)(old), place)).collect()
        });
        places.get(&identity).and_then(|place| self.old.get(*place))
    }
}

/// A virtual host, compiled.
#[derive(Debug)]
pub(crate) struct CompiledHost {
    pub(crate) host: Arc<VirtualHost>,
    domains: Box<[Domain]>,
    index: Arc<RuleIndex>,
    rules: Vec<Arc<CompiledRule>>,
}

impl HasDomains for Arc<CompiledHost> {
    fn domains(&self) -> &[Domain] {
        &self.domains
    }
}

impl CompiledHost {
    fn new(host: Arc<VirtualHost>, budget: &mut usize) -> Self {
        let rules =
            host.routes.iter().map(|route| Arc::new(CompiledRule::new(Arc::clone(route), budget)));
        Self {
            rules: rules.collect(),
            domains: domains(&host),
            index: Arc::new(RuleIndex::new(&host.routes)),
            host,
        }
    }

    fn updated(&self, host: Arc<VirtualHost>, budget: &mut usize) -> Self {
        let mut old_rules = Reusable::new(&self.rules, |rule| Arc::as_ptr(&rule.route));
        let compile = |(position, route): (usize, &Arc<Route>)| match old_rules
            .find(position, Arc::as_ptr(route))
        {
            Some(old) => Arc::clone(old),
            None => Arc::new(CompiledRule::new(Arc::clone(route), budget)),
        };
        let rules = host.routes.iter().enumerate().map(compile).collect();
        let same_conditions = self.host.routes.len() == host.routes.len()
            && self
                .host
                .routes
                .iter()
                .zip(&host.routes)
                .all(|(old, new)| Arc::ptr_eq(old, new) || old.condition == new.condition);
        let index = if same_conditions {
            Arc::clone(&self.index)
        } else {
            Arc::new(RuleIndex::new(&host.routes))
        };
        Self { domains: domains(&host), index, rules, host }
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

fn domains(host: &VirtualHost) -> Box<[Domain]> {
    host.domains.iter().map(|domain| Domain::new(domain)).collect()
}

/// A rule, compiled.
#[derive(Debug)]
pub struct CompiledRule {
    route: Arc<Route>,
    /// `None` for the many rules that change no header.
    headers: Option<Box<RuleHeaders>>,
}

#[derive(Debug)]
struct RuleHeaders {
    of_rule: HeaderChanges,
    /// In the order of [`crate::model::Destinations::list`].
    of_destinations: Box<[HeaderChanges]>,
}

/// Compiled changes to both messages.
#[derive(Debug, Default)]
pub(crate) struct HeaderChanges {
    pub(crate) request: HeaderProgram,
    pub(crate) response: HeaderProgram,
}

impl HeaderChanges {
    fn new(request: &HeaderOps, response: &HeaderOps) -> Self {
        Self { request: HeaderProgram::new(request), response: HeaderProgram::new(response) }
    }

    const fn is_empty(&self) -> bool {
        self.request.is_empty() && self.response.is_empty()
    }
}

impl CompiledRule {
    fn new(route: Arc<Route>, budget: &mut usize) -> Self {
        route.condition.warm(budget);
        let destinations = match &route.action {
            Action::Forward(forward) => forward.destinations.list(),
            Action::Redirect(_) | Action::Direct(_) => &[],
        };
        let of_destination = |destination: &Destination| {
            HeaderChanges::new(&destination.request_headers, &destination.response_headers)
        };
        let headers = RuleHeaders {
            of_rule: HeaderChanges::new(&route.request_headers, &route.response_headers),
            of_destinations: destinations.iter().map(of_destination).collect(),
        };
        let is_empty = headers.of_rule.is_empty()
            && headers.of_destinations.iter().all(HeaderChanges::is_empty);
        Self { headers: (!is_empty).then(|| Box::new(headers)), route }
    }

    /// The rule it was compiled from.
    pub const fn route(&self) -> &Arc<Route> {
        &self.route
    }

    /// The changes of the rule.
    pub(crate) fn headers(&self) -> Option<&HeaderChanges> {
        self.headers.as_ref().map(|headers| &headers.of_rule)
    }

    /// The changes of one of its destinations.
    pub(crate) fn destination_headers(&self, number: usize) -> Option<&HeaderChanges> {
        self.headers.as_ref().and_then(|headers| headers.of_destinations.get(number))
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
        let index = |table: &CompiledTable| Arc::clone(&table.hosts[0].index);
        assert!(Arc::ptr_eq(&index(&old), &index(&new)), "the conditions are the same");
        assert!(!Arc::ptr_eq(&rule(&old, 0), &rule(&new, 0)));
        assert!(Arc::ptr_eq(&rule(&old, 1), &rule(&new, 1)));
    }

    #[test]
    fn a_changed_condition_is_found_after_an_update() {
        let a = host("a", 3);
        let old = CompiledTable::new(table(&[&a]));
        let mut changed = VirtualHost::clone(&a);
        let path = crate::model::PathMatch::Exact("/x".into());
        changed.routes[0] = numbered_route(7, RouteMatch { path, ..RouteMatch::default() });
        changed.routes.swap(1, 2);
        let new = old.updated(table(&[&Arc::new(changed)]));
        let found = |target: &str| {
            let request = crate::request::RequestParts::get("a", target);
            let host = new.host(b"a").unwrap();
            host.rule(&View::new(&request), &mut Scratch::default())
                .unwrap()
                .route()
                .name
                .to_string()
        };
        assert_eq!((&*found("/x"), &*found("/y")), ("rule-7", "rule-2"));
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
