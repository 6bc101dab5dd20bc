//! Requests to registries: HTTP/1.1 over TLS, in the clear to this machine's own loopback only, through a proxy where the environment names
//! one; redirects are followed.

use std::io;
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, HOST, HeaderMap, HeaderValue, LOCATION, USER_AGENT};
use http::uri::Scheme;
use http::{Request, Response, Uri};
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::proxy::Proxy;

/// Time for a connection, TLS included.
const CONNECT: Duration = Duration::from_secs(15);
/// Time for the head of an answer.
const HEAD: Duration = Duration::from_secs(60);
/// Redirects that are followed.
const REDIRECTS: usize = 5;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HttpError {
    /// An address that is none.
    #[error("{0:?} is not an address of HTTP")]
    Address(String),
    /// It would go over the network for all to read.
    #[error(
        "{0} would be asked in the clear: registries are asked over TLS, except on this machine's own loopback"
    )]
    InTheClear(String),
    /// No connection.
    #[error("cannot connect to {host}: {source}")]
    Connect {
        /// To whom.
        host: String,
        /// What the system said.
        source: io::Error,
    },
    /// The exchange broke.
    #[error("asking {host} failed: {source}")]
    Exchange {
        /// Whom.
        host: String,
        /// Why.
        source: hyper::Error,
    },
    /// Nothing came.
    #[error("{0} does not answer")]
    Slow(String),
    /// It goes round.
    #[error("{0} redirects too often")]
    Redirects(String),
}

/// What asks registries.
#[derive(Clone)]
pub(crate) struct Http {
    tls: Arc<OnceLock<TlsConnector>>,
    proxy: Proxy,
}

impl Http {
    pub(crate) fn new() -> Self {
        Self { tls: Arc::default(), proxy: Proxy::of_environment() }
    }

    /// Asks, and follows where it is sent.
    pub(super) async fn get(
        &self,
        url: &str,
        headers: &HeaderMap,
    ) -> Result<Response<Incoming>, HttpError> {
        let mut uri: Uri = url.parse().map_err(|_| HttpError::Address(url.to_owned()))?;
        let mut headers = headers.clone();
        for _ in 0..=REDIRECTS {
            let response = self.once(&uri, &headers).await?;
            if !response.status().is_redirection() {
                return Ok(response);
            }
            let location = response.headers().get(LOCATION).and_then(|it| it.to_str().ok());
            let Some(next) = location.and_then(|it| resolve(&uri, it)) else {
                return Err(HttpError::Address(location.unwrap_or_default().to_owned()));
            };
            if next.authority() != uri.authority() || next.scheme() != uri.scheme() {
                // Who it was for is not who is asked now.
                headers.remove(AUTHORIZATION);
            }
            uri = next;
        }
        Err(HttpError::Redirects(url.to_owned()))
    }

    async fn once(&self, uri: &Uri, headers: &HeaderMap) -> Result<Response<Incoming>, HttpError> {
        let host = uri.host().ok_or_else(|| HttpError::Address(uri.to_string()))?;
        let is_plain = uri.scheme() == Some(&Scheme::HTTP);
        if is_plain && !is_loopback(host) {
            return Err(HttpError::InTheClear(uri.to_string()));
        }
        let port = uri.port_u16().unwrap_or(if is_plain { 80 } else { 443 });
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let failed = |source| HttpError::Connect { host: host.to_owned(), source };
        let connecting = async {
            if is_plain {
                let stream = TcpStream::connect((bare, port)).await?;
                return Ok(Box::new(stream) as Box<dyn Both>);
            }
            let stream = self.proxy.connect(bare, port).await?;
            let name = ServerName::try_from(bare.to_owned()).map_err(io::Error::other)?;
            Ok(Box::new(self.tls().connect(name, stream).await?) as Box<dyn Both>)
        };
        let slow = |_| HttpError::Slow(host.to_owned());
        let stream = timeout(CONNECT, connecting).await.map_err(slow)?.map_err(failed)?;
        let broken = |source| HttpError::Exchange { host: host.to_owned(), source };
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
        // It ends when the answer has been read, or is dropped.
        tokio::spawn(connection);
        let mut request = Request::new(Empty::<Bytes>::new());
        let path = uri.path_and_query().map_or("/", |it| it.as_str());
        *request.uri_mut() = path.parse().map_err(|_| HttpError::Address(path.to_owned()))?;
        *request.headers_mut() = headers.clone();
        let authority = uri.authority().map_or(host, |it| it.as_str());
        if let Ok(authority) = HeaderValue::from_str(authority) {
            request.headers_mut().insert(HOST, authority);
        }
        request.headers_mut().insert(USER_AGENT, HeaderValue::from_static("serin"));
        let answer = timeout(HEAD, sender.send_request(request)).await.map_err(slow)?;
        answer.map_err(broken)
    }

    /// Made when it is needed first: most clusters pull nothing.
    fn tls(&self) -> &TlsConnector {
        self.tls.get_or_init(|| {
            let mut roots = RootCertStore::empty();
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
            let builder =
                ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
            #[expect(clippy::expect_used, reason = "the provider has suites for every version")]
            let builder = builder.expect("the provider knows the usual versions");
            let config = builder.with_root_certificates(roots).with_no_client_auth();
            TlsConnector::from(Arc::new(config))
        })
    }
}

trait Both: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Both for T {}

/// Whether a host is this machine: it need not be asked over TLS.
pub(super) fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare == "localhost" || bare.parse::<IpAddr>().is_ok_and(|it| it.is_loopback())
}

/// Where a redirect leads to.
fn resolve(from: &Uri, location: &str) -> Option<Uri> {
    if location.starts_with('/') && !location.starts_with("//") {
        let authority = from.authority()?.as_str();
        return format!("{}://{authority}{location}", from.scheme_str()?).parse().ok();
    }
    let uri: Uri = location.parse().ok()?;
    (uri.scheme().is_some() && uri.authority().is_some()).then_some(uri)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_lead_to_paths_and_to_other_hosts() {
        let from: Uri = "https://r.example/v2/a/blobs/b".parse().unwrap();
        let check = |location: &str, expect: Option<&str>| {
            assert_eq!(resolve(&from, location).map(|it| it.to_string()).as_deref(), expect);
        };
        check("/other?a=b", Some("https://r.example/other?a=b"));
        check("https://cdn.example/x", Some("https://cdn.example/x"));
        check("relative", None);
    }

    #[test]
    fn only_this_machine_is_asked_in_the_clear() {
        for host in ["localhost", "127.0.0.9", "[::1]"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in ["r.example", "10.0.0.1", "127.example"] {
            assert!(!is_loopback(host), "{host}");
        }
    }
}
