//! VirtualServices by the hosts of services.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use crate::host::Host;
use crate::virtual_service::ResolvedVirtualService;

/// Finds the VirtualServices that have a host in common with a service, without looking at each.
#[derive(Debug, Default)]
pub(super) struct RuleIndex<'a> {
    hosts: Vec<(&'a Host, usize)>,
    exact: HashMap<&'a str, Vec<usize>>,
    /// By what follows the star: `.example.com`, and nothing for `*` itself.
    wildcard: HashMap<&'a str, Vec<usize>>,
    /// Wildcards that do not end in a whole label (`*foo.com`), which admission refuses.
    irregular: Vec<(&'a Host, usize)>,
}

impl<'a> RuleIndex<'a> {
    /// The index of those in `list` that `counts` says count. Results are places in the list.
    pub(super) fn new(
        list: &'a [Arc<ResolvedVirtualService>],
        counts: impl Fn(&ResolvedVirtualService) -> bool,
    ) -> Self {
        let mut index = Self::default();
        for (place, rules) in list.iter().enumerate().filter(|(_, rules)| counts(rules)) {
            for host in &rules.hosts {
                index.hosts.push((host, place));
                match host.strip_prefix('*') {
                    None => index.exact.entry(host).or_default().push(place),
                    Some(suffix) if is_whole(suffix) => {
                        index.wildcard.entry(suffix).or_default().push(place)
                    }
                    Some(_) => index.irregular.push((host, place)),
                }
            }
        }
        index
    }

    /// The places of those that have a host in common with one of `services`, in the order of the list.
    pub(super) fn matching<'s>(
        &self,
        services: impl IntoIterator<Item = &'s Host>,
    ) -> BTreeSet<usize> {
        let mut places = BTreeSet::new();
        let mut wildcards = HashSet::new();
        for service in services {
            if let Some(suffix) = service.strip_prefix('*') {
                wildcards.insert(suffix);
            } else {
                places.extend(self.exact.get(service.as_str()).into_iter().flatten());
            }
            places.extend(suffixes(service).filter_map(|it| self.wildcard.get(it)).flatten());
            places.extend(
                self.irregular
                    .iter()
                    .filter(|(host, _)| host.matches(service))
                    .map(|(_, place)| place),
            );
        }
        if !wildcards.is_empty() {
            // A name under a service's wildcard; and a wildcard under it.
            let covered = |host: &Host| suffixes(host).any(|it| wildcards.contains(it));
            places.extend(
                self.hosts.iter().filter(|(host, _)| covered(host)).map(|(_, place)| place),
            );
        }
        places
    }
}

/// What follows the star of every wildcard that covers `host`.
pub(super) fn suffixes(host: &Host) -> impl Iterator<Item = &str> {
    let name = host.strip_prefix('*').unwrap_or(host);
    name.match_indices('.').map(|(dot, _)| &name[dot..]).chain([""])
}

fn is_whole(suffix: &str) -> bool {
    suffix.is_empty() || suffix.starts_with('.')
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::virtual_service::testing::resolved_one;

    #[test]
    fn finds_what_a_look_at_each_would_find() {
        let hosts = [
            "a.foo.com",
            "*.foo.com",
            "*",
            "b.foo.com",
            "*.com",
            "*foo.com",
            "*.bar.foo.com",
            "foo.com",
        ];
        let list: Vec<_> =
            hosts.iter().map(|host| resolved_one("ns/a", json!({"hosts": [host]}))).collect();
        let index = RuleIndex::new(&list, |_| true);
        let services = [
            "c.bar.foo.com",
            "x.org",
            "*.org",
            "*.c.bar.foo.com",
            "a.foo.com",
            "*.foo.com",
            "*",
            "*.com",
        ];
        for service in services {
            let service = Host::new(service);
            let each: BTreeSet<_> =
                (0..list.len()).filter(|it| list[*it].hosts[0].matches(&service)).collect();
            assert_eq!(index.matching([&service]), each, "{service}");
        }
    }
}
