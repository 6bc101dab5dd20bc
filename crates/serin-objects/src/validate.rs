//! What a real Kubernetes refuses, in its words.

pub(crate) mod names;
