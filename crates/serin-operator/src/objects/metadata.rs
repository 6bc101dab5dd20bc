//! Labels and annotations of what a release makes: what its author wants, what is copied, and what keeps other tools away.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use serin_api::delivery::CustomMetadata;

use super::Scene;
use crate::json;

/// Part of the names by which Flux knows what it manages; a copy is not Flux'.
const FLUX: &str = "toolkit.fluxcd.io";
/// The annotation that kubectl keeps for itself.
pub(super) const APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// What Flux would set back, it leaves alone with these.
pub(super) const LEFT_ALONE: [(&str, &str); 2] = [
    ("kustomize.toolkit.fluxcd.io/reconcile", "disabled"),
    ("helm.toolkit.fluxcd.io/driftDetection", "disabled"),
];

/// Whether a label or an annotation says by which tool an object is managed, which is not true of its copy.
pub(super) fn is_of_tools(key: &str) -> bool {
    key.contains(FLUX) || key == APPLIED
}

/// Annotations that keep Flux from setting back what a release writes.
pub(super) fn left_alone() -> impl Iterator<Item = (String, String)> {
    LEFT_ALONE.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
}

impl Scene<'_> {
    /// Name and namespace, with the labels and annotations that the plan wants, but for those that are others'.
    pub(super) fn metadata(&self, name: &str, custom: Option<&CustomMetadata>) -> Value {
        let unmanaged = self.plan.service.unmanaged_metadata.clone().unwrap_or_default();
        let CustomMetadata { mut labels, mut annotations } = custom.cloned().unwrap_or_default();
        annotations.extend(left_alone());
        labels.retain(|key, _| !unmanaged.labels.contains(key));
        annotations.retain(|key, _| !unmanaged.annotations.contains(key));
        let mut metadata = json::metadata(&self.plan.namespace, name);
        if !labels.is_empty() {
            json::set(&mut metadata, "labels", json!(labels));
        }
        json::set(&mut metadata, "annotations", json!(annotations));
        metadata
    }

    /// The labels or annotations of an object that its copy gets, too, as the controller was told.
    pub(super) fn included(&self, of: &Value, part: &str) -> BTreeMap<String, String> {
        let prefixes = &self.settings.include_label_prefixes;
        let is_included = |key: &str| {
            prefixes.iter().any(|it| it == "*" || (!it.is_empty() && key.starts_with(it.as_str())))
        };
        let mut texts = json::texts(of, &format!("metadata/{part}"));
        texts.retain(|key, _| !is_of_tools(key) && is_included(key));
        texts
    }
}
