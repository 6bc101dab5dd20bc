//! Server-side apply.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::decode::canonical::zero_of_resource;
use crate::decode::{Body, FieldValidation, Words, decode};
use crate::field_set::Set;
use crate::managed::{self, Operation, Owner, Versions};
use crate::schema::Node;
use crate::status::{Cause, Details};
use crate::{Prepared, Resource, Status, defaults, time, typed};

/// The owner of everything in an object that was written before anyone was recorded.
const BEFORE: &str = "before-first-apply";

/// The circumstances of an apply.
#[derive(Clone, Copy, Debug)]
pub struct Options<'o> {
    /// The time.
    pub now: Timestamp,
    /// Who applies: the `fieldManager` parameter, which must be given.
    pub manager: &'o str,
    /// Take fields over that others own.
    pub force: bool,
    /// The part of the object that is applied: `status`; none for the object itself.
    pub subresource: Option<&'o str>,
    /// What happens to fields that the kind does not have.
    pub validation: FieldValidation,
}

/// What `old` (none: a new object) becomes when `body` is applied to it, in canonical form with default values and with
/// ownership recorded in `metadata.managedFields`. Equal to `old` where nothing changes. The next step is
/// [`crate::prepare`] with [`crate::prepare::Ownership::Applied`].
///
/// # Errors
/// The status to answer with, for example the conflicts.
pub fn apply(
    resource: &Resource,
    old: Option<&Value>,
    body: Body,
    options: &Options<'_>,
) -> Result<Prepared, Status> {
    if options.manager.is_empty() {
        return Err(Status::bad_request(
            "PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: Required value: is required for apply patch",
        ));
    }
    let (config, warnings) = configuration(resource, body, options)?;
    let node = resource.schema();
    let zero = zero_of_resource(resource);
    let live = managed::without(old.unwrap_or(&zero));
    let mut owners = old.map(|old| owners_of(resource, old, &zero, options)).unwrap_or_default();
    let mut owner = Owner::new(resource, Operation::Apply, options.manager, options.subresource);
    let last = owners.iter().position(|it| it.is(&owner)).map(|place| owners.remove(place));
    owner.set = typed::to_set(node, &config);
    managed::strip(&mut owner.set);
    owner.time = last.as_ref().and_then(|last| last.time.clone());
    owners.push(owner.clone());

    let mut merged = typed::merge(node, &live, &config);
    if let Some(last) = last.filter(|last| !last.set.is_empty()) {
        merged = prune(resource, &merged, &owners, &last);
    }
    merged = canonical(resource, merged)?;
    let mut versions = Versions::new(resource, &live, &merged);
    let conflicts = managed::yield_fields(&mut owners, Some(&owner), &mut versions);
    if !options.force && !conflicts.is_empty() {
        return Err(conflict(&conflicts));
    }
    if old.is_none() || merged != live {
        for it in owners.iter_mut().filter(|it| it.is(&owner)) {
            it.time = Some(time::seconds(options.now));
        }
    }
    if !merged["metadata"].is_object() {
        merged["metadata"] = json!({});
    }
    managed::write(&mut merged, owners);
    Ok(Prepared { object: merged, warnings })
}

/// What the client applies: checked, and without the record of owners.
fn configuration(
    resource: &Resource,
    body: Body,
    options: &Options<'_>,
) -> Result<(Value, Vec<String>), Status> {
    let mut config = body.value;
    let expected = (resource.api_version(), resource.kind.as_str());
    let found = (
        config["apiVersion"].as_str().unwrap_or_default(),
        config["kind"].as_str().unwrap_or_default(),
    );
    if !config.is_object() || found.0.is_empty() || found.1.is_empty() {
        return Err(Status::bad_request(
            "error decoding YAML: Object 'Kind' is missing in the applied configuration",
        ));
    }
    if found != (expected.0.as_str(), expected.1) {
        return Err(Status::bad_request(format!(
            "Incorrect version specified in apply patch. Specified patch version: {}, expected: {}",
            found.0, expected.0
        )));
    }
    let listed = config.pointer("/metadata/managedFields").and_then(Value::as_array);
    if listed.is_some_and(|list| !list.is_empty()) {
        return Err(Status::bad_request("metadata.managedFields must be nil"));
    }
    if let Some(metadata) = config.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
    }
    let node = resource.schema();
    let mut problems: Vec<String> = typed::problems(node, &config);
    let duplicates: Vec<String> =
        body.duplicates.iter().map(|path| format!("duplicate field \"{path}\"")).collect();
    let warnings =
        crate::decode::settle(duplicates, options.validation).map_err(Status::bad_request)?;
    let decoded = decode(resource, config.clone(), Words::Json)
        .map_err(|why| untyped(resource, &config, &why))?;
    for unknown in decoded.unknown {
        let path = unknown.trim_start_matches("unknown field ").trim_matches('"');
        problems.push(format!(".{path}: field not declared in schema"));
    }
    match problems.as_slice() {
        [] => {}
        [only] => return Err(untyped(resource, &config, only)),
        many => {
            let lines: Vec<String> = many.iter().map(|it| format!("  {it}")).collect();
            return Err(untyped(resource, &config, &format!("errors:\n{}", lines.join("\n"))));
        }
    }
    if options.subresource == Some("status")
        && let Some(map) = config.as_object_mut()
    {
        map.retain(|name, _| {
            matches!(name.as_str(), "apiVersion" | "kind" | "metadata" | "status")
        });
    } else if resource.has_status()
        && let Some(map) = config.as_object_mut()
    {
        map.remove("status");
    }
    Ok((only_written(node, &config, resource), warnings))
}

