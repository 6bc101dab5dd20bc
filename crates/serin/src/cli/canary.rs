//! The arguments of `serin canary`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{Output, ViewArgs};

const ABOUT: &str = "\
See and steer releases.

Works on the Canaries (serin.dev/v1alpha1 and flagger.app/v1beta1) of the kubeconfig's cluster. Commands are left with the Canary as \
the annotation serin.dev/command; the controller obeys within a second and records the decision as an event.";

const EXAMPLES: &str = "\
Examples:
  serin canary list -A                     every release of the cluster
  serin canary show reviews -n shop        where it is, what it has seen, what would change its mind
  serin canary watch reviews               the same, live; Ctrl-C leaves, the release goes on
  serin canary watch reviews --until-end   for CI: ends with the release
  serin canary hold reviews                stay at this step; the analysis goes on
  serin canary promote reviews             promote without further checks
  serin canary abort reviews               all traffic back to the primary
  serin canary restart reviews             try the same version again from the first step
  serin canary show reviews --output json  for scripts

Exit codes: 0 done (with --until-end: promoted), 1 --until-end and rolled back, 2 could not run.";

/// See [`ABOUT`].
#[derive(Debug, Args)]
#[command(about = "See and steer releases", long_about = ABOUT, after_help = EXAMPLES, arg_required_else_help = true)]
pub(crate) struct CanaryArgs {
    #[command(subcommand)]
    pub(crate) command: CanaryCommand,

    /// The namespace [default: the context's]
    #[arg(long, short, value_name = "NAME", global = true)]
    pub(crate) namespace: Option<String>,

    /// The kubeconfig [default: $KUBECONFIG, or ~/.kube/config]
    #[arg(long, value_name = "FILE", global = true)]
    pub(crate) kubeconfig: Option<PathBuf>,

    /// The context of the kubeconfig [default: its current one]
    #[arg(long, value_name = "NAME", global = true)]
    pub(crate) context: Option<String>,

    #[command(flatten)]
    pub(crate) view: ViewArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum CanaryCommand {
    /// List releases
    List {
        /// Of all namespaces
        #[arg(long, short = 'A')]
        all_namespaces: bool,

        /// How to print them
        #[arg(long, short, value_enum, default_value_t = Output::Text, value_name = "FORMAT")]
        output: Output,
    },
    /// Tell where a release is, what it has seen and what comes next
    Show {
        /// The Canary
        name: String,

        /// How to print it
        #[arg(long, short, value_enum, default_value_t = Output::Text, value_name = "FORMAT")]
        output: Output,
    },
    /// Show a release live
    Watch {
        /// The Canary
        name: String,

        /// End with the release that is on its way, or that comes next: exit code 0 promoted, 1 rolled back
        #[arg(long)]
        until_end: bool,
    },
    /// Promote without further checks
    Promote {
        /// The Canary
        name: String,
    },
    /// Stay at the present step
    Hold {
        /// The Canary
        name: String,
    },
    /// Go on after a hold
    Resume {
        /// The Canary
        name: String,
    },
    /// Send all traffic back to the primary
    Abort {
        /// The Canary
        name: String,
    },
    /// Begin again from the first step
    Restart {
        /// The Canary
        name: String,
    },
    /// List the decisions of a release and their reasons
    History {
        /// The Canary
        name: String,

        /// How to print them
        #[arg(long, short, value_enum, default_value_t = Output::Text, value_name = "FORMAT")]
        output: Output,
    },
}
