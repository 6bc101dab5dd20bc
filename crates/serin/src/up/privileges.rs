//! What is needed to make namespaces: root, or a user namespace in which this process is root.

use std::fs;
use std::io;

use anyhow::{Context, bail};
use rustix::process::{getegid, geteuid};
use rustix::thread::{UnshareFlags, unshare_unsafe};

/// Makes sure that this process may make namespaces. A user other than root gets a user namespace of its own; the process must
/// have one thread only.
///
/// # Errors
/// The system gives none; the message tells the way out.
pub(super) fn obtain() -> anyhow::Result<()> {
    let (user, group) = (geteuid().as_raw(), getegid().as_raw());
    if user != 0 {
        enter_user_namespace().map_err(|error| explain(&error))?;
        map(user, group).context("cannot become root in a user namespace")?;
    }
    // Mounts of pods must not show elsewhere, and theirs none of ours.
    enter(UnshareFlags::NEWNS).map_err(|error| explain(&error))?;
    Ok(())
}

/// The namespaces that a pod has.
pub(super) fn make_pod_namespaces() -> anyhow::Result<()> {
    let flags = UnshareFlags::NEWNET
        | UnshareFlags::NEWPID
        | UnshareFlags::NEWUTS
        | UnshareFlags::NEWIPC
        | UnshareFlags::NEWNS;
    enter(flags).map_err(|error| explain(&error))
}

fn enter_user_namespace() -> io::Result<()> {
    enter(UnshareFlags::NEWUSER)
}

fn enter(flags: UnshareFlags) -> io::Result<()> {
    #[expect(unsafe_code, reason = "no descriptors are unshared, and there is no other thread yet")]
    let entered = unsafe { unshare_unsafe(flags) };
    Ok(entered?)
}

/// The user is root in the namespace, and nobody else exists there.
fn map(user: u32, group: u32) -> io::Result<()> {
    fs::write("/proc/self/setgroups", "deny")?;
    fs::write("/proc/self/uid_map", format!("0 {user} 1"))?;
    fs::write("/proc/self/gid_map", format!("0 {group} 1"))
}

fn explain(error: &io::Error) -> anyhow::Error {
    let setting = |path: &str| fs::read_to_string(path).ok().map(|text| text.trim().to_owned());
    let way_out = if setting("/proc/sys/kernel/unprivileged_userns_clone").as_deref() == Some("0") {
        "this system lets only root make user namespaces: `sudo sysctl kernel.unprivileged_userns_clone=1` allows it"
    } else if setting("/proc/sys/kernel/apparmor_restrict_unprivileged_userns").as_deref()
        == Some("1")
    {
        "AppArmor keeps user namespaces from programs without a profile: `sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0` allows them"
    } else if setting("/proc/sys/user/max_user_namespaces").as_deref() == Some("0") {
        "this system allows no user namespaces: `sudo sysctl user.max_user_namespaces=10000` allows them"
    } else {
        "a container without the right to make namespaces is one cause"
    };
    anyhow::anyhow!(
        "cannot make namespaces for pods ({error}): {way_out}; or run it as root: sudo serin up"
    )
}

/// Whether this process has rights over the host's network, and not only in a user namespace of its own: there, the map of
/// users is not that of the whole system.
pub(super) fn are_of_the_host() -> bool {
    let map = fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    geteuid().is_root() && map.split_ascii_whitespace().eq(["0", "0", "4294967295"])
}

/// Whether a port below 1024 can be listened on.
pub(crate) fn may_bind_low_ports(address: std::net::IpAddr) -> bool {
    match std::net::TcpListener::bind((address, 1)) {
        Ok(_) => true,
        Err(error) => error.kind() != io::ErrorKind::PermissionDenied,
    }
}

/// Refuses early where the system is no Linux that can do it.
pub(crate) fn check() -> anyhow::Result<()> {
    if !std::path::Path::new("/proc/self/ns/net").exists() {
        bail!("`serin up` needs Linux with network namespaces: /proc/self/ns/net is missing");
    }
    Ok(())
}
