//! What a step is told: the workloads, the routes, the answers to questions, the traffic, and what people want.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::state::Routes;
use crate::statistics::{Interval, MirrorInterval, Session};
use crate::time::Time;

/// Whether a workload is as its specification says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Readiness {
    /// Enough pods of the present revision are ready.
    #[default]
    Ready,
    /// Not yet; why.
    Pending(String),
    /// Not within the deadline; why.
    Stuck(String),
}

/// A workload as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Workload {
    /// A hash of its pod template; of the primary, that of the template it is a copy of. With `versions`, the name of the
    /// subset.
    pub revision: String,
    /// Checksums of the ConfigMaps and Secrets it uses, by `configmap/NAME` and `secret/NAME`.
    pub configs: BTreeMap<String, String>,
    /// Pods that it shall have.
    pub replicas: u32,
    /// Pods that are ready, of whichever revision.
    pub ready_pods: u32,
    /// Whether it is as it shall be.
    pub readiness: Readiness,
}

/// A question to a hook or a metric, in one tick. The answer to it in another tick is another's.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Question {
    /// Number of the tick.
    pub tick: u64,
    /// What is asked.
    pub about: About,
}

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum About {
    /// A webhook of the plan, by its place in the list.
    Hook(usize),
    /// A metric of the plan, by its place in the list.
    Metric(usize),
    /// Whether all who are asked for the metrics of the plan can be asked.
    MetricServers,
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Answer {
    /// The hook agrees.
    Yes,
    /// The hook does not, or could not be reached; why.
    No(String),
    /// The metric's value.
    Value(f64),
    /// The metric has no value.
    NoValue,
    /// The metric could not be asked; why.
    Failed(String),
}

/// What the versions did since the step before, as the proxies counted it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Traffic {
    /// Units that were counted elsewhere.
    Counts(Interval),
    /// Sessions of the canary and of the primary.
    Sessions(Vec<Session>, Vec<Session>),
    /// So many requests of the sessions have reached the canary.
    Reached(u64),
    /// Mirrored requests.
    Mirrored(MirrorInterval),
}

/// What someone wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Command {
    /// Stay where it is.
    Hold,
    /// Go on.
    Resume,
    /// Promote without further checks.
    Promote,
    /// Go back.
    Abort,
    /// Begin again from the first step.
    Restart,
}

/// How many proxies have the routes that were set last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Proxies {
    /// Proxies that have them.
    pub acked: u32,
    /// Proxies in all.
    pub total: u32,
}

/// Another release of the same group.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Member {
    /// Its name.
    pub name: String,
    /// Its order.
    pub order: i32,
    /// Whether it is on its way.
    pub is_running: bool,
    /// How many steps it has taken.
    pub position: u32,
    /// Whether it has taken all steps and waits for the others, or is being promoted.
    pub is_final: bool,
    /// When it was rolled back, if it was.
    pub failed_at: Option<Time>,
}

/// Everything that a step is told.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Observation {
    /// The workload whose changes are released; `None` if it is not there.
    pub target: Option<Workload>,
    /// Its primary.
    pub primary: Option<Workload>,
    /// The routes as they are; `None` if there are none yet.
    pub routes: Option<Routes>,
    /// Answers that have come.
    pub answers: Vec<(Question, Answer)>,
    /// Traffic since the step before.
    pub traffic: Vec<Traffic>,
    /// What someone wants, once.
    pub command: Option<Command>,
    /// How far the routes have come; `None` if nobody knows.
    pub proxies: Option<Proxies>,
    /// The other members of the group.
    pub group: Vec<Member>,
    /// Whether the object is being deleted.
    pub is_deleted: bool,
    /// A number that nobody could foresee, for the cookies of a release.
    pub nonce: u64,
}
