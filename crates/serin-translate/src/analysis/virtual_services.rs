//! VirtualServices: what they refer to, and what their rules can never do.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use serin_api::networking::{Destination, VirtualService};
use serin_api::validation::virtual_service::unreachable;
use serin_api::{FieldPath, Object};

use super::gateways::split_host;
use super::workloads::{full_name, selects, split_name};
use super::{Input, Report, codes};
use crate::host::Host;
use crate::registry::Service;

fn written<'a>(input: Input<'a>) -> impl Iterator<Item = &'a Object<VirtualService>> {
    input.snapshot.written_virtual_services().iter().map(|it| &**it)
}

/// A destination of a rule: where it stands, and whether it gets copies only.
struct Use<'a> {
    at: FieldPath,
    destination: &'a Destination,
    mirror: bool,
}

/// Every destination of every rule.
fn destinations(virtual_service: &VirtualService) -> Vec<Use<'_>> {
    let spec = FieldPath::spec();
    let mut uses = Uses(Vec::new());
    for (index, rule) in virtual_service.http.iter().enumerate() {
        let rule_at = spec.key("http").index(index);
        for (place, route) in rule.route.iter().enumerate() {
            uses.add(
                rule_at.key("route").index(place).key("destination"),
                route.destination.as_ref(),
                false,
            );
        }
        uses.add(rule_at.key("mirror"), rule.mirror.as_ref(), true);
        for (place, mirror) in rule.mirrors.iter().enumerate() {
            uses.add(
                rule_at.key("mirrors").index(place).key("destination"),
                mirror.destination.as_ref(),
                true,
            );
        }
    }
    let tcp = virtual_service.tcp.iter().map(|rule| ("tcp", &rule.route)).enumerate();
    let tls = virtual_service.tls.iter().map(|rule| ("tls", &rule.route)).enumerate();
    for (index, (protocol, routes)) in tcp.chain(tls) {
        for (place, route) in routes.iter().enumerate() {
            let at = spec.key(protocol).index(index).key("route").index(place);
            uses.add(at.key("destination"), route.destination.as_ref(), false);
        }
    }
    uses.0
}

struct Uses<'a>(Vec<Use<'a>>);

impl<'a> Uses<'a> {
    fn add(&mut self, at: FieldPath, destination: Option<&'a Destination>, mirror: bool) {
        /// A route that names no destination leads to no host.
        static NOWHERE: LazyLock<Destination> = LazyLock::new(Destination::default);
        let destination = destination.or_else(|| (!mirror).then(|| &*NOWHERE));
        self.0.extend(destination.map(|destination| Use { at, destination, mirror }));
    }
}

fn resolve(input: Input<'_>, host: &str, namespace: &str) -> Host {
    Host::resolve(host, namespace, input.cluster_domain())
}

/// IST0130 and IST0131: rules and matches that an earlier one takes everything from.
pub(super) fn unreachable_rules(input: Input<'_>, report: &mut Report) {
    for virtual_service in written(input) {
        for problem in unreachable(virtual_service) {
            let kind = if problem.severity == serin_api::Severity::Info {
                codes::INEFFECTIVE_MATCH
            } else {
                codes::UNREACHABLE_RULE
            };
            report.add(
                virtual_service,
                problem.field.clone(),
                kind.message(problem.message.clone()),
            );
        }
    }
}

/// A VirtualService and the number of its host.
type Claim<'a> = (&'a Object<VirtualService>, usize);

