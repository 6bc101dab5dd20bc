//! Releases of a Service: both versions are copies of it, the canary's as it is now, the primary's as it was when it was
//! promoted last.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::metadata::is_of_tools;
use super::{ORIGINAL, Obstacle, Scene};
use crate::json;
use crate::kind::Kind;
use crate::workload::{self, COPIED};

impl Scene<'_> {
    /// The Services of both versions.
    pub(super) async fn ensure_copies(&self) -> Result<(), Obstacle> {
        let (_, target) = self.target()?;
        let revision = self.revision_of_service()?;
        let spec = workload::essence(&target);
        self.write_copy("canary", &spec, &revision).await?;
        if self.primary().is_none() {
            self.write_copy("primary", &spec, &revision).await?;
        }
        Ok(())
    }

    /// The primary's Service leads where the Service leads now, which must still be of the revision that was analysed.
    pub(super) async fn promote_service(
        &self,
        revision: &str,
        promoted: &str,
    ) -> Result<(), Obstacle> {
        let (_, target) = self.target()?;
        if self.revision_of_service()? != revision {
            return Err(Obstacle::Impossible(format!(
                "Service {} is no longer what was analysed, and is not copied",
                self.plan.target
            )));
        }
        if let Some((_, primary)) = self.primary() {
            let copied = json::texts(&primary, "metadata/annotations").remove(COPIED);
            if copied.as_deref() == Some(revision) {
                return Ok(());
            }
            self.keep_former(&primary, copied.as_deref().unwrap_or(promoted)).await?;
        }
        self.write_copy("primary", &workload::essence(&target), revision).await
    }

    fn revision_of_service(&self) -> Result<String, Obstacle> {
        let (_, target) = self.target()?;
        Ok(json::hash(&workload::essence(&target)))
    }

    /// The copy of a version is this, of this revision.
    pub(super) async fn write_copy(
        &self,
        side: &str,
        spec: &Value,
        revision: &str,
    ) -> Result<(), Obstacle> {
        let name = format!("{}-{side}", self.plan.target);
        let (_, target) = self.target()?;
        let custom = match side {
            "primary" => self.plan.service.primary.as_ref(),
            _ => self.plan.service.canary.as_ref(),
        };
        let mut wanted = json!({"metadata": self.metadata(&name, custom), "spec": spec});
        let copied = BTreeMap::from([(COPIED.to_owned(), revision.to_owned())]);
        for (part, own) in [("metadata/labels", None), ("metadata/annotations", Some(copied))] {
            let mut texts = json::texts(&target, part);
            texts.retain(|key, _| !is_of_tools(key) && key != ORIGINAL);
            texts.extend(json::texts(&wanted, part));
            texts.extend(own.into_iter().flatten());
            json::set(&mut wanted, part, json!(texts));
        }
        json::set(&mut wanted, "metadata/ownerReferences", self.owner());
        let is_in_place = |found: &Value| {
            json::hash(&workload::essence(found)) == revision
                && ["metadata/labels", "metadata/annotations"]
                    .iter()
                    .all(|part| json::holds(json::at(found, part), json::at(&wanted, part)))
        };
        Ok(self.cluster.ensure(Kind::Service, &wanted, is_in_place).await?)
    }
}
