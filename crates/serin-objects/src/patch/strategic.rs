//! Strategic merge patch: a merge that knows which lists are merged by a key of their elements, with directives.
//!
//! The directives: `$patch` (`replace`, `delete`) in records and elements, `$retainKeys`, `$setElementOrder/list` and
//! `$deleteFromPrimitiveList/list` beside a list.

use serde_json::{Map, Value};

use crate::Status;
use crate::schema::{Merge, Node};

const PATCH: &str = "$patch";
const RETAIN: &str = "$retainKeys";
const ORDER: &str = "$setElementOrder/";
const DELETE: &str = "$deleteFromPrimitiveList/";

/// `old` with `patch` merged into it.
pub(super) fn merge(node: &Node, old: Value, patch: Value) -> Result<Value, Status> {
    let (Value::Object(old), Value::Object(patch)) = (old, patch) else {
        return Err(Status::bad_request("the patch must be an object"));
    };
    merge_maps(node, old, patch).map(Value::Object)
}

type Object = Map<String, Value>;

/// The strategy of a field.
fn strategy(node: &Node, field: &str) -> Merge {
    match node {
        Node::Struct(it) => it.fields.get(field).map(|it| it.merge).unwrap_or_default(),
        _ => Merge::default(),
    }
}

fn merge_maps(node: &Node, mut old: Object, mut patch: Object) -> Result<Object, Status> {
    match patch.remove(PATCH) {
        None => {}
        Some(Value::String(it)) if it == "replace" => return Ok(patch),
        Some(Value::String(it)) if it == "delete" => return Ok(Object::new()),
        // Which merges, as no directive does.
        Some(Value::String(it)) if it == "merge" => {}
        Some(other) => return Err(bad_type(&other, &patch)),
    }
    retain(&mut old, &mut patch)?;
    order(node, &mut old, &mut patch)?;
    for (name, value) in patch {
        if let Some(list) = name.strip_prefix(DELETE) {
            delete_from(&mut old, list, &value)?;
            continue;
        }
        if value.is_null() {
            old.remove(&name);
            continue;
        }
        let merged = match (old.remove(&name), value) {
            (Some(Value::Object(was)), Value::Object(value)) => {
                Value::Object(merge_maps(node.field(&name), was, value)?)
            }
            (Some(Value::Array(was)), Value::Array(value)) => {
                let field = node.field(&name);
                Value::Array(merge_lists(field, strategy(node, &name), was, value)?)
            }
            (_, value) => match without_directives(value) {
                Some(value) => value,
                None => continue,
            },
        };
        old.insert(name, merged);
    }
    Ok(old)
}

/// `$retainKeys`: fields that are not in the list go.
fn retain(old: &mut Object, patch: &mut Object) -> Result<(), Status> {
    let Some(keys) = patch.remove(RETAIN) else { return Ok(()) };
    let bad = || Status::bad_request("invalid patch format of retainKeys");
    let keys = keys.as_array().ok_or_else(bad)?;
    let has = |name: &str| keys.iter().any(|key| key.as_str() == Some(name));
    for (name, value) in patch.iter() {
        let is_directive = name.starts_with(DELETE) || name.starts_with(ORDER);
        if !value.is_null() && !is_directive && !has(name) {
            return Err(bad());
        }
    }
    old.retain(|name, _| has(name));
    Ok(())
}

/// `$setElementOrder/list`: merges the lists that it stands beside, and orders what comes out.
fn order(node: &Node, old: &mut Object, patch: &mut Object) -> Result<(), Status> {
    let directives: Vec<String> =
        patch.keys().filter(|name| name.starts_with(ORDER)).cloned().collect();
    for directive in directives {
        let bad = || Status::bad_request("invalid patch format of setElementOrder list");
        let Some(Value::Array(wanted)) = patch.remove(&directive) else { return Err(bad()) };
        let name = &directive[ORDER.len()..];
        let how = strategy(node, name);
        let was = match old.get(name) {
            Some(Value::Array(list)) => Some(list.clone()),
            _ => None,
        };
        let given = match patch.remove(name) {
            Some(Value::Array(list)) => Some(list),
            Some(other) => {
                // Not a list: the ordinary merge deals with it.
                patch.insert(name.to_owned(), other);
                continue;
            }
            None => None,
        };
        let key = how.list_key.unwrap_or_default();
        if let Some(given) = &given
            && !is_in_order(given, &wanted, key)
        {
            return Err(bad());
        }
        let merged = match (was.clone(), given) {
            (None, None) => continue,
            (Some(was), None) => was,
            (None, Some(given)) => given.into_iter().filter_map(without_directives).collect(),
            (Some(was), Some(given)) => merge_lists(node.field(name), how, was, given)?,
        };
        let ordered = normalise(merged, &wanted, was.as_deref().unwrap_or_default(), key);
        old.insert(name.to_owned(), Value::Array(ordered));
    }
    Ok(())
}

/// Whether the elements of a patch stand in the order that the directive asks for.
fn is_in_order(given: &[Value], wanted: &[Value], key: &str) -> bool {
    let mut at = 0;
    for item in given {
        if item.get(PATCH).is_some() {
            continue;
        }
        match wanted.iter().skip(at).position(|it| same(it, item, key)) {
            Some(place) => at += place + 1,
            None => return false,
        }
    }
    true
}

