//! What is known of the objects that are followed: by the watches, and by answers to writes.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use serde_json::{Value, json};
use serin_rollout::configs;

use crate::json;
use crate::kind::Kind;

/// How many ends are remembered: more than there can be answers under way.
const ENDED: usize = 64;

/// The place of an object.
pub(super) type Key = (Kind, String, String);

/// Objects that are followed.
#[derive(Default)]
pub(super) struct View {
    pub(super) objects: BTreeMap<Key, Arc<Value>>,
    /// The last objects that were seen to be gone, and at which version: an answer that was under way must not bring them back.
    gone: VecDeque<(Key, u64)>,
    /// Kinds that were read as a whole at least once.
    pub(super) known: BTreeSet<Kind>,
    pub(super) applied: BTreeMap<Key, Applied>,
}

/// What was wanted of an object last, and the version of the object in which it is so.
pub(super) struct Applied {
    pub(super) wanted: String,
    pub(super) version: String,
}

impl View {
    /// The objects of a kind are these, except where an answer to a write told of something newer.
    pub(super) fn exchange(&mut self, kind: Kind, objects: Vec<Value>) {
        let all = std::mem::take(&mut self.objects);
        let (mut before, others) = all.into_iter().partition(|(key, _)| key.0 == kind);
        self.objects = others;
        self.gone.retain(|(key, _)| key.0 != kind);
        self.known.insert(kind);
        for object in objects {
            let key = key(kind, &object);
            let newer = before.remove(&key).filter(|it| version(it) > version(&object));
            let object = newer.unwrap_or_else(|| Arc::new(reduced(kind, object)));
            self.objects.insert(key, object);
        }
        let objects = &self.objects;
        self.applied.retain(|key, _| key.0 != kind || objects.contains_key(key));
    }

    /// An object is so, unless something newer is known.
    pub(super) fn put(&mut self, kind: Kind, object: Value) {
        let (key, version) = (key(kind, &object), version(&object));
        let known = self.objects.get(&key).map_or(0, |it| self::version(it));
        let gone = self.gone.iter().rev().find(|(gone, _)| *gone == key).map_or(0, |it| it.1);
        if version >= known && version >= gone {
            self.objects.insert(key, Arc::new(reduced(kind, object)));
        }
    }

    /// An object is gone.
    pub(super) fn take(&mut self, kind: Kind, object: &Value) {
        let (key, version) = (key(kind, object), version(object));
        if self.objects.get(&key).is_some_and(|it| self::version(it) <= version) {
            self.objects.remove(&key);
            self.applied.remove(&key);
        }
        if self.gone.len() == ENDED {
            self.gone.pop_front();
        }
        self.gone.push_back((key, version));
    }
}

/// The place of an object of a kind.
pub(super) fn key(kind: Kind, object: &Value) -> Key {
    (kind, json::namespace(object).to_owned(), json::name(object).to_owned())
}

fn version(object: &Value) -> u64 {
    json::text(object, "metadata/resourceVersion").parse().unwrap_or(0)
}

/// What is kept of an object. Of configuration only whether it changed: it may be large, and secret.
fn reduced(kind: Kind, mut object: Value) -> Value {
    if matches!(kind, Kind::ConfigMap | Kind::Secret) {
        let sum =
            configs::checksum(&json::texts(&object, "data"), &json::texts(&object, "binaryData"));
        json::remove(&mut object, "data");
        json::remove(&mut object, "binaryData");
        json::remove(&mut object, "stringData");
        json::set(&mut object, "checksum", json!(sum));
    }
    json::remove(&mut object, "metadata/managedFields");
    object
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(name: &str, version: u64) -> Value {
        json!({"metadata": {"namespace": "n", "name": name, "resourceVersion": version.to_string()}})
    }

    /// The names of what is known, with versions.
    fn known(view: &View) -> Vec<String> {
        view.objects.iter().map(|(key, it)| format!("{} {}", key.2, version(it))).collect()
    }

    #[test]
    fn an_answer_that_was_under_way_brings_nothing_back() {
        let mut view = View::default();
        view.put(Kind::Service, service("a", 5));
        view.take(Kind::Service, &service("a", 7));
        view.put(Kind::Service, service("a", 6));
        assert!(known(&view).is_empty());
        view.put(Kind::Service, service("a", 8));
        assert_eq!(known(&view), ["a 8"], "it was made again");
    }

    #[test]
    fn a_list_is_what_there_is_except_for_newer_answers() {
        let mut view = View::default();
        view.put(Kind::Service, service("gone", 1));
        view.put(Kind::Service, service("old", 2));
        view.put(Kind::Service, service("written", 9));
        view.put(Kind::Deployment, service("other", 3));
        let listed = ["old", "written"].map(|name| service(name, 4));
        view.exchange(Kind::Service, listed.to_vec());
        let mut known = known(&view);
        known.sort();
        assert_eq!(known, ["old 4", "other 3", "written 9"]);
    }

    #[test]
    fn ends_are_not_remembered_for_ever() {
        let mut view = View::default();
        for number in 0..10 * ENDED {
            view.take(Kind::Secret, &service(&format!("s{number}"), 1));
        }
        assert_eq!(view.gone.len(), ENDED);
    }
}
