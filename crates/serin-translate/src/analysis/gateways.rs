//! Gateways: the pods that carry them, their ports, their certificates, and each other.

mod credential;

use std::collections::BTreeSet;

use serin_api::core::ServicePort;
use serin_api::networking::{Gateway, Server, ServerTlsMode, ServerTlsSettings};
use serin_api::values::IntOrString;
use serin_api::{FieldPath, Object};

use super::workloads::{Labels, full_name, selects, workloads, written};
use super::{Input, Report, codes};
use crate::host::Host;

fn servers(gateway: &Object<Gateway>) -> impl Iterator<Item = (FieldPath, &Server)> {
    let servers = FieldPath::spec().key("servers");
    gateway
        .spec
        .servers
        .iter()
        .enumerate()
        .map(move |(index, server)| (servers.index(index), server))
}

fn written_gateways<'a>(input: Input<'a>) -> impl Iterator<Item = &'a Object<Gateway>> {
    input
        .objects()
        .gateways
        .iter()
        .map(|gateway| &**gateway)
        .filter(|gateway| Input::is_written(*gateway))
}

/// Namespace and labels of the pods that carry a gateway. Istio looks at pods only; in manifests those count, too, that
/// Deployments will make.
fn pods_of<'a>(input: Input<'a>, gateway: &'a Gateway) -> Vec<(&'a str, &'a Labels)> {
    let objects = input.objects();
    let mut pods = match input.snapshot.settings().expects_pods {
        true => workloads(objects),
        false => {
            objects.pods.iter().map(|it| (it.meta.namespace.as_str(), &it.meta.labels)).collect()
        }
    };
    pods.retain(|(_, labels)| selects(&gateway.selector, labels));
    pods
}

/// IST0162: a server's port that the Service in front of the pods does not lead to. It may be the Service's port or the pods': a server
/// on the Service's port is served on the pods' port that it leads to (istiod's `resolvePorts`), so that Istio's warning about
/// those would be a false one.
pub(super) fn ports(input: Input<'_>, report: &mut Report) {
    for gateway in written_gateways(input) {
        let mut reachable = BTreeSet::new();
        let pods = pods_of(input, &gateway.spec);
        for &(namespace, labels) in &pods {
            let of_pod = |service: &&std::sync::Arc<Object<serin_api::core::Service>>| {
                let selector = &service.spec.selector;
                service.meta.namespace == namespace
                    && !selector.is_empty()
                    && selects(selector, labels)
            };
            let ports = input
                .objects()
                .services
                .iter()
                .filter(of_pod)
                .flat_map(|service| &service.spec.ports);
            let tcp = ports.filter(|port| matches!(port.protocol.as_str(), "" | "TCP"));
            reachable.extend(tcp.flat_map(|port| [target(port), port.port]));
        }
        if pods.is_empty() {
            missing_pods(gateway, report);
            continue;
        }
        for (at, server) in servers(gateway) {
            let Some(port) = &server.port else { continue };
            if !i32::try_from(port.number).is_ok_and(|number| reachable.contains(&number)) {
                let text = format!(
                    "the gateway listens on port {}, which no Service in front of its pods ({}) leads to",
                    port.number,
                    written(&gateway.spec.selector)
                );
                let help = "add a port with this targetPort to the Service of the gateway's pods";
                report.add(
                    gateway,
                    at.keys("port.number"),
                    codes::GATEWAY_PORT.message(text).help(help),
                );
            }
        }
    }
}

/// The pods' port that a Service's port leads to; a named one counts by the Service's own number, as in Istio.
fn target(port: &ServicePort) -> i32 {
    match port.target_port {
        Some(IntOrString::Int(number)) if number != 0 => number,
        _ => port.port,
    }
}

fn missing_pods(gateway: &Object<Gateway>, report: &mut Report) {
    let text = format!(
        "no pod has the labels {}: nothing carries this Gateway",
        written(&gateway.spec.selector)
    );
    report.add(gateway, FieldPath::spec().key("selector"), codes::NOT_FOUND.message(text));
}

/// IST0101 and IST0161: certificates that are missing or cannot be used.
pub(super) fn secrets(input: Input<'_>, report: &mut Report) {
    for gateway in written_gateways(input) {
        let Some(&(namespace, _)) = pods_of(input, &gateway.spec).first() else {
            missing_pods(gateway, report);
            continue;
        };
        for (at, server) in servers(gateway) {
            let Some(tls) = &server.tls else { continue };
            if tls.credential_name.is_empty() {
                continue;
            }
            // A path names a file of the gateway's own, in whatever form.
            let name = tls.credential_name.as_str();
            let field = at.keys("tls.credentialName");
            let secrets = &input.objects().secrets;
            let found =
                secrets.iter().find(|it| it.meta.namespace == namespace && it.meta.name == name);
            match found.map(|secret| credential::problem(&secret.spec, input.now)) {
                None => {
                    let text = format!(
                        "there is no Secret {name} in namespace {namespace}, where the gateway's pods run"
                    );
                    report.add(gateway, field, codes::NOT_FOUND.message(text));
                }
                Some(Some(problem)) => {
                    let text = format!("Secret {namespace}/{name} {problem}");
                    report.add(gateway, field, codes::INVALID_CREDENTIAL.message(text));
                }
                Some(None) => {}
            }
        }
    }
}

