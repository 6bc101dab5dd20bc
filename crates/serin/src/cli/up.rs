//! The arguments of `serin up`, `serin down` and `serin status`.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;
use serin_api::values::Duration;

use super::{Output, ViewArgs};

const UP_ABOUT: &str = "\
Make this machine a cluster with a mesh.

Starts a Kubernetes API, the controllers of workloads, this machine as the only node, the mesh's control plane, an ingress gateway and \
the controller of releases, in one process and without a container engine. kubectl apply takes the manifests that people already \
have. Pods are processes in namespaces of their own; the mesh is their network. Needs Linux, and root or user namespaces.";

const UP_EXAMPLES: &str = "\
Examples:
  serin up                                  in the foreground; Ctrl-C ends the pods and the cluster
  serin up --detach                         returns when the cluster is ready; `serin down` ends it
  serin up -f manifests/                    applies them, and is ready when every pod is
  serin up --image 'reviews:*=./target/debug/reviews --port 9080'
                                            pods with this image run a program of yours
  kubectl apply -f bookinfo.yaml            the context `serin` of the kubeconfig is selected
  curl http://127.0.0.1/productpage         through the ingress gateway, once a Gateway is applied

Prints one line that begins with `ready` when the API, the mesh and the gateway serve: it tells where they and the dashboard are.
What it keeps is in the data directory: objects, images and logs survive a restart.

Exit codes: 0 ended by a signal or `serin down`, 2 could not run.";

/// See [`UP_ABOUT`].
#[derive(Debug, Args)]
#[command(about = "Make this machine a cluster with a mesh", long_about = UP_ABOUT, after_help = UP_EXAMPLES)]
pub(crate) struct UpArgs {
    /// Apply these manifests once the cluster runs: files, folders, or - for standard input
    #[arg(long = "file", short = 'f', value_name = "PATH", num_args = 1..)]
    pub(crate) files: Vec<PathBuf>,

    #[command(flatten)]
    pub(crate) place: PlaceArgs,

    /// The kubeconfig to write the cluster's context to; what else is in it stays [default: $KUBECONFIG, or ~/.kube/config]
    #[arg(long, value_name = "FILE")]
    pub(crate) kubeconfig: Option<PathBuf>,

    /// The address that the ingress gateway and Services of type LoadBalancer and NodePort listen on
    #[arg(long, value_name = "IP", default_value = "127.0.0.1")]
    pub(crate) gateway_address: IpAddr,

    /// The address that the API listens on; port 0 takes one that is free
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:0")]
    pub(crate) listen: SocketAddr,

    /// The address that the dashboard listens on, or `off`; port 0 takes one that is free [default: 127.0.0.1:15080, or a free port]
    #[arg(long, value_name = "ADDR:PORT|off")]
    pub(crate) dashboard_address: Option<DashboardAddress>,

    /// Leave Canaries to another controller: Flagger's, or `serin operator`
    #[arg(long)]
    pub(crate) no_operator: bool,

    /// Run a program for images of this name: 'reviews:*=./reviews --port 9080'; may be repeated
    #[arg(long, value_name = "IMAGE=COMMAND")]
    pub(crate) image: Vec<String>,

    /// A file with such lines
    #[arg(long, value_name = "FILE")]
    pub(crate) images: Option<PathBuf>,

    /// Return when the cluster is ready, and leave it running
    #[arg(long)]
    pub(crate) detach: bool,

    /// Threads that carry traffic [default: the cores this process may use]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) workers: Option<u16>,

    /// How long to wait for the pods of -f to be ready
    #[arg(long, value_name = "DURATION", default_value = "300s")]
    pub(crate) timeout: Duration,

    /// What to log on standard error: off, error, warn, info, debug or trace, or per part
    #[arg(long, default_value = "warn", value_name = "LEVEL")]
    pub(crate) log_level: String,

    #[command(flatten)]
    pub(crate) view: ViewArgs,
}

/// Where the dashboard listens, if it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DashboardAddress {
    /// There.
    At(SocketAddr),
    /// There is none.
    Off,
}

impl FromStr for DashboardAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "off" => Ok(Self::Off),
            _ => text.parse().map(Self::At).map_err(|_| {
                "write an address and a port, like 127.0.0.1:15080, or `off`".to_owned()
            }),
        }
    }
}

/// Which cluster of this machine.
#[derive(Clone, Debug, Args)]
pub(crate) struct PlaceArgs {
    /// The folder of the cluster: its objects, images and logs [default: serin/cluster in $XDG_STATE_HOME or ~/.local/state]
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
}

const DOWN_EXAMPLES: &str = "\
Examples:
  serin down                        the cluster of the default data directory
  serin down --data-dir ./shop      another one
  serin down --delete-data          forget its objects, images and logs as well

