//! The mesh control plane: what turns the objects of a cluster into a model for each workload.
//!
//! It watches through a `kube::Client`, lets changes gather for a moment, translates, and hands each proxy its model through
//! [`Publisher`]; what the proxies acknowledge, it writes where the authors of the objects look.

/// Placeholder for the seam towards proxies.
pub trait Publisher {}
