//! The way to a webhook: a URL, or a Service of the cluster, always over TLS.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, HOST};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::rt::TokioIo;
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::server::ApiServer;

/// How long an answer may be.
const ANSWER: usize = 10 << 20;
/// The authorities of the system, for webhooks that name none.
const SYSTEM: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Where a webhook is.
pub(super) struct Endpoint {
    place: Place,
    /// The authority of its certificate, as PEM; empty for those of the system.
    authority: Vec<u8>,
}

enum Place {
    Url(http::Uri),
    Service {
        namespace: String,
        name: String,
        port: u16,
        path: String,
    },
    /// What is configured names no place.
    Nowhere(String),
}

impl Endpoint {
    pub(super) fn read(config: &Value) -> Self {
        let authority = config["caBundle"].as_str().unwrap_or_default();
        let authority = STANDARD.decode(authority).unwrap_or_default();
        let service = &config["service"];
        let text = |name: &str| service[name].as_str().unwrap_or_default().to_owned();
        let place = if service.is_object() {
            let port = service["port"].as_u64().and_then(|port| u16::try_from(port).ok());
            let path = format!("/{}", text("path").trim_start_matches('/'));
            let port = port.unwrap_or(443);
            Place::Service { namespace: text("namespace"), name: text("name"), port, path }
        } else {
            let url = config["url"].as_str().unwrap_or_default();
            url.parse().map_or_else(|_| Place::Nowhere(url.to_owned()), Place::Url)
        };
        Self { place, authority }
    }

    /// The URL, as messages name it.
    pub(super) fn url(&self, timeout: Duration) -> String {
        let seconds = timeout.as_secs();
        match &self.place {
            Place::Url(url) => {
                let mark = if url.query().is_some() { '&' } else { '?' };
                format!("{url}{mark}timeout={seconds}s")
            }
            Place::Service { namespace, name, port, path } => {
                format!("https://{name}.{namespace}.svc:{port}{path}?timeout={seconds}s")
            }
            Place::Nowhere(url) => url.clone(),
        }
    }

    /// Sends a review; the answer's bytes.
    pub(super) async fn call(
        &self,
        server: &ApiServer,
        timeout: Duration,
        body: Vec<u8>,
    ) -> Result<Bytes, String> {
        let url = self.url(timeout);
        self.post(server, &url, body).await.map_err(|why| format!("Post {url:?}: {why}"))
    }

    async fn post(&self, server: &ApiServer, url: &str, body: Vec<u8>) -> Result<Bytes, String> {
        let (host, stream) = self.connect(server).await?;
        let name = ServerName::try_from(host.clone()).map_err(|error| error.to_string())?;
        let config = self.tls()?;
        let stream = TlsConnector::from(Arc::new(config)).connect(name, stream);
        let stream = stream.await.map_err(|error| format!("tls: {error}"))?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(text)?;
        tokio::spawn(connection);
        let uri: http::Uri = url.parse().map_err(text)?;
        let path = uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
        let request = http::Request::post(path)
            .header(HOST, uri.authority().map_or(host.as_str(), http::uri::Authority::as_str))
            .header(CONTENT_TYPE, "application/json")
            .header(ACCEPT, "application/json, */*")
            .body(Full::new(Bytes::from(body)))
            .map_err(text)?;
        let response = sender.send_request(request).await.map_err(text)?;
        let code = response.status();
        let body = Limited::new(response.into_body(), ANSWER).collect().await;
        let body = body.map_err(|error| error.to_string())?.to_bytes();
        if code.is_success() {
            return Ok(body);
        }
        let said = String::from_utf8_lossy(&body);
        let said = said.trim().lines().next().unwrap_or_default();
        Err(format!("the webhook answered {code}: {said}"))
    }

    /// A connection, and the name that the certificate has to have.
    async fn connect(&self, server: &ApiServer) -> Result<(String, TcpStream), String> {
        match &self.place {
            Place::Nowhere(_) => Err("the URL cannot be read".to_owned()),
            Place::Url(url) => {
                let host = url.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
                let port = url.port_u16().unwrap_or(443);
                let stream = TcpStream::connect((host.as_str(), port)).await;
                Ok((host.clone(), stream.map_err(|error| dial(&format!("{host}:{port}"), &error))?))
            }
            Place::Service { namespace, name, port, .. } => {
                let address = resolve(server, namespace, name, *port)?;
                let stream = match &server.inner.network {
                    Some(connect) => connect(address).await,
                    None => TcpStream::connect(address).await,
                };
                let stream = stream.map_err(|error| dial(&address.to_string(), &error))?;
                Ok((format!("{name}.{namespace}.svc"), stream))
            }
        }
    }

    fn tls(&self) -> Result<rustls::ClientConfig, String> {
        let mut roots = RootCertStore::empty();
        let authority = if self.authority.is_empty() {
            std::fs::read(SYSTEM).unwrap_or_default()
        } else {
            self.authority.clone()
        };
        for certificate in CertificateDer::pem_slice_iter(&authority) {
            let certificate = certificate.map_err(|error| format!("its caBundle: {error:?}"))?;
            // One that cannot be used leaves the others.
            let _ = roots.add(certificate);
        }
        if roots.is_empty() {
            return Err("there is no authority by which its certificate could be judged".to_owned());
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        Ok(rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(text)?
            .with_root_certificates(roots)
            .with_no_client_auth())
    }
}

/// Why there is no connection, in the words that people know from Kubernetes.
fn dial(address: &str, error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::ConnectionRefused => {
            format!("dial tcp {address}: connect: connection refused")
        }
        _ => format!("dial tcp {address}: {error}"),
    }
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// A pod that is ready behind a port of a Service.
pub(crate) fn resolve(
    server: &ApiServer,
    namespace: &str,
    name: &str,
    port: u16,
) -> Result<SocketAddr, String> {
    let store = &server.inner.store;
    let service = store.object("/services", &format!("{namespace}/{name}"));
    let service = service.ok_or_else(|| format!("service {name:?} not found"))?.value();
    let ports = service["spec"]["ports"].as_array().into_iter().flatten();
    let wanted = ports.clone().find(|it| it["port"] == port);
    let wanted =
        wanted.ok_or_else(|| format!("no service port {port} found for service {name:?}"))?;
    let port_name = wanted["name"].as_str().unwrap_or_default();
    let (slices, _) = store.list("discovery.k8s.io/endpointslices", &format!("{namespace}/"), None);
    let slices = slices.iter().map(|(_, slice)| slice.value());
    for slice in slices.filter(|it| it["metadata"]["labels"]["kubernetes.io/service-name"] == name)
    {
        let mut ports = slice["ports"].as_array().into_iter().flatten();
        let port = ports
            .find(|it| it["name"].as_str().unwrap_or_default() == port_name)
            .and_then(|it| it["port"].as_u64())
            .and_then(|port| u16::try_from(port).ok());
        let endpoints = slice["endpoints"].as_array().into_iter().flatten();
        let ready = endpoints.filter(|it| it["conditions"]["ready"] != false);
        let address = ready
            .filter_map(|it| it["addresses"][0].as_str())
            .find_map(|address| address.parse().ok());
        if let (Some(port), Some(address)) = (port, address) {
            return Ok(SocketAddr::new(address, port));
        }
    }
    Err(format!("no endpoints available for service {name:?}"))
}
