//! `exportTo`: which namespaces see an object.

use std::collections::BTreeSet;

use super::names;
use super::place::Place;

/// What is special about the object that is exported.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Exported {
    /// Nothing.
    Plain,
    /// A ServiceEntry, which may be visible to nobody.
    Service,
    /// A DestinationRule for chosen clients, which are in its own namespace.
    RuleForWorkloads,
}

/// A list of namespaces, where `.` is the object's own, `*` all and `~` none.
pub(super) fn export_to(list: &[String], namespace: &str, exported: Exported, at: &Place<'_>) {
    let mut seen = BTreeSet::new();
    at.each(list, |entry, at| {
        let name = if entry == "." { namespace } else { entry.as_str() };
        if seen.contains(name) {
            let own = if name == entry { "" } else { " (. is the namespace itself)" };
            at.error(format!("{entry} is a duplicate in exportTo{own}"));
            return;
        }
        let known = name == "*" || (name == "~" && exported == Exported::Service);
        if known || name == namespace || names::is_dns_label(name) {
            seen.insert(name.to_owned());
        } else {
            at.error(format!("exportTo holds '.', '*' or names of namespaces, not {name:?}"));
        }
    });
    if exported == Exported::RuleForWorkloads && !seen.is_empty() {
        if !seen.contains(namespace) {
            at.error("a DestinationRule with a workload selector cannot be exported beyond its own namespace");
        } else if seen.len() > 1 {
            at.error("a DestinationRule with a workload selector can be exported to its own namespace only");
        }
    }
    if seen.contains("*") && list.len() > 1 {
        at.error("'*' exports to every namespace and must stand alone");
    }
    if seen.contains("~") && list.len() > 1 {
        at.error("'~' exports to no namespace and must stand alone");
    }
}
