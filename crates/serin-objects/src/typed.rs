//! Values by their shape: which fields they have, how two differ, what they are together. The rules of server-side
//! apply (`structured-merge-diff`).

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::field_set::{Element, Set};
use crate::schema::{ListKind, Node};

/// How the parts of a value are owned.
enum Parts<'n> {
    /// As one.
    Leaf,
    /// Field by field.
    Fields(&'n Node),
    /// Element by element.
    Elements(&'n Node, &'n ListKind),
}

fn parts<'n>(node: &'n Node, value: &Value) -> Parts<'n> {
    match (node, value) {
        (Node::Struct(it), Value::Object(_) | Value::Null) if !it.atomic => Parts::Fields(node),
        (Node::Map(it), Value::Object(_) | Value::Null) if !it.atomic => Parts::Fields(node),
        (Node::List(it), Value::Array(_) | Value::Null) if it.kind != ListKind::Atomic => {
            Parts::Elements(it.items(), &it.kind)
        }
        (Node::Any, Value::Object(_)) => Parts::Fields(node),
        _ => Parts::Leaf,
    }
}

/// Whether field `name` of a value is one that its type lists.
fn is_listed(node: &Node, name: &str) -> bool {
    matches!(node, Node::Struct(it) if it.fields.contains_key(name))
}

