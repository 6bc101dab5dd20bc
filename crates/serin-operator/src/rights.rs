//! What the controller may do in a cluster that asks for rights, and nothing more.

/// A right, as a rule of a role has it.
#[derive(Clone, Copy, Debug)]
pub struct Right {
    /// The API group.
    pub group: &'static str,
    /// Plural names of kinds.
    pub resources: &'static [&'static str],
    /// What may be done.
    pub verbs: &'static [&'static str],
}

const READ: &[&str] = &["get", "list", "watch"];
const CHANGE: &[&str] = &["get", "list", "watch", "update", "patch"];
const OWN: &[&str] = &["get", "list", "watch", "create", "update", "patch", "delete"];
const CANARIES: &[&str] = &["canaries", "canaries/status", "canaries/finalizers"];
const TEMPLATES: &[&str] = &["metrictemplates", "alertproviders"];

const fn right(
    group: &'static str,
    resources: &'static [&'static str],
    verbs: &'static [&'static str],
) -> Right {
    Right { group, resources, verbs }
}

/// In every namespace that has Canaries.
pub const EVERYWHERE: [Right; 14] = [
    right("serin.dev", CANARIES, CHANGE),
    right("flagger.app", CANARIES, CHANGE),
    right("serin.dev", TEMPLATES, READ),
    right("flagger.app", TEMPLATES, READ),
    right("apps", &["deployments", "daemonsets", "controllerrevisions"], OWN),
    right("", &["services", "configmaps", "secrets"], OWN),
    right("", &["pods"], READ),
    right("", &["events"], &["create", "patch"]),
    right("networking.istio.io", &["virtualservices", "destinationrules"], OWN),
    right("gateway.networking.k8s.io", &["httproutes"], OWN),
    right("autoscaling", &["horizontalpodautoscalers"], OWN),
    right("keda.sh", &["scaledobjects"], OWN),
    right("metrics.keptn.sh", &["keptnmetrics"], &["get"]),
    right("metrics.keptn.sh", &["analyses"], &["get", "create", "delete"]),
];

/// In the namespace that the controller runs in.
pub const AT_HOME: [Right; 1] =
    [right("coordination.k8s.io", &["leases"], &["get", "create", "update"])];