/// IST0109: a host that several VirtualServices have rules for in the mesh. They are not merged there.
pub(super) fn mesh_hosts(input: Input<'_>, report: &mut Report) {
    let mut claims: BTreeMap<(String, Host), Vec<Claim<'_>>> = BTreeMap::new();
    for virtual_service in written(input) {
        let spec = &virtual_service.spec;
        if !spec.gateways.is_empty() && !spec.gateways.iter().any(|gateway| gateway == "mesh") {
            continue;
        }
        let namespace = &virtual_service.meta.namespace;
        let everywhere = spec.export_to.is_empty() || spec.export_to.iter().any(|it| it == "*");
        let scope = if everywhere { "*".to_owned() } else { namespace.clone() };
        for (index, host) in spec.hosts.iter().enumerate() {
            let key = (scope.clone(), resolve(input, host, namespace));
            claims.entry(key).or_default().push((virtual_service, index));
        }
    }
    for ((_, host), claims) in &claims {
        if claims.len() < 2 {
            continue;
        }
        let mut names: Vec<_> = claims.iter().map(|(it, _)| full_name(it)).collect();
        let used = names.first().cloned().unwrap_or_default();
        names.sort();
        for (virtual_service, index) in claims {
            let text = format!(
                "VirtualServices {} all have rules for {host} in the mesh; sidecars use those of {used} only",
                names.join(", ")
            );
            let help = "put the rules into one VirtualService, or bind the others to gateways only";
            let at = FieldPath::spec().key("hosts").index(*index);
            report.add(virtual_service, at, codes::MESH_HOST_TWICE.message(text).help(help));
        }
    }
}

/// IST0101, IST0112 and IST0140: hosts and ports that no service has.
pub(super) fn destination_hosts(input: Input<'_>, report: &mut Report) {
    let mut names = ServiceNames::new(input);
    let of_mesh = choosers_in_mesh(input);
    for virtual_service in written(input) {
        for used in destinations(&virtual_service.spec) {
            check_host(input, virtual_service, &used, &mut names, report);
        }
        ingress_unaffected(input, virtual_service, &of_mesh, report);
    }
}

/// The services each namespace sees, by host.
struct ServiceNames<'a> {
    input: Input<'a>,
    /// Of the namespaces that were asked for.
    seen: BTreeMap<&'a str, Seen<'a>>,
}

/// The services that a namespace sees: of those with the same host the first.
struct Seen<'a> {
    exact: BTreeMap<&'a Host, &'a Service>,
    wildcards: Vec<&'a Service>,
}

impl<'a> ServiceNames<'a> {
    const fn new(input: Input<'a>) -> Self {
        Self { input, seen: BTreeMap::new() }
    }

    /// The service a rule means: visible where the VirtualService stands, or, if it is exported elsewhere only, there.
    fn find(
        &mut self,
        virtual_service: &'a Object<VirtualService>,
        host: &Host,
    ) -> Option<&'a Service> {
        let own = virtual_service.meta.namespace.as_str();
        let export_to = &virtual_service.spec.export_to;
        let elsewhere =
            !export_to.is_empty() && !export_to.iter().any(|it| matches!(it.as_str(), "*" | "."));
        let namespaces: Vec<&str> =
            if elsewhere { export_to.iter().map(String::as_str).collect() } else { vec![own] };
        let exact = namespaces.iter().find_map(|it| self.seen_by(it).exact.get(host).copied());
        exact.or_else(|| {
            namespaces.iter().find_map(|it| {
                let mut wildcards = self.seen_by(it).wildcards.iter().copied();
                wildcards.find(|service| host.is_subset_of(&service.host))
            })
        })
    }

    fn seen_by(&mut self, namespace: &'a str) -> &Seen<'a> {
        let registry = self.input.snapshot.registry();
        self.seen.entry(namespace).or_insert_with(|| {
            let mut seen = Seen { exact: BTreeMap::new(), wildcards: Vec::new() };
            for service in registry.visible_to(namespace) {
                seen.exact.entry(&service.host).or_insert(service);
                seen.wildcards.extend(service.host.is_wildcard().then_some(&**service));
            }
            seen
        })
    }
}

