//! ExternalName Services: other names for other services.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::{Alias, Service};
use crate::host::Host;

/// Tells every service which other names mean it. A name may stand for another such name; one that leads back to itself
/// means nothing (`resolveServiceAliases`).
pub(super) fn resolve(services: &mut [Service]) {
    let targets: HashMap<Host, Host> = services
        .iter()
        .filter_map(|it| Some((it.host.clone(), it.external_name.clone()?)))
        .collect();
    let mut aliases = BTreeMap::<Host, BTreeSet<(Arc<str>, Host)>>::new();
    for service in services.iter() {
        let target =
            service.external_name.as_ref().and_then(|target| end(&service.host, target, &targets));
        if let Some(target) = target {
            let entry = (Arc::clone(&service.namespace), service.host.clone());
            aliases.entry(target.clone()).or_default().insert(entry);
        }
    }
    for service in services {
        if let Some(found) = aliases.get(&service.host) {
            let alias = |(namespace, host): &(Arc<str>, Host)| Alias {
                host: host.clone(),
                namespace: Arc::clone(namespace),
            };
            service.aliases = found.iter().map(alias).collect();
        }
    }
}

/// The host at the end of a chain of names.
fn end<'a>(start: &'a Host, first: &'a Host, targets: &'a HashMap<Host, Host>) -> Option<&'a Host> {
    let mut seen = BTreeSet::from([start]);
    let mut host = first;
    while let Some(next) = targets.get(host) {
        if !seen.insert(host) {
            return None;
        }
        host = next;
    }
    Some(host)
}
