//! The control plane over a real API server in the same process, with a publisher that records.
//!
//! The recorded models are asked where requests go. Nothing sleeps: tests wait for objects to be live, or for the recorder.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod edge;
mod pushes;
mod statuses;
mod world;
