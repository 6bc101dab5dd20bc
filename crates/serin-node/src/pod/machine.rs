//! What to do next for a pod: a pure function of its object, of what was observed, and of the time.
//!
//! The order is the kubelet's: init containers one after the other (those that stay need only have started), then the others;
//! restarts by policy with a growing delay; on the way out first the containers, then the sidecars from the last to the first.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use k8s_openapi::api::core::v1::{Pod, ResourceRequirements};

use super::{Role, added, containers, names, restart_policy};
use crate::moment::Moment;

/// The first delay of restarts, and what it grows to.
const FIRST_DELAY: SignedDuration = SignedDuration::from_secs(10);
const LONGEST_DELAY: SignedDuration = SignedDuration::from_secs(300);
/// A container that lived so long is forgiven.
const FORGIVEN: SignedDuration = SignedDuration::from_secs(600);
/// How long a pod may take to stop where it does not say.
const GRACE: i64 = 30;

/// What was observed of a pod.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    /// Its sandbox and volumes.
    pub ground: Ground,
    /// Whether all init containers have done their part once.
    pub initialized: bool,
    /// Its containers, by name.
    pub containers: BTreeMap<String, Observed>,
    /// Whether it may be stopped: nobody sends requests any more.
    pub drain: Drain,
    /// Why the pod has failed as a whole: reason and message.
    pub failed: Option<(String, String)>,
    /// When the node saw it first.
    pub start_time: Option<Moment>,
    /// Why the containers do not get what the pod asks for now: reason and message.
    pub pending: Option<(&'static str, String)>,
    /// The node ends: containers stop, and the object stays.
    pub leaving: bool,
}

/// What containers stand on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Ground {
    /// Nothing was done.
    #[default]
    Missing,
    /// It is being made.
    Making,
    /// It is there.
    Ready,
    /// It could not be made; it is tried again.
    Failed {
        /// When.
        retry: Moment,
    },
}

/// How far it is that nobody uses the pod any more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Drain {
    /// Nobody asked.
    #[default]
    No,
    /// It is waited for.
    Waiting,
    /// Done, or waited long enough.
    Done,
}

/// What was observed of a container.
#[derive(Clone, Debug, Default)]
pub(crate) struct Observed {
    /// How it is.
    pub state: State,
    /// How its last run ended.
    pub last: Option<Ended>,
    /// How often it was started again.
    pub restarts: i32,
    /// The delay of the next restart.
    pub delay: Option<Delay>,
    /// The image that it runs, once it is known.
    pub image: Option<String>,
    /// The run's ID.
    pub id: Option<String>,
    /// A probe wants it restarted: what to say.
    pub condemned: Option<String>,
    /// What it was given of the machine, where the node can give it more or less.
    pub resources: Option<ResourceRequirements>,
}

/// How a container is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum State {
    /// It has not been started.
    #[default]
    New,
    /// It is being started: image, environment, volumes.
    Starting,
    /// It could not be started, and is tried again.
    Held(Held),
    /// It runs.
    Running(Running),
    /// It has ended.
    Ended(Ended),
}

/// Why a container could not be started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Held {
    /// As Kubernetes says it at first (`ErrImagePull`), and then (`ImagePullBackOff`).
    pub reason: &'static str,
    /// See above.
    pub later: &'static str,
    /// For people.
    pub message: String,
    /// For people, later.
    pub later_message: String,
    /// When.
    pub at: Moment,
    /// When it is tried again.
    pub retry: Moment,
}

/// A container that runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Running {
    /// Since when.
    pub since: Moment,
    /// Whether it has come up, as its startup probe sees it.
    pub started: bool,
    /// Whether it takes requests, as its readiness probe sees it.
    pub ready: bool,
    /// Whether it was told to stop.
    pub stopping: bool,
}

/// A container that has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ended {
    /// As the program said, or 128 and the signal.
    pub code: i32,
    /// `Completed`, `Error`, `OOMKilled`, `StartError` or `ContainerStatusUnknown`.
    pub reason: String,
    /// The end of what it left in its termination log.
    pub message: Option<String>,
    /// Since when it ran.
    pub started: Moment,
    /// When it ended.
    pub finished: Moment,
    /// The run's ID.
    pub id: String,
}

/// The delay of restarts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Delay {
    /// How long after its end.
    pub length: SignedDuration,
    /// When it grew last.
    pub grown: Moment,
}

/// Something to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Make the sandbox and the volumes.
    Prepare,
    /// Start a container.
    Start(String),
    /// Stop a container: what to say of it, and how long it may take.
    Stop {
        /// Which.
        name: String,
        /// For people.
        message: String,
        /// Seconds.
        grace: u64,
    },
    /// Wait until nobody uses the pod.
    Drain,
    /// All has ended: the object may go.
    Remove,
}

