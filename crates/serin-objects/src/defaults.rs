//! Default values of Kubernetes' own kinds.

use serde_json::Value;

use crate::Resource;

/// Fills in the values of absent fields.
pub(crate) fn apply(resource: &Resource, object: &mut Value) {
    if let Some(version) = resource.definition().and_then(|it| it.version(&resource.version)) {
        version.schema.apply_defaults(object);
    }
}
