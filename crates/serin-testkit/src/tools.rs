//! Real programs: nginx, curl, a Python with its packages, Envoy. `cargo xtask test` installs them.

#![expect(clippy::panic, clippy::print_stdout, reason = "the reader is whoever runs the tests")]

use std::path::{Path, PathBuf};

/// A program by its name: of the checkout's Python environment (`envoy`, `python`), or of the system.
///
/// `None`, with the reason printed, if it is not installed and tests may do without: then the caller returns.
///
/// # Panics
/// It is not installed, and `SERIN_TOOLS=required` says that it must be, as `cargo xtask test` does.
pub fn find(name: &str) -> Option<PathBuf> {
    let environment = root().join("target/tools/python/bin");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let system = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    let found =
        std::iter::once(environment).chain(system).map(|it| it.join(name)).find(|it| it.is_file());
    if found.is_none() {
        let reason = format!("{name} is not installed: `cargo xtask tools` installs it");
        assert!(std::env::var_os("SERIN_TOOLS").is_none_or(|it| it != "required"), "{reason}");
        println!("skipped: {reason}");
    }
    found
}

/// The root of the checkout.
///
/// # Panics
/// The crate is not where it belongs.
pub fn root() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or_else(|| panic!("{} is not in crates/", here.display()))
}
