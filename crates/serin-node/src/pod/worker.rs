//! The task of a pod: it asks what to do next, does it, and tells the API how the pod is.
//!
//! What takes time runs in tasks of its own, whose results come back as happenings. The task ends when the pod has, or when it is
//! told that the object is gone; what it started ends with it.

mod configure;
mod launch;
mod probing;
mod recall;
mod report;
mod resize;
mod stop;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Pod;
use tokio::sync::{mpsc, watch};
use tokio::task::{AbortHandle, JoinHandle};

use self::launch::Begun;
pub(crate) use self::recall::former_address;
use self::report::Reporter;
use super::machine::{Action, Drain, Ended, Ground, Held, Observed, Running, Seen, State, decide};
use super::status::{Whereabouts, status};
use super::{Role, container, containers, identity, uses_host_network};
use crate::events::Severity;
use crate::moment::Moment;
use crate::node::{Order, Shared};
use crate::pod::machine::{deadline_of, is_finished};
use crate::process::{Exit, Process};
use crate::sandbox::Sandbox;
use crate::settings::Leaving;

/// How long to wait before a sandbox is tried again.
const RETRY: SignedDuration = SignedDuration::from_secs(5);
/// How long the end of a container's output is waited for.
const OUTPUT: std::time::Duration = std::time::Duration::from_secs(1);

/// What happened to a pod.
enum Happening {
    /// The sandbox and the volumes are there, or why not.
    Prepared(Result<launch::Ground, launch::GroundError>),
    /// A container was started, or why not.
    Begun(String, Result<Begun, Held>),
    /// A container could not run its program.
    NotRun(String, Begun, String),
    /// A container has ended.
    Ended(String, Exit),
    /// Nobody uses the pod any more.
    Drained,
    /// A probe changed its mind.
    Probed(String, Verdict),
}

/// What a probe says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The container has come up.
    Started,
    /// It takes requests, or does not.
    Ready(bool),
    /// It must be restarted; what to say of it.
    Condemned(String),
}

/// A pod's task.
pub(crate) struct Worker {
    shared: Arc<Shared>,
    pod: Arc<Pod>,
    orders: watch::Receiver<Order>,
    seen: Seen,
    /// The pod's address; kept from one try at a sandbox to the next.
    address: Option<Ipv4Addr>,
    sandbox: Option<Sandbox>,
    volumes: launch::Volumes,
    live: BTreeMap<String, Live>,
    happenings: mpsc::UnboundedReceiver<Happening>,
    tell: mpsc::UnboundedSender<Happening>,
    reporter: Reporter,
    starts: BTreeMap<String, AbortHandle>,
}

/// A container that runs.
struct Live {
    process: Process,
    /// Its probes: they end with it.
    tasks: Vec<AbortHandle>,
    log: crate::logs::Log,
    started: Moment,
    id: String,
    termination_log: PathBuf,
    oom: crate::cgroups::Group,
}

impl Worker {
    /// The task of a pod that the node has not had before.
    pub(crate) fn new(shared: Arc<Shared>, pod: Arc<Pod>, orders: watch::Receiver<Order>) -> Self {
        let (tell, happenings) = mpsc::unbounded_channel();
        let reporter = Reporter::start(&shared, &pod);
        let seen = recall::recall(&pod, Moment::now());
        // Before any other pod may be given it: rules and clients go by the address that the object tells.
        let former = former_address(&pod);
        let address = former.and_then(|former| shared.take_former_address(former));
        Self {
            shared,
            pod,
            orders,
            seen,
            address,
            sandbox: None,
            volumes: launch::Volumes::default(),
            live: BTreeMap::new(),
            happenings,
            tell,
            reporter,
            starts: BTreeMap::new(),
        }
    }

