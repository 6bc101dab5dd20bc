//! A snapshot of objects becomes the runtime model of one workload, and messages about it.
//!
//! [`translate`] is a pure function of a [`Snapshot`] and a [`Proxy`]: the same objects give the same model whatever their
//! order in the snapshot, apart from Istio's documented order rules (creation time, then name, then namespace). A bad or
//! conflicting object never removes a good one; it yields a finding.
//!
//! The way through: objects are indexed (`snapshot`), what serves is collected (`registry`), what this proxy may see is cut
//! out (`visibility`, `scope`), rules are resolved (`virtual_service`, `destination_rule`), and listeners, route tables, clusters
//! and endpoints are made (`mesh` for sidecars, `gateway` for gateways). Objects of the Gateway API become Istio objects with
//! their own semantics first (`gateway_api`), as istiod does it. `analysis` judges a snapshot as a whole, for people.

pub mod analysis;
mod authentication;
mod authorization;
mod cluster;
pub mod codes;
mod destination_rule;
mod gateway;
pub mod gateway_api;
pub mod host;
mod left_out;
mod mesh;
mod proxy;
pub mod registry;
mod route;
mod scope;
mod snapshot;
mod translation;
mod virtual_service;
pub mod visibility;

#[cfg(test)]
mod testing;

pub use authentication::key_sources;
pub use gateway::served_at;
pub use left_out::tell_left_out;
pub use mesh::received;
pub use proxy::{Proxy, ProxyKind};
pub use snapshot::{Kind, List, Objects, Settings, Snapshot, SnapshotBuilder};
pub use translation::{Translation, Translator, translate};
