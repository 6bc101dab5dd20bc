//! Releases from their objects to their ends, on a real API in this process: what the controller does, tick by tick.
//!
//! A workload controller of the tests marks pods ready; hooks, metrics and those who are told are an HTTP server of the
//! tests; traffic is a script; time is the test's.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

mod alerts;
mod copies;
mod faults;
mod fuse;
mod objects;
mod providers;
mod proxy;
mod receiver;
mod rest;
mod rivals;
mod scripts;
mod strategies;
mod told;
mod walkthroughs;
mod whole;
mod world;
