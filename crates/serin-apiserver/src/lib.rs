//! The embedded Kubernetes API.
//!
//! It is a [`store`] of objects, durable and with history, and the verbs of the Kubernetes API over it.

pub mod store;
