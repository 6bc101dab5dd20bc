//! Events: what a controller did, where users look for it.
//!
//! They are written one after the other beside the work, from a queue that is bounded: when it is full, or when an object
//! makes too many, events are lost, never work. Equal ones are counted in one object; many that differ by their message only
//! go into one, too.

use std::collections::{HashMap, HashSet, VecDeque};

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Event, EventSource, ObjectReference};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use kube::api::{Api, Patch};
use kube::{Client, Resource};
use serde_json::json;
use tokio::sync::mpsc;

use crate::objects::{patching, posting};

/// How many events wait at most.
const WAITING: usize = 1024;
/// How many are remembered, so that equal ones are counted.
const REMEMBERED: usize = 2048;
/// How many messages of a kind there are within [`WINDOW`] before they go into one object.
const SIMILAR: usize = 10;
const WINDOW: SignedDuration = SignedDuration::from_mins(10);
/// How many events an object may make at once, and how long it takes until it may make one more.
const BURST: f64 = 25.0;
const REFILL_SECONDS: f64 = 300.0;

/// Where controllers tell what they did.
#[derive(Clone)]
pub(crate) struct Events {
    sender: mpsc::Sender<Told>,
}

/// Something that happened.
struct Told {
    about: ObjectReference,
    component: &'static str,
    kind: &'static str,
    reason: String,
    message: String,
    at: Timestamp,
}

impl Events {
    /// The place to tell, and the writer that has to run.
    pub(crate) fn new(client: Client) -> (Self, Writer) {
        let (sender, receiver) = mpsc::channel(WAITING);
        (Self { sender }, Writer { client, receiver, memory: Memory::default() })
    }

    pub(crate) fn normal<K: Resource<DynamicType = ()>>(
        &self,
        component: &'static str,
        about: &K,
        reason: &str,
        message: String,
    ) {
        self.tell(component, about, "Normal", reason, message);
    }

    pub(crate) fn warning<K: Resource<DynamicType = ()>>(
        &self,
        component: &'static str,
        about: &K,
        reason: &str,
        message: String,
    ) {
        self.tell(component, about, "Warning", reason, message);
    }

    fn tell<K: Resource<DynamicType = ()>>(
        &self,
        component: &'static str,
        about: &K,
        kind: &'static str,
        reason: &str,
        message: String,
    ) {
        let mut about_reference = about.object_ref(&());
        about_reference.resource_version.clone_from(&about.meta().resource_version);
        let told = Told {
            about: about_reference,
            component,
            kind,
            reason: reason.to_owned(),
            message,
            at: Timestamp::now(),
        };
        if self.sender.try_send(told).is_err() {
            tracing::debug!(reason, "an event is lost: too many wait");
        }
    }
}

/// Writes what was told.
pub(crate) struct Writer {
    client: Client,
    receiver: mpsc::Receiver<Told>,
    memory: Memory,
}

impl Writer {
    pub(crate) async fn run(mut self) {
        while let Some(told) = self.receiver.recv().await {
            let Some(known) = self.memory.note(&told) else { continue };
            self.write(&told, known).await;
        }
    }

    async fn write(&self, told: &Told, known: Known) {
        let namespace = told.about.namespace.as_deref().unwrap_or("default");
        let api: Api<Event> = Api::namespaced(self.client.clone(), namespace);
        if known.count > 1 {
            let change = json!({"count": known.count, "lastTimestamp": Time(told.at), "message": known.message});
            let changed = api.patch(&known.name, &patching(), &Patch::Merge(change)).await;
            match changed {
                Ok(_) => return,
                Err(kube::Error::Api(status)) if status.code == 404 => {}
                Err(problem) => {
                    tracing::debug!(%problem, reason = told.reason, "an event cannot be counted");
                    return;
                }
            }
        }
        if let Err(problem) = api.create(&posting(), &event(told, &known)).await {
            tracing::debug!(%problem, reason = told.reason, "an event cannot be written");
        }
    }
}

fn event(told: &Told, known: &Known) -> Event {
    Event {
        metadata: ObjectMeta {
            name: Some(known.name.clone()),
            namespace: Some(told.about.namespace.clone().unwrap_or_else(|| "default".to_owned())),
            ..ObjectMeta::default()
        },
        involved_object: told.about.clone(),
        reason: Some(told.reason.clone()),
        message: Some(known.message.clone()),
        type_: Some(told.kind.to_owned()),
        count: Some(known.count),
        first_timestamp: Some(Time(known.first)),
        last_timestamp: Some(Time(told.at)),
        source: Some(EventSource { component: Some(told.component.to_owned()), host: None }),
        reporting_component: Some(told.component.to_owned()),
        ..Event::default()
    }
}

