//! The Kubernetes API as a release sees it: what is followed is read from memory, everything else and every write goes to
//! the API server.
//!
//! An answer to a write is newer than what the watch has brought so far. It is kept, so that nothing is done twice because
//! the news of the first time has not come yet.

mod view;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::StreamExt as _;
use kube::api::{
    Api, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams, PropagationPolicy,
};
use kube::runtime::watcher;
use serde_json::{Value, json};
use tokio::sync::Notify;

use self::view::{Applied, View, key};
use crate::json;
use crate::kind::Kind;

/// Who owns the fields that are set here.
pub const MANAGER: &str = "serin-operator";
/// After a failed watch, it is tried again after so long, twice as long each time.
const LEAST_PAUSE: Duration = Duration::from_millis(500);
const GREATEST_PAUSE: Duration = Duration::from_secs(20);
/// A call that takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(15);

/// The API did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// It refused, or could not be reached.
    #[error("{verb} {kind} {name}: {source}")]
    Refused {
        /// What was to be done.
        verb: &'static str,
        /// Kind of the object.
        kind: &'static str,
        /// Namespace and name of the object.
        name: String,
        /// Why.
        source: Box<kube::Error>,
    },
    /// It did not answer.
    #[error("{verb} {kind} {name}: no answer within {} s", PATIENCE.as_secs())]
    Silent {
        /// What was to be done.
        verb: &'static str,
        /// Kind of the object.
        kind: &'static str,
        /// Namespace and name of the object.
        name: String,
    },
}

impl ApiError {
    /// The HTTP status; 0 if there is none.
    pub(crate) fn code(&self) -> u16 {
        match self {
            Self::Refused { source, .. } => match source.as_ref() {
                kube::Error::Api(status) => status.code,
                _ => 0,
            },
            Self::Silent { .. } => 0,
        }
    }

    /// Whether the API understood what was wanted, and does not want it: no right to it, or not valid.
    pub(crate) fn is_refusal(&self) -> bool {
        matches!(self.code(), 400 | 401 | 403 | 422)
    }
}

/// The API of a cluster.
pub struct Cluster {
    client: kube::Client,
    view: Mutex<View>,
    /// Told of every change.
    pub(crate) changes: Notify,
}

impl Cluster {
    /// The cluster of a client. Nothing is known of it yet.
    pub fn new(client: kube::Client) -> Self {
        Self { client, view: Mutex::default(), changes: Notify::new() }
    }

    /// The client.
    pub(crate) const fn client(&self) -> &kube::Client {
        &self.client
    }

    fn view(&self) -> MutexGuard<'_, View> {
        self.view.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn api(&self, kind: Kind, namespace: &str) -> Api<DynamicObject> {
        let resource = kind.resource();
        if namespace.is_empty() {
            Api::all_with(self.client.clone(), &resource)
        } else {
            Api::namespaced_with(self.client.clone(), namespace, &resource)
        }
    }

    /// An object that is followed.
    pub(crate) fn get(&self, kind: Kind, namespace: &str, name: &str) -> Option<Arc<Value>> {
        self.view().objects.get(&(kind, namespace.to_owned(), name.to_owned())).cloned()
    }

    /// All objects of a kind that is followed, by namespace and name.
    pub(crate) fn all(&self, kind: Kind) -> Vec<Arc<Value>> {
        let first = (kind, String::new(), String::new());
        let view = self.view();
        let from = view.objects.range(first..);
        from.take_while(|(key, _)| key.0 == kind).map(|(_, it)| Arc::clone(it)).collect()
    }

    /// Whether every kind was read at least once.
    pub(crate) fn is_known(&self) -> bool {
        let view = self.view();
        Kind::FOLLOWED.iter().all(|kind| view.known.contains(kind))
    }

    /// Reads everything that is followed, once. It takes the place of watches where time is not the clock's.
    ///
    /// # Errors
    /// A kind could not be read.
    pub async fn refresh(&self) -> Result<(), ApiError> {
        for kind in Kind::FOLLOWED {
            let objects = match self.list(kind, "", "").await {
                Ok(objects) => objects,
                // The kind is not served here: there are none.
                Err(error) if error.code() == 404 => Vec::new(),
                Err(error) => return Err(error),
            };
            self.exchange(kind, objects);
        }
        Ok(())
    }

    /// Follows everything until the future is dropped.
    pub(crate) async fn follow(&self) {
        futures_util::future::join_all(Kind::FOLLOWED.map(|kind| self.follow_kind(kind))).await;
    }

