//! Layers: each is unpacked over the ones before it, and says by names what of them is gone.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::{PermissionsExt as _, lchown, symlink};
use std::path::{Path, PathBuf};

use tar::{Archive, Entry, EntryType};

use crate::paths::{Kind, inside};

/// The name of a file that says: of the layers before, nothing of this folder stays.
const OPAQUE: &str = ".wh..wh..opq";
/// What comes before the name of something that is gone.
const GONE: &str = ".wh.";

/// Unpacks a layer over a root.
pub(super) fn apply(layer: impl Read, root: &Path) -> io::Result<()> {
    let mut own = BTreeSet::new();
    let mut archive = Archive::new(layer);
    for entry in archive.entries()? {
        let mut entry = entry?;
        let path = entry.path()?.into_owned();
        let Some(name) = path.file_name().map(|name| name.to_string_lossy().into_owned()) else {
            continue;
        };
        let parent = path.parent().unwrap_or(Path::new(""));
        let folder = inside(root, parent, Kind::Folder)?;
        if name == OPAQUE {
            clear(&folder, &own)?;
        } else if let Some(gone) = name.strip_prefix(GONE) {
            remove(&folder.join(gone))?;
        } else {
            let target = folder.join(&name);
            put(&mut entry, root, &target).map_err(|error| {
                io::Error::new(error.kind(), format!("{}: {error}", path.display()))
            })?;
            own.insert(target);
        }
    }
    Ok(())
}

/// Removes what other layers have put into a folder.
fn clear(folder: &Path, own: &BTreeSet<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if !own.iter().any(|one| one.starts_with(&path)) {
            remove(&path)?;
        }
    }
    Ok(())
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(_) => Ok(()),
    }
}

fn put(entry: &mut Entry<'_, impl Read>, root: &Path, target: &Path) -> io::Result<()> {
    let kind = entry.header().entry_type();
    let is_folder = fs::symlink_metadata(target).is_ok_and(|meta| meta.is_dir());
    if !(is_folder && kind == EntryType::Directory) {
        remove(target)?;
    }
    match kind {
        EntryType::Directory => {
            if !is_folder {
                fs::create_dir(target)?;
            }
        }
        EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
            io::copy(entry, &mut fs::File::create_new(target)?)?;
        }
        EntryType::Symlink => {
            if let Some(link) = entry.link_name()? {
                symlink(link, target)?;
            }
        }
        EntryType::Link => {
            let link = entry.link_name()?.unwrap_or_default().into_owned();
            let folder = inside(root, link.parent().unwrap_or(Path::new("")), Kind::Folder)?;
            fs::hard_link(folder.join(link.file_name().unwrap_or_default()), target)?;
            return Ok(());
        }
        // Containers get devices of their own, and nobody else may make them.
        _ => return Ok(()),
    }
    let header = entry.header();
    let (uid, gid) = (u32::try_from(header.uid()?).ok(), u32::try_from(header.gid()?).ok());
    // In a user namespace there is nobody but its root.
    let _ = lchown(target, uid, gid);
    if kind != EntryType::Symlink {
        fs::set_permissions(target, fs::Permissions::from_mode(header.mode()? & 0o7777))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(entries: &[(&str, EntryType, &str)]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (path, kind, content) in entries {
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(*kind);
            header.set_mode(0o755);
            header.set_uid(0);
            header.set_gid(0);
            if matches!(kind, EntryType::Symlink | EntryType::Link) {
                header.set_size(0);
                builder.append_link(&mut header, path, content).unwrap();
            } else {
                header.set_size(u64::try_from(content.len()).unwrap());
                builder.append_data(&mut header, path, content.as_bytes()).unwrap();
            }
        }
        builder.into_inner().unwrap()
    }

    #[test]
    fn layers_add_replace_and_remove() {
        use EntryType::{Directory, Link, Regular, Symlink};
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let first = layer(&[
            ("etc", Directory, ""),
            ("etc/gone", Regular, "1"),
            ("etc/stays", Regular, "1"),
            ("full/old", Regular, "1"),
            ("full/deep/old", Regular, "1"),
            ("run", Directory, ""),
            ("var/run", Symlink, "/run"),
        ]);
        apply(&first[..], root).unwrap();
        let second = layer(&[
            ("etc/.wh.gone", Regular, ""),
            ("full/new", Regular, "2"),
            ("full/.wh..wh..opq", Regular, ""),
            ("var/run/pid", Regular, "2"),
            ("etc/same", Link, "etc/stays"),
            ("etc/stays", Regular, "2"),
        ]);
        apply(&second[..], root).unwrap();
        let read = |path: &str| fs::read_to_string(root.join(path)).unwrap_or_default();
        assert!(!root.join("etc/gone").exists());
        assert!(!root.join("full/old").exists() && !root.join("full/deep").exists());
        assert_eq!([read("full/new"), read("run/pid")], ["2", "2"]);
        assert_eq!([read("etc/same"), read("etc/stays")], ["1", "2"]);
    }
}
