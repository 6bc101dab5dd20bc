//! The namespaces that the containers of a pod share, and the thread that lives in them.
//!
//! The thread holds them: sockets of the pod are made on it, and its containers are started from it, so that they inherit the
//! network, the host name and IPC. Nothing of a sandbox exists outside of this process, so nothing of it stays when the process
//! ends, however it ends. When the sandbox is dropped the thread ends, and with it the processes that it started.

mod netlink;
mod network;

use std::fs::File;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::{AsFd as _, OwnedFd};
use std::process::{Child, Command};
use std::sync::Arc;
use std::sync::mpsc;

use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::sync::oneshot;

pub(crate) use self::network::Plan;
use crate::sys;

/// A pod's thread needs little: it makes sockets and starts processes.
const STACK: usize = 256 * 1024;

type Job = Box<dyn FnOnce() + Send>;

/// The namespaces of a pod. Clones are the same sandbox; it ends with the last one.
#[derive(Clone, Debug)]
pub(crate) struct Sandbox {
    jobs: mpsc::Sender<Job>,
    network: Arc<OwnedFd>,
    address: Option<Ipv4Addr>,
}

impl Sandbox {
    /// Makes the namespaces. Without a plan the pod has the network of the host.
    pub(crate) async fn start(hostname: String, plan: Option<Plan>) -> io::Result<Self> {
        let (jobs, work) = mpsc::channel::<Job>();
        let (made, ready) = oneshot::channel();
        let address = plan.as_ref().map(|plan| plan.address);
        std::thread::Builder::new().name("pod".to_owned()).stack_size(STACK).spawn(move || {
            let network = enter(&hostname, plan.as_ref());
            let failed = network.is_err();
            if made.send(network).is_err() || failed {
                return;
            }
            for job in work {
                job();
            }
        })?;
        let network = ready.await.map_err(|_| ended())??;
        Ok(Self { jobs, network: Arc::new(network), address })
    }

    /// The pod's address; none on the network of the host.
    pub(crate) const fn address(&self) -> Option<Ipv4Addr> {
        self.address
    }

    /// The network namespace.
    pub(crate) fn network(&self) -> Arc<OwnedFd> {
        Arc::clone(&self.network)
    }

    /// Runs something short in the namespaces.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> io::Result<T> {
        let (answer, result) = oneshot::channel();
        let job: Job = Box::new(move || drop(answer.send(job())));
        self.jobs.send(job).map_err(|_| ended())?;
        result.await.map_err(|_| ended())
    }

    /// Starts a process in the pod, in the PID namespace given or, without one, as the first process of a new one.
    pub(crate) async fn spawn(
        &self,
        mut command: Command,
        pids: Option<File>,
    ) -> io::Result<Spawned> {
        let (answer, result) = oneshot::channel();
        let work = move || {
            let (keeper, kept) = mpsc::channel();
            let spawned = enter_pids(pids.as_ref()).and_then(|()| command.spawn());
            let spawned = spawned.map(|child| Spawned { child, _keeper: keeper });
            // The command holds the other process's ends of pipes.
            drop(command);
            if answer.send(spawned).is_ok() {
                // The other side says nothing; it ends when the process may.
                let _: Result<(), _> = kept.recv();
            }
        };
        // Threads have the namespaces of the thread that they come from.
        let thread = move || std::thread::Builder::new().stack_size(STACK).spawn(work).map(drop);
        self.run(thread).await??;
        result.await.map_err(|_| ended())?
    }

    /// A TCP socket of the pod's network.
    pub(crate) async fn socket(&self) -> io::Result<Socket> {
        self.run(|| {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
            socket.set_nonblocking(true)?;
            Ok(socket)
        })
        .await?
    }

    /// A connection to a port of the pod, as if from the pod itself.
    pub(crate) async fn connect(&self, address: SocketAddr) -> io::Result<tokio::net::TcpStream> {
        let socket = self.socket().await?;
        tokio::net::TcpSocket::from_std_stream(socket.into()).connect(address).await
    }
}

/// A process, and the thread that started it. The process dies with that thread, which therefore lives for as long as this does; and it
/// is a thread of its own since, in a user namespace, there is no way back to the PID namespace that it left.
#[derive(Debug)]
pub(crate) struct Spawned {
    /// The process.
    pub child: Child,
    _keeper: mpsc::Sender<()>,
}

/// Has the children of this thread land in a PID namespace: the one given, or a new one.
fn enter_pids(pids: Option<&File>) -> io::Result<()> {
    match pids {
        Some(pids) => {
            Ok(move_into_link_name_space(pids.as_fd(), Some(LinkNameSpaceType::ProcessID))?)
        }
        None => sys::unshare(UnshareFlags::NEWPID),
    }
}

fn ended() -> io::Error {
    io::Error::other("the pod has ended")
}

fn enter(hostname: &str, plan: Option<&Plan>) -> io::Result<OwnedFd> {
    if let Some(plan) = plan {
        sys::unshare(UnshareFlags::NEWNET | UnshareFlags::NEWUTS | UnshareFlags::NEWIPC)?;
        network::configure(plan)?;
        rustix::system::sethostname(hostname.as_bytes())?;
    } else {
        sys::unshare(UnshareFlags::NEWIPC)?;
    }
    Ok(File::open("/proc/thread-self/ns/net")?.into())
}

#[cfg(test)]
mod tests;
