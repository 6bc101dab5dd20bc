//! Services, ServiceEntries and DestinationRules.

use std::collections::{BTreeMap, BTreeSet};

use serin_api::core::{Deployment, Service};
use serin_api::networking::{ClientTlsMode, ClientTlsSettings, DestinationRule, ServiceEntry};
use serin_api::{FieldPath, Object};

use super::workloads::{full_name, injection_of, is_system, namespace_injects, selects};
use super::{Input, Report, codes};
use crate::host::Host;
use crate::registry::Protocol;

/// IST0116 and IST0137: one Deployment behind Services that disagree about a port.
pub(super) fn several_of_a_deployment(input: Input<'_>, report: &mut Report) {
    for deployment in &input.objects().deployments {
        let services = services_of(input, deployment);
        if services.len() < 2 || !is_injected(input, deployment) {
            continue;
        }
        let ports = || {
            services
                .iter()
                .flat_map(|service| service.spec.ports.iter().map(move |port| (*service, port)))
        };
        let mut protocols: BTreeMap<i32, BTreeMap<&str, BTreeSet<String>>> = BTreeMap::new();
        let mut targets: BTreeMap<String, BTreeMap<i32, BTreeSet<String>>> = BTreeMap::new();
        for (service, port) in ports() {
            let protocol = if port.protocol.is_empty() { "TCP" } else { &port.protocol };
            protocols
                .entry(port.port)
                .or_default()
                .entry(protocol)
                .or_default()
                .insert(full_name(service));
            let target = port
                .target_port
                .as_ref()
                .map_or_else(|| port.port.to_string(), ToString::to_string);
            targets
                .entry(target)
                .or_default()
                .entry(port.port)
                .or_default()
                .insert(full_name(service));
        }
        let at = || FieldPath::spec().keys("template.metadata.labels");
        for (port, by_protocol) in protocols.iter().filter(|(_, by_protocol)| by_protocol.len() > 1)
        {
            let names: BTreeSet<_> = by_protocol.values().flatten().cloned().collect();
            let text = format!(
                "Services {} use port {port} of this Deployment with different protocols",
                join(&names)
            );
            report.add(deployment, at(), codes::DEPLOYMENT_PROTOCOLS.message(text));
        }
        for (target, by_port) in targets.iter().filter(|(_, by_port)| by_port.len() > 1) {
            let names: BTreeSet<_> = by_port.values().flatten().cloned().collect();
            let ports: Vec<_> = by_port.keys().collect();
            let text = format!(
                "Services {} reach target port {target} of this Deployment as different ports {ports:?}",
                join(&names)
            );
            report.add(deployment, at(), codes::DEPLOYMENT_PORTS.message(text));
        }
    }
}

fn join(names: &BTreeSet<String>) -> String {
    names.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
}

fn services_of<'a>(input: Input<'a>, deployment: &Object<Deployment>) -> Vec<&'a Object<Service>> {
    let labels = &deployment.spec.template.metadata.labels;
    let chosen = input.objects().services.iter().filter(|service| {
        let selector = &service.spec.selector;
        service.meta.namespace == deployment.meta.namespace
            && !selector.is_empty()
            && selects(selector, labels)
    });
    chosen.map(|service| &**service).collect()
}

fn is_injected(input: Input<'_>, deployment: &Object<Deployment>) -> bool {
    let template = &deployment.spec.template.metadata;
    injection_of(&template.labels, &template.annotations)
        .unwrap_or_else(|| namespace_injects(input.objects(), &deployment.meta.namespace))
}

/// IST0118 and IST0150: port names that do not tell a protocol.
pub(super) fn port_names(input: Input<'_>, report: &mut Report) {
    for service in &input.objects().services {
        // Services that are made for gateways, and those of the control plane, are not the user's to name.
        let managed = service.meta.labels.contains_key("gateway.istio.io/managed")
            || service.meta.labels.contains_key("istio")
            || service.meta.labels.contains_key("release")
                && service.meta.namespace == "istio-system";
        if managed || is_system(&service.meta.namespace) || service.meta.namespace == "istio-system"
        {
            continue;
        }
        for (index, port) in service.spec.ports.iter().enumerate() {
            let at = FieldPath::spec().key("ports").index(index).key("name");
            let named = names_protocol(port.app_protocol.as_deref(), &port.name, &port.protocol);
            if service.spec.service_type == "ExternalName" {
                if !named || port.name == "tcp" || port.name.starts_with("tcp-") {
                    let text = format!(
                        "port {} of this ExternalName Service is read as TCP: the proxy takes every connection to port {} for it",
                        display(&port.name),
                        port.port
                    );
                    let help = "name the port after its protocol: https, http, tls, grpc…";
                    report.add(service, at, codes::EXTERNAL_NAME_PORT.message(text).help(help));
                }
            } else if !named {
                let text = format!(
                    "port name {} does not begin with a protocol: the proxy has to guess it from the first bytes of each connection",
                    display(&port.name)
                );
                let help = "name it <protocol> or <protocol>-<suffix> (http, http2, grpc, tcp, tls, https…), or set appProtocol";
                report.add(service, at, codes::PORT_NAME.message(text).help(help));
            }
        }
    }
}

