//! Blobs: from a registry to a file, in as many pieces as it takes, and only what its digest says.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use ::http::StatusCode;
use ::http::header::{HeaderMap, HeaderValue};
use http_body_util::BodyExt as _;
use sha2::{Digest as _, Sha256};
use tokio::time::timeout;

use super::{Descriptor, PullError, RANGE, Registry, hex};

/// How often a download is taken up again without anything new.
const TRIES: u32 = 5;
/// The pause before that, which doubles.
const PAUSE: Duration = Duration::from_millis(500);
/// Time in which something must come.
const SILENCE: Duration = Duration::from_secs(60);

impl Registry<'_> {
    /// Brings a blob into a folder, unless it is there.
    pub(crate) async fn blob(
        &mut self,
        descriptor: &Descriptor,
        folder: &Path,
    ) -> Result<PathBuf, PullError> {
        let name = descriptor.hex()?;
        let (whole, part) = (folder.join(name), folder.join(format!("{name}.part")));
        if whole.exists() {
            return Ok(whole);
        }
        let url = self.url("blobs", &descriptor.digest);
        let mut download = Download::open(&part, descriptor.size)?;
        let (mut tries, mut pause) = (0, PAUSE);
        while !download.is_whole() {
            let before = download.length;
            let Err(error) = self.piece(&url, &mut download).await else { continue };
            tries = if download.length > before { 0 } else { tries + 1 };
            let can_help = matches!(error, PullError::Broken(..) | PullError::Http(_))
                || matches!(&error, PullError::Status { status, .. } if status.is_server_error());
            if !can_help || tries >= TRIES {
                return Err(error);
            }
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
        let digest = download.finish()?;
        if digest != name {
            fs::remove_file(&part)?;
            let text = format!(
                "failed to verify {}: what came has the digest sha256:{digest}",
                descriptor.digest
            );
            return Err(PullError::Content(text));
        }
        fs::rename(&part, &whole)?;
        Ok(whole)
    }

    /// Takes what the registry gives of what is missing.
    async fn piece(&mut self, url: &str, download: &mut Download) -> Result<(), PullError> {
        let mut headers = HeaderMap::new();
        if download.length > 0
            && let Ok(range) = HeaderValue::from_str(&format!("bytes={}-", download.length))
        {
            headers.insert(RANGE, range);
        }
        let response = self.get(url, &headers).await?;
        if response.status() != StatusCode::PARTIAL_CONTENT {
            download.begin_again()?;
        }
        let broken = |why: String| PullError::Broken(url.to_owned(), why);
        let mut body = response.into_body();
        loop {
            let frame = timeout(SILENCE, body.frame()).await;
            let frame = frame.map_err(|_| broken("nothing came for a minute".to_owned()))?;
            let Some(frame) = frame else { break };
            let frame = frame.map_err(|error| broken(error.to_string()))?;
            if let Some(bytes) = frame.data_ref() {
                download.take(bytes)?;
            }
        }
        if download.is_whole() { Ok(()) } else { Err(broken("it ended early".to_owned())) }
    }
}

/// A file that is filled.
struct Download {
    file: File,
    digest: Sha256,
    length: u64,
    size: u64,
}

impl Download {
    /// Goes on with what a file has.
    fn open(path: &Path, size: u64) -> io::Result<Self> {
        let mut file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
        let (mut digest, mut length) = (Sha256::new(), 0);
        let mut buffer = vec![0; 64 << 10];
        loop {
            let count = file.read(&mut buffer)?;
            let Some(bytes) = buffer.get(..count).filter(|it| !it.is_empty()) else { break };
            digest.update(bytes);
            length += bytes.len() as u64;
        }
        let mut download = Self { file, digest, length, size };
        if length > size {
            download.begin_again()?;
        }
        Ok(download)
    }

    fn begin_again(&mut self) -> io::Result<()> {
        if self.length > 0 {
            self.file.set_len(0)?;
            (self.digest, self.length) = (Sha256::new(), 0);
        }
        Ok(())
    }

    fn take(&mut self, bytes: &[u8]) -> Result<(), PullError> {
        self.length += bytes.len() as u64;
        if self.length > self.size {
            let text = format!("more than the {} bytes came that the manifest says", self.size);
            return Err(PullError::Content(text));
        }
        self.file.write_all(bytes)?;
        self.digest.update(bytes);
        Ok(())
    }

    const fn is_whole(&self) -> bool {
        self.length == self.size
    }

    fn finish(self) -> io::Result<String> {
        self.file.sync_all()?;
        Ok(hex(&self.digest.finalize()))
    }
}