fn same(a: &Value, b: &Value, key: &str) -> bool {
    if key.is_empty() { a == b } else { a.get(key).is_some() && a.get(key) == b.get(key) }
}

fn delete_from(old: &mut Object, list: &str, values: &Value) -> Result<(), Status> {
    let Value::Array(values) = values else {
        return Err(Status::bad_request("invalid patch format of primitive list"));
    };
    if let Some(Value::Array(list)) = old.get_mut(list) {
        list.retain(|item| !values.contains(item));
    }
    Ok(())
}

fn merge_lists(
    node: &Node,
    how: Merge,
    old: Vec<Value>,
    patch: Vec<Value>,
) -> Result<Vec<Value>, Status> {
    let Some(key) = how.list_key else {
        return Ok(patch.into_iter().filter_map(without_directives).collect());
    };
    let has_records = old.iter().chain(&patch).any(Value::is_object);
    let before = old.clone();
    let wanted = patch.clone();
    let merged = if !has_records {
        let mut all = old;
        for item in patch {
            if !all.contains(&item) {
                all.push(item);
            }
        }
        all
    } else {
        merge_records(node, key, old, patch)?
    };
    Ok(normalise(merged, &wanted, &before, key))
}

fn merge_records(
    node: &Node,
    key: &str,
    mut old: Vec<Value>,
    patch: Vec<Value>,
) -> Result<Vec<Value>, Status> {
    let mut rest = Vec::new();
    let mut replace = false;
    for item in patch {
        let Value::Object(map) = item else {
            return Err(Status::bad_request("elements of a merged list must be objects"));
        };
        match map.get(PATCH).and_then(Value::as_str) {
            None => rest.push(map),
            Some("replace") => replace = true,
            Some("delete") => {
                let value = map.get(key).ok_or_else(|| no_key(&map, key))?;
                old.retain(|it| it.get(key) != Some(value));
            }
            Some("merge") => {
                return Err(Status::new(
                    500,
                    "",
                    "merging lists cannot yet be specified in the patch",
                ));
            }
            Some(_) => return Err(bad_type(&map[PATCH].clone(), &map)),
        }
    }
    if replace {
        return Ok(rest.into_iter().map(Value::Object).collect());
    }
    for map in rest {
        let value = map.get(key).cloned().ok_or_else(|| no_key(&map, key))?;
        match old.iter_mut().find(|it| it.get(key) == Some(&value)) {
            Some(place) => {
                let was = match place.take() {
                    Value::Object(was) => was,
                    _ => Object::new(),
                };
                *place = Value::Object(merge_maps(node.element(), was, map)?);
            }
            None => old.extend(without_directives(Value::Object(map))),
        }
    }
    Ok(old)
}

/// Orders merged elements: those that the patch names in its order, the others where they stood among them.
fn normalise(merged: Vec<Value>, wanted: &[Value], before: &[Value], key: &str) -> Vec<Value> {
    let place = |list: &[Value], item: &Value| list.iter().position(|it| same(it, item, key));
    let (mut named, others): (Vec<Value>, Vec<Value>) =
        merged.into_iter().partition(|item| place(wanted, item).is_some());
    named.sort_by_key(|item| place(wanted, item));
    let mut out = Vec::with_capacity(named.len() + others.len());
    let mut named = named.into_iter().peekable();
    let mut others = others.into_iter().peekable();
    loop {
        let take_other = match (others.peek(), named.peek()) {
            (None, None) => return out,
            (Some(_), None) => true,
            (None, Some(_)) => false,
            (Some(other), Some(next)) => match (place(before, other), place(before, next)) {
                (Some(other), Some(next)) => other < next,
                _ => false,
            },
        };
        out.extend(if take_other { others.next() } else { named.next() });
    }
}

/// A new value without the directives in it, and without nulls. None where it says that there is no value.
fn without_directives(value: Value) -> Option<Value> {
    match value {
        Value::Object(map) => {
            if map.get(PATCH).and_then(Value::as_str) == Some("delete") {
                return None;
            }
            let clean = |(name, value): (String, Value)| {
                let is_directive = name == PATCH
                    || name == RETAIN
                    || name.starts_with(ORDER)
                    || name.starts_with(DELETE);
                if is_directive || value.is_null() {
                    return None;
                }
                Some((name, without_directives(value)?))
            };
            Some(Value::Object(map.into_iter().filter_map(clean).collect()))
        }
        Value::Array(items) => {
            Some(Value::Array(items.into_iter().filter_map(without_directives).collect()))
        }
        other => Some(other),
    }
}

fn bad_type(directive: &Value, map: &Object) -> Status {
    let shown = crate::go::printed(&Value::Object(map.clone()));
    let directive = crate::go::printed(directive);
    Status::new(500, "", format!("unknown patch type found: {directive} in map {shown}"))
}

fn no_key(map: &Object, key: &str) -> Status {
    let shown = crate::go::printed(&Value::Object(map.clone()));
    Status::new(500, "", format!("map: {shown} does not contain declared merge key: {key}"))
}
