//! What the node tells of a pod: phase, conditions and containers, as a kubelet writes them.

use k8s_openapi::api::core::v1::{
    ContainerState, ContainerStateRunning, ContainerStateTerminated, ContainerStateWaiting,
    ContainerStatus, HostIP, Pod, PodCondition, PodIP, PodStatus,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::machine::{Ended, Ground, Observed, Seen, State, is_finished, later_from, restarts};
use super::{Role, added, containers, full_name, plain, restart_policy};
use crate::moment::Moment;

/// Where the pod is.
#[derive(Clone, Debug, Default)]
pub(crate) struct Whereabouts {
    /// Its address, once it has one.
    pub pod_ip: Option<String>,
    /// The node's.
    pub host_ip: String,
}

/// The status of a pod.
pub(crate) fn status(pod: &Pod, seen: &Seen, place: &Whereabouts, now: Moment) -> PodStatus {
    let view = View { pod, seen, now };
    let old = pod.status.clone().unwrap_or_default();
    let of = |wanted: fn(Role) -> bool| {
        containers(pod)
            .filter(|(role, _)| wanted(*role))
            .map(|(role, container)| view.container(role, container))
            .collect::<Vec<_>>()
    };
    let init = of(|role| role != Role::Main);
    let main = of(|role| role == Role::Main);
    let added: Vec<_> =
        added(pod).iter().map(|it| view.container(Role::Added, &plain(it))).collect();
    let phase = view.phase(&old);
    let conditions = view.conditions(&phase, &old, &init, &main);
    let (reason, message) =
        seen.failed.clone().map_or((None, None), |(reason, message)| (Some(reason), Some(message)));
    PodStatus {
        phase: Some(phase),
        conditions: Some(conditions),
        container_statuses: Some(main),
        init_container_statuses: (!init.is_empty()).then_some(init),
        host_ip: Some(place.host_ip.clone()),
        host_ips: Some(vec![HostIP { ip: place.host_ip.clone() }]),
        pod_ip: place.pod_ip.clone(),
        pod_ips: place.pod_ip.clone().map(|ip| vec![PodIP { ip }]),
        qos_class: Some(qos(pod).to_owned()),
        start_time: seen.start_time.map(told),
        reason,
        message,
        ephemeral_container_statuses: (!added.is_empty()).then_some(added),
        nominated_node_name: None,
        observed_generation: None,
        resize: None,
        resource_claim_statuses: old.resource_claim_statuses,
    }
}

struct View<'a> {
    pod: &'a Pod,
    seen: &'a Seen,
    now: Moment,
}

