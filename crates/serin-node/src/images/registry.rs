//! Registries, by the distribution protocol of OCI: manifests and blobs by name and digest, and who may have them.
//!
//! What comes is believed only where its digest says so. A download that breaks off goes on where it was.

mod challenge;
mod download;
mod http;
mod proxy;

use std::time::Duration;

use ::http::header::{ACCEPT, AUTHORIZATION, HeaderMap, HeaderName, HeaderValue, WWW_AUTHENTICATE};
use ::http::{Response, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tokio::time::timeout;

use self::challenge::Challenge;
use self::http::is_loopback;
pub(crate) use self::http::{Http, HttpError};
use super::credentials::Login;
use super::reference::Reference;

/// How large a manifest may be (the protocol's recommendation).
const MANIFEST: usize = 4 << 20;
/// How large a token's answer, or the explanation of a refusal, may be.
const TEXT: usize = 1 << 20;
/// Time for a small answer.
const SMALL: Duration = Duration::from_secs(60);
/// What is understood.
const MANIFESTS: &str = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, \
     application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json";

/// Why an image could not be pulled.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PullError {
    /// The registry cannot be asked.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// It answers something else.
    #[error("unexpected status from GET request to {url}: {status}{why}")]
    Status {
        /// What was asked.
        url: String,
        /// Its answer.
        status: StatusCode,
        /// What it says, with a colon before.
        why: String,
    },
    /// It has no such image.
    #[error("{0}: not found")]
    NotFound(String),
    /// It does not let us.
    #[error(
        "pull access denied for {0}: it does not exist, or a login is missing or wrong (imagePullSecrets)"
    )]
    Denied(String),
    /// What came is not what it says.
    #[error("{0}")]
    Content(String),
    /// The answer broke off.
    #[error("the download from {0} broke off: {1}")]
    Broken(String, String),
    /// A file.
    #[error("cannot keep what was downloaded: {0}")]
    Disk(#[from] std::io::Error),
}

/// Something by its digest.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Descriptor {
    /// `sha256:` and 64 digits.
    pub(super) digest: String,
    #[serde(default)]
    pub(super) media_type: String,
    pub(super) size: u64,
}

impl Descriptor {
    /// The digits of the digest: they are the names of files.
    pub(super) fn hex(&self) -> Result<&str, PullError> {
        let hex = self.digest.strip_prefix("sha256:").unwrap_or_default();
        let is_hex =
            hex.len() == 64 && hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        let wrong = || PullError::Content(format!("{:?} is not a digest by SHA-256", self.digest));
        is_hex.then_some(hex).ok_or_else(wrong)
    }
}

/// An image as its registry describes it.
#[derive(Clone, Debug)]
pub(super) struct Manifest {
    /// Of what its name means, which may be a list of images.
    pub(super) digest: String,
    pub(super) config: Descriptor,
    pub(super) layers: Vec<Descriptor>,
}

/// The registry of an image, and what it knows of us.
pub(super) struct Registry<'r> {
    http: &'r Http,
    image: &'r Reference,
    /// What is shown in turn; without anything in the end.
    logins: Vec<Option<Login>>,
    /// Which of them was shown last.
    shown: Option<usize>,
    authorization: Option<HeaderValue>,
    /// What was shown last was taken: if it no longer is, it has run out.
    was_taken: bool,
}

impl<'r> Registry<'r> {
    pub(super) fn new(http: &'r Http, image: &'r Reference, logins: Vec<Login>) -> Self {
        let logins = logins.into_iter().map(Some).chain([None]).collect();
        Self { http, image, logins, shown: None, authorization: None, was_taken: false }
    }

    fn url(&self, kind: &str, what: &str) -> String {
        let host = self.image.host();
        let name = host.rsplit_once(':').map_or(host.as_str(), |(name, _)| name);
        let scheme = if is_loopback(name) { "http" } else { "https" };
        format!("{scheme}://{host}/v2/{}/{kind}/{what}", self.image.repository)
    }

    /// What the image's name means, for this machine.
    pub(super) async fn manifest(&mut self) -> Result<Manifest, PullError> {
        let (digest, mut value) = self.read_manifest(&self.image.version.clone()).await?;
        if let Some(all) = value["manifests"].as_array() {
            let machine = super::store::machine();
            let fits = |it: &&Value| {
                let platform = &it["platform"];
                platform["os"] == "linux" && platform["architecture"] == machine
            };
            let none = || {
                PullError::Content(format!("no match for platform in manifest: linux/{machine}"))
            };
            let one = all.iter().find(fits).ok_or_else(none)?;
            let of_machine = one["digest"].as_str().unwrap_or_default().to_owned();
            (_, value) = self.read_manifest(&of_machine).await?;
        }
        #[derive(Deserialize)]
        struct Read {
            config: Descriptor,
            layers: Vec<Descriptor>,
        }
        let Read { config, layers } = serde_json::from_value(value)
            .map_err(|_| PullError::Content("the manifest is not one of an image".to_owned()))?;
        Ok(Manifest { digest, config, layers })
    }

