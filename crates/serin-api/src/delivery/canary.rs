//! Canary: how new versions of a workload are released.

use std::collections::BTreeMap;

use super::as_flagger_has_it;
use crate::delivery::{Analysis, CanaryService};

as_flagger_has_it! {
    /// How new versions of a workload are released, in Flagger's terms.
    FlaggerCanary of Canary as "Canary", "canaries"
    columns [
        ("Status", "string", ".status.phase", "Where the release is"),
        ("Weight", "string", ".status.canaryWeight", "Percent of the traffic that the new version gets"),
        ("Suspended", "boolean", ".spec.suspend", "Whether the release waits", wide),
        ("FailedChecks", "string", ".status.failedChecks", "Checks that failed", wide),
        ("Interval", "string", ".spec.analysis.interval", "Time from one check to the next", wide),
        ("Mirror", "boolean", ".spec.analysis.mirror", "Whether requests are copied first", wide),
        ("StepWeight", "string", ".spec.analysis.stepWeight", "Percent that each step adds", wide),
        ("StepWeights", "string", ".spec.analysis.stepWeights", "Percent at each step", wide),
        ("MaxWeight", "string", ".spec.analysis.maxWeight", "Percent at which it is promoted", wide),
        ("LastTransitionTime", "string", ".status.lastTransitionTime", "When the phase last changed"),
    ]
}

message! {
    /// How new versions of a workload are released.
    pub struct Canary {
        /// What routes the traffic. Absent is the controller's own setting, which is `istio` unless it was changed.
        pub provider: Provider,
        /// Prometheus server of the built-in metrics. Absent is the controller's own setting.
        pub metrics_server: String,
        /// The workload whose changes are released.
        #[schemars(extend("x-required" = true))]
        pub target_ref: Option<TargetReference>,
        /// The autoscaler of the workload, of which the primary gets a copy.
        pub autoscaler_ref: Option<AutoscalerReference>,
        /// The Ingress that is changed, for providers that have one.
        pub ingress_ref: Option<TargetReference>,
        /// The APISIX route that is changed.
        pub route_ref: Option<TargetReference>,
        /// The Gloo upstream that is copied.
        pub upstream_ref: Option<TargetReference>,
        /// The Services and routes that are made.
        #[schemars(extend("x-required" = true))]
        pub service: Option<CanaryService>,
        /// How a new version is examined. Absent promotes without analysis.
        pub analysis: Option<Analysis>,
        /// Deprecated spelling of `analysis`.
        pub canary_analysis: Option<Analysis>,
        /// Seconds after which a workload that does not become ready is given up. Absent is 600.
        pub progress_deadline_seconds: Option<i32>,
        /// Promote new versions at once, without analysis.
        pub skip_analysis: bool,
        /// Restore the original objects when this one is deleted.
        pub revert_on_deletion: bool,
        /// Do nothing at all until it is taken away; routes stay as they are.
        pub suspend: bool,
        /// Shift traffic between two subsets that a DestinationRule defines, instead of copying the workload.
        #[schemars(extend("x-extension" = true))]
        pub versions: Option<Versions>,
        /// Stay at the present step. The analysis goes on, and a bad version is still rolled back.
        #[schemars(extend("x-extension" = true))]
        pub hold: bool,
        /// Releases that go together: every step waits for all members, and one that fails takes all back.
        #[schemars(extend("x-extension" = true))]
        pub group: Option<ReleaseGroup>,
        /// How the primary is prepared before traffic goes back to it.
        #[schemars(extend("x-extension" = true))]
        pub warm_up: Option<WarmUp>,
        /// Times at which no step is taken and nothing is promoted. Going back is always allowed.
        #[schemars(extend("x-extension" = true))]
        pub quiet_hours: Vec<QuietHours>,
        /// How long the new version's pods stay after traffic has left them. Absent is none.
        #[schemars(extend("x-extension" = true), regex(pattern = "^([0-9]+(ms|s|m|h))+$"))]
        pub scale_down_delay: String,
    }

    /// An object in the same namespace.
    pub struct TargetReference {
        /// API group and version.
        pub api_version: String,
        /// Kind.
        pub kind: String,
        /// Name.
        #[schemars(extend("x-required" = true))]
        pub name: String,
    }

    /// The autoscaler of a workload.
    pub struct AutoscalerReference {
        /// API group and version.
        pub api_version: String,
        /// `HorizontalPodAutoscaler` or `ScaledObject` (KEDA).
        #[schemars(extend("x-required" = true), extend("enum" = ["HorizontalPodAutoscaler", "ScaledObject"]))]
        pub kind: String,
        /// Name.
        #[schemars(extend("x-required" = true))]
        pub name: String,
        /// Queries of the primary's ScaledObject, by the name of the trigger.
        pub primary_scaler_queries: BTreeMap<String, String>,
        /// Limits of the primary's copy. Absent are those of the original.
        pub primary_scaler_replicas: Option<ScalerReplicas>,
        /// Limits of the original while it scales the new version. Absent are its own.
        #[schemars(extend("x-extension" = true))]
        pub canary_scaler_replicas: Option<ScalerReplicas>,
    }

    /// Limits of an autoscaler.
    pub struct ScalerReplicas {
        /// Least number of pods.
        pub min_replicas: Option<i32>,
        /// Greatest number of pods.
        pub max_replicas: Option<i32>,
    }

    /// Two subsets of a host.
    pub struct Versions {
        /// The subset that users have.
        #[schemars(extend("x-required" = true))]
        pub primary: String,
        /// The subset that is to replace it.
        #[schemars(extend("x-required" = true))]
        pub canary: String,
        /// The VirtualService whose destinations are shifted. Absent is one of the service's name, which is made.
        pub virtual_service: String,
    }

    /// A release together with others.
    pub struct ReleaseGroup {
        /// Name of the group in this namespace; its members are the Canaries that name it.
        #[schemars(extend("x-required" = true))]
        pub name: String,
        /// Members of a lower order take each step first.
        pub order: i32,
        /// The lane in which requests stay with the new versions of all members.
        pub lane: String,
    }

    /// How the primary is prepared for the whole traffic.
    pub struct WarmUp {
        /// Scale the primary to as many pods as the new version has, before traffic goes back.
        pub match_canary: bool,
        /// How long the primary must be ready before traffic goes back. Absent is not at all.
        #[schemars(regex(pattern = "^([0-9]+(ms|s|m|h))+$"))]
        pub duration: String,
    }

    /// A time of the day at which nothing advances.
    pub struct QuietHours {
        /// Days of the week on which the time begins. None at all is every day.
        pub days: Vec<Weekday>,
        /// First minute, as `22:00`.
        #[schemars(extend("x-required" = true), regex(pattern = "^([01][0-9]|2[0-3]):[0-5][0-9]$"))]
        pub from: String,
        /// The minute after the last, as `06:00`; at or before `from` it is on the next day.
        #[schemars(extend("x-required" = true), regex(pattern = "^([01][0-9]|2[0-3]):[0-5][0-9]$"))]
        pub to: String,
        /// Offset from UTC, as `+01:00`. Absent is UTC.
        #[schemars(regex(pattern = "^([+-]([01][0-9]|2[0-3]):[0-5][0-9])?$"))]
        pub utc_offset: String,
    }
}

