//! The direction of dependencies: crates that decide never reach crates that do.
//!
//! Tier 0 is pure, tier 1 does input and output, tier 2 is the binary. A crate may depend on lower tiers, and within tier
//! 0 on other pure crates; crates of tier 1 meet only in the binary, except that all may use telemetry. Development
//! dependencies are free.

use std::collections::{BTreeMap, BTreeSet};

use cargo_metadata::{DependencyKind, FeatureName, Package, PackageId};

use crate::workspace::Workspace;

/// The crates and their tiers. A crate that is planned may stand here before it exists.
const TIERS: &[(&str, Tier)] = &[
    ("serin-re2", Tier::Pure),
    ("serin-api", Tier::Pure),
    ("serin-objects", Tier::Pure),
    ("serin-routing", Tier::Pure),
    ("serin-translate", Tier::Pure),
    ("serin-http1", Tier::Pure),
    ("serin-xds", Tier::Pure),
    ("serin-rollout", Tier::Pure),
    ("serin-proxy", Tier::Effects),
    ("serin-control", Tier::Effects),
    ("serin-controllers", Tier::Effects),
    ("serin-operator", Tier::Effects),
    ("serin-apiserver", Tier::Effects),
    ("serin-node", Tier::Effects),
    ("serin-dashboard", Tier::Effects),
    ("serin-telemetry", Tier::Effects),
    ("serin-samples", Tier::Effects),
    ("serin", Tier::Binary),
    ("serin-testkit", Tier::Tool),
    ("xtask", Tier::Tool),
];

/// The crate of tier 1 that the others of tier 1 may use.
const TELEMETRY: &str = "serin-telemetry";

/// What no pure crate may reach: runtimes, sockets and sources of randomness.
const IMPURE: &[&str] = &[
    "async-io",
    "async-std",
    "axum",
    "getrandom",
    "h2",
    "hyper",
    "mio",
    "polling",
    "rand",
    "reqwest",
    "smol",
    "socket2",
    "tokio",
    "tonic",
];

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Tier {
    /// Tier 0: decides; no input, output, clock, randomness or environment.
    Pure,
    /// Tier 1: does; drives the pure crates.
    Effects,
    /// Tier 2: the binary that puts everything together.
    Binary,
    /// Development only; may use anything.
    Tool,
}

/// Whether a crate is one that only decides.
pub(crate) fn is_pure(name: &str) -> bool {
    TIERS.contains(&(name, Tier::Pure))
}

/// The edges that must not be, one sentence each.
pub(crate) fn run(workspace: &Workspace) -> Vec<String> {
    let tiers: BTreeMap<&str, Tier> = TIERS.iter().copied().collect();
    let graph = Graph::new(workspace);
    let mut problems = Vec::new();
    for package in workspace.members() {
        let name = package.name.as_str();
        let Some(&tier) = tiers.get(name) else {
            problems.push(format!("{name} has no tier: add it to TIERS in xtask/src/tiers.rs"));
            continue;
        };
        for dependency in graph.direct(&package.id) {
            if let Some(&below) = tiers.get(dependency)
                && !may_use(tier, below, dependency)
            {
                problems.push(format!(
                    "{name} may not depend on {dependency}: dependencies point to lower tiers"
                ));
            }
        }
        if tier == Tier::Pure {
            problems.extend(graph.impure_paths(&package.id).into_iter().map(|path| {
                format!("{name} is pure but reaches {path}: move the code that needs it up a tier")
            }));
        }
    }
    problems
}

fn may_use(from: Tier, to: Tier, dependency: &str) -> bool {
    match from {
        Tier::Pure => to == Tier::Pure,
        Tier::Effects => to == Tier::Pure || dependency == TELEMETRY,
        Tier::Binary => to < Tier::Binary,
        Tier::Tool => true,
    }
}

/// The normal dependencies of every package.
struct Graph<'w> {
    edges: BTreeMap<&'w PackageId, Vec<&'w PackageId>>,
    names: BTreeMap<&'w PackageId, &'w str>,
}