Exit codes: 0 it has ended, or was not running, 2 could not end it.";

/// End a cluster of `serin up`: its pods, then the process. What it wrote to the kubeconfig goes, too.
#[derive(Debug, Args)]
#[command(after_help = DOWN_EXAMPLES)]
pub(crate) struct DownArgs {
    #[command(flatten)]
    pub(crate) place: PlaceArgs,

    /// Delete the data directory once the cluster has ended
    #[arg(long)]
    pub(crate) delete_data: bool,

    /// How long the pods may take to end before they are killed
    #[arg(long, value_name = "DURATION", default_value = "60s")]
    pub(crate) timeout: Duration,

    #[command(flatten)]
    pub(crate) view: ViewArgs,
}

const DASHBOARD_EXAMPLES: &str = "\
Examples:
  serin dashboard                              the link, to open in a browser
  serin dashboard --open                       opens it
  serin dashboard --data-dir ./shop            of another cluster
  serin dashboard --installed --context prod   of a Kubernetes where `serin install` was applied, until Ctrl-C

The link has a token. That of `serin up` is good until the cluster ends; that of a Kubernetes stands in the Secret serin-dashboard.

Exit codes: 0 it was printed, 2 no cluster runs, or it has no dashboard.";

/// Print the link to the dashboard of a cluster of `serin up`, or bring that of a Kubernetes to this machine.
#[derive(Debug, Args)]
#[command(after_help = DASHBOARD_EXAMPLES)]
pub(crate) struct DashboardArgs {
    #[command(flatten)]
    pub(crate) place: PlaceArgs,

    /// The dashboard of the controller that `serin install` brought into a Kubernetes: forwards a port until Ctrl-C
    #[arg(long, conflicts_with = "data_dir")]
    pub(crate) installed: bool,

    /// The kubeconfig [default: $KUBECONFIG or ~/.kube/config]
    #[arg(long, value_name = "FILE", requires = "installed")]
    pub(crate) kubeconfig: Option<PathBuf>,

    /// The context of the kubeconfig [default: its current one]
    #[arg(long, value_name = "NAME", requires = "installed")]
    pub(crate) context: Option<String>,

    /// The namespace that the controller runs in
    #[arg(
        long,
        short,
        value_name = "NAME",
        default_value = "serin-system",
        requires = "installed"
    )]
    pub(crate) namespace: String,

    /// The port of this machine [default: 15080, or one that is free]
    #[arg(long, value_name = "PORT", requires = "installed")]
    pub(crate) port: Option<u16>,

    /// Open it in a browser
    #[arg(long)]
    pub(crate) open: bool,

    #[command(flatten)]
    pub(crate) view: ViewArgs,
}

const STATUS_EXAMPLES: &str = "\
Examples:
  serin status                      what runs where
  serin status --wait               until every pod is ready
  serin status --output json        for programs

Exit codes: 0 it runs (with --wait: and every pod is ready), 1 it does not, 2 could not tell.";

/// Tell whether a cluster of `serin up` runs, where, and how its pods are.
#[derive(Debug, Args)]
#[command(after_help = STATUS_EXAMPLES)]
pub(crate) struct StatusArgs {
    #[command(flatten)]
    pub(crate) place: PlaceArgs,

    /// Wait until the cluster runs and every pod is ready
    #[arg(long)]
    pub(crate) wait: bool,

    /// How long to wait
    #[arg(long, value_name = "DURATION", default_value = "300s")]
    pub(crate) timeout: Duration,

    /// How to print it
    #[arg(long, short, value_enum, default_value_t = Output::Text, value_name = "FORMAT")]
    pub(crate) output: Output,

    #[command(flatten)]
    pub(crate) view: ViewArgs,
}

const DOCTOR_EXAMPLES: &str = "\
Examples:
  serin doctor                      what is good, what is missing, and what to do
  serin doctor --output json        for programs

Exit codes: 0 `serin up` works here, 1 something is missing, 2 could not tell.";

/// Tell what this machine lacks for `serin up`, each with its remedy. Nothing is changed.
#[derive(Debug, Args)]
#[command(after_help = DOCTOR_EXAMPLES)]
pub(crate) struct DoctorArgs {
    #[command(flatten)]
    pub(crate) place: PlaceArgs,

    /// The address that the ingress gateway is to listen on
    #[arg(long, value_name = "IP", default_value = "127.0.0.1")]
    pub(crate) gateway_address: IpAddr,

    /// How to print it
    #[arg(long, short, value_enum, default_value_t = Output::Text, value_name = "FORMAT")]
    pub(crate) output: Output,

    /// Make the namespaces of a pod, and end
    #[arg(long, hide = true)]
    pub(crate) try_namespaces: bool,

    #[command(flatten)]
    pub(crate) view: ViewArgs,
}
