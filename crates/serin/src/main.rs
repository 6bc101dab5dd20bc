//! The `serin` command: reads its arguments and files, asks the crates that decide, prints what they answer.
//!
//! Nothing here decides. A command is a function from its arguments to an exit code; it writes to the output it is given.
//! Exit codes: 0 in order, 1 the command found what it was told to look for, 2 it could not run.

mod apiserver;
mod backup;
mod canary;
mod check;
mod cli;
mod dashboard;
mod demo;
mod doctor;
mod down;
mod explain;
mod gateway;
mod help;
mod input;
mod install;
mod keys;
mod kubeconfig;
mod load;
mod memory;
mod metrics;
mod operator;
mod rehearse;
mod sample;
mod status;
mod terminal;
mod up;
mod world;

use std::io::{self, BufWriter, Write};
use std::process::ExitCode;

use clap::Parser;

use crate::cli::{Cli, Command};

/// Keeps less memory after load than the C library's, and is quicker where much is allocated: connections, HTTP/2.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    // The first process of a container is this program, too. It must come before any thread.
    if let Some(code) = serin_node::init::run(std::env::args_os()) {
        return code;
    }
    let cli = Cli::parse();
    // Not locked: other threads may write to standard output while a command runs.
    let mut out = BufWriter::new(io::stdout());
    let result = match &cli.command {
        Command::Check(args) => check::run(args, &mut out),
        Command::Explain(args) => explain::run(args, &mut out),
        Command::Apiserver(args) => apiserver::run(args, &mut out),
        Command::Backup(args) => backup::backup(args, &mut out),
        Command::Restore(args) => backup::restore(args, &mut out),
        Command::Gateway(args) => gateway::run(args, &mut out),
        Command::Canary(args) => canary::run(args, &mut out),
        Command::Demo(args) => demo::run(args, &mut out),
        Command::Load(args) => load::run(args, &mut out),
        Command::Operator(args) => operator::run(args, &mut out),
        Command::Install(args) => install::run(args, &mut out),
        Command::Rehearse(args) => rehearse::run(args, &mut out),
        Command::Sample(args) => sample::run(args, &mut out),
        Command::Up(args) => up::run(args, &mut out),
        Command::Down(args) => down::run(args, &mut out),
        Command::Dashboard(args) => dashboard::run(args, &mut out),
        Command::Doctor(args) if args.try_namespaces => doctor::try_namespaces(),
        Command::Doctor(args) => doctor::run(args, &mut out),
        Command::Completion(args) => help::completion(args, &mut out),
        Command::Man(args) => help::man(args, &mut out),
        Command::Status(args) => status::run(args, &mut out),
    };
    match result.and_then(|code| Ok(out.flush().map(|()| code)?)) {
        Ok(code) => code,
        // Whoever reads has read enough: `serin check | head` is in order.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            let mark = terminal::stderr_palette(cli.color()).error("error:");
            // There is nothing left to tell if standard error is closed too.
            let _ = writeln!(io::stderr(), "{mark} {}", told(&error));
            ExitCode::from(2)
        }
    }
}

/// The error with its causes. Some say theirs already.
fn told(error: &anyhow::Error) -> String {
    let mut told = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if told.is_empty() {
            told = cause;
        } else if !told.ends_with(&cause) {
            told = format!("{told}: {cause}");
        }
    }
    told
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_told_once() {
        let taken = || anyhow::anyhow!("it is taken");
        assert_eq!(told(&taken().context("cannot listen")), "cannot listen: it is taken");
        let says_so = taken().context("cannot listen: it is taken").context("cannot start");
        assert_eq!(told(&says_so), "cannot start: cannot listen: it is taken");
    }
}
