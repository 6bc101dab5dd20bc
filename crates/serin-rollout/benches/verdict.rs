//! `cargo xtask bench verdict`: how often each rule is wrong, and what that costs, on the same simulated traffic.
//!
//! Prints one JSON object per sample. The rule of evidence runs as it runs for users, once a second, beside Flagger's rule
//! with thresholds of 10, 5 and 1 failed checks. A round is a fifth of the runs; all rules see the same seeds.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a benchmark reports to its caller")]

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;
use serin_api::Object;
use serin_api::delivery::Canary;
use serin_rollout::Plan;
use serin_rollout::rehearse::{Report, Rule, Service, Setting, rehearse};

/// Rounds of each case.
const ROUNDS: u64 = 5;
/// The seed of the first run.
const SEED: u64 = 20_230_901;

/// A service whose canary is released.
#[derive(Clone)]
struct Case {
    name: String,
    service: Service,
    /// Mirror before the steps.
    mirror: bool,
    runs: u64,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["--bench"] => measure(10_000, 1_000),
        ["--quick", "--bench"] | ["--bench", "--quick"] => measure(500, 200),
        // As a test, all there is to find out is that it builds.
        [] => {}
        other => {
            eprintln!("unknown arguments: {}", other.join(" "));
            return ExitCode::from(2);
        }
    }
    ExitCode::SUCCESS
}

fn service(rate: f64, primary_errors: f64, canary_errors: f64, slower: f64, burst: u64) -> Service {
    Service { rate, primary_errors, canary_errors, slower, burst }
}

/// Versions that are alike, at every rate; then versions that are worse.
fn cases(alike: u64, worse: u64) -> Vec<Case> {
    let mut cases = Vec::new();
    let mut add = |name: String, service: Service, mirror: bool, runs: u64| {
        cases.push(Case { name, service, mirror, runs });
    };
    add("silence".to_owned(), service(0.0, 0.0, 0.0, 1.0, 1), false, alike.min(1000));
    for rate in [0.2, 1.0, 10.0, 100.0] {
        for errors in [0.001, 0.005] {
            let name = format!("alike, {rate}/s, {} %", errors * 100.0);
            add(name, service(rate, errors, errors, 1.0, 1), false, alike);
        }
    }
    for (rate, errors) in [(10.0, 0.005), (100.0, 0.001), (100.0, 0.005), (100.0, 0.02)] {
        let name = format!("alike, bursts of 10, {rate}/s, {} %", errors * 100.0);
        add(name, service(rate, errors, errors, 1.0, 10), false, alike);
    }
    add(
        "alike, mirrored first, 100/s, 0.5 %".to_owned(),
        service(100.0, 0.005, 0.005, 1.0, 1),
        true,
        alike,
    );
    let regressions = [
        (100.0, 0.001, 0.002),
        (100.0, 0.005, 0.01),
        (100.0, 0.02, 0.04),
        (10.0, 0.005, 0.01),
        (100.0, 0.001, 0.009),
        (100.0, 0.001, 0.05),
        (10.0, 0.001, 0.05),
        (1.0, 0.001, 0.2),
    ];
    for (rate, before, after) in regressions {
        let name = format!("errors {} → {} %, {rate}/s", percent(before), percent(after));
        add(name, service(rate, before, after, 1.0, 1), false, worse);
    }
    let mirrored = service(100.0, 0.001, 0.05, 1.0, 1);
    add("errors 0.1 → 5 %, 100/s, mirrored first".to_owned(), mirrored, true, worse);
    for (rate, slower) in [(100.0, 1.1), (100.0, 1.25), (100.0, 1.5), (10.0, 1.5), (100.0, 3.0)] {
        add(
            format!("latency × {slower}, {rate}/s"),
            service(rate, 0.001, 0.001, slower, 1),
            false,
            worse,
        );
    }
    cases
}

fn percent(share: f64) -> f64 {
    (share * 1000.0).round() / 10.0
}

