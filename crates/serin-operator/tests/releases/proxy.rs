//! An HTTP proxy that leads everywhere to the same two servers, and writes down what it is asked for.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncWriteExt as _, copy, copy_bidirectional, sink};
use tokio::net::{TcpListener, TcpStream};

use crate::receiver::{Receiver, read_head};

/// `Basic` of `bird:s3cret`, which it wants.
const CREDENTIALS: &str = "basic ymlyzdpzm2nyzxq=";

/// The proxy; it ends with the test.
pub(crate) struct Proxy {
    /// Its host and port.
    pub(crate) authority: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    /// Tunnels lead to `secure`, everything else to `plain`.
    pub(crate) async fn start(plain: &Receiver, secure: &Receiver) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let authority = listener.local_addr().unwrap().to_string();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let of = |receiver: &Receiver| {
            receiver.address.rsplit('/').next().unwrap_or_default().to_owned()
        };
        let (plain, secure, seen) = (of(plain), of(secure), Arc::clone(&asked));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (plain, secure, seen) = (plain.clone(), secure.clone(), Arc::clone(&seen));
                tokio::spawn(async move { lead(stream, &plain, &secure, &seen).await });
            }
        });
        Self { authority, asked }
    }

    /// The first lines of what it was asked for.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

async fn lead(mut stream: TcpStream, plain: &str, secure: &str, asked: &Mutex<Vec<String>>) {
    let Some((head, body)) = read_head(&mut stream).await else { return };
    let line = head.lines().next().unwrap_or_default().to_owned();
    asked.lock().unwrap().push(line.clone());
    if !head.to_lowercase().contains(&format!("proxy-authorization: {CREDENTIALS}")) {
        let refusal = b"HTTP/1.1 407 Proxy Authentication Required\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
        stream.write_all(refusal).await.unwrap_or_default();
        // A connection that ends with bytes unread is reset, and with it the answer.
        let _ = copy(&mut stream, &mut sink()).await;
        return;
    }
    let is_tunnel = line.starts_with("CONNECT ");
    let mut there = TcpStream::connect(if is_tunnel { secure } else { plain }).await.unwrap();
    let first = if is_tunnel {
        stream.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await.unwrap_or_default();
        body
    } else {
        // As the server is asked: by the path alone.
        let (method, rest) = line.split_once(' ').unwrap();
        let path = rest.split_once("://").unwrap().1;
        let path = &path[path.find('/').unwrap()..];
        let headers = &head[line.len()..];
        [format!("{method} {path}{headers}").into_bytes(), body].concat()
    };
    there.write_all(&first).await.unwrap_or_default();
    let _ = copy_bidirectional(&mut stream, &mut there).await;
}
