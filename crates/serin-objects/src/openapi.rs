//! OpenAPI documents of a catalog: what `kubectl explain`, client-side validation and other people's clients read.
//!
//! Documents are made when they are asked for; whoever serves them may keep them.

use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha512};

use crate::{Catalog, Resource};

mod paths;
mod protobuf;
mod schemas;

/// The version of Kubernetes whose API is served.
const VERSION: &str = "v1.33.0";

/// The document of OpenAPI v2 with all resources.
pub fn v2(catalog: &Catalog) -> Value {
    let resources: Vec<&Resource> = catalog.resources().map(AsRef::as_ref).collect();
    let mut definitions = schemas::of(&resources);
    definitions.values_mut().for_each(schemas::to_v2);
    json!({
        "swagger": "2.0",
        "info": {"title": "Kubernetes", "version": VERSION},
        "paths": paths::of(&resources, paths::Dialect::V2),
        "definitions": definitions,
    })
}

/// The document of OpenAPI v2 in protocol buffers (`application/com.github.proto-openapi.spec.v2.v1.0+protobuf`), the only
/// form in which kubectl reads it.
pub fn v2_protobuf(catalog: &Catalog) -> Vec<u8> {
    protobuf::document(&v2(catalog))
}

/// The index of OpenAPI v3 documents: a path with a hash for each group and version.
pub fn v3_index(catalog: &Catalog) -> Value {
    let mut paths = Map::new();
    for group in catalog.groups() {
        for version in &group.versions {
            let path = path_of(&group.name, &version.name);
            let mut hash = Sha512::new();
            hash.update(VERSION);
            // Kinds without a definition are what this version of the program knows.
            hash.update(env!("CARGO_PKG_VERSION"));
            for resource in version.resources.values() {
                hash.update(&resource.plural);
                let definition = resource.definition().and_then(|it| it.version(&resource.version));
                if let Some(definition) = definition {
                    hash.update(definition.written_schema());
                    hash.update(format!("{}{}", definition.status, definition.scale.is_some()));
                }
            }
            let hash: String = hash.finalize().iter().map(|byte| format!("{byte:02X}")).collect();
            let url = format!("/openapi/v3/{path}?hash={hash}");
            paths.insert(path, json!({ "serverRelativeURL": url }));
        }
    }
    json!({ "paths": paths })
}

/// `api/v1` or `apis/apps/v1`.
fn path_of(group: &str, version: &str) -> String {
    if group.is_empty() { format!("api/{version}") } else { format!("apis/{group}/{version}") }
}

/// The document of OpenAPI v3 of a group and version.
pub fn v3(catalog: &Catalog, group: &str, version: &str) -> Option<Value> {
    let version = catalog.version(group, version)?;
    let resources: Vec<&Resource> = version.resources.values().map(AsRef::as_ref).collect();
    let mut schemas = schemas::of(&resources);
    schemas.values_mut().for_each(schemas::to_v3);
    Some(json!({
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": VERSION},
        "paths": paths::of(&resources, paths::Dialect::V3),
        "components": {"schemas": schemas},
    }))
}

#[cfg(test)]
mod tests;
