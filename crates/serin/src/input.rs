//! From paths to texts: files, folders with everything below them, standard input.
//!
//! Texts come in a fixed order (as named; within a folder by name), each file once, under the name by which the user
//! reached it. What the texts mean is left to `serin-api`.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail};

/// The extensions that are read from folders. A file that is named itself may have any.
const EXTENSIONS: [&str; 3] = ["yaml", "yml", "json"];

/// One text to read objects from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Text {
    /// The file as the user would name it; `-` for standard input.
    pub(crate) file: Arc<str>,
    /// What it holds; manifests are text, but a file may hold anything.
    pub(crate) content: Vec<u8>,
}

/// Reads everything that `paths` name.
pub(crate) fn read(paths: &[PathBuf]) -> anyhow::Result<Vec<Text>> {
    let mut reader = Reader::default();
    for path in paths {
        if path == Path::new("-") {
            reader.standard_input()?;
        } else {
            reader.named(path)?;
        }
    }
    Ok(reader.texts)
}

/// Reads everything that `paths` name and can be read, and tells what cannot. Standard input is not read.
pub(crate) fn read_what_can_be(paths: &[PathBuf]) -> (Vec<Text>, Vec<(PathBuf, anyhow::Error)>) {
    let mut reader = Reader { lenient: true, ..Reader::default() };
    for path in paths.iter().filter(|path| *path != Path::new("-")) {
        if let Err(error) = reader.named(path) {
            reader.problems.push((path.clone(), error));
        }
    }
    (reader.texts, reader.problems)
}

#[derive(Default)]
struct Reader {
    texts: Vec<Text>,
    /// What cannot be read in a folder is put to the problems, and the rest is read.
    lenient: bool,
    problems: Vec<(PathBuf, anyhow::Error)>,
    /// Files and folders that were read, by their real names: no file twice, and no way round in circles of links.
    seen: BTreeSet<PathBuf>,
}

impl Reader {
    fn standard_input(&mut self) -> anyhow::Result<()> {
        if !self.seen.insert(PathBuf::from("-")) {
            return Ok(());
        }
        let mut content = Vec::new();
        io::stdin().read_to_end(&mut content).context("cannot read standard input")?;
        self.texts.push(Text { file: "-".into(), content });
        Ok(())
    }

    fn named(&mut self, path: &Path) -> anyhow::Result<()> {
        let metadata = fs::metadata(path).with_context(|| missing(path))?;
        if !metadata.is_dir() {
            return self.file(path);
        }
        if !self.folder(path)? {
            bail!("{}: no *.yaml, *.yml or *.json in this folder or below it", path.display());
        }
        Ok(())
    }

    /// Reads a folder; false if there is nothing to read in it.
    fn folder(&mut self, path: &Path) -> anyhow::Result<bool> {
        if !self.first_visit(path) {
            return Ok(true);
        }
        let mut found = false;
        let listing = || format!("cannot list {}", path.display());
        let entries: io::Result<Vec<PathBuf>> =
            fs::read_dir(path).with_context(listing)?.map(|entry| Ok(entry?.path())).collect();
        let mut entries = entries.with_context(listing)?;
        entries.sort();
        for entry in entries {
            let hidden =
                entry.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
            if hidden {
                continue;
            }
            match self.entry(&entry) {
                Ok(is_text) => found |= is_text,
                Err(error) if self.lenient => self.problems.push((entry, error)),
                Err(error) => return Err(error),
            }
        }
        Ok(found || self.lenient)
    }

    /// Reads an entry of a folder; false if there is nothing to read in it.
    fn entry(&mut self, entry: &Path) -> anyhow::Result<bool> {
        let metadata = fs::metadata(entry).with_context(|| missing(entry))?;
        if metadata.is_dir() {
            return self.folder(entry);
        }
        let is_text = entry.extension().is_some_and(|e| EXTENSIONS.iter().any(|known| e == *known));
        if is_text {
            self.file(entry)?;
        }
        Ok(is_text)
    }

    fn file(&mut self, path: &Path) -> anyhow::Result<()> {
        if !self.first_visit(path) {
            return Ok(());
        }
        let content = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        self.texts.push(Text { file: shown(path).into(), content });
        Ok(())
    }

    fn first_visit(&mut self, path: &Path) -> bool {
        // Pipes (`<(kustomize build)`) have no real name.
        let real = fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
        self.seen.insert(real)
    }
}

fn missing(path: &Path) -> String {
    let nearest = path.parent().and_then(|folder| {
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        let wanted = path.file_name()?.to_string_lossy().into_owned();
        let names = fs::read_dir(folder).ok()?.filter_map(|entry| {
            let name = entry.ok()?.file_name().to_string_lossy().into_owned();
            let distance = strsim::osa_distance(&name, &wanted);
            (distance <= 1 + wanted.len() / 5).then_some((distance, name))
        });
        names.min()
    });
    match nearest {
        Some((1.., name)) => {
            let near = path.with_file_name(name);
            format!("cannot read {} (did you mean {}?)", path.display(), near.display())
        }
        _ => format!("cannot read {}", path.display()),
    }
}

fn shown(path: &Path) -> String {
    let path = path.strip_prefix("./").unwrap_or(path);
    path.display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder of its own for one test, removed at its end.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str, files: &[(&str, &str)]) -> Self {
            let root =
                std::env::temp_dir().join(format!("serin-input-{}-{name}", std::process::id()));
            for (file, content) in files {
                let path = root.join(file);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, content).unwrap();
            }
            Self(root)
        }

        fn names(&self, paths: &[&str]) -> Result<Vec<String>, String> {
            let paths: Vec<PathBuf> = paths.iter().map(|path| self.0.join(path)).collect();
            let texts = read(&paths).map_err(|error| format!("{error:#}"))?;
            let prefix = format!("{}/", self.0.display());
            Ok(texts.iter().map(|text| text.file.replace(&prefix, "")).collect())
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn folders_are_read_by_name_with_all_below_them() {
        let folder = Folder::new(
            "order",
            &[
                ("b.yaml", ""),
                ("a/z.yml", ""),
                ("a/y.json", ""),
                ("c.txt", ""),
                (".git/d.yaml", ""),
            ],
        );
        assert_eq!(folder.names(&["."]).unwrap(), ["./a/y.json", "./a/z.yml", "./b.yaml"]);
    }

    #[test]
    fn a_file_that_is_named_may_have_any_extension_and_is_read_once() {
        let folder = Folder::new("once", &[("a.yaml", ""), ("c.txt", "")]);
        assert_eq!(folder.names(&["c.txt", "a.yaml", "", "a.yaml"]).unwrap(), ["c.txt", "a.yaml"]);
    }

    #[test]
    fn what_cannot_be_read_is_said_with_a_proposal() {
        let folder = Folder::new("missing", &[("routes.yaml", ""), ("empty/notes.txt", "")]);
        let error = folder.names(&["rutes.yaml"]).unwrap_err();
        assert!(error.contains("did you mean") && error.contains("routes.yaml?"), "{error}");
        let error = folder.names(&["empty"]).unwrap_err();
        assert!(error.contains("no *.yaml, *.yml or *.json"), "{error}");
    }

    #[test]
    #[cfg(unix)]
    fn links_that_lead_back_are_followed_once() {
        let folder = Folder::new("links", &[("a/b.yaml", "")]);
        std::os::unix::fs::symlink(&folder.0, folder.0.join("a/up")).unwrap();
        assert_eq!(folder.names(&["a"]).unwrap(), ["a/b.yaml"]);
    }
}
