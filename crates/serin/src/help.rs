//! `serin completion` and `serin man`: what shells and `man` know of the commands, made from the command line's definition.

use std::io::Write;
use std::process::ExitCode;

use anyhow::Context;
use clap::CommandFactory as _;

use crate::cli::{Cli, CompletionArgs, ManArgs};

/// Prints a completion script.
pub(crate) fn completion(args: &CompletionArgs, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "serin", &mut script);
    out.write_all(&script)?;
    Ok(ExitCode::SUCCESS)
}

/// Writes the manual pages.
pub(crate) fn man(args: &ManArgs, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let shown = args.folder.display();
    std::fs::create_dir_all(&args.folder)
        .with_context(|| format!("cannot make the folder {shown}"))?;
    clap_mangen::generate_to(Cli::command().disable_help_subcommand(true), &args.folder)
        .with_context(|| format!("cannot write to {shown}"))?;
    writeln!(out, "wrote the manual pages to {shown}")?;
    Ok(ExitCode::SUCCESS)
}
