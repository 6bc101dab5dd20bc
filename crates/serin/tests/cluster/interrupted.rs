//! Releases in the middle of which the machine fails: they go on where they were.

use std::fs::{self, File};
use std::io::Write as _;
use std::net::Ipv4Addr;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use serde_json::json;

use crate::faults::SmallDisk;
use crate::machine::Cluster;
use crate::receiver::Receiver;
use crate::releases::{Shop, canary, decisions};

/// Where releases ask whether to go on.
const INCREASE: &str = "/increase";

/// Steps by the clock alone, and stays at 40 until the receiver lets it go on.
fn held_at_40(receiver: &Receiver) -> serde_json::Value {
    // To 20, and to 40.
    receiver.answer_first(INCREASE, 2, 200, 403);
    let hook = json!({"name": "increase", "type": "confirm-traffic-increase", "url": receiver.url(INCREASE)});
    let analysis = json!({
        "interval": "4s", "threshold": 2, "stepWeights": [20, 40, 60, 80, 100], "webhooks": [hook],
    });
    canary("serin.dev/v1alpha1", json!({"analysis": analysis}))
}

/// Each step was taken once, and the release began once.
#[track_caller]
fn took_each_step_once(shop: &Shop) {
    let shown = shop.shown();
    let mut steps = decisions(&shown);
    let is_step =
        |it: &&str| it.starts_with("Advance ") || it.starts_with("New revision detected!");
    steps.retain(is_step);
    assert_eq!(
        steps,
        [
            "New revision detected! Scaling up hello.default",
            "Advance hello.default canary weight 20",
            "Advance hello.default canary weight 40",
            "Advance hello.default canary weight 60",
            "Advance hello.default canary weight 80",
            "Advance hello.default canary weight 100",
        ],
        "{shown:#}"
    );
}

fn wait_for_weight(shop: &Shop, weight: u32) {
    let condition = format!("--for=jsonpath={{.status.canaryWeight}}={weight}");
    shop.cluster.kubectl(&["wait", "canaries.serin.dev/hello", &condition]);
}

#[test]
fn a_release_stays_where_it_is_while_the_disk_is_full() {
    let Some(disk) = SmallDisk::mount() else { return };
    let data = disk.path().join("data");
    let Some(cluster) = Cluster::start_in(&data, &[]) else { return };
    let receiver = Receiver::start();
    let shop = Shop::on(cluster, held_at_40(&receiver));
    let users = shop.users(50);
    shop.release("v2", &[]);
    wait_for_weight(&shop, 40);
    let ballast = disk.path().join("ballast");
    let mut file = File::create(&ballast).unwrap();
    while file.write_all(&[0; 4096]).is_ok() {}
    // What the store has set aside for itself goes first.
    for size in [100_000, 1_000, 1] {
        let literal = format!("--from-literal=a={}", "x".repeat(size));
        let is_stored = |number: u32| {
            let name = format!("c{size}-{number}");
            let output = shop.cluster.try_kubectl(&["create", "configmap", &name, &literal]);
            output.status.success()
        };
        assert!((0..1_000).any(|number| !is_stored(number)), "the disk is not full");
    }
    receiver.answer(INCREASE, 200);
    shop.cluster.process.wait_for(|line| line.contains("a turn failed and is tried again"));
    let shown = shop.shown();
    assert_eq!(
        (&shown["phase"], &shown["weights"]["canary"]),
        (&json!("Progressing"), &json!(40)),
        "{shown:#}"
    );
    fs::remove_file(&ballast).unwrap();
    drop(file);
    shop.until("Succeeded");
    shop.is_with_primary("v2");
    let outcome = users.stop();
    assert_eq!(outcome["failed"], 0, "{outcome:#}\n{:#}", shop.shown());
    took_each_step_once(&shop);
}

/// Somebody who asks again and again, whether or not anybody listens.
struct Asking {
    enough: Arc<AtomicBool>,
    /// The statuses in order; 0 where nobody listened, or the connection broke.
    statuses: JoinHandle<Vec<u16>>,
}

impl Asking {
    fn start(gateway: Ipv4Addr) -> Self {
        let enough = Arc::new(AtomicBool::new(false));
        let is_enough = Arc::clone(&enough);
        let ask = move || {
            let mut curl = Command::new("curl");
            curl.args(["-s", "-o", "/dev/null", "-w", "%{http_code}", "--max-time", "10"]);
            curl.args(["-H", "host: hello.example"]).arg(format!("http://{gateway}/hello"));
            let output = curl.output().unwrap().stdout;
            String::from_utf8(output).unwrap().parse().unwrap()
        };
        let statuses = std::thread::spawn(move || {
            std::iter::from_fn(|| (!is_enough.load(Ordering::Relaxed)).then(&ask)).collect()
        });
        Self { enough, statuses }
    }

    fn stop(self) -> Vec<u16> {
        self.enough.store(true, Ordering::Relaxed);
        self.statuses.join().unwrap()
    }
}

#[test]
fn a_release_goes_on_after_everything_was_killed_and_no_version_is_asked_before_it_is_back() {
    let receiver = Receiver::start();
    let Some(mut shop) = Shop::open(held_at_40(&receiver)) else { return };
    shop.release("v2", &[]);
    wait_for_weight(&shop, 40);
    shop.cluster.process.signal("KILL");
    shop.cluster.process.wait();
    let asking = Asking::start(shop.cluster.gateway);
    shop.cluster = shop.cluster.start_again(&[]);
    // `ready` is told when the gateway lets requests in.
    let users = shop.users(50);
    receiver.answer(INCREASE, 200);
    shop.until("Succeeded");
    shop.is_with_primary("v2");
    let outcome = users.stop();
    assert_eq!(outcome["failed"], 0, "{outcome:#}\n{:#}", shop.shown());
    let statuses = asking.stop();
    assert!(statuses.contains(&200), "{statuses:?}");
    assert!(statuses.iter().all(|status| matches!(status, 0 | 200)), "{statuses:?}");
    let begun = statuses.iter().position(|status| *status == 200);
    assert!(!statuses[begun.unwrap_or_default()..].contains(&0), "{statuses:?}");
    took_each_step_once(&shop);
}
