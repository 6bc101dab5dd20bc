//! Control groups of containers: limits of processor and memory where the system lets this process set them, and what was used.
//!
//! Version 2 where it has the controllers, else version 1. A user who is not root can rarely make groups: containers are not limited
//! then, and usage is read from their processes instead.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::quantity;

/// Where version 2 is mounted, and the hierarchies of version 1 below it.
const ROOT: &str = "/sys/fs/cgroup";
/// The period in which processor time is counted, in microseconds.
const PERIOD: i128 = 100_000;

/// All groups of a node.
#[derive(Clone, Debug, Default)]
pub(crate) struct Groups {
    bases: Vec<Base>,
}

#[derive(Clone, Debug)]
struct Base {
    kind: Kind,
    folder: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Version 2: all in one.
    Unified,
    /// Version 1.
    Memory,
    /// Version 1.
    Cpu,
    /// Version 1.
    CpuAccount,
}

/// What a container may use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Thousandths of a processor that it is sure to get.
    pub cpu_request: Option<i128>,
    /// Thousandths of a processor.
    pub cpu: Option<i128>,
    /// Bytes.
    pub memory: Option<i128>,
}

/// The group of one container; empty where there are none.
#[derive(Clone, Debug, Default)]
pub(crate) struct Group {
    parts: Vec<Base>,
}

/// What was used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    /// Nanoseconds of processor time since the start.
    pub cpu: u64,
    /// Bytes that cannot be given back at once.
    pub memory: u64,
}

impl Groups {
    /// Finds what this process may use, and removes what a node of the same name left.
    pub(crate) fn find(name: &str) -> Self {
        let bases = if Path::new(ROOT).join("cgroup.controllers").exists() {
            unified(name)
        } else {
            version_1(name)
        };
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        for base in &bases {
            remove_below(&base.folder);
            // All pods together weigh as much as the machine has, beside what else runs there.
            if let Err(error) = share(base.kind, &base.folder, cores as i128 * 1000) {
                tracing::debug!(folder = %base.folder.display(), %error, "no share of the processor");
            }
        }
        Self { bases }
    }

    /// Removes what this process made, once nothing runs in it.
    pub(crate) fn remove(&self) {
        for base in &self.bases {
            remove_below(&base.folder);
            // Somebody's process may be in it still; the next node in the same folder finds it.
            let _ = fs::remove_dir(&base.folder);
        }
    }

    /// Whether containers are limited.
    pub(crate) fn can_limit(&self) -> bool {
        self.bases.iter().any(|base| matches!(base.kind, Kind::Unified | Kind::Memory))
    }

    /// A group for a container.
    pub(crate) fn group(&self, id: &str, limits: Limits) -> Group {
        let mut parts = Vec::new();
        for base in &self.bases {
            let folder = base.folder.join(id);
            let made = fs::create_dir(&folder).and_then(|()| limit(base.kind, &folder, limits));
            match made {
                Ok(()) => parts.push(Base { kind: base.kind, folder }),
                Err(error) => {
                    tracing::debug!(folder = %folder.display(), %error, "no control group");
                    // It stays empty.
                    let _ = fs::remove_dir(&folder);
                }
            }
        }
        Group { parts }
    }
}

fn unified(name: &str) -> Vec<Base> {
    let folder = Path::new(ROOT).join(name);
    let made = fs::create_dir_all(&folder)
        .and_then(|()| fs::write(folder.join("cgroup.subtree_control"), "+cpu +memory"));
    match made {
        Ok(()) => vec![Base { kind: Kind::Unified, folder }],
        Err(error) => {
            tracing::debug!(%error, "control groups cannot be used");
            let _ = fs::remove_dir(&folder);
            Vec::new()
        }
    }
}

fn version_1(name: &str) -> Vec<Base> {
    let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let mut bases = Vec::new();
    for (controller, kind) in
        [("memory", Kind::Memory), ("cpu", Kind::Cpu), ("cpuacct", Kind::CpuAccount)]
    {
        let line = own.lines().find_map(|line| {
            let mut parts = line.splitn(3, ':');
            let controllers = parts.nth(1)?;
            controllers.split(',').any(|one| one == controller).then(|| parts.next()).flatten()
        });
        let Some(path) = line else { continue };
        let folder = Path::new(ROOT).join(controller).join(path.trim_start_matches('/')).join(name);
        if fs::create_dir_all(&folder).is_ok() {
            bases.push(Base { kind, folder });
        }
    }
    bases
}

/// Removes the groups below a folder; those that still have processes stay.
fn remove_below(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            // Whatever is in use cannot be removed, and must not be.
            let _ = fs::remove_dir(entry.path());
        }
    }
}

/// Weighs a group by the thousandths of a processor that it asks for, as the kubelet does: who asks for nothing weighs least.
fn share(kind: Kind, folder: &Path, milli: i128) -> io::Result<()> {
    let shares = (milli * 1024 / 1000).clamp(2, 262_144);
    match kind {
        Kind::Unified => {
            let weight = 1 + (shares - 2) * 9999 / 262_142;
            fs::write(folder.join("cpu.weight"), weight.to_string())
        }
        Kind::Cpu => fs::write(folder.join("cpu.shares"), shares.to_string()),
        Kind::Memory | Kind::CpuAccount => Ok(()),
    }
}

