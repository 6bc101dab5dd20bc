//! What goes wrong around a cluster: its process is killed, its disk is full.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use serin_testkit::PATIENCE;

use crate::machine::Cluster;

#[test]
fn a_rolling_update_ends_well_though_the_process_is_killed_in_the_middle() {
    let mark = format!("serin-rolled-{}", std::process::id());
    let image = format!("rolled:*=bash -c 'exec -a {mark} sleep 1000'");
    let arguments = ["--image", &image];
    let Some(mut cluster) = Cluster::start(&arguments) else { return };
    let running = || {
        let output = Command::new("pgrep").args(["-f", &format!("^{mark}")]).output().unwrap();
        String::from_utf8_lossy(&output.stdout).lines().count()
    };
    cluster.kubectl(&["create", "deployment", "rolled", "--image=rolled:0", "--replicas=4"]);
    cluster.kubectl(&["rollout", "status", "deployment/rolled"]);
    // So many pods of the new version are there when the process is killed.
    for (round, new) in [(1, 0), (2, 1), (3, 2), (4, 4)] {
        let image = format!("rolled:{round}");
        cluster.kubectl(&["set", "image", "deployment/rolled", &format!("rolled={image}")]);
        let images = "jsonpath={.items[*].spec.containers[0].image}";
        let found = || cluster.kubectl(&["get", "pods", "-l", "app=rolled", "-o", images]);
        let until = Instant::now() + PATIENCE;
        while found().matches(&image).count() < new {
            assert!(Instant::now() < until, "{}", found());
        }
        has_listeners(&cluster);
        cluster.process.signal("KILL");
        cluster.process.wait();
        cluster = cluster.start_again(&arguments);
    }
    cluster.kubectl(&["rollout", "status", "deployment/rolled"]);
    let images = "jsonpath={.items[*].spec.containers[0].image}";
    let found = || cluster.kubectl(&["get", "pods", "-l", "app=rolled", "-o", images]);
    let until = Instant::now() + PATIENCE;
    while found() != "rolled:4 rolled:4 rolled:4 rolled:4" || running() != 4 {
        assert!(Instant::now() < until, "{} run of {}", running(), found());
    }
    has_listeners(&cluster);
}

/// The proxy has the listeners that it needs in the networks of pods, each of which is one pod's.
#[track_caller]
fn has_listeners(cluster: &Cluster) {
    let output = cluster.process.output();
    assert!(!output.contains("cannot listen on"), "{output}");
}

#[test]
fn a_full_disk_refuses_writes_and_nothing_else() {
    let Some(place) = SmallDisk::mount() else { return };
    let data = place.path().join("data");
    let Some(cluster) = Cluster::start_in(&data, &[]) else { return };
    cluster.kubectl(&["create", "configmap", "before", "--from-literal=a=b"]);
    let ballast = place.path().join("ballast");
    let mut file = File::create(&ballast).unwrap();
    while file.write_all(&[0; 4096]).is_ok() {}
    // What the store has set aside for itself goes first.
    let mut number = 0;
    let refused = loop {
        let literal = format!("--from-literal=a={}", "x".repeat(100_000));
        let output = cluster.try_kubectl(&["create", "configmap", &format!("c{number}"), &literal]);
        if !output.status.success() {
            break String::from_utf8_lossy(&output.stderr).into_owned();
        }
        number += 1;
        assert!(number < 1_000, "the disk is not full");
    };
    assert!(refused.contains("no space left"), "{refused}");
    assert!(cluster.kubectl(&["get", "configmap", "before", "-o", "name"]).contains("before"));
    std::fs::remove_file(&ballast).unwrap();
    drop(file);
    let until = Instant::now() + PATIENCE;
    while !cluster.try_kubectl(&["create", "configmap", "after"]).status.success() {
        assert!(Instant::now() < until, "{}", cluster.process.output());
    }
}

/// A disk of 32 MiB, until the test ends.
pub(crate) struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    /// `None`, with the reason printed, where this user may not make one.
    pub(crate) fn mount() -> Option<Self> {
        let place = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=32m", "tmpfs"])
            .arg(place.path())
            .output();
        if !mounted.is_ok_and(|it| it.status.success()) {
            println!("skipped: only root may make a small disk");
            return None;
        }
        Some(Self(place))
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // At once for new uses, and for good when the last one has ended.
        let _ = Command::new("umount").arg("-l").arg(self.path()).output();
    }
}
