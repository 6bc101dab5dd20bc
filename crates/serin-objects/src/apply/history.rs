//! Random histories of writes by several managers, beside a model that knows nothing but the rules: who applies owns what it
//! names, what a manager does not name any more goes unless someone else owns it, and who changes a field takes it from all
//! others, which is a conflict where it is applied.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::Catalog;

type Data = BTreeMap<String, String>;

#[derive(Clone, Debug)]
enum Write {
    Apply { manager: &'static str, data: Data, force: bool },
    Update { manager: &'static str, changes: BTreeMap<String, Option<String>> },
}

/// The fields that each manager owns by each operation.
type Owners = BTreeMap<(String, &'static str), BTreeSet<String>>;

#[derive(Clone, Debug, Default, PartialEq)]
struct Model {
    data: Data,
    owners: Owners,
}

impl Model {
    /// Carries out a write; false where it is refused.
    fn write(&mut self, write: &Write) -> bool {
        match write {
            Write::Apply { manager, data, force } => {
                let own = ((*manager).to_owned(), "Apply");
                let changed: BTreeSet<&String> = data
                    .iter()
                    .filter(|(key, it)| self.data.get(*key) != Some(it))
                    .map(|it| it.0)
                    .collect();
                let others = || self.owners.iter().filter(|(who, _)| **who != own);
                let conflict =
                    others().any(|(_, set)| changed.iter().any(|key| set.contains(*key)));
                if conflict && !force {
                    return false;
                }
                for (who, set) in &mut self.owners {
                    if *who != own {
                        set.retain(|key| !changed.contains(key));
                    }
                }
                let before = self.owners.insert(own, data.keys().cloned().collect());
                for key in before.into_iter().flatten() {
                    if !self.owners.values().any(|set| set.contains(&key)) {
                        self.data.remove(&key);
                    }
                }
                self.data.extend(data.clone());
            }
            Write::Update { manager, changes } => {
                for (key, value) in changes {
                    if self.data.get(key) == value.as_ref() {
                        continue;
                    }
                    for set in self.owners.values_mut() {
                        set.remove(key);
                    }
                    match value {
                        Some(value) => {
                            self.data.insert(key.clone(), value.clone());
                            let own = ((*manager).to_owned(), "Update");
                            self.owners.entry(own).or_default().insert(key.clone());
                        }
                        None => drop(self.data.remove(key)),
                    }
                }
            }
        }
        self.owners.retain(|_, set| !set.is_empty());
        true
    }

    /// What an object says.
    fn of(object: &Value) -> Self {
        let mut model = Self::default();
        for (key, value) in object["data"].as_object().into_iter().flatten() {
            model.data.insert(key.clone(), value.as_str().unwrap().to_owned());
        }
        for entry in object["metadata"]["managedFields"].as_array().into_iter().flatten() {
            let fields = entry["fieldsV1"]["f:data"].as_object().into_iter().flatten();
            let fields = fields.filter_map(|(name, _)| name.strip_prefix("f:").map(str::to_owned));
            let operation = if entry["operation"] == "Apply" { "Apply" } else { "Update" };
            let who = (entry["manager"].as_str().unwrap().to_owned(), operation);
            model.owners.insert(who, fields.collect());
        }
        model.owners.retain(|_, set| !set.is_empty());
        model
    }
}

fn configuration(data: &Data) -> Body {
    let mut value = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}});
    // A map without entries would be owned itself.
    if !data.is_empty() {
        value["data"] = json!(data);
    }
    Body { value, duplicates: Vec::new() }
}

/// Carries out a write; none where it is refused.
fn carry_out(resource: &Resource, old: &Value, write: &Write) -> Option<Value> {
    let now = Timestamp::UNIX_EPOCH;
    match write {
        Write::Apply { manager, data, force } => {
            let options = Options {
                now,
                manager,
                force: *force,
                subresource: None,
                validation: FieldValidation::Strict,
            };
            let applied = apply(resource, Some(old), configuration(data), &options);
            match applied {
                Ok(prepared) => {
                    let again =
                        apply(resource, Some(&prepared.object), configuration(data), &options);
                    assert_eq!(again.unwrap().object, prepared.object);
                    Some(prepared.object)
                }
                Err(status) => {
                    assert_eq!(status.code, 409, "{status:?}");
                    None
                }
            }
        }
        Write::Update { manager, changes } => {
            let mut new = old.clone();
            if !new["data"].is_object() {
                new["data"] = json!({});
            }
            let data = new["data"].as_object_mut().unwrap();
            for (key, value) in changes {
                match value {
                    Some(value) => drop(data.insert(key.clone(), json!(value))),
                    None => drop(data.remove(key)),
                }
            }
            if data.is_empty() {
                new.as_object_mut().unwrap().remove("data");
            }
            managed::update(resource, Some(old), &mut new, (manager, None), now);
            Some(new)
        }
    }
}

fn writes() -> impl Strategy<Value = Vec<Write>> {
    let manager = || prop::sample::select(vec!["one", "two", "three"]);
    let key = || "[a-d]";
    let value = || "[xy]";
    let applied = (manager(), prop::collection::btree_map(key(), value(), 0..4), any::<bool>())
        .prop_map(|(manager, data, force)| Write::Apply { manager, data, force });
    let changes = prop::collection::btree_map(key(), prop::option::of(value()), 1..3);
    let updated =
        (manager(), changes).prop_map(|(manager, changes)| Write::Update { manager, changes });
    prop::collection::vec(prop_oneof![3 => applied, 2 => updated], 1..12)
}

proptest! {
    #[test]
    fn owners_are_as_the_rules_say_after_any_history(writes in writes()) {
        let catalog = Catalog::builtin();
        let resource = catalog.find("", "v1", "configmaps").unwrap();
        let mut object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}});
        let mut model = Model::default();
        for write in &writes {
            let written = carry_out(resource, &object, write);
            prop_assert_eq!(written.is_some(), model.write(write), "{:?}", write);
            if let Some(written) = written {
                object = written;
            }
            prop_assert_eq!(&Model::of(&object), &model, "after {:?}", write);
        }
    }
}
