//! This machine as a node of a cluster: what a kubelet and a container engine are elsewhere.
//!
//! It watches the pods that are bound to it and makes them so. The mesh is the only network that pods have; connections into and
//! out of a pod go through sockets made in its network namespace, which this crate hands to whoever carries them.

mod addresses;
mod capabilities;
mod cgroups;
mod dns;
mod events;
mod hooks;
mod http;
mod images;
pub mod init;
mod kubelet;
mod logs;
mod moment;
mod node;
mod passing;
mod paths;
mod pod;
mod probes;
mod process;
mod quantity;
mod running;
mod sandbox;
mod schedule;
mod settings;
mod streams;
mod sys;
mod usage;

pub use self::images::{LoadError, load_image};
pub use self::kubelet::{Kubelet, Service};
pub use self::node::{Node, NodeError};
pub use self::settings::{BeforeStop, Leaving, Settings, StandIn};
