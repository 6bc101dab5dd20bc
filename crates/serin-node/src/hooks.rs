//! What a pod has run at the beginning and the end of its containers.

use std::path::Path;
use std::time::Duration;

use k8s_openapi::api::core::v1::{LifecycleHandler, Pod};

use crate::http;
use crate::pod::container;
use crate::running::Place;
use crate::streams::exec;

/// Runs a hook to its end.
///
/// # Errors
/// It failed; the message tells how.
pub(crate) async fn run(
    hook: &LifecycleHandler,
    place: &Place,
    pod: &Pod,
    name: &str,
    program: &Path,
) -> Result<(), String> {
    if let Some(action) = &hook.exec {
        let command = action.command.clone().unwrap_or_default();
        let run = exec(place, program, command, false, false).await;
        let exit = run.map_err(|error| error.to_string())?.process.wait().await;
        return match exit.code {
            0 => Ok(()),
            code => Err(format!("command terminated with exit code {code}")),
        };
    }
    if let Some(action) = &hook.sleep {
        let seconds = u64::try_from(action.seconds).unwrap_or(0);
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        return Ok(());
    }
    if let Some(action) = &hook.http_get {
        let spec = container(pod, name).map(|(_, container)| container);
        let asked = http::of_action(action, spec.as_deref(), &place.sandbox)?;
        let answer = http::get(&place.sandbox, &asked).await?;
        return match answer.status {
            200..=399 => Ok(()),
            status => Err(format!("HTTP probe failed with statuscode: {status}")),
        };
    }
    Ok(())
}
