//! What a step wants done. Each action says how something shall be, not how it shall change, so that it can be done twice.

use serde::{Deserialize, Serialize};

use crate::observation::Question;
use crate::state::{Decision, Phase, Routes};

/// One of the two versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Side {
    /// The version that users have.
    Primary,
    /// The new one.
    Canary,
}

/// How grave an alert is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// Someone is asked to do something.
    Warn,
    /// Something failed.
    Error,
}

/// What is to be done. The list of a step is carried out in its order.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Action {
    /// The Services, DestinationRules, the primary's copy of the workload with its ConfigMaps, Secrets and autoscaler exist
    /// as the plan says; the Service that users call points to the primary.
    EnsureObjects,
    /// The routes are these.
    SetRoutes(Routes),
    /// The canary has as many pods as it had, or as many as the primary; its autoscaler works.
    ScaleUpCanary,
    /// The autoscaler of a version has these limits; `None` are the original's.
    SetScaler {
        /// Whose autoscaler.
        side: Side,
        /// Least number of pods.
        least: Option<i32>,
        /// Greatest number of pods.
        most: Option<i32>,
    },
    /// The canary has no pods; its autoscaler rests.
    ScaleDownCanary,
    /// The primary has so many pods at least.
    WarmUpPrimary {
        /// Number of pods.
        pods: u32,
    },
    /// The primary's specification and configuration are the canary's, which is still of this revision.
    CopyToPrimary {
        /// The revision that was analysed.
        revision: String,
    },
    /// The primary's specification is again that of this revision.
    RestorePrimary {
        /// The revision that was promoted last.
        revision: String,
    },
    /// A question is put; its answer is part of a later observation.
    Ask(Question),
    /// A hook is told how a release ended; nothing depends on its answer.
    Notify {
        /// Name of the hook.
        hook: String,
        /// The phase that it is told of.
        phase: Phase,
    },
    /// Those who want to know are told.
    Alert {
        /// How grave it is.
        severity: Severity,
        /// What it is.
        text: String,
    },
    /// An event is recorded, and event hooks are told.
    Record(Decision),
    /// Everything that was made is undone: the original routes and Services are back, the workload has the primary's size.
    RestoreOriginals,
    /// The object may be deleted.
    ReleaseFinalizer,
}
