//! What flows between people and containers: standard streams, terminals, and programs run beside a container's own.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::termios::{Winsize, tcsetwinsize};
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::unix::pipe;

use crate::init::{Launch, Place as Where};
use crate::process::{Output, Process, StartError};
use crate::running::Place;

/// A pipe to the standard input of a process that does not run yet.
#[derive(Debug)]
pub(crate) struct Stdin {
    ours: pipe::Sender,
    theirs: OwnedFd,
}

impl Stdin {
    pub(crate) fn open() -> io::Result<Self> {
        let (theirs, ours) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
        Ok(Self { ours: pipe::Sender::from_owned_fd(ours)?, theirs })
    }

    /// How the process opens its end.
    pub(crate) fn path(&self) -> PathBuf {
        use std::os::fd::AsRawFd as _;
        PathBuf::from(format!("/proc/{}/fd/{}", std::process::id(), self.theirs.as_raw_fd()))
    }
}

/// The standard input and terminal of a process that has begun.
#[derive(Debug, Default)]
pub(crate) struct Io {
    /// Its standard input, until it is closed.
    stdin: tokio::sync::Mutex<Option<pipe::Sender>>,
    /// Its terminal.
    terminal: Option<Terminal>,
}

impl Io {
    /// The process holds its own end of its standard input now, and this side lets go of it.
    pub(crate) fn new(stdin: Option<Stdin>, terminal: Option<Terminal>) -> Self {
        Self { stdin: tokio::sync::Mutex::new(stdin.map(|stdin| stdin.ours)), terminal }
    }

    /// Its terminal.
    pub(crate) const fn terminal(&self) -> Option<&Terminal> {
        self.terminal.as_ref()
    }

    /// Writes to its standard input; nothing happens where it has none.
    pub(crate) async fn write(&self, bytes: &[u8]) -> io::Result<()> {
        if let Some(terminal) = &self.terminal {
            return terminal.clone().write_all(bytes).await;
        }
        match self.stdin.lock().await.as_mut() {
            Some(stdin) => stdin.write_all(bytes).await,
            None => Ok(()),
        }
    }

    /// Ends its standard input. A terminal is told by the character that says so.
    pub(crate) async fn close(&self) {
        if let Some(terminal) = &self.terminal {
            // Who has gone needs no end.
            let _ = terminal.clone().write_all(&[4]).await;
        }
        self.stdin.lock().await.take();
    }
}

/// The controlling side of a terminal. Clones are the same terminal.
#[derive(Clone, Debug)]
pub(crate) struct Terminal {
    fd: Arc<AsyncFd<OwnedFd>>,
}

impl Terminal {
    pub(crate) fn new(fd: OwnedFd) -> io::Result<Self> {
        rustix::fs::fcntl_setfl(&fd, rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::RDWR)?;
        Ok(Self { fd: Arc::new(crate::sys::watched(fd)?) })
    }

    /// Sets its size in characters.
    pub(crate) fn resize(&self, columns: u16, rows: u16) {
        let size = Winsize { ws_col: columns, ws_row: rows, ws_xpixel: 0, ws_ypixel: 0 };
        // A terminal that has gone needs no size.
        let _ = tcsetwinsize(self.fd.get_ref(), size);
    }
}

impl AsyncRead for Terminal {
    fn poll_read(
        self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> std::task::Poll<io::Result<()>> {
        loop {
            let mut ready = std::task::ready!(self.fd.poll_read_ready(cx))?;
            let space = buffer.initialize_unfilled();
            match ready.try_io(|fd| Ok(rustix::io::read(fd, space)?)) {
                Ok(Ok(length)) => {
                    buffer.advance(length);
                    return std::task::Poll::Ready(Ok(()));
                }
                Ok(Err(error)) => return std::task::Poll::Ready(Err(error)),
                Err(_) => {}
            }
        }
    }
}

impl AsyncWrite for Terminal {
    fn poll_write(
        self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
        bytes: &[u8],
    ) -> std::task::Poll<io::Result<usize>> {
        loop {
            let mut ready = std::task::ready!(self.fd.poll_write_ready(cx))?;
            if let Ok(result) = ready.try_io(|fd| Ok(rustix::io::write(fd, bytes)?)) {
                return std::task::Poll::Ready(result);
            }
        }
    }

    fn poll_flush(
        self: std::pin::Pin<&mut Self>,
        _cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<io::Result<()>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn poll_shutdown(
        self: std::pin::Pin<&mut Self>,
        _cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<io::Result<()>> {
        std::task::Poll::Ready(Ok(()))
    }
}

/// A program that runs beside a container's own.
#[derive(Debug)]
pub(crate) struct Exec {
    /// The process.
    pub process: Process,
    /// Its standard input and terminal.
    pub io: Io,
    /// Its output where it has no terminal.
    pub output: Output,
}

/// Runs a program in a container.
pub(crate) async fn exec(
    place: &Place,
    program: &Path,
    arguments: Vec<String>,
    stdin: bool,
    terminal: bool,
) -> Result<Exec, StartError> {
    let stdin = (stdin && !terminal).then(Stdin::open).transpose().map_err(StartError::System)?;
    let container = &place.container;
    let mut environment = container.environment.as_ref().clone();
    if terminal && !environment.iter().any(|(name, _)| name == "TERM") {
        environment.push(("TERM".to_owned(), "xterm".to_owned()));
    }
    let launch = Launch {
        place: Where::Enter(container.process.pid()),
        arguments,
        environment,
        folder: container.folder.clone(),
        user: container.user.clone(),
        groups: Vec::new(),
        stdin: stdin.as_ref().map(Stdin::path),
        terminal,
        capabilities: container.capabilities,
        no_new_privileges: false,
        cgroups: Some(container.cgroups.clone()).filter(|folders| !folders.is_empty()),
    };
    let (process, mut output) = Process::start(&place.sandbox, program, &launch).await?;
    let io = Io::new(stdin, output.terminal.take());
    Ok(Exec { process, io, output })
}
