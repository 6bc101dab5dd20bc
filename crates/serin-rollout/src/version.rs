//! The two versions of a release, by everything that a proxy may know them by.

use crate::action::Side;
use crate::plan::Plan;
use crate::routes;

/// The name of the primary's copy of something.
pub fn primary_name(name: &str) -> String {
    format!("{name}-primary")
}

/// One of the two versions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Version {
    /// Namespace of the workload and of the Service.
    pub namespace: String,
    /// Name of the workload; empty where a Service is released, whoever's its pods are.
    pub workload: String,
    /// Name of its Service.
    pub service: String,
    /// Name of the subset, of releases between two subsets.
    pub subset: String,
}

/// Where a request went, as far as a proxy knows. What it does not know is empty.
#[derive(Clone, Copy, Debug, Default)]
pub struct Destination<'a> {
    /// Namespaces of the workload and of the Service.
    pub namespaces: [&'a str; 2],
    /// Name of the workload.
    pub workload: &'a str,
    /// Name of the Service.
    pub service: &'a str,
    /// Name of the subset.
    pub subset: &'a str,
}

impl Version {
    /// Whether a destination is this version: its workload, or, where no endpoint was found, its Service or subset.
    pub fn is_at(&self, destination: &Destination<'_>) -> bool {
        if !destination.namespaces.contains(&self.namespace.as_str()) {
            return false;
        }
        if !self.subset.is_empty() {
            return destination.subset == self.subset && destination.service == self.service;
        }
        if self.workload.is_empty() || destination.workload.is_empty() {
            return destination.service == self.service;
        }
        destination.workload == self.workload
    }
}

impl Plan {
    /// One of the two versions that are released.
    pub fn version(&self, side: Side) -> Version {
        let namespace = self.namespace.clone();
        let apex = routes::apex(self);
        if let Some(versions) = &self.versions {
            let subset = match side {
                Side::Primary => &versions.primary,
                Side::Canary => &versions.canary,
            };
            return Version {
                namespace,
                workload: String::new(),
                service: apex.to_owned(),
                subset: subset.clone(),
            };
        }
        let (workload, service) = match side {
            Side::Primary => (primary_name(&self.target), primary_name(apex)),
            Side::Canary => (self.target.clone(), format!("{apex}-canary")),
        };
        let workload = if self.releases_service() { String::new() } else { workload };
        Version { namespace, workload, service, subset: String::new() }
    }

    /// Whether a Service is released, in the place of a workload.
    pub fn releases_service(&self) -> bool {
        self.versions.is_none() && self.kind == "Service"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_known_by_its_workload_its_service_or_its_subset() {
        let check = |version: &Version, [workload, service, subset]: [&str; 3], expect: bool| {
            let namespaces = ["", "test"];
            let destination = Destination { namespaces, workload, service, subset };
            assert_eq!(version.is_at(&destination), expect, "{workload} {service} {subset}");
            let elsewhere = Destination { namespaces: ["", "other"], ..destination };
            assert!(!version.is_at(&elsewhere), "of another namespace");
        };
        let whole = Version {
            namespace: "test".to_owned(),
            workload: "podinfo".to_owned(),
            service: "podinfo-canary".to_owned(),
            subset: String::new(),
        };
        check(&whole, ["podinfo", "apex", ""], true);
        check(&whole, ["podinfo-primary", "podinfo-canary", ""], false);
        check(&whole, ["", "podinfo-canary", ""], true);
        check(&whole, ["", "apex", ""], false);
        let service = Version { workload: String::new(), ..whole.clone() };
        check(&service, ["anything", "podinfo-canary", ""], true);
        check(&service, ["podinfo", "podinfo-primary", ""], false);
        let part = Version { service: "apex".to_owned(), subset: "v2".to_owned(), ..whole };
        check(&part, ["podinfo", "apex", "v2"], true);
        check(&part, ["podinfo", "apex", "v1"], false);
        check(&part, ["podinfo", "other", "v2"], false);
    }
}