/// A configuration that does not fit its type.
fn untyped(resource: &Resource, config: &Value, why: &str) -> Status {
    let text = |name: &str| config["metadata"][name].as_str().unwrap_or_default().to_owned();
    let (namespace, name) = (text("namespace"), text("name"));
    let api = crate::catalog::split_api_version(config["apiVersion"].as_str().unwrap_or_default());
    let version =
        if api.0.is_empty() { format!("/{}", api.1) } else { format!("{}/{}", api.0, api.1) };
    let message = format!(
        "failed to create typed patch object ({namespace}/{name}; {version}, Kind={}): {why}",
        resource.kind
    );
    Status::new(500, "", message)
}

/// The configuration with its scalars in canonical form, and nothing else changed: no defaults, and empty values stay.
fn only_written(node: &Node, config: &Value, resource: &Resource) -> Value {
    if resource.is_custom() {
        return config.clone();
    }
    match (node, config) {
        (Node::Scalar(_), value) => {
            crate::decode::canonical::canonical(node, value.clone(), &[], Words::Json)
                .map_or_else(|_| value.clone(), |(value, _)| value)
        }
        (Node::Struct(_) | Node::Map(_), Value::Object(map)) => map
            .iter()
            .map(|(name, value)| (name.clone(), only_written(node.field(name), value, resource)))
            .collect(),
        (Node::List(list), Value::Array(items)) => {
            items.iter().map(|item| only_written(list.items(), item, resource)).collect()
        }
        _ => config.clone(),
    }
}

/// The owners of an existing object. What was there before anyone was recorded belongs to nobody who applies.
fn owners_of(resource: &Resource, old: &Value, zero: &Value, options: &Options<'_>) -> Vec<Owner> {
    let owners = managed::read(old).unwrap_or_default();
    if !owners.is_empty() {
        return owners;
    }
    let mut before = Owner::new(resource, Operation::Update, BEFORE, None);
    let comparison = typed::compare(resource.schema(), zero, &managed::without(old));
    before.set = comparison.added.union(&comparison.modified);
    managed::strip(&mut before.set);
    before.time = Some(time::seconds(options.now));
    vec![before]
}

/// The merged object without what the applier had applied the last time, has not applied now, and nobody else owns.
fn prune(resource: &Resource, merged: &Value, owners: &[Owner], last: &Owner) -> Value {
    let node = managed::node_in(resource, &last.api_version);
    let named = |value: &Value| typed::to_set(node, value).with_named_fields(node);
    let without = |set: &Set| typed::remove(node, merged, set).unwrap_or_else(|| json!({}));
    let last_set = last.set.with_named_fields(node);
    let merged_set = named(merged);

    let pruned = without(&last_set);
    let owned = owners
        .iter()
        .fold(Set::default(), |all, owner| all.union(&owner.set))
        .with_named_fields(node);
    let pruned = without(&merged_set.difference(&named(&pruned).union(&owned)));
    // What nobody owned before stays too, for example where a removed parent held it.
    let dangling = merged_set.difference(&named(&pruned)).intersection(&last_set);
    without(&dangling)
}

/// What became of a merge, in canonical form with default values.
fn canonical(resource: &Resource, merged: Value) -> Result<Value, Status> {
    let refused = |why: String| {
        Status::new(500, "", format!("failed to convert merged object at last version: {why}"))
    };
    let mut object = decode(resource, merged, Words::Json).map_err(refused)?.object;
    defaults::apply(resource, &mut object);
    Ok(object)
}

fn conflict(conflicts: &[(Owner, Set)]) -> Status {
    let mut found: Vec<(String, Vec<String>)> =
        conflicts.iter().map(|(owner, set)| (owner.described(), set.paths())).collect();
    found.sort();
    let causes: Vec<Cause> = found
        .iter()
        .flat_map(|(owner, paths)| paths.iter().map(move |path| (owner, path)))
        .map(|(owner, path)| Cause {
            reason: "FieldManagerConflict".to_owned(),
            message: format!("conflict with {owner}"),
            field: path.clone(),
        })
        .collect();
    let message = match causes.as_slice() {
        [only] => format!("Apply failed with 1 conflict: {}: {}", only.message, only.field),
        many => {
            let mut lines = Vec::new();
            for (owner, paths) in &found {
                lines.push(format!("conflicts with {owner}:"));
                lines.extend(paths.iter().map(|path| format!("- {path}")));
            }
            format!("Apply failed with {} conflicts: {}", many.len(), lines.join("\n"))
        }
    };
    Status::new(409, "Conflict", message).with(Details { causes, ..Details::default() })
}

#[cfg(test)]
mod history;
#[cfg(test)]
mod tests;
