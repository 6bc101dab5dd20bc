//! Connections that have asked once and then do nothing.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use anyhow::{Context, ensure};
use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

const REQUEST: &[u8] = b"GET /0 HTTP/1.1\r\nhost: bench.test\r\n\r\n";

/// Opens them, says so by a line, and holds them until its input ends. `tls` is the authority's file, or empty.
pub(crate) fn run(address: &str, count: &str, tls: &str) -> anyhow::Result<()> {
    let config = if tls.is_empty() { None } else { Some(trusting(tls)?) };
    let mut plain = Vec::new();
    let mut secure = Vec::new();
    for _ in 0..count.parse::<usize>()? {
        let stream = TcpStream::connect(address).context("connecting")?;
        // Or each request waits for the handshake's end to be acknowledged.
        stream.set_nodelay(true)?;
        match &config {
            None => plain.push(ask(stream)?),
            Some(config) => {
                let name = ServerName::try_from("bench.test")?;
                let connection = ClientConnection::new(Arc::clone(config), name)?;
                secure.push(ask(StreamOwned::new(connection, stream))?);
            }
        }
    }
    println!("ready");
    let mut end = Vec::new();
    std::io::stdin().read_to_end(&mut end)?;
    Ok(())
}

fn trusting(file: &str) -> anyhow::Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(file)?)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(Arc::new(builder.with_root_certificates(roots).with_no_client_auth()))
}

fn ask<S: Read + Write>(mut stream: S) -> anyhow::Result<S> {
    stream.write_all(REQUEST)?;
    let mut seen = Vec::new();
    let mut buffer = [0; 4096];
    while !seen.ends_with(b"\r\n\r\n") {
        let count = stream.read(&mut buffer)?;
        ensure!(count > 0, "the connection was closed");
        seen.extend_from_slice(&buffer[..count]);
    }
    ensure!(seen.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&seen));
    Ok(stream)
}