fn plan(case: &Case, threshold: u32) -> Plan {
    let slow = case.service.slower != 1.0;
    let mut analysis = json!({
        "interval": "60s", "threshold": threshold, "maxWeight": 50, "stepWeight": 10, "mirror": case.mirror,
        "metrics": [{"name": "request-success-rate", "thresholdRange": {"min": 99}, "interval": "1m"}],
    });
    if slow {
        let duration =
            json!({"name": "request-duration", "thresholdRange": {"max": 500}, "interval": "1m"});
        analysis["metrics"]
            .as_array_mut()
            .into_iter()
            .for_each(|metrics| metrics.push(duration.clone()));
    }
    let spec = json!({
        "targetRef": {"kind": "Deployment", "name": "web"}, "service": {"port": 80}, "analysis": analysis,
    });
    let object = json!({"metadata": {"name": "web", "namespace": "bench"}, "spec": spec});
    match Object::<Canary>::from_value(&object) {
        Ok(canary) => Plan::of(&canary),
        Err(error) => unreachable!("the benchmark's own plan: {error}"),
    }
}

/// The rules by the names of their rows.
const SUBJECTS: [(&str, Rule, u32); 4] = [
    ("evidence", Rule::Sequential, 1),
    ("flagger, 10", Rule::Flagger, 10),
    ("flagger, 5", Rule::Flagger, 5),
    ("flagger, 1", Rule::Flagger, 1),
];

/// Runs all cases on all cores and prints the samples in the order of the cases, each as soon as those before it are there.
fn measure(alike: u64, worse: u64) {
    let cases = cases(alike, worse);
    let next = AtomicUsize::new(0);
    let tasks = cases.len() * SUBJECTS.len();
    let (send, receive) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            let (send, cases, next) = (send.clone(), &cases, &next);
            scope.spawn(move || {
                loop {
                    let task = next.fetch_add(1, Ordering::Relaxed);
                    let Some(case) = cases.get(task / SUBJECTS.len()) else { return };
                    let subject = &SUBJECTS[task % SUBJECTS.len()];
                    eprintln!("{:3} of {tasks}: {}, {}", task + 1, case.name, subject.0);
                    if send.send((task, samples(case, subject))).is_err() {
                        return;
                    }
                }
            });
        }
        drop(send);
        let mut waiting = BTreeMap::new();
        let mut due = 0;
        for (task, text) in receive {
            waiting.insert(task, text);
            while let Some(text) = waiting.remove(&due) {
                print!("{text}");
                due += 1;
            }
        }
    });
}

fn samples(case: &Case, (subject, rule, threshold): &(&str, Rule, u32)) -> String {
    // The claim about false alarms is about the evidence; for the thresholds fewer runs tell enough.
    let runs = match rule {
        Rule::Sequential => case.runs,
        Rule::Flagger => case.runs.min(2_000),
    } / ROUNDS;
    let mut text = String::new();
    for round in 0..ROUNDS {
        let setting = Setting {
            plan: plan(case, *threshold),
            service: case.service,
            runs,
            seed: SEED.wrapping_add(round * runs),
        };
        for (metric, unit, value) in values(&rehearse(&setting, *rule, |_| {})) {
            let sample = json!({"case": case.name, "subject": subject, "metric": metric, "unit": unit, "value": value});
            text.push_str(&format!("{sample}\n"));
        }
    }
    text
}

fn values(report: &Report) -> [(&'static str, &'static str, f64); 9] {
    let share = |count: u64| 100.0 * count as f64 / report.runs as f64;
    [
        ("aborted", "%", share(report.aborted)),
        ("promoted", "%", share(report.promoted)),
        ("inconclusive", "%", share(report.inconclusive)),
        ("time, median", "s", report.seconds.median as f64),
        ("time, p95", "s", report.seconds.p95 as f64),
        ("requests to the canary, median", "requests", report.canary_requests.median as f64),
        ("requests to the canary, p95", "requests", report.canary_requests.p95 as f64),
        ("errors of the canary, median", "errors", report.canary_errors.median as f64),
        ("errors of the canary, p95", "errors", report.canary_errors.p95 as f64),
    ]
}
