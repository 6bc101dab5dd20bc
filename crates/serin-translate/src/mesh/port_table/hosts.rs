//! Virtual hosts in the making.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use serin_api::{FieldPath, Finding};
use serin_routing::model::{Route, VirtualHost};

use crate::codes::HOST_CLAIMED;
use crate::host::Host;
use crate::mesh::domains::Domains;
use crate::virtual_service::{ResolvedVirtualService, Semantics};

/// Virtual hosts in the making. Names and domains do not repeat: the first to have one keeps it.
#[derive(Default)]
pub(super) struct HostList {
    /// Virtual hosts with the VirtualServices that made them, as places in the listener's list.
    pub(super) made: Vec<(VirtualHost, Option<usize>)>,
    /// By name, the VirtualService that made it.
    names: HashMap<Arc<str>, Option<Arc<ResolvedVirtualService>>>,
    /// Domains.
    pub(super) taken: HashSet<Arc<str>>,
    /// Full names of services, which short forms of others give way to.
    pub(super) known: HashSet<Arc<str>>,
    /// Hosts that several VirtualServices want.
    pub(super) conflicts: Vec<Finding>,
}

impl HostList {
    /// Adds the virtual host of `host`, unless it is there.
    pub(super) fn add(
        &mut self,
        host: &Host,
        port: u16,
        domains: Domains,
        routes: &[Arc<Route>],
        rules: Option<(usize, &Arc<ResolvedVirtualService>)>,
    ) {
        let name: Arc<str> =
            if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
                .into();
        if let Some(first) = self.names.get(&name) {
            // Of the Gateway API's routes a consumer's overrides the producer's: that is no conflict.
            let second =
                rules.map(|(_, rules)| rules).filter(|it| it.semantics != Semantics::Gateway);
            let both = first.as_ref().zip(second);
            self.conflicts.extend(both.map(|(first, second)| claimed(host, first, second)));
            return;
        }
        self.names.insert(Arc::clone(&name), rules.map(|(_, rules)| Arc::clone(rules)));
        let gives_way =
            |domain: &Arc<str>| domains.short_forms.contains(domain) && self.known.contains(domain);
        let mut own = Vec::with_capacity(domains.all.len());
        for domain in domains.all.iter().filter(|domain| !gives_way(domain)) {
            if self.taken.insert(Arc::clone(domain)) {
                own.push(Arc::clone(domain));
            }
        }
        if !own.is_empty() {
            let host =
                VirtualHost { name, domains: own, routes: routes.to_vec(), require_tls: false };
            self.made.push((host, rules.map(|(place, _)| place)));
        }
    }
}

fn claimed(
    host: &Host,
    first: &ResolvedVirtualService,
    second: &ResolvedVirtualService,
) -> Finding {
    let field = FieldPath::spec().key("hosts");
    let first = first.object.reference();
    let message = format!(
        "{first} has rules for {host} already; sidecars do not merge VirtualServices, and these rules have no effect there"
    );
    HOST_CLAIMED
        .finding(&second.object.reference(), field.clone(), message)
        .with_help("put the rules for the host into one VirtualService")
        .with_related(&first, field, "the VirtualService that holds")
}
