//! The arguments of `serin rehearse`.

use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;

use crate::cli::{Output, ViewArgs};

const ABOUT: &str = "\
Tell what a release plan would do.

Simulates a service whose new version has the errors and the latency that you describe, and releases it by the plan of a Canary \
(serin.dev or flagger.app) as often as you say: with the verdict by evidence (analysis.sequential), and with Flagger's \
thresholds on the same traffic. The same is done with a new version that is as good as the old one. Nothing is released.";

const EXAMPLES: &str = "\
Examples:
  serin rehearse canary.yaml                                    1 % errors instead of 0.1 %, 100 requests/s
  serin rehearse canary.yaml --rps 20 --errors '0.5%->2%'       a quieter and worse service
  serin rehearse canary.yaml --errors 0.1% --slower 1.3x        as many errors, but slower
  serin rehearse canary.yaml --burst 10 --runs 200 --output json

Latencies are log-normal with a median of 50 ms. A run ends when the plan promotes or rolls back, or after half an hour.

Exit codes: 0 simulated, 2 could not run.";

/// What to simulate.
#[derive(Debug, Args)]
#[command(about = "Tell what a release plan would do", long_about = ABOUT, after_help = EXAMPLES)]
pub(crate) struct RehearseArgs {
    /// The file with the Canary, or - for standard input
    #[arg(value_name = "CANARY.yaml")]
    pub(crate) path: PathBuf,

    /// The Canary, if there are several
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,

    /// Requests per second
    #[arg(long, default_value_t = 100.0, value_name = "N", value_parser = rate)]
    pub(crate) rps: f64,

    /// Share of errors, of the old version and of the new: 0.1%->1%, or one share for both
    #[arg(long, default_value = "0.1%->1%", value_name = "OLD->NEW")]
    pub(crate) errors: Errors,

    /// How many times as long the new version takes
    #[arg(long, default_value = "1x", value_name = "FACTOR")]
    pub(crate) slower: Slower,

    /// Requests of a session, which fail together
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub(crate) burst: u64,

    /// How many releases to simulate by each rule
    #[arg(long, default_value_t = 1000, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub(crate) runs: u64,

    /// The same seed gives the same runs
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub(crate) seed: u64,

    /// How to print the result
    #[arg(long, short, value_enum, default_value_t = Output::Text, value_name = "FORMAT")]
    pub(crate) output: Output,

    #[command(flatten)]
    pub(crate) view: ViewArgs,
}

/// Shares of errors, 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Errors {
    pub(crate) before: f64,
    pub(crate) after: f64,
}

impl FromStr for Errors {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (before, after) =
            text.split_once('→').or_else(|| text.split_once("->")).unwrap_or((text, text));
        Ok(Self { before: share(before)?, after: share(after)? })
    }
}

fn share(text: &str) -> Result<f64, String> {
    let text = text.trim();
    let (number, scale) = text.strip_suffix('%').map_or((text, 1.0), |number| (number, 100.0));
    let share = number.trim().parse::<f64>().map(|number| number / scale);
    share
        .ok()
        .filter(|share| (0.0..=1.0).contains(share))
        .ok_or_else(|| format!("{text:?} is not a share of errors, such as 0.1%"))
}

/// A factor.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Slower(pub(crate) f64);

impl FromStr for Slower {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = text.trim().trim_end_matches(['x', '×']).parse::<f64>();
        let factor = number.ok().filter(|factor| (0.01..=1000.0).contains(factor));
        factor.map(Self).ok_or_else(|| format!("{text:?} is not a factor, such as 1.3x"))
    }
}

fn rate(text: &str) -> Result<f64, String> {
    let rate = text.parse::<f64>().ok().filter(|rate| (0.0..=100_000.0).contains(rate));
    rate.ok_or_else(|| format!("{text:?} is not a number of requests per second from 0 to 100000"))
}