fn check_host<'a>(
    input: Input<'a>,
    virtual_service: &'a Object<VirtualService>,
    used: &Use<'_>,
    names: &mut ServiceNames<'a>,
    report: &mut Report,
) {
    let Use { at, destination, mirror } = used;
    let namespace = &virtual_service.meta.namespace;
    let host = resolve(input, &destination.host, namespace);
    let Some(service) = names.find(virtual_service, &host) else {
        let what = if *mirror { "mirror host" } else { "host" };
        let text =
            format!("{what} {} is not a service that namespace {namespace} sees", destination.host);
        let visible =
            input.snapshot.registry().visible_to(namespace).map(|service| service.host.as_str());
        let mut message = codes::NOT_FOUND.message(text);
        if let Some(near) = super::nearest(&host, visible) {
            message = message.help(format!("did you mean {near}?"));
        }
        return report.add(virtual_service, at.key("host"), message);
    };
    let ports: Vec<_> = service.ports.iter().map(|port| port.number).collect();
    match &destination.port {
        None if ports.len() > 1 => {
            let text = format!(
                "{} has the ports {ports:?}, and the destination does not say which",
                destination.host
            );
            let help = "add `port: {number: …}` to the destination";
            report.add(virtual_service, at.clone(), codes::PORT_NEEDED.message(text).help(help));
        }
        Some(port) if !ports.iter().any(|known| u32::from(*known) == port.number) => {
            let text =
                format!("{} has no port {}; it has {ports:?}", destination.host, port.number);
            report.add(virtual_service, at.keys("port.number"), codes::NOT_FOUND.message(text));
        }
        _ => {}
    }
}

/// The VirtualServices for the mesh only that choose subsets of a host.
type Choosers<'a> = BTreeMap<Host, Vec<&'a Object<VirtualService>>>;

