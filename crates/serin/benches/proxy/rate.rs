//! Load at a fixed rate, whatever the answers take (open loop), on 64 connections of HTTP/1.
//!
//! A request's latency counts from when it was sent, or from when it was due if no connection was free then. Several subjects get a fifth
//! of a second each in turn, so that what a shared core is denied for a while is denied to all of them.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

const CONNECTIONS: usize = 64;
const REQUEST: &[u8] = b"GET /1k HTTP/1.1\r\nhost: bench.test\r\n\r\n";
/// A subject's turn.
const TURN: Duration = Duration::from_millis(200);
/// So many of the first turns warm everything up.
const WARM_UP: usize = 2;

struct Connection {
    stream: TcpStream,
    /// When its request was sent or due.
    since: Option<Instant>,
    received: Vec<u8>,
}

struct Subject {
    connections: Vec<Connection>,
    latencies: Vec<Duration>,
}

/// Sends requests to each of the addresses for so many seconds, and prints a line for each: the latencies' percentiles in µs: 50, 99,
/// 99.9.
pub(crate) fn run(rate: &str, seconds: &str, addresses: &[&str]) -> anyhow::Result<()> {
    let interval = Duration::from_secs_f64(1.0 / rate.parse::<f64>()?);
    let length = Duration::from_secs(seconds.parse()?);
    let subjects = addresses.iter().map(|address| Subject::connect(address));
    let mut subjects = subjects.collect::<anyhow::Result<Vec<_>>>()?;
    let turns = length.as_millis().div_ceil(TURN.as_millis());
    for turn in 0..WARM_UP + usize::try_from(turns)? {
        for subject in &mut subjects {
            subject.load(interval)?;
            if turn + 1 == WARM_UP {
                subject.latencies.clear();
            }
        }
    }
    for subject in &mut subjects {
        println!("{}", subject.told()?);
    }
    Ok(())
}

impl Subject {
    fn connect(address: &str) -> anyhow::Result<Self> {
        let connect = || -> anyhow::Result<Connection> {
            let stream = TcpStream::connect(address)?;
            stream.set_nodelay(true)?;
            stream.set_nonblocking(true)?;
            Ok(Connection { stream, since: None, received: Vec::new() })
        };
        let connections = (0..CONNECTIONS).map(|_| connect()).collect::<Result<Vec<_>, _>>()?;
        Ok(Self { connections, latencies: Vec::new() })
    }

    /// One turn, until all answers are there.
    fn load(&mut self, interval: Duration) -> anyhow::Result<()> {
        let end = Instant::now() + TURN;
        let mut due = Instant::now();
        while due < end || self.connections.iter().any(|it| it.since.is_some()) {
            let now = Instant::now();
            while due <= now && due < end {
                let free = self.connections.iter_mut().find(|it| it.since.is_none());
                let Some(free) = free else { break };
                let is_late = now.duration_since(due) > interval;
                free.since = Some(if is_late { due } else { Instant::now() });
                free.stream.write_all(REQUEST).context("sending")?;
                due += interval;
            }
            let wait = if due < end { due.saturating_duration_since(Instant::now()) } else { TURN };
            wait_for_answers(&self.connections, wait)?;
            for connection in self.connections.iter_mut().filter(|it| it.since.is_some()) {
                self.latencies.extend(connection.read()?);
            }
        }
        Ok(())
    }

    /// The percentiles.
    fn told(&mut self) -> anyhow::Result<String> {
        ensure!(!self.latencies.is_empty(), "no answer came");
        self.latencies.sort_unstable();
        let at = |share: f64| {
            let place = (self.latencies.len() as f64 * share) as usize;
            self.latencies[place.min(self.latencies.len() - 1)].as_secs_f64() * 1e6
        };
        Ok(format!("{} {} {}", at(0.5), at(0.99), at(0.999)))
    }
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