/// IST0138: the same certificate on several Gateways of the same pods.
pub(super) fn shared_certificates(input: Input<'_>, report: &mut Report) {
    for gateway in written_gateways(input) {
        let same: Vec<_> = written_gateways(input)
            .filter(|other| {
                !std::ptr::eq(*other, gateway) && share_pods(&other.spec, &gateway.spec)
            })
            .filter(|other| {
                certificates(gateway).any(|one| certificates(other).any(|two| is_same(one, two)))
            })
            .collect();
        if same.is_empty() {
            continue;
        }
        let mut names: Vec<_> =
            same.iter().map(|other| full_name(other)).chain([full_name(gateway)]).collect();
        names.sort();
        let text = format!(
            "Gateways {} serve the same certificate: a client that reuses an HTTP/2 connection for another host may get 404",
            names.join(", ")
        );
        let help = "serve the hosts of one certificate from one Gateway";
        report.add(
            gateway,
            FieldPath::spec().key("servers"),
            codes::SAME_CERTIFICATE.message(text).help(help),
        );
    }
}

fn certificates(gateway: &Object<Gateway>) -> impl Iterator<Item = &ServerTlsSettings> {
    let tls = gateway.spec.servers.iter().filter_map(|server| server.tls.as_ref());
    tls.filter(|tls| matches!(tls.mode, ServerTlsMode::Simple | ServerTlsMode::Mutual))
}

fn is_same(one: &ServerTlsSettings, other: &ServerTlsSettings) -> bool {
    if !one.credential_name.is_empty() || !other.credential_name.is_empty() {
        return one.credential_name == other.credential_name;
    }
    !one.server_certificate.is_empty()
        && one.server_certificate == other.server_certificate
        && one.private_key == other.private_key
}

/// Whether one selector asks for everything that the other asks for.
fn share_pods(one: &Gateway, other: &Gateway) -> bool {
    selects(&one.selector, &other.selector) || selects(&other.selector, &one.selector)
}

/// IST0145: two Gateways that claim the same hosts on one port of the same pods.
pub(super) fn conflicts(input: Input<'_>, report: &mut Report) {
    for gateway in written_gateways(input) {
        let pods = pods_of(input, &gateway.spec);
        let others: Vec<_> = written_gateways(input)
            .filter(|other| !std::ptr::eq(*other, gateway))
            .filter(|other| pods.iter().any(|(_, labels)| selects(&other.spec.selector, labels)))
            .collect();
        for (at, server) in servers(gateway) {
            let clash = |other: &&&Object<Gateway>| {
                other.spec.servers.iter().any(|theirs| clashes(server, theirs))
            };
            let mut names: Vec<_> =
                others.iter().filter(clash).map(|other| full_name(other)).collect();
            let (false, Some(port)) = (names.is_empty(), &server.port) else { continue };
            names.sort();
            let text = format!(
                "Gateway {} also claims {} on port {} of the pods with labels {}: only one of them is used",
                names.join(", "),
                server.hosts.join(", "),
                port.number,
                written(&gateway.spec.selector)
            );
            report.add(gateway, at, codes::GATEWAY_CONFLICT.message(text));
        }
    }
}

/// The same port and address, and a host of the one that is also a host of the other. Namespaces in front of hosts must fit.
fn clashes(one: &Server, other: &Server) -> bool {
    let (Some(port), Some(other_port)) = (&one.port, &other.port) else { return false };
    let overlaps = |left: &String, right: &String| {
        let ((left_namespace, left), (right_namespace, right)) =
            (split_host(left), split_host(right));
        let namespaces =
            left_namespace == right_namespace || left_namespace == "*" || right_namespace == "*";
        namespaces && Host::new(left) == Host::new(right)
    };
    port.number == other_port.number
        && one.bind == other.bind
        && one.hosts.iter().any(|left| other.hosts.iter().any(|right| overlaps(left, right)))
}

/// `namespace/host`, where the namespace may be left out.
pub(super) fn split_host(host: &str) -> (&str, &str) {
    host.split_once('/').unwrap_or(("*", host))
}