choice! {
    /// What routes the traffic of a release. Serin acts on those that speak Istio's or the Gateway API, and on `kubernetes`,
    /// which has no routes.
    pub enum Provider {
        /// The controller's own setting.
        Default = "",
        /// Istio's VirtualService.
        Istio = "istio",
        /// No routes: pods of both versions, and the Service points to the one or the other.
        Kubernetes = "kubernetes",
        /// The Gateway API's HTTPRoute.
        GatewayApi = "gatewayapi:v1",
        /// The Gateway API's HTTPRoute in its older version.
        GatewayApiBeta = "gatewayapi:v1beta1",
        /// APISIX.
        Apisix = "apisix",
        /// App Mesh.
        AppMesh = "appmesh",
        /// App Mesh.
        AppMeshBeta2 = "appmesh:v1beta2",
        /// Contour.
        Contour = "contour",
        /// Gloo.
        Gloo = "gloo",
        /// Knative.
        Knative = "knative",
        /// Kuma.
        Kuma = "kuma",
        /// Linkerd.
        Linkerd = "linkerd",
        /// NGINX Ingress.
        Nginx = "nginx",
        /// Open Service Mesh.
        Osm = "osm",
        /// Skipper.
        Skipper = "skipper",
        /// SMI's TrafficSplit.
        Smi1 = "smi:v1alpha1",
        /// SMI's TrafficSplit.
        Smi2 = "smi:v1alpha2",
        /// SMI's TrafficSplit.
        Smi3 = "smi:v1alpha3",
        /// Traefik.
        Traefik = "traefik",
    }

    /// A day of the week.
    pub enum Weekday {
        /// Monday.
        Monday = "Mon",
        /// Tuesday.
        Tuesday = "Tue",
        /// Wednesday.
        Wednesday = "Wed",
        /// Thursday.
        Thursday = "Thu",
        /// Friday.
        Friday = "Fri",
        /// Saturday.
        Saturday = "Sat",
        /// Sunday.
        Sunday = "Sun",
    }
}

impl Canary {
    /// The analysis, under whichever of its names it was written.
    pub fn analysis(&self) -> Option<&Analysis> {
        self.analysis.as_ref().or(self.canary_analysis.as_ref())
    }
}
