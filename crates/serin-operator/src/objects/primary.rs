//! The primary: a copy of the workload with labels and configuration of its own.

use serde_json::{Value, json};

use super::metadata::left_alone;
use super::{Obstacle, Scene};
use crate::json;
use crate::kind::Kind;
use crate::workload::{self, COPIED, Reference};

/// Fields of a workload's spec that a promotion copies, beside the template.
const COPIED_FIELDS: [&str; 5] = [
    "progressDeadlineSeconds",
    "minReadySeconds",
    "revisionHistoryLimit",
    "strategy",
    "updateStrategy",
];

impl Scene<'_> {
    /// The primary is there: a copy of the workload as it is now, if there was none.
    pub(super) async fn ensure_primary(&self) -> Result<(), Obstacle> {
        if self.primary().is_some() {
            return Ok(());
        }
        let (kind, target) = self.target()?;
        let sums = workload::checksums(self.cluster, &target);
        let revision = workload::revision(&target, &sums);
        self.copy_configs(&target).await?;
        let mut primary = json!({
            "metadata": self.primary_metadata(&target, &revision)?,
            "spec": {},
        });
        json::set(&mut primary, "metadata/ownerReferences", self.owner());
        self.fill_in(&mut primary, &target)?;
        let (key, value) = self.selector()?;
        let selected = json!({"matchLabels": {key: workload::primary_name(&value)}});
        json::set(&mut primary, "spec/selector", selected);
        if kind == Kind::Deployment {
            let replicas =
                json::at(&target, "spec/replicas").as_u64().filter(|it| *it > 0).unwrap_or(1);
            json::set(&mut primary, "spec/replicas", json!(replicas));
        }
        self.cluster.create(kind, &primary).await?;
        Ok(())
    }

    /// The primary's specification and configuration are the workload's, which must still be of the revision that was
    /// analysed.
    pub(crate) async fn copy_to_primary(
        &self,
        revision: &str,
        promoted: &str,
    ) -> Result<(), Obstacle> {
        if self.plan.releases_service() {
            return self.promote_service(revision, promoted).await;
        }
        let (kind, target) = self.target()?;
        let sums = workload::checksums(self.cluster, &target);
        if workload::revision(&target, &sums) != revision {
            return Err(Obstacle::Impossible(format!(
                "{} {} is no longer what was analysed, and is not copied",
                kind.name(),
                self.plan.target
            )));
        }
        let name = workload::primary_name(&self.plan.target);
        let Some(mut primary) = self.cluster.read(kind, &self.plan.namespace, &name).await? else {
            return self.ensure_primary().await;
        };
        let copied = json::texts(&primary, "metadata/annotations").remove(COPIED);
        if copied.as_deref() == Some(revision) {
            return Ok(());
        }
        self.keep_former(&primary, copied.as_deref().unwrap_or(promoted)).await?;
        self.copy_configs(&target).await?;
        let metadata = self.primary_metadata(&target, revision)?;
        for part in ["labels", "annotations"] {
            let mut texts = json::texts(&primary, &format!("metadata/{part}"));
            texts.extend(json::texts(&metadata, part));
            json::set(&mut primary, &format!("metadata/{part}"), json!(texts));
        }
        self.fill_in(&mut primary, &target)?;
        if kind == Kind::Deployment && self.plan.scaler.is_none() {
            let replicas = json::at(&target, "spec/replicas").as_u64().filter(|it| *it > 0);
            if let Some(replicas) = replicas {
                json::set(&mut primary, "spec/replicas", json!(replicas));
            }
        }
        self.cluster.replace(kind, &primary).await?;
        Ok(())
    }

    /// The primary has this many pods at least.
    pub(crate) async fn warm_up(&self, pods: u32) -> Result<(), Obstacle> {
        let Some((Kind::Deployment, primary)) = self.primary() else { return Ok(()) };
        if json::count(&primary, "spec/replicas") >= pods {
            return Ok(());
        }
        let patch = json!({"spec": {"replicas": pods}});
        let name = workload::primary_name(&self.plan.target);
        self.cluster.merge(Kind::Deployment, &self.plan.namespace, &name, &patch).await?;
        Ok(())
    }

    fn primary_metadata(&self, target: &Value, revision: &str) -> Result<Value, Obstacle> {
        let (key, value) = self.selector()?;
        let mut metadata =
            json::metadata(&self.plan.namespace, &workload::primary_name(&self.plan.target));
        let mut labels = self.included(target, "labels");
        let mut annotations = self.included(target, "annotations");
        annotations.extend(left_alone());
        labels.insert(key, workload::primary_name(&value));
        annotations.insert(COPIED.to_owned(), revision.to_owned());
        json::set(&mut metadata, "labels", json!(labels));
        json::set(&mut metadata, "annotations", json!(annotations));
        Ok(metadata)
    }

    /// The template and what belongs to it become the workload's, under the primary's labels and with its configuration.
    fn fill_in(&self, primary: &mut Value, target: &Value) -> Result<(), Obstacle> {
        for field in COPIED_FIELDS {
            match json::at(target, &format!("spec/{field}")) {
                Value::Null => json::remove(primary, &format!("spec/{field}")),
                value => json::set(primary, &format!("spec/{field}"), value.clone()),
            }
        }
        let (key, value) = self.selector()?;
        let named = workload::primary_name(&value);
        let mut template = json::at(target, "spec/template").clone();
        workload::unrest(&mut template);
        let mut labels = json::texts(&template, "metadata/labels");
        labels.insert(key.clone(), named.clone());
        json::set(&mut template, "metadata/labels", json!(labels));
        let mut annotations = json::texts(&template, "metadata/annotations");
        // Another one with each copy, so that pods are renewed even if only configuration changed.
        annotations.insert("flagger-id".to_owned(), crate::chance::unique());
        json::set(&mut template, "metadata/annotations", json!(annotations));
        let namespace = &self.plan.namespace;
        let is_copied = |it: &Reference| workload::tracked(self.cluster, namespace, it).is_some();
        if let Some(pod) = template.get_mut("spec") {
            workload::rename(pod, &is_copied);
            reselect(pod, &key, &value, &named);
        }
        json::set(primary, "spec/template", template);
        Ok(())
    }
}

