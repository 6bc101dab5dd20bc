//! The first process of a container: what this program is when it is started with [`ARGUMENT`].
//!
//! The node starts it in the pod's namespaces, with a socket as standard input over which it says what to run. It makes the
//! container's own mount namespace and root, starts the program, hands signals on to it, reaps what is left without a parent, and
//! exits as the program did; with it end all processes of its PID namespace. It dies with the node. For `exec` the same entry
//! enters a container that runs, and becomes the program.
//!
//! There is one thread here and no runtime, so that namespaces may be changed.

mod launch;
mod root;
mod user;

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead as _, Read as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, ExitCode};

use rustix::fs::{Mode, OFlags, fchown, open};
use rustix::io::fcntl_dupfd_cloexec;
use rustix::process::{Signal, Uid, WaitOptions, set_parent_process_death_signal, wait};
use rustix::pty::{OpenptFlags, openpt, ptsname, unlockpt};
use rustix::stdio::{dup2_stderr, dup2_stdin, dup2_stdout, stdin};
use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space};

pub(crate) use self::launch::{Launch, Mount, Place, Reply, Root};
use self::user::Identity;
use crate::{passing, sys};

/// The first argument that makes this program the first process of a container.
pub const ARGUMENT: &str = "__pod";

/// Runs a container's first process, if the arguments (the program's name first) say so. To be called before anything else: the
/// process must have one thread. When it returns something, the program ends with it.
pub fn run(args: impl IntoIterator<Item = OsString>) -> Option<ExitCode> {
    args.into_iter().nth(1).filter(|argument| argument == ARGUMENT)?;
    // Without it, it was not started by a node, and there is nobody to tell.
    let Ok(mut control) = open_control() else { return Some(ExitCode::from(125)) };
    let result = read_launch(&mut control).and_then(|launch| start(&launch, &control));
    Some(match result {
        Ok(code) => code,
        Err(error) => {
            // Nobody hears it where the node is gone.
            let _ = tell(&control, &Reply::Failed(error.to_string()));
            ExitCode::from(128)
        }
    })
}

/// Takes the socket from standard input, out of the program's reach.
fn open_control() -> io::Result<UnixStream> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    let socket = fcntl_dupfd_cloexec(stdin(), 3)?;
    Ok(UnixStream::from(socket))
}

fn read_launch(control: &mut UnixStream) -> io::Result<Launch> {
    let mut length = [0; 4];
    control.read_exact(&mut length)?;
    let mut bytes = vec![0; u32::from_le_bytes(length) as usize];
    control.read_exact(&mut bytes)?;
    serde_json::from_slice(&bytes).map_err(io::Error::from)
}

fn tell(mut control: &UnixStream, reply: &Reply) -> io::Result<()> {
    let mut line = serde_json::to_vec(reply)?;
    line.push(b'\n');
    control.write_all(&line)
}

fn start(launch: &Launch, control: &UnixStream) -> io::Result<ExitCode> {
    let stdin = open_stdin(launch)?;
    match &launch.place {
        Place::New(root) => {
            sys::unshare(UnshareFlags::NEWNS)?;
            if let Some(limits) = &launch.cgroups {
                join(limits)?;
            }
            root::make(root)?;
        }
        Place::Enter(pid) => {
            let mounts = File::open(format!("/proc/{pid}/ns/mnt"))?;
            if let Some(limits) = &launch.cgroups {
                join(limits)?;
            }
            move_into_link_name_space(mounts.as_fd(), Some(LinkNameSpaceType::Mount))?;
        }
    }
    let identity = user::find(&launch.user, &launch.groups)?;
    let terminal = launch.terminal.then(|| open_terminal(&identity, control)).transpose()?;
    dup2_stdin(terminal.as_ref().map_or(stdin.as_fd(), |terminal| terminal.as_fd()))?;
    if let Some(terminal) = &terminal {
        dup2_stdout(terminal)?;
        dup2_stderr(terminal)?;
    }
    drop((stdin, terminal));
    let mut command = command(launch, &identity)?;
    match launch.place {
        Place::Enter(_) => Err(explain(launch, command.exec())),
        Place::New(_) => {
            sys::catch_signals()?;
            let child = command.spawn().map_err(|error| explain(launch, error))?;
            let pid = i32::try_from(child.id()).map_err(io::Error::other)?;
            sys::forward_signals_to(pid);
            tell(control, &Reply::Started)?;
            release_streams()?;
            Ok(reap(pid))
        }
    }
}

