//! Clients that send one request after the other.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use bytes::Bytes;
use h2::client::SendRequest;
use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use tokio::runtime::Runtime;
use tokio::task::LocalSet;

use crate::backend::{MANY, SIZES, TOGETHER};

/// How long answers to many requests may take. A backend waits for all of them, so one that gets lost would be waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// What clients need for TLS, with the tickets that they got.
pub(crate) struct Tls {
    authority: PathBuf,
    config: Arc<ClientConfig>,
}

impl Tls {
    /// Trusts the authority in a file.
    pub(crate) fn new(authority: PathBuf) -> anyhow::Result<Self> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(&authority)?)?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder =
            ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        let config = Arc::new(builder.with_root_certificates(roots).with_no_client_auth());
        Ok(Self { authority, config })
    }

    /// The same without tickets.
    pub(crate) fn anew(&self) -> anyhow::Result<Self> {
        Self::new(Path::to_path_buf(&self.authority))
    }
}

/// A connection of HTTP/1.
pub(crate) struct Http1<S> {
    stream: S,
    buffer: Vec<u8>,
}

impl Http1<TcpStream> {
    pub(crate) fn plain(port: u16) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port)).context("connecting")?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: vec![0; 256 * 1024] })
    }
}

impl Http1<StreamOwned<ClientConnection, TcpStream>> {
    pub(crate) fn secure(tls: &Tls, port: u16) -> anyhow::Result<Self> {
        let Http1 { stream, buffer } = Http1::plain(port)?;
        let name = ServerName::try_from("bench.test")?;
        let connection = ClientConnection::new(Arc::clone(&tls.config), name)?;
        Ok(Self { stream: StreamOwned::new(connection, stream), buffer })
    }
}

impl<S: Read + Write> Http1<S> {
    /// One request and its whole answer.
    pub(crate) fn get(&mut self, path: &str) -> anyhow::Result<usize> {
        self.ask(path, "")
    }

    /// The same, on a connection that is closed afterwards.
    pub(crate) fn get_last(&mut self, path: &str) -> anyhow::Result<usize> {
        self.ask(path, "connection: close\r\n")?;
        ensure!(self.stream.read(&mut self.buffer)? == 0, "the connection is not closed");
        Ok(1)
    }

    fn ask(&mut self, path: &str, more: &str) -> anyhow::Result<usize> {
        let size = SIZES.iter().find(|(known, _)| *known == path).map_or(0, |(_, size)| *size);
        write!(self.stream, "GET {path} HTTP/1.1\r\nHost: bench.test\r\n{more}\r\n")?;
        let mut filled = 0;
        loop {
            let count = self.stream.read(self.buffer.get_mut(filled..).unwrap_or_default())?;
            ensure!(count > 0, "the connection was closed");
            filled += count;
            let seen = self.buffer.get(..filled).unwrap_or_default();
            let head = seen.windows(4).take(1024).position(|four| four == b"\r\n\r\n");
            if head.is_some_and(|head| filled >= head + 4 + size) {
                ensure!(seen.starts_with(b"HTTP/1.1 200"), "an answer is not 200");
                return Ok(1);
            }
        }
    }
}

/// A connection of HTTP/2.
pub(crate) struct Http2 {
    runtime: Runtime,
    tasks: LocalSet,
    send: SendRequest<Bytes>,
}

impl Http2 {
    pub(crate) fn connect(port: u16) -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let tasks = LocalSet::new();
        let send = tasks.block_on(&runtime, async {
            let stream = tokio::net::TcpStream::connect(("127.0.0.1", port)).await?;
            stream.set_nodelay(true)?;
            let (send, connection) = h2::client::handshake(stream).await?;
            tokio::task::spawn_local(connection);
            anyhow::Ok(send)
        })?;
        Ok(Self { runtime, tasks, send })
    }

    /// One request and its whole answer.
    pub(crate) fn get(&mut self, path: &str) -> anyhow::Result<usize> {
        let asking = ask(self.send.clone(), request(path, None)?, None);
        self.tasks.block_on(&self.runtime, asking)?;
        Ok(1)
    }

    /// Requests at the same time, which are answered at the same time.
    pub(crate) fn get_many(&mut self) -> anyhow::Result<usize> {
        let mut asking = Vec::new();
        for _ in 0..MANY {
            let one = ask(self.send.clone(), request(TOGETHER, None)?, None);
            asking.push(self.tasks.spawn_local(one));
        }
        let answers = async {
            for one in asking {
                one.await??;
            }
            anyhow::Ok(MANY)
        };
        let waiting = async { tokio::time::timeout(PATIENCE, answers).await };
        self.tasks.block_on(&self.runtime, waiting).context("an answer is missing")?
    }

    /// One call of gRPC.
    pub(crate) fn call(&mut self) -> anyhow::Result<usize> {
        let message = Bytes::from_static(&[0, 0, 0, 0, 3, 1, 2, 3]);
        let head = request("/grpc.Bench/Call", Some("application/grpc"))?;
        self.tasks.block_on(&self.runtime, ask(self.send.clone(), head, Some(message)))?;
        Ok(1)
    }
}

fn request(path: &str, content_type: Option<&str>) -> anyhow::Result<http::Request<()>> {
    let uri = format!("http://bench.test{path}");
    let mut request = http::Request::builder().uri(uri);
    if let Some(content_type) = content_type {
        request = request.method("POST").header("content-type", content_type);
        request = request.header("te", "trailers");
    }
    Ok(request.body(())?)
}

async fn ask(
    send: SendRequest<Bytes>,
    head: http::Request<()>,
    body: Option<Bytes>,
) -> anyhow::Result<()> {
    let mut send = send.ready().await?;
    let (response, mut out) = send.send_request(head, body.is_none())?;
    if let Some(body) = body {
        out.send_data(body, true)?;
    }
    let response = response.await?;
    ensure!(response.status() == 200, "an answer is {}", response.status());
    let mut body = response.into_body();
    while let Some(piece) = body.data().await {
        body.flow_control().release_capacity(piece?.len())?;
    }
    body.trailers().await?;
    Ok(())
}
