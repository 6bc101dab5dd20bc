//! SRN0402 and SRN0403: Gateways without rules, and rules that a Gateway seems to wait for.

use serin_api::networking::{Gateway, VirtualService};
use serin_api::{FieldPath, Object};

use super::{codes, written};
use crate::analysis::virtual_services::gateway_name;
use crate::analysis::workloads::full_name;
use crate::analysis::{Input, Report};

fn is_bound(
    input: Input<'_>,
    virtual_service: &Object<VirtualService>,
    gateway: &Object<Gateway>,
) -> bool {
    let rules = virtual_service
        .spec
        .http
        .iter()
        .flat_map(|rule| &rule.matches)
        .flat_map(|entry| &entry.gateways);
    virtual_service.spec.gateways.iter().chain(rules).any(|reference| {
        gateway_name(input, reference, &virtual_service.meta.namespace)
            == (gateway.meta.namespace.as_str(), gateway.meta.name.as_str())
    })
}

fn unused<'a>(input: Input<'a>) -> impl Iterator<Item = &'a Object<Gateway>> {
    let gateways =
        input.objects().gateways.iter().map(|it| &**it).filter(|it| Input::is_written(*it));
    gateways.filter(move |gateway| {
        // A server that only redirects needs no rules.
        let redirects = |server: &serin_api::networking::Server| {
            server.tls.as_ref().is_some_and(|tls| tls.https_redirect)
        };
        !gateway.spec.servers.iter().all(redirects)
            && !written(input).any(|it| is_bound(input, it, gateway))
    })
}

/// A Gateway that no VirtualService is bound to. Says nothing where there are no VirtualServices at all: they stand elsewhere.
pub(in crate::analysis) fn unused_gateways(input: Input<'_>, report: &mut Report) {
    if written(input).next().is_none() {
        return;
    }
    for gateway in unused(input) {
        let name = full_name(gateway);
        let text = "no VirtualService is bound to this Gateway: it answers every request with 404";
        let help =
            format!("add `gateways: [{name}]` to the VirtualService whose rules it should apply");
        report.add(
            gateway,
            FieldPath::root().keys("metadata.name"),
            codes::UNUSED_GATEWAY.message(text).help(help),
        );
    }
}

/// A VirtualService for the mesh only, whose name or host a Gateway without rules carries.
pub(in crate::analysis) fn unbound_virtual_services(input: Input<'_>, report: &mut Report) {
    for gateway in unused(input) {
        let waiting = written(input).filter(|it| {
            let mesh_only = it.spec.gateways.iter().all(|gateway| gateway == "mesh");
            mesh_only && !it.spec.hosts.is_empty() && is_named_for(gateway, it)
        });
        for virtual_service in waiting {
            let text = format!(
                "these rules apply inside the mesh only: without `gateways`, requests that come through Gateway {} do not meet them",
                full_name(gateway)
            );
            let help = format!("add `gateways: [{}, mesh]`", full_name(gateway));
            let at = FieldPath::spec().key("hosts");
            let message = codes::UNBOUND.message(text).help(help);
            let place = FieldPath::root().keys("metadata.name");
            report.add_related_to(
                virtual_service,
                at,
                message,
                (&gateway.reference(), place),
                "this Gateway has no rules",
            );
        }
    }
}

/// `reviews-gateway` waits for `reviews`, and so does a Gateway of the same namespace with the very host.
fn is_named_for(gateway: &Object<Gateway>, virtual_service: &Object<VirtualService>) -> bool {
    let hosts = &virtual_service.spec.hosts;
    let offered = gateway.spec.servers.iter().flat_map(|server| &server.hosts);
    let mut exact = offered.filter(|host| !host.contains('*'));
    let short = |host: &String| host.split('.').next().unwrap_or_default().to_owned();
    let words = |name: &str| name.split(['-', '.', '_']).map(str::to_owned).collect::<Vec<_>>();
    let by_name = hosts.iter().map(short).chain([virtual_service.meta.name.clone()]).any(|name| {
        !name.is_empty() && name != "*" && words(&gateway.meta.name).starts_with(&words(&name))
    });
    by_name || exact.any(|host| hosts.contains(host))
}
