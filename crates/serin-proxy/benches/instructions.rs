//! `cargo xtask bench instructions`: how many instructions and system calls the proxy spends on a request.
//!
//! The proxy runs in a process of its own under callgrind, with one worker and everything on that a gateway of Istio's has by
//! default. Requests come one after the other, so that the same happens each time; the counts of so many requests
//! divided by them are the samples. Unlike times they hardly vary from run to run, which makes them fit to be a limit.
//!
//! Needs valgrind. Prints one JSON object per sample.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "samples are printed")]

#[path = "instructions/backend.rs"]
mod backend;
#[path = "instructions/callgrind.rs"]
mod callgrind;
#[path = "instructions/clients.rs"]
mod clients;
#[path = "instructions/serve.rs"]
mod serve;

use std::process::ExitCode;

use anyhow::Context;

use backend::Backends;
use callgrind::{Counted, Proxy};
use clients::{Http1, Http2, Tls};

/// Rules of the small table: those of the manifest.
const FEW: usize = 3;
/// Rules of the large table.
const MANY: usize = 10_000;

/// The one of the binary.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let ended = match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [serve::COMMAND, rules, one, two, grpc] => serve::run(rules, [one, two, grpc]),
        ["--bench"] | ["--quick", "--bench"] | ["--bench", "--quick"] => measure(),
        // As a test, all there is to find out is that it builds.
        [] => Ok(()),
        other => Err(anyhow::anyhow!("unknown arguments: {other:?}")),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn measure() -> anyhow::Result<()> {
    let backends = Backends::start()?;
    let mut few = Proxy::start(FEW, &backends)?;
    kept_connections(&mut few)?;
    new_connections(&mut few)?;
    drop(few);
    let mut many = Proxy::start(MANY, &backends)?;
    let mut plain = Http1::plain(many.plain)?;
    sample("http/1 1 KiB, 10,000 rules", many.count(200, || plain.get("/1k"))?);
    Ok(())
}

fn kept_connections(proxy: &mut Proxy) -> anyhow::Result<()> {
    let mut plain = Http1::plain(proxy.plain)?;
    sample("http/1 0 B", proxy.count(400, || plain.get("/0"))?);
    sample("http/1 1 KiB", proxy.count(400, || plain.get("/1k"))?);
    sample("http/1 64 KiB", proxy.count(100, || plain.get("/64k"))?);
    drop(plain);
    let tls = Tls::new(proxy.authority())?;
    let mut secure = Http1::secure(&tls, proxy.tls)?;
    sample("http/1 tls 1 KiB", proxy.count(400, || secure.get("/1k"))?);
    drop(secure);
    let mut http2 = Http2::connect(proxy.plain)?;
    sample("http/2 1 KiB", proxy.count(400, || http2.get("/1k"))?);
    sample("http/2 1 KiB, 16 streams", proxy.count(400, || http2.get_many())?);
    sample("grpc", proxy.count(400, || http2.call())?);
    Ok(())
}

fn new_connections(proxy: &mut Proxy) -> anyhow::Result<()> {
    let (plain, secure) = (proxy.plain, proxy.tls);
    let once = || Http1::plain(plain)?.get_last("/0");
    sample("new connection", proxy.count(100, once)?);
    let tls = Tls::new(proxy.authority())?;
    let whole = || Http1::secure(&tls.anew()?, secure)?.get_last("/0");
    sample("new connection tls", proxy.count(20, whole)?);
    let resumed = || Http1::secure(&tls, secure)?.get_last("/0");
    sample("new connection tls, resumed", proxy.count(20, resumed)?);
    Ok(())
}

fn sample(case: &str, counted: Counted) {
    for (metric, value) in
        [("instructions", counted.instructions), ("system calls", counted.system_calls)]
    {
        println!(
            "{}",
            serde_json::json!({
                "case": case, "subject": "serin", "metric": metric, "unit": "per request", "value": value,
            })
        );
    }
}

/// This program.
fn own_path() -> anyhow::Result<std::path::PathBuf> {
    std::env::current_exe().context("this program has no path")
}