impl<'w> Graph<'w> {
    fn new(workspace: &'w Workspace) -> Self {
        let nodes = workspace.metadata.resolve.iter().flat_map(|resolve| &resolve.nodes);
        let packages: BTreeMap<&PackageId, &Package> =
            workspace.metadata.packages.iter().map(|package| (&package.id, package)).collect();
        let edges = nodes.map(|node| {
            let package = packages.get(&node.id);
            let normal = node.deps.iter().filter(move |dependency| {
                dependency.dep_kinds.iter().any(|kind| kind.kind == DependencyKind::Normal)
                    && package
                        .is_none_or(|package| is_enabled(package, &node.features, &dependency.name))
            });
            (&node.id, normal.map(|dependency| &dependency.pkg).collect())
        });
        let names = workspace.metadata.packages.iter().map(|p| (&p.id, p.name.as_str()));
        Self { edges: edges.collect(), names: names.collect() }
    }

    fn direct(&self, id: &PackageId) -> impl Iterator<Item = &'w str> {
        self.edges.get(id).into_iter().flatten().filter_map(|id| self.names.get(id).copied())
    }

    /// For every impure crate that `id` reaches, one way there: `a -> b -> tokio`.
    fn impure_paths(&self, id: &'w PackageId) -> Vec<String> {
        let mut seen = BTreeSet::from([id]);
        let mut open = vec![(id, String::new())];
        let mut found = Vec::new();
        while let Some((id, path)) = open.pop() {
            for next in self.edges.get(id).into_iter().flatten().copied() {
                let name = self.names.get(next).copied().unwrap_or_default();
                let path =
                    if path.is_empty() { name.to_owned() } else { format!("{path} -> {name}") };
                if IMPURE.contains(&name) {
                    found.push(path);
                } else if seen.insert(next) {
                    open.push((next, path));
                }
            }
        }
        found.sort();
        found
    }
}

/// Whether the features of a package bring in one of its dependencies. Cargo's graph also has those that a feature names with
/// `?`, which are only used where something else brings them in.
fn is_enabled(package: &Package, features: &[FeatureName], dependency: &str) -> bool {
    let name = |name: &str| name.replace('-', "_");
    let mut declared = package
        .dependencies
        .iter()
        .filter(|it| name(it.rename.as_deref().unwrap_or(&it.name)) == dependency);
    if declared.clone().next().is_none() || declared.any(|it| !it.optional) {
        return true;
    }
    let brings = |part: &String| {
        let part = part.strip_prefix("dep:").unwrap_or(part);
        let part = part.split_once('/').map_or(part, |(part, _)| part);
        name(part) == dependency
    };
    let parts = |feature: &FeatureName| package.features.get(feature.as_str());
    features.iter().any(|feature| {
        name(feature.as_str()) == dependency
            || parts(feature).is_some_and(|it| it.iter().any(brings))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dependencies_point_to_lower_tiers_only() {
        assert!(may_use(Tier::Pure, Tier::Pure, "serin-api"));
        assert!(!may_use(Tier::Pure, Tier::Binary, "serin"));
        assert!(!may_use(Tier::Binary, Tier::Tool, "xtask"));
        assert!(may_use(Tier::Binary, Tier::Pure, "serin-api"));
    }

    #[test]
    fn the_way_to_an_impure_crate_is_told() {
        let ids: Vec<PackageId> =
            ["a", "b", "tokio"].map(|repr| PackageId { repr: repr.into() }).into();
        let graph = Graph {
            edges: BTreeMap::from([(&ids[0], vec![&ids[1]]), (&ids[1], vec![&ids[2]])]),
            names: BTreeMap::from([(&ids[0], "a"), (&ids[1], "b"), (&ids[2], "tokio")]),
        };
        assert_eq!(graph.impure_paths(&ids[0]), ["b -> tokio"]);
    }
}
