//! The arguments of `serin operator` and `serin install`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;

use super::{DashboardAddress, ViewArgs};

const ABOUT: &str = "\
Carry out the Canaries of a Kubernetes with Istio.

This is the controller that `serin up` has within: it shifts VirtualServices, copies requests, asks Prometheus, calls hooks, and promotes or \
rolls back. It takes Canaries of serin.dev/v1alpha1 and of flagger.app/v1beta1. Of several that run one acts: the one that holds the Lease.";

const EXAMPLES: &str = "\
Examples:
  serin install --image IMAGE | kubectl apply --server-side -f -   in the cluster
  serin operator --metrics-server http://127.0.0.1:9090 --lease default/serin-operator
                                                                   from here
  serin operator --leave-flagger --lease shop/serin-operator       beside Flagger, which keeps its own Canaries
  serin canary watch reviews                                       see a release

Prints one line that begins with `ready` when it works, with the link to its dashboard; ends on SIGTERM or SIGINT. Releases go on where they were when the next one starts.

Exit codes: 0 stopped by a signal, 2 could not run.";

/// See [`ABOUT`].
#[derive(Debug, Args)]
#[command(about = "Carry out the Canaries of a Kubernetes with Istio", long_about = ABOUT, after_help = EXAMPLES)]
pub(crate) struct OperatorArgs {
    /// The kubeconfig [default: $KUBECONFIG, ~/.kube/config, or the pod's own access]
    #[arg(long, value_name = "FILE")]
    pub(crate) kubeconfig: Option<PathBuf>,

    /// The context of the kubeconfig [default: its current one]
    #[arg(long, value_name = "NAME")]
    pub(crate) context: Option<String>,

    /// The Prometheus that scrapes Istio's proxies, for Canaries that name none
    #[arg(long, value_name = "URL", default_value = PROMETHEUS)]
    pub(crate) metrics_server: String,

    /// Where to serve metrics (under Flagger's names) and health; port 0 takes one that is free
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:8080")]
    pub(crate) listen: SocketAddr,

    /// The Lease that decides which of several controllers acts, in a namespace that exists; by default that of `serin install`
    #[arg(long, value_name = "NAMESPACE/NAME", default_value = "serin-system/serin-operator", value_parser = named)]
    pub(crate) lease: (String, String),

    /// Where the dashboard listens, or `off` [default: 127.0.0.1:15080, or a free port]
    #[arg(long, value_name = "ADDR:PORT")]
    pub(crate) dashboard_address: Option<DashboardAddress>,

    /// The Secret with the dashboard's token, which is made if it is not there; then the link is not printed with it
    #[arg(long, value_name = "NAMESPACE/NAME", value_parser = named)]
    pub(crate) dashboard_secret: Option<(String, String)>,

    /// Leave the Canaries of flagger.app to Flagger
    #[arg(long)]
    pub(crate) leave_flagger: bool,

    /// Who is told of every event of Canaries that have no event hook of their own
    #[arg(long, value_name = "URL")]
    pub(crate) event_webhook: Option<String>,

    /// The cluster's name in alerts
    #[arg(long, value_name = "NAME", default_value = "")]
    pub(crate) cluster_name: String,

    /// Prefixes of labels and annotations that primaries take over from their workloads, or * for all
    #[arg(long, value_name = "PREFIX,…", value_delimiter = ',')]
    pub(crate) include_label_prefix: Vec<String>,

    /// What to log on standard error: off, error, warn, info, debug or trace, or per part
    #[arg(long, default_value = "info", value_name = "LEVEL")]
    pub(crate) log_level: String,

    #[command(flatten)]
    pub(crate) view: ViewArgs,
}

/// Where Istio's own add-on has it.
const PROMETHEUS: &str = "http://prometheus.istio-system:9090";

fn named(text: &str) -> Result<(String, String), String> {
    match text.split_once('/') {
        Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() => {
            Ok((namespace.to_owned(), name.to_owned()))
        }
        _ => Err("it is written NAMESPACE/NAME".to_owned()),
    }
}

const INSTALL_ABOUT: &str = "\
Print what brings the controller of releases into a Kubernetes with Istio.

The definitions of Canary, MetricTemplate and AlertProvider, a namespace, a service account with just the rights that releases and \
their dashboard need, and `serin operator` as a Deployment. Nothing is sent anywhere: read it, then apply it. The dashboard listens in the \
pods only; `serin dashboard --installed` brings it here.";

const INSTALL_EXAMPLES: &str = "\
Examples:
  serin install --image registry.example/serin:1.0 | kubectl apply --server-side -f -
  serin install --image IMAGE --metrics-server http://prometheus.monitoring:9090 > serin.yaml
  serin install --image IMAGE --no-dashboard           with fewer rights: it reads nothing but what releases need
  serin install --image IMAGE --leave-flagger          where Flagger runs already: its definitions and Canaries stay its own

Exit codes: 0 printed, 2 could not.";

/// See [`INSTALL_ABOUT`].
#[derive(Debug, Args)]
#[command(about = "Print what brings the controller of releases into a Kubernetes", long_about = INSTALL_ABOUT, after_help = INSTALL_EXAMPLES)]
pub(crate) struct InstallArgs {
    /// The image of this program
    #[arg(long, value_name = "IMAGE")]
    pub(crate) image: String,

    /// The namespace that it runs in
    #[arg(long, short, value_name = "NAME", default_value = "serin-system")]
    pub(crate) namespace: String,

    /// How many run; one of them acts
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=9))]
    pub(crate) replicas: u16,

    /// The Prometheus that scrapes Istio's proxies, for Canaries that name none
    #[arg(long, value_name = "URL", default_value = PROMETHEUS)]
    pub(crate) metrics_server: String,

    /// Leave out the dashboard, and the rights to read what it shows
    #[arg(long)]
    pub(crate) no_dashboard: bool,

    /// Leave the Canaries of flagger.app, and their definitions, to Flagger
    #[arg(long)]
    pub(crate) leave_flagger: bool,
}
