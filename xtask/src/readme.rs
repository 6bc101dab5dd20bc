//! The README's two commands, as somebody gives them who has never had to do with this repository: in an empty home.
//!
//! The second is what runs this very check, so only its first steps are taken again.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, ensure};

use crate::steps::Outcome;
use crate::workspace::Workspace;

/// The heading of the part that has the commands.
const PART: &str = "## Set up\n";

/// Gives the commands. What is compiled already is not compiled again; CI's checkout is a clean one.
pub(crate) fn run(workspace: &Workspace) -> anyhow::Result<Outcome> {
    let readme = fs::read_to_string(workspace.root.join("README.md"))?;
    let commands = commands(&readme);
    let [first, second] = commands[..] else {
        return Ok(
            vec![format!("README.md, Set up: there are two commands, not {commands:?}")].into()
        );
    };
    let home = tempfile::tempdir().context("cannot make a home")?;
    let stranger = |command: &str| -> anyhow::Result<bool> {
        let mut words = command.split(' ');
        let program = words.next().context("a command has a program")?;
        let mut command = Command::new(program);
        command.args(words).current_dir(&workspace.root);
        command.env("HOME", home.path()).envs(tools_of_rust());
        Ok(command.status().with_context(|| format!("cannot run {program}"))?.success())
    };
    ensure!(second == "cargo xtask ci", "README.md, Set up: every test is run by `cargo xtask ci`");
    ensure!(stranger("cargo xtask tidy")?, "`cargo xtask tidy` fails in an empty home");
    if !stranger("cargo run --quiet -- doctor")? {
        return Ok(Outcome::Skipped("this machine cannot run a cluster, as told above".to_owned()));
    }
    let started = Instant::now();
    ensure!(stranger(first)?, "`{first}` fails in an empty home");
    println!("    `{first}` took {} s", started.elapsed().as_secs());
    Ok(Outcome::Passed)
}

/// The commands of the part: lines that are set off by four blanks.
fn commands(readme: &str) -> Vec<&str> {
    let part = readme.split_once(PART).map_or("", |(_, rest)| rest);
    let part = part.split("\n## ").next().unwrap_or_default();
    part.lines().filter_map(|line| line.strip_prefix("    ")).collect()
}

/// Where cargo and the compiler are. They are installed for this machine, not for the stranger.
fn tools_of_rust() -> Vec<(&'static str, PathBuf)> {
    let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
    let place = |variable: &'static str, folder: &str| {
        let place = std::env::var_os(variable).map_or_else(|| home.join(folder), PathBuf::from);
        (variable, place)
    };
    [place("CARGO_HOME", ".cargo"), place("RUSTUP_HOME", ".rustup")]
        .into_iter()
        .filter(|(_, place)| Path::exists(place))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_those_of_the_part() {
        let readme = "# A\n\n    not this\n\n## Set up\n\nSee:\n\n    one -- two\n\nand\n\n    three\n\n## Next\n\n    nor this\n";
        assert_eq!(commands(readme), ["one -- two", "three"]);
    }
}
