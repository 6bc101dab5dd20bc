//! Containers that run get more or less of the machine when their spec asks for it.

use k8s_openapi::api::core::v1::{Container, Pod, ResourceRequirements};

use super::super::container;
use super::super::machine::State;
use super::Worker;
use crate::cgroups::Limits;
use crate::node::heartbeat;
use crate::quantity;

impl Worker {
    /// Gives the containers what the pod asks for now.
    pub(super) fn resize(&mut self) {
        self.seen.pending = None;
        let names: Vec<String> = self.live.keys().cloned().collect();
        for name in names {
            let Some((_, spec)) = container(&self.pod, &name) else { continue };
            let wanted = spec.resources.clone().unwrap_or_default();
            let Some(observed) = self.seen.containers.get_mut(&name) else { continue };
            let given = observed.resources.as_ref().filter(|given| **given != wanted);
            let (Some(given), State::Running(running)) = (given, &observed.state) else { continue };
            if running.stopping {
                continue;
            }
            if let Some(message) = too_much(&self.pod, heartbeat::machine()) {
                self.seen.pending = Some(("Infeasible", message));
                return;
            }
            if needs_restart(&spec, given, &wanted) {
                let message = format!("Container {name} resize requires restart");
                observed.condemned = Some(message);
                continue;
            }
            let Some(live) = self.live.get(&name) else { continue };
            match live.oom.set(Limits::of(&spec)) {
                Ok(()) => observed.resources = Some(wanted),
                Err(error) => {
                    let message = format!("limits of container {name} cannot be set: {error}");
                    self.seen.pending = Some(("Deferred", message));
                }
            }
        }
    }
}

/// What a resource was and will be differs, and the container asked to be restarted then.
fn needs_restart(
    spec: &Container,
    given: &ResourceRequirements,
    wanted: &ResourceRequirements,
) -> bool {
    let of = |all: &ResourceRequirements, name: &str| {
        let get = |map: &Option<std::collections::BTreeMap<String, _>>| {
            map.as_ref().and_then(|map| map.get(name)).cloned()
        };
        (get(&all.requests), get(&all.limits))
    };
    spec.resize_policy.iter().flatten().any(|policy| {
        let name = policy.resource_name.as_str();
        policy.restart_policy == "RestartContainer" && of(given, name) != of(wanted, name)
    })
}

/// Why the machine, of so many thousandths of a processor and so many bytes, can never run the pod.
fn too_much(pod: &Pod, (cpu, memory): (i128, i128)) -> Option<String> {
    let containers = pod.spec.as_ref().map(|spec| spec.containers.as_slice()).unwrap_or_default();
    let sum = |name: &str, read: fn(&str) -> Option<i128>| -> i128 {
        let asked = containers.iter().filter_map(|it| it.resources.as_ref()?.requests.as_ref());
        asked.filter_map(|requests| read(&requests.get(name)?.0)).sum()
    };
    let (wants_cpu, wants_memory) = (sum("cpu", quantity::milli), sum("memory", quantity::units));
    let (what, requested, capacity) = if wants_cpu > cpu {
        ("cpu", wants_cpu, cpu)
    } else if wants_memory > memory {
        ("memory", wants_memory, memory)
    } else {
        return None;
    };
    Some(format!(
        "Node didn't have enough capacity: {what}, requested: {requested}, capacity: {capacity}"
    ))
}
