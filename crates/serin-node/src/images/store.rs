//! Images that are here: from an archive or folder as `docker save`, `podman save` and OCI tools write them, or from a registry, to
//! folders that containers run in.
//!
//! Each image is a folder named by the digest of its configuration, with its root file system and the configuration; one file tells
//! which names mean which. The layers are unpacked one over the other: an image takes its room once, however many run it.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use ruzstd::decoding::StreamingDecoder;
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::reference::Reference;
use super::{Image, layers};

const NAMES: &str = "names.json";
/// Which names were pulled, and the digests of their manifests.
const PULLED: &str = "pulled.json";
const CONFIG: &str = "config.json";
const ROOT: &str = "rootfs";
const GZIP: [u8; 2] = [0x1F, 0x8B];
const ZSTD: [u8; 4] = [0x28, 0xB5, 0x2F, 0xFD];

/// Why an image could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A file or folder.
    #[error("cannot load an image from {path}: {source}")]
    Io {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is no image, or one of a kind that is not known.
    #[error("{path} cannot be loaded: {problem}")]
    Format {
        /// The archive or folder.
        path: PathBuf,
        /// What is wrong, and what to do.
        problem: String,
    },
}

/// The images of a node.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    folder: PathBuf,
}

/// What a configuration says about running the image.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Run {
    env: Option<Vec<String>>,
    entrypoint: Option<Vec<String>>,
    cmd: Option<Vec<String>>,
    user: Option<String>,
    working_dir: Option<String>,
}

/// An image in an archive that was opened: its configuration, its layers in order, and its names.
pub(super) struct Found {
    pub(super) config: PathBuf,
    pub(super) layers: Vec<PathBuf>,
    pub(super) names: Vec<String>,
}

/// Loads the images of an archive (a tar file, with gzip or without) or of an OCI layout into the data folder of a node, under the
/// names that they have there, or under `name`. The node sees them at once. Gives the names.
///
/// # Errors
/// It cannot be read, or is no image of Linux for this machine.
pub fn load_image(
    data_dir: &Path,
    from: &Path,
    name: Option<&str>,
) -> Result<Vec<String>, LoadError> {
    Store::new(data_dir).load(from, name)
}

impl Store {
    pub(crate) fn new(data_dir: &Path) -> Self {
        Self { folder: data_dir.join("images") }
    }

    /// The image of a name, if it was loaded.
    pub(crate) fn find(&self, name: &str) -> Option<Image> {
        let names = self.read(NAMES);
        let reference = Reference::new(name);
        let id = names.get(&Reference::new(name).to_string()).or_else(|| {
            // By digest: the ID alone.
            names.values().find(|id| name.ends_with(id.as_str()))
        })?;
        let folder = self.folder.join(id);
        let config: Value = serde_json::from_slice(&fs::read(folder.join(CONFIG)).ok()?).ok()?;
        let run: Run = serde_json::from_value(config["config"].clone()).unwrap_or_default();
        let variable = |text: &String| {
            let (name, value) = text.split_once('=')?;
            Some((name.to_owned(), value.to_owned()))
        };
        let mut environment: Vec<_> = run.env.iter().flatten().filter_map(variable).collect();
        if !environment.iter().any(|(name, _)| name == "PATH") {
            let usual = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
            environment.push(("PATH".to_owned(), usual.to_owned()));
        }
        Some(Image {
            id: match self.digest_of(&reference) {
                Some(digest) => format!("{}/{}@{digest}", reference.registry, reference.repository),
                None => format!("sha256:{id}"),
            },
            root: Some(folder.join(ROOT)),
            entrypoint: run.entrypoint.unwrap_or_default(),
            arguments: run.cmd.unwrap_or_default(),
            environment,
            user: run.user.unwrap_or_default(),
            folder: run.working_dir.unwrap_or_default(),
            note: None,
        })
    }

    /// The digest of the manifest that a name was pulled by, if it was pulled.
    pub(super) fn digest_of(&self, name: &Reference) -> Option<String> {
        self.read(PULLED).remove(&name.to_string())
    }

