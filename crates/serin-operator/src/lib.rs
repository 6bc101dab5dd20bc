//! The canary controller: observes releases, asks `serin-rollout` what is next, and carries it out.
//!
//! It uses nothing that a Kubernetes with Istio lacks: a `kube::Client`, metrics over HTTP, hooks and alerts.
