//! The primary's own copies of ConfigMaps and Secrets, so that a change reaches the primary only with its promotion.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Obstacle, Scene};
use crate::json;
use crate::kind::Kind;
use crate::workload::{self, Reference};

/// On a copy: the checksum of what it is a copy of.
const CHECKSUM: &str = "serin.dev/copied-checksum";
/// What makes up the content of a ConfigMap or Secret.
const CONTENT: [&str; 4] = ["data", "binaryData", "type", "immutable"];

impl Scene<'_> {
    /// The primary's copies of everything that the workload uses are as the originals are now.
    pub(super) async fn copy_configs(&self, target: &Value) -> Result<(), Obstacle> {
        for reference in workload::references(json::at(target, "spec/template/spec")) {
            let namespace = &self.plan.namespace;
            if workload::tracked(self.cluster, namespace, &reference).is_some() {
                self.copy_config(&reference).await?;
            }
        }
        Ok(())
    }

    async fn copy_config(&self, reference: &Reference) -> Result<(), Obstacle> {
        let (namespace, kind) = (&self.plan.namespace, reference.kind);
        let Some(original) = self.cluster.read(kind, namespace, &reference.name).await? else {
            return Ok(());
        };
        let mut content = json!({});
        for field in CONTENT {
            if let Some(value) = original.get(field) {
                json::set(&mut content, field, value.clone());
            }
        }
        let labels = self.included(&original, "labels");
        self.write_config(kind, &workload::primary_name(&reference.name), &content, labels).await
    }

    /// A ConfigMap or Secret of ours has this content.
    pub(super) async fn write_config(
        &self,
        kind: Kind,
        name: &str,
        content: &Value,
        labels: BTreeMap<String, String>,
    ) -> Result<(), Obstacle> {
        let sum = json::hash(content);
        let found = self.cluster.get(kind, &self.plan.namespace, name);
        let has =
            found.as_ref().and_then(|it| json::texts(it, "metadata/annotations").remove(CHECKSUM));
        if has.as_ref() == Some(&sum) {
            return Ok(());
        }
        let is_fixed = found.as_ref().is_some_and(|it| it.get("immutable") == Some(&json!(true)));
        if is_fixed {
            self.cluster.delete(kind, &self.plan.namespace, name).await?;
        }
        let mut object = content.clone();
        json::set(&mut object, "metadata", json::metadata(&self.plan.namespace, name));
        json::set(&mut object, "metadata/annotations", json!({CHECKSUM: sum}));
        if !labels.is_empty() {
            json::set(&mut object, "metadata/labels", json!(labels));
        }
        json::set(&mut object, "metadata/ownerReferences", self.owner());
        self.cluster.apply(kind, &object).await?;
        Ok(())
    }
}
