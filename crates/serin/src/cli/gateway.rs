//! The arguments of `serin gateway`.

use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, ValueEnum};
use serin_api::values::Duration;

use super::{ViewArgs, WorldArgs};

const ABOUT: &str = "\
Serve the Gateways of manifests.

Takes the manifests as the whole mesh and is its gateway: a reverse proxy that listens where Gateways say (Istio's and the Gateway \
API's), routes by VirtualServices and HTTPRoutes, and reaches ServiceEntries, WorkloadEntries and Services whose endpoints are \
among the manifests. When a file changes, the change is in force within a moment; connections stay open. What is wrong with the \
manifests goes to standard error and takes nothing else down.";

const EXAMPLES: &str = "\
Examples:
  serin gateway -f manifests/                            every Gateway of the folder, on the ports it names
  serin gateway -f manifests/ --port-map 80=8080         port 8080 in place of 80, for users other than root
  serin gateway -f manifests/ --labels istio=ingressgateway
                                                         only the Gateways that select this workload
  serin gateway -f manifests/ --address 127.0.0.1        for this machine only
  serin gateway -f manifests/ --access-log -             with a line for each request on standard output
  curl localhost:15000/stats/prometheus                  what it has counted

Once it serves, it prints one line that begins with `ready` and names the addresses. SIGTERM and SIGINT let requests under way
finish (--drain-time), a second signal ends at once; SIGHUP reads the manifests again.

Exit codes: 0 ended by a signal, 2 could not run.";

/// See [`ABOUT`].
#[derive(Debug, Args)]
#[command(about = "Serve the Gateways of manifests", long_about = ABOUT, after_help = EXAMPLES)]
pub(crate) struct GatewayArgs {
    /// Manifests: files, folders, or - for standard input [default: the current folder]
    #[arg(long = "file", short = 'f', value_name = "PATH", num_args = 1..)]
    pub(crate) files: Vec<PathBuf>,

    /// Serve only Gateways that select a workload with these labels: istio=ingressgateway
    #[arg(long, value_name = "LABELS")]
    pub(crate) labels: Option<String>,

    /// The address to listen on where a Gateway names none
    #[arg(long, value_name = "IP", default_value = "0.0.0.0")]
    pub(crate) address: IpAddr,

    /// Listen on another port than a Gateway names, 80=8080; may be repeated. 80=0 takes any free one
    #[arg(long, value_name = "PORT=PORT")]
    pub(crate) port_map: Vec<PortMap>,

    /// Threads that serve, each with connections of its own [default: the cores this process may use]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) workers: Option<u16>,

    /// How long requests under way may take to finish when the gateway ends
    #[arg(long, value_name = "DURATION", default_value = "45s")]
    pub(crate) drain_time: Duration,

    /// Where metrics, dumps and switches are served, on a loopback address; `off` for nowhere
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:15000")]
    pub(crate) admin: String,

    /// A port that answers health checks at /healthz/ready, on --address (Istio's gateways have 15021)
    #[arg(long, value_name = "PORT")]
    pub(crate) status_port: Option<u16>,

    /// Answer requests that carry this text in the header x-serin-explain with an explanation in the same header
    #[arg(long, value_name = "TOKEN")]
    pub(crate) explain_token: Option<String>,

    /// Log requests to this file, - for standard output [default: as Telemetry and mesh config say]
    #[arg(long, value_name = "FILE")]
    pub(crate) access_log: Option<String>,

    /// What a line of the access log holds, as an Envoy format string [default: Istio's]
    #[arg(long, value_name = "FORMAT", requires = "access_log")]
    pub(crate) access_log_format: Option<String>,

    /// Whether the access log is text or JSON
    #[arg(long, value_enum, value_name = "ENCODING", requires = "access_log")]
    pub(crate) access_log_encoding: Option<LogEncoding>,

    /// Report spans to this OpenTelemetry collector (OTLP over HTTP or HTTPS): http://localhost:4318/v1/traces
    #[arg(long, value_name = "URL")]
    pub(crate) traces: Option<String>,

    /// Percent of traces that begin here and are reported [default: a Telemetry's randomSamplingPercentage, or 1]
    #[arg(long, value_name = "PERCENT", requires = "traces")]
    pub(crate) trace_sampling: Option<f64>,

    /// Take the listening sockets over from the gateway that waits at this Unix socket, which then drains; wait there for the next
    #[arg(long, value_name = "SOCKET")]
    pub(crate) take_over: Option<PathBuf>,

    /// What is logged to standard error: error, warn, info, debug, trace, or per module as in info,serin_proxy=debug
    #[arg(long, value_name = "LEVEL", default_value = "info")]
    pub(crate) log_level: String,

    #[command(flatten)]
    pub(crate) world: WorldArgs,

    #[command(flatten)]
    pub(crate) view: ViewArgs,
}

/// The form of lines of an access log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogEncoding {
    /// A format string's text
    Text,
    /// An object on each line
    Json,
}

/// `80=8080`: a Gateway's port, and the one to listen on in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PortMap {
    /// The Gateway's.
    pub(crate) named: u16,
    /// The one that is bound; 0 is any that is free.
    pub(crate) bound: u16,
}

impl FromStr for PortMap {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let port = |text: &str| text.trim().parse::<u16>().ok();
        let pair = text.split_once('=').and_then(|(named, bound)| {
            Some(Self { named: port(named).filter(|port| *port > 0)?, bound: port(bound)? })
        });
        pair.ok_or_else(|| {
            "write the Gateway's port and the one to listen on, as in 80=8080".to_owned()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_map_is_two_ports() {
        let check = |text: &str, expect: Option<(u16, u16)>| {
            let found = text.parse::<PortMap>().ok().map(|it| (it.named, it.bound));
            assert_eq!(found, expect, "{text}");
        };
        check("80=8080", Some((80, 8080)));
        check("443=0", Some((443, 0)));
        check("0=80", None);
        check("80", None);
        check("80:8080", None);
        check("80=70000", None);
    }
}
