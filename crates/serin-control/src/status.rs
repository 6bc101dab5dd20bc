//! Statuses of objects: written where their authors look, only when they change, and never as a change of the mesh.
//!
//! What is to be written (`desired`) and how it joins what stands there (`merge`) are pure. The loop here asks for analyses, which run
//! beside it, follows how far proxies are, and writes a few statuses at a time.

mod desired;
mod merge;
mod queue;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use jiff::Timestamp;
use serde_json::{Value, json};
use serin_api::{Finding, Kind, Severity};
use serin_translate::analysis;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::api::{self, WriteError};
use crate::cache::{Key, Written};
use crate::control::Shared;
use crate::gateway;
use crate::models::Push;
use crate::settings::Settings;
use desired::Known;
use queue::{For, Queue};

/// Statuses that are written at the same time.
const WRITES: usize = 4;
/// Objects that are looked at in one turn of the loop.
const LOOKS: usize = 256;
/// The pause after a write that failed.
const PAUSE: Duration = Duration::from_secs(1);
/// An analysis is followed by a pause of so many times its length.
const SHARE: u32 = 10;
/// An analysis that takes no longer is waited for before a status is written.
const QUICK: Duration = Duration::from_millis(20);

const NETWORKING: &str = "networking.istio.io";
const SECURITY: &str = "security.istio.io";
const GATEWAY_API: &str = "gateway.networking.k8s.io";

/// Whether objects of a kind get a status of ours.
pub(crate) fn is_written_for(key: &Key) -> bool {
    is_of_istio(key)
        || Kind::find(key.group, key.kind).is_some_and(|kind| kind.is_custom)
            && (key.group.starts_with("gateway.networking.")
                || key.group == "inference.networking.k8s.io")
}

/// Whether the whole status is ours to tell.
fn is_of_istio(key: &Key) -> bool {
    let kinds =
        ["VirtualService", "DestinationRule", "Gateway", "ServiceEntry", "Sidecar", "EnvoyFilter"];
    let security = ["AuthorizationPolicy", "PeerAuthentication", "RequestAuthentication"];
    (key.group == NETWORKING && kinds.contains(&key.kind))
        || (key.group == SECURITY && security.contains(&key.kind))
}

/// Whether an object of the Gateway API decides about requests.
fn is_route(key: &Key) -> bool {
    key.group == GATEWAY_API
        && ["Gateway", "HTTPRoute", "GRPCRoute", "TLSRoute", "TCPRoute"].contains(&key.kind)
}

type Found = BTreeMap<Key, Vec<Finding>>;
/// A status that was written, or not, and the version before.
type Wrote = (Key, String, Result<(Value, String), WriteError>);

/// What the loop knows.
struct Statuses {
    client: kube::Client,
    settings: Arc<Settings>,
    shared: Arc<Shared>,
    objects: BTreeMap<Key, Written>,
    queue: Queue,
    /// Objects whose status is being written.
    busy: BTreeSet<Key>,
    writes: FuturesUnordered<BoxFuture<'static, Wrote>>,
    push: Option<Arc<Push>>,
    /// What was found, and the number of the push in which.
    found: (u64, Found),
    analysis: Option<JoinHandle<(u64, Found, Duration)>>,
    /// When the last push was seen.
    pushed: Instant,
    /// When the analysis before has been followed by enough of a pause.
    rested: Instant,
    /// How long the last one took.
    took: Duration,
    /// The last push that every proxy has reached.
    everywhere: u64,
    /// What the Gateway API's objects are to say, without times.
    converted: BTreeMap<Key, Value>,
    /// Gateways with ports that could not be opened, and what is to be said of that.
    unserved: BTreeMap<Key, String>,
}

/// Writes statuses until the task is ended.
pub(crate) async fn run(client: kube::Client, settings: Arc<Settings>, shared: Arc<Shared>) {
    let mut moved = shared.follow();
    let mut statuses = Statuses::new(client, settings, shared);
    loop {
        statuses.follow();
        statuses.begin_analysis();
        statuses.begin_writes();
        let wake = statuses.wake();
        tokio::select! {
            changed = moved.changed() => if changed.is_err() { return },
            done = statuses.writes.next(), if !statuses.writes.is_empty() => statuses.wrote(done),
            found = finished(&mut statuses.analysis), if statuses.analysis.is_some() => {
                statuses.analysed(found);
            }
            () = tokio::time::sleep_until(wake.unwrap_or_else(Instant::now)), if wake.is_some() => {}
        }
    }
}

