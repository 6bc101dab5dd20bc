//! Who a program runs as: users and groups by number or by name of the container's own files, and what root may do there.

use std::io;

use rustix::process::{Gid, Uid};
use rustix::thread::{
    CapabilitySet, remove_capability_from_bounding_set, set_thread_gid, set_thread_groups,
    set_thread_uid,
};

use super::lines;

/// A user that was looked up.
#[derive(Clone, Debug)]
pub(super) struct Identity {
    pub uid: u32,
    pub gid: u32,
    pub groups: Vec<Gid>,
    pub home: Option<String>,
}

/// Looks a user up in the root that this process is in.
pub(super) fn find(user: &str, groups: &[u32]) -> io::Result<Identity> {
    let (name, group) = match user.split_once(':') {
        Some((name, group)) => (name, Some(group)),
        None => (user, None),
    };
    let name = if name.is_empty() { "0" } else { name };
    let number = name.parse::<u32>().ok();
    let entry = entry("/etc/passwd", |fields| match number {
        Some(_) => fields.get(2).is_some_and(|uid| uid == name),
        None => fields.first().is_some_and(|first| first == name),
    });
    let field = |index: usize| entry.as_ref().and_then(|fields| fields.get(index)?.parse().ok());
    let uid = number.or_else(|| field(2)).ok_or_else(|| {
        io::Error::other(format!("unable to find user {name}: no matching entries in passwd file"))
    })?;
    let gid = match group {
        None => field(3).unwrap_or(0),
        Some(group) => group.parse().or_else(|_| {
            let found = self::entry("/etc/group", |fields| {
                fields.first().is_some_and(|first| first == group)
            });
            let gid = found.and_then(|fields| fields.get(2)?.parse().ok());
            gid.ok_or_else(|| io::Error::other(format!("unable to find group {group}")))
        })?,
    };
    let home = entry.and_then(|fields| fields.get(5).cloned()).filter(|home| !home.is_empty());
    let groups = groups.iter().map(|group| Gid::from_raw(*group)).collect();
    Ok(Identity { uid, gid, groups, home: home.or_else(|| Some("/".to_owned())) })
}

fn entry(path: &str, is_it: impl Fn(&[String]) -> bool) -> Option<Vec<String>> {
    lines(path)
        .into_iter()
        .map(|line| line.split(':').map(str::to_owned).collect::<Vec<_>>())
        .find(|fields| is_it(fields))
}

/// Makes this process that user, with the capabilities given as the most that it and its children can have.
pub(super) fn become_(
    uid: u32,
    gid: u32,
    groups: &[Gid],
    capabilities: Option<u64>,
) -> io::Result<()> {
    if let Some(keep) = capabilities {
        for number in 0..64 {
            let bit = 1_u64 << number;
            if keep & bit == 0 {
                let Some(one) = CapabilitySet::from_bits(bit) else { continue };
                match remove_capability_from_bounding_set(one) {
                    // The kernel knows fewer of them.
                    Ok(()) | Err(rustix::io::Errno::INVAL) => {}
                    Err(error) => return Err(error.into()),
                }
            }
        }
    }
    match set_thread_groups(groups) {
        // A user namespace of an ordinary user has no further groups.
        Err(rustix::io::Errno::PERM) => {}
        other => other?,
    }
    if gid != 0 {
        set_thread_gid(Gid::from_raw(gid))?;
    }
    if uid != 0 {
        set_thread_uid(Uid::from_raw(uid))?;
    }
    Ok(())
}
