//! How far the releases of a group are.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use serin_rollout::{Member, Plan, State};

use crate::cluster::Cluster;
use crate::json;
use crate::kind::Kind;
use crate::status;

/// Releases by namespace and name, with their groups.
#[derive(Default)]
pub(crate) struct Members(Mutex<BTreeMap<(String, String), (String, Member)>>);

impl Members {
    /// A release is this far.
    pub(crate) fn note(&self, plan: &Plan, state: &State) {
        let key = (plan.namespace.clone(), plan.name.clone());
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &plan.group {
            Some(group) => all.insert(key, (group.name.clone(), state.as_member(plan))),
            None => all.remove(&key),
        };
    }

    pub(crate) fn leave(&self, namespace: &str, name: &str) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.remove(&(namespace.to_owned(), name.to_owned()));
    }

    /// The other members of a release's group: as they are, or, before they had a turn, as they were stored.
    pub(crate) fn of(&self, cluster: &Cluster, plan: &Plan) -> Vec<Member> {
        let Some(group) = &plan.group else { return Vec::new() };
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut members = Vec::new();
        for canary in cluster.all(Kind::Canary) {
            let (namespace, name) = (json::namespace(&canary), json::name(&canary));
            let is_other = namespace == plan.namespace && name != plan.name;
            if !is_other || json::text(&canary, "spec/group/name") != group.name {
                continue;
            }
            let known = all.get(&(namespace.to_owned(), name.to_owned()));
            members.extend(match known {
                Some((_, member)) => Some(member.clone()),
                None => serin_api::Object::from_value(&canary).ok().map(|it| {
                    let stored = status::load(&canary, "", &BTreeMap::new());
                    stored.state.as_member(&Plan::of(&it))
                }),
            });
        }
        members
    }
}