async fn finished<T>(task: &mut Option<JoinHandle<T>>) -> Option<T> {
    match task {
        Some(task) => match task.await {
            // The process ends.
            Err(error) if error.is_cancelled() => std::future::pending().await,
            done => done.ok(),
        },
        None => std::future::pending().await,
    }
}

impl Statuses {
    fn new(client: kube::Client, settings: Arc<Settings>, shared: Arc<Shared>) -> Self {
        Self {
            client,
            settings,
            shared,
            objects: BTreeMap::new(),
            queue: Queue::default(),
            busy: BTreeSet::new(),
            writes: FuturesUnordered::new(),
            push: None,
            found: (0, Found::new()),
            analysis: None,
            pushed: Instant::now(),
            rested: Instant::now(),
            took: Duration::ZERO,
            everywhere: 0,
            converted: BTreeMap::new(),
            unserved: BTreeMap::new(),
        }
    }

    /// Takes in what has changed of objects and pushes.
    fn follow(&mut self) {
        let now = Instant::now();
        for (key, written) in self.shared.take_written() {
            match written {
                Some(written) => {
                    self.queue.add(key.clone(), now);
                    self.objects.insert(key, written);
                }
                None => {
                    self.queue.remove(&key);
                    self.objects.remove(&key);
                }
            }
        }
        let everywhere = self.shared.everywhere();
        if everywhere > self.everywhere {
            self.everywhere = everywhere;
            self.queue.happened(For::Proxies);
        }
        let Some(push) = self.shared.last_push() else { return };
        let is_new = |last: &Arc<Push>| !Arc::ptr_eq(last, &push);
        if self.push.as_ref().is_none_or(is_new) {
            self.convert(&push, now);
            (self.push, self.pushed) = (Some(push), now);
        }
        self.follow_ports(now);
    }

    /// Notes which Gateways have ports that could not be opened.
    fn follow_ports(&mut self, now: Instant) {
        let (Some(push), Some(gateway)) = (&self.push, &self.settings.gateway) else { return };
        let problems = self.shared.problems(&gateway::id(gateway, &self.settings));
        if problems.is_empty() && self.unserved.is_empty() {
            return;
        }
        let unserved = gateway::unserved(gateway, &self.settings, &push.snapshot, &problems);
        let before = std::mem::replace(&mut self.unserved, unserved);
        let keys: BTreeSet<&Key> = before.keys().chain(self.unserved.keys()).collect();
        for key in keys.into_iter().filter(|key| before.get(*key) != self.unserved.get(*key)) {
            if self.objects.contains_key(key) {
                self.queue.add(key.clone(), now);
            }
        }
    }

    /// Notes what the Gateway API's objects are to say.
    fn convert(&mut self, push: &Push, now: Instant) {
        let made = push.snapshot.gateway_api();
        let last = self.push.as_ref().map(|last| std::ptr::from_ref(last.snapshot.gateway_api()));
        if last == Some(std::ptr::from_ref(made)) {
            return;
        }
        // Times are given when it is known which conditions change.
        let statuses = made.statuses("");
        let statuses =
            statuses.into_iter().filter_map(|(object, it)| Some((Key::of(&object)?, it)));
        let converted: BTreeMap<Key, Value> = statuses.collect();
        for (key, status) in &converted {
            if self.converted.get(key) != Some(status) {
                self.queue.add(key.clone(), now);
            }
        }
        self.converted = converted;
    }

    fn begin_analysis(&mut self) {
        let Some(push) = &self.push else { return };
        let is_done = self.found.0 >= push.number;
        if self.analysis.is_some() || is_done || Instant::now() < self.analysis_due() {
            return;
        }
        let push = Arc::clone(push);
        let now = Timestamp::now().as_second();
        self.analysis = Some(tokio::task::spawn_blocking(move || {
            let start = std::time::Instant::now();
            let found = found(&push, now);
            (push.number, found, start.elapsed())
        }));
    }

