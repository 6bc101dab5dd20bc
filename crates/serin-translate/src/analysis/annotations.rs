//! Annotations of Istio's domain: known, in place, valid, finished.

use std::net::IpAddr;

use ipnet::IpNet;
use serin_api::{FieldPath, Object};

use super::{Input, Report, codes};
use crate::snapshot::Kind as ObjectKind;

/// What is known of an annotation.
struct Annotation {
    name: &'static str,
    /// Kinds it has a meaning on; `Any` for all.
    on: &'static [&'static str],
    stage: Stage,
    value: Value,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Alpha,
    Settled,
    Deprecated,
}

#[derive(Clone, Copy)]
enum Value {
    Text,
    Bool,
    Number,
    Ports,
    Ranges,
}

use Stage::{Alpha, Deprecated, Settled};
use Value::{Bool, Number, Ports, Ranges, Text};

const fn row(
    name: &'static str,
    on: &'static [&'static str],
    stage: Stage,
    value: Value,
) -> Annotation {
    Annotation { name, on, stage, value }
}

const ANY: &[&str] = &["Any"];
const POD: &[&str] = &["Pod"];
const SERVICE: &[&str] = &["Service"];
const GATEWAY: &[&str] = &["Gateway"];

/// Istio's annotations with the kinds they are for and how finished they are (istio/api, annotation table).
const KNOWN: &[Annotation] = &[
    row("alpha.istio.io/canonical-serviceaccounts", SERVICE, Alpha, Text),
    row("alpha.istio.io/identity", POD, Deprecated, Text),
    row("alpha.istio.io/kubernetes-serviceaccounts", SERVICE, Alpha, Text),
    row("ambient.istio.io/bypass-inbound-capture", POD, Alpha, Bool),
    row("ambient.istio.io/dns-capture", POD, Alpha, Bool),
    row("ambient.istio.io/redirection", POD, Alpha, Text),
    row("ambient.istio.io/waypoint-inbound-binding", &["GatewayClass"], Alpha, Text),
    row("galley.istio.io/analyze-suppress", ANY, Alpha, Text),
    row("gateway.istio.io/controller-version", ANY, Settled, Text),
    row("gateway.istio.io/name-override", GATEWAY, Alpha, Text),
    row("gateway.istio.io/service-account", GATEWAY, Alpha, Text),
    row("gateway.istio.io/tls-terminate-mode", GATEWAY, Alpha, Text),
    row("inject.istio.io/templates", POD, Alpha, Text),
    row("install.operator.istio.io/chart-owner", ANY, Alpha, Text),
    row("install.operator.istio.io/owner-generation", ANY, Alpha, Text),
    row("install.operator.istio.io/version", ANY, Alpha, Text),
    row("istio.io/autoRegistrationGroup", &["WorkloadEntry"], Alpha, Text),
    row("istio.io/connect-strategy", POD, Alpha, Text),
    row("istio.io/connectedAt", &["WorkloadEntry"], Alpha, Text),
    row("istio.io/disconnectedAt", &["WorkloadEntry"], Alpha, Text),
    row("istio.io/dry-run", &["AuthorizationPolicy"], Alpha, Bool),
    row("istio.io/reroute-virtual-interfaces", POD, Alpha, Text),
    row("istio.io/rev", POD, Alpha, Text),
    row("istio.io/workloadController", &["WorkloadEntry"], Alpha, Text),
    row("kubernetes.io/ingress.class", &["Ingress"], Settled, Text),
    row("networking.istio.io/address-type", GATEWAY, Alpha, Text),
    row("networking.istio.io/exportTo", SERVICE, Alpha, Text),
    row("networking.istio.io/service-type", GATEWAY, Alpha, Text),
    row(
        "networking.istio.io/traffic-distribution",
        &["Service", "ServiceEntry", "Namespace"],
        Alpha,
        Text,
    ),
    row("policy.istio.io/check", POD, Deprecated, Text),
    row("policy.istio.io/checkBaseRetryWaitTime", POD, Deprecated, Text),
    row("policy.istio.io/checkMaxRetryWaitTime", POD, Deprecated, Text),
    row("policy.istio.io/checkRetries", POD, Deprecated, Text),
    row("policy.istio.io/lang", POD, Deprecated, Text),
    row("prometheus.istio.io/merge-metrics", POD, Alpha, Bool),
    row("proxy.istio.io/config", POD, Settled, Text),
    row("proxy.istio.io/overrides", POD, Alpha, Text),
    row("readiness.status.sidecar.istio.io/applicationPorts", POD, Alpha, Ports),
    row("readiness.status.sidecar.istio.io/failureThreshold", POD, Alpha, Number),
    row("readiness.status.sidecar.istio.io/initialDelaySeconds", POD, Alpha, Number),
    row("readiness.status.sidecar.istio.io/periodSeconds", POD, Alpha, Number),
    row("security.istio.io/autoMTLS", ANY, Alpha, Bool),
    row("sidecar.istio.io/agentLogLevel", POD, Alpha, Text),
    row("sidecar.istio.io/bootstrapOverride", POD, Alpha, Text),
    row("sidecar.istio.io/componentLogLevel", POD, Alpha, Text),
    row("sidecar.istio.io/controlPlaneAuthPolicy", POD, Deprecated, Text),
    row("sidecar.istio.io/discoveryAddress", POD, Deprecated, Text),
    row("sidecar.istio.io/enableCoreDump", POD, Alpha, Bool),
    row("sidecar.istio.io/extraStatTags", POD, Alpha, Text),
    row("sidecar.istio.io/inject", POD, Settled, Bool),
    row("sidecar.istio.io/interceptionMode", POD, Alpha, Text),
    row("sidecar.istio.io/logLevel", POD, Alpha, Text),
    row("sidecar.istio.io/nativeSidecar", POD, Alpha, Bool),
    row("sidecar.istio.io/proxyCPU", POD, Alpha, Text),
    row("sidecar.istio.io/proxyCPULimit", POD, Alpha, Text),
    row("sidecar.istio.io/proxyImage", POD, Alpha, Text),
    row("sidecar.istio.io/proxyImageType", POD, Alpha, Text),
    row("sidecar.istio.io/proxyMemory", POD, Alpha, Text),
    row("sidecar.istio.io/proxyMemoryLimit", POD, Alpha, Text),
    row("sidecar.istio.io/rewriteAppHTTPProbers", POD, Alpha, Bool),
    row("sidecar.istio.io/statsCompression", POD, Alpha, Text),
    row("sidecar.istio.io/statsHistogramBuckets", POD, Alpha, Text),
    row("sidecar.istio.io/statsInclusionPrefixes", POD, Deprecated, Text),
    row("sidecar.istio.io/statsInclusionRegexps", POD, Deprecated, Text),
    row("sidecar.istio.io/statsInclusionSuffixes", POD, Deprecated, Text),
    row("sidecar.istio.io/status", POD, Alpha, Text),
    row("sidecar.istio.io/userVolume", POD, Alpha, Text),
    row("sidecar.istio.io/userVolumeMount", POD, Alpha, Text),
    row("status.sidecar.istio.io/port", POD, Alpha, Number),
    row("topology.istio.io/controlPlaneClusters", &["Namespace"], Alpha, Text),
    row("traffic.istio.io/nodeSelector", SERVICE, Settled, Text),
    row("traffic.sidecar.istio.io/excludeInboundPorts", POD, Alpha, Ports),
    row("traffic.sidecar.istio.io/excludeInterfaces", POD, Alpha, Text),
    row("traffic.sidecar.istio.io/excludeOutboundIPRanges", POD, Alpha, Ranges),
    row("traffic.sidecar.istio.io/excludeOutboundPorts", POD, Alpha, Ports),
    row("traffic.sidecar.istio.io/includeInboundPorts", POD, Alpha, Ports),
    row("traffic.sidecar.istio.io/includeOutboundIPRanges", POD, Alpha, Ranges),
    row("traffic.sidecar.istio.io/includeOutboundPorts", POD, Alpha, Ports),
    row("traffic.sidecar.istio.io/kubevirtInterfaces", POD, Alpha, Text),
];

