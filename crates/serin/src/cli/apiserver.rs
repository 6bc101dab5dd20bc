//! The arguments of `serin apiserver`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;

use super::ViewArgs;

const ABOUT: &str = "\
Serve a Kubernetes API without a cluster.

kubectl and every client of Kubernetes can store, change and watch objects here: Kubernetes' own kinds, those of Istio, \
Flagger and the Gateway API, and any CustomResourceDefinition. Nothing runs the pods, and the controllers of workloads are not part \
of it. Whoever holds the kubeconfig may do everything; \
roles decide about everybody else.";

const EXAMPLES: &str = "\
Examples:
  serin apiserver --data-dir ./data --kubeconfig ./kubeconfig
  serin apiserver --in-memory --kubeconfig /tmp/kubeconfig --listen 127.0.0.1:0
  kubectl --kubeconfig ./kubeconfig get namespaces

Prints one line that begins with `ready` when it serves; ends on SIGTERM or SIGINT.

Exit codes: 0 stopped by a signal, 2 could not run.";

#[derive(Debug, Args)]
#[command(about = "Serve a Kubernetes API without a cluster", long_about = ABOUT, after_help = EXAMPLES)]
pub(crate) struct ApiServerArgs {
    /// The folder of the durable store; it is made if it is not there
    #[arg(
        long,
        value_name = "DIR",
        required_unless_present = "in_memory",
        conflicts_with = "in_memory"
    )]
    pub(crate) data_dir: Option<PathBuf>,

    /// Keep everything in memory: it ends with the process
    #[arg(long)]
    pub(crate) in_memory: bool,

    /// Where to write the administrator's kubeconfig; entries of others in it stay
    #[arg(long, value_name = "FILE")]
    pub(crate) kubeconfig: PathBuf,

    /// The address to serve at; port 0 takes one that is free
    #[arg(long, default_value = "127.0.0.1:6443", value_name = "ADDR:PORT")]
    pub(crate) listen: SocketAddr,

    /// Record every request in a file, one JSON object a line, without bodies
    #[arg(long, value_name = "FILE")]
    pub(crate) audit_log: Option<PathBuf>,

    /// What to log on standard error: off, error, warn, info, debug or trace, or per part
    #[arg(long, default_value = "info", value_name = "LEVEL")]
    pub(crate) log_level: String,

    #[command(flatten)]
    pub(crate) view: ViewArgs,
}