impl View<'_> {
    fn state(&self, name: &str) -> &State {
        self.seen.containers.get(name).map_or(&State::New, |observed| &observed.state)
    }

    fn container(
        &self,
        role: Role,
        container: &k8s_openapi::api::core::v1::Container,
    ) -> ContainerStatus {
        let none = Observed::default();
        let observed = self.seen.containers.get(&container.name).unwrap_or(&none);
        let (state, last) = self.states(role, observed);
        let (ready, started) = match &observed.state {
            State::Running(running) => {
                let serves = matches!(role, Role::Sidecar | Role::Main);
                let ready = serves && running.ready;
                (ready, running.started)
            }
            State::Ended(ended) => (role == Role::Init && ended.code == 0, false),
            _ => (false, false),
        };
        let is_running = matches!(observed.state, State::Running(_));
        let given = observed.resources.as_ref().filter(|_| is_running && role != Role::Added);
        let id = match &observed.state {
            State::Ended(ended) => Some(ended.id.clone()),
            _ => observed.id.clone(),
        };
        ContainerStatus {
            name: container.name.clone(),
            image: container.image.clone().unwrap_or_default(),
            image_id: observed.image.clone().unwrap_or_default(),
            container_id: id,
            ready,
            started: (role != Role::Added).then_some(started),
            restart_count: observed.restarts,
            state: Some(state),
            last_state: Some(last),
            allocated_resources: given.and_then(|it| it.requests.clone()),
            resources: given.cloned(),
            ..ContainerStatus::default()
        }
    }

    fn states(&self, role: Role, observed: &Observed) -> (ContainerState, ContainerState) {
        let last = observed.last.as_ref().map(terminated).unwrap_or_default();
        match &observed.state {
            State::New | State::Starting => (waiting(self.first_reason(role), None), last),
            State::Held(held) => {
                let (reason, message) = if self.now >= later_from(held) {
                    (held.later, &held.later_message)
                } else {
                    (held.reason, &held.message)
                };
                (waiting(reason, Some(message.clone())), last)
            }
            State::Running(running) => {
                let state = ContainerStateRunning { started_at: Some(told(running.since)) };
                (ContainerState { running: Some(state), ..ContainerState::default() }, last)
            }
            State::Ended(ended) => {
                let again = restarts(role, restart_policy(self.pod), ended.code)
                    && !self.is_going()
                    && !is_finished(self.pod, self.seen);
                match observed.held_until(ended, self.now).filter(|_| again) {
                    Some(_) => {
                        let message = format!(
                            "back-off {} restarting failed container={} pod={}",
                            short(observed.wait(ended).as_secs()),
                            self.name_of(observed),
                            full_name(self.pod),
                        );
                        (waiting("CrashLoopBackOff", Some(message)), terminated(ended))
                    }
                    None if again && ended.reason == "StartError" => {
                        let message = ended.message.clone();
                        (waiting("RunContainerError", message), terminated(ended))
                    }
                    None => (terminated(ended), last),
                }
            }
        }
    }

    fn name_of(&self, observed: &Observed) -> &str {
        let it = self.seen.containers.iter().find(|(_, other)| std::ptr::eq(*other, observed));
        it.map_or("", |(name, _)| name.as_str())
    }

    fn first_reason(&self, role: Role) -> &'static str {
        let has_init = containers(self.pod).any(|(role, _)| role != Role::Main);
        let waits_for_init = has_init && !self.seen.initialized;
        if waits_for_init || role == Role::Init { "PodInitializing" } else { "ContainerCreating" }
    }

    fn is_going(&self) -> bool {
        self.pod.metadata.deletion_timestamp.is_some() || self.seen.leaving
    }

    fn phase(&self, old: &PodStatus) -> String {
        // What has ended for good stays so.
        if let Some(phase @ ("Succeeded" | "Failed")) = old.phase.as_deref() {
            return phase.to_owned();
        }
        let main = || containers(self.pod).filter(|(role, _)| *role == Role::Main);
        if self.seen.failed.is_some() {
            return "Failed".to_owned();
        }
        let code = |name: &str| match self.state(name) {
            State::Ended(ended) => Some(ended.code),
            _ => None,
        };
        if is_finished(self.pod, self.seen) || self.is_going() && self.all_ended() {
            let good = main().all(|(_, container)| code(&container.name) == Some(0));
            return if good { "Succeeded" } else { "Failed" }.to_owned();
        }
        let begun = |name: &str| {
            self.seen.containers.get(name).is_some_and(|observed| {
                matches!(observed.state, State::Running(_) | State::Ended(_))
                    || observed.last.is_some()
            })
        };
        let initialized =
            self.seen.initialized || containers(self.pod).all(|(role, _)| role == Role::Main);
        let running = initialized && main().all(|(_, container)| begun(&container.name));
        if running { "Running" } else { "Pending" }.to_owned()
    }

    /// Whether every container had a run that is over.
    fn all_ended(&self) -> bool {
        containers(self.pod)
            .filter(|(role, _)| *role == Role::Main)
            .all(|(_, container)| matches!(self.state(&container.name), State::Ended(_)))
    }

    fn conditions(
        &self,
        phase: &str,
        old: &PodStatus,
        init: &[ContainerStatus],
        main: &[ContainerStatus],
    ) -> Vec<PodCondition> {
        let old = old.conditions.as_deref().unwrap_or_default();
        let done = matches!(phase, "Succeeded" | "Failed");
        let initialized = self.initialized(init);
        let unready = names(main.iter().filter(|status| !status.ready));
        let is_sidecar = |name: &str| {
            containers(self.pod)
                .any(|(role, container)| role == Role::Sidecar && container.name == name)
        };
        let unready_sidecars =
            names(init.iter().filter(|status| !status.ready && is_sidecar(&status.name)));
        let unready = [unready_sidecars, unready].concat();
        let containers_ready = match (done, unready.is_empty()) {
            (true, _) if phase == "Succeeded" => Err(("PodCompleted", None)),
            (true, _) => Err(("PodFailed", None)),
            (false, true) => Ok(()),
            (false, false) => Err(("ContainersNotReady", Some(incomplete("unready", &unready)))),
        };
        let mut ready = containers_ready.clone();
        if ready.is_ok() {
            ready = self.gates(old);
        }
        let ground = match self.seen.ground {
            Ground::Ready if !done => Ok(()),
            _ => Err(("", None)),
        };
        let mut all = vec![
            self.condition("PodReadyToStartContainers", ground, old),
            self.condition("Initialized", initialized, old),
            self.condition("Ready", ready, old),
            self.condition("ContainersReady", containers_ready, old),
            self.condition("PodScheduled", Ok(()), old),
        ];
        if let Some((reason, message)) = &self.seen.pending {
            let mut pending = self.condition("PodResizePending", Ok(()), old);
            pending.reason = Some((*reason).to_owned());
            pending.message = Some(message.clone());
            all.push(pending);
        }
        let is_over = |condition: &PodCondition| condition.type_ == "PodResizePending";
        let old: Vec<_> = old.iter().filter(|it| !is_over(it)).collect();
        let ours = |condition: &PodCondition| all.iter().any(|own| own.type_ == condition.type_);
        let foreign: Vec<_> =
            old.into_iter().filter(|condition| !ours(condition)).cloned().collect();
        all.extend(foreign);
        all
    }

    fn initialized(&self, init: &[ContainerStatus]) -> Outcome {
        if self.seen.initialized || init.is_empty() {
            return Ok(());
        }
        let incomplete_ones =
            names(init.iter().filter(|status| !status.ready && status.started != Some(true)));
        Err(("ContainersNotInitialized", Some(incomplete("incomplete", &incomplete_ones))))
    }

    /// Conditions that others set and that this pod has made part of being ready.
    fn gates(&self, old: &[PodCondition]) -> Outcome {
        let spec = self.pod.spec.as_ref();
        let gates = spec.and_then(|spec| spec.readiness_gates.as_deref()).unwrap_or_default();
        for gate in gates {
            let is_true = old.iter().any(|condition| {
                condition.type_ == gate.condition_type && condition.status == "True"
            });
            if !is_true {
                let message = format!(
                    "corresponding condition of pod readiness gate \"{}\" does not exist.",
                    gate.condition_type
                );
                return Err(("ReadinessGatesNotReady", Some(message)));
            }
        }
        Ok(())
    }

    /// A condition; it keeps the time of its last change.
    fn condition(&self, kind: &str, outcome: Outcome, old: &[PodCondition]) -> PodCondition {
        let status = if outcome.is_ok() { "True" } else { "False" };
        let (reason, message) = outcome.err().unwrap_or_default();
        let before = old.iter().find(|condition| condition.type_ == kind);
        let since = before
            .filter(|condition| condition.status == status)
            .and_then(|condition| condition.last_transition_time.clone());
        PodCondition {
            type_: kind.to_owned(),
            status: status.to_owned(),
            reason: (!reason.is_empty()).then(|| reason.to_owned()),
            message,
            last_transition_time: since.or(Some(told(self.now))),
            last_probe_time: None,
            observed_generation: None,
        }
    }
}

