//! Cohorts: a session's place in a release, kept while the weight grows.

use std::sync::Arc;

use serde::Serialize;

/// Where a route finds the session, and which rollout it belongs to. Opt-in; without it weights are drawn at random
/// for each request as Istio does.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Cohort {
    /// Names the rollout: sessions are placed anew for another one.
    pub rollout: Arc<str>,
    /// What identifies a session, tried in order.
    pub keys: Vec<Key>,
}

/// A part of the request that identifies a session.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub enum Key {
    /// The value of a cookie.
    Cookie(Arc<str>),
    /// The value of a header, lower-case name.
    Header(Arc<str>),
    /// The client's address.
    SourceAddress,
}