    /// Runs until the pod has ended.
    pub(crate) async fn run(mut self) {
        let mut orders = self.orders.clone();
        loop {
            let wake = self.step();
            if self.is_over() {
                break;
            }
            let sleep = async {
                match wake {
                    Some(wake) => {
                        let left = wake.since(Moment::now());
                        tokio::time::sleep(left.try_into().unwrap_or_default()).await;
                    }
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                changed = orders.changed() => {
                    let order = if changed.is_ok() { orders.borrow_and_update().clone() } else { Order::Gone };
                    if !self.obey(order) {
                        break;
                    }
                }
                happening = self.happenings.recv() => {
                    if let Some(happening) = happening {
                        self.note(happening);
                    }
                }
                () = sleep => {}
            }
        }
        self.clear().await;
    }

    /// Whether everything is done. The object goes last, and with it comes the order to end.
    fn is_over(&self) -> bool {
        self.seen.leaving && self.live.is_empty() && self.starts.is_empty()
    }

    /// Takes an order; false where the pod is gone.
    fn obey(&mut self, order: Order) -> bool {
        match order {
            Order::Be(pod) => {
                self.pod = pod;
                let deleted = self.pod.metadata.deletion_timestamp.is_some();
                if deleted && self.pod.metadata.deletion_grace_period_seconds == Some(0) {
                    self.abandon_starts();
                    self.kill_all();
                }
            }
            Order::Leave => self.seen.leaving = true,
            Order::Gone => return false,
        }
        true
    }

    /// Starts that are under way are for nothing when the pod goes at once.
    fn abandon_starts(&mut self) {
        for (name, start) in std::mem::take(&mut self.starts) {
            start.abort();
            if let Some(observed) = self.seen.containers.get_mut(&name) {
                observed.state = State::New;
            }
        }
    }

    fn kill_all(&self) {
        for live in self.live.values() {
            live.process.signal(rustix::process::Signal::KILL);
        }
    }

    /// Does what is next, tells the status, and says when to look again.
    fn step(&mut self) -> Option<Moment> {
        let now = Moment::now();
        self.seen.start_time.get_or_insert(now);
        self.check_deadline(now);
        self.check_initialized();
        self.resize();
        let plan = decide(&self.pod, &self.seen, now);
        let mut remove = false;
        for action in plan.actions {
            match action {
                Action::Prepare => self.prepare(),
                Action::Start(name) => self.start(&name, now),
                Action::Stop { name, message, grace } => self.stop(&name, &message, grace),
                Action::Drain => self.drain(),
                Action::Remove => remove = true,
            }
        }
        let told = status(&self.pod, &self.seen, &self.whereabouts(), Moment::now());
        self.reporter.tell(told);
        if remove && !self.seen.leaving {
            // Nobody finds what is about to go.
            self.shared.running.remove(identity(&self.pod).2);
            self.reporter.remove();
        }
        plan.wake
    }

    fn check_deadline(&mut self, now: Moment) {
        let over = deadline_of(&self.pod, &self.seen).is_some_and(|deadline| deadline <= now);
        if over && self.seen.failed.is_none() && !is_finished(&self.pod, &self.seen) {
            let message =
                "Pod was active on the node longer than the specified deadline".to_owned();
            self.shared.events.tell(
                &self.pod,
                None,
                Severity::Normal,
                "DeadlineExceeded",
                message.clone(),
            );
            self.seen.failed = Some(("DeadlineExceeded".to_owned(), message));
        }
    }

    fn check_initialized(&mut self) {
        let done = |role: Role, name: &str| match self.seen.containers.get(name) {
            Some(Observed { state: State::Ended(ended), .. }) => {
                role == Role::Init && ended.code == 0
            }
            Some(Observed { state: State::Running(running), .. }) => {
                role == Role::Sidecar && running.started
            }
            _ => false,
        };
        let all = containers(&self.pod)
            .filter(|(role, _)| *role != Role::Main)
            .all(|(role, container)| done(role, &container.name));
        self.seen.initialized |= all;
    }

    fn whereabouts(&self) -> Whereabouts {
        let node = self.shared.settings.address.to_string();
        let own = self.sandbox.as_ref().map(|sandbox| match sandbox.address() {
            Some(address) => address.to_string(),
            None => node.clone(),
        });
        let before = self.pod.status.as_ref().and_then(|status| status.pod_ip.clone());
        Whereabouts { pod_ip: own.or(before), host_ip: node }
    }

    fn prepare(&mut self) {
        self.seen.ground = Ground::Making;
        if self.address.is_none() && !self.pod.spec.as_ref().is_some_and(uses_host_network) {
            self.address = self.shared.take_address();
        }
        let (shared, pod, tell) =
            (Arc::clone(&self.shared), Arc::clone(&self.pod), self.tell.clone());
        let address = self.address;
        tokio::spawn(async move {
            let made = launch::prepare(&shared, &pod, address).await;
            // The pod may have gone meanwhile.
            let _ = tell.send(Happening::Prepared(made));
        });
    }

    fn start(&mut self, name: &str, now: Moment) {
        let Some(sandbox) = self.sandbox.clone() else { return };
        let observed = self.seen.containers.entry(name.to_owned()).or_default();
        if observed.delay.is_some() && matches!(observed.state, State::Ended(_)) {
            // The kubelet tells of the wait when it is over, too; the count shows how often.
            tracing::debug!(name, "a container is started again");
        }
        observed.begin(now);
        let run = observed.restarts;
        let (shared, pod, tell) =
            (Arc::clone(&self.shared), Arc::clone(&self.pod), self.tell.clone());
        let (own, volumes) = (name.to_owned(), self.volumes.clone());
        let task = tokio::spawn(async move {
            let job = launch::Job {
                shared: &shared,
                pod: &pod,
                sandbox: &sandbox,
                volumes: &volumes,
                run,
            };
            let happening = launch::begin(job, own).await;
            // The pod may have gone meanwhile.
            let _ = tell.send(happening);
        });
        self.starts.insert(name.to_owned(), task.abort_handle());
    }

    fn drain(&mut self) {
        self.seen.drain = Drain::Waiting;
        let tell = self.tell.clone();
        let Some(hook) = self.shared.settings.before_stop.clone() else {
            self.seen.drain = Drain::Done;
            // Ask again at once.
            let _ = tell.send(Happening::Drained);
            return;
        };
        let (namespace, name, uid) = identity(&self.pod);
        let leaving = Leaving {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            uid: uid.to_owned(),
            address: self.sandbox.as_ref().and_then(Sandbox::address).map(Into::into),
        };
        let limit = self.shared.settings.drain_limit;
        tokio::spawn(async move {
            // Too long is as good as done: the pod has to go.
            let _ = tokio::time::timeout(limit, hook(leaving)).await;
            let _ = tell.send(Happening::Drained);
        });
    }

    /// Notes what happened.
    fn note(&mut self, happening: Happening) {
        match happening {
            Happening::Prepared(made) => self.note_prepared(made),
            Happening::Begun(name, begun) => self.note_begun(name, begun),
            Happening::NotRun(name, begun, message) => {
                self.starts.remove(&name);
                begun.log.close();
                let now = Moment::now();
                self.tell_back_off(&name);
                let observed = self.seen.containers.entry(name).or_default();
                observed.image = Some(begun.image);
                observed.state = State::Ended(Ended {
                    code: 128,
                    reason: "StartError".to_owned(),
                    message: Some(message),
                    started: Moment::shown_as(Timestamp::UNIX_EPOCH, now),
                    finished: now,
                    id: begun.id,
                });
            }
            Happening::Ended(name, exit) => self.note_ended(&name, exit),
            Happening::Drained => self.seen.drain = Drain::Done,
            Happening::Probed(name, verdict) => self.note_probed(&name, verdict),
        }
    }

    fn note_prepared(&mut self, made: Result<launch::Ground, launch::GroundError>) {
        match made {
            Ok(ground) => {
                self.shared.running.insert(ground.live);
                self.sandbox = Some(ground.sandbox);
                self.volumes = ground.volumes;
                self.seen.ground = Ground::Ready;
            }
            Err(error) => {
                let (reason, message) = (error.reason, error.message);
                self.shared.events.tell(&self.pod, None, Severity::Warning, reason, message);
                let retry = Moment::now().after(RETRY);
                self.seen.ground = Ground::Failed { retry };
            }
        }
    }

    fn note_begun(&mut self, name: String, begun: Result<Begun, Held>) {
        self.starts.remove(&name);
        let observed = self.seen.containers.entry(name.clone()).or_default();
        let begun = match begun {
            Ok(begun) => begun,
            Err(held) => {
                observed.state = State::Held(held);
                return;
            }
        };
        let now = Moment::now();
        observed.image = Some(begun.image.clone());
        observed.id = Some(begun.id.clone());
        observed.resources = begun.resources.clone();
        let spec = container(&self.pod, &name).map(|(_, container)| container);
        let has_startup = spec.as_ref().is_some_and(|spec| spec.startup_probe.is_some());
        let has_readiness = spec.is_some_and(|spec| spec.readiness_probe.is_some());
        observed.state = State::Running(Running {
            since: now,
            started: !has_startup,
            ready: !has_startup && !has_readiness,
            stopping: false,
        });
        self.shared.running.add(identity(&self.pod).2, &name, begun.live());
        self.watch_end(&name, &begun.process, begun.output);
        let tasks = self.start_probes(&name);
        let live = Live {
            process: begun.process,
            tasks,
            log: begun.log,
            started: now,
            id: begun.id,
            termination_log: begun.termination_log,
            oom: begun.group,
        };
        self.live.insert(name, live);
    }

    fn watch_end(&self, name: &str, process: &Process, output: Vec<JoinHandle<()>>) {
        let (process, tell, name) = (process.clone(), self.tell.clone(), name.to_owned());
        tokio::spawn(async move {
            let exit = process.wait().await;
            // What it printed last is still on its way; a descriptor that went elsewhere may hold it open.
            for task in output {
                let _ = tokio::time::timeout(OUTPUT, task).await;
            }
            // The pod may have gone meanwhile.
            let _ = tell.send(Happening::Ended(name, exit));
        });
    }

    fn note_ended(&mut self, name: &str, exit: Exit) {
        self.shared.running.remove_container(identity(&self.pod).2, name);
        let Some(live) = self.live.remove(name) else { return };
        live.log.close();
        for task in &live.tasks {
            task.abort();
        }
        let killed_for_memory = live.oom.killed_for_memory();
        live.oom.remove();
        let spec = container(&self.pod, name).map(|(_, container)| container);
        let message =
            launch::termination_message(spec.as_deref(), &live.termination_log, exit, &live.log);
        let reason = match exit.code {
            0 => "Completed",
            137 if killed_for_memory => "OOMKilled",
            _ => "Error",
        };
        let observed = self.seen.containers.entry(name.to_owned()).or_default();
        observed.state = State::Ended(Ended {
            code: exit.code,
            reason: reason.to_owned(),
            message,
            started: live.started,
            finished: Moment::now(),
            id: live.id,
        });
        self.tell_back_off(name);
    }

    /// Ends what is left, and forgets the pod.
    async fn clear(mut self) {
        self.abandon_starts();
        self.kill_all();
        for live in self.live.values() {
            live.process.wait().await;
            live.log.close();
            live.oom.remove();
            for task in &live.tasks {
                task.abort();
            }
        }
        self.live.clear();
        let uid = identity(&self.pod).2.to_owned();
        self.shared.running.remove(&uid);
        self.sandbox = None;
        if let Some(address) = self.address {
            self.shared.give_back(address);
        }
        self.reporter.end().await;
        if !self.seen.leaving {
            launch::delete_files(&self.shared, &self.pod).await;
        }
    }
}