    /// A manifest and its digest. One that is asked for by digest is what it says.
    async fn read_manifest(&mut self, version: &str) -> Result<(String, Value), PullError> {
        let url = self.url("manifests", version);
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static(MANIFESTS));
        let response = self.get(&url, &headers).await?;
        let bytes = whole(response, &url, MANIFEST).await?;
        let digest = format!("sha256:{}", hex(&Sha256::digest(&bytes)));
        if version.contains(':') && version != digest {
            let text =
                format!("the manifest {version} has the digest {digest}: it is not what it says");
            return Err(PullError::Content(text));
        }
        let value = serde_json::from_slice(&bytes)
            .map_err(|error| PullError::Content(format!("the manifest is no JSON: {error}")))?;
        Ok((digest, value))
    }

    /// Asks, and shows who asks where that is wanted.
    async fn get(
        &mut self,
        url: &str,
        headers: &HeaderMap,
    ) -> Result<Response<Incoming>, PullError> {
        loop {
            let mut headers = headers.clone();
            if let Some(authorization) = &self.authorization {
                headers.insert(AUTHORIZATION, authorization.clone());
            }
            let response = self.http.get(url, &headers).await?;
            match response.status() {
                status if status.is_success() => {
                    self.was_taken = true;
                    return Ok(response);
                }
                StatusCode::NOT_FOUND => return Err(PullError::NotFound(self.image.to_string())),
                StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                    let challenge = response.headers().get(WWW_AUTHENTICATE);
                    let challenge = challenge.and_then(|it| Challenge::parse(it.to_str().ok()?));
                    self.show_next(challenge).await?;
                }
                status => {
                    let why = refusal(response, url).await;
                    return Err(PullError::Status { url: url.to_owned(), status, why });
                }
            }
        }
    }

    /// Takes the next login that can be shown; what was taken before, and has run out, once more.
    async fn show_next(&mut self, challenge: Option<Challenge>) -> Result<(), PullError> {
        let denied = || PullError::Denied(self.image.to_string());
        let challenge = challenge.ok_or_else(denied)?;
        let again = std::mem::take(&mut self.was_taken);
        let mut place = match self.shown {
            Some(place) if again => place,
            Some(place) => place + 1,
            None => 0,
        };
        loop {
            let Some(login) = self.logins.get(place).cloned() else { return Err(denied()) };
            self.shown = Some(place);
            self.authorization = match (&challenge, &login) {
                (Challenge::Basic, None) => return Err(denied()),
                (Challenge::Basic, Some(login)) => header(&format!("Basic {}", login.basic)),
                (Challenge::Bearer { .. }, _) => self.token(&challenge, login.as_ref()).await?,
            };
            if self.authorization.is_some() {
                return Ok(());
            }
            place += 1;
        }
    }

    /// A token of who gives them; `None` if the login is refused.
    async fn token(
        &self,
        challenge: &Challenge,
        login: Option<&Login>,
    ) -> Result<Option<HeaderValue>, PullError> {
        let Challenge::Bearer { realm, service, scope } = challenge else { return Ok(None) };
        let encoded = |text: &str| {
            percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC)
                .to_string()
        };
        let mark = if realm.contains('?') { '&' } else { '?' };
        let scope = match scope.is_empty() {
            true => format!("repository:{}:pull", self.image.repository),
            false => scope.clone(),
        };
        let url = format!("{realm}{mark}service={}&scope={}", encoded(service), encoded(&scope));
        let mut headers = HeaderMap::new();
        if let Some(basic) = login.and_then(|it| header(&format!("Basic {}", it.basic))) {
            headers.insert(AUTHORIZATION, basic);
        }
        let response = self.http.get(&url, &headers).await?;
        if !response.status().is_success() {
            return Ok(None);
        }
        let bytes = whole(response, realm, TEXT).await?;
        let value: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        let token = value["token"].as_str().or_else(|| value["access_token"].as_str());
        Ok(token.and_then(|token| header(&format!("Bearer {token}"))))
    }
}

/// A header whose value is not shown in logs.
fn header(value: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(value).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// The whole of a small answer.
async fn whole(
    response: Response<Incoming>,
    url: &str,
    limit: usize,
) -> Result<Vec<u8>, PullError> {
    let reading = Limited::new(response.into_body(), limit).collect();
    let broken = |why: String| PullError::Broken(url.to_owned(), why);
    let read = timeout(SMALL, reading).await.map_err(|_| broken("nothing came".to_owned()))?;
    Ok(read.map_err(|error| broken(error.to_string()))?.to_bytes().to_vec())
}

/// What a registry says of its refusal.
async fn refusal(response: Response<Incoming>, url: &str) -> String {
    let bytes = whole(response, url, TEXT).await.unwrap_or_default();
    let value: Value = serde_json::from_slice(&bytes).unwrap_or_default();
    let message = value["errors"][0]["message"].as_str();
    message.map(|message| format!(": {message}")).unwrap_or_default()
}

/// Digits of a digest.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The header by which a part is asked for.
const RANGE: HeaderName = ::http::header::RANGE;
