//! An HTTP server that writes down what it is sent and answers as it was told.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio_rustls::TlsAcceptor;

/// One request.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) path: String,
    pub(crate) headers: String,
    pub(crate) body: Value,
}

#[derive(Default)]
struct Inside {
    received: Vec<Received>,
    answers: BTreeMap<String, (u16, String)>,
}

/// The server; it ends with the test.
#[derive(Clone)]
pub(crate) struct Receiver {
    pub(crate) address: String,
    inside: Arc<Mutex<Inside>>,
}

impl Receiver {
    pub(crate) async fn start() -> Self {
        Self::listen("http", None).await
    }

    /// One that is reached over TLS, under this name, and its certificate.
    pub(crate) async fn start_secure(name: &str) -> (Self, CertificateDer<'static>) {
        let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
        let certificate = made.cert.der().clone();
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.clone()], key)
            .unwrap();
        (Self::listen("https", Some(TlsAcceptor::from(Arc::new(config)))).await, certificate)
    }

    async fn listen(scheme: &str, secure: Option<TlsAcceptor>) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("{scheme}://{}", listener.local_addr().unwrap());
        let inside = Arc::new(Mutex::new(Inside::default()));
        let shared = Arc::clone(&inside);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (shared, secure) = (Arc::clone(&shared), secure.clone());
                tokio::spawn(async move {
                    match secure {
                        None => serve(stream, shared).await,
                        Some(secure) => {
                            if let Ok(stream) = secure.accept(stream).await {
                                serve(stream, shared).await;
                            }
                        }
                    }
                });
            }
        });
        Self { address, inside }
    }

    /// Answers requests whose path begins so; 0 does not answer at all, and redirects lead to what is their body.
    pub(crate) fn answer(&self, path: &str, status: u16, body: &str) {
        self.inside.lock().unwrap().answers.insert(path.to_owned(), (status, body.to_owned()));
    }

    /// What came since this was last asked.
    pub(crate) fn take(&self) -> Vec<Received> {
        std::mem::take(&mut self.inside.lock().unwrap().received)
    }
}

/// The head of a request, with the empty line at its end, and what came after it; none where the connection ends before.
pub(crate) async fn read_head(stream: &mut (impl AsyncRead + Unpin)) -> Option<(String, Vec<u8>)> {
    let mut bytes = Vec::with_capacity(4096);
    loop {
        if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
            return None;
        }
        if let Some(end) = bytes.windows(4).position(|it| it == b"\r\n\r\n") {
            let rest = bytes.split_off(end + 4);
            return Some((String::from_utf8(bytes).unwrap(), rest));
        }
    }
}

async fn serve(mut stream: impl AsyncRead + AsyncWrite + Unpin, inside: Arc<Mutex<Inside>>) {
    let Some((head, mut bytes)) = read_head(&mut stream).await else { return };
    let length = head
        .lines()
        .find_map(|it| it.to_lowercase().strip_prefix("content-length: ").map(str::to_owned))
        .map_or(0, |it| it.trim().parse().unwrap());
    while bytes.len() < length {
        if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
            return;
        }
    }
    let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
    let answer = {
        let mut inside = inside.lock().unwrap();
        let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        inside.received.push(Received { path: path.clone(), headers: head, body });
        let found = inside.answers.iter().rev().find(|(start, _)| path.starts_with(*start));
        found.map_or((200, String::new()), |(_, it)| it.clone())
    };
    if answer.0 == 0 {
        std::future::pending::<()>().await;
    }
    let (status, body) = answer;
    let text = if (300..400).contains(&status) {
        format!("HTTP/1.1 {status} X\r\nlocation: {body}\r\ncontent-length: 0\r\n\r\n")
    } else {
        format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n\r\n{body}", body.len())
    };
    let _ = stream.write_all(text.as_bytes()).await;
    let _ = stream.shutdown().await;
}
