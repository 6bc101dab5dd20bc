//! The Gateway API (`gateway.networking.k8s.io`), its experimental kinds, and InferencePool.
//!
//! Enumerations that the API leaves open to implementations (protocols, kinds, groups) are plain text here. A group or
//! kind that may be left out is an `Option`, because the empty group is a group: the core one.

mod gateway;
mod grpc_route;
mod http_route;
mod l4_routes;
mod listener_set;
mod policies;
mod refs;

pub use gateway::*;
pub use grpc_route::*;
pub use http_route::*;
pub use l4_routes::*;
pub use listener_set::*;
pub use policies::*;
pub use refs::*;

/// The group of the Gateway API.
pub const GROUP: &str = "gateway.networking.k8s.io";
/// The group of the Gateway API's experimental kinds.
pub const EXPERIMENTAL_GROUP: &str = "gateway.networking.x-k8s.io";