    /// When the next analysis may begin: after the proxies have what it is about, unless they are slow, for they are waited for and it
    /// would take processor time from them.
    fn analysis_due(&self) -> Instant {
        let is_delivered = self.push.as_ref().is_some_and(|push| push.number <= self.everywhere);
        if is_delivered {
            self.rested
        } else {
            self.rested.max(self.pushed + self.settings.patience)
        }
    }

    fn analysed(&mut self, done: Option<(u64, Found, Duration)>) {
        self.analysis = None;
        let now = Instant::now();
        let Some((number, found, took)) = done else {
            // Said by whoever ends the process, too, which breaks the analysis off.
            tracing::debug!("an analysis of the objects broke off");
            self.rested = now + PAUSE;
            return;
        };
        (self.rested, self.took) = (now + took * SHARE, took);
        self.queue.happened(For::Analysis);
        let before = std::mem::replace(&mut self.found, (number, found)).1;
        let (_, found) = &self.found;
        let keys = before.keys().chain(found.keys());
        for key in keys.filter(|key| before.get(*key) != found.get(*key)) {
            if self.objects.contains_key(key) {
                self.queue.add(key.clone(), now);
            }
        }
    }

    /// Starts to write statuses that are complete, as many as may be written at the same time.
    fn begin_writes(&mut self) {
        let (now, patience) = (Instant::now(), self.settings.patience);
        let ready = self.queue.ready(now, LOOKS, |key| self.busy.contains(key));
        for (key, since) in ready {
            if self.writes.len() >= WRITES {
                return;
            }
            match self.next_status(&key, now >= since + patience) {
                Next::Wait(what) => self.queue.wait(&key, what, patience),
                Next::Right => {
                    self.queue.remove(&key);
                }
                Next::Write { ours, status, then } => {
                    match then {
                        Some(what) => self.queue.wait(&key, what, patience),
                        None => {
                            self.queue.remove(&key);
                        }
                    }
                    self.write(key, ours, status);
                }
            }
        }
    }

    fn write(&mut self, key: Key, ours: Value, status: Value) {
        let client = self.client.clone();
        let version = self.objects.get(&key).map(|it| it.version.clone()).unwrap_or_default();
        self.busy.insert(key.clone());
        self.writes.push(Box::pin(async move {
            let merge =
                |present: &Value| merge::merged(present, &ours, &Timestamp::now().to_string());
            let result = api::replace_status(&client, &key, &version, merge, status).await;
            (key, version, result)
        }));
    }

    fn wrote(&mut self, done: Option<Wrote>) {
        let Some((key, before, result)) = done else { return };
        self.busy.remove(&key);
        match result {
            Ok((status, version)) => {
                if let Some(written) = self.objects.get_mut(&key) {
                    written.wrote(&before, status, version);
                }
            }
            Err(error) if error.is_missing() => {
                self.queue.remove(&key);
            }
            Err(error) => {
                let name = format!("{} {}/{}", key.kind, key.namespace, key.name);
                tracing::warn!(object = name, %error, "a status could not be written; it is tried again");
                self.queue.retry(key, Instant::now() + PAUSE);
            }
        }
    }

    /// When there is something to do though nothing moves.
    fn wake(&self) -> Option<Instant> {
        let is_stale = self.push.as_ref().is_some_and(|push| self.found.0 < push.number);
        let rested = (is_stale && self.analysis.is_none()).then(|| self.analysis_due());
        self.queue.wake(Instant::now()).into_iter().chain(rested).min()
    }