/// True, or false with reason and message.
type Outcome = Result<(), (&'static str, Option<String>)>;

fn names<'a>(statuses: impl Iterator<Item = &'a ContainerStatus>) -> Vec<String> {
    statuses.map(|status| status.name.clone()).collect()
}

fn incomplete(what: &str, names: &[String]) -> String {
    format!("containers with {what} status: [{}]", names.join(" "))
}

fn waiting(reason: &str, message: Option<String>) -> ContainerState {
    let waiting = ContainerStateWaiting { reason: Some(reason.to_owned()), message };
    ContainerState { waiting: Some(waiting), ..ContainerState::default() }
}

fn terminated(ended: &Ended) -> ContainerState {
    let state = ContainerStateTerminated {
        container_id: Some(ended.id.clone()),
        exit_code: ended.code,
        finished_at: Some(told(ended.finished)),
        message: ended.message.clone(),
        reason: Some(ended.reason.clone()),
        signal: None,
        started_at: Some(told(ended.started)),
    };
    ContainerState { terminated: Some(state), ..ContainerState::default() }
}

fn told(moment: Moment) -> Time {
    Time(moment.shown())
}

/// Seconds as Go writes a duration.
fn short(seconds: i64) -> String {
    match (seconds / 60, seconds % 60) {
        (0, seconds) => format!("{seconds}s"),
        (minutes, seconds) => format!("{minutes}m{seconds}s"),
    }
}

/// The quality of service class: by requests and limits of processor and memory.
pub(crate) fn qos(pod: &Pod) -> &'static str {
    let mut any = false;
    let mut guaranteed = true;
    for (_, container) in containers(pod) {
        let resources = container.resources.clone().unwrap_or_default();
        let (requests, limits) =
            (resources.requests.unwrap_or_default(), resources.limits.unwrap_or_default());
        for name in ["cpu", "memory"] {
            let (request, limit) = (requests.get(name), limits.get(name));
            any |= request.is_some() || limit.is_some();
            guaranteed &= limit.is_some() && (request.is_none() || request == limit);
        }
    }
    match (any, guaranteed) {
        (false, _) => "BestEffort",
        (true, true) => "Guaranteed",
        (true, false) => "Burstable",
    }
}

#[cfg(test)]
mod tests;
