//! The arguments of `serin sample`.

use std::net::IpAddr;

use clap::Args;
use clap::builder::PossibleValue;
use clap::builder::PossibleValuesParser;

use super::ViewArgs;

const ABOUT: &str = "\
Run a small service to release.

The services that the samples' manifests are about: a bookshop (productpage, details, reviews, ratings), greet, chain, web, hello, \
echo. They stand in for the images of well-known manifests, and can misbehave on request, from the start by the options below, or at \
any time by `POST /misbehave` with the same names.";

const EXAMPLES: &str = "\
Examples:
  serin sample echo                              on port 8080 of this machine
  serin sample reviews --version v3 --port 9081  red stars
  serin sample web --version 1.16.1 --port 8080 --errors 5% --delay 200ms --jitter 50ms
  curl localhost:8080/misbehave                  what goes wrong on purpose
  curl localhost:8080/misbehave -d errors=50%    half of the requests fail from now on
  curl localhost:8080/misbehave -X DELETE        nothing any more

Every option has a variable: --crash-after 100 is SERIN_SAMPLE_CRASH_AFTER=100. Prints one line that begins with `ready` when it
serves, then one for each request; ends on SIGTERM or SIGINT when requests have their answers.

Exit codes: 0 stopped by a signal, 1 crashed on request, 2 could not run.";

#[derive(Debug, Args)]
#[command(
    about = "Run a small service to release",
    long_about = ABOUT,
    after_help = EXAMPLES,
    disable_version_flag = true
)]
pub(crate) struct SampleArgs {
    /// Which service
    #[arg(value_name = "NAME", value_parser = names(), hide_possible_values = false)]
    pub(crate) name: String,

    /// The version that it plays: v2, or 1.16.1 for web
    #[arg(long, value_name = "VERSION")]
    pub(crate) version: Option<String>,

    /// The port to listen at; 0 takes one that is free [default: that of the image it stands in for]
    #[arg(long, value_name = "PORT")]
    pub(crate) port: Option<u16>,

    /// The address to listen at [default: 127.0.0.1; in a pod 0.0.0.0]
    #[arg(long, value_name = "ADDR")]
    pub(crate) address: Option<IpAddr>,

    /// The service behind greet or chain: http://HOST:PORT/PATH
    #[arg(long, value_name = "URL")]
    pub(crate) upstream: Option<String>,

    /// What greet or chain calls itself
    #[arg(long, value_name = "NAME")]
    pub(crate) app: Option<String>,

    /// Print nothing for requests
    #[arg(long)]
    pub(crate) quiet: bool,

    #[command(flatten)]
    pub(crate) misbehaviour: MisbehaviourArgs,

    #[command(flatten)]
    pub(crate) view: ViewArgs,
}

/// What goes wrong on purpose. Read where it is used, as the variables are.
#[derive(Debug, Args)]
#[command(next_help_heading = "Misbehaviour")]
pub(crate) struct MisbehaviourArgs {
    /// The share of requests that fail: 5%
    #[arg(long, value_name = "SHARE")]
    pub(crate) errors: Option<String>,

    /// The status of those that fail [default: 500]
    #[arg(long, value_name = "CODE")]
    pub(crate) status: Option<String>,

    /// Answer so much later: 200ms
    #[arg(long, value_name = "TIME")]
    pub(crate) delay: Option<String>,

    /// Vary the delay by this, both ways
    #[arg(long, value_name = "TIME")]
    pub(crate) jitter: Option<String>,

    /// Burn so much processor time for every request
    #[arg(long, value_name = "TIME")]
    pub(crate) burn: Option<String>,

    /// Crash at this request (100), or after this time (30s)
    #[arg(long, value_name = "WHEN")]
    pub(crate) crash_after: Option<String>,

    /// Leave so much memory behind with every request: 1MiB
    #[arg(long, value_name = "SIZE")]
    pub(crate) leak: Option<String>,

    /// Let /health fail
    #[arg(long)]
    pub(crate) not_ready: bool,
}

fn names() -> PossibleValuesParser {
    let sleep = [("sleep", "waits until it is told to stop")];
    let names = serin_samples::NAMES.iter().copied().chain(sleep);
    PossibleValuesParser::new(names.map(|(name, what)| PossibleValue::new(name).help(what)))
}