fn choosers_in_mesh(input: Input<'_>) -> Choosers<'_> {
    let mut choosers = Choosers::new();
    for virtual_service in written(input).filter(|it| it.spec.gateways.is_empty()) {
        let uses = destinations(&virtual_service.spec);
        let chosen = uses.iter().filter(|it| !it.mirror && !it.destination.subset.is_empty());
        let namespace = &virtual_service.meta.namespace;
        let hosts: BTreeSet<Host> =
            chosen.map(|used| resolve(input, &used.destination.host, namespace)).collect();
        for host in hosts {
            choosers.entry(host).or_default().push(virtual_service);
        }
    }
    choosers
}

/// A rule bound to a gateway that sends to a whole service, for which another VirtualService chooses subsets in the mesh only.
fn ingress_unaffected(
    input: Input<'_>,
    virtual_service: &Object<VirtualService>,
    of_mesh: &Choosers<'_>,
    report: &mut Report,
) {
    if virtual_service.spec.gateways.is_empty() {
        return;
    }
    let namespace = &virtual_service.meta.namespace;
    for (index, rule) in virtual_service.spec.http.iter().enumerate() {
        for (place, route) in rule.route.iter().enumerate() {
            let Some(destination) = route.destination.as_ref().filter(|it| it.subset.is_empty())
            else {
                continue;
            };
            let host = resolve(input, &destination.host, namespace);
            for other in of_mesh.get(&host).into_iter().flatten() {
                let text = format!(
                    "what comes through the gateway goes to every version of {}: the subsets in VirtualService {} apply to \
                     requests inside the mesh only",
                    destination.host,
                    full_name(other)
                );
                let help = "choose the subset here too, or bind the other VirtualService to this gateway as well";
                let at = FieldPath::spec()
                    .key("http")
                    .index(index)
                    .key("route")
                    .index(place)
                    .key("destination");
                report.add(virtual_service, at, codes::INGRESS_UNAFFECTED.message(text).help(help));
            }
        }
    }
}

/// IST0101: subsets that no DestinationRule defines.
pub(super) fn destination_subsets(input: Input<'_>, report: &mut Report) {
    let mut defined: BTreeSet<(Host, &str)> = BTreeSet::new();
    for rule in &input.objects().destination_rules {
        let host = resolve(input, &rule.spec.host, &rule.meta.namespace);
        defined.extend(rule.spec.subsets.iter().map(|subset| (host.clone(), subset.name.as_str())));
    }
    for virtual_service in written(input) {
        for Use { at, destination, mirror } in destinations(&virtual_service.spec) {
            let host = resolve(input, &destination.host, &virtual_service.meta.namespace);
            if destination.subset.is_empty()
                || defined.contains(&(host.clone(), &destination.subset))
            {
                continue;
            }
            let what = if mirror { "mirror subset" } else { "subset" };
            let text = format!(
                "no DestinationRule defines the {what} {} of {}",
                destination.subset, destination.host
            );
            let known = defined.iter().filter(|(of, _)| *of == host).map(|(_, subset)| *subset);
            let known: Vec<&str> = known.collect();
            let mut message = codes::NOT_FOUND.message(text);
            if let Some(near) = super::nearest(&destination.subset, known.iter().copied()) {
                message = message.help(format!("did you mean {near}?"));
            } else if !known.is_empty() {
                message = message.help(format!("there is {}", known.join(", ")));
            }
            report.add(virtual_service, at.key("subset"), message);
        }
    }
}

/// IST0101, IST0132 and IST0165: gateways that are missing, made by others, or have none of the hosts.
pub(super) fn gateways(input: Input<'_>, report: &mut Report) {
    for virtual_service in written(input) {
        let namespace = &virtual_service.meta.namespace;
        for (index, gateway) in virtual_service.spec.gateways.iter().enumerate() {
            if gateway == "mesh" {
                continue;
            }
            let at = FieldPath::spec().key("gateways").index(index);
            if gateway.contains("istio-autogenerated-k8s-gateway") {
                let text = format!(
                    "{gateway} is made from a Gateway of the Gateway API and may be named otherwise any time"
                );
                report.add(virtual_service, at.clone(), codes::INTERNAL_GATEWAY.message(text));
            }
            let hosts = gateway_hosts(input, gateway, namespace);
            if hosts.is_none() {
                report.add(virtual_service, at.clone(), missing_gateway(input, gateway, namespace));
            }
            let served = hosts.unwrap_or_default();
            let is_served =
                |host: &String| served.iter().any(|theirs| theirs.matches(&Host::new(host)));
            if !virtual_service.spec.hosts.iter().any(is_served) {
                let text = format!(
                    "none of the hosts {} is a host of Gateway {gateway}: it never sends anything here",
                    virtual_service.spec.hosts.join(", ")
                );
                report.add(virtual_service, at, codes::HOST_NOT_IN_GATEWAY.message(text));
            }
        }
    }
}

fn missing_gateway(input: Input<'_>, gateway: &str, namespace: &str) -> codes::Message {
    let message = codes::NOT_FOUND.message(format!("there is no Gateway {gateway}"));
    let known: Vec<_> = input.objects().gateways.iter().map(|it| full_name(it)).collect();
    let (wanted_namespace, name) = gateway_name(input, gateway, namespace);
    let wanted = format!("{wanted_namespace}/{name}");
    match super::nearest(&wanted, known.iter().map(String::as_str)) {
        Some(near) => message.help(format!("did you mean {near}?")),
        None => message,
    }
}

/// `namespace/name`, a name, or a name qualified like a Service's.
pub(super) fn gateway_name<'a>(
    input: Input<'_>,
    reference: &'a str,
    namespace: &'a str,
) -> (&'a str, &'a str) {
    if reference.contains('/') {
        let (of, name) = split_name(reference, namespace);
        return (if of == "." { namespace } else { of }, name);
    }
    let suffix = format!(".svc.{}", input.cluster_domain());
    let mut parts = reference.strip_suffix(&suffix).unwrap_or(reference).splitn(2, '.');
    match (parts.next(), parts.next()) {
        (Some(name), Some(of)) => (of, name),
        _ => (namespace, reference),
    }
}