    /// What is to be written for an object.
    fn next_status(&self, key: &Key, is_overdue: bool) -> Next {
        let Some(written) = self.objects.get(key) else { return Next::Right };
        let (missing, is_analysed) = self.missing(key, written);
        let is_slow = missing == Some(For::Analysis) && self.took > QUICK;
        if let Some(missing) = missing.filter(|_| !is_overdue && !is_slow) {
            return Next::Wait(missing);
        }
        let live = self.shared.live(key);
        let none = Vec::new();
        let found = is_analysed.then(|| self.found.1.get(key).unwrap_or(&none).as_slice());
        let unserved = self.unserved.get(key).map(String::as_str);
        let live = live.as_ref();
        let known = Known { written, found, live, is_overdue, unserved };
        let ours = match is_of_istio(key) {
            true => desired::status(&known),
            false => self.of_gateway_api(key, &known),
        };
        let ours = keep_live(&written.status, ours, written.generation);
        let status = merge::merged(&written.status, &ours, &Timestamp::now().to_string());
        match (status == *written.status, missing) {
            (true, None) => Next::Right,
            (true, Some(missing)) => Next::Wait(missing),
            (false, then) => Next::Write { ours, status, then },
        }
    }

    /// What an object's status has to wait for, and whether somebody has looked at the object together with all others.
    fn missing(&self, key: &Key, written: &Written) -> (Option<For>, bool) {
        let is_refused = written.findings.iter().any(|it| it.severity == Severity::Error);
        let brought = self.shared.brought(key);
        let is_pushed = |(generation, _): (i64, u64)| generation >= written.generation;
        let is_live = is_refused
            || brought.is_some_and(|it| is_pushed(it) && it.1 <= self.everywhere)
            || !(is_of_istio(key) || is_route(key));
        let is_analysed = match brought {
            Some(it) => (is_refused || is_pushed(it)) && it.1 <= self.found.0,
            None => is_refused,
        };
        let missing = match (is_live, is_analysed || !is_of_istio(key)) {
            (true, true) => None,
            (false, _) => Some(For::Proxies),
            (true, false) => Some(For::Analysis),
        };
        (missing, is_analysed)
    }

    fn of_gateway_api(&self, key: &Key, known: &Known<'_>) -> Value {
        let mut status = self.converted.get(key).cloned().unwrap_or_else(|| json!({}));
        let mut add = |condition: Option<Value>| {
            let Some(condition) = condition else { return };
            match status.get_mut("conditions").and_then(Value::as_array_mut) {
                Some(conditions) => {
                    conditions.retain(|it| it["type"] != condition["type"]);
                    conditions.push(condition);
                }
                None => status["conditions"] = json!([condition]),
            }
        };
        if is_route(key) {
            add(desired::live_only(known));
            add(desired::not_programmed(known));
        }
        status
    }
}

/// What becomes of a status.
enum Next {
    /// It is as it should be.
    Right,
    /// Something is not known yet.
    Wait(For),
    /// It is to be written, and looked at again if something is not known yet.
    Write { ours: Value, status: Value, then: Option<For> },
}

/// A generation that was live stays so: the conditions that say it are not written again because there are more proxies.
fn keep_live(present: &Value, mut ours: Value, generation: i64) -> Value {
    let conditions = |status: &Value| status["conditions"].as_array().cloned().unwrap_or_default();
    let says_live = |it: &Value| {
        (it["type"] == "Live" || it["type"] == "Reconciled")
            && it["status"] == "True"
            && it["observedGeneration"] == generation
    };
    let before = conditions(present);
    if let Some(list) = ours["conditions"].as_array_mut() {
        for condition in list.iter_mut().filter(|it| says_live(it)) {
            if let Some(known) =
                before.iter().find(|it| it["type"] == condition["type"] && says_live(it))
            {
                *condition = known.clone();
            }
        }
    }
    ours
}

/// What was found in a push, by object. `now` is in seconds since 1970.
fn found(push: &Push, now: i64) -> Found {
    let input = analysis::Input { now: Some(now), ..analysis::Input::new(&push.snapshot) };
    let mut found = Found::new();
    let all = push.snapshot.findings().chain(&push.findings).cloned();
    for finding in all.chain(analysis::analyze(input)) {
        let Some(key) = finding.object.as_ref().and_then(Key::of) else { continue };
        let list = found.entry(key).or_default();
        if !list.contains(&finding) {
            list.push(finding);
        }
    }
    found
}
