//! `cargo xtask bench routing`: what it costs to find a rule among many, to compile many, and to change one of many.
//!
//! Prints one JSON object per sample. Decisions are measured beside a linear scan of the same rules for the same requests,
//! which is what Envoy does. Where valgrind is installed, instructions are counted too: they vary less than time does.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "samples are printed")]

#[path = "routing/rules.rs"]
mod rules;

use std::hint::black_box;
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rules::{BenchRequest, Mix, Position, Steps};
use serin_routing::compiled::{CompiledModel, CompiledTable};
use serin_routing::decide::decide;
use serin_routing::matching::first_match;
use serin_routing::model::RouteTable;
use serin_routing::{Model, Scratch};

const SIZES: [usize; 3] = [10, 1_000, 10_000];

/// How long one run takes: short beside the time slices of an operating system.
const RUN: Duration = Duration::from_micros(300);

/// What is measured of a set of rules.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Subject {
    Index,
    Scan,
}

impl Subject {
    const ALL: [Self; 2] = [Self::Index, Self::Scan];

    const fn name(self) -> &'static str {
        match self {
            Self::Index => "decide",
            Self::Scan => "linear scan",
        }
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["count", mix, size, position, subject, repeats] => {
            count_of_arguments([mix, size, position, subject, repeats])
                .map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS)
        }
        ["--bench"] => run(&Plan::FULL),
        ["--quick", "--bench"] | ["--bench", "--quick"] => run(&Plan::QUICK),
        // As a test, all there is to find out is that it builds.
        [] => ExitCode::SUCCESS,
        other => {
            eprintln!("unknown arguments: {other:?}");
            ExitCode::FAILURE
        }
    }
}

/// How much is measured.
struct Plan {
    rounds: usize,
    /// Time for one sample of decisions.
    sample: Duration,
    /// Positions whose instructions are counted.
    counted: &'static [Position],
}

impl Plan {
    const FULL: Self =
        Self { rounds: 7, sample: Duration::from_millis(50), counted: &Position::ALL };
    const QUICK: Self =
        Self { rounds: 3, sample: Duration::from_millis(4), counted: &[Position::Last] };
}

fn run(plan: &Plan) -> ExitCode {
    let cases: Vec<Case> =
        Mix::ALL.iter().flat_map(|mix| SIZES.map(|size| Case::new(*mix, size))).collect();
    for round in 0..plan.rounds {
        eprintln!("round {} of {}", round + 1, plan.rounds);
        for case in &cases {
            for (position, requests) in &case.requests {
                for subject in Subject::ALL {
                    let nanoseconds = time_per_decision(case, requests, subject, plan.sample);
                    case.print(*position, subject, "time", "ns", nanoseconds);
                }
            }
        }
        time_compiling();
    }
    count_instructions(&cases, plan.counted);
    ExitCode::SUCCESS
}

/// Rules of one kind and number, with requests for each position.
struct Case {
    mix: Mix,
    size: usize,
    table: Arc<RouteTable>,
    model: CompiledModel,
    requests: Vec<(Position, Vec<BenchRequest>)>,
}

impl Case {
    fn new(mix: Mix, size: usize) -> Self {
        let table = rules::table(mix, size);
        let model = Model {
            route_tables: [(Arc::clone(&table.name), Arc::clone(&table))].into(),
            clusters: [("cluster".into(), rules::cluster())].into(),
            ..Model::default()
        };
        let requests =
            Position::ALL.map(|position| (position, rules::requests(mix, size, position)));
        Self {
            mix,
            size,
            table,
            model: CompiledModel::new(Arc::new(model)),
            requests: requests.into(),
        }
    }

    fn print(&self, position: Position, subject: Subject, metric: &str, unit: &str, value: f64) {
        let case = format!("{}, {} rules, {}", self.mix.name(), self.size, position.name());
        print_sample(&case, subject.name(), metric, unit, value);
    }

    /// Answers every request `repeats` times; returns how many found a rule.
    #[inline(never)]
    fn measured_decisions(
        &self,
        requests: &[BenchRequest],
        subject: Subject,
        repeats: usize,
    ) -> usize {
        match subject {
            Subject::Index => self.decide(requests, repeats),
            Subject::Scan => self.scan(requests, repeats),
        }
    }

    fn decide(&self, requests: &[BenchRequest], repeats: usize) -> usize {
        let (mut scratch, mut rng) = (Scratch::default(), Steps::default());
        let Some(table) = self.model.table(&self.table.name) else { return 0 };
        let mut found = 0;
        for _ in 0..repeats {
            for request in requests {
                let decision =
                    decide(&self.model, table, black_box(request), &mut scratch, &mut rng);
                found += usize::from(black_box(&decision).rule.is_some());
            }
        }
        found
    }

    fn scan(&self, requests: &[BenchRequest], repeats: usize) -> usize {
        let [host] = self.table.virtual_hosts.as_slice() else { return 0 };
        let mut found = 0;
        for _ in 0..repeats {
            for request in requests {
                found +=
                    usize::from(black_box(first_match(&host.routes, black_box(request))).is_some());
            }
        }
        found
    }
}

