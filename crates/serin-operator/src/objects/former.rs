//! What the primary was before its last promotion, so that a promotion can be undone.
//!
//! The template is kept in a ControllerRevision, the content of configuration in objects of its own kind.

use serde_json::{Value, json};

use super::{Obstacle, Scene};
use crate::json;
use crate::kind::Kind;
use crate::workload::{self, COPIED, Reference};

impl Scene<'_> {
    fn former_name(&self) -> String {
        format!("{}-primary-former", self.plan.target)
    }

    /// Keeps what the primary is, which is of this revision.
    pub(super) async fn keep_former(
        &self,
        primary: &Value,
        revision: &str,
    ) -> Result<(), Obstacle> {
        let mut names = Vec::new();
        for reference in self.own_configs(primary) {
            let object =
                self.cluster.read(reference.kind, &self.plan.namespace, &reference.name).await?;
            if let Some(mut content) = object {
                let labels = json::texts(&content, "metadata/labels");
                for field in ["metadata", "apiVersion", "kind"] {
                    json::remove(&mut content, field);
                }
                self.write_config(reference.kind, &former(&reference), &content, labels).await?;
                names.push(json!([reference.kind.name(), reference.name]));
            }
        }
        let template = if self.plan.releases_service() {
            workload::essence(primary)
        } else {
            json::at(primary, "spec/template").clone()
        };
        let kept = json!({
            "metadata": {
                "name": self.former_name(),
                "namespace": self.plan.namespace,
                "ownerReferences": self.owner(),
            },
            "revision": 1,
            "data": {"revision": revision, "template": template, "configs": names},
        });
        // Its data cannot be changed, so another one takes its place.
        let (namespace, name) = (&self.plan.namespace, self.former_name());
        if let Some(found) = self.cluster.read(Kind::ControllerRevision, namespace, &name).await? {
            if json::text(&found, "data/revision") == revision {
                return Ok(());
            }
            self.cluster.delete(Kind::ControllerRevision, namespace, &name).await?;
        }
        self.cluster.create(Kind::ControllerRevision, &kept).await?;
        Ok(())
    }

    /// The copies of configuration that the primary uses.
    fn own_configs(&self, primary: &Value) -> Vec<Reference> {
        let all = workload::references(json::at(primary, "spec/template/spec"));
        let is_own = |it: &Reference| {
            let object = self.cluster.get(it.kind, &self.plan.namespace, &it.name);
            object.is_some_and(|object| self.owns(&object))
        };
        all.into_iter().filter(is_own).collect()
    }

    /// The primary is again what it was at this revision.
    pub(crate) async fn restore_primary(&self, revision: &str) -> Result<(), Obstacle> {
        let Some((kind, _)) = self.primary() else { return Ok(()) };
        let (namespace, name) = (&self.plan.namespace, workload::primary_name(&self.plan.target));
        let Some(mut primary) = self.cluster.read(kind, namespace, &name).await? else {
            return Ok(());
        };
        if json::texts(&primary, "metadata/annotations")
            .get(COPIED)
            .is_some_and(|it| it == revision)
        {
            return Ok(());
        }
        let kept =
            self.cluster.read(Kind::ControllerRevision, namespace, &self.former_name()).await?;
        let kept = kept.filter(|it| json::text(it, "data/revision") == revision);
        let Some(kept) = kept else {
            return Err(Obstacle::Impossible(format!(
                "what {} {name} was at the revision {revision} is not kept",
                kind.name()
            )));
        };
        if self.plan.releases_service() {
            return self.write_copy("primary", json::at(&kept, "data/template"), revision).await;
        }
        for pair in json::items(&kept, "data/configs") {
            let [Some(of), Some(name)] =
                [0, 1].map(|index| pair.get(index).and_then(Value::as_str))
            else {
                continue;
            };
            let kind = if of == Kind::Secret.name() { Kind::Secret } else { Kind::ConfigMap };
            let reference = Reference { kind, name: name.to_owned() };
            if let Some(mut content) =
                self.cluster.read(kind, namespace, &former(&reference)).await?
            {
                let labels = json::texts(&content, "metadata/labels");
                for field in ["metadata", "apiVersion", "kind"] {
                    json::remove(&mut content, field);
                }
                self.write_config(kind, name, &content, labels).await?;
            }
        }
        json::set(&mut primary, "spec/template", json::at(&kept, "data/template").clone());
        let mut annotations = json::texts(&primary, "metadata/annotations");
        annotations.insert(COPIED.to_owned(), revision.to_owned());
        json::set(&mut primary, "metadata/annotations", json!(annotations));
        self.cluster.replace(kind, &primary).await?;
        Ok(())
    }
}

fn former(reference: &Reference) -> String {
    format!("{}-former", reference.name)
}