fn open_stdin(launch: &Launch) -> io::Result<OwnedFd> {
    let path = launch.stdin.as_deref().unwrap_or(Path::new("/dev/null"));
    Ok(File::open(path)?.into())
}

/// A terminal of the container's own, so that programs find it there by its name. Its other side goes to the node.
fn open_terminal(identity: &Identity, control: &UnixStream) -> io::Result<OwnedFd> {
    let controlling = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
    unlockpt(&controlling)?;
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let terminal = open(ptsname(&controlling, Vec::new())?, flags, Mode::empty())?;
    fchown(&terminal, Some(Uid::from_raw(identity.uid)), None)?;
    passing::send(control, controlling.as_fd())?;
    Ok(terminal)
}

/// Into the control groups that limit the container.
fn join(folders: &[std::path::PathBuf]) -> io::Result<()> {
    for folder in folders {
        fs::write(folder.join("cgroup.procs"), "0")?;
    }
    Ok(())
}

/// The program, with everything that is done between fork and exec.
fn command(launch: &Launch, identity: &Identity) -> io::Result<Command> {
    let (program, arguments) =
        launch.arguments.split_first().ok_or_else(|| io::Error::other("no command specified"))?;
    let mut command = Command::new(program);
    command.args(arguments).env_clear();
    if let Some(home) = &identity.home {
        command.env("HOME", home);
    }
    command.envs(launch.environment.iter().map(|(name, value)| (name, value)));
    let folder = Path::new(&launch.folder);
    if !folder.exists() {
        fs::create_dir_all(folder)?;
    }
    command.current_dir(folder);
    let (uid, gid, groups) = (identity.uid, identity.gid, identity.groups.clone());
    let has_terminal = launch.terminal;
    let (capabilities, no_new_privileges) = (launch.capabilities, launch.no_new_privileges);
    let own_session = matches!(launch.place, Place::New(_)) || has_terminal;
    sys::before_exec(&mut command, move || {
        if own_session {
            rustix::process::setsid()?;
        }
        if has_terminal {
            rustix::process::ioctl_tiocsctty(stdin())?;
        }
        user::become_(uid, gid, &groups, capabilities)?;
        if no_new_privileges {
            rustix::thread::set_no_new_privs(true)?;
        }
        // A change of user forgets it; it comes last therefore.
        set_parent_process_death_signal(Some(Signal::KILL))?;
        Ok(())
    });
    Ok(command)
}

/// A message as container engines write it.
fn explain(launch: &Launch, error: io::Error) -> io::Error {
    let program = launch.arguments.first().map(String::as_str).unwrap_or_default();
    let text = match error.kind() {
        io::ErrorKind::NotFound if program.contains('/') => {
            format!("exec: {program:?}: stat {program}: no such file or directory: unknown")
        }
        io::ErrorKind::NotFound => {
            format!("exec: {program:?}: executable file not found in $PATH: unknown")
        }
        io::ErrorKind::PermissionDenied => {
            format!("exec: {program:?}: permission denied: unknown")
        }
        _ => format!("exec: {program:?}: {error}"),
    };
    io::Error::new(error.kind(), text)
}

/// Lets go of the program's output, so that whoever reads it sees its end.
fn release_streams() -> io::Result<()> {
    let null = OpenOptions::new().read(true).write(true).open("/dev/null")?;
    dup2_stdin(&null)?;
    dup2_stdout(&null)?;
    dup2_stderr(&null)?;
    Ok(())
}

/// Reaps until the program has ended, and tells its code: 128 and the signal's number where a signal ended it.
fn reap(program: i32) -> ExitCode {
    loop {
        match wait(WaitOptions::empty()) {
            Ok(Some((pid, status))) if pid.as_raw_pid() == program => {
                let code = match (status.exit_status(), status.terminating_signal()) {
                    (Some(code), _) => code,
                    (_, Some(signal)) => 128 + signal,
                    _ => continue,
                };
                return ExitCode::from(u8::try_from(code & 0xFF).unwrap_or(u8::MAX));
            }
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(_) => return ExitCode::from(125),
        }
    }
}

/// Lines of a file that may be missing.
fn lines(path: &str) -> Vec<String> {
    File::open(path)
        .map(|file| io::BufReader::new(file).lines().map_while(Result::ok).collect())
        .unwrap_or_default()
}