/// An event object as it stands for all equal ones.
#[derive(Clone, Debug, PartialEq)]
struct Known {
    name: String,
    message: String,
    count: i32,
    first: Timestamp,
}

/// What was written lately.
#[derive(Default)]
struct Memory {
    known: HashMap<String, Known>,
    similar: HashMap<String, (Timestamp, HashSet<String>)>,
    /// How many more events an object may make, and as of when.
    budgets: HashMap<String, (f64, Timestamp)>,
    /// The keys of `known`, oldest first.
    order: VecDeque<String>,
}

impl Memory {
    /// The object to write for what was told; none if there are too many.
    fn note(&mut self, told: &Told) -> Option<Known> {
        let about = told.about.uid.as_deref().unwrap_or_default();
        if !self.may(&format!("{about}/{}", told.component), told.at) {
            return None;
        }
        let group = format!("{about}/{}/{}/{}", told.component, told.kind, told.reason);
        let (since, messages) =
            self.similar.entry(group.clone()).or_insert_with(|| (told.at, HashSet::new()));
        if told.at.duration_since(*since) > WINDOW {
            (*since, *messages) = (told.at, HashSet::new());
        }
        let many = messages.len() >= SIMILAR;
        if !many {
            messages.insert(told.message.clone());
        }
        let (key, message) = if many && !messages.contains(&told.message) {
            (group, format!("(combined from similar events): {}", told.message))
        } else {
            (format!("{group}/{}", told.message), told.message.clone())
        };
        self.forget();
        let known = self.known.entry(key.clone()).or_insert_with(|| {
            self.order.push_back(key);
            let name = told.about.name.as_deref().unwrap_or_default();
            let name = format!("{name}.{:x}", told.at.as_nanosecond());
            Known { name, message: String::new(), count: 0, first: told.at }
        });
        known.count += 1;
        known.message = message;
        Some(known.clone())
    }

    fn may(&mut self, who: &str, now: Timestamp) -> bool {
        let (left, since) = self.budgets.entry(who.to_owned()).or_insert((BURST, now));
        let gained = now.duration_since(*since).as_secs_f64().max(0.0) / REFILL_SECONDS;
        (*left, *since) = ((*left + gained).min(BURST), now);
        if *left < 1.0 {
            return false;
        }
        *left -= 1.0;
        true
    }

    /// Keeps the memory small.
    fn forget(&mut self) {
        while self.order.len() >= REMEMBERED {
            if let Some(key) = self.order.pop_front() {
                self.known.remove(&key);
            }
        }
        for map in [self.similar.len(), self.budgets.len()] {
            if map >= REMEMBERED {
                self.similar.clear();
                self.budgets.clear();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(message: &str, second: i64) -> Told {
        Told {
            about: ObjectReference {
                uid: Some("u".to_owned()),
                name: Some("web".to_owned()),
                ..ObjectReference::default()
            },
            component: "c",
            kind: "Normal",
            reason: "R".to_owned(),
            message: message.to_owned(),
            at: Timestamp::from_second(second).unwrap(),
        }
    }

    #[test]
    fn equal_events_are_counted_in_one_object() {
        let mut memory = Memory::default();
        let first = memory.note(&told("a", 1)).unwrap();
        let second = memory.note(&told("a", 2)).unwrap();
        assert_eq!((first.count, second.count), (1, 2));
        assert_eq!(first.name, second.name);
        assert_eq!(memory.note(&told("b", 3)).unwrap().count, 1);
    }

    #[test]
    fn many_that_differ_by_their_message_go_into_one() {
        let mut memory = Memory::default();
        let all: Vec<_> =
            (0..14).map(|n| memory.note(&told(&format!("pod {n}"), 1)).unwrap()).collect();
        assert_eq!(all[9].message, "pod 9");
        assert_eq!(all[10].message, "(combined from similar events): pod 10");
        assert_eq!((all[13].count, &all[13].name), (4, &all[10].name));
        assert_eq!(memory.note(&told("pod 3", 2)).unwrap().count, 2, "a known message is counted");
    }

    #[test]
    fn an_object_that_makes_too_many_is_not_heard() {
        let mut memory = Memory::default();
        let heard = (0..40).filter(|_| memory.note(&told("a", 1)).is_some()).count();
        assert_eq!(heard, 25);
        assert!(memory.note(&told("a", 200)).is_none());
        assert!(memory.note(&told("a", 301)).is_some());
    }
}
