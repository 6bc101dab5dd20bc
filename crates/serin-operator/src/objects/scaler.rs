//! Autoscalers: the primary's copy, and their limits.

use serde_json::{Value, json};
use serin_rollout::Side;

use super::metadata::{is_of_tools, left_alone};
use super::{Obstacle, Scene};
use crate::json;
use crate::kind::Kind;
use crate::workload;

/// By this annotation KEDA keeps a workload at a number of pods.
const PAUSED: &str = "autoscaling.keda.sh/paused-replicas";
/// Where a ScaledObject names the HorizontalPodAutoscaler that KEDA makes of it.
const AUTOSCALER: &str = "advanced/horizontalPodAutoscalerConfig/name";

impl Scene<'_> {
    fn scaler_kind(&self) -> Option<(Kind, &str)> {
        let scaler = self.plan.scaler.as_ref()?;
        let is_keda = scaler.kind == Kind::ScaledObject.name();
        Some((if is_keda { Kind::ScaledObject } else { Kind::Autoscaler }, &scaler.name))
    }

    /// The autoscaler as its author wrote it.
    async fn scaler(&self) -> Result<Option<(Kind, Value)>, Obstacle> {
        let Some((kind, name)) = self.scaler_kind() else { return Ok(None) };
        let namespace = &self.plan.namespace;
        let object = match kind {
            Kind::Autoscaler => self.cluster.get(kind, namespace, name).map(|it| (*it).clone()),
            _ => self.cluster.read(kind, namespace, name).await?,
        };
        object.map(|it| Some((kind, it))).ok_or_else(|| {
            Obstacle::Impossible(format!(
                "{} {namespace}/{name}, which spec.autoscalerRef names, is not there",
                kind.name()
            ))
        })
    }

    /// The primary has a copy of the autoscaler.
    pub(super) async fn ensure_primary_scaler(&self) -> Result<(), Obstacle> {
        let Some((kind, name)) = self.scaler_kind() else { return Ok(()) };
        let copy = workload::primary_name(name);
        let namespace = &self.plan.namespace;
        let is_there = match kind {
            Kind::Autoscaler => self.cluster.get(kind, namespace, &copy).is_some(),
            _ => self.cluster.read(kind, namespace, &copy).await?.is_some(),
        };
        if is_there {
            return Ok(());
        }
        let limits = self
            .plan
            .scaler
            .as_ref()
            .and_then(|it| it.primary_scaler_replicas.clone())
            .unwrap_or_default();
        self.copy_scaler(limits.min_replicas, limits.max_replicas).await
    }

    async fn copy_scaler(&self, least: Option<i32>, most: Option<i32>) -> Result<(), Obstacle> {
        let (Some((kind, scaler)), Some(reference)) = (self.scaler().await?, &self.plan.scaler)
        else {
            return Ok(());
        };
        let mut spec = json::at(&scaler, "spec").clone();
        json::set(
            &mut spec,
            "scaleTargetRef/name",
            json!(workload::primary_name(&self.plan.target)),
        );
        let [least_field, most_field] = limit_fields(kind);
        for (field, limit) in [(least_field, least), (most_field, most)] {
            if let Some(limit) = limit {
                json::set(&mut spec, field, json!(limit));
            }
        }
        if kind == Kind::ScaledObject {
            self.rewrite_queries(&mut spec, reference);
            let own = json::text(&spec, AUTOSCALER).to_owned();
            if !own.is_empty() {
                json::set(&mut spec, AUTOSCALER, json!(workload::primary_name(&own)));
            }
        }
        let name = workload::primary_name(json::name(&scaler));
        let mut wanted = json!({"metadata": self.scaler_metadata(&scaler, &name), "spec": spec});
        json::set(&mut wanted, "metadata/ownerReferences", self.owner());
        let found = self.cluster.get(kind, &self.plan.namespace, &name);
        let is_in_place = found.is_some_and(|found| {
            let same = |part: &str| json::holds(json::at(&found, part), json::at(&wanted, part));
            ["spec", "metadata/labels", "metadata/annotations"].into_iter().all(same)
        });
        if is_in_place {
            return Ok(());
        }
        self.cluster.apply(kind, &wanted).await?;
        Ok(())
    }

    /// Labels of the original; its annotations, too, of KEDA's, which is told by them what to do.
    fn scaler_metadata(&self, scaler: &Value, name: &str) -> Value {
        let mut labels = json::texts(scaler, "metadata/labels");
        labels.retain(|key, _| !is_of_tools(key));
        let mut annotations = if json::text(scaler, "kind") == Kind::ScaledObject.name() {
            json::texts(scaler, "metadata/annotations")
        } else {
            self.included(scaler, "annotations")
        };
        annotations.retain(|key, _| !is_of_tools(key) && key != PAUSED);
        annotations.extend(left_alone());
        let mut metadata = json::metadata(&self.plan.namespace, name);
        if !labels.is_empty() {
            json::set(&mut metadata, "labels", json!(labels));
        }
        json::set(&mut metadata, "annotations", json!(annotations));
        metadata
    }

    /// The queries of KEDA's triggers ask for the primary: those that the plan names as it says, or, where it names none, all
    /// of them by the primary's name in the place of the workload's.
    fn rewrite_queries(
        &self,
        spec: &mut Value,
        reference: &serin_api::delivery::AutoscalerReference,
    ) {
        let target = &self.plan.target;
        let Some(Value::Array(triggers)) = spec.get_mut("triggers") else { return };
        for trigger in triggers {
            let given = &reference.primary_scaler_queries;
            let query = json::text(trigger, "metadata/query");
            let query = match given.get(json::text(trigger, "name")) {
                Some(given) => given.clone(),
                None if given.is_empty() && !query.is_empty() => about_primary(query, target),
                None => continue,
            };
            json::set(trigger, "metadata/query", json!(query));
        }
    }

    /// The autoscaler of a version has these limits.
    pub(crate) async fn limit_scaler(
        &self,
        side: Side,
        least: Option<i32>,
        most: Option<i32>,
    ) -> Result<(), Obstacle> {
        if side == Side::Primary {
            return self.copy_scaler(least, most).await;
        }
        let Some((kind, scaler)) = self.scaler().await? else { return Ok(()) };
        let [least_field, most_field] = limit_fields(kind);
        let mut spec = json!({});
        for (field, limit) in [(least_field, least), (most_field, most)] {
            if let Some(limit) = limit.filter(|it| scaler["spec"][field] != json!(it)) {
                json::set(&mut spec, field, json!(limit));
            }
        }
        if spec != json!({}) {
            let patch = json!({"spec": spec});
            self.cluster.merge(kind, &self.plan.namespace, json::name(&scaler), &patch).await?;
        }
        Ok(())
    }

    /// KEDA leaves the canary alone while it rests. A HorizontalPodAutoscaler does so by itself.
    pub(super) async fn pause_scaler(&self, pause: bool) -> Result<(), Obstacle> {
        if self.scaler_kind().is_none_or(|(kind, _)| kind != Kind::ScaledObject) {
            return Ok(());
        }
        let Some((kind, scaler)) = self.scaler().await? else { return Ok(()) };
        let is_paused = json::texts(&scaler, "metadata/annotations").contains_key(PAUSED);
        if is_paused != pause {
            let value = if pause { json!("0") } else { Value::Null };
            let patch = json!({"metadata": {"annotations": {PAUSED: value}}});
            self.cluster.merge(kind, &self.plan.namespace, json::name(&scaler), &patch).await?;
        }
        Ok(())
    }
}

/// A query about a workload, or about its canary, that asks for the primary instead.
fn about_primary(query: &str, target: &str) -> String {
    let primary = workload::primary_name(target);
    let mut parts = query.split(target);
    let mut asked = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        asked.push_str(&primary);
        let side = ["-canary", "-primary"].iter().find_map(|side| part.strip_prefix(side));
        asked.push_str(side.unwrap_or(part));
    }
    asked
}

const fn limit_fields(kind: Kind) -> [&'static str; 2] {
    match kind {
        Kind::ScaledObject => ["minReplicaCount", "maxReplicaCount"],
        _ => ["minReplicas", "maxReplicas"],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_about_a_workload_become_queries_about_its_primary() {
        let check = |query: &str, expect: &str| assert_eq!(about_primary(query, "podinfo"), expect);
        check(
            "sum(rate(x{ app=\"podinfo\" }[30s]))",
            "sum(rate(x{ app=\"podinfo-primary\" }[30s]))",
        );
        check("podinfo-canary + podinfo", "podinfo-primary + podinfo-primary");
        check("podinfo-primary", "podinfo-primary");
        check("up", "up");
    }
}
