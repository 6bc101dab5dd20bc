//! AuthorizationPolicies, RequestAuthentications, Sidecars and Telemetries: what they select.

use std::collections::BTreeMap;

use serin_api::core::Pod;
use serin_api::{FieldPath, Meta, Object};

use super::codes::Kind;
use super::workloads::{
    Labels, full_name, is_ambient, is_ambient_namespace, is_in_mesh, namespace, selects, written,
};
use super::{Input, Report, codes};
use crate::snapshot::Kind as ObjectKind;

/// IST0127 and IST0101: policies for workloads and namespaces that are not there.
pub(super) fn authorization(input: Input<'_>, report: &mut Report) {
    let objects = input.objects();
    let pods: Vec<_> =
        objects.pods.iter().filter(|pod| is_in_mesh(objects, pod) || is_ambient(pod)).collect();
    for policy in &objects.authorization_policies {
        let everywhere = policy.meta.namespace == input.root_namespace();
        let mut here =
            pods.iter().filter(|pod| everywhere || pod.meta.namespace == policy.meta.namespace);
        let selector = policy.spec.selector.as_ref().map(|selector| &selector.match_labels);
        let attached = policy.spec.target_ref.is_some() || !policy.spec.target_refs.is_empty();
        let matched = match selector {
            _ if attached => true,
            None => everywhere || here.next().is_some(),
            Some(labels) => here.any(|pod| selects(labels, &pod.meta.labels)),
        };
        if !matched {
            let text = match selector {
                Some(labels) => format!(
                    "no workload has the labels {}: the policy protects nothing",
                    written(labels)
                ),
                None => format!(
                    "namespace {} has no workload: the policy protects nothing",
                    policy.meta.namespace
                ),
            };
            report.add(
                policy,
                FieldPath::spec().key("selector"),
                codes::NO_WORKLOADS.message(text),
            );
        }
        for (rule_index, rule) in policy.spec.rules.iter().enumerate() {
            for (index, source) in rule.from.iter().enumerate() {
                let Some(source) = &source.source else { continue };
                let at = FieldPath::spec()
                    .key("rules")
                    .index(rule_index)
                    .key("from")
                    .index(index)
                    .key("source");
                for (field, names) in
                    [("namespaces", &source.namespaces), ("notNamespaces", &source.not_namespaces)]
                {
                    for (index, name) in
                        names.iter().enumerate().filter(|(_, name)| !namespace_exists(input, name))
                    {
                        let text = format!("there is no namespace {name}");
                        report.add(
                            policy,
                            at.key(field).index(index),
                            codes::NOT_FOUND.message(text),
                        );
                    }
                }
            }
        }
    }
}

/// Whether a namespace fits a name, `prefix*`, `*suffix` or `*`.
fn namespace_exists(input: Input<'_>, pattern: &str) -> bool {
    let fits = |name: &str| match (pattern.strip_suffix('*'), pattern.strip_prefix('*')) {
        (Some(prefix), _) => name.starts_with(prefix),
        (None, Some(suffix)) => name.ends_with(suffix),
        (None, None) => name == pattern,
    };
    input.objects().namespaces.iter().any(|namespace| fits(&namespace.meta.name))
}

/// IST0175: keys that istiod fetches from anywhere. Says nothing where istiod is not among the manifests.
pub(super) fn blocked_cidrs(input: Input<'_>, report: &mut Report) {
    const SETTING: &str = "BLOCKED_CIDRS_IN_JWKS_URIS";
    let objects = input.objects();
    let is_istiod = |labels: &Labels| labels.get("app").is_some_and(|app| app == "istiod");
    let istiod = objects
        .deployments
        .iter()
        .filter(|it| is_istiod(&it.spec.template.metadata.labels) || is_istiod(&it.meta.labels));
    let unrestricted: Vec<_> = istiod
        .filter(|it| {
            let mut settings =
                it.spec.template.spec.containers.iter().flat_map(|container| &container.env);
            !settings.any(|setting| setting.name == SETTING && !setting.value.is_empty())
        })
        .collect();
    let fetching = |it: &&std::sync::Arc<Object<serin_api::security::RequestAuthentication>>| {
        it.spec.jwt_rules.iter().any(|rule| !rule.jwks_uri.is_empty() || rule.jwks.is_empty())
    };
    let names: Vec<_> =
        objects.request_authentications.iter().filter(fetching).map(|it| full_name(it)).collect();
    for deployment in unrestricted.iter().filter(|_| !names.is_empty()) {
        let text = format!(
            "{SETTING} is not set, so that the key addresses of {} may lead anywhere",
            names.join(", ")
        );
        let help = format!("set {SETTING} to the address ranges that must not be reached");
        report.add(
            deployment,
            FieldPath::spec().keys("template.spec"),
            codes::KEY_FETCH.message(text).help(help),
        );
    }
}