/// Rules about pods that keep away from each other or spread mean the primary's pods in the copy.
fn reselect(pod: &mut Value, key: &str, from: &str, to: &str) {
    let rename = |selector: Option<&mut Value>| {
        let Some(selector) = selector else { return };
        if let Some(Value::String(value)) =
            selector.get_mut("matchLabels").and_then(|it| it.get_mut(key))
            && value == from
        {
            to.clone_into(value);
        }
        for expression in lists(selector, "/matchExpressions") {
            let is_ours =
                json::text(expression, "key") == key && json::text(expression, "operator") == "In";
            for value in lists(expression, "/values") {
                if is_ours && value == from {
                    *value = json!(to);
                }
            }
        }
    };
    for term in
        lists(pod, "/affinity/podAntiAffinity/requiredDuringSchedulingIgnoredDuringExecution")
    {
        rename(term.get_mut("labelSelector"));
    }
    for term in
        lists(pod, "/affinity/podAntiAffinity/preferredDuringSchedulingIgnoredDuringExecution")
    {
        rename(term.pointer_mut("/podAffinityTerm/labelSelector"));
    }
    for constraint in lists(pod, "/topologySpreadConstraints") {
        rename(constraint.get_mut("labelSelector"));
    }
}

fn lists<'v>(value: &'v mut Value, pointer: &str) -> &'v mut [Value] {
    match value.pointer_mut(pointer) {
        Some(Value::Array(list)) => list,
        _ => &mut [],
    }
}
