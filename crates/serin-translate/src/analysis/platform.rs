//! What surrounds the mesh: webhooks, networks, versions, users, deprecated fields, conditions.

use std::net::IpAddr;

use serin_api::core::{PodSpec, Webhook};
use serin_api::{FieldPath, Object, ObjectRef};

use super::workloads::full_name;
use super::{Input, Report, codes};
use crate::snapshot::Kind as ObjectKind;

/// The user id of the sidecar.
const PROXY_USER: i64 = 1337;

/// IST0144: workloads that run as the sidecar's user, whose traffic is not captured.
pub(super) fn application_uid(input: Input<'_>, report: &mut Report) {
    let text = "user id 1337 is the sidecar's: traffic of processes that run as it does not go through the sidecar";
    for pod in &input.objects().pods {
        if let Some(at) = reserved_user(&pod.spec) {
            report.add(pod, FieldPath::spec().join(&at), codes::RESERVED_UID.message(text));
        }
    }
    for deployment in &input.objects().deployments {
        if let Some(at) = reserved_user(&deployment.spec.template.spec) {
            let at = FieldPath::spec().keys("template.spec").join(&at);
            report.add(deployment, at, codes::RESERVED_UID.message(text));
        }
    }
}

fn reserved_user(pod: &PodSpec) -> Option<FieldPath> {
    if pod.security_context.as_ref().is_some_and(|it| it.run_as_user == Some(PROXY_USER)) {
        return Some(FieldPath::root().keys("securityContext.runAsUser"));
    }
    let containers = pod.containers.iter().enumerate();
    let others = containers
        .filter(|(_, container)| !matches!(container.name.as_str(), "istio-proxy" | "istio-init"));
    let mut reserved = others.filter(|(_, it)| {
        it.security_context.as_ref().is_some_and(|it| it.run_as_user == Some(PROXY_USER))
    });
    let (index, _) = reserved.next()?;
    Some(FieldPath::root().key("containers").index(index).keys("securityContext.runAsUser"))
}

/// IST0002: deprecated fields and kinds.
pub(super) fn deprecations(input: Input<'_>, report: &mut Report) {
    for virtual_service in input.snapshot.written_virtual_services() {
        for (index, rule) in virtual_service.spec.http.iter().enumerate() {
            let delay = rule.fault.as_ref().and_then(|fault| fault.delay.as_ref());
            if delay.is_some_and(|delay| delay.percent > 0) {
                let at = FieldPath::spec().key("http").index(index).keys("fault.delay.percent");
                report.add(
                    virtual_service,
                    at,
                    codes::DEPRECATED
                        .message("fault.delay.percent is deprecated")
                        .help("write `percentage: {value: …}`"),
                );
            }
        }
    }
    for sidecar in &input.objects().sidecars {
        if sidecar
            .spec
            .outbound_traffic_policy
            .as_ref()
            .is_some_and(|policy| policy.egress_proxy.is_some())
        {
            let at = FieldPath::spec().keys("outboundTrafficPolicy.egressProxy");
            report.add(
                sidecar,
                at,
                codes::DEPRECATED.message("outboundTrafficPolicy.egressProxy is deprecated"),
            );
        }
    }
    const REMOVED: [&str; 4] =
        ["ClusterRbacConfig", "RbacConfig", "ServiceRole", "ServiceRoleBinding"];
    for definition in &input.objects().custom_resource_definitions {
        let kind = definition.spec.names.kind.as_str();
        if definition.spec.group == "rbac.istio.io" && REMOVED.contains(&kind) {
            let text =
                format!("kind {kind} was removed from Istio; AuthorizationPolicy takes its place");
            report.add(
                definition,
                FieldPath::spec().keys("names.kind"),
                codes::DEPRECATED.message(text),
            );
        }
    }
}

