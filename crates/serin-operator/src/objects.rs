//! The objects that a release makes and keeps: what they shall be, and bringing them there.
//!
//! Every function here can be called at any time and as often as one likes: it looks at what is there and writes only what is
//! other than it shall be. Fields that others set and that are of no concern to the release stay as they are.

mod configs;
mod copies;
mod former;
mod mesh;
mod metadata;
mod originals;
mod primary;
mod rival;
mod scale;
mod scaler;
mod services;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};
use serin_api::delivery::{Canary, Provider};
use serin_rollout::plan::Router;
use serin_rollout::{Plan, Routes, routes};

use crate::cluster::{ApiError, Cluster};
use crate::json;
use crate::kind::Kind;
use crate::settings::Settings;
use crate::workload;

/// Where a user's object keeps what it was before a release took it over.
pub(crate) const ORIGINAL: &str = "flagger.kubernetes.app/original-configuration";

/// A release and what surrounds it.
pub(crate) struct Scene<'a> {
    pub(crate) cluster: &'a Cluster,
    pub(crate) settings: &'a Settings,
    pub(crate) plan: &'a Plan,
    /// The spec behind the plan.
    pub(crate) spec: &'a Canary,
    /// The Canary itself.
    pub(crate) canary: &'a Value,
}

/// An action could not be carried out.
#[derive(Debug, thiserror::Error)]
pub enum Obstacle {
    /// The API refused or did not answer.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// The release asks for what cannot be.
    #[error("{0}")]
    Impossible(String),
}

impl Scene<'_> {
    /// What makes an object part of the release, to go with it.
    fn owner(&self) -> Value {
        json!([{
            "apiVersion": json::text(self.canary, "apiVersion"),
            "kind": "Canary",
            "name": self.plan.name,
            "uid": json::text(self.canary, "metadata/uid"),
            "controller": true,
            "blockOwnerDeletion": true,
        }])
    }

    /// Whether an object was made by this release.
    fn owns(&self, object: &Value) -> bool {
        let uid = json::text(self.canary, "metadata/uid");
        json::items(object, "metadata/ownerReferences")
            .iter()
            .any(|it| json::text(it, "uid") == uid)
    }

    /// The workload whose changes are released.
    pub(crate) fn target(&self) -> Result<(Kind, Arc<Value>), Obstacle> {
        let kind = workload::kind(self.plan).ok_or_else(|| {
            Obstacle::Impossible(format!(
                "spec.targetRef.kind is {:?}; releases know Deployment, DaemonSet and Service",
                self.plan.kind
            ))
        })?;
        let (namespace, name) = (&self.plan.namespace, &self.plan.target);
        let target = self.cluster.get(kind, namespace, name);
        let missing =
            || Obstacle::Impossible(format!("{} {namespace}/{name} is not there", kind.name()));
        Ok((kind, target.ok_or_else(missing)?))
    }

    /// The primary, if it is there.
    fn primary(&self) -> Option<(Kind, Arc<Value>)> {
        let kind = workload::kind(self.plan)?;
        let name = workload::primary_name(&self.plan.target);
        Some((kind, self.cluster.get(kind, &self.plan.namespace, &name)?))
    }

    /// Whether the release asks for something that is done here at all.
    pub(crate) fn can_be(&self) -> Result<(), Obstacle> {
        let provider = self.spec.provider;
        use Provider::{Default, GatewayApi, GatewayApiBeta, Istio, Kubernetes};
        if !matches!(provider, Default | Istio | Kubernetes | GatewayApi | GatewayApiBeta) {
            return Err(Obstacle::Impossible(format!(
                "spec.provider {provider} is not supported; use istio, gatewayapi:v1, or kubernetes for releases without routes"
            )));
        }
        if self.plan.router == Router::HttpRoute {
            self.can_be_http_route()?;
        }
        if self.plan.versions.is_none() && workload::kind(self.plan).is_none() {
            self.target()?;
        }
        if self.plan.releases_service() {
            self.can_be_service()?;
        }
        self.has_no_rival()
    }

    fn can_be_service(&self) -> Result<(), Obstacle> {
        let refuse = |why: &str| Err(Obstacle::Impossible(why.to_owned()));
        if !self.plan.is_routed() {
            return refuse(
                "a Service is released by routes, and the provider kubernetes has none; use the provider istio",
            );
        }
        if routes::apex(self.plan) != self.plan.target {
            return refuse("a Service is released under its own name; remove spec.service.name");
        }
        Ok(())
    }

    /// The routes are these.
    pub(crate) async fn set_routes(&self, routes: &Routes) -> Result<(), Obstacle> {
        if self.plan.is_routed() {
            self.ensure_routes(routes).await
        } else {
            self.ensure_apex(routes).await
        }
    }

    /// The labels of the pods of a subset.
    pub(crate) fn labels_of_subset(
        &self,
        subset: &str,
    ) -> Result<BTreeMap<String, String>, Obstacle> {
        let (apex, namespace) = (routes::apex(self.plan), &self.plan.namespace);
        let hosts = [
            apex.to_owned(),
            format!("{apex}.{namespace}"),
            format!("{apex}.{namespace}.svc"),
            format!("{apex}.{namespace}.svc.cluster.local"),
        ];
        let rules = self.cluster.all(Kind::DestinationRule);
        let of_host = rules.iter().filter(|it| {
            json::namespace(it) == namespace
                && hosts.iter().any(|host| host == json::text(it, "spec/host"))
        });
        let mut subsets = of_host.flat_map(|it| json::items(it, "spec/subsets"));
        let found = subsets.find(|it| json::text(it, "name") == subset).ok_or_else(|| {
            Obstacle::Impossible(format!(
                "no DestinationRule of the host {apex} in {namespace} has the subset {subset}, which spec.versions names"
            ))
        })?;
        let service = self.cluster.get(Kind::Service, namespace, apex);
        let mut labels = service.map(|it| json::texts(&it, "spec/selector")).unwrap_or_default();
        labels.extend(json::texts(found, "labels"));
        Ok(labels)
    }

    /// Everything that is to be there is there. Users are led to the primary as soon as it has pods.
    pub(crate) async fn ensure(&self, routes: &Routes) -> Result<(), Obstacle> {
        if self.plan.versions.is_some() {
            return self.ensure_routes(routes).await;
        }
        if self.plan.releases_service() {
            self.ensure_copies().await?;
            return self.ensure_routes(routes).await;
        }
        self.ensure_side_services().await?;
        self.ensure_primary().await?;
        self.ensure_primary_scaler().await?;
        let has_pods = self.primary().is_some_and(|(kind, primary)| {
            let ready = if kind == Kind::DaemonSet { "numberReady" } else { "readyReplicas" };
            json::count(&primary, &format!("status/{ready}")) > 0
        });
        if has_pods || self.is_led_to_primary() {
            self.ensure_apex(routes).await?;
            self.ensure_routes(routes).await?;
        }
        Ok(())
    }
}
