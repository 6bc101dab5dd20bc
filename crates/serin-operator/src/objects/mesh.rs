//! The routes of a release: its VirtualService and DestinationRules, as they shall be and as they are.

use std::sync::Arc;

use serde_json::{Value, json};
use serin_api::decode;
use serin_api::networking::{HttpRoute, HttpRouteDestination};
use serin_rollout::plan::Router;
use serin_rollout::{Routes, Side, routes};

use super::{Obstacle, Scene};
use crate::json;
use crate::kind::Kind;

mod http_route;
mod shift;

impl Scene<'_> {
    /// The name of the VirtualService.
    pub(crate) fn route_name(&self) -> &str {
        match &self.plan.versions {
            Some(versions) if !versions.virtual_service.is_empty() => &versions.virtual_service,
            _ => routes::apex(self.plan),
        }
    }

    fn is_tcp(&self) -> bool {
        self.plan.service.app_protocol.eq_ignore_ascii_case("tcp")
    }

    /// Whether the VirtualService is a user's, in which only weights and cookies are changed.
    fn is_shifted(&self) -> bool {
        self.plan.versions.as_ref().is_some_and(|it| !it.virtual_service.is_empty())
    }

    /// The kind of the object that holds the routes.
    pub(crate) fn route_kind(&self) -> Kind {
        match self.plan.router {
            Router::HttpRoute => Kind::HttpRoute,
            Router::VirtualService | Router::Service => Kind::VirtualService,
        }
    }

    /// The object that holds the routes, if it is there.
    pub(crate) fn route_object(&self) -> Option<Arc<Value>> {
        self.cluster.get(self.route_kind(), &self.plan.namespace, self.route_name())
    }

    /// The destinations and the routes exist; the routes are these.
    pub(super) async fn ensure_routes(&self, wanted: &Routes) -> Result<(), Obstacle> {
        if !self.plan.is_routed() {
            return Ok(());
        }
        let found = self.route_object();
        if self.plan.router == Router::HttpRoute {
            return self.ensure_http_route(found.as_deref(), wanted).await;
        }
        if self.plan.versions.is_none() {
            self.ensure_destinations().await?;
        }
        if self.is_shifted() {
            return self.shift(found.as_deref(), wanted).await;
        }
        let mut object = json!({
            "metadata": self.metadata(self.route_name(), self.plan.service.apex.as_ref()),
            "spec": self.route_spec(wanted)?,
        });
        match &found {
            Some(found) if !self.owns(found) => self.remember_original(found, &mut object),
            _ => json::set(&mut object, "metadata/ownerReferences", self.owner()),
        }
        let is_in_place = |found: &Value| self.is_route_in_place(found, &object);
        Ok(self.cluster.ensure(Kind::VirtualService, &object, is_in_place).await?)
    }

    fn is_route_in_place(&self, found: &Value, wanted: &Value) -> bool {
        let same = |part: &str| json::holds(json::at(found, part), json::at(wanted, part));
        same("spec/hosts")
            && same("spec/gateways")
            && same("metadata/labels")
            && same("metadata/annotations")
            && if self.is_tcp() {
                json::at(found, "spec/tcp") == json::at(wanted, "spec/tcp")
            } else {
                rules(found) == rules(wanted)
            }
    }

    fn route_spec(&self, wanted: &Routes) -> Result<Value, Obstacle> {
        let service = &self.plan.service;
        let rules = if self.is_tcp() {
            let mut rule = json!({"route": self.tcp_destinations(wanted)});
            // Of a connection's conditions only the port can be known.
            let ports = service.matches.iter().filter_map(|it| it.port);
            let ports: Vec<Value> = ports.map(|port| json!({"port": port})).collect();
            if !ports.is_empty() {
                json::set(&mut rule, "match", json!(ports));
            }
            json!({"tcp": [rule]})
        } else {
            json!({"http": routes::http_rules(self.plan, wanted)})
        };
        let mut spec = rules;
        if service.delegation {
            if !service.hosts.is_empty() || !service.gateways.is_empty() {
                return Err(Obstacle::Impossible(
                    "spec.service.delegation makes a VirtualService that another delegates to, which has neither hosts nor \
                     gateways; remove spec.service.hosts and spec.service.gateways"
                        .to_owned(),
                ));
            }
            return Ok(spec);
        }
        let apex = routes::apex(self.plan).to_owned();
        let mut hosts = service.hosts.clone();
        if !hosts.iter().any(|host| *host == apex || host == "*") {
            hosts.push(apex);
        }
        let mesh = vec!["mesh".to_owned()];
        let gateways = if service.gateways.is_empty() { &mesh } else { &service.gateways };
        json::set(&mut spec, "hosts", json!(hosts));
        json::set(&mut spec, "gateways", json!(gateways));
        Ok(spec)
    }

    fn tcp_destinations(&self, wanted: &Routes) -> Value {
        let bare = Routes { canary: wanted.canary, ..Routes::default() };
        let rules = routes::http_rules(self.plan, &bare);
        let of =
            |to: &HttpRouteDestination| json!({"destination": to.destination, "weight": to.weight});
        rules.first().map(|rule| rule.route.iter().map(of).collect()).unwrap_or_default()
    }

    async fn ensure_destinations(&self) -> Result<(), Obstacle> {
        let apex = routes::apex(self.plan);
        for side in ["canary", "primary"] {
            let name = format!("{apex}-{side}");
            let mut wanted = json!({
                "metadata": self.metadata(&name, None),
                "spec": {"host": name},
            });
            json::set(&mut wanted, "metadata/ownerReferences", self.owner());
            // As it is written, so that nothing of it is lost.
            let policy = json::at(self.canary, "spec/service/trafficPolicy");
            if !policy.is_null() {
                json::set(&mut wanted, "spec/trafficPolicy", policy.clone());
            }
            let is_in_place = |found: &Value| {
                ["spec/host", "spec/trafficPolicy"]
                    .iter()
                    .all(|part| json::at(found, part) == json::at(&wanted, part))
            };
            self.cluster.ensure(Kind::DestinationRule, &wanted, is_in_place).await?;
        }
        Ok(())
    }

    /// The routes as they are, if there are any. `believed` are those that were set last: rules that say just the same are
    /// them, with their cookies; other rules are read for their weights.
    pub(crate) fn observe_routes(&self, believed: &[Routes]) -> Option<Routes> {
        if !self.plan.is_routed() {
            return None;
        }
        let found = self.route_object()?;
        if self.plan.router == Router::HttpRoute {
            return self.observe_http_route(&found, believed);
        }
        if self.is_shifted() {
            return self.observe_shifted(&found, believed);
        }
        if self.is_tcp() {
            let list = json::items(&found, "spec/tcp")
                .first()
                .map_or(&[][..], |it| json::items(it, "route"));
            let canary = list.get(1).map_or(0, |it| json::count(it, "weight"));
            let cookies = believed.first().map(|it| it.cookies.clone()).unwrap_or_default();
            return (!list.is_empty()).then_some(Routes {
                canary: canary.min(100),
                mirror: None,
                cookies,
            });
        }
        let live = rules(&found)?;
        if live.is_empty() {
            return None;
        }
        let is_live = |routes: &&Routes| routes::http_rules(self.plan, routes) == live;
        Some(believed.iter().find(is_live).cloned().unwrap_or_else(|| self.read(&live)))
    }

    /// The weights and the mirror of rules that someone else wrote.
    fn read(&self, rules: &[HttpRoute]) -> Routes {
        let expected = routes::http_rules(self.plan, &Routes::default());
        let destination = |side: Side| {
            let rule = expected.first()?;
            rule.route.get(usize::from(side == Side::Canary))?.destination.clone()
        };
        let canary = destination(Side::Canary);
        let is_canary = |it: &&HttpRouteDestination| {
            it.destination.as_ref().map(|it| (&it.host, &it.subset))
                == canary.as_ref().map(|it| (&it.host, &it.subset))
        };
        let weight_of = |rule: &HttpRoute| {
            let canary = rule.route.iter().find(is_canary);
            canary.map_or(0, |it| u32::try_from(it.weight).unwrap_or(0).min(100))
        };
        // The rule for those who match, if only they are asked, otherwise the one for everybody.
        let is_chosen = self.plan.is_for_chosen() && rules.len() > 1;
        let rule = if is_chosen { rules.first() } else { rules.last() };
        let mirror = rules.iter().find(|it| it.mirror.is_some());
        Routes {
            canary: rule.map_or(0, weight_of),
            mirror: mirror
                .map(|it| it.mirror_percentage.as_ref().map_or(100, |it| it.value as u32)),
            // Of no use to anybody: the cookies are not what they shall be.
            cookies: serin_rollout::Cookies { expired: Some(String::new()), ..Default::default() },
        }
    }

    /// Who changed the routes last.
    pub(crate) async fn route_editor(&self) -> Option<String> {
        let (namespace, name) = (&self.plan.namespace, self.route_name());
        let object = self.cluster.read(self.route_kind(), namespace, name).await.ok()??;
        let managers = json::items(&object, "metadata/managedFields").iter();
        let others = managers.filter(|it| json::text(it, "manager") != crate::cluster::MANAGER);
        let last = others.max_by(|a, b| json::text(a, "time").cmp(json::text(b, "time")));
        last.map(|it| json::text(it, "manager").to_owned())
    }
}

/// The HTTP rules of a VirtualService; `None` if they cannot be read.
fn rules(object: &Value) -> Option<Vec<HttpRoute>> {
    match json::at(object, "spec/http") {
        Value::Null => Some(Vec::new()),
        list => decode(list).ok(),
    }
}