/// IST0163 and IST0164: webhooks of an external control plane that lead to an address.
pub(super) fn external_control_plane(input: Input<'_>, report: &mut Report) {
    let mut check = |object: &ObjectRef, hooks: &[Webhook]| {
        for (index, hook) in hooks.iter().enumerate() {
            let Some(url) = &hook.client_config.url else { continue };
            let at = FieldPath::root().key("webhooks").index(index).keys("clientConfig.url");
            let host = host_of(url);
            if host.is_empty() {
                let text = format!("the address {url} of webhook {} has no host", hook.name);
                report.add_to(object, at, codes::EXTERNAL_CONTROL_PLANE.message(text));
            } else if host.parse::<IpAddr>().is_ok() {
                let text = format!(
                    "webhook {} reaches the control plane by the address {host} rather than a name",
                    hook.name
                );
                report.add_to(object, at, codes::EXTERNAL_CONTROL_PLANE_ADDRESS.message(text));
                // One of the webhooks of a configuration says it all.
                break;
            }
        }
    };
    for it in input
        .objects()
        .mutating_webhooks
        .iter()
        .filter(|it| it.meta.name.contains("istio-sidecar-injector"))
    {
        check(&it.reference(), &it.spec.webhooks);
    }
    for it in input.objects().validating_webhooks.iter().filter(|it| is_validator(&it.meta.name)) {
        check(&it.reference(), &it.spec.webhooks);
    }
}

fn is_validator(name: &str) -> bool {
    name.contains("istio-validator") || name.contains("istiod-default-validator")
}

fn host_of(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    }
}

/// IST0176: Gateway API CRDs older than what is needed.
pub(super) fn gateway_api_versions(input: Input<'_>, report: &mut Report) {
    // TLSRoute is read in the version that came with 1.5.
    const MINIMUM: [(&str, [u32; 3]); 1] = [("tlsroutes.gateway.networking.k8s.io", [1, 5, 0])];
    const ANNOTATION: &str = "gateway.networking.k8s.io/bundle-version";
    for definition in &input.objects().custom_resource_definitions {
        let Some((_, minimum)) = MINIMUM.iter().find(|(name, _)| *name == definition.meta.name)
        else {
            continue;
        };
        let Some(written) = definition.meta.annotations.get(ANNOTATION) else { continue };
        if version(written).is_some_and(|installed| installed < *minimum) {
            let [major, minor, patch] = minimum;
            let text = format!(
                "{} is of Gateway API {written}, older than v{major}.{minor}.{patch}: objects of this kind are not read",
                definition.meta.name
            );
            let at = FieldPath::root().keys("metadata.annotations").key(ANNOTATION);
            report.add(
                definition,
                at,
                codes::OLD_GATEWAY_API
                    .message(text)
                    .help("install the CRDs of a newer Gateway API release"),
            );
        }
    }
}

/// `v1.4.1`, also with a suffix such as `-rc.1`, which does not count.
fn version(text: &str) -> Option<[u32; 3]> {
    let numbers = text.strip_prefix('v')?.split('-').next()?;
    let mut parts = numbers.split('.').map(|part| part.parse().ok());
    Some([parts.next()??, parts.next()??, parts.next()??])
}

/// IST0126: networks of registries that nobody knows.
pub(super) fn mesh_networks(input: Input<'_>, report: &mut Report) {
    let Some(networks) = input.networks else { return };
    let object = ObjectRef {
        api_version: "mesh.istio.io/v1alpha1".to_owned(),
        kind: "MeshNetworks".to_owned(),
        namespace: input.root_namespace().to_owned(),
        name: "meshnetworks".to_owned(),
    };
    let known = registries(input);
    for (name, network) in &networks.networks {
        for (index, endpoints) in network.endpoints.iter().enumerate() {
            let Some(registry) = endpoints.from_registry.as_ref().filter(|it| !known.contains(it))
            else {
                continue;
            };
            let text = format!(
                "network {name} takes its endpoints from registry {registry}, which is not known"
            );
            let at = FieldPath::root()
                .key("networks")
                .key(name)
                .key("endpoints")
                .index(index)
                .key("fromRegistry");
            report.add_to(&object, at, codes::UNKNOWN_REGISTRY.message(text));
        }
    }
}

