//! Undoing a release as a whole: what it took over is given back as it was.

use serde_json::{Value, json};
use serin_rollout::routes;

use super::metadata::{APPLIED, LEFT_ALONE};
use super::{ORIGINAL, Obstacle, Scene};
use crate::json;
use crate::kind::Kind;

/// The parts of a VirtualService and of an HTTPRoute that releases write.
const PARTS: [&str; 7] = ["http", "tcp", "hosts", "gateways", "rules", "hostnames", "parentRefs"];

impl Scene<'_> {
    /// The Service that users call leads to the workload's pods again, and the routes are what they were. What the release
    /// made goes with its object.
    pub(crate) async fn restore_originals(&self) -> Result<(), Obstacle> {
        let namespace = &self.plan.namespace;
        // A Service that is released was never changed.
        if self.plan.versions.is_none() && !self.plan.releases_service() {
            let (key, value) = self.selector()?;
            let apex = routes::apex(self.plan);
            if let Some(service) = self.cluster.get(Kind::Service, namespace, apex) {
                let kept = original(&service, &["selector", "ports"])
                    .unwrap_or_else(|| json!({"selector": {key: value}}));
                // Users keep their Service, whoever made it.
                let patch = json!({
                    "metadata": {"annotations": forgotten(), "ownerReferences": null},
                    "spec": replaced(json::at(&service, "spec"), kept, &["selector"]),
                });
                self.cluster.merge(Kind::Service, namespace, apex, &patch).await?;
            }
        }
        let name = self.route_name();
        let Some(route) = self.route_object() else {
            return Ok(());
        };
        if let Some(kept) = original(&route, &PARTS) {
            let mut patch = json!({
                "metadata": {"annotations": forgotten()},
                "spec": replaced(json::at(&route, "spec"), kept, &PARTS),
            });
            if self.owns(&route) {
                // A user has made it theirs.
                json::set(&mut patch, "metadata/ownerReferences", Value::Null);
            }
            self.cluster.merge(self.route_kind(), namespace, name, &patch).await?;
        } else if self.owns(&route) {
            self.cluster.delete(self.route_kind(), namespace, name).await?;
        }
        Ok(())
    }
}

/// A patch that takes a release's annotations from a user's object.
fn forgotten() -> Value {
    let ours = [ORIGINAL, "serin.dev/routes-written"].into_iter();
    ours.chain(LEFT_ALONE.map(|(key, _)| key)).map(|key| (key.to_owned(), Value::Null)).collect()
}

/// What a user's object was before; or, where kubectl was told of something else, that, which came later.
fn original(object: &Value, parts: &[&str]) -> Option<Value> {
    let annotations = json::texts(object, "metadata/annotations");
    let parsed = |key: &str| serde_json::from_str::<Value>(annotations.get(key)?).ok();
    let kept = parsed(ORIGINAL);
    let told = parsed(APPLIED).map(|told| {
        let spec = json::at(&told, "spec");
        let given =
            parts.iter().filter_map(|part| Some(((*part).to_owned(), spec.get(part)?.clone())));
        given.collect::<Value>()
    });
    let told = told.filter(|it| *it != json!({}));
    match (kept, told) {
        (Some(kept), Some(told)) if json::holds(&kept, &told) => Some(kept),
        (kept, told) => told.or(kept),
    }
}

/// A patch that makes the `parts` of a spec what they were, and takes away keys that were not there.
fn replaced(found: &Value, kept: Value, parts: &[&str]) -> Value {
    let mut patch = kept;
    for part in parts {
        let keys =
            found.get(*part).and_then(Value::as_object).map(|it| it.keys().cloned().collect());
        if patch.get(*part).is_none_or(Value::is_null) {
            json::set(&mut patch, part, Value::Null);
        } else {
            let keys: Vec<String> = keys.unwrap_or_default();
            for key in
                keys.into_iter().filter(|key| patch[*part].get(key).is_none()).collect::<Vec<_>>()
            {
                patch[*part][key] = Value::Null;
            }
        }
    }
    patch
}
