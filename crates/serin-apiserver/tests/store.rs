//! The store under crashes, full disks, damage and concurrent writers.

#![expect(clippy::unwrap_used, reason = "a helper of tests that fails fails its test")]

use std::collections::BTreeMap;
use std::io;
use std::process::Command;
use std::sync::{Arc, Mutex};

use proptest::prelude::*;
use redb::StorageBackend;
use serde_json::{Value, json};
use serin_apiserver::store::{
    BackupError, Change, Draft, Expect, Settings, Store, StoreError, WriteError, restore,
};

fn draft(name: &str, n: usize) -> Draft {
    Draft::new(&json!({"kind": "T", "apiVersion": "v1", "metadata": {"name": name}, "n": n}))
}

/// A disk that keeps only what was synced when the power goes.
#[derive(Default)]
struct Disk {
    durable: Vec<u8>,
    present: Vec<u8>,
    /// How many more syncs succeed; `None` for all.
    syncs: Option<usize>,
    dead: bool,
}

#[derive(Clone, Default)]
struct Power(Arc<Mutex<Disk>>);

impl std::fmt::Debug for Power {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Power")
    }
}

impl Power {
    fn settings(&self) -> Settings {
        let disk = self.clone();
        Settings::backend(move || Box::new(disk.clone()))
    }

    /// The power goes, and comes back.
    fn cycle(&self) {
        let mut disk = self.0.lock().unwrap();
        disk.present = disk.durable.clone();
        disk.dead = false;
        disk.syncs = None;
    }

    fn alive(&self) -> io::Result<std::sync::MutexGuard<'_, Disk>> {
        let disk = self.0.lock().unwrap();
        if disk.dead { Err(io::Error::other("no power")) } else { Ok(disk) }
    }
}

impl StorageBackend for Power {
    fn len(&self) -> io::Result<u64> {
        Ok(self.alive()?.present.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let disk = self.alive()?;
        let start = usize::try_from(offset).unwrap();
        let bytes = disk.present.get(start..start + out.len());
        out.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.alive()?.present.resize(usize::try_from(len).unwrap(), 0);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut disk = self.alive()?;
        if disk.syncs == Some(0) {
            disk.dead = true;
            return Err(io::Error::other("the power went"));
        }
        disk.syncs = disk.syncs.map(|left| left - 1);
        disk.durable = disk.present.clone();
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut disk = self.alive()?;
        let start = usize::try_from(offset).unwrap();
        disk.present[start..start + data.len()].copy_from_slice(data);
        Ok(())
    }
}

/// One step of a writer: which object, and whether it goes.
type Step = (usize, bool);

/// Carries out steps of one writer. What was acknowledged is returned: revision, name, and the number, or none for a deletion.
async fn write(store: Store, writer: usize, steps: Vec<Step>) -> Vec<(u64, String, Option<usize>)> {
    let mut acknowledged = Vec::new();
    for (place, (object, deletes)) in steps.into_iter().enumerate() {
        let (name, number) = (format!("o{object}"), writer * 1000 + place);
        // The answer of each attempt is one of a real client: conflicts are no changes.
        let found = store.object("g/things", &name);
        let result = match (&found, deletes) {
            (Some(found), true) => store.delete("g/things", &name, found.revision()).await,
            (Some(found), false) => {
                let expect = Expect::Revision(found.revision());
                store.put("g/things", &name, expect, draft(&name, number)).await
            }
            (None, _) => store.put("g/things", &name, Expect::Absent, draft(&name, number)).await,
        };
        match result {
            Ok(object) => {
                let number = (!(deletes && found.is_some())).then_some(number);
                acknowledged.push((object.revision(), name, number));
            }
            Err(WriteError::Conflict(_)) => {}
            Err(WriteError::Store(_)) => break,
        }
        tokio::task::yield_now().await;
    }
    acknowledged
}

/// The objects as their numbers.
fn state(store: &Store) -> BTreeMap<String, usize> {
    let number = |value: &Value| usize::try_from(value["n"].as_u64().unwrap()).unwrap();
    let (all, _) = store.list("g/things", "", None);
    all.iter().map(|(name, object)| (name.to_string(), number(&object.value()))).collect()
}

/// Reads a history from a revision on until the store's present, one small batch after the other.
fn history(store: &Store, from: u64) -> Vec<(u64, String, Option<usize>)> {
    let (mut revision, mut all) = (from, Vec::new());
    loop {
        let (events, upto) = store.events("g/things", revision, 2).unwrap();
        if events.is_empty() {
            return all;
        }
        revision = upto;
        for event in events {
            let number = event.object.value()["n"].as_u64().and_then(|n| usize::try_from(n).ok());
            let number = number.filter(|_| event.change != Change::Deleted);
            all.push((event.revision, event.name.to_string(), number));
        }
    }
}

/// The state after a history.
fn replay(
    mut state: BTreeMap<String, usize>,
    history: &[(u64, String, Option<usize>)],
) -> BTreeMap<String, usize> {
    for (_, name, number) in history {
        match number {
            Some(number) => state.insert(name.clone(), *number),
            None => state.remove(name),
        };
    }
    state
}

fn steps() -> impl Strategy<Value = Vec<Vec<Step>>> {
    let step = (0..4_usize, prop::bool::weighted(0.25));
    prop::collection::vec(prop::collection::vec(step, 0..12), 1..4)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// Whatever writers do at the same time, there is one order of what was acknowledged, and whoever watches from any state in it
    /// is told exactly the rest.
    #[test]
    fn every_watcher_sees_the_one_history_of_acknowledged_writes(writers in steps()) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
        let store = Store::open(Settings::in_memory()).unwrap();
        let mut acknowledged = runtime.block_on(async {
            let tasks: Vec<_> = writers
                .into_iter()
                .enumerate()
                .map(|(writer, steps)| tokio::spawn(write(store.clone(), writer, steps)))
                .collect();
            let mut all = Vec::new();
            for task in tasks {
                all.extend(task.await.unwrap());
            }
            all
        });
        acknowledged.sort();
        let whole = history(&store, 0);
        prop_assert_eq!(&whole, &acknowledged);
        prop_assert_eq!(replay(BTreeMap::new(), &whole), state(&store));
        for from in 0..=store.revision() {
            let then = store.list_at("g/things", "", None, from).unwrap();
            let then: BTreeMap<String, usize> = then
                .iter()
                .map(|(name, it)| (name.to_string(), usize::try_from(it.value()["n"].as_u64().unwrap()).unwrap()))
                .collect();
            prop_assert_eq!(replay(then, &history(&store, from)), state(&store));
        }
    }