/// IST0166: selectors that mean pods of a Kubernetes Gateway.
pub(super) fn selectors_of_kubernetes_gateways(input: Input<'_>, report: &mut Report) {
    fn check<T: ObjectKind>(
        input: Input<'_>,
        report: &mut Report,
        object: &Object<T>,
        selector: Option<&Labels>,
        attached: bool,
    ) {
        let Some(labels) = selector.filter(|labels| !labels.is_empty() && !attached) else {
            return;
        };
        let name = input.objects().pods.iter().find_map(|pod| {
            let gateway = pod.meta.labels.get("gateway.networking.k8s.io/gateway-name")?;
            (pod.meta.namespace == object.meta.namespace && selects(labels, &pod.meta.labels))
                .then_some(gateway)
        });
        if let Some(gateway) = name {
            let text =
                format!("the selector has no effect on the pods of Kubernetes Gateway {gateway}");
            let help = format!(
                "use targetRefs: [{{group: gateway.networking.k8s.io, kind: Gateway, name: {gateway}}}]"
            );
            report.add(
                object,
                FieldPath::spec().key("selector"),
                codes::INEFFECTIVE_SELECTOR.message(text).help(help),
            );
        }
    }
    macro_rules! check_all {
        ($($list:ident),+) => {$(
            for object in &input.objects().$list {
                let spec = &object.spec;
                let attached = spec.target_ref.is_some() || !spec.target_refs.is_empty();
                check(input, report, object, spec.selector.as_ref().map(|it| &it.match_labels), attached);
            }
        )+};
    }
    check_all!(request_authentications, authorization_policies, telemetries, wasm_plugins);
}

/// IST0101, IST0110, IST0111 and IST0167: Sidecars for no pod, or several for one.
pub(super) fn sidecar_selectors(input: Input<'_>, report: &mut Report) {
    let sidecars = &input.objects().sidecars;
    let selector = |labels: &Labels| (!labels.is_empty()).then(|| labels.clone());
    let selectors: Vec<_> = sidecars
        .iter()
        .map(|it| it.spec.workload_selector.as_ref().and_then(|it| selector(&it.labels)))
        .collect();
    let claims = Claims {
        field: "workloadSelector",
        same_workload: codes::SIDECARS_SAME_WORKLOAD,
        what: "Sidecars",
        without_selector: Some(codes::SIDECARS_WITHOUT_SELECTOR),
    };
    claims.check(input, sidecars, &selectors, report);
    for (sidecar, selector) in sidecars.iter().zip(&selectors) {
        let ambient = match selector {
            None => namespace(input.objects(), &sidecar.meta.namespace)
                .is_some_and(|it| is_ambient_namespace(&it.meta.labels)),
            Some(labels) => {
                let mut pods = input
                    .objects()
                    .pods
                    .iter()
                    .filter(|pod| pod.meta.namespace == sidecar.meta.namespace);
                pods.any(|pod| selects(labels, &pod.meta.labels) && is_ambient(pod))
            }
        };
        if ambient {
            let text = "the workloads are in ambient mode, where Sidecars have no effect";
            report.add(sidecar, FieldPath::spec(), codes::INEFFECTIVE_POLICY.message(text));
        }
    }
}

/// IST0101 and IST0159: Telemetries for no pod, or several for one.
pub(super) fn telemetry_selectors(input: Input<'_>, report: &mut Report) {
    let claims = Claims {
        field: "selector",
        same_workload: codes::TELEMETRIES_SAME_WORKLOAD,
        what: "Telemetries",
        without_selector: None,
    };
    let telemetries = &input.objects().telemetries;
    claims.check(input, telemetries, &telemetry_labels(input), report);
}

/// IST0160: several Telemetries for a whole namespace.
pub(super) fn telemetry_defaults(input: Input<'_>, report: &mut Report) {
    let telemetries = &input.objects().telemetries;
    report_defaults(
        telemetries,
        &telemetry_labels(input),
        codes::TELEMETRIES_WITHOUT_SELECTOR,
        "Telemetries",
        report,
    );
}

