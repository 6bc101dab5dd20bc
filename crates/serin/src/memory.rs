//! Memory that starting took and serving does not need, given back.
//!
//! Making definitions, reading manifests, translating them and all the other commands of this program are most of its code; what serves is
//! little of it. The system maps code in as it runs and lets it be until memory is short. It counts as this process's memory meanwhile,
//! which is more than everything else that an idle server holds. The allocator holds what was freed, too, until it is called again.

use std::ffi::CStr;
use std::{fs, ptr};

/// Gives back what starting took, and from now on what is freed, while nobody calls the allocator, too.
///
/// A thread of the allocator's own does the latter. That is why it is not on from the start: the first process of a container is this
/// program as well and must be alone with itself. A gateway, which has one thread for each core, goes without.
pub(crate) fn give_back() {
    let result = tell_allocator(c"background_thread", Some(true))
        // 4096 stands for all arenas.
        .and_then(|()| tell_allocator(c"arena.4096.purge", None));
    if let Err(error) = result {
        tracing::debug!(%error, "the allocator gives back what is freed only as it is called");
    }
    give_back_code();
}

/// One of the allocator's switches, which takes a value or none: jemalloc(3), `mallctl`.
fn tell_allocator(name: &CStr, value: Option<bool>) -> Result<(), std::io::Error> {
    let mut value = value;
    let (place, length) = value
        .as_mut()
        .map_or((ptr::null_mut(), 0), |it| (ptr::from_mut(it).cast(), size_of_val(it)));
    #[expect(unsafe_code, reason = "the allocator's switches are a function of C")]
    // SAFETY: the name ends with a zero, the value is as long as is said, and nothing is to be read.
    let code = unsafe {
        tikv_jemalloc_sys::mallctl(name.as_ptr(), ptr::null_mut(), ptr::null_mut(), place, length)
    };
    if code == 0 { Ok(()) } else { Err(std::io::Error::from_raw_os_error(code)) }
}

/// Gives back the code that was run so far. What runs again is mapped in again, out of the system's memory: it has not gone from there.
///
/// Does nothing where the system does not say what is mapped.
pub(crate) fn give_back_code() {
    let maps = fs::read_to_string("/proc/self/maps").unwrap_or_default();
    for (start, length) in maps.lines().filter_map(code_of_a_file) {
        let start = ptr::without_provenance_mut(start);
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

    #[test]
    fn the_allocator_knows_what_it_is_told() {
        tell_allocator(c"background_thread", Some(true)).unwrap();
        tell_allocator(c"arena.4096.purge", None).unwrap();
        assert!(tell_allocator(c"nothing.of.the.kind", None).is_err());
    }
}
