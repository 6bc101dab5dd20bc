//! SRN0406 and SRN0408: chains of services, where a version talks to the same version of the next.

use std::collections::{BTreeMap, BTreeSet};

use serin_api::FieldPath;
use serin_api::networking::{HttpRoute, VirtualService};

use super::{codes, matches, rules, written};
use crate::analysis::workloads::{Labels, full_name, selects, workloads, written as shown};
use crate::analysis::{Input, Report};
use crate::host::Host;

/// SRN0406: rules by `sourceLabels` for some versions of a caller but not for another that exists.
pub(in crate::analysis) fn broken_lanes(input: Input<'_>, report: &mut Report) {
    let workloads = workloads(input.objects());
    for virtual_service in written(input) {
        let spec = &virtual_service.spec;
        let selectors: Vec<&Labels> = rules(spec)
            .flat_map(|(_, rule)| rule.matches.iter().map(|entry| &entry.source_labels))
            .filter(|labels| labels.len() > 1)
            .collect();
        for (caller, version_label) in callers(&selectors) {
            let of_caller = workloads.iter().filter(|(_, labels)| selects(&caller, labels));
            let versions: BTreeSet<&String> =
                of_caller.filter_map(|(_, labels)| labels.get(&version_label)).collect();
            let missed = versions.into_iter().filter(|version| {
                let mut labels = caller.clone();
                labels.insert(version_label.clone(), (*version).clone());
                !selectors.iter().any(|selector| selects(selector, &labels))
            });
            for version in missed {
                let instead = default_of(spec);
                let text = format!(
                    "the lane breaks here: {} {version_label}={version} has no rule, and goes to {instead}",
                    shown(&caller)
                );
                let help = format!(
                    "add a rule with `sourceLabels: {{{}, {version_label}: {version}}}`",
                    yaml(&caller)
                );
                report.add(
                    virtual_service,
                    FieldPath::spec().key("http"),
                    codes::BROKEN_LANE.message(text).help(help),
                );
            }
        }
        if let Some(text) = no_default(input, virtual_service, &selectors) {
            let help = "end the list with a rule without `match`";
            report.add(
                virtual_service,
                FieldPath::spec().key("http"),
                codes::BROKEN_LANE.message(text).help(help),
            );
        }
    }
}

fn yaml(labels: &Labels) -> String {
    labels.iter().map(|(key, value)| format!("{key}: {value}")).collect::<Vec<_>>().join(", ")
}

/// Callers of which several versions have rules: their other labels, and the label that tells versions apart.
fn callers(selectors: &[&Labels]) -> BTreeSet<(Labels, String)> {
    let mut versions: BTreeMap<(Labels, String), BTreeSet<&String>> = BTreeMap::new();
    for labels in selectors {
        for (key, value) in *labels {
            let mut rest = (*labels).clone();
            rest.remove(key);
            versions.entry((rest, key.clone())).or_default().insert(value);
        }
    }
    let several =
        versions.into_iter().filter(|((_, key), values)| values.len() > 1 || key == "version");
    several.map(|(caller, _)| caller).collect()
}

fn default_of(spec: &VirtualService) -> String {
    match spec
        .http
        .iter()
        .find(|rule| rule.matches.iter().all(|entry| entry.source_labels.is_empty()))
    {
        Some(rule) => destinations(rule),
        None => "every version of the service by chance".to_owned(),
    }
}

fn destinations(rule: &HttpRoute) -> String {
    let names =
        rule.route.iter().filter_map(|route| route.destination.as_ref()).map(|destination| {
            if destination.subset.is_empty() {
                destination.host.clone()
            } else {
                format!("{} {}", destination.host, destination.subset)
            }
        });
    names.collect::<Vec<_>>().join(", ")
}

/// All rules are for certain callers: for others the whole VirtualService is as if it were not there.
fn no_default(
    input: Input<'_>,
    virtual_service: &serin_api::Object<VirtualService>,
    selectors: &[&Labels],
) -> Option<String> {
    let spec = &virtual_service.spec;
    let only_callers = !spec.http.is_empty()
        && spec.http.iter().all(|rule| {
            !rule.matches.is_empty() && rule.matches.iter().all(|it| !it.source_labels.is_empty())
        });
    let others = workloads(input.objects());
    let mut others = others
        .iter()
        .filter(|(_, labels)| !selectors.iter().any(|selector| selects(selector, labels)));
    (only_callers && !selectors.is_empty() && others.next().is_some()).then(|| {
        format!(
            "every rule of VirtualService {} is for certain callers: for any other caller Istio ignores it as a whole and \
             spreads requests over all versions",
            full_name(virtual_service)
        )
    })
}

/// Headers for one connection, which no proxy passes on (RFC 9110 §7.6.1).
const HOP_BY_HOP: [&str; 6] =
    ["connection", "keep-alive", "proxy-connection", "te", "transfer-encoding", "upgrade"];

/// SRN0408: conditions on headers that never arrive.
pub(in crate::analysis) fn lost_headers(input: Input<'_>, report: &mut Report) {
    let removed = removed_headers(input);
    for virtual_service in written(input) {
        for (at, rule) in rules(&virtual_service.spec) {
            for (at, entry) in matches(&at, rule) {
                for name in entry.headers.keys() {
                    let lower = name.to_ascii_lowercase();
                    let field = at.key("headers").key(name);
                    if HOP_BY_HOP.contains(&lower.as_str()) {
                        let text = format!(
                            "header {name} is for one connection only and is removed by every proxy on the way"
                        );
                        report.add(virtual_service, field, codes::LOST_HEADER.message(text));
                        continue;
                    }
                    // Who calls is known only where the rule says so.
                    let caller = removed.iter().find(|removal| {
                        removal.name == lower
                            && !entry.source_labels.is_empty()
                            && selects(&removal.selector, &entry.source_labels)
                    });
                    if let Some(removal) = caller {
                        let text = format!(
                            "header {name} never arrives: VirtualService {} removes it from requests to the caller {}",
                            removal.by,
                            shown(&entry.source_labels)
                        );
                        report.add(virtual_service, field, codes::LOST_HEADER.message(text));
                    }
                }
            }
        }
    }
}

/// A header that a rule without conditions removes from all requests to a service.
struct Removal {
    name: String,
    /// Labels of the pods that never see it.
    selector: Labels,
    by: String,
}

fn removed_headers(input: Input<'_>) -> Vec<Removal> {
    let mut removals = Vec::new();
    for virtual_service in written(input) {
        let namespace = &virtual_service.meta.namespace;
        let names: BTreeSet<String> = virtual_service
            .spec
            .http
            .iter()
            .map(|rule| {
                rule.headers.iter().filter_map(|it| it.request.as_ref()).flat_map(|it| &it.remove)
            })
            .map(|names| names.map(|name| name.to_ascii_lowercase()).collect::<BTreeSet<_>>())
            .reduce(|all, of_rule| all.intersection(&of_rule).cloned().collect())
            .unwrap_or_default();
        if names.is_empty() {
            continue;
        }
        for host in &virtual_service.spec.hosts {
            let host = Host::resolve(host, namespace, input.cluster_domain());
            let service = input.objects().services.iter().find(|service| {
                Host::of_service(
                    &service.meta.name,
                    &service.meta.namespace,
                    input.cluster_domain(),
                ) == host
            });
            let Some(service) = service.filter(|service| !service.spec.selector.is_empty()) else {
                continue;
            };
            removals.extend(names.iter().map(|name| Removal {
                name: name.clone(),
                selector: service.spec.selector.clone(),
                by: full_name(virtual_service),
            }));
        }
    }
    removals
}
