//! The objects of the cluster, as far as pages show them: followed through the API, kept as they are written.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::StreamExt as _;
use kube::api::{Api, ApiResource, DynamicObject, TypeMeta};
use kube::runtime::{WatchStreamExt as _, watcher};
use serde_json::Value;
use serin_api::Kind;
use tokio::task::JoinSet;

/// Kinds of Kubernetes itself that are followed.
const NATIVE: [&str; 3] = ["Pod", "Service", "Deployment"];

/// An object as JSON.
pub(crate) type Object = Arc<Value>;

/// Objects of one kind, by namespace and name.
type OfKind = BTreeMap<(String, String), Object>;

/// All objects, by place of their kind in [`followed`].
#[derive(Debug, Default)]
pub(crate) struct Objects(Mutex<BTreeMap<usize, OfKind>>);

/// The kinds that are followed.
pub(crate) fn followed() -> impl Iterator<Item = &'static Kind> {
    Kind::all().iter().filter(|kind| kind.is_custom || NATIVE.contains(&kind.kind))
}

impl Objects {
    /// Follows the API. The watches end when the set is dropped.
    pub(crate) fn follow(self: &Arc<Self>, client: &kube::Client) -> JoinSet<()> {
        let mut tasks = JoinSet::new();
        for (place, kind) in followed().enumerate() {
            tasks.spawn(watch(Arc::clone(self), client.clone(), place, kind));
        }
        tasks
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<usize, OfKind>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All objects of a kind, in the order of namespace and name.
    pub(crate) fn all(&self, group: &str, kind: &str) -> Vec<Object> {
        let Some(place) = place_of(group, kind) else { return Vec::new() };
        let objects = self.lock();
        objects.get(&place).map(|it| it.values().cloned().collect()).unwrap_or_default()
    }

    /// One object.
    pub(crate) fn get(
        &self,
        group: &str,
        kind: &str,
        namespace: &str,
        name: &str,
    ) -> Option<Object> {
        let place = place_of(group, kind)?;
        let key = (namespace.to_owned(), name.to_owned());
        self.lock().get(&place)?.get(&key).cloned()
    }

    fn change(
        &self,
        (place, kind): (usize, &Kind),
        event: watcher::Event<DynamicObject>,
        listed: &mut OfKind,
    ) {
        match event {
            watcher::Event::Init => listed.clear(),
            watcher::Event::InitApply(object) => {
                listed.insert(key(&object), kept(kind, object));
            }
            watcher::Event::InitDone => {
                self.lock().insert(place, std::mem::take(listed));
            }
            watcher::Event::Apply(object) => {
                self.lock().entry(place).or_default().insert(key(&object), kept(kind, object));
            }
            watcher::Event::Delete(object) => {
                self.lock().entry(place).or_default().remove(&key(&object));
            }
        }
    }

    #[cfg(test)]
    pub(crate) fn put(&self, object: Value) {
        let object: DynamicObject = serde_json::from_value(object).unwrap();
        let types = object.types.clone().unwrap();
        let group = types.api_version.split_once('/').map_or("", |(group, _)| group);
        let place = place_of(group, &types.kind).unwrap();
        let kind = followed().nth(place).unwrap();
        self.change((place, kind), watcher::Event::Apply(object), &mut OfKind::new());
    }
}

fn place_of(group: &str, kind: &str) -> Option<usize> {
    followed().position(|it| it.group == group && it.kind == kind)
}

fn key(object: &DynamicObject) -> (String, String) {
    let meta = &object.metadata;
    (meta.namespace.clone().unwrap_or_default(), meta.name.clone().unwrap_or_default())
}

/// Who set which field is of no interest here, and larger than the rest.
fn kept(kind: &Kind, mut object: DynamicObject) -> Object {
    // Items of lists do not say what they are.
    object.types = Some(TypeMeta { api_version: kind.api_version(), kind: kind.kind.to_owned() });
    object.metadata.managed_fields = None;
    if let Some(notes) = &mut object.metadata.annotations {
        notes.remove("kubectl.kubernetes.io/last-applied-configuration");
    }
    Arc::new(serde_json::to_value(object).unwrap_or_default())
}

/// How the API is asked for a kind.
pub(crate) fn resource(kind: &Kind) -> ApiResource {
    ApiResource {
        group: kind.group.to_owned(),
        version: kind.versions.first().copied().unwrap_or_default().to_owned(),
        api_version: kind.api_version(),
        kind: kind.kind.to_owned(),
        plural: kind.plural.to_owned(),
    }
}

/// Follows one kind. One that the API does not have is asked for again from time to time.
async fn watch(objects: Arc<Objects>, client: kube::Client, place: usize, kind: &'static Kind) {
    let api: Api<DynamicObject> = Api::all_with(client, &resource(kind));
    let mut stream = std::pin::pin!(watcher(api, watcher::Config::default()).default_backoff());
    let mut listed = OfKind::new();
    while let Some(next) = stream.next().await {
        match next {
            Ok(event) => objects.change((place, kind), event, &mut listed),
            Err(error) => tracing::debug!(kind = kind.kind, %error, "a watch of the dashboard"),
        }
    }
}

/// A text of an object; empty if there is none.
pub(crate) fn text<'o>(object: &'o Value, pointer: &str) -> &'o str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// A list of an object.
pub(crate) fn items<'o>(object: &'o Value, pointer: &str) -> &'o [Value] {
    object.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The name of an object.
pub(crate) fn name(object: &Value) -> &str {
    text(object, "/metadata/name")
}

/// The namespace of an object.
pub(crate) fn namespace(object: &Value) -> &str {
    text(object, "/metadata/namespace")
}

/// A label of an object.
pub(crate) fn label<'o>(object: &'o Value, key: &str) -> &'o str {
    object["metadata"]["labels"][key].as_str().unwrap_or_default()
}

/// The page of an object.
pub(crate) fn link(plural: &str, group: &str, namespace: &str, name: &str) -> String {
    let kind = if group.is_empty() { plural.to_owned() } else { format!("{plural}.{group}") };
    let parts = [kind.as_str(), namespace, name];
    let parts = parts.iter().filter(|it| !it.is_empty()).map(|it| crate::parts::segment(it));
    format!("/objects/{}", parts.collect::<Vec<_>>().join("/"))
}