/// The hosts that a Gateway offers to VirtualServices of `namespace`; `None` if there is no such Gateway. Those of the Gateway API
/// count too.
fn gateway_hosts(input: Input<'_>, reference: &str, namespace: &str) -> Option<Vec<Host>> {
    let (gateway_namespace, name) = gateway_name(input, reference, namespace);
    let objects = input.objects();
    let is_meant =
        |meta: &serin_api::Meta| meta.namespace == gateway_namespace && meta.name == name;
    if let Some(gateway) = objects.gateways.iter().find(|gateway| is_meant(&gateway.meta)) {
        let hosts = gateway
            .spec
            .servers
            .iter()
            .flat_map(|server| &server.hosts)
            .map(|host| split_host(host));
        let offered = hosts.filter(|(to, _)| match *to {
            "*" => true,
            "." => gateway_namespace == namespace,
            to => to == namespace,
        });
        return Some(offered.map(|(_, host)| Host::new(host)).collect());
    }
    let gateway = objects.kubernetes_gateways.iter().find(|gateway| is_meant(&gateway.meta))?;
    let hosts =
        gateway.spec.listeners.iter().map(|listener| listener.hostname.as_deref().unwrap_or("*"));
    Some(hosts.map(Host::new).collect())
}

/// IST0149: rules on token claims where nothing validates tokens.
pub(super) fn token_claims(input: Input<'_>, report: &mut Report) {
    for virtual_service in written(input) {
        let Some((at, key)) = claim_match(&virtual_service.spec) else { continue };
        let gateways = &virtual_service.spec.gateways;
        let mesh = ["mesh".to_owned()];
        for gateway in if gateways.is_empty() { &mesh[..] } else { gateways } {
            if gateway == "mesh" {
                let text = format!(
                    "{key} is looked at in sidecars, but claims are known on gateways only"
                );
                report.add(
                    virtual_service,
                    at.clone(),
                    codes::CLAIMS_WITHOUT_AUTHENTICATION.message(text),
                );
                continue;
            }
            let (namespace, name) = gateway_name(input, gateway, &virtual_service.meta.namespace);
            let objects = input.objects();
            let found = objects
                .gateways
                .iter()
                .find(|it| it.meta.namespace == namespace && it.meta.name == name);
            let Some(found) = found else { continue };
            for pod in
                objects.pods.iter().filter(|pod| selects(&found.spec.selector, &pod.meta.labels))
            {
                let validates = objects.request_authentications.iter().any(|it| {
                    let applies = it.meta.namespace == pod.meta.namespace
                        || it.meta.namespace == input.root_namespace();
                    applies
                        && it
                            .spec
                            .selector
                            .as_ref()
                            .is_none_or(|it| selects(&it.match_labels, &pod.meta.labels))
                });
                if !validates {
                    let text = format!(
                        "{key} is looked at, but no RequestAuthentication validates tokens on pod {} of Gateway {gateway}: \
                         the rule never matches",
                        full_name(pod)
                    );
                    report.add(
                        virtual_service,
                        at.clone(),
                        codes::CLAIMS_WITHOUT_AUTHENTICATION.message(text),
                    );
                }
            }
        }
    }
}

fn claim_match(virtual_service: &VirtualService) -> Option<(FieldPath, &str)> {
    let rules = virtual_service.http.iter().enumerate();
    rules
        .flat_map(|(rule, it)| {
            it.matches.iter().enumerate().map(move |(index, it)| (rule, index, it))
        })
        .find_map(|(rule, index, it)| {
            let is_claim = |key: &&String| key.starts_with("@request.auth.claims");
            let at = FieldPath::spec().key("http").index(rule).key("match").index(index);
            let with = it
                .headers
                .keys()
                .find(is_claim)
                .map(|key| (at.key("headers").key(key), key.as_str()));
            with.or_else(|| {
                it.without_headers
                    .keys()
                    .find(is_claim)
                    .map(|key| (at.key("withoutHeaders").key(key), key.as_str()))
            })
        })
}
