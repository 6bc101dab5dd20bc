//! Stopping a container: its hook, a signal, and after the grace period the end.

use std::time::Duration;

use rustix::process::Signal;

use super::super::container;
use super::super::machine::State;
use super::{Worker, launch};
use crate::events::Severity;
use crate::hooks;

impl Worker {
    /// Tells a container to stop.
    pub(super) fn stop(&mut self, name: &str, message: &str, grace: u64) {
        if let Some(observed) = self.seen.containers.get_mut(name)
            && let State::Running(running) = &mut observed.state
        {
            running.stopping = true;
        }
        let (Some(live), Some((role, spec))) = (self.live.get(name), container(&self.pod, name))
        else {
            return;
        };
        let part = Some(launch::field_path(role, name));
        self.shared.events.tell(&self.pod, part, Severity::Normal, "Killing", message);
        let process = live.process.clone();
        let hook = spec.lifecycle.as_ref().and_then(|lifecycle| lifecycle.pre_stop.clone());
        let place = self.shared.running.place(super::identity(&self.pod).2, name);
        let (events, pod, owned) = (self.shared.events.clone(), self.pod.clone(), name.to_owned());
        let program = self.shared.settings.program.clone();
        // Also a grace of nothing leaves a moment, as the kubelet's does.
        let grace = Duration::from_secs(grace.max(1));
        let signal = signal_of(&spec);
        tokio::spawn(async move {
            let orderly = async {
                if let (Some(hook), Some(place)) = (&hook, &place)
                    && let Err(error) = hooks::run(hook, place, &pod, &owned, &program).await
                {
                    let part = Some(launch::field_path(role, &owned));
                    let message = format!("PreStopHook failed: {error}");
                    events.tell(&pod, part, Severity::Warning, "FailedPreStopHook", message);
                }
                process.signal(signal);
                process.wait().await;
            };
            if tokio::time::timeout(grace, orderly).await.is_err() {
                process.signal(Signal::KILL);
            }
        });
    }
}

/// The signal that asks a container to stop.
fn signal_of(spec: &k8s_openapi::api::core::v1::Container) -> Signal {
    let named = spec.lifecycle.as_ref().and_then(|lifecycle| lifecycle.stop_signal.as_deref());
    match named {
        Some("SIGINT") => Signal::INT,
        Some("SIGQUIT") => Signal::QUIT,
        Some("SIGHUP") => Signal::HUP,
        Some("SIGUSR1") => Signal::USR1,
        Some("SIGUSR2") => Signal::USR2,
        Some("SIGKILL") => Signal::KILL,
        _ => Signal::TERM,
    }
}
