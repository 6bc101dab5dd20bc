//! The arguments of `serin backup` and `serin restore`.

use std::path::PathBuf;

use clap::Args;

use super::ViewArgs;

const BACKUP_ABOUT: &str = "\
Copy the store of a server into a file.

With --kubeconfig the running server is asked, and goes on meanwhile: the copy shows one moment. With --data-dir the store itself is \
read, which no server may use at the time. The copy holds secrets and the private keys of the server: only its owner can read it, and \
it should stay so.";

const BACKUP_EXAMPLES: &str = "\
Examples:
  serin backup cluster.backup --kubeconfig ./kubeconfig
  serin backup cluster.backup --data-dir ./data

Exit codes: 0 done, 2 could not run.";

#[derive(Debug, Args)]
#[command(about = "Copy the store of a server into a file", long_about = BACKUP_ABOUT, after_help = BACKUP_EXAMPLES)]
pub(crate) struct BackupArgs {
    /// The file to write; one that is there is replaced when the copy is whole
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,

    /// The administrator's kubeconfig of the running server
    #[arg(long, value_name = "FILE", required_unless_present = "data_dir")]
    pub(crate) kubeconfig: Option<PathBuf>,

    /// The folder of the store of a server that does not run
    #[arg(long, value_name = "DIR", conflicts_with = "kubeconfig")]
    pub(crate) data_dir: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) view: ViewArgs,
}

const RESTORE_ABOUT: &str = "\
Make a store of a copy that `serin backup` wrote.

The folder must have no store yet. Objects, revisions, keys and tokens are as they were: kubeconfigs and certificates stay valid. A \
copy that is not whole is refused, and nothing is made.";

const RESTORE_EXAMPLES: &str = "\
Examples:
  serin restore cluster.backup --data-dir ./data
  serin apiserver --data-dir ./data --kubeconfig ./kubeconfig

Exit codes: 0 done, 2 could not run.";

#[derive(Debug, Args)]
#[command(about = "Make a store of a copy", long_about = RESTORE_ABOUT, after_help = RESTORE_EXAMPLES)]
pub(crate) struct RestoreArgs {
    /// The copy
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,

    /// The folder of the store to make
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: PathBuf,

    #[command(flatten)]
    pub(crate) view: ViewArgs,
}
