//! Processes of containers as the node sees them: started through [`crate::init`], waited for and signalled by descriptors.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, Interest};
use tokio::net::unix::pipe;

use crate::init::{ARGUMENT, Launch, Place, Reply};
use crate::passing;
use crate::sandbox::{Sandbox, Spawned};
use crate::streams::Terminal;

/// A process that was started. Clones are the same process.
#[derive(Clone, Debug)]
pub(crate) struct Process {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    pid: u32,
    handle: AsyncFd<OwnedFd>,
    child: Mutex<Spawned>,
}

/// Where the process's output arrives: at its terminal, or at the ends of pipes.
#[derive(Debug, Default)]
pub(crate) struct Output {
    pub stdout: Option<pipe::Receiver>,
    pub stderr: Option<pipe::Receiver>,
    pub terminal: Option<Terminal>,
}

/// How a process ended, as Kubernetes tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Exit {
    /// 128 and the signal's number where a signal ended it.
    pub code: i32,
}

/// Why a process could not be started.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    /// The machine did not give what is needed.
    #[error("cannot start a process: {0}")]
    System(io::Error),
    /// The program cannot be run.
    #[error("{message}")]
    Program {
        /// Why.
        message: String,
        /// The process that was to run it.
        process: Process,
    },
}

impl Process {
    /// Starts what `launch` says with the help of `program`, which runs [`crate::init::run`].
    pub(crate) async fn start(
        sandbox: &Sandbox,
        program: &Path,
        launch: &Launch,
    ) -> Result<(Self, Output), StartError> {
        let (ours, theirs) = UnixStream::pair().map_err(StartError::System)?;
        let mut command = Command::new(program);
        command.arg(ARGUMENT).env_clear().stdin(OwnedFd::from(theirs));
        if launch.terminal {
            command.stdout(Stdio::null()).stderr(Stdio::null());
        } else {
            command.stdout(Stdio::piped()).stderr(Stdio::piped());
        }
        let fellow = match &launch.place {
            Place::New(root) => root.beside,
            Place::Enter(pid) => Some(*pid),
        };
        let pids = fellow.map(|pid| File::open(format!("/proc/{pid}/ns/pid")));
        let pids = pids.transpose().map_err(StartError::System)?;
        let mut spawned = sandbox.spawn(command, pids).await.map_err(StartError::System)?;
        let mut output = Output {
            stdout: receiver(spawned.child.stdout.take().map(OwnedFd::from))
                .map_err(StartError::System)?,
            stderr: receiver(spawned.child.stderr.take().map(OwnedFd::from))
                .map_err(StartError::System)?,
            terminal: None,
        };
        let process = Self::adopt(spawned).map_err(StartError::System)?;
        match process.instruct(ours, launch, &mut output.terminal).await {
            Ok(None | Some(Reply::Started)) => Ok((process, output)),
            Ok(Some(Reply::Failed(message))) => Err(StartError::Program { message, process }),
            Err(error) => Err(StartError::System(error)),
        }
    }

    fn adopt(spawned: Spawned) -> io::Result<Self> {
        let pid = spawned.child.id();
        let raw = i32::try_from(pid).ok().and_then(Pid::from_raw);
        let raw = raw.ok_or_else(|| io::Error::other("no process ID"))?;
        let handle = crate::sys::watched(pidfd_open(raw, PidfdFlags::empty())?)?;
        Ok(Self { inner: Arc::new(Inner { pid, handle, child: Mutex::new(spawned) }) })
    }

    async fn instruct(
        &self,
        socket: UnixStream,
        launch: &Launch,
        terminal: &mut Option<Terminal>,
    ) -> io::Result<Option<Reply>> {
        socket.set_nonblocking(true)?;
        let mut socket = tokio::net::UnixStream::from_std(socket)?;
        let bytes = serde_json::to_vec(launch)?;
        let length = u32::try_from(bytes.len()).map_err(io::Error::other)?;
        socket.write_all(&length.to_le_bytes()).await?;
        socket.write_all(&bytes).await?;
        let mut line = Vec::new();
        if launch.terminal {
            let (byte, descriptor) =
                socket.async_io(Interest::READABLE, || passing::receive(&socket)).await?;
            *terminal = descriptor.map(Terminal::new).transpose()?;
            // What comes without a terminal tells why there is none.
            line.extend(byte.filter(|_| terminal.is_none()));
        }
        BufReader::new(&mut socket).take(64 * 1024).read_until(b'\n', &mut line).await?;
        if line.is_empty() {
            return match launch.place {
                Place::Enter(_) => Ok(None),
                Place::New(_) => Err(io::Error::other("the container ended while it was made")),
            };
        }
        Ok(Some(serde_json::from_slice(&line)?))
    }

    /// Its ID in the namespace of the node.
    pub(crate) fn pid(&self) -> u32 {
        self.inner.pid
    }

    /// Waits for its end; may be asked again and by many.
    pub(crate) async fn wait(&self) -> Exit {
        loop {
            // The descriptor is readable for ever once the process has ended.
            let Ok(_ready) = self.inner.handle.readable().await else {
                return Exit { code: 137 };
            };
            if let Some(exit) = self.try_wait() {
                return exit;
            }
            tokio::task::yield_now().await;
        }
    }

    /// Whether it has ended.
    pub(crate) fn has_ended(&self) -> bool {
        self.try_wait().is_some()
    }

    fn try_wait(&self) -> Option<Exit> {
        use std::os::unix::process::ExitStatusExt as _;
        let mut child = self.inner.child.lock().unwrap_or_else(PoisonError::into_inner);
        match child.child.try_wait() {
            Ok(None) => None,
            Ok(Some(status)) => {
                let signal = status.signal().map(|signal| 128 + signal);
                Some(Exit { code: status.code().or(signal).unwrap_or(137) })
            }
            Err(_) => Some(Exit { code: 137 }),
        }
    }

    /// Sends a signal; nothing happens where the process has ended.
    pub(crate) fn signal(&self, signal: Signal) {
        // The only failure is that there is nobody to hear it.
        let _ = pidfd_send_signal(self.inner.handle.get_ref(), signal);
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // Nobody can end it any more; reaping what was killed takes no time.
        let _ = pidfd_send_signal(self.handle.get_ref(), Signal::KILL);
        let child = self.child.get_mut().unwrap_or_else(PoisonError::into_inner);
        let _ = child.child.wait();
    }
}

fn receiver(pipe: Option<OwnedFd>) -> io::Result<Option<pipe::Receiver>> {
    pipe.map(pipe::Receiver::from_owned_fd).transpose()
}
