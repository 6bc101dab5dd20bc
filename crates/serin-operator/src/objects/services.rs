//! The Services of a release: of both versions, and the one that users call.

use serde_json::{Value, json};
use serin_api::delivery::CustomMetadata;
use serin_rollout::{Routes, routes};

use super::{ORIGINAL, Obstacle, Scene};
use crate::json;
use crate::kind::Kind;
use crate::workload;

/// Containers of meshes, whose ports are not the application's.
const MESH_CONTAINERS: [&str; 2] = ["istio-proxy", "envoy"];

impl Scene<'_> {
    /// The Services of both versions.
    pub(super) async fn ensure_side_services(&self) -> Result<(), Obstacle> {
        let apex = routes::apex(self.plan);
        let (_, value) = self.selector()?;
        let service = &self.plan.service;
        for (side, selected, metadata) in [
            ("canary", value.clone(), &service.canary),
            ("primary", workload::primary_name(&value), &service.primary),
        ] {
            self.ensure_service(&format!("{apex}-{side}"), &selected, metadata.as_ref()).await?;
        }
        Ok(())
    }

    /// The Service that users call leads to the primary's pods; without routes, to those of the version that has the traffic.
    pub(super) async fn ensure_apex(&self, routes: &Routes) -> Result<(), Obstacle> {
        let (_, value) = self.selector()?;
        let is_canary = !self.plan.is_routed() && routes.canary == 100;
        let selected = if is_canary { value } else { workload::primary_name(&value) };
        let metadata = self.plan.service.apex.as_ref();
        self.ensure_service(routes::apex(self.plan), &selected, metadata).await
    }

    /// Whether users are led to the primary already.
    pub(super) fn is_led_to_primary(&self) -> bool {
        let Ok((key, value)) = self.selector() else { return false };
        let apex = self.cluster.get(Kind::Service, &self.plan.namespace, routes::apex(self.plan));
        let selected = apex.map(|it| json::texts(&it, "spec/selector")).unwrap_or_default();
        selected.get(&key) == Some(&workload::primary_name(&value))
    }

    pub(super) fn selector(&self) -> Result<(String, String), Obstacle> {
        let (kind, target) = self.target()?;
        workload::selector(&target).ok_or_else(|| {
            Obstacle::Impossible(format!(
                "{} {} selects its pods by none of the labels app, name and app.kubernetes.io/name; give it one of them in \
                 spec.selector.matchLabels",
                kind.name(),
                self.plan.target
            ))
        })
    }

    async fn ensure_service(
        &self,
        name: &str,
        selected: &str,
        custom: Option<&CustomMetadata>,
    ) -> Result<(), Obstacle> {
        let (key, _) = self.selector()?;
        let found = self.cluster.get(Kind::Service, &self.plan.namespace, name);
        let mut wanted = json!({
            "metadata": self.metadata(name, custom),
            "spec": {"selector": {&key: selected}, "ports": self.ports()?},
        });
        let mut label = json::texts(&wanted, "metadata/labels");
        label.entry(key).or_insert_with(|| name.to_owned());
        json::set(&mut wanted, "metadata/labels", json!(label));
        if !self.plan.service.traffic_distribution.is_empty() {
            json::set(
                &mut wanted,
                "spec/trafficDistribution",
                json!(self.plan.service.traffic_distribution),
            );
        }
        match &found {
            None => self.make_ours(&mut wanted, self.plan.service.headless),
            // That cannot be changed later.
            Some(found) if self.owns(found) => {
                self.make_ours(&mut wanted, json::text(found, "spec/clusterIP") == "None");
            }
            Some(found) => self.remember_original(found, &mut wanted),
        }
        self.cluster.ensure(Kind::Service, &wanted, |found| is_in_place(found, &wanted)).await?;
        if found.is_none_or(|found| self.owns(&found)) {
            self.take_other_ports_away(name, &wanted).await?;
        }
        Ok(())
    }

    fn make_ours(&self, wanted: &mut Value, is_headless: bool) {
        if is_headless {
            json::set(wanted, "spec/clusterIP", json!("None"));
        }
        json::set(wanted, "metadata/ownerReferences", self.owner());
    }

    /// A Service of the release has its ports and no others. One of a user's may have more.
    async fn take_other_ports_away(&self, name: &str, wanted: &Value) -> Result<(), Obstacle> {
        let namespace = &self.plan.namespace;
        let Some(found) = self.cluster.get(Kind::Service, namespace, name) else { return Ok(()) };
        let ports = "spec/ports";
        if json::items(&found, ports).len() > json::items(wanted, ports).len() {
            let patch = json!({"spec": {"ports": json::at(wanted, ports)}});
            self.cluster.merge(Kind::Service, namespace, name, &patch).await?;
        }
        Ok(())
    }

    /// Keeps what a user's object was, the first time.
    pub(super) fn remember_original(&self, found: &Value, wanted: &mut Value) {
        let kept = json::texts(found, "metadata/annotations").remove(ORIGINAL);
        let spec = kept.unwrap_or_else(|| {
            let mut spec = json::at(found, "spec").clone();
            if json::text(found, "kind") == "Service" {
                spec = json!({"selector": spec.get("selector"), "ports": spec.get("ports")});
            }
            spec.to_string()
        });
        let mut annotations = json::texts(wanted, "metadata/annotations");
        annotations.insert(ORIGINAL.to_owned(), spec);
        json::set(wanted, "metadata/annotations", json!(annotations));
    }

    fn ports(&self) -> Result<Value, Obstacle> {
        let service = &self.plan.service;
        let name = if service.port_name.is_empty() { "http" } else { &service.port_name };
        let target =
            service.target_port.as_ref().map_or_else(|| json!(service.port), |it| json!(it));
        let mut first = json!({
            "name": name, "protocol": "TCP", "port": service.port, "targetPort": target,
        });
        if !service.app_protocol.is_empty() {
            json::set(&mut first, "appProtocol", json!(service.app_protocol));
        }
        let mut ports = vec![first];
        if service.port_discovery {
            let (_, workload) = self.target()?;
            for container in json::items(&workload, "spec/template/spec/containers") {
                if !MESH_CONTAINERS.contains(&json::text(container, "name")) {
                    ports.extend(discovered(container, &target));
                }
            }
        }
        Ok(Value::Array(distinct(ports)))
    }
}

