//! Evidence by session: a user whose session is broken is one bad experience, however often they try again.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::{Value, json};

use crate::releases::{Shop, canary, decisions, workload};

/// Requests of a session, all of which fail if it is broken.
const TRIES: u64 = 10;
/// One session of so many is broken.
const BROKEN: u64 = 20;
/// Users who come, one session after the other. The workload takes its time for each answer.
const USERS: u64 = 5;

/// People with sessions of their own, whose cookie says which one it is.
struct People {
    is_over: Arc<AtomicBool>,
    sessions: Arc<AtomicU64>,
    threads: Vec<JoinHandle<u64>>,
}

impl People {
    fn come(gateway: Ipv4Addr) -> Self {
        let (is_over, sessions) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let threads = (0..USERS).map(|_| {
            let (is_over, sessions) = (Arc::clone(&is_over), Arc::clone(&sessions));
            std::thread::spawn(move || {
                let mut requests = 0;
                while !is_over.load(Ordering::Relaxed) {
                    let session = sessions.fetch_add(1, Ordering::Relaxed);
                    // The service answers with the status that a path names: what is broken is so with either version.
                    let path = if session % BROKEN == 7 { "/status/500" } else { "/" };
                    for _ in 0..TRIES {
                        requests += u64::from(ask(gateway, path, session).is_some());
                    }
                }
                requests
            })
        });
        let threads = threads.collect();
        Self { is_over, sessions, threads }
    }

    /// How many sessions there were, and requests that were answered.
    fn leave(self) -> (u64, u64) {
        self.is_over.store(true, Ordering::Relaxed);
        let requests = self.threads.into_iter().map(|it| it.join().unwrap()).sum();
        (self.sessions.load(Ordering::Relaxed), requests)
    }
}

/// A request; its status, if there was an answer.
fn ask(gateway: Ipv4Addr, path: &str, session: u64) -> Option<u16> {
    let mut stream = TcpStream::connect((gateway, 80)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
    let request = format!(
        "GET {path} HTTP/1.1\r\nhost: hello.example\r\ncookie: sid=user-{session}\r\nconnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    String::from_utf8_lossy(&answer).split(' ').nth(1)?.parse().ok()
}

/// The workload, as a service that answers with the status that it is asked for.
fn echo() -> Value {
    let mut workload = workload();
    let container = &mut workload["spec"]["template"]["spec"]["containers"][0];
    container["image"] = json!("docker.io/kennethreitz/httpbin:1");
    container["ports"] = json!([{"containerPort": 80}]);
    container["readinessProbe"]["httpGet"]["port"] = json!(80);
    workload
}

fn counts(shown: &Value, side: &str) -> (u64, u64) {
    let of = |name: &str| shown["evidence"][side][name].as_u64().unwrap_or_default();
    (of("errors"), of("units"))
}

#[test]
fn sessions_that_are_broken_are_told_from_a_version_that_breaks_them() {
    let analysis = json!({
        "interval": "2s", "threshold": 2, "stepWeights": [30, 60, 100],
        "sequential": {"minRequests": 40, "gate": {"disabled": true}, "quantiles": []},
    });
    // What tells sessions apart is what keeps them with their version.
    let service = json!({
        "port": 80, "gateways": ["gateway", "mesh"], "hosts": ["hello.example"],
        "apex": {"annotations": {"serin.dev/cohort": "cookie:sid"}},
    });
    let spec = json!({"service": service, "analysis": analysis});
    let Some(shop) = Shop::open_with(echo(), canary("serin.dev/v1alpha1", spec)) else { return };

    // One session of twenty fails ten times in a row, with whichever version: no reason to go back.
    let people = People::come(shop.cluster.gateway);
    let before = shop.shown();
    shop.set_variable("SERVICE_VERSION", "v2");
    let shown = shop.end(&before);
    let (sessions, requests) = people.leave();
    assert_eq!(shown["phase"], "Succeeded", "{shown:#}");
    assert_eq!(shown["unit"], "session", "{shown:#}");
    let ((canary_errors, canary), (primary_errors, primary)) =
        (counts(&shown, "canary"), counts(&shown, "primary"));
    assert!(canary >= 40 && primary > 0, "{shown:#}");
    assert!(canary_errors + primary_errors > 0, "some were broken: {shown:#}");
    // Each of these counts once for each version that it met, however often it failed.
    let broken = sessions / BROKEN + 1;
    assert!(canary_errors <= broken && primary_errors <= broken, "{sessions}: {shown:#}");
    assert!(canary + primary < requests, "{requests}: {shown:#}");

    // A version that fails now and then fails for most who stay with it.
    let people = People::come(shop.cluster.gateway);
    let before = shop.shown();
    shop.set_variable("SERIN_SAMPLE_ERRORS", "20%");
    let shown = shop.end(&before);
    people.leave();
    assert_eq!(
        (&shown["phase"], &shown["verdict"]),
        (&json!("Failed"), &json!("abort")),
        "{shown:#}"
    );
    let (errors, units) = counts(&shown, "canary");
    assert!(errors >= 3, "{shown:#}");
    assert!(decisions(&shown).contains(&"Rolling back hello.default by evidence"), "{shown:#}");
    let text = shop.serin(&["canary", "show", "hello"]);
    assert!(text.contains(&format!("canary {errors} of {units} sessions")), "{text}");
}
