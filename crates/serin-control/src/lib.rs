//! The mesh control plane: what turns the objects of a cluster into a model for each workload.
//!
//! It watches through a `kube::Client` (`watch`), keeps the last good form of every object (`cache`), decides which proxies there are
//! (`fleet`), makes a model for each (`models`), and hands it over through a [`Publisher`] (`push`, `delivery`). What the proxies
//! acknowledge (`progress`), it writes where the authors of the objects look (`status`). It relies on `serin-translate` for what
//! objects mean, and leaves it to the publisher how a proxy gets its model.

mod admission;
mod api;
mod bootstrap;
mod cache;
mod control;
mod delivery;
mod exclude;
mod fleet;
mod gateway;
mod host;
mod kinds;
mod made;
mod models;
mod plain;
mod progress;
mod proxy;
mod publisher;
mod push;
mod settings;
mod status;
#[cfg(test)]
mod testing;
mod upkeep;
mod watch;

pub use admission::{Operation, Review, review};
pub use bootstrap::{BootstrapError, bootstrap};
pub use control::{Control, NotLive, NotRemoved};
pub use plain::behind;
pub use progress::Live;
pub use proxy::{ProxyId, Role, Socket, Workload};
pub use publisher::{Ack, Problem, PublishError, Publisher};
pub use settings::{Gateway, Settings};
