//! `serin load`: requests at a rate, for demonstrations and for the webhooks of releases.

mod generate;
mod serve;

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use http::{HeaderName, HeaderValue, Method, Uri, header};

use crate::cli::LoadArgs;
use crate::terminal;

pub(crate) use generate::{Outcome, Progress, Wanted, generate};

/// Sends, or serves.
pub(crate) fn run(args: &LoadArgs, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    if let Some(address) = args.serve {
        return runtime.block_on(serve::serve(address, args.allow_commands, out));
    }
    let wanted = wanted(args)?;
    let stop = async {
        // Without a handler the process ends without a result.
        let _ = tokio::signal::ctrl_c().await;
    };
    let outcome = runtime.block_on(generate(&wanted, stop));
    terminal::print(args.output, &outcome, out, |out| text(&outcome, out))?;
    let errors = 100.0 * outcome.failed as f64 / outcome.requests.max(1) as f64;
    Ok(ExitCode::from(u8::from(args.max_errors.is_some_and(|most| errors > most))))
}

fn wanted(args: &LoadArgs) -> anyhow::Result<Wanted> {
    let url = args.url.as_deref().unwrap_or_default();
    let mut headers = Vec::new();
    for text in &args.header {
        let (name, value) =
            text.split_once(':').with_context(|| format!("--header {text:?} has no colon"))?;
        let name: HeaderName = name.trim().parse().with_context(|| format!("--header {text:?}"))?;
        let value: HeaderValue =
            value.trim().parse().with_context(|| format!("--header {text:?}"))?;
        headers.push((name, value));
    }
    let mut wanted = Wanted::of(url, args.rate, args.duration.to_std())?;
    wanted.method =
        args.method.parse::<Method>().with_context(|| format!("--method {:?}", args.method))?;
    wanted.headers = headers;
    wanted.body = args.body.clone().into();
    wanted.concurrency = args.concurrency.max(1);
    wanted.timeout = args.timeout.to_std();
    Ok(wanted)
}

impl Wanted {
    /// Requests to an address.
    pub(crate) fn of(url: &str, rate: f64, duration: Duration) -> anyhow::Result<Self> {
        let uri: Uri = url.parse().with_context(|| format!("{url:?} is no address"))?;
        if uri.scheme_str() != Some("http") || uri.host().is_none() {
            bail!("{url:?} does not begin with http:// and a host; TLS is not spoken here");
        }
        if !(rate > 0.0 && rate <= 100_000.0) {
            bail!("--rate {rate} is not between 0 and 100000 requests per second");
        }
        Ok(Self {
            uri,
            method: Method::GET,
            headers: Vec::new(),
            body: bytes::Bytes::new(),
            rate,
            duration,
            concurrency: 256,
            timeout: Duration::from_secs(10),
            progress: std::sync::Arc::default(),
        })
    }

    /// Whether the user gave a Host header.
    fn has_host(&self) -> bool {
        self.headers.iter().any(|(name, _)| name == header::HOST)
    }
}

fn text(outcome: &Outcome, out: &mut dyn Write) -> anyhow::Result<()> {
    writeln!(
        out,
        "{} requests in {:.1} s, {:.1} a second: {} succeeded, {} failed, {} missed",
        outcome.requests,
        outcome.seconds,
        outcome.requests as f64 / outcome.seconds.max(0.001),
        outcome.succeeded,
        outcome.failed,
        outcome.missed
    )?;
    for (status, count) in &outcome.statuses {
        writeln!(out, "  status {status}: {count}")?;
    }
    for (error, count) in &outcome.errors {
        writeln!(out, "  {error}: {count}")?;
    }
    let it = &outcome.latency;
    writeln!(
        out,
        "latency in ms: mean {:.2}, p50 {:.2}, p90 {:.2}, p95 {:.2}, p99 {:.2}, max {:.2}",
        it.mean, it.p50, it.p90, it.p95, it.p99, it.max
    )?;
    Ok(())
}
