//! Injection: namespaces that ask for it, pods that did not get it, and images.

use std::collections::BTreeMap;

use serin_api::FieldPath;
use serin_api::core::{Container, PodSpec, Webhook};
use serin_api::values::LabelSelector;

use super::workloads::{
    Labels, full_name, injection_of, is_ambient, is_system, namespace_injects, proxy_container,
};
use super::{Input, Report, codes};

/// IST0102, IST0103 and IST0123: what namespaces say about injection, and pods without the sidecar they should have.
pub(super) fn namespaces_and_pods(input: Input<'_>, report: &mut Report) {
    let objects = input.objects();
    for namespace in &objects.namespaces {
        let name = &namespace.meta.name;
        if is_system(name) || name == "istio-system" {
            continue;
        }
        let labels = &namespace.meta.labels;
        let (label, revision) = (labels.get("istio-injection"), labels.get("istio.io/rev"));
        let at = FieldPath::root().keys("metadata.labels");
        if label.is_some() && revision.is_some() {
            let text = "the labels istio-injection and istio.io/rev both ask for injection; istio-injection wins";
            report.add(
                namespace,
                at,
                codes::SEVERAL_INJECTION_LABELS.message(text).help("keep one of the two labels"),
            );
        } else if label.is_none()
            && revision.is_none()
            && !labels.contains_key("istio.io/dataplane-mode")
        {
            let text =
                format!("namespace {name} does not ask for injection: its pods get no sidecar");
            let help = format!(
                "kubectl label namespace {name} istio-injection=enabled (or =disabled to say that it is meant so)"
            );
            report.add(namespace, at, codes::NAMESPACE_NOT_INJECTED.message(text).help(help));
        }
    }
    for pod in &objects.pods {
        let wants = injection_of(&pod.meta.labels, &pod.meta.annotations)
            .unwrap_or_else(|| namespace_injects(objects, &pod.meta.namespace));
        let exempt = pod.spec.host_network || is_ambient(pod) || is_system(&pod.meta.namespace);
        if wants
            && namespace_injects(objects, &pod.meta.namespace)
            && !exempt
            && proxy_container(&pod.spec).is_none()
        {
            let text = format!(
                "pod {} has no sidecar though its namespace asks for injection",
                full_name(pod)
            );
            let help = "restart or redeploy the workload: injection happens when a pod is made";
            report.add(
                pod,
                FieldPath::spec().key("containers"),
                codes::POD_MISSING_PROXY.message(text).help(help),
            );
        }
    }
}

/// IST0158: pods whose proxy is another image than injection would give them.
pub(super) fn images(input: Input<'_>, report: &mut Report) {
    let objects = input.objects();
    let injected = injected_images(input);
    let mut wrong: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for pod in &objects.pods {
        let chosen = pod.meta.annotations.contains_key("sidecar.istio.io/proxyImage");
        if chosen || injection_of(&pod.meta.labels, &pod.meta.annotations) == Some(false) {
            continue;
        }
        let Some(namespace) =
            objects.namespaces.iter().find(|it| it.meta.name == pod.meta.namespace)
        else {
            continue;
        };
        let labels = &namespace.meta.labels;
        let revision =
            match (labels.get("istio-injection").map(String::as_str), labels.get("istio.io/rev")) {
                (Some("enabled"), _) => "default",
                (None, Some(revision)) => revision,
                _ => continue,
            };
        let (Some(proxy), Some(image)) = (proxy_container(&pod.spec), injected.get(revision))
        else {
            continue;
        };
        if without_variant(&proxy.image) != without_variant(image) {
            wrong.entry(&pod.meta.namespace).or_default().push(&pod.meta.name);
        }
    }
    for namespace in &objects.namespaces {
        if let Some(pods) = wrong.get(namespace.meta.name.as_str()) {
            let text = format!(
                "pods {} run another proxy image than injection gives to new pods",
                pods.join(", ")
            );
            let help = "redeploy them; this is usual after an upgrade of the control plane";
            report.add(namespace, FieldPath::root(), codes::PROXY_IMAGE.message(text).help(help));
        }
    }
}

/// An image may come with a smaller or a debugging file system.
fn without_variant(image: &str) -> &str {
    image.strip_suffix("-distroless").or_else(|| image.strip_suffix("-debug")).unwrap_or(image)
}

/// The image each revision's injector writes, from its ConfigMap.
fn injected_images(input: Input<'_>) -> BTreeMap<String, String> {
    let injectors = input
        .objects()
        .config_maps
        .iter()
        .filter(|it| it.meta.name.starts_with("istio-sidecar-injector"));
    let images = injectors.filter_map(|config| {
        let values: serde_json::Value =
            serde_json::from_str(config.spec.data.get("values")?).ok()?;
        let global = values.get("global")?;
        let image = global.pointer("/proxy/image")?.as_str()?;
        let image = if image.contains('/') {
            image.to_owned()
        } else {
            format!("{}/{image}:{}", global.get("hub")?.as_str()?, global.get("tag")?.as_str()?)
        };
        let revision = config.meta.labels.get("istio.io/rev").map_or("default", String::as_str);
        Some((revision.to_owned(), image))
    });
    images.collect()
}

/// IST0146 and IST0147: `image: auto`, which only injection can replace.
pub(super) fn image_auto(input: Input<'_>, report: &mut Report) {
    let objects = input.objects();
    let injected = |namespace: &str, labels: &Labels| {
        let of_namespace = objects.namespaces.iter().find(|it| it.meta.name == namespace);
        let none = Labels::new();
        let namespace_labels = of_namespace.map_or(&none, |it| &it.meta.labels);
        let mut hooks = objects.mutating_webhooks.iter().flat_map(|it| &it.spec.webhooks);
        hooks.any(|hook| is_injector(hook) && chooses(hook, namespace_labels, labels))
    };
    let text =
        "`image: auto` is replaced by injection, but no injection webhook applies to this workload";
    let help =
        "label the namespace istio-injection=enabled, or the pods sidecar.istio.io/inject=\"true\"";
    for pod in &objects.pods {
        if has_auto(&pod.spec) && !injected(&pod.meta.namespace, &pod.meta.labels) {
            report.add(
                pod,
                FieldPath::spec().key("containers"),
                codes::IMAGE_AUTO_POD.message(text).help(help),
            );
        }
    }
    for deployment in &objects.deployments {
        let template = &deployment.spec.template;
        if has_auto(&template.spec)
            && !injected(&deployment.meta.namespace, &template.metadata.labels)
        {
            let at = FieldPath::spec().keys("template.spec.containers");
            report.add(deployment, at, codes::IMAGE_AUTO_TEMPLATE.message(text).help(help));
        }
    }
}

fn has_auto(pod: &PodSpec) -> bool {
    let is_auto =
        |container: &Container| container.name == "istio-proxy" && container.image == "auto";
    pod.containers.iter().chain(&pod.init_containers).any(is_auto)
}

fn is_injector(hook: &Webhook) -> bool {
    hook.name.ends_with("sidecar-injector.istio.io")
}

fn chooses(hook: &Webhook, namespace: &Labels, object: &Labels) -> bool {
    let fits = |selector: &Option<LabelSelector>, labels: &Labels| {
        selector.as_ref().is_none_or(|it| it.matches(labels))
    };
    fits(&hook.namespace_selector, namespace) && fits(&hook.object_selector, object)
}
