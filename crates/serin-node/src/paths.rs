//! Paths below a root that is not this process's own.

use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

/// How many symbolic links a path may have, as the kernel's.
const MOST_LINKS: usize = 40;

/// What a path has to be, if it is missing.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    /// An empty file.
    File,
    /// An empty folder.
    Folder,
}

/// The place of `path` below `base`, made where it is missing. Links are followed as the container would: none leads out of it.
pub(crate) fn inside(base: &Path, path: &Path, kind: Kind) -> io::Result<PathBuf> {
    let mut todo: Vec<PathBuf> = components(path);
    let mut place = base.to_path_buf();
    let mut links = 0;
    while let Some(next) = todo.pop() {
        if next == Path::new("..") {
            if place != base {
                place.pop();
            }
            continue;
        }
        let step = place.join(&next);
        let last = todo.is_empty();
        match fs::symlink_metadata(&step) {
            Ok(meta) if meta.is_symlink() => {
                links += 1;
                if links > MOST_LINKS {
                    return Err(io::Error::other("too many levels of symbolic links"));
                }
                let target = fs::read_link(&step)?;
                if target.is_absolute() {
                    place = base.to_path_buf();
                }
                todo.extend(components(&target));
                continue;
            }
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => match kind {
                Kind::File if last => fs::write(&step, "")?,
                _ => fs::create_dir(&step)?,
            },
            Err(error) => return Err(error),
        }
        place = step;
    }
    Ok(place)
}

/// The parts of a path, the first one last.
fn components(path: &Path) -> Vec<PathBuf> {
    path.components()
        .rev()
        .filter_map(|part| match part {
            Component::Normal(name) => Some(PathBuf::from(name)),
            Component::ParentDir => Some(PathBuf::from("..")),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_of_an_image_do_not_lead_out_of_it() {
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path();
        fs::create_dir_all(base.join("run")).unwrap();
        fs::create_dir_all(base.join("var")).unwrap();
        symlink("/run", base.join("var/run")).unwrap();
        symlink("../../../../etc", base.join("up")).unwrap();
        symlink("loop", base.join("loop")).unwrap();
        let check = |path: &str, expect: &str| {
            let place = inside(base, Path::new(path), Kind::File).unwrap();
            assert_eq!(place.strip_prefix(base).unwrap(), Path::new(expect));
            assert!(place.is_file());
        };
        check("/var/run/secrets/token", "run/secrets/token");
        check("/up/hosts", "etc/hosts");
        check("/../../x", "x");
        assert!(inside(base, Path::new("/loop/x"), Kind::Folder).is_err());
    }
}
