//! The arguments of `serin load`.

use std::net::SocketAddr;

use clap::Args;
use serin_api::values::Duration;

use super::{Output, ViewArgs};

const ABOUT: &str = "\
Send requests at a rate, or serve the gates and tasks of releases.

Requests are sent at their times, whether or not those before have their answers (an open loop), so that a slow service shows as \
slow. Latency counts from the time at which a request was due. With --serve it listens for the webhooks of releases instead.";

const EXAMPLES: &str = "\
Examples:
  serin load http://127.0.0.1/productpage --rate 100 --duration 1m
  serin load http://127.0.0.1:8080/ --header 'Host: shop.example' --max-errors 1 --output json
  serin load --serve 127.0.0.1:8090           gates and tasks for webhooks:
    POST /gate/check                          200 if the gate of the release in the body is open, else 403
    POST /gate/open, /gate/close              opens and closes it; gates are closed at first
    POST /gate/approve, /gate/halt            always 200, always 403
    POST /rollback/check, /open, /close       200 asks the release to roll back
    POST /                                    a task: metadata {\"type\": \"load\", \"url\": …, \"rate\": …, \"duration\": …};
                                              with --allow-commands also cmd and bash, with the command in \"cmd\"

Exit codes: 0 done, 1 more errors than --max-errors, 2 could not run.";

/// See [`ABOUT`].
#[derive(Debug, Args)]
#[command(about = "Send requests at a rate", long_about = ABOUT, after_help = EXAMPLES)]
pub(crate) struct LoadArgs {
    /// Where to send them: http://host:port/path
    #[arg(value_name = "URL", required_unless_present = "serve", conflicts_with = "serve")]
    pub(crate) url: Option<String>,

    /// Requests per second
    #[arg(long, short, value_name = "NUMBER", default_value_t = 10.0)]
    pub(crate) rate: f64,

    /// For how long
    #[arg(long, short, value_name = "TIME", default_value = "10s")]
    pub(crate) duration: Duration,

    /// Requests without an answer at any time; more are not sent and count as missed
    #[arg(long, short, value_name = "NUMBER", default_value_t = 256)]
    pub(crate) concurrency: usize,

    /// A request without an answer after this time has failed
    #[arg(long, value_name = "TIME", default_value = "10s")]
    pub(crate) timeout: Duration,

    /// The method
    #[arg(long, short = 'X', value_name = "METHOD", default_value = "GET")]
    pub(crate) method: String,

    /// A header, as 'name: value'; may be repeated
    #[arg(long, short = 'H', value_name = "HEADER")]
    pub(crate) header: Vec<String>,

    /// The body
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub(crate) body: String,

    /// Exit with 1 if more than so many percent of the requests failed
    #[arg(long, value_name = "PERCENT")]
    pub(crate) max_errors: Option<f64>,

    /// Listen here for the webhooks of releases
    #[arg(long, value_name = "ADDR:PORT")]
    pub(crate) serve: Option<SocketAddr>,

    /// Run the commands that webhooks bring: whoever can reach the address runs commands as you
    #[arg(long, requires = "serve")]
    pub(crate) allow_commands: bool,

    /// How to print the result
    #[arg(long, short, value_enum, default_value_t = Output::Text, value_name = "FORMAT")]
    pub(crate) output: Output,

    #[command(flatten)]
    pub(crate) view: ViewArgs,
}
