//! Hot restart: a new process takes the listening sockets over from the one before, through a Unix socket.
//!
//! The new process connects, gets a line of JSON for each listener with its sockets as ancillary data (SCM_RIGHTS), and says
//! `serving` once it accepts from them. Only then does the old one stop accepting and drain. The sockets themselves never close, so
//! that no connection is refused. If the new process ends before it serves, the old one goes on as if nothing had been.

use std::io::{self, BufRead, BufReader, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg, sockopt,
};
use serde::{Deserialize, Serialize};
use serin_proxy::Sockets;
use tokio::sync::mpsc::UnboundedSender;

use super::admin::Order;

/// Time for the other process to answer.
const LIMIT: Duration = Duration::from_secs(10);
/// Descriptors in one message; the system takes 253.
const AT_A_TIME: usize = 64;
/// What the new process says once it serves.
const SERVING: &str = "serving";

/// A listener, as one line of JSON.
#[derive(Debug, Serialize, Deserialize)]
struct Line {
    listener: String,
    wanted: SocketAddr,
    sockets: usize,
}

/// The process before, if there is one.
pub(super) fn connect(path: &Path) -> anyhow::Result<Option<UnixStream>> {
    match UnixStream::connect(path) {
        Ok(stream) => Ok(Some(stream)),
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
            ) =>
        {
            Ok(None)
        }
        Err(error) => Err(error).with_context(|| format!("--take-over {}", path.display())),
    }
}

/// Takes the sockets.
pub(super) fn take(stream: UnixStream) -> anyhow::Result<(Vec<Sockets>, UnixStream)> {
    stream.set_read_timeout(Some(LIMIT))?;
    let (text, mut descriptors) =
        receive(&stream).context("the process before does not hand over")?;
    descriptors.reverse();
    let mut all = Vec::new();
    for line in text.lines().filter(|line| !line.is_empty()) {
        let line: Line = serde_json::from_str(line)
            .context("the process before hands over in another way; end it first")?;
        ensure!(
            line.sockets <= descriptors.len(),
            "the process before handed over too few sockets"
        );
        let taken = descriptors.split_off(descriptors.len() - line.sockets);
        let sockets = taken.into_iter().rev().map(TcpListener::from).collect();
        all.push(Sockets { listener: line.listener.into(), wanted: line.wanted, sockets });
    }
    Ok((all, stream))
}

/// Reads up to the empty line.
fn receive(stream: &UnixStream) -> anyhow::Result<(String, Vec<OwnedFd>)> {
    let (mut text, mut descriptors) = (Vec::new(), Vec::new());
    while !text.ends_with(b"\n\n") {
        let mut buffer = [0; 4096];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(AT_A_TIME))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let mut parts = [IoSliceMut::new(&mut buffer)];
        let got = recvmsg(stream, &mut parts, &mut ancillary, RecvFlags::CMSG_CLOEXEC)?;
        for message in ancillary.drain() {
            if let RecvAncillaryMessage::ScmRights(rights) = message {
                descriptors.extend(rights);
            }
        }
        if got.bytes == 0 {
            bail!("it ended in the middle");
        }
        text.extend_from_slice(buffer.get(..got.bytes).unwrap_or_default());
    }
    Ok((String::from_utf8(text)?, descriptors))
}

/// Tells the process before that this one serves, and waits for the next one.
pub(super) fn finish(
    path: Option<&Path>,
    before: Option<UnixStream>,
    orders: UnboundedSender<Order>,
) -> anyhow::Result<()> {
    let Some(path) = path else { return Ok(()) };
    if let Some(mut before) = before {
        // If it has ended by itself there is nobody to tell.
        let _ = writeln!(before, "{SERVING}");
    }
    let place = || format!("--take-over {}", path.display());
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(error).with_context(place);
        }
        _ => {}
    }
    let listener = UnixListener::bind(path).with_context(place)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).with_context(place)?;
    thread::Builder::new()
        .name("take-over".into())
        .spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if is_own(&stream) && orders.send(Order::HandOver(stream)).is_err() {
                    return;
                }
            }
        })
        .with_context(place)?;
    Ok(())
}

/// Whether the other process is of the same user, or root's.
fn is_own(stream: &UnixStream) -> bool {
    let own = rustix::process::geteuid();
    sockopt::socket_peercred(stream).is_ok_and(|peer| peer.uid == own || peer.uid.is_root())
}

/// Hands sockets to the next process, and orders this one to end once that one serves.
pub(super) fn give(
    next: UnixStream,
    sockets: io::Result<Vec<Sockets>>,
    orders: UnboundedSender<Order>,
) {
    let give = move || -> anyhow::Result<bool> {
        next.set_write_timeout(Some(LIMIT))?;
        for of_listener in sockets? {
            send(&next, &of_listener)?;
        }
        (&next).write_all(b"\n\n")?;
        let mut answer = String::new();
        BufReader::new((&next).take(64)).read_line(&mut answer)?;
        Ok(answer.trim() == SERVING)
    };
    // Whatever the next process does, this one serves meanwhile.
    let waiting = thread::Builder::new().name("hand-over".into()).spawn(move || match give() {
        Ok(true) => {
            tracing::info!("the next process serves");
            // The gateway may be ending already.
            let _ = orders.send(Order::Quit);
        }
        Ok(false) => {
            tracing::warn!("the next process has ended before it served; this one goes on")
        }
        Err(error) => {
            tracing::warn!(error = format!("{error:#}"), "handing over failed; this one goes on")
        }
    });
    if let Err(error) = waiting {
        tracing::warn!(%error, "handing over failed; this one goes on");
    }
}

fn send(next: &UnixStream, of_listener: &Sockets) -> anyhow::Result<()> {
    let line = Line {
        listener: of_listener.listener.to_string(),
        wanted: of_listener.wanted,
        sockets: of_listener.sockets.len(),
    };
    let mut text = serde_json::to_string(&line)?;
    let mut chunks = of_listener.sockets.chunks(AT_A_TIME);
    let first = chunks.next().unwrap_or_default();
    text.push('\n');
    // A byte must go with each message; blanks between lines of JSON do no harm.
    for (number, chunk) in std::iter::once(first).chain(chunks).enumerate() {
        let text = if number == 0 { " " } else { "  " };
        send_with(next, text.as_bytes(), chunk)?;
    }
    let mut next = next;
    next.write_all(text.as_bytes())?;
    Ok(())
}

fn send_with(next: &UnixStream, bytes: &[u8], sockets: &[TcpListener]) -> anyhow::Result<()> {
    let descriptors: Vec<_> = sockets.iter().map(AsFd::as_fd).collect();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(AT_A_TIME))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    ensure!(ancillary.push(SendAncillaryMessage::ScmRights(&descriptors)), "too many sockets");
    let sent = sendmsg(next, &[IoSlice::new(bytes)], &mut ancillary, SendFlags::NOSIGNAL)?;
    ensure!(sent == bytes.len(), "the next process takes nothing");
    Ok(())
}
