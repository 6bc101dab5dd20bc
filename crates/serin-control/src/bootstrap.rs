//! What has to be there before a mesh can work.

use futures_util::future::try_join_all;
use serde_json::Value;

use crate::api::{self, WriteError};
use crate::made;
use crate::settings::Settings;

/// An object that has to be there could not be made.
#[derive(Debug, thiserror::Error)]
#[error("cannot make {what}: {source}")]
pub struct BootstrapError {
    /// The object.
    what: String,
    /// Why.
    #[source]
    source: WriteError,
}

/// Makes the ingress gateway's namespace, Service and GatewayClass, and the endpoints of the Service `kubernetes`, or brings them up to
/// date. Kinds that the API does not have are left out.
///
/// # Errors
/// The API refuses.
pub async fn bootstrap(client: &kube::Client, settings: &Settings) -> Result<(), BootstrapError> {
    let objects = made::at_start(settings);
    // What is in a namespace comes after it; the rest is written together, which takes as long as one write.
    let (first, rest): (Vec<_>, Vec<_>) = objects.iter().partition(|it| it["kind"] == "Namespace");
    for together in [first, rest] {
        try_join_all(together.into_iter().map(|object| make(client, object))).await?;
    }
    Ok(())
}

async fn make(client: &kube::Client, object: &Value) -> Result<(), BootstrapError> {
    match api::apply(client, object).await {
        Ok(()) => Ok(()),
        Err(error) if error.is_missing() => Ok(()),
        Err(source) => {
            let text = |at: &str| object.pointer(at).and_then(Value::as_str).unwrap_or_default();
            let what = format!("{} {}", text("/kind"), text("/metadata/name"));
            Err(BootstrapError { what, source })
        }
    }
}
