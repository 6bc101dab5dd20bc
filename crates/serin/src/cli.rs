//! The command line: names, defaults and help. Says what was typed, not what it means.

mod apiserver;
mod backup;
mod canary;
mod demo;
mod gateway;
mod help;
mod load;
mod operator;
mod sample;
mod up;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use serin_api::Severity;

use crate::rehearse::RehearseArgs;

pub(crate) use apiserver::ApiServerArgs;
pub(crate) use backup::{BackupArgs, RestoreArgs};
pub(crate) use canary::{CanaryArgs, CanaryCommand};
pub(crate) use demo::{DemoArgs, Story};
pub(crate) use gateway::{GatewayArgs, LogEncoding};
pub(crate) use help::{CompletionArgs, ManArgs};
pub(crate) use load::LoadArgs;
pub(crate) use operator::{InstallArgs, OperatorArgs};
pub(crate) use sample::SampleArgs;
pub(crate) use up::{
    DashboardAddress, DashboardArgs, DoctorArgs, DownArgs, PlaceArgs, StatusArgs, UpArgs,
};

/// Serin releases new versions of HTTP and gRPC services safely.
#[derive(Debug, Parser)]
#[command(
    name = "serin",
    version,
    max_term_width = 100,
    arg_required_else_help = true,
    subcommand_required = true,
    after_help = "\
Exit codes: 0 in order, 1 `serin check` found something, 2 could not run.

`serin help COMMAND` has examples."
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

impl Cli {
    /// When to use colours.
    pub(crate) const fn color(&self) -> When {
        match &self.command {
            Command::Check(args) => args.view.color,
            Command::Explain(args) => args.view.color,
            Command::Apiserver(args) => args.view.color,
            Command::Gateway(args) => args.view.color,
            Command::Rehearse(args) => args.view.color,
            Command::Canary(args) => args.view.color,
            Command::Load(args) => args.view.color,
            Command::Demo(args) => args.view.color,
            Command::Sample(args) => args.view.color,
            Command::Up(args) => args.view.color,
            Command::Down(args) => args.view.color,
            Command::Status(args) => args.view.color,
            Command::Dashboard(args) => args.view.color,
            Command::Doctor(args) => args.view.color,
            Command::Backup(args) => args.view.color,
            Command::Restore(args) => args.view.color,
            Command::Operator(args) => args.view.color,
            Command::Install(_) | Command::Completion(_) | Command::Man(_) => When::Auto,
        }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// See a release go right, and another be stopped
    Demo(DemoArgs),
    /// Make this machine a cluster with a mesh
    Up(Box<UpArgs>),
    /// End a cluster of `serin up`
    Down(DownArgs),
    /// Tell whether a cluster of `serin up` runs, and how its pods are
    Status(StatusArgs),
    /// Print the link to the dashboard of a cluster
    Dashboard(DashboardArgs),
    /// Tell what this machine lacks for `serin up`
    Doctor(DoctorArgs),
    /// Tell what is wrong with manifests
    Check(CheckArgs),
    /// Tell which way a request goes, and why
    Explain(ExplainArgs),
    /// Serve the Gateways of manifests
    Gateway(Box<GatewayArgs>),
    /// See and steer releases
    Canary(CanaryArgs),
    /// Carry out the Canaries of a Kubernetes with Istio
    Operator(OperatorArgs),
    /// Print what brings the controller of releases into a Kubernetes
    Install(InstallArgs),
    /// Tell what a release plan would do
    Rehearse(RehearseArgs),
    /// Send requests at a rate, or serve the gates of releases
    Load(Box<LoadArgs>),
    /// Run a small service to release
    Sample(Box<SampleArgs>),
    /// Serve a Kubernetes API without a cluster
    Apiserver(ApiServerArgs),
    /// Copy the store of a server into a file
    Backup(BackupArgs),
    /// Make a store of such a copy
    Restore(RestoreArgs),
    /// Print a script that completes commands in a shell
    Completion(CompletionArgs),
    /// Write the manual pages
    Man(ManArgs),
}

const CHECK_ABOUT: &str = "\
Tell what is wrong with manifests.

Reads Kubernetes, Istio and Gateway API objects and reports YAML and schema errors, what Istio's admission refuses, Istio's \
analysis messages (IST…) and findings of Serin's own (SRN…), each with its place and what to do. Nothing is sent \
anywhere and no cluster is needed.";

const CHECK_EXAMPLES: &str = "\
Examples:
  serin check manifests/                     all *.yaml, *.yml and *.json in a folder and below
  serin check base.yaml routes.yaml          two files, judged together
  kustomize build . | serin check -          standard input
  serin check --namespace shop manifests/    objects without a namespace belong to shop
  serin check --fail-on warning manifests/   for CI: warnings fail, too
  serin check --output sarif . > out.sarif   for code scanning

Exit codes: 0 nothing at or above --fail-on, 1 something, 2 could not run.";

#[derive(Debug, Args)]
#[command(about = "Tell what is wrong with manifests", long_about = CHECK_ABOUT, after_help = CHECK_EXAMPLES)]
pub(crate) struct CheckArgs {
    /// Files, folders (read with everything below them), or - for standard input
    #[arg(value_name = "PATH", required = true)]
    pub(crate) paths: Vec<PathBuf>,

    /// How to print the findings
    #[arg(long, short, value_enum, default_value_t = CheckOutput::Text, value_name = "FORMAT")]
    pub(crate) output: CheckOutput,