/// Annotations that Istio itself writes on pods, of which their authors know nothing.
const WRITTEN_BY_ISTIO: [&str; 3] =
    ["istio.io/rev", "ambient.istio.io/redirection", "sidecar.istio.io/status"];
/// Those that the CNI plugin writes.
const WRITTEN_BY_CNI: [&str; 4] = [
    "sidecar.istio.io/interceptionMode",
    "traffic.sidecar.istio.io/excludeInboundPorts",
    "traffic.sidecar.istio.io/includeInboundPorts",
    "traffic.sidecar.istio.io/includeOutboundIPRanges",
];

fn find(name: &str) -> Option<&'static Annotation> {
    KNOWN.iter().find(|annotation| annotation.name == name)
}

fn field(name: &str) -> FieldPath {
    FieldPath::root().keys("metadata.annotations").key(name)
}

/// IST0136: annotations of unfinished features.
pub(super) fn alpha(input: Input<'_>, report: &mut Report) {
    fn check<T: ObjectKind>(
        objects: &[std::sync::Arc<Object<T>>],
        written: impl Fn(&Object<T>, &str) -> bool,
        report: &mut Report,
    ) {
        for object in objects {
            for name in object.meta.annotations.keys() {
                let unfinished = find(name).is_some_and(|it| it.stage != Settled);
                if unfinished && !written(object, name) {
                    let text = format!("{name} belongs to an unfinished feature and may change");
                    report.add(object, field(name), codes::ALPHA_ANNOTATION.message(text));
                }
            }
        }
    }
    let objects = input.objects();
    check(
        &objects.pods,
        |pod, name| {
            let by_cni = pod.spec.init_containers.iter().any(|it| it.name == "istio-validation");
            WRITTEN_BY_ISTIO.contains(&name) || (by_cni && WRITTEN_BY_CNI.contains(&name))
        },
        report,
    );
    check(&objects.deployments, |_, _| false, report);
    check(&objects.services, |_, _| false, report);
    check(&objects.namespaces, |_, _| false, report);
    check(&objects.ingresses, |_, _| false, report);
}

