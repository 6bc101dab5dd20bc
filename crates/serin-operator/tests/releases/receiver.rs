//! An HTTP server that writes down what it is sent and answers as it was told.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

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
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let inside = Arc::new(Mutex::new(Inside::default()));
        let shared = Arc::clone(&inside);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&shared)));
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

async fn serve(mut stream: tokio::net::TcpStream, inside: Arc<Mutex<Inside>>) {
    let mut bytes = Vec::new();
    let (head, length) = loop {
        let mut part = [0; 4096];
        let read = stream.read(&mut part).await.unwrap_or(0);
        if read == 0 {
            return;
        }
        bytes.extend_from_slice(&part[..read]);
        if let Some(end) = bytes.windows(4).position(|it| it == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
            let length = head
                .lines()
                .find_map(|it| {
                    it.to_lowercase().strip_prefix("content-length: ").map(str::to_owned)
                })
                .map_or(0, |it| it.trim().parse().unwrap());
            bytes.drain(..end + 4);
            break (head, length);
        }
    };
    while bytes.len() < length {
        let mut part = [0; 4096];
        let read = stream.read(&mut part).await.unwrap_or(0);
        bytes.extend_from_slice(&part[..read]);
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
}
