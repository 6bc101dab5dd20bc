//! The controllers with the real API server in the same process; what a node does is done by the tests.

#![expect(clippy::unwrap_used, reason = "a helper of tests that fails fails its test")]

mod autoscaling;
mod cluster;
mod deployments;
mod jobs;
mod kubectl;
mod scale;
mod services;
mod sets;
