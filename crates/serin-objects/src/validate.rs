//! What a real Kubernetes refuses, in its words.

use serde_json::Value;

use crate::Resource;
use crate::fields::FieldError;

mod custom;
mod meta;
pub(crate) mod names;
pub(crate) mod pod;

/// Everything that is wrong with an object, new or in the place of `old`.
pub(crate) fn object(resource: &Resource, old: Option<&Value>, object: &Value) -> Vec<FieldError> {
    let mut errors = meta::check(resource, object);
    if let Some(old) = old {
        errors.extend(meta::check_update(old, object));
    }
    if resource.is_custom() {
        errors.extend(custom::check(resource, old, object));
    }
    errors
}

/// What the author of an object should hear though it is not wrong.
pub(crate) fn warnings(resource: &Resource, old: Option<&Value>, object: &Value) -> Vec<String> {
    let _ = (old, object);
    let definition = resource.definition().and_then(|it| it.version(&resource.version));
    definition.and_then(|version| version.deprecation.clone()).into_iter().collect()
}
