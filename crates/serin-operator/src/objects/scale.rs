//! How many pods the canary has.

use serde_json::{Value, json};

use super::{Obstacle, Scene};
use crate::json;
use crate::kind::Kind;
use crate::workload::{self, NOWHERE};

impl Scene<'_> {
    /// The canary has as many pods as it had, or as many as the primary, or as its autoscaler wants at least.
    pub(crate) async fn scale_up(&self) -> Result<(), Obstacle> {
        let (kind, target) = self.target()?;
        self.pause_scaler(false).await?;
        let patch = match kind {
            Kind::DaemonSet if workload::rests(&target) => resting(Value::Null),
            Kind::Deployment if json::at(&target, "spec/replicas").as_u64() == Some(0) => {
                json!({"spec": {"replicas": self.pods_from_zero()}})
            }
            _ => return Ok(()),
        };
        self.cluster.merge(kind, &self.plan.namespace, &self.plan.target, &patch).await?;
        Ok(())
    }

    fn pods_from_zero(&self) -> u32 {
        let pods = match &self.plan.scaler {
            Some(scaler) => {
                let object = self.cluster.get(Kind::Autoscaler, &self.plan.namespace, &scaler.name);
                object.map_or(1, |it| json::count(&it, "spec/minReplicas"))
            }
            None => self.primary().map_or(1, |(_, it)| json::count(&it, "spec/replicas")),
        };
        pods.max(1)
    }

    /// The canary has no pods.
    pub(crate) async fn scale_down(&self) -> Result<(), Obstacle> {
        let (kind, target) = self.target()?;
        self.pause_scaler(true).await?;
        let patch = match kind {
            Kind::DaemonSet if !workload::rests(&target) => resting(json!("true")),
            Kind::Deployment if json::at(&target, "spec/replicas").as_u64() != Some(0) => {
                json!({"spec": {"replicas": 0}})
            }
            _ => return Ok(()),
        };
        self.cluster.merge(kind, &self.plan.namespace, &self.plan.target, &patch).await?;
        Ok(())
    }
}

fn resting(value: Value) -> Value {
    json!({"spec": {"template": {"spec": {"nodeSelector": {NOWHERE: value}}}}})
}
