//! The root file system of a container, in a mount namespace of its own.
//!
//! With an image it is the image's files, without one the host's; either way what the container writes lands in a folder of its
//! own (an overlay). Where no overlay can be had, an image is copied, and folders of the host are shown as they are.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use rustix::fs::{StatVfsMountFlags, statvfs};
use rustix::mount::{
    MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_bind, mount_bind_recursive,
    mount_change, mount_remount, unmount,
};
use rustix::process::{chdir, pivot_root};

use super::{Mount, Root, lines};
use crate::paths::{Kind, inside};

/// Folders of the host's root that the container gets its own of.
const OWN: [&str; 3] = ["proc", "dev", "sys"];
/// Devices that every program may use.
const DEVICES: [&str; 6] = ["null", "zero", "full", "random", "urandom", "tty"];
/// Links that programs expect in `/dev`.
const LINKS: [(&str, &str); 5] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("ptmx", "pts/ptmx"),
];
/// Makes the root and moves into it.
pub(super) fn make(root: &Root) -> io::Result<()> {
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?;
    let base = root.scratch.join("root");
    fs::create_dir_all(&base)?;
    match &root.image {
        Some(image) => image_files(image, root, &base)?,
        None => host_files(root, &base)?,
    }
    own_folders(&base).map_err(|error| say("/dev, /proc or /sys", &error))?;
    for one in &root.mounts {
        add(&base, one).map_err(|error| say(&one.target.display().to_string(), &error))?;
    }
    if root.read_only {
        make_read_only(&base)?;
    }
    chdir(&base)?;
    pivot_root(".", ".")?;
    unmount(".", UnmountFlags::DETACH)?;
    chdir("/")?;
    Ok(())
}

fn say(what: &str, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("cannot mount {what}: {error}"))
}

fn image_files(image: &Path, root: &Root, base: &Path) -> io::Result<()> {
    if overlay(image, &root.scratch.join("files"), base).is_ok() {
        return Ok(());
    }
    let copy = root.scratch.join("copy");
    if !copy.exists() {
        copy_tree(image, &copy)?;
    }
    Ok(mount_bind(&copy, base)?)
}

fn host_files(root: &Root, base: &Path) -> io::Result<()> {
    let busy = mount_points();
    mount("serin", base, "tmpfs", MountFlags::empty(), Some(c"mode=755"))?;
    for entry in fs::read_dir("/")? {
        let entry = entry?;
        let (from, kind) = (entry.path(), entry.file_type()?);
        let to = base.join(entry.file_name());
        if kind.is_symlink() {
            symlink(fs::read_link(&from)?, &to)?;
        } else if kind.is_dir() && !OWN.iter().any(|name| entry.file_name() == *name) {
            fs::create_dir(&to)?;
            let own = root.scratch.join("files").join(entry.file_name());
            let has_mounts = busy.iter().any(|point| point.starts_with(&from));
            if has_mounts || overlay(&from, &own, &to).is_err() {
                mount_bind_recursive(&from, &to)?;
            }
        }
    }
    Ok(())
}

/// Where something is mounted.
fn mount_points() -> Vec<PathBuf> {
    let point = |line: &String| line.split(' ').nth(4).map(|path| path.replace("\\040", " "));
    lines("/proc/self/mountinfo").iter().filter_map(point).map(PathBuf::from).collect()
}

/// Shows `lower` at `target`; what is written goes to `own`, or to memory where that folder's file system cannot do it.
fn overlay(lower: &Path, own: &Path, target: &Path) -> io::Result<()> {
    let (upper, work) = (own.join("upper"), own.join("work"));
    fs::create_dir_all(&upper)?;
    fs::create_dir_all(&work)?;
    if mount_overlay(lower, &upper, &work, target).is_ok() {
        return Ok(());
    }
    mount("serin", own, "tmpfs", MountFlags::empty(), Some(c"mode=755"))?;
    fs::create_dir_all(&upper)?;
    fs::create_dir_all(&work)?;
    mount_overlay(lower, &upper, &work, target).inspect_err(|_| {
        // The folder without the memory over it is what was there before.
        let _ = unmount(own, UnmountFlags::DETACH);
    })
}

