//! This machine as a node of a cluster: what a kubelet and a container engine are elsewhere.
//!
//! It watches the pods that are bound to it and makes them so. The mesh is the only network that pods have; connections into and
//! out of a pod go through sockets made in its network namespace, which this crate hands to whoever carries them.
