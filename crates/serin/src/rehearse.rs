//! `serin rehearse`: what a release plan would do on a simulated service.
//!
//! The steps and the verdict are those of the controller; only the service is made up. Twice each rule is asked: with a new
//! version that is as good as the old, and with the one that was described.

mod args;
#[cfg(test)]
mod tests;
mod text;

use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use serde::Serialize;
use serin_api::AnyObject;
use serin_api::load::Loader;
use serin_rollout::Plan;
use serin_rollout::rehearse::{self, Report, Rule, Service, Setting};

pub(crate) use args::RehearseArgs;

use crate::input;
use crate::terminal::{self, Palette};

/// What both rules do about one plan.
struct Rehearsal {
    plan: Plan,
    service: Service,
    seed: u64,
    rows: Vec<Row>,
}

/// What a rule does: about the version that was described, and about one that is as good as the old.
#[derive(Serialize)]
struct Row {
    #[serde(flatten)]
    described: Report,
    alike: Report,
    seed: u64,
}

/// Reads, simulates, prints.
pub(crate) fn run(args: &RehearseArgs, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let plan = plan(args)?;
    let service = Service {
        rate: args.rps,
        primary_errors: args.errors.before,
        canary_errors: args.errors.after,
        slower: args.slower.0,
        burst: args.burst.max(1),
    };
    let rehearsal = simulate(plan, service, args);
    let colors = terminal::stdout_colors(args.view.color);
    let text = |out: &mut dyn Write| Ok(text::write(&rehearsal, Palette { colors }, out)?);
    terminal::print(args.output, &rehearsal.rows, out, text)?;
    Ok(ExitCode::SUCCESS)
}

/// The plan of the Canary that the arguments name.
fn plan(args: &RehearseArgs) -> anyhow::Result<Plan> {
    let mut loader = Loader::new("default");
    for text in input::read(std::slice::from_ref(&args.path))? {
        let content = serin_api::yaml::decode(&text.content)
            .map_err(|_| anyhow::anyhow!("{} is not text", text.file))?;
        loader.add(&text.file, &content);
    }
    let loaded = loader.finish();
    let mut plans = loaded.readable().filter_map(|object| match object {
        AnyObject::Canary(canary) => Some(Plan::of(canary)),
        AnyObject::FlaggerCanary(canary) => Some(Plan::of_flagger(canary)),
        _ => None,
    });
    let wanted = |plan: &Plan| args.name.as_ref().is_none_or(|name| *name == plan.name);
    let mut plans: Vec<Plan> = plans.by_ref().filter(wanted).collect();
    let path = args.path.display();
    match plans.len() {
        0 => bail!("{}", nothing(&args.path, args.name.as_deref())),
        1 => plans.pop().context("one plan"),
        n => {
            let names: Vec<&str> = plans.iter().map(|plan| plan.name.as_str()).collect();
            bail!("{path} has {n} Canaries: name one of {} with --name", names.join(", "))
        }
    }
}

fn nothing(path: &Path, name: Option<&str>) -> String {
    let path = path.display();
    match name {
        Some(name) => {
            format!("{path} has no Canary {name} that can be read; `serin check {path}` tells more")
        }
        None => format!("{path} has no Canary that can be read; `serin check {path}` tells more"),
    }
}

fn simulate(plan: Plan, service: Service, args: &RehearseArgs) -> Rehearsal {
    let mut progress = Progress::new(4 * args.runs);
    let mut ask = |rule: Rule, service: Service| {
        let setting = Setting { plan: plan.clone(), service, runs: args.runs, seed: args.seed };
        rehearse::rehearse(&setting, rule, |_| progress.one_more())
    };
    let rows = [Rule::Sequential, Rule::Flagger].map(|rule| Row {
        described: ask(rule, service),
        alike: ask(rule, service.alike()),
        seed: args.seed,
    });
    progress.end();
    Rehearsal { plan, service, seed: args.seed, rows: rows.into() }
}

/// How far the simulation is, on a terminal and if it takes longer than a second.
struct Progress {
    all: u64,
    done: u64,
    told: Instant,
    is_shown: bool,
}

impl Progress {
    fn new(all: u64) -> Self {
        Self { all, done: 0, told: Instant::now(), is_shown: false }
    }

    fn one_more(&mut self) {
        self.done += 1;
        if self.told.elapsed() < Duration::from_secs(1) || !io::stderr().is_terminal() {
            return;
        }
        self.told = Instant::now();
        self.is_shown = true;
        // Whoever does not see it misses nothing.
        let _ = write!(io::stderr(), "\r{} of {} releases simulated", self.done, self.all);
    }

    fn end(&self) {
        if self.is_shown {
            let _ = write!(io::stderr(), "\r{:40}\r", "");
        }
    }
}