/// What to do, and when to ask again if nothing happens.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    /// In this order.
    pub actions: Vec<Action>,
    /// When.
    pub wake: Option<Moment>,
}

impl Plan {
    fn wake_at(&mut self, time: Moment) {
        self.wake = Some(self.wake.map_or(time, |wake| wake.min(time)));
    }
}

impl Seen {
    fn of(&self, name: &str) -> Option<&Observed> {
        self.containers.get(name)
    }

    fn state(&self, name: &str) -> &State {
        self.of(name).map_or(&State::New, |observed| &observed.state)
    }

    /// Whether anything of a container is alive or about to be.
    fn is_alive(&self, name: &str) -> bool {
        matches!(self.state(name), State::Running(_) | State::Starting)
    }
}

impl Observed {
    /// How long after its end this container waits before it is started again.
    pub(crate) fn wait(&self, ended: &Ended) -> SignedDuration {
        match self.delay {
            Some(delay) if ended.finished.since(delay.grown) <= FORGIVEN => delay.length,
            _ => SignedDuration::ZERO,
        }
    }

    /// When it may start again, if that is later than `now`.
    pub(crate) fn held_until(&self, ended: &Ended, now: Moment) -> Option<Moment> {
        let wait = self.wait(ended);
        let until = ended.finished.after(wait);
        (!wait.is_zero() && until > now).then_some(until)
    }

    /// Notes that a start begins; after a run it is a restart.
    pub(crate) fn begin(&mut self, now: Moment) {
        if let State::Ended(ended) = std::mem::replace(&mut self.state, State::Starting) {
            let length = match self.wait(&ended) {
                SignedDuration::ZERO => FIRST_DELAY,
                length => (length * 2).min(LONGEST_DELAY),
            };
            self.delay = Some(Delay { length, grown: now });
            self.last = Some(ended);
            self.restarts += 1;
        }
        self.condemned = None;
    }
}

/// Whether a container that ended is started again, by the policy alone.
pub(crate) fn restarts(role: Role, policy: &str, code: i32) -> bool {
    match role {
        Role::Sidecar => true,
        Role::Init => code != 0 && policy != "Never",
        Role::Main => policy == "Always" || (policy == "OnFailure" && code != 0),
        Role::Added => false,
    }
}

/// Whether the pod has ended for good: every container has, and none is started again; or an init container has failed for good.
pub(crate) fn is_finished(pod: &Pod, seen: &Seen) -> bool {
    if seen.failed.is_some() {
        return true;
    }
    let policy = restart_policy(pod);
    let done = |role: Role, name: &str| match seen.state(name) {
        State::Ended(ended) => !restarts(role, policy, ended.code),
        _ => false,
    };
    let mut main = containers(pod).filter(|(role, _)| *role == Role::Main).peekable();
    let init_failed = !seen.initialized
        && containers(pod).any(|(role, container)| {
            role == Role::Init
                && matches!(seen.state(&container.name), State::Ended(ended) if ended.code != 0)
                && done(role, &container.name)
        });
    init_failed
        || (main.peek().is_some() && main.all(|(role, container)| done(role, &container.name)))
}

/// What to do.
pub(crate) fn decide(pod: &Pod, seen: &Seen, now: Moment) -> Plan {
    let mut plan = Plan::default();
    if pod.metadata.deletion_timestamp.is_some() || seen.leaving {
        leave(pod, seen, &mut plan);
    } else if is_finished(pod, seen) {
        stop_all(pod, seen, grace_of(pod), &mut plan);
    } else {
        match &seen.ground {
            Ground::Missing => plan.actions.push(Action::Prepare),
            Ground::Making => {}
            Ground::Failed { retry } if *retry > now => plan.wake_at(*retry),
            Ground::Failed { .. } => plan.actions.push(Action::Prepare),
            Ground::Ready => advance(pod, seen, now, &mut plan),
        }
        deadline(pod, seen, &mut plan);
    }
    plan
}

/// How long containers may take to stop, in seconds.
pub(crate) fn grace_of(pod: &Pod) -> i64 {
    let asked = pod.metadata.deletion_grace_period_seconds;
    let own = pod.spec.as_ref().and_then(|spec| spec.termination_grace_period_seconds);
    asked.or(own).unwrap_or(GRACE)
}

