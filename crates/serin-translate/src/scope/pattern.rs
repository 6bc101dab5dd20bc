//! Hosts of egress listeners: `namespace/host`.

use std::collections::HashMap;

use crate::host::Host;

/// The host patterns of an egress listener.
///
/// `namespace` is a name, `.` for the Sidecar's own, or `*` for every one. `~/*` is no service at all; otherwise `~` before a
/// namespace, or before the slash for every one, takes hosts out again.
#[derive(Clone, Debug, Default)]
pub(super) struct Patterns {
    imported: HashMap<String, Hosts>,
    excluded: HashMap<String, Hosts>,
}

/// The part of a pattern after the slash, for one namespace.
#[derive(Clone, Debug, Default)]
struct Hosts(Vec<Host>);

const EVERY: &str = "*";

impl Patterns {
    /// The patterns of a listener in `own_namespace`.
    pub(super) fn new(written: &[String], own_namespace: &str) -> Self {
        let mut patterns = Self::default();
        for written in written {
            patterns.add(written, own_namespace);
        }
        patterns
    }

    /// Adds a pattern. One without a slash, which validation refuses, means nothing.
    fn add(&mut self, written: &str, own_namespace: &str) {
        let Some((namespace, host)) = written.split_once('/') else { return };
        let (map, namespace) = match namespace.strip_prefix('~') {
            // No namespace has this name.
            Some("") if host == Host::ANY => return,
            Some("") => (&mut self.excluded, EVERY),
            Some(namespace) => (&mut self.excluded, namespace),
            None => (&mut self.imported, namespace),
        };
        let namespace = if namespace == "." { own_namespace } else { namespace };
        map.entry(namespace.to_owned()).or_default().0.push(Host::new(host));
    }

    /// Whether a service of `namespace` is imported.
    pub(super) fn imports_service(&self, namespace: &str, host: &Host) -> bool {
        Self::any(&self.imported, namespace, |hosts| hosts.cover(host))
            && !self.excludes(namespace, host)
    }

    /// Whether rules for `host` in an object of `namespace` are imported. With `loosely`, a rule for a wildcard is also
    /// imported for a host under it, which is Istio's older way.
    pub(super) fn imports_rules(&self, namespace: &str, host: &Host, loosely: bool) -> bool {
        let takes = |hosts: &Hosts| if loosely { hosts.meet(host) } else { hosts.cover(host) };
        Self::any(&self.imported, namespace, takes) && !self.excludes(namespace, host)
    }

    fn excludes(&self, namespace: &str, host: &Host) -> bool {
        Self::any(&self.excluded, namespace, |hosts| hosts.cover(host))
    }

    fn any(map: &HashMap<String, Hosts>, namespace: &str, takes: impl Fn(&Hosts) -> bool) -> bool {
        [namespace, EVERY].into_iter().filter_map(|it| map.get(it)).any(takes)
    }
}

impl Hosts {
    fn cover(&self, host: &Host) -> bool {
        self.0.iter().any(|it| host.is_subset_of(it))
    }

    fn meet(&self, host: &Host) -> bool {
        self.0.iter().any(|it| host.matches(it))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patterns(list: &[&str]) -> Patterns {
        let written: Vec<_> = list.iter().map(ToString::to_string).collect();
        Patterns::new(&written, "own")
    }

    #[test]
    fn services_are_imported_by_namespace_and_host() {
        let check = |list: &[&str], namespace: &str, host: &str, expect: bool| {
            let imported = patterns(list).imports_service(namespace, &Host::new(host));
            assert_eq!(imported, expect, "{list:?} {namespace}/{host}");
        };
        check(&["*/*"], "a", "x.a", true);
        check(&["./*"], "own", "x.own", true);
        check(&["./*"], "a", "x.a", false);
        check(&["a/*"], "a", "x.a", true);
        check(&["a/x.a"], "a", "x.a", true);
        check(&["a/x.a"], "a", "y.a", false);
        check(&["*/x.a"], "a", "x.a", true);
        check(&["a/*.a"], "a", "x.a", true);
        check(&["a/x.a"], "a", "*.a", false);
        check(&["~/*"], "a", "x.a", false);
        check(&[], "a", "x.a", false);
        check(&["x.a"], "a", "x.a", false);
        check(&["*/*", "~a/*"], "a", "x.a", false);
        check(&["*/*", "~a/*"], "b", "x.b", true);
        check(&["*/*", "~/x.a"], "a", "x.a", false);
        check(&["*/*", "~/x.a"], "a", "y.a", true);
        check(&["*/*", "~*/x.a"], "a", "x.a", false);
        check(&["*/*", "~*/x.a"], "a", "y.a", true);
    }

    #[test]
    fn rules_for_a_wildcard_are_imported_for_a_host_under_it_if_they_are_istios() {
        let patterns = patterns(&["*/x.com"]);
        assert!(patterns.imports_rules("a", &Host::new("*.com"), true));
        assert!(!patterns.imports_rules("a", &Host::new("*.com"), false));
        assert!(!patterns.imports_rules("a", &Host::new("y.com"), true));
    }
}
