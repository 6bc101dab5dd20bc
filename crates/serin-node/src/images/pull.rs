//! Pulling: from the name of an image to its unpacked files, one image after the other as a kubelet does.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::SignedDuration;
use tokio::sync::Mutex as Turn;

use super::Image;
use super::credentials::Login;
use super::reference::Reference;
use super::registry::{Http, HttpError, PullError, Registry};
use super::store::{Found, Store};

/// The pause after a pull that failed, at first and at most (a kubelet's).
const FIRST: SignedDuration = SignedDuration::from_secs(10);
const LONGEST: SignedDuration = SignedDuration::from_secs(300);
/// So many failures are remembered.
const REMEMBERED: usize = 4096;

/// What pulls images.
#[derive(Clone)]
pub(crate) struct Puller {
    store: Store,
    http: Http,
    turn: Arc<Turn<()>>,
    /// How often pulls for a container have failed in a row.
    failures: Arc<Mutex<HashMap<String, u32>>>,
}

/// An image that was pulled.
#[derive(Debug)]
pub(crate) struct Pulled {
    /// What runs.
    pub image: Image,
    /// Bytes that its layers have.
    pub size: u64,
    /// It was here already, and the registry has nothing newer.
    pub was_here: bool,
}

impl Puller {
    pub(super) fn new(store: Store) -> Self {
        // What an earlier node has begun is begun again.
        let _ = std::fs::remove_dir_all(store.downloads());
        Self { store, http: Http::new(), turn: Arc::default(), failures: Arc::default() }
    }

    /// Brings an image here, unless what the registry has under its name is here.
    pub(crate) async fn pull(&self, name: &str, logins: Vec<Login>) -> Result<Pulled, PullError> {
        let _turn = self.turn.lock().await;
        let reference = Reference::new(name);
        let mut registry = Registry::new(&self.http, &reference, logins);
        let manifest = registry.manifest().await?;
        let size = manifest.layers.iter().map(|it| it.size).sum();
        let known = self.store.digest_of(&reference) == Some(manifest.digest.clone());
        if let Some(image) = self.store.find(name).filter(|_| known) {
            return Ok(Pulled { image, size, was_here: true });
        }
        let folder = self.store.downloads();
        std::fs::create_dir_all(&folder)?;
        let config = registry.blob(&manifest.config, &folder).await?;
        let mut layers: Vec<PathBuf> = Vec::new();
        for layer in &manifest.layers {
            if layer.media_type.contains(".foreign.") {
                let text = format!("its layer {} is not to be distributed", layer.digest);
                return Err(PullError::Content(text));
            }
            layers.push(registry.blob(layer, &folder).await?);
        }
        let store = self.store.clone();
        let unpacking = tokio::task::spawn_blocking(move || {
            let found = Found { config, layers, names: Vec::new() };
            let kept = store.keep(&found, &reference, &manifest.digest);
            for path in found.layers.iter().chain([&found.config]) {
                // What is left is removed by the next node.
                let _ = std::fs::remove_file(path);
            }
            kept
        });
        unpacking.await.map_err(std::io::Error::other)??;
        let image = self.store.find(name);
        let gone = || PullError::Content("its configuration cannot be read".to_owned());
        Ok(Pulled { image: image.ok_or_else(gone)?, size, was_here: false })
    }

    /// How long to wait after a failure for a container.
    pub(crate) fn wait_after_failure(&self, container: &str) -> SignedDuration {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        if failures.len() >= REMEMBERED {
            failures.clear();
        }
        let count = failures.entry(container.to_owned()).or_default();
        let wait = FIRST.checked_mul(1 << (*count).min(5)).unwrap_or(LONGEST).min(LONGEST);
        *count += 1;
        wait
    }

    /// A pull for a container went well.
    pub(crate) fn went_well(&self, container: &str) {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner).remove(container);
    }
}

impl PullError {
    /// The pull's failure as a kubelet tells it, and what else can be done.
    pub(crate) fn tell(&self, image: &str) -> String {
        let reference = Reference::new(image);
        let text = format!("failed to pull and unpack image \"{reference}\": {self}");
        let is_no_answer =
            matches!(self, Self::Http(HttpError::Connect { .. } | HttpError::Slow(_)));
        if is_no_answer || matches!(self, Self::NotFound(_) | Self::Denied(_)) {
            return format!(
                "{text}; a program of yours can run in its place (serin up --image '{image}=COMMAND'), or an image from a file (serin image load FILE)"
            );
        }
        text
    }
}
