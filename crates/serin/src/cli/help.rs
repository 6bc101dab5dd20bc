//! The arguments of `serin completion` and `serin man`.

use std::path::PathBuf;

use clap::Args;
use clap_complete::Shell;

const COMPLETION_EXAMPLES: &str = "\
Examples:
  source <(serin completion bash)                                        in ~/.bashrc
  source <(serin completion zsh)                                         in ~/.zshrc
  serin completion fish > ~/.config/fish/completions/serin.fish

Exit codes: 0 printed, 2 could not.";

/// Print a script that completes commands in a shell.
#[derive(Debug, Args)]
#[command(after_help = COMPLETION_EXAMPLES)]
pub(crate) struct CompletionArgs {
    /// The shell
    #[arg(value_name = "SHELL")]
    pub(crate) shell: Shell,
}

const MAN_EXAMPLES: &str = "\
Examples:
  serin man ~/.local/share/man/man1 && man serin-up

Exit codes: 0 written, 2 could not write.";

/// Write the manual pages: one for `serin`, one for each command.
#[derive(Debug, Args)]
#[command(after_help = MAN_EXAMPLES)]
pub(crate) struct ManArgs {
    /// The folder to write them to; it is made if it is not there
    #[arg(value_name = "DIR")]
    pub(crate) folder: PathBuf,
}