/// Ports of which no two have a name or a number in common: the first of them is.
fn distinct(ports: Vec<Value>) -> Vec<Value> {
    let mut kept: Vec<Value> = Vec::new();
    for port in ports {
        let is_taken = |it: &Value| it["name"] == port["name"] || it["port"] == port["port"];
        if !kept.iter().any(is_taken) {
            kept.push(port);
        }
    }
    kept
}

/// The further ports of a container.
fn discovered<'a>(container: &'a Value, known: &'a Value) -> impl Iterator<Item = Value> + 'a {
    let ports = json::items(container, "ports").iter().enumerate();
    let others = ports.filter(move |(_, port)| {
        port.get("containerPort") != Some(known) && port.get("name").is_none_or(|it| it != known)
    });
    others.map(move |(index, port)| {
        let name = match json::text(port, "name") {
            "" => format!("tcp-{}-{index}", json::text(container, "name")),
            name => name.to_owned(),
        };
        let number = json::at(port, "containerPort");
        json!({"name": name, "protocol": "TCP", "port": number, "targetPort": number})
    })
}

/// Whether a Service is as wanted. It may have further ports.
fn is_in_place(found: &Value, wanted: &Value) -> bool {
    let ports = json::items(found, "spec/ports");
    let has = |wanted: &Value| ports.iter().any(|found| json::holds(found, wanted));
    let selector = "spec/selector";
    json::at(found, selector) == json::at(wanted, selector)
        && json::items(wanted, "spec/ports").iter().all(has)
        && ["metadata/labels", "metadata/annotations", "spec/trafficDistribution"]
            .iter()
            .all(|part| json::holds(json::at(found, part), json::at(wanted, part)))
}
