//! Code that only starting needs, given back.
//!
//! Reading manifests, translating them and all the other commands of this program are most of its code; what serves is little of
//! it. The system maps code in as it runs and lets it be until memory is short. It counts as this process's memory meanwhile,
//! which is more than everything else that an idle gateway holds.

use std::fs;

/// Gives back the code that was run so far. What runs again is mapped in again, out of the system's memory: it has not gone from there.
///
/// Does nothing where the system does not say what is mapped.
pub(super) fn give_back() {
    let maps = fs::read_to_string("/proc/self/maps").unwrap_or_default();
    for (start, length) in maps.lines().filter_map(code_of_a_file) {
        let start = std::ptr::without_provenance_mut(start);
        #[expect(
            unsafe_code,
            reason = "a mapping of a file that nobody can have written to is read anew"
        )]
        // SAFETY: the content of a private mapping without the right to write is the file's.
        let _ = unsafe { libc::madvise(start, length, libc::MADV_DONTNEED) };
    }
}

/// Where a line of the list of mappings tells of code of a file: start and length.
fn code_of_a_file(line: &str) -> Option<(usize, usize)> {
    let mut words = line.split_ascii_whitespace();
    let (range, rights, inode) = (words.next()?, words.next()?, words.nth(2)?);
    let (start, end) = range.split_once('-')?;
    let number = |text| usize::from_str_radix(text, 16).ok();
    let (start, end) = (number(start)?, number(end)?);
    (rights == "r-xp" && inode != "0").then(|| (start, end.saturating_sub(start)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_code_of_files_is_given_back() {
        let check = |line: &str, expected| assert_eq!(code_of_a_file(line), expected, "{line}");
        check("1000-3000 r-xp 00001000 fd:00 1234   /usr/bin/serin", Some((0x1000, 0x2000)));
        // Constants with addresses in them were written to when the program was loaded.
        check("3000-4000 r--p 00003000 fd:00 1234   /usr/bin/serin", None);
        check("4000-5000 rw-p 00004000 fd:00 1234   /usr/bin/serin", None);
        check("7000-8000 r-xp 00000000 00:00 0      [vdso]", None);
        check("nonsense", None);
    }

    #[test]
    fn what_was_given_back_runs_again() {
        give_back();
        give_back();
    }
}