fn mount_overlay(lower: &Path, upper: &Path, work: &Path, target: &Path) -> io::Result<()> {
    let escape = |path: &Path| {
        path.display().to_string().replace('\\', "\\\\").replace(':', "\\:").replace(',', "\\,")
    };
    let options = format!(
        "lowerdir={},upperdir={},workdir={},userxattr",
        escape(lower),
        escape(upper),
        escape(work)
    );
    let options = std::ffi::CString::new(options)?;
    Ok(mount("serin", target, "overlay", MountFlags::empty(), Some(options.as_c_str()))?)
}

fn copy_tree(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    fs::set_permissions(to, fs::metadata(from)?.permissions())?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (kind, target) = (entry.file_type()?, to.join(entry.file_name()));
        if kind.is_dir() {
            copy_tree(&entry.path(), &target)?;
        } else if kind.is_symlink() {
            symlink(fs::read_link(entry.path())?, &target)?;
        } else if kind.is_file() {
            fs::copy(entry.path(), &target)?;
        }
    }
    Ok(())
}

fn own_folders(base: &Path) -> io::Result<()> {
    let plain = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    let proc = inside(base, Path::new("/proc"), Kind::Folder)?;
    if mount("proc", &proc, "proc", plain, None).is_err() {
        // A container engine around this one hides parts of /proc, and then a new one is refused.
        mount_bind_recursive("/proc", &proc)?;
    }
    let sys = inside(base, Path::new("/sys"), Kind::Folder)?;
    mount_bind_recursive("/sys", &sys)?;
    let dev = inside(base, Path::new("/dev"), Kind::Folder)?;
    mount("serin", &dev, "tmpfs", MountFlags::NOSUID, Some(c"mode=755"))?;
    for name in DEVICES {
        let (host, own) = (Path::new("/dev").join(name), dev.join(name));
        if host.exists() {
            fs::write(&own, "")?;
            mount_bind(&host, &own)?;
        }
    }
    for (name, target) in LINKS {
        symlink(target, dev.join(name))?;
    }
    fs::create_dir(dev.join("shm"))?;
    mount("serin", dev.join("shm"), "tmpfs", plain, Some(c"mode=1777,size=65536k"))?;
    fs::create_dir(dev.join("pts"))?;
    mount(
        "devpts",
        dev.join("pts"),
        "devpts",
        MountFlags::NOSUID | MountFlags::NOEXEC,
        Some(c"newinstance,ptmxmode=0666,mode=0620"),
    )?;
    Ok(())
}

fn add(base: &Path, one: &Mount) -> io::Result<()> {
    let kind = if one.source.is_dir() { Kind::Folder } else { Kind::File };
    let target = inside(base, &one.target, kind)?;
    mount_bind_recursive(&one.source, &target)?;
    if one.read_only {
        make_read_only(&target)?;
    }
    Ok(())
}

/// The flags that a mount has must be said again: in a user namespace they cannot be taken away.
fn make_read_only(path: &Path) -> io::Result<()> {
    let had = statvfs(path)?.f_flag;
    let mut flags = MountFlags::BIND | MountFlags::RDONLY;
    for (has, flag) in [
        (StatVfsMountFlags::NOSUID, MountFlags::NOSUID),
        (StatVfsMountFlags::from_bits_retain(4), MountFlags::NODEV),
        (StatVfsMountFlags::from_bits_retain(8), MountFlags::NOEXEC),
        (StatVfsMountFlags::from_bits_retain(1024), MountFlags::NOATIME),
        (StatVfsMountFlags::from_bits_retain(2048), MountFlags::NODIRATIME),
        (StatVfsMountFlags::from_bits_retain(4096), MountFlags::RELATIME),
    ] {
        flags.set(flag, had.contains(has));
    }
    Ok(mount_remount(path, flags, c"")?)
}
