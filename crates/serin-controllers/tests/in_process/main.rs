//! The controllers with the real API server in the same process; what a node does is done by the tests.

mod cluster;
mod deployments;
mod services;
