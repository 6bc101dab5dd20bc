//! The workload controllers of a cluster without a cluster: what turns Deployments into ReplicaSets, ReplicaSets into pods,
//! Services and pods into endpoints.
//!
//! They hold a `kube::Client` and nothing else, and know neither the API server nor the node that they work with.