fn fields_of(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

fn items_of(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

/// What tells an element of a list apart; none where its fields do not say.
pub(crate) fn element_of(items: &Node, kind: &ListKind, item: &Value) -> Option<Element> {
    let ListKind::Map(keys) = kind else { return Some(Element::value(item)) };
    let value =
        |key: &String| item.get(key).filter(|it| !it.is_null()).or_else(|| items.default_of(key));
    let found: BTreeMap<&str, &Value> =
        keys.iter().filter_map(|key| Some((key.as_str(), value(key)?))).collect();
    (!found.is_empty()).then(|| Element::keys(&found))
}

/// The elements of a list with what tells them apart.
fn elements<'v>(items: &Node, kind: &ListKind, value: &'v Value) -> Vec<(Element, &'v Value)> {
    items_of(value).iter().filter_map(|item| Some((element_of(items, kind, item)?, item))).collect()
}

/// The fields that whoever writes `value` sets.
pub(crate) fn to_set(node: &Node, value: &Value) -> Set {
    let mut set = Set::default();
    collect(node, value, &mut Vec::new(), &mut set);
    set
}

fn collect(node: &Node, value: &Value, path: &mut Vec<Element>, set: &mut Set) {
    match parts(node, value) {
        Parts::Leaf => set.insert(path),
        Parts::Fields(node) => {
            for (name, value) in fields_of(value) {
                path.push(Element::field(name));
                collect(node.field(name), value, path, set);
                let is_empty = value.is_null() || value.as_object().is_some_and(Map::is_empty);
                if is_empty || !is_listed(node, name) {
                    set.insert(path);
                }
                path.pop();
            }
        }
        Parts::Elements(items, kind) => {
            for (element, item) in elements(items, kind, value) {
                path.push(element);
                collect(items, item, path, set);
                set.insert(path);
                path.pop();
            }
        }
    }
}

/// How two values differ.
#[derive(Debug, Default)]
pub(crate) struct Comparison {
    pub(crate) added: Set,
    pub(crate) modified: Set,
    pub(crate) removed: Set,
}

/// How `new` differs from `old`.
pub(crate) fn compare(node: &Node, old: &Value, new: &Value) -> Comparison {
    let mut comparison = Comparison::default();
    differ(node, (Some(old), Some(new)), &mut Vec::new(), &mut comparison);
    comparison
}

type Pair<'v> = (Option<&'v Value>, Option<&'v Value>);

fn differ(node: &Node, pair: Pair<'_>, path: &mut Vec<Element>, out: &mut Comparison) {
    let is_empty = |value: Option<&Value>| match value {
        None | Some(Value::Null) => true,
        Some(Value::Object(map)) => map.is_empty(),
        Some(Value::Array(list)) => list.is_empty(),
        Some(_) => false,
    };
    let shape = |value: Option<&Value>| value.map(|it| parts(node, it));
    match (shape(pair.0), shape(pair.1)) {
        _ if is_empty(pair.0) && is_empty(pair.1) => leaf(pair, path, out),
        (Some(Parts::Fields(..)), None | Some(Parts::Fields(..)))
        | (None, Some(Parts::Fields(..))) => {
            differ_in_fields(node, pair, path, out);
            whole(pair, path, out);
        }
        (Some(Parts::Elements(items, kind)), None | Some(Parts::Elements(..)))
        | (None, Some(Parts::Elements(items, kind))) => {
            differ_in_elements(items, kind, pair, path, out);
            whole(pair, path, out);
        }
        _ => leaf(pair, path, out),
    }
}

/// A value that is owned as one.
fn leaf(pair: Pair<'_>, path: &[Element], out: &mut Comparison) {
    match pair {
        (None, Some(_)) => out.added.insert(path),
        (Some(_), None) => out.removed.insert(path),
        (Some(old), Some(new)) if old != new => out.modified.insert(path),
        _ => {}
    }
}

/// A value with parts that is new or gone is itself new or gone.
fn whole(pair: Pair<'_>, path: &[Element], out: &mut Comparison) {
    if pair.0.is_none() || pair.1.is_none() {
        leaf(pair, path, out);
    }
}

fn differ_in_fields(node: &Node, pair: Pair<'_>, path: &mut Vec<Element>, out: &mut Comparison) {
    let get = |value: Option<&'_ Value>, name: &str| value.and_then(|it| it.get(name)).cloned();
    let mut names: Vec<&String> = Vec::new();
    for value in [pair.0, pair.1].into_iter().flatten() {
        names.extend(fields_of(value).map(|(name, _)| name));
    }
    names.sort_unstable();
    names.dedup();
    for name in names {
        let (old, new) = (get(pair.0, name), get(pair.1, name));
        path.push(Element::field(name));
        differ(node.field(name), (old.as_ref(), new.as_ref()), path, out);
        path.pop();
    }
}

fn differ_in_elements(
    items: &Node,
    kind: &ListKind,
    pair: Pair<'_>,
    path: &mut Vec<Element>,
    out: &mut Comparison,
) {
    let mut found: BTreeMap<Element, [Vec<&Value>; 2]> = BTreeMap::new();
    for (side, value) in [pair.0, pair.1].into_iter().enumerate() {
        for (element, item) in value.into_iter().flat_map(|it| elements(items, kind, it)) {
            found.entry(element).or_default()[side].push(item);
        }
    }
    for (element, [old, new]) in found {
        path.push(element);
        match (old.as_slice(), new.as_slice()) {
            ([] | [_], [] | [_]) => {
                differ(items, (old.first().copied(), new.first().copied()), path, out);
            }
            // Elements that stand several times are one value.
            (old, new) => match (old.len() > 1, new.len() > 1) {
                (true, true) if old != new => out.modified.insert(path),
                (true, true) => {}
                (true, false) => {
                    if let Some(new) = new.first() {
                        differ(items, (None, Some(new)), path, out);
                    }
                    out.removed.insert(path);
                }
                _ => {
                    if let Some(old) = old.first() {
                        differ(items, (Some(old), None), path, out);
                    }
                    out.added.insert(path);
                }
            },
        }
        path.pop();
    }
}

/// `live` with everything that `applied` says.
pub(crate) fn merge(node: &Node, live: &Value, applied: &Value) -> Value {
    match (parts(node, live), parts(node, applied)) {
        (Parts::Fields(..), Parts::Fields(..)) => {
            if applied.is_null() {
                return live.clone();
            }
            let mut out = live.as_object().cloned().unwrap_or_default();
            for (name, value) in fields_of(applied) {
                let merged = match live.get(name) {
                    Some(old) => merge(node.field(name), old, value),
                    None => value.clone(),
                };
                out.insert(name.clone(), merged);
            }
            Value::Object(out)
        }
        (Parts::Elements(items, kind), Parts::Elements(..)) => {
            if applied.is_null() {
                return live.clone();
            }
            merge_elements(items, &elements(items, kind, live), &elements(items, kind, applied))
        }
        _ => applied.clone(),
    }
}

/// The elements of both lists: in the order of the applied one, what only the live one has where it stood there.
fn merge_elements(
    items: &Node,
    live: &[(Element, &Value)],
    applied: &[(Element, &Value)],
) -> Value {
    let find = |list: &[(Element, &Value)], element: &Element| {
        list.iter().find(|(it, _)| it == element).map(|(_, item)| (*item).clone())
    };
    let mut out = Vec::with_capacity(live.len().max(applied.len()));
    let (mut at_live, mut at_applied) = (0, 0);
    loop {
        if let Some((element, item)) = live.get(at_live) {
            let place = applied.iter().position(|(it, _)| it == element);
            match place {
                None => {
                    out.push((*item).clone());
                    at_live += 1;
                    continue;
                }
                Some(place) if place < at_applied => {
                    at_live += 1;
                    continue;
                }
                Some(_) => {}
            }
        }
        let Some((element, item)) = applied.get(at_applied) else { break };
        out.push(match find(live, element) {
            Some(old) => merge(items, &old, item),
            None => (*item).clone(),
        });
        at_applied += 1;
    }
    Value::Array(out)
}

/// `value` without the fields of a set; none if nothing is left.
pub(crate) fn remove(node: &Node, value: &Value, set: &Set) -> Option<Value> {
    match parts(node, value) {
        Parts::Leaf => Some(value.clone()),
        Parts::Fields(node) => {
            let mut out = Map::new();
            for (name, value) in fields_of(value) {
                let element = Element::field(name);
                if set.has(&element) {
                    continue;
                }
                match set.below(&element).filter(|it| !it.is_empty()) {
                    None => {
                        out.insert(name.clone(), value.clone());
                    }
                    Some(below) => {
                        if let Some(rest) = remove(node.field(name), value, below) {
                            out.insert(name.clone(), rest);
                        }
                    }
                }
            }
            (!out.is_empty()).then_some(Value::Object(out))
        }
        Parts::Elements(items, kind) => {
            let mut out = Vec::new();
            for item in items_of(value) {
                let element = element_of(items, kind, item);
                let below =
                    element.as_ref().and_then(|it| set.below(it)).filter(|it| !it.is_empty());
                match (element.as_ref(), below) {
                    (Some(element), _) if set.has(element) => {}
                    (_, Some(below)) => out.extend(remove(items, item, below)),
                    _ => out.push(item.clone()),
                }
            }
            (!out.is_empty()).then_some(Value::Array(out))
        }
    }
}

/// What makes a value unfit to be applied: elements of lists that cannot be told apart.
pub(crate) fn problems(node: &Node, value: &Value) -> Vec<String> {
    let mut out = Vec::new();
    inspect(node, value, "", &mut out);
    out
}

fn inspect(node: &Node, value: &Value, path: &str, out: &mut Vec<String>) {
    match parts(node, value) {
        Parts::Leaf => {}
        Parts::Fields(node) => {
            for (name, value) in fields_of(value) {
                inspect(node.field(name), value, &format!("{path}.{name}"), out);
            }
        }
        Parts::Elements(items, kind) => {
            let mut seen = Vec::new();
            for (index, item) in items_of(value).iter().enumerate() {
                match element_of(items, kind, item) {
                    None => {
                        let ListKind::Map(keys) = kind else { continue };
                        let keys: Vec<String> = keys.iter().map(|it| format!("\"{it}\"")).collect();
                        let keys = keys.join(" ");
                        out.push(format!(
                            "{path}: element {index}: associative list with keys has an element that omits all key \
                             fields [{keys}] (and doesn't have default values for any key fields)"
                        ));
                    }
                    Some(element) => {
                        if seen.contains(&element) {
                            out.push(format!("{path}: duplicate entries for key {element}"));
                        }
                        inspect(items, item, &format!("{path}{element}"), out);
                        seen.push(element);
                    }
                }
            }
        }
    }
}
