//! The kinds of objects that releases are made of, and how they are asked for.

use kube::core::{ApiResource, GroupVersionKind};

/// A kind of object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// A release, with Serin's fields.
    Canary,
    /// A release, with Flagger's fields.
    FlaggerCanary,
    /// How a metric is asked for, in Serin's group.
    MetricTemplate,
    /// The same in Flagger's.
    FlaggerMetricTemplate,
    /// Who is told of a release, in Serin's group.
    AlertProvider,
    /// The same in Flagger's.
    FlaggerAlertProvider,
    /// A workload.
    Deployment,
    /// A workload with a pod on each node.
    DaemonSet,
    /// A Service.
    Service,
    /// A HorizontalPodAutoscaler.
    Autoscaler,
    /// KEDA's autoscaler.
    ScaledObject,
    /// Configuration.
    ConfigMap,
    /// Secret configuration.
    Secret,
    /// Routes.
    VirtualService,
    /// Routes of the Gateway API.
    HttpRoute,
    /// Settings and subsets of a destination.
    DestinationRule,
    /// A pod.
    Pod,
    /// Something that happened.
    Event,
    /// Who acts.
    Lease,
    /// A former specification.
    ControllerRevision,
    /// A metric that Keptn keeps.
    KeptnMetric,
    /// What Keptn is asked to find out.
    KeptnAnalysis,
}

impl Kind {
    /// The kinds that are followed all the time.
    pub(crate) const FOLLOWED: [Self; 15] = [
        Self::Canary,
        Self::FlaggerCanary,
        Self::MetricTemplate,
        Self::FlaggerMetricTemplate,
        Self::AlertProvider,
        Self::FlaggerAlertProvider,
        Self::Deployment,
        Self::DaemonSet,
        Self::Service,
        Self::Autoscaler,
        Self::ConfigMap,
        Self::Secret,
        Self::VirtualService,
        Self::HttpRoute,
        Self::DestinationRule,
    ];

    /// Group, version, kind and plural.
    const fn names(self) -> [&'static str; 4] {
        match self {
            Self::Canary => ["serin.dev", "v1alpha1", "Canary", "canaries"],
            Self::FlaggerCanary => ["flagger.app", "v1beta1", "Canary", "canaries"],
            Self::MetricTemplate => ["serin.dev", "v1alpha1", "MetricTemplate", "metrictemplates"],
            Self::FlaggerMetricTemplate => {
                ["flagger.app", "v1beta1", "MetricTemplate", "metrictemplates"]
            }
            Self::AlertProvider => ["serin.dev", "v1alpha1", "AlertProvider", "alertproviders"],
            Self::FlaggerAlertProvider => {
                ["flagger.app", "v1beta1", "AlertProvider", "alertproviders"]
            }
            Self::Deployment => ["apps", "v1", "Deployment", "deployments"],
            Self::DaemonSet => ["apps", "v1", "DaemonSet", "daemonsets"],
            Self::Service => ["", "v1", "Service", "services"],
            Self::Autoscaler => {
                ["autoscaling", "v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers"]
            }
            Self::ScaledObject => ["keda.sh", "v1alpha1", "ScaledObject", "scaledobjects"],
            Self::ConfigMap => ["", "v1", "ConfigMap", "configmaps"],
            Self::Secret => ["", "v1", "Secret", "secrets"],
            // The version that every Istio of the last years serves.
            Self::VirtualService => {
                ["networking.istio.io", "v1beta1", "VirtualService", "virtualservices"]
            }
            Self::HttpRoute => ["gateway.networking.k8s.io", "v1", "HTTPRoute", "httproutes"],
            Self::DestinationRule => {
                ["networking.istio.io", "v1beta1", "DestinationRule", "destinationrules"]
            }
            Self::Pod => ["", "v1", "Pod", "pods"],
            Self::Event => ["", "v1", "Event", "events"],
            Self::Lease => ["coordination.k8s.io", "v1", "Lease", "leases"],
            Self::ControllerRevision => ["apps", "v1", "ControllerRevision", "controllerrevisions"],
            Self::KeptnMetric => ["metrics.keptn.sh", "v1beta1", "KeptnMetric", "keptnmetrics"],
            Self::KeptnAnalysis => ["metrics.keptn.sh", "v1beta1", "Analysis", "analyses"],
        }
    }

    /// The kind's name in objects.
    pub const fn name(self) -> &'static str {
        self.names()[2]
    }

    /// Group and version as objects have them.
    pub fn api_version(self) -> String {
        let [group, version, ..] = self.names();
        if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") }
    }

    /// How it is asked for.
    pub(crate) fn resource(self) -> ApiResource {
        let [group, version, kind, plural] = self.names();
        let kind = GroupVersionKind::gvk(group, version, kind);
        ApiResource::from_gvk_with_plural(&kind, plural)
    }
}
