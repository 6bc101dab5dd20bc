//! Load at a fixed rate, whatever the answers take (open loop), on 64 connections of HTTP/1.
//!
//! A request's latency counts from when it was sent, or from when it was due if no connection was free then.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

const CONNECTIONS: usize = 64;
const REQUEST: &[u8] = b"GET /1k HTTP/1.1\r\nhost: bench.test\r\n\r\n";

struct Connection {
    stream: TcpStream,
    /// When its request was sent or due.
    since: Option<Instant>,
    received: Vec<u8>,
}

/// Sends requests and prints the latencies' percentiles in µs: 50, 99, 99.9.
pub(crate) fn run(address: &str, rate: &str, seconds: &str) -> anyhow::Result<()> {
    let interval = Duration::from_secs_f64(1.0 / rate.parse::<f64>()?);
    let length = Duration::from_secs(seconds.parse()?);
    let connect = || -> anyhow::Result<Connection> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        Ok(Connection { stream, since: None, received: Vec::new() })
    };
    let mut connections = (0..CONNECTIONS).map(|_| connect()).collect::<Result<Vec<_>, _>>()?;
    let mut latencies = Vec::new();
    let begin = Instant::now();
    let mut due = begin;
    while begin.elapsed() < length {
        let now = Instant::now();
        while due <= now {
            let Some(free) = connections.iter_mut().find(|it| it.since.is_none()) else { break };
            let is_late = now.duration_since(due) > interval;
            free.since = Some(if is_late { due } else { Instant::now() });
            free.stream.write_all(REQUEST).context("sending")?;
            due += interval;
        }
        let wait = due.saturating_duration_since(Instant::now());
        wait_for_answers(&connections, wait)?;
        for connection in connections.iter_mut().filter(|it| it.since.is_some()) {
            latencies.extend(connection.read()?);
        }
    }
    ensure!(!latencies.is_empty(), "no answer came");
    // The first tenth warms everything up.
    latencies.drain(..latencies.len() / 10);
    latencies.sort_unstable();
    let at = |share: f64| {
        let place = (latencies.len() as f64 * share) as usize;
        latencies[place.min(latencies.len() - 1)].as_secs_f64() * 1e6
    };
    println!("{} {} {}", at(0.5), at(0.99), at(0.999));
    Ok(())
}

fn wait_for_answers(connections: &[Connection], wait: Duration) -> anyhow::Result<()> {
    let busy = connections.iter().filter(|it| it.since.is_some());
    let mut watched: Vec<_> = busy.map(|it| PollFd::new(&it.stream, PollFlags::IN)).collect();
    let wait = Timespec { tv_sec: 0, tv_nsec: i64::from(wait.subsec_nanos()) };
    poll(&mut watched, Some(&wait))?;
    Ok(())
}

impl Connection {
    /// The latency of its request, if the answer is complete.
    fn read(&mut self) -> anyhow::Result<Option<Duration>> {
        let mut buffer = [0; 4096];
        match self.stream.read(&mut buffer) {
            Ok(0) => anyhow::bail!("the connection was closed"),
            Ok(count) => self.received.extend_from_slice(&buffer[..count]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
            Err(error) => return Err(error.into()),
        }
        let end = self.received.windows(4).position(|four| four == b"\r\n\r\n");
        if end.is_none_or(|end| self.received.len() < end + 4 + 1024) {
            return Ok(None);
        }
        ensure!(self.received.starts_with(b"HTTP/1.1 200"), "an answer is not 200");
        self.received.clear();
        Ok(self.since.take().map(|since| since.elapsed()))
    }
}