fn display(name: &str) -> String {
    if name.is_empty() { "(none)".to_owned() } else { format!("{name:?}") }
}

/// Whether the protocol is said by `appProtocol` or the name's first part. UDP needs no name.
fn names_protocol(app_protocol: Option<&str>, name: &str, transport: &str) -> bool {
    const PROTOCOLS: [&str; 15] = [
        "http", "http2", "h2c", "grpc", "grpc-web", "https", "tls", "tcp", "mongo", "mysql",
        "redis", "udp", "hbone", "ws", "wss",
    ];
    let first = name.split('-').next().unwrap_or_default().to_ascii_lowercase();
    transport == "UDP" || app_protocol.is_some() || PROTOCOLS.contains(&first.as_str())
}

/// IST0128 and IST0129: TLS without checking who answers.
pub(super) fn unverified_servers(input: Input<'_>, report: &mut Report) {
    for rule in &input.objects().destination_rules {
        let Some(policy) = &rule.spec.traffic_policy else { continue };
        let at = FieldPath::spec().key("trafficPolicy");
        if let Some(tls) = policy.tls.as_ref().filter(|tls| is_unverified(rule, tls)) {
            let text = unverified_text(rule, tls, None);
            report.add(rule, at.key("tls"), codes::UNVERIFIED_SERVER.message(text).help(VERIFY));
        }
        for (index, level) in policy.port_level_settings.iter().enumerate() {
            if let Some(tls) = level.tls.as_ref().filter(|tls| is_unverified(rule, tls)) {
                let text = unverified_text(rule, tls, level.port.as_ref().map(|port| port.number));
                let at = at.key("portLevelSettings").index(index).key("tls");
                report.add(rule, at, codes::UNVERIFIED_SERVER_PORT.message(text).help(VERIFY));
            }
        }
    }
}

const VERIFY: &str = "set caCertificates, or credentialName together with a workloadSelector";

fn unverified_text(
    rule: &Object<DestinationRule>,
    tls: &ClientTlsSettings,
    port: Option<u32>,
) -> String {
    let port = port.map(|port| format!(" port {port}")).unwrap_or_default();
    format!(
        "TLS mode {} to {}{port} accepts any certificate: no authorities are set to check it",
        tls.mode, rule.spec.host
    )
}

/// Credentials count only for chosen workloads: sidecars cannot read Secrets otherwise.
fn is_unverified(rule: &Object<DestinationRule>, tls: &ClientTlsSettings) -> bool {
    let has_credential = !tls.credential_name.is_empty() && rule.spec.workload_selector.is_some();
    matches!(tls.mode, ClientTlsMode::Simple | ClientTlsMode::Mutual)
        && tls.ca_certificates.is_empty()
        && !has_credential
        && tls.insecure_skip_verify != Some(true)
}

