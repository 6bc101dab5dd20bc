//! Releases through the Gateway API: the HTTPRoute of the Service that users call.

use serde_json::{Value, json};
use serin_api::decode;
use serin_api::gateway_api::HttpRouteRule;
use serin_rollout::{Routes, routes};

use super::super::{Obstacle, Scene};
use crate::json;
use crate::kind::Kind;

impl Scene<'_> {
    /// Whether the release asks for nothing that the Gateway API lacks.
    pub(crate) fn can_be_http_route(&self) -> Result<(), Obstacle> {
        let refuse = |why: &str| Err(Obstacle::Impossible(why.to_owned()));
        if self.plan.service.gateway_refs.is_empty() {
            return refuse(
                "spec.service.gatewayRefs names no Gateway, to which the HTTPRoute could be attached",
            );
        }
        if self.plan.versions.is_some() {
            return refuse(
                "spec.versions shifts between subsets, which the Gateway API does not know; use the provider istio",
            );
        }
        if self.is_tcp() {
            return refuse("an HTTPRoute has no routes for connections; use the provider istio");
        }
        self.gateway_rules(&Routes::default()).map(|_| ())
    }

    fn gateway_rules(&self, wanted: &Routes) -> Result<Vec<HttpRouteRule>, Obstacle> {
        routes::gateway_rules(self.plan, wanted)
            .map_err(|why| Obstacle::Impossible(format!("spec cannot be routed: {why}")))
    }

    pub(super) async fn ensure_http_route(
        &self,
        found: Option<&Value>,
        wanted: &Routes,
    ) -> Result<(), Obstacle> {
        let service = &self.plan.service;
        let mut object = json!({
            "metadata": self.metadata(self.route_name(), service.apex.as_ref()),
            "spec": {"parentRefs": service.gateway_refs, "rules": self.gateway_rules(wanted)?},
        });
        if !service.hosts.is_empty() {
            json::set(&mut object, "spec/hostnames", json!(service.hosts));
        }
        match found {
            Some(found) if !self.owns(found) => self.remember_original(found, &mut object),
            _ => json::set(&mut object, "metadata/ownerReferences", self.owner()),
        }
        let is_in_place = |found: &Value| {
            let same = |part: &str| json::holds(json::at(found, part), json::at(&object, part));
            ["spec/parentRefs", "spec/hostnames", "metadata/labels", "metadata/annotations"]
                .into_iter()
                .all(same)
                && rules(found) == rules(&object)
        };
        Ok(self.cluster.ensure(Kind::HttpRoute, &object, is_in_place).await?)
    }

    pub(super) fn observe_http_route(&self, found: &Value, believed: &[Routes]) -> Option<Routes> {
        let live = rules(found).filter(|it| !it.is_empty())?;
        let is_live = |routes: &&Routes| {
            routes::gateway_rules(self.plan, routes).is_ok_and(|rules| rules == live)
        };
        let known = believed.iter().find(is_live).cloned();
        Some(known.unwrap_or_else(|| routes::read_gateway_rules(self.plan, &live)))
    }
}

/// The rules of an HTTPRoute; `None` if they cannot be read.
fn rules(object: &Value) -> Option<Vec<HttpRouteRule>> {
    decode(json::at(object, "spec/rules")).ok()
}