    /// Where downloads are kept until they are unpacked.
    pub(super) fn downloads(&self) -> PathBuf {
        self.folder.join("downloads")
    }

    /// Unpacks an image that was pulled, and keeps it under its name.
    pub(super) fn keep(&self, image: &Found, name: &Reference, digest: &str) -> io::Result<()> {
        let id = self.unpack(image)?;
        let mut names = self.read(NAMES);
        names.insert(name.to_string(), id);
        self.write(NAMES, &names)?;
        let mut pulled = self.read(PULLED);
        pulled.insert(name.to_string(), digest.to_owned());
        self.write(PULLED, &pulled)
    }

    /// A table of names.
    fn read(&self, table: &str) -> BTreeMap<String, String> {
        let bytes = fs::read(self.folder.join(table)).unwrap_or_default();
        serde_json::from_slice(&bytes).unwrap_or_default()
    }

    fn write(&self, table: &str, names: &BTreeMap<String, String>) -> io::Result<()> {
        let next = self.folder.join(format!("{table}.new"));
        fs::write(&next, serde_json::to_vec_pretty(names)?)?;
        fs::rename(&next, self.folder.join(table))
    }

    fn load(&self, from: &Path, name: Option<&str>) -> Result<Vec<String>, LoadError> {
        let failed = |source| LoadError::Io { path: from.to_owned(), source };
        fs::create_dir_all(&self.folder).map_err(failed)?;
        if from.is_dir() {
            return self.take_all(from, from, name);
        }
        let opened = self.folder.join(format!("opening-{}", std::process::id()));
        let result = open(from, &opened).map_err(failed);
        let result = result.and_then(|()| self.take_all(from, &opened, name));
        // It is forgotten with the next one otherwise.
        let _ = fs::remove_dir_all(&opened);
        result
    }

    fn take_all(
        &self,
        from: &Path,
        opened: &Path,
        name: Option<&str>,
    ) -> Result<Vec<String>, LoadError> {
        let failed = |source| LoadError::Io { path: from.to_owned(), source };
        let wrong = |problem| LoadError::Format { path: from.to_owned(), problem };
        let images = images(opened).map_err(wrong)?;
        let mut names = self.read(NAMES);
        let mut loaded = Vec::new();
        for image in images {
            let id = self.unpack(&image).map_err(failed)?;
            let own = match name {
                Some(name) => vec![name.to_owned()],
                None => image.names.clone(),
            };
            if own.is_empty() {
                return Err(wrong(
                    "the image in it has no name: give it one with --name".to_owned(),
                ));
            }
            for name in own {
                names.insert(Reference::new(&name).to_string(), id.clone());
                loaded.push(name);
            }
        }
        self.write(NAMES, &names).map_err(failed)?;
        let mut pulled = self.read(PULLED);
        pulled.retain(|name, _| !loaded.iter().any(|it| Reference::new(it).to_string() == *name));
        self.write(PULLED, &pulled).map_err(failed)?;
        Ok(loaded)
    }

    /// Unpacks an image, if it is not there yet, and gives its ID.
    fn unpack(&self, image: &Found) -> io::Result<String> {
        let config = fs::read(&image.config)?;
        let id: String = Sha256::digest(&config).iter().map(|byte| format!("{byte:02x}")).collect();
        let folder = self.folder.join(&id);
        if folder.join(CONFIG).exists() {
            return Ok(id);
        }
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        let root = folder.join(ROOT);
        fs::create_dir_all(&root)?;
        for layer in &image.layers {
            layers::apply(reader(layer)?, &root)?;
        }
        // It is written last: what has it is whole.
        fs::write(folder.join(CONFIG), config)?;
        Ok(id)
    }
}

/// A tar file as it is, or without its compression.
fn reader(path: &Path) -> io::Result<Box<dyn Read>> {
    let mut file = File::open(path)?;
    let mut begin = [0; 4];
    let length = file.read(&mut begin)?;
    file.seek(SeekFrom::Start(0))?;
    let file = io::BufReader::new(file);
    if begin.starts_with(&GZIP) {
        return Ok(Box::new(GzDecoder::new(file)));
    }
    if length == 4 && begin == ZSTD {
        let decoder = StreamingDecoder::new(file).map_err(io::Error::other)?;
        return Ok(Box::new(decoder));
    }
    Ok(Box::new(file))
}

