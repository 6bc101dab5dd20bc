//! Istio's traffic management kinds (`networking.istio.io`). The versions v1, v1beta1 and v1alpha3 are one schema.
//!
//! The types say what can be written, absent distinguished from zero where Istio does so. What the values mean for
//! traffic is decided by the translation.

mod destination_rule;
mod envoy_filter;
mod gateway;
mod proxy_config;
mod service_entry;
mod sidecar;
mod virtual_service;
mod workload;

pub use destination_rule::*;
pub use envoy_filter::*;
pub use gateway::*;
pub use proxy_config::*;
pub use service_entry::*;
pub use sidecar::*;
pub use virtual_service::*;
pub use workload::*;
