//! ClusterRoles that gather the rules of others by label. The gathered rules are stored, so that everyone can read them.

use serde_json::Value;
use serin_objects::selector::Labels;

use super::CLUSTER_ROLES;
use crate::store::{Draft, Expect, Store};

/// How often roles that gather from others that gather are gone through.
const ROUNDS: usize = 8;
/// How often a change is made again because the role changed meanwhile.
const ATTEMPTS: usize = 8;

/// The rules that a role gathers; none where it gathers nothing or has them already.
pub(crate) fn gathered(role: &Value, all: &[Value]) -> Option<Vec<Value>> {
    let selectors = role["aggregationRule"]["clusterRoleSelectors"].as_array()?;
    let selectors: Vec<Labels> =
        selectors.iter().filter_map(|selector| Labels::from_object(selector).ok()).collect();
    let mut rules: Vec<Value> = Vec::new();
    for other in all {
        let is_chosen = other["metadata"]["name"] != role["metadata"]["name"]
            && selectors.iter().any(|selector| selector.matches_object(other));
        for rule in other["rules"].as_array().into_iter().flatten().filter(|_| is_chosen) {
            if !rules.contains(rule) {
                rules.push(rule.clone());
            }
        }
    }
    (role["rules"].as_array().map(Vec::as_slice).unwrap_or_default() != rules).then_some(rules)
}

/// Brings the rules of all roles that gather up to date.
pub(crate) async fn settle(store: &Store) {
    for _ in 0..ROUNDS {
        let (found, _) = store.list(CLUSTER_ROLES, "", None);
        let all: Vec<Value> = found.iter().map(|(_, role)| role.value()).collect();
        let mut changed = false;
        for (key, role) in &found {
            if gathered(&role.value(), &all).is_some() {
                changed = true;
                update(store, key, &all).await;
            }
        }
        if !changed {
            return;
        }
    }
}

async fn update(store: &Store, key: &str, all: &[Value]) {
    for _ in 0..ATTEMPTS {
        let Some(stored) = store.object(CLUSTER_ROLES, key) else { return };
        let mut role = stored.value();
        let Some(rules) = gathered(&role, all) else { return };
        role["rules"] = rules.into();
        let expect = Expect::Revision(stored.revision());
        if store.put(CLUSTER_ROLES, key, expect, Draft::new(&role)).await.is_ok() {
            return;
        }
    }
}
