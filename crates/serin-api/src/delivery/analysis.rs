//! How a new version is examined, step by step.

use std::collections::BTreeMap;

use crate::delivery::{MaxExposure, SequentialAnalysis};
use crate::networking::HttpMatchRequest;

message! {
    /// How a new version is examined: by weights, or by iterations (blue/green, and A/B testing with `match`).
    pub struct Analysis {
        /// Time from one check to the next. Absent or unreadable is 60 s; the least is 10 s in `flagger.app` and 1 s in
        /// `serin.dev`.
        #[schemars(regex(pattern = "^[0-9]+(m|s)"))]
        pub interval: String,
        /// So many failed checks bring the rollback. Absent is 1.
        pub threshold: i32,
        /// How often the new version is checked before it is promoted; without weights.
        pub iterations: i32,
        /// The users who get the new version while it is tested: A/B testing.
        #[serde(rename = "match")]
        pub matches: Vec<HttpMatchRequest>,
        /// Copy requests to the new version before users are sent to it.
        pub mirror: bool,
        /// Percent of the requests to copy. Absent is all.
        pub mirror_weight: i32,
        /// Percent that each step adds.
        pub step_weight: i32,
        /// Percent at each step; used if there is no `stepWeight`.
        pub step_weights: Vec<i32>,
        /// Percent at which the new version is promoted. Absent is the last of `stepWeights`, or 100.
        pub max_weight: i32,
        /// Percent that each step takes back to the promoted primary. Absent is all at once.
        pub step_weight_promotion: i32,
        /// Percent of the primary's pods that must be ready. Absent is 100.
        pub primary_ready_threshold: Option<i32>,
        /// Percent of the new version's pods that must be ready. Absent is 100.
        pub canary_ready_threshold: Option<i32>,
        /// Metrics that are checked.
        pub metrics: Vec<CanaryMetric>,
        /// Services that are asked at certain points of the release.
        pub webhooks: Vec<CanaryWebhook>,
        /// Where the release tells what it does. None at all is the controller's own setting.
        pub alerts: Vec<CanaryAlert>,
        /// Keep users with the version that they saw first.
        pub session_affinity: Option<SessionAffinity>,
        /// Decide by evidence that holds however often it is looked at, beside the thresholds.
        #[schemars(extend("x-extension" = true))]
        pub sequential: Option<SequentialAnalysis>,
        /// How many users the new version may reach before it must have been decided about.
        #[schemars(extend("x-extension" = true))]
        pub max_exposure: Option<MaxExposure>,
        /// Take no step before every proxy has the routes of the step before.
        #[schemars(extend("x-extension" = true))]
        pub await_proxies: Option<AwaitProxies>,
    }

    /// Wait for the proxies.
    pub struct AwaitProxies {
        /// After this time without the last proxy the step is a failed check. Absent is one minute.
        #[schemars(regex(pattern = "^([0-9]+(ms|s|m|h))+$"))]
        pub timeout: String,
    }

    /// A metric that is checked.
    pub struct CanaryMetric {
        /// Name: `request-success-rate` and `request-duration` are built in.
        #[schemars(extend("x-required" = true))]
        pub name: String,
        /// Time that the query looks back. Absent is one minute.
        #[schemars(regex(pattern = "^[0-9]+(m|s)"))]
        pub interval: String,
        /// Deprecated: use `thresholdRange`.
        pub threshold: f64,
        /// The values that pass.
        pub threshold_range: Option<ThresholdRange>,
        /// Deprecated: use `templateRef`.
        pub query: String,
        /// The MetricTemplate that asks for the value.
        pub template_ref: Option<CrossNamespaceReference>,
        /// Values of the template's variables.
        pub template_variables: BTreeMap<String, String>,
    }

    /// The values that pass.
    pub struct ThresholdRange {
        /// Least value.
        pub min: Option<f64>,
        /// Greatest value.
        pub max: Option<f64>,
    }

    /// An object, possibly in another namespace.
    pub struct CrossNamespaceReference {
        /// API group and version.
        pub api_version: String,
        /// Kind.
        pub kind: String,
        /// Name.
        #[schemars(extend("x-required" = true))]
        pub name: String,
        /// Namespace. Absent is the Canary's.
        pub namespace: String,
    }

    /// A service that is asked or told at certain points of the release.
    pub struct CanaryWebhook {
        /// When. Absent is `rollout`: with each check.
        #[serde(rename = "type")]
        pub hook: HookType,
        /// Name for events.
        #[schemars(extend("x-required" = true))]
        pub name: String,
        /// Where to send the request.
        #[schemars(extend("x-required" = true))]
        pub url: String,
        /// Send no alert when it says no.
        pub mute_alert: bool,
        /// How long an answer may take. Absent is 10 s.
        pub timeout: String,
        /// Sent along with the request.
        pub metadata: BTreeMap<String, String>,
        /// How often to try again.
        pub retries: i32,
        /// Do not verify the server's certificate.
        #[serde(rename = "disableTLS")]
        pub disable_tls: bool,
        /// Roll back at once when it says no, instead of counting a failed check.
        #[schemars(extend("x-extension" = true))]
        pub abort_on_failure: bool,
    }

    /// Where a release tells what it does.
    pub struct CanaryAlert {
        /// Name.
        #[schemars(extend("x-required" = true))]
        pub name: String,
        /// The least severity that is told. Absent is `info`, which is everything.
        pub severity: AlertSeverity,
        /// The AlertProvider.
        #[schemars(extend("x-required" = true))]
        pub provider_ref: Option<CrossNamespaceReference>,
    }

    /// Keeps users with the version that they saw first, by a cookie.
    pub struct SessionAffinity {
        /// Name of the cookie of the new version's users.
        #[schemars(extend("x-required" = true))]
        pub cookie_name: String,
        /// Name of the cookie of the primary's users. Absent sets none.
        pub primary_cookie_name: String,
        /// Domain of the cookies.
        pub domain: String,
        /// Hide the cookies from scripts.
        pub http_only: bool,
        /// Seconds that the cookie is kept. Absent is a day.
        pub max_age: i32,
        /// Store the cookies by top-level site.
        pub partitioned: bool,
        /// Path of the cookies. Absent is `/` for `serin.dev`; for `flagger.app` none is sent, and a browser takes the page's folder.
        pub path: String,
        /// When the cookies are sent with requests from other sites.
        #[schemars(extend("enum" = ["", "Strict", "Lax", "None"]))]
        pub same_site: String,
        /// Send the cookies over TLS only.
        pub secure: bool,
    }
}

