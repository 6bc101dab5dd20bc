//! The canary controller: observes releases, asks `serin-rollout` what is next, and carries it out.
//!
//! It uses nothing that a Kubernetes with Istio lacks: a `kube::Client`, metrics over HTTP, hooks and alerts. [`Operator`] runs
//! it; a [`Release`] can also be given its turns one by one, at times of the caller's choice.

mod alerts;
mod chance;
mod cluster;
mod events;
mod hooks;
mod http;
mod json;
mod kind;
mod lease;
mod metrics;
mod objects;
mod operator;
mod release;
pub mod rights;
mod secret;
mod settings;
mod shared;
mod status;
mod traffic;
mod workload;

pub use cluster::{ApiError, Cluster, MANAGER};
pub use http::{Dial, Stream, System, Trust, fetch};
pub use kind::Kind;
pub use metrics::Prometheus;
pub use objects::Obstacle;
pub use operator::Operator;
pub use release::{Name, Release, Turn};
pub use settings::Settings;
pub use shared::Shared;
pub use traffic::{
    Look, NoTraffic, PrometheusTraffic, RouteName, Sample, Sessions, Subject, Totals, Traffic,
};
