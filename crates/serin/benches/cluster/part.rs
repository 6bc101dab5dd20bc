//! What this program does in a pod: it serves, it asks for the version, or it makes load.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use crate::ask::Asker;
use crate::report::quantile;

/// The first argument of this program in a pod.
pub(crate) const MARK: &str = "--part";
/// The port that it serves.
pub(crate) const PORT: u16 = 8080;
/// The pause between two questions.
const PAUSE: Duration = Duration::from_millis(2);
/// Load that is not counted.
const WARM_UP: Duration = Duration::from_secs(1);

pub(crate) fn run(words: &[&str]) -> anyhow::Result<()> {
    match words {
        ["serve", version] => serve(version),
        ["ask", told, address] => {
            let name = std::env::var("HOSTNAME").context("a pod has a name")?;
            keep_asking(Path::new(told), &name, Asker::new(address, address));
            Ok(())
        }
        ["load", told, address, connections, seconds] => {
            let seconds = Duration::from_secs(seconds.parse()?);
            load(Path::new(told), address, connections.parse()?, seconds)
        }
        _ => bail!("there is no such part: {words:?}"),
    }
}

/// Answers every request with the version.
fn serve(version: &str) -> anyhow::Result<()> {
    let listener = TcpListener::bind(("0.0.0.0", PORT))?;
    let body = "x".repeat(1024);
    let length = body.len();
    let answer = format!(
        "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nx-version: {version}\r\n\r\n{body}"
    );
    for stream in listener.incoming() {
        let (mut stream, answer) = (stream?, answer.clone());
        thread::spawn(move || {
            let _ = stream.set_nodelay(true);
            let (mut head, mut piece) = (Vec::new(), [0; 4096]);
            while let Ok(length @ 1..) = stream.read(&mut piece) {
                head.extend_from_slice(piece.get(..length).unwrap_or_default());
                if head.ends_with(b"\r\n\r\n") {
                    head.clear();
                    if stream.write_all(answer.as_bytes()).is_err() {
                        return;
                    }
                }
            }
        });
    }
    Ok(())
}

/// Asks every few milliseconds, and tells `NAME VERSION` whenever it is another than before.
pub(crate) fn keep_asking(told: &Path, name: &str, mut asker: Asker) {
    let Ok(socket) = UnixDatagram::unbound() else { return };
    let mut last = String::new();
    loop {
        // As long as nothing answers there is no version.
        if let Ok(version) = asker.ask()
            && version != last
        {
            // Nobody listens any more: that is the end.
            if socket.send_to(format!("{name} {version}").as_bytes(), told).is_err() {
                return;
            }
            last = version;
        }
        thread::sleep(PAUSE);
    }
}

/// Asks on several connections as fast as answers come; tells `begun`, and at the end how many there were and their latency.
fn load(told: &Path, address: &str, connections: usize, time: Duration) -> anyhow::Result<()> {
    let socket = UnixDatagram::unbound()?;
    let is_over = Arc::new(AtomicBool::new(false));
    let counts = Arc::new(AtomicBool::new(false));
    let ask = || {
        let (is_over, counts) = (Arc::clone(&is_over), Arc::clone(&counts));
        let mut asker = Asker::new(address, address);
        thread::spawn(move || {
            let (mut times, mut failed) = (Vec::new(), 0_usize);
            while !is_over.load(Ordering::Relaxed) {
                let begun = Instant::now();
                let answer = asker.ask();
                if counts.load(Ordering::Relaxed) {
                    match answer {
                        Ok(_) => times.push(begun.elapsed()),
                        Err(_) => failed += 1,
                    }
                }
            }
            (times, failed)
        })
    };
    let threads: Vec<_> = (0..connections).map(|_| ask()).collect();
    thread::sleep(WARM_UP);
    socket.send_to(b"begun", told)?;
    counts.store(true, Ordering::Relaxed);
    thread::sleep(time);
    counts.store(false, Ordering::Relaxed);
    socket.send_to(b"over", told)?;
    is_over.store(true, Ordering::Relaxed);
    let (mut times, mut failed) = (Vec::new(), 0);
    for thread in threads {
        let (of_thread, failures) = thread.join().map_err(|_| anyhow::anyhow!("a thread died"))?;
        times.extend(of_thread);
        failed += failures;
    }
    let (p50, p99) = (quantile(&mut times, 0.5), quantile(&mut times, 0.99));
    socket.send_to(format!("{} {failed} {p50} {p99}", times.len()).as_bytes(), told)?;
    Ok(())
}
