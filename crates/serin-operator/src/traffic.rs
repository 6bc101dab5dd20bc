//! What both versions of a release do, as proxies count it.

mod prometheus;
mod totals;
mod window;

use futures_util::future::BoxFuture;
use serin_rollout::statistics::{Arm, Interval, MirrorInterval, Session};
use serin_rollout::{Proxies, Time, Version};

use crate::kind::Kind;

pub use prometheus::PrometheusTraffic;
pub use totals::{Look, Totals};
pub(crate) use window::Window;

/// Whose traffic is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Subject {
    /// Namespace of both versions.
    pub namespace: String,
    /// Name of the Canary.
    pub release: String,
    /// The new version.
    pub canary: Version,
    /// The version that users have.
    pub primary: Version,
    /// When its run began: what was before has no part in it.
    pub began: Time,
    /// What tells sessions apart (`cookie:NAME, header:NAME, client`); empty if nothing does.
    pub session: String,
}

impl Subject {
    /// Whether it is of a release, in whichever run of it.
    pub fn is_of(&self, namespace: &str, release: &str) -> bool {
        self.namespace == namespace && self.release == release
    }
}

/// What happened since the question before.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sample {
    /// Requests of users, as their senders saw them: what never reached a pod failed.
    pub requests: Interval,
    /// The same by session, where sessions can be told apart.
    pub sessions: Option<Sessions>,
    /// Copies of requests that the new version got.
    pub copies: Arm,
    /// Requests that both versions answered, while they are mirrored.
    pub mirrored: Option<MirrorInterval>,
}

/// Requests by session.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sessions {
    /// Sessions that reached the new version.
    pub canary: Vec<Session>,
    /// Sessions of the version that users have.
    pub primary: Vec<Session>,
    /// Requests that belong to no session: each is a unit of its own.
    pub alone: Interval,
}

/// The object that holds the routes of a release.
#[derive(Clone, Copy, Debug)]
pub struct RouteName<'a> {
    /// Its kind.
    pub kind: Kind,
    /// Its namespace.
    pub namespace: &'a str,
    /// Its name.
    pub name: &'a str,
}

/// Counts the traffic of releases.
pub trait Traffic: Send + Sync {
    /// What happened since this was last asked about the same subject. The first answer is empty.
    fn take<'a>(&'a self, subject: &'a Subject) -> BoxFuture<'a, Result<Sample, String>>;

    /// How many proxies have this generation of a route or a later one; `None` if nobody knows.
    fn proxies(&self, _route: &RouteName<'_>, _generation: i64) -> Option<Proxies> {
        None
    }

    /// Nobody asks about a release any more: its run is over, or its object is gone.
    fn forget(&self, _namespace: &str, _release: &str) {}
}

/// No proxies to ask.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoTraffic;

impl Traffic for NoTraffic {
    fn take<'a>(&'a self, _subject: &'a Subject) -> BoxFuture<'a, Result<Sample, String>> {
        Box::pin(std::future::ready(Ok(Sample::default())))
    }
}