fn open(archive: &Path, to: &Path) -> io::Result<()> {
    if to.exists() {
        fs::remove_dir_all(to)?;
    }
    fs::create_dir_all(to)?;
    tar::Archive::new(reader(archive)?).unpack(to)
}

/// The images of an archive.
fn images(opened: &Path) -> Result<Vec<Found>, String> {
    if let Ok(text) = fs::read(opened.join("manifest.json")) {
        return by_manifest(opened, &text);
    }
    let text = fs::read(opened.join("index.json"))
        .map_err(|_| "it has neither a manifest.json nor an index.json".to_owned())?;
    let index: Value = serde_json::from_slice(&text).map_err(|error| error.to_string())?;
    let mut found = Vec::new();
    for descriptor in index["manifests"].as_array().into_iter().flatten() {
        let annotations = &descriptor["annotations"];
        let name = ["io.containerd.image.name", "org.opencontainers.image.ref.name"]
            .iter()
            .find_map(|key| annotations[*key].as_str());
        let manifest = manifest_of(opened, descriptor)?;
        let layers = manifest["layers"].as_array().into_iter().flatten();
        found.push(Found {
            config: blob(opened, &manifest["config"])?,
            layers: layers.map(|layer| blob(opened, layer)).collect::<Result<_, _>>()?,
            names: name.map(str::to_owned).into_iter().collect(),
        });
    }
    if found.is_empty() { Err("its index.json names no image".to_owned()) } else { Ok(found) }
}

/// As `docker save` writes it.
fn by_manifest(opened: &Path, text: &[u8]) -> Result<Vec<Found>, String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Entry {
        config: String,
        repo_tags: Option<Vec<String>>,
        layers: Vec<String>,
    }
    let entries: Vec<Entry> =
        serde_json::from_slice(text).map_err(|error| format!("its manifest.json: {error}"))?;
    let path = |name: &String| safe(opened, name);
    entries
        .iter()
        .map(|entry| {
            Ok(Found {
                config: path(&entry.config)?,
                layers: entry.layers.iter().map(path).collect::<Result<_, _>>()?,
                names: entry.repo_tags.clone().unwrap_or_default(),
            })
        })
        .collect()
}

/// What images call this machine.
pub(super) fn machine() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// The manifest that a descriptor means: of an index, the one for this machine.
fn manifest_of(opened: &Path, descriptor: &Value) -> Result<Value, String> {
    let text = fs::read(blob(opened, descriptor)?).map_err(|error| error.to_string())?;
    let value: Value = serde_json::from_slice(&text).map_err(|error| error.to_string())?;
    let Some(all) = value["manifests"].as_array() else { return Ok(value) };
    let machine = machine();
    let fits = |one: &&Value| {
        let platform = &one["platform"];
        platform["os"] == "linux" && platform["architecture"] == machine
    };
    let one = all.iter().find(fits);
    manifest_of(opened, one.ok_or_else(|| format!("it has no image for linux/{machine}"))?)
}

fn blob(opened: &Path, descriptor: &Value) -> Result<PathBuf, String> {
    let digest = descriptor["digest"].as_str().unwrap_or_default();
    let (kind, hex) = digest.split_once(':').ok_or("a descriptor has no digest")?;
    safe(opened, &format!("blobs/{kind}/{hex}"))
}

/// A path in the archive; it does not lead out of it.
fn safe(opened: &Path, name: &str) -> Result<PathBuf, String> {
    let path = opened.join(name);
    let real = path.canonicalize().map_err(|error| format!("{name}: {error}"))?;
    let root = opened.canonicalize().map_err(|error| error.to_string())?;
    if real.starts_with(root) { Ok(real) } else { Err(format!("{name} leads out of it")) }
}