/// Nanoseconds for one decision: of several runs the quickest, which the fewest other processes have disturbed.
fn time_per_decision(
    case: &Case,
    requests: &[BenchRequest],
    subject: Subject,
    budget: Duration,
) -> f64 {
    let timed = |repeats: usize| {
        let start = Instant::now();
        black_box(case.measured_decisions(requests, subject, repeats));
        start.elapsed()
    };
    let once = timed(1).min(timed(1)).max(Duration::from_nanos(1));
    let repeats = (RUN.as_nanos() / once.as_nanos()).clamp(1, 100_000) as usize;
    let start = Instant::now();
    let mut best = timed(repeats);
    while start.elapsed() < budget {
        best = best.min(timed(repeats));
    }
    best.as_nanos() as f64 / (repeats * requests.len()) as f64
}

fn time_compiling() {
    let print = |case: &str, elapsed: Duration| {
        print_sample(case, "compile", "time", "ms", elapsed.as_secs_f64() * 1000.0)
    };
    // The quickest of three, which other processes have disturbed least.
    let timed = |work: &mut dyn FnMut() -> CompiledTable| {
        let runs = [(); 3].map(|()| {
            let start = Instant::now();
            let table = work();
            (start.elapsed(), table)
        });
        let [first, others @ ..] = runs;
        others.into_iter().fold(first, |best, run| if run.0 < best.0 { run } else { best })
    };
    for mix in Mix::ALL {
        let table = rules::table(mix, 10_000);
        let (elapsed, compiled) = timed(&mut || CompiledTable::new(Arc::clone(&table)));
        print(&format!("{}, 10000 rules of one virtual host", mix.name()), elapsed);
        let changed = rules::with_one_rule_changed(&table);
        let (elapsed, _) = timed(&mut || compiled.updated(Arc::clone(&changed)));
        print(&format!("{}, one rule of 10000 of one virtual host changed", mix.name()), elapsed);
    }
    let table = rules::many_hosts(10_000);
    let (elapsed, compiled) = timed(&mut || CompiledTable::new(Arc::clone(&table)));
    print("10000 virtual hosts of one rule", elapsed);
    let changed = rules::with_one_rule_changed(&table);
    let (elapsed, _) = timed(&mut || compiled.updated(Arc::clone(&changed)));
    print("one virtual host of 10000 changed", elapsed);
    let fewer = rules::with_one_host_less(&table);
    let (elapsed, _) = timed(&mut || compiled.updated(Arc::clone(&fewer)));
    print("one virtual host of 10000 removed", elapsed);
}

/// Counts instructions in a process of its own for each case.
fn count_instructions(cases: &[Case], positions: &[Position]) {
    if Command::new("valgrind").arg("--version").output().is_err() {
        eprintln!("valgrind is not installed: instructions are not counted");
        return;
    }
    for case in cases {
        for (position, requests) in
            case.requests.iter().filter(|(position, _)| positions.contains(position))
        {
            for subject in Subject::ALL {
                eprintln!(
                    "counting instructions: {}, {} rules, {}",
                    case.mix.name(),
                    case.size,
                    subject.name()
                );
                let repeats = if subject == Subject::Scan && case.size > 1_000 { 2 } else { 50 };
                match counted(case, *position, subject, repeats) {
                    Some(total) => {
                        let each = total as f64 / (repeats * requests.len()) as f64;
                        case.print(*position, subject, "instructions", "count", each);
                    }
                    None => eprintln!("valgrind did not tell how many instructions there were"),
                }
            }
        }
    }
}

fn counted(case: &Case, position: Position, subject: Subject, repeats: usize) -> Option<u64> {
    let output = Command::new("valgrind")
        .args([
            "--tool=callgrind",
            "--callgrind-out-file=/dev/null",
            "--toggle-collect=*measured_decisions*",
        ])
        .arg(std::env::current_exe().ok()?)
        .args([
            "count",
            case.mix.name(),
            &case.size.to_string(),
            position.name(),
            subject.name(),
            &repeats.to_string(),
        ])
        .output()
        .ok()?;
    let report = String::from_utf8(output.stderr).ok()?;
    let collected = report.lines().find_map(|line| line.split_once("Collected : "))?.1;
    collected.trim().parse().ok()
}

/// Runs under valgrind.
fn count_of_arguments([mix, size, position, subject, repeats]: [&&str; 5]) -> Option<()> {
    let mix = Mix::ALL.into_iter().find(|candidate| candidate.name() == *mix)?;
    let position = Position::ALL.into_iter().find(|candidate| candidate.name() == *position)?;
    let subject = Subject::ALL.into_iter().find(|candidate| candidate.name() == *subject)?;
    let case = Case::new(mix, size.parse().ok()?);
    let (_, requests) = case.requests.iter().find(|(candidate, _)| *candidate == position)?;
    black_box(case.measured_decisions(requests, subject, repeats.parse().ok()?));
    Some(())
}

fn print_sample(case: &str, subject: &str, metric: &str, unit: &str, value: f64) {
    let text = |text: &str| serde_json::Value::from(text);
    let value = serde_json::Value::from(value);
    let sample = [
        ("case", text(case)),
        ("subject", text(subject)),
        ("metric", text(metric)),
        ("unit", text(unit)),
        ("value", value),
    ];
    let sample: serde_json::Map<String, serde_json::Value> =
        sample.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    println!("{}", serde_json::Value::Object(sample));
}
