//! Keeping the table: watches of Services and EndpointSlices.

use std::fmt::Debug;
use std::sync::{Arc, PoisonError, Weak};
use std::time::Duration;

use futures_util::StreamExt as _;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::Api;
use kube::runtime::watcher::{self, Event, watcher};
use serde::de::DeserializeOwned;

use super::Dns;
use super::table::Table;

/// Starts both; they end with the table.
pub(super) fn start(client: &kube::Client, dns: &Arc<Dns>) {
    let services: Api<Service> = Api::all(client.clone());
    let slices: Api<EndpointSlice> = Api::all(client.clone());
    let weak = Arc::downgrade(dns);
    let changes =
        Changes { clear: Table::clear_services, is: Table::service, gone: Table::no_service };
    tokio::spawn(follow(services, weak.clone(), changes));
    let changes = Changes { clear: Table::clear_slices, is: Table::slice, gone: Table::no_slice };
    tokio::spawn(follow(slices, weak, changes));
}

/// What changes of a kind do to the table.
struct Changes<K> {
    clear: fn(&mut Table),
    is: fn(&mut Table, &K),
    gone: fn(&mut Table, &K),
}

async fn follow<K>(api: Api<K>, dns: Weak<Dns>, changes: Changes<K>)
where
    K: kube::Resource + Clone + DeserializeOwned + Debug + Send + 'static,
{
    let mut events = Box::pin(watcher(api, watcher::Config::default()));
    let mut listed = Vec::new();
    while let Some(event) = events.next().await {
        let Some(dns) = dns.upgrade() else { return };
        let mut table = dns.table.write().unwrap_or_else(PoisonError::into_inner);
        match event {
            // Names stay known while they are listed anew.
            Ok(Event::Init) => listed.clear(),
            Ok(Event::InitApply(object)) => listed.push(object),
            Ok(Event::InitDone) => {
                (changes.clear)(&mut table);
                for object in listed.drain(..) {
                    (changes.is)(&mut table, &object);
                }
            }
            Ok(Event::Apply(object)) => (changes.is)(&mut table, &object),
            Ok(Event::Delete(object)) => (changes.gone)(&mut table, &object),
            Err(error) => {
                drop(table);
                tracing::debug!(%error, "a watch for DNS broke");
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
    }
}
