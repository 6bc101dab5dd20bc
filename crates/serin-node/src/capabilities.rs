//! What root may do in a container: the list that container engines agree on, with a pod's changes.

use k8s_openapi::api::core::v1::Capabilities;

/// All names, in the order of their numbers in `linux/capability.h`.
const NAMES: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];
/// What a container has unless it says otherwise.
const USUAL: [&str; 14] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "FSETID",
    "FOWNER",
    "MKNOD",
    "NET_RAW",
    "SETGID",
    "SETUID",
    "SETFCAP",
    "SETPCAP",
    "NET_BIND_SERVICE",
    "SYS_CHROOT",
    "KILL",
    "AUDIT_WRITE",
];

/// The capabilities that a container keeps, one bit each.
pub(crate) fn kept(changes: Option<&Capabilities>) -> u64 {
    let mut bits = bits_of(&USUAL);
    for (names, adds) in [
        (changes.and_then(|changes| changes.drop.as_ref()), false),
        (changes.and_then(|changes| changes.add.as_ref()), true),
    ] {
        let names: Vec<_> = names.into_iter().flatten().map(String::as_str).collect();
        let named = if names.contains(&"ALL") { u64::MAX } else { bits_of(&names) };
        bits = if adds { bits | named } else { bits & !named };
    }
    bits
}

fn bits_of(names: &[&str]) -> u64 {
    let number = |name: &&str| {
        let name = name.strip_prefix("CAP_").unwrap_or(name);
        NAMES.iter().position(|known| *known == name)
    };
    names.iter().filter_map(number).fold(0, |bits, number| bits | 1 << number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pods_drop_and_add_by_name_and_all_at_once() {
        let check = |drop: &[&str], add: &[&str], expect: u64| {
            let list = |names: &[&str]| Some(names.iter().map(|&name| name.to_owned()).collect());
            let changes = Capabilities { drop: list(drop), add: list(add) };
            assert_eq!(kept(Some(&changes)), expect);
        };
        assert_eq!(kept(None).count_ones(), 14);
        check(&["ALL"], &[], 0);
        check(&["ALL"], &["NET_BIND_SERVICE"], 1 << 10);
        check(&["CAP_KILL"], &[], kept(None) & !(1 << 5));
    }
}
