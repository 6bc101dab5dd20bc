//! The probes of a pod's containers, and what follows from them; and the telling of a container that has to wait.

use std::sync::Arc;

use tokio::task::AbortHandle;

use super::super::machine::State;
use super::super::{container, full_name, identity};
use super::{Happening, Verdict, Worker, launch};
use crate::events::Severity;
use crate::moment::Moment;
use crate::probes::{self, Probed};

impl Worker {
    pub(super) fn start_probes(&self, name: &str) -> Vec<AbortHandle> {
        let place = self.shared.running.place(identity(&self.pod).2, name);
        let (Some((role, spec)), Some(place)) = (container(&self.pod, name), place) else {
            return Vec::new();
        };
        let probed = Probed {
            shared: Arc::clone(&self.shared),
            pod: Arc::clone(&self.pod),
            container: spec.into_owned(),
            place,
            part: launch::field_path(role, name),
        };
        let (tell, name) = (self.tell.clone(), name.to_owned());
        let task = tokio::spawn(probes::run(probed, move |verdict| {
            // The pod may have gone meanwhile.
            let _ = tell.send(Happening::Probed(name.clone(), verdict));
        }));
        vec![task.abort_handle()]
    }

    pub(super) fn note_probed(&mut self, name: &str, verdict: Verdict) {
        let Some(observed) = self.seen.containers.get_mut(name) else { return };
        let State::Running(running) = &mut observed.state else { return };
        match verdict {
            Verdict::Started => {
                running.started = true;
                let spec = container(&self.pod, name).map(|(_, container)| container);
                running.ready |= spec.is_some_and(|spec| spec.readiness_probe.is_none());
            }
            Verdict::Ready(ready) => running.ready = ready,
            Verdict::Condemned(message) => observed.condemned = Some(message),
        }
    }

    /// Says that a restart has to wait, where it has.
    pub(super) fn tell_back_off(&self, name: &str) {
        let Some(observed) = self.seen.containers.get(name) else { return };
        let State::Ended(ended) = &observed.state else { return };
        let (Some((role, _)), now) = (container(&self.pod, name), Moment::now()) else { return };
        let again = super::super::machine::restarts(
            role,
            super::super::restart_policy(&self.pod),
            ended.code,
        );
        let going = self.pod.metadata.deletion_timestamp.is_some() || self.seen.leaving;
        if again && !going && observed.held_until(ended, now).is_some() {
            let message = format!(
                "Back-off restarting failed container {name} in pod {}",
                full_name(&self.pod)
            );
            let part = Some(launch::field_path(role, name));
            self.shared.events.tell(&self.pod, part, Severity::Warning, "BackOff", message);
        }
    }
}
