//! What both versions of a release do, as proxies count it.

mod prometheus;
mod tally;
mod totals;
mod window;

use futures_util::future::BoxFuture;
use serin_rollout::Proxies;
use serin_rollout::statistics::{Interval, MirrorInterval, Session};

pub use prometheus::PrometheusTraffic;
pub use tally::{Outcome, Tally};
pub use totals::{Look, Totals};
pub(crate) use window::Window;

/// One of the two versions, by everything that a proxy may know it by.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Version {
    /// Name of the workload.
    pub workload: String,
    /// Name of its Service.
    pub service: String,
    /// Name of the subset, of releases between two subsets.
    pub subset: String,
}

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
}

/// What happened since the question before.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sample {
    /// Requests of users, as their senders saw them: what never reached a pod failed.
    pub requests: Interval,
    /// The same by session, of the canary and of the primary, where sessions can be told apart.
    pub sessions: Option<(Vec<Session>, Vec<Session>)>,
    /// Requests that both versions answered, while they are mirrored.
    pub mirrored: Option<MirrorInterval>,
}

/// Counts the traffic of releases.
pub trait Traffic: Send + Sync {
    /// What happened since this was last asked about the same subject. The first answer is empty.
    fn take<'a>(&'a self, subject: &'a Subject) -> BoxFuture<'a, Result<Sample, String>>;

    /// How many proxies have this generation of a VirtualService or a later one; `None` if nobody knows.
    fn proxies(&self, _namespace: &str, _route: &str, _generation: i64) -> Option<Proxies> {
        None
    }

    /// Nobody asks about this subject any more.
    fn forget(&self, _subject: &Subject) {}
}

/// No proxies to ask.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoTraffic;

impl Traffic for NoTraffic {
    fn take<'a>(&'a self, _subject: &'a Subject) -> BoxFuture<'a, Result<Sample, String>> {
        Box::pin(std::future::ready(Ok(Sample::default())))
    }
}