fn limit(kind: Kind, folder: &Path, limits: Limits) -> io::Result<()> {
    let write = |file: &str, value: String| fs::write(folder.join(file), value);
    share(kind, folder, limits.cpu_request.or(limits.cpu).unwrap_or(0))?;
    let quota = limits.cpu.map(|milli| (milli * PERIOD / 1000).max(1000));
    match kind {
        Kind::Unified => {
            if let Some(memory) = limits.memory {
                write("memory.max", memory.to_string())?;
            }
            if let Some(quota) = quota {
                write("cpu.max", format!("{quota} {PERIOD}"))?;
            }
        }
        Kind::Memory => {
            if let Some(memory) = limits.memory {
                write("memory.limit_in_bytes", memory.to_string())?;
            }
        }
        Kind::Cpu => {
            if let Some(quota) = quota {
                write("cpu.cfs_period_us", PERIOD.to_string())?;
                write("cpu.cfs_quota_us", quota.to_string())?;
            }
        }
        Kind::CpuAccount => {}
    }
    Ok(())
}

impl Limits {
    /// What a container's spec says.
    pub(crate) fn of(container: &k8s_openapi::api::core::v1::Container) -> Self {
        let resources = container.resources.clone().unwrap_or_default();
        let (requests, limits) =
            (resources.requests.unwrap_or_default(), resources.limits.unwrap_or_default());
        Self {
            cpu_request: requests.get("cpu").and_then(|one| quantity::milli(&one.0)),
            cpu: limits.get("cpu").and_then(|one| quantity::milli(&one.0)),
            memory: limits.get("memory").and_then(|one| quantity::units(&one.0)),
        }
    }
}

impl Group {
    /// The folders to join.
    pub(crate) fn folders(&self) -> Vec<PathBuf> {
        self.parts.iter().map(|part| part.folder.clone()).collect()
    }

    /// Limits it otherwise from now on.
    pub(crate) fn set(&self, limits: Limits) -> io::Result<()> {
        self.parts.iter().try_for_each(|part| limit(part.kind, &part.folder, limits))
    }

    /// Whether the kernel ended a process of it for want of memory.
    pub(crate) fn killed_for_memory(&self) -> bool {
        self.parts.iter().any(|part| {
            let file = match part.kind {
                Kind::Unified => "memory.events",
                Kind::Memory => "memory.oom_control",
                _ => return false,
            };
            number_of(&part.folder.join(file), "oom_kill").is_some_and(|count| count > 0)
        })
    }

    /// What was used; nothing where the groups do not tell both.
    pub(crate) fn usage(&self) -> Option<Usage> {
        let (mut cpu, mut memory) = (None, None);
        for part in &self.parts {
            let read = |file: &str| -> Option<u64> {
                fs::read_to_string(part.folder.join(file)).ok()?.trim().parse().ok()
            };
            let stat = part.folder.join("memory.stat");
            match part.kind {
                Kind::Unified => {
                    cpu = number_of(&part.folder.join("cpu.stat"), "usage_usec")
                        .map(|micros| micros * 1000);
                    let idle = number_of(&stat, "inactive_file").unwrap_or(0);
                    memory = read("memory.current").map(|all| all.saturating_sub(idle));
                }
                Kind::Memory => {
                    let idle = number_of(&stat, "total_inactive_file").unwrap_or(0);
                    memory = read("memory.usage_in_bytes").map(|all| all.saturating_sub(idle));
                }
                Kind::CpuAccount => cpu = read("cpuacct.usage"),
                Kind::Cpu => {}
            }
        }
        Some(Usage { cpu: cpu?, memory: memory? })
    }

    /// Removes it; all its processes have ended.
    pub(crate) fn remove(&self) {
        for part in &self.parts {
            // It is removed at the next start otherwise.
            let _ = fs::remove_dir(&part.folder);
        }
    }
}

/// The number after a name in a file of names and numbers.
fn number_of(path: &Path, name: &str) -> Option<u64> {
    let text = fs::read_to_string(path).ok()?;
    let value = text.lines().find_map(|line| {
        let (key, value) = line.split_once(' ')?;
        (key == name).then_some(value)
    });
    value?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_asks_for_nothing_weighs_least() {
        let check = |kind, file: &str, milli, expect: &str| {
            let folder = tempfile::tempdir().unwrap();
            let limits = Limits { cpu_request: milli, ..Limits::default() };
            limit(kind, folder.path(), limits).unwrap();
            let written = fs::read_to_string(folder.path().join(file)).unwrap();
            assert_eq!(written, expect, "{kind:?} {milli:?}");
        };
        for (milli, shares, weight) in [
            (None, "2", "1"),
            (Some(1), "2", "1"),
            (Some(10), "10", "1"),
            (Some(250), "256", "10"),
            (Some(1000), "1024", "39"),
            (Some(1_000_000), "262144", "10000"),
        ] {
            check(Kind::Cpu, "cpu.shares", milli, shares);
            check(Kind::Unified, "cpu.weight", milli, weight);
        }
    }
}