/// Remote clusters are known by the Secrets that hold their kubeconfigs.
fn registries(input: Input<'_>) -> Vec<String> {
    let secrets = input.objects().secrets.iter();
    let remote = secrets
        .filter(|it| it.meta.labels.get("istio/multiCluster").is_some_and(|value| value == "true"));
    remote.flat_map(|it| it.spec.data.keys().chain(it.spec.string_data.keys())).cloned().collect()
}

/// IST0139: injection webhooks that lead nowhere or overlap.
pub(super) fn webhooks(input: Input<'_>, report: &mut Report) {
    let objects = input.objects();
    let injectors = || {
        let configurations = objects.mutating_webhooks.iter();
        configurations.flat_map(|it| {
            let hooks = it.spec.webhooks.iter().enumerate();
            hooks
                .filter(|(_, hook)| hook.name.ends_with("sidecar-injector.istio.io"))
                .map(move |(index, hook)| (it, index, hook))
        })
    };
    for (configuration, index, hook) in injectors() {
        let at = FieldPath::root().key("webhooks").index(index);
        let same = |other: &Webhook| {
            other.namespace_selector == hook.namespace_selector
                && other.object_selector == hook.object_selector
        };
        let others = injectors().filter(|(other, _, _)| other.meta.name != configuration.meta.name);
        let others: Vec<_> =
            others.filter(|(_, _, it)| same(it)).map(|(it, _, _)| it.meta.name.as_str()).collect();
        if !others.is_empty() {
            let text = format!(
                "webhook {} applies to the same pods as those of {}",
                hook.name,
                others.join(", ")
            );
            report.add(configuration, at.clone(), codes::INVALID_WEBHOOK.message(text));
        }
        let Some(service) = &hook.client_config.service else { continue };
        let exists = objects
            .services
            .iter()
            .any(|it| it.meta.name == service.name && it.meta.namespace == service.namespace);
        if !exists {
            let text = format!(
                "webhook {} leads to Service {}/{}, which does not exist",
                hook.name, service.namespace, service.name
            );
            report.add(
                configuration,
                at.keys("clientConfig.service"),
                codes::INVALID_WEBHOOK.message(text),
            );
        }
    }
}

/// IST0171: objects whose status says that something is wrong.
pub(super) fn conditions(input: Input<'_>, report: &mut Report) {
    fn check<T: ObjectKind>(objects: &[std::sync::Arc<Object<T>>], report: &mut Report) {
        for object in objects {
            for condition in conditions_of(&object.status) {
                let text =
                    |name: &str| condition.get(name).and_then(|it| it.as_str()).unwrap_or_default();
                if text("status") == "False" {
                    let message = format!(
                        "condition {} of {} is False: {} {}",
                        text("type"),
                        full_name(object),
                        text("reason"),
                        text("message")
                    );
                    report.add(
                        object,
                        FieldPath::root().keys("status.conditions"),
                        codes::NEGATIVE_CONDITION.message(message),
                    );
                }
            }
        }
    }
    let objects = input.objects();
    check(&objects.service_entries, report);
    check(&objects.authorization_policies, report);
    check(&objects.kubernetes_gateways, report);
    check(&objects.http_routes, report);
    check(&objects.grpc_routes, report);
}

fn conditions_of(
    status: &serde_json::Value,
) -> impl Iterator<Item = &serde_json::Map<String, serde_json::Value>> {
    let direct = status.get("conditions").and_then(|it| it.as_array()).into_iter().flatten();
    let parents = status.get("parents").and_then(|it| it.as_array()).into_iter().flatten();
    let of_parents = parents.filter_map(|it| it.get("conditions")?.as_array()).flatten();
    direct.chain(of_parents).filter_map(|it| it.as_object())
}
