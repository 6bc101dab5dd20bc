//! Calls through an HTTP proxy: those over TLS through a tunnel (RFC 9110 §9.3.6), others by their whole address.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{Place, Stream, credentials};

/// The head of a proxy's answer may be this large.
const LARGEST_HEAD: usize = 16 << 10;

/// Asks a proxy for a tunnel to a place.
pub(super) async fn tunnel(
    stream: &mut Box<dyn Stream>,
    proxy: &Place,
    place: &Place,
) -> Result<(), String> {
    let Place { host, port, .. } = place;
    let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
    let mut request = format!("CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n");
    if let Some(credentials) = credentials::of(&proxy.uri) {
        request.push_str(&format!("Proxy-Authorization: {credentials}\r\n"));
    }
    request.push_str("\r\n");
    let failed = |why: String| format!("the proxy {}:{}: {why}", proxy.host, proxy.port);
    let broken = |error: std::io::Error| failed(error.to_string());
    stream.write_all(request.as_bytes()).await.map_err(broken)?;
    stream.flush().await.map_err(broken)?;
    // Byte by byte: what follows the head is the other side's already.
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() >= LARGEST_HEAD {
            return Err(failed("its answer is too long".to_owned()));
        }
        head.push(stream.read_u8().await.map_err(broken)?);
    }
    let line = String::from_utf8_lossy(&head);
    let line = line.lines().next().unwrap_or_default();
    match line.split(' ').nth(1) {
        Some(status) if status.starts_with('2') => Ok(()),
        _ => Err(failed(format!("no tunnel to {host}:{port}: {line}"))),
    }
}