/// IST0173 and IST0174: subsets without pods, rules without a service.
pub(super) fn subsets_without_pods(input: Input<'_>, report: &mut Report) {
    let registry = input.snapshot.registry();
    for rule in input.objects().destination_rules.iter().filter(|rule| Input::is_written(rule)) {
        let namespace = &rule.meta.namespace;
        let host = Host::resolve(&rule.spec.host, namespace, input.cluster_domain());
        let mut services =
            registry.visible_to(namespace).filter(|service| host.matches(&service.host)).peekable();
        if services.peek().is_none() {
            let text =
                format!("no service has the host {}: the rule applies to nothing", rule.spec.host);
            let known = registry.visible_to(namespace).map(|service| service.host.as_str());
            let mut message = codes::UNKNOWN_RULE_HOST.message(text);
            if let Some(near) = super::nearest(&host, known) {
                message = message.help(format!("did you mean {near}?"));
            }
            report.add(rule, FieldPath::spec().key("host"), message);
            continue;
        }
        let endpoints: Vec<_> = services.flat_map(|service| registry.endpoints(service)).collect();
        // Without any endpoint nothing is known about the pods: they stand in other manifests.
        if endpoints.is_empty() {
            continue;
        }
        for (index, subset) in rule.spec.subsets.iter().enumerate() {
            let chosen =
                endpoints.iter().any(|endpoint| endpoint.workload.has_labels(&subset.labels));
            if !chosen {
                let text = format!(
                    "no pod of {} has the labels {} of subset {}: requests for it are answered with 503",
                    rule.spec.host,
                    super::workloads::written(&subset.labels),
                    subset.name
                );
                report.add(
                    rule,
                    FieldPath::spec().key("subsets").index(index),
                    codes::EMPTY_SUBSET.message(text),
                );
            }
        }
    }
}

/// IST0134: TCP without addresses: the port is taken whatever the address.
pub(super) fn addresses_required(input: Input<'_>, report: &mut Report) {
    let metadata = &input.mesh().default_config.proxy_metadata;
    let is_on = |name: &str| metadata.get(name).is_some_and(|value| value == "true");
    if is_on("ISTIO_META_DNS_CAPTURE") && is_on("ISTIO_META_DNS_AUTO_ALLOCATE") {
        return;
    }
    for entry in &input.objects().service_entries {
        let allocated = entry
            .status
            .get("addresses")
            .and_then(|it| it.as_array())
            .is_some_and(|it| !it.is_empty());
        if !entry.spec.addresses.is_empty() || allocated {
            continue;
        }
        for (index, port) in entry.spec.ports.iter().enumerate() {
            if port.protocol.is_empty() || port.protocol.eq_ignore_ascii_case("TCP") {
                let text = format!(
                    "port {} is plain TCP without addresses: connections to this port of any address are taken for this entry",
                    port.number
                );
                let help = "add `addresses`, or say that the port is HTTP, HTTPS or TLS";
                let at = FieldPath::spec().key("ports").index(index);
                report.add(entry, at, codes::ADDRESSES_REQUIRED.message(text).help(help));
                break;
            }
        }
    }
}

/// IST0177: one host and port with several protocols.
pub(super) fn conflicting_protocols(input: Input<'_>, report: &mut Report) {
    let entries = &input.objects().service_entries;
    for entry in entries {
        for (host_index, host) in entry.spec.hosts.iter().enumerate() {
            for port in &entry.spec.ports {
                let mut names = BTreeSet::from([full_name(entry)]);
                let mut protocols = BTreeSet::from([port.protocol.to_ascii_uppercase()]);
                for other in entries.iter().filter(|other| share_namespaces(entry, other)) {
                    let theirs =
                        other.spec.ports.iter().filter(|theirs| theirs.number == port.number);
                    if !other.spec.hosts.contains(host) {
                        continue;
                    }
                    for theirs in theirs
                        .filter(|theirs| protocol(&theirs.protocol) != protocol(&port.protocol))
                    {
                        names.insert(full_name(other));
                        protocols.insert(theirs.protocol.to_ascii_uppercase());
                    }
                }
                if names.len() > 1 {
                    let protocols: Vec<_> = protocols.into_iter().collect();
                    let text = format!(
                        "ServiceEntries {} give {host} port {} different protocols: {}",
                        join(&names),
                        port.number,
                        protocols.join(", ")
                    );
                    let at = FieldPath::spec().key("hosts").index(host_index);
                    report.add(entry, at, codes::PROTOCOLS_DIFFER.message(text));
                }
            }
        }
    }
}

fn protocol(name: &str) -> Protocol {
    Protocol::parse(name)
}

/// Whether some namespace sees both.
fn share_namespaces(one: &Object<ServiceEntry>, other: &Object<ServiceEntry>) -> bool {
    let scope = |entry: &Object<ServiceEntry>| -> Option<BTreeSet<String>> {
        let export_to = &entry.spec.export_to;
        let everywhere = export_to.is_empty() || export_to.iter().any(|it| it == "*");
        let own = |to: &String| if to == "." { entry.meta.namespace.clone() } else { to.clone() };
        (!everywhere).then(|| export_to.iter().map(own).collect())
    };
    match (scope(one), scope(other)) {
        (Some(one), Some(other)) => !one.is_disjoint(&other),
        _ => true,
    }
}
