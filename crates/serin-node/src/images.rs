//! Where the program of an image comes from: a mapping of the user's, an image that was loaded or pulled, or a stand-in; what none of
//! them knows is pulled from its registry.

mod credentials;
mod layers;
mod pattern;
mod pull;
mod reference;
mod registry;
mod store;

use std::path::PathBuf;

use sha2::{Digest as _, Sha256};

pub(crate) use self::credentials::of_pod as logins_of;
pub(crate) use self::pull::{Pulled, Puller};
use self::reference::Reference;
use self::store::Store;
pub use self::store::{LoadError, load_image};
use crate::settings::{Settings, StandIn};

/// What runs for an image.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Image {
    /// As `imageID` tells it.
    pub id: String,
    /// The unpacked root file system; without one the host's is used.
    pub root: Option<PathBuf>,
    /// What runs; the pod's `command` takes its place.
    pub entrypoint: Vec<String>,
    /// Its arguments; the pod's `args` take their place, and go where it has a `command`.
    pub arguments: Vec<String>,
    /// Variables.
    pub environment: Vec<(String, String)>,
    /// `UID[:GID]` or names.
    pub user: String,
    /// The working directory.
    pub folder: String,
    /// What people should know about it: that it is something else than its name says.
    pub note: Option<String>,
}

/// Why an image cannot be had.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum ImageError {
    /// A mapping's command line cannot be read.
    #[error("the command line {line:?} that is mapped to {pattern:?} {problem}")]
    Mapping {
        /// The pattern.
        pattern: String,
        /// The command line.
        line: String,
        /// What is wrong with it.
        problem: &'static str,
    },
}

/// All ways to an image.
#[derive(Clone)]
pub(crate) struct Images {
    mappings: Vec<(String, String)>,
    stand_in: Option<StandIn>,
    program: PathBuf,
    here: PathBuf,
    store: Store,
    /// Brings what is not here.
    pub puller: Puller,
}

impl Images {
    pub(crate) fn new(settings: &Settings) -> Self {
        Self {
            mappings: settings.images.clone(),
            stand_in: settings.stand_in.clone(),
            program: settings.program.clone(),
            here: std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/")),
            puller: Puller::new(Store::new(&settings.data_dir)),
            store: Store::new(&settings.data_dir),
        }
    }

    /// What runs for an image that need not be pulled; `None` if it must be. One that was pulled before is asked for again where
    /// `always` says so, unless its name says by itself what it is.
    pub(crate) fn find(&self, image: &str, always: bool) -> Result<Option<Image>, ImageError> {
        if let Some(mapped) = self.mapped(image)? {
            return Ok(Some(mapped));
        }
        let reference = Reference::new(image);
        let is_asked_again =
            || always && !reference.is_digest() && self.store.digest_of(&reference).is_some();
        if let Some(here) = self.store.find(image) {
            return Ok((!is_asked_again()).then_some(here));
        }
        if let Some(sample) = self.stand_in.as_ref().and_then(|stand_in| stand_in(image)) {
            let note = format!(
                "Image {image:?} is not pulled: `serin {}` stands in for it",
                sample.join(" ")
            );
            let program = self.program.display().to_string();
            return Ok(Some(Image {
                id: id("stand-in", image),
                // Images that servers come in have no entry point, or one that runs its arguments.
                arguments: std::iter::once(program).chain(sample).collect(),
                environment: host_path(),
                folder: "/".to_owned(),
                note: Some(note),
                ..Image::default()
            }));
        }
        Ok(None)
    }

    fn mapped(&self, image: &str) -> Result<Option<Image>, ImageError> {
        let mapping = self.mappings.iter().find(|(glob, _)| pattern::matches_image(glob, image));
        let Some((glob, line)) = mapping else { return Ok(None) };
        let failed =
            |problem| ImageError::Mapping { pattern: glob.clone(), line: line.clone(), problem };
        let entrypoint = pattern::words(line).map_err(failed)?;
        if entrypoint.is_empty() {
            return Err(failed("is empty"));
        }
        Ok(Some(Image {
            id: id("mapped", line),
            entrypoint,
            environment: host_path(),
            // Paths in the command line are the user's.
            folder: self.here.display().to_string(),
            ..Image::default()
        }))
    }
}

/// An ID in the form that Kubernetes shows.
fn id(kind: &str, name: &str) -> String {
    let digest = Sha256::digest(name.as_bytes());
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{kind}@sha256:{hex}")
}

/// Programs without an image find others where the node's own user does.
fn host_path() -> Vec<(String, String)> {
    let usual = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    let path = std::env::var("PATH").unwrap_or_else(|_| usual.to_owned());
    vec![("PATH".to_owned(), path)]
}
