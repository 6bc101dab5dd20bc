//! `serin apiserver` as people use it: the real binary, spoken to by kubectl, curl and other people's clients, and killed
//! without warning.

#![expect(clippy::unwrap_used, reason = "a helper of tests that fails fails its test")]
#![expect(clippy::print_stdout, reason = "a test that is skipped says why")]

#[path = "apiserver/basics.rs"]
mod basics;
#[path = "apiserver/clients.rs"]
mod clients;
#[path = "apiserver/disk.rs"]
mod disk;
#[path = "apiserver/server.rs"]
mod server;
#[path = "apiserver/sessions.rs"]
mod sessions;
