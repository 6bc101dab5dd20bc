//! Webhooks: what is sent, and what an answer means.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use serin_api::delivery::CanaryWebhook;
use serin_api::values::Duration as Written;
use serin_rollout::{Answer, Decision, Phase};

use crate::http::{Call, Caller};

/// How long an answer may take where nothing is said.
const PATIENCE: Duration = Duration::from_secs(10);
/// The pause before the first repetition, twice as long each time.
const PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// What every hook is told.
#[derive(Clone, Debug)]
pub(crate) struct Subject {
    pub(crate) name: String,
    pub(crate) namespace: String,
    pub(crate) phase: Phase,
    /// Stands for the revision and its configuration.
    pub(crate) checksum: String,
}

impl Subject {
    fn payload(&self, metadata: &BTreeMap<String, String>) -> Value {
        json!({
            "name": self.name,
            "namespace": self.namespace,
            "phase": self.phase.to_string(),
            "checksum": self.checksum,
            "metadata": metadata,
        })
    }
}

/// Asks a hook, as often as it says.
pub(crate) async fn ask(caller: &Caller, hook: &CanaryWebhook, subject: &Subject) -> Answer {
    match send(caller, hook, &subject.payload(&hook.metadata)).await {
        Ok(()) => Answer::Yes,
        Err(why) => Answer::No(why),
    }
}

/// Tells a hook of an event. What its author says in the metadata does not hide what happened.
pub(crate) async fn tell(
    caller: &Caller,
    hook: &CanaryWebhook,
    subject: &Subject,
    decision: &Decision,
) -> Result<(), String> {
    let mut metadata = hook.metadata.clone();
    let kind = if decision.is_warning { "Warning" } else { "Normal" };
    metadata.insert("eventMessage".to_owned(), decision.event.clone());
    metadata.insert("eventType".to_owned(), kind.to_owned());
    metadata.insert("timestamp".to_owned(), decision.at.0.to_string());
    send(caller, hook, &subject.payload(&metadata)).await
}

async fn send(caller: &Caller, hook: &CanaryWebhook, payload: &Value) -> Result<(), String> {
    let timeout = hook.timeout.parse::<Written>().ok();
    let timeout = timeout.and_then(|it| u64::try_from(it.nanos()).ok()).filter(|it| *it > 0);
    let timeout = timeout.map_or(PATIENCE, Duration::from_nanos);
    let mut call = Call::post(hook.url.clone(), payload, timeout);
    call.verify = !hook.disable_tls;
    let mut pause = PAUSE;
    let mut left = hook.retries.max(0);
    loop {
        let (why, is_final) = match caller.call(&call).await {
            Ok(answer) if answer.status <= 202 => return Ok(()),
            // A refusal is an answer: only what may be different the next time is tried again.
            Ok(answer) => (answer.refusal(), answer.status < 500 && answer.status != 429),
            Err(why) => (why, false),
        };
        if is_final || left == 0 {
            return Err(why);
        }
        left -= 1;
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}