    /// The power goes at any sync: what was acknowledged is there afterwards, what was refused is not, and revisions go on.
    #[test]
    fn what_was_acknowledged_survives_a_loss_of_power(steps in steps(), syncs in 0..24_usize) {
        let power = Power::default();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let store = Store::open(power.settings()).unwrap();
        power.0.lock().unwrap().syncs = Some(syncs);
        let steps: Vec<Step> = steps.into_iter().flatten().collect();
        let acknowledged = runtime.block_on(write(store.clone(), 0, steps));
        drop(store);
        power.cycle();
        let store = Store::open(power.settings()).unwrap();
        let expect = replay(BTreeMap::new(), &acknowledged);
        // The write under way when the power went may have been made; it was not answered.
        let found = state(&store);
        let differing: std::collections::BTreeSet<&String> =
            expect.keys().chain(found.keys()).filter(|name| expect.get(*name) != found.get(*name)).collect();
        prop_assert!(differing.len() <= 1, "{:?} became {:?}", expect, found);
        let last = acknowledged.last().map_or(0, |it| it.0);
        prop_assert!(store.revision() >= last && store.revision() <= last + 1);
        prop_assert!(differing.is_empty() || store.revision() == last + 1);
    }

    /// The power goes while several write. Each object is as it was acknowledged last, or as an unanswered write left it; and
    /// the store goes on with later revisions.
    #[test]
    fn what_many_were_told_survives_a_loss_of_power(writers in steps(), syncs in 0..12_usize) {
        let power = Power::default();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
        let store = Store::open(power.settings()).unwrap();
        power.0.lock().unwrap().syncs = Some(syncs);
        let mut acknowledged = runtime.block_on(async {
            let tasks: Vec<_> = writers
                .into_iter()
                .enumerate()
                .map(|(writer, steps)| tokio::spawn(write(store.clone(), writer, steps)))
                .collect();
            let mut all = Vec::new();
            for task in tasks {
                all.extend(task.await.unwrap());
            }
            all
        });
        acknowledged.sort();
        let revisions: std::collections::BTreeSet<u64> = acknowledged.iter().map(|it| it.0).collect();
        prop_assert_eq!(revisions.len(), acknowledged.len());
        drop((store, runtime));
        power.cycle();
        let store = Store::open(power.settings()).unwrap();
        let (expect, found) = (replay(BTreeMap::new(), &acknowledged), state(&store));
        let last = acknowledged.last().map_or(0, |it| it.0);
        prop_assert!(store.revision() >= last);
        let told: std::collections::BTreeSet<usize> = acknowledged.iter().filter_map(|it| it.2).collect();
        for name in expect.keys().chain(found.keys()) {
            let (wanted, have) = (expect.get(name), found.get(name));
            let unanswered = store.revision() > last && have.is_none_or(|number| !told.contains(number));
            prop_assert!(wanted == have || unanswered, "{}: {:?} became {:?}", name, wanted, have);
        }
    }
}