    async fn follow_kind(&self, kind: Kind) {
        let mut pause = LEAST_PAUSE;
        loop {
            let mut stream =
                std::pin::pin!(watcher(self.api(kind, ""), watcher::Config::default()));
            let mut first = Vec::new();
            while let Some(event) = stream.next().await {
                match event {
                    Ok(watcher::Event::Init) => first.clear(),
                    Ok(watcher::Event::InitApply(object)) => first.extend(tree(object, kind)),
                    Ok(watcher::Event::InitDone) => {
                        self.exchange(kind, std::mem::take(&mut first));
                        pause = LEAST_PAUSE;
                    }
                    Ok(watcher::Event::Apply(object)) => {
                        if let Some(object) = tree(object, kind) {
                            self.put(kind, object);
                        }
                    }
                    Ok(watcher::Event::Delete(object)) => {
                        if let Some(object) = tree(object, kind) {
                            self.take(kind, &object);
                        }
                    }
                    Err(error) => {
                        if is_absent(&error) {
                            // The kind is not served here, for now.
                            self.exchange(kind, Vec::new());
                            pause = GREATEST_PAUSE;
                        } else {
                            tracing::warn!(kind = kind.name(), %error, "a watch failed and begins again");
                        }
                        break;
                    }
                }
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(GREATEST_PAUSE);
        }
    }

    fn exchange(&self, kind: Kind, objects: Vec<Value>) {
        self.view().exchange(kind, objects);
        self.changes.notify_waiters();
    }

    fn put(&self, kind: Kind, object: Value) {
        self.view().put(kind, object);
        self.changes.notify_waiters();
    }

    fn take(&self, kind: Kind, object: &Value) {
        self.view().take(kind, object);
        self.changes.notify_waiters();
    }

    /// Keeps what came of a write.
    fn keep(&self, kind: Kind, object: DynamicObject) -> Value {
        let object = tree(object, kind).unwrap_or_default();
        if Kind::FOLLOWED.contains(&kind) {
            self.put(kind, object.clone());
        }
        object
    }

    /// All objects of a kind with certain labels; those of all namespaces if the namespace is empty.
    pub(crate) async fn list(
        &self,
        kind: Kind,
        namespace: &str,
        labels: &str,
    ) -> Result<Vec<Value>, ApiError> {
        let api = self.api(kind, namespace);
        let parameters = ListParams::default().labels(labels);
        let all = ask("list", kind, namespace, labels, api.list(&parameters)).await?;
        Ok(all.items.into_iter().filter_map(|it| tree(it, kind)).collect())
    }

    /// An object as it is now.
    pub(crate) async fn read(
        &self,
        kind: Kind,
        namespace: &str,
        name: &str,
    ) -> Result<Option<Value>, ApiError> {
        let api = self.api(kind, namespace);
        let object = ask("get", kind, namespace, name, api.get_opt(name)).await?;
        Ok(object.and_then(|it| tree(it, kind)))
    }

    /// The fields of `object` are as it says, and ours.
    pub(crate) async fn apply(&self, kind: Kind, object: &Value) -> Result<Value, ApiError> {
        let (namespace, name) = (json::namespace(object), json::name(object));
        let mut object = object.clone();
        json::set(&mut object, "apiVersion", json!(kind.api_version()));
        json::set(&mut object, "kind", json!(kind.name()));
        let parameters = PatchParams::apply(MANAGER).force();
        let patch = Patch::Apply(&object);
        let api = self.api(kind, namespace);
        let call = api.patch(name, &parameters, &patch);
        Ok(self.keep(kind, ask("apply", kind, namespace, name, call).await?))
    }

    /// The fields of an object that is followed are as `wanted` says, and ours. Nothing is written where they are already: in
    /// the version that came of applying just this, or, in another one, as far as `is_in_place` knows.
    pub(crate) async fn ensure(
        &self,
        kind: Kind,
        wanted: &Value,
        is_in_place: impl FnOnce(&Value) -> bool,
    ) -> Result<(), ApiError> {
        let (key, hash) = (key(kind, wanted), json::hash(wanted));
        let found = self.view().objects.get(&key).cloned();
        let is_wanted = found.as_ref().is_some_and(|found| {
            let applied = self.view().applied.get(&key).map(|it| {
                (it.wanted == hash, it.version == json::text(found, "metadata/resourceVersion"))
            });
            match applied {
                // Something is wanted no more, and an object with too much does not look other than it shall.
                Some((false, _)) => false,
                Some((true, true)) => true,
                Some((true, false)) | None => is_in_place(found),
            }
        });
        let version = match found {
            Some(found) if is_wanted => json::text(&found, "metadata/resourceVersion").to_owned(),
            _ => {
                json::text(&self.apply(kind, wanted).await?, "metadata/resourceVersion").to_owned()
            }
        };
        self.view().applied.insert(key, Applied { wanted: hash, version });
        Ok(())
    }

    /// Merges a patch into an object.
    pub(crate) async fn merge(
        &self,
        kind: Kind,
        namespace: &str,
        name: &str,
        patch: &Value,
    ) -> Result<Value, ApiError> {
        let parameters = patched();
        let patch = Patch::Merge(patch);
        let api = self.api(kind, namespace);
        let call = api.patch(name, &parameters, &patch);
        Ok(self.keep(kind, ask("patch", kind, namespace, name, call).await?))
    }

    /// Merges a patch into the status of an object.
    pub(crate) async fn merge_status(
        &self,
        kind: Kind,
        namespace: &str,
        name: &str,
        patch: &Value,
    ) -> Result<Value, ApiError> {
        let parameters = patched();
        let patch = Patch::Merge(patch);
        let api = self.api(kind, namespace);
        let call = api.patch_status(name, &parameters, &patch);
        Ok(self.keep(kind, ask("patch the status of", kind, namespace, name, call).await?))
    }

    /// Changes an object that must be as expected.
    pub(crate) async fn edit(
        &self,
        kind: Kind,
        namespace: &str,
        name: &str,
        operations: &Value,
    ) -> Result<Value, ApiError> {
        let parameters = patched();
        let patch =
            Patch::<()>::Json(serde_json::from_value(operations.clone()).unwrap_or_default());
        let api = self.api(kind, namespace);
        let call = api.patch(name, &parameters, &patch);
        Ok(self.keep(kind, ask("edit", kind, namespace, name, call).await?))
    }

    /// Makes an object.
    pub(crate) async fn create(&self, kind: Kind, object: &Value) -> Result<Value, ApiError> {
        let (namespace, name) = (json::namespace(object), json::name(object));
        let parameters = posted();
        let object = typed(kind, object);
        let api = self.api(kind, namespace);
        let call = api.create(&parameters, &object);
        Ok(self.keep(kind, ask("create", kind, namespace, name, call).await?))
    }

    /// Replaces an object, which must not have changed since it was read.
    pub(crate) async fn replace(&self, kind: Kind, object: &Value) -> Result<Value, ApiError> {
        let (namespace, name) = (json::namespace(object), json::name(object));
        let parameters = posted();
        let object = typed(kind, object);
        let api = self.api(kind, namespace);
        let call = api.replace(name, &parameters, &object);
        Ok(self.keep(kind, ask("replace", kind, namespace, name, call).await?))
    }

    /// Removes an object, with everything that belongs to it. One that is not there is no error.
    pub(crate) async fn delete(
        &self,
        kind: Kind,
        namespace: &str,
        name: &str,
    ) -> Result<(), ApiError> {
        let parameters = DeleteParams {
            propagation_policy: Some(PropagationPolicy::Background),
            ..DeleteParams::default()
        };
        let api = self.api(kind, namespace);
        match ask("delete", kind, namespace, name, api.delete(name, &parameters)).await {
            Err(error) if error.code() != 404 => Err(error),
            _ => Ok(()),
        }
    }
}

async fn ask<T>(
    verb: &'static str,
    kind: Kind,
    namespace: &str,
    name: &str,
    call: impl Future<Output = Result<T, kube::Error>>,
) -> Result<T, ApiError> {
    let kind = kind.name();
    match tokio::time::timeout(PATIENCE, call).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(source)) => {
            let name = format!("{namespace}/{name}");
            Err(ApiError::Refused { verb, kind, name, source: Box::new(source) })
        }
        Err(_) => Err(ApiError::Silent { verb, kind, name: format!("{namespace}/{name}") }),
    }
}

fn patched() -> PatchParams {
    PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() }
}

fn posted() -> PostParams {
    PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() }
}

fn is_absent(error: &watcher::Error) -> bool {
    match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status)) => status.code == 404,
        _ => false,
    }
}

fn tree(object: DynamicObject, kind: Kind) -> Option<Value> {
    let mut value = serde_json::to_value(object).ok()?;
    // Objects of lists do not say what they are.
    json::set(&mut value, "apiVersion", json!(kind.api_version()));
    json::set(&mut value, "kind", json!(kind.name()));
    Some(value)
}

#[expect(clippy::expect_used, reason = "only trees with metadata are made")]
fn typed(kind: Kind, object: &Value) -> DynamicObject {
    let mut object = object.clone();
    json::set(&mut object, "apiVersion", json!(kind.api_version()));
    json::set(&mut object, "kind", json!(kind.name()));
    serde_json::from_value(object).expect("an object with metadata")
}
