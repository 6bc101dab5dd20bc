//! Watches on the API: one for each kind, which begin anew where they broke off.
//!
//! Objects come as they are written, and are read by the cache. A kind that the API does not have is tried again from time to time.

use std::borrow::Cow;

use futures_util::StreamExt as _;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{Api, ApiResource};
use kube::core::DynamicResourceScope;
use kube::runtime::{WatchStreamExt as _, watcher};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serin_api::Kind;
use tokio::sync::mpsc::Sender;

use crate::cache::{Event, What};

/// An object as it is written, with the metadata that a watch needs to go on.
#[derive(Clone, Debug)]
struct Watched {
    meta: ObjectMeta,
    object: Value,
}

impl<'de> Deserialize<'de> for Watched {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let object = Value::deserialize(deserializer)?;
        let text = |name: &str| object["metadata"][name].as_str().map(str::to_owned);
        let meta = ObjectMeta {
            name: text("name"),
            namespace: text("namespace"),
            resource_version: text("resourceVersion"),
            ..ObjectMeta::default()
        };
        Ok(Self { meta, object })
    }
}

impl kube::Resource for Watched {
    type DynamicType = ApiResource;
    type Scope = DynamicResourceScope;

    fn kind(kind: &ApiResource) -> Cow<'_, str> {
        kind.kind.as_str().into()
    }

    fn group(kind: &ApiResource) -> Cow<'_, str> {
        kind.group.as_str().into()
    }

    fn version(kind: &ApiResource) -> Cow<'_, str> {
        kind.version.as_str().into()
    }

    fn plural(kind: &ApiResource) -> Cow<'_, str> {
        kind.plural.as_str().into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.meta
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.meta
    }
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

/// Watches all objects of a kind, and ends when nobody listens any more.
pub(crate) async fn watch(client: kube::Client, kind: &'static Kind, events: Sender<Event>) {
    let api: Api<Watched> = Api::all_with(client, &resource(kind));
    let config = watcher::Config::default().streaming_lists();
    let mut stream = std::pin::pin!(watcher(api, config).default_backoff());
    while let Some(next) = stream.next().await {
        let what = match next {
            Ok(watcher::Event::Init) => What::Begin,
            Ok(watcher::Event::InitApply(it)) => What::Listed(it.object),
            Ok(watcher::Event::InitDone) => What::Complete,
            Ok(watcher::Event::Apply(it)) => What::Present(it.object),
            Ok(watcher::Event::Delete(it)) => What::Gone(it.object),
            Err(error) if is_not_served(&error) => What::NotServed,
            Err(error) => {
                tracing::warn!(kind = kind.kind, %error, "a watch broke off; it is taken up again");
                continue;
            }
        };
        if events.send(Event { kind, what }).await.is_err() {
            return;
        }
    }
}

/// Whether the API does not have the kind, or does not let us see it.
fn is_not_served(error: &watcher::Error) -> bool {
    use watcher::Error;
    let of_client = match error {
        Error::InitialListFailed(error) | Error::WatchStartFailed(error) => error,
        Error::WatchError(status) => return status.code == 404,
        Error::WatchFailed(_) | Error::NoResourceVersion => return false,
    };
    matches!(of_client, kube::Error::Api(status) if [403, 404].contains(&status.code))
}
