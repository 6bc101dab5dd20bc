//! What containers use, looked at again and again: processor time as a rate, and memory.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::cgroups::Usage;
use crate::node::Shared;

/// How often.
const PERIOD: Duration = Duration::from_secs(5);
/// How many looks a rate is taken over.
const WINDOW: usize = 4;
/// Ticks of processor time in a second, as `/proc` counts them (`USER_HZ`).
const TICKS: u64 = 100;
/// Bytes of a page.
const PAGE: u64 = 4096;

/// What a container used lately.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rate {
    /// Billionths of a processor.
    pub cpu: u64,
    /// Bytes.
    pub memory: u64,
    /// Over how long.
    pub window: Duration,
}

/// The container of a pod: the pod's ID and the container's name.
type Key = (String, String);

/// The process that was looked at, when, and what was seen.
type Look = (u32, Instant, Usage);

/// The last looks at every container.
#[derive(Debug, Default)]
pub(crate) struct Looks {
    all: Mutex<HashMap<Key, Vec<Look>>>,
}

impl Looks {
    /// The rate of a container, once there were two looks at it.
    pub(crate) fn rate(&self, uid: &str, container: &str) -> Option<Rate> {
        let all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        let looks = all.get(&(uid.to_owned(), container.to_owned()))?;
        let ((_, start, before), (_, end, after)) = (looks.first()?, looks.last()?);
        let window = end.duration_since(*start);
        let nanos = u64::try_from(window.as_nanos()).ok().filter(|nanos| *nanos > 0)?;
        let used = after.cpu.saturating_sub(before.cpu);
        let cpu = u128::from(used) * 1_000_000_000 / u128::from(nanos);
        Some(Rate { cpu: u64::try_from(cpu).ok()?, memory: after.memory, window })
    }
}

/// Starts to look; it ends with the node.
pub(crate) fn start(shared: &Arc<Shared>) {
    let weak = Arc::downgrade(shared);
    tokio::spawn(async move {
        let mut next = tokio::time::interval(PERIOD);
        loop {
            next.tick().await;
            let Some(shared) = weak.upgrade() else { return };
            // It only fails where the runtime ends.
            let _ = tokio::task::spawn_blocking(move || look(&shared)).await;
        }
    });
}

fn look(shared: &Shared) {
    let running = shared.running.all();
    let now = Instant::now();
    let mut by_namespace = None;
    let mut seen = BTreeMap::new();
    for (pod, containers) in running {
        let uid = pod.pod.metadata.uid.clone().unwrap_or_default();
        for (name, container) in containers {
            let pid = container.process.pid();
            let usage = container.group.usage().or_else(|| {
                let processes = by_namespace.get_or_insert_with(of_processes);
                processes.get(&namespace_of(pid)?).copied()
            });
            if let Some(usage) = usage {
                seen.insert((uid.clone(), name), (pid, now, usage));
            }
        }
    }
    let mut all = shared.usage.all.lock().unwrap_or_else(PoisonError::into_inner);
    all.retain(|key, _| seen.contains_key(key));
    for (key, look) in seen {
        let looks = all.entry(key).or_default();
        // Another run begins anew.
        looks.retain(|(pid, ..)| *pid == look.0);
        looks.push(look);
        if looks.len() > WINDOW {
            looks.remove(0);
        }
    }
}

/// The PID namespace of a process.
fn namespace_of(pid: u32) -> Option<u64> {
    fs::metadata(format!("/proc/{pid}/ns/pid")).ok().map(|meta| meta.ino())
}

/// What all processes of each PID namespace use together, with what those used that have ended and were waited for.
fn of_processes() -> BTreeMap<u64, Usage> {
    let mut all: BTreeMap<u64, Usage> = BTreeMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Ok(pid) = entry.file_name().to_string_lossy().parse::<u32>() else { continue };
        let (Some(namespace), Ok(stat)) =
            (namespace_of(pid), fs::read_to_string(entry.path().join("stat")))
        else {
            continue;
        };
        // The name may have anything in it, up to the last parenthesis.
        let Some((_, rest)) = stat.rsplit_once(')') else { continue };
        let fields: Vec<u64> =
            rest.split_whitespace().map(|field| field.parse().unwrap_or(0)).collect();
        let field = |number: usize| fields.get(number - 3).copied().unwrap_or(0);
        let ticks: u64 = (14..=17).map(field).sum();
        let usage = all.entry(namespace).or_default();
        usage.cpu += ticks * (1_000_000_000 / TICKS);
        usage.memory += field(24) * PAGE;
    }
    all
}