/// IST0107, IST0108, IST0125 and IST0135: annotations that mean nothing here, or not what they say.
pub(super) fn known(input: Input<'_>, report: &mut Report) {
    fn check<T: ObjectKind>(objects: &[std::sync::Arc<Object<T>>], report: &mut Report) {
        for object in objects {
            for (name, value) in &object.meta.annotations {
                if name.contains("istio.io/") && !name.starts_with("internal.istio.io/") {
                    check_one(object, name, value, report);
                }
            }
        }
    }
    let objects = input.objects();
    check(&objects.pods, report);
    check(&objects.deployments, report);
    check(&objects.services, report);
    check(&objects.namespaces, report);
    check(&objects.ingresses, report);
}

fn check_one<T: ObjectKind>(object: &Object<T>, name: &str, value: &str, report: &mut Report) {
    let Some(annotation) = find(name) else {
        let mut message =
            codes::UNKNOWN_ANNOTATION.message(format!("{name} is no annotation that Istio knows"));
        if let Some(near) = super::nearest(name, KNOWN.iter().map(|it| it.name)) {
            message = message.help(format!("did you mean {near}?"));
        }
        return report.add(object, field(name), message);
    };
    if annotation.on != ANY && !annotation.on.contains(&T::KIND) {
        let kinds = annotation.on.join(", ");
        let mut message = codes::MISPLACED_ANNOTATION
            .message(format!("{name} has a meaning on {kinds} only, not on {}", T::KIND));
        if annotation.on == POD && T::KIND == "Deployment" {
            message = message.help("move it to spec.template.metadata.annotations");
        }
        return report.add(object, field(name), message);
    }
    if let Some(problem) = problem(annotation.value, value) {
        report.add(
            object,
            field(name),
            codes::INVALID_ANNOTATION.message(format!("{name}: {problem}")),
        );
    }
    if annotation.stage == Deprecated {
        report.add(
            object,
            field(name),
            codes::DEPRECATED_ANNOTATION.message(format!("{name} is deprecated")),
        );
    }
}

fn problem(kind: Value, value: &str) -> Option<String> {
    let each = |is_valid: fn(&str) -> bool| {
        let mut parts = value.split(',').map(str::trim).filter(|part| !part.is_empty());
        parts.find(|part| !is_valid(part)).map(str::to_owned)
    };
    let is_range =
        |part: &str| part == "*" || part.parse::<IpNet>().is_ok() || part.parse::<IpAddr>().is_ok();
    match kind {
        Text => None,
        Bool => (!matches!(
            value,
            "true" | "false" | "True" | "False" | "TRUE" | "FALSE" | "1" | "0" | "t" | "f"
        ))
        .then(|| format!("{value:?} is neither true nor false")),
        Number => value.parse::<u32>().is_err().then(|| format!("{value:?} is not a whole number")),
        Ports => each(|part| part == "*" || part.parse::<u16>().is_ok())
            .map(|part| format!("{part:?} is not a port")),
        Ranges => each(is_range).map(|part| format!("{part:?} is not an address range")),
    }
}