#[tokio::test]
async fn a_full_disk_refuses_writes_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mount = |args: &[&str]| {
        let mut command = Command::new(args[0]);
        command.args(&args[1..]).arg(folder.path());
        command.output().is_ok_and(|it| it.status.success())
    };
    if !mount(&["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs"]) {
        println!("skipped: only root can mount a small disk");
        return;
    }
    let data = folder.path().join("data");
    let settings = || Settings::folder(&data);
    let store = Store::open(settings()).unwrap();
    let long = "x".repeat(60_000);
    let mut kept = Vec::new();
    let refusal = loop {
        let name = format!("o{}", kept.len());
        let object =
            json!({"kind": "T", "apiVersion": "v1", "metadata": {"name": name}, "x": long, "n": 1});
        match store.put("g/things", &name, Expect::Absent, Draft::new(&object)).await {
            Ok(_) => kept.push(name),
            Err(WriteError::Store(error)) => break error,
            Err(other) => panic!("{other:?}"),
        }
    };
    assert!(matches!(refusal, StoreError::Full { .. }), "{refusal}");
    assert!(refusal.to_string().contains("free space and try again"), "{refusal}");
    assert!(state(&store).len() == kept.len() && kept.len() > 5);
    // With room again, writes go on.
    assert!(mount(&["mount", "-o", "remount,size=64m"]));
    store.put("g/things", "late", Expect::Absent, draft("late", 2)).await.unwrap();
    drop(store);
    let store = Store::open(settings()).unwrap();
    assert_eq!(state(&store).len(), kept.len() + 1);
    drop(store);
    assert!(mount(&["umount"]));
}

#[tokio::test]
async fn a_damaged_file_is_reported_and_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("store.redb");
    let store = Store::open(Settings::folder(folder.path())).unwrap();
    store.put("g/things", "a", Expect::Absent, draft("a", 1)).await.unwrap();
    drop(store);
    let whole = std::fs::read(&file).unwrap();
    let mut scratched = whole.clone();
    scratched[..64].fill(0);
    for (what, bytes) in [
        ("empty", Vec::new()),
        ("cut", whole[..whole.len() / 3].to_vec()),
        ("scratched", scratched),
    ] {
        std::fs::write(&file, &bytes).unwrap();
        let Err(error) = Store::open(Settings::folder(folder.path())) else {
            panic!("the {what} file was opened");
        };
        let text = error.to_string();
        assert!(text.contains("store.redb") && text.contains("damaged"), "{what}: {text}");
        assert_eq!(std::fs::read(&file).unwrap(), bytes, "the {what} file was changed");
    }
    std::fs::write(&file, &whole).unwrap();
    assert_eq!(state(&Store::open(Settings::folder(folder.path())).unwrap()).len(), 1);
}

#[tokio::test]
async fn a_copy_made_while_the_server_writes_becomes_the_same_store() {
    let store = Store::open(Settings::in_memory()).unwrap();
    store.put_keys(vec![("ca.key".into(), vec![1, 2, 255])]).await.unwrap();
    for n in 0..5 {
        let name = format!("o{n}");
        store.put("g/things", &name, Expect::Absent, draft(&name, n)).await.unwrap();
    }
    let (before, revision) = (state(&store), store.revision());
    let pieces = store.backup();
    store.put("g/things", "late", Expect::Absent, draft("late", 9)).await.unwrap();
    let copy: Vec<u8> = pieces.flat_map(|piece| piece.to_vec()).collect();
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(restore(copy.as_slice(), folder.path()).unwrap(), 5);
    let restored = Store::open(Settings::folder(folder.path())).unwrap();
    assert_eq!((state(&restored), restored.revision()), (before, revision));
    assert_eq!(restored.keys(), [("ca.key".to_owned(), vec![1, 2, 255])]);
    drop(restored);
    let there = restore(copy.as_slice(), folder.path());
    assert!(matches!(there, Err(BackupError::Present { .. })), "{there:?}");
    for cut in [0, 10, copy.len() / 2, copy.len() - 2] {
        let other = tempfile::tempdir().unwrap();
        let refused = restore(&copy[..cut], other.path());
        assert!(matches!(refused, Err(BackupError::Damaged(_))), "{cut}: {refused:?}");
        assert_eq!(std::fs::read_dir(other.path()).unwrap().count(), 0);
    }
}
