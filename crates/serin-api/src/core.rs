//! The Kubernetes kinds that routing and analysis read, with the fields they read.
//!
//! These types are views: an object is kept whole elsewhere, and fields that are not here are passed over.

mod admission;
mod config;
mod ingress;
mod pod;
mod service;
mod workload;

pub use admission::*;
pub use config::*;
pub use ingress::*;
pub use pod::*;
pub use service::*;
pub use workload::*;
