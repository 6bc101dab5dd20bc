//! Development tasks. `cargo xtask --help` lists them; `cargo xtask ci` is the whole of continuous integration.
//!
//! Everything runs the same on a developer's machine and in CI. Tasks need cargo; tests also need the
//! programs that `cargo xtask tools` installs. Where a better tool is installed (`cargo nextest`, `cargo deny`) it is used and the output says so.

#![expect(
    clippy::print_stdout,
    reason = "a command line tool talks to its user on standard output"
)]

mod bench;
mod ci;
mod dist;
mod generate;
mod instructions;
mod licences;
mod readme;
mod steps;
mod testing;
mod tidy;
mod tiers;
mod tools;
mod workspace;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::steps::Steps;
use crate::workspace::Workspace;

/// Development tasks of Serin.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Runs every check and every test; what CI runs.
    Ci,
    /// Runs every test, with cargo nextest where it is installed.
    Test,
    /// Installs the programs that tests and benchmarks talk to, or says how to.
    Tools,
    /// Checks what the compiler does not: module docs, file lengths, tiers, licences, documents.
    Tidy,
    /// Gives the README's commands with an empty home.
    Readme,
    /// Writes the files that are made from code; with --check only says which ones are out of date.
    Generate {
        /// Writes nothing and fails if a file differs from what would be written.
        #[arg(long)]
        check: bool,
    },
    /// Builds the binary as it is given away, laid out by what a build of itself did under load.
    Dist,
    /// Measures; the names are listed when NAME is unknown.
    Bench {
        /// What to measure.
        name: String,
        /// Fewer rounds; ends within two minutes.
        #[arg(long)]
        quick: bool,
        /// Also writes the rows to FILE as JSON.
        #[arg(long, value_name = "FILE")]
        json: Option<PathBuf>,
        /// Of `instructions`: takes what is counted as what CI expects from here on.
        #[arg(long)]
        accept: bool,
    },
}

fn main() -> ExitCode {
    match run(Cli::parse().task) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            println!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}

/// Carries out one task; the answer is whether everything was in order.
fn run(task: Task) -> anyhow::Result<bool> {
    let workspace = Workspace::load()?;
    let mut steps = Steps::new();
    match task {
        Task::Ci => ci::run(&workspace, &mut steps),
        Task::Test => testing::run(&workspace, &mut steps),
        Task::Tools => {
            steps.run("tools", || tools::ensure(&workspace));
        }
        Task::Readme => {
            steps.run("readme", || readme::run(&workspace));
        }
        Task::Tidy => ci::tidy(&workspace, &mut steps),
        Task::Generate { check } => {
            steps.run("generate", || generate::run(&workspace, check));
        }
        Task::Dist => {
            println!("{}", dist::run(&workspace)?.display());
            return Ok(true);
        }
        Task::Bench { name, accept: true, .. } if name == instructions::BENCH => {
            return instructions::accept(&workspace).map(|()| true);
        }
        Task::Bench { name, quick, json, .. } => {
            return bench::run(&workspace, &name, quick, json.as_deref()).map(|()| true);
        }
    }
    Ok(steps.finish())
}
