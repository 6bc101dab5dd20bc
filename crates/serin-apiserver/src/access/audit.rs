//! The audit log: one line of JSON for each request, as `audit.k8s.io/v1` events of level Metadata.
//!
//! A thread writes the lines; requests hand them over and do not wait. Bodies and tokens never appear.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::{self, BufWriter, Write};
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::{self, JoinHandle};

use http::StatusCode;
use jiff::Timestamp;
use serde_json::{Value, json};
use serin_objects::Status;

use super::attributes::Attributes;
use super::user::User;

/// How many lines may wait.
const QUEUE: usize = 8192;

tokio::task_local! {
    /// What the parts of the server tell of the request that is carried out.
    static TOLD: RefCell<Told>;
}

/// What is known of a request only while it is carried out.
#[derive(Default)]
pub(crate) struct Told {
    /// Texts by key.
    annotations: BTreeMap<String, String>,
    /// What the object that was sent says of itself, by the fields of its metadata.
    object: BTreeMap<&'static str, String>,
}

/// Adds something to the event of the request that is carried out, if it is recorded.
pub(crate) fn annotate(key: &str, value: &str) {
    // Work beside requests has no event.
    let _ = TOLD
        .try_with(|told| told.borrow_mut().annotations.insert(key.to_owned(), value.to_owned()));
}

/// Notes which object the request that is carried out has sent.
pub(crate) fn note(object: &Value) {
    let _ = TOLD.try_with(|told| {
        let fields = ["namespace", "name", "uid", "resourceVersion"];
        let of = |field| Some((field, object["metadata"][field].as_str()?.to_owned()));
        told.borrow_mut().object = fields.into_iter().filter_map(of).collect();
    });
}

/// Carries out a request, and tells what was added to its event meanwhile.
pub(crate) async fn listening<F: Future>(work: F) -> (F::Output, Told) {
    TOLD.scope(RefCell::default(), async {
        let output = work.await;
        (output, TOLD.with(RefCell::take))
    })
    .await
}

/// Where lines are handed over.
pub(crate) struct Audit {
    lines: Mutex<Option<SyncSender<Value>>>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

/// What is known of a request when it is answered.
pub(crate) struct Entry<'e> {
    pub(crate) begun: Timestamp,
    pub(crate) uri: &'e str,
    pub(crate) agent: &'e str,
    pub(crate) peer: Option<IpAddr>,
    /// Who proved to make it; nobody, where that failed.
    pub(crate) user: Option<&'e User>,
    /// In whose name it was made, where that is another.
    pub(crate) acting: Option<&'e User>,
    pub(crate) what: Attributes<'e>,
    pub(crate) version: &'e str,
    pub(crate) code: StatusCode,
    pub(crate) failure: Option<&'e Status>,
    /// Whether the answer goes on after it began.
    pub(crate) goes_on: bool,
    /// What was added to the event.
    pub(crate) told: Told,
}

impl Audit {
    /// Appends to `path`, which only its owner can read.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
        let (sender, lines) = sync_channel::<Value>(QUEUE);
        let out = BufWriter::new(file);
        let writer =
            thread::Builder::new().name("audit".into()).spawn(move || write(out, &lines))?;
        Ok(Self { lines: Mutex::new(Some(sender)), writer: Mutex::new(Some(writer)) })
    }

    /// Hands over a line. When the disk is far behind, lines are dropped and that is said in the server's log.
    pub(crate) fn record(&self, entry: &Entry<'_>) {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(lines) = lines.as_ref() else { return };
        if let Err(TrySendError::Full(_)) = lines.try_send(entry.to_value()) {
            tracing::error!("the audit log is behind: an event was dropped");
        }
    }
}

impl Drop for Audit {
    /// Waits until everything that was handed over is written.
    fn drop(&mut self) {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).take();
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(writer) = writer {
            // A writer that panicked has said so already.
            let _ = writer.join();
        }
    }
}

fn write(mut out: BufWriter<std::fs::File>, lines: &Receiver<Value>) {
    while let Ok(first) = lines.recv() {
        let mut failed = writeln!(out, "{first}").err();
        while let Ok(line) = lines.try_recv() {
            failed = failed.or(writeln!(out, "{line}").err());
        }
        if let Some(error) = failed.or(out.flush().err()) {
            tracing::error!(%error, "the audit log cannot be written");
        }
    }
}

impl Entry<'_> {
    fn to_value(&self) -> Value {
        const FORM: &str = "%Y-%m-%dT%H:%M:%S.%6fZ";
        let nobody = User::default();
        let mut event = json!({
            "kind": "Event",
            "apiVersion": "audit.k8s.io/v1",
            "level": "Metadata",
            "auditID": crate::random::uuid().to_string(),
            "stage": if self.goes_on { "ResponseStarted" } else { "ResponseComplete" },
            "requestURI": self.uri,
            "verb": self.what.verb,
            "user": self.user.unwrap_or(&nobody).to_value(),
        });
        if let Some(acting) = self.acting {
            event["impersonatedUser"] = acting.to_value();
        }
        if let Some(peer) = self.peer {
            event["sourceIPs"] = json!([peer.to_string()]);
        }
        event["userAgent"] = self.agent.into();
        if self.what.path.is_none() {
            event["objectRef"] = self.reference();
        }
        event["responseStatus"] = json!({"metadata": {}, "code": self.code.as_u16()});
        if let Some(failure) = self.failure {
            event["responseStatus"]["status"] = "Failure".into();
            event["responseStatus"]["message"] = failure.message.as_str().into();
            event["responseStatus"]["reason"] = failure.reason.as_str().into();
        }
        event["requestReceivedTimestamp"] = self.begun.strftime(FORM).to_string().into();
        event["stageTimestamp"] = Timestamp::now().strftime(FORM).to_string().into();
        if self.user.is_some() {
            let decision = if matches!(self.code.as_u16(), 401 | 403) { "forbid" } else { "allow" };
            event["annotations"] = json!({"authorization.k8s.io/decision": decision});
        }
        for (key, value) in &self.told.annotations {
            event["annotations"][key] = json!(value);
        }
        event
    }

    fn reference(&self) -> Value {
        let sent = |field| self.told.object.get(field).map_or("", String::as_str);
        // What the path says goes before what the object says.
        let either = |said, field| if str::is_empty(said) { sent(field) } else { said };
        let fields = [
            ("resource", self.what.resource),
            ("namespace", either(self.what.namespace, "namespace")),
            ("name", either(self.what.name, "name")),
            ("uid", sent("uid")),
            ("apiGroup", self.what.group),
            ("apiVersion", self.version),
            ("resourceVersion", sent("resourceVersion")),
            ("subresource", self.what.subresource),
        ];
        let some = fields.iter().filter(|(_, text)| !text.is_empty());
        some.map(|(name, text)| ((*name).to_owned(), Value::from(*text))).collect()
    }
}
