//! OpenAPI documents of a catalog.

use serde_json::{Value, json};

use crate::Catalog;

/// The document of OpenAPI v2 with all resources.
pub fn v2(catalog: &Catalog) -> Value {
    let _ = catalog;
    json!({})
}

/// The index of OpenAPI v3 documents: a path with a hash for each group and version.
pub fn v3_index(catalog: &Catalog) -> Value {
    let _ = catalog;
    json!({})
}

/// The document of OpenAPI v3 of a group and version.
pub fn v3(catalog: &Catalog, group: &str, version: &str) -> Option<Value> {
    let _ = (catalog, group, version);
    None
}
