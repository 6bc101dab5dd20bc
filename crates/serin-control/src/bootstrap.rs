//! What has to be there before a mesh can work.

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
    for object in made::at_start(settings) {
        match api::apply(client, &object).await {
            Ok(()) => {}
            Err(error) if error.is_missing() => {}
            Err(source) => {
                let text =
                    |at: &str| object.pointer(at).and_then(|it| it.as_str()).unwrap_or_default();
                let what = format!("{} {}", text("/kind"), text("/metadata/name"));
                return Err(BootstrapError { what, source });
            }
        }
    }
    Ok(())
}
