//! Route tables of a gateway (Istio's `buildGatewayHTTPRouteConfig`).
//!
//! A table has a virtual host for each host that a server and a VirtualService bound to it have in common; of a name and a
//! wildcard over it, that is the name. Unlike in the mesh, the rules of several VirtualServices for one host are all there, in
//! the order of the VirtualServices, and only those that take every request go behind all others.
//!
//! Which VirtualServices are behind which host is the [`Plan`] of a table: it stays as it is while only rules change, and what
//! depends on those rules is made anew by it.

mod made;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use serin_api::Finding;
use serin_routing::model::{RouteTable, VirtualHost};

use super::View;
use super::server::Server;
use crate::host::{Host, intersection};
use crate::mesh::{host_of_address, reused, table_of};
use crate::route::is_catch_all;
use crate::virtual_service::ResolvedVirtualService;

pub(super) use made::RouteCache;

use made::{Key, Made, make};

/// The route tables of a gateway, and how they were made.
#[derive(Clone, Debug, Default)]
pub(super) struct Tables {
    /// By name.
    pub(super) made: BTreeMap<Arc<str>, Arc<RouteTable>>,
    /// What was found about rules, by the turn in which they were asked.
    findings: BTreeMap<usize, Vec<Finding>>,
    plans: Arc<BTreeMap<Arc<str>, Plan>>,
    routes: RouteCache,
}

/// Where the virtual hosts of a table come from. VirtualServices are places among those of the snapshot.
#[derive(Debug)]
struct Plan {
    /// What routes are made for, by server.
    servers: Vec<Key>,
    hosts: BTreeMap<Host, Planned>,
    of_rules: HashMap<usize, Part>,
}

/// A virtual host, before it is joined with others.
#[derive(Debug)]
struct Planned {
    name: Arc<str>,
    domain: Arc<str>,
    require_tls: bool,
    /// VirtualServices with the servers that they are asked for, in order.
    rules: Vec<(usize, usize)>,
}

/// What depends on a VirtualService.
#[derive(Debug, Default)]
struct Part {
    hosts: Vec<Host>,
    asked: Vec<Asked>,
}

/// That a VirtualService was asked for its routes.
#[derive(Debug)]
struct Asked {
    server: usize,
    turn: usize,
    has_routes: bool,
}

impl Tables {
    /// The tables for some servers each. What is equal is taken from `last`, routes only if `keeps_routes`.
    pub(super) fn new(
        view: View<'_>,
        servers: BTreeMap<Arc<str>, Vec<&Server<'_>>>,
        last: &Self,
        keeps_routes: bool,
    ) -> Self {
        let none = RouteCache::default();
        let mut builder = Builder {
            view,
            last: if keeps_routes { &last.routes } else { &none },
            routes: RouteCache::default(),
            findings: BTreeMap::new(),
            turn: 0,
        };
        let (mut made, mut plans) = (BTreeMap::new(), BTreeMap::new());
        for (name, servers) in servers {
            let plan = builder.plan(&servers);
            let mut hosts = builder.virtual_hosts(&plan, plan.hosts.keys());
            if hosts.is_empty() {
                let port = servers.first().map_or(0, |it| it.port);
                let name = format!("blackhole:{port}").into();
                hosts.push(virtual_host(name, Host::ANY.into()));
            }
            let table = table_of(&name, hosts.into_iter(), last.made.get(&name));
            made.insert(Arc::clone(&name), table);
            plans.insert(name, plan);
        }
        let Builder { routes, findings, .. } = builder;
        Self { made, findings, plans: Arc::new(plans), routes }
    }

    /// The same with new rules at `changed` places, if `before` is what stood there. `None` if that changes more than rules: a
    /// VirtualService gains its first or loses its last rule for a server.
    pub(super) fn with_rules(
        &self,
        view: View<'_>,
        changed: &[(usize, &Arc<ResolvedVirtualService>)],
    ) -> Option<Self> {
        let mut builder = Builder {
            view,
            last: &self.routes,
            routes: self.routes.clone(),
            findings: self.findings.clone(),
            turn: 0,
        };
        for (_, before) in changed {
            builder.routes.remove(before);
        }
        let mut made = self.made.clone();
        for (name, plan) in &*self.plans {
            let mut touched = BTreeSet::new();
            for (place, before) in changed {
                let Some(part) = plan.of_rules.get(place) else { continue };
                for Asked { server, turn, has_routes } in &part.asked {
                    builder.turn = *turn;
                    let key = &plan.servers[*server];
                    let last = self.routes.get(before, key);
                    let made = builder.made(*place, key, last.map(|it| &**it));
                    if made.routes.is_empty() == *has_routes {
                        return None;
                    }
                }
                touched.extend(&part.hosts);
            }
            if let Some(table) = made.get_mut(name).filter(|_| !touched.is_empty()) {
                let hosts = builder.virtual_hosts(plan, touched.iter().copied());
                let gone: Vec<_> =
                    touched.iter().filter_map(|it| Some(&*plan.hosts.get(*it)?.name)).collect();
                *table = Arc::new(exchanged(table, &gone, hosts));
            }
        }
        let Builder { routes, findings, .. } = builder;
        Some(Self { made, findings, plans: Arc::clone(&self.plans), routes })
    }

    /// What was found on the way.
    pub(super) fn findings(&self) -> impl Iterator<Item = &Finding> {
        self.findings.values().flatten()
    }
}