/// When the pod has run for as long as it may.
pub(crate) fn deadline_of(pod: &Pod, seen: &Seen) -> Option<Moment> {
    let seconds = pod.spec.as_ref()?.active_deadline_seconds?;
    Some(seen.start_time?.after(SignedDuration::from_secs(seconds)))
}

fn deadline(pod: &Pod, seen: &Seen, plan: &mut Plan) {
    if let Some(deadline) = deadline_of(pod, seen) {
        plan.wake_at(deadline);
    }
}

/// The way out: nobody uses the pod any more, everything stops, and then the object goes.
fn leave(pod: &Pod, seen: &Seen, plan: &mut Plan) {
    if names(pod).any(|(_, name)| seen.is_alive(name)) {
        let grace = grace_of(pod);
        match seen.drain {
            // Who is forced out does not wait.
            Drain::No if grace > 0 => plan.actions.push(Action::Drain),
            Drain::Waiting if grace > 0 => {}
            _ => stop_all(pod, seen, grace, plan),
        }
    } else if seen.ground != Ground::Making {
        plan.actions.push(Action::Remove);
    }
}

/// Stops the containers; the sidecars after all others, the last one first.
fn stop_all(pod: &Pod, seen: &Seen, grace: i64, plan: &mut Plan) {
    let mut first =
        names(pod).filter(|(role, name)| *role != Role::Sidecar && seen.is_alive(name)).peekable();
    if first.peek().is_some() {
        for (_, name) in first {
            stop(seen, name, &format!("Stopping container {name}"), grace, plan);
        }
        return;
    }
    let last = containers(pod)
        .filter(|(role, container)| *role == Role::Sidecar && seen.is_alive(&container.name))
        .last();
    if let Some((_, container)) = last {
        stop(seen, &container.name, &format!("Stopping container {}", container.name), grace, plan);
    }
}

fn stop(seen: &Seen, name: &str, message: &str, grace: i64, plan: &mut Plan) {
    if let State::Running(running) = seen.state(name)
        && !running.stopping
    {
        let grace = u64::try_from(grace).unwrap_or(0);
        plan.actions.push(Action::Stop {
            name: name.to_owned(),
            message: message.to_owned(),
            grace,
        });
    }
}

/// The next steps of a pod that is to run.
fn advance(pod: &Pod, seen: &Seen, now: Moment, plan: &mut Plan) {
    // Who looks into a pod may want to know why it does not come up.
    for container in added(pod) {
        match seen.state(&container.name) {
            State::New => plan.actions.push(Action::Start(container.name.clone())),
            State::Held(held) => hold(held, &container.name, now, plan),
            State::Starting | State::Running(_) | State::Ended(_) => {}
        }
    }
    let policy = restart_policy(pod);
    for (role, container) in containers(pod) {
        let name = &container.name;
        if role == Role::Init && seen.initialized {
            continue;
        }
        let passed = match seen.state(name) {
            State::New => {
                plan.actions.push(Action::Start(name.clone()));
                false
            }
            State::Starting => false,
            State::Held(held) => {
                hold(held, name, now, plan);
                false
            }
            State::Running(running) => {
                judge(pod, seen, name, plan);
                role == Role::Sidecar && running.started
            }
            State::Ended(ended) if restarts(role, policy, ended.code) => {
                let observed = seen.of(name);
                match observed.and_then(|observed| observed.held_until(ended, now)) {
                    Some(until) => plan.wake_at(until),
                    None => plan.actions.push(Action::Start(name.clone())),
                }
                false
            }
            State::Ended(_) => role == Role::Init,
        };
        if role != Role::Main && !seen.initialized && !passed {
            return;
        }
    }
}

/// A container that could not be started is tried again when it is time.
fn hold(held: &Held, name: &str, now: Moment, plan: &mut Plan) {
    if held.retry <= now {
        plan.actions.push(Action::Start(name.to_owned()));
    } else {
        plan.wake_at(held.retry);
        plan.wake_at(shown_later(held, now));
    }
}

/// When a container that is held shows its later reason; it is past where it does already.
fn shown_later(held: &Held, now: Moment) -> Moment {
    let later = later_from(held);
    if later > now { later } else { held.retry }
}

/// From when a container that is held shows its later reason.
pub(crate) fn later_from(held: &Held) -> Moment {
    held.at.after(SignedDuration::from_secs(2))
}

/// Stops a container that a probe condemned; the policy starts it again.
fn judge(pod: &Pod, seen: &Seen, name: &str, plan: &mut Plan) {
    if let Some(message) = seen.of(name).and_then(|observed| observed.condemned.as_deref()) {
        stop(seen, name, message, grace_of(pod), plan);
    }
}

#[cfg(test)]
mod tests;