fn telemetry_labels(input: Input<'_>) -> Vec<Option<Labels>> {
    let labels = |it: &serin_api::telemetry::Telemetry| {
        let attached = it.target_ref.is_some() || !it.target_refs.is_empty();
        // Attached ones select by what they are attached to.
        if attached {
            Some(Labels::new())
        } else {
            it.selector.as_ref().map(|it| it.match_labels.clone()).filter(|it| !it.is_empty())
        }
    };
    input.objects().telemetries.iter().map(|it| labels(&it.spec)).collect()
}

/// Objects that each may claim a pod, and a pod only one of them.
struct Claims {
    field: &'static str,
    same_workload: Kind,
    what: &'static str,
    without_selector: Option<Kind>,
}

impl Claims {
    fn check<T: ObjectKind>(
        &self,
        input: Input<'_>,
        objects: &[std::sync::Arc<Object<T>>],
        selectors: &[Option<Labels>],
        report: &mut Report,
    ) {
        let at = FieldPath::spec().key(self.field);
        let pods = &input.objects().pods;
        let mut of_pod: BTreeMap<(&str, &str), Vec<usize>> = BTreeMap::new();
        for (index, (object, selector)) in objects.iter().zip(selectors).enumerate() {
            let Some(labels) = selector.as_ref().filter(|labels| !labels.is_empty()) else {
                continue;
            };
            let chosen: Vec<&Meta> = pods
                .iter()
                .map(|pod: &std::sync::Arc<Object<Pod>>| &pod.meta)
                .filter(|pod| {
                    pod.namespace == object.meta.namespace && selects(labels, &pod.labels)
                })
                .collect();
            if chosen.is_empty() {
                let text = format!(
                    "no pod in namespace {} has the labels {}",
                    object.meta.namespace,
                    written(labels)
                );
                report.add(object, at.clone(), codes::NOT_FOUND.message(text));
            }
            for pod in chosen {
                of_pod.entry((&pod.namespace, &pod.name)).or_default().push(index);
            }
        }
        for ((namespace, pod), claims) in of_pod.iter().filter(|(_, claims)| claims.len() > 1) {
            let mut names: Vec<_> = claims
                .iter()
                .filter_map(|&index| Some(objects.get(index)?.meta.name.clone()))
                .collect();
            names.sort();
            for object in claims.iter().filter_map(|&index| objects.get(index)) {
                let text = format!(
                    "{} {} all select pod {namespace}/{pod}; which one applies is undefined",
                    self.what,
                    names.join(", ")
                );
                report.add(object, at.clone(), self.same_workload.message(text));
            }
        }
        if let Some(kind) = self.without_selector {
            report_defaults(objects, selectors, kind, self.what, report);
        }
    }
}

fn report_defaults<T: ObjectKind>(
    objects: &[std::sync::Arc<Object<T>>],
    selectors: &[Option<Labels>],
    kind: Kind,
    what: &str,
    report: &mut Report,
) {
    let mut of_namespace: BTreeMap<&str, Vec<&Object<T>>> = BTreeMap::new();
    for (object, _) in objects.iter().zip(selectors).filter(|(_, selector)| selector.is_none()) {
        of_namespace.entry(&object.meta.namespace).or_default().push(object);
    }
    for (namespace, objects) in of_namespace.iter().filter(|(_, objects)| objects.len() > 1) {
        let mut names: Vec<_> = objects.iter().map(|object| object.meta.name.as_str()).collect();
        names.sort_unstable();
        for object in objects {
            let text = format!(
                "{what} {} of namespace {namespace} have no selector; which one applies is undefined",
                names.join(", ")
            );
            report.add(*object, FieldPath::spec(), kind.message(text));
        }
    }
}

/// IST0157: Telemetries that name no provider where there is no default one.
pub(super) fn telemetry_providers(input: Input<'_>, report: &mut Report) {
    let defaults = &input.mesh().default_providers;
    for telemetry in &input.objects().telemetries {
        let spec = &telemetry.spec;
        let logging = defaults.access_logging.is_empty()
            && spec
                .access_logging
                .iter()
                .any(|it| it.providers.is_empty() && it.disabled != Some(true));
        if logging {
            let text = "a part of accessLogging names no provider, and the mesh has no default one: it has no effect";
            let help = "add `providers: [{name: envoy}]`";
            report.add(
                telemetry,
                FieldPath::spec().key("accessLogging"),
                codes::TELEMETRY_PROVIDER.message(text).help(help),
            );
        }
    }
}
