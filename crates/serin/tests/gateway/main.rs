//! `serin gateway` as a whole: the real binary on real sockets, with manifests that change.

#![expect(clippy::unwrap_used, reason = "a helper of tests that fails fails its test")]

mod observe;
mod peers;
mod reload;
mod restart;
mod support;
mod tls;
mod traffic;
