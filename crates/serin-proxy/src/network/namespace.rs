//! A network namespace of Linux, entered by the thread that makes a socket, for as long as that takes. Coming back takes rights over the
//! host's network, which root has; whoever lacks them needs a thread that stays in the namespace.

use std::cell::OnceCell;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use socket2::{Domain, Protocol, Socket, Type};

use super::Network;

/// A network namespace. It lives for as long as this does, whatever becomes of its processes.
#[derive(Debug)]
pub struct Namespace {
    handle: OwnedFd,
}

impl Namespace {
    /// The namespace that a process sees.
    ///
    /// # Errors
    /// The process is gone, or may not be looked at.
    pub fn of_process(pid: u32) -> io::Result<Self> {
        Self::open(Path::new(&format!("/proc/{pid}/ns/net")))
    }

    /// The namespace behind a file, such as those that `ip netns` keeps.
    ///
    /// # Errors
    /// The file cannot be opened.
    pub fn open(path: &Path) -> io::Result<Self> {
        Ok(Self { handle: File::open(path)?.into() })
    }
}

impl From<OwnedFd> for Namespace {
    /// A namespace that is open already.
    fn from(handle: OwnedFd) -> Self {
        Self { handle }
    }
}

thread_local! {
    /// The namespace that the thread belongs in.
    static HOME: OnceCell<OwnedFd> = const { OnceCell::new() };
}

impl Network for Namespace {
    fn socket(&self, domain: Domain) -> io::Result<OwnedFd> {
        HOME.with(|home| {
            let home = match home.get() {
                Some(home) => home,
                None => {
                    let own = File::open("/proc/thread-self/ns/net")?.into();
                    home.get_or_init(|| own)
                }
            };
            go(self.handle.as_fd())?;
            let _return = Return(home.as_fd());
            Socket::new(domain, Type::STREAM, Some(Protocol::TCP)).map(OwnedFd::from)
        })
    }
}

/// Goes back when it is dropped, also if what was done meanwhile panics.
struct Return<'h>(BorrowedFd<'h>);

impl Drop for Return<'_> {
    fn drop(&mut self) {
        if go(self.0).is_err() {
            // Everything that this thread opens from here on would be a pod's: there is no way to go on.
            std::process::abort();
        }
    }
}

fn go(namespace: BorrowedFd<'_>) -> io::Result<()> {
    Ok(move_into_link_name_space(namespace, Some(LinkNameSpaceType::Network))?)
}