/// The table without the virtual hosts of these names, and with these.
fn exchanged(last: &RouteTable, gone: &[&str], hosts: Vec<VirtualHost>) -> RouteTable {
    let mut virtual_hosts = last.virtual_hosts.clone();
    let place = |list: &[Arc<VirtualHost>], name: &str| {
        list.binary_search_by(|host| (*host.name).cmp(name))
    };
    let is_new = |name: &&&str| hosts.iter().all(|host| *host.name != ***name);
    for name in gone.iter().filter(is_new) {
        if let Ok(place) = place(&virtual_hosts, name) {
            virtual_hosts.remove(place);
        }
    }
    for host in hosts {
        match place(&virtual_hosts, &host.name) {
            Ok(place) => virtual_hosts[place] = reused(&virtual_hosts[place], host),
            Err(place) => virtual_hosts.insert(place, Arc::new(host)),
        }
    }
    RouteTable { name: Arc::clone(&last.name), virtual_hosts }
}

/// Makes route tables.
struct Builder<'a> {
    view: View<'a>,
    last: &'a RouteCache,
    routes: RouteCache,
    findings: BTreeMap<usize, Vec<Finding>>,
    turn: usize,
}

impl Builder<'_> {
    fn plan(&mut self, servers: &[&Server<'_>]) -> Plan {
        let mut plan = Plan {
            servers: servers.iter().map(|it| Key::of(it)).collect(),
            hosts: BTreeMap::new(),
            of_rules: HashMap::new(),
        };
        for (number, server) in servers.iter().enumerate() {
            self.add(number, server, &mut plan);
        }
        plan
    }

    fn add(&mut self, number: usize, server: &Server<'_>, plan: &mut Plan) {
        let View { snapshot, proxy, .. } = self.view;
        let all = snapshot.virtual_services();
        for place in all.places_bound_to(&server.name, &proxy.namespace) {
            let rules = &all.all()[place];
            let common = intersection(&server.hosts_for(rules.namespace()), &rules.hosts);
            if common.is_empty() {
                continue;
            }
            self.turn += 1;
            let has_routes = !self.made(place, &plan.servers[number], None).routes.is_empty();
            let part = plan.of_rules.entry(place).or_default();
            part.asked.push(Asked { server: number, turn: self.turn, has_routes });
            if !has_routes {
                continue;
            }
            for host in common {
                part.hosts.push(host.clone());
                let planned = plan
                    .hosts
                    .entry(host)
                    .or_insert_with_key(|host| Planned::new(host, server, server.redirects()));
                planned.rules.push((place, number));
            }
        }
        if server.redirects() {
            for host in server.all_hosts() {
                let entry = plan.hosts.entry(host.clone());
                entry.or_insert_with_key(|it| Planned::new(it, server, true)).require_tls = true;
            }
        }
    }

    /// The virtual hosts for some hosts of a plan, joined, by name.
    fn virtual_hosts<'p>(
        &self,
        plan: &'p Plan,
        hosts: impl Iterator<Item = &'p Host>,
    ) -> Vec<VirtualHost> {
        let all = self.view.snapshot.virtual_services().all();
        let hosts = hosts.filter_map(|host| {
            let planned = plan.hosts.get(host)?;
            let routes = planned.rules.iter().filter_map(|(place, server)| {
                self.routes.get(&all[*place], &plan.servers[*server])
            });
            let routes = routes.flat_map(|made| made.routes.iter().cloned()).collect();
            let (name, domain) = (Arc::clone(&planned.name), Arc::clone(&planned.domain));
            let require_tls = planned.require_tls;
            Some((host, VirtualHost { routes, require_tls, ..virtual_host(name, domain) }))
        });
        let mut hosts = joined(hosts.collect());
        hosts.sort_by(|one, other| one.name.cmp(&other.name));
        hosts
    }

    /// The routes of a VirtualService for a key; what is equal in `before` is taken from there.
    fn made(&mut self, place: usize, key: &Key, before: Option<&Made>) -> Arc<Made> {
        let rules = &self.view.snapshot.virtual_services().all()[place];
        let made = match self.routes.get(rules, key) {
            Some(made) => Arc::clone(made),
            None => {
                let known = self.last.get(rules, key).cloned();
                let made = known.unwrap_or_else(|| make(&self.view, rules, key, before));
                self.routes.insert(rules, key, made)
            }
        };
        if made.findings.is_empty() {
            self.findings.remove(&self.turn);
        } else {
            self.findings.insert(self.turn, made.findings.clone());
        }
        made
    }
}

impl Planned {
    fn new(host: &Host, server: &Server<'_>, require_tls: bool) -> Self {
        let domain = host.parse().map_or_else(|_| host.shared(), host_of_address);
        let name = format!("{domain}:{}", server.port).into();
        Self { name, domain, require_tls, rules: Vec::new() }
    }
}

fn virtual_host(name: Arc<str>, domain: Arc<str>) -> VirtualHost {
    VirtualHost { name, domains: vec![domain], routes: Vec::new(), require_tls: false }
}

/// Virtual hosts with rules that take every request behind all others. Those with the same routes become one, which has the
/// name of the most specific (`collapseDuplicateRoutes`).
fn joined(mut hosts: Vec<(&Host, VirtualHost)>) -> Vec<VirtualHost> {
    hosts.sort_by(|(one, _), (other, _)| one.cmp_specific_first(other));
    let mut joined = Vec::<VirtualHost>::new();
    let mut places = HashMap::new();
    for (_, mut host) in hosts {
        host.routes.sort_by_key(|it| is_catch_all(it));
        let routes: Vec<_> = host.routes.iter().map(|it| Arc::as_ptr(it).addr()).collect();
        let place = *places.entry((routes, host.require_tls)).or_insert(joined.len());
        match joined.get_mut(place) {
            Some(same) => same.domains.append(&mut host.domains),
            None => joined.push(host),
        }
    }
    joined
}