    /// The least severity that makes the exit code 1
    #[arg(long, value_enum, default_value_t = Threshold::Error, value_name = "SEVERITY")]
    pub(crate) fail_on: Threshold,

    #[command(flatten)]
    pub(crate) world: WorldArgs,

    #[command(flatten)]
    pub(crate) view: ViewArgs,
}

const EXPLAIN_ABOUT: &str = "\
Tell which way a request goes, and why.

Takes the manifests as the whole mesh and answers what the proxy of a workload, or a gateway, does with a request: the \
listener, the virtual host, every rule that was passed over with the first of its conditions that failed, the rule that was \
taken, the destinations with their weights, and what happens to the request on its way, or the error it gets. Nothing is sent.";

const EXPLAIN_EXAMPLES: &str = "\
Examples:
  serin explain -f manifests/ --from app=web,version=v1 http://reviews:9080/reviews/1
  serin explain -f manifests/ --from-gateway istio=ingressgateway -H 'end-user: jason' GET http://shop.example/
  serin explain -f manifests/ --calls calls.json --output json

The URL's host and port are those that the client uses: a service's name and port in the mesh, a host name and the gateway's
port from outside. The workload or gateway is the one in --namespace, or the only one with these labels. Without --from and --from-gateway the request comes from a workload without labels.

Exit codes: 0 answered (an error that a request gets is an answer, too), 2 could not run.";

#[derive(Debug, Args)]
#[command(
    about = "Tell which way a request goes, and why",
    long_about = EXPLAIN_ABOUT,
    after_help = EXPLAIN_EXAMPLES,
    override_usage = "serin explain [OPTIONS] [-f PATH]... [METHOD] URL\n       \
                      serin explain [OPTIONS] [-f PATH]... --calls FILE"
)]
pub(crate) struct ExplainArgs {
    /// The request: a method (GET if left out) and a URL
    #[arg(value_names = ["METHOD", "URL"], num_args = 0..=2)]
    pub(crate) request: Vec<String>,

    /// Manifests: files, folders, or - for standard input [default: the current folder]
    #[arg(long = "file", short = 'f', value_name = "PATH", num_args = 1..)]
    pub(crate) files: Vec<PathBuf>,

    /// A header of the request, as 'name: value'; may be repeated
    #[arg(long, short = 'H', value_name = "HEADER")]
    pub(crate) header: Vec<String>,

    /// Labels of the workload that sends the request: app=web,version=v1
    #[arg(long, value_name = "LABELS", conflicts_with = "from_gateway")]
    pub(crate) from: Option<String>,

    /// Labels of the gateway that receives the request: istio=ingressgateway
    #[arg(long, value_name = "LABELS")]
    pub(crate) from_gateway: Option<String>,

    /// Many requests from one reading of the manifests: a JSON file, see docs/explain.md
    #[arg(long, value_name = "FILE", conflicts_with_all = ["request", "header", "from", "from_gateway"])]
    pub(crate) calls: Option<PathBuf>,

    /// How to print the answer
    #[arg(long, short, value_enum, default_value_t = Output::Text, value_name = "FORMAT")]
    pub(crate) output: Output,

    #[command(flatten)]
    pub(crate) world: WorldArgs,

    #[command(flatten)]
    pub(crate) view: ViewArgs,
}

/// What the manifests leave open.
#[derive(Debug, Args)]
pub(crate) struct WorldArgs {
    /// The namespace of objects that state none [default: default]
    #[arg(long, short, value_name = "NAME")]
    pub(crate) namespace: Option<String>,

    /// Istio's mesh configuration (YAML), as in the ConfigMap `istio`
    #[arg(long, value_name = "FILE")]
    pub(crate) mesh_config: Option<PathBuf>,

    /// The DNS domain of the Kubernetes cluster
    #[arg(long, default_value = "cluster.local", value_name = "DOMAIN")]
    pub(crate) cluster_domain: String,
}

impl WorldArgs {
    /// The namespace of objects that state none.
    pub(crate) fn default_namespace(&self) -> &str {
        self.namespace.as_deref().unwrap_or("default")
    }
}

/// How output looks.
#[derive(Debug, Args)]
pub(crate) struct ViewArgs {
    /// Whether to use colours; auto means on a terminal, unless NO_COLOR is set
    #[arg(long, value_enum, default_value_t = When::Auto, value_name = "WHEN")]
    pub(crate) color: When,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum CheckOutput {
    /// For people
    #[value(alias = "table")]
    Text,
    /// For programs
    Json,
    /// The same as YAML
    Yaml,
    /// SARIF 2.1.0, for code scanning
    Sarif,
}

/// How an answer is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// For people
    #[value(alias = "table")]
    Text,
    /// For programs
    Json,
    /// The same as YAML
    Yaml,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum When {
    /// On a terminal
    Auto,
    /// Even into a file
    Always,
    /// Not at all
    Never,
}

/// The names of [`Severity`] on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Threshold {
    /// Only errors
    Error,
    /// Warnings and errors
    Warning,
    /// Anything at all
    Info,
}

impl Threshold {
    /// The least severity that counts.
    pub(crate) const fn severity(self) -> Severity {
        match self {
            Self::Error => Severity::Error,
            Self::Warning => Severity::Warning,
            Self::Info => Severity::Info,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_teaches_by_example() {
        for command in Cli::command().get_subcommands() {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.contains("Examples:\n"), "{} has no examples", command.get_name());
            assert!(help.contains("Exit codes:"), "{} has no exit codes", command.get_name());
        }
    }
}
