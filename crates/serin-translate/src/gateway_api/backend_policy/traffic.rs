//! XBackendTrafficPolicies: limits of retries. Sessions are not supported, which the status says.

use serin_api::Resource;
use serin_api::gateway_api::{ParentReference, RetryConstraint, XBackendTrafficPolicy};
use serin_api::networking::{LoadBalancerSettings, RetryBudget};

use super::{Ancestors, Policy, TARGET_NOT_FOUND, Target, find_target};
use crate::gateway_api::class::MESH_CONTROLLER;
use crate::gateway_api::condition::{Condition, Refusal};
use crate::gateway_api::status::Outcome;
use crate::gateway_api::world::World;

/// Retries that are allowed whatever the budget, if the policy does not say.
const MIN_RETRIES: u32 = 10;

pub(super) fn convert<'a>(world: &World<'a>, outcome: &mut Outcome) -> Vec<Policy<'a>> {
    let mut policies = Vec::new();
    for object in &world.input.objects.x_backend_traffic_policies {
        let spec = &object.spec;
        let message = if spec.session_persistence.is_some() {
            "Configuration is valid, but Istio does not support the following fields: sessionPersistence"
        } else {
            "Configuration is valid"
        };
        let mut ancestors = Ancestors::default();
        for reference in &spec.target_refs {
            let namespace = object.meta.namespace.as_str();
            let found =
                find_target(world, namespace, &reference.group, &reference.kind, &reference.name);
            let found = found.and_then(|target| match target {
                Target::Service(_) => Ok(target),
                Target::ServiceEntry(_) => {
                    Err(format!("unsupported reference kind: {}", reference.kind))
                }
            });
            let found = found.map_err(|error| {
                Refusal::new(TARGET_NOT_FOUND, format!("targetRefs invalid: {error}"))
            });
            let accepted =
                Condition::holds("Accepted", "Accepted", message).unless(found.as_ref().err());
            let ancestor = ParentReference {
                group: Some(reference.group.clone()),
                kind: Some(reference.kind.clone()),
                name: reference.name.clone(),
                ..ParentReference::default()
            };
            ancestors.push(ancestor, MESH_CONTROLLER, vec![accepted]);
            let Ok(target) = found else { continue };
            policies.push(Policy {
                kind: XBackendTrafficPolicy::KIND,
                meta: &object.meta,
                target,
                port: None,
                tls: None,
                load_balancer: Some(LoadBalancerSettings::default()),
                retry_budget: spec.retry_constraint.as_ref().map(budget),
            });
        }
        ancestors.report(world, object, outcome);
    }
    policies
}

fn budget(constraint: &RetryConstraint) -> RetryBudget {
    let details = constraint.budget.as_ref();
    let always = constraint.min_retry_rate.as_ref().and_then(|it| it.count);
    RetryBudget {
        percent: details.and_then(|it| it.percent).map(f64::from),
        min_retry_concurrency: always.and_then(|it| u32::try_from(it).ok()).unwrap_or(MIN_RETRIES),
        budget_interval: details.and_then(|it| it.interval),
    }
}
