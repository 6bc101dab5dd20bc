//! Two Canaries that want the same workload or the same routes: one has them, and the other says so.

use serde_json::Value;

use super::{Obstacle, Scene};
use crate::json;
use crate::kind::Kind;

/// What a Canary takes for itself.
#[derive(PartialEq, Eq)]
struct Claim<'c> {
    /// Kind and name of the workload, unless it only shifts between subsets.
    workload: Option<(&'c str, &'c str)>,
    /// Name of the VirtualService, or without routes that of the Service.
    route: &'c str,
}

impl<'c> Claim<'c> {
    fn of(canary: &'c Value) -> Self {
        let text = |path: &str| json::text(canary, path);
        let target = text("spec/targetRef/name");
        let kind = match text("spec/targetRef/kind") {
            "" => "Deployment",
            kind => kind,
        };
        let is_shifted = !json::at(canary, "spec/versions").is_null();
        let names = [text("spec/versions/virtualService"), text("spec/service/name"), target];
        Self {
            workload: (!is_shifted).then_some((kind, target)),
            route: names.into_iter().find(|it| !it.is_empty()).unwrap_or_default(),
        }
    }

    /// What both want, in words.
    fn meets(&self, other: &Self) -> Option<String> {
        match self.workload {
            Some((kind, name)) if self.workload == other.workload => {
                Some(format!("{kind} {name} is"))
            }
            _ if self.route == other.route => Some(format!("the routes of {} are", self.route)),
            _ => None,
        }
    }
}

/// The older one comes first; of the same second, the one in Serin's group.
fn seniority(canary: &Value) -> (&str, bool, &str) {
    let is_flaggers = json::text(canary, "apiVersion").starts_with("flagger.app/");
    (json::text(canary, "metadata/creationTimestamp"), is_flaggers, json::name(canary))
}

impl Scene<'_> {
    /// Whether another Canary has what this one wants.
    pub(super) fn has_no_rival(&self) -> Result<(), Obstacle> {
        let (mine, rank) = (Claim::of(self.canary), seniority(self.canary));
        let all = [Kind::Canary, Kind::FlaggerCanary].into_iter();
        for other in all.flat_map(|kind| self.cluster.all(kind)) {
            let is_here = json::namespace(&other) == self.plan.namespace;
            if !is_here || seniority(&other) >= rank {
                continue;
            }
            if let Some(what) = mine.meets(&Claim::of(&other)) {
                return Err(Obstacle::Impossible(format!(
                    "{what} released by the Canary {} of {} already, which is older; delete one of the two",
                    json::name(&other),
                    json::text(&other, "apiVersion")
                )));
            }
        }
        Ok(())
    }
}
