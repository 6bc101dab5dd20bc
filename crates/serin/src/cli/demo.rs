//! The arguments of `serin demo`.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::ViewArgs;

const ABOUT: &str = "\
See a release go right, and another be stopped.

Starts a cluster of its own on this machine (`serin up`), a bookshop in it and users who keep asking for its reviews. Then a good \
version of `reviews` is released: copies of requests first, then a growing share of the users, then everybody. Then a bad one, which is \
caught and rolled back. Nothing is staged: the same controller, proxies and requests as in earnest. Your kubeconfig is not touched.";

const EXAMPLES: &str = "\
Stories:
  release    a good version is promoted, a bad one is rolled back (the default)
  affinity   users who met the new version stay with it, by a cookie, while its share grows
  lanes      a request that enters a version meets the same version of the next service
  rolling    Kubernetes' own rolling update under load, forward and back
  mirror     the new version gets copies of requests before it gets users

Examples:
  serin demo                        about two minutes; Ctrl-C ends it and cleans up
  serin demo --fast                 shorter intervals
  serin demo --keep                 the cluster goes on after the story, to look around
  serin demo affinity --fast --json story.jsonl

--json writes one object a line: time, event, release, phase, weights, verdict, reason, user_requests, user_errors.

Exit codes: 0 the story ended as it should, 1 it did not, 2 could not run.";

/// See [`ABOUT`].
#[derive(Debug, Args)]
#[command(about = "See a release go right, and another be stopped", long_about = ABOUT, after_help = EXAMPLES)]
pub(crate) struct DemoArgs {
    /// What is told
    #[arg(value_enum, default_value_t = Story::Release, value_name = "STORY", hide_possible_values = true)]
    pub(crate) story: Story,

    /// Shorten the intervals
    #[arg(long)]
    pub(crate) fast: bool,

    /// Go on after the story, until Ctrl-C
    #[arg(long)]
    pub(crate) keep: bool,

    /// Requests of users per second
    #[arg(long, value_name = "NUMBER", default_value_t = 60, value_parser = clap::value_parser!(u32).range(10..=10_000))]
    pub(crate) rate: u32,

    /// Write what happens to this file, one JSON object a line
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,

    /// The folder of the cluster, which is deleted at the end [default: serin/demo in $XDG_STATE_HOME or ~/.local/state]
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,

    /// The address that the gateway listens on [default: the first of 127.0.0.1 to 127.0.0.9 where its port is free]
    #[arg(long, value_name = "IP")]
    pub(crate) gateway_address: Option<IpAddr>,

    #[command(flatten)]
    pub(crate) view: ViewArgs,
}

/// What is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Story {
    /// A good version and a bad one
    Release,
    /// Sessions that stay with their version
    Affinity,
    /// Versions that call their own version
    Lanes,
    /// Kubernetes' rolling update
    Rolling,
    /// Copies of requests
    Mirror,
}