choice! {
    /// When a webhook is called.
    pub enum HookType {
        /// With each check, before the metrics.
        Unspecified = "",
        /// With each check, before the metrics.
        Rollout = "rollout",
        /// Before the new version is scaled up; a no makes the release wait.
        ConfirmRollout = "confirm-rollout",
        /// Before the new version gets traffic; a no is a failed check.
        PreRollout = "pre-rollout",
        /// Before each step of the weight; a no makes the release wait.
        ConfirmTrafficIncrease = "confirm-traffic-increase",
        /// Before the promotion; a no makes the release wait.
        ConfirmPromotion = "confirm-promotion",
        /// After the release, whichever way it ended.
        PostRollout = "post-rollout",
        /// While the release runs; a yes rolls it back.
        Rollback = "rollback",
        /// With each event.
        Event = "event",
    }

    /// How grave an alert is.
    pub enum AlertSeverity {
        /// Everything.
        Unspecified = "",
        /// Everything.
        Info = "info",
        /// What needs attention, and failures.
        Warn = "warn",
        /// Failures.
        Error = "error",
    }
}

impl HookType {
    /// The type, with the one that an absent type stands for.
    #[must_use]
    pub const fn resolved(self) -> Self {
        match self {
            Self::Unspecified => Self::Rollout,
            other => other,
        }
    }
}
