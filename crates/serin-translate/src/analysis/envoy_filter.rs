//! EnvoyFilters: patches that Istio itself applies unreliably. Serin does not execute them at all, which loading says.

use serin_api::FieldPath;
use serin_api::networking::{ApplyTo, EnvoyConfigObjectPatch, PatchOperation};

use super::{Input, Report, codes};

/// IST0151 to IST0155: operations that depend on what stands there, or have no effect.
pub(super) fn operations(input: Input<'_>, report: &mut Report) {
    // Filters that an earlier EnvoyFilter puts in at a certain place are there to be changed.
    let mut placed: Vec<String> = Vec::new();
    for filter in &input.objects().envoy_filters {
        for (index, patch) in filter.spec.config_patches.iter().enumerate() {
            let at = FieldPath::spec().key("configPatches").index(index).keys("patch.operation");
            let operation = patch.patch.as_ref().map(|it| it.operation).unwrap_or_default();
            if matches!(operation, PatchOperation::InsertFirst | PatchOperation::Add) {
                placed.extend(patched_name(patch));
            }
            if let Some(kind) = misuse(operation, patch.apply_to) {
                let text = format!("{operation} has no effect on {}", patch.apply_to);
                report.add(filter, at.clone(), kind.message(text));
                // As in Istio, the first patch that is wrong speaks for the whole EnvoyFilter.
                break;
            }
            let known = patched_name(patch).is_some_and(|name| placed.contains(&name));
            if !is_relative(operation) || filter.spec.priority != 0 || known {
                continue;
            }
            let text = format!(
                "{operation} depends on what other EnvoyFilters did before, and no priority says in which order"
            );
            let help = "set spec.priority, or use INSERT_FIRST or ADD";
            report.add(filter, at.clone(), codes::RELATIVE_OPERATION.message(text).help(help));
            let version = patch
                .condition
                .as_ref()
                .and_then(|it| it.proxy.as_ref())
                .map(|it| it.proxy_version.as_str());
            if version.is_some_and(|version| !version.is_empty()) {
                let text = format!(
                    "{operation} for one proxy version may not be applied while proxies are upgraded"
                );
                report.add(filter, at, codes::RELATIVE_OPERATION_VERSION.message(text).help(help));
            }
            break;
        }
    }
}

const fn is_relative(operation: PatchOperation) -> bool {
    matches!(
        operation,
        PatchOperation::InsertBefore
            | PatchOperation::InsertAfter
            | PatchOperation::Replace
            | PatchOperation::Merge
            | PatchOperation::Remove
    )
}

fn misuse(operation: PatchOperation, apply_to: ApplyTo) -> Option<codes::Kind> {
    let of_routes = matches!(apply_to, ApplyTo::RouteConfiguration | ApplyTo::HttpRoute);
    match operation {
        PatchOperation::Replace
            if !matches!(apply_to, ApplyTo::NetworkFilter | ApplyTo::HttpFilter) =>
        {
            Some(codes::WRONG_REPLACE)
        }
        PatchOperation::Add if of_routes => Some(codes::WRONG_ADD),
        PatchOperation::Remove if of_routes => Some(codes::WRONG_REMOVE),
        _ => None,
    }
}

/// The name of the filter that a patch writes.
fn patched_name(patch: &EnvoyConfigObjectPatch) -> Option<String> {
    patch.patch.as_ref()?.value.as_ref()?.get("name")?.as_str().map(str::to_owned)
}
