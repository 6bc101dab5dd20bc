//! The few calls to the system that Rust cannot check: the only unsafe code of this crate.
//!
//! Each function here is safe to call, for the reason that stands at its block.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::sync::atomic::{AtomicI32, Ordering};

use rustix::thread::{UnshareFlags, unshare_unsafe};
use tokio::io::unix::AsyncFd;

/// Signals that the first process of a container hands on to its program.
const FORWARDED: [libc::c_int; 9] = [
    libc::SIGHUP,
    libc::SIGINT,
    libc::SIGQUIT,
    libc::SIGUSR1,
    libc::SIGUSR2,
    libc::SIGALRM,
    libc::SIGTERM,
    libc::SIGCONT,
    libc::SIGWINCH,
];

/// The process that signals are handed on to; 0 before there is one.
static PROGRAM: AtomicI32 = AtomicI32::new(0);

/// Moves this thread into new namespaces.
pub(crate) fn unshare(flags: UnshareFlags) -> io::Result<()> {
    debug_assert!(!flags.contains(UnshareFlags::FILES), "descriptors stay shared");
    #[expect(unsafe_code, reason = "only FILES is dangerous, and nobody passes it")]
    let done = unsafe { unshare_unsafe(flags) };
    Ok(done?)
}

/// Runs `prepare` in the child, after fork and before exec. It must do nothing but calls to the system: no allocation, no locks.
pub(crate) fn before_exec(
    command: &mut Command,
    prepare: impl FnMut() -> io::Result<()> + Send + Sync + 'static,
) {
    #[expect(
        unsafe_code,
        reason = "callers obey the sentence above, and their process has one thread"
    )]
    // SAFETY: the closure is limited as documented; the forking process is single-threaded.
    unsafe {
        command.pre_exec(prepare);
    }
}

/// Hands signals that this process gets on to `program` from here on.
pub(crate) fn forward_signals_to(program: i32) {
    PROGRAM.store(program, Ordering::SeqCst);
}

/// Keeps the signals that are for the program from ending this process. Those that come before there is a program are lost, as they
/// are for a program that has not installed its handlers yet.
pub(crate) fn catch_signals() -> io::Result<()> {
    for signal in FORWARDED {
        #[expect(
            unsafe_code,
            reason = "the handler only loads an atomic and calls kill, which may be called from a handler"
        )]
        // SAFETY: the structure is valid when zeroed, the handler has the right type and is async-signal-safe.
        let result = unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = forward as *const () as libc::sighandler_t;
            action.sa_flags = libc::SA_RESTART;
            libc::sigaction(signal, &raw const action, std::ptr::null_mut())
        };
        if result != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

extern "C" fn forward(signal: libc::c_int) {
    let program = PROGRAM.load(Ordering::SeqCst);
    if program > 0 {
        #[expect(unsafe_code, reason = "kill has no memory to harm")]
        // SAFETY: kill takes numbers only; errno is not read by anybody in between.
        unsafe {
            libc::kill(program, signal);
        }
    }
}

/// A descriptor that tokio tells of. It is owned, so it stays open for as long as it is watched.
pub(crate) fn watched(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    #[expect(unsafe_code, reason = "an owned descriptor is always the same one")]
    // SAFETY: the descriptor of an OwnedFd does not change, and nobody closes it while the AsyncFd holds it.
    unsafe {
        AsyncFd::register(fd).map_err(io::Error::from)
    }
}
