//! The embedded Kubernetes API.
//!
//! It is a [`store`] of objects, durable and with history, and the verbs of the Kubernetes API over it. What objects mean is
//! decided by `serin-objects`; this crate keeps, serves and watches them, and says who may come in.

mod access;
mod admission;
mod discovery;
mod documents;
mod http;
mod listen;
mod local;
mod random;
mod server;
pub mod store;
mod verbs;

pub use self::access::{
    Access, KubeconfigError, PkiError, TokenKeyError, User, remove_kubeconfig, write_kubeconfig,
};
pub use self::admission::{Admission, Admitted, Operation, Review};
pub use self::http::Body;
pub use self::listen::{ListenError, Listener};
pub use self::local::LocalService;
pub use self::random::warm_up;
pub use self::server::{ApiServer, Connecting, Connection, Network, Settings, StartError};
