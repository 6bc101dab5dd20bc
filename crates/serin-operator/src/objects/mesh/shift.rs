//! Releases between two subsets in a VirtualService of the user's own: in the rules that lead to one of the subsets, the
//! weights change and cookies are added; everything else is as the user wrote it.
//!
//! The rules as the user wrote them are kept in an annotation, and the live rules are made from them, so that nothing of an
//! earlier step is left behind.

use serde_json::{Value, json};
use serin_api::decode;
use serin_api::networking::HttpRoute;
use serin_rollout::{Plan, Routes, routes};

use super::super::{ORIGINAL, Obstacle, Scene};
use super::rules;
use crate::json;
use crate::kind::Kind;

/// The rules that were set last, to notice when the user writes others.
const WRITTEN: &str = "serin.dev/routes-written";

impl Scene<'_> {
    /// The rules of the user that the release works on: those that are kept, unless others were written since.
    fn base(&self, found: &Value) -> Option<Vec<HttpRoute>> {
        let annotations = json::texts(found, "metadata/annotations");
        let is_ours =
            annotations.get(WRITTEN) == rules(found).map(|it| json::hash(&json!(it))).as_ref();
        let kept = annotations.get(ORIGINAL).filter(|_| is_ours);
        match kept.and_then(|text| serde_json::from_str::<Value>(text).ok()) {
            Some(spec) => decode(json::at(&spec, "http")).ok(),
            None => rules(found),
        }
    }

    fn shifted(&self, base: &[HttpRoute], wanted: &Routes) -> Vec<HttpRoute> {
        base.iter().flat_map(|rule| shifted(self.plan, rule, wanted)).collect()
    }

    pub(super) async fn shift(
        &self,
        found: Option<&Value>,
        wanted: &Routes,
    ) -> Result<(), Obstacle> {
        let (namespace, name) = (&self.plan.namespace, self.route_name());
        let found = found.ok_or_else(|| {
            Obstacle::Impossible(format!(
                "VirtualService {namespace}/{name}, which spec.versions.virtualService names, is not there"
            ))
        })?;
        let base = self.base(found).unwrap_or_default();
        if !base.iter().any(|rule| leads_to_a_version(self.plan, rule)) {
            let versions = self.plan.versions.clone().unwrap_or_default();
            return Err(Obstacle::Impossible(format!(
                "no rule of VirtualService {namespace}/{name} leads to the subset {} or {} of a host",
                versions.primary, versions.canary
            )));
        }
        let rules = self.shifted(&base, wanted);
        if super::rules(found).is_some_and(|live| live == rules) {
            return Ok(());
        }
        let http = json!(rules);
        let mut spec = json::at(found, "spec").clone();
        json::set(&mut spec, "http", json!(base));
        let patch = json!({
            "metadata": {"annotations": {ORIGINAL: spec.to_string(), WRITTEN: json::hash(&http)}},
            "spec": {"http": http},
        });
        self.cluster.merge(Kind::VirtualService, namespace, name, &patch).await?;
        Ok(())
    }

    pub(super) fn observe_shifted(&self, found: &Value, believed: &[Routes]) -> Option<Routes> {
        let (live, base) = (rules(found)?, self.base(found)?);
        let is_live = |routes: &&Routes| self.shifted(&base, routes) == live;
        Some(believed.iter().find(is_live).cloned().unwrap_or_else(|| {
            let chosen = live.iter().rev().find(|rule| leads_to_a_version(self.plan, rule));
            chosen.map_or_else(Routes::default, |rule| self.read(std::slice::from_ref(rule)))
        }))
    }
}

/// Whether a rule has one of the subsets among its destinations. A rule that sends all to the canary is a test rule of the
/// user's own and stays.
fn leads_to_a_version(plan: &Plan, rule: &HttpRoute) -> bool {
    let Some(versions) = &plan.versions else { return false };
    rule.route.iter().any(|to| {
        let subset = to.destination.as_ref().map_or("", |it| it.subset.as_str());
        subset == versions.primary && !subset.is_empty()
    })
}

/// A rule with the weights of the release.
fn shifted(plan: &Plan, rule: &HttpRoute, wanted: &Routes) -> Vec<HttpRoute> {
    let Some(versions) = plan.versions.as_ref().filter(|_| leads_to_a_version(plan, rule)) else {
        return vec![rule.clone()];
    };
    let is_primary = |subset: &str| subset == versions.primary;
    let Some(host) = rule
        .route
        .iter()
        .filter_map(|it| it.destination.as_ref())
        .find(|it| is_primary(&it.subset))
    else {
        return vec![rule.clone()];
    };
    // The rules as a release of its own would have them, in the frame of the user's rule.
    let mut like = plan.clone();
    like.service.name.clone_from(&host.host);
    like.service.matches.clone_from(&rule.matches);
    like.service.headers.clone_from(&rule.headers);
    let made = routes::http_rules(&like, wanted);
    let of_user = |made: HttpRoute| {
        let mut route = made.route;
        for to in &mut route {
            if let Some(destination) = &mut to.destination {
                destination.port.clone_from(&host.port);
            }
        }
        HttpRoute {
            matches: made.matches,
            route,
            mirror: made.mirror.or_else(|| rule.mirror.clone()),
            mirror_percentage: made.mirror_percentage.or_else(|| rule.mirror_percentage.clone()),
            headers: made.headers,
            ..rule.clone()
        }
    };
    made.into_iter().map(of_user).collect()
}
